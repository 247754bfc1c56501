//! Revocation lists (CRL): fetched from their authorities, checked, and kept to the end of their validity.
//!
//! Rules (ECO.1.1.6, SC.MSS/CONF.22, CER-10, OPE-MTLS):
//! * a list counts only if its authority's key signed it, if it is complete (no delta, no list of some reasons only) and if today
//!   lies within its dates;
//! * the last good list is used until its `nextUpdate`, through failures of its distribution point and restarts of the server
//!   (cache folder); an older one never replaces it;
//! * then the policy decides: [`RevocationPolicy::Required`] refuses every certificate of that authority;
//! * a list belongs to a *key*, not to a name: an authority with the name of another cannot speak for it;
//! * every certificate of a chain is checked but the root.
//!
//! The authorities' certificates are known beforehand ([`RevocationSettings::issuers`]): roots and intermediates.
//!
//! When no list at hand speaks of a certificate, and the settings allow it ([`Online`]), it is found out over the network: the list
//! the certificate points to, and OCSP (RFC 6960), whichever tells first.

mod crl;
mod der;
mod ocsp;
mod online;
mod refresh;
#[cfg(test)]
mod tests;

pub use crl::CrlError;
pub(crate) use der::{Reader, tag};
pub use ocsp::OcspError;
pub(crate) use ocsp::key_bits;
pub(crate) use online::{Judgement, Pending};
pub use online::{Ocsp, Online, SETTLE_TIMEOUT};

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use openssl::nid::Nid;
use openssl::x509::X509Ref;

use crate::clock::{SharedClock, SystemClock};
use crate::dn::Dn;
use crate::http::LazyClient;
use crate::tls::{Anchors, CertificateFault};
use crl::{IssuerKey, StoredCrl};
use online::Asked;

/// Time between two fetches when all goes well. IGC-Santé publishes every day.
pub const REFRESH_EVERY: Duration = Duration::from_secs(3600);

/// What to do about a certificate whose authority has no valid list at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevocationPolicy {
    /// Refuse it ([`CertificateFault::CrlUnavailable`]).
    #[default]
    Required,
    /// Accept it, unless the last list known, even past its end, names it.
    Tolerant,
}

/// Where a list comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CrlSource {
    /// An `http:` or `https:` address.
    Url(String),
    /// A file, PEM or DER.
    File(PathBuf),
}

/// The settings of a [`Revocation`].
#[derive(Debug, Clone)]
pub struct RevocationSettings {
    /// What to do without a valid list.
    pub policy: RevocationPolicy,
    /// Where to fetch lists. Which authority each belongs to is found by its signature.
    pub sources: Vec<CrlSource>,
    /// The authorities whose lists are accepted, roots and intermediates.
    pub issuers: Anchors,
    /// Where the last good lists are kept across restarts.
    pub cache_dir: Option<PathBuf>,
    /// Time between two fetches; shorter after a failure.
    pub refresh_every: Duration,
    /// What is asked over the network when no list tells. Nothing by default.
    pub online: Online,
    /// Dates.
    pub clock: SharedClock,
}

impl RevocationSettings {
    /// Lists required for these authorities, fetched every [`REFRESH_EVERY`].
    pub fn required(issuers: Anchors, sources: Vec<CrlSource>) -> RevocationSettings {
        RevocationSettings {
            policy: RevocationPolicy::Required,
            sources,
            issuers,
            cache_dir: None,
            refresh_every: REFRESH_EVERY,
            online: Online::default(),
            clock: SystemClock::shared(),
        }
    }
}

/// A store that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The cache folder cannot be made or read.
    #[error("cannot use the folder {path} of revocation lists: {source}")]
    CacheDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An authority's certificate cannot be used.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
}

/// One list at hand, for status pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlStatus {
    /// Its authority.
    pub issuer: Dn,
    /// When it was issued.
    pub this_update: SystemTime,
    /// Until when it counts.
    pub next_update: SystemTime,
    /// How many certificates it names.
    pub revoked: usize,
}

/// The revocation lists at hand.
#[derive(Debug)]
pub struct Revocation {
    settings: RevocationSettings,
    client: Option<LazyClient>,
    lists: RwLock<HashMap<IssuerKey, Arc<StoredCrl>>>,
    asked: Asked,
}

impl Revocation {
    /// No revocation check at all: for ports without client certificates, and tests of something else.
    pub fn none() -> Revocation {
        let settings = RevocationSettings {
            policy: RevocationPolicy::Tolerant,
            ..RevocationSettings::required(Anchors::none(), Vec::new())
        };
        Revocation { settings, client: None, lists: RwLock::default(), asked: Asked::default() }
    }

    /// A store with these settings; the lists of the cache folder that still count are taken. Nothing is fetched yet: call
    /// [`Revocation::refresh`] or [`Revocation::spawn_refresh`].
    ///
    /// # Errors
    /// A cache folder that cannot be used.
    pub fn new(settings: RevocationSettings) -> Result<Revocation, RevocationError> {
        let issuers = settings.issuers.clone();
        let client = LazyClient::new(move || crate::http::client(issuers.certificates()));
        let revocation =
            Revocation { settings, client: Some(client), lists: RwLock::default(), asked: Asked::default() };
        revocation.load_cache()?;
        Ok(revocation)
    }

    /// Takes a list, PEM or DER, as fetching it would.
    ///
    /// # Errors
    /// A list that must not be believed; see [`CrlError`].
    pub fn install(&self, bytes: &[u8]) -> Result<CrlStatus, CrlError> {
        let now = self.settings.clock.now();
        let (key, list) = StoredCrl::read(bytes, self.settings.issuers.certificates(), now)?;
        let status = list.status();
        let changed = {
            let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
            let known = lists.get(&key);
            if known.is_some_and(|known| list.is_older_than(known)) {
                return Err(CrlError::Older);
            }
            let changed = known.is_none_or(|known| known.der() != list.der());
            lists.insert(key.clone(), Arc::new(list));
            changed
        };
        if changed {
            tracing::info!(issuer = %status.issuer, revoked = status.revoked, "revocation list taken");
            self.save(&key);
        }
        Ok(status)
    }

    /// Judges a certificate by what is at hand: the list of its issuer, answers of OCSP. Asks nobody.
    ///
    /// # Errors
    /// [`CertificateFault::Revoked`], or [`CertificateFault::CrlUnavailable`] if nothing is known and the policy requires it.
    pub fn check(&self, certificate: &X509Ref, issuer: &X509Ref, now: SystemTime) -> Result<(), CertificateFault> {
        match self.judge(certificate, issuer, now) {
            Judgement::Good => Ok(()),
            Judgement::Revoked => Err(CertificateFault::Revoked),
            Judgement::Unknown => self.without_knowledge(),
        }
    }

    /// The lists at hand.
    pub fn status(&self) -> Vec<CrlStatus> {
        self.lists.read().unwrap_or_else(PoisonError::into_inner).values().map(|list| list.status()).collect()
    }
}

/// Whether a certificate is signed with a digest that still protects. Algorithms with a built-in digest (RSA-PSS, Ed25519) have none
/// here; OpenSSL's security level judges them.
pub(crate) fn strong_digest(certificate: &X509Ref) -> bool {
    let algorithm = certificate.signature_algorithm().object().nid();
    !algorithm.signature_algorithms().is_some_and(|found| {
        matches!(found.digest, Nid::MD5 | Nid::SHA1 | Nid::MD5_SHA1 | Nid::MD4 | Nid::MD2 | Nid::RIPEMD160)
    })
}

/// What the fuzzers give octets to: an OCSP answer about a certificate of that issuer, read as if it were signed (how many single answers
/// it holds), then as it is (whether it is believed).
#[doc(hidden)]
#[must_use]
pub fn fuzz_ocsp(der: &[u8], certificate: &X509Ref, issuer: &X509Ref, now: SystemTime) -> (Option<usize>, bool) {
    let Ok(id) = ocsp::CertId::of(certificate, issuer) else { return (None, false) };
    (ocsp::explore(der, &id), ocsp::read(der, &id, issuer, None, now).is_ok())
}
