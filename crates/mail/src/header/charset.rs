//! The few charsets of health mail in France, decoded without tables of the world.

use std::borrow::Cow;

/// The octets as text, when the charset is one of UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15 or windows-1252; `None` for others.
///
/// ISO-8859-1 is read as windows-1252, as every mail program does. Bad UTF-8 gives U+FFFD.
pub fn decode_charset(charset: &str, octets: &[u8]) -> Option<String> {
    match charset.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Some(String::from_utf8_lossy(octets).into_owned()),
        "us-ascii" | "ascii" | "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => Some(windows_1252(octets)),
        "iso-8859-15" | "latin-9" | "latin9" => Some(octets.iter().map(|b| iso_8859_15(*b)).collect()),
        _ => None,
    }
}

/// The octets as text. Unknown or missing charsets, and US-ASCII that is not, are taken for UTF-8, or else for windows-1252.
pub fn characters<'o>(charset: &str, octets: &'o [u8]) -> Cow<'o, str> {
    let charset = charset.trim();
    let guess =
        charset.is_empty() || ["us-ascii", "ascii", "utf-8", "utf8"].iter().any(|c| charset.eq_ignore_ascii_case(c));
    match std::str::from_utf8(octets) {
        Ok(text) if guess || text.is_ascii() => text.into(),
        read => match decode_charset(charset, octets) {
            Some(text) => text.into(),
            None => match read {
                Ok(text) => text.into(),
                Err(_) => decode_charset("windows-1252", octets).unwrap_or_default().into(),
            },
        },
    }
}

/// What windows-1252 has at 0x80..=0x9F; the five holes are the controls of the same number.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub(super) fn windows_1252(octets: &[u8]) -> String {
    octets
        .iter()
        .map(|b| match b {
            0x80..=0x9f => HIGH[usize::from(b - 0x80)],
            _ => char::from(*b),
        })
        .collect()
}

fn iso_8859_15(octet: u8) -> char {
    match octet {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        _ => char::from(octet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_text() {
        assert_eq!(decode_charset("UTF-8", "œuvre €".as_bytes()).as_deref(), Some("œuvre €"));
        assert_eq!(decode_charset("windows-1252", b"\x9cuvre \x80").as_deref(), Some("œuvre €"));
        assert_eq!(decode_charset("ISO-8859-15", b"\xbduvre \xa4").as_deref(), Some("œuvre €"));
        assert_eq!(decode_charset("iso-8859-1", b"\xe9t\xe9").as_deref(), Some("été"));
        assert_eq!(decode_charset("koi8-r", b"x"), None);
    }

    #[test]
    fn charsets() {
        for (charset, octets, text) in [
            ("", &b"\xc3\xa9"[..], "é"),
            ("", b"\xe9t\xe9", "été"),
            ("us-ascii", b"\xc3\xa9", "é"),
            ("US-ASCII", b"\xe9", "é"),
            ("iso-8859-1", b"\xc3\xa9", "Ã©"),
            ("koi8-r", b"\xe9", "é"),
            ("utf-8", b"a\xe9b", "a\u{fffd}b"),
        ] {
            assert_eq!(characters(charset, octets), text, "{charset} {octets:?}");
        }
    }
}
