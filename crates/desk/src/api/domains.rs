//! Proving domains by program: what `/domaines` shows.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::date;
use super::{Answer, By, read};
use crate::Desk;
use crate::db::Domain;
use crate::domains::Finding;

/// A domain.
#[derive(Serialize)]
pub(super) struct DomainAnswer {
    domaine: String,
    enregistrement: String,
    valeur: String,
    prouve: bool,
    jusqu_au: Option<String>,
    recherche: Option<String>,
    constat: Option<&'static str>,
    explication: Option<&'static str>,
}

impl DomainAnswer {
    fn of(one: Domain, now: i64) -> DomainAnswer {
        let finding = Finding::from_code(&one.finding);
        DomainAnswer {
            enregistrement: one.record(),
            prouve: one.stands(now),
            jusqu_au: one.until().map(date),
            recherche: one.checked.map(date),
            constat: finding.map(Finding::code),
            explication: finding.map(Finding::text),
            domaine: one.name,
            valeur: one.token,
        }
    }
}

pub(super) async fn list(State(desk): State<Desk>, By(who): By) -> Answer<Json<Value>> {
    let found = desk.db().domains(who.scope()?).await?;
    let found: Vec<DomainAnswer> = found.into_iter().map(|one| DomainAnswer::of(one, desk.now())).collect();
    Ok(Json(json!({ "domaines": found })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDomain {
    domaine: String,
}

pub(super) async fn ask(State(desk): State<Desk>, By(who): By, body: Bytes) -> Answer<Response> {
    let NewDomain { domaine } = read(&body)?;
    let domain = desk.ask_domain(&who, &domaine).await?;
    Ok((StatusCode::CREATED, Json(DomainAnswer::of(domain, desk.now()))).into_response())
}

pub(super) async fn check(
    State(desk): State<Desk>,
    By(who): By,
    Path(name): Path<String>,
) -> Answer<Json<DomainAnswer>> {
    let (domain, _) = desk.check_domain(&who, &name).await?;
    Ok(Json(DomainAnswer::of(domain, desk.now())))
}

pub(super) async fn leave(State(desk): State<Desk>, By(who): By, Path(name): Path<String>) -> Answer<StatusCode> {
    desk.drop_domain(&who, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
