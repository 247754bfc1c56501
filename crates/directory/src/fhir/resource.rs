//! What is read of FHIR R4: Bundle, Practitioner, PractitionerRole, Organization, OperationOutcome. Fields by name, extensions by URL
//! (never by slice), everything else left out. client.md §6.1, §6.2.

use serde::Deserialize;

use super::lenient::{Flag, List, Name, Obj, Text, Texts};

/// A page, or an error in place of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Document {
    pub resource_type: Text,
    /// Of a Bundle.
    pub entry: List<BundleEntry>,
    /// Of a Bundle: `next` is the following page.
    pub link: List<Link>,
    /// Of an OperationOutcome.
    pub issue: List<Issue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BundleEntry {
    pub resource: Obj<Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    pub relation: Text,
    pub url: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Issue {
    pub code: Text,
    pub diagnostics: Text,
    pub details: Obj<Concept>,
}

/// Any of the three kinds of resources: the fields of all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Resource {
    pub resource_type: Text,
    pub id: Text,
    pub active: Flag,
    pub identifier: List<Identifier>,
    pub telecom: List<ContactPoint>,
    /// A person's names, an organisation's name.
    pub name: Name<HumanName>,
    /// Other names of an organisation.
    pub alias: Texts,
    /// Diplomas, profession and *savoir-faire* of a person.
    pub qualification: List<Qualification>,
    /// Of an organisation.
    pub address: List<PostalAddress>,
    /// Of a role.
    pub practitioner: Obj<Reference>,
    /// Of a role.
    pub organization: Obj<Reference>,
    /// Profession of a role, in version 1.
    pub code: List<Concept>,
    /// *Savoir-faire* of a role.
    pub specialty: List<Concept>,
    /// When a role holds.
    pub period: Obj<Period>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Identifier {
    pub system: Text,
    pub value: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContactPoint {
    pub system: Text,
    pub value: Text,
    pub period: Obj<Period>,
    pub extension: List<Extension>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Extension {
    pub url: Text,
    pub value_string: Text,
    pub value_code: Text,
    pub value_boolean: Flag,
    pub value_coding: Obj<Coding>,
    pub value_codeable_concept: Obj<Concept>,
    pub extension: List<Extension>,
}

impl Extension {
    /// The code in it, however it is written.
    pub fn code(&self) -> &str {
        let coding = self.value_coding.0.as_ref().map(|coding| &*coding.code);
        let concept = || Some(&*self.value_codeable_concept.0.as_ref()?.coding.first()?.code);
        if !self.value_code.is_empty() { &self.value_code } else { coding.or_else(concept).unwrap_or_default() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Coding {
    pub system: Text,
    pub code: Text,
    pub display: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Concept {
    pub coding: List<Coding>,
    pub text: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HumanName {
    pub family: Text,
    pub given: Texts,
    /// *Civilité*: `MME`.
    pub prefix: Texts,
    /// *Civilité d'exercice*: `DR`.
    pub suffix: Texts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Qualification {
    pub code: Obj<Concept>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PostalAddress {
    pub line: Texts,
    pub city: Text,
    pub postal_code: Text,
    pub district: Text,
    pub country: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub reference: Text,
}

impl Reference {
    /// The technical id, from `Practitioner/003-1` or a whole URL of any version of the interface.
    pub fn id(&self) -> &str {
        self.reference.rsplit('/').next().unwrap_or_default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Period {
    pub end: Text,
}

impl Period {
    /// Whether it ended before a day written `2026-11-22`: dates of ISO 8601 sort as texts.
    pub fn is_over(&self, today: &str) -> bool {
        let end = self.end.get(..10).unwrap_or_default();
        !end.is_empty() && end < today
    }
}

impl Document {
    /// The URL of the next page.
    pub fn next(&self) -> Option<&str> {
        self.link.iter().find(|link| &*link.relation == "next").map(|link| &*link.url).filter(|url| !url.is_empty())
    }

    /// What an OperationOutcome says, on one line of at most 200 characters.
    pub fn complaint(&self) -> Option<String> {
        let issue = self.issue.first()?;
        let text = issue.details.0.as_ref().map(|details| details.text.0.as_str()).filter(|text| !text.is_empty());
        let said = text.unwrap_or(if issue.diagnostics.is_empty() { &issue.code } else { &issue.diagnostics });
        let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}
