//! Opening an archive that comes from a stranger.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::metadata::Asked;
use super::{metadata, names, xds_hash};
use crate::cda::{CdaError, CdaHeader, Code};
use crate::xml::XmlError;

/// Largest archive, in bytes: twice what any operator of the trust space lets through.
const MAX_ARCHIVE: usize = 64 * 1024 * 1024;
/// Most entries. A mail is about one patient and carries some documents, not hundreds.
pub(super) const MAX_ENTRIES: usize = 256;
/// Largest entry once inflated: the XML reader's limit, and so a PDF's.
const MAX_ENTRY: u64 = crate::xml::MAX_BYTES as u64;
/// Most bytes of all entries once inflated.
const MAX_TOTAL: u64 = 128 * 1024 * 1024;
/// Highest inflation of one entry. XML rarely exceeds 40; zip bombs begin where honest text ends.
const MAX_RATIO: u64 = 200;
/// Under this size the ratio says nothing (a page of spaces inflates a thousandfold harmlessly).
const RATIO_FREE: u64 = 1024 * 1024;

/// Why an archive is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Beyond a limit: size, entries, inflation.
    #[error("the archive exceeds a limit (size, entries or inflation)")]
    Limit,
    /// Not a zip archive, or a damaged one.
    #[error("the archive is not a readable zip file")]
    Damaged,
    /// Encrypted, a link, an unknown compression, or entries that overlap.
    #[error("the archive uses a zip feature that has no place in IHE XDM (encryption, links, overlaps)")]
    Feature,
    /// An absolute or climbing path, or the same name twice.
    #[error("the archive has an unsafe or repeated entry name")]
    Name,
    /// No `IHE_XDM/…/METADATA.XML`.
    #[error("the archive has no METADATA.XML under IHE_XDM")]
    NoMetadata,
    /// `METADATA.XML` cannot be read.
    #[error("METADATA.XML: {0}")]
    Metadata(XmlError),
    /// The metadata name a document that is not in the archive.
    #[error("METADATA.XML names a document that is not in the archive")]
    MissingDocument,
}

/// Whether a document is what the metadata announce. A document that is not is handed over all the same, for a person to judge:
/// never to be filed by a program alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// Its hash is the announced one.
    Verified,
    /// The metadata announce no hash.
    Undeclared,
    /// It has not the announced size.
    WrongSize,
    /// It has not the announced hash.
    WrongHash,
    /// It is not of the announced media type.
    WrongType,
}

impl Integrity {
    /// Whether nothing that the metadata announce is contradicted.
    #[must_use]
    pub fn is_sound(self) -> bool {
        matches!(self, Self::Verified | Self::Undeclared)
    }
}

/// A document of an archive with what the metadata say of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Path inside the archive, in capitals.
    pub path: String,
    /// Announced media type (`text/xml` for CDA).
    pub mime_type: Option<String>,
    /// Announced title.
    pub title: Option<String>,
    /// Announced type.
    pub type_code: Option<Code>,
    /// Unique identifier of the document.
    pub unique_id: Option<String>,
    /// The patient's identifier as `matricule^^^&OID&ISO^NH` (ECO.2.1.2: the receiver identifies the
    /// patient from it).
    pub patient_id: Option<String>,
    /// What the sender asks to be done with it.
    pub asked: Asked,
    /// Whether it is what the metadata announce.
    pub integrity: Integrity,
    /// The document.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Document {
    /// Neither the content nor the patient.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({}, {:?}, {} bytes)", self.path, self.mime_type, self.bytes.len())
    }
}

/// An opened archive: the documents that its metadata describe, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Documents of all submission sets.
    pub documents: Vec<Document>,
    /// Entries to delete (see [`entry_id`](super::entry_id)) whose document is not in the archive.
    pub deleted: Vec<String>,
}

impl Archive {
    /// The headers of the CDA documents, in order. XML documents of another kind are passed over.
    ///
    /// # Errors
    /// [`CdaError`] when a document announced as XML cannot be read, or is a CDA without what makes one.
    pub fn cda_headers(&self) -> Result<Vec<CdaHeader>, CdaError> {
        let is_xml = |d: &&Document| {
            d.mime_type
                .as_deref()
                .map_or_else(|| d.path.ends_with(".XML"), |m| matches!(m, "text/xml" | "application/xml"))
        };
        let headers = self.documents.iter().filter(is_xml).map(|d| CdaHeader::read(&d.bytes));
        headers.filter(|read| read != &Err(CdaError::NotCda)).collect()
    }
}

/// Opens an archive.
///
/// # Errors
/// See [`OpenError`]; never quotes a name or a content.
pub fn open(archive: &[u8]) -> Result<Archive, OpenError> {
    let mut files = inflate(archive)?;
    let is_metadata =
        |key: &&String| key.starts_with("IHE_XDM/") && key.ends_with("/METADATA.XML") && key.split('/').count() == 3;
    let sets: Vec<String> = files.keys().filter(is_metadata).cloned().collect();
    if sets.is_empty() {
        return Err(OpenError::NoMetadata);
    }
    let (mut documents, mut deleted) = (Vec::new(), Vec::new());
    for set in sets {
        let described = files.get(&set).map(|bytes| metadata::read(bytes)).transpose();
        let described = described.map_err(OpenError::Metadata)?.unwrap_or_default();
        deleted.extend(described.deleted);
        for entry in described.entries {
            let path = names::key(&format!("{}{}", names::directory(&set), entry.uri)).ok_or(OpenError::Name)?;
            // Each file belongs to one object; taking it out also keeps a hostile METADATA.XML from
            // multiplying one file in memory.
            let bytes = files.remove(&path).ok_or(OpenError::MissingDocument)?;
            documents.push(Document { integrity: check(&entry, &bytes), path, bytes, ..described_as(entry) });
        }
    }
    Ok(Archive { documents, deleted })
}

fn described_as(entry: metadata::Entry) -> Document {
    Document {
        path: String::new(),
        mime_type: entry.mime_type,
        title: entry.title,
        type_code: entry.type_code,
        unique_id: entry.unique_id,
        patient_id: entry.patient_id,
        asked: entry.asked,
        integrity: Integrity::Undeclared,
        bytes: Vec::new(),
    }
}

fn check(entry: &metadata::Entry, bytes: &[u8]) -> Integrity {
    if entry.size.is_some_and(|size| size != bytes.len() as u64) {
        return Integrity::WrongSize;
    }
    match &entry.hash {
        Some(hash) if !hash.eq_ignore_ascii_case(&xds_hash(bytes)) => Integrity::WrongHash,
        _ if !is_of_type(entry.mime_type.as_deref(), bytes) => Integrity::WrongType,
        Some(_) => Integrity::Verified,
        None => Integrity::Undeclared,
    }
}

/// Whether octets may be of a media type, by how they begin. Types that have no beginning of their own are believed.
fn is_of_type(media: Option<&str>, bytes: &[u8]) -> bool {
    let start = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    match media.map(|m| m.split(';').next().unwrap_or(m).trim().to_ascii_lowercase()).as_deref() {
        // UTF-16 has a mark of its own; whether it is read is the XML reader's to say.
        Some("text/xml" | "application/xml") => {
            start.starts_with(b"<") || bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF")
        }
        Some("application/pdf") => bytes.starts_with(b"%PDF-"),
        Some("image/png") => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        Some("image/jpeg") => bytes.starts_with(b"\xFF\xD8\xFF"),
        _ => true,
    }
}

/// All files of the archive by key.
fn inflate(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, OpenError> {
    if archive.len() > MAX_ARCHIVE {
        return Err(OpenError::Limit);
    }
    // The zip reader makes a record of every directory entry before we can count them. Count their
    // signatures first: compressed data hold a few by chance at most.
    let signatures = archive.windows(4).filter(|w| *w == b"PK\x01\x02").count();
    if signatures > MAX_ENTRIES + 16 {
        return Err(OpenError::Limit);
    }
    let mut zip = ZipArchive::new(Cursor::new(archive)).map_err(|_| OpenError::Damaged)?;
    if zip.len() > MAX_ENTRIES {
        return Err(OpenError::Limit);
    }
    if zip.has_duplicate_names() {
        return Err(OpenError::Name);
    }
    if zip.has_overlapping_entries().map_err(|_| OpenError::Damaged)? {
        return Err(OpenError::Feature);
    }
    let mut files = BTreeMap::new();
    let mut total = 0u64;
    for index in 0..zip.len() {
        // `by_index` refuses encrypted entries by an error; look at the entry before reading it.
        let entry = zip.by_index_raw(index).map_err(|_| OpenError::Damaged)?;
        let (compressed, announced) = (entry.compressed_size(), entry.size());
        let plain = matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated);
        if entry.encrypted() || entry.is_symlink() || !plain {
            return Err(OpenError::Feature);
        }
        let name = entry.name().map_err(|_| OpenError::Name)?;
        let key = names::key(&name).ok_or(OpenError::Name)?;
        if entry.is_dir() {
            continue;
        }
        drop(name);
        drop(entry);
        if announced > MAX_ENTRY || announced > RATIO_FREE.max(compressed.saturating_mul(MAX_RATIO)) {
            return Err(OpenError::Limit);
        }
        // What is announced may be a lie: never read more than it, plus one byte to see the lie.
        let mut bytes = Vec::new();
        let reader = zip.by_index(index).map_err(|_| OpenError::Damaged)?;
        reader.take(announced + 1).read_to_end(&mut bytes).map_err(|_| OpenError::Damaged)?;
        if bytes.len() as u64 != announced {
            return Err(OpenError::Damaged);
        }
        total += announced;
        if total > MAX_TOTAL {
            return Err(OpenError::Limit);
        }
        if files.insert(key, bytes).is_some() {
            return Err(OpenError::Name);
        }
    }
    Ok(files)
}
