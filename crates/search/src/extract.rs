//! What of a message is searched, read piece by piece without any I/O of its own.
//!
//! The header; then in the order of the message the headers of its parts and of messages inside, and the text of every part that
//! people or programs read as text: `text/…` (HTML made text), reports (`message/delivery-status`…), XML, and the CDA documents
//! of an `IHE_XDM.zip`. Everything is folded; between parts and between fields stands [`BOUNDARY`].
//!
//! Memory: one piece, one header of at most [`MAX_HEADER`] octets, one archive of at most [`MAX_ARCHIVE`] octets with what
//! [`mssante::xdm::open`] lets it inflate to, one at a time in the process.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use mail::header::{Fields, Transfer, TransferDecoder, characters, decode_words};
use mail::markup::{Language, Markup};
use mail::mime::{Content, Part, Structure};
use mssante::xdm;

use crate::document::{Addressing, Head};
use crate::fold::{BOUNDARY, Folder, fold};

/// Octets read at once.
pub const PIECE: usize = 64 * 1024;
/// Octets of a header that are searched: a hundred times an honest one's.
const MAX_HEADER: u64 = 512 * 1024;
/// Octets of an archive, as it is transferred, that is opened: more than the trust space lets through, little enough to hold
/// in memory. A larger one is not searched, like any attachment that is no text.
const MAX_ARCHIVE: u64 = 48 * 1024 * 1024;
/// Characters of a text in memory that are folded at once.
const SLICE: usize = 64 * 1024;

/// Takes what is read.
pub(crate) trait Sink {
    /// The message's header; comes first, once.
    fn head(&mut self, head: Head);
    /// More of the text of the message, folded.
    fn text(&mut self, folded: &str);
    /// Nothing more is needed.
    fn satisfied(&self) -> bool;
}

/// Reads a message.
#[derive(Debug)]
pub(crate) struct Extractor {
    stretches: std::vec::IntoIter<Stretch>,
    addressing: Option<Addressing>,
    running: Option<Running>,
}

/// A stretch of a message that is searched.
#[derive(Debug)]
struct Stretch {
    range: Range<u64>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    MessageHeader,
    PartHeader,
    Text { transfer: Transfer, charset: String, language: Option<Language> },
    Archive { transfer: Transfer },
}

#[derive(Debug)]
struct Running {
    left: Range<u64>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    Header { of_message: bool, block: Vec<u8> },
    Text { decoder: TransferDecoder, charset: String, decoded: Vec<u8>, plain: Plain },
    Archive { decoder: TransferDecoder, archive: Vec<u8> },
}

impl Extractor {
    /// Gets ready to read a message of that structure.
    pub(crate) fn new(structure: &Structure, sink: &mut impl Sink) -> Self {
        let mut stretches = vec![Stretch { range: header(structure.header_range()), kind: Kind::MessageHeader }];
        collect(&structure.root, &mut stretches);
        let mut extractor = Extractor {
            stretches: stretches.into_iter(),
            addressing: Some(Addressing::of(&structure.envelope)),
            running: None,
        };
        extractor.go_on(sink);
        extractor
    }

    /// The octets to be given next; `None` when the message is read or nothing more is needed.
    pub(crate) fn wanted(&self) -> Option<Range<u64>> {
        let left = &self.running.as_ref()?.left;
        Some(left.start..left.end.min(left.start + PIECE as u64))
    }

    /// Takes the octets asked for; fewer say that the message ends there.
    pub(crate) fn push(&mut self, octets: &[u8], sink: &mut impl Sink) {
        let Some(wanted) = self.wanted() else { return };
        let Some(running) = &mut self.running else { return };
        let octets = &octets[..octets.len().min((wanted.end - wanted.start) as usize)];
        let short = wanted.start + (octets.len() as u64) < wanted.end;
        running.left.start = if short { running.left.end } else { wanted.end };
        running.reading.push(octets, sink);
        if sink.satisfied() {
            self.running = None;
            self.stretches = Vec::new().into_iter();
        } else if running.left.is_empty() {
            self.go_on(sink);
        }
    }

    /// Ends the stretch under way and begins the next that has octets.
    fn go_on(&mut self, sink: &mut impl Sink) {
        loop {
            if let Some(ended) = self.running.take() {
                ended.reading.finish(&mut self.addressing, sink);
            }
            if sink.satisfied() {
                return;
            }
            let Some(stretch) = self.stretches.next() else { return };
            let running = Running { left: stretch.range, reading: Reading::of(stretch.kind) };
            let empty = running.left.is_empty();
            self.running = Some(running);
            if !empty {
                return;
            }
        }
    }
}

impl Reading {
    fn of(kind: Kind) -> Reading {
        match kind {
            Kind::MessageHeader => Reading::Header { of_message: true, block: Vec::new() },
            Kind::PartHeader => Reading::Header { of_message: false, block: Vec::new() },
            Kind::Text { transfer, charset, language } => Reading::Text {
                decoder: TransferDecoder::new(transfer),
                charset,
                decoded: Vec::new(),
                plain: Plain::new(language),
            },
            Kind::Archive { transfer } => {
                Reading::Archive { decoder: TransferDecoder::new(transfer), archive: Vec::new() }
            }
        }
    }

    fn push(&mut self, octets: &[u8], sink: &mut impl Sink) {
        match self {
            Reading::Header { block, .. } => block.extend_from_slice(octets),
            Reading::Text { decoder, charset, decoded, plain } => {
                decoder.push(octets, decoded);
                let whole = whole_characters(decoded);
                plain.push(&characters(charset, &decoded[..whole]), sink);
                decoded.drain(..whole);
            }
            Reading::Archive { decoder, archive } => decoder.push(octets, archive),
        }
    }

    fn finish(self, addressing: &mut Option<Addressing>, sink: &mut impl Sink) {
        match self {
            Reading::Header { of_message: true, block } => {
                sink.head(Head::new(&block, addressing.take().unwrap_or_default()));
            }
            Reading::Header { of_message: false, block } => {
                // At once: a header may have a hundred thousand fields, and each feeding looks for every text.
                let mut fields = String::with_capacity(block.len());
                for field in Fields::new(&block) {
                    fields.push_str(&fold(&format!("{}: {}", field.name, decode_words(&field.value()))));
                    fields.push(BOUNDARY);
                }
                sink.text(&fields);
            }
            Reading::Text { decoder, charset, mut decoded, mut plain } => {
                decoder.finish(&mut decoded);
                plain.push(&characters(&charset, &decoded), sink);
                plain.finish(sink);
            }
            Reading::Archive { decoder, mut archive } => {
                decoder.finish(&mut archive);
                documents(archive, sink);
            }
        }
    }
}

/// The documents of an archive, as far as they are text. One that cannot be opened has none. What an archive inflates to may be
/// more than all else that a search holds: one is open at a time in the whole process.
fn documents(archive: Vec<u8>, sink: &mut impl Sink) {
    static OPEN: Mutex<()> = Mutex::new(());
    let _alone = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(opened) = xdm::open(&archive) else { return };
    drop(archive);
    for document in opened.documents {
        let language = match document.mime_type.as_deref() {
            Some("text/html" | "application/xhtml+xml") => Some(Language::Html),
            Some("text/xml" | "application/xml") => Some(Language::Xml),
            Some(plain) if plain.starts_with("text/") => None,
            None if document.path.ends_with(".XML") => Some(Language::Xml),
            _ => continue,
        };
        if sink.satisfied() {
            return;
        }
        let octets = document.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&document.bytes);
        let text = characters("", octets);
        let mut plain = Plain::new(language);
        let mut rest: &str = &text;
        while !rest.is_empty() && !sink.satisfied() {
            let mut cut = rest.len().min(SLICE);
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            plain.push(&rest[..cut], sink);
            rest = &rest[cut..];
        }
        plain.finish(sink);
    }
}

/// From characters to what is compared.
#[derive(Debug)]
struct Plain {
    markup: Option<Markup>,
    folder: Folder,
    text: String,
    folded: String,
}

impl Plain {
    fn new(language: Option<Language>) -> Self {
        Plain {
            markup: language.map(Markup::new),
            folder: Folder::default(),
            text: String::new(),
            folded: String::new(),
        }
    }

    fn push(&mut self, characters: &str, sink: &mut impl Sink) {
        self.folded.clear();
        match &mut self.markup {
            None => self.folder.push(characters, &mut self.folded),
            Some(markup) => {
                self.text.clear();
                markup.push(characters, &mut self.text);
                self.folder.push(&self.text, &mut self.folded);
            }
        }
        sink.text(&self.folded);
    }

    fn finish(mut self, sink: &mut impl Sink) {
        self.folded.clear();
        if let Some(markup) = self.markup.take() {
            self.text.clear();
            markup.finish(&mut self.text);
            self.folder.push(&self.text, &mut self.folded);
        }
        self.folded.push(BOUNDARY);
        sink.text(&self.folded);
    }
}

fn header(range: Range<u64>) -> Range<u64> {
    range.start..range.end.min(range.start.saturating_add(MAX_HEADER))
}

/// The stretches of a part, in the order of the message. The structure's own limits bound the depth.
fn collect(part: &Part, stretches: &mut Vec<Stretch>) {
    match &part.content {
        Content::Multipart(parts) => {
            for child in parts {
                stretches.push(Stretch { range: header(child.header.clone()), kind: Kind::PartHeader });
                collect(child, stretches);
            }
        }
        Content::Message(inner) => {
            stretches.push(Stretch { range: header(inner.header_range()), kind: Kind::PartHeader });
            collect(&inner.root, stretches);
        }
        Content::Leaf => stretches.extend(leaf(part).map(|kind| Stretch { range: part.body.clone(), kind })),
    }
}

fn leaf(part: &Part) -> Option<Kind> {
    let transfer = Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity);
    let text = |language| Some(Kind::Text { transfer, charset: part.param("charset").unwrap_or_default(), language });
    let xml = part.subtype == "xml" || part.subtype.ends_with("+xml");
    match (part.media_type.as_str(), part.subtype.as_str()) {
        ("text", "html") | ("application", "xhtml+xml") => text(Some(Language::Html)),
        ("text" | "application", _) if xml => text(Some(Language::Xml)),
        // Reports: `message/delivery-status`, `message/disposition-notification`…
        ("text" | "message", _) => text(None),
        _ if part.size() <= MAX_ARCHIVE && part.filename().is_some_and(|name| xdm::is_archive_name(&name)) => {
            Some(Kind::Archive { transfer })
        }
        _ => None,
    }
}

/// How much of the octets surely does not end within a character, were they UTF-8: all but an unfinished one at the end.
fn whole_characters(octets: &[u8]) -> usize {
    let tail = octets.len().saturating_sub(4);
    match octets[tail..].iter().rposition(|b| b & 0xc0 != 0x80) {
        // A first octet of a character of several: it may go on in the next piece.
        Some(at) if octets[tail + at] >= 0xc0 => tail + at,
        _ => octets.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        for (octets, whole) in [
            (&b"abc"[..], 3),
            (b"", 0),
            (b"ab\xc3", 2),
            (b"ab\xc3\xa9", 2),
            (b"\xe2\x82", 0),
            (b"\x80\x80\x80\x80\x80", 5),
        ] {
            assert_eq!(whole_characters(octets), whole, "{octets:?}");
        }
    }
}
