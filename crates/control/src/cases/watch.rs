//! Watching a service in production: is it there, how fast (RES-05); is it as at the last control (RES-06).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::catalogue::{Case, Catalogue};
use crate::context::{Context, Findings, Protocol};
use crate::engine::Campaign;
use crate::job::Server;
use crate::peer;
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

/// What is run.
pub(super) const CASES: &[&str] = &["RES-05", "RES-06"];

/// Measures of one campaign: two failures in a row are an alert. A monitor makes the long series.
const MEASURES: usize = 3;
/// Between two measures.
const PAUSE: Duration = Duration::from_millis(500);

/// One measure.
#[derive(Debug, Clone, Serialize)]
struct Measure {
    serveur: String,
    ms: u64,
    erreur: Option<String>,
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    match case.id.as_str() {
        "RES-05" => available(case, context, findings).await,
        _ => drift(case, context, findings).await,
    }
}

/// What is measured: connection, STARTTLS, TLS.
enum Port<'c> {
    Lps(Protocol),
    Mx(&'c Server),
}

async fn measure(context: &Context, port: &Port<'_>) -> Measure {
    let log = Log::default();
    let began = Instant::now();
    let (serveur, erreur) = match port {
        Port::Lps(protocol) => {
            let name = format!("{} {}", protocol.label(), context.server(*protocol).name);
            (name, context.open(*protocol, &log).await.err().map(|error| error.to_string()))
        }
        Port::Mx(server) => {
            let seen = peer::smtp(context, server, None, &log).await;
            // Refused for want of a certificate: the server is there, and answers.
            let error = match seen {
                Err(peer::NoSession::Wire(error)) => Some(error.to_string()),
                Err(peer::NoSession::Handshake(crate::wire::Handshake::Failed(error))) => Some(error.to_string()),
                _ => None,
            };
            (format!("MX {}", server.name), error)
        }
    };
    Measure { serveur, ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), erreur }
}

/// RES-05.
async fn available(case: &Case, context: &Context, findings: &mut Findings) {
    let mut ports = Protocol::BOTH.map(Port::Lps).into_iter().collect::<Vec<_>>();
    if let Some(section) = &context.job.operator_interface {
        ports.extend(section.mx.iter().map(Port::Mx));
    }
    for port in &ports {
        let mut series: Vec<Measure> = Vec::new();
        for turn in 0..MEASURES {
            if turn > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            series.push(measure(context, port).await);
        }
        let mut times: Vec<u64> = series.iter().filter(|one| one.erreur.is_none()).map(|one| one.ms).collect();
        times.sort_unstable();
        let is_alert = series.windows(2).any(|pair| pair.iter().all(|one| one.erreur.is_some()));
        let error = series.iter().find_map(|one| one.erreur.clone());
        let median = times.get(times.len() / 2).copied();
        let observed = format!(
            "{} sur {} ; médiane {}{}",
            times.len(),
            series.len(),
            median.map_or("inconnue".to_owned(), |ms| format!("{ms} ms")),
            error.map(|error| format!(" ; {error}")).unwrap_or_default()
        );
        let name = series.first().map(|one| one.serveur.clone()).unwrap_or_default();
        let verdict = if is_alert { Verdict::fault(Severity::Information) } else { Verdict::Conforme };
        let proof = findings.keep(&series);
        findings.tell(&name, None, &case.expected, observed, verdict, Some(proof));
    }
}

/// How bad a verdict is, for a comparison; none when it tells nothing.
fn weight(verdict: &Verdict) -> Option<u8> {
    match verdict {
        Verdict::Conforme | Verdict::NonApplicable { .. } => Some(0),
        Verdict::NonConforme { niveau } => Some(1 + *niveau as u8),
        Verdict::NonExecute { .. } | Verdict::Inconclusif { .. } | Verdict::AExaminer { .. } => None,
    }
}

/// RES-06: every case that may be run against production, again, beside what the reference says of it.
async fn drift(case: &Case, context: &Context, findings: &mut Findings) {
    let none = |cause: String| Verdict::NonExecute { cause };
    let Some(reference) = &context.job.reference else {
        // Nothing to compare with, so nothing that could have become worse: this campaign is what the next one is compared with.
        let raison =
            "première campagne : elle établit la référence ; la suivante lui est comparée ([reference] report)";
        let verdict = Verdict::NonApplicable { raison: raison.to_owned() };
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    };
    let read = std::fs::read_to_string(&reference.report).map_err(|error| error.to_string());
    let read = read.and_then(|text| crate::report::read(&text).map_err(|error| error.to_string()));
    let before: Campaign = match read {
        Ok(before) => before,
        Err(error) => {
            let verdict = none(format!("{} : {error}", reference.report.display()));
            return findings.tell("cas", None, &case.expected, "", verdict, None);
        }
    };
    let known: BTreeMap<&str, &Verdict> = before.cas.iter().map(|case| (case.id.as_str(), &case.verdict)).collect();
    for watched in Catalogue::embedded().cases.iter().filter(|other| other.prod && other.group() != "RES") {
        let Some(old) = known.get(watched.id.as_str()) else { continue };
        let Some(old_weight) = weight(old) else { continue };
        // Boxed: a case that runs cases would be without end otherwise.
        let now = Box::pin(super::run(watched, context)).await;
        let new = Verdict::of(now.variants.iter().map(|variant| &variant.verdict));
        let observed = format!("{} → {}", old.label(), new.label());
        let verdict = match weight(&new) {
            None => Verdict::unclear(new.reason().unwrap_or_default()),
            Some(weight) if weight <= old_weight => Verdict::Conforme,
            // What it has become, by that case's own rule.
            Some(_) => match new {
                Verdict::NonConforme { niveau } => Verdict::fault(niveau),
                _ => Verdict::fault(watched.severity),
            },
        };
        findings.evidence.extend(now.evidence);
        findings.tell(&format!("{} {}", watched.id, watched.title), None, &case.expected, observed, verdict, None);
    }
    if findings.variants.is_empty() {
        let verdict = none("la campagne de référence n'a aucun cas de surveillance".to_owned());
        findings.tell("cas", None, &case.expected, "", verdict, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worse_weighs_more() {
        let weights = [
            Verdict::Conforme,
            Verdict::fault(Severity::Information),
            Verdict::fault(Severity::Minor),
            Verdict::fault(Severity::Major),
            Verdict::fault(Severity::Blocking),
        ];
        let weights: Vec<Option<u8>> = weights.iter().map(weight).collect();
        assert!(weights.windows(2).all(|pair| pair[0] < pair[1]), "{weights:?}");
        assert_eq!(weight(&Verdict::unclear("421")), None);
    }
}
