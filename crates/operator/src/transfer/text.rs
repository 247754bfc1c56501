//! Line ends: files keep LF, mail has CRLF.

use std::borrow::Cow;

/// With CRLF at each line's end; a message that has them already is not copied. A lone CR stays.
pub(super) fn with_crlf(octets: &[u8]) -> Cow<'_, [u8]> {
    let mut previous = 0;
    let bare = octets.iter().filter(|b| {
        let bare = **b == b'\n' && previous != b'\r';
        previous = **b;
        bare
    });
    let count = bare.count();
    if count == 0 {
        return Cow::Borrowed(octets);
    }
    let mut out = Vec::with_capacity(octets.len() + count);
    let mut previous = 0;
    for octet in octets {
        if *octet == b'\n' && previous != b'\r' {
            out.push(b'\r');
        }
        out.push(*octet);
        previous = *octet;
    }
    Cow::Owned(out)
}

/// With LF at each line's end.
pub(super) fn with_lf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for (i, octet) in octets.iter().enumerate() {
        if *octet != b'\r' || octets.get(i + 1) != Some(&b'\n') {
            out.push(*octet);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        assert_eq!(&*with_crlf(b"a\nb\r\nc\rd\n\n"), b"a\r\nb\r\nc\rd\r\n\r\n");
        assert!(matches!(with_crlf(b"a\r\n"), Cow::Borrowed(_)));
        assert_eq!(&*with_crlf(b"\n"), b"\r\n");
        assert_eq!(with_lf(b"a\r\nb\rc\n\r\n"), b"a\nb\rc\n\n");
        assert_eq!(with_lf(b"a\r"), b"a\r");
    }
}
