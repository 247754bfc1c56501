//! Integration notices: what the software of the receiver made of a document, told by code. ECO-RECEIPT; CI-SIS, *volet
//! Transmission au LPS d'un document CDA-R2 en courriel MSSanté*; `client.md` §2.7.
//!
//! Two tables of HL7: 900 to 906 are the French codes of the application (table 0533, `applicationErrorCondition`), the others
//! the technical ones (table 0357, `messageErrorCondition`). Notices carry them as `code^label^table| E^Error^errorSeverity`, in the
//! `Disposition` field until 2025, in an `Error` field since v1.1.3, and at the head of the subject in brackets; all are read.

use std::fmt;

use crate::subject;
use crate::text;

/// What stands before the subject of a notice of failure.
const PREFIX: &str = "[KO Intégration système !]";
/// Longest label kept, in characters.
const MAX_LABEL: usize = 200;

/// Why a document was not integrated, or that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

/// Code, French label, English label; in the order of the codes.
const CODES: [(u16, &str, &str); 18] = [
    (0, "Message accepté", "Message accepted"),
    (100, "Segments dans le désordre ou manquants", "Segment sequence error"),
    (101, "Champ requis manquant", "Required field missing"),
    (102, "Type de donnée incorrect", "Data type error"),
    (103, "Valeur absente de la table", "Table value not found"),
    (198, "Version HL7 non conforme", "Non-conformant HL7 version"),
    (199, "Type de message inattendu", "Unexpected message type"),
    (200, "Type de message non pris en charge", "Unsupported message type"),
    (201, "Événement non pris en charge", "Unsupported event code"),
    (202, "Environnement non pris en charge", "Unsupported processing id"),
    (203, "Version HL7 non prise en charge", "Unsupported version id"),
    (207, "Erreur interne de l'application", "Application internal error"),
    (
        900,
        "Version du document incorrecte pour un remplacement ou une suppression",
        "Wrong document version for a replacement or deletion",
    ),
    (
        901,
        "Auteur non autorisé à remplacer ou supprimer le document",
        "Author not allowed to replace or delete the document",
    ),
    (902, "Identifiant de patient inconnu", "Unknown patient identifier"),
    (903, "INS absente du document", "No INS in the document"),
    (904, "INS différente de celle du système récepteur", "INS differs from the receiver's"),
    (905, "INS incomplète", "Incomplete INS"),
];

impl Code {
    /// The document was integrated.
    pub const ACCEPTED: Code = Code(0);
    /// Wrong version of a document to be replaced or deleted.
    pub const WRONG_VERSION: Code = Code(900);
    /// The author may not replace or delete the document.
    pub const AUTHOR_NOT_ALLOWED: Code = Code(901);
    /// The receiver does not know the patient.
    pub const UNKNOWN_PATIENT: Code = Code(902);
    /// No INS in the document.
    pub const NO_INS: Code = Code(903);
    /// The INS or its traits differ from the receiver's.
    pub const INS_DIFFERS: Code = Code(904);
    /// The INS lacks one of its parts.
    pub const INS_INCOMPLETE: Code = Code(905);
    /// Anything else.
    pub const OTHER: Code = Code(906);

    /// The code of that number, when it is one of the tables'.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Code> {
        (number == 906 || CODES.iter().any(|(known, ..)| *known == number)).then_some(Code(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// Whether it says that all went well.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::ACCEPTED
    }

    /// Whether it is one of HL7's technical codes: the fault of a program, not of the document.
    #[must_use]
    pub fn is_technical(self) -> bool {
        self.0 < 900
    }

    /// What it means, in French.
    #[must_use]
    pub fn label(self) -> &'static str {
        CODES.iter().find(|(number, ..)| *number == self.0).map_or("Autre erreur", |(_, label, _)| label)
    }

    /// What it means, in English.
    #[must_use]
    pub fn label_english(self) -> &'static str {
        CODES.iter().find(|(number, ..)| *number == self.0).map_or("Other error", |(.., label)| label)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A code with the words the receiver gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationError {
    /// The code.
    pub code: Code,
    /// The receiver's own words; none when they are missing.
    pub label: Option<String>,
}

impl IntegrationError {
    /// An error with the words of its code.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self { code, label: None }
    }

    /// The words for people: the receiver's, else the code's in French.
    #[must_use]
    pub fn words(&self) -> &str {
        self.label.as_deref().unwrap_or_else(|| self.code.label())
    }

    /// Reads `902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity`, with or without `Error:`
    /// before it. `None` when no known code begins it. A number alone is a code; a code that is no success only.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let value = match value.split_once(':') {
            Some((head, rest)) if head.trim().eq_ignore_ascii_case("error") => rest.trim(),
            _ => value,
        };
        let digits = value.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = value.split_at(digits);
        let code = Code::from_number(number.parse().ok()?).filter(|code| !code.is_success())?;
        let label = match rest.trim_start().strip_prefix('^') {
            Some(rest) => rest.split(['^', '|']).next().unwrap_or_default(),
            None if rest.trim().is_empty() => "",
            // `9021`, `902nd`: no code.
            None => return None,
        };
        let label = text::cut(&text::one_line(label), MAX_LABEL);
        Some(Self { code, label: Some(label).filter(|l| !l.is_empty()) })
    }

    /// The value of an `Error` field, ASCII: accents are stripped, since RFC 8098 fields have no encoding for them.
    #[must_use]
    pub fn to_field(&self) -> String {
        let plain: String = text::strip_accents(&text::one_line(self.words()))
            .chars()
            .map(|c| if c.is_ascii_graphic() && !matches!(c, '^' | '|') || c == ' ' { c } else { '?' })
            .collect();
        let table = if self.code.is_technical() { "messageErrorCondition" } else { "applicationErrorCondition" };
        format!("{}^{}^{table}| E^Error^errorSeverity", self.code, text::cut(&plain, MAX_LABEL))
    }
}

/// The subject of a notice about a message of that subject: the same for a success, with prefix and code for a failure.
#[must_use]
pub fn subject_for(original: &str, error: Option<&IntegrationError>) -> String {
    let original = text::one_line(original);
    match error {
        None => original,
        Some(error) => format!("{PREFIX}[{}] {original}", error.code),
    }
}

/// The code at the head of the subject of a notice of failure, in any of the spellings seen: `[KO Intégration système !][902] …`,
/// `[Erreur d’intégration !][902] …`. `None` when it is not one.
#[must_use]
pub fn code_of_subject(subject: &str) -> Option<Code> {
    let (first, rest) = bracket(subject.trim_start())?;
    let plain = text::strip_accents(first).to_ascii_lowercase();
    if !(plain.contains("integration") && (plain.contains("ko") || plain.contains("erreur"))) {
        return None;
    }
    let (code, _) = bracket(rest.trim_start())?;
    Code::from_number(code.trim().parse().ok()?).filter(|code| !code.is_success())
}

/// The subject without what a notice of failure puts before it.
#[must_use]
pub fn without_prefix(subject: &str) -> &str {
    let subject = subject.trim_start();
    if code_of_subject(subject).is_none() {
        return subject;
    }
    // Two brackets, found just before.
    let rest = bracket(subject).and_then(|(_, rest)| bracket(rest.trim_start())).map_or(subject, |(_, rest)| rest);
    rest.trim_start()
}

/// Whether the subject is that of a mail with documents, whatever stands before it.
#[must_use]
pub fn is_about_documents(subject: &str) -> bool {
    subject::is_marked(subject)
}

fn bracket(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_formats_and_the_subject() {
        // ECO-RECEIPT; client.md §2.7
        for value in [
            "902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity",
            "Error: 902^Identifiant de patient inconnu^messageErrorCondition| E^Error^errorSeverity",
            " error :902 ^Identifiant de patient inconnu",
        ] {
            let read = IntegrationError::parse(value).expect(value);
            assert_eq!((read.code, read.words()), (Code::UNKNOWN_PATIENT, "Identifiant de patient inconnu"));
        }
        assert_eq!(IntegrationError::parse("904").map(|e| e.code), Some(Code::INS_DIFFERS));
        assert_eq!(IntegrationError::parse("906^").expect("a code").words(), "Autre erreur");
        for no in ["", "error", "0^ok", "9021^x", "902nd", "1000", "99999999999999", "^902"] {
            assert_eq!(IntegrationError::parse(no), None, "{no}");
        }
        let subject = "XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978";
        let failure = subject_for(subject, Some(&IntegrationError::of(Code::NO_INS)));
        assert_eq!(failure, "[KO Intégration système !][903] XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978");
        assert_eq!((code_of_subject(&failure), without_prefix(&failure)), (Some(Code::NO_INS), subject));
        assert_eq!(code_of_subject("[Erreur d’intégration !][902] XDM/1.0/DDM+x"), Some(Code::UNKNOWN_PATIENT));
        for no in
            ["[902] x", "[KO][902] x", "[Intégration][902]", "[KO Intégration][0] x", "Re: [KO Intégration][902] x"]
        {
            assert_eq!(code_of_subject(no), None, "{no}");
        }
        assert_eq!(subject_for(subject, None), subject);
    }

    #[test]
    fn fields_are_plain() {
        let error = IntegrationError { code: Code::OTHER, label: Some("é^a|b\r\nX: y→".into()) };
        assert_eq!(error.to_field(), "906^e?a?b X: y?^applicationErrorCondition| E^Error^errorSeverity");
        assert_eq!(IntegrationError::of(Code::from_number(207).expect("known")).to_field().matches('^').count(), 4);
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(Code::from_number(907), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\[KO Intégration!?\\]|\\[90[0-9]\\]|90[0-9]\\^|Error:|\\PC){0,6}") {
            let _ = IntegrationError::parse(&text);
            let rest = without_prefix(&text);
            prop_assert!(text.ends_with(rest));
        }

        #[test]
        fn fields_read_back(number in 900u16..907, label in "[A-Za-z ']{0,30}[a-z]") {
            let code = Code::from_number(number).expect("of the table");
            let label = crate::text::one_line(&label);
            let written = IntegrationError { code, label: Some(label) };
            prop_assert_eq!(IntegrationError::parse(&written.to_field()), Some(written));
        }
    }
}
