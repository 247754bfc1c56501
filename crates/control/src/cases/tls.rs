//! TLS: encryption and the server's certificate, on both servers of the API LPS. All from one survey of each.

use std::sync::Arc;
use std::time::Duration;

use openssl::x509::X509;
use trust::revocation::{CrlSource, Revocation, RevocationSettings};
use trust::tls::{Anchors, Usage, verify_chain};

use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol, judge};
use crate::tls::Survey;
use crate::tls::survey::{State, VersionSheet};
use crate::tls::words::{Suite, Version};
use crate::verdict::{Severity, Verdict};

/// What is run.
pub(super) const CASES: &[&str] = &[
    "TLS-01", "TLS-02", "TLS-03", "TLS-04", "TLS-05", "TLS-06", "TLS-07", "TLS-08", "TLS-09", "TLS-10", "TLS-11",
    "TLS-12", "TLS-13",
];

/// A certificate with less time left is told.
const SOON: i64 = 30;
/// How long the revocation lists may take.
const FETCH: Duration = Duration::from_secs(15);

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if case.id == "TLS-13" {
        return super::nodes::run(case, context, findings).await;
    }
    if context.job.limits.parallel > 1 {
        // Each looked at once, and kept.
        tokio::join!(context.survey(Protocol::Imap), context.survey(Protocol::Smtp));
    }
    for protocol in Protocol::BOTH {
        let survey = context.survey(protocol).await;
        let proof = findings.keep(survey);
        let (observed, verdict) = seen(case, context, survey).await;
        findings.tell(&context.server(protocol).name, Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

/// What a survey says of a case.
pub(super) async fn seen(case: &Case, context: &Context, survey: &Survey) -> (String, Verdict) {
    match case.id.as_str() {
        "TLS-10" => revocation(context, survey).await,
        id => look(id, case, context, survey),
    }
}

pub(super) fn look(id: &str, case: &Case, context: &Context, survey: &Survey) -> (String, Verdict) {
    let sheet = |version: Version| survey.versions.iter().find(|sheet| sheet.version == version);
    let Some(tls12) = sheet(Version::Tls12) else {
        let why = survey.versions.iter().find_map(|sheet| sheet.detail.clone()).unwrap_or_default();
        return (why.clone(), Verdict::unclear(why));
    };
    let open = |sheet: &VersionSheet| {
        let why = sheet.detail.clone().unwrap_or_else(|| "rien n'a été vu".to_owned());
        (why.clone(), Verdict::unclear(why))
    };
    let is_incomplete =
        tls12.state == State::Inconclusive || (tls12.state == State::Accepted && tls12.detail.is_some());
    let names = |suites: &[Suite]| suites.iter().map(|suite| suite.name()).collect::<Vec<_>>().join(", ");
    match id {
        "TLS-01" => match tls12.state {
            State::Inconclusive => open(tls12),
            state => (format!("TLS 1.2 : {}", french(state)), judge(state == State::Accepted, case)),
        },
        "TLS-02" => {
            let old: Vec<&VersionSheet> =
                survey.versions.iter().filter(|sheet| sheet.version < Version::Tls12).collect();
            let told: Vec<String> =
                old.iter().map(|sheet| format!("{} : {}", sheet.version, french(sheet.state))).collect();
            let verdict = match old.iter().find(|sheet| sheet.state == State::Inconclusive) {
                _ if old.iter().any(|sheet| sheet.state == State::Accepted) => Verdict::fault(case.severity),
                Some(sheet) => {
                    Verdict::unclear(format!("{} : {}", sheet.version, sheet.detail.clone().unwrap_or_default()))
                }
                None if old.len() < 4 => Verdict::unclear("toutes les versions n'ont pas pu être essayées"),
                None => Verdict::Conforme,
            };
            (told.join(" ; "), verdict)
        }
        "TLS-03" => {
            let six: Vec<Suite> = tls12.suites.iter().copied().filter(|suite| suite.is_one_of_the_six()).collect();
            if six.is_empty() && is_incomplete {
                return open(tls12);
            }
            (format!("{} sur 6 : {}", six.len(), names(&six)), judge(!six.is_empty(), case))
        }
        "TLS-04" => {
            let others: Vec<Suite> = tls12.suites.iter().copied().filter(|suite| !suite.is_one_of_the_six()).collect();
            match others.is_empty() {
                true if is_incomplete => open(tls12),
                true => ("aucune suite hors liste".to_owned(), Verdict::Conforme),
                false => (format!("acceptées hors liste : {}", names(&others)), Verdict::fault(case.severity)),
            }
        }
        "TLS-05" => {
            let all = survey.versions.iter().flat_map(|sheet| &sheet.suites).copied();
            let is_bad = |suite: &Suite| {
                !suite.is_forward_secret()
                    || suite.is_null()
                    || suite.is_export()
                    || suite.is_rc4()
                    || suite.is_3des()
                    || suite.is_old()
            };
            let mut bad: Vec<Suite> = all.filter(is_bad).collect();
            bad.sort();
            bad.dedup();
            match bad.is_empty() {
                true if is_incomplete => open(tls12),
                true => ("aucune".to_owned(), Verdict::Conforme),
                false => (format!("acceptées : {}", names(&bad)), Verdict::fault(case.severity)),
            }
        }
        "TLS-06" => match survey.primes.iter().map(|prime| prime.bits).min() {
            None if is_incomplete => open(tls12),
            None => {
                ("DHE non proposé".to_owned(), Verdict::NonApplicable { raison: "DHE n'est pas proposé".to_owned() })
            }
            Some(least) => (format!("nombre premier de {least} bits au moins"), judge(least >= 2048, case)),
        },
        "TLS-07" => {
            let weak: Vec<String> =
                survey.curves.iter().filter(|group| !group.is_enough()).map(|group| group.name()).collect();
            let all: Vec<String> = survey.curves.iter().map(|group| group.name()).collect();
            match (all.is_empty(), weak.is_empty()) {
                (true, _) if is_incomplete => open(tls12),
                // Seen with TLS 1.2, whose want is the matter of TLS-01; the groups of TLS 1.3 are all large enough.
                (true, _) if tls12.state == State::Refused => {
                    let raison = "TLS 1.2 est refusé (TLS-01)".to_owned();
                    (String::new(), Verdict::NonApplicable { raison })
                }
                (true, _) => ("aucune courbe acceptée".to_owned(), Verdict::fault(case.severity)),
                (_, true) => (all.join(", "), Verdict::Conforme),
                (_, false) => (format!("trop petites : {}", weak.join(", ")), Verdict::fault(case.severity)),
            }
        }
        "TLS-12" => hardening(survey),
        _ => certificate(id, case, context, survey),
    }
}

fn french(state: State) -> &'static str {
    match state {
        State::Accepted => "accepté",
        State::Refused => "refusé",
        State::Inconclusive => "inconnu",
    }
}

fn hardening(survey: &Survey) -> (String, Verdict) {
    let questions = [
        (survey.compression, false, "compression"),
        (survey.secure_renegotiation, true, "renégociation sûre"),
        (survey.extended_master_secret, true, "extended master secret"),
        (survey.sha1_signature, false, "SHA-1 dans l'échange de clés"),
    ];
    let wrong: Vec<&str> =
        questions.iter().filter(|(seen, right, _)| seen.is_some_and(|seen| seen != *right)).map(|q| q.2).collect();
    if !wrong.is_empty() {
        let level = if survey.compression == Some(true) { Severity::Major } else { Severity::Minor };
        return (format!("à corriger : {}", wrong.join(", ")), Verdict::fault(level));
    }
    match questions.iter().find(|(seen, ..)| seen.is_none()) {
        Some((.., what)) => (String::new(), Verdict::unclear(format!("non vu : {what}"))),
        None => ("compression refusée, renégociation sûre, EMS, pas de SHA-1".to_owned(), Verdict::Conforme),
    }
}

fn certificate(id: &str, case: &Case, context: &Context, survey: &Survey) -> (String, Verdict) {
    let Some((chain, leaf)) = survey.chains.first().and_then(|chain| Some((chain, chain.certificates.first()?))) else {
        return ("aucun certificat vu".to_owned(), Verdict::unclear("aucun certificat n'a été vu"));
    };
    match id {
        "TLS-08" => {
            let Some(anchors) = &context.anchors else {
                let cause = "le job ne nomme pas d'autorités (trust.anchors)".to_owned();
                return (format!("émetteur : {}", leaf.issuer), Verdict::NonExecute { cause });
            };
            let sent = format!("{} certificat(s) envoyé(s), émetteur {}", chain.certificates.len(), leaf.issuer);
            // Without the intermediates of the anchors: those must have been sent.
            let alone = roots_only(anchors).is_none_or(|roots| is_whole(survey, &roots));
            let is_good = chain.verdict.as_ref().is_some_and(|verdict| verdict.is_good);
            match (is_good, alone, chain.is_ordered) {
                (false, ..) if chain.days_left < 0 => (
                    format!("{sent} ; expiré (voir TLS-09)"),
                    Verdict::unclear("certificat expiré : la chaîne n'est pas jugée ici"),
                ),
                (false, ..) => {
                    let fault = chain.verdict.as_ref().and_then(|verdict| verdict.fault.clone()).unwrap_or_default();
                    (format!("{sent} ; refusée : {fault}"), Verdict::fault(case.severity))
                }
                (_, false, _) => (format!("{sent} ; intermédiaire absent"), Verdict::fault(case.severity)),
                (.., false) => (format!("{sent} ; désordonnée"), Verdict::fault(Severity::Minor)),
                _ => (format!("{sent} ; vérifiée"), Verdict::Conforme),
            }
        }
        "TLS-09" => {
            let told = format!("noms : {} ; {} jours restants", leaf.names.join(", "), chain.days_left);
            let not_yet = leaf.not_before > time::OffsetDateTime::now_utc().unix_timestamp();
            if chain.days_left < 0 || not_yet {
                (told, Verdict::fault(case.severity))
            } else if chain.name_matches != Some(true) {
                let name = survey.server_name.clone().unwrap_or_default();
                let is_cn = leaf.names.is_empty() && leaf.subject.split(", ").any(|part| part == format!("CN={name}"));
                (told, Verdict::fault(if is_cn { Severity::Minor } else { case.severity }))
            } else if chain.days_left < SOON {
                (told, Verdict::fault(Severity::Minor))
            } else {
                (told, Verdict::Conforme)
            }
        }
        _ => {
            let told = format!("{}, {}, usages : {}", leaf.key, leaf.signature, leaf.usages.join(", "));
            let is_weak_key = if leaf.key.starts_with("RSA") { leaf.key_bits < 2048 } else { leaf.key_bits < 253 };
            let is_weak_hash = ["md5", "sha1"].iter().any(|hash| leaf.signature.to_ascii_lowercase().contains(hash));
            (told, judge(!is_weak_key && !is_weak_hash && leaf.usages.contains(&"server"), case))
        }
    }
}

/// The roots among the anchors; none when they cannot be told apart.
fn roots_only(anchors: &Anchors) -> Option<Anchors> {
    let roots = anchors.certificates().iter().filter(|c| c.issued(c) == openssl::x509::X509VerifyResult::OK);
    let pem: Vec<u8> = roots.filter_map(|root| root.to_pem().ok()).flatten().collect();
    Anchors::from_pem(&pem).ok()
}

fn chain_of(survey: &Survey) -> Option<(X509, Vec<X509>)> {
    let mut certificates = survey.ders.first()?.iter().filter_map(|der| X509::from_der(der).ok());
    Some((certificates.next()?, certificates.collect()))
}

/// Whether what was sent reaches a root by itself.
fn is_whole(survey: &Survey, roots: &Anchors) -> bool {
    chain_of(survey).is_some_and(|(leaf, above)| {
        let now = std::time::SystemTime::now();
        matches!(verify_chain(&leaf, &above, roots, Usage::ServerAuth, now, &Revocation::none()), Ok(Ok(())))
    })
}

async fn revocation(context: &Context, survey: &Survey) -> (String, Verdict) {
    let (Some(anchors), Some((leaf, above))) = (&context.anchors, chain_of(survey)) else {
        return (
            String::new(),
            Verdict::NonExecute { cause: "pas d'autorités (trust.anchors) ou pas de certificat".to_owned() },
        );
    };
    let own = survey
        .chains
        .first()
        .and_then(|chain| chain.certificates.first())
        .map(|sheet| sheet.crl.clone())
        .unwrap_or_default();
    let declared = context.job.trust.crl.iter().cloned();
    let urls: Vec<String> = declared.chain(own.into_iter().filter(|_| context.job.trust.crl.is_empty())).collect();
    if urls.is_empty() {
        return ("le certificat ne nomme aucune liste".to_owned(), Verdict::fault(Severity::Major));
    }
    let sources = urls.iter().cloned().map(CrlSource::Url).collect();
    let lists = match Revocation::new(RevocationSettings::required(anchors.clone(), sources)) {
        Ok(lists) => Arc::new(lists),
        Err(error) => return (error.to_string(), Verdict::unclear(error)),
    };
    let failed = match tokio::time::timeout(FETCH, lists.refresh()).await {
        Ok(failed) => failed,
        Err(_) => {
            return (
                "les listes ne viennent pas".to_owned(),
                Verdict::unclear("les listes de révocation ne viennent pas"),
            );
        }
    };
    let now = std::time::SystemTime::now();
    match verify_chain(&leaf, &above, anchors, Usage::ServerAuth, now, &lists) {
        Ok(Ok(())) => (format!("non révoqué d'après {}", urls.join(", ")), Verdict::Conforme),
        Ok(Err(trust::tls::CertificateFault::Revoked)) => {
            ("certificat révoqué".to_owned(), Verdict::fault(Severity::Blocking))
        }
        Ok(Err(fault)) => {
            let why = failed.first().map_or_else(|| fault.to_string(), |(_, error)| error.to_string());
            (why.clone(), Verdict::unclear(why))
        }
        Err(error) => (error.to_string(), Verdict::unclear(error)),
    }
}
