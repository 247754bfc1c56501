//! The text of a message on the wire: UTF-8 (ECO.2.2.3), as it is when it is plain ASCII in short lines, else quoted-printable
//! (RFC 2045 §6.7). 8 bits are not used for text: a message then needs nothing of the server, and its octets are the same
//! whatever server takes it.

use std::io::{self, Write};

/// Longest line left as it is (RFC 5322 §2.1.1).
const MAX_LINE: usize = 78;
/// Longest encoded line, its soft end included (RFC 2045 §6.7 (5)).
const MAX_ENCODED: usize = 76;

/// How a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    SevenBit,
    QuotedPrintable,
}

impl Encoding {
    pub(super) fn of(text: &str) -> Self {
        let plain = lines(text).all(|line| {
            line.len() <= MAX_LINE
                && line.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
                // Some programs would write `>From`.
                && !line.starts_with("From ")
                && !line.ends_with([' ', '\t'])
        });
        if plain { Encoding::SevenBit } else { Encoding::QuotedPrintable }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::SevenBit => "7bit",
            Encoding::QuotedPrintable => "quoted-printable",
        }
    }

    /// Writes the text, each line ended by CRLF.
    pub(super) fn write(self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let mut encoded = Vec::new();
        for line in lines(text) {
            match self {
                Encoding::SevenBit => out.write_all(line.as_bytes())?,
                Encoding::QuotedPrintable => {
                    encoded.clear();
                    quote(line.as_bytes(), &mut encoded);
                    out.write_all(&encoded)?;
                }
            }
            out.write_all(b"\r\n")?;
        }
        Ok(())
    }
}

/// The lines, whatever ends them: CRLF, LF or CR. A last line end makes no empty line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let after = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[after..]).filter(|left| !left.is_empty());
        Some(&text[..end])
    })
}

fn quote(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for (at, &byte) in line.iter().enumerate() {
        let last = at + 1 == line.len();
        let plain = match byte {
            b' ' | b'\t' => !last,
            b'=' => false,
            b'F' if at == 0 => !line.starts_with(b"From "),
            _ => byte.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // Room for the `=` of a soft end, which the last piece does not need.
        if column + width > MAX_ENCODED - usize::from(!last) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::header::{Transfer, TransferDecoder};
    use proptest::prelude::*;

    fn written(text: &str) -> (Encoding, Vec<u8>) {
        let encoding = Encoding::of(text);
        let mut out = Vec::new();
        encoding.write(text, &mut out).expect("memory");
        (encoding, out)
    }

    #[test]
    fn plain_text_stays() {
        assert_eq!(
            written("Bonjour,\n.\ncordialement\n"),
            (Encoding::SevenBit, b"Bonjour,\r\n.\r\ncordialement\r\n".to_vec())
        );
        assert_eq!(written(""), (Encoding::SevenBit, vec![]));
        for (text, wanted) in [
            ("été", "=C3=A9t=C3=A9\r\n"),
            ("a=b \r\rc", "a=3Db=20\r\n\r\nc\r\n"),
            ("From me", "=46rom me\r\n"),
            ("a\u{7f}", "a=7F\r\n"),
        ] {
            let wanted =
                if text.contains('=') || Encoding::of(text) == Encoding::QuotedPrintable { wanted } else { "" };
            assert_eq!(String::from_utf8(written(text).1).expect("ASCII"), wanted);
        }
    }

    proptest! {
        #[test]
        fn reads_back(text in "[\\PC\\r\\n\t =F]{0,400}|From [a-zé]{70,90}") {
            let (encoding, out) = written(&text);
            prop_assert!(out.is_ascii());
            for line in out.split(|b| *b == b'\n') {
                prop_assert!(line.len() <= MAX_LINE + 1, "{} octets", line.len());
            }
            let decoded = match encoding {
                Encoding::SevenBit => out,
                Encoding::QuotedPrintable => {
                    let mut decoder = TransferDecoder::new(Transfer::QuotedPrintable);
                    let mut decoded = Vec::new();
                    decoder.push(&out, &mut decoded);
                    decoder.finish(&mut decoded);
                    decoded
                }
            };
            let wanted: String = lines(&text).map(|line| format!("{line}\r\n")).collect();
            prop_assert_eq!(String::from_utf8(decoded).expect("UTF-8"), wanted);
        }
    }
}
