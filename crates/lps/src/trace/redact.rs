//! The last look at what goes into a trace: whoever calls leaves content and secrets out, and a server's answer may still echo a
//! patient's address or a token. ECO.4.1.2, ECO.1.2.5

use mssante::PATIENT_DOMAIN;

/// What stands for what is left out.
const LEFT_OUT: char = '…';
/// How every JSON Web Token begins: `{"` in base64url.
const TOKEN: &str = "eyJ";
/// A run of token characters shorter than this that begins as a token does is a word.
const SHORTEST_TOKEN: usize = 20;

/// `text` without patients' matricules, tokens and control characters, at most `longest` characters.
pub(super) fn redact(text: &str, longest: usize) -> String {
    let text = without_tokens(&without_patients(text));
    let mut kept = String::with_capacity(text.len().min(longest * 4));
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            kept.pop();
            kept.push(LEFT_OUT);
            break;
        }
        kept.push(if c.is_control() { ' ' } else { c });
    }
    kept
}

/// `…@patient.mssante.fr` for every patient's address.
fn without_patients(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mark = format!("@{PATIENT_DOMAIN}");
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = lower[from..].find(&mark) {
        let at = from + found;
        kept.push_str(text[from..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric()));
        kept.push(LEFT_OUT);
        kept.push_str(&text[at..at + mark.len()]);
        from = at + mark.len();
    }
    kept.push_str(&text[from..]);
    kept
}

/// Every JSON Web Token made `…`.
fn without_tokens(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN) {
        let length = rest[at..].find(|c| !of_token(c)).unwrap_or(rest.len() - at);
        kept.push_str(&rest[..at]);
        if length >= SHORTEST_TOKEN {
            kept.push(LEFT_OUT);
        } else {
            kept.push_str(&rest[at..at + length]);
        }
        rest = &rest[at + length..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_and_tokens_stay_out() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        let text =
            format!("550 5.1.1 <255069999999934@patient.mssante.fr>, <A@Patient.MSSante.fr> unknown; Bearer {token}!");
        assert_eq!(redact(&text, 200), "550 5.1.1 <…@patient.mssante.fr>, <…@Patient.MSSante.fr> unknown; Bearer …!");
        assert_eq!(redact("eyJa b\r\nc\u{1b}[0m", 200), "eyJa b  c [0m");
    }

    proptest::proptest! {
        #[test]
        fn never_longer_never_a_control(text in ".*", longest in 1usize..50) {
            let kept = redact(&text, longest);
            proptest::prop_assert!(kept.chars().count() <= longest);
            proptest::prop_assert!(!kept.chars().any(char::is_control));
        }

        #[test]
        fn no_matricule_survives(before in "[ -~é]{0,20}", ins in "[0-9AB]{15}", after in "[ -~é]{0,20}") {
            let kept = redact(&format!("{before} {ins}@patient.mssante.fr {after}"), 200);
            let address = format!("{ins}@");
            proptest::prop_assert!(!kept.contains(&address));
        }
    }
}
