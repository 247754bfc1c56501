//! The local index of the extraction: one file, searched where it lies. docs/adr/0020.

mod build;
mod format;
mod read;
mod record;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(super) use build::Builder;
pub use read::Index;

/// Where an index comes from and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// File or URL it was made of.
    pub source: String,
    /// `Last-Modified` of the server, as it was given.
    pub modified: Option<String>,
    /// `ETag` of the server, as it was given.
    pub etag: Option<String>,
    /// When the extraction was made, in seconds since 1970.
    pub seen: u64,
    /// Lines after the first one.
    pub lines: u64,
    /// Those that say nothing usable: broken, or no mailbox of the trust space.
    pub refused: u64,
    /// Mailboxes.
    pub entries: u64,
}
