//! One page of the interface: paced, tried again when that may help, bounded in time and size.
//!
//! Invariants: the key goes to the configured origin only; no redirection is followed; nothing of a request (it holds a name) stands in
//! an error.

use std::time::{Duration, Instant, SystemTime};

use openssl::x509::X509;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use url::Url;

use super::error::ApiError;
use super::pace::{Pace, Slot};
use super::resource::Document;
use crate::settings::ApiKey;

/// Largest page: a hundred people with their roles have one or two MB, and what is read of a page may take ten times its size.
pub const MAX_PAGE: usize = 4 * 1024 * 1024;
/// The gateway gives up after 30 s (client.md §6.1).
const CALL: Duration = Duration::from_secs(30);
/// Time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Calls for one page, the first included.
const TRIES: u32 = 4;
/// First pause before another try; doubled each time, and only part of it waited (jitter), so that programs do not come back together.
const PAUSE: Duration = Duration::from_millis(400);
/// The header of the key.
const KEY: HeaderName = HeaderName::from_static("esante-api-key");

/// The way to the interface.
#[derive(Debug)]
pub(super) struct Exchange {
    http: reqwest::Client,
    key: HeaderValue,
    pace: Pace,
}

/// Why a try failed.
enum Failure {
    /// For good.
    Final(ApiError),
    /// Perhaps not; the server may say how long to wait.
    Passing { error: ApiError, wait: Option<Duration>, everybody: bool },
}

impl Exchange {
    /// With the authorities the server is believed by; the system's when none are given.
    pub fn new(key: &ApiKey, authorities: Option<&[X509]>) -> Result<Exchange, ApiError> {
        let mut key = HeaderValue::from_str(key.expose()).map_err(|_| ApiError::NotConfigured)?;
        key.set_sensitive(true);
        let http = match authorities {
            Some(anchors) => trust::http::client(anchors).map_err(|e| ApiError::Authorities(e.to_string()))?,
            None => reqwest::Client::builder()
                .tls_backend_native()
                .tls_version_min(reqwest::tls::Version::TLS_1_2)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT)
                .user_agent(concat!("vaguemestre/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|e| ApiError::Authorities(e.without_url().to_string()))?,
        };
        Ok(Exchange { http, key, pace: Pace::default() })
    }

    /// The page at `url` and its size, by `deadline` (an instant at most `within` away).
    pub async fn get(&self, url: &Url, deadline: Instant, within: Duration) -> Result<(Document, usize), ApiError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(slot) = self.pace.turn(deadline).await else { return Err(ApiError::TooMany) };
            let left = deadline.saturating_duration_since(Instant::now()).min(CALL);
            let failure = match tokio::time::timeout(left, self.call(url, slot)).await {
                Ok(Ok(page)) => return Ok(page),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(passing)) => passing,
                Err(_) => Failure::Passing { error: ApiError::TimeOut(within), wait: None, everybody: false },
            };
            let Failure::Passing { error, wait, everybody } = failure else {
                unreachable!("the other is returned above")
            };
            let wait = wait.unwrap_or_else(|| pause(tries));
            let again = Instant::now() + wait;
            if everybody {
                self.pace.hold(again);
            }
            if tries >= TRIES || again >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, tries, "asking the directory again");
            tokio::time::sleep_until(again.into()).await;
        }
    }

    async fn call(&self, url: &Url, slot: Slot<'_>) -> Result<(Document, usize), Failure> {
        let passing = |error| Failure::Passing { error, wait: None, everybody: false };
        let request = self.http.get(url.clone()).header(KEY, self.key.clone()).header(ACCEPT, "application/fhir+json");
        let response = request.timeout(CALL).send().await.map_err(|e| passing(unreachable(e)))?;
        // Received: the second begins.
        drop(slot);
        let status = response.status();
        if status == StatusCode::OK {
            let body = read(response).await?;
            let document: Document =
                serde_json::from_slice(&body).map_err(|e| Failure::Final(ApiError::NotFhir(e.classify_text())))?;
            return match &*document.resource_type {
                "Bundle" => Ok((document, body.len())),
                "OperationOutcome" => Err(Failure::Final(ApiError::Refused {
                    status: status.as_u16(),
                    said: document.complaint().unwrap_or_default(),
                })),
                _ => Err(Failure::Final(ApiError::NotFhir("no Bundle".to_owned()))),
            };
        }
        let wait = retry_after(response.headers(), SystemTime::now());
        let code = status.as_u16();
        Err(match code {
            429 => Failure::Passing { error: ApiError::TooMany, wait, everybody: true },
            502..=504 => Failure::Passing { error: ApiError::Broken(code), wait, everybody: wait.is_some() },
            401 | 403 => Failure::Final(ApiError::Key(code)),
            400..=499 => {
                let body = read(response).await?;
                let said = serde_json::from_slice::<Document>(&body).ok().and_then(|d| d.complaint());
                Failure::Final(ApiError::Refused { status: code, said: said.unwrap_or_default() })
            }
            _ => Failure::Final(ApiError::Broken(code)),
        })
    }
}

/// Where a JSON text goes wrong, without a word of it.
trait Classify {
    fn classify_text(&self) -> String;
}

impl Classify for serde_json::Error {
    fn classify_text(&self) -> String {
        format!("{:?} error at line {} column {}", self.classify(), self.line(), self.column()).to_lowercase()
    }
}

async fn read(response: Response) -> Result<Vec<u8>, Failure> {
    trust::http::read_limited(response, MAX_PAGE).await.map_err(|error| match error {
        trust::http::HttpError::TooLarge(limit) => Failure::Final(ApiError::TooLarge(limit)),
        trust::http::HttpError::Request(error) => {
            Failure::Passing { error: unreachable(error), wait: None, everybody: false }
        }
        other => Failure::Final(ApiError::Unreachable(other.to_string())),
    })
}

/// The innermost cause, which names no URL.
fn unreachable(error: reqwest::Error) -> ApiError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    ApiError::Unreachable(cause.to_string())
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc();
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// Between half of the doubled pause and all of it.
fn pause(tries: u32) -> Duration {
    let whole = PAUSE * 2_u32.pow(tries.saturating_sub(1).min(6));
    let mut octet = [128];
    // Without random octets the pause is the middle one: only the spreading is lost.
    let _ = openssl::rand::rand_bytes(&mut octet);
    whole / 2 + whole / 2 * u32::from(octet[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a value"));
            retry_after(&headers, now)
        };
        assert_eq!(of("3"), Some(Duration::from_secs(3)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:42 GMT"), Some(Duration::from_secs(5)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
        assert_eq!((of("soon"), of("-1"), of("99999999999")), (None, None, None));
        for tries in 1..10 {
            let whole = PAUSE * 2_u32.pow((tries - 1).min(6));
            assert!((whole / 2..=whole).contains(&pause(tries)));
        }
    }
}
