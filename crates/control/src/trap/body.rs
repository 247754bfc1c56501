//! A message coming in: dots taken off, hashed, its beginning held. RFC 5321 §4.5.2.

use openssl::sha::Sha256;

/// Octets of a message that are held, to be kept when it is one of ours. The messages of campaigns have a few thousand.
pub const MAX_HELD: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a line.
    Start,
    /// Behind a dot at the beginning of a line.
    Dot,
    /// Behind that dot and CR.
    DotCr,
    /// In a line.
    Text,
    /// Behind a CR.
    Cr,
}

/// A message coming in. It ends at CRLF `.` CRLF and nowhere else.
pub struct Body {
    at: At,
    hash: Sha256,
    /// Octets that came, dots taken off.
    pub octets: u64,
    /// Its beginning.
    pub held: Vec<u8>,
    /// Whether a line ended by LF alone.
    pub has_bare_lf: bool,
}

impl Default for Body {
    fn default() -> Body {
        Body { at: At::Start, hash: Sha256::new(), octets: 0, held: Vec::new(), has_bare_lf: false }
    }
}

impl Body {
    /// Takes octets; how many of them belong to the message, when it ended among them.
    pub fn push(&mut self, octets: &[u8]) -> Option<usize> {
        let mut out = Vec::with_capacity(octets.len());
        let mut end = None;
        for (index, octet) in octets.iter().copied().enumerate() {
            self.at = match (self.at, octet) {
                (At::Start, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => {
                    end = Some(index + 1);
                    break;
                }
                (at, octet) => {
                    if at == At::DotCr {
                        out.push(b'\r');
                    }
                    let is_behind_cr = matches!(at, At::Cr | At::DotCr);
                    self.has_bare_lf |= octet == b'\n' && !is_behind_cr;
                    out.push(octet);
                    match octet {
                        b'\r' => At::Cr,
                        b'\n' if is_behind_cr => At::Start,
                        _ => At::Text,
                    }
                }
            };
        }
        self.octets += out.len() as u64;
        self.hash.update(&out);
        let room = MAX_HELD.saturating_sub(self.held.len()).min(out.len());
        self.held.extend_from_slice(&out[..room]);
        end
    }

    /// SHA-256 of all, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.hash.clone().finish().iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(octets: &[u8]) -> (Vec<u8>, Option<usize>, bool) {
        let mut body = Body::default();
        let end = body.push(octets);
        (body.held, end, body.has_bare_lf)
    }

    #[test]
    fn ends_at_a_dot_alone_between_crlf_and_nowhere_else() {
        assert_eq!(whole(b"a\r\n..b\r\n.\r\nMAIL"), (b"a\r\n.b\r\n".to_vec(), Some(11), false));
        assert_eq!(whole(b".\r\n"), (Vec::new(), Some(3), false));
        // Smuggling: none of these is the end.
        for text in [&b"a\n.\nb"[..], b"a\n.\r\nb", b"a\r\n.\nb", b"a\r.\rb", b"a\r\n.\rb"] {
            assert_eq!(whole(text).1, None, "{text:?}");
        }
        assert!(whole(b"a\nb").2 && whole(b"a\r\n.\nb").2 && !whole(b"a\rb\r\n").2);
        assert_eq!(whole(b"\r\n.\rx\r\n.\r\n").0, b"\r\n\rx\r\n");
    }

    proptest! {
        // However it is cut, the same comes out; and stuffing undone gives what was stuffed.
        #[test]
        fn cut_anywhere(lines in proptest::collection::vec("[.a\r]{0,6}", 0..8), cut in 0usize..64) {
            let plain: String = lines.iter().map(|line| format!("{}\r\n", line.trim_end_matches('\r'))).collect();
            let stuffed: String = plain.split_inclusive("\r\n")
                .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() }).collect();
            let sent = format!("{stuffed}.\r\n");
            let cut = cut.min(sent.len());
            let mut body = Body::default();
            let mut end = body.push(&sent.as_bytes()[..cut]);
            if end.is_none() {
                end = body.push(&sent.as_bytes()[cut..]).map(|at| at + cut);
            }
            prop_assert_eq!(end, Some(sent.len()));
            prop_assert_eq!(&body.held[..], plain.as_bytes());
        }
    }
}
