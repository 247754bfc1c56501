//! An entry as it stands in a block. Labels of the nomenclatures are left out: [`crate::terms`] has them.

use std::time::SystemTime;

use mssante::MailboxKind;

use super::format::{Cursor, put, put_octets};
use crate::entry::{Coded, Entry, Person, Site, Source};
use crate::terms;

/// Most sites or specialities of a record that is read: more than anybody has, little enough to be no burden.
const MAX_PARTS: usize = 10_000;
const HAS_PERSON: u8 = 4;
const PAPERLESS: u8 = 8;
const NOT_PAPERLESS: u8 = 16;

/// Adds an entry.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) {
    let mut flags = match entry.kind {
        MailboxKind::Per => 0,
        MailboxKind::Org => 1,
        MailboxKind::App => 2,
        MailboxKind::Cab => 3,
    };
    flags |= if entry.person.is_some() { HAS_PERSON } else { 0 };
    flags |= match entry.paperless {
        None => 0,
        Some(true) => PAPERLESS,
        Some(false) => NOT_PAPERLESS,
    };
    out.push(flags);
    let mut text = |text: &str| put_octets(out, text.as_bytes());
    text(&entry.address.to_string());
    if let Some(person) = &entry.person {
        text(person.id.as_ref().map_or("", |id| id.as_str()));
        text(&person.title);
        text(&person.given);
        text(&person.family);
        let profession = person.profession.as_ref();
        text(profession.map_or("", |coded| &coded.code));
        text(profession.map_or("", |coded| own_label(coded, terms::profession)));
        put(out, person.specialities.len() as u64);
        for speciality in &person.specialities {
            put_octets(out, speciality.code.as_bytes());
            put_octets(out, own_label(speciality, terms::speciality).as_bytes());
        }
    }
    put(out, entry.sites.len() as u64);
    for site in &entry.sites {
        for part in [
            &site.structure_id,
            &site.structure,
            &site.sign,
            &site.service,
            &site.street,
            &site.postal_code,
            &site.city,
            &site.department,
            &site.country,
        ] {
            put_octets(out, part.as_bytes());
        }
    }
}

/// Reads an entry; `None` when it is damaged.
pub(super) fn read(cursor: &mut Cursor<'_>, seen: SystemTime) -> Option<Entry> {
    let flags = cursor.octet()?;
    let kind = [MailboxKind::Per, MailboxKind::Org, MailboxKind::App, MailboxKind::Cab][usize::from(flags & 3)];
    let address = cursor.text()?.parse().ok()?;
    let person = if flags & HAS_PERSON == 0 { None } else { Some(person(cursor)?) };
    let mut sites = Vec::new();
    for _ in 0..cursor.size().filter(|count| *count <= MAX_PARTS)? {
        let mut text = || cursor.text().map(str::to_owned);
        sites.push(Site {
            structure_id: text()?,
            structure: text()?,
            sign: text()?,
            service: text()?,
            street: text()?,
            postal_code: text()?,
            city: text()?,
            department: text()?,
            country: text()?,
        });
    }
    let paperless = match flags & (PAPERLESS | NOT_PAPERLESS) {
        0 => None,
        set => Some(set == PAPERLESS),
    };
    Some(Entry {
        address,
        kind,
        person,
        sites,
        description: String::new(),
        red_list: false,
        paperless,
        source: Source::Extraction,
        seen,
    })
}

fn person(cursor: &mut Cursor<'_>) -> Option<Person> {
    let id = cursor.text()?;
    let mut person = Person {
        id: if id.is_empty() { None } else { Some(id.parse().ok()?) },
        title: cursor.text()?.to_owned(),
        given: cursor.text()?.to_owned(),
        family: cursor.text()?.to_owned(),
        ..Person::default()
    };
    person.profession = Some(coded(cursor, terms::profession)?).filter(|coded| !coded.is_empty());
    for _ in 0..cursor.size().filter(|count| *count <= MAX_PARTS)? {
        person.specialities.push(coded(cursor, terms::speciality)?);
    }
    Some(person)
}

/// The label, unless the nomenclature gives it.
fn own_label(coded: &Coded, table: fn(&str) -> Option<&'static str>) -> &str {
    if table(&coded.code) == Some(coded.label.as_str()) { "" } else { &coded.label }
}

fn coded(cursor: &mut Cursor<'_>, table: fn(&str) -> Option<&'static str>) -> Option<Coded> {
    let code = cursor.text()?.to_owned();
    let label = cursor.text()?;
    let label = if label.is_empty() { table(&code).unwrap_or_default() } else { label };
    Some(Coded { label: label.to_owned(), code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::emilie;

    #[test]
    fn comes_back_and_damage_is_nothing() {
        let entry = emilie();
        let organisation = Entry { person: None, kind: MailboxKind::App, paperless: Some(false), ..emilie() };
        let mut out = Vec::new();
        write(&entry, &mut out);
        let first = out.len();
        write(&organisation, &mut out);
        let mut cursor = Cursor(&out);
        assert_eq!(read(&mut cursor, entry.seen), Some(entry.clone()));
        assert_eq!(read(&mut cursor, entry.seen), Some(organisation));
        for end in 0..first {
            assert_eq!(read(&mut Cursor(&out[..end]), entry.seen), None, "cut at {end}");
        }
    }
}
