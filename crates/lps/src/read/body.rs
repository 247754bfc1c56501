//! What a message says, as text that is safe to show.

use mail::header::{Transfer, TransferDecoder, characters};
use mail::markup;
use mail::mime::Part;

/// Octets of text kept of one message, all parts together: a long letter has twenty thousand.
pub const MAX_TEXT: usize = 2 * 1024 * 1024;

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, lines ended by `\n`, without other control characters.
    pub text: String,
    /// Whether it was made from HTML, for lack of plain text.
    pub from_html: bool,
    /// Whether it was cut at [`MAX_TEXT`].
    pub cut: bool,
}

impl std::fmt::Debug for Text {
    /// Not the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} octets{})", self.text.len(), if self.from_html { ", HTML" } else { "" })
    }
}

/// The text of these parts, one after the other.
pub(super) fn of(octets: &[u8], parts: &[Part]) -> Option<Text> {
    let mut text = Text { text: String::new(), from_html: false, cut: false };
    for part in parts {
        let room = MAX_TEXT.saturating_sub(text.text.len());
        if room == 0 {
            text.cut = true;
            break;
        }
        let (words, cut) = read(octets, part, room);
        text.cut |= cut;
        text.from_html |= part.is("text", "html");
        if !text.text.is_empty() && !words.is_empty() {
            text.text.push_str("\n\n");
        }
        text.text.push_str(&words);
    }
    (!parts.is_empty()).then_some(text)
}

/// The text of one part, and whether it was cut.
fn read(octets: &[u8], part: &Part, room: usize) -> (String, bool) {
    // Encodings take up to three octets for one; more than that is style sheets.
    let raw = slice(octets, part.body.start, part.body.end.min(part.body.start + 4 * room as u64));
    let mut decoder = TransferDecoder::new(Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity));
    let mut decoded = Vec::new();
    decoder.push(raw, &mut decoded);
    decoder.finish(&mut decoded);
    let text = characters(&part.param("charset").unwrap_or_default(), &decoded);
    let text = if part.is("text", "html") {
        markup::shown(&text)
    } else if part.param("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
        unflowed(&text, part.param("delsp").is_some_and(|delsp| delsp.eq_ignore_ascii_case("yes")))
    } else {
        text.into_owned()
    };
    let mut safe = lines(&text);
    let cut = safe.len() > room || part.size() > 4 * room as u64;
    if safe.len() > room {
        let mut end = room;
        while !safe.is_char_boundary(end) {
            end -= 1;
        }
        safe.truncate(end);
    }
    (safe, cut)
}

/// The octets between two places of a message, as far as it goes.
pub(super) fn slice(octets: &[u8], start: u64, end: u64) -> &[u8] {
    let length = octets.len() as u64;
    // Both are within the message, and so within memory.
    &octets[start.min(length) as usize..end.clamp(start.min(length), length) as usize]
}

/// Lines that were cut to fit a screen joined again (RFC 3676).
fn unflowed(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut joining = false;
    for line in text.lines() {
        let depth = line.bytes().take_while(|b| *b == b'>').count();
        let content = line[depth..].strip_prefix(' ').unwrap_or(&line[depth..]);
        if joining && depth == 0 {
            out.push_str(content);
        } else {
            if !out.is_empty() {
                out.push('\n');
            }
            if depth > 0 {
                out.push_str(&line[..depth]);
                out.push(' ');
            }
            out.push_str(content);
        }
        // `-- ` begins a signature and flows into nothing; quotes are left as they are.
        joining = depth == 0 && content.ends_with(' ') && content != "-- ";
        if joining && delsp {
            out.pop();
        }
    }
    out
}

/// Whether a character may stand in a text that is shown: no control, none that turns the direction of writing or hides.
fn shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with `\n` for line ends, tabs as blanks, and nothing that is not shown.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.extend(line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| shown(*c)));
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// The text on one line, blanks collapsed, of at most `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let words = text.split(|c: char| c.is_whitespace() || !shown(c)).filter(|word| !word.is_empty());
    let mut left = max;
    for word in words {
        let blank = usize::from(!out.is_empty());
        if left <= blank {
            break;
        }
        if blank == 1 {
            out.push(' ');
        }
        left -= blank;
        let length = word.chars().count();
        out.extend(word.chars().take(left));
        left = left.saturating_sub(length);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flowed_lines() {
        assert_eq!(unflowed("a \nb\n\nc \n> q \n> r\n-- \nnom", false), "a b\n\nc \n> q \n> r\n-- \nnom");
        assert_eq!(unflowed("ab \ncd", true), "abcd");
    }

    #[test]
    fn texts_are_safe() {
        assert_eq!(lines("a\tb\u{1b}[31m \r\nc\u{202e}d\0\n\n"), "a b[31m\ncd");
        assert_eq!(one_line(" a\r\n\u{202e}b  c ", 3), "a b");
        assert_eq!(one_line("été chaud", 4), "été");
    }

    proptest! {
        #[test]
        fn never_longer(text in "\\PC{0,40}[\\r\\n\\t\\x00-\\x20]{0,5}\\PC{0,40}", max in 0usize..50) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max && line.chars().all(shown));
            prop_assert!(lines(&text).chars().all(|c| c == '\n' || shown(c)));
            let _ = unflowed(&text, true);
        }
    }
}
