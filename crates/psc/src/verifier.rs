//! The whole check of an access token, in order (LPS-TOKEN, client.md §3.4).

use crate::cache::JwksCache;
use crate::defects;
use crate::{ConfigError, Identity, Outage, TokenError, VerifierConfig, answers, claims, identity, jws};
use faults::Fault;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use trust::SharedClock;

/// Longest check of a token, all questions to PSC together: each has ten seconds, and whoever logs in is answered within thirty (RES-02).
const LONGEST_CHECK: Duration = Duration::from_secs(20);

/// Checks access tokens of one issuer. Share it (`Arc`) between all sessions: it holds the JWKS.
pub struct Verifier {
    config: VerifierConfig,
    http: reqwest::Client,
    clock: SharedClock,
    keys: Arc<JwksCache>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier; fetches nothing yet. `http` must have time-outs, trust only the anchors of PSC and follow no redirection
    /// (`trust::http` builds such clients).
    ///
    /// # Errors
    /// [`ConfigError`] for a configuration that could not be safe.
    pub fn new(config: VerifierConfig, http: reqwest::Client, clock: SharedClock) -> Result<Self, ConfigError> {
        config.check()?;
        let keys = JwksCache::new(config.jwks_uri.clone(), http.clone(), clock.clone(), config.keys_retry);
        Ok(Self { config, http, clock, keys })
    }

    /// The identity behind a token.
    ///
    /// # Errors
    /// [`TokenError::Refused`] when the token is bad, [`TokenError::Unavailable`] when PSC is needed and cannot be reached.
    pub async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if faults::ARMED
            && let Some(verdict) = defects::recall(token)
        {
            return verdict;
        }
        let now = unix_seconds(self.clock.now());
        let jws = jws::parse(token, &self.config.algorithms)?;
        let claims = claims::check(jws.header_type.as_deref(), &jws.payload, &self.config, now)?;
        let claimed = identity::read(&jws.payload)?;
        let asked = self.ask(token, &jws);
        let said = tokio::time::timeout(LONGEST_CHECK, asked).await.unwrap_or(Err(Outage::Slow.into()))?;
        let national_id = match identity::join(claimed, said) {
            Err(_) if faults::is_on(Fault::LastIdentity) => defects::last().ok_or(crate::Refusal::NoIdentity)?,
            joined => joined?,
        };
        let identity = Identity {
            national_id,
            acr: claims.acr,
            azp: claims.azp,
            session: claims.session,
            // Positive and at most a day ahead: checked with the claims.
            expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(claims.expires_at.unsigned_abs()),
        };
        if faults::ARMED {
            defects::keep(token, &identity);
        }
        Ok(identity)
    }

    /// What needs PSC: its keys, whether it still stands by the token, whose it is.
    async fn ask(&self, token: &str, jws: &jws::Jws<'_>) -> Result<Vec<identity::Claimed>, TokenError> {
        if !jws.is_believed {
            match self.keys.keys_for(&jws.key_id).await {
                Err(_) if faults::is_on(Fault::BelievedWithoutKeys) => {}
                keys => keys?.verify(jws)?,
            }
        }

        // Signed by PSC. From here on the question is only whether PSC still stands by it, and who it is.
        let mut said = Vec::with_capacity(2);
        if let Some(endpoint) = &self.config.introspection {
            said.push(answers::introspect(&self.http, endpoint, token, &jws.payload).await?);
        }
        if let Some(url) = &self.config.userinfo {
            said.push(answers::userinfo(&self.http, url, token, &jws.payload, &self.config, &self.keys).await?);
        }
        Ok(said)
    }
}

/// Seconds since 1970, 0 before.
fn unix_seconds(instant: SystemTime) -> i64 {
    let seconds = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
