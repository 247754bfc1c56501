//! JWT-20: a token that PSC no longer stands by, though its `exp` is ahead. Whoever asks PSC must listen; whether one must ask is the
//! profile's (control.md §8.6).

use serde_json::json;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol, VariantResult};
use crate::forge::{Mutation, id, xoauth2};
use crate::stand::psc::{Call, TokenRule};
use crate::stand::{Client, StandError};
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let stand = match (context.tokens(), context.stand()) {
        (Ok(_), Ok(stand)) => stand,
        (Err(verdict), _) | (_, Err(verdict)) => {
            return findings.tell("cas", None, &case.expected, "", verdict, None);
        }
    };
    for (name, is_used_first) in [("révoqué avant tout usage", false), ("révoqué après un premier usage", true)] {
        let one = |protocol| one(case, context, stand, protocol, name, is_used_first);
        let (imap, smtp) = tokio::join!(one(Protocol::Imap), one(Protocol::Smtp));
        for (protocol, told) in Protocol::BOTH.into_iter().zip([imap, smtp]) {
            match told {
                Ok((result, evidence)) => {
                    let proof = findings.keep(&evidence);
                    findings.add(VariantResult { preuves: vec![proof], ..result });
                }
                Err(verdict) => findings.tell(name, Some(protocol), &case.expected, "", verdict, None),
            }
        }
    }
}

async fn is_good(context: &Context, protocol: Protocol, log: &Log) -> bool {
    context.nominal(protocol, log).await.is_some_and(|login| login.is_accepted())
}

async fn one(
    case: &Case,
    context: &Context,
    stand: &Client,
    protocol: Protocol,
    name: &str,
    is_used_first: bool,
) -> Result<(VariantResult, serde_json::Value), Verdict> {
    let (forge, mailbox) = context.tokens()?;
    let log = Log::default();
    let jti = id();
    let named = Mutation::PoserCharge { nom: "jti".to_owned(), valeur: json!(jti) };
    let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, &[named]).map_err(Verdict::unclear)?;
    let response = xoauth2(&mailbox.address, &token);
    let before = match is_used_first {
        true => context.login(protocol, &response, true, &log).await.is_accepted(),
        false => is_good(context, protocol, &log).await,
    };
    let rule = TokenRule { active: Some(false), scenario: case.id.clone(), ..TokenRule::default() };
    stand.tell_token(&jti, &rule).await?;
    let from = stand.psc().await?.last;
    let login = context.login(protocol, &response, true, &log).await;
    let calls = about(stand, from, &jti).await?;
    let after = is_good(context, protocol, &log).await;
    let must_ask = context.job.psc.as_ref().is_some_and(|psc| psc.introspection);
    let result = VariantResult {
        nom: name.to_owned(),
        protocole: Some(protocol),
        attendu: match must_ask {
            true => "refus (le profil impose l'introspection)".to_owned(),
            false => "refus si l'opérateur interroge PSC ; sinon constat".to_owned(),
        },
        observe: format!("{} ; {} appels au bouchon au sujet de ce jeton", login.line, calls.len()),
        verdict: verdict(case, &login, before && after, !calls.is_empty(), must_ask),
        controle_avant: Some(before),
        controle_apres: Some(after),
        preuves: Vec::new(),
    };
    Ok((result, json!({ "dialogue": log.lines(), "appels": calls })))
}

fn verdict(case: &Case, login: &Login, is_sound: bool, has_asked: bool, must_ask: bool) -> Verdict {
    match login.outcome {
        _ if !is_sound => Verdict::unclear("un contrôle positif est refusé"),
        LoginOutcome::Refused | LoginOutcome::Cut => Verdict::Conforme,
        // It asked, was told, and let in all the same; or had to ask.
        LoginOutcome::Accepted if has_asked || must_ask => Verdict::fault(case.severity),
        LoginOutcome::Accepted => Verdict::fault(Severity::Information),
        LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
    }
}

async fn about(stand: &Client, from: u64, jti: &str) -> Result<Vec<Call>, StandError> {
    Ok(stand.psc_calls(from).await?.into_iter().filter(|call| call.jti.as_deref() == Some(jti)).collect())
}
