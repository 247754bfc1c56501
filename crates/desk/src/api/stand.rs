//! The traps and the PSC stub by program: what `/pieges` and `/bouchon` show, and scenarios under a lease that ends by itself.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control::stand::{self, Leased, StandError};
use control::trap::record::Session;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, By, read};
use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::error::{Mistake, Refusal};
use crate::html::link;
use crate::stands::{Seen, is_of};
use crate::web::guard::Asked;

/// Calls of one answer.
const MOST_CALLS: usize = 2000;

/// The stand's refusals are the caller's; that it is away is nobody's fault here.
fn told(error: StandError) -> Refusal {
    match error {
        StandError::Refused { status: 404, .. } => Refusal::NotFound,
        StandError::Refused { detail, .. } => Refusal::Invalid(vec![Mistake::of("scenario", detail)]),
        StandError::Busy(_) => Refusal::Conflict("Le banc est tenu par une campagne."),
        other => {
            tracing::warn!("the stand: {other}");
            Refusal::Conflict("Le banc ne répond pas.")
        }
    }
}

async fn seen(desk: &Desk, who: &Who, template: &str) -> Result<(stand::Client, Seen), Refusal> {
    let mut seen = desk.stand_of(who, template).await?;
    let stand = seen.stand.take().ok_or(Refusal::NotFound)?;
    Ok((stand, seen))
}

pub(super) async fn sessions(State(desk): State<Desk>, By(who): By, Asked(asked): Asked) -> Answer<Json<Value>> {
    #[derive(Deserialize)]
    struct Found {
        sessions: Vec<Session>,
    }
    let (stand, seen) = seen(&desk, &who, asked.get("modele")).await?;
    let query = [("q", asked.get("q")), ("run", asked.get("run"))];
    let found: Found = stand.get(&link("traps/sessions", &query)).await.map_err(told)?;
    let mine = found.sessions.iter().filter(|one| is_of(one, seen.operator.as_ref()));
    Ok(Json(json!({ "sessions": mine.map(Session::brief).collect::<Vec<_>>() })))
}

pub(super) async fn session(
    State(desk): State<Desk>,
    By(who): By,
    Path(seq): Path<u64>,
    Asked(asked): Asked,
) -> Answer<Json<Session>> {
    let (stand, seen) = seen(&desk, &who, asked.get("modele")).await?;
    let session: Session = stand.get(&format!("traps/sessions/{seq}")).await.map_err(told)?;
    if is_of(&session, seen.operator.as_ref()) { Ok(Json(session)) } else { Err(Refusal::NotFound.into()) }
}

pub(super) async fn stub(State(desk): State<Desk>, By(who): By, Asked(asked): Asked) -> Answer<Json<Value>> {
    let (stand, _) = seen(&desk, &who, asked.get("modele")).await?;
    let now = stand.psc().await.map_err(told)?;
    let since = match asked.get("depuis").parse() {
        Ok(since) => since,
        Err(_) => now.last.saturating_sub(MOST_CALLS as u64),
    };
    let mut calls = stand.psc_calls(since).await.map_err(told)?;
    calls.truncate(MOST_CALLS);
    Ok(Json(
        json!({ "emetteur": now.issuer, "dernier": now.last, "scenario": now.scenario, "bail_secondes": now.lease_seconds, "appels": calls }),
    ))
}

pub(super) async fn play(
    State(desk): State<Desk>,
    By(who): By,
    Asked(asked): Asked,
    body: Bytes,
) -> Answer<Json<Value>> {
    who.must(Role::may_run)?;
    let scenario: Map<String, Value> = read(&body)?;
    let (stand, _) = seen(&desk, &who, asked.get("modele")).await?;
    let leased: Leased = stand.put("psc/scenario", &scenario).await.map_err(told)?;
    desk.db().note(desk.now(), who.organisation, &who.name, "scénario du bouchon joué".to_owned()).await?;
    Ok(Json(json!({ "bail": leased.lease, "bail_secondes": leased.lease_seconds })))
}

pub(super) async fn behave(
    State(desk): State<Desk>,
    By(who): By,
    Path(lease): Path<String>,
    Asked(asked): Asked,
) -> Answer<StatusCode> {
    who.must(Role::may_run)?;
    // A lease is a number and random letters: nothing else becomes part of the stand's address.
    if !lease.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
        return Err(Refusal::NotFound.into());
    }
    let (stand, _) = seen(&desk, &who, asked.get("modele")).await?;
    stand.release("psc", &lease).await.map_err(told)?;
    Ok(StatusCode::NO_CONTENT)
}
