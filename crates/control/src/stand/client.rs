//! The campaign's side of a stand.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust::tls::Anchors;
use url::Url;

use super::{HOLDER, Key, Leased, Problem};
use crate::job;
use crate::verdict::Verdict;

/// Largest answer read: two thousand calls, a dialogue, a message of ours.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long another campaign's lease is waited for.
const LEASE_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Pause between two tries at a lease.
const LEASE_PAUSE: Duration = Duration::from_millis(500);

/// Why the stand did not do what it was asked. Never the operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandError {
    /// The job's section cannot be used.
    #[error("stand: {0}")]
    Settings(String),
    /// No answer, or none of a stand.
    #[error("le banc ne répond pas : {0}")]
    Unreachable(String),
    /// The key is wrong.
    #[error("le banc refuse la clé (stand.key_file)")]
    Key,
    /// Another campaign holds it.
    #[error("le banc est tenu par une autre campagne : {0}")]
    Busy(String),
    /// It refuses what it was asked.
    #[error("le banc refuse ({status}) : {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in its words.
        detail: String,
    },
}

impl From<StandError> for Verdict {
    fn from(error: StandError) -> Verdict {
        Verdict::unclear(error)
    }
}

/// The way to a stand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    base: Url,
    key: Key,
    holder: String,
    http: reqwest::Client,
}

/// A lease held by this campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    part: String,
    id: String,
}

impl Client {
    /// As the job says: reads the key and the authorities.
    ///
    /// # Errors
    /// [`StandError::Settings`].
    pub fn open(stand: &job::Stand) -> Result<Client, StandError> {
        let settings = |what: &str, error: &dyn std::fmt::Display| StandError::Settings(format!("{what}: {error}"));
        let read = |what, path| std::fs::read(path).map_err(|error| settings(what, &error));
        let key = read("key_file", &stand.key_file)?;
        let key =
            std::str::from_utf8(&key).ok().and_then(Key::new).ok_or_else(|| settings("key_file", &"no key in it"))?;
        let mut base = stand.url.clone();
        if !matches!(base.scheme(), "https" | "http") || base.cannot_be_a_base() {
            return Err(settings("url", &"https://host:port is expected"));
        }
        let is_home = match base.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            _ => false,
        };
        if base.scheme() == "http" && !is_home {
            return Err(settings("url", &"the key would travel in clear: https:// is expected"));
        }
        // Paths are added at its end.
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let http = match &stand.anchors {
            Some(path) => {
                let anchors =
                    Anchors::from_pem(&read("anchors", path)?).map_err(|error| settings("anchors", &error))?;
                trust::http::client(anchors.certificates())
            }
            None => trust::http::builder(None).and_then(|builder| Ok(builder.build()?)),
        };
        let http = http.map_err(|error| settings("anchors", &error))?;
        Ok(Client { base, key, holder: crate::forge::id(), http })
    }

    /// Asks; `path` without a slash before it (`psc/calls?since=3`).
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, StandError> {
        self.json(self.exchange(Method::GET, path, None::<&()>).await?)
    }

    /// Asks for something that is not JSON.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn octets(&self, path: &str) -> Result<Vec<u8>, StandError> {
        self.exchange(Method::GET, path, None::<&()>).await
    }

    /// Puts something that is answered.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, StandError> {
        self.json(self.exchange(Method::PUT, path, Some(body)).await?)
    }

    /// Puts something that is taken in silence.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), StandError> {
        self.exchange(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// Posts something that is answered.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, StandError> {
        self.json(self.exchange(Method::POST, path, Some(body)).await?)
    }

    /// Takes a part (`psc`, `white-list`, `revocation`) and plays a scenario there, which must serialize to an object; waits while
    /// another campaign holds the stand. Give it back with [`Client::give_back`]; it ends by itself after `length`.
    ///
    /// # Errors
    /// [`StandError::Busy`] when nobody gives it back in time, or any other.
    pub async fn play(&self, part: &str, scenario: &impl Serialize, length: Duration) -> Result<Held, StandError> {
        let mut body = serde_json::to_value(scenario).unwrap_or_default();
        body["lease_seconds"] = length.as_secs().into();
        let path = format!("{part}/scenario");
        let until = tokio::time::Instant::now() + LEASE_PATIENCE;
        loop {
            match self.put::<Leased>(&path, &body).await {
                Err(StandError::Busy(_)) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(LEASE_PAUSE).await;
                }
                Ok(leased) => return Ok(Held { part: part.to_owned(), id: leased.lease }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a scenario. One that ended by itself before is an error: what was seen under it may be worth nothing.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn give_back(&self, held: Held) -> Result<(), StandError> {
        self.release(&held.part, &held.id).await
    }

    /// Ends a scenario by the number of its lease.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn release(&self, part: &str, lease: &str) -> Result<(), StandError> {
        self.exchange(Method::DELETE, &format!("{part}/scenario/{lease}"), None::<&()>).await.map(drop)
    }

    fn json<T: DeserializeOwned>(&self, body: Vec<u8>) -> Result<T, StandError> {
        serde_json::from_slice(&body).map_err(|error| StandError::Unreachable(format!("réponse illisible : {error}")))
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Vec<u8>, StandError> {
        let unreachable = |error: &dyn std::fmt::Display| StandError::Unreachable(error.to_string());
        let url = self.base.join(path).map_err(|error| unreachable(&error))?;
        let mut request =
            self.http.request(method, url).bearer_auth(self.key.expose()).header(HOLDER, self.holder.as_str());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = trust::http::read_limited(response, MAX_ANSWER).await.map_err(|error| unreachable(&error))?;
        if status.is_success() {
            return Ok(body);
        }
        let detail = serde_json::from_slice::<Problem>(&body).map(|problem| problem.detail).unwrap_or_default();
        Err(match status {
            StatusCode::UNAUTHORIZED => StandError::Key,
            StatusCode::LOCKED => StandError::Busy(detail),
            _ => StandError::Refused { status: status.as_u16(), detail },
        })
    }
}
