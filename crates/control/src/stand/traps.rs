//! The part of the traps: what there is, and the sessions that were.
//!
//! | | |
//! |---|---|
//! | `GET /traps` | their domain, the traps, the number of the last session |
//! | `GET /traps/sessions?run=&batch=&door=&q=&since=&after=&wait=` | sessions, newest first; `batch`: the beginning of runs, see [`crate::trap::Query`]; `after` is the `version` of an earlier answer: nothing is answered before something changed since, or `wait` seconds went by |
//! | `GET /traps/sessions/SEQ` | one |
//! | `GET /traps/sessions/SEQ/messages/N` | the message of its transaction N, octet for octet, when it is one of ours |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Client, StandError, problem};
use crate::trap::record::Session;
use crate::trap::{self, Archive, TRAPS, Trap};

/// Sessions of one answer.
const MOST: usize = 200;
/// Longest wait for a change, in seconds: below what proxies and clients wait for an answer.
const MAX_WAIT: u64 = 10;

#[derive(Clone)]
struct Part {
    archive: Arc<Archive>,
    domain: Arc<str>,
}

/// The part, for [`super::router`] under `/traps`.
pub fn part(archive: Arc<Archive>, domain: &str) -> Router {
    Router::new()
        .route("/", get(opened))
        .route("/sessions", get(sessions))
        .route("/sessions/{seq}", get(session))
        .route("/sessions/{seq}/messages/{index}", get(message))
        .with_state(Part { archive, domain: domain.into() })
}

#[derive(Serialize)]
struct Opened<'a> {
    domain: &'a str,
    last: u64,
    version: u64,
    traps: &'a [Trap],
}

async fn opened(State(part): State<Part>) -> Response {
    let (last, version) = (part.archive.last(), part.archive.version());
    Json(Opened { domain: &part.domain, last, version, traps: &TRAPS }).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    run: Option<String>,
    batch: Option<String>,
    door: Option<String>,
    q: String,
    since: u64,
    after: Option<u64>,
    wait: u64,
}

/// Sessions, and what to ask with next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page {
    /// For `after`.
    pub version: u64,
    /// Newest first.
    pub sessions: Vec<Session>,
}

async fn sessions(State(part): State<Part>, Query(asked): Query<Asked>) -> Response {
    let mut query = trap::Query::read(&asked.q);
    query.since = asked.since;
    query.run = asked.run.map(|run| run.to_ascii_lowercase()).or(query.run);
    query.batch = asked.batch;
    query.door = asked.door.or(query.door);
    // Read before the list: what changes meanwhile is told again.
    let version = match asked.after {
        Some(after) => part.archive.changed_since(after, Duration::from_secs(asked.wait.min(MAX_WAIT))).await,
        None => part.archive.version(),
    };
    let found = part.archive.list(&query, MOST);
    let sessions = found.into_iter().map(Arc::unwrap_or_clone).collect();
    Json(Page { version, sessions }).into_response()
}

async fn session(State(part): State<Part>, Path(seq): Path<u64>) -> Response {
    match part.archive.get(seq) {
        Some(session) => Json(Arc::unwrap_or_clone(session)).into_response(),
        None => (StatusCode::NOT_FOUND, problem("unknown", "no session of that number")).into_response(),
    }
}

async fn message(State(part): State<Part>, Path((seq, index)): Path<(u64, usize)>) -> Response {
    let archive = part.archive.clone();
    let read = tokio::task::spawn_blocking(move || archive.message(seq, index)).await;
    match read.ok().flatten() {
        // Never shown as what it says it is: somebody else wrote it.
        Some(octets) => {
            let kind =
                [(header::CONTENT_TYPE, "application/octet-stream"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (kind, octets).into_response()
        }
        None => (StatusCode::NOT_FOUND, problem("unknown", "no such message of ours")).into_response(),
    }
}

/// What the stand says of its traps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Known {
    /// Their domain.
    pub domain: String,
    /// The number of the last session.
    pub last: u64,
    /// For `after`.
    pub version: u64,
}

impl Client {
    /// The traps of the stand.
    ///
    /// # Errors
    /// [`StandError`]; [`StandError::Refused`] with 404 when it has none.
    pub async fn traps(&self) -> Result<Known, StandError> {
        self.get("traps").await
    }

    /// The sessions of a batch of runs, and those since a number that name nobody; once something changed after `after`, or at the latest
    /// after `wait`.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn trap_sessions(&self, batch: &str, since: u64, after: u64, wait: Duration) -> Result<Page, StandError> {
        let wait = wait.as_secs().min(MAX_WAIT);
        self.get(&format!("traps/sessions?batch={batch}&since={since}&after={after}&wait={wait}")).await
    }
}
