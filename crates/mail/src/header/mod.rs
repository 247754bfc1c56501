//! Header fields: reading them from raw bytes, writing them safely (RFC 5322 §2.2, RFC 2047).
//!
//! Invariants: reading never fails and never copies more than it is given; writing refuses any value that could start
//! another field or end the header (CR, LF, NUL and other controls).

mod address;
mod charset;
mod transfer;
mod words;
mod writer;

pub use address::{Address, AddressList, parse_addresses};
pub use charset::{characters, decode_charset};
pub use transfer::{Transfer, TransferDecoder};
pub use words::decode_words;
pub use writer::{HeaderError, Writer};

use std::ops::Range;

/// One field of a header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// The name as sent, without the colon and the blanks before it.
    pub name: &'b str,
    /// What follows the colon, folding and line end included.
    pub raw: &'b [u8],
    /// Where the whole field lies in the block, line end included.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Whether the field has this name (any case).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value unfolded and trimmed, encoded words untouched, without CR, LF and NUL.
    pub fn value(&self) -> String {
        text(self.raw)
    }
}

/// Header bytes as text: UTF-8, else windows-1252; without CR, LF and NUL, trimmed.
pub(crate) fn text(raw: &[u8]) -> String {
    let solid = |b: &u8| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0);
    let (Some(first), Some(last)) = (raw.iter().position(solid), raw.iter().rposition(solid)) else {
        return String::new();
    };
    let mut rest = &raw[first..=last];
    let mut kept = Vec::with_capacity(rest.len());
    while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    kept.extend_from_slice(rest);
    String::from_utf8(kept).unwrap_or_else(|e| charset::windows_1252(e.as_bytes()))
}

/// The fields of a header block, in order; stops at the empty line. Lines that are no field are passed over.
#[derive(Clone, Debug)]
pub struct Fields<'b> {
    block: &'b [u8],
    position: usize,
}

impl<'b> Fields<'b> {
    /// Reads the fields of `block`, which may go on after the empty line.
    pub fn new(block: &'b [u8]) -> Self {
        Fields { block, position: 0 }
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Field<'b>;

    fn next(&mut self) -> Option<Field<'b>> {
        loop {
            let start = self.position;
            let mut end = line_end(self.block, start)?;
            if is_blank(&self.block[start..end]) {
                return None;
            }
            while matches!(self.block.get(end), Some(b' ' | b'\t')) {
                end = line_end(self.block, end).unwrap_or(self.block.len());
            }
            self.position = end;
            let line = &self.block[start..end];
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            if let Some(name) = field_name(&line[..colon]) {
                return Some(Field { name, raw: &line[colon + 1..], range: start..end });
            }
        }
    }
}

/// Where the line that starts at `start` ends, its LF included; `None` at the end of the block.
fn line_end(block: &[u8], start: usize) -> Option<usize> {
    let rest = block.get(start..).filter(|r| !r.is_empty())?;
    Some(memchr::memchr(b'\n', rest).map_or(block.len(), |i| start + i + 1))
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// A field name: printable ASCII without colon; obsolete syntax allows blanks after it.
fn field_name(bytes: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(bytes).ok()?.trim_end_matches([' ', '\t']);
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())).then_some(name)
}

/// The value of the first field of that name.
pub fn find(block: &[u8], name: &str) -> Option<String> {
    Fields::new(block).find(|f| f.is(name)).map(|f| f.value())
}

/// How many fields have that name.
pub fn count(block: &[u8], name: &str) -> usize {
    Fields::new(block).filter(|f| f.is(name)).count()
}

/// Whether every line of the header is part of a field. In a header that is not so, other programs may see fields that are not
/// seen here: JavaMail finds one in a name that is folded or ends in a control character.
pub fn is_sound(block: &[u8]) -> bool {
    let mut done = 0;
    for field in Fields::new(block) {
        if field.range.start != done {
            return false;
        }
        done = field.range.end;
    }
    done == block.len() || is_blank(&block[done..line_end(block, done).unwrap_or(done)])
}

/// The block without the fields of that name; everything else, and what follows the header, is kept.
pub fn remove(block: &[u8], name: &str) -> Vec<u8> {
    let mut kept = Vec::with_capacity(block.len());
    let mut done = 0;
    for field in Fields::new(block).filter(|f| f.is(name)) {
        kept.extend_from_slice(&block[done..field.range.start]);
        done = field.range.end;
    }
    kept.extend_from_slice(&block[done..]);
    kept
}

/// The raw fields of these names in the order of the block, each with its line end: HEADER.FIELDS of IMAP without the
/// closing empty line. With `but` true, those not named.
pub fn select(block: &[u8], names: &[&str], but: bool) -> Vec<u8> {
    let mut selected = Vec::new();
    for field in Fields::new(block) {
        if names.iter().any(|n| field.is(n)) != but {
            selected.extend_from_slice(&block[field.range.clone()]);
            if !selected.ends_with(b"\n") {
                selected.extend_from_slice(b"\r\n");
            }
        }
    }
    selected
}

/// Length of the header block at the start of `message`, its empty line included; `None` when there is no empty line.
pub fn end(message: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = line_end(message, start) {
        if is_blank(&message[start..end]) {
            return Some(end);
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: &[u8] = b"From someone Mon Jan 1\r\nSubject: one\r\n two\r\nX-A : 1\nno colon\r\nb\xe9: x\r\nTo:\r\n\tc@d\r\nx-a: \xe92\r\n\r\nNot: a field\r\n";

    #[test]
    fn reads_fields() {
        let fields: Vec<(&str, String)> = Fields::new(BLOCK).map(|f| (f.name, f.value())).collect();
        let wanted = [("Subject", "one two"), ("X-A", "1"), ("To", "c@d"), ("x-a", "é2")];
        assert_eq!(fields, wanted.map(|(n, v)| (n, v.to_owned())));
        assert_eq!(find(BLOCK, "x-a").as_deref(), Some("1"));
        assert_eq!(count(BLOCK, "X-A"), 2);
        assert_eq!(end(BLOCK), Some(BLOCK.len() - 14));
        assert_eq!(end(b"a: b\r\n"), None);
        assert_eq!(end(b"\r\nbody"), Some(2));
    }

    #[test]
    fn values_are_unfolded_and_trimmed() {
        for (raw, wanted) in [
            (&b" one line\r\n"[..], "one line"),
            (b"\r\n\tfolded\r\n  twice \r\n", "folded  twice"),
            (b" \t \r\n", ""),
            (b"", ""),
            (b"\0 a\0b \0\r", "ab"),
            (b" caf\xe9 \r\n cr\xe8me", "caf\u{e9}  cr\u{e8}me"),
            // One character cut by what does not count.
            (b"\xc3\r\n\xa9", "\u{e9}"),
            (b"\xc2\xa0kept\xc2\xa0", "\u{a0}kept\u{a0}"),
        ] {
            assert_eq!(text(raw), wanted, "{raw:?}");
        }
    }

    #[test]
    fn lines_that_are_no_field_are_seen() {
        for sound in ["", "\r\n", "A: 1\r\n", "A : 1\r\n 2\r\n\t\r\nB:\r\n\r\nbody\r\n", "A: 1"] {
            assert!(is_sound(sound.as_bytes()), "{sound:?}");
        }
        let hidden = [
            " From: b\r\nA: 1",
            "A: 1\r\nno colon",
            "A: 1\r\nFrom \r\n : b\r\n",
            "A: 1\r\nFrom\x0b: b\r\nB: 2\r\n",
            "Fr\u{e9}m: b",
        ];
        for unsound in hidden {
            assert!(!is_sound(unsound.as_bytes()), "{unsound:?}");
        }
    }

    #[test]
    fn removes_and_selects() {
        let without = remove(BLOCK, "X-a");
        assert_eq!(count(&without, "X-A"), 0);
        assert_eq!(without.len(), BLOCK.len() - 8 - 9);
        assert!(without.ends_with(b"\r\n\r\nNot: a field\r\n"));
        assert_eq!(select(BLOCK, &["subject", "to"], false), b"Subject: one\r\n two\r\nTo:\r\n\tc@d\r\n");
        assert_eq!(select(b"A: 1\nB: 2", &["a"], true), b"B: 2\r\n");
    }

    proptest! {
        #[test]
        fn never_panics(block in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>()], 0..80)) {
            let mut last = 0;
            for field in Fields::new(&block) {
                prop_assert!(field.range.start >= last && field.range.end <= block.len());
                last = field.range.end;
                let value = field.value();
                prop_assert!(!value.contains(['\r', '\n', '\0']));
                let _ = remove(&block, field.name);
            }
            let _ = end(&block);
        }
    }
}
