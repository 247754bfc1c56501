//! The REST API, for programs: the acts of the pages, as JSON, by a token. `api/openapi.json` describes it; a test compares the two.
//!
//! Invariants: a token speaks for one operator, or for a regulator, and never for more than the account that made it; a signatory's serves for
//! signing alone; errors have one shape
//! (`{"erreur":{"code","message","champs"}}`); nothing here is done by a cookie, so no other site can have a browser do it.

mod answers;
mod domains;
mod dossiers;
mod signature;
mod software;
mod stand;
mod watches;

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use control::catalogue::{Case, Catalogue, advice, all_cases, groups};
use control::engine::Depth;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Desk;
use crate::acts::{Again, Launch, Who};
use crate::db::{CampaignId, Filter};
use crate::error::{Broken, Mistake, Refusal};
use crate::question;
use crate::software::AUTHORITY;
use crate::web::guard::Asked;
use crate::web::{compare, reports, stream};
use answers::{CampaignAnswer, JobAnswer};

const OPENAPI: &str = include_str!("openapi.json");
/// Campaigns of one answer.
const PER_PAGE: u32 = 100;

/// Every route.
pub(crate) fn routes() -> Router<Desk> {
    Router::new()
        .route("/api/openapi.json", get(openapi))
        .route("/api/v1/catalogue", get(catalogue))
        .route("/api/v1/catalogue/{case}", get(case))
        .route("/api/v1/modeles", get(templates))
        .route("/api/v1/jobs", get(jobs).post(add_job))
        .route("/api/v1/jobs/{job}", get(job).delete(remove_job))
        .route("/api/v1/jobs/{job}/verification", post(check))
        .route("/api/v1/jobs/{job}/campagnes", post(launch))
        .route("/api/v1/campagnes", get(campaigns))
        .route("/api/v1/campagnes/{campaign}", get(campaign))
        .route("/api/v1/campagnes/{campaign}/cas", get(results))
        .route("/api/v1/campagnes/{campaign}/cas/{case}", get(result))
        .route("/api/v1/campagnes/{campaign}/flux", get(follow))
        .route("/api/v1/campagnes/{campaign}/arret", post(stop))
        .route("/api/v1/campagnes/{campaign}/relance", post(rerun))
        .route("/api/v1/campagnes/{campaign}/comparaison/{other}", get(comparison))
        .route("/api/v1/domaines", get(domains::list).post(domains::ask))
        .route("/api/v1/domaines/{domaine}", delete(domains::leave))
        .route("/api/v1/domaines/{domaine}/verification", post(domains::check))
        .route("/api/v1/surveillance", get(watches::list))
        .route("/api/v1/surveillance/flux.atom", get(watches::atom))
        .route("/api/v1/jobs/{job}/surveillance", put(watches::begin).delete(watches::end))
        .route("/api/v1/campagnes/{campaign}/banc", get(software::show).post(software::say))
        .route("/api/v1/campagnes/{campaign}/signature", put(signature::give))
        .route("/api/v1/campagnes/{campaign}/soumission", post(dossiers::submit))
        .route("/api/v1/dossiers", get(dossiers::list))
        .route("/api/v1/dossiers/{campaign}", get(dossiers::one))
        .route("/api/v1/dossiers/{campaign}/rapport.json", get(dossiers::report))
        .route("/api/v1/dossiers/{campaign}/decisions", post(dossiers::decide))
        .route("/api/v1/pieges", get(stand::sessions))
        .route("/api/v1/pieges/{session}", get(stand::session))
        .route("/api/v1/bouchon", get(stand::stub))
        .route("/api/v1/bouchon/scenario", put(stand::play))
        .route("/api/v1/bouchon/scenario/{lease}", delete(stand::behave))
        .route("/api/v1/campagnes/{campaign}/{file}", get(report))
}

/// A refusal as JSON.
pub(crate) struct ApiRefusal(Refusal);

impl<E: Into<Refusal>> From<E> for ApiRefusal {
    fn from(error: E) -> ApiRefusal {
        ApiRefusal(error.into())
    }
}

impl IntoResponse for ApiRefusal {
    fn into_response(self) -> Response {
        if let Refusal::Broken(error) = &self.0 {
            tracing::error!("{error}");
        }
        if let Refusal::Away(cause) = &self.0 {
            tracing::warn!("the database is away: {cause}");
        }
        let body =
            json!({ "erreur": { "code": self.0.code(), "message": self.0.to_string(), "champs": self.0.mistakes() } });
        let mut response = (self.0.status(), Json(body)).into_response();
        if matches!(self.0, Refusal::Unsigned) {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"controle\""));
        }
        response
    }
}

type Answer<T> = Result<T, ApiRefusal>;

/// Whoever speaks by a token that serves for more than signing.
pub(crate) struct By(Who);

impl FromRequestParts<Desk> for By {
    type Rejection = ApiRefusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<By, ApiRefusal> {
        let ByAny(who) = ByAny::from_request_parts(parts, desk).await?;
        if who.only_signs() { Err(Refusal::Forbidden.into()) } else { Ok(By(who)) }
    }
}

/// Whoever speaks by a token, a signatory's included: what signing needs.
pub(crate) struct ByAny(Who);

impl FromRequestParts<Desk> for ByAny {
    type Rejection = ApiRefusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<ByAny, ApiRefusal> {
        let word = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let word = word.and_then(|value| {
            let (scheme, word) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| word.trim())
        });
        let word = word.ok_or(Refusal::Unsigned)?;
        // A token has 256 bits: it is looked up by its hash, and cannot be found by trying.
        let bearer = desk.db().bearer(word, desk.now()).await?.ok_or(Refusal::Unsigned)?;
        Ok(ByAny(bearer.into()))
    }
}

/// The body of a request. One that cannot be read is the caller's mistake.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Invalid(vec![Mistake::of("corps", error.to_string())]))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/vnd.oai.openapi+json;version=3.1")], OPENAPI).into_response()
}

fn case_answer(case: &Case) -> Value {
    let mut value = serde_json::to_value(case).unwrap_or_default();
    value["realise"] = question::is_run(case).into();
    if let Some(advice) = advice(&case.id) {
        value["pourquoi"] = advice.pourquoi.as_str().into();
        value["que_faire"] = advice.que_faire.as_str().into();
    }
    value
}

async fn catalogue() -> Json<Value> {
    let catalogue = Catalogue::embedded();
    let cases: Vec<Value> = all_cases().map(case_answer).collect();
    let groups: BTreeMap<&str, &str> = groups().into_iter().collect();
    Json(json!({ "version": catalogue.version, "sha256": Catalogue::sha256(), "groupes": groups, "cas": cases }))
}

async fn case(Path(id): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(case_answer(question::case(&id).ok_or(Refusal::NotFound)?)))
}

async fn templates(State(desk): State<Desk>, By(who): By) -> Answer<Json<Value>> {
    let operator = desk.operator_of(&who).await?.ok_or(Refusal::Forbidden)?;
    let all: Vec<Value> =
        desk.templates(&operator.name).map(|one| json!({ "nom": one.name, "titre": one.title })).collect();
    Ok(Json(json!({ "modeles": all })))
}

async fn jobs(State(desk): State<Desk>, By(who): By) -> Answer<Json<Value>> {
    let jobs = desk.db().jobs(who.scope()?).await?;
    let jobs: Vec<JobAnswer> = jobs.into_iter().map(Into::into).collect();
    Ok(Json(json!({ "jobs": jobs })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewJob {
    /// The template that completes it; none for mail software.
    #[serde(default)]
    modele: String,
    #[serde(default)]
    nom: String,
    /// The text of a job file, TOML.
    texte: String,
}

async fn add_job(State(desk): State<Desk>, By(who): By, body: axum::body::Bytes) -> Answer<Response> {
    let new: NewJob = read(&body)?;
    let taken = desk.save_job(&who, &new.modele, new.nom.trim(), &new.texte).await?;
    let place = format!("/api/v1/jobs/{}", taken.id.as_str());
    let answer = json!({ "id": taken.id, "laisse": taken.left_out });
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(answer)).into_response())
}

async fn job(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Json<JobAnswer>> {
    Ok(Json(desk.job_of(&who, &id).await?.into()))
}

async fn remove_job(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<StatusCode> {
    let job = desk.job_of(&who, &id).await?;
    desk.hide_job(&who, &job.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn check(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Json<Value>> {
    let job = desk.job_of(&who, &id).await?;
    let made = desk.check(&who, &job).await?;
    Ok(Json(json!({ "bon": made.is_good, "controles": made.findings })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCampaign {
    #[serde(default)]
    cas: Vec<String>,
    #[serde(default = "whole")]
    profondeur: Depth,
    /// « J'atteste être autorisé à contrôler ces serveurs ».
    autorise: bool,
    /// Why, although the last pre-flight found something wrong.
    #[serde(default)]
    motif: String,
}

fn whole() -> Depth {
    Depth::Complet
}

async fn queued(desk: &Desk, who: &Who, id: &CampaignId) -> Answer<Response> {
    let campaign: CampaignAnswer = desk.campaign_of(who, id.as_str()).await?.into();
    let place = format!("/api/v1/campagnes/{}", id.as_str());
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(campaign)).into_response())
}

async fn launch(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Answer<Response> {
    let job = desk.job_of(&who, &id).await?;
    let NewCampaign { cas, profondeur, autorise, motif } = read(&body)?;
    let id = desk
        .launch(&who, job, Launch { only: cas, depth: profondeur, is_authorised: autorise, overridden: motif })
        .await?;
    queued(&desk, &who, &id).await
}

async fn campaigns(State(desk): State<Desk>, ByAny(who): ByAny, Asked(asked): Asked) -> Answer<Json<Value>> {
    let filter = Filter { before: CampaignId::read(asked.get("avant")), most: PER_PAGE, ..Filter::default() };
    let found = desk.db().campaigns(who.scope()?, filter).await?;
    let next = (found.len() == PER_PAGE as usize).then(|| found.last().map(|last| last.id.clone())).flatten();
    let found: Vec<CampaignAnswer> = found.into_iter().map(Into::into).collect();
    Ok(Json(json!({ "campagnes": found, "avant": next })))
}

async fn campaign(State(desk): State<Desk>, ByAny(who): ByAny, Path(id): Path<String>) -> Answer<Json<CampaignAnswer>> {
    Ok(Json(desk.campaign_of(&who, &id).await?.into()))
}

#[derive(Serialize)]
struct Results {
    cas: Vec<control::engine::CaseResult>,
}

async fn results(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Json<Results>> {
    let campaign = desk.campaign_of(&who, &id).await?;
    let found = desk.db().results(who.scope()?, &campaign.id, 0).await?;
    Ok(Json(Results { cas: crate::running::in_order(found.into_iter().map(|(_, result)| result).collect()) }))
}

async fn result(
    State(desk): State<Desk>,
    By(who): By,
    Path((id, case)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let campaign = desk.campaign_of(&who, &id).await?;
    let found = desk.db().results(who.scope()?, &campaign.id, 0).await?;
    let (_, result) = found.into_iter().find(|(_, one)| one.id.eq_ignore_ascii_case(&case)).ok_or(Refusal::NotFound)?;
    let hashes = result.variantes.iter().flat_map(|variant| variant.preuves.clone()).collect();
    let proofs = desk.db().proofs(who.scope()?, &campaign.id, Some(hashes)).await?;
    let mut value = serde_json::to_value(result).map_err(Broken::from)?;
    value["pieces"] = serde_json::to_value(proofs).map_err(Broken::from)?;
    Ok(Json(value))
}

async fn follow(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    Asked(asked): Asked,
    headers: HeaderMap,
) -> Answer<Response> {
    let campaign = desk.campaign_of(&who, &id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or(asked.get("depuis"));
    Ok(stream::of(&desk, who.scope(), campaign.id, last.parse().unwrap_or(0))?)
}

async fn stop(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<StatusCode> {
    let campaign = desk.campaign_of(&who, &id).await?;
    desk.cancel(&who, &campaign).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rerun {
    /// `tout`, `echecs` or the id of a case.
    quoi: String,
}

async fn rerun(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Answer<Response> {
    let campaign = desk.campaign_of(&who, &id).await?;
    let Rerun { quoi } = read(&body)?;
    let again = match quoi.as_str() {
        "tout" => Again::Whole,
        "echecs" => Again::Failures,
        _ => Again::Case(quoi),
    };
    let id = desk.rerun(&who, campaign, again).await?;
    queued(&desk, &who, &id).await
}

async fn comparison(
    State(desk): State<Desk>,
    By(who): By,
    Path((id, other)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let after = desk.campaign_of(&who, &id).await?;
    let before = desk.campaign_of(&who, &other).await?;
    let found = compare::compare(&desk, &who, &before, &after).await?;
    Ok(Json(json!({ "avant": before.id, "apres": after.id, "differences": found })))
}

async fn report(
    State(desk): State<Desk>,
    ByAny(who): ByAny,
    Path((id, file)): Path<(String, String)>,
) -> Answer<Response> {
    if who.only_signs() && ![reports::SIGNED, reports::SIGNATURE].contains(&file.as_str()) {
        return Err(Refusal::Forbidden.into());
    }
    if file == reports::SIGNATURE {
        let campaign = desk.campaign_of(&who, &id).await?;
        return Ok(reports::signature(&desk, &who, &campaign).await?);
    }
    if file == AUTHORITY {
        return Ok(crate::web::software::authority(&desk, &who, &id).await?);
    }
    let form = reports::FORMS.iter().find(|form| form.file == file).ok_or(Refusal::NotFound)?;
    let campaign = desk.campaign_of(&who, &id).await?;
    Ok(reports::answer(&desk, &who, &campaign, form).await?)
}
