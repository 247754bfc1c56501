//! JWT-22: PSC publishes a new key, signs with it, and takes the old one away. The new one must be believed within five minutes; how
//! long the old one is, is told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol};
use crate::engine::waiting;
use crate::forge::{Mutation, With, id, xoauth2};
use crate::stand::psc::{Behaviour, Call, Endpoint, PART, Scenario};
use crate::stand::{Client, StandError};
use crate::verdict::Verdict;
use crate::wire::Log;

/// Within which a new key must be believed.
const BELIEVED_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Between two tries: a new connection each. Sooner at first: an operator that reads the keys when a token names a new one has it within
/// seconds.
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_AT_FIRST: Duration = Duration::from_millis(700);
const AT_FIRST: Duration = Duration::from_secs(8);
/// The lease: the wait, and what is around it.
const LEASE: Duration = Duration::from_secs(6 * 60);

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let stand = match (context.tokens(), context.stand()) {
        (Ok(_), Ok(stand)) => stand,
        (Err(verdict), _) | (_, Err(verdict)) => {
            return findings.tell("cas", None, &case.expected, "", verdict, None);
        }
    };
    if let Err(error) = rotate(case, context, stand, findings).await {
        findings.tell("bouchon PSC", None, &case.expected, error.to_string(), error.into(), None);
    }
}

async fn rotate(case: &Case, context: &Context, stand: &Client, findings: &mut Findings) -> Result<(), StandError> {
    let Ok((forge, _)) = context.tokens() else { return Ok(()) };
    let kid = format!("rotation-{}", id());
    let key = match forge.strange_jwk(&kid) {
        Ok(key) => key,
        Err(error) => {
            findings.tell("cas", None, &case.expected, "", Verdict::unclear(error), None);
            return Ok(());
        }
    };
    let logs = [Log::default(), Log::default()];
    let both = |token: Token| {
        let logs = &logs;
        let kid = &kid;
        async move {
            tokio::join!(
                login(context, Protocol::Imap, token, kid, &logs[0]),
                login(context, Protocol::Smtp, token, kid, &logs[1])
            )
        }
    };
    let before = both(Token::Old).await;
    let from = stand.psc().await?.last;
    let beside = Scenario { keys: vec![key.clone()], ..Scenario::default() };
    let held = stand.play(PART, &beside, LEASE).await?;
    let published = Instant::now();
    waiting("l'opérateur lit la nouvelle clé de PSC (au plus 5 min)");
    let wait = |protocol, log| believed(context, protocol, &kid, log, published);
    let (imap, smtp) = tokio::join!(wait(Protocol::Imap, &logs[0]), wait(Protocol::Smtp, &logs[1]));
    // The same campaign: its lease takes the place of the one before.
    let alone = Scenario { jwks: Behaviour::Rotated, keys: vec![key], ..Scenario::default() };
    drop(held);
    let held = stand.play(PART, &alone, Duration::from_secs(60)).await?;
    let old = both(Token::Old).await;
    let new = both(Token::New).await;
    stand.give_back(held).await?;
    let after = both(Token::Old).await;
    let calls: Vec<Call> =
        stand.psc_calls(from).await?.into_iter().filter(|call| call.endpoint == Endpoint::Jwks).collect();
    let results = [
        (Protocol::Imap, imap, &before.0, &old.0, &new.0, &after.0),
        (Protocol::Smtp, smtp, &before.1, &old.1, &new.1, &after.1),
    ];
    for ((protocol, first, before, old, new, after), log) in results.into_iter().zip(&logs) {
        let proof = findings.keep(&evidence(log, &calls));
        let is_sound = before.0 == LoginOutcome::Accepted;
        let (observed, verdict) = match first {
            _ if !is_sound => (before.1.clone(), Verdict::unclear("le contrôle positif d'avant est refusé")),
            Ok(after) => (format!("acceptée {} s après sa publication", after.as_secs()), Verdict::Conforme),
            Err((LoginOutcome::Refused | LoginOutcome::Cut, line)) => {
                (format!("toujours refusée après 5 min : {line}"), Verdict::fault(case.severity))
            }
            Err((_, line)) => (line.clone(), Verdict::unclear(line)),
        };
        let is_believed = verdict == Verdict::Conforme;
        let observed = format!("{observed} ; {} lectures du JWKS", calls.len());
        findings.tell("nouvelle clé", Some(protocol), "acceptée en moins de 5 min", observed, verdict, Some(proof));
        let (observed, verdict) = match (is_believed, &old.0, &new.0, &after.0) {
            (false, ..) => (String::new(), Verdict::unclear("la nouvelle clé n'est pas crue")),
            // Withdrawn a second ago: it may be believed for a day more.
            (_, LoginOutcome::Accepted, LoginOutcome::Accepted, LoginOutcome::Accepted) => (
                "encore acceptée juste après son retrait (constat : elle peut l'être 24 h)".to_owned(),
                Verdict::Conforme,
            ),
            (_, _, LoginOutcome::Accepted, LoginOutcome::Accepted) => {
                (format!("refusée dès son retrait : {}", old.1), Verdict::Conforme)
            }
            (_, _, LoginOutcome::Refused | LoginOutcome::Cut, _) => {
                (format!("la nouvelle n'est plus acceptée : {}", new.1), Verdict::fault(case.severity))
            }
            (_, _, LoginOutcome::Accepted, _) => {
                (after.1.clone(), Verdict::unclear("le contrôle positif d'après est refusé"))
            }
            _ => (new.1.clone(), Verdict::unclear(&new.1)),
        };
        let expected = "refusée en moins de 24 h (constat) ; la nouvelle reste acceptée";
        findings.tell("ancienne clé retirée", Some(protocol), expected, observed, verdict, None);
    }
    Ok(())
}

fn evidence(log: &Log, calls: &[Call]) -> Value {
    json!({ "dialogue": log.lines(), "appels": calls })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Old,
    New,
}

async fn login(context: &Context, protocol: Protocol, token: Token, kid: &str, log: &Log) -> (LoginOutcome, String) {
    let Ok((forge, mailbox)) = context.tokens() else { return (LoginOutcome::Temporary, String::new()) };
    let new = [
        Mutation::PoserEntete { nom: "kid".to_owned(), valeur: json!(kid) },
        Mutation::Signer { avec: With::CleEtrangere },
    ];
    let mutations: &[Mutation] = if token == Token::New { &new } else { &[] };
    match forge.make(&mailbox.idnat, &mailbox.other_idnat, mutations) {
        Ok(token) => {
            let login = context.login(protocol, &xoauth2(&mailbox.address, &token), true, log).await;
            (login.outcome, login.line)
        }
        Err(error) => (LoginOutcome::Temporary, error.to_string()),
    }
}

/// After how long the new key was believed, or the last answer when it never was.
async fn believed(
    context: &Context,
    protocol: Protocol,
    kid: &str,
    log: &Log,
    published: Instant,
) -> Result<Duration, (LoginOutcome, String)> {
    loop {
        let (outcome, line) = login(context, protocol, Token::New, kid, log).await;
        match outcome {
            LoginOutcome::Accepted => return Ok(published.elapsed()),
            _ if published.elapsed() + PAUSE >= BELIEVED_WITHIN => return Err((outcome, line)),
            _ if published.elapsed() < AT_FIRST => tokio::time::sleep(PAUSE_AT_FIRST).await,
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
