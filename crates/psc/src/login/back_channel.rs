//! Told by the provider that somebody has left (OpenID Connect Back-Channel Logout 1.0).

use std::fmt;

use serde_json::Value;

use super::claims::subject;
use super::id_token::{ALGORITHMS, times};
use super::{Call, IdTokenFault, LoginError, Provider};
use crate::jws;

/// The event a logout token tells of (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Types of the header that a logout token may have (§2.4): others are other kinds of tokens.
const TYPES: [&str; 3] = ["logout+jwt", "JWT", "application/logout+jwt"];
/// Longest session identifier taken, in octets.
const MAX_SID: usize = 255;

/// Who left: one of the two is always there. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// Whose sessions end.
    pub subject: Option<String>,
    /// The provider's session that ended, when one alone did.
    pub session: Option<String>,
}

impl fmt::Debug for LoggedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoggedOut(…)")
    }
}

impl Provider {
    /// Checks a logout token (§2.6): signature by a key of the provider's, `iss`, `aud`, times, the event, no `nonce`. One that is shown twice
    /// ends what has ended already.
    ///
    /// # Errors
    /// [`LoginError`]: the token is not believed, or the provider's keys cannot be fetched.
    pub async fn logged_out(&self, token: &str) -> Result<LoggedOut, LoginError> {
        let jws = jws::parse(token, &ALGORITHMS).map_err(IdTokenFault::from)?;
        let claims = &jws.payload;
        if jws.header_type.as_deref().is_some_and(|kind| !TYPES.contains(&kind)) {
            return Err(IdTokenFault::Kind.into());
        }
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer()) {
            return Err(IdTokenFault::Issuer.into());
        }
        let is_ours = match claims.get("aud") {
            Some(Value::String(one)) => one == self.client_id(),
            Some(Value::Array(many)) => many.iter().any(|one| one == self.client_id()),
            _ => false,
        };
        if !is_ours {
            return Err(IdTokenFault::Audience.into());
        }
        times(claims, self.now(), self.skew()).ok_or(IdTokenFault::Time)?;
        // §2.4: with a nonce it could be an ID token.
        if claims.contains_key("nonce") {
            return Err(IdTokenFault::Nonce.into());
        }
        if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
            return Err(IdTokenFault::Event.into());
        }
        let session = claims.get("sid").and_then(Value::as_str);
        let session = session.filter(|sid| (1..=MAX_SID).contains(&sid.len())).map(ToOwned::to_owned);
        let left = LoggedOut { subject: subject(claims), session };
        if left.subject.is_none() && left.session.is_none() {
            return Err(IdTokenFault::Person.into());
        }
        let endpoints = self.endpoints().await?;
        let held = endpoints.keys.keys_for(&jws.key_id).await.map_err(|_| LoginError::Unreachable(Call::Keys))?;
        held.verify(&jws).map_err(IdTokenFault::from)?;
        Ok(left)
    }
}
