//! The publisher of the white list: signed, dated anew every day and after every scenario, served with the validators that a conditional GET needs; or
//! what a campaign plays instead.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use trust::SharedClock;
use trust::http::http_date;
use trust::white_list::SignError;

use super::{Answer, ListStand, Material};
use crate::stand::{Leases, reader};

/// Where the real one is.
pub const PATH: &str = "/listeblanchemssante.xml";
/// How often a list is published.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long who is answered nothing may wait.
const SILENCE: Duration = Duration::from_secs(120);

/// A list as published.
struct Published {
    at: SystemTime,
    xml: String,
    etag: HeaderValue,
    modified: HeaderValue,
}

/// Publishes the list, or what its stand plays. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    clock: SharedClock,
    current: Arc<RwLock<Arc<Published>>>,
    stand: ListStand,
}

impl Publisher {
    /// With a first list.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn new(material: Material, clock: SharedClock, leases: Leases) -> Result<Publisher, SignError> {
        let first = Published::new(&material, clock.now())?;
        let stand = ListStand::new(material, leases);
        Ok(Publisher { clock, current: Arc::new(RwLock::new(Arc::new(first))), stand })
    }

    /// What campaigns drive.
    #[must_use]
    pub fn stand(&self) -> &ListStand {
        &self.stand
    }

    /// The document in force.
    #[must_use]
    pub fn document(&self) -> String {
        self.read().xml.clone()
    }

    /// The service.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, get(serve)).with_state(self.clone())
    }

    fn read(&self) -> Arc<Published> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Dates the list anew when a day went by or something was played: one that was signed once may be signed again.
    fn refreshed(&self) -> Arc<Published> {
        let (current, now) = (self.read(), self.clock.now());
        let is_old = now.duration_since(current.at).is_ok_and(|age| age >= EVERY);
        if !self.stand.renewal_is_due() && !is_old {
            return current;
        }
        match Published::new(&self.stand.inner.material, now) {
            Ok(next) => {
                let next = Arc::new(next);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
                next
            }
            Err(error) => {
                tracing::error!("the white list could not be published: {error}");
                current
            }
        }
    }
}

impl Published {
    fn new(material: &Material, now: SystemTime) -> Result<Published, SignError> {
        let xml = material.published(now)?;
        let digest: String = openssl::sha::sha256(xml.as_bytes())[..16].iter().map(|b| format!("{b:02x}")).collect();
        // Hexadecimal digits, and a date: nothing that a header could not hold.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        Ok(Published { at: now, etag: value(format!("\"{digest}\"")), modified: value(http_date(now)), xml })
    }
}

async fn serve(State(publisher): State<Publisher>, uri: Uri, headers: HeaderMap) -> Response {
    match publisher.stand.answer(reader(&uri)) {
        None => {}
        Some(Answer::Document(xml)) => return ([(header::CONTENT_TYPE, "application/xml")], xml).into_response(),
        Some(Answer::Status(code)) => {
            return StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE).into_response();
        }
        Some(Answer::Silence) => {
            tokio::time::sleep(SILENCE).await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let list = publisher.refreshed();
    let validators = [(header::ETAG, list.etag.clone()), (header::LAST_MODIFIED, list.modified.clone())];
    // RFC 9110 §13.1.3: If-Modified-Since counts only without If-None-Match. Dates are ours, given back as they were.
    let unchanged = match (headers.get(header::IF_NONE_MATCH), headers.get(header::IF_MODIFIED_SINCE)) {
        (Some(tags), _) => {
            tags.to_str().is_ok_and(|tags| tags == "*" || tags.split(',').any(|tag| tag.trim() == list.etag))
        }
        (None, Some(date)) => *date == list.modified,
        (None, None) => false,
    };
    if unchanged {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    (validators, [(header::CONTENT_TYPE, "application/xml")], list.xml.clone()).into_response()
}
