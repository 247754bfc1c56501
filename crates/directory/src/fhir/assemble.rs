//! From resources to entries: a mailbox is a `telecom` of its bearer (client.md §6.2).
//!
//! * on a Practitioner and on a PractitionerRole PER and CAB, on an Organization ORG and APP; ordinary e-mail addresses stand among them
//!   and are left out;
//! * whoever or whatever is inactive has no entry, nor does a mailbox whose period is over;
//! * the kind is the code of the metadata, whatever its coding system says (R257, or R256 by mistake).

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use mssante::{Address, MailboxKind, NationalId};

use super::lenient::Name;
use super::resource::{Coding, Concept, ContactPoint, Resource};
use crate::entry::{Coded, Entry, Person, Site, Source};
use crate::query::department_of;
use crate::terms;

/// Longest text taken from a resource, in characters: labels are shorter, and an entry stays small.
const MAX_TEXT: usize = 300;
/// Most mailboxes, identifiers and qualifications kept of one resource: more than anybody has.
const MAX_OF_ONE: usize = 300;
/// The extension that tells a mailbox of MSSanté from an ordinary e-mail address.
const EMAIL_TYPE: &str = "/fr-core-contact-point-email-type";
/// The extension with what is known of a mailbox.
const METADATA: &str = "/as-ext-mailbox-mss-metadata";
/// Nomenclatures of *savoir-faire*, specialities first.
const SKILLS: [&str; 7] = ["TRE_R38", "TRE_R39", "TRE_R40", "TRE_R42", "TRE_R43", "TRE_R44", "TRE_R45"];
/// National identifier of a person.
const IDNPS: &str = "urn:oid:1.2.250.1.71.4.2.1";
/// RPPS number.
const RPPS: &str = "https://rpps.esante.gouv.fr";
/// National identifier of a structure.
const IDNST: &str = "urn:oid:1.2.250.1.71.4.2.2";

/// Resources gathered by a search, by kind and id.
#[derive(Debug, Default)]
pub(super) struct Pool {
    practitioners: BTreeMap<String, Resource>,
    roles: BTreeMap<String, Resource>,
    organizations: BTreeMap<String, Resource>,
}

impl Pool {
    /// Takes a resource; kinds that are of no use are dropped.
    pub fn add(&mut self, mut resource: Resource) {
        resource.telecom.0.truncate(MAX_OF_ONE);
        resource.identifier.0.truncate(MAX_OF_ONE);
        resource.qualification.0.truncate(MAX_OF_ONE);
        resource.address.0.truncate(1);
        let place = match &*resource.resource_type {
            "Practitioner" => &mut self.practitioners,
            "PractitionerRole" => &mut self.roles,
            "Organization" => &mut self.organizations,
            _ => return,
        };
        if !resource.id.is_empty() {
            place.insert(resource.id.0.clone(), resource);
        }
    }

    /// Organisations that roles name and that are not here.
    pub fn missing_organizations(&self) -> BTreeSet<String> {
        missing(&self.roles, &self.organizations, |role| role.organization.0.as_ref().map(|r| r.id()))
    }

    /// People that roles name and that are not here.
    pub fn missing_practitioners(&self) -> BTreeSet<String> {
        missing(&self.roles, &self.practitioners, |role| role.practitioner.0.as_ref().map(|r| r.id()))
    }

    /// Active organisations, by id.
    pub fn organizations(&self) -> impl Iterator<Item = &str> {
        self.organizations.values().filter(|o| is_active(o)).map(|o| &*o.id)
    }

    /// Every mailbox that can be shown. `now` dates them.
    pub fn entries(&self, now: SystemTime) -> Vec<Entry> {
        let today = today(now);
        let mut entries = Vec::new();
        let mut sites_of: BTreeMap<&str, Vec<Site>> = BTreeMap::new();
        for role in self.roles.values().filter(|role| is_current(role, &today)) {
            let Some(holder) = role.practitioner.0.as_ref().map(|r| r.id()) else { continue };
            let organization = role.organization.0.as_ref().and_then(|r| self.organizations.get(r.id()));
            // A closed structure makes its roles void, a structure that is not here does not.
            if organization.is_some_and(|o| !is_active(o)) {
                continue;
            }
            let site = organization.map(site);
            if let Some(practitioner) = self.practitioners.get(holder).filter(|p| is_active(p)) {
                let person = person(practitioner, Some(role));
                for point in &*role.telecom {
                    let sites = site.iter().cloned().collect();
                    entries.extend(mailbox(point, MailboxKind::Per, Some(&person), sites, &today, now));
                }
            }
            sites_of.entry(holder).or_default().extend(site);
        }
        for practitioner in self.practitioners.values().filter(|p| is_active(p)) {
            let person = person(practitioner, None);
            for point in &*practitioner.telecom {
                let sites = sites_of.get(&*practitioner.id).cloned().unwrap_or_default();
                entries.extend(mailbox(point, MailboxKind::Per, Some(&person), sites, &today, now));
            }
        }
        for organization in self.organizations.values().filter(|o| is_active(o)) {
            for point in &*organization.telecom {
                entries.extend(mailbox(point, MailboxKind::Org, None, vec![site(organization)], &today, now));
            }
        }
        entries
    }
}

fn missing(
    roles: &BTreeMap<String, Resource>,
    here: &BTreeMap<String, Resource>,
    of: impl Fn(&Resource) -> Option<&str>,
) -> BTreeSet<String> {
    let named = roles.values().filter(|role| is_active(role)).filter_map(of);
    // An id goes into the next request: only what FHIR allows in one (R4 §2.24.0.1).
    let sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    };
    named.filter(sane).filter(|id| !here.contains_key(*id)).map(str::to_owned).collect()
}

/// Absent means active, as in FHIR.
fn is_active(resource: &Resource) -> bool {
    resource.active.0 != Some(false)
}

fn is_current(role: &Resource, today: &str) -> bool {
    is_active(role) && !role.period.0.as_ref().is_some_and(|period| period.is_over(today))
}

fn today(now: SystemTime) -> String {
    let date = time::OffsetDateTime::from(now).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The entry of a contact point, when it is a mailbox that may be shown.
fn mailbox(
    point: &ContactPoint,
    by_default: MailboxKind,
    person: Option<&Person>,
    mut sites: Vec<Site>,
    today: &str,
    now: SystemTime,
) -> Option<Entry> {
    let metadata = point.extension.iter().find(|e| e.url.ends_with(METADATA));
    let kind_of_mail = point.extension.iter().find(|e| e.url.ends_with(EMAIL_TYPE));
    let is_mssante = match kind_of_mail {
        Some(extension) => extension.code().eq_ignore_ascii_case("MSSANTE"),
        // Examples of the ANS leave the first out; the second stands on mailboxes of MSSanté only.
        None => metadata.is_some(),
    };
    let over = point.period.0.as_ref().is_some_and(|period| period.is_over(today));
    if !is_mssante || over || !(point.system.is_empty() || point.system.eq_ignore_ascii_case("email")) {
        return None;
    }
    let address: Address = point.value.trim().parse().ok()?;
    if !address.domain().is_mssante() || address.is_patient() {
        return None;
    }
    let fact = |name: &str| metadata.and_then(|m| m.extension.iter().find(|e| &*e.url == name));
    let text = |name: &str| fact(name).map(|e| clean(&e.value_string)).unwrap_or_default();
    let kind = fact("type").and_then(|e| e.code().to_ascii_uppercase().parse().ok()).unwrap_or(by_default);
    let service = text("service");
    if let Some(site) = sites.first_mut().filter(|_| !service.is_empty()) {
        site.service = service;
    }
    Some(Entry {
        address,
        kind,
        person: person.cloned(),
        sites,
        description: text("description"),
        red_list: fact("listeRouge").and_then(|e| e.value_boolean.0) == Some(true),
        paperless: fact("digitization").and_then(|e| e.value_boolean.0),
        source: Source::Api,
        seen: now,
    })
}

/// Who it is; a role may say more of the profession.
fn person(practitioner: &Resource, role: Option<&Resource>) -> Person {
    let mut person = Person { id: national_id(practitioner), ..Person::default() };
    if let Name::Human(names) = &practitioner.name
        && let Some(name) = names.iter().find(|name| !name.family.is_empty()).or(names.first())
    {
        person.family = clean(&name.family);
        person.given = clean(&name.given.0.join(" "));
        person.title = name.suffix.0.first().map(|title| clean(title)).unwrap_or_default();
    }
    let qualifications = practitioner.qualification.iter().filter_map(|q| q.code.0.as_ref());
    let of_role = role.into_iter().flat_map(|role| role.code.iter().chain(role.specialty.iter()));
    let concepts: Vec<&Concept> = qualifications.chain(of_role).collect();
    let codings = |system: &str| -> Vec<&Coding> {
        let all = concepts.iter().flat_map(|concept| concept.coding.iter());
        all.filter(|coding| in_system(coding, system) && !coding.code.is_empty()).collect()
    };
    person.profession = codings("TRE_G15").first().map(|coding| coded(coding, terms::profession));
    for system in SKILLS {
        for coding in codings(system) {
            let skill = coded(coding, terms::speciality);
            if !person.specialities.contains(&skill) {
                person.specialities.push(skill);
            }
        }
    }
    person
}

/// Systems are written `…/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante`, with or without the middle.
fn in_system(coding: &Coding, name: &str) -> bool {
    let dashed = name.replace('_', "-");
    [name, &dashed].iter().any(|name| {
        coding
            .system
            .split('/')
            .any(|part| part.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
    })
}

fn coded(coding: &Coding, label: fn(&str) -> Option<&'static str>) -> Coded {
    let code = clean(&coding.code);
    let label = match label(&code) {
        Some(label) => label.to_owned(),
        None => clean(&coding.display),
    };
    Coded { code, label }
}

fn national_id(practitioner: &Resource) -> Option<NationalId> {
    let of = |system: &'static str| {
        practitioner.identifier.iter().filter(move |i| i.system.trim_end_matches('/') == system).map(|i| i.value.trim())
    };
    let national = of(IDNPS).find_map(|value| value.parse().ok());
    national.or_else(|| of(RPPS).find_map(|number| NationalId::rpps(number).ok()))
}

fn site(organization: &Resource) -> Site {
    let mut site = Site { structure_id: structure_id(organization), ..Site::default() };
    if let Name::Plain(name) = &organization.name {
        site.structure = clean(name);
    }
    site.sign =
        organization.alias.0.first().map(|sign| clean(sign)).filter(|s| *s != site.structure).unwrap_or_default();
    if let Some(address) = organization.address.first() {
        site.street = clean(&address.line.0.join(", "));
        site.postal_code = clean(&address.postal_code);
        site.city = clean(&address.city);
        site.department = department_of(&site.postal_code).unwrap_or_else(|| clean(&address.district));
        site.country = clean(&address.country);
        if matches!(site.country.to_ascii_uppercase().as_str(), "FR" | "FRA" | "FRANCE" | "99000") {
            site.country.clear();
        }
    }
    site
}

/// The national identifier when there is one, else FINESS or SIRET.
fn structure_id(organization: &Resource) -> String {
    let national = organization.identifier.iter().find(|i| &*i.system == IDNST && !i.value.is_empty());
    let register = || {
        organization
            .identifier
            .iter()
            .find(|i| ["finess.", "sirene."].iter().any(|name| i.system.contains(name)) && !i.value.is_empty())
    };
    national.or_else(register).map(|i| clean(&i.value)).unwrap_or_default()
}

/// One line, of bounded length.
fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_TEXT));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_TEXT * 4 {
            break;
        }
    }
    if line.chars().count() > MAX_TEXT { line.chars().take(MAX_TEXT).collect() } else { line }
}
