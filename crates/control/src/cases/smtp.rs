//! Logging in and handing over by SMTP: what is announced, refusals, nothing without authentication, nobody else's name, nobody outside.

use crate::catalogue::Case;
use crate::context::{Context, EHLO, Findings, Login, LoginOutcome, Protocol, judge};
use crate::forge::{Mutation, xoauth2};
use crate::tls::starttls::shown;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Wire, WireError};

/// What is run. SMA-02 needs the application's own mailboxes.
pub(super) const CASES: &[&str] = &["SMA-01", "SMA-03", "SMA-04", "SMA-05", "SMA-06", "SMA-07"];

/// A domain that is on no white list and exists nowhere (RFC 2606).
const OUTSIDE: &str = "quelqu-un@exemple.invalid";

const SMTP: Protocol = Protocol::Smtp;

type Seen = Result<(String, Verdict), WireError>;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let mut tell = |name: &str, seen: Seen, log: &Log| {
        let (observed, verdict) = seen.unwrap_or_else(|error| (error.to_string(), Verdict::unclear(error)));
        let proof = findings.keep(&log.lines());
        findings.tell(name, Some(SMTP), &case.expected, observed, verdict, Some(proof));
    };
    let log = Log::default();
    match case.id.as_str() {
        "SMA-01" => tell("EHLO", announced(case, context, &log).await, &log),
        "SMA-04" => tell("MAIL sans AUTH", without(case, context, &log).await, &log),
        _ => {
            if let Err(verdict) = context.tokens() {
                return findings.tell("cas", None, &case.expected, "", verdict, None);
            }
            match case.id.as_str() {
                "SMA-03" => tell("jeton expiré", refusal(case, context, &log).await, &log),
                "SMA-05" => tell("MAIL FROM d'autrui", spoofed(case, context, &log).await, &log),
                "SMA-06" => tell("domaine hors liste blanche", outside(context, &log).await, &log),
                _ => {
                    tell("taille", size(case, context, &log).await, &log);
                    for (name, initial) in [("AUTH de 8 Ko", false), ("AUTH de 8 Ko en une ligne (constat)", true)] {
                        let log = Log::default();
                        tell(name, long(case, context, initial, &log).await, &log);
                    }
                }
            }
        }
    }
}

async fn announced(case: &Case, context: &Context, log: &Log) -> Seen {
    let mut wire = context.open(SMTP, log).await?;
    let answer = wire.smtp(EHLO).await?;
    let auth = answer.extension("AUTH").unwrap_or_default().to_owned();
    let is_there = auth.split(' ').any(|word| word.eq_ignore_ascii_case("XOAUTH2"));
    Ok((if auth.is_empty() { "AUTH n'est pas annoncé".to_owned() } else { shown(&auth) }, judge(is_there, case)))
}

async fn without(case: &Case, context: &Context, log: &Log) -> Seen {
    let mut wire = context.open(SMTP, log).await?;
    let from = context.job.mailbox.as_ref().map_or("essai@exemple.invalid", |mailbox| &mailbox.address);
    let answer = wire.smtp(&format!("MAIL FROM:<{from}>")).await?;
    let line = shown(answer.line());
    Ok(match answer.code {
        530 => (line, Verdict::Conforme),
        // Refused in other words.
        500..600 => (line, Verdict::fault(Severity::Minor)),
        400..500 => (line.clone(), Verdict::unclear(line)),
        _ => {
            let recipient = wire.smtp(&format!("RCPT TO:<{from}>")).await?;
            let told = format!("{line} ; RCPT : {}", shown(recipient.line()));
            let is_open = recipient.code < 400;
            (told, Verdict::fault(if is_open { case.severity } else { Severity::Major }))
        }
    })
}

/// A response whose token ends at this instant, given as the data do.
fn response(context: &Context, mutations: &[Mutation]) -> Result<Vec<u8>, WireError> {
    let (forge, mailbox) = context.tokens().map_err(|_| WireError::Protocol("pas de jeton".to_owned()))?;
    let token =
        forge.make(&mailbox.idnat, &mailbox.other_idnat, mutations).map_err(|e| WireError::Protocol(e.to_string()))?;
    Ok(xoauth2(&mailbox.address, &token))
}

/// A session that is logged in.
async fn session(context: &Context, log: &Log) -> Result<Wire, WireError> {
    let Login { outcome, line, wire, .. } = context.login(SMTP, &response(context, &[])?, true, log).await;
    match (outcome, wire) {
        (LoginOutcome::Accepted, Some(wire)) => Ok(wire),
        (LoginOutcome::Failed(error), _) => Err(error),
        _ => Err(WireError::Protocol(format!("le contrôle positif est refusé : {line}"))),
    }
}

async fn refusal(case: &Case, context: &Context, log: &Log) -> Seen {
    let over = [("exp", "T-3600"), ("iat", "T-3720")]
        .map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: serde_json::json!(at) });
    let login = context.login(SMTP, &response(context, &over)?, true, log).await;
    let challenge = login.challenge.as_ref().map(|challenge| format!(" ; défi : {challenge}")).unwrap_or_default();
    let line = login.line.clone();
    Ok(match login.outcome {
        LoginOutcome::Accepted => (line, Verdict::fault(Severity::Blocking)),
        // Cut before 535: a client takes it for a broken line and keeps the token (seen on a real operator).
        LoginOutcome::Cut => (format!("{line}, sans 535{challenge}"), Verdict::fault(case.severity)),
        LoginOutcome::Temporary => (format!("{line}{challenge}"), Verdict::fault(Severity::Minor)),
        LoginOutcome::Failed(error) => return Err(error),
        LoginOutcome::Refused => {
            let own = context.job.mailbox.as_ref().map(|mailbox| mailbox.address.clone()).unwrap_or_default();
            let (mail, recipient) = match login.wire {
                Some(wire) => afterwards(wire, &own).await,
                None => (0, 0),
            };
            let is_right = line.starts_with("535") && line.contains("5.7.8");
            let mut told = format!("{line}{challenge} ; MAIL ensuite : {mail}");
            if recipient > 0 {
                told.push_str(&format!(", RCPT : {recipient}"));
            }
            let verdict = match (200..300).contains(&mail) {
                // Some servers keep every refusal for RCPT: nothing is open then, and MAIL was due 530 all the same.
                true if !(200..400).contains(&recipient) => Verdict::fault(case.severity),
                true => Verdict::fault(Severity::Blocking),
                false => judge(is_right, case),
            };
            (told, verdict)
        }
    })
}

/// What MAIL and, when that is taken, RCPT are answered after a refusal; 0 where nothing is answered.
async fn afterwards(mut wire: Wire, own: &str) -> (u16, u16) {
    let mail = wire.smtp(&format!("MAIL FROM:<{own}>")).await.map_or(0, |answer| answer.code);
    let recipient = match mail {
        200..300 => wire.smtp(&format!("RCPT TO:<{own}>")).await.map_or(0, |answer| answer.code),
        _ => 0,
    };
    (mail, recipient)
}

async fn spoofed(case: &Case, context: &Context, log: &Log) -> Seen {
    let other = context.job.mailbox.as_ref().map(|mailbox| mailbox.other_address.clone()).unwrap_or_default();
    let mut wire = session(context, log).await?;
    let mail = wire.smtp(&format!("MAIL FROM:<{other}>")).await?;
    let mut line = shown(mail.line());
    let mut code = mail.code;
    if code < 400 {
        let own = context.job.mailbox.as_ref().map(|mailbox| mailbox.address.clone()).unwrap_or_default();
        let recipient = wire.smtp(&format!("RCPT TO:<{own}>")).await?;
        code = recipient.code;
        line = format!("{line} ; RCPT : {}", shown(recipient.line()));
        // Nothing is sent: the transaction ends here.
        let _ = wire.smtp("RSET").await;
    }
    Ok(match code {
        500..600 => (line, Verdict::Conforme),
        400..500 => (line.clone(), Verdict::unclear(line)),
        _ => (line, Verdict::fault(case.severity)),
    })
}

async fn outside(context: &Context, log: &Log) -> Seen {
    let own = context.job.mailbox.as_ref().map(|mailbox| mailbox.address.clone()).unwrap_or_default();
    let mut wire = session(context, log).await?;
    let mail = wire.smtp(&format!("MAIL FROM:<{own}>")).await?;
    if mail.code >= 400 {
        let line = shown(mail.line());
        return Ok((line.clone(), Verdict::unclear(format!("le contrôle positif est refusé : {line}"))));
    }
    let recipient = wire.smtp(&format!("RCPT TO:<{OUTSIDE}>")).await?;
    let line = shown(recipient.line());
    let _ = wire.smtp("RSET").await;
    Ok(match recipient.code {
        500..600 => (line, Verdict::Conforme),
        400..500 => (line.clone(), Verdict::unclear(line)),
        _ => {
            let raison = "accepté au RCPT : un avis de non-remise doit suivre sous 15 minutes, à vérifier".to_owned();
            (line, Verdict::AExaminer { raison })
        }
    })
}

async fn size(case: &Case, context: &Context, log: &Log) -> Seen {
    let own = context.job.mailbox.as_ref().map(|mailbox| mailbox.address.clone()).unwrap_or_default();
    let mut wire = session(context, log).await?;
    let answer = wire.smtp(EHLO).await?;
    let limit =
        answer.extension("SIZE").and_then(|size| size.split(' ').nth(1)).and_then(|size| size.parse::<u64>().ok());
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return Ok(("SIZE n'est pas annoncé avec une limite".to_owned(), Verdict::fault(case.severity)));
    };
    let mail = wire.smtp(&format!("MAIL FROM:<{own}> SIZE={}", limit + 1)).await?;
    let line = format!("SIZE {limit} ; dépassement : {}", shown(mail.line()));
    let _ = wire.smtp("RSET").await;
    Ok(match mail.code {
        552 => (line, Verdict::Conforme),
        500..600 => (line, Verdict::fault(Severity::Minor)),
        400..500 => (line.clone(), Verdict::unclear(line)),
        _ => (line, Verdict::fault(case.severity)),
    })
}

/// A response of 8 KB. Due is that it is taken after the challenge: on the line of AUTH no client may send so much (RFC 4954 §4).
async fn long(case: &Case, context: &Context, initial: bool, log: &Log) -> Seen {
    let filler = Mutation::PoserCharge { nom: "rembourrage".to_owned(), valeur: serde_json::json!("x".repeat(4_000)) };
    let response = response(context, &[filler])?;
    let login = context.login(SMTP, &response, initial, log).await;
    let line = format!("{} octets : {}", response.len().div_ceil(3) * 4, login.line);
    let level = if initial { Severity::Information } else { case.severity };
    Ok(match login.outcome {
        LoginOutcome::Accepted => (line, Verdict::Conforme),
        LoginOutcome::Refused | LoginOutcome::Cut => (line, Verdict::fault(level)),
        LoginOutcome::Temporary => (line.clone(), Verdict::unclear(line)),
        LoginOutcome::Failed(error) => return Err(error),
    })
}
