//! What does not fit together in a message: told, never fatal. The subject, the X-MSS fields, METADATA.XML and the documents each say
//! whose documents these are; a program that files them automatically must see it when they disagree.

use mssante::headers::{DocumentFacts, InsPresence};
use mssante::receipt;
use mssante::text;
use mssante::xdm::Integrity;

use super::{Kind, Message};
use crate::explain::Language;

/// Something that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warning {
    /// An archive cannot be opened: its rank, from 0.
    Archive(usize),
    /// A document is not what METADATA.XML announces: its rank among all, from 0.
    Integrity(usize),
    /// A document announced as XML cannot be read, or is not a CDA.
    Document(usize),
    /// The metadata or the documents are about several patients (ECO.2.1.1).
    SeveralPatients,
    /// METADATA.XML and the CDA of this rank do not name the same INS.
    PatientDiffers(usize),
    /// METADATA.XML has no patient identifier for the document of this rank.
    NoPatient(usize),
    /// The INS that METADATA.XML gives for the document of this rank has a wrong key or form.
    WrongIns(usize),
    /// The subject names another patient than the documents.
    SubjectDiffers,
    /// The subject announces documents and there is no archive.
    NoArchive,
    /// `X-MSS-CODECDA` does not list the types of the documents.
    CodesDiffer,
    /// `X-MSS-INS` does not say what the documents say.
    InsPresenceDiffers,
    /// The address of a patient among the correspondents has no valid INS.
    PatientAddress,
}

impl Warning {
    /// Stable, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Warning::Archive(_) => "archive",
            Warning::Integrity(_) => "integrity",
            Warning::Document(_) => "document",
            Warning::SeveralPatients => "several-patients",
            Warning::PatientDiffers(_) => "patient-differs",
            Warning::NoPatient(_) => "no-patient",
            Warning::WrongIns(_) => "wrong-ins",
            Warning::SubjectDiffers => "subject-differs",
            Warning::NoArchive => "no-archive",
            Warning::CodesDiffer => "codes-differ",
            Warning::InsPresenceDiffers => "ins-presence-differs",
            Warning::PatientAddress => "patient-address",
        }
    }

    /// Whether documents must not be filed without a person looking: they may be damaged or another patient's.
    #[must_use]
    pub fn is_grave(self) -> bool {
        match self {
            Warning::Archive(_)
            | Warning::Integrity(_)
            | Warning::Document(_)
            | Warning::SeveralPatients
            | Warning::PatientDiffers(_)
            | Warning::WrongIns(_)
            | Warning::SubjectDiffers => true,
            Warning::NoPatient(_)
            | Warning::NoArchive
            | Warning::CodesDiffer
            | Warning::InsPresenceDiffers
            | Warning::PatientAddress => false,
        }
    }

    /// For people; ranks from 1.
    #[must_use]
    pub fn message(self, language: Language) -> String {
        let pick = |french: &str, english: &str| language.pick(french, english).to_owned();
        let ranked = |rank: usize, french: &str, english: &str| {
            format!("{} {} {}", language.pick("document", "document"), rank + 1, language.pick(french, english))
        };
        match self {
            Warning::Archive(rank) => match language {
                Language::French => format!("l'archive {} ne peut être ouverte", rank + 1),
                Language::English => format!("archive {} cannot be opened", rank + 1),
            },
            Warning::Integrity(rank) => ranked(
                rank,
                "n'est pas celui que METADATA.XML annonce (taille, empreinte ou type)",
                "is not what METADATA.XML announces (size, hash or type)",
            ),
            Warning::Document(rank) => ranked(rank, "n'est pas un CDA lisible", "is not a readable CDA"),
            Warning::SeveralPatients => {
                pick("les documents concernent plusieurs patients", "the documents are about several patients")
            }
            Warning::PatientDiffers(rank) => {
                ranked(rank, "ne porte pas la même INS que METADATA.XML", "does not hold the same INS as METADATA.XML")
            }
            Warning::NoPatient(rank) => ranked(
                rank,
                "n'a pas d'identifiant de patient dans METADATA.XML",
                "has no patient identifier in METADATA.XML",
            ),
            Warning::WrongIns(rank) => {
                ranked(rank, "a dans METADATA.XML une INS invalide", "has an invalid INS in METADATA.XML")
            }
            Warning::SubjectDiffers => pick(
                "l'objet nomme un autre patient que les documents",
                "the subject names another patient than the documents",
            ),
            Warning::NoArchive => pick(
                "l'objet annonce des documents et il n'y a pas d'archive IHE_XDM.zip",
                "the subject announces documents and there is no IHE_XDM.zip",
            ),
            Warning::CodesDiffer => pick(
                "X-MSS-CODECDA ne correspond pas aux types des documents",
                "X-MSS-CODECDA does not match the types of the documents",
            ),
            Warning::InsPresenceDiffers => {
                pick("X-MSS-INS ne correspond pas aux documents", "X-MSS-INS does not match the documents")
            }
            Warning::PatientAddress => pick(
                "l'adresse d'un patient ne contient pas d'INS valide",
                "the address of a patient holds no valid INS",
            ),
        }
    }
}

/// Everything that does not fit, in the order of the message.
pub(super) fn of(message: &Message) -> Vec<Warning> {
    let mut found = Vec::new();
    let everybody = [&message.from, &message.reply_to, &message.to, &message.cc];
    if everybody.into_iter().flatten().any(|c| c.is_patient() && c.ins().is_none()) {
        found.push(Warning::PatientAddress);
    }
    if message.kind != Kind::Mail {
        return found;
    }
    found.extend(
        message
            .archives
            .iter()
            .enumerate()
            .filter(|(_, archive)| archive.fault.is_some())
            .map(|(rank, _)| Warning::Archive(rank)),
    );
    if message.archives.is_empty() && message.subject.marked && message.in_reply_to.is_empty() {
        found.push(Warning::NoArchive);
    }
    documents(message, &mut found);
    found
}

fn documents(message: &Message, found: &mut Vec<Warning>) {
    let mut several = false;
    let mut first_id = None;
    for (rank, document) in message.documents().enumerate() {
        if !matches!(document.document.integrity, Integrity::Verified | Integrity::Undeclared) {
            found.push(Warning::Integrity(rank));
        }
        if document.fault.is_some() {
            found.push(Warning::Document(rank));
        }
        let named = document.patient();
        match &named {
            None => found.push(Warning::NoPatient(rank)),
            Some(patient) if patient.has_wrong_ins() => found.push(Warning::WrongIns(rank)),
            Some(patient) => {
                let own = document.header.as_ref().and_then(|header| header.patient.ins());
                let differs = matches!((&patient.ins, &own), (Some((a, _)), Some((b, _))) if a != b);
                if differs {
                    found.push(Warning::PatientDiffers(rank));
                }
            }
        }
        // The same register with another number is another patient; another register says nothing.
        if let Some(patient) = named {
            match &first_id {
                None => first_id = Some(patient),
                Some(first) => several |= first.authority == patient.authority && first.id != patient.id,
            }
        }
    }
    let headers: Vec<_> = message.documents().filter_map(|document| document.header.clone()).collect();
    let Some(first) = headers.first() else { return };
    several |= headers.iter().any(|header| !header.patient.is_same_as(&first.patient));
    if several {
        found.push(Warning::SeveralPatients);
    } else if message.subject.marked && !subject_names(message, &first.patient) {
        found.push(Warning::SubjectDiffers);
    }
    let Ok(Some(facts)) = DocumentFacts::of(&headers) else { return };
    if let Some(codes) = &message.headers.codes {
        let mut told: Vec<&str> = codes.iter().collect();
        let mut real: Vec<&str> = facts.codes.iter().collect();
        // "One value per document" is how most read it; once per type is read too (client.md §2.1).
        told.sort_unstable();
        real.sort_unstable();
        let same = told == real;
        told.dedup();
        real.dedup();
        if !same && told != real {
            found.push(Warning::CodesDiffer);
        }
    }
    if let Some(told) = message.headers.ins
        && (told == InsPresence::Qualified) != (facts.ins == InsPresence::Qualified)
    {
        found.push(Warning::InsPresenceDiffers);
    }
}

/// Whether the subject holds the name of the patient, as the convention writes it. A patient without a name is in no subject.
fn subject_names(message: &Message, patient: &mssante::cda::Patient) -> bool {
    let fold = |name: &str| text::strip_accents(&text::one_line(name)).to_uppercase();
    let subject = fold(receipt::without_prefix(&message.subject.full));
    // Names in use are written by some instead of birth names.
    let surname =
        [&patient.birth_name, &patient.used_name].into_iter().flatten().any(|name| subject.contains(&fold(name)));
    let unnamed = patient.birth_name.is_none() && patient.used_name.is_none();
    surname || unnamed
}
