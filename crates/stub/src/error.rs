//! Why a realm cannot be opened or told something.

use std::path::{Path, PathBuf};

/// Why a realm cannot be opened or told something.
#[derive(Debug, thiserror::Error)]
pub enum StubError {
    /// A file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file of ours that cannot be read any more.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        why: openssl::error::ErrorStack,
    },
    /// OpenSSL failed.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// A scenario that cannot be.
    #[error("{0}")]
    Scenario(String),
}

impl StubError {
    pub(crate) fn file(path: &Path) -> impl Fn(std::io::Error) -> StubError + use<> {
        let path = path.to_owned();
        move |error| StubError::File { path: path.clone(), error }
    }
}
