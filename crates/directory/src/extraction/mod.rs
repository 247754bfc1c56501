//! The extraction of all mailboxes: a file of 31 columns made every day, brought into a local index that is searched offline.
//! client.md §6.3.
//!
//! Invariants:
//! * the index is replaced whole (written beside, then renamed) and only by one that is better: a file with a wrong first line, mostly
//!   broken lines or fewer than half the lines of the one before leaves it as it is;
//! * a broken line costs that line.

mod columns;
mod error;
mod index;
mod source;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openssl::x509::X509;
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Client, StatusCode};
use tokio::io::AsyncWriteExt;
use trust::SharedClock;

pub use error::ExtractionError;
pub use index::{Facts, Index};
pub use source::MAX_TEXT;

use crate::settings::{Settings, is_url};

/// Most octets fetched: the real archive has some 25 MB.
pub const MAX_ARCHIVE: u64 = 256 * 1024 * 1024;
/// Longest download, for the slowest of lines; a server that is silent is left long before.
const FETCH: Duration = Duration::from_secs(1800);

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The archive comes.
    Fetched {
        /// Octets so far.
        octets: u64,
        /// Of how many, when the server says.
        of: Option<u64>,
    },
    /// Lines are read.
    Read {
        /// So far.
        lines: u64,
    },
    /// The index is written.
    Writing {
        /// Mailboxes in it.
        entries: u64,
    },
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The server has nothing newer.
    Unchanged(Facts),
    /// A new index is in place.
    Taken(Facts),
}

/// Where the extraction is and where its index goes.
#[derive(Debug, Clone)]
pub struct Extraction {
    source: String,
    index: PathBuf,
    http: Client,
    clock: SharedClock,
}

impl Extraction {
    /// As the settings say; a server is believed by these authorities: those of IGC-Santé.
    ///
    /// # Errors
    /// [`ExtractionError::NotConfigured`]; authorities that cannot be used.
    pub fn new(settings: &Settings, anchors: &[X509], clock: SharedClock) -> Result<Extraction, ExtractionError> {
        let (Some(source), Some(index)) = (settings.extraction.clone(), settings.index.clone()) else {
            return Err(ExtractionError::NotConfigured);
        };
        let http = trust::http::client(anchors).map_err(|e| ExtractionError::Fetch(e.to_string()))?;
        Ok(Extraction { source, index, http, clock })
    }

    /// The index as it is now. Blocking; some milliseconds.
    ///
    /// # Errors
    /// [`ExtractionError::NoIndex`] before the first update; a damaged one.
    pub fn index(&self) -> Result<Index, ExtractionError> {
        Index::open(&self.index)
    }

    /// Brings the extraction in: fetched when it lies on a server that has a newer one, read, put in place of the one before.
    ///
    /// # Errors
    /// [`ExtractionError`]; the index that was there stays.
    pub async fn update(&self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Result<Update, ExtractionError> {
        let before = Index::open(&self.index).ok().map(|index| index.facts().clone());
        let mut facts = Facts { source: self.source.clone(), ..Facts::default() };
        // Kept until it is read, removed then.
        let mut fetched = None;
        let file = if is_url(&self.source) {
            // Of another source the dates say nothing.
            let known = before.as_ref().filter(|before| before.source == self.source);
            match self.fetch(known, &mut facts, &progress).await? {
                Some(file) => fetched.insert(file).path().to_owned(),
                None => return Ok(Update::Unchanged(known.cloned().unwrap_or_default())),
            }
        } else {
            PathBuf::from(&self.source)
        };
        let (index, now) = (self.index.clone(), self.clock.now());
        let taken = tokio::task::spawn_blocking(move || {
            let taken = source::take_in(&file, &index, facts, before.as_ref(), now, &progress);
            drop(fetched);
            taken
        });
        match taken.await {
            Ok(facts) => facts.map(Update::Taken),
            // A panic of ours, or the end of the runtime.
            Err(error) => Err(ExtractionError::File { path: self.index.clone(), error: std::io::Error::other(error) }),
        }
    }

    /// The archive in a file of its own; `None` when there is nothing newer.
    async fn fetch(
        &self,
        known: Option<&Facts>,
        facts: &mut Facts,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Option<tempfile::NamedTempFile>, ExtractionError> {
        let lost = |error: reqwest::Error| ExtractionError::Fetch(innermost(&error.without_url()));
        let mut request = self.http.get(&self.source).timeout(FETCH);
        if let Some(known) = known {
            let validators = [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.modified)];
            for (name, value) in validators {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let mut response = request.send().await.map_err(lost)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(None),
            other => return Err(ExtractionError::Status(other.as_u16())),
        }
        let of = response.content_length();
        if of.is_some_and(|size| size > MAX_ARCHIVE) {
            return Err(ExtractionError::TooLarge(MAX_ARCHIVE));
        }
        facts.modified = value(response.headers(), &LAST_MODIFIED);
        facts.etag = value(response.headers(), &ETAG);
        let folder = self.index.parent().unwrap_or(Path::new("."));
        let failed = |error| ExtractionError::File { path: folder.to_owned(), error };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(".extraction-").tempfile_in(folder).map_err(failed)?;
        let mut out = tokio::fs::File::from_std(file.as_file().try_clone().map_err(failed)?);
        let mut octets = 0;
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            octets += chunk.len() as u64;
            if octets > MAX_ARCHIVE {
                return Err(ExtractionError::TooLarge(MAX_ARCHIVE));
            }
            out.write_all(&chunk).await.map_err(failed)?;
            progress(Progress::Fetched { octets, of });
        }
        out.flush().await.map_err(failed)?;
        Ok(Some(file))
    }
}

/// A validator, to be given back as it came.
fn value(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|text| text.len() <= 200).map(str::to_owned)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Brings a file in without settings: for tools and benchmarks. Blocking.
///
/// # Errors
/// [`ExtractionError`].
pub fn take_in(file: &Path, index: &Path, now: SystemTime) -> Result<Facts, ExtractionError> {
    let facts = Facts { source: file.to_string_lossy().into_owned(), ..Facts::default() };
    source::take_in(file, index, facts, None, now, &|_| {})
}

/// Fuzzing entry: a header and a line; whether the line is taken.
#[doc(hidden)]
#[must_use]
pub fn takes_line(header: &str, line: &str) -> bool {
    columns::Columns::read(header).is_ok_and(|columns| columns.line(line).is_some())
}
