//! The part of the PSC stub: its scenarios under a lease, what is said of a token, baits, and the calls it got.
//!
//! | | |
//! |---|---|
//! | `GET /psc` | issuer, number of the last call, what is played and for how long |
//! | `GET /psc/calls?since=SEQ` | the calls after that number |
//! | `PUT /psc/scenario`, `DELETE /psc/scenario/LEASE` | [`stub::Scenario`] and `lease_seconds`; 423 while another campaign holds the stand |
//! | `PUT /psc/tokens/JTI`, `GET /psc/tokens/JTI` | [`stub::TokenRule`] |
//! | `PUT /psc/trap/NAME` | [`stub::Bait`]; answered with its address |

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
pub use stub::{Bait, Behaviour, Call, Endpoint, Expectation, Scenario, TokenRule};
use stub::{Realm, StubError};

use super::{Client, Leased, Leases, Since, StandError, holder, problem};

/// The part's name in leases and paths.
pub const PART: &str = "psc";
/// How long a scenario lasts that does not say.
const USUAL_LEASE: u64 = 120;

#[derive(Clone)]
struct Driven {
    realm: Realm,
    leases: Leases,
}

/// The part, for [`super::router`] under `/psc`.
pub fn part(realm: Realm, leases: Leases) -> Router {
    Router::new()
        .route("/", get(state))
        .route("/calls", get(calls))
        .route("/scenario", put(play))
        .route("/scenario/{lease}", delete(behave))
        .route("/tokens/{jti}", put(tell).get(told))
        .route("/trap/{name}", put(lay))
        .with_state(Driven { realm, leases })
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The exact issuer.
    pub issuer: String,
    /// What its endpoints are below: the issuer, but where an operator has a door of its own.
    #[serde(default)]
    pub endpoints: Option<String>,
    /// The number of the last call.
    pub last: u64,
    /// What is played.
    pub scenario: Scenario,
    /// Seconds left of its lease.
    #[serde(default)]
    pub lease_seconds: Option<u64>,
}

async fn state(State(driven): State<Driven>) -> Json<Now> {
    let lease = driven.leases.of(PART);
    Json(Now {
        issuer: driven.realm.issuer(),
        endpoints: Some(driven.realm.addresses().issuer()),
        last: driven.realm.last_call(),
        scenario: driven.realm.scenario().as_ref().clone(),
        lease_seconds: lease.map(|lease| lease.until.saturating_duration_since(std::time::Instant::now()).as_secs()),
    })
}

async fn calls(State(driven): State<Driven>, Query(Since { since }): Query<Since>) -> Json<Vec<Call>> {
    Json(driven.realm.calls(since))
}

/// A scenario and how long it lasts.
#[derive(Debug, Deserialize)]
struct Play {
    lease_seconds: Option<u64>,
    #[serde(flatten)]
    scenario: serde_json::Map<String, Value>,
}

fn refused(error: &StubError) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, problem("value", error.to_string())).into_response()
}

async fn play(State(driven): State<Driven>, headers: HeaderMap, Json(asked): Json<Play>) -> Response {
    let scenario: Scenario = match serde_json::from_value(Value::Object(asked.scenario)) {
        Ok(scenario) => scenario,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, problem("value", error.to_string())).into_response(),
    };
    if let Err(error) = scenario.check() {
        return refused(&error);
    }
    let length = Duration::from_secs(asked.lease_seconds.unwrap_or(USUAL_LEASE));
    let lease = match driven.leases.take(&holder(&headers), PART, length) {
        Ok(lease) => lease,
        Err(busy) => return busy.into_response(),
    };
    match driven.realm.play(scenario, lease.length) {
        Ok(()) => Json(Leased { lease: lease.id, lease_seconds: lease.length.as_secs() }).into_response(),
        Err(error) => refused(&error),
    }
}

async fn behave(State(driven): State<Driven>, Path(lease): Path<String>) -> Response {
    if driven.leases.give_back(PART, &lease) {
        driven.realm.behave();
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, problem("lease", "not held: it ended by itself, or another one took its place"))
        .into_response()
}

async fn tell(State(driven): State<Driven>, Path(jti): Path<String>, Json(rule): Json<TokenRule>) -> Response {
    match driven.realm.tell(&jti, rule) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

async fn told(State(driven): State<Driven>, Path(jti): Path<String>) -> Response {
    match driven.realm.rule(&jti) {
        Some(rule) => Json(rule).into_response(),
        None => (StatusCode::NOT_FOUND, problem("unknown", "nothing was told of this token")).into_response(),
    }
}

async fn lay(State(driven): State<Driven>, Path(name): Path<String>, Json(bait): Json<Bait>) -> Response {
    match driven.realm.lay(&name, bait) {
        Ok(()) => Json(json!({ "url": driven.realm.addresses().trap(&name) })).into_response(),
        Err(error) => refused(&error),
    }
}

/// The campaign's side.
impl Client {
    /// What the PSC stub does now.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn psc(&self) -> Result<Now, StandError> {
        self.get(PART).await
    }

    /// The calls after a number: all of them, however many.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn psc_calls(&self, since: u64) -> Result<Vec<Call>, StandError> {
        let mut all: Vec<Call> = Vec::new();
        loop {
            let last = all.last().map_or(since, |call| call.seq);
            let more: Vec<Call> = self.get(&format!("{PART}/calls?since={last}")).await?;
            let is_last = more.len() < stub::MAX_ANSWERED;
            all.extend(more);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Tells what is to be said of a token.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn tell_token(&self, jti: &str, rule: &TokenRule) -> Result<(), StandError> {
        self.tell(&format!("{PART}/tokens/{jti}"), rule).await
    }

    /// Lays a bait; its address.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn lay_bait(&self, name: &str, bait: &Bait) -> Result<String, StandError> {
        #[derive(Deserialize)]
        struct Laid {
            url: String,
        }
        let laid: Laid = self.put(&format!("{PART}/trap/{name}"), bait).await?;
        Ok(laid.url)
    }
}
