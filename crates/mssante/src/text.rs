//! Small text rules shared by subjects, labels and file names: accents, control characters, cuts.

/// The letters without their accents: `é` gives `e`, `Œ` gives `OE`. Latin letters of the French and
/// neighbouring alphabets; combining marks disappear; typographic apostrophes and dashes become plain;
/// anything else stays as it is.
pub fn strip_accents(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => plain.push('A'),
            'à'..='å' | 'ā' | 'ă' | 'ą' => plain.push('a'),
            'Æ' => plain.push_str("AE"),
            'æ' => plain.push_str("ae"),
            'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => plain.push('C'),
            'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => plain.push('c'),
            'Ď' | 'Đ' | 'Ð' => plain.push('D'),
            'ď' | 'đ' | 'ð' => plain.push('d'),
            'È'..='Ë' | 'Ē' | 'Ė' | 'Ę' | 'Ě' => plain.push('E'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => plain.push('e'),
            'Ğ' | 'Ģ' => plain.push('G'),
            'ğ' | 'ģ' => plain.push('g'),
            'Ì'..='Ï' | 'Ī' | 'Į' | 'İ' => plain.push('I'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => plain.push('i'),
            'Ł' | 'Ľ' | 'Ĺ' => plain.push('L'),
            'ł' | 'ľ' | 'ĺ' => plain.push('l'),
            'Ñ' | 'Ń' | 'Ň' => plain.push('N'),
            'ñ' | 'ń' | 'ň' => plain.push('n'),
            'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ő' => plain.push('O'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => plain.push('o'),
            'Œ' => plain.push_str("OE"),
            'œ' => plain.push_str("oe"),
            'Ŕ' | 'Ř' => plain.push('R'),
            'ŕ' | 'ř' => plain.push('r'),
            'Ś' | 'Ş' | 'Š' | 'Ș' => plain.push('S'),
            'ś' | 'ş' | 'š' | 'ș' => plain.push('s'),
            'ß' => plain.push_str("ss"),
            'Ţ' | 'Ť' | 'Ț' => plain.push('T'),
            'ţ' | 'ť' | 'ț' => plain.push('t'),
            'Ù'..='Ü' | 'Ū' | 'Ů' | 'Ű' => plain.push('U'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => plain.push('u'),
            'Ý' | 'Ÿ' => plain.push('Y'),
            'ý' | 'ÿ' => plain.push('y'),
            'Ź' | 'Ż' | 'Ž' => plain.push('Z'),
            'ź' | 'ż' | 'ž' => plain.push('z'),
            '\u{2018}' | '\u{2019}' | '\u{02BC}' => plain.push('\''),
            '\u{2010}'..='\u{2015}' => plain.push('-'),
            '\u{0300}'..='\u{036F}' => {}
            other => plain.push(other),
        }
    }
    plain
}

/// One line: control characters (line ends above all, against header injection), invisible direction
/// marks and runs of blanks become one space, ends trimmed.
pub fn one_line(text: &str) -> String {
    let blank = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
    };
    text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The first `max` characters (not bytes), without a blank left at the cut.
pub fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accents_and_lines() {
        assert_eq!(strip_accents("Œdème à l’Hôtel-Dieu, e\u{301}té, ÿ"), "OEdeme a l'Hotel-Dieu, ete, y");
        assert_eq!(one_line("  a\r\n\tb\u{202E}c  "), "a b c");
        assert_eq!(cut("été chaud", 4), "été");
    }

    proptest! {
        #[test]
        fn a_line_has_no_control(text in "\\PC*[\\r\\n\\t\\x00-\\x1f]*\\PC*") {
            prop_assert!(!one_line(&text).chars().any(char::is_control));
        }

        #[test]
        fn a_cut_never_exceeds(text in "\\PC{0,60}", max in 0usize..60) {
            prop_assert!(cut(&text, max).chars().count() <= max);
        }
    }
}
