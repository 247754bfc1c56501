//! What a verifier must be told: everything that differs between PSC's production, its sandbox and a test stub.

use crate::{Algorithm, RETRY_EMPTY_AFTER, Secret};
use std::collections::BTreeSet;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// Largest clock difference that may be configured (LPS-TOKEN: at most 60 s).
pub const MAX_SKEW: Duration = Duration::from_secs(60);

/// Default clock difference: PSC tokens live 60 to 300 s, so half a minute is already generous.
pub const DEFAULT_SKEW: Duration = Duration::from_secs(30);

/// How a token is checked.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    /// The exact value of `iss`.
    pub issuer: String,
    /// Where the issuer's public keys are.
    pub jwks_uri: Url,
    /// Algorithms accepted, for access tokens and for signed userinfo answers.
    pub algorithms: Vec<Algorithm>,
    /// Clock difference tolerated on `exp`, `nbf` and `iat`; at most [`MAX_SKEW`].
    pub skew: Duration,
    /// Accepted `acr` values; empty: not looked at.
    pub acr: BTreeSet<String>,
    /// The audience profile.
    pub audience: Audience,
    /// Accepted `azp` values; `None`: any client (JWT-06 by profile).
    pub clients: Option<BTreeSet<String>>,
    /// Ask PSC whether the token is still active.
    pub introspection: Option<Introspection>,
    /// Ask PSC who the bearer is, at this address.
    pub userinfo: Option<Url>,
    /// Shortest time between two readings of the keys while none is held, or because of names that are not among them.
    pub keys_retry: Duration,
}

impl VerifierConfig {
    /// The profile that fits PSC as observed: RS256, no audience, `eidas1` to `eidas3`, no remote call but the JWKS.
    pub fn new(issuer: impl Into<String>, jwks_uri: Url) -> Self {
        Self {
            issuer: issuer.into(),
            jwks_uri,
            algorithms: vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256],
            skew: DEFAULT_SKEW,
            acr: ["eidas1", "eidas2", "eidas3"].map(str::to_owned).into(),
            audience: Audience::AbsentOrIn(BTreeSet::new()),
            clients: None,
            introspection: None,
            userinfo: None,
            keys_retry: RETRY_EMPTY_AFTER,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.issuer.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        if self.algorithms.is_empty() {
            return Err(ConfigError::NoAlgorithm);
        }
        if self.skew > MAX_SKEW {
            return Err(ConfigError::Skew);
        }
        let urls = [Some(&self.jwks_uri), self.introspection.as_ref().map(|i| &i.url), self.userinfo.as_ref()];
        if urls.into_iter().flatten().any(|url| !is_safe(url)) {
            return Err(ConfigError::Insecure);
        }
        Ok(())
    }
}

/// HTTPS, or plain HTTP to the machine itself (tests, a stub next door): keys fetched in clear would be anybody's.
pub(crate) fn is_safe(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) if ip.is_loopback() => matches!(url.scheme(), "http" | "https"),
        Some(url::Host::Ipv6(ip)) if ip.is_loopback() => matches!(url.scheme(), "http" | "https"),
        Some(url::Host::Domain("localhost")) => matches!(url.scheme(), "http" | "https"),
        Some(_) => url.scheme() == "https",
        None => false,
    }
}

/// What `aud` must be. A foreign audience is refused by both profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// PSC's tokens carry none; when there is one it must be in the set.
    AbsentOrIn(BTreeSet<String>),
    /// It must be there and in the set.
    In(BTreeSet<String>),
}

/// RFC 7662 introspection, authenticated by the operator's own client credentials (HTTP Basic).
#[derive(Debug, Clone)]
pub struct Introspection {
    /// The endpoint.
    pub url: Url,
    /// The operator's client id at PSC.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// A configuration no verifier is built from.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// Empty issuer.
    #[error("the PSC issuer is empty")]
    NoIssuer,
    /// Empty algorithm list.
    #[error("no signature algorithm is allowed")]
    NoAlgorithm,
    /// Above [`MAX_SKEW`].
    #[error("the clock tolerance is above 60 s")]
    Skew,
    /// A PSC address that is neither HTTPS nor on this machine.
    #[error("a PSC address is not https://")]
    Insecure,
}
