//! The issuer's JWKS, kept: fetched at the first need, renewed, and served on when PSC is down (JWT-12, JWT-22, LPS-TOKEN).
//!
//! * younger than [`REFRESH_AFTER`]: used as it is;
//! * older: used, and renewed in the background; older than [`RENEW_FIRST`]: renewed before use when PSC answers;
//! * a `kid` it does not hold: fetched again, at most once per `kid` and [`RETRY_AFTER`], and every [`RETRY_EMPTY_AFTER`] (or what
//!   [`VerifierConfig::keys_retry`](crate::VerifierConfig::keys_retry) says) whatever tokens come: a key published anew is believed
//!   within seconds, even just after somebody tried a name at random (JWT-22);
//! * nothing held and PSC silent: asked again as often;
//! * older than [`MAX_STALE`] and PSC silent: nothing is verified any more.
//!
//! One fetch at a time: whoever comes during a fetch awaits its result instead of starting another. When PSC is silent that fetch lasts
//! longer than the pause after it: those who waited for it are answered by its failure, not by a fetch of their own each (RES-02).

use crate::keys::{KeySet, MAX_JWKS};
use crate::{Outage, fetch};
use faults::Fault;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use trust::SharedClock;
use url::Url;

/// Age from which a set is renewed in the background. A new key of PSC is known within this time even if no token names it.
pub const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);

/// Age from which a set is renewed before it is used: a withdrawn key is not accepted on a quiet server hours later.
pub(crate) const RENEW_FIRST: Duration = Duration::from_secs(3600);

/// Shortest time between two fetches for the same motive: one `kid` that PSC did not have (JWT-12: at most one per minute), or age.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Shortest time between two fetches while no usable set is held: nobody can log in, so PSC's return must be seen soon. Also between two
/// for any names that are not held: twelve small documents a minute are the most that made-up names can cost PSC. The usual value of
/// [`VerifierConfig::keys_retry`](crate::VerifierConfig::keys_retry).
pub const RETRY_EMPTY_AFTER: Duration = Duration::from_secs(5);

/// Longest time a set serves without having been confirmed by PSC (JWT-22: a withdrawn key dies within 24 h).
pub const MAX_STALE: Duration = Duration::from_secs(24 * 3600);

/// Names remembered that PSC did not have: more than can be asked for within [`RETRY_AFTER`].
const MAX_ABSENT: usize = 16;

pub(crate) struct JwksCache {
    url: Url,
    http: reqwest::Client,
    clock: SharedClock,
    /// Between two fetches while no usable set is held, or for names that are not.
    retry: Duration,
    state: Mutex<State>,
    /// Held during a fetch; never together with a wait on `state`.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// When the last fetch was begun, whatever came of it.
    tried: Option<SystemTime>,
    /// When the last fetch for an unknown `kid` was begun: apart, so that a key published right after the first fetch is found.
    tried_unknown: Option<SystemTime>,
    /// The names that PSC answered not to have, and when; the latest at the end.
    absent: VecDeque<(String, SystemTime)>,
    /// Whether the last fetch gave nothing.
    failed: bool,
    /// How many fetches ended, whatever came of them.
    ended: u64,
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Motive<'k> {
    NothingHeld,
    Age,
    UnknownKey(&'k str),
}

#[derive(Clone)]
struct Held {
    keys: Arc<KeySet>,
    fetched: SystemTime,
}

impl JwksCache {
    pub fn new(url: Url, http: reqwest::Client, clock: SharedClock, retry: Duration) -> Arc<Self> {
        Arc::new(Self { url, http, clock, retry, state: Mutex::default(), fetching: tokio::sync::Mutex::new(()) })
    }

    /// The set to verify a token of this `kid` with; it may still lack the key, and then PSC does too.
    pub async fn keys_for(self: &Arc<Self>, key_id: &str) -> Result<Arc<KeySet>, Outage> {
        let motive = match self.usable() {
            None => Motive::NothingHeld,
            Some((keys, _)) if faults::is_on(Fault::FrozenKeys) => return Ok(keys),
            Some((keys, _)) if !keys.contains(key_id) => Motive::UnknownKey(key_id),
            Some((_, age)) if age >= RENEW_FIRST => Motive::Age,
            Some((keys, age)) => {
                if age >= REFRESH_AFTER && self.may_try(Motive::Age) {
                    let cache = Arc::clone(self);
                    tokio::spawn(async move { cache.renew(Motive::Age).await });
                }
                return Ok(keys);
            }
        };
        self.renew(motive).await;
        let (keys, _) = self.usable().ok_or(Outage::Jwks)?;
        // PSC may have a key that we could not ask it for: our trouble, not the token's (LPS-ERR).
        if !keys.contains(key_id) && self.state().failed {
            return Err(Outage::Jwks);
        }
        Ok(keys)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while holding it; a poisoned state would still be a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The held set and its age, unless it is too old.
    fn usable(&self) -> Option<(Arc<KeySet>, Duration)> {
        let held = self.state().held.clone()?;
        let age = self.since(held.fetched);
        (age < MAX_STALE).then_some((held.keys, age))
    }

    fn may_try(&self, motive: Motive<'_>) -> bool {
        let state = self.state();
        let is_over = |tried: Option<SystemTime>, pause| tried.is_none_or(|tried| self.since(tried) >= pause);
        match motive {
            Motive::NothingHeld => is_over(state.tried, self.retry),
            Motive::Age => is_over(state.tried, RETRY_AFTER),
            Motive::UnknownKey(key_id) => {
                let said = state.absent.iter().rev().find(|(absent, _)| absent == key_id).map(|(_, at)| *at);
                is_over(said, RETRY_AFTER) && is_over(state.tried_unknown, self.retry)
            }
        }
    }

    /// Zero when the clock went back.
    fn since(&self, instant: SystemTime) -> Duration {
        self.clock.now().duration_since(instant).unwrap_or_default()
    }

    /// Fetches, unless that was done lately. Whoever comes meanwhile waits here for the fetch under way, then finds it was.
    async fn renew(&self, motive: Motive<'_>) {
        let came = self.state().ended;
        let _one_at_a_time = self.fetching.lock().await;
        let has_failed_meanwhile = {
            let state = self.state();
            state.failed && state.ended > came
        };
        if has_failed_meanwhile || !self.may_try(motive) {
            return;
        }
        let begun = self.clock.now();
        {
            let mut state = self.state();
            state.tried = Some(begun);
            if let Motive::UnknownKey(_) = motive {
                state.tried_unknown = Some(begun);
            }
        }
        let answer = fetch::exchange(self.http.get(self.url.clone()), MAX_JWKS).await;
        let keys = answer.filter(|answer| answer.status.is_success()).and_then(|answer| KeySet::parse(&answer.body));
        match keys {
            // An empty set is what a broken PSC serves, not a withdrawal of all keys: keep what is held.
            Some(keys) if !keys.is_empty() || faults::is_on(Fault::EmptyKeysTaken) => {
                let mut state = self.state();
                if let Motive::UnknownKey(key_id) = motive
                    && !keys.contains(key_id)
                {
                    state.absent.push_back((key_id.to_owned(), begun));
                    while state.absent.len() > MAX_ABSENT {
                        state.absent.pop_front();
                    }
                }
                state.held = Some(Held { keys: Arc::new(keys), fetched: begun });
                state.failed = false;
                state.ended += 1;
            }
            _ => {
                let mut state = self.state();
                state.failed = true;
                state.ended += 1;
                drop(state);
                tracing::warn!(target: "psc", "the JWKS cannot be fetched or holds no usable key");
            }
        }
    }
}
