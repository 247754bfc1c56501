//! Modified UTF-7, in which IMAP4rev1 writes the names of folders (RFC 3501 §5.1.3).
//!
//! Invariant: [`decode`] accepts exactly what [`encode`] writes, so that a folder has one name on the wire and one in the
//! store.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 with `,` for `/`, never padded, no stray bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// Whether a character stands for itself.
fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~')
}

/// Writes a name. The result is printable ASCII.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if is_direct(c) {
            out.push(c);
            if c == '&' {
                out.push('-');
            }
            rest = &rest[1..];
            continue;
        }
        let run = rest.find(is_direct).unwrap_or(rest.len());
        let units: Vec<u8> = rest[..run].encode_utf16().flat_map(u16::to_be_bytes).collect();
        out.push('&');
        BASE64.encode_string(units, &mut out);
        out.push('-');
        rest = &rest[run..];
    }
    out
}

/// Reads a name; `None` when it is not modified UTF-7 in its one proper form.
pub fn decode(text: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_run = false;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'&' {
            let c = char::from(*first);
            if !is_direct(c) {
                return None;
            }
            out.push(c);
            rest = after;
            after_run = false;
            continue;
        }
        let end = after.iter().position(|b| *b == b'-')?;
        let run = &after[..end];
        rest = &after[end + 1..];
        if run.is_empty() {
            out.push('&');
            after_run = false;
            continue;
        }
        // Two runs that touch are one run written otherwise.
        if after_run {
            return None;
        }
        after_run = true;
        let octets = BASE64.decode(run).ok()?;
        if octets.len() % 2 != 0 {
            return None;
        }
        let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        for c in char::decode_utf16(units) {
            let c = c.ok().filter(|c| !is_direct(*c))?;
            out.push(c);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_the_rfc() {
        assert_eq!(encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").as_deref(), Some("~peter/mail/台北/日本語"));
        assert_eq!(encode("Éléments envoyés"), "&AMk-l&AOk-ments envoy&AOk-s");
        assert_eq!(encode("R&D"), "R&-D");
        assert_eq!(decode(b"&AOk-&-").as_deref(), Some("é&"));
        // RFC 3501: "&U,BTFw-&ZeVnLIqe-" is not permitted, nor "&Jjo!".
        assert_eq!(decode(b"&U,BTFw-&ZeVnLIqe-"), None);
        assert_eq!(decode(b"&Jjo!"), None);
    }

    #[test]
    fn what_is_not_the_proper_form_is_refused() {
        for bad in [
            &b"R&D"[..],
            b"&",
            b"&AOk",
            b"&AGE-",  // "a" must stand for itself
            b"&AOk=-", // padding
            b"&AOl-",  // stray bits: same octets as &AOk-
            b"&2AA-",  // half a surrogate pair
            b"&AOkA-", // odd number of octets
            b"caf\xc3\xa9",
            b"a\0b",
            b"a\r\nb",
        ] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_undone(name in any::<String>()) {
            let text = encode(&name);
            prop_assert!(text.bytes().all(|b| (0x20..=0x7e).contains(&b)));
            prop_assert_eq!(decode(text.as_bytes()), Some(name));
        }

        #[test]
        fn what_is_decoded_has_one_spelling(text in "[ -~]{0,12}|(&[A-Za-z0-9+,]{0,9}-){1,3}|[&aA,-]{0,12}") {
            if let Some(name) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
