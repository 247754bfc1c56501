//! Reading XML that comes from strangers: limits checked before any tree is built. For the crates that read more of
//! a CDA than its header; the tree is `roxmltree`'s.
//!
//! `roxmltree` never follows an external entity and refuses DTDs here. Two of its costs are not linear
//! in the size of the text: duplicate attributes are searched for one by one, and every element that
//! declares a namespace copies those of its parents. A scan of the text therefore bounds attributes per
//! element, namespace declarations and depth first.

use roxmltree::{Document, Node, ParsingOptions};

/// Largest XML text read, in bytes. A document with an embedded PDF must pass; mails of the trust space
/// rarely exceed 25 MB in all.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most nodes: a long structured report has some tens of thousands.
const MAX_NODES: u32 = 400_000;
/// Deepest nesting: structured CDA stays under 60.
const MAX_DEPTH: usize = 200;
/// Most `=` signs outside quotes in one tag, that is most attributes.
const MAX_ATTRIBUTES: usize = 128;
/// Most namespace declarations in a text: one root's worth, repeated on some hundred elements.
const MAX_NAMESPACES: usize = 2_000;

/// Why a text is not taken as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Larger, deeper or wider than any honest document.
    #[error("the XML text exceeds a limit (size, nodes, depth, attributes or namespaces)")]
    Limit,
    /// A document type declaration: never in CDA or XDS, and the door of entity attacks.
    #[error("the XML text has a DOCTYPE, which is refused")]
    Doctype,
    /// Not UTF-8, or declared to be something else.
    #[error("the XML text is not UTF-8")]
    Encoding,
    /// It ends before it is over.
    #[error("the XML text is cut short")]
    Truncated,
    /// Not well-formed.
    #[error("the XML text is not well-formed")]
    Malformed,
}

/// The text of an XML file: UTF-8 with or without a byte order mark, and not declared to be anything else (a declaration
/// that contradicts the octets would have another reader see other letters).
///
/// # Errors
/// [`XmlError::Limit`] or [`XmlError::Encoding`].
pub fn text_of(bytes: &[u8]) -> Result<&str, XmlError> {
    if bytes.len() > MAX_BYTES {
        return Err(XmlError::Limit);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| match error.error_len() {
        // A text cut in the middle of a letter is cut short, not in another encoding.
        None => XmlError::Truncated,
        Some(_) => XmlError::Encoding,
    })?;
    match declared_encoding(text) {
        Some(name) if !["utf-8", "utf8", "us-ascii"].iter().any(|fine| name.eq_ignore_ascii_case(fine)) => {
            Err(XmlError::Encoding)
        }
        _ => Ok(text),
    }
}

/// The encoding that the XML declaration names.
fn declared_encoding(text: &str) -> Option<&str> {
    let declaration = text.strip_prefix("<?xml")?;
    let declaration = &declaration[..declaration.find("?>")?];
    let value = declaration[declaration.find("encoding")? + "encoding".len()..].trim_start().strip_prefix('=')?;
    let value = value.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next()
}

/// Parses a text within the limits.
///
/// # Errors
/// [`XmlError`].
pub fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    scan(text)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => XmlError::Doctype,
        roxmltree::Error::NodesLimitReached
        | roxmltree::Error::AttributesLimitReached
        | roxmltree::Error::NamespacesLimitReached => XmlError::Limit,
        _ => XmlError::Malformed,
    })
}

/// Walks over the mark-up once, without building anything.
fn scan(text: &str) -> Result<(), XmlError> {
    if text.len() > MAX_BYTES {
        return Err(XmlError::Limit);
    }
    let mut rest = text;
    let (mut depth, mut namespaces) = (0usize, 0usize);
    while let Some(open) = rest.find('<') {
        rest = &rest[open..];
        let skip = |end: &str| rest.find(end).map(|at| at + end.len()).ok_or(XmlError::Truncated);
        let after = if rest.starts_with("<!--") {
            skip("-->")?
        } else if rest.starts_with("<![CDATA[") {
            skip("]]>")?
        } else if rest.starts_with("<?") {
            skip("?>")?
        } else if rest.starts_with("<!") {
            return Err(XmlError::Doctype);
        } else {
            let (length, attributes) = tag(rest).ok_or(XmlError::Truncated)?;
            let tag = &rest[..length];
            if tag.starts_with("</") {
                depth = depth.saturating_sub(1);
            } else if !tag.ends_with("/>") {
                depth += 1;
            }
            if attributes > 0 {
                namespaces += tag.matches("xmlns").count();
            }
            if depth > MAX_DEPTH || attributes > MAX_ATTRIBUTES || namespaces > MAX_NAMESPACES {
                return Err(XmlError::Limit);
            }
            length
        };
        rest = &rest[after..];
    }
    if depth > 0 { Err(XmlError::Truncated) } else { Ok(()) }
}

/// Length of the tag that `text` begins with, and its number of `=` outside quotes.
fn tag(text: &str) -> Option<(usize, usize)> {
    let (mut quote, mut attributes) = (None, 0);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(q), b) if q == b => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => attributes += 1,
            (None, b'>') => return Some((at + 1, attributes)),
            (None, _) => {}
        }
    }
    None
}

/// The first child element of that local name in the same namespace.
pub fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// The child elements of that local name in the same namespace.
pub fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    let namespace = node.tag_name().namespace();
    node.children()
        .filter(move |c| c.is_element() && c.tag_name().name() == name && c.tag_name().namespace() == namespace)
}

/// Follows a path of first children.
pub fn path<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Option<Node<'a, 'i>> {
    names.iter().try_fold(node, |at, name| child(at, name))
}

/// The text directly inside an element on one line, cut at `max` characters; `None` when blank.
pub fn line(node: Node<'_, '_>, max: usize) -> Option<String> {
    let text: String = node.children().filter(Node::is_text).filter_map(|c| c.text()).collect();
    Some(crate::text::cut(&crate::text::one_line(&text), max)).filter(|t| !t.is_empty())
}

/// An attribute on one line, cut at `max` characters; `None` when blank or absent.
pub fn attribute(node: Node<'_, '_>, name: &str, max: usize) -> Option<String> {
    let value = node.attribute(name)?;
    Some(crate::text::cut(&crate::text::one_line(value), max)).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_texts_are_refused_quickly() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        let wide = format!("<a {}/>", (0..=MAX_ATTRIBUTES).map(|i| format!("a{i}='' ")).collect::<String>());
        let spaces = format!("<a>{}</a>", "<b xmlns='u'/>".repeat(MAX_NAMESPACES + 1));
        let big = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize));
        for hostile in [&deep, &wide, &spaces, &big] {
            assert_eq!(parse(hostile).err(), Some(XmlError::Limit));
        }
        for doctype in ["<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "<!DOCTYPE a><a/>"] {
            assert_eq!(parse(doctype).err(), Some(XmlError::Doctype));
        }
        for broken in ["", "<a>&x;</a>", "<a></b>", "</a>", "<a/><b/>"] {
            assert_eq!(parse(broken).err(), Some(XmlError::Malformed), "{broken}");
        }
        for cut in ["<a>", "<a", "<!-- ", "<a b='", "<a><b></b>", "<a>t</a", "<a><![CDATA[x"] {
            assert_eq!(parse(cut).err(), Some(XmlError::Truncated), "{cut}");
        }
        assert_eq!(text_of(&[0xff, 0xfe]).err(), Some(XmlError::Encoding));
        assert_eq!(text_of("<a>é".as_bytes().split_last().expect("text").1).err(), Some(XmlError::Truncated));
        assert_eq!(text_of(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>").err(), Some(XmlError::Encoding));
        assert!(text_of(b"<?xml version='1.0' encoding = \"utf-8\"?><a/>").is_ok());
        assert!(parse("<?xml version='1.0'?><!-- = = > --><a b='>=='><![CDATA[<x]]></a>").is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[<>/!?a= '\"\\[\\]&;-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
