//! Where PSC is: discovery at PSC's own path, or what the settings say.

use std::sync::Arc;

use serde_json::{Map, Value};
use trust::SharedClock;
use url::Url;

use super::wire::{self, Limits};
use super::{Call, LoginError, Settings};
use crate::cache::{JwksCache, RETRY_EMPTY_AFTER};
use crate::config::is_safe;
use crate::json;

/// Largest discovery document read: Keycloak's has about 6 KB.
const MAX_DISCOVERY: usize = 64 * 1024;

/// The addresses used.
pub(super) struct Endpoints {
    pub authorization: Url,
    pub token: Url,
    pub ciba: Option<Url>,
    pub revocation: Option<Url>,
    pub end_session: Option<Url>,
    /// Whether every return must name its issuer (RFC 9207 §3).
    pub names_issuer: bool,
    pub keys: Arc<JwksCache>,
}

/// The addresses of the settings; discovered ones fill the gaps.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    pub authorization: Option<Url>,
    pub token: Option<Url>,
    pub jwks: Option<Url>,
    pub ciba: Option<Url>,
    pub revocation: Option<Url>,
    pub end_session: Option<Url>,
}

impl Given {
    pub fn of(settings: &Settings) -> Given {
        Given {
            authorization: settings.authorization_endpoint.clone(),
            token: settings.token_endpoint.clone(),
            jwks: settings.jwks_uri.clone(),
            ciba: settings.ciba_endpoint.clone(),
            revocation: settings.revocation_endpoint.clone(),
            end_session: settings.end_session_endpoint.clone(),
        }
    }

    /// Each with its name in the settings.
    pub fn named(&self) -> [(&'static str, Option<&Url>); 6] {
        [
            ("authorization_endpoint", self.authorization.as_ref()),
            ("token_endpoint", self.token.as_ref()),
            ("jwks_uri", self.jwks.as_ref()),
            ("ciba_endpoint", self.ciba.as_ref()),
            ("revocation_endpoint", self.revocation.as_ref()),
            ("end_session_endpoint", self.end_session.as_ref()),
        ]
    }

    /// The endpoints, when nothing need be discovered.
    pub fn complete(&self, http: &reqwest::Client, clock: &SharedClock) -> Option<Endpoints> {
        let jwks = self.jwks.clone()?;
        Some(Endpoints {
            authorization: self.authorization.clone()?,
            token: self.token.clone()?,
            ciba: self.ciba.clone(),
            revocation: self.revocation.clone(),
            end_session: self.end_session.clone(),
            names_issuer: false,
            keys: JwksCache::new(jwks, http.clone(), clock.clone(), RETRY_EMPTY_AFTER),
        })
    }
}

/// What discovery is made with.
pub(super) struct Discovery<'a> {
    pub http: &'a reqwest::Client,
    pub clock: &'a SharedClock,
    pub limits: Limits,
    pub url: &'a Url,
    pub issuer: &'a str,
    /// Whether the client shows a certificate: then the aliases made for it are used (RFC 8705 §5).
    pub by_certificate: bool,
}

impl Discovery<'_> {
    /// Fetches the document and reads it; the keys of `before` are kept when they are at the same place.
    pub async fn make(
        &self,
        given: &Given,
        before: Option<(&Url, &Endpoints)>,
    ) -> Result<(Url, Endpoints), LoginError> {
        let answer =
            wire::exchange(self.http.get(self.url.clone()), Call::Discovery, MAX_DISCOVERY, self.limits).await?;
        let bad = LoginError::BadAnswer(Call::Discovery);
        if answer.is_outage() {
            return Err(LoginError::Unreachable(Call::Discovery));
        }
        if answer.status != reqwest::StatusCode::OK {
            return Err(bad);
        }
        let document = json::object(&answer.body).ok_or_else(|| bad.clone())?;
        // OIDC Discovery §4.3: exactly the issuer, or the document is somebody else's.
        if document.get("issuer").and_then(Value::as_str) != Some(self.issuer) {
            return Err(LoginError::WrongIssuer);
        }
        let aliases = match document.get("mtls_endpoint_aliases") {
            Some(Value::Object(aliases)) if self.by_certificate => Some(aliases),
            _ => None,
        };
        let find = |given: &Option<Url>, name: &str| match given {
            Some(url) => Ok(Some(url.clone())),
            None => match address(aliases, name)? {
                Some(url) => Ok(Some(url)),
                None => address(Some(&document), name),
            },
        };
        let jwks = find(&given.jwks, "jwks_uri")?.ok_or_else(|| bad.clone())?;
        let keys = match before {
            Some((url, endpoints)) if *url == jwks => Arc::clone(&endpoints.keys),
            _ => JwksCache::new(jwks.clone(), self.http.clone(), self.clock.clone(), RETRY_EMPTY_AFTER),
        };
        let endpoints = Endpoints {
            authorization: find(&given.authorization, "authorization_endpoint")?.ok_or_else(|| bad.clone())?,
            token: find(&given.token, "token_endpoint")?.ok_or(bad)?,
            ciba: find(&given.ciba, "backchannel_authentication_endpoint")?,
            revocation: find(&given.revocation, "revocation_endpoint")?,
            end_session: find(&given.end_session, "end_session_endpoint")?,
            names_issuer: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            keys,
        };
        Ok((jwks, endpoints))
    }
}

/// An address of a document; one that is there and wrong spoils the document.
fn address(document: Option<&Map<String, Value>>, name: &str) -> Result<Option<Url>, LoginError> {
    match document.and_then(|document| document.get(name)) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| Url::parse(text).ok())
            .filter(is_safe)
            .map(Some)
            .ok_or(LoginError::BadAnswer(Call::Discovery)),
    }
}
