//! FHIR resources, with the peculiarities the real ones have (client.md §6.2, operator.md §4.5).

use serde_json::{Value, json};

use super::people::{Mailbox, Person, Structure};

const NOS: &str = "https://mos.esante.gouv.fr/NOS";
const PROFILES: &str = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition";

/// A nomenclature's system: `TRE_G15-ProfessionSante` becomes `…/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante`.
fn system(name: &str) -> String {
    format!("{NOS}/{name}/FHIR/{}", name.replacen('_', "-", 1))
}

fn coding(name: &str, code: &str) -> Value {
    json!({ "system": system(name), "code": code })
}

/// A mailbox on its bearer. `odd`: as some examples of the ANS have it.
pub(super) fn mailbox(mailbox: &Mailbox, rank: usize, odd: bool) -> Value {
    // The system of the kind is R257 in instances and R256 in some examples.
    let kinds = if odd { "TRE_R256-TypeMessagerie" } else { "TRE_R257-TypeBAL" };
    let mut facts = vec![
        json!({ "url": "type", "valueCodeableConcept": { "coding": [coding(kinds, mailbox.kind.code())] } }),
        // Removed from the profile in May 2026, still there in what is served.
        json!({ "url": "digitization", "valueBoolean": true }),
        json!({ "url": "listeRouge", "valueBoolean": mailbox.red_list }),
    ];
    if !mailbox.service.is_empty() {
        facts.push(json!({ "url": "service", "valueString": mailbox.service }));
        facts.push(json!({ "url": "description", "valueString": format!("BAL {}", mailbox.service) }));
    }
    json!({
        "system": "email",
        "value": mailbox.address,
        "rank": rank,
        "extension": [
            { "url": "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type",
              "valueCoding": coding("TRE_R256-TypeMessagerie", "MSSANTE") },
            { "url": format!("{PROFILES}/as-ext-mailbox-mss-metadata"), "extension": facts },
        ]
    })
}

fn meta(profile: &str, updated: &str) -> Value {
    json!({ "versionId": "1", "lastUpdated": updated, "profile": [format!("{PROFILES}/{profile}")] })
}

/// A person, with the mailboxes that are theirs alone.
pub(super) fn practitioner(id: &str, person: &Person, telecom: Vec<Value>, updated: &str) -> Value {
    let rpps = person.id.get(1..).unwrap_or_default();
    let mut name = json!({ "use": "official", "family": person.family, "given": [person.given], "prefix": ["M"] });
    if !person.title.is_empty() {
        name["suffix"] = json!([person.title]);
    }
    let mut qualifications = vec![json!({ "code": { "coding": [
        coding("TRE_G15-ProfessionSante", person.profession), coding("TRE_R09-CategorieProfessionnelle", "C") ] } })];
    if !person.speciality.is_empty() {
        qualifications.push(json!({ "code": { "coding": [
            coding("TRE_R38-SpecialiteOrdinale", person.speciality), coding("TRE_R04-TypeSavoirFaire", "S") ] } }));
    }
    json!({
        "resourceType": "Practitioner",
        "id": id,
        "meta": meta("as-practitioner", updated),
        "language": "fr",
        "identifier": [
            { "use": "official", "system": "urn:oid:1.2.250.1.71.4.2.1", "value": person.id,
              "type": { "coding": [{ "system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203", "code": "IDNPS" }] } },
            { "system": "https://rpps.esante.gouv.fr", "value": rpps,
              "type": { "coding": [{ "system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203", "code": "RPPS" }] } },
        ],
        "active": person.active,
        "name": [name],
        "telecom": telecom,
        "qualification": qualifications,
    })
}

/// Somebody at work somewhere, with the mailboxes they have there.
pub(super) fn role(
    id: &str,
    practitioner: &str,
    organization: &str,
    active: bool,
    telecom: Vec<Value>,
    updated: &str,
) -> Value {
    json!({
        "resourceType": "PractitionerRole",
        "id": id,
        "meta": meta("as-practitionerrole", updated),
        "identifier": [{ "system": "https://rpps.esante.gouv.fr", "value": id.replace('-', "") }],
        "active": active,
        "practitioner": { "reference": format!("Practitioner/{practitioner}") },
        "organization": { "reference": format!("Organization/{organization}") },
        "code": [{ "coding": [coding("TRE_R22-GenreActivite", "GENR01"), coding("TRE_R23-ModeExercice", "S")] }],
        "telecom": telecom,
    })
}

/// A structure, with its mailboxes and its ordinary addresses.
pub(super) fn organization(id: &str, structure: &Structure, mut telecom: Vec<Value>, updated: &str) -> Value {
    let number = structure.id.get(1..).unwrap_or_default();
    // The standard of the structure: not MSSanté, and among the mailboxes all the same.
    telecom.push(json!({ "system": "phone", "value": "0100000000" }));
    telecom.push(json!({ "system": "email", "value": format!("contact@{number}.example.org") }));
    json!({
        "resourceType": "Organization",
        "id": id,
        "meta": meta("as-organization", updated),
        "identifier": [
            { "use": "official", "system": "urn:oid:1.2.250.1.71.4.2.2", "value": structure.id,
              "type": { "coding": [{ "system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203", "code": "IDNST" }] } },
            { "system": "https://finess.esante.gouv.fr", "value": number,
              "type": { "coding": [{ "system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203", "code": "FINEG" }] } },
        ],
        "active": true,
        "type": [{ "coding": [{ "system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-3307", "code": "GEOGRAPHICAL-ENTITY" }] }],
        "name": structure.name,
        "telecom": telecom,
        "address": [{ "line": ["1 RUE DE TEST"], "city": structure.city, "postalCode": structure.postal_code, "country": "FR" }],
    })
}

/// An error, as HAPI writes it.
pub(super) fn outcome(code: &str, diagnostics: &str) -> Value {
    json!({ "resourceType": "OperationOutcome", "issue": [
        { "severity": "error", "code": code, "diagnostics": diagnostics } ] })
}
