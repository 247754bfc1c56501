//! What a backup holds: one line of JSON for itself, one for each file, one that ends it with the digest of all lines before.
//!
//! Invariant: it is written, synced and put in its place after everything it names: a folder without a whole manifest is no backup.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use openssl::sha::Sha256;
use serde_json::{Value, json};

use super::super::files::sync_folder;
use crate::{Result, StoreError};

/// Its name.
pub(in crate::sqlite) const MANIFEST: &str = "manifest";
/// The version of what it says, and of where things lie in a backup.
const VERSION: u64 = 1;
/// The longest line: a path and numbers.
const LINE: usize = 8192;

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sqlite) struct Item {
    /// Where it lies in a data folder, relative to it.
    pub(in crate::sqlite) path: String,
    /// Where it lies in the backup.
    pub(in crate::sqlite) at: String,
    pub(in crate::sqlite) size: u64,
    pub(in crate::sqlite) sha256: String,
    /// When it was last changed in the data folder, in nanoseconds since 1970: as long as it is the same, so are its octets.
    pub(in crate::sqlite) changed: i64,
}

/// What a backup says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The version of the program that made it.
    pub program: String,
    /// The format of its database.
    pub format: i64,
    /// When it was begun, in seconds since 1970: what was acknowledged before is in it.
    pub begun: i64,
    /// Mailboxes in it.
    pub mailboxes: u64,
    /// Messages in them.
    pub messages: u64,
    /// Entries of the outgoing queue.
    pub queue: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Manifest {
    pub(in crate::sqlite) about: About,
    pub(in crate::sqlite) items: Vec<Item>,
}

impl Manifest {
    /// By where they lie in a data folder.
    pub(in crate::sqlite) fn by_path(&self) -> HashMap<&str, &Item> {
        self.items.iter().map(|item| (item.path.as_str(), item)).collect()
    }

    /// Writes it in its place, durably.
    pub(in crate::sqlite) fn write(&self, folder: &Path) -> Result<()> {
        let new = folder.join("manifest.new");
        let mut out = Lines { file: BufWriter::new(super::private(&new)?), digest: Sha256::new() };
        let about = &self.about;
        out.line(&json!({
            "vaguemestre_backup": VERSION, "program": about.program, "format": about.format, "begun": about.begun,
            "mailboxes": about.mailboxes, "messages": about.messages, "queue": about.queue,
        }))?;
        for Item { path, at, size, sha256, changed } in &self.items {
            out.line(&json!({ "path": path, "at": at, "size": size, "sha256": sha256, "changed": changed }))?;
        }
        let digest = super::hex(&std::mem::take(&mut out.digest).finish());
        out.line(&json!({ "files": self.items.len(), "sha256": digest }))?;
        let file = out.file.into_inner().map_err(|e| e.into_error())?;
        file.sync_all()?;
        std::fs::rename(&new, folder.join(MANIFEST))?;
        sync_folder(folder)
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Unusable`] for one of a later version.
    pub(in crate::sqlite) fn read(folder: &Path) -> Result<Option<Manifest>> {
        const DAMAGED: StoreError = StoreError::Damaged("the manifest of the backup is not whole");
        let file = match File::open(folder.join(MANIFEST)) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut reader = BufReader::new(file);
        let mut manifest = Manifest::default();
        let mut digest = Sha256::new();
        let mut line = Vec::new();
        let mut first = true;
        loop {
            line.clear();
            std::io::Read::take(&mut reader, LINE as u64).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Err(DAMAGED);
            }
            let value: Value = serde_json::from_slice(&line).map_err(|_| DAMAGED)?;
            let number = |name: &str| value[name].as_u64();
            if first {
                match number("vaguemestre_backup") {
                    Some(VERSION) => {}
                    Some(version) => {
                        return Err(StoreError::Unusable(format!(
                            "the backup has version {version} and this program knows {VERSION}: use the version of Vaguemestre that made it, or a later one"
                        )));
                    }
                    None => return Err(DAMAGED),
                }
                manifest.about = About {
                    program: value["program"].as_str().unwrap_or_default().to_owned(),
                    format: value["format"].as_i64().ok_or(DAMAGED)?,
                    begun: value["begun"].as_i64().ok_or(DAMAGED)?,
                    mailboxes: number("mailboxes").unwrap_or(0),
                    messages: number("messages").unwrap_or(0),
                    queue: number("queue").unwrap_or(0),
                };
                first = false;
            } else if let Some(files) = number("files") {
                let whole = files == manifest.items.len() as u64
                    && value["sha256"].as_str() == Some(super::hex(&digest.finish()).as_str())
                    && reader.fill_buf()?.is_empty();
                return if whole { Ok(Some(manifest)) } else { Err(DAMAGED) };
            } else {
                let text = |name: &str| value[name].as_str().map(str::to_owned).ok_or(DAMAGED);
                let item = Item {
                    path: text("path")?,
                    at: text("at")?,
                    size: number("size").ok_or(DAMAGED)?,
                    sha256: text("sha256")?,
                    changed: value["changed"].as_i64().ok_or(DAMAGED)?,
                };
                if !inside(&item.path) || !inside(&item.at) {
                    return Err(DAMAGED);
                }
                manifest.items.push(item);
            }
            digest.update(&line);
        }
    }
}

/// Whether a path leads nowhere but down.
fn inside(path: &str) -> bool {
    !path.is_empty() && PathBuf::from(path).components().all(|part| matches!(part, Component::Normal(_)))
}

struct Lines {
    file: BufWriter<File>,
    digest: Sha256,
}

impl Lines {
    fn line(&mut self, value: &Value) -> Result<()> {
        let line = format!("{value}\n");
        self.digest.update(line.as_bytes());
        self.file.write_all(line.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_whole_or_none() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(Manifest::read(dir.path()).expect("read").is_none());
        let item = Item { path: "store/x".into(), at: "store/x-7".into(), size: 7, sha256: "00".into(), changed: -1 };
        let about = About { program: "1".into(), format: 4, begun: 5, mailboxes: 1, messages: 2, queue: 3 };
        let manifest = Manifest { about: about.clone(), items: vec![item.clone(), item.clone()] };
        manifest.write(dir.path()).expect("written");
        let read = Manifest::read(dir.path()).expect("read").expect("there");
        assert_eq!((read.about, read.items), (about, vec![item.clone(), item.clone()]));
        let path = dir.path().join(MANIFEST);
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(Manifest::read(dir.path()).is_err(), "cut at {cut}");
        }
        for place in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[place] ^= 1;
            std::fs::write(&path, &wrong).expect("written");
            assert!(Manifest::read(dir.path()).is_err(), "octet {place}");
        }
        for wrong in ["", "/etc/passwd", "../x", "a/../../b"] {
            assert!(!inside(wrong), "{wrong}");
        }
    }
}
