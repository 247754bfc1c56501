//! The publisher of the white list: signed by an `ORG SIGN` certificate, dated anew every day, served over HTTPS with the
//! validators a conditional GET needs.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::stand::Leases;
use control::stand::revocation::reader;
use control::stand::white_list::{Answer, ListStand, Material};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use trust::SharedClock;
use trust::white_list::{Entry, WhiteListBuilder, sign};

use crate::cast::OPERATORS;
use crate::pki::Pki;
use crate::pki::control::PEER_DOMAIN;
use crate::{SandboxError, traps};

/// Where the real one is.
pub const PATH: &str = "/listeblanchemssante.xml";
/// How often a list is published.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// How long who is answered nothing may wait.
const SILENCE: Duration = Duration::from_secs(120);

/// A list as published.
struct Published {
    xml: String,
    etag: HeaderValue,
    modified: HeaderValue,
}

/// Publishes the list.
#[derive(Clone)]
pub struct Publisher {
    pki: Arc<Pki>,
    clock: SharedClock,
    current: Arc<RwLock<Arc<Published>>>,
    stand: ListStand,
}

impl Publisher {
    /// With a first list.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn new(pki: Arc<Pki>, clock: SharedClock, leases: Leases) -> Result<Publisher, SandboxError> {
        let first = publish(&pki, clock.now())?;
        let material = Material {
            entries: entries(&pki)?,
            signer: pki.signer.clone(),
            other_signer: pki.other_signer.clone(),
            peer: pki.peer.clone(),
            other: pki.mes_dn()?,
        };
        let stand = ListStand::new(material, leases);
        Ok(Publisher { pki, clock, current: Arc::new(RwLock::new(Arc::new(first))), stand })
    }

    /// What campaigns drive.
    pub(crate) fn stand(&self) -> &ListStand {
        &self.stand
    }

    /// The document in force.
    pub fn document(&self) -> String {
        self.read().xml.clone()
    }

    /// Publishes a list dated now.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn renew(&self) -> Result<(), SandboxError> {
        let next = publish(&self.pki, self.clock.now())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    /// Renews the list every day until `shutdown`.
    pub async fn keep_fresh(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.renew() {
                tracing::error!("the white list could not be published: {error}");
            }
        }
    }

    /// The service.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, get(serve)).with_state(self.clone())
    }

    fn read(&self) -> Arc<Published> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The usual entries.
pub(crate) fn entries(pki: &Pki) -> Result<Vec<Entry>, SandboxError> {
    let mut all: Vec<Entry> =
        OPERATORS.iter().zip(&pki.operators).map(|(operator, dn)| Entry::new(operator.domain, dn.clone())).collect();
    all.push(Entry::new(mssante::PATIENT_DOMAIN, pki.mes_dn()?));
    all.push(Entry::new(PEER_DOMAIN, pki.peer.clone()));
    all.extend(traps::listed(pki).map(|(domain, dn)| Entry::new(domain, dn)));
    Ok(all)
}

fn publish(pki: &Pki, now: SystemTime) -> Result<Published, SandboxError> {
    let list = entries(pki)?.into_iter().fold(WhiteListBuilder::new(now), WhiteListBuilder::with);
    let (certificate, key) = &pki.signer;
    let xml = sign(&list.to_xml(), key, certificate).map_err(SandboxError::setup("white list"))?;
    let digest: String = openssl::sha::sha256(xml.as_bytes())[..16].iter().map(|b| format!("{b:02x}")).collect();
    let value = |text: String| HeaderValue::try_from(text).map_err(SandboxError::setup("white list"));
    Ok(Published { etag: value(format!("\"{digest}\""))?, modified: value(http_date(now))?, xml })
}

/// RFC 9110 §5.6.7.
pub(crate) fn http_date(instant: SystemTime) -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    OffsetDateTime::from(instant).format(&format).unwrap_or_default()
}

async fn serve(State(publisher): State<Publisher>, uri: Uri, headers: HeaderMap) -> Response {
    match publisher.stand.answer(&reader(&uri)) {
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
    if publisher.stand.renewal_is_due()
        && let Err(error) = publisher.renew()
    {
        tracing::error!("the white list could not be published: {error}");
    }
    let list = publisher.read();
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
