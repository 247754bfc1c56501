//! What every form of the report says in the same words.

use super::profile::Profile;
use super::seal::Seal;
use crate::catalogue::Catalogue;
use crate::engine::{Campaign, CaseResult};
use crate::job::Plan;
use crate::verdict::{Severity, Verdict};

/// `97 cas : 90 conforme, 7 non exécuté.`, and whether the campaign was partial.
pub(super) fn counts(campaign: &Campaign) -> String {
    let counts: Vec<String> = campaign.comptes.iter().map(|(label, count)| format!("{count} {label}")).collect();
    let part = if campaign.partielle { " Campagne partielle : elle ne vaut pas rapport de conformité." } else { "" };
    format!("{} cas : {}.{part}", campaign.cas.len(), counts.join(", "))
}

/// What was controlled, when, with what.
pub(super) fn scope(campaign: &Campaign) -> Vec<(String, String)> {
    let profile = Profile::embedded();
    let plan = match Plan::of_code(&campaign.plan) {
        Some(plan) => format!("{} : {}", campaign.plan, plan.title()),
        None => campaign.plan.clone(),
    };
    [
        ("Campagne", campaign.nom.clone()),
        ("Plan", plan),
        ("Solution", format!("{} {}", campaign.solution, campaign.version_solution)),
        ("Domaines", campaign.domaines.join(", ")),
        ("Cibles", campaign.cible.join(" ; ")),
        ("Début", campaign.debut.clone()),
        ("Fin", campaign.fin.clone()),
        ("Catalogue", format!("{} (SHA-256 {})", Catalogue::embedded().version, Catalogue::sha256())),
        ("Référentiels", profile.referentiels.join(" ; ")),
        ("Profil", format!("{} {} (SHA-256 {})", profile.id, profile.version, Profile::sha256())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Who signed, and how anybody checks it.
pub(super) fn signature(seal: Option<&Seal>) -> Vec<String> {
    match seal {
        None => vec![
            "Ce rapport n'est pas signé. Signer le JSON de la campagne : vaguemestre control sign campagne.json --certificate signature.pem \
             --key signature.key"
                .to_owned(),
        ],
        Some(seal) => vec![
            format!(
                "Le JSON de cette campagne (SHA-256 {}) est signé par {}{}, certificat {} de {}{}.",
                seal.sha256,
                seal.signataire,
                organisation(seal),
                seal.serie,
                seal.autorite,
                seal.date.as_ref().map(|date| format!(", le {date} d'après le signataire")).unwrap_or_default()
            ),
            "Vérifier : vaguemestre control verify campagne.json --signature campagne.json.p7s --anchors autorites.pem, ou openssl cms -verify \
             -binary -inform DER -in campagne.json.p7s -content campagne.json -CAfile autorites.pem -out /dev/null. Ce document-ci n'est qu'une \
             mise en page : c'est le JSON qui fait foi."
                .to_owned(),
        ],
    }
}

/// ` (ORGANISME, 1750000001)`: the signer's organisation, as its certificate has it.
fn organisation(seal: &Seal) -> String {
    let parts: Vec<&str> = seal.organisation.iter().chain(&seal.identifiants).map(String::as_str).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// What is not as it must be, the heaviest first; findings without effect apart.
pub(super) fn faults(campaign: &Campaign) -> Vec<(Severity, &CaseResult)> {
    let level = |case: &CaseResult| match case.verdict {
        Verdict::NonConforme { niveau } if niveau > Severity::Information => Some(niveau),
        _ => None,
    };
    let mut wrong: Vec<(Severity, &CaseResult)> =
        campaign.cas.iter().filter_map(|case| Some((level(case)?, case))).collect();
    wrong.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    wrong
}

/// What was seen in the variants of a case that are not as they must be, one a line.
pub(super) fn seen(case: &CaseResult) -> String {
    let is_wrong =
        |verdict: &Verdict| matches!(verdict, Verdict::NonConforme { niveau } if *niveau > Severity::Information);
    let lines = case.variantes.iter().filter(|variant| is_wrong(&variant.verdict));
    lines.map(|variant| format!("{} : {}", variant.nom, variant.observe)).collect::<Vec<_>>().join("\n")
}
