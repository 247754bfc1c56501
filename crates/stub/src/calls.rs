//! Every call of a realm, kept as evidence: what was asked, of which token, with which key, and whether anybody had to ask.
//!
//! Invariants: the numbers only grow; of a token its `jti` and `kid` alone are kept; the log is bounded, the oldest goes first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::address;

/// Calls kept: some hours of a busy campaign.
const MAX_CALLS: usize = 20_000;
/// Most calls given at once.
pub const MAX_ANSWERED: usize = 2_000;
/// Longest text kept of what a caller says (path, `jti`, `kid`, user agent).
const MAX_TEXT: usize = 200;

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// What is where.
    Discovery,
    /// The keys.
    Jwks,
    /// Tokens.
    Token,
    /// Whether a token is active.
    Introspection,
    /// Whose it is.
    Userinfo,
    /// The end of a token.
    Revocation,
    /// The end of a session.
    Logout,
    /// A login by phone.
    Ciba,
    /// The login page.
    Login,
    /// What nobody has a reason to fetch.
    Trap,
    /// Anything else under the realm.
    Other,
}

impl Endpoint {
    /// By the path under the realm's base; none for pages made for people.
    pub(crate) fn of(path: &str) -> Option<Endpoint> {
        if path.strip_prefix(address::TRAP).is_some_and(|rest| rest.starts_with('/')) {
            return Some(Endpoint::Trap);
        }
        if path == "/auth" {
            return Some(Endpoint::Login);
        }
        Some(match path.strip_prefix(address::REALM)? {
            "/.well-known/openid-configuration" | "/.well-known/wallet-openid-configuration" => Endpoint::Discovery,
            address::CERTS => Endpoint::Jwks,
            address::TOKEN => Endpoint::Token,
            address::INTROSPECT => Endpoint::Introspection,
            address::USERINFO => Endpoint::Userinfo,
            address::REVOKE => Endpoint::Revocation,
            address::LOGOUT => Endpoint::Logout,
            address::CIBA => Endpoint::Ciba,
            _ => Endpoint::Other,
        })
    }
}

/// Whether anybody had to call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Expectation {
    /// The scenario or the token's rule says that this must be asked.
    Attendu,
    /// This must not be asked.
    Interdit,
    /// Either way.
    #[default]
    Indifferent,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number, from 1.
    pub seq: u64,
    /// When it came, RFC 3339.
    pub at: String,
    /// From which address.
    #[serde(default)]
    pub from: String,
    /// What the caller calls itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// `GET`…
    pub method: String,
    /// Without its query.
    pub path: String,
    /// What that is.
    pub endpoint: Endpoint,
    /// Of the token it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What was answered; 0: the connection was closed without a word.
    pub status: u16,
    /// After how many milliseconds.
    pub ms: u64,
    /// How the endpoint was told to behave.
    pub behaviour: String,
    /// Whether anybody had to call.
    pub expectation: Expectation,
}

/// The log of a realm.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    calls: VecDeque<Call>,
}

impl Calls {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Every change is whole: consistent whatever panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one; its number is given here.
    pub fn add(&self, call: Call) {
        let mut kept = self.kept();
        kept.last += 1;
        let seq = kept.last;
        kept.calls.push_back(Call {
            seq,
            agent: short(&call.agent),
            path: short(&call.path),
            jti: call.jti.as_deref().map(short),
            kid: call.kid.as_deref().map(short),
            ..call
        });
        if kept.calls.len() > MAX_CALLS {
            kept.calls.pop_front();
        }
    }

    /// The number of the last one; 0 before the first.
    pub fn last(&self) -> u64 {
        self.kept().last
    }

    /// What came after a number, oldest first, at most [`MAX_ANSWERED`].
    pub fn since(&self, seq: u64) -> Vec<Call> {
        let kept = self.kept();
        let begin = kept.calls.partition_point(|call| call.seq <= seq);
        kept.calls.iter().skip(begin).take(MAX_ANSWERED).cloned().collect()
    }
}

/// The beginning of a caller's text.
fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> Call {
        Call {
            seq: 0,
            at: String::new(),
            from: String::new(),
            agent: String::new(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            endpoint: Endpoint::Other,
            jti: None,
            kid: Some("k".repeat(70_000)),
            status: 200,
            ms: 0,
            behaviour: "normal".to_owned(),
            expectation: Expectation::Indifferent,
        }
    }

    #[test]
    fn numbered_bounded_and_given_from_a_number_on() {
        let calls = Calls::default();
        assert_eq!((calls.last(), calls.since(0).len()), (0, 0));
        for n in 0..MAX_CALLS + 5 {
            calls.add(call(&n.to_string()));
        }
        let last = calls.last();
        assert_eq!(last, MAX_CALLS as u64 + 5);
        assert_eq!(calls.since(0).len(), MAX_ANSWERED);
        assert_eq!(calls.since(0)[0].seq, 6, "the oldest went");
        let recent = calls.since(last - 2);
        assert_eq!(recent.iter().map(|call| call.seq).collect::<Vec<_>>(), [last - 1, last]);
        assert_eq!(recent[0].kid.as_ref().map(String::len), Some(MAX_TEXT));
        assert!(calls.since(last).is_empty());
    }

    #[test]
    fn paths_are_known() {
        let of = |path: &str| Endpoint::of(&format!("{}{path}", address::REALM));
        assert_eq!(of(address::CERTS), Some(Endpoint::Jwks));
        assert_eq!(of(address::INTROSPECT), Some(Endpoint::Introspection));
        assert_eq!(of("/else"), Some(Endpoint::Other));
        assert_eq!(Endpoint::of("/piege/x"), Some(Endpoint::Trap));
        assert_eq!((Endpoint::of("/piegex"), Endpoint::of("/ciba")), (None, None));
    }
}
