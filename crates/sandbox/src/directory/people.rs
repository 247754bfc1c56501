//! Who stands in the directory: the cast, and people and structures that are generated. All fictional.

use mssante::MailboxKind;

use crate::cast::{self, Holder, MAILBOXES, OPERATORS, PEOPLE};

/// Generated professionals.
pub(super) const GENERATED: usize = 320;
/// Domain of the generated mailboxes: it resolves nowhere and is on no white list.
const NOWHERE: &str = "annuaire.formation.mssante.fr";

const FAMILIES: [&str; 32] = [
    "ABADIE",
    "BELLANGER",
    "CARPENTIER",
    "DELORME",
    "ÉVRARD",
    "FONTAINE",
    "GÉRARD",
    "HAMON",
    "IMBERT",
    "JACQUOT",
    "KERVELLA",
    "LE GOFF",
    "MARCHAL",
    "NOIRET",
    "OLLIVIER",
    "PELLETIER",
    "QUÉMENER",
    "ROUSSEL",
    "SAINT-MARTIN",
    "TESSIER",
    "URBAIN",
    "VASSEUR",
    "WEISS",
    "YVON",
    "ZIMMER",
    "D'ARGENT",
    "DE LA TOUR",
    "LECŒUR",
    "MARTINEAU",
    "DURANTON",
    "LEROYER",
    "BERNARDIN",
];
const GIVEN: [&str; 20] = [
    "Agnès",
    "Benoît",
    "Chloé",
    "Didier",
    "Élise",
    "Franck",
    "Gaëlle",
    "Hugo",
    "Inès",
    "Jean-Pierre",
    "Karine",
    "Loïc",
    "Maëlys",
    "Noël",
    "Odile",
    "Pascal",
    "Rose-Marie",
    "Sébastien",
    "Thérèse",
    "Valentin",
];
/// Profession and speciality.
const TRADES: [(&str, &str); 8] =
    [("10", "SM54"), ("10", "SM04"), ("10", "SM40"), ("60", ""), ("70", ""), ("21", ""), ("40", "SCD01"), ("50", "")];
/// Name, postal code, commune.
const PLACES: [(&str, &str, &str); 14] = [
    ("CENTRE HOSPITALIER DU LAC", "74000", "ANNECY"),
    ("CLINIQUE DES ORMES", "69003", "LYON"),
    ("CABINET MEDICAL DU PORT", "13002", "MARSEILLE"),
    ("HOPITAL SAINT-ELOI", "34000", "MONTPELLIER"),
    ("EHPAD LES GLYCINES", "42100", "ST ETIENNE"),
    ("LABORATOIRE DE LA GARE", "59000", "LILLE"),
    ("MAISON DE SANTE DE L'ILE", "20090", "AJACCIO"),
    ("CENTRE DE SANTE DES FLEURS", "20200", "BASTIA"),
    ("HOPITAL DU VOLCAN", "97410", "SAINT-PIERRE"),
    ("PHARMACIE DU MARCHE", "35000", "RENNES"),
    ("IMAGERIE DU PARC", "75012", "PARIS 12"),
    ("POLYCLINIQUE DU RHIN", "67000", "STRASBOURG"),
    ("CABINET INFIRMIER DES HALLES", "44000", "NANTES"),
    ("CENTRE DE DIALYSE DE L'ADOUR", "64100", "BAYONNE"),
];

/// A structure.
#[derive(Debug, Clone)]
pub(super) struct Structure {
    /// National identifier.
    pub id: String,
    pub name: String,
    pub postal_code: String,
    pub city: String,
}

/// A mailbox.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    pub address: String,
    pub kind: MailboxKind,
    pub service: String,
    pub red_list: bool,
    /// Index of its structure; none for one of a person alone.
    pub structure: Option<usize>,
}

/// A professional.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// National identifier.
    pub id: String,
    pub title: &'static str,
    pub given: String,
    pub family: String,
    pub profession: &'static str,
    pub speciality: &'static str,
    pub active: bool,
    /// Where they practise, by index.
    pub structures: Vec<usize>,
    pub mailboxes: Vec<Mailbox>,
}

/// Everybody and everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub people: Vec<Person>,
    pub structures: Vec<Structure>,
    /// Mailboxes of structures.
    pub shared: Vec<Mailbox>,
}

/// The content, the same at each start.
pub(super) fn content() -> Content {
    let mut content = Content::default();
    for (operator, (postal_code, city)) in OPERATORS.iter().zip([("75010", "PARIS 10"), ("42000", "ST ETIENNE")]) {
        content.structures.push(Structure {
            id: operator.structure.id.to_owned(),
            name: operator.structure.name.to_owned(),
            postal_code: postal_code.to_owned(),
            city: city.to_owned(),
        });
    }
    the_cast(&mut content);
    for (at, (name, postal_code, city)) in PLACES.iter().enumerate() {
        content.structures.push(Structure {
            id: finess(&postal_code[..2], at + 10),
            name: (*name).to_owned(),
            postal_code: (*postal_code).to_owned(),
            city: (*city).to_owned(),
        });
    }
    generated(&mut content);
    special(&mut content);
    content
}

/// A FINESS number of a department, with its key; attributed to nobody as far as its low serial tells.
fn finess(department: &str, serial: usize) -> String {
    let mut numbers = (0..10).map(|key| format!("1{department}{serial:06}{key}"));
    // One digit of ten is right, whatever stands before it.
    numbers.find(|id| id.parse::<mssante::StructureId>().is_ok()).unwrap_or_default()
}

fn the_cast(content: &mut Content) {
    for person in &PEOPLE {
        let own: Vec<&cast::Mailbox> =
            MAILBOXES.iter().filter(|m| matches!(m.holder, Holder::Person(id) if id == person.id)).collect();
        let at_of = |mailbox: &cast::Mailbox| OPERATORS.iter().position(|operator| operator.name == mailbox.operator);
        let speciality = match (person.family, person.profession) {
            ("MARTIN", _) => "SM04",
            (_, "10") => "SM54",
            _ => "",
        };
        content.people.push(Person {
            id: person.id.to_owned(),
            title: if person.title.is_some() { "DR" } else { "" },
            given: person.given.to_owned(),
            family: person.family.to_owned(),
            profession: person.profession,
            speciality,
            active: true,
            structures: own.iter().filter_map(|mailbox| at_of(mailbox)).collect(),
            mailboxes: own
                .iter()
                .map(|mailbox| Mailbox {
                    address: mailbox.address(),
                    kind: mailbox.kind(),
                    service: String::new(),
                    red_list: false,
                    structure: at_of(mailbox),
                })
                .collect(),
        });
    }
    for mailbox in MAILBOXES.iter().filter(|m| !matches!(m.holder, Holder::Person(_))) {
        content.shared.push(Mailbox {
            address: mailbox.address(),
            kind: mailbox.kind(),
            service: mailbox.label.rsplit('–').next().unwrap_or_default().trim().to_owned(),
            red_list: false,
            structure: OPERATORS.iter().position(|operator| operator.name == mailbox.operator),
        });
    }
}

fn generated(content: &mut Content) {
    for at in 0..GENERATED {
        let (family, given) = (FAMILIES[at % FAMILIES.len()], GIVEN[(at / FAMILIES.len() + at) % GIVEN.len()]);
        let (profession, speciality) = TRADES[at % TRADES.len()];
        let structure = OPERATORS.len() + at % PLACES.len();
        let mailbox = Mailbox {
            address: format!("{}.{}@{NOWHERE}", plain(given), plain(family)),
            kind: MailboxKind::Per,
            service: String::new(),
            red_list: false,
            // Half of them on the person alone, as with operators for independent professionals.
            structure: (at % 2 == 0).then_some(structure),
        };
        content.people.push(Person {
            id: format!("89970001{at:04}"),
            title: if matches!(profession, "10" | "40") { "DR" } else { "" },
            given: given.to_owned(),
            family: family.to_owned(),
            profession,
            speciality,
            active: true,
            structures: vec![structure],
            mailboxes: vec![mailbox],
        });
    }
}

/// What a program must get right: a cabinet of two, somebody on the *liste rouge*, somebody who retired, a service with an odd name.
fn special(content: &mut Content) {
    let cabinet = OPERATORS.len() + 2;
    let shared = Mailbox {
        address: format!("cabinet.du.port@{NOWHERE}"),
        kind: MailboxKind::Cab,
        service: String::new(),
        red_list: false,
        structure: None,
    };
    let first = PEOPLE.len();
    for person in &mut content.people[first..first + 2] {
        person.mailboxes.push(shared.clone());
    }
    let one = |number: &str, given: &str, family: &str, active: bool, red_list: bool| Person {
        id: format!("89970002{number}"),
        title: "DR",
        given: given.to_owned(),
        family: family.to_owned(),
        profession: "10",
        speciality: "SM42",
        active,
        structures: vec![cabinet],
        mailboxes: vec![Mailbox {
            address: format!("{}.{}@{NOWHERE}", plain(given), plain(family)),
            kind: MailboxKind::Per,
            service: String::new(),
            red_list,
            structure: None,
        }],
    };
    content.people.push(one("0001", "Hélène", "DISCRÈTE", true, true));
    content.people.push(one("0002", "Raymond", "RETRAITÉ", false, false));
    content.shared.push(Mailbox {
        address: format!("urgences.lac@{NOWHERE}"),
        kind: MailboxKind::Org,
        service: "Urgences & SMUR – « accueil »".to_owned(),
        red_list: false,
        structure: Some(OPERATORS.len()),
    });
}

/// As it stands in an address.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for c in super::search::normal(name).chars() {
        match c {
            'A'..='Z' => plain.push(c.to_ascii_lowercase()),
            '-' => plain.push('-'),
            ' ' | '\'' => {}
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everything_is_well_formed_and_nobody_twice() {
        let content = content();
        let mut seen = HashSet::new();
        for person in &content.people {
            person.id.parse::<mssante::NationalId>().expect("an identifier");
            assert!(seen.insert(person.id.clone()), "{}", person.id);
        }
        for structure in &content.structures {
            structure.id.parse::<mssante::StructureId>().unwrap_or_else(|e| panic!("{}: {e}", structure.id));
            assert!(seen.insert(structure.id.clone()), "{}", structure.id);
        }
        let mut addresses = HashSet::new();
        for mailbox in content.people.iter().flat_map(|person| &person.mailboxes).chain(&content.shared) {
            let address: mssante::Address = mailbox.address.parse().expect("an address");
            assert!(address.domain().is_mssante());
            assert!(addresses.insert(mailbox.address.clone()) || mailbox.kind == MailboxKind::Cab, "{address}");
        }
        for kind in [MailboxKind::Per, MailboxKind::Org, MailboxKind::App, MailboxKind::Cab] {
            let all = content.people.iter().flat_map(|person| &person.mailboxes).chain(&content.shared);
            assert!(all.into_iter().any(|mailbox| mailbox.kind == kind), "{kind}");
        }
    }
}
