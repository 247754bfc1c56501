//! Texts as they are compared: case, accents, ligatures, widths, quotes, dashes and blanks folded.
//!
//! Invariants, which everything that searches stands on:
//! * folding is idempotent, and works character by character: a text folded in pieces by one [`Folder`] gives what it gives whole;
//! * composed and decomposed forms (NFC, NFD) fold the same; a combining mark alone disappears;
//! * a folded text holds no blank but the space, never two in a row, and so never a line feed: [`BOUNDARY`] can stand
//!   between texts that are searched one by one, and nothing is found across it.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Stands between texts that nothing is found across; in no folded text.
pub const BOUNDARY: char = '\n';

/// The text as it is compared.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    Folder::default().push(text, &mut folded);
    folded
}

/// Folds a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The last character given was a space.
    space: bool,
}

impl Folder {
    /// Folds the next piece and adds it to `out`.
    pub fn push(&mut self, text: &str, out: &mut String) {
        out.reserve(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let ascii = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
            let (head, tail) = rest.split_at(ascii);
            self.ascii(head, out);
            let other = tail.bytes().position(|b| b.is_ascii()).unwrap_or(tail.len());
            let (head, tail) = tail.split_at(other);
            for c in head.chars() {
                self.other(c, out);
            }
            rest = tail;
        }
    }

    fn ascii(&mut self, text: &str, out: &mut String) {
        let mut start = 0;
        for (at, b) in text.bytes().enumerate() {
            // Vertical tab and form feed among them.
            if b == b' ' || (9..=13).contains(&b) {
                if at > start {
                    lower(&text[start..at], out);
                    self.space = false;
                }
                start = at + 1;
                self.blank(out);
            }
        }
        if start < text.len() {
            lower(&text[start..], out);
            self.space = false;
        }
    }

    fn blank(&mut self, out: &mut String) {
        if !self.space {
            out.push(' ');
            self.space = true;
        }
    }

    fn one(&mut self, c: char, out: &mut String) {
        if c.is_whitespace() {
            self.blank(out);
        } else {
            out.push(c);
            self.space = false;
        }
    }

    fn other(&mut self, c: char, out: &mut String) {
        // The accents of French, without a table.
        let quick = match c {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'À' | 'Á' | 'Â' | 'Ã' | 'Ä' | 'Å' => "a",
            'ç' | 'Ç' => "c",
            'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' => "e",
            'ì' | 'í' | 'î' | 'ï' | 'Ì' | 'Í' | 'Î' | 'Ï' => "i",
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' => "o",
            'ù' | 'ú' | 'û' | 'ü' | 'Ù' | 'Ú' | 'Û' | 'Ü' => "u",
            'œ' | 'Œ' => "oe",
            '’' | '‘' => "'",
            '\u{a0}' => return self.blank(out),
            _ => {
                for c in c.to_lowercase().nfkd() {
                    for c in c.to_lowercase() {
                        // A lower case letter may decompose again, and has no upper case left.
                        for c in std::iter::once(c).nfkd() {
                            self.plain(c, out);
                        }
                    }
                }
                return;
            }
        };
        out.push_str(quick);
        self.space = false;
    }

    /// A character of a decomposition, in lower case.
    fn plain(&mut self, c: char, out: &mut String) {
        let replaced = match c {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'þ' => "th",
            'ı' => "i",
            'ς' => "σ",
            // Quotes and dashes that programs put where people type plain ones.
            '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' => "'",
            '“' | '”' | '„' | '«' | '»' | '″' => "\"",
            '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
            // Invisible: soft hyphen, zero width, direction marks, byte order mark.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
                return;
            }
            c if is_combining_mark(c) => return,
            c => return self.one(c, out),
        };
        out.push_str(replaced);
        self.space = false;
    }
}

fn lower(ascii: &str, out: &mut String) {
    let from = out.len();
    out.push_str(ascii);
    out[from..].make_ascii_lowercase();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn french_and_others() {
        for (text, folded) in [
            ("Hôpital de l’Été", "hopital de l'ete"),
            ("CŒUR", "coeur"),
            ("œdème", "oedeme"),
            ("Straße ẞ", "strasse ss"),
            ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
            ("ﬁn ℡ ½ …", "fin tel 1⁄2 ..."),
            ("İstanbul ILGIN ı", "istanbul ilgin i"),
            ("ΟΔΟΣ ὀδός", "οδοσ οδοσ"),
            ("a\r\n\t b\u{a0}\u{202f}c", "a b c"),
            ("dis\u{ad}tance", "distance"),
            ("\u{301}", ""),
            ("«\u{a0}12–14\u{a0}»", "\" 12-14 \""),
            ("", ""),
            ("  ", " "),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    fn is_nfc(c: char) -> bool {
        unicode_normalization::is_nfc_quick(std::iter::once(c)) == unicode_normalization::IsNormalized::Yes
    }

    fn is_nfd(c: char) -> bool {
        unicode_normalization::is_nfd_quick(std::iter::once(c)) == unicode_normalization::IsNormalized::Yes
    }

    #[test]
    fn every_character_folds_once_and_for_all() {
        for c in '\0'..=char::MAX {
            let once = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{c:?} U+{:04X}", u32::from(c));
            assert!(!once.contains(|c: char| c.is_whitespace() && c != ' '), "{c:?}");
            // Few have other forms; U+1FEF is a plain grave accent composed.
            if !is_nfc(c) || !is_nfd(c) {
                for form in [std::iter::once(c).nfc().collect::<String>(), std::iter::once(c).nfd().collect()] {
                    assert_eq!(fold(&form), once, "{c:?} U+{:04X}, {form:?}", u32::from(c));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn idempotent_and_the_same_however_composed(text in "\\PC{0,40}", french in "[a-zéÈœ\u{301}\u{327} \r\n]{0,20}") {
            for text in [text, french] {
                let folded = fold(&text);
                prop_assert_eq!(&fold(&folded), &folded);
                prop_assert!(!folded.contains(BOUNDARY) && !folded.contains("  "));
                prop_assert_eq!(&fold(&text.nfc().collect::<String>()), &folded);
                prop_assert_eq!(&fold(&text.nfd().collect::<String>()), &folded);
            }
        }

        #[test]
        fn pieces_do_not_matter(pieces in proptest::collection::vec("[aÉ\u{301} \r\nœ]{0,5}", 0..6)) {
            let (mut folder, mut out) = (Folder::default(), String::new());
            for piece in &pieces {
                folder.push(piece, &mut out);
            }
            prop_assert_eq!(out, fold(&pieces.concat()));
        }
    }
}
