//! Tokens: one mutation at a time, by IMAP and by SMTP. Each is a sandwich: a good login, the mutated one, a good login (control.md §5.6).

use std::time::{Duration, Instant};

use super::insist::{self, AGAIN, Turn};
use super::observed;
use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol, VariantResult};
use crate::engine::waiting;
use crate::forge::{Expected, Variant, variants, xoauth2};
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

/// What is run: every case that has variants in the data.
pub(super) const CASES: &[&str] = &[
    "JWT-01", "JWT-02", "JWT-03", "JWT-04", "JWT-05", "JWT-06", "JWT-07", "JWT-08", "JWT-09", "JWT-10", "JWT-11",
    "JWT-12", "JWT-13", "JWT-14", "JWT-15", "JWT-16", "JWT-17", "JWT-18", "JWT-19", "JWT-21",
];

/// How long an answer « not now » is asked again: an operator that could not read PSC's keys just before asks for them once a minute.
const LATER: Duration = Duration::from_secs(75);
/// Between two of those.
const LATER_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let mut variants: Vec<Variant> = variants().into_iter().filter(|variant| variant.cas == case.id).collect();
    let mut counted = Findings::default();
    observed::count_readings(case, context, &mut counted).await;
    let watch = observed::begin(case, context, &mut variants).await;
    // The two servers side by side, each one connection at a time.
    let (imap, smtp) =
        tokio::join!(track(case, context, Protocol::Imap, &variants), track(case, context, Protocol::Smtp, &variants));
    for (variant, log) in imap.into_iter().chain(smtp) {
        let proof = findings.keep(&log.lines());
        findings.add(VariantResult { preuves: vec![proof], ..variant });
    }
    findings.evidence.extend(counted.evidence);
    findings.variants.extend(counted.variants);
    observed::end(case, context, watch, findings).await;
}

/// All variants by one protocol. The control after one is the control before the next.
async fn track(case: &Case, context: &Context, protocol: Protocol, variants: &[Variant]) -> Vec<(VariantResult, Log)> {
    let mut results = Vec::new();
    let mut log = Log::default();
    let mut before = is_good(context, protocol, &log).await;
    // One for the whole case: a server that never says more is not waited for at each variant.
    let until = Instant::now() + LATER;
    for variant in variants {
        let (mut observed, mut outcome) = try_one(context, protocol, variant, &log).await;
        while before && outcome == Some(LoginOutcome::Temporary) && Instant::now() < until {
            waiting("une réponse définitive de l'opérateur, qui remet à plus tard");
            tokio::time::sleep(LATER_PAUSE).await;
            (observed, outcome) = try_one(context, protocol, variant, &log).await;
        }
        let mut after = is_good(context, protocol, &log).await;
        // Put off for as long as an operator may need to read PSC's keys anew: for good, then?
        let mut is_for_good =
            before && after && outcome == Some(LoginOutcome::Temporary) && variant.attendu == Expected::Refus;
        for turn in AGAIN {
            if !is_for_good {
                break;
            }
            is_for_good = match turn {
                Turn::Wrong => {
                    (observed, outcome) = try_one(context, protocol, variant, &log).await;
                    outcome == Some(LoginOutcome::Temporary)
                }
                Turn::Good => {
                    after = is_good(context, protocol, &log).await;
                    after
                }
            };
        }
        if is_for_good {
            observed = insist::told(&observed);
        }
        let verdict = match (before, after, outcome) {
            (true, true, Some(_)) if is_for_good => insist::verdict(),
            (true, true, Some(outcome)) => verdict(case, variant, &outcome, &observed),
            (.., None) => Verdict::unclear(&observed),
            (false, ..) => Verdict::unclear("le contrôle positif d'avant est refusé"),
            (_, false, _) => Verdict::unclear("le contrôle positif d'après est refusé"),
        };
        let result = VariantResult {
            nom: variant.nom.clone(),
            protocole: Some(protocol),
            attendu: expected(variant).to_owned(),
            observe: observed,
            verdict,
            controle_avant: Some(before),
            controle_apres: Some(after),
            preuves: Vec::new(),
        };
        results.push((result, std::mem::take(&mut log)));
        before = after;
    }
    results
}

async fn is_good(context: &Context, protocol: Protocol, log: &Log) -> bool {
    context.nominal(protocol, log).await.is_some_and(|login| login.is_accepted())
}

/// The deciding line, and what became of it; none when the token could not even be made.
async fn try_one(
    context: &Context,
    protocol: Protocol,
    variant: &Variant,
    log: &Log,
) -> (String, Option<LoginOutcome>) {
    let Ok((forge, mailbox)) = context.tokens() else { return (String::new(), None) };
    match forge.make(&mailbox.idnat, &mailbox.other_idnat, &variant.mutations) {
        Ok(token) => {
            let login = context.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await;
            (login.line, Some(login.outcome))
        }
        Err(error) => (error.to_string(), None),
    }
}

fn expected(variant: &Variant) -> &'static str {
    match variant.attendu {
        Expected::Refus => "refus (535 ou NO)",
        Expected::Accord => "accord",
        Expected::Constat => "refus ou accord (constat)",
    }
}

fn verdict(case: &Case, variant: &Variant, outcome: &LoginOutcome, observed: &str) -> Verdict {
    let level = variant.niveau.unwrap_or(case.severity);
    match (outcome, variant.attendu) {
        (LoginOutcome::Temporary | LoginOutcome::Failed(_), _) => Verdict::unclear(observed),
        (LoginOutcome::Accepted, Expected::Refus) | (LoginOutcome::Refused | LoginOutcome::Cut, Expected::Accord) => {
            Verdict::fault(level)
        }
        (LoginOutcome::Accepted, Expected::Constat) => Verdict::fault(Severity::Information),
        _ => Verdict::Conforme,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_variants_and_every_variant_its_case() {
        let all = variants();
        for case in CASES {
            assert!(all.iter().any(|variant| variant.cas == *case), "{case}");
        }
        assert!(all.iter().all(|variant| CASES.contains(&variant.cas.as_str())));
    }
}
