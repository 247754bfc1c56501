//! The few charsets of health mail in France, decoded without tables of the world.

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
}
