//! IMAP sections as byte ranges (RFC 3501 §6.4.5).

use std::ops::Range;

use super::{Content, Part, Structure};

/// What is wanted of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// `BODY[]`, `BODY[2]`: the whole message, or the body of the part.
    Body,
    /// `BODY[HEADER]`, `BODY[2.HEADER]`: the header of the message, or of the message embedded there.
    Header,
    /// `BODY[TEXT]`, `BODY[2.TEXT]`: likewise, the text.
    Text,
    /// `BODY[2.MIME]`: the header of the part itself.
    Mime,
}

impl<S: AsRef<str>> Structure<S> {
    /// The part of that number; the message itself for the empty path.
    ///
    /// Part 1 of what is not a `multipart` is the thing itself; the parts of an embedded message are numbered through the
    /// `message/rfc822` part that holds it.
    pub fn section(&self, path: &[u32]) -> Option<&Part<S>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(&self.root);
        };
        let mut part = child(&self.root, *first).or_else(|| whole(&self.root, *first))?;
        for number in rest {
            part = match &part.content {
                Content::Multipart(_) => child(part, *number)?,
                Content::Message(inner) => child(&inner.root, *number).or_else(|| whole(&inner.root, *number))?,
                Content::Leaf => return None,
            };
        }
        Some(part)
    }

    /// Where a section lies in the raw message; `None` when there is no such section.
    pub fn range(&self, path: &[u32], piece: Piece) -> Option<Range<u64>> {
        let part = self.section(path)?;
        let message = if path.is_empty() {
            Some(self)
        } else {
            match &part.content {
                Content::Message(inner) => Some(&**inner),
                Content::Leaf | Content::Multipart(_) => None,
            }
        };
        match piece {
            Piece::Body if path.is_empty() => Some(self.root.header.start..self.root.body.end),
            Piece::Body => Some(part.body.clone()),
            Piece::Header => message.map(|m| m.root.header.clone()),
            Piece::Text => message.map(|m| m.root.body.clone()),
            Piece::Mime if path.is_empty() => None,
            Piece::Mime => Some(part.header.clone()),
        }
    }

    /// Where the message's header lies, with its closing empty line: all that a fetch of header fields needs.
    pub fn header_range(&self) -> Range<u64> {
        self.root.header.clone()
    }
}

/// Child `number` (from 1) of a `multipart`.
fn child<S: AsRef<str>>(part: &Part<S>, number: u32) -> Option<&Part<S>> {
    part.children().get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// Part 1 of a message that is not a `multipart`.
fn whole<S>(part: &Part<S>, number: u32) -> Option<&Part<S>> {
    (number == 1 && !matches!(part.content, Content::Multipart(_))).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] = b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n\
        --o\r\nX-A: 1\r\n\r\ntext one\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n\
        --i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: single\r\n\r\nalone\r\n\
        --o--\r\nepilogue\r\n";

    fn text(path: &[u32], piece: Piece) -> Option<&'static str> {
        let range = Structure::of(NESTED).range(path, piece)?;
        let range = usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small");
        Some(std::str::from_utf8(&NESTED[range]).expect("ASCII"))
    }

    #[test]
    fn sections_of_a_nested_message() {
        let header = "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n";
        assert_eq!(text(&[], Piece::Body).map(str::len), Some(NESTED.len()));
        assert_eq!(text(&[], Piece::Header), Some(header));
        assert_eq!(text(&[], Piece::Text).map(str::len), Some(NESTED.len() - header.len()));
        assert_eq!(text(&[], Piece::Mime), None);
        assert_eq!(text(&[1], Piece::Body), Some("text one"));
        assert_eq!(text(&[1], Piece::Mime), Some("X-A: 1\r\n\r\n"));
        assert_eq!(text(&[1], Piece::Header), None);
        assert_eq!(text(&[1], Piece::Text), None);
        assert_eq!(text(&[1, 1], Piece::Body), None);
        let inner = "Subject: in\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n";
        assert_eq!(text(&[2], Piece::Header), Some(inner));
        assert!(text(&[2], Piece::Body).is_some_and(|b| b.starts_with(inner) && b.ends_with("--i--")));
        assert_eq!(text(&[2], Piece::Text).map(|t| t.starts_with("--i\r\n")), Some(true));
        assert_eq!(text(&[2], Piece::Mime), Some("Content-Type: message/rfc822\r\n\r\n"));
        assert_eq!(text(&[2, 1], Piece::Body), Some("plain"));
        assert_eq!(text(&[2, 2], Piece::Body), Some("<p>"));
        assert_eq!(text(&[2, 2], Piece::Mime), Some("Content-Type: text/html\r\n\r\n"));
        assert_eq!(text(&[2, 3], Piece::Body), None);
        assert_eq!(text(&[3, 1], Piece::Body), Some("alone"));
        assert_eq!(text(&[3, 1], Piece::Mime), Some("Subject: single\r\n\r\n"));
        assert_eq!(text(&[3, 2], Piece::Body), None);
        assert_eq!(text(&[4], Piece::Body), None);
        assert_eq!(text(&[0], Piece::Body), None);
    }

    #[test]
    fn part_one_of_a_simple_message() {
        let message = b"Subject: s\r\n\r\nbody\r\n";
        let s = Structure::of(message);
        assert_eq!(s.range(&[1], Piece::Body), Some(14..20));
        assert_eq!(s.range(&[1], Piece::Mime), Some(0..14));
        assert_eq!(s.range(&[1], Piece::Text), None);
        assert_eq!(s.range(&[2], Piece::Body), None);
        assert_eq!(s.range(&[1, 1], Piece::Body), None);
    }
}
