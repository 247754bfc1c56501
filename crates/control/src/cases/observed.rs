//! What the operator asked the PSC stub while tokens were tried: JWKS read again and again (JWT-12), a trap fetched (JWT-13, JWT-14), an
//! identity asked for (JWT-19). Without a stand these cases go by the answers alone.

use serde_json::json;

use super::Things;
use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol};
use crate::engine::lets_go;
use crate::forge::{Mutation, Variant, With, id, xoauth2};
use crate::stand::psc::{Bait, Call, Endpoint, TokenRule};
use crate::stand::{Client, StandError};
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

/// Tokens of one unknown key shown to each server.
const BURST: usize = 10;
/// JWKS read at most during the burst when nothing else runs: once by each server, and once for its age.
const READ_ALONE: usize = 3;
/// At most when other cases with unknown keys may run beside (their own kids, two servers).
const READ_BESIDE: usize = 10;
/// Longest text of an answer told in a summary; the dialogue has all of it.
const MAX_SAID: usize = 90;
/// What is told of the calls when the stand does not tell them.
const CALLS: &str = "appels au bouchon PSC";
/// Where a bait is when no stand can serve it.
const NOWHERE: &str = "https://piege.invalid/cle";

/// What is watched during a case.
pub(super) struct Watch {
    from: u64,
    /// The bait's name in the calls.
    bait: String,
}

/// Whether the calls tell something of a case.
fn is_watched(case: &Case) -> bool {
    matches!(case.id.as_str(), "JWT-12" | "JWT-13" | "JWT-14" | "JWT-19")
}

/// Before a case: lays the bait its tokens point to. Without a stand, or when it does not answer, the tokens point nowhere.
pub(super) async fn begin(
    case: &Case,
    context: &Context,
    variants: &mut [Variant],
) -> Result<Option<Watch>, StandError> {
    let (stand, forge) = match (&context.stand, &context.forge) {
        (Some(stand), Some(forge)) if is_watched(case) => (stand, forge),
        _ => {
            point(variants, NOWHERE);
            return Ok(None);
        }
    };
    let laid = async {
        let bait = format!("{}-{}", case.id.to_ascii_lowercase(), id());
        let kid = context.job.psc.as_ref().map_or("", |psc| psc.kid.as_str());
        // The key that signed: whoever fetches it believes it.
        let keys = forge.strange_jwk(kid).map(|key| json!({ "keys": [key] }).to_string()).unwrap_or_default();
        let url = stand.lay_bait(&bait, &Bait { body: keys, ..Bait::default() }).await?;
        Ok((Watch { from: stand.psc().await?.last, bait }, url))
    };
    match laid.await {
        Ok((watch, url)) => {
            point(variants, &url);
            Ok(Some(watch))
        }
        Err(error) => {
            point(variants, NOWHERE);
            Err(error)
        }
    }
}

/// Puts the bait's address where variants say `{piege}`.
fn point(variants: &mut [Variant], url: &str) {
    for mutation in variants.iter_mut().flat_map(|variant| &mut variant.mutations) {
        if let Mutation::PoserEntete { valeur, .. } = mutation
            && valeur == "{piege}"
        {
            *valeur = json!(url);
        }
    }
}

/// Before the tokens of JWT-12: their readings of the keys are counted, and then others may cause some.
pub(super) async fn count_readings(case: &Case, context: &Context, findings: &mut Findings) {
    let Some(stand) = context.stand.as_ref().filter(|_| case.id == "JWT-12" && context.forge.is_some()) else { return };
    if let Err(error) = reads(case, context, stand, findings).await {
        findings.tell(CALLS, None, &case.expected, error.to_string(), error.into(), None);
    }
    lets_go(Things::KEY_READINGS);
}

/// After the tokens of a case: what the calls tell.
pub(super) async fn end(
    case: &Case,
    context: &Context,
    watch: Result<Option<Watch>, StandError>,
    findings: &mut Findings,
) {
    let (Some(stand), watch) = (&context.stand, watch) else { return };
    let told = match watch {
        Ok(None) => return,
        Err(error) => Err(error),
        Ok(Some(watch)) => match case.id.as_str() {
            // Told before.
            "JWT-12" => return,
            "JWT-19" => elsewhere(case, context, stand, findings).await,
            _ => fetches(case, stand, &watch, findings).await,
        },
    };
    if let Err(error) = told {
        findings.tell(CALLS, None, &case.expected, error.to_string(), error.into(), None);
    }
}

/// One token after the other, by both servers at the same time; what became of the first of each.
async fn burst(context: &Context, kid: &str) -> Result<Vec<Login>, Verdict> {
    let (forge, mailbox) = context.tokens()?;
    let mutations = [
        Mutation::PoserEntete { nom: "kid".to_owned(), valeur: json!(kid) },
        Mutation::Signer { avec: With::CleEtrangere },
    ];
    let one = |protocol| {
        let mutations = &mutations;
        async move {
            let mut logins = Vec::new();
            for _ in 0..BURST {
                let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, mutations).map_err(Verdict::unclear)?;
                let response = xoauth2(&mailbox.address, &token);
                logins.push(context.login(protocol, &response, true, &Log::default()).await);
            }
            Ok::<_, Verdict>(logins)
        }
    };
    let (imap, smtp) = tokio::join!(one(Protocol::Imap), one(Protocol::Smtp));
    Ok(imap?.into_iter().chain(smtp?).collect())
}

/// JWT-12: one unknown key, many tokens; how often the keys were read.
async fn reads(case: &Case, context: &Context, stand: &Client, findings: &mut Findings) -> Result<(), StandError> {
    let from = stand.psc().await?.last;
    let logins = burst(context, &format!("inconnue-{}", id())).await;
    let calls: Vec<Call> =
        stand.psc_calls(from).await?.into_iter().filter(|call| call.endpoint == Endpoint::Jwks).collect();
    let most = if context.job.limits.parallel > 1 { READ_BESIDE } else { READ_ALONE };
    let verdict = match &logins {
        Err(verdict) => verdict.clone(),
        Ok(logins) if logins.iter().any(Login::is_accepted) => Verdict::fault(case.severity),
        Ok(logins) if logins.iter().all(|login| matches!(login.outcome, LoginOutcome::Failed(_))) => {
            Verdict::unclear("aucune réponse de l'opérateur")
        }
        // Nobody gets in: a burden for PSC, not a breach.
        Ok(_) if calls.len() > most => Verdict::fault(Severity::Major),
        Ok(_) => Verdict::Conforme,
    };
    let proof = findings.keep(&calls);
    let observed = format!("{} lectures du JWKS pour {} jetons d'une même clé inconnue", calls.len(), 2 * BURST);
    let expected = format!("au plus une relecture par clé inconnue, par serveur et par minute ({most} ici)");
    findings.tell("lectures du JWKS", None, &expected, observed, verdict, Some(proof));
    Ok(())
}

/// JWT-13, JWT-14: nobody fetches what a token names.
async fn fetches(case: &Case, stand: &Client, watch: &Watch, findings: &mut Findings) -> Result<(), StandError> {
    let calls = stand.psc_calls(watch.from).await?;
    let fetched: Vec<Call> = calls.into_iter().filter(|call| call.path.ends_with(&watch.bait)).collect();
    let proof = findings.keep(&fetched);
    let (observed, verdict) = match fetched.first() {
        None => ("aucun appel à l'URL-piège".to_owned(), Verdict::Conforme),
        Some(call) => {
            (format!("{} {} à {}, par {}", call.method, call.path, call.at, call.from), Verdict::fault(case.severity))
        }
    };
    findings.tell("appels à l'URL-piège", None, "aucun appel sortant", observed, verdict, Some(proof));
    Ok(())
}

/// JWT-19: a token that does not say whose it is, but PSC does.
async fn elsewhere(case: &Case, context: &Context, stand: &Client, findings: &mut Findings) -> Result<(), StandError> {
    let (forge, mailbox) = match context.tokens() {
        Ok(both) => both,
        Err(_) => return Ok(()),
    };
    for (name, whose) in [
        ("identité par UserInfo ou introspection seulement", &mailbox.idnat),
        ("identité d'un autre par UserInfo ou introspection", &mailbox.other_idnat),
    ] {
        let is_own = *whose == mailbox.idnat;
        for protocol in Protocol::BOTH {
            let jti = id();
            let gone = ["SubjectNameID", "preferred_username", "otherIds"]
                .map(|nom| Mutation::RetirerCharge { nom: nom.to_owned() });
            let put = [("jti", jti.as_str()), ("sub", "0d1f4c2e-sans-identite")]
                .map(|(nom, valeur)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: json!(valeur) });
            let mutations: Vec<Mutation> = gone.into_iter().chain(put).collect();
            let Ok(token) = forge.make(&mailbox.idnat, &mailbox.other_idnat, &mutations) else { continue };
            let rule = TokenRule { idnat: Some(whose.clone()), scenario: case.id.clone(), ..TokenRule::default() };
            stand.tell_token(&jti, &rule).await?;
            let from = stand.psc().await?.last;
            let log = Log::default();
            let login = context.login(protocol, &xoauth2(&mailbox.address, &token), true, &log).await;
            let calls: Vec<Call> =
                stand.psc_calls(from).await?.into_iter().filter(|call| call.jti.as_deref() == Some(&jti)).collect();
            let verdict = match login.outcome {
                LoginOutcome::Refused | LoginOutcome::Cut => Verdict::Conforme,
                LoginOutcome::Accepted if is_own && !calls.is_empty() => Verdict::Conforme,
                // Somebody else's, or of nobody that anybody told.
                LoginOutcome::Accepted => Verdict::fault(case.severity),
                LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
            };
            let asked = match calls.len() {
                0 => "aucun appel".to_owned(),
                count => format!("{count} appels au bouchon à son sujet"),
            };
            let proof = findings.keep(&json!({ "dialogue": log.lines(), "appels": calls }));
            let expected = match is_own {
                true => "refus, ou accord après avoir demandé à PSC (constat)",
                false => "refus",
            };
            let line: String = login.line.chars().take(MAX_SAID).collect();
            findings.tell(name, Some(protocol), expected, format!("{line} ; {asked}"), verdict, Some(proof));
        }
    }
    Ok(())
}
