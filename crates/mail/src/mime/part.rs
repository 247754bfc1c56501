//! The tree of parts.

use std::ops::Range;

use super::{Envelope, Limits, Param, Scanner, params};
use crate::date::Moment;

/// A message and all that IMAP asks about it, without its bytes. Texts are kept, or borrowed from the encoded form
/// ([`Structure::borrow`]): an answer to FETCH is then written without copying each first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure<S = String> {
    /// The fields of ENVELOPE.
    pub envelope: Envelope<S>,
    /// The `Date:` field, when it can be read (SENTBEFORE and the like).
    pub sent: Option<Moment>,
    /// The message itself as a part: its header is the message's header.
    pub root: Part<S>,
}

/// One part of a message, or the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<S = String> {
    /// Where the header lies in the raw message, with its closing empty line.
    pub header: Range<u64>,
    /// Where the body lies in the raw message; starts where the header ends.
    pub body: Range<u64>,
    /// Line ends (LF) in the body.
    pub lines: u64,
    /// The type, in lower case, e.g. `text`.
    pub media_type: S,
    /// The subtype, in lower case, e.g. `plain`.
    pub subtype: S,
    /// The parameters of the type, continuations joined (RFC 2231 §8).
    pub params: Vec<Param<S>>,
    /// `Content-ID`.
    pub id: Option<S>,
    /// `Content-Description`.
    pub description: Option<S>,
    /// `Content-Transfer-Encoding`, in lower case; `7bit` when absent.
    pub encoding: S,
    /// `Content-MD5`.
    pub md5: Option<S>,
    /// `Content-Disposition`.
    pub disposition: Option<Disposition<S>>,
    /// `Content-Language`.
    pub languages: Vec<S>,
    /// `Content-Location`.
    pub location: Option<S>,
    /// What is inside.
    pub content: Content<S>,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<S = String> {
    /// Nothing that IMAP numbers.
    Leaf,
    /// The parts of a `multipart`: at least one.
    Multipart(Vec<Part<S>>),
    /// The message of a `message/rfc822` part; its offsets are those of the whole message too.
    Message(Box<Structure<S>>),
}

/// `Content-Disposition` (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition<S = String> {
    /// `attachment`, `inline`…, in lower case.
    pub kind: S,
    /// Its parameters, continuations joined.
    pub params: Vec<Param<S>>,
}

impl Structure {
    /// The structure of a message held in memory, with the default limits.
    pub fn of(message: &[u8]) -> Structure {
        let mut scanner = Scanner::new(Limits::default());
        scanner.push(message);
        scanner.finish()
    }
}

impl<S> Structure<S> {
    /// Size of the message in octets.
    pub fn size(&self) -> u64 {
        self.root.body.end - self.root.header.start
    }
}

impl Part {
    /// A leaf of that type with nothing else known, at these places.
    pub(super) fn leaf(header: Range<u64>, body: Range<u64>, media_type: &str, subtype: &str) -> Part {
        Part {
            header,
            body,
            lines: 0,
            media_type: media_type.to_owned(),
            subtype: subtype.to_owned(),
            params: Vec::new(),
            id: None,
            description: None,
            encoding: "7bit".to_owned(),
            md5: None,
            disposition: None,
            languages: Vec::new(),
            location: None,
            content: Content::Leaf,
        }
    }

    /// A parameter of the type, decoded (RFC 2231, RFC 2047): for use, not for BODYSTRUCTURE.
    pub fn param(&self, name: &str) -> Option<String> {
        params::decoded(&self.params, name)
    }

    /// The name of the file: of the disposition, else `name` of the type; decoded. Not a safe path.
    pub fn filename(&self) -> Option<String> {
        self.disposition.as_ref().and_then(|d| params::decoded(&d.params, "filename")).or_else(|| self.param("name"))
    }
}

impl<S: AsRef<str>> Part<S> {
    /// Size of the body in octets, as it is transferred.
    pub fn size(&self) -> u64 {
        self.body.end - self.body.start
    }

    /// Whether the type is `media_type/subtype` (given in lower case).
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type.as_ref() == media_type && self.subtype.as_ref() == subtype
    }

    /// Whether the type is `text/…`.
    pub fn is_text(&self) -> bool {
        self.media_type.as_ref() == "text"
    }

    /// The parts inside, when this is a `multipart`.
    pub fn children(&self) -> &[Part<S>] {
        match &self.content {
            Content::Multipart(parts) => parts,
            Content::Leaf | Content::Message(_) => &[],
        }
    }
}
