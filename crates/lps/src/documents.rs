//! Health documents on their way into a mail: checked, packed as `IHE_XDM.zip`, copied as PDF/A, and what the mail says of them.
//! ECO.2.1.1, ECO.2.1.3, ECO.2.1.5, ECO.2.1.6, ECO.2.4.1, ECO.2.4.2; `client.md` §2.1–2.5.
//!
//! Invariants:
//! * one set is about one patient;
//! * the matricule of a patient whose identity is not qualified does not leave (INS/va1.53): a document that holds one without the four
//!   traits, or with a wrong key, is refused whatever the options;
//! * subject, X-MSS values and file names are derived from the documents, never typed;
//! * memory: the documents themselves ([`MAX_SET`]) and one rendering at a time; copies and archive stand in temporary files.

mod error;
mod prepare;
mod save;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use mssante::cda::{CdaHeader, Code, InstanceId};
use mssante::headers::DocumentFacts;
use mssante::xdm;
use time::OffsetDateTime;

pub use error::DocumentError;
pub use save::{Folder, SaveError, Saved, safe_name, save};

use crate::content::Content;

/// Largest document, in octets: the largest mail that a patient receives (25 MB) could not hold it.
pub const MAX_DOCUMENT: u64 = 25 * 1024 * 1024;
/// Most octets of all documents of a set: the largest mail that any operator takes holds less once they are packed.
pub const MAX_SET: u64 = 64 * 1024 * 1024;

/// Where a document is.
#[derive(Clone)]
pub enum Source {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file, which is not read when it is too large.
    File(PathBuf),
}

impl std::fmt::Debug for Source {
    /// Neither content nor path, which may name a patient.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File(_) => f.write_str("File"),
        }
    }
}

/// Which version of a document goes out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Version {
    /// What the document says: it replaces another when it has a `relatedDocument` of type RPLC, it is new otherwise.
    #[default]
    AsWritten,
    /// A first version, whatever the document says.
    New,
    /// Replaces the document of this identifier; refused when the document says that it replaces another one.
    Replace(InstanceId),
    /// Asks for this document, the last version sent, to be deleted.
    Delete,
}

/// A document to send.
#[derive(Debug, Clone)]
pub struct Given {
    /// The CDA R2 document.
    pub source: Source,
    /// Which version it is.
    pub version: Version,
    /// Number of the record, for the name of the PDF copy (biology: registration number of the order).
    pub record: Option<String>,
}

impl Given {
    /// A document of a file, its version as written.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::File(path.into()), version: Version::AsWritten, record: None }
    }

    /// A document in memory, its version as written.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { source: Source::Bytes(bytes.into()), version: Version::AsWritten, record: None }
    }

    /// The same document as another version.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }
}

/// Whom the mail goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audience {
    /// Professionals only.
    #[default]
    Professionals,
    /// A patient is among the recipients: the identity must be qualified (ECO.2.2.6).
    Patient,
}

/// What a set is made with.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// Who sends, for `INDEX.HTM` and `README.TXT`.
    pub sender: xdm::Sender,
    /// With what software.
    pub software: xdm::Software,
    /// OID of the sending system (XDS `sourceId`).
    pub source_id: String,
    /// Kind of the clinical activity (XDS `contentTypeCode`), when known.
    pub content_type: Option<Code>,
    /// When.
    pub created: OffsetDateTime,
    /// For whom.
    pub audience: Audience,
    /// Lets documents without any INS pass, between professionals: `X-MSS-INS: N`. They are refused otherwise.
    pub allow_unqualified: bool,
}

impl Preparation {
    /// For professionals, by this software, nothing allowed beyond the rule.
    #[must_use]
    pub fn new(software: &crate::space::Software, sender: xdm::Sender, created: OffsetDateTime) -> Self {
        Self {
            sender,
            software: xdm::Software {
                name: software.name.clone(),
                version: software.version.clone(),
                vendor: software.vendor.clone(),
            },
            source_id: software.source_id.clone(),
            content_type: None,
            created,
            audience: Audience::Professionals,
            allow_unqualified: false,
        }
    }
}

/// Documents ready to be sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DocumentSet {
    /// `IHE_XDM.zip`.
    pub xdm: Content,
    /// The PDF copies with their names, in the order of the documents.
    pub pdfs: Vec<(String, Content)>,
    /// Their headers, in order.
    pub headers: Vec<CdaHeader>,
    /// For X-MSS-CODECDA and X-MSS-INS.
    pub facts: DocumentFacts,
    /// Subject of the mail: `XDM/1.0/DDM+…`.
    pub subject: String,
}
