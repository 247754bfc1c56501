//! Why an extraction is not taken in, or its index not searched.

use std::path::PathBuf;

use crate::query::QueryError;

/// Why an extraction is not taken in, or its index not searched. The index that was there stays.
#[derive(Debug, thiserror::Error)]
pub enum ExtractionError {
    /// The query itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No extraction or no index in the settings.
    #[error("no extraction is configured ([directory] extraction and index)")]
    NotConfigured,
    /// There is no index yet.
    #[error("{0}: no index of the directory yet; bring the extraction in first")]
    NoIndex(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The index was damaged, or made by another version.
    #[error("{path}: the index of the directory is damaged ({what}); bring the extraction in again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The file is no extraction: a column is missing.
    #[error("the file is no extraction of the directory: {0} is missing from its first line")]
    Header(&'static str),
    /// More broken lines than good ones.
    #[error("{refused} of {lines} lines of the extraction are broken")]
    Broken {
        /// Lines, without the first.
        lines: u64,
        /// Those that say nothing usable.
        refused: u64,
    },
    /// Fewer than half the lines of the extraction before: it was cut.
    #[error("the extraction has {lines} lines, that before it had {before}: it looks cut, the older one is kept")]
    Shrunk {
        /// Good lines of the new one.
        lines: u64,
        /// Good lines of the one in use.
        before: u64,
    },
    /// The archive holds no text, or more than anybody expects.
    #[error("the archive is no extraction: {0}")]
    Archive(&'static str),
    /// The archive is damaged.
    #[error("the archive cannot be read: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// It could not be fetched.
    #[error("the extraction cannot be fetched: {0}")]
    Fetch(String),
    /// The server answered otherwise.
    #[error("the extraction cannot be fetched: HTTP {0}")]
    Status(u16),
    /// More octets than any extraction has.
    #[error("the extraction is larger than {0} octets")]
    TooLarge(u64),
}

impl ExtractionError {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            ExtractionError::Fetch(_) => true,
            ExtractionError::Status(code) => *code >= 500 || *code == 429,
            _ => false,
        }
    }
}
