//! What the header of a document tells a reader, in French: title, patient, authors, dates (ECO.2.1.5).

use mssante::cda::{Author, CdaHeader, InstanceId};
use mssante::{InsAuthority, Timestamp};

/// A line of the header: what and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub label: &'static str,
    pub value: String,
}

/// The title of the document, never empty.
pub(crate) fn title(header: &CdaHeader) -> &str {
    header.title.as_deref().or(header.code.display_name.as_deref()).unwrap_or(&header.code.code)
}

/// Name, birth date and INS of the patient on one line, for the head of pages.
pub(crate) fn patient_line(header: &CdaHeader) -> String {
    let mut line = patient_name(header);
    if let Some(birth) = birth(header) {
        line.push_str(&format!(" — {birth}"));
    }
    line
}

/// All lines.
pub(crate) fn of(header: &CdaHeader) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            facts.push(Fact { label, value });
        }
    };
    add("Patient", Some(patient_name(header)));
    add("Naissance", birth(header));
    add(
        "Sexe",
        header.patient.gender.as_deref().map(|code| {
            match code {
                "M" => "masculin",
                "F" => "féminin",
                "U" | "UN" => "indéterminé",
                other => other,
            }
            .to_owned()
        }),
    );
    add("INS", ins(header));
    add("Type de document", header.code.display_name.clone());
    add("Date du document", header.effective_time.as_ref().map(date));
    add("Acte documenté", act(header));
    for author in &header.authors {
        let when = author.time.as_ref().map(|time| format!(", le {}", date(time))).unwrap_or_default();
        add("Auteur", person(author).map(|who| who + &when));
    }
    add(
        "Responsable",
        header.legal_authenticator.as_ref().and_then(|who| {
            let when = who.time.as_ref().map(|time| format!(", le {}", date(time))).unwrap_or_default();
            person(who).map(|name| name + &when)
        }),
    );
    add("Structure", header.custodian.clone());
    add(
        "Confidentialité",
        header
            .confidentiality
            .as_ref()
            .filter(|code| code.code != "N")
            .map(|code| code.display_name.clone().unwrap_or_else(|| code.code.clone())),
    );
    add("Version", header.version.map(|n| n.to_string()));
    add("Remplace", header.replaces.as_ref().map(id));
    add("Identifiant", Some(id(&header.id)));
    facts
}

fn id(id: &InstanceId) -> String {
    match &id.extension {
        Some(extension) => format!("{} ({extension})", id.root),
        None => id.root.clone(),
    }
}

fn patient_name(header: &CdaHeader) -> String {
    let patient = &header.patient;
    let mut name = patient.birth_name.as_deref().unwrap_or("(nom inconnu)").to_uppercase();
    if let Some(first) = &patient.first_name {
        name.push(' ');
        name.push_str(first);
    }
    if let Some(used) = patient.used_name.as_ref().filter(|used| Some(*used) != patient.birth_name.as_ref()) {
        name.push_str(&format!(" (nom utilisé : {used})"));
    }
    name
}

fn birth(header: &CdaHeader) -> Option<String> {
    let date = header.patient.birth_date?;
    Some(format!("{:02}/{:02}/{:04}", date.day(), u8::from(date.month()), date.year()))
}

/// The matricule as people write it, with its register; what is not qualified says so.
fn ins(header: &CdaHeader) -> Option<String> {
    let (ins, authority) = header.patient.ins()?;
    let text = ins.to_string();
    let spaced = format!(
        "{} {} {} {} {} {} {}",
        &text[..1],
        &text[1..3],
        &text[3..5],
        &text[5..7],
        &text[7..10],
        &text[10..13],
        &text[13..]
    );
    let register = match authority {
        InsAuthority::Nir => "NIR",
        InsAuthority::Nia => "NIA",
        InsAuthority::NirTest => "NIR de test",
        InsAuthority::NirDemo => "NIR de démonstration",
    };
    let doubt = if header.patient.qualified_ins().is_some() { "" } else { ", identité non qualifiée" };
    Some(format!("{spaced} ({register}{doubt})"))
}

fn act(header: &CdaHeader) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(header.service_event.as_ref().and_then(|code| code.display_name.clone()));
    match (&header.service_start, &header.service_stop) {
        (Some(start), Some(stop)) if date(start) != date(stop) => {
            parts.push(format!("du {} au {}", date(start), date(stop)));
        }
        (Some(time), _) | (None, Some(time)) => parts.push(format!("le {}", date(time))),
        (None, None) => {}
    }
    if parts.is_empty() { None } else { Some(parts.join(", ")) }
}

/// First name, surname, profession, structure.
fn person(author: &Author) -> Option<String> {
    let names = [author.first_name.as_deref(), author.surname.as_deref()];
    let mut text = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if let Some(role) = author.role.as_ref().and_then(|role| role.display_name.as_deref()) {
        text = if text.is_empty() { role.to_owned() } else { format!("{text} ({role})") };
    }
    if let Some(organization) = &author.organization {
        text = if text.is_empty() { organization.clone() } else { format!("{text}, {organization}") };
    }
    if text.is_empty() { None } else { Some(text) }
}

/// In the document's own time zone, as precise as it is.
pub(crate) fn date(time: &Timestamp) -> String {
    if let Some(instant) = time.instant() {
        let date = instant.date();
        return format!(
            "{:02}/{:02}/{:04} à {:02}:{:02}",
            date.day(),
            u8::from(date.month()),
            date.year(),
            instant.hour(),
            instant.minute()
        );
    }
    let digits = time.to_xds();
    match digits.len() {
        8 => format!("{}/{}/{}", &digits[6..8], &digits[4..6], &digits[..4]),
        6 => format!("{}/{}", &digits[4..6], &digits[..4]),
        _ => digits,
    }
}
