//! Health documents for people: CDA R2 shown as HTML, as text and as PDF/A. ECO.2.1.5, ECO-DOC; `client.md` §2.4. And [`sheet`]: what a
//! program has to say, on the same paper.
//!
//! A level 1 document wraps a file: its PDF comes out octet for octet. A level 3 document has a narrative in each section: the
//! header's facts and the narrative are shown, never the coded entries, which the narrative must already tell (CDA R2 §4.3.5).
//!
//! Invariants:
//! * nothing of a document reaches the reader's machine but letters, rules and images that were recognised here: no script, no style,
//!   no reference to elsewhere, no link that leaves the document;
//! * every cost is bounded and linear in the document's size;
//! * no network, no file, no clock: the same document always gives the same octets.

#![deny(missing_docs)]

mod embedded;
mod error;
mod facts;
mod html;
mod line;
mod model;
mod pdf;
mod picture;
mod read;
pub mod sheet;
mod text;

pub use error::RenderError;
/// The name of the PDF copy: `<date>_<type>_<NOM>_<prénom>[_<dossier>].pdf`. ECO.2.1.6
pub use mssante::pdf_name::of as file_name;

use mssante::xml;

use read::Content;

/// Width of a terminal where nothing is known of it, in columns.
pub const USUAL_WIDTH: usize = 80;

/// The document as one HTML page: it needs and reaches nothing else, and its own policy forbids any script. A level 1 document shows its
/// header and says that its content is a PDF (see [`pdf`]).
///
/// # Errors
/// [`RenderError`].
pub fn html(document: &[u8]) -> Result<String, RenderError> {
    let tree = xml::parse(xml::text_of(document)?)?;
    Ok(html::page(&read::document(tree.root_element())?))
}

/// The document as plain text for a terminal of [`USUAL_WIDTH`] columns: no control character but line ends.
///
/// # Errors
/// [`RenderError`].
pub fn text(document: &[u8]) -> Result<String, RenderError> {
    text_in(document, USUAL_WIDTH)
}

/// [`text`] for a terminal of another width; words longer than it stay whole.
///
/// # Errors
/// [`RenderError`].
pub fn text_in(document: &[u8], width: usize) -> Result<String, RenderError> {
    let tree = xml::parse(xml::text_of(document)?)?;
    Ok(text::page(&read::document(tree.root_element())?, width))
}

/// The PDF copy of a document (ECO.2.1.5): the embedded PDF of a level 1 exactly as it is, anything else drawn as PDF/A-1.
///
/// # Errors
/// [`RenderError`].
pub fn pdf(document: &[u8]) -> Result<Vec<u8>, RenderError> {
    let tree = xml::parse(xml::text_of(document)?)?;
    let shown = read::document(tree.root_element())?;
    match shown.content {
        Content::Pdf(bytes) => Ok(bytes),
        Content::Body(body) => pdf::document(&shown.header, &body),
    }
}
