//! Texts as they are compared: words of letters and digits, without case or accents.
//!
//! Invariant: [`words`] of a word it gave is that word alone.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text in lower case without accents; ligatures and widths undone. What is no letter or digit becomes a space.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut space = true;
    let mut push = |c: char| {
        if c.is_alphanumeric() {
            folded.push(c);
            space = false;
        } else if !space {
            folded.push(' ');
            space = true;
        }
    };
    if text.is_ascii() {
        text.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        for c in text.chars().flat_map(char::to_lowercase).nfkd().flat_map(char::to_lowercase).nfkd() {
            match c {
                'œ' => "oe".chars().for_each(&mut push),
                'æ' => "ae".chars().for_each(&mut push),
                'ß' => "ss".chars().for_each(&mut push),
                'ø' => push('o'),
                'ł' => push('l'),
                'đ' | 'ð' => push('d'),
                'ı' => push('i'),
                c if is_combining_mark(c) || is_invisible(c) => {}
                c => push(c),
            }
        }
    }
    if space {
        folded.pop();
    }
    folded
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The words of a text.
pub(crate) fn words(text: &str) -> Vec<String> {
    fold(text).split_ascii_whitespace().map(str::to_owned).collect()
}

/// The words of a commune, `ST` and `STE` in full: files write `ST ETIENNE CEDEX 2`, people `Saint-Étienne`. Neither the
/// postal code before nor the CEDEX after is one of them.
pub(crate) fn city_words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in words(text) {
        match word.as_str() {
            "cedex" => break,
            "st" => found.push("saint".to_owned()),
            "ste" => found.push("sainte".to_owned()),
            word if word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit()) => {}
            _ => found.push(word),
        }
    }
    found
}

/// Whether each word sought begins one of those had.
pub(crate) fn all_begin(sought: &[String], had: &[String]) -> bool {
    sought.iter().all(|word| had.iter().any(|other| other.starts_with(word.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn french() {
        assert_eq!(fold("  L’Hôpital  Saint-Éloi – CŒUR "), "l hopital saint eloi coeur");
        assert_eq!(words("Jean-Pierre N'GUYỄN"), ["jean", "pierre", "n", "guyen"]);
        assert_eq!(city_words("42055 ST ETIENNE CEDEX 2"), ["saint", "etienne"]);
        assert_eq!(city_words("Sainte-Foy"), city_words("STE FOY"));
        assert_eq!(fold("e\u{301}"), fold("é"));
    }

    #[test]
    fn beginnings() {
        let had = words("DE LA TOUR");
        assert!(all_begin(&words("tou"), &had) && all_begin(&words("la tour"), &had) && all_begin(&[], &had));
        assert!(!all_begin(&words("our"), &had));
    }

    proptest! {
        #[test]
        fn a_word_is_its_own_word(text in "\\PC{0,30}") {
            for word in words(&text) {
                prop_assert_eq!(words(&word), vec![word]);
            }
        }
    }
}
