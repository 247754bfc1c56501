//! The documents of a message: archives opened, headers read, PDF copies put beside the documents they are of (SC.CDA/DD.15).

use std::collections::HashMap;

use mssante::cda::{CdaError, CdaHeader};
use mssante::xdm::{self, OpenError};
use mssante::{pdf_name, text};

use super::{Attachment, DocumentPatient, Message};
use crate::explain::Language;

/// Archives opened of one message. The referential speaks of one; some programs send one per document.
pub const MAX_ARCHIVES: usize = 10;

/// An `IHE_XDM.zip`.
#[derive(Debug)]
pub struct Archive {
    /// The attachment it came in: [`Message::content`] gives the zip itself.
    pub attachment: Attachment,
    /// Its documents, in the order of the metadata; empty when it cannot be opened.
    pub documents: Vec<ReceivedDocument>,
    /// Entries the sender asks to delete whose document is not in the archive (see [`xdm::entry_id`]).
    pub deleted: Vec<String>,
    /// Why it cannot be opened.
    pub fault: Option<ArchiveFault>,
}

/// Why an archive is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// It is not a sound archive of documents.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The message has more archives than [`MAX_ARCHIVES`].
    #[error("the message has more than {MAX_ARCHIVES} archives")]
    TooMany,
    /// Together the archives inflate to more than allowed.
    #[error("the archives of the message inflate to more than allowed")]
    Inflated,
}

impl ArchiveFault {
    /// Stable, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            ArchiveFault::Open(OpenError::Limit) => "archive.limit",
            ArchiveFault::Open(OpenError::Damaged) => "archive.damaged",
            ArchiveFault::Open(OpenError::Feature) => "archive.feature",
            ArchiveFault::Open(OpenError::Name) => "archive.name",
            ArchiveFault::Open(OpenError::NoMetadata) => "archive.no-metadata",
            ArchiveFault::Open(OpenError::Metadata(_)) => "archive.metadata",
            ArchiveFault::Open(OpenError::MissingDocument) => "archive.missing-document",
            ArchiveFault::TooMany => "archive.too-many",
            ArchiveFault::Inflated => "archive.inflated",
        }
    }

    /// What it means for people.
    #[must_use]
    pub fn message(self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            ArchiveFault::Open(OpenError::Limit) => "l'archive dépasse une limite (taille, nombre d'entrées ou taux de compression)",
            ArchiveFault::Open(OpenError::Damaged) => "l'archive n'est pas un fichier zip lisible",
            ArchiveFault::Open(OpenError::Feature) => "l'archive est chiffrée, contient des liens ou des entrées qui se recouvrent",
            ArchiveFault::Open(OpenError::Name) => "l'archive contient un nom de fichier dangereux ou répété",
            ArchiveFault::Open(OpenError::NoMetadata) => "l'archive n'a pas de METADATA.XML sous IHE_XDM",
            ArchiveFault::Open(OpenError::Metadata(_)) => "le METADATA.XML de l'archive est illisible",
            ArchiveFault::Open(OpenError::MissingDocument) => "un document annoncé par METADATA.XML manque dans l'archive",
            ArchiveFault::TooMany => "le message contient trop d'archives",
            ArchiveFault::Inflated => "les archives du message dépassent la taille permise une fois décompressées",
        }
        .to_owned()
    }
}

/// A document of an archive.
pub struct ReceivedDocument {
    /// The document with what the metadata say of it: octets, integrity, what the sender asks.
    pub document: xdm::Document,
    /// The header, when it is a CDA.
    pub header: Option<CdaHeader>,
    /// Why there is no header in a document that is announced as XML; [`CdaError::NotCda`] for XML of another kind.
    pub fault: Option<CdaError>,
    /// Its PDF copy: the place in [`Message::attachments`]. Both are one row of a list (SC.CDA/DD.15), and the copy is to be
    /// preferred for showing (SC.CDA/VISU.03).
    pub copy: Option<usize>,
}

impl std::fmt::Debug for ReceivedDocument {
    /// Neither content nor patient.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceivedDocument({:?}, copy {:?})", self.document, self.copy)
    }
}

impl ReceivedDocument {
    /// The octets of the document: the CDA.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.document.bytes
    }

    /// The patient as the metadata name them (ECO.2.1.2).
    #[must_use]
    pub fn patient(&self) -> Option<DocumentPatient> {
        DocumentPatient::parse(self.document.patient_id.as_deref()?)
    }

    /// A title for a list: the document's own, the metadata's, or the name of its type.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let header = self.header.as_ref();
        header
            .and_then(|h| h.title.as_deref())
            .or(self.document.title.as_deref())
            .or_else(|| header.and_then(|h| h.code.display_name.as_deref()))
    }
}

/// Opens the archives of a message.
pub(super) fn open(message: &Message, archives: &[Attachment], inflated: u64) -> Vec<Archive> {
    let mut left = inflated;
    let mut opened = Vec::with_capacity(archives.len().min(MAX_ARCHIVES));
    for (rank, attachment) in archives.iter().enumerate() {
        let mut archive =
            Archive { attachment: attachment.clone(), documents: Vec::new(), deleted: Vec::new(), fault: None };
        if rank >= MAX_ARCHIVES {
            archive.fault = Some(ArchiveFault::TooMany);
            opened.push(archive);
            // One says it for all.
            break;
        }
        match xdm::open(&attachment.decoded(&message.octets)) {
            Err(why) => archive.fault = Some(why.into()),
            Ok(read) => {
                let size: u64 = read.documents.iter().map(|document| document.bytes.len() as u64).sum();
                if size > left {
                    archive.fault = Some(ArchiveFault::Inflated);
                } else {
                    left -= size;
                    archive.documents = read.documents.into_iter().map(received).collect();
                    archive.deleted = read.deleted;
                }
            }
        }
        opened.push(archive);
    }
    opened
}

fn received(document: xdm::Document) -> ReceivedDocument {
    let xml = document
        .mime_type
        .as_deref()
        .map_or_else(|| document.path.ends_with(".XML"), |m| matches!(m, "text/xml" | "application/xml"));
    let read = xml.then(|| CdaHeader::read(&document.bytes));
    let (header, fault) = match read {
        Some(Ok(header)) => (Some(header), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    ReceivedDocument { document, header, fault, copy: None }
}

/// Puts each PDF copy beside its document: by the name the convention gives it (ECO.2.1.6), or, of one document and one PDF,
/// because there is no other.
pub(super) fn match_copies(message: &mut Message) {
    let documents: Vec<&mut ReceivedDocument> = message
        .archives
        .iter_mut()
        .flat_map(|archive| &mut archive.documents)
        .filter(|document| document.header.is_some())
        .collect();
    let mut pdfs: Vec<(usize, String)> = message
        .attachments
        .iter()
        .enumerate()
        .filter(|(_, attachment)| attachment.is_pdf())
        .map(|(place, attachment)| (place, key(&attachment.name)))
        .collect();
    let alone = documents.len() == 1 && pdfs.len() == 1;
    // Documents of the same name get their copies in order: names found by what they begin with, longest names first.
    let mut by_key: HashMap<String, std::collections::VecDeque<usize>> = HashMap::new();
    pdfs.reverse();
    for (place, name) in &pdfs {
        by_key.entry(name.clone()).or_default().push_front(*place);
    }
    for document in documents {
        let Some(header) = &document.header else { continue };
        if alone {
            document.copy = pdfs.first().map(|(place, _)| *place);
            continue;
        }
        let Ok(name) = pdf_name::of(header, None) else { continue };
        let expected = key(&name);
        if let Some(place) = by_key.get_mut(&expected).and_then(std::collections::VecDeque::pop_front) {
            document.copy = Some(place);
            continue;
        }
        // With a dossier number behind it.
        let found = by_key.iter_mut().find(|(name, places)| name.starts_with(&expected) && !places.is_empty());
        document.copy = found.and_then(|(_, places)| places.pop_front());
    }
}

/// What of a file name is compared: letters and digits, without accents, case or extension. Names are rewritten on their way.
fn key(name: &str) -> String {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(".pdf").unwrap_or(&name);
    text::strip_accents(stem).chars().filter(|c| c.is_alphanumeric()).collect()
}
