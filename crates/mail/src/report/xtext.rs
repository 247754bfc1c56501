//! The encodings of addresses inside SMTP parameters and reports: xtext (RFC 3461 §4) and that of RFC 6533 §3.

use std::fmt::Write;

/// The octets that xtext stands for (`+2B` is `+`); `None` when it is malformed.
pub fn xtext_octets(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => {
                let high = upper_hex(bytes.next()?)?;
                octets.push(high << 4 | upper_hex(bytes.next()?)?);
            }
            b'=' => return None,
            _ if b.is_ascii_graphic() => octets.push(b),
            _ => return None,
        }
    }
    Some(octets)
}

/// Decodes xtext; `None` when it is malformed or does not give UTF-8.
pub fn decode_xtext(text: &str) -> Option<String> {
    String::from_utf8(xtext_octets(text)?).ok()
}

/// Whether a text is an address type (`rfc822`, `utf-8`…; RFC 3461 §4.2).
pub fn is_address_type(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Encodes as xtext.
pub fn encode_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_graphic() && !matches!(b, b'+' | b'=') {
            out.push(char::from(b));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "+{b:02X}");
        }
    }
    out
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `utf-8-addr-xtext`: what is not plain ASCII as `\x{E9}`.
pub(super) fn encode_unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() && !matches!(c, '+' | '=' | '\\') {
            out.push(c);
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    out
}

/// Decodes `utf-8-addr-xtext` and plain UTF-8 alike; `None` when an escape is malformed.
pub(super) fn decode_unicode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        out.push_str(before);
        let (digits, after) = after.split_once('}')?;
        if !(2..=6).contains(&digits.len()) {
            return None;
        }
        out.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
