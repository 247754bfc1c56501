//! Asking for tokens again with a refresh token, and how long tokens live: what PSC says, never what one expects (client.md §3.3).

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mssante::NationalId;
use serde_json::Value;
use zeroize::Zeroizing;

use super::wire::Tokens;
use super::{LoginError, OAuthCode, Over, Provider, id_token};
use crate::{MAX_LIFETIME, Secret, json};

/// Tokens with the instant they were asked for: their life is counted from there.
pub(super) struct Given {
    pub tokens: Tokens,
    pub asked: SystemTime,
}

impl Provider {
    /// New tokens for somebody whose session goes on.
    pub(super) async fn refresh(&self, refresh_token: &Secret, person: &NationalId) -> Result<Given, LoginError> {
        let asked = self.now();
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let tokens = match self.tokens(&fields).await? {
            Ok(tokens) => tokens,
            Err(OAuthCode::InvalidGrant) => return Err(LoginError::Over(Over::Refused)),
            Err(code) => return Err(LoginError::of_code(code, super::Call::Token)),
        };
        // OIDC Core §12.2: when there is one, it speaks of the same person.
        if tokens.id_token.is_some() {
            let known = self.prove(&tokens, None).await?;
            if known != *person {
                return Err(LoginError::OtherPerson);
            }
        }
        Ok(Given { tokens, asked })
    }

    /// Who the ID token among `tokens` speaks of.
    pub(super) async fn prove(&self, tokens: &Tokens, nonce: Option<&Secret>) -> Result<NationalId, LoginError> {
        let endpoints = self.endpoints().await?;
        id_token::check(tokens.id_token.as_ref(), &self.expected(tokens, nonce), &endpoints.keys).await
    }

    /// What an ID token that came with `tokens` must say.
    pub(super) fn expected<'a>(&'a self, tokens: &'a Tokens, nonce: Option<&'a Secret>) -> id_token::Expected<'a> {
        id_token::Expected {
            issuer: self.issuer(),
            client_id: self.client_id(),
            nonce,
            access_token: &tokens.access_token,
            now: self.now(),
            skew: self.skew(),
        }
    }
}

impl Given {
    /// How long the access token lives from [`Given::asked`]: the shorter of what the answer and the token itself say; none when
    /// neither says it, and the token then serves once.
    pub fn life(&self) -> Duration {
        let said = self.tokens.expires_in.map(Duration::from_secs);
        let own = own_life(&self.tokens.access_token);
        [said, own].into_iter().flatten().min().unwrap_or(Duration::ZERO).min(MAX_LIFETIME)
    }

    /// When the refresh token ends, if PSC says it. Keycloak's 0 means "with the session".
    pub fn refresh_until(&self) -> Option<SystemTime> {
        let seconds = self.tokens.refresh_expires_in.filter(|seconds| *seconds > 0)?;
        self.asked.checked_add(Duration::from_secs(seconds).min(MAX_LIFETIME))
    }
}

/// `exp - iat` of an access token that is a JWT. Its signature is not checked: the operator's business, and the worst a lie here
/// does is a refresh too many.
fn own_life(token: &Secret) -> Option<Duration> {
    let payload = token.expose().split('.').nth(1)?;
    let octets = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims = json::object(&octets)?;
    let of = |name: &str| claims.get(name).and_then(Value::as_i64);
    Some(Duration::from_secs(u64::try_from(of("exp")?.saturating_sub(of("iat")?)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(access: &str, expires_in: Option<u64>) -> Given {
        let tokens = Tokens {
            access_token: Secret::new(access),
            token_type: "Bearer".into(),
            expires_in,
            refresh_token: None,
            refresh_expires_in: Some(0),
            id_token: None,
        };
        Given { tokens, asked: SystemTime::UNIX_EPOCH }
    }

    // ECO-TOKEN
    #[test]
    fn the_shorter_life_is_believed() {
        let jwt = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let seconds = |access: &str, said| given(access, said).life().as_secs();
        assert_eq!(seconds("opaque", Some(60)), 60);
        assert_eq!(seconds("opaque", None), 0);
        assert_eq!(seconds(&jwt(r#"{"exp":100,"iat":40}"#), None), 60);
        assert_eq!(seconds(&jwt(r#"{"exp":100,"iat":40}"#), Some(300)), 60);
        assert_eq!(seconds(&jwt(r#"{"exp":400,"iat":40}"#), Some(30)), 30);
        assert_eq!(seconds(&jwt(r#"{"exp":10,"iat":40}"#), Some(300)), 0);
        assert_eq!(seconds(&jwt(r#"{"exp":"100","iat":40}"#), Some(300)), 300);
        assert_eq!(seconds("opaque", Some(u64::MAX)), MAX_LIFETIME.as_secs());
        assert_eq!(given("opaque", None).refresh_until(), None);
    }
}
