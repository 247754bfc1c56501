//! The catalogue: 120 cases as data (`catalogue/cas.json`), with what a report says about each beside its result
//! (`catalogue/conseils.json`). Adding a variant of a token needs no code (`catalogue/jetons.json`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::verdict::Severity;

const CASES: &str = include_str!("../catalogue/cas.json");
const ADVICE: &str = include_str!("../catalogue/conseils.json");

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// By the tool alone.
    #[serde(rename = "A")]
    Automatic,
    /// With an act of the operator.
    #[serde(rename = "S")]
    Assisted,
    /// By somebody who looks.
    #[serde(rename = "M")]
    Manual,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `TLS-01`.
    pub id: String,
    /// In one line.
    #[serde(rename = "titre")]
    pub title: String,
    /// Where the duty comes from.
    #[serde(rename = "exigences")]
    pub requirements: String,
    /// What is done.
    #[serde(rename = "etapes")]
    pub steps: String,
    /// What must be seen.
    #[serde(rename = "attendu")]
    pub expected: String,
    /// How heavy a fault is, unless a variant says otherwise.
    #[serde(rename = "gravite")]
    pub severity: Severity,
    /// What is kept as proof.
    #[serde(rename = "preuve")]
    pub evidence: String,
    /// How it is run.
    pub mode: Mode,
    /// Whether it may be run against production, without a valid token or a real BAL.
    pub prod: bool,
    /// What it stands on: G the seeds, O an official text known second-hand, BP good practice.
    pub base: String,
}

impl Case {
    /// `TLS` of `TLS-01`.
    #[must_use]
    pub fn group(&self) -> &str {
        self.id.split('-').next().unwrap_or(&self.id)
    }
}

/// Why a case matters, and what to do when it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// Why it matters.
    pub pourquoi: String,
    /// What to do.
    pub que_faire: String,
}

/// The catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Its version.
    pub version: String,
    /// Language of its texts.
    #[serde(rename = "langue")]
    pub language: String,
    /// Groups and what they are about.
    #[serde(rename = "groupes")]
    pub groups: BTreeMap<String, String>,
    /// The cases, in order.
    #[serde(rename = "cas")]
    pub cases: Vec<Case>,
}

impl Catalogue {
    /// The one of this program.
    #[must_use]
    pub fn embedded() -> &'static Catalogue {
        static EMBEDDED: OnceLock<Catalogue> = OnceLock::new();
        // A test reads it: it cannot be damaged in a program that was built.
        EMBEDDED.get_or_init(|| serde_json::from_str(CASES).expect("the catalogue is tested"))
    }

    /// SHA-256 of its data, hexadecimal: reports cite it.
    #[must_use]
    pub fn sha256() -> String {
        let mut all = openssl::sha::Sha256::new();
        let of_clients = [crate::client::data::CASES, crate::client::data::SCENARIOS];
        let of_operators = [
            CASES,
            ADVICE,
            crate::forge::VARIANTS,
            crate::cases::CERTIFICATES,
            crate::cases::SMTP_VARIANTS,
            crate::cases::HEADERS,
            crate::stand::white_list::DATA,
        ];
        for part in of_operators.into_iter().chain(of_clients) {
            all.update(part.as_bytes());
        }
        all.finish().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// A case by its id, upper or lower case.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.id.eq_ignore_ascii_case(id))
    }
}

/// What to say beside a result.
#[must_use]
pub fn advice(id: &str) -> Option<&'static Advice> {
    static EMBEDDED: OnceLock<BTreeMap<String, Advice>> = OnceLock::new();
    // Tested, as the catalogue.
    let of_operators = EMBEDDED.get_or_init(|| serde_json::from_str(ADVICE).expect("the advice is tested")).get(id);
    of_operators.or_else(|| crate::client::ClientCatalogue::embedded().case(id).map(|case| &case.advice))
}

/// What each group is about, mail software's included.
#[must_use]
pub fn groups() -> Vec<(&'static str, &'static str)> {
    let of_operators = Catalogue::embedded().groups.iter().map(|(name, about)| (name.as_str(), about.as_str()));
    of_operators.chain([("CLI", crate::client::ClientCatalogue::embedded().group.as_str())]).collect()
}

/// Every case: operators', then mail software's.
pub fn all_cases() -> impl Iterator<Item = &'static Case> {
    let of_clients = crate::client::ClientCatalogue::embedded().cases.iter().map(|case| &case.case);
    Catalogue::embedded().cases.iter().chain(of_clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_holds_together() {
        let catalogue = Catalogue::embedded();
        assert_eq!(catalogue.cases.len(), 120);
        let mut ids: Vec<&str> = catalogue.cases.iter().map(|case| case.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 120);
        for case in &catalogue.cases {
            assert!(catalogue.groups.contains_key(case.group()), "{}", case.id);
            // A good practice alone blocks nobody until the regulator says so (control.md §5.6).
            assert!(!(case.base.contains("BP") && case.severity == Severity::Blocking), "{}", case.id);
        }
        assert!(catalogue.case("tls-01").is_some() && catalogue.case("TLS-99").is_none());
    }

    #[test]
    fn whatever_is_run_has_its_advice() {
        for id in crate::cases::implemented() {
            assert!(advice(id).is_some(), "{id}");
            assert!(Catalogue::embedded().case(id).is_some(), "{id}");
        }
    }
}
