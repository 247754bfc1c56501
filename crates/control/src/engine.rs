//! A campaign: the cases of a plan, in order, with progress; what it gives is the report's matter.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cases;
use crate::catalogue::{Case, Catalogue};
use crate::context::{Context, Protocol, VariantResult};
use crate::verdict::{CampaignVerdict, Severity, Verdict};
use crate::wire::{Log, WireError};

/// How deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// What may be run against production: no valid token, no real BAL.
    Eclair,
    /// Everything.
    Complet,
}

/// What one case gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its id.
    pub id: String,
    /// Its title.
    pub titre: String,
    /// Where the duty comes from.
    pub exigences: String,
    /// How heavy a fault is.
    pub gravite: Severity,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its variants.
    pub variantes: Vec<VariantResult>,
    /// How long it took.
    pub duree_ms: u64,
}

/// A campaign that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Campaign {
    /// The plan.
    pub plan: String,
    /// How its user calls it.
    pub nom: String,
    /// Name, product and version of what was controlled.
    pub operateur: String,
    /// The product.
    pub solution: String,
    /// Its version.
    pub version_solution: String,
    /// Its domains.
    pub domaines: Vec<String>,
    /// Where.
    pub cible: Vec<String>,
    /// How deep.
    pub profondeur: Depth,
    /// Whether only some of the plan's cases were asked for.
    pub partielle: bool,
    /// When it began, RFC 3339.
    pub debut: String,
    /// When it ended.
    pub fin: String,
    /// The verdict.
    pub verdict: CampaignVerdict,
    /// How many cases of each verdict.
    pub comptes: BTreeMap<String, usize>,
    /// The cases.
    pub cas: Vec<CaseResult>,
    /// Proof by its SHA-256.
    pub preuves: BTreeMap<String, serde_json::Value>,
}

/// Something to say while it goes on.
pub enum Progress<'a> {
    /// So many cases will be run.
    Planned(usize),
    /// One is over.
    Done(&'a CaseResult),
}

/// What is wrong before anything is run: never a non-conformity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preflight {
    /// What was looked at.
    pub quoi: String,
    /// Whether it is right.
    pub bon: bool,
    /// What was seen, and what to do.
    pub detail: String,
}

/// « Vérifier la configuration »: ports, banners, TLS, and that one good token is taken by both.
pub async fn preflight(context: &Context) -> Vec<Preflight> {
    let mut checks = Vec::new();
    for protocol in Protocol::BOTH {
        let log = Log::default();
        let place = &context.server(protocol).address;
        let (bon, detail) = match context.open(protocol, &log).await {
            Ok(_) => (true, format!("{place} répond, TLS établi")),
            Err(error @ WireError::Unreachable(_)) => {
                (false, format!("{place} : {error}. Vérifiez l'adresse, le port, le pare-feu."))
            }
            Err(error) => (false, format!("{place} : {error}")),
        };
        checks.push(Preflight { quoi: format!("{} : connexion et STARTTLS", protocol.label()), bon, detail });
        if !bon {
            continue;
        }
        let check = match context.nominal(protocol, &log).await {
            None => (false, "pas de jeton : sections [psc] et [mailbox] du job".to_owned()),
            Some(login) if login.is_accepted() => (true, "un jeton nominal est accepté".to_owned()),
            Some(login) => (
                false,
                format!(
                    "{} — l'opérateur croit-il cet émetteur (psc.issuer) et cette clé ? la BAL est-elle à cet IDNAT ?",
                    login.line
                ),
            ),
        };
        checks.push(Preflight {
            quoi: format!("{} : authentification nominale", protocol.label()),
            bon: check.0,
            detail: check.1,
        });
    }
    checks
}

/// Whether a case is in a campaign.
fn is_asked(case: &Case, context: &Context, only: &[String], depth: Depth) -> bool {
    let is_named = |name: &String| name.eq_ignore_ascii_case(&case.id) || name.eq_ignore_ascii_case(case.group());
    context.job.plan.groups().contains(&case.group())
        && (only.is_empty() || only.iter().any(is_named))
        && (depth == Depth::Complet || case.prod)
}

/// Runs the plan's cases. `only`: ids or groups, all when empty.
pub async fn run(context: &Context, only: &[String], depth: Depth, told: &(dyn Fn(Progress<'_>) + Sync)) -> Campaign {
    let began = OffsetDateTime::now_utc();
    let asked: Vec<&Case> =
        Catalogue::embedded().cases.iter().filter(|case| is_asked(case, context, only, depth)).collect();
    told(Progress::Planned(asked.len()));
    let mut results = Vec::new();
    let mut proofs = BTreeMap::new();
    for case in asked {
        let started = Instant::now();
        let findings = cases::run(case, context).await;
        proofs.extend(findings.evidence);
        let result = CaseResult {
            id: case.id.clone(),
            titre: case.title.clone(),
            exigences: case.requirements.clone(),
            gravite: case.severity,
            verdict: Verdict::of(findings.variants.iter().map(|variant| &variant.verdict)),
            variantes: findings.variants,
            duree_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        told(Progress::Done(&result));
        results.push(result);
    }
    let mut counts = BTreeMap::new();
    for result in &results {
        *counts.entry(result.verdict.label()).or_insert(0) += 1;
    }
    let rfc3339 = |instant: OffsetDateTime| instant.format(&Rfc3339).unwrap_or_default();
    let job = &context.job;
    Campaign {
        plan: job.plan.code().to_owned(),
        nom: job.name.clone(),
        operateur: job.operator.name.clone(),
        solution: job.operator.solution.clone(),
        version_solution: job.operator.version.clone(),
        domaines: job.operator.domains.clone(),
        cible: Protocol::BOTH
            .iter()
            .map(|p| format!("{} {} ({})", p.label(), context.server(*p).name, context.server(*p).address))
            .collect(),
        profondeur: depth,
        partielle: !only.is_empty() || depth == Depth::Eclair,
        debut: rfc3339(began),
        fin: rfc3339(OffsetDateTime::now_utc()),
        verdict: CampaignVerdict::of(results.iter().map(|result| (result.gravite, &result.verdict))),
        comptes: counts,
        cas: results,
        preuves: proofs,
    }
}
