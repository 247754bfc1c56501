//! To whom: a professional's or an organisation's BAL by its address, a patient by a qualified INS. ECO-PATIENT (ECO.2.2.6,
//! ECO.3.1.5); client.md §2.6.
//!
//! Invariant: a [`Recipient`] of the patients' domain was made from a [`PatientRecipient`], or is who wrote the mail answered.

use std::fmt;

use mssante::cda::Patient;
use mssante::label::Label;
use mssante::{Address, Ins, InsAuthority, InsError, Sex};
use time::Date;
use trust::white_list::WhiteList;

use super::{ComposeError, Origin, PatientError};

/// The identity of a patient whose INS is qualified: given or checked by INSi, the person's identity verified. That it is so is
/// the host program's word; what can be checked from here is.
#[derive(Clone)]
pub struct QualifiedIdentity {
    /// Matricule INS, 15 characters with its key.
    pub matricule: String,
    /// Its register.
    pub authority: InsAuthority,
    /// Birth name.
    pub birth_name: String,
    /// First given name of the birth certificate.
    pub first_name: String,
    /// Date of birth.
    pub birth_date: Date,
    /// Sex.
    pub sex: Sex,
}

impl QualifiedIdentity {
    /// The patient of a document; `None` when it does not hold a qualified INS (matricule, OID and the four traits).
    #[must_use]
    pub fn of_document(patient: &Patient) -> Option<Self> {
        let (ins, authority) = patient.qualified_ins()?;
        Some(Self {
            matricule: ins.as_str().to_owned(),
            authority,
            birth_name: patient.birth_name.clone()?,
            first_name: patient.first_name.clone()?,
            birth_date: patient.birth_date?,
            sex: if patient.gender.as_deref() == Some("M") { Sex::Male } else { Sex::Female },
        })
    }
}

impl fmt::Debug for QualifiedIdentity {
    /// Says nothing of who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QualifiedIdentity({:?})", self.authority)
    }
}

/// What a professional must be shown, and agree to, before a patient is written to (Référentiel #2 §3.4.2.2): sex and birth as
/// the matricule tells them, beside the identity. `Debug` says nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Birth name.
    pub birth_name: String,
    /// First name.
    pub first_name: String,
    /// Date of birth of the identity.
    pub birth_date: Date,
    /// Sex, from the matricule.
    pub sex: Sex,
    /// Last two digits of the year of birth, from the matricule.
    pub birth_year: u8,
    /// Month of birth, from the matricule; `None` when the number carries a conventional value.
    pub birth_month: Option<u8>,
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmation(…)")
    }
}

/// A patient who can be written to.
#[derive(Clone)]
pub struct PatientRecipient {
    ins: Ins,
    name: String,
}

impl PatientRecipient {
    /// Checks the identity and makes the address `<INS>@patient.mssante.fr`; what is to be confirmed comes with it. A minor is
    /// written to at their own address.
    ///
    /// # Errors
    /// [`PatientError`]: a wrong key, a trait missing, or one that is not what the matricule tells.
    pub fn from_qualified(identity: QualifiedIdentity) -> Result<(Self, Confirmation), PatientError> {
        let ins: Ins = identity.matricule.parse().map_err(|error| match error {
            InsError::Form => PatientError::Form,
            InsError::Key => PatientError::Key,
        })?;
        let QualifiedIdentity { birth_name, first_name, birth_date, sex, .. } = identity;
        for (value, what) in [(&birth_name, "birth name"), (&first_name, "first name")] {
            if value.trim().is_empty() {
                return Err(PatientError::NotQualified(what));
            }
        }
        if ins.sex() != sex {
            return Err(PatientError::Sex);
        }
        let same_year = birth_date.year().rem_euclid(100) == i32::from(ins.birth_year());
        let same_month = ins.birth_month().is_none_or(|month| month == u8::from(birth_date.month()));
        if !same_year || !same_month {
            return Err(PatientError::Birth);
        }
        let name = format!("{first_name} {birth_name}");
        let confirmation = Confirmation {
            birth_name,
            first_name,
            birth_date,
            sex: ins.sex(),
            birth_year: ins.birth_year(),
            birth_month: ins.birth_month(),
        };
        Ok((Self { ins, name }, confirmation))
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.ins.address()
    }

    /// The matricule.
    #[must_use]
    pub fn ins(&self) -> &Ins {
        &self.ins
    }
}

impl fmt::Debug for PatientRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientRecipient({})", self.ins.masked())
    }
}

/// Somebody to write to.
#[derive(Debug, Clone)]
pub struct Recipient {
    address: Address,
    label: Option<Label>,
}

impl Recipient {
    /// A BAL.
    ///
    /// # Errors
    /// [`ComposeError::RawPatientAddress`] for an address of Mon espace santé: see [`Recipient::patient`].
    pub fn new(address: Address) -> Result<Self, ComposeError> {
        if address.is_patient() {
            return Err(ComposeError::RawPatientAddress);
        }
        Ok(Self { address, label: None })
    }

    /// With a name to show; a blank one is none.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.label = Label::entity(name).ok();
        self
    }

    /// A patient.
    #[must_use]
    pub fn patient(patient: &PatientRecipient) -> Self {
        Self { address: patient.address(), label: Label::entity(&patient.name).ok() }
    }

    /// Who is to be answered: the Reply-To of the mail, or its From. A patient who wrote may be answered. None when the mail has
    /// no address to answer.
    #[must_use]
    pub fn answering(origin: &Origin) -> Vec<Self> {
        origin.answer_to().iter().map(|address| Self { address: address.clone(), label: None }).collect()
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As it stands in `To`.
    pub(super) fn field(&self) -> String {
        match &self.label {
            // Folding is the header writer's.
            Some(label) => label.to_from_field(&self.address).replace("\r\n ", " "),
            None => self.address.to_string(),
        }
    }
}

/// Checks the recipients against the white list, for a host program that has one; without it the operator's answer is the
/// judge ([`crate::send`]). OPE-LIST
///
/// # Errors
/// [`ComposeError::OutsideWhiteList`] with the first domain that is not listed.
pub fn check_recipients<'a>(
    recipients: impl IntoIterator<Item = &'a Address>,
    list: &WhiteList,
) -> Result<(), ComposeError> {
    for address in recipients {
        if !list.is_listed(address.domain().as_str()) {
            return Err(ComposeError::OutsideWhiteList(address.domain().to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Month;

    fn identity() -> QualifiedIdentity {
        QualifiedIdentity {
            matricule: "279035121518989".into(),
            authority: InsAuthority::NirTest,
            birth_name: "PATIENT".into(),
            first_name: "Léa".into(),
            birth_date: Date::from_calendar_date(1979, Month::March, 12).expect("a date"),
            sex: Sex::Female,
        }
    }

    #[test]
    fn a_patient_from_a_qualified_identity() {
        // ECO-PATIENT
        let (patient, shown) = PatientRecipient::from_qualified(identity()).expect("qualified");
        assert_eq!(patient.address().to_string(), "279035121518989@patient.mssante.fr");
        assert_eq!((shown.sex, shown.birth_year, shown.birth_month), (Sex::Female, 79, Some(3)));
        assert!(!format!("{patient:?} {shown:?} {:?}", identity()).contains("0351215"));
        let to = Recipient::patient(&patient);
        assert!(to.field().ends_with("<279035121518989@patient.mssante.fr>"), "{}", to.field());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |change: &dyn Fn(&mut QualifiedIdentity)| {
            let mut identity = identity();
            change(&mut identity);
            PatientRecipient::from_qualified(identity).map(|_| ()).expect_err("refused")
        };
        assert_eq!(with(&|i| i.matricule = "279035121518988".into()), PatientError::Key);
        assert_eq!(with(&|i| i.matricule = "2790351215189".into()), PatientError::Form);
        assert_eq!(with(&|i| i.birth_name = " ".into()), PatientError::NotQualified("birth name"));
        assert_eq!(with(&|i| i.first_name = String::new()), PatientError::NotQualified("first name"));
        assert_eq!(with(&|i| i.sex = Sex::Male), PatientError::Sex);
        let date = |y, m| Date::from_calendar_date(y, m, 12).expect("a date");
        assert_eq!(with(&|i| i.birth_date = date(1980, Month::March)), PatientError::Birth);
        assert_eq!(with(&|i| i.birth_date = date(1979, Month::April)), PatientError::Birth);
    }

    #[test]
    fn a_patients_address_cannot_be_typed() {
        let typed = "279035121518989@patient.mssante.fr".parse().expect("an address");
        assert!(matches!(Recipient::new(typed), Err(ComposeError::RawPatientAddress)));
        let typed = "279035121518989@PATIENT.MSSante.fr".parse().expect("an address");
        assert!(matches!(Recipient::new(typed), Err(ComposeError::RawPatientAddress)));
    }

    #[test]
    fn a_name_cannot_leave_its_field() {
        let address: Address = "marie.martin@alpha.mssante.fr".parse().expect("an address");
        let to = Recipient::new(address).expect("professional").named("Dr \"Marie\" <x@y.fr>\r\nBcc: z@y.fr");
        let field = to.field();
        assert!(!field.contains(['\r', '\n']), "{field}");
        assert_eq!(mail::header::parse_addresses(&field, 5).addresses.len(), 1, "{field}");
    }

    #[test]
    fn the_white_list_decides() {
        use trust::white_list::{Entry, SignaturePolicy, WhiteListBuilder};
        let name = "C=FR,O=HOPITAL ALPHA,CN=mx.alpha.mssante.fr".parse().expect("a name");
        let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let xml = WhiteListBuilder::new(now).with(Entry::new("alpha.mssante.fr", name)).to_xml();
        let list = WhiteList::from_xml(xml.as_bytes(), &SignaturePolicy::Unsigned, now).expect("a list");
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let (listed, other) = (address("a@ALPHA.mssante.fr"), address("a@beta.mssante.fr"));
        assert!(check_recipients([&listed], &list).is_ok());
        let refused = check_recipients([&listed, &other], &list);
        assert!(matches!(refused, Err(ComposeError::OutsideWhiteList(domain)) if domain == "beta.mssante.fr"));
    }
}
