//! Content-Transfer-Encoding (RFC 2045 §6), decoded as it streams; tolerant, never an error.

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Transfer {
    /// 7bit, 8bit, binary.
    Identity,
    /// base64.
    Base64,
    /// quoted-printable.
    QuotedPrintable,
}

impl Transfer {
    /// From the value of `Content-Transfer-Encoding`, any case; `None` when it is not known.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "7bit" | "8bit" | "binary" => Some(Transfer::Identity),
            "base64" => Some(Transfer::Base64),
            "quoted-printable" => Some(Transfer::QuotedPrintable),
            _ => None,
        }
    }
}

/// Decodes a body given in chunks of any size.
#[derive(Clone, Debug)]
pub struct TransferDecoder(State);

#[derive(Clone, Debug)]
enum State {
    Identity,
    /// Bits not yet written, and how many (0, 6, 12 or 18).
    Base64 {
        bits: u32,
        count: u8,
    },
    Quoted {
        escape: Escape,
        blanks: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// After `=`.
    Started,
    /// After `=` and a hexadecimal digit.
    Half(u8),
    /// After `=` and blanks or CR: a soft line break whose LF is to come.
    Soft,
}

/// Blanks kept to see whether they end a line (they then vanish): longer runs are written at once, to bound the memory.
const MAX_BLANKS: usize = 1000;

impl TransferDecoder {
    /// A decoder at the start of a body.
    pub fn new(transfer: Transfer) -> Self {
        TransferDecoder(match transfer {
            Transfer::Identity => State::Identity,
            Transfer::Base64 => State::Base64 { bits: 0, count: 0 },
            Transfer::QuotedPrintable => State::Quoted { escape: Escape::None, blanks: Vec::new() },
        })
    }

    /// Decodes a chunk and adds what it gives to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(chunk),
            State::Base64 { bits, count } => {
                for octet in chunk {
                    base64(*octet, bits, count, out);
                }
            }
            State::Quoted { escape, blanks } => {
                for octet in chunk {
                    quoted(*octet, escape, blanks, out);
                }
            }
        }
    }

    /// Ends the body: writes what was held back.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.0 {
            State::Identity => {}
            State::Base64 { mut bits, mut count } => base64(b'=', &mut bits, &mut count, out),
            State::Quoted { escape, blanks } => match escape {
                Escape::None => out.extend_from_slice(&blanks),
                Escape::Started => out.push(b'='),
                Escape::Half(h) => out.extend_from_slice(&[b'=', h]),
                Escape::Soft => {}
            },
        }
    }
}

fn base64(octet: u8, bits: &mut u32, count: &mut u8, out: &mut Vec<u8>) {
    let value = match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => {
            // Padding: whole octets of the group so far; a new group may follow (concatenated encodings).
            if *count >= 12 {
                out.push((*bits >> (*count - 8)) as u8);
            }
            if *count == 18 {
                out.push((*bits >> 2) as u8);
            }
            (*bits, *count) = (0, 0);
            return;
        }
        _ => return,
    };
    *bits = *bits << 6 | u32::from(value);
    *count += 6;
    if *count == 24 {
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        (*bits, *count) = (0, 0);
    }
}

fn quoted(octet: u8, escape: &mut Escape, blanks: &mut Vec<u8>, out: &mut Vec<u8>) {
    match *escape {
        Escape::None => match octet {
            b' ' | b'\t' => {
                if blanks.len() == MAX_BLANKS {
                    out.append(blanks);
                }
                blanks.push(octet);
            }
            b'\r' => {
                blanks.clear();
                out.push(octet);
            }
            b'\n' => {
                blanks.clear();
                out.push(octet);
            }
            b'=' => {
                out.append(blanks);
                *escape = Escape::Started;
            }
            _ => {
                out.append(blanks);
                out.push(octet);
            }
        },
        Escape::Started => match octet {
            b'\n' => *escape = Escape::None,
            b' ' | b'\t' | b'\r' => *escape = Escape::Soft,
            _ if octet.is_ascii_hexdigit() => *escape = Escape::Half(octet),
            _ => {
                out.push(b'=');
                *escape = Escape::None;
                quoted(octet, escape, blanks, out);
            }
        },
        Escape::Half(first) => {
            *escape = Escape::None;
            match (hex(first), hex(octet)) {
                (Some(high), Some(low)) => out.push(high << 4 | low),
                _ => {
                    out.extend_from_slice(&[b'=', first]);
                    quoted(octet, escape, blanks, out);
                }
            }
        }
        Escape::Soft => match octet {
            b' ' | b'\t' | b'\r' => {}
            b'\n' => *escape = Escape::None,
            _ => {
                *escape = Escape::None;
                quoted(octet, escape, blanks, out);
            }
        },
    }
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use proptest::prelude::*;

    fn decode(transfer: Transfer, text: &[u8], chunk: usize) -> Vec<u8> {
        let mut decoder = TransferDecoder::new(transfer);
        let mut out = Vec::new();
        for piece in text.chunks(chunk.max(1)) {
            decoder.push(piece, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn quoted_printable() {
        for (text, wanted) in [
            (&b"a=3D=C3=A9 \r\nb"[..], "a=é\r\nb"),
            (b"soft=\r\nbreak= \t\r\n!", "softbreak!"),
            (b"bad=zz=4", "bad=zz=4"),
            (b"end=", "end="),
            (b"keep  me", "keep  me"),
        ] {
            assert_eq!(decode(Transfer::QuotedPrintable, text, 3), wanted.as_bytes());
        }
    }

    #[test]
    fn base64_tolerant() {
        assert_eq!(decode(Transfer::Base64, b"aG Vs\r\nbG8=", 2), b"hello");
        assert_eq!(decode(Transfer::Base64, b"aGVsbG8", 2), b"hello");
        assert_eq!(decode(Transfer::Base64, b"aGVsbG8=aGVsbG8=", 5), b"hellohello");
    }

    proptest! {
        #[test]
        fn base64_round_trip(octets: Vec<u8>, chunk in 1usize..9) {
            let text = base64::engine::general_purpose::STANDARD.encode(&octets);
            prop_assert_eq!(decode(Transfer::Base64, text.as_bytes(), chunk), octets);
        }

        #[test]
        fn chunks_do_not_matter(text in "[ =\r\nA-F0-9a]{0,60}", chunk in 1usize..9) {
            for t in [Transfer::Identity, Transfer::Base64, Transfer::QuotedPrintable] {
                prop_assert_eq!(decode(t, text.as_bytes(), chunk), decode(t, text.as_bytes(), 1000));
            }
        }
    }
}
