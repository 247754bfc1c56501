//! What is the same for the parts that serve what operators fetch ([`super::white_list`], [`super::revocation`]): a scenario under a lease, operators
//! told to fetch, and the log of who fetched what.
//!
//! | | |
//! |---|---|
//! | `GET /fetches?since=SEQ` | the fetches after that number |
//! | `PUT /scenario`, `DELETE /scenario/LEASE` | the part's scenario and `lease_seconds`; 423 while another campaign holds the stand |

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Leased, Leases, Since, Slot, holder, problem};

/// Fetches remembered; an operator fetches some tens of times a day.
const MAX_FETCHES: usize = 2000;
/// How long an operator that is told to fetch is waited for. One that is answered nothing waits for longer; it was told, that is what counts.
const NUDGE: Duration = Duration::from_secs(5);
/// Longest word of a reader.
const MAX_WORD: usize = 64;

/// Has an operator fetch its lists now. Where nobody can do that, campaigns wait.
pub type Nudge = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The word an operator fetches with.
#[must_use]
pub fn reader(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let word = pairs.filter(|(key, _)| *key == "operateur").map(|(_, word)| word).next().unwrap_or_default();
    word.chars().filter(char::is_ascii_graphic).take(MAX_WORD).collect()
}

pub(super) fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A scenario that is played to a reader.
pub(super) trait Played: Clone + Send + Sync + 'static {
    /// Whom it is for; empty: everybody.
    fn reader(&self) -> &str;
}

/// A part.
pub(super) trait Part: Clone + Send + Sync + 'static {
    /// What a scenario says.
    type Play: DeserializeOwned + Send + 'static;
    /// What becomes of it.
    type Played: Played;
    /// What is told of a fetch.
    type Fetch: Clone + Serialize + Send + Sync + 'static;
    /// How many seconds a scenario lasts that does not say.
    const USUAL_LEASE: u64;

    /// What it counts with.
    fn counter(&self) -> &Counter<Self::Played, Self::Fetch>;

    /// Makes ready what is played; why it cannot be.
    fn prepare(&self, play: Self::Play) -> impl Future<Output = Result<Self::Played, String>> + Send;

    /// A scenario begins.
    fn begins(&self) {}
}

struct Log<F> {
    last: u64,
    kept: VecDeque<(u64, F)>,
}

/// What a part counts with. Clones play and count the same.
#[derive(Clone)]
pub(super) struct Counter<P, F> {
    slot: Slot<Option<P>>,
    shared: Arc<Shared<F>>,
}

/// What those have in common who drive one part of several operators.
struct Shared<F> {
    log: Mutex<Log<F>>,
    nudge: OnceLock<Nudge>,
}

impl<P: Played, F: Clone> Counter<P, F> {
    /// Of a part, with the leases of its stand.
    pub(super) fn new(leases: Leases, part: &'static str) -> Counter<P, F> {
        let log = Mutex::new(Log { last: 0, kept: VecDeque::new() });
        Counter { slot: Slot::new(leases, part), shared: Arc::new(Shared { log, nudge: OnceLock::new() }) }
    }

    /// The same log, and a scenario of its own under these leases.
    pub(super) fn beside(&self, leases: Leases, part: &'static str) -> Counter<P, F> {
        Counter { slot: Slot::new(leases, part), shared: self.shared.clone() }
    }

    /// How operators are told to fetch. Told twice, the first stands.
    pub(super) fn nudged_by(&self, nudge: Nudge) {
        let _ = self.shared.nudge.set(nudge);
    }

    /// What is played now.
    pub(super) fn played(&self) -> Option<P> {
        self.slot.now()
    }

    /// The number of the last fetch.
    pub(super) fn last(&self) -> u64 {
        self.log().last
    }

    /// Notes a fetch, made of its number and the time in seconds since 1970.
    pub(super) fn note(&self, fetch: impl FnOnce(u64, u64) -> F) {
        let mut log = self.log();
        log.last += 1;
        let seq = log.last;
        if log.kept.len() >= MAX_FETCHES {
            log.kept.pop_front();
        }
        log.kept.push_back((seq, fetch(seq, seconds(SystemTime::now()))));
    }

    pub(super) fn since(&self, seq: u64) -> Vec<F> {
        self.log().kept.iter().filter(|(number, _)| *number > seq).map(|(_, fetch)| fetch.clone()).collect()
    }

    fn log(&self) -> MutexGuard<'_, Log<F>> {
        // Every change is whole.
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn nudge(&self, reader: String) {
        if let Some(nudge) = self.shared.nudge.get() {
            let _ = tokio::time::timeout(NUDGE, nudge(reader)).await;
        }
    }

    /// For tests of parts.
    #[cfg(test)]
    pub(super) fn slot(&self) -> &Slot<Option<P>> {
        &self.slot
    }
}

/// What every part answers.
pub(super) fn routes<S: Part>() -> Router<S> {
    Router::new()
        .route("/fetches", get(fetches::<S>))
        .route("/scenario", put(play::<S>))
        .route("/scenario/{lease}", delete(back::<S>))
}

async fn fetches<S: Part>(State(part): State<S>, Query(Since { since }): Query<Since>) -> Json<Vec<S::Fetch>> {
    Json(part.counter().since(since))
}

/// A scenario and how long it lasts.
#[derive(Debug, Deserialize)]
struct Asked<P> {
    lease_seconds: Option<u64>,
    #[serde(flatten)]
    play: P,
}

async fn play<S: Part>(State(part): State<S>, headers: HeaderMap, Json(asked): Json<Asked<S::Play>>) -> Response {
    let played = match part.prepare(asked.play).await {
        Ok(played) => played,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, problem("value", error)).into_response(),
    };
    let reader = played.reader().to_owned();
    let length = Duration::from_secs(asked.lease_seconds.unwrap_or(S::USUAL_LEASE));
    let lease = match part.counter().slot.tell(&holder(&headers), Some(played), length) {
        Ok(lease) => lease,
        Err(busy) => return busy.into_response(),
    };
    part.begins();
    part.counter().nudge(reader).await;
    Json(Leased { lease: lease.id, lease_seconds: lease.length.as_secs() }).into_response()
}

async fn back<S: Part>(State(part): State<S>, Path(lease): Path<String>) -> Response {
    let reader = part.counter().played().map(|played| played.reader().to_owned()).unwrap_or_default();
    if part.counter().slot.give_back(&lease) {
        part.counter().nudge(reader).await;
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, problem("lease", "not held: it ended by itself, or another one took its place"))
        .into_response()
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

    #[derive(Clone)]
    struct Nothing;

    impl Played for Nothing {
        fn reader(&self) -> &str {
            ""
        }
    }

    #[test]
    fn fetches_are_numbered_and_the_oldest_go_first() {
        let counter: Counter<Nothing, u64> = Counter::new(Leases::default(), "x");
        for _ in 0..MAX_FETCHES + 2 {
            counter.note(|seq, _| seq);
        }
        let last = MAX_FETCHES as u64 + 2;
        assert_eq!((counter.last(), counter.since(last - 2), counter.since(0)[0]), (last, vec![last - 1, last], 3));
    }
}
