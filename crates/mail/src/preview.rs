//! The first words of a message, as a list of messages shows them (PREVIEW, RFC 8970): text of the first part that is meant to
//! be read, blanks collapsed, HTML made text.
//!
//! Invariants: never more than [`MAX_CHARS`] characters; no control character; no input is an error. It shows words to a person
//! and decides nothing: what a browser would hide is not looked for.

use crate::header::{Transfer, TransferDecoder, decode_charset};
use crate::mime::{Content, Part};

/// RFC 8970 §3.1: 200 characters.
pub const MAX_CHARS: usize = 200;
/// Octets of a part worth reading for those characters: style sheets come first in many HTML mails.
pub const MAX_OCTETS: u64 = 32 * 1024;
/// Parts looked through for a readable one.
const MAX_PARTS: usize = 200;

/// The part to preview: the first text that is no attachment, plain rather than HTML where they are alternatives.
pub fn readable(root: &Part) -> Option<&Part> {
    find(root, &mut MAX_PARTS.clone())
}

fn find<'p>(part: &'p Part, left: &mut usize) -> Option<&'p Part> {
    *left = left.checked_sub(1)?;
    match &part.content {
        Content::Leaf => {
            let attached = part.disposition.as_ref().is_some_and(|d| d.kind.eq_ignore_ascii_case("attachment"));
            let text = part.is("text", "plain") || part.is("text", "html");
            (text && !attached && part.size() > 0).then_some(part)
        }
        Content::Multipart(children) => {
            if part.is("multipart", "alternative")
                && let Some(plain) =
                    children.iter().find(|child| child.is("text", "plain") && find(child, left).is_some())
            {
                return Some(plain);
            }
            children.iter().find_map(|child| find(child, left))
        }
        Content::Message(inner) => find(&inner.root, left),
    }
}

/// The preview of a part ([`readable`]) from its first octets, as they lie in the message.
pub fn of_part(part: &Part, octets: &[u8]) -> String {
    let Some(transfer) = Transfer::from_name(&part.encoding) else { return String::new() };
    let mut decoded = Vec::new();
    let mut decoder = TransferDecoder::new(transfer);
    decoder.push(octets, &mut decoded);
    decoder.finish(&mut decoded);
    // What declares nothing, or ASCII and is not, is UTF-8 nowadays; ASCII is the same in both.
    let declared = part.param("charset").filter(|c| !c.eq_ignore_ascii_case("us-ascii"));
    let charset = declared.unwrap_or_else(|| "utf-8".into());
    let text = decode_charset(&charset, &decoded).unwrap_or_else(|| String::from_utf8_lossy(&decoded).into_owned());
    if part.is("text", "html") { of_html(&text) } else { of_text(&text) }
}

/// The preview of plain text.
pub fn of_text(text: &str) -> String {
    let mut words = Words::default();
    for c in text.chars() {
        if !words.push(c) {
            break;
        }
    }
    words.text
}

/// The preview of HTML: tags are blanks, what is not shown is left out, entities are characters.
pub fn of_html(html: &str) -> String {
    let mut words = Words::default();
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        if c == '<' {
            let (tag, after) = tag(rest);
            rest = after;
            let name = tag.to_ascii_lowercase();
            if matches!(name.as_str(), "style" | "script" | "head" | "title") {
                rest = after_end(rest, &name);
            }
            // Words do not end at bold or italic.
            let inline =
                matches!(name.trim_start_matches('/'), "b" | "i" | "u" | "em" | "strong" | "span" | "font" | "a");
            if !inline {
                words.push(' ');
            }
            continue;
        }
        let (c, length) = if c == '&' { entity(rest) } else { (c, c.len_utf8()) };
        rest = &rest[length..];
        if !words.push(c) {
            break;
        }
    }
    words.text
}

/// Text with its blanks collapsed, as it grows.
#[derive(Default)]
struct Words {
    text: String,
    chars: usize,
    blank: bool,
}

impl Words {
    /// `false` when it is full.
    fn push(&mut self, c: char) -> bool {
        if c.is_whitespace() || c.is_control() {
            self.blank = self.chars > 0;
            return true;
        }
        // Zero-width characters, with which some mails fill their preview.
        if matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{34f}') {
            return true;
        }
        let needed = 1 + usize::from(self.blank);
        if self.chars + needed > MAX_CHARS {
            return false;
        }
        if std::mem::take(&mut self.blank) {
            self.text.push(' ');
        }
        self.text.push(c);
        self.chars += needed;
        self.chars < MAX_CHARS
    }
}

/// The name of the tag that begins here, and what follows the tag.
fn tag(html: &str) -> (&str, &str) {
    if let Some(comment) = html.strip_prefix("<!--") {
        return ("!", comment.split_once("-->").map_or("", |(_, after)| after));
    }
    let inner = &html[1..];
    let end = inner.find('>').unwrap_or(inner.len());
    let name = &inner[..end];
    let name = name.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
    let name = if name.len() > 1 { name.trim_end_matches('/') } else { name };
    (name, inner.get(end + 1..).unwrap_or_default())
}

/// What follows the end tag of an element.
fn after_end<'h>(html: &'h str, name: &str) -> &'h str {
    let mut rest = html;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

/// The character an entity stands for and its length; `&` itself when it is none.
fn entity(text: &str) -> (char, usize) {
    /// Names worth knowing in French mail; others are shown as they are.
    const NAMES: [(&str, char); 42] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", ' '),
        ("eacute", 'é'),
        ("egrave", 'è'),
        ("ecirc", 'ê'),
        ("euml", 'ë'),
        ("agrave", 'à'),
        ("acirc", 'â'),
        ("ccedil", 'ç'),
        ("icirc", 'î'),
        ("iuml", 'ï'),
        ("ocirc", 'ô'),
        ("ouml", 'ö'),
        ("ugrave", 'ù'),
        ("ucirc", 'û'),
        ("uuml", 'ü'),
        ("oelig", 'œ'),
        ("aelig", 'æ'),
        ("Eacute", 'É'),
        ("Egrave", 'È'),
        ("Ecirc", 'Ê'),
        ("Agrave", 'À'),
        ("Ccedil", 'Ç'),
        ("laquo", '«'),
        ("raquo", '»'),
        ("rsquo", '’'),
        ("lsquo", '‘'),
        ("ldquo", '“'),
        ("rdquo", '”'),
        ("hellip", '…'),
        ("ndash", '–'),
        ("mdash", '—'),
        ("deg", '°'),
        ("euro", '€'),
        ("copy", '©'),
        ("zwnj", '\u{200c}'),
        ("shy", '\u{ad}'),
        ("middot", '·'),
    ];
    /// Longest name or number, `&` and `;` not counted.
    const LONGEST: usize = 10;
    let Some(end) = text.bytes().take(LONGEST + 2).position(|b| b == b';') else { return ('&', 1) };
    let name = &text[1..end];
    let number = name.strip_prefix('#').and_then(|n| match n.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => n.parse().ok(),
    });
    let found = number.and_then(char::from_u32).or_else(|| NAMES.iter().find(|(n, _)| *n == name).map(|(_, c)| *c));
    found.map_or(('&', 1), |c| (c, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mime::Structure;

    fn preview(message: &str) -> String {
        let message = message.replace('\n', "\r\n");
        let structure = Structure::of(message.as_bytes());
        let Some(part) = readable(&structure.root) else { return "-".into() };
        of_part(part, &message.as_bytes()[part.body.start as usize..part.body.end as usize])
    }

    #[test]
    fn parts() {
        assert_eq!(
            preview("Subject: x\n\n\n Bonjour,\n\n  le résultat\t est joint.\n"),
            "Bonjour, le résultat est joint."
        );
        assert_eq!(preview("Content-Type: application/pdf\n\nx"), "-");
        assert_eq!(preview("Subject: empty\n\n"), "-");
        let alternative = "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>html</p>\n--b\nContent-Type: text/plain\n\nplain\n--b--\n";
        assert_eq!(preview(alternative), "plain");
        let mss = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nCompte rendu de l=E9tablissement\n--b\nContent-Type: application/zip\n\nUEs=\n--b--\n";
        assert_eq!(preview(mss), "Compte rendu de létablissement");
        let attached = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nlog\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--b--\n";
        assert_eq!(preview(attached), "inner text");
        assert_eq!(preview("Content-Transfer-Encoding: x-uuencode\n\nwhatever"), "");
    }

    #[test]
    fn html() {
        let html = "<!DOCTYPE html><html><HEAD><title>no</title><style>p { color: red }</style></head><body><!-- no > --><p>Bon<b>jour</b>&nbsp;&eacute;t&#233;</p><script>if (a < b) x()</script><p>R&amp;D &inconnu; a < b</p>";
        assert_eq!(of_html(html), "Bonjour été R&D &inconnu; a");
        assert_eq!(of_html("<p"), "");
        assert_eq!(of_html("<style>never ends"), "");
        assert_eq!(of_html("a<br/>b"), "a b");
    }

    #[test]
    fn characters_are_counted() {
        let long = "é".repeat(500);
        assert_eq!(of_text(&long).chars().count(), MAX_CHARS);
        assert_eq!(of_text(&"ab ".repeat(300)).chars().count(), 200);
        assert_eq!(of_text("a\u{0}b\u{200b}c"), "a bc");
    }

    proptest! {
        #[test]
        fn never_too_long(text in any::<String>(), html in "[<>a-c/!&#;x0-9 é-]{0,300}") {
            prop_assert!(of_text(&text).chars().count() <= MAX_CHARS);
            prop_assert!(of_html(&html).chars().count() <= MAX_CHARS);
        }
    }
}
