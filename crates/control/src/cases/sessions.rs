//! Sessions: opened again at once, refused once the token is over, closed cleanly.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol};
use crate::forge::{Mutation, xoauth2};
use crate::verdict::Verdict;
use crate::wire::Log;

/// What is run. SES-03 and SES-04 take hours and half an hour: they are for a campaign by night, which is not there yet.
pub(super) const CASES: &[&str] = &["SES-01", "SES-02"];

/// Tolerance allowed for clocks, in seconds (control.md §8.7).
const TOLERANCE: i64 = 60;
/// Life of the token that is waited for, and what is waited beyond it.
const LIFE: i64 = 3;
const BEYOND: i64 = 4;
/// How long a token is over already when a tolerant server is asked: it still takes it, and must not some seconds later.
const OVER: i64 = 45;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let logs = [Log::default(), Log::default()];
    let one = |protocol, log| async move {
        match case.id.as_str() {
            "SES-01" => again(context, protocol, case, log).await,
            _ => over(context, protocol, case, log).await,
        }
    };
    // The two servers side by side: what is waited for is waited for once.
    let (imap, smtp) = tokio::join!(one(Protocol::Imap, &logs[0]), one(Protocol::Smtp, &logs[1]));
    for ((protocol, log), (observed, verdict)) in Protocol::BOTH.into_iter().zip(&logs).zip([imap, smtp]) {
        let proof = findings.keep(&log.lines());
        findings.tell(&context.server(protocol).name, Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

/// A response whose token ends at `T + end` seconds.
fn ending(context: &Context, end: i64) -> Result<Vec<u8>, Verdict> {
    let (forge, mailbox) = context.tokens()?;
    let life = [("exp", end), ("iat", end - 120)];
    let life = life.map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: json!(format!("T{at:+}")) });
    let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, &life).map_err(Verdict::unclear)?;
    Ok(xoauth2(&mailbox.address, &token))
}

/// A token that is good, then over. Whatever the machine's slowness, it counts as accepted too late only past its end and the tolerance.
async fn over(context: &Context, protocol: Protocol, case: &Case, log: &Log) -> (String, Verdict) {
    let made = Instant::now();
    let (short, late) = match (ending(context, LIFE), ending(context, -OVER)) {
        (Ok(short), Ok(late)) => (short, late),
        (Err(verdict), _) | (_, Err(verdict)) => return (String::new(), verdict),
    };
    let first = context.login(protocol, &short, true, log).await;
    if !first.is_accepted() {
        return (first.line.clone(), Verdict::unclear("le jeton court n'a pas été accepté d'abord"));
    }
    drop(first);
    // A server that takes a token already over is tolerant: that one is too late some seconds from now, the short one in a minute.
    let is_tolerant = context.login(protocol, &late, true, log).await.is_accepted();
    let turns: &[(&[u8], i64)] = match is_tolerant {
        true => &[(&late, TOLERANCE - OVER + BEYOND)],
        // Strict, or slow to answer: asked just after the end, and again when no tolerance is left.
        false => &[(&short, LIFE + BEYOND), (&short, LIFE + TOLERANCE + BEYOND)],
    };
    let mut last = (String::new(), Verdict::fault(case.severity));
    for (response, at) in turns {
        let at = Duration::from_secs(at.unsigned_abs());
        tokio::time::sleep(at.saturating_sub(made.elapsed())).await;
        let login = context.login(protocol, response, true, log).await;
        let line = login.line.clone();
        match login.outcome {
            LoginOutcome::Refused | LoginOutcome::Cut => return (line, Verdict::Conforme),
            LoginOutcome::Temporary | LoginOutcome::Failed(_) => return (line.clone(), Verdict::unclear(line)),
            LoginOutcome::Accepted => last.0 = line,
        }
    }
    last
}

/// Opened, left politely, opened, cut, opened: all with one token.
async fn again(context: &Context, protocol: Protocol, case: &Case, log: &Log) -> (String, Verdict) {
    let response = match ending(context, 120) {
        Ok(response) => response,
        Err(verdict) => return (String::new(), verdict),
    };
    for turn in ["première", "après LOGOUT ou QUIT", "après une coupure"] {
        let mut login = context.login(protocol, &response, true, log).await;
        match login.outcome {
            LoginOutcome::Accepted => {}
            LoginOutcome::Refused | LoginOutcome::Cut if turn != "première" => {
                return (format!("ouverture {turn} : {}", login.line), Verdict::fault(case.severity));
            }
            _ => return (login.line.clone(), Verdict::unclear(login.line)),
        }
        if let (Some(wire), "première") = (&mut login.wire, turn) {
            // Whatever is answered: the next opening tells.
            let _ = match protocol {
                Protocol::Imap => wire.imap("LOGOUT").await.map(drop),
                Protocol::Smtp => wire.smtp("QUIT").await.map(drop),
            };
        }
    }
    ("trois ouvertures avec le même jeton".to_owned(), Verdict::Conforme)
}
