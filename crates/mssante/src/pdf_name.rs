//! The name of the PDF copy of a document: `<date>_<type>_<NOM>_<prénom>[_<dossier>].pdf`. ECO.2.1.6; `client.md` §2.4.
//!
//! The date is that of the act (`serviceEvent/effectiveTime/low`), failing that the document's. The type keeps its blanks and its
//! accents. Nothing that a file system minds is left: no separator, no control, no leading point, no reserved sign.

use crate::cda::CdaHeader;
use crate::subject::MAX_LABEL;
use crate::text;

/// Longest name kept of each of the patient's, in characters: a file name has 255 octets on every system, and a letter up to four.
const MAX_PERSON: usize = 40;
/// Longest record number, in characters: the numbers of laboratories have some fifteen.
const MAX_RECORD: usize = 32;

/// Why a copy cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PdfNameError {
    /// Neither the act nor the document has a date.
    #[error("neither the documented act nor the document has a date")]
    NoDate,
    /// The type of the document has no display name.
    #[error("the document's type has no display name")]
    NoLabel,
    /// The birth name or the first name of the patient is missing.
    #[error("the patient's birth name and first name are compulsory in the name of the PDF copy")]
    NoName,
}

/// The name of the PDF copy of a document; `record` is the number of the dossier when there is one (biology: the order's).
///
/// # Errors
/// [`PdfNameError`] when a compulsory part is missing.
pub fn of(document: &CdaHeader, record: Option<&str>) -> Result<String, PdfNameError> {
    let date = document.service_start.or(document.effective_time).and_then(|t| t.date()).ok_or(PdfNameError::NoDate)?;
    let label = part(document.code.display_name.as_deref().unwrap_or_default(), MAX_LABEL);
    let name = |raw: &Option<String>| part(&text::strip_accents(raw.as_deref().unwrap_or_default()), MAX_PERSON);
    let (birth, first) = (name(&document.patient.birth_name).to_uppercase(), name(&document.patient.first_name));
    if label.is_empty() {
        return Err(PdfNameError::NoLabel);
    }
    if birth.is_empty() || first.is_empty() {
        return Err(PdfNameError::NoName);
    }
    let mut full = format!("{:04}{:02}{:02}_{label}_{birth}_{first}", date.year(), u8::from(date.month()), date.day());
    if let Some(record) = record.map(|raw| part(raw, MAX_RECORD)).filter(|record| !record.is_empty()) {
        full.push('_');
        full.push_str(&record);
    }
    full.push_str(".pdf");
    Ok(full)
}

/// One part: on one line, without what separates parts or paths.
fn part(raw: &str, max: usize) -> String {
    let clean: String = raw
        .chars()
        .map(|c| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '_') { ' ' } else { c })
        .collect();
    text::cut(&text::one_line(&clean), max).trim_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const N1: &str = include_str!("../../../tests/fixtures/cda-n1-biologie.xml");

    fn header(text: &str) -> CdaHeader {
        CdaHeader::read(text.as_bytes()).expect("our own document")
    }

    #[test]
    fn the_convention() {
        // ECO.2.1.6
        let document = header(N1);
        assert_eq!(
            of(&document, Some("12150302014578")).as_deref(),
            Ok("20250303_CR d'examens biologiques_COURRIER-ESSAI_JEANNE_12150302014578.pdf")
        );
        assert_eq!(
            of(&document, Some(" ")).as_deref(),
            Ok("20250303_CR d'examens biologiques_COURRIER-ESSAI_JEANNE.pdf")
        );
        let other = CdaHeader { service_start: None, ..document.clone() };
        assert!(of(&other, None).expect("dated by the document").starts_with("20250304_"));
        let other = CdaHeader { service_start: None, effective_time: None, ..document.clone() };
        assert_eq!(of(&other, None), Err(PdfNameError::NoDate));
        let mut other = document.clone();
        other.code.display_name = None;
        assert_eq!(of(&other, None), Err(PdfNameError::NoLabel));
        let mut other = document;
        other.patient.first_name = Some("../".to_owned());
        assert_eq!(of(&other, None), Err(PdfNameError::NoName));
    }

    proptest! {
        #[test]
        fn a_file_system_takes_any(label in "\\PC{1,60}", birth in "\\PC{1,60}", record in "[\\PC\\n/]{0,40}") {
            let mut document = header(N1);
            document.code.display_name = Some(label);
            document.patient.birth_name = Some(birth);
            if let Ok(name) = of(&document, Some(&record)) {
                prop_assert!(name.len() <= 1000 && name.chars().count() <= 200);
                prop_assert!(!name.contains(['/', '\\', ':', '\n', '\0']) && !name.starts_with('.') && name.ends_with(".pdf"));
            }
        }
    }
}
