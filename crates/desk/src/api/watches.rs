//! Watching by program: what `/surveillance` shows.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use control::engine::Depth;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::date;
use super::{Answer, By, read};
use crate::Desk;
use crate::db::Watch;
use crate::surveillance::{Asked, clock};
use crate::web::watches::{cases, feed};

/// Changes of one answer.
const LAST: u32 = 100;

fn answer(watch: &Watch) -> Value {
    json!({
        "job": watch.job,
        "nom": watch.name,
        "heures": watch.every_hours,
        "a": watch.at_minute.map(clock),
        "profondeur": watch.depth,
        "auteur": watch.author,
        "prochain": date(watch.next),
        "reference": watch.reference,
    })
}

pub(super) async fn list(State(desk): State<Desk>, By(who): By) -> Answer<Json<Value>> {
    let scope = who.scope()?;
    let watches: Vec<Value> = desk.db().watches(scope).await?.iter().map(answer).collect();
    let mut changes = Vec::new();
    for drift in desk.db().drifts(scope, LAST).await? {
        changes.push(json!({
            "campagne": drift.campaign,
            "precedente": drift.previous,
            "job": drift.job,
            "nom": drift.name,
            "vu": date(drift.at),
            "degrades": drift.worse,
            "cas": cases(&drift)?,
        }));
    }
    Ok(Json(json!({ "surveillances": watches, "changements": changes })))
}

pub(super) async fn atom(State(desk): State<Desk>, By(who): By) -> Answer<Response> {
    Ok(feed(&desk, &who).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWatch {
    heures: i64,
    #[serde(default)]
    a: String,
    #[serde(default = "quick")]
    profondeur: Depth,
    autorise: bool,
}

fn quick() -> Depth {
    Depth::Eclair
}

pub(super) async fn begin(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let job = desk.job_of(&who, &id).await?;
    let NewWatch { heures, a, profondeur, autorise } = read(&body)?;
    let asked = Asked { every_hours: heures, at: a, depth: profondeur, is_authorised: autorise };
    Ok(Json(answer(&desk.watch_job(&who, &job, asked).await?)))
}

pub(super) async fn end(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<StatusCode> {
    let job = desk.job_of(&who, &id).await?;
    desk.unwatch_job(&who, &job).await?;
    Ok(StatusCode::NO_CONTENT)
}
