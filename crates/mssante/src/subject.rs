//! The subject of a mail that carries health documents. ECO-DOC (ECO.2.1.3), ECO-LABEL (ECO.3.1.3);
//! `client.md` §2.3: `XDM/1.0/DDM+<libellé> <NOM> <prénom> <date de naissance>`.
//!
//! The libellé is the display name of the single document's type cut to 40 characters, or
//! `N documents`. The examples of the referential also write the libellé without accents, so the whole
//! subject is plain ASCII for French names.

use time::Date;

use crate::cda::CdaHeader;
use crate::text;

/// What marks a mail of the CI-SIS; `+` separates it from what is shown.
const MARKER: &str = "XDM/1.0/DDM";

/// Longest document label, in characters.
pub const MAX_LABEL: usize = 40;

/// Longest name kept, in characters: a subject is one line, and names come from foreign documents.
const MAX_NAME: usize = 100;

/// Why a subject cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no document to name.
    #[error("no document: the subject convention is for mails that carry at least one")]
    NoDocument,
    /// The type of the single document has no display name.
    #[error("the document's type has no display name")]
    NoLabel,
    /// The patient's birth name or first name is missing; both are compulsory.
    #[error("the patient's birth name and first name are compulsory in the subject")]
    NoName,
    /// The documents are not all about the same patient (ECO.2.1.1).
    #[error("a mail carries documents of one patient only")]
    SeveralPatients,
}

/// Composes the subject from its parts: the label is cut, accents are stripped, the birth name is
/// written in capitals, the birth date as `JJ/MM/AAAA` when known.
///
/// # Errors
/// [`SubjectError::NoLabel`] or [`SubjectError::NoName`] when a compulsory part is blank.
pub fn compose(label: &str, birth_name: &str, first_name: &str, birth: Option<Date>) -> Result<String, SubjectError> {
    let label = text::cut(&text::strip_accents(&text::one_line(label)), MAX_LABEL);
    let name = |raw: &str| text::cut(&text::strip_accents(&text::one_line(raw)), MAX_NAME);
    let (birth_name, first_name) = (name(birth_name).to_uppercase(), name(first_name));
    if label.is_empty() {
        return Err(SubjectError::NoLabel);
    }
    if birth_name.is_empty() || first_name.is_empty() {
        return Err(SubjectError::NoName);
    }
    let mut subject = format!("{MARKER}+{label} {birth_name} {first_name}");
    if let Some(date) = birth {
        subject.push_str(&format!(" {:02}/{:02}/{:04}", date.day(), u8::from(date.month()), date.year()));
    }
    Ok(subject)
}

/// The subject of a mail carrying these documents.
///
/// # Errors
/// See [`SubjectError`].
pub fn for_documents(documents: &[CdaHeader]) -> Result<String, SubjectError> {
    let first = documents.first().ok_or(SubjectError::NoDocument)?;
    if documents.iter().any(|d| !d.patient.is_same_as(&first.patient)) {
        return Err(SubjectError::SeveralPatients);
    }
    let label = match documents {
        [only] => only.code.display_name.clone().ok_or(SubjectError::NoLabel)?,
        several => format!("{} documents", several.len()),
    };
    let patient = &first.patient;
    let birth_name = patient.birth_name.as_deref().ok_or(SubjectError::NoName)?;
    let first_name = patient.first_name.as_deref().ok_or(SubjectError::NoName)?;
    compose(&label, birth_name, first_name, patient.birth_date)
}

/// Whether the subject carries the marker of a mail with CI-SIS documents. Replies, forwards and
/// receipts put a prefix before it, so it is looked for anywhere.
#[must_use]
pub fn is_marked(subject: &str) -> bool {
    find(subject).is_some()
}

/// The subject as people see it: without the marker.
#[must_use]
pub fn for_display(subject: &str) -> String {
    match find(subject) {
        None => subject.to_owned(),
        Some(at) => {
            let rest = &subject[at + MARKER.len()..];
            format!("{}{}", &subject[..at], rest.strip_prefix('+').unwrap_or(rest))
        }
    }
}

/// Where the marker begins, in any case of letters.
fn find(subject: &str) -> Option<usize> {
    subject.as_bytes().windows(MARKER.len()).position(|w| w.eq_ignore_ascii_case(MARKER.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::date;

    #[test]
    fn vectors_of_the_reference() {
        // ECO-DOC; client.md §2.3 and §8
        let birth = Some(date!(1978 - 11 - 26));
        for (label, subject) in [
            ("CR d'examens biologiques", "XDM/1.0/DDM+CR d'examens biologiques VIAL Paul 26/11/1978"),
            (
                "Lettre de liaison à la sortie d'un établissement de soins",
                "XDM/1.0/DDM+Lettre de liaison a la sortie d'un etabl VIAL Paul 26/11/1978",
            ),
            ("2 documents", "XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978"),
        ] {
            assert_eq!(compose(label, "Vial", "Paul", birth).as_deref(), Ok(subject));
        }
        assert_eq!(compose("x", "Müller-Çelik", "Zoé", None).as_deref(), Ok("XDM/1.0/DDM+x MULLER-CELIK Zoe"));
    }

    #[test]
    fn the_marker_is_hidden_wherever_it_stands() {
        // ECO-LABEL
        assert_eq!(for_display("XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978"), "2 documents VIAL Paul 26/11/1978");
        assert_eq!(for_display("Re: xdm/1.0/ddm+CR VIAL"), "Re: CR VIAL");
        assert_eq!(for_display("[KO] XDM/1.0/DDM CR"), "[KO]  CR");
        assert_eq!(for_display("Bonjour"), "Bonjour");
        assert!(is_marked("Fwd: XDM/1.0/DDM+x") && !is_marked("XDM/1.0"));
    }

    #[test]
    fn nothing_is_injected_and_nothing_compulsory_is_left_out() {
        let subject = compose("a\r\nBcc: x@y.fr", "N\nN", "P", None).expect("cleaned");
        assert_eq!(subject, "XDM/1.0/DDM+a Bcc: x@y.fr N N P");
        assert_eq!(compose(" \n", "N", "P", None), Err(SubjectError::NoLabel));
        assert_eq!(compose("a", "", "P", None), Err(SubjectError::NoName));
        assert_eq!(for_documents(&[]), Err(SubjectError::NoDocument));
    }

    proptest! {
        #[test]
        fn what_is_composed_is_marked_and_on_one_line(label in "\\PC{1,80}", name in "[A-Za-zé -]{0,20}Z", first in "A[a-zé\\n]{0,20}") {
            if let Ok(subject) = compose(&label, &name, &first, None) {
                prop_assert!(is_marked(&subject));
                prop_assert!(!subject.chars().any(char::is_control));
                prop_assert_eq!(for_display(&subject), &subject[MARKER.len() + 1..]);
            }
        }

        #[test]
        fn display_never_panics(text in "\\PC{0,60}") {
            let _ = for_display(&text);
        }
    }
}
