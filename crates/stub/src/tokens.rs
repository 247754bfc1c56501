//! What is said of one token, by its `jti`: told by a campaign before it presents the token, or noted when the realm gave it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calls::Expectation;
use crate::sessions::Bounded;

/// Tokens remembered: they live some minutes.
const MAX_TOKENS: usize = 10_000;
/// Longest `jti` and longest note.
pub(crate) const MAX_NAME: usize = 128;

/// What introspection and userinfo say of a token, beside what it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRule {
    /// `false`: over, whatever its `exp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Whose it is, when the token does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idnat: Option<String>,
    /// What it is made for: shown beside its calls.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scenario: String,
    /// Whether anybody had to ask about it.
    pub expectation: Expectation,
}

/// Longest life of a token: no realm gives longer ones, so that one is not of the realm, whatever signed it. In seconds.
const LONGEST: i64 = 86_400;
/// How far clocks may be apart, in seconds.
const TOLERANCE: i64 = 60;

/// Whether a token of these claims can be active now. Who asks us relies on it (RFC 7662 §4): not over, begun, and of a life that was given.
pub(crate) fn is_in_its_time(claims: &Value, now: i64) -> bool {
    let Some(exp) = claims["exp"].as_i64() else { return false };
    let began = |name: &str| claims[name].as_i64().is_none_or(|at| at <= now.saturating_add(TOLERANCE));
    let issued = claims["iat"].as_i64().unwrap_or(now);
    now < exp && began("nbf") && began("iat") && exp.saturating_sub(issued) <= LONGEST
}

/// The rules of a realm.
pub(crate) struct Tokens(Bounded<TokenRule>);

impl Tokens {
    pub fn new() -> Tokens {
        Tokens(Bounded::new(MAX_TOKENS))
    }

    pub fn put(&mut self, jti: &str, rule: TokenRule) {
        self.0.insert(jti.to_owned(), rule);
    }

    pub fn get(&self, jti: &str) -> Option<&TokenRule> {
        self.0.get(jti)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_has_its_time() {
        let now = 1_000_000;
        let claims = json!({"iat": now - 10, "exp": now + 110});
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            is_in_its_time(&claims, now)
        };
        assert!(is_in_its_time(&claims, now) && with("nbf", json!(now)) && with("iat", json!(now + 30)));
        assert!(is_in_its_time(&json!({"iat": now, "exp": now + LONGEST}), now));
        for (name, value) in [
            ("exp", json!(now)),
            ("exp", json!("demain")),
            ("exp", json!(i64::MAX)),
            ("exp", json!(now as f64 + 110.5)),
            ("exp", Value::Null),
            ("nbf", json!(now + 3600)),
            ("iat", json!(now + 3600)),
        ] {
            assert!(!with(name, value.clone()), "{name} {value}");
        }
    }
}
