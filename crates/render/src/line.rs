//! White space as a browser shows it: in lines of inline content, and in texts that stand on one line.

use crate::model::Inline;

/// The words of a text, one blank between two.
pub(crate) fn one_line(text: &str) -> String {
    text.split([' ', '\n', '\t', '\r']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A line with its blanks as a browser shows them: runs of white space are one, none at the ends nor around a new line. Empty when
/// nothing is left to see.
pub(crate) fn tidy(line: Vec<Inline>) -> Vec<Inline> {
    let mut out = Vec::with_capacity(line.len());
    let mut blank = true;
    squeeze(line, &mut out, &mut blank);
    trim_end(&mut out);
    let seen = |inline: &Inline| !matches!(inline, Inline::Break);
    if out.iter().any(seen) { out } else { Vec::new() }
}

fn squeeze(line: Vec<Inline>, out: &mut Vec<Inline>, blank: &mut bool) {
    for inline in line {
        match inline {
            Inline::Text(text, style) => {
                let mut squeezed = String::with_capacity(text.len());
                for c in text.chars() {
                    let white = matches!(c, ' ' | '\n' | '\t' | '\r');
                    if !(white && *blank) {
                        squeezed.push(if white { ' ' } else { c });
                    }
                    *blank = white;
                }
                match out.last_mut() {
                    _ if squeezed.is_empty() => {}
                    Some(Inline::Text(before, same)) if *same == style => before.push_str(&squeezed),
                    _ => out.push(Inline::Text(squeezed, style)),
                }
            }
            Inline::Break => {
                trim_end(out);
                out.push(Inline::Break);
                *blank = true;
            }
            Inline::Link(rank, inner) => {
                let mut within = Vec::with_capacity(inner.len());
                squeeze(inner, &mut within, blank);
                out.push(Inline::Link(rank, within));
            }
            Inline::Anchor(_) => out.push(inline),
            Inline::Note(_) | Inline::Picture(_) => {
                *blank = false;
                out.push(inline);
            }
        }
    }
}

/// Takes the last blank off, and what it leaves empty.
fn trim_end(line: &mut Vec<Inline>) {
    while let Some(Inline::Text(text, _)) = line.last_mut() {
        text.truncate(text.trim_end_matches(' ').len());
        if !text.is_empty() {
            return;
        }
        line.pop();
    }
}
