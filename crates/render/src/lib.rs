//! Health documents for people: CDA R2 shown as HTML, as text and as PDF/A. ECO.2.1.5, ECO-DOC; `client.md` §2.4.
//!
//! A level 1 document wraps a file: its PDF comes out octet for octet. A level 3 document has a narrative in each section: the
//! header's facts and the narrative are shown, never the coded entries, which the narrative must already tell (CDA R2 §4.3.5).
//!
//! Invariants:
//! * nothing of a document reaches the reader's machine but letters, rules and images that were decoded here: no script, no style, no
//!   reference to elsewhere, no link that leaves the document;
//! * every cost is bounded and linear in the document's size;
//! * no network, no file, no clock: the same document always gives the same octets.

#![deny(missing_docs)]

mod embedded;
mod error;

pub use error::RenderError;
/// The name of the PDF copy: `<date>_<type>_<NOM>_<prénom>[_<dossier>].pdf`. ECO.2.1.6
pub use mssante::pdf_name::of as file_name;

use mssante::xml;

/// The PDF copy of a CDA document (ECO.2.1.5).
///
/// # Errors
/// [`RenderError`].
pub fn pdf(document: &[u8]) -> Result<Vec<u8>, RenderError> {
    let tree = xml::parse(xml::text_of(document)?)?;
    let root = tree.root_element();
    let text = xml::path(root, &["component", "nonXMLBody", "text"]).ok_or(RenderError::Empty)?;
    match embedded::file(text)? {
        (embedded::Media::Pdf, bytes) => Ok(bytes),
        _ => Err(RenderError::MediaType),
    }
}
