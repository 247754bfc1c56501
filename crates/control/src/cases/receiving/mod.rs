//! The operator interface receives: who may hand over mail, for whom, and what arrives of it. OP-IF, IGC, LB.

mod delivery;
mod sequences;

use std::time::SystemTime;

use crate::cases::presented::{Place, Wardrobe, sandwich};
use crate::cases::tls;
use crate::catalogue::{Case, Catalogue};
use crate::context::{Context, Findings, Protocol, VariantResult};
use crate::job::{OperatorInterface, RevocationBy, Server, interface_day};
use crate::names::{NameError, Names};
use crate::peer::{self, Attempt};
use crate::tls::Survey;
use crate::tls::starttls::shown;
use crate::tls::survey::State;
use crate::tls::words::Version;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Shown, WireError};

pub(in crate::cases) use delivery::body;
pub(crate) use sequences::DATA;

/// What is run: the operator receives. Sending is another file's.
pub(super) const CASES: &[&str] =
    &["OPE-01", "OPE-02", "OPE-03", "OPE-04", "OPE-05", "OPE-06", "OPE-07", "OPE-08", "OPE-09"];

const SMTP: Option<Protocol> = Some(Protocol::Smtp);
/// A sender of a domain that is on no white list and exists nowhere (RFC 2606).
const OUTSIDE: &str = "quelqu-un@exemple.invalid";

/// What the cases of this file go by.
pub(super) struct Stage<'j> {
    pub(super) section: &'j OperatorInterface,
    pub(super) server: &'j Server,
    /// The peer's certificate.
    pub(super) who: Shown,
    /// The peer's address.
    pub(super) from: String,
    /// The BAL of the tests.
    pub(super) to: &'j str,
}

impl<'j> Stage<'j> {
    /// From the job.
    pub(super) fn of(context: &'j Context) -> Result<Stage<'j>, Verdict> {
        let (section, server, who) = context.interface()?;
        let Some(mailbox) = &context.job.mailbox else {
            return Err(Verdict::NonExecute { cause: "le job n'a pas de section [mailbox]".to_owned() });
        };
        let from = format!("pair@{}", section.peer.domain);
        Ok(Stage { section, server, who, from, to: &mailbox.address })
    }
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if matches!(case.id.as_str(), "OPE-01" | "OPE-02") {
        let Some(section) = &context.job.operator_interface else {
            let cause = "le job n'a pas de section [operator_interface]".to_owned();
            return findings.tell("cas", None, &case.expected, "", Verdict::NonExecute { cause }, None);
        };
        return match case.id.as_str() {
            "OPE-01" => welcome(case, context, section, findings).await,
            _ => in_clear(case, context, section, findings).await,
        };
    }
    let stage = match Stage::of(context) {
        Ok(stage) => stage,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    match case.id.as_str() {
        "OPE-03" => delivery::nominal(case, context, &stage, findings).await,
        "OPE-04" => {
            let others = &stage.section.certificates;
            let wardrobe = Wardrobe { nominal: stage.who.clone(), others, revocation: RevocationBy::Both };
            let place = Place::Mx { server: stage.server, from: &stage.from, to: stage.to };
            sandwich(case, context, &wardrobe, &place, findings).await;
        }
        "OPE-05" => senders(case, context, &stage, findings).await,
        "OPE-06" => sequences::recipients(case, context, &stage, findings).await,
        "OPE-07" => delivery::end_to_end(case, context, &stage, findings).await,
        "OPE-08" => delivery::notices(case, context, &stage, findings).await,
        _ => sequences::run(case, context, &stage, findings).await,
    }
}

/// OPE-01: names, greeting, STARTTLS, TLS.
async fn welcome(case: &Case, context: &Context, section: &OperatorInterface, findings: &mut Findings) {
    for domain in &context.job.operator.domains {
        let servers = match Names::new(context.job.dns.server) {
            Ok(names) => names.mail_servers(domain).await,
            Err(error) => Err(error),
        };
        let (observed, verdict) = match servers {
            Ok(servers) => {
                let told = format!("MX : {}", servers.join(", "));
                let unknown = |name: &&String| !section.mx.iter().any(|mx| mx.name.eq_ignore_ascii_case(name));
                match servers.iter().find(unknown) {
                    None => (told, Verdict::Conforme),
                    // The job does not have all: told, so that somebody adds it.
                    Some(name) => (
                        format!("{told} ; {name} n'est pas dans le job, il n'est pas contrôlé"),
                        Verdict::fault(Severity::Minor),
                    ),
                }
            }
            Err(error @ NameError::Absent(_)) => (error.to_string(), Verdict::fault(case.severity)),
            Err(error) => (error.to_string(), Verdict::unclear(error)),
        };
        findings.tell(&format!("MX de {domain}"), SMTP, &case.expected, observed, verdict, None);
    }
    for (index, server) in section.mx.iter().enumerate() {
        let log = Log::default();
        let (observed, verdict) = match greeting(context, server, &log).await {
            Ok(seen) => seen_at(case, seen),
            Err(error) => (error.to_string(), Verdict::unclear(error)),
        };
        let proof = findings.keep(&log.lines());
        findings.tell(&format!("{} : accueil", server.name), SMTP, &case.expected, observed, verdict, Some(proof));
        let survey = context.mx_survey(index).await;
        let proof = findings.keep(survey);
        for number in 1..=11 {
            let id = format!("TLS-{number:02}");
            let Some(rule) = Catalogue::embedded().case(&id) else { continue };
            let (observed, verdict) = match id.as_str() {
                "TLS-02" => old_versions(rule, context, section, survey),
                _ => tls::seen(rule, context, survey).await,
            };
            let name = format!("{} : {id} {}", server.name, rule.title);
            findings.tell(&name, SMTP, &rule.expected, observed, verdict, Some(proof.clone()));
        }
    }
}

fn seen_at(case: &Case, (line, offers, starts): (String, bool, u16)) -> (String, Verdict) {
    match (offers, starts) {
        (false, _) => (format!("{line} ; STARTTLS n'est pas annoncé"), Verdict::fault(case.severity)),
        (true, 220) => (format!("{line} ; STARTTLS annoncé et accepté"), Verdict::Conforme),
        (true, code) => (format!("{line} ; STARTTLS annoncé, puis {code}"), Verdict::fault(case.severity)),
    }
}

/// The greeting, whether STARTTLS is offered, and what is answered to it.
async fn greeting(context: &Context, server: &Server, log: &Log) -> Result<(String, bool, u16), WireError> {
    let mut wire = peer::smtp_in_clear(context, server, log).await?;
    let answer = wire.smtp(crate::context::EHLO).await?;
    let offers = answer.extension("STARTTLS").is_some();
    let line = log.lines().into_iter().find(|line| line.from == '<').map(|line| line.text).unwrap_or_default();
    Ok((line, offers, wire.smtp("STARTTLS").await?.code))
}

/// TLS 1.0 and 1.1 between operators: minor until the day of the job, blocking after.
fn old_versions(rule: &Case, context: &Context, section: &OperatorInterface, survey: &Survey) -> (String, Verdict) {
    let (observed, verdict) = tls::look(&rule.id, rule, context, survey);
    let until = section.tls10_until.as_deref().and_then(interface_day);
    let today = time::OffsetDateTime::from(SystemTime::now()).date();
    let ssl = survey.versions.iter().any(|sheet| sheet.version < Version::Tls10 && sheet.state == State::Accepted);
    match (verdict, until) {
        (Verdict::NonConforme { .. }, Some(until)) if today <= until && !ssl => {
            (format!("{observed} ; toléré jusqu'au {until}"), Verdict::fault(Severity::Minor))
        }
        (verdict, _) => (observed, verdict),
    }
}

/// OPE-02: nothing without TLS.
async fn in_clear(case: &Case, context: &Context, section: &OperatorInterface, findings: &mut Findings) {
    for server in &section.mx {
        let log = Log::default();
        let from = format!("pair@{}", section.peer.domain);
        let to = context.job.mailbox.as_ref().map_or(OUTSIDE, |mailbox| &mailbox.address);
        let seen = async {
            let mut wire = peer::smtp_in_clear(context, server, &log).await?;
            let answer = wire.smtp(&format!("MAIL FROM:<{from}>")).await?;
            let line = shown(answer.line());
            Ok::<_, WireError>(match answer.code {
                530 => (line, Verdict::Conforme),
                500..600 => (format!("{line} (530 était attendu)"), Verdict::fault(Severity::Minor)),
                400..500 => (line.clone(), Verdict::unclear(line)),
                _ => {
                    let recipient = wire.smtp(&format!("RCPT TO:<{to}>")).await?;
                    let level = if recipient.code < 400 { case.severity } else { Severity::Major };
                    (format!("{line} ; RCPT : {}", shown(recipient.line())), Verdict::fault(level))
                }
            })
        };
        let (observed, verdict) = seen.await.unwrap_or_else(|error| (error.to_string(), Verdict::unclear(error)));
        let proof = findings.keep(&log.lines());
        findings.tell(&server.name, SMTP, &case.expected, observed, verdict, Some(proof));
    }
}

/// OPE-05: in whose name.
async fn senders(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let mut asked = vec![("domaine absent de la liste", OUTSIDE.to_owned(), true)];
    match &stage.section.other_domain {
        Some(domain) => {
            asked.push(("domaine d'un autre opérateur", format!("quelqu-un@{domain}"), stage.section.sender_must_match))
        }
        None => {
            let cause = "le job ne donne pas operator_interface.other_domain".to_owned();
            let verdict = Verdict::NonExecute { cause };
            findings.tell("domaine d'un autre opérateur", SMTP, &case.expected, "", verdict, None);
        }
    }
    let mut log = Log::default();
    let mut before = context.present(stage.server, Some(&stage.who), &stage.from, stage.to, &log).await;
    for (name, from, is_duty) in asked {
        let seen = context.present(stage.server, Some(&stage.who), &from, stage.to, &log).await;
        let after = context.present(stage.server, Some(&stage.who), &stage.from, stage.to, &log).await;
        let verdict = match &seen {
            _ if !before.is_accepted() => {
                Verdict::unclear(format!("le contrôle positif d'avant n'aboutit pas : {}", before.line()))
            }
            _ if !after.is_accepted() => {
                Verdict::unclear(format!("le contrôle positif d'après n'aboutit pas : {}", after.line()))
            }
            Attempt::Unclear(line) | Attempt::Postponed(line) => Verdict::unclear(line),
            Attempt::Refused(_) => Verdict::Conforme,
            Attempt::Accepted(_) => Verdict::fault(if is_duty { case.severity } else { Severity::Information }),
        };
        let proof = findings.keep(&log.lines());
        findings.add(VariantResult {
            nom: name.to_owned(),
            protocole: SMTP,
            attendu: if is_duty { case.expected.clone() } else { "refus ou accord (constat)".to_owned() },
            observe: format!("MAIL FROM:<{from}> : {}", seen.line()),
            verdict,
            controle_avant: Some(before.is_accepted()),
            controle_apres: Some(after.is_accepted()),
            preuves: vec![proof],
        });
        before = after;
        log = Log::default();
    }
}
