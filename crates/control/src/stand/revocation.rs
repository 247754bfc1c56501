//! The part of revocation: lists and OCSP that fail, are over, or end soon, under a lease; and who asked what.
//!
//! | | |
//! |---|---|
//! | `GET /revocation/fetches?since=SEQ` | what was asked after that number |
//! | `PUT /revocation/scenario`, `DELETE /revocation/scenario/LEASE` | `{crl, ocsp, lecteur}` and `lease_seconds`; 423 while another campaign holds the stand |
//!
//! `lecteur` is the operator it is for, by the word it fetches lists with (`?operateur=MOT`). Who fetches by what a certificate says has no
//! word: it is answered as that operator is. The services themselves are the authority's ([`trust::pki::router`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use trust::pki::{Ca, INTERMEDIATE_CRL_PATH, OCSP_PATH, ROOT_CRL_PATH, TestAuthority};

use super::white_list::{Nudge, seconds};
use super::{Client, Held, Leased, Leases, Since, Slot, StandError, holder, problem};

/// The part's name in leases and paths.
pub const PART: &str = "revocation";
/// How long a scenario lasts that does not say.
const USUAL_LEASE: u64 = 60;
/// Requests remembered.
const MAX_FETCHES: usize = 2000;
/// How long an operator that is told to fetch is waited for.
const NUDGE: Duration = Duration::from_secs(5);
/// A list that is over ended this long ago, after a week.
const OVER: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Longest life of a short list.
const MAX_SHORT: u64 = 600;

/// What becomes of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lists {
    /// As they must be.
    #[default]
    Normal,
    /// 503.
    Indisponible,
    /// Well signed, and over since yesterday.
    Perimee,
    /// Well signed, and over in some seconds.
    Courte,
}

/// What becomes of OCSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ocsp {
    /// As it must be.
    #[default]
    Normal,
    /// 503.
    Indisponible,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Play {
    /// The lists.
    pub crl: Lists,
    /// OCSP.
    pub ocsp: Ocsp,
    /// Seconds a short list lives.
    pub vie: u64,
    /// For whom; empty: for everybody.
    pub lecteur: String,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Its number.
    pub seq: u64,
    /// When, seconds since 1970.
    pub at: u64,
    /// `crl` or `ocsp`.
    pub quoi: String,
    /// By whom, when they say.
    pub lecteur: String,
    /// The status answered.
    pub statut: u16,
}

#[derive(Default)]
struct Fetches {
    last: u64,
    kept: VecDeque<Fetch>,
}

struct Inner {
    authority: Arc<TestAuthority>,
    slot: Slot<Option<Play>>,
    fetches: Mutex<Fetches>,
    nudge: OnceLock<Nudge>,
}

/// What stands before the authority's services. Cheap to clone.
#[derive(Clone)]
pub struct RevocationStand(Arc<Inner>);

impl RevocationStand {
    /// As the authority says, until told otherwise.
    #[must_use]
    pub fn new(authority: Arc<TestAuthority>, leases: Leases) -> RevocationStand {
        let slot = Slot::new(leases, PART);
        RevocationStand(Arc::new(Inner { authority, slot, fetches: Mutex::default(), nudge: OnceLock::new() }))
    }

    /// How operators are told to fetch. Once.
    pub fn nudged_by(&self, nudge: Nudge) {
        // Told twice, the first stands.
        let _ = self.0.nudge.set(nudge);
    }

    /// The authority's services, with this before them.
    pub fn router(&self) -> Router {
        let services = trust::pki::router(Arc::clone(&self.0.authority));
        services.layer(middleware::from_fn_with_state(self.clone(), before))
    }

    async fn nudge(&self, reader: String) {
        if let Some(nudge) = self.0.nudge.get() {
            let _ = tokio::time::timeout(NUDGE, nudge(reader)).await;
        }
    }

    fn note(&self, what: &str, reader: String, status: StatusCode) {
        let mut fetches = self.0.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        fetches.last += 1;
        let (seq, at) = (fetches.last, seconds(SystemTime::now()));
        if fetches.kept.len() >= MAX_FETCHES {
            fetches.kept.pop_front();
        }
        fetches.kept.push_back(Fetch { seq, at, quoi: what.to_owned(), lecteur: reader, statut: status.as_u16() });
    }

    /// A list that is not the usual one.
    fn list(&self, path: &str, play: &Play) -> Response {
        let ca = if path == ROOT_CRL_PATH { Ca::Root } else { Ca::Organizations };
        let authority = &self.0.authority;
        let made = match play.crl {
            Lists::Perimee => authority.crl_from(ca, SystemTime::now() - WEEK - OVER, WEEK),
            _ => authority.crl(ca, Duration::from_secs(play.vie.clamp(1, MAX_SHORT))),
        };
        match made.and_then(|list| Ok(list.to_der()?)) {
            Ok(der) => ([(header::CONTENT_TYPE, "application/pkix-crl")], der).into_response(),
            Err(error) => {
                tracing::error!(%error, "the test authority cannot publish");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The word an operator fetches with.
#[must_use]
pub fn reader(uri: &Uri) -> String {
    const MAX_WORD: usize = 64;
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let word = pairs.filter(|(key, _)| *key == "operateur").map(|(_, word)| word).next().unwrap_or_default();
    word.chars().filter(char::is_ascii_graphic).take(MAX_WORD).collect()
}

async fn before(State(stand): State<RevocationStand>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let what = if path.starts_with(OCSP_PATH) {
        "ocsp"
    } else if path == ROOT_CRL_PATH || path == INTERMEDIATE_CRL_PATH {
        "crl"
    } else {
        return next.run(request).await;
    };
    let reader = reader(request.uri());
    let play = stand.0.slot.now().unwrap_or_default();
    let is_meant = play.lecteur.is_empty() || reader.is_empty() || play.lecteur == reader;
    let response = match (what, play.crl, play.ocsp) {
        _ if !is_meant => next.run(request).await,
        ("ocsp", _, Ocsp::Indisponible) | ("crl", Lists::Indisponible, _) => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        ("crl", Lists::Perimee | Lists::Courte, _) => stand.list(&path, &play),
        _ => next.run(request).await,
    };
    stand.note(what, reader, response.status());
    response
}

/// The part, for [`super::router`] under `/revocation`.
pub fn part(stand: RevocationStand) -> Router {
    Router::new()
        .route("/fetches", get(fetches))
        .route("/scenario", put(play))
        .route("/scenario/{lease}", delete(back))
        .with_state(stand)
}

async fn fetches(State(stand): State<RevocationStand>, Query(Since { since }): Query<Since>) -> Json<Vec<Fetch>> {
    let fetches = stand.0.fetches.lock().unwrap_or_else(PoisonError::into_inner);
    Json(fetches.kept.iter().filter(|fetch| fetch.seq > since).cloned().collect())
}

/// A scenario and how long it lasts.
#[derive(Debug, Deserialize)]
struct Asked {
    lease_seconds: Option<u64>,
    #[serde(flatten)]
    play: Play,
}

async fn play(State(stand): State<RevocationStand>, headers: HeaderMap, Json(asked): Json<Asked>) -> Response {
    let reader = asked.play.lecteur.clone();
    let length = Duration::from_secs(asked.lease_seconds.unwrap_or(USUAL_LEASE));
    let lease = match stand.0.slot.tell(&holder(&headers), Some(asked.play), length) {
        Ok(lease) => lease,
        Err(busy) => return busy.into_response(),
    };
    stand.nudge(reader).await;
    Json(Leased { lease: lease.id, lease_seconds: lease.length.as_secs() }).into_response()
}

async fn back(State(stand): State<RevocationStand>, Path(lease): Path<String>) -> Response {
    let reader = stand.0.slot.now().map(|play| play.lecteur).unwrap_or_default();
    if stand.0.slot.give_back(&lease) {
        stand.nudge(reader).await;
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, problem("lease", "not held: it ended by itself, or another one took its place"))
        .into_response()
}

/// The campaign's side.
impl Client {
    /// What was asked after a number.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn revocation_fetches(&self, since: u64) -> Result<Vec<Fetch>, StandError> {
        self.get(&format!("{PART}/fetches?since={since}")).await
    }

    /// Plays.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn play_revocation(&self, play: &Play, length: Duration) -> Result<Held, StandError> {
        self.play(PART, play, length).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_told_by_their_word() {
        let of = |text: &str| reader(&text.parse::<Uri>().expect("a URI"));
        assert_eq!(of("/CRL/x.crl?operateur=alpha"), "alpha");
        assert_eq!(of("/CRL/x.crl?a=b&operateur=beta&operateur=c"), "beta");
        assert_eq!(of("/CRL/x.crl"), "");
        assert_eq!(of(&format!("/x?operateur={}", "y".repeat(100))).len(), 64);
    }
}
