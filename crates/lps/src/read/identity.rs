//! The patient whom the metadata of an archive name: `matricule^^^&OID&ISO^NH`. ECO.2.1.2: the receiver identifies the patient from
//! it, never from the subject.

use mssante::{Ins, InsAuthority};

use super::ReceivedDocument;

/// The patient of documents, as METADATA.XML names them.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentPatient {
    /// The identifier, as it stands.
    pub id: String,
    /// The OID of who gave it.
    pub authority: String,
    /// The INS, when the authority is one of the INS and the key is right.
    pub ins: Option<(Ins, InsAuthority)>,
}

impl std::fmt::Debug for DocumentPatient {
    /// Not the number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DocumentPatient({}, {})", self.authority, if self.ins.is_some() { "INS" } else { "no INS" })
    }
}

impl DocumentPatient {
    /// From the type CX of HL7 as XDS writes it; `None` when it is not one.
    #[must_use]
    pub fn parse(cx: &str) -> Option<DocumentPatient> {
        let mut components = cx.split('^');
        let id = components.next()?.trim();
        let authority = components.nth(2)?;
        let mut parts = authority.split('&');
        let _name = parts.next()?;
        let oid = parts.next()?.trim();
        if id.is_empty() || oid.is_empty() {
            return None;
        }
        let ins = InsAuthority::from_oid(oid).and_then(|authority| Some((id.parse::<Ins>().ok()?, authority)));
        Some(DocumentPatient { id: id.to_owned(), authority: oid.to_owned(), ins })
    }

    /// Whether the authority is one of the INS but the number has not its form or its key.
    #[must_use]
    pub fn has_wrong_ins(&self) -> bool {
        self.ins.is_none() && InsAuthority::from_oid(&self.authority).is_some()
    }
}

/// The one patient of all of them.
pub(super) fn of<'d>(mut documents: impl Iterator<Item = &'d ReceivedDocument>) -> Option<DocumentPatient> {
    let first = documents.next()?.patient()?;
    documents.all(|other| other.patient().as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let patient = DocumentPatient::parse("255069999999934^^^&1.2.250.1.213.1.4.10&ISO^NH").expect("a CX");
        assert_eq!(patient.ins.as_ref().map(|(ins, _)| ins.as_str()), Some("255069999999934"));
        let wrong = DocumentPatient::parse("255069999999935^^^&1.2.250.1.213.1.4.10&ISO^NH").expect("a CX");
        assert!(wrong.has_wrong_ins());
        let local = DocumentPatient::parse("IPP1^^^&1.2.3&ISO^PI").expect("a CX");
        assert!(local.ins.is_none() && !local.has_wrong_ins());
        for no in ["", "x", "x^^^", "^^^&1.2&ISO", "x^^^&&ISO"] {
            assert_eq!(DocumentPatient::parse(no), None, "{no}");
        }
        assert!(!format!("{patient:?}").contains("2550"));
    }
}
