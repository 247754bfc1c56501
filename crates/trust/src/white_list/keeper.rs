//! The list kept current (OPE-LIST; operator.md §2.3): fetched by conditional GET, checked, replaced only by a better one.
//!
//! Invariants:
//! * [`Keeper::current`] is always a list that passed the whole check; a failure of any kind leaves the former one in place;
//! * a list generated before the one held is refused (replay), and so are one without any domain and one from the future;
//! * the copy on disk is the signed document as fetched, and its signature is checked again when it is loaded.
//!
//! No expiry: the list carries no end of validity, and cutting a hospital off because a publisher is down would do more harm than a
//! list some days old. Past [`ALERT_AGE`] without confirmation by the publisher, every attempt logs an error.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::keeper_file as file;
use super::{ListError, MAX_DOCUMENT, RequiredSigner, SignatureError, SignaturePolicy, WhiteList};
use crate::clock::SharedClock;
use crate::http::{HttpError, read_limited};
use crate::revocation::Revocation;
use crate::tls::CertificateFault;

/// Time without confirmation by the publisher after which operators must be told (operator.md §2.3).
pub const ALERT_AGE: Duration = Duration::from_secs(48 * 3600);

/// First pause after a failure; it doubles up to the regular interval.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// The same while no list is held: nothing can be sent or received, so the publisher's return must be seen soon.
const FIRST_RETRY_EMPTY: Duration = Duration::from_secs(5);

/// How far in the future a list may be dated. One dated later would make every true list look like a replay.
const MAX_FUTURE: Duration = Duration::from_secs(3600);

/// How a list is kept.
#[derive(Debug, Clone)]
pub struct KeeperConfig {
    /// Where it is published.
    pub url: Url,
    /// What its signature must be.
    pub policy: SignaturePolicy,
    /// Where the last good copy is kept.
    pub path: PathBuf,
    /// Time between two fetches, give or take a tenth so that operators do not all come at once.
    pub refresh_every: Duration,
}

/// Why a fetch did not give a better list.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The publisher could not be reached or did not answer properly.
    #[error("cannot fetch the white list: {0}")]
    Http(#[from] HttpError),
    /// What it published is not acceptable.
    #[error("{0}")]
    List(#[from] ListError),
    /// Generated before the one held.
    #[error("the white list published is older than the one held")]
    Older,
    /// Generated in the future.
    #[error("the white list published is dated in the future")]
    FromTheFuture,
    /// It lists no domain that can be read.
    #[error("the white list published lists no domain")]
    Empty,
    /// The copy on disk cannot be read or written.
    #[error("copy of the white list on disk: {0}")]
    File(#[from] std::io::Error),
    /// The process is stopping.
    #[error("interrupted")]
    Interrupted,
}

/// What a status page or a metric needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeeperStatus {
    /// When the list held was generated; `None`: no list yet.
    pub generated_at: Option<SystemTime>,
    /// Number of domains in it.
    pub domains: usize,
    /// Entries of it that could not be read.
    pub skipped: usize,
    /// When the publisher last confirmed it (200 or 304).
    pub confirmed_at: Option<SystemTime>,
    /// Time since then; `None`: never.
    pub age: Option<Duration>,
    /// Failures since the last success.
    pub failures: u32,
    /// The last failure, when the last attempt failed.
    pub last_error: Option<String>,
}

/// Keeps one list current. Share it between sessions; start [`Keeper::spawn_refresh`] once.
#[derive(Debug)]
pub struct Keeper {
    config: KeeperConfig,
    http: reqwest::Client,
    clock: SharedClock,
    current: RwLock<Option<Arc<WhiteList>>>,
    state: Mutex<State>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    confirmed_at: Option<SystemTime>,
    failures: u32,
    last_error: Option<String>,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Keeper {
    /// Takes the copy on disk if there is one and it passes; fetches nothing yet. `http` trusts the publisher's authorities
    /// ([`crate::http::client`]). An unusable copy is logged and left: the next fetch replaces it.
    pub fn open(config: KeeperConfig, http: reqwest::Client, clock: SharedClock) -> Arc<Self> {
        let keeper = Self {
            config,
            http,
            clock,
            current: RwLock::default(),
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        };
        if let Err(error) = keeper.load() {
            tracing::warn!(%error, path = %keeper.config.path.display(), "copy of the white list not taken");
        }
        Arc::new(keeper)
    }

    /// The list in force; `None` until a first one could be had (then nothing can be decided: a temporary failure).
    pub fn current(&self) -> Option<Arc<WhiteList>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How things stand.
    pub fn status(&self) -> KeeperStatus {
        let list = self.current();
        let state = self.state();
        KeeperStatus {
            generated_at: list.as_ref().map(|list| list.generated_at()),
            domains: list.as_ref().map_or(0, |list| list.len()),
            skipped: list.as_ref().map_or(0, |list| list.skipped_total()),
            confirmed_at: state.confirmed_at,
            age: state.confirmed_at.map(|at| self.clock.now().duration_since(at).unwrap_or_default()),
            failures: state.failures,
            last_error: state.last_error.clone(),
        }
    }

    /// Fetches now. `Ok(true)`: a new list is in force; `Ok(false)`: the one held is confirmed.
    ///
    /// # Errors
    /// [`KeeperError`]; the list held stays in force.
    pub async fn refresh(&self) -> Result<bool, KeeperError> {
        let _one_at_a_time = self.fetching.lock().await;
        let outcome = self.fetch().await;
        let mut state = self.state();
        match &outcome {
            Ok(_) => {
                state.failures = 0;
                state.last_error = None;
                state.confirmed_at = Some(self.clock.now());
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.last_error = Some(error.to_string());
            }
        }
        drop(state);
        self.report(&outcome);
        outcome
    }

    /// Refreshes now, then at every interval (sooner after a failure), until `shutdown`.
    pub fn spawn_refresh(self: &Arc<Self>, shutdown: CancellationToken) -> JoinHandle<()> {
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            let work = async {
                loop {
                    // Already logged, and the status tells.
                    let _ = keeper.refresh().await;
                    let mut pause = keeper.pause();
                    if faults::ARMED {
                        pause = pause.min(faults::LIST_EVERY);
                    }
                    tokio::time::sleep(pause).await;
                    while faults::is_on(faults::Fault::ListReadOnce) {
                        tokio::time::sleep(pause).await;
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work => {}
            }
        })
    }

    /// The pause before the next fetch: the interval or the back-off, give or take a tenth.
    fn pause(&self) -> Duration {
        let regular = self.config.refresh_every;
        let failures = self.state().failures;
        let first = if self.current().is_some() { FIRST_RETRY } else { FIRST_RETRY_EMPTY };
        let pause = match failures {
            0 => regular,
            // Beyond 16 doublings the interval has long been reached.
            failures => regular.min(first * 2_u32.pow((failures - 1).min(16))),
        };
        let mut random = [128_u8];
        // Without randomness the pause is the plain one: jitter is a courtesy.
        let _ = openssl::rand::rand_bytes(&mut random);
        pause.mul_f64(0.9 + f64::from(random[0]) / 255.0 * 0.2)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<bool, KeeperError> {
        let response = self.http.get(self.config.url.clone()).headers(self.conditions()).send().await;
        let response = response.map_err(HttpError::from)?;
        match response.status() {
            StatusCode::NOT_MODIFIED if self.current().is_some() => return Ok(false),
            StatusCode::OK => {}
            status => return Err(HttpError::Status(status).into()),
        }
        let etag = response.headers().get(ETAG).cloned();
        let last_modified = response.headers().get(LAST_MODIFIED).cloned();
        let document = read_limited(response, MAX_DOCUMENT).await?;

        let (policy, path, now) = (self.config.policy.clone(), self.config.path.clone(), self.clock.now());
        let held = self.current().map(|list| list.generated_at());
        // Some hundred milliseconds of parsing and a synced write: not on the threads that serve sessions.
        let checked = tokio::task::spawn_blocking(move || {
            let list = WhiteList::from_xml(&document, &policy, now)?;
            acceptable(&list, held, now)?;
            // A disk that fails must not keep a good list out of force.
            let kept = file::write(&path, &document);
            Ok::<_, KeeperError>((list, kept))
        });
        let (list, kept) = checked.await.map_err(|_| KeeperError::Interrupted)??;
        if let Err(error) = kept {
            tracing::error!(%error, "the white list cannot be kept on disk");
        }
        let new = held.is_none_or(|held| held < list.generated_at());
        self.replace(list);
        let mut state = self.state();
        state.etag = etag;
        state.last_modified = last_modified;
        Ok(new)
    }

    /// Headers of a conditional GET, when there is something to compare with.
    fn conditions(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.current().is_none() {
            return headers;
        }
        let state = self.state();
        let pairs: [(HeaderName, &Option<HeaderValue>); 2] =
            [(IF_NONE_MATCH, &state.etag), (IF_MODIFIED_SINCE, &state.last_modified)];
        for (name, value) in pairs {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    fn replace(&self, list: WhiteList) {
        for entry in list.skipped() {
            tracing::warn!(rank = entry.rank, reason = %entry.reason, "entry of the white list left out");
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(list));
    }

    fn report(&self, outcome: &Result<bool, KeeperError>) {
        let status = self.status();
        match outcome {
            Ok(true) => tracing::info!(domains = status.domains, skipped = status.skipped, "new white list in force"),
            Ok(false) => tracing::debug!("white list unchanged"),
            Err(error) if status.age.is_none_or(|age| age >= ALERT_AGE) => {
                tracing::error!(%error, failures = status.failures, "white list not confirmed for more than 48 h, or never");
            }
            Err(error) => {
                tracing::warn!(%error, failures = status.failures, "white list not refreshed")
            }
        }
    }

    /// Loads the copy on disk.
    fn load(&self) -> Result<(), KeeperError> {
        let Some((document, written)) = file::read(&self.config.path)? else {
            return Ok(());
        };
        let list = check_copy(&document, &self.config.policy, self.clock.now(), written)?;
        acceptable(&list, None, self.clock.now())?;
        self.replace(list);
        self.state().confirmed_at = Some(written);
        Ok(())
    }
}

/// What a list must be besides authentic.
fn acceptable(list: &WhiteList, held: Option<SystemTime>, now: SystemTime) -> Result<(), KeeperError> {
    if held.is_some_and(|held| list.generated_at() < held) {
        return Err(KeeperError::Older);
    }
    if list.generated_at() > now + MAX_FUTURE {
        return Err(KeeperError::FromTheFuture);
    }
    if list.is_empty() {
        return Err(KeeperError::Empty);
    }
    Ok(())
}

/// Checks our own copy. It passed the whole check when it was written; since then the signer's certificate may have ended, and right
/// after a start no revocation list may be at hand yet: neither makes the list false. A revocation that is known does.
fn check_copy(
    document: &[u8],
    policy: &SignaturePolicy,
    now: SystemTime,
    written: SystemTime,
) -> Result<WhiteList, ListError> {
    let strict = WhiteList::from_xml(document, policy, now);
    let date = match strict {
        Err(ListError::Signature(SignatureError::Certificate(CertificateFault::CrlUnavailable))) => now,
        Err(ListError::Signature(SignatureError::Certificate(CertificateFault::Expired))) => written.min(now),
        other => return other,
    };
    let policy = match policy {
        SignaturePolicy::Required(signer) => {
            let revocation = Arc::new(Revocation::none());
            SignaturePolicy::Required(RequiredSigner { revocation, ..signer.clone() })
        }
        other => other.clone(),
    };
    WhiteList::from_xml(document, &policy, date)
}
