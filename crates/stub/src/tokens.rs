//! What is said of one token, by its `jti`: told by a campaign before it presents the token, or noted when the realm gave it.

use serde::{Deserialize, Serialize};

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
