//! The XML document, opened with its limits. Shared by the reading of the list and of its signature.

use roxmltree::{Document, ParsingOptions};

use super::ListError;

/// The list's namespace.
pub(super) const NAMESPACE: &str = "https://listeblanche.mssante.fr/schema";

/// Namespace of XML signatures.
pub(super) const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Most nodes: twenty per entry of the largest list accepted.
const MAX_NODES: u32 = 2_000_000;

/// Parses without DTD (so without entity expansion) and with a bounded number of nodes.
pub(super) fn open(text: &str) -> Result<Document<'_>, ListError> {
    if text.len() > super::MAX_DOCUMENT {
        return Err(ListError::TooLarge);
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Ok(Document::parse_with_options(text, options)?)
}
