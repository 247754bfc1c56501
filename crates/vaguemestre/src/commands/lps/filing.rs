//! Documents of a message in a folder: what `open` does once and `intake` for each message. Every file for its owner alone, under the name
//! of the convention (ECO.2.1.6), nothing overwritten, nothing outside the folder.

use std::path::{Path, PathBuf};

use lps::documents::{Folder, SaveError};
use lps::read::{Message, ReceivedDocument};
use mssante::pdf_name;

/// What was written of a message.
#[derive(Debug, Default)]
pub struct Filed {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Titles of documents that are not what their metadata announce: not written.
    pub unsound: Vec<String>,
}

/// Writes the documents, each with its PDF copy, and with `attachments` the other files too.
pub fn file(message: &Message, folder: &Path, attachments: bool) -> Result<Filed, SaveError> {
    let folder = Folder::open(folder)?;
    let mut filed = Filed::default();
    for document in message.documents() {
        let own = document.document.path.rsplit('/').next().unwrap_or("document.xml");
        if !document.document.integrity.is_sound() {
            filed.unsound.push(document.title().unwrap_or(own).to_owned());
            continue;
        }
        let pdf = document.header.as_ref().and_then(|header| pdf_name::of(header, None).ok());
        let name = match &pdf {
            Some(pdf) => format!("{}.xml", pdf.strip_suffix(".pdf").unwrap_or(pdf)),
            None => own.to_owned(),
        };
        filed.files.push(folder.put(&name, document.octets())?);
        if let Some(copy) = copy(document, message) {
            filed.files.push(folder.put(pdf.as_deref().unwrap_or("document.pdf"), &copy)?);
        }
    }
    let copies: Vec<usize> = message.documents().filter_map(|document| document.copy).collect();
    if attachments {
        for (_, other) in message.attachments.iter().enumerate().filter(|(place, _)| !copies.contains(place)) {
            filed.files.push(folder.put(&other.name, &message.content(other))?);
        }
    }
    Ok(filed)
}

/// The PDF of a document: made from the document itself, which the copy beside it may not be; that one when none can be made.
fn copy(document: &ReceivedDocument, message: &Message) -> Option<Vec<u8>> {
    render::pdf(document.octets()).ok().or_else(|| Some(message.content(message.attachments.get(document.copy?)?)))
}
