//! A message as it is searched.

use std::ops::Range;

use mail::header::{Address, Fields, decode_words};
use mail::mime::{Envelope, Structure};

use crate::extract::{Extractor, Sink};
use crate::fold::{BOUNDARY, fold};

/// Octets of folded text that a document holds: a novel. Of a message that has more, the document is not whole: what is not in it
/// is not known, and a [`Scan`](crate::Scan) tells.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// The fields that ENVELOPE has, searched in its reading of them: the first Subject, addresses as `Name <local@domain>`.
pub(crate) const ENVELOPE: [&str; 7] = ["subject", "from", "to", "cc", "bcc", "message-id", "in-reply-to"];

/// The texts of [`ENVELOPE`], folded, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addressing(pub(crate) [String; ENVELOPE.len()]);

impl Addressing {
    pub(crate) fn of(envelope: &Envelope) -> Self {
        let text = |value: &Option<String>| value.as_deref().map(|v| fold(&decode_words(v))).unwrap_or_default();
        Addressing([
            text(&envelope.subject),
            addresses(&envelope.from),
            addresses(&envelope.to),
            addresses(&envelope.cc),
            addresses(&envelope.bcc),
            text(&envelope.message_id),
            text(&envelope.in_reply_to),
        ])
    }
}

/// Addresses as one text to search.
fn addresses(list: &[Address]) -> String {
    let mut text = String::new();
    for address in list {
        let separator = if text.is_empty() { "" } else { ", " };
        match address {
            Address::Mailbox { name: Some(name), local, domain, .. } => {
                text.push_str(&format!("{separator}{} <{local}@{domain}>", decode_words(name)));
            }
            Address::Mailbox { name: None, local, domain, .. } => {
                text.push_str(&format!("{separator}{local}@{domain}"));
            }
            Address::GroupStart(name) => text.push_str(&format!("{separator}{}:", decode_words(name))),
            Address::GroupEnd => text.push(';'),
        }
    }
    fold(&text)
}

/// The header of a message as it is searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub(crate) addressing: Addressing,
    /// Every field as `name: value`, folded, each after a [`BOUNDARY`] and one at the end.
    pub(crate) lines: String,
}

impl Head {
    pub(crate) fn new(block: &[u8], addressing: Addressing) -> Self {
        let mut lines = String::with_capacity(block.len() + 1);
        lines.push(BOUNDARY);
        for field in Fields::new(block) {
            lines.push_str(&field.name.to_ascii_lowercase());
            lines.push_str(": ");
            // Folded alone, so that the value begins where the name and its colon end.
            lines.push_str(fold(&decode_words(&field.value())).trim_start_matches(' '));
            lines.push(BOUNDARY);
        }
        Head { addressing, lines }
    }

    /// The header of a message, from its block and its structure: for those who have it at hand.
    pub fn of(block: &[u8], structure: &Structure) -> Self {
        Head::new(block, Addressing::of(&structure.envelope))
    }

    /// The names and values of the fields.
    pub(crate) fn fields(lines: &str) -> impl Iterator<Item = (&str, &str)> {
        lines.split(BOUNDARY).filter_map(|line| line.split_once(": "))
    }
}

/// A message as it is searched: its header and the text of its parts, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub(crate) head: Head,
    /// The texts, each ended by a [`BOUNDARY`].
    pub(crate) body: String,
    /// The message has no more text than this.
    pub(crate) whole: bool,
}

impl Document {
    /// Octets of text in it.
    pub fn size(&self) -> usize {
        self.head.lines.len() + self.head.addressing.0.iter().map(String::len).sum::<usize>() + self.body.len()
    }

    /// The document of a message in memory.
    pub fn of(message: &[u8]) -> Document {
        let mut reading = Reading::new(&Structure::of(message));
        while let Some(wanted) = reading.wanted() {
            reading.push(slice(message, wanted));
        }
        reading.finish()
    }
}

/// The octets wanted of a message in memory.
pub(crate) fn slice(message: &[u8], wanted: Range<u64>) -> &[u8] {
    let at = |n: u64| usize::try_from(n).map_or(message.len(), |n| n.min(message.len()));
    &message[at(wanted.start)..at(wanted.end)]
}

/// Makes a [`Document`] of octets that the caller reads.
#[derive(Debug)]
pub struct Reading {
    extractor: Extractor,
    into: Builder,
}

#[derive(Debug)]
struct Builder {
    document: Document,
}

impl Reading {
    /// Begins.
    pub fn new(structure: &Structure) -> Self {
        let mut into = Builder { document: Document { whole: true, ..Document::default() } };
        let extractor = Extractor::new(structure, &mut into);
        Reading { extractor, into }
    }

    /// The octets of the message to be given next, at most [`PIECE`](crate::PIECE); `None` at the end.
    pub fn wanted(&self) -> Option<Range<u64>> {
        self.extractor.wanted()
    }

    /// Takes the octets asked for; fewer when the message ends there.
    pub fn push(&mut self, octets: &[u8]) {
        self.extractor.push(octets, &mut self.into);
    }

    /// What was read.
    pub fn finish(self) -> Document {
        self.into.document
    }
}

impl Sink for Builder {
    fn head(&mut self, head: Head) {
        self.document.head = head;
    }

    fn text(&mut self, folded: &str) {
        let body = &mut self.document.body;
        let mut cut = folded.len().min(MAX_TEXT.saturating_sub(body.len()));
        if cut < folded.len() {
            self.document.whole = false;
            while !folded.is_char_boundary(cut) {
                cut -= 1;
            }
        }
        body.push_str(&folded[..cut]);
    }

    fn satisfied(&self) -> bool {
        !self.document.whole
    }
}
