//! A stand-in for Pro Santé Connect (client.md §3): the same paths, the same shape of tokens, other keys; and the things no real one
//! does: it misbehaves to order and keeps every call as evidence. CTL-PSC; control.md §5.3.
//!
//! * [`Realms`]: the whole service; [`Realm`]: one issuer, of the sandbox or of one operator's [`Alias`], which never changes; or another door of
//!   one ([`Realms::open_door`]), so that several operators that believe one issuer are told apart;
//! * [`keys`]: a realm's signing key, its client's secret, and the key of an issuer nobody knows; [`claims`]: what tokens say;
//!   [`mint`]: tokens made to order;
//! * [`Scenario`]: how endpoints misbehave, until when; [`TokenRule`]: what is said of one token, by its `jti`;
//! * [`Call`]: who asked what; the trap address, which nobody has a reason to fetch.
//!
//! Invariants: what the server says of a token depends on the token's signature, on what was revoked and on what was told of its
//! `jti`, never on whether it gave the token itself; a scenario ends at its hour whatever becomes of who asked for it; memory is
//! bounded; a token is never kept, only its `jti` and `kid`.
#![deny(missing_docs)]

mod address;
mod calls;
mod ciba;
pub mod claims;
mod error;
pub mod keys;
mod login;
mod logout;
pub mod mint;
mod mishap;
mod people;
mod phone;
mod provider;
mod realm;
mod realms;
mod scenario;
mod sessions;
mod tokens;
mod trap;

pub use address::{Alias, Psc, REALM};
pub use calls::{Call, Endpoint, Expectation, MAX_ANSWERED};
pub use error::StubError;
pub use keys::Keys;
pub use mint::{Flaw, Order};
pub use mishap::REDIRECTED;
pub use people::{Person, Structure};
pub use realm::{Realm, Service};
pub use realms::Realms;
pub use scenario::{Behaviour, Scenario};
pub use tokens::TokenRule;
pub use trap::Bait;

/// Seconds since 1970, 0 before.
pub(crate) fn seconds(instant: std::time::SystemTime) -> i64 {
    let since = instant.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
