//! What was submitted to the regulator, by program: submitting a report, reading what is decided, deciding. What `/dossiers` shows.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::date;
use super::{Answer, By, read};
use crate::Desk;
use crate::db::CampaignId;
use crate::error::Refusal;
use crate::submissions::Dossier;

/// Submissions of one answer.
const MOST: u32 = 500;

#[derive(Serialize)]
struct DecisionAnswer {
    decision: &'static str,
    texte: String,
    echeance: Option<String>,
    auteur: String,
    date: String,
}

/// A submission and its decisions.
#[derive(Serialize)]
pub(super) struct DossierAnswer {
    campagne: CampaignId,
    operateur: String,
    nom: String,
    verdict: Option<String>,
    soumis: String,
    auteur: String,
    note: String,
    sha256: String,
    decisions: Vec<DecisionAnswer>,
    echeance_depassee_jours: Option<i64>,
}

impl From<Dossier> for DossierAnswer {
    fn from(dossier: Dossier) -> DossierAnswer {
        let Dossier { submission, decisions, overdue } = dossier;
        let decisions = decisions.into_iter().map(|one| DecisionAnswer {
            decision: one.kind.code(),
            texte: one.text,
            echeance: one.due,
            auteur: one.author,
            date: date(one.at),
        });
        DossierAnswer {
            campagne: submission.campaign,
            operateur: submission.operator,
            nom: submission.name,
            verdict: submission.verdict,
            soumis: date(submission.at),
            auteur: submission.author,
            note: submission.note,
            sha256: submission.sha256,
            decisions: decisions.collect(),
            echeance_depassee_jours: overdue,
        }
    }
}

pub(super) async fn list(State(desk): State<Desk>, By(who): By) -> Answer<Json<Value>> {
    let all = desk.dossiers(&who, MOST).await?;
    let all: Vec<DossierAnswer> = all.into_iter().map(Into::into).collect();
    Ok(Json(json!({ "dossiers": all })))
}

pub(super) async fn one(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Json<DossierAnswer>> {
    Ok(Json(desk.dossier(&who, &id).await?.into()))
}

pub(super) async fn report(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Response> {
    let submission = desk.submission_of(&who, &id).await?;
    let text = desk.db().submitted_report(who.scope()?, &submission.campaign).await?.ok_or(Refusal::NotFound)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubmission {
    #[serde(default)]
    note: String,
}

pub(super) async fn submit(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Response> {
    // Before what is asked is read: another's campaign is not there, whatever the body.
    desk.campaign_of(&who, &id).await?;
    let NewSubmission { note } = read(&body)?;
    let id = desk.submit(&who, &id, note.trim()).await?;
    made(&desk, &who, &id).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDecision {
    decision: String,
    texte: String,
    #[serde(default)]
    echeance: String,
}

pub(super) async fn decide(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Response> {
    let submission = desk.submission_of(&who, &id).await?;
    who.must(crate::account::role::Role::sees_all)?;
    let NewDecision { decision, texte, echeance } = read(&body)?;
    desk.decide(&who, &submission, &decision, texte.trim(), echeance.trim()).await?;
    made(&desk, &who, &submission.campaign).await
}

async fn made(desk: &Desk, who: &crate::acts::Who, id: &CampaignId) -> Answer<Response> {
    let place = format!("/api/v1/dossiers/{}", id.as_str());
    let answer: DossierAnswer = desk.dossier(who, id.as_str()).await?.into();
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(answer)).into_response())
}
