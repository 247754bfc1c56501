//! What of a subject stays the same through a conversation.

use mssante::{receipt, subject, text};

/// What mail programs and this library put before a subject, without accents and in lower case; each is followed by a colon.
const PREFIXES: [&str; 17] = [
    "re",
    "fw",
    "fwd",
    "tr",
    "rep",
    "aw",
    "wg",
    "lu",
    "non lu",
    "supprime",
    "traite",
    "transmis",
    "accuse de lecture",
    "read",
    "not read",
    "undeliverable",
    "non remis",
];
/// Prefixes taken off one subject.
const MAX_PREFIXES: usize = 20;

/// The subject without the mark of documents, `Re:`, `[KO Intégration système !][902]` and the like; accents and case folded. Equal for
/// a message and its answers.
#[must_use]
pub fn base_subject(subject: &str) -> String {
    stripped(subject).0
}

/// The subject to be shown for a conversation.
pub(super) fn shown(subject: &str) -> String {
    subject::for_display(&cut(subject).0).trim().to_owned()
}

/// The base subject, and whether something that says "answer" was before it.
pub(super) fn stripped(subject: &str) -> (String, bool) {
    let (rest, answers) = cut(subject);
    let shown = subject::for_display(&rest);
    (text::strip_accents(&text::one_line(&shown)).to_lowercase(), answers)
}

fn cut(subject: &str) -> (String, bool) {
    let line = text::one_line(subject);
    let mut rest = line.as_str();
    let mut answers = false;
    for _ in 0..MAX_PREFIXES {
        let before = rest.len();
        rest = receipt::without_prefix(rest);
        if let Some((head, after)) = rest.split_once(':') {
            // `Re[2]:`, `RE :`.
            let head = head.split('[').next().unwrap_or_default().trim();
            // The longest prefix has 17 letters; accents take two octets.
            if head.len() <= 40 {
                let plain = text::strip_accents(head).to_lowercase();
                if PREFIXES.contains(&plain.as_str()) {
                    rest = after.trim_start();
                }
            }
        }
        if rest.len() == before {
            break;
        }
        answers = true;
    }
    (rest.to_owned(), answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bases() {
        // ECO-LABEL
        for subject in [
            "XDM/1.0/DDM+CR d'examens VIAL Paul",
            "Re: XDM/1.0/DDM+CR d'examens VIAL Paul",
            "RE : Fwd: re[2]:  CR d'examens Vial  Paul",
            "[KO Intégration système !][902] XDM/1.0/DDM+CR d'examens VIAL Paul",
            "Lu : CR d'examens VIAL Paul",
            "Supprimé : [Erreur d’intégration !][903] CR d'examens VIAL Paul",
        ] {
            assert_eq!(base_subject(subject), "cr d'examens vial paul", "{subject}");
        }
        assert_eq!(base_subject("Note : réunion"), "note : reunion");
        assert_eq!(base_subject("Re:"), "");
        assert_eq!(shown("Re: XDM/1.0/DDM+CR VIAL"), "CR VIAL");
    }

    proptest! {
        #[test]
        fn stripping_ends(subject in "((re|Fwd|lu)( |\\[2\\])?:|\\[KO Intégration\\]|\\[902\\]|\\PC){0,30}") {
            let _ = stripped(&subject);
            let _ = shown(&subject);
        }
    }
}
