//! The base subject (RFC 5256 §2.1): a subject without the marks that replies and forwarding leave on it.

use mail::header::decode_words;

/// A subject stripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// What is left.
    pub(super) text: String,
    /// Whether something said that the message is a reply or was forwarded.
    pub(super) reply: bool,
}

/// The base subject of a header field as sent. Linear, whatever it holds.
pub(super) fn base(subject: &str) -> Base {
    // (1) Decoded, blanks made one.
    let mut text = String::with_capacity(subject.len());
    for word in decode_words(subject).split([' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    let mut rest = text.as_str();
    let mut reply = false;
    loop {
        // (2) Trailers.
        rest = rest.trim_end_matches(' ');
        while let Some(before) = strip_end(rest, "(fwd)") {
            rest = before.trim_end_matches(' ');
            reply = true;
        }
        // (3) to (5) Leaders and blobs.
        loop {
            rest = rest.trim_start_matches(' ');
            let after = after_blobs(rest);
            if let Some(stripped) = refwd(after) {
                rest = stripped;
                reply = true;
            } else {
                // No mark follows these blobs, so none of them begins a leader: they go one by one, but not the last of all.
                rest = if after.is_empty() { last_blob(rest) } else { after };
                break;
            }
        }
        // (6) A forwarded subject as a whole.
        match strip_start(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                rest = inner;
                reply = true;
            }
            None => return Base { text: rest.trim_matches(' ').to_owned(), reply },
        }
    }
}

/// `*subj-blob`: what follows.
fn after_blobs(mut text: &str) -> &str {
    while let Some(rest) = blob(text) {
        text = rest;
    }
    text
}

/// Of a text that is nothing but blobs, the last one.
fn last_blob(mut text: &str) -> &str {
    while let Some(rest) = blob(text).filter(|rest| !rest.is_empty()) {
        text = rest;
    }
    text
}

/// `"[" *BLOBCHAR "]" *WSP`: what follows.
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner[end..].strip_prefix(']').map(|rest| rest.trim_start_matches(' '))
}

/// `("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`: what follows.
fn refwd(text: &str) -> Option<&str> {
    ["re", "fwd", "fw"].iter().find_map(|mark| {
        let rest = strip_start(text, mark)?.trim_start_matches(' ');
        blob(rest).unwrap_or(rest).strip_prefix(':')
    })
}

fn strip_start<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(mark.len())?;
    start.eq_ignore_ascii_case(mark).then_some(rest)
}

fn strip_end<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (rest, end) = text.split_at_checked(text.len().checked_sub(mark.len())?)?;
    end.eq_ignore_ascii_case(mark).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_go() {
        for (subject, wanted, reply) in [
            ("plain", "plain", false),
            ("", "", false),
            ("Re: plain", "plain", true),
            ("RE : plain", "plain", true),
            ("re[4]: plain", "plain", true),
            ("Re [list] : plain", "plain", true),
            ("fw: Fwd: FWD: plain", "plain", true),
            ("[list] plain", "plain", false),
            ("[a] [b] Re: [c] plain", "plain", true),
            ("Re: [only]", "[only]", true),
            ("[a][only]", "[only]", false),
            ("plain (fwd) (FWD)  ", "plain", true),
            ("[Fwd: inner]", "inner", true),
            ("[fwd: Re: [x] inner (fwd)]", "inner", true),
            ("[Fwd: [fwd: deep]]", "deep", true),
            ("Re:", "", true),
            ("(fwd)", "", true),
            ("a \t  b", "a b", false),
            ("=?utf-8?q?Re:_R=C3=A9sultats?=", "Résultats", true),
            ("Reply: x", "Reply: x", false),
            ("Re x: y", "Re x: y", false),
            ("[unclosed Re: x", "[unclosed Re: x", false),
            ("réponse", "réponse", false),
            ("éé(fwd)", "éé", true),
        ] {
            assert_eq!(base(subject), Base { text: wanted.to_owned(), reply }, "{subject}");
        }
    }

    #[test]
    fn hostile_subjects_cost_little() {
        let began = std::time::Instant::now();
        for unit in ["[a]", "[fwd:", "re:", "(fwd)", "[", "]", "re[a]", " "] {
            let _ = base(&unit.repeat(200_000));
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    /// RFC 5256 §2.1 step by step, each step looking at the whole text again.
    fn naive(text: &str) -> String {
        let mut text = text.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        loop {
            loop {
                let lower = text.to_ascii_lowercase();
                if let Some(t) = text.strip_suffix(' ') {
                    text = t.to_owned();
                } else if lower.ends_with("(fwd)") {
                    text.truncate(text.len() - 5);
                } else {
                    break;
                }
            }
            loop {
                if let Some(t) = text.strip_prefix(' ') {
                    text = t.to_owned();
                    continue;
                }
                // subj-leader: every number of blobs, then the mark.
                let mut at = Some(text.as_str());
                let mut led = None;
                while let Some(here) = at {
                    led = led.or_else(|| refwd(here).map(str::to_owned));
                    at = blob(here);
                }
                if let Some(after) = led {
                    text = after;
                    continue;
                }
                match blob(&text) {
                    Some(after) if !after.is_empty() => text = after.to_owned(),
                    _ => break,
                }
            }
            let lower = text.to_ascii_lowercase();
            if lower.starts_with("[fwd:") && lower.ends_with(']') && text.len() > 5 {
                text = text[5..text.len() - 1].to_owned();
            } else {
                return text;
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_steps(parts in proptest::collection::vec(
            proptest::sample::select(vec!["re", "fw", "fwd", ":", "[", "]", "(fwd)", "[fwd:", " ", "a", "é"]), 0..14)) {
            let subject = parts.concat();
            prop_assert_eq!(base(&subject).text, naive(&subject), "{}", subject);
        }
    }
}
