//! How the endpoints of a realm misbehave (control.md §5.3). Data; the application is in [`crate::mishap`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StubError;
use crate::calls::Endpoint;

/// Longest slowness: beyond what anybody waits for, and no connection is held for ever.
const MAX_SLOW: Duration = Duration::from_secs(120);
/// Most keys published beside ours.
const MAX_KEYS: usize = 8;

/// What an endpoint does instead of what it should. As text: `normal`, `503`, `slow:10s`…
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Behaviour {
    /// As it should.
    #[default]
    Normal,
    /// Answers this status (400 to 599) and nothing else.
    Status(u16),
    /// `empty`: an empty document of its kind, `{"keys":[]}` or `{}`.
    Empty,
    /// `invalid`: 200, and a body that is no JSON.
    Invalid,
    /// `huge`: the true answer, swollen to ten megabytes.
    Huge,
    /// `redirect`: 302 to the trap address, where other keys may lie.
    Redirect,
    /// `refused`: the connection is closed without a word.
    Refused,
    /// `slow:10s`: the true answer, late.
    Slow(Duration),
    /// `rotated`: only the keys given with the scenario (JWKS).
    Rotated,
    /// `no_active`: the true answer without `active` (introspection).
    NoActive,
    /// `inactive`: every token is over (introspection, userinfo).
    Inactive,
    /// `other_issuer`: another issuer's name (discovery).
    OtherIssuer,
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Behaviour, String> {
        Ok(match text {
            "normal" => Behaviour::Normal,
            "empty" => Behaviour::Empty,
            "invalid" => Behaviour::Invalid,
            "huge" => Behaviour::Huge,
            "redirect" => Behaviour::Redirect,
            "refused" => Behaviour::Refused,
            "rotated" => Behaviour::Rotated,
            "no_active" => Behaviour::NoActive,
            "inactive" => Behaviour::Inactive,
            "other_issuer" => Behaviour::OtherIssuer,
            _ => {
                if let Some(wait) = text.strip_prefix("slow:") {
                    return slow(wait).map(Behaviour::Slow);
                }
                match text.parse() {
                    Ok(status @ 400..=599) => Behaviour::Status(status),
                    _ => {
                        return Err(format!(
                            "{text:?}: normal, 400…599, empty, invalid, huge, redirect, refused, slow:10s, rotated, no_active, inactive \
                             or other_issuer is expected"
                        ));
                    }
                }
            }
        })
    }
}

fn slow(wait: &str) -> Result<Duration, String> {
    let parsed = match (wait.strip_suffix("ms"), wait.strip_suffix('s')) {
        (Some(number), _) => number.parse().ok().map(Duration::from_millis),
        (None, Some(number)) => number.parse().ok().map(Duration::from_secs),
        _ => None,
    };
    parsed.filter(|wait| *wait <= MAX_SLOW).ok_or_else(|| "slow: 10s or 500ms, at most 120s".to_owned())
}

impl TryFrom<String> for Behaviour {
    type Error = String;

    fn try_from(text: String) -> Result<Behaviour, String> {
        text.parse()
    }
}

impl From<Behaviour> for String {
    fn from(behaviour: Behaviour) -> String {
        behaviour.to_string()
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Behaviour::Normal => "normal",
            Behaviour::Status(status) => return write!(f, "{status}"),
            Behaviour::Empty => "empty",
            Behaviour::Invalid => "invalid",
            Behaviour::Huge => "huge",
            Behaviour::Redirect => "redirect",
            Behaviour::Refused => "refused",
            Behaviour::Slow(wait) => return write!(f, "slow:{}ms", wait.as_millis()),
            Behaviour::Rotated => "rotated",
            Behaviour::NoActive => "no_active",
            Behaviour::Inactive => "inactive",
            Behaviour::OtherIssuer => "other_issuer",
        })
    }
}

/// What every endpoint does. Those not named behave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// `/.well-known/…`.
    pub discovery: Behaviour,
    /// `/protocol/openid-connect/certs`.
    pub jwks: Behaviour,
    /// `/protocol/openid-connect/token/introspect`.
    pub introspection: Behaviour,
    /// `/protocol/openid-connect/userinfo`.
    pub userinfo: Behaviour,
    /// `/protocol/openid-connect/token`.
    pub token: Behaviour,
    /// Public keys (JWK, RSA, with a `kid`) published beside ours; what they sign is as good as what ours signs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Value>,
    /// Endpoints whose calls are expected while it lasts: noted beside each call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Endpoint>,
    /// Endpoints nobody should call while it lasts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<Endpoint>,
}

impl Scenario {
    /// Everything out of order in the same way.
    #[must_use]
    pub fn all(behaviour: &Behaviour) -> Scenario {
        let one = || behaviour.clone();
        Scenario {
            discovery: one(),
            jwks: one(),
            introspection: one(),
            userinfo: one(),
            token: one(),
            ..Scenario::default()
        }
    }

    /// What an endpoint does.
    #[must_use]
    pub fn of(&self, endpoint: Endpoint) -> &Behaviour {
        match endpoint {
            Endpoint::Discovery => &self.discovery,
            Endpoint::Jwks => &self.jwks,
            Endpoint::Introspection => &self.introspection,
            Endpoint::Userinfo => &self.userinfo,
            Endpoint::Token => &self.token,
            _ => &Behaviour::Normal,
        }
    }

    /// Whether it can be played.
    ///
    /// # Errors
    /// What cannot be, and why.
    pub fn check(&self) -> Result<(), StubError> {
        use Behaviour::{Inactive, NoActive, OtherIssuer, Rotated};
        let fits = |endpoint, behaviour: &Behaviour| match behaviour {
            Rotated => endpoint == Endpoint::Jwks,
            NoActive => endpoint == Endpoint::Introspection,
            Inactive => matches!(endpoint, Endpoint::Introspection | Endpoint::Userinfo),
            OtherIssuer => endpoint == Endpoint::Discovery,
            _ => true,
        };
        for endpoint in
            [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Introspection, Endpoint::Userinfo, Endpoint::Token]
        {
            let behaviour = self.of(endpoint);
            if !fits(endpoint, behaviour) {
                return Err(StubError::Scenario(format!("{behaviour} has no meaning there")));
            }
        }
        if self.keys.len() > MAX_KEYS {
            return Err(StubError::Scenario(format!("at most {MAX_KEYS} keys")));
        }
        if self.jwks == Rotated && self.keys.is_empty() {
            return Err(StubError::Scenario("rotated: give the new keys".to_owned()));
        }
        for key in &self.keys {
            crate::keys::PublicKey::read(key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written_alike() {
        for text in ["normal", "503", "404", "empty", "invalid", "huge", "redirect", "refused", "rotated", "inactive"] {
            assert_eq!(text.parse::<Behaviour>().expect(text).to_string(), text);
        }
        assert_eq!("slow:10s".parse(), Ok(Behaviour::Slow(Duration::from_secs(10))));
        for bad in ["", "200", "600", "slow", "slow:", "slow:10", "slow:121s", "slow:-1s", "Normal"] {
            assert!(bad.parse::<Behaviour>().is_err(), "{bad}");
        }
        let read: Scenario = serde_json::from_str(r#"{"jwks":"slow:2s","userinfo":"503"}"#).expect("a scenario");
        assert_eq!(read.userinfo, Behaviour::Status(503));
        assert_eq!(read.introspection, Behaviour::Normal);
        assert!(serde_json::from_str::<Scenario>(r#"{"jwk":"503"}"#).is_err(), "unknown keys are refused");
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let scenario = |text: &str| serde_json::from_str::<Scenario>(text).expect("read").check();
        assert!(scenario(r#"{"jwks":"503","introspection":"no_active","discovery":"other_issuer"}"#).is_ok());
        for bad in [
            r#"{"userinfo":"rotated"}"#,
            r#"{"jwks":"rotated"}"#,
            r#"{"jwks":"inactive"}"#,
            r#"{"introspection":"other_issuer"}"#,
            r#"{"keys":[{"kty":"RSA"}]}"#,
            r#"{"keys":["x"]}"#,
        ] {
            assert!(scenario(bad).is_err(), "{bad}");
        }
    }
}
