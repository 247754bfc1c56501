//! Strings: quoted when they can be, literals when they must.

use std::fmt;

/// Longest quoted string written: longer ones are literals, whose length a client knows before it reads them.
const MAX_QUOTED: usize = 1000;

/// Appends formatted text.
pub(super) fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    use std::io::Write as _;
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

/// Appends a number.
pub(crate) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            out.extend_from_slice(&digits[at..]);
            return;
        }
    }
}

/// Whether an octet may stand in a quoted string, escaped or not.
fn fits_quoted(b: u8) -> bool {
    (b' '..=b'~').contains(&b)
}

/// `string` (RFC 3501 §9).
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= MAX_QUOTED && text.iter().copied().all(fits_quoted) {
        escaped(out, text);
    } else {
        put(out, format_args!("{{{}}}\r\n", text.len()));
        // NUL is no CHAR8: it may not stand even in a literal.
        out.extend(text.iter().map(|b| if *b == 0 { b'?' } else { *b }));
    }
}

/// `nstring`.
pub fn nstring(out: &mut Vec<u8>, text: Option<&(impl AsRef<str> + ?Sized)>) {
    match text {
        Some(text) => string(out, text.as_ref().as_bytes()),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring`: an atom when it can be.
pub fn astring(out: &mut Vec<u8>, text: &[u8]) {
    let is_atom = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    // NIL as an atom would be read as nothing.
    if !text.is_empty()
        && text.len() <= MAX_QUOTED
        && text.iter().copied().all(is_atom)
        && !text.eq_ignore_ascii_case(b"NIL")
    {
        out.extend_from_slice(text);
    } else {
        string(out, text);
    }
}

/// `quoted`, for what the grammar wants quoted; whatever does not fit becomes `?`.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    let text: Vec<u8> = text.bytes().map(|b| if fits_quoted(b) { b } else { b'?' }).collect();
    escaped(out, &text);
}

/// `quoted` with UTF-8 inside (RFC 6855 §3); control characters become `?`.
pub(super) fn quoted_utf8(out: &mut Vec<u8>, text: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    escaped(out, text.as_bytes());
}

fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    // Nearly no text has anything to escape: copied in stretches.
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
