//! Reading a name's text: RFC 4514, and the departures from it that the real white list holds (operator.md §2.4).
//!
//! A comma or a plus separates attributes only when a type and an equal sign follow: `O=LABO A+B, C et D` is one value, as its
//! author meant it. A value that begins with a quote ends at the quote that a separator or the end follows; if there is none,
//! the quote belongs to the value (`O="FRANCK-JOLY" CLINIQUE`).

use super::{Attribute, AttributeType, Dn, DnError, MAX_ATTRIBUTES, MAX_LENGTH};

/// Longest attribute type: the longest known name has 22 letters, a long OID about 40.
const MAX_TYPE: usize = 64;

pub(super) fn parse(text: &str) -> Result<Dn, DnError> {
    if text.len() > MAX_LENGTH {
        return Err(DnError::TooLong);
    }
    if text.trim().is_empty() {
        return Err(DnError::Empty);
    }
    let mut attributes = Vec::new();
    let mut at = 0;
    loop {
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(DnError::TooManyAttributes);
        }
        let (kind, value_at) = attribute_type(text, at).ok_or(DnError::AttributeExpected(at))?;
        let start = value_at + spaces(&text[value_at..]);
        let (value, end) = value(text, start)?;
        if value.is_empty() {
            return Err(DnError::EmptyValue(start));
        }
        attributes.push(Attribute { kind: AttributeType::from_name(kind), value });
        if end == text.len() {
            return Dn::new(attributes);
        }
        at = end + 1; // past the separator, one ASCII byte
    }
}

/// Length of the white space at the start.
fn spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Reads `type =` at `at`: the type, and where the value begins.
fn attribute_type(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = text.get(at..)?;
    let begin = spaces(rest);
    let name = &rest[begin..];
    let length =
        name.bytes().take(MAX_TYPE + 1).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')).count();
    if length == 0 || length > MAX_TYPE {
        return None;
    }
    let gap = spaces(&name[length..]);
    (name.as_bytes().get(length + gap) == Some(&b'=')).then_some((&name[..length], at + begin + length + gap + 1))
}

/// Whether the byte at `at` separates two attributes.
fn separates(text: &str, at: usize) -> bool {
    matches!(text.as_bytes()[at], b',' | b'+') && attribute_type(text, at + 1).is_some()
}

/// Reads the value that begins at `start`: its text, and where it ends (a separator, or the end of the text).
fn value(text: &str, start: usize) -> Result<(String, usize), DnError> {
    match text.as_bytes().get(start) {
        Some(b'#') => hexadecimal(text, start),
        Some(b'"') => match closing_quote(text, start + 1) {
            Some((quote, end)) => Ok((unescape(text, start + 1, quote)?, end)),
            None => bare(text, start),
        },
        _ => bare(text, start),
    }
}

/// The quote that closes a quoted value and the end of that value: the first one, not escaped, before a separator or the end.
fn closing_quote(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => {
                let end = at + 1 + spaces(&text[at + 1..]);
                if end == bytes.len() || separates(text, end) {
                    return Some((at, end));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value without quotes around it: to the next separator; unescaped white space at its ends does not count.
fn bare(text: &str, start: usize) -> Result<(String, usize), DnError> {
    let bytes = text.as_bytes();
    let mut end = start;
    let mut used = start; // one past the last byte that is not unescaped white space
    while end < bytes.len() {
        if bytes[end] == b'\\' {
            // the escaped character counts, even a space; unescape() below judges whether it is a right escape
            end += 1;
            end += text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            used = end;
        } else if separates(text, end) {
            break;
        } else {
            // `end` stands on a character boundary: it starts on one and moves by whole characters
            let c = text[end..].chars().next().map_or(1, char::len_utf8);
            if !text[end..end + c].chars().all(char::is_whitespace) {
                used = end + c;
            }
            end += c;
        }
    }
    Ok((unescape(text, start, used)?, end))
}

/// Takes the escapes out of `text[start..end]`: `\,` and the like, `\C3\A9` (bytes of UTF-8).
fn unescape(text: &str, start: usize, end: usize) -> Result<String, DnError> {
    let bytes = &text.as_bytes()[start..end];
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            plain.push(bytes[at]);
            at += 1;
            continue;
        }
        let wrong = DnError::BadEscape(start + at);
        match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                plain.push(nibble(*high) << 4 | nibble(*low));
                at += 3;
            }
            (Some(special), _) if special.is_ascii_punctuation() || *special == b' ' => {
                plain.push(*special);
                at += 2;
            }
            _ => return Err(wrong),
        }
    }
    String::from_utf8(plain).map_err(|_| DnError::BadEscape(start))
}

/// Value of a hexadecimal digit (checked by the caller).
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

/// `#` and the BER of the value (RFC 4514 §2.4): only the character strings that certificates use, with a short length.
fn hexadecimal(text: &str, start: usize) -> Result<(String, usize), DnError> {
    let digits = text[start + 1..].bytes().take_while(u8::is_ascii_hexdigit).count();
    let stop = start + 1 + digits;
    let end = stop + spaces(&text[stop..]);
    if digits % 2 != 0 || !(end == text.len() || separates(text, end)) {
        return Err(DnError::BadHex(start));
    }
    let pairs = text.as_bytes()[start + 1..stop].chunks_exact(2);
    let ber: Vec<u8> = pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
    match ber.as_slice() {
        // UTF8String, PrintableString, IA5String
        [0x0C | 0x13 | 0x16, length, content @ ..] if usize::from(*length) == content.len() && *length < 0x80 => {
            let value = String::from_utf8(content.to_vec()).map_err(|_| DnError::BadHex(start))?;
            Ok((value, end))
        }
        _ => Err(DnError::BadHex(start)),
    }
}
