//! The extraction of mailboxes: 31 columns, PER and ORG only, zipped (client.md §6.3).

use std::io::{Cursor, Write};
use std::time::SystemTime;

use mssante::MailboxKind;
use time::OffsetDateTime;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::people::{Content, Mailbox, Person};
use crate::SandboxError;

const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|Code savoir-faire|\
    Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|Enseigne commerciale structure BAL|\
    L2COMPLEMENTLOCALISATION|L3COMPLEMENTDISTRIBUTION|L4NUMEROVOIE|L4COMPLEMENTNUMEROVOIE|NL4TYPEVOIE|L4LIBELLEVOIE|\
    L5LIEUDITMENTION|L6LIGNEACHEMINEMENT|Code postal|Département|Pays";

/// The archive and the name it is given under.
pub(super) struct Archive {
    pub name: String,
    pub octets: Vec<u8>,
}

/// The archive of a content, made `now`.
pub(super) fn archive(content: &Content, now: SystemTime) -> Result<Archive, SandboxError> {
    let at = OffsetDateTime::from(now);
    let format = time::macros::format_description!("[year][month][day][hour][minute]");
    let date = at.format(&format).map_err(SandboxError::setup("extraction"))?;
    let name = format!("Extraction_Correspondance_MSSante_{date}");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let written = zip
        .start_file(format!("{name}.txt"), SimpleFileOptions::default())
        .and_then(|()| Ok(zip.write_all(text(content).as_bytes())?))
        .and_then(|()| zip.finish());
    let octets = written.map_err(SandboxError::setup("extraction"))?.into_inner();
    Ok(Archive { name: format!("{name}.zip"), octets })
}

fn text(content: &Content) -> String {
    let mut lines = vec![HEADER.to_owned()];
    let personal = content.people.iter().filter(|person| person.active);
    for (person, mailbox) in personal.flat_map(|person| person.mailboxes.iter().map(move |m| (Some(person), m))) {
        lines.extend(line(content, person, mailbox));
    }
    lines.extend(content.shared.iter().filter_map(|mailbox| line(content, None, mailbox)));
    lines.push(String::new());
    lines.join("\n")
}

fn line(content: &Content, person: Option<&Person>, mailbox: &Mailbox) -> Option<String> {
    if mailbox.red_list || !matches!(mailbox.kind, MailboxKind::Per | MailboxKind::Org) {
        return None;
    }
    let structure = mailbox.structure.and_then(|at| content.structures.get(at));
    let of_person = |value: fn(&Person) -> &str| person.map_or("", value);
    let of_structure = |value: fn(&super::people::Structure) -> &str| structure.map_or("", value);
    let postal = of_structure(|s| &s.postal_code);
    let city = structure.map(|s| format!("{} {}", s.postal_code, s.city)).unwrap_or_default();
    let columns = [
        mailbox.kind.code(),
        &mailbox.address,
        if person.is_some() { "8" } else { "" },
        of_person(|p| p.id.get(1..).unwrap_or_default()),
        of_person(|p| &p.id),
        if structure.is_some() { "1" } else { "" },
        of_structure(|s| s.id.get(1..).unwrap_or_default()),
        &mailbox.service,
        of_person(|p| p.title),
        of_person(|p| &p.family),
        of_person(|p| &p.given),
        if person.is_some() { "C" } else { "" },
        if person.is_some() { "Civil" } else { "" },
        of_person(|p| p.profession),
        of_person(|p| p.profession),
        of_person(|p| p.speciality),
        of_person(|p| p.speciality),
        "O",
        of_structure(|s| &s.name),
        "",
        "",
        "",
        if structure.is_some() { "1" } else { "" },
        "",
        if structure.is_some() { "RUE" } else { "" },
        if structure.is_some() { "DE TEST" } else { "" },
        "",
        &city,
        postal,
        postal.get(..2).unwrap_or_default(),
        if structure.is_some() { "France" } else { "" },
    ];
    Some(columns.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_one_columns_nobody_hidden() {
        let text = text(&super::super::people::content());
        assert!(text.lines().all(|line| line.split('|').count() == 31));
        assert!(text.lines().count() > 300);
        assert!(text.contains("sophie.leroy@beta.formation.mssante.fr"));
        for absent in ["discrete", "retraite", "labo@", "cabinet.du.port"] {
            assert!(!text.contains(absent), "{absent}");
        }
    }
}
