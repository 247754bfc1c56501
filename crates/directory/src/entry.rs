//! What is found: a mailbox that can be written to.

use std::time::SystemTime;

use mssante::{Address, MailboxKind, NationalId};
use serde::{Deserialize, Serialize};

/// A code of a nomenclature and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Coded {
    /// The code; empty when only the label is known.
    pub code: String,
    /// In French; empty when only the code is known.
    pub label: String,
}

impl Coded {
    /// What to show: the label, else the code.
    #[must_use]
    pub fn text(&self) -> &str {
        if self.label.is_empty() { &self.code } else { &self.label }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty() && self.label.is_empty()
    }
}

/// Whose a personal mailbox is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    /// National identifier (`8` and the RPPS number); none when the directory's is not one.
    pub id: Option<NationalId>,
    /// *Civilité d'exercice*, e.g. `DR`; empty when there is none.
    pub title: String,
    /// First name under which they practise.
    pub given: String,
    /// Name under which they practise.
    pub family: String,
    /// Profession (TRE_G15).
    pub profession: Option<Coded>,
    /// *Savoir-faire*, specialities first (TRE_R38).
    pub specialities: Vec<Coded>,
}

impl Person {
    /// `DR Marie MARTIN`.
    #[must_use]
    pub fn name(&self) -> String {
        [self.title.as_str(), self.given.as_str(), self.family.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A structure the mailbox belongs to, or where its holder practises. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Site {
    /// National identifier of the structure with its type digit when the directory has it, else FINESS or SIRET.
    pub structure_id: String,
    /// *Raison sociale*.
    pub structure: String,
    /// *Enseigne commerciale*, when it is another name.
    pub sign: String,
    /// *Service de rattachement*.
    pub service: String,
    /// Street, one line.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// Commune.
    pub city: String,
    /// Code of the *département*: `42`, `2A`, `974`.
    pub department: String,
    /// Country, when it is not France.
    pub country: String,
}

impl Site {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Site::default()
    }
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The FHIR interface, asked just now.
    Api,
    /// The extraction, as old as its file.
    Extraction,
}

/// A mailbox of the directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The address.
    pub address: Address,
    /// Its kind.
    pub kind: MailboxKind,
    /// Whose it is; none for ORG and APP.
    pub person: Option<Person>,
    /// Structures, the mailbox's own first.
    pub sites: Vec<Site>,
    /// What its operator says of it.
    pub description: String,
    /// On the *liste rouge*: found by its exact address only.
    pub red_list: bool,
    /// Whether its holder takes documents without paper, when they said.
    pub paperless: Option<bool>,
    /// Where this was read.
    pub source: Source,
    /// When the source said so: now, or the date of the extraction.
    #[serde(with = "seconds")]
    pub seen: SystemTime,
}

impl Entry {
    /// Whom to show: the person, else the service and the structure, else the description, else the address.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(name) = self.person.as_ref().map(Person::name).filter(|name| !name.is_empty()) {
            return name;
        }
        let site = self.site();
        let structure = site.map_or("", |s| s.structure.as_str());
        let service = site.map_or("", |s| s.service.as_str());
        let what = if service.is_empty() { self.description.as_str() } else { service };
        match (structure.is_empty(), what.is_empty()) {
            (false, false) => format!("{structure} – {what}"),
            (false, true) => structure.to_owned(),
            (true, false) => what.to_owned(),
            (true, true) => self.address.to_string(),
        }
    }

    /// The first structure or place.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        self.sites.first()
    }

    /// The profession of its holder.
    #[must_use]
    pub fn profession(&self) -> Option<&Coded> {
        self.person.as_ref()?.profession.as_ref()
    }

    /// The first speciality of its holder.
    #[must_use]
    pub fn speciality(&self) -> Option<&Coded> {
        self.person.as_ref()?.specialities.first()
    }

    /// The name of the first structure.
    #[must_use]
    pub fn structure(&self) -> Option<&str> {
        self.site().map(|site| site.structure.as_str()).filter(|name| !name.is_empty())
    }

    /// `42000 Saint-Étienne`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let site = self.sites.iter().find(|site| !site.city.is_empty() || !site.postal_code.is_empty())?;
        Some(format!("{} {}", site.postal_code, site.city).trim().to_owned())
    }

    /// The RPPS number of its holder, 11 digits.
    #[must_use]
    pub fn rpps(&self) -> Option<&str> {
        self.person.as_ref()?.id.as_ref()?.rpps_number()
    }
}

/// What a search gives.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answer {
    /// In the order of [`Entry`]s: by name, first name, structure, address.
    pub entries: Vec<Entry>,
    /// Whether these are all: false when the limit, or what a search may cost, was reached.
    pub complete: bool,
}

/// Instants in whole seconds since 1970.
mod seconds {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
        let seconds = u64::deserialize(d)?;
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| serde::de::Error::custom("a date out of range"))
    }
}
