//! From XML to [`WhiteList`] (operator.md §2.4).
//!
//! Strict on the document (root, namespace, date, one list), lenient on the entries: what is unknown is passed over, what is
//! malformed is reported and gives no right. No DTD, hence no entity but the five of XML; size, nodes and entries bounded.

use std::time::SystemTime;

use roxmltree::Node;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::{self, NAMESPACE};
use super::{SignatureError, WhiteList, domain};
use crate::dn::{Dn, DnError};

/// Largest document, in octets: nearly ten times the real one (3.7 MB in 2025).
pub const MAX_DOCUMENT: usize = 32 * 1024 * 1024;

/// Most entries read: more than ten times the real list (8 655 in 2026).
pub const MAX_ENTRIES: usize = 100_000;

/// Most left-out entries that are kept for reporting.
const MAX_REPORTED: usize = 100;

/// Why a document is not accepted as a white list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Longer than [`MAX_DOCUMENT`].
    #[error("the white list is longer than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("the white list is not UTF-8")]
    NotUtf8,
    /// Not well-formed, with a DTD, or with too many nodes.
    #[error("the white list is not well-formed XML: {0}")]
    NotXml(#[from] roxmltree::Error),
    /// Another document element than `ListeBlancheMSSante` of the namespace.
    #[error("the document is not a ListeBlancheMSSante")]
    WrongRoot,
    /// No `DateDeGeneration`, several, or not a date.
    #[error("DateDeGeneration is missing or is not a date")]
    BadDate,
    /// Not exactly one `ListeDomaines`.
    #[error("ListeDomaines must stand exactly once")]
    NoList,
    /// More than [`MAX_ENTRIES`].
    #[error("the white list has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// The signature is not acceptable.
    #[error("signature of the white list: {0}")]
    Signature(#[from] SignatureError),
}

/// Why an entry was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// `Nom` is missing, repeated or not a domain name.
    #[error("missing or malformed Nom")]
    Name,
    /// `DNCertificatOperateur` is missing or repeated.
    #[error("missing DNCertificatOperateur")]
    NoDn,
    /// `DNCertificatOperateur` cannot be read.
    #[error("malformed DNCertificatOperateur: {0}")]
    Dn(#[from] DnError),
}

/// One entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedEntry {
    /// Its rank in the document, from 1.
    pub rank: usize,
    /// The reason.
    pub reason: Skipped,
}

/// Reads a list from text whose signature, if any is required, has been checked.
pub(super) fn parse(text: &str) -> Result<WhiteList, ListError> {
    let document = document::open(text)?;
    let root = document.root_element();
    if !root.has_tag_name((NAMESPACE, "ListeBlancheMSSante")) {
        return Err(ListError::WrongRoot);
    }
    let date = only_child(root, "DateDeGeneration").and_then(text_of).map(str::trim).ok_or(ListError::BadDate)?;
    let mut list = WhiteList::empty(read_date(date).ok_or(ListError::BadDate)?);
    let entries = only_child(root, "ListeDomaines").ok_or(ListError::NoList)?;
    let entries = entries.children().filter(|node| node.has_tag_name((NAMESPACE, "Domaine")));
    for (index, entry) in entries.enumerate() {
        if index == MAX_ENTRIES {
            return Err(ListError::TooManyEntries);
        }
        match read_entry(entry) {
            Ok((domain, name)) => list.insert(domain, name),
            Err(reason) => {
                list.skipped_total += 1;
                if list.skipped.len() < MAX_REPORTED {
                    list.skipped.push(SkippedEntry { rank: index + 1, reason });
                }
            }
        }
    }
    Ok(list)
}

fn read_entry(entry: Node<'_, '_>) -> Result<(String, Dn), Skipped> {
    let name =
        only_child(entry, "Nom").and_then(text_of).map(str::trim).and_then(domain::normalise).ok_or(Skipped::Name)?;
    let dn = only_child(entry, "DNCertificatOperateur").and_then(text_of).ok_or(Skipped::NoDn)?;
    Ok((name, dn.parse()?))
}

/// The child of this name in the list's namespace, when there is exactly one.
fn only_child<'a, 'i>(parent: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    let mut found = parent.children().filter(|node| node.has_tag_name((NAMESPACE, name)));
    let child = found.next()?;
    found.next().is_none().then_some(child)
}

/// The text of an element that holds nothing but text; `None` when there is only white space.
///
/// White space around it is the caller's affair: at the end of a name, it may be escaped.
///
/// Mixed content is refused: `a<!-- -->b` would be `a` to one reader and `ab` to another.
fn text_of<'a>(element: Node<'a, '_>) -> Option<&'a str> {
    let mut children = element.children();
    let text = children.next()?;
    if !text.is_text() || children.next().is_some() {
        return None;
    }
    text.text().filter(|text| !text.trim().is_empty())
}

fn read_date(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}
