//! The documents of a message: archives opened, headers read, PDF copies put beside the documents they are of (SC.CDA/DD.15).

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
            ArchiveFault::Open(OpenError::Limit) => {
                "l'archive dépasse une limite (taille, nombre d'entrées ou taux de compression)"
            }
            ArchiveFault::Open(OpenError::Damaged) => "l'archive n'est pas un fichier zip lisible",
            ArchiveFault::Open(OpenError::Feature) => {
                "l'archive est chiffrée, contient des liens ou des entrées qui se recouvrent"
            }
            ArchiveFault::Open(OpenError::Name) => "l'archive contient un nom de fichier dangereux ou répété",
            ArchiveFault::Open(OpenError::NoMetadata) => "l'archive n'a pas de METADATA.XML sous IHE_XDM",
            ArchiveFault::Open(OpenError::Metadata(_)) => "le METADATA.XML de l'archive est illisible",
            ArchiveFault::Open(OpenError::MissingDocument) => {
                "un document annoncé par METADATA.XML manque dans l'archive"
            }
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

/// Puts each PDF copy beside its document: by the name the convention gives it (ECO.2.1.6), the surest likeness first; or, of one
/// document and one PDF, because there is no other. Bounded: some thousand documents by a thousand names.
pub(super) fn match_copies(message: &mut Message) {
    let mut pdfs: Vec<(usize, String)> = message
        .attachments
        .iter()
        .enumerate()
        .filter(|(_, attachment)| attachment.is_pdf())
        .map(|(place, attachment)| (place, key(&attachment.name)))
        .collect();
    let mut documents: Vec<(&mut ReceivedDocument, String)> = message
        .archives
        .iter_mut()
        .flat_map(|archive| &mut archive.documents)
        .filter_map(|document| {
            let name = pdf_name::of(document.header.as_ref()?, None).map(|name| key(&name)).unwrap_or_default();
            Some((document, name))
        })
        .collect();
    if let ([(document, _)], [(place, _)]) = (documents.as_mut_slice(), pdfs.as_slice()) {
        document.copy = Some(*place);
        return;
    }
    // The very name; with a dossier number behind it; the same with another date: some write the document's, not the act's.
    let likenesses: [fn(&str, &str) -> bool; 4] = [
        |name, wanted| name == wanted,
        |name, wanted| name.starts_with(wanted),
        |name, wanted| undated(name) == undated(wanted),
        |name, wanted| undated(name).starts_with(undated(wanted)),
    ];
    for alike in likenesses {
        for (document, wanted) in
            documents.iter_mut().filter(|(document, wanted)| document.copy.is_none() && !wanted.is_empty())
        {
            if let Some(at) = pdfs.iter().position(|(_, name)| alike(name, wanted)) {
                // In order: documents of one type and one patient got their copies in the order of the archive.
                document.copy = Some(pdfs.remove(at).0);
            }
        }
    }
}

/// A name without the eight digits of its date.
fn undated(name: &str) -> &str {
    let dated = name.len() > 8 && name.as_bytes()[..8].iter().all(u8::is_ascii_digit);
    if dated { &name[8..] } else { name }
}

/// What of a file name is compared: letters and digits, without accents, case or extension. Names are rewritten on their way.
fn key(name: &str) -> String {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(".pdf").unwrap_or(&name);
    text::strip_accents(stem).chars().filter(|c| c.is_alphanumeric()).collect()
}
