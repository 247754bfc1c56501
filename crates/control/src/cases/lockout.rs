//! RES-04: a holder who was refused often is not kept out. Anybody can show bad tokens for anybody's mailbox.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol};
use crate::engine::waiting;
use crate::forge::{Mutation, xoauth2};
use crate::verdict::Verdict;
use crate::wire::{Log, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["RES-04"];

/// Between two tries once the good token was not taken at once.
const PAUSE: Duration = Duration::from_secs(10);
/// Refused logins before the good one.
const REFUSALS: usize = 20;
/// Between two of them.
const SPACED: Duration = Duration::from_millis(100);
/// Longest time the holder may have to wait then.
const LOCKED_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// Refused twenty times, then right.
pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let logs = [Log::default(), Log::default()];
    let one = |protocol, log| locked(case, context, protocol, log);
    let (imap, smtp) = tokio::join!(one(Protocol::Imap, &logs[0]), one(Protocol::Smtp, &logs[1]));
    for ((protocol, (observed, verdict)), log) in Protocol::BOTH.into_iter().zip([imap, smtp]).zip(&logs) {
        let proof = findings.keep(&log.lines());
        findings.tell("20 refus, puis un jeton valide", Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

async fn locked(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> (String, Verdict) {
    let (forge, mailbox) = match context.tokens() {
        Ok(both) => both,
        Err(verdict) => return (String::new(), verdict),
    };
    if !context.nominal(protocol, log).await.is_some_and(|login| login.is_accepted()) {
        return (String::new(), Verdict::unclear("le contrôle positif d'avant est refusé"));
    }
    let over = [("exp", "T-3600"), ("iat", "T-3720")]
        .map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: json!(at) });
    let mut refused = 0;
    for _ in 0..REFUSALS {
        let Ok(token) = forge.make(&mailbox.idnat, &mailbox.other_idnat, &over) else { break };
        let login = context.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await;
        match login.outcome {
            LoginOutcome::Accepted => {
                return (login.line.clone(), Verdict::unclear("un jeton expiré est accepté : voyez JWT-02"));
            }
            LoginOutcome::Refused | LoginOutcome::Cut => refused += 1,
            // It slows us down, in words or by silence: that is what is measured.
            LoginOutcome::Temporary | LoginOutcome::Failed(_) => {}
        }
        tokio::time::sleep(SPACED).await;
    }
    if refused == 0 {
        return (String::new(), Verdict::unclear("aucun des 20 mauvais jetons n'a été refusé pour lui-même"));
    }
    let began = Instant::now();
    let mut is_announced = true;
    loop {
        let Some(login) = context.nominal(protocol, log).await else {
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
