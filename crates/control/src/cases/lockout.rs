//! RES-04: a holder who was refused often is not kept out. Anybody can show bad tokens for anybody's mailbox.
//!
//! The bad tokens are spaced from beginning to beginning: when the job allows several cases at a time, one does not wait for the answer to the one
//! before, which many an operator delays on purpose. Whatever was not refused then (too many at a time) is shown again, one after the other.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol};
use crate::engine::{MAX_PARALLEL, waiting};
use crate::forge::{Mutation, xoauth2};
use crate::verdict::Verdict;
use crate::wire::{Line, Log, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["RES-04"];

/// Between two tries once the good token was not taken at once.
const PAUSE: Duration = Duration::from_secs(10);
/// Refused logins before the good one.
const REFUSALS: usize = 20;
/// From the beginning of one to that of the next; with one case at a time, from the answer to the next.
const SPACED: Duration = Duration::from_millis(150);
/// Longest time the holder may have to wait then.
const LOCKED_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// Refused twenty times, then right.
pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let logs = [Logs::default(), Logs::default()];
    let one = |protocol, logs| locked(case, context, protocol, logs);
    let (imap, smtp) = tokio::join!(one(Protocol::Imap, &logs[0]), one(Protocol::Smtp, &logs[1]));
    for ((protocol, (observed, verdict)), logs) in Protocol::BOTH.into_iter().zip([imap, smtp]).zip(&logs) {
        let proof = findings.keep(&logs.lines());
        findings.tell("20 refus, puis un jeton valide", Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

/// What was said to one server, in the order in which tokens were shown.
#[derive(Default)]
struct Logs {
    before: Log,
    each: [Log; REFUSALS],
    after: Log,
}

impl Logs {
    fn lines(&self) -> Vec<Line> {
        [&self.before].into_iter().chain(&self.each).chain([&self.after]).flat_map(Log::lines).collect()
    }
}

fn is_refused(login: &Login) -> bool {
    matches!(login.outcome, LoginOutcome::Refused | LoginOutcome::Cut)
}

/// A token that is over.
async fn bad(context: &Context, protocol: Protocol, log: &Log) -> Result<Login, Verdict> {
    let (forge, mailbox) = context.tokens()?;
    let over = [("exp", "T-3600"), ("iat", "T-3720")]
        .map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: json!(at) });
    let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, &over).map_err(Verdict::unclear)?;
    Ok(context.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await)
}

/// How many of the bad tokens were refused for themselves; what to tell when one was not.
async fn refused(context: &Context, protocol: Protocol, logs: &[Log]) -> Result<usize, (String, Verdict)> {
    let at_a_time = context.job.limits.parallel.clamp(1, MAX_PARALLEL);
    let mut refused = 0;
    let mut count = |login: Result<Login, Verdict>| {
        let login = login.map_err(|verdict| (String::new(), verdict))?;
        refused += usize::from(is_refused(&login));
        match login.is_accepted() {
            true => Err((login.line, Verdict::unclear("un jeton expiré est accepté : voyez JWT-02"))),
            // Or it slows us down, in words or by silence: that is what is measured.
            false => Ok(is_refused(&login)),
        }
    };
    let began = Instant::now();
    let mut again = logs;
    let mut left = Vec::new();
    if at_a_time > 1 {
        let shows = (0..).zip(logs).map(|(turn, log)| {
            async move {
                tokio::time::sleep_until(began + SPACED * turn).await;
                bad(context, protocol, log).await
            }
            .boxed()
        });
        let shows: Vec<_> = shows.collect();
        let mut shows = std::pin::pin!(stream::iter(shows).buffered(at_a_time).enumerate());
        while let Some((turn, login)) = shows.next().await {
            if !count(login)? {
                left.push(logs[turn].clone());
            }
        }
        again = &left;
    }
    for log in again {
        count(bad(context, protocol, log).await)?;
        tokio::time::sleep(SPACED).await;
    }
    Ok(refused)
}

async fn locked(case: &Case, context: &Context, protocol: Protocol, logs: &Logs) -> (String, Verdict) {
    if !context.nominal(protocol, &logs.before).await.is_some_and(|login| login.is_accepted()) {
        return (String::new(), Verdict::unclear("le contrôle positif d'avant est refusé"));
    }
    let refused = match refused(context, protocol, &logs.each).await {
        Ok(refused) => refused,
        Err(told) => return told,
    };
    if refused == 0 {
        return (String::new(), Verdict::unclear("aucun des 20 mauvais jetons n'a été refusé pour lui-même"));
    }
    let began = Instant::now();
    let mut is_announced = true;
    loop {
        let Some(login) = context.nominal(protocol, &logs.after).await else {
            return (String::new(), Verdict::unclear("aucun jeton ne peut être fait"));
        };
        let waited = began.elapsed();
        match login.outcome {
            LoginOutcome::Accepted => {
                let observed = format!("{refused} refus ; jeton valide accepté après {} s", waited.as_secs());
                return match is_announced {
                    true => (observed, Verdict::Conforme),
                    false => (format!("{observed}, sans que l'attente soit annoncée"), Verdict::fault(case.severity)),
                };
            }
            _ if waited >= LOCKED_AT_MOST => {
                let verdict = match login.outcome {
                    LoginOutcome::Failed(WireError::Unreachable(_)) => Verdict::unclear(&login.line),
                    _ => Verdict::fault(case.severity),
                };
                return (format!("toujours refusé après {} s : {}", waited.as_secs(), login.line), verdict);
            }
            LoginOutcome::Refused | LoginOutcome::Cut => is_announced = false,
            LoginOutcome::Temporary | LoginOutcome::Failed(_) => {}
        }
        waiting("la fin de la temporisation de l'opérateur (au plus 5 min)");
        tokio::time::sleep(PAUSE).await;
    }
}
