//! The report of a campaign: JSON (the master), JUnit, CSV, HTML that reads offline, PDF/A; and its signature ([`seal`]). CTL-REPORT;
//! control.md §5.7.
//!
//! Proof is kept by its SHA-256, and all of them hang on one chain: whoever changes one line of one proof changes the report's last hash.

mod csv;
mod html;
mod junit;
mod matrix;
mod pdf;
mod profile;
pub mod seal;
mod words;

use serde::Serialize;
use serde_json::{Value, json};

pub use csv::csv;
pub use html::{html, html_sealed};
pub use junit::junit;
pub use matrix::{Row, matrix};
pub use pdf::pdf;
pub use profile::{Profile, Reading};

use crate::catalogue::Catalogue;
use crate::engine::Campaign;

/// Shape of the JSON; changes when a key is renamed or removed.
pub const SCHEMA: &str = "vaguemestre/control/resultat/1";

/// SHA-256, hexadecimal.
#[must_use]
pub fn sha256(octets: &[u8]) -> String {
    openssl::sha::sha256(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The report as JSON.
#[must_use]
pub fn json(campaign: &Campaign) -> Value {
    #[derive(Serialize)]
    struct Report<'a> {
        schema: &'static str,
        outil: Value,
        catalogue: Value,
        referentiels: &'a [String],
        profil: Value,
        #[serde(flatten)]
        campagne: &'a Campaign,
        chaine: String,
    }
    let profile = Profile::embedded();
    let report = Report {
        schema: SCHEMA,
        outil: json!({ "nom": "vaguemestre", "version": env!("CARGO_PKG_VERSION") }),
        catalogue: json!({ "version": Catalogue::embedded().version, "sha256": Catalogue::sha256() }),
        referentiels: &profile.referentiels,
        profil: json!({ "id": profile.id, "version": profile.version, "sha256": Profile::sha256() }),
        campagne: campaign,
        chaine: chain(campaign),
    };
    // Maps with text keys and numbers: nothing in it can fail.
    serde_json::to_value(report).unwrap_or_default()
}

/// The hash chain: each link is the hash of the one before, a case and its proofs.
fn chain(campaign: &Campaign) -> String {
    chain_from(&Catalogue::sha256(), campaign)
}

fn chain_from(catalogue: &str, campaign: &Campaign) -> String {
    let mut link = sha256(catalogue.as_bytes());
    for case in &campaign.cas {
        let proofs: Vec<&String> = case.variantes.iter().flat_map(|variant| &variant.preuves).collect();
        let what = serde_json::to_string(&(case, proofs)).unwrap_or_default();
        link = sha256(format!("{link}{}", sha256(what.as_bytes())).as_bytes());
    }
    link
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not a report of this shape.
    #[error("this is not a report of {SCHEMA}: {0}")]
    Shape(String),
    /// A proof that has not the hash that names it. Holds the name.
    #[error("the proof {0} was changed")]
    Proof(String),
    /// The chain does not end where the report says: a case or its proofs were changed.
    #[error("the chain of proofs does not hold: a case was changed")]
    Chain,
}

/// Reads a report and checks that it holds together: each proof has the hash that names it, and the chain ends where it says.
///
/// # Errors
/// [`ReportError`].
pub fn read(text: &str) -> Result<Campaign, ReportError> {
    let shape = |error: serde_json::Error| ReportError::Shape(error.to_string());
    let value: Value = serde_json::from_str(text).map_err(shape)?;
    if value["schema"] != SCHEMA {
        return Err(ReportError::Shape("schema".to_owned()));
    }
    let campaign: Campaign = serde_json::from_value(value.clone()).map_err(shape)?;
    if let Some((key, _)) = campaign.preuves.iter().find(|(key, proof)| **key != sha256(proof.to_string().as_bytes())) {
        return Err(ReportError::Proof(key.clone()));
    }
    let start = value["catalogue"]["sha256"].as_str().unwrap_or_default();
    if value["chaine"] != chain_from(start, &campaign) {
        return Err(ReportError::Chain);
    }
    Ok(campaign)
}

/// Text inside HTML or XML: markup escaped, what no XML may hold left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{FFFE}' || c == '\u{FFFF}' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::context::VariantResult;
    use crate::engine::{CaseResult, Depth};
    use crate::verdict::{CampaignVerdict, Severity, Verdict};

    pub(super) fn campaign() -> Campaign {
        let proof = json!([{ "ms": 1, "from": "<", "text": "535 <script>alert(1)</script>" }]);
        let key = sha256(proof.to_string().as_bytes());
        let variant = VariantResult {
            nom: "exp = T-1h".into(),
            protocole: None,
            attendu: "refus".into(),
            observe: "=235 <b>".into(),
            verdict: Verdict::fault(Severity::Blocking),
            controle_avant: Some(true),
            controle_apres: Some(true),
            preuves: vec![key.clone()],
        };
        let case = |id: &str, verdict: Verdict| CaseResult {
            id: id.into(),
            titre: "Jeton expiré".into(),
            exigences: "MSS 7.2".into(),
            gravite: Severity::Blocking,
            verdict,
            variantes: vec![variant.clone()],
            duree_ms: 12,
        };
        Campaign {
            plan: "api-lps".into(),
            nom: "essai".into(),
            operateur: "<Opérateur>".into(),
            solution: "s".into(),
            version_solution: "1".into(),
            domaines: vec!["a.test".into()],
            cible: vec!["IMAP a".into()],
            profondeur: Depth::Complet,
            partielle: false,
            debut: "2026-11-22T07:00:00Z".into(),
            fin: "2026-11-22T07:01:00Z".into(),
            verdict: CampaignVerdict::NonConformeBloquante,
            comptes: BTreeMap::from([("conforme".to_owned(), 1)]),
            cas: vec![case("JWT-02", Verdict::fault(Severity::Blocking)), case("TLS-01", Verdict::Conforme)],
            preuves: BTreeMap::from([(key, proof)]),
        }
    }

    #[test]
    fn proofs_are_named_by_their_hash_and_chained() {
        let mut report = json(&campaign());
        let back = read(&report.to_string()).expect("whole");
        assert_eq!(json(&back), report);
        let mut other = report.clone();
        other["cas"][0]["variantes"][0]["observe"] = json!("refused");
        assert_eq!(read(&other.to_string()).map(|_| ()), Err(ReportError::Chain));
        let key = report["preuves"].as_object().and_then(|proofs| proofs.keys().next().cloned()).expect("a proof");
        report["preuves"][key.as_str()][0]["text"] = json!("535 refused");
        assert_eq!(read(&report.to_string()).map(|_| ()), Err(ReportError::Proof(key)));
        assert!(matches!(read("{}"), Err(ReportError::Shape(_))));
    }

    #[test]
    fn nothing_of_a_server_becomes_markup() {
        let campaign = campaign();
        for text in [html(&campaign), junit(&campaign)] {
            assert!(!text.contains("<script>alert") && !text.contains("<b>") && !text.contains("<Opérateur>"));
        }
        assert!(roxmltree::Document::parse(&junit(&campaign)).is_ok());
        // A spreadsheet must not take a server's words for a formula.
        assert!(
            csv(&campaign)
                .lines()
                .all(|line| !line.split(';').any(|cell| cell.trim_matches('"').starts_with(['=', '+', '@'])))
        );
        assert_eq!(escaped("a\u{1}\u{7f}<'"), "a\u{FFFD}\u{FFFD}&lt;&#39;");
    }
}
