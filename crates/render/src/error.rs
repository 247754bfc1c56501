//! Why a document cannot be shown.

use mssante::XmlError;
use mssante::cda::CdaError;

/// Why a document cannot be shown. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Not a CDA, or one without what makes one.
    #[error(transparent)]
    Cda(#[from] CdaError),
    /// It has a header and nothing else.
    #[error("the document has no content (neither nonXMLBody nor structuredBody)")]
    Empty,
    /// The embedded file is of a kind that is not shown.
    #[error("the embedded file is neither a PDF, a text nor a PNG or JPEG image")]
    MediaType,
    /// The embedded file cannot be taken out: broken base64, unknown compression, an address in place of the file.
    #[error("the embedded file cannot be taken out of the document")]
    Embedded,
    /// The embedded file is not of the kind that the document says.
    #[error("the embedded file is not of the announced type")]
    NotAnnounced,
    /// More text, cells or pages than any honest document.
    #[error("the document exceeds a limit of what is shown (text, table cells, pages)")]
    Limit,
    /// The PDF writer refused. Holds the number of rules broken, all of which are errors of this crate.
    #[error("the PDF copy cannot be made archivable ({0} rules of PDF/A broken)")]
    PdfA(usize),
}

impl From<XmlError> for RenderError {
    fn from(error: XmlError) -> Self {
        Self::Cda(error.into())
    }
}
