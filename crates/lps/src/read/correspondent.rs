//! Who writes and who is written to: professional or patient, told apart without reading the domain (ECO.3.1.1), a patient with
//! name and INS (ECO.3.1.2).

use mail::header::{self, Fields};
use mssante::{Address, Ins};

use super::{Message, body};

/// Addresses read of one field: more than any operator allows recipients.
const MAX_ADDRESSES: usize = 1000;
/// Characters of a name that are shown.
const MAX_NAME: usize = 200;

/// What a correspondent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nature {
    /// A professional or a structure of the trust space.
    Professional,
    /// A program that writes by itself: nobody reads what is answered to it.
    Application,
    /// A patient, through Mon espace santé.
    Patient(PatientAddress),
    /// The text is not an address.
    Unreadable,
}

/// What the address of a patient tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientAddress {
    /// The matricule; none when it has not the form of one or its key is wrong: do not file anything under it.
    pub ins: Option<Ins>,
}

/// Somebody named in a header.
#[derive(Clone, PartialEq, Eq)]
pub struct Correspondent {
    /// The address as written, made safe to show.
    pub text: String,
    /// The address, when it is one of the trust space's form.
    pub address: Option<Address>,
    /// The display name, decoded and made safe to show. What a sender writes here is theirs: it proves nothing.
    pub name: Option<String>,
    /// What they are.
    pub nature: Nature,
}

impl std::fmt::Debug for Correspondent {
    /// Masked: an address may hold an INS.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "Correspondent({})", address.masked()),
            None => f.write_str("Correspondent(unreadable)"),
        }
    }
}

impl Correspondent {
    /// Of an address and a display name, raw or encoded.
    #[must_use]
    pub fn new(text: &str, name: Option<&str>) -> Self {
        let address = text.parse::<Address>().ok();
        let nature = match &address {
            Some(address) if address.is_patient() => Nature::Patient(PatientAddress { ins: address.ins() }),
            Some(_) => Nature::Professional,
            None => Nature::Unreadable,
        };
        let name =
            name.map(|name| body::one_line(&header::decode_words(name), MAX_NAME)).filter(|name| !name.is_empty());
        Correspondent { text: body::one_line(text, MAX_NAME), address, name, nature }
    }

    /// Whether this is a patient.
    #[must_use]
    pub fn is_patient(&self) -> bool {
        matches!(self.nature, Nature::Patient(_))
    }

    /// The patient's matricule, when its key is right.
    #[must_use]
    pub fn ins(&self) -> Option<&Ins> {
        match &self.nature {
            Nature::Patient(patient) => patient.ins.as_ref(),
            _ => None,
        }
    }

    /// One text for a list: the name, else the address; for a patient, name and matricule (ECO.3.1.2). Names of BAL PER are
    /// written with `_` between their parts (client.md §2.2), which are shown as blanks.
    #[must_use]
    pub fn shown(&self) -> String {
        match (&self.nature, &self.name) {
            (Nature::Patient(patient), name) => {
                let number = match &patient.ins {
                    Some(ins) => format!("INS {ins}"),
                    None => "INS invalide".to_owned(),
                };
                match name {
                    Some(name) => format!("{name} ({number})"),
                    None => number,
                }
            }
            (_, Some(name)) => name.replace('_', " "),
            (_, None) => self.text.clone(),
        }
    }
}

/// Everybody in the fields of that name.
pub(super) fn of_field(block: &[u8], name: &str) -> Vec<Correspondent> {
    let mut found = Vec::new();
    for field in Fields::new(block).filter(|field| field.is(name)) {
        let room = MAX_ADDRESSES.saturating_sub(found.len());
        if room == 0 {
            break;
        }
        for address in header::parse_addresses(&field.value(), room).addresses {
            if let (header::Address::Mailbox { name, .. }, Some(text)) = (&address, address.address()) {
                found.push(Correspondent::new(&text, name.as_deref()));
            }
        }
    }
    found
}

/// Whoever sent a message that a program wrote by itself is an application.
pub(super) fn mark_application(message: &mut Message) {
    if message.automatic {
        for from in message.from.iter_mut().filter(|from| from.nature == Nature::Professional) {
            from.nature = Nature::Application;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_are_told_apart() {
        // ECO.3.1.1, ECO.3.1.2
        let block = "From: \"Leo Dupond\" <255069999999934@Patient.MSSante.fr>\r\nTo: Dr_Marie_MARTIN_Cabinet <m@a.mssante.fr>, =?utf-8?Q?H=C3=B4pital?= <h@a.mssante.fr>\r\nCc: x <255069999999935@patient.mssante.fr>, lower@patient.mssante.fr\r\n\r\n";
        let from = of_field(block.as_bytes(), "From");
        assert_eq!(from[0].ins().map(Ins::as_str), Some("255069999999934"));
        assert_eq!(from[0].shown(), "Leo Dupond (INS 255069999999934)");
        let to = of_field(block.as_bytes(), "to");
        assert_eq!(to.iter().map(Correspondent::shown).collect::<Vec<_>>(), ["Dr Marie MARTIN Cabinet", "Hôpital"]);
        assert!(to.iter().all(|c| c.nature == Nature::Professional));
        let cc = of_field(block.as_bytes(), "Cc");
        assert!(cc.iter().all(|c| c.is_patient() && c.ins().is_none()), "a wrong key is no INS");
        assert_eq!(cc[0].shown(), "x (INS invalide)");
        assert!(!format!("{from:?}").contains("255069999999934"));
        let bad = Correspondent::new("a b@c", Some("x\u{202e}y\r\nz"));
        assert_eq!((bad.nature, bad.name.as_deref()), (Nature::Unreadable, Some("x y z")));
    }
}
