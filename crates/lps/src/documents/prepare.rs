//! Checking documents and making of them what the mail carries.

use std::fs::File;
use std::io::{Cursor, Read};

use mssante::cda::{CdaHeader, Patient};
use mssante::headers::DocumentFacts;
use mssante::xdm::{self, Package};
use mssante::{Ins, InsAuthority, pdf_name, subject};

use super::{Audience, DocumentError, DocumentSet, Given, MAX_DOCUMENT, MAX_SET, Preparation, Source, Version};
use crate::content::{Content, MEMORY};

impl DocumentSet {
    /// Checks the documents and makes the archive, the copies and what the mail says of them. Blocks: reads files and renders;
    /// from asynchronous code, see [`prepare_async`](Self::prepare_async).
    ///
    /// # Errors
    /// [`DocumentError`]; nothing is left behind.
    pub fn prepare(documents: &[Given], how: &Preparation) -> Result<Self, DocumentError> {
        if documents.is_empty() {
            return Err(DocumentError::None);
        }
        let octets = read_all(documents)?;
        let mut headers: Vec<CdaHeader> = Vec::with_capacity(octets.len());
        for (index, bytes) in octets.iter().enumerate() {
            let rank = index + 1;
            let header = CdaHeader::read(bytes).map_err(|error| DocumentError::Cda(rank, error))?;
            check_identity(rank, &header.patient, how)?;
            if headers.iter().any(|other| !other.patient.is_same_as(&header.patient)) {
                return Err(DocumentError::SeveralPatients(rank));
            }
            if headers.iter().any(|other| other.id == header.id) {
                return Err(DocumentError::SameDocument(rank));
            }
            headers.push(header);
        }
        let versions = documents.iter().zip(&headers).enumerate();
        let versions = versions.map(|(index, (given, header))| version(index + 1, &given.version, header));
        let versions = versions.collect::<Result<Vec<_>, _>>()?;
        let facts = DocumentFacts::of(&headers)?.ok_or(DocumentError::None)?;
        let subject = subject::for_documents(&headers)?;

        let mut pdfs: Vec<(String, Content)> = Vec::with_capacity(octets.len());
        for (index, bytes) in octets.iter().enumerate() {
            let rank = index + 1;
            let name = pdf_name::of(&headers[index], documents[index].record.as_deref())
                .map_err(|error| DocumentError::PdfName(rank, error))?;
            let copy = render::pdf(bytes).map_err(|error| DocumentError::Pdf(rank, error))?;
            pdfs.push((unused(name, &pdfs), Content::of(&copy)?));
        }
        let borrowed: Vec<&[u8]> = octets.iter().map(Vec::as_slice).collect();
        let package = Package {
            documents: &borrowed,
            sender: how.sender.clone(),
            software: how.software.clone(),
            source_id: &how.source_id,
            content_type: how.content_type.clone(),
            created: how.created,
        };
        Ok(Self { xdm: archive(&package, &versions)?, pdfs, headers, facts, subject })
    }

    /// [`prepare`](Self::prepare) on a thread of its own.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub async fn prepare_async(documents: Vec<Given>, how: Preparation) -> Result<Self, DocumentError> {
        match tokio::task::spawn_blocking(move || Self::prepare(&documents, &how)).await {
            Ok(result) => result,
            Err(error) => Err(DocumentError::Io(std::io::Error::other(error))),
        }
    }
}

/// All documents in memory. What is too large is told by its size, before it is read.
fn read_all(documents: &[Given]) -> Result<Vec<Vec<u8>>, DocumentError> {
    let mut total = 0u64;
    let mut all = Vec::with_capacity(documents.len());
    for (index, given) in documents.iter().enumerate() {
        let rank = index + 1;
        let unreadable = |error| DocumentError::Unreadable(rank, error);
        let too_large = |size: u64| size > MAX_DOCUMENT;
        let bytes = match &given.source {
            Source::Bytes(bytes) if too_large(bytes.len() as u64) => {
                return Err(DocumentError::TooLarge(rank, bytes.len() as u64));
            }
            Source::Bytes(bytes) => bytes.clone(),
            Source::File(path) => {
                let file = File::open(path).map_err(unreadable)?;
                let about = file.metadata().map_err(unreadable)?;
                if !about.is_file() {
                    return Err(DocumentError::NotAFile(rank));
                }
                if too_large(about.len()) {
                    return Err(DocumentError::TooLarge(rank, about.len()));
                }
                // It may grow while it is read.
                let mut bytes = Vec::new();
                file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
                if too_large(bytes.len() as u64) {
                    return Err(DocumentError::TooLarge(rank, bytes.len() as u64));
                }
                bytes
            }
        };
        total += bytes.len() as u64;
        if total > MAX_SET {
            return Err(DocumentError::SetTooLarge);
        }
        all.push(bytes);
    }
    Ok(all)
}

/// INS/va1.53, ECO.2.2.6, ECO.2.4.2.
fn check_identity(rank: usize, patient: &Patient, how: &Preparation) -> Result<(), DocumentError> {
    if patient.qualified_ins().is_some() {
        return Ok(());
    }
    let mut matricules = patient.ids.iter().filter(|id| InsAuthority::from_oid(&id.root).is_some()).peekable();
    if matricules.peek().is_none() {
        return if how.allow_unqualified && how.audience == Audience::Professionals {
            Ok(())
        } else {
            Err(DocumentError::NoIns(rank))
        };
    }
    let key_is_right = |text: &Option<String>| text.as_deref().is_some_and(|text| text.parse::<Ins>().is_ok());
    if matricules.any(|id| key_is_right(&id.extension)) {
        Err(DocumentError::NotQualified(rank))
    } else {
        Err(DocumentError::InsKey(rank))
    }
}

fn version(rank: usize, asked: &Version, header: &CdaHeader) -> Result<xdm::Version, DocumentError> {
    let replaced = match (asked, &header.replaces) {
        (Version::Delete, _) => return Ok(xdm::Version::Delete),
        (Version::New, _) | (Version::AsWritten, None) => return Ok(xdm::Version::New),
        (Version::AsWritten, Some(written)) => written,
        (Version::Replace(asked), Some(written)) if asked != written => {
            return Err(DocumentError::ReplacesAnother(rank));
        }
        (Version::Replace(asked), _) => asked,
    };
    if *replaced == header.id {
        return Err(DocumentError::ReplacesItself(rank));
    }
    Ok(xdm::Version::Replace(replaced.clone()))
}

/// The name, numbered when another copy has it: two examinations of one day have one type and one date.
fn unused(name: String, taken: &[(String, Content)]) -> String {
    let is_taken = |name: &str| taken.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if !is_taken(&name) {
        return name;
    }
    let stem = name.strip_suffix(".pdf").unwrap_or(&name);
    // One more number than there are names: one is free.
    (2..=taken.len() + 2).map(|n| format!("{stem} ({n}).pdf")).find(|other| !is_taken(other)).unwrap_or(name)
}

fn archive(package: &Package<'_>, versions: &[xdm::Version]) -> Result<Content, DocumentError> {
    let size: usize = package.documents.iter().map(|document| document.len()).sum();
    if size <= MEMORY {
        let mut zip = Cursor::new(Vec::new());
        xdm::write_to(package, versions, &mut zip)?;
        Ok(Content::of(&zip.into_inner())?)
    } else {
        let mut file = tempfile::tempfile()?;
        xdm::write_to(package, versions, std::io::BufWriter::new(&mut file))?;
        Ok(Content::of_file(file)?)
    }
}
