//! Sessions: opened again at once, refused once the token is over, closed cleanly.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol};
use crate::forge::{Mutation, xoauth2};
use crate::verdict::Verdict;
use crate::wire::Log;

/// What is run. SES-03 and SES-04 are watched by another ([`super::lifetime`]).
pub(super) const CASES: &[&str] = &["SES-01", "SES-02"];

/// Tolerance allowed for clocks, in seconds (control.md §8.7).
const TOLERANCE: i64 = 60;
/// Lives of the token that is waited for: the next when the login took so long that the one before may have been over by then.
const LIVES: [i64; 4] = [3, 10, 30, 60];
/// What is waited beyond it.
const BEYOND: i64 = 4;
/// How often one that is over is shown when the answer is none, or « not now »: it is only more over the next time.
const TRIES: usize = 3;
/// Between two of those.
const PAUSE: Duration = Duration::from_secs(2);
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
    let mut lives = LIVES.into_iter();
    let (life, made, short) = loop {
        // The loop ends by a return at the latest with the last one.
        let Some(life) = lives.next() else { return unfit(String::new()) };
        let made = Instant::now();
        let short = match ending(context, life) {
            Ok(short) => short,
            Err(verdict) => return (String::new(), verdict),
        };
        let first = context.login(protocol, &short, true, log).await;
        if first.is_accepted() {
            break (life, made, short);
        }
        // Ends are whole seconds.
        let was_in_time = made.elapsed() < Duration::from_secs(life.unsigned_abs() - 1);
        let is_refused = matches!(first.outcome, LoginOutcome::Refused | LoginOutcome::Cut);
        if was_in_time && is_refused || lives.len() == 0 {
            return unfit(first.line);
        }
    };
    let made_late = Instant::now();
    let late = match ending(context, -OVER) {
        Ok(late) => late,
        Err(verdict) => return (String::new(), verdict),
    };
    // A server that takes a token already over is tolerant: that one is too late some seconds from now, the short one in a minute.
    let is_tolerant = context.login(protocol, &late, true, log).await.is_accepted();
    let turns: &[(&[u8], Instant, i64)] = match is_tolerant {
        true => &[(&late, made_late, TOLERANCE - OVER + BEYOND)],
        // Strict, or slow to answer: asked just after the end, and again when no tolerance is left.
        false => &[(&short, made, life + BEYOND), (&short, made, life + TOLERANCE + BEYOND)],
    };
    let mut last = (String::new(), Verdict::fault(case.severity));
    for (response, made, at) in turns {
        let at = Duration::from_secs(at.unsigned_abs());
        tokio::time::sleep(at.saturating_sub(made.elapsed())).await;
        let login = shown_over(context, protocol, response, log).await;
        let line = login.line.clone();
        match login.outcome {
            LoginOutcome::Refused | LoginOutcome::Cut => return (line, Verdict::Conforme),
            LoginOutcome::Temporary | LoginOutcome::Failed(_) => return (line.clone(), Verdict::unclear(line)),
            LoginOutcome::Accepted => last.0 = line,
        }
    }
    last
}

fn unfit(line: String) -> (String, Verdict) {
    (line, Verdict::unclear("le jeton court n'a pas été accepté d'abord"))
}

/// What becomes of a token that is over: the first answer that tells something, or the last.
async fn shown_over(context: &Context, protocol: Protocol, response: &[u8], log: &Log) -> Login {
    let mut login = context.login(protocol, response, true, log).await;
    for _ in 1..TRIES {
        if !matches!(login.outcome, LoginOutcome::Temporary | LoginOutcome::Failed(_)) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        login = context.login(protocol, response, true, log).await;
    }
    login
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
