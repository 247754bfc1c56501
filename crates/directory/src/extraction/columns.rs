//! The header line of the extraction, and a line by its names: columns may come in any order, and new ones may be added
//! (client.md §6.3).

use std::borrow::Cow;

use mssante::{Address, MailboxKind, NationalId};

use super::error::ExtractionError;
use crate::entry::{Coded, Person, Site};
use crate::fold::fold;
use crate::query::department_of;
use crate::terms;

/// Longest line read: real ones have some 400 octets.
pub(super) const MAX_LINE: usize = 16 * 1024;
/// Most columns of a header: 31 today.
const MAX_COLUMNS: usize = 200;

/// Columns that are read, as the header names them.
macro_rules! columns {
    ($($(#[$need:meta])? $field:ident = $name:literal $($required:ident)?;)*) => {
        /// Where each column stands.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(super) struct Columns {
            $($field: Option<usize>,)*
            count: usize,
        }

        impl Columns {
            /// Reads the header line.
            pub fn read(line: &str) -> Result<Columns, ExtractionError> {
                let names: Vec<String> = line.trim_start_matches('\u{feff}').split('|').map(fold).collect();
                if names.len() > MAX_COLUMNS {
                    return Err(ExtractionError::Header("too many columns"));
                }
                let mut columns = Columns { count: names.len(), ..Columns::default() };
                // A line may end by a separator.
                if names.last().is_some_and(String::is_empty) {
                    columns.count -= 1;
                }
                $(
                    columns.$field = names.iter().position(|name| *name == fold($name));
                    $(if stringify!($required) == "required" && columns.$field.is_none() {
                        return Err(ExtractionError::Header($name));
                    })?
                )*
                Ok(columns)
            }
        }
    };
}

columns! {
    kind = "Type de BAL" required;
    address = "Adresse BAL" required;
    person_id = "Identifiant PP" required;
    person_national = "Identification nationale PP";
    structure_id = "Identification Structure" required;
    service = "Service de rattachement";
    title = "Civilité d'exercice";
    family = "Nom d'exercice" required;
    given = "Prénom d'exercice" required;
    profession = "Code Profession" required;
    profession_label = "Libellé Profession";
    skill = "Code savoir-faire";
    skill_label = "Libellé savoir-faire";
    paperless = "Dématérialisation";
    structure = "Raison Sociale structure BAL" required;
    sign = "Enseigne commerciale structure BAL";
    number = "L4NUMEROVOIE";
    number_more = "L4COMPLEMENTNUMEROVOIE";
    way = "NL4TYPEVOIE";
    street = "L4LIBELLEVOIE";
    city = "L6LIGNEACHEMINEMENT" required;
    postal_code = "Code postal" required;
    department = "Département";
    country = "Pays";
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub kind: MailboxKind,
    pub address: Address,
    pub person: Option<Person>,
    pub site: Site,
    pub paperless: Option<bool>,
}

impl Columns {
    /// Reads a line; `None` when it is broken, or no mailbox of the trust space.
    pub fn line(&self, text: &str) -> Option<Line> {
        let values: Vec<&str> = text.split('|').collect();
        let whole = values.len() == self.count
            || (values.len() == self.count + 1 && values.last().is_some_and(|value| value.trim().is_empty()));
        if !whole {
            return None;
        }
        let of = |column: Option<usize>| column.and_then(|at| values.get(at)).map_or("", |value| value.trim());
        let kind: MailboxKind = of(self.kind).to_ascii_uppercase().parse().ok()?;
        let address: Address = of(self.address).parse().ok()?;
        if !address.domain().is_mssante() || address.is_patient() {
            return None;
        }
        let text = |column: Option<usize>| one_line(of(column)).into_owned();
        let person = matches!(kind, MailboxKind::Per | MailboxKind::Cab).then(|| Person {
            id: national_id(of(self.person_national), of(self.person_id)),
            title: text(self.title),
            given: text(self.given),
            family: text(self.family),
            profession: coded(of(self.profession), of(self.profession_label), terms::profession),
            specialities: coded(of(self.skill), of(self.skill_label), terms::speciality).into_iter().collect(),
        });
        let postal_code = text(self.postal_code);
        let mut site = Site {
            structure_id: text(self.structure_id),
            structure: text(self.structure),
            sign: text(self.sign),
            service: text(self.service),
            street: [self.number, self.number_more, self.way, self.street]
                .into_iter()
                .map(text)
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            city: without_code(&text(self.city)).to_owned(),
            department: department_of(&postal_code).unwrap_or_else(|| department_code(of(self.department))),
            postal_code,
            country: text(self.country),
        };
        if site.sign == site.structure {
            site.sign.clear();
        }
        if site.country.eq_ignore_ascii_case("france") || site.country.eq_ignore_ascii_case("fr") {
            site.country.clear();
        }
        let paperless = match of(self.paperless) {
            yes if yes.eq_ignore_ascii_case("o") || yes.eq_ignore_ascii_case("oui") => Some(true),
            no if no.eq_ignore_ascii_case("n") || no.eq_ignore_ascii_case("non") => Some(false),
            _ => None,
        };
        Some(Line { kind, address, person, site, paperless })
    }
}

/// Control characters have no place on a line of a screen.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

fn national_id(national: &str, number: &str) -> Option<NationalId> {
    national.parse().ok().or_else(|| NationalId::rpps(number).ok()).or_else(|| number.parse().ok())
}

fn coded(code: &str, label: &str, table: fn(&str) -> Option<&'static str>) -> Option<Coded> {
    let coded = Coded {
        code: one_line(code).into_owned(),
        label: match table(code) {
            Some(label) => label.to_owned(),
            None => one_line(label).into_owned(),
        },
    };
    (!coded.is_empty()).then_some(coded)
}

/// `42000 SAINT ETIENNE` without its code.
fn without_code(line: &str) -> &str {
    match line.split_once(' ') {
        Some((code, city)) if code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit()) => city.trim_start(),
        _ => line,
    }
}

/// `42` or `2A`; `Loire (42)` when it is written so.
fn department_code(text: &str) -> String {
    let inner = text.rsplit_once('(').map_or(text, |(_, end)| end.trim_end_matches(')'));
    let code = inner.trim();
    if code.len() <= 3 && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        code.to_ascii_uppercase()
    } else {
        String::new()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The real header line.
    pub(in crate::extraction) const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
        Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
        Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|Code savoir-faire|\
        Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|Enseigne commerciale structure BAL|\
        L2COMPLEMENTLOCALISATION|L3COMPLEMENTDISTRIBUTION|L4NUMEROVOIE|L4COMPLEMENTNUMEROVOIE|NL4TYPEVOIE|L4LIBELLEVOIE|\
        L5LIEUDITMENTION|L6LIGNEACHEMINEMENT|Code postal|Département|Pays";
    /// A line of somebody.
    pub(in crate::extraction) const PERSON: &str = "PER|marie.martin@chu.mssante.fr|8|99700000017|899700000017|1|420000001|Soins intensifs|DR|\
        MARTIN|Marie-Ève|C|Civil|10|MEDECIN|SM04|Cardio|O|CHU DE L'ÉTANG|CHU||BP 12|12|BIS|RUE|DU LAC||42055 ST ETIENNE CEDEX 2|42055|LOIRE|France";
    /// A line of a service.
    pub(in crate::extraction) const SERVICE: &str =
        "ORG|urgences@chu.mssante.fr||||1|420000001|Urgences||||||||||N|CHU DE L'ÉTANG||||||||||42055|42|";

    #[test]
    fn a_line() {
        let columns = Columns::read(HEADER).expect("the header");
        assert_eq!(columns.count, 31);
        let line = columns.line(PERSON).expect("a line");
        let person = line.person.expect("a person");
        assert_eq!((line.kind, person.name().as_str()), (MailboxKind::Per, "DR Marie-Ève MARTIN"));
        assert_eq!(person.id.expect("an id").as_str(), "899700000017");
        assert_eq!(person.profession.expect("one").label, "Médecin");
        assert_eq!(person.specialities[0].label, "Cardiologie et Maladies vasculaires (SM)");
        let site = line.site;
        assert_eq!((site.street.as_str(), site.city.as_str()), ("12 BIS RUE DU LAC", "ST ETIENNE CEDEX 2"));
        assert_eq!((site.department.as_str(), site.sign.as_str(), site.country.as_str()), ("42", "CHU", ""));
        assert_eq!(line.paperless, Some(true));
        let service = columns.line(SERVICE).expect("a line");
        assert_eq!((service.kind, service.person, service.paperless), (MailboxKind::Org, None, Some(false)));
    }

    #[test]
    fn columns_in_any_order_and_more_of_them() {
        let order = |text: &str| {
            let mut values: Vec<&str> = text.split('|').collect();
            values.reverse();
            format!("{}|Nouveau", values.join("|"))
        };
        let straight = Columns::read(HEADER).expect("the header");
        let other = Columns::read(&format!("\u{feff}{}", order(&HEADER.to_uppercase()))).expect("a header");
        assert_eq!(other.line(&order(PERSON)), straight.line(PERSON));
    }

    #[test]
    fn what_is_no_header_and_no_line() {
        assert!(matches!(Columns::read("<html>"), Err(ExtractionError::Header("Type de BAL"))));
        assert!(matches!(
            Columns::read(&HEADER.replace("Code postal", "CP")),
            Err(ExtractionError::Header("Code postal"))
        ));
        let columns = Columns::read(HEADER).expect("the header");
        for broken in [
            "",
            "PER|a@b.mssante.fr",
            &format!("{PERSON}|x"),
            &PERSON.replace("PER|", "XXX|"),
            &PERSON.replace("chu.mssante.fr", "gmail.com"),
            &PERSON.replace("chu.mssante.fr", "patient.mssante.fr"),
            &PERSON.replace("marie.martin@", "marie martin@"),
        ] {
            assert_eq!(columns.line(broken), None, "{broken}");
        }
        assert!(columns.line(&format!("{PERSON}|")).is_some(), "a separator at the end");
        assert_eq!(
            (department_code("Loire (42)"), department_code("2a"), department_code("LOIRE")),
            ("42".into(), "2A".into(), String::new())
        );
    }
}
