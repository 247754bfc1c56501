//! Writing header fields: folding, encoded words, and no way to inject another field.

use super::words::encode_words;

/// A header being written.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

/// Why a field cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty or has characters that no field name has.
    #[error("not a header field name")]
    Name,
    /// The value holds CR, LF, NUL or another control character.
    #[error("a header value cannot hold a control character")]
    Control,
    /// The value has a word that does not fit on a line of 998 octets (RFC 5322 §2.1.1).
    #[error("a header value has a word longer than a line")]
    TooLong,
}

/// Where lines are folded when they can be.
const SOFT: usize = 78;
/// What no line exceeds.
const HARD: usize = 998;

impl Writer {
    /// An empty header.
    pub fn new() -> Self {
        Writer::default()
    }

    /// Adds a field of free text, in encoded words when it is not plain ASCII.
    pub fn text(&mut self, name: &str, value: &str) -> Result<&mut Self, HeaderError> {
        check(name, value)?;
        let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !value.contains("=?");
        if plain && value.split(' ').all(|w| w.len() + name.len() + 3 <= HARD) {
            return self.raw(name, value);
        }
        self.raw(name, &encode_words(value).join(" "))
    }

    /// Adds a field as it is (ASCII, or UTF-8 for SMTPUTF8), folded at its blanks.
    pub fn raw(&mut self, name: &str, value: &str) -> Result<&mut Self, HeaderError> {
        check(name, value)?;
        let before = self.0.len();
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        let mut column = name.len() + 2;
        let value = value.trim_matches([' ', '\t']);
        let mut rest = value;
        while !rest.is_empty() {
            // A word with the blanks before it; a line is cut before the blanks, so that unfolding gives the value back.
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let word = rest[blanks..].find([' ', '\t']).map_or(rest.len(), |i| blanks + i);
            if column + word > SOFT && blanks > 0 {
                self.0.extend_from_slice(b"\r\n");
                column = 0;
            }
            column += word;
            if column > HARD {
                self.0.truncate(before);
                return Err(HeaderError::TooLong);
            }
            self.0.extend_from_slice(&rest.as_bytes()[..word]);
            rest = &rest[word..];
        }
        self.0.extend_from_slice(b"\r\n");
        Ok(self)
    }

    /// The fields, each ended by CRLF, without the closing empty line.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

fn check(name: &str, value: &str) -> Result<(), HeaderError> {
    if name.is_empty() || name.len() > 76 || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(HeaderError::Name);
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(HeaderError::Control);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Fields, decode_words};
    use proptest::prelude::*;

    #[test]
    fn writes() {
        let mut w = Writer::new();
        w.text("Subject", "Compte rendu d'hospitalisation").expect("plain");
        w.text("X-Long", &"mot ".repeat(40)).expect("folded");
        w.text("Comments", "été").expect("encoded");
        let text = String::from_utf8(w.finish()).expect("ASCII");
        assert!(text.starts_with("Subject: Compte rendu d'hospitalisation\r\nX-Long: mot "));
        assert!(text.ends_with("Comments: =?UTF-8?B?w6l0w6k=?=\r\n"));
        assert!(text.lines().all(|l| l.len() <= SOFT));
    }

    #[test]
    fn refuses_injection() {
        let mut w = Writer::new();
        for value in ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\u{85}b"] {
            assert_eq!(w.text("A", value).err(), Some(HeaderError::Control));
            assert_eq!(w.raw("A", value).err(), Some(HeaderError::Control));
        }
        for name in ["", "a b", "a:", "a\r\nb", "é"] {
            assert_eq!(w.raw(name, "v").err(), Some(HeaderError::Name));
        }
        assert_eq!(w.raw("A", &"x".repeat(2000)).err(), Some(HeaderError::TooLong));
        assert!(w.finish().is_empty());
    }

    proptest! {
        #[test]
        fn reads_back(value in "[ -~é\t]{0,300}") {
            let mut w = Writer::new();
            w.text("X-Field", &value).expect("no control");
            let block = w.finish();
            let fields: Vec<_> = Fields::new(&block).collect();
            prop_assert_eq!(fields.len(), 1);
            let encoded = block.windows(2).any(|w| w == b"=?");
            let wanted = if encoded { &*value } else { value.trim_matches([' ', '\t']) };
            prop_assert_eq!(decode_words(&fields[0].value()), wanted);
        }
    }
}
