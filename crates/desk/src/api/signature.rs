//! Giving the signature of a report by program: what the page does, for software that signs with a key kept elsewhere.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Answer, ByAny};
use crate::Desk;
use crate::account::role::Role;
use crate::error::Refusal;
use crate::web::upload;

/// The body is the signature: CMS, DER or PEM.
pub(super) async fn give(
    State(desk): State<Desk>,
    ByAny(who): ByAny,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Response> {
    let campaign = desk.campaign_of(&who, &id).await?;
    who.must(Role::may_sign)?;
    if body.len() > upload::LARGEST {
        return Err(Refusal::Conflict("Ce fichier est trop grand pour une signature.").into());
    }
    let (seal, is_bound) = desk.sign(&who, &campaign, body.to_vec()).await?;
    let answer = json!({
        "signataire": seal.signataire,
        "organisation": seal.organisation,
        "identifiants": seal.identifiants,
        "identifiant_declare": is_bound,
        "autorite": seal.autorite,
        "serie": seal.serie,
        "date": seal.date,
        "sha256": seal.sha256,
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}
