//! Encoded words (RFC 2047): decoded for searching and showing, written for our own fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Transfer, TransferDecoder, decode_charset};

/// The text with its encoded words decoded; those of an unknown charset or that are malformed are left as they are.
pub fn decode_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Octets of the words just read: neighbours are joined before decoding, as some programs cut inside a character.
    let mut pending: Option<(&str, Vec<u8>)> = None;
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let Some(word) = Word::parse(&rest[at..]) else {
            flush(&mut out, &mut pending);
            out.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        let between = &rest[..at];
        let adjacent = pending.is_some() && between.chars().all(|c| matches!(c, ' ' | '\t'));
        match &mut pending {
            Some((charset, octets)) if adjacent && charset.eq_ignore_ascii_case(word.charset) => {
                octets.extend_from_slice(&word.octets);
            }
            _ => {
                flush(&mut out, &mut pending);
                if !adjacent {
                    out.push_str(between);
                }
                pending = Some((word.charset, word.octets));
            }
        }
        rest = &rest[at + word.length..];
    }
    flush(&mut out, &mut pending);
    out.push_str(rest);
    out
}

fn flush(out: &mut String, pending: &mut Option<(&str, Vec<u8>)>) {
    if let Some((charset, octets)) = pending.take() {
        out.push_str(
            &decode_charset(charset, &octets).unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned()),
        );
    }
}

struct Word<'t> {
    charset: &'t str,
    octets: Vec<u8>,
    length: usize,
}

impl<'t> Word<'t> {
    /// Longest encoded word read: the RFC says 75, programs write more; keeps a text full of `=?` linear to read.
    const MAX: usize = 1024;

    /// An encoded word in a known charset at the start of the text.
    fn parse(text: &'t str) -> Option<Word<'t>> {
        let mut limit = text.len().min(Self::MAX);
        while !text.is_char_boundary(limit) {
            limit -= 1;
        }
        let body = text[..limit].strip_prefix("=?")?;
        let (charset, rest) = body.split_once('?')?;
        let (encoding, rest) = rest.split_once('?')?;
        let (encoded, _) = rest.split_once("?=")?;
        if encoded.contains([' ', '\t', '?']) {
            return None;
        }
        let length = 2 + charset.len() + 1 + encoding.len() + 1 + encoded.len() + 2;
        let charset = charset.split('*').next().unwrap_or(charset);
        decode_charset(charset, b"")?;
        let mut octets = Vec::with_capacity(encoded.len());
        match encoding {
            "B" | "b" => {
                let mut decoder = TransferDecoder::new(Transfer::Base64);
                decoder.push(encoded.as_bytes(), &mut octets);
                decoder.finish(&mut octets);
            }
            "Q" | "q" => {
                let spaced = encoded.replace('_', "=20");
                let mut decoder = TransferDecoder::new(Transfer::QuotedPrintable);
                decoder.push(spaced.as_bytes(), &mut octets);
                decoder.finish(&mut octets);
            }
            _ => return None,
        }
        Some(Word { charset, octets, length })
    }
}

/// The text as encoded words of UTF-8, each short enough to stand on a line after a field name.
pub(super) fn encode_words(text: &str) -> Vec<String> {
    /// Octets per word: 40 characters of base64, 52 with the rest of the word.
    const OCTETS: usize = 30;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut cut = rest.len().min(OCTETS);
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        let (head, tail) = rest.split_at(cut);
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(head)));
        rest = tail;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes() {
        for (raw, wanted) in [
            ("plain", "plain"),
            ("=?utf-8?Q?=C3=A9t=C3=A9_2024?=", "été 2024"),
            ("=?ISO-8859-1?q?=E9?= =?iso-8859-1?Q?t=E9?= end", "été end"),
            ("=?UTF-8?B?w6k=?=  =?UTF-8?B?w6k=?=", "éé"),
            ("=?UTF-8?B?ww==?= =?UTF-8?B?qQ==?=", "é"),
            ("a =?utf-8*fr?Q?b?= c", "a b c"),
            ("=?koi8-r?Q?=C1?= x", "=?koi8-r?Q?=C1?= x"),
            ("=?utf-8?Q?open", "=?utf-8?Q?open"),
            ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
            ("=?=?utf-8?Q?a?=", "=?a"),
        ] {
            assert_eq!(decode_words(raw), wanted, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(text in "\\PC{0,120}") {
            prop_assume!(!text.is_empty());
            let words = encode_words(&text);
            prop_assert!(words.iter().all(|w| w.len() <= 75));
            prop_assert_eq!(decode_words(&words.join(" ")), text);
        }

        #[test]
        fn never_panics(text in "[=?a-zé_ utf8QqBb-]{0,80}", any in "\\PC{0,40}") {
            let _ = (decode_words(&text), decode_words(&any));
        }
    }
}
