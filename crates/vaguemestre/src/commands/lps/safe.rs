//! What mail holds never reaches the terminal as it is: no control character moves the cursor, renames the window or hides a line, and no
//! direction mark makes an address read as another (ECO-ERR; CVE-2021-42574 and its like).

/// What stands for a character that is not shown.
const HIDDEN: char = '\u{fffd}';

/// Whether a terminal could do anything else with it than show it.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line: line ends and tabs are blanks.
pub fn line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if acts(c) => HIDDEN,
            c => c,
        })
        .collect()
}

/// Several lines, ended by LF.
pub fn text(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| match c {
            '\n' => '\n',
            '\t' => ' ',
            c if acts(c) => HIDDEN,
            c => c,
        })
        .collect()
}

/// JSON whose strings hold escapes in place of what a terminal would act upon; the same document. `serde_json` writes such characters
/// nowhere but in strings, and escapes those below U+0020 itself.
pub fn json(document: &str) -> String {
    let mut clean = String::with_capacity(document.len());
    for c in document.chars() {
        if c != '\n' && acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

/// How many columns a clean line takes, near enough: combining marks take none.
pub fn width(line: &str) -> usize {
    line.chars().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).count()
}

/// A clean line cut to so many columns, with an ellipsis.
pub fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut kept = String::new();
    for c in line.chars() {
        if width(&kept) + 1 >= columns {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\r\nc\td\u{9b}31m\u{202e}e\0"), "a\u{fffd}[2Jb  c d\u{fffd}31m\u{fffd}e\u{fffd}");
        assert_eq!(text("un\r\ndeux\rtrois\u{7}\n"), "un\ndeux\u{fffd}trois\u{fffd}\n");
        assert_eq!(line("CR d'anesthésie – 5 µg ≤ 6 €"), "CR d'anesthésie – 5 µg ≤ 6 €");
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({"a": "\u{9b}31m \u{202e} \u{e0041} é \u{1b}[0m\u{7f}"});
        let clean = json(&serde_json::to_string_pretty(&value).expect("text"));
        assert!(clean.chars().all(|c| c == '\n' || !acts(c)), "{clean:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).expect("JSON"), value);
    }

    #[test]
    fn cut_to_fit() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(width("e\u{301}té"), 3);
    }
}
