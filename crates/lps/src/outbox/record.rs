//! What is written of an entry beside its octets: replaced whole, on disk before anything goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mssante::Address;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::send::Notices;

/// Largest record read, in octets: a hundred recipients take a tenth of it.
const MAX_RECORD: u64 = 256 * 1024;

/// An entry, as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// 1.
    pub version: u32,
    /// The BAL it goes from.
    pub sender: Address,
    pub return_path: Option<Address>,
    pub recipients: Vec<Recipient>,
    pub message_id: String,
    pub eight_bit: bool,
    pub size: u64,
    /// SHA-256 of the octets, in hexadecimal.
    pub digest: String,
    pub notices: Option<Notices>,
    #[serde(with = "time::serde::rfc3339")]
    pub put_at: OffsetDateTime,
    pub attempts: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub next: OffsetDateTime,
    /// Since when the operator may have it: written before the end of the message is sent, taken away once it answered.
    #[serde(with = "time::serde::rfc3339::option")]
    pub doubt: Option<OffsetDateTime>,
    pub state: State,
    /// Code of the last error.
    pub last: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipient {
    pub address: Address,
    /// Whether it is settled: accepted, or refused for good with this cause.
    pub done: bool,
    pub cause: Option<String>,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// To be sent.
    Waiting,
    /// Given up: refused, or tried for too long. Kept for somebody to see.
    Failed,
    /// Perhaps delivered, perhaps not, and the operator cannot tell: somebody must decide.
    Uncertain,
}

impl Record {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        use std::io::Read;
        let mut text = Vec::new();
        File::open(path)?.take(MAX_RECORD).read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// Replaces the record; on disk when it returns.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let part = path.with_extension("part");
        let mut file = create(&part)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        sync_folder(path)
    }
}

/// A new file of the owner's alone; what a crash left there goes.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Makes the names of a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
