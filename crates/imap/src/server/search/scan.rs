//! Looking for texts in a message, streamed: its header, the headers of its parts, its text parts decoded.

use std::fmt::Write as _;
use std::ops::Range;

use mail::header::{Fields, Transfer, TransferDecoder, decode_charset, decode_words};
use mail::mime::{Content, Part, Structure};

use super::super::commands::fetch;
use super::key::Sought;
use super::{MAX_HEADER, fold};
use crate::backend::{Failure, MessageBody};

/// Octets read from the store at once.
const PIECE: usize = 64 * 1024;

/// A stretch of a message that is searched.
enum Stretch {
    /// A header; `of_message` when it is the message's own, which BODY does not search.
    Header { range: Range<u64>, of_message: bool },
    /// A text part.
    Text { range: Range<u64>, transfer: Transfer, charset: String },
}

/// For each text, whether it is in the message. Stops reading once all are found.
pub(super) async fn scan(
    body: &dyn MessageBody,
    structure: &Structure,
    sought: &[Sought],
) -> Result<Vec<bool>, Failure> {
    let mut stretches = Vec::new();
    stretches.push(Stretch::Header { range: structure.header_range(), of_message: true });
    collect(&structure.root, &mut stretches);
    let mut search = Search::new(sought);
    for stretch in stretches {
        if search.is_over() {
            break;
        }
        search.begin();
        match stretch {
            Stretch::Header { range, of_message } => {
                let end = range.end.min(range.start + MAX_HEADER).min(body.len());
                let block = fetch::read(body, range.start..end).await?;
                // At once: a header may have a hundred thousand fields, and each feeding looks for every text.
                let mut fields = String::with_capacity(block.len());
                for field in Fields::new(&block) {
                    let _ = write!(fields, "{}: {}\r\n", field.name, decode_words(&field.value()));
                }
                search.feed(&fields, of_message);
                tokio::task::yield_now().await;
            }
            Stretch::Text { range, transfer, charset } => text(body, range, transfer, &charset, &mut search).await?,
        }
    }
    Ok(search.found)
}

/// The stretches of a part, in the order of the message. The structure's own limits bound the depth.
fn collect(part: &Part, stretches: &mut Vec<Stretch>) {
    match &part.content {
        Content::Multipart(parts) => {
            for child in parts {
                stretches.push(Stretch::Header { range: child.header.clone(), of_message: false });
                collect(child, stretches);
            }
        }
        Content::Message(inner) => {
            stretches.push(Stretch::Header { range: inner.header_range(), of_message: false });
            collect(&inner.root, stretches);
        }
        Content::Leaf if is_readable(part) => stretches.push(Stretch::Text {
            range: part.body.clone(),
            transfer: Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity),
            charset: part.param("charset").unwrap_or_default(),
        }),
        Content::Leaf => {}
    }
}

/// Whether people or programs read the part as text: `text/…`, reports (`message/delivery-status`…), XML.
fn is_readable(part: &Part) -> bool {
    part.is_text() || part.media_type == "message" || part.is("application", "xml")
}

async fn text(
    body: &dyn MessageBody,
    range: Range<u64>,
    transfer: Transfer,
    charset: &str,
    search: &mut Search<'_>,
) -> Result<(), Failure> {
    let mut decoder = TransferDecoder::new(transfer);
    let mut decoded = Vec::new();
    let mut at = range.start;
    let end = range.end.min(body.len());
    while at < end && !search.is_over() {
        let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let piece = body.read(at, most).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        decoder.push(&piece, &mut decoded);
        let whole = whole_characters(&decoded);
        search.feed(&characters(charset, &decoded[..whole]), false);
        decoded.drain(..whole);
        // Many texts in a large piece take a while.
        tokio::task::yield_now().await;
    }
    decoder.finish(&mut decoded);
    search.feed(&characters(charset, &decoded), false);
    Ok(())
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

/// The octets as text. Unknown or missing charsets are taken for UTF-8, or else for windows-1252: ASCII is found in any case.
fn characters(charset: &str, octets: &[u8]) -> String {
    match decode_charset(charset, octets) {
        Some(text) => text,
        None => match std::str::from_utf8(octets) {
            Ok(text) => text.to_owned(),
            Err(_) => decode_charset("windows-1252", octets).unwrap_or_default(),
        },
    }
}

/// Finds texts that may lie across the pieces fed.
struct Search<'s> {
    sought: &'s [Sought],
    found: Vec<bool>,
    /// The end of what was fed, as long as the longest text less one octet, and what is fed now.
    window: String,
    longest: usize,
}

impl<'s> Search<'s> {
    fn new(sought: &'s [Sought]) -> Self {
        let longest = sought.iter().map(|s| s.text.len()).max().unwrap_or(0);
        Search { sought, found: vec![false; sought.len()], window: String::new(), longest }
    }

    fn is_over(&self) -> bool {
        self.found.iter().all(|found| *found)
    }

    /// A new stretch: nothing is found across its start.
    fn begin(&mut self) {
        self.window.clear();
    }

    fn feed(&mut self, text: &str, header_of_message: bool) {
        let old = self.window.len();
        self.window.push_str(&fold(text));
        for (sought, found) in self.sought.iter().zip(&mut self.found) {
            if !*found && (sought.header_too || !header_of_message) {
                // What was fed before was searched then: one long text must not make the short ones be looked for again.
                let from =
                    (0..=old.saturating_sub(sought.text.len())).rev().find(|at| self.window.is_char_boundary(*at));
                *found = self.window[from.unwrap_or(0)..].contains(&sought.text);
            }
        }
        let mut cut = (self.window.len() + 1).saturating_sub(self.longest.max(1));
        while !self.window.is_char_boundary(cut) {
            cut -= 1;
        }
        self.window.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        /// However a text is cut, the same is found as in the whole.
        #[test]
        fn pieces_do_not_matter(text in "[abéÉ]{0,30}", needle in "[abéÉ]{1,4}", cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let sought = [Sought { text: fold(&needle), header_too: false }];
            let mut search = Search::new(&sought);
            let (mut octets, mut kept) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (piece, rest) = octets.split_at(cut.min(octets.len()));
                octets = rest;
                kept.extend_from_slice(piece);
                let whole = whole_characters(&kept);
                search.feed(&characters("utf-8", &kept[..whole]), false);
                kept.drain(..whole);
            }
            kept.extend_from_slice(octets);
            search.feed(&characters("utf-8", &kept), false);
            prop_assert_eq!(search.found[0], fold(&text).contains(&fold(&needle)));
        }
    }
}
