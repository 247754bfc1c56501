//! Pro Santé Connect, seen from both sides.
//!
//! From an operator: who is the professional behind this access token? [`Verifier`] answers, or says why not ([`TokenError`]);
//! [`xoauth2`] reads what IMAP and SMTP clients send. Requirements: LPS-TOKEN, LPS-IDENT, MSS-7.2, MSS-7.4; control cases JWT-01 to JWT-22.
//! From a mail program: [`login`]. Requirements: ECO-TOKEN, ECO.1.2.5, ECO.1.2.6, ECO.1.2.7.
//!
//! Invariants:
//! * a token is believed only after its form (a strict JWS), its claims, its signature by a key of the configured JWKS, and PSC's
//!   own answers when configured, have all been found right; the order costs PSC nothing for a token that is wrong anyway;
//! * PSC being unreachable is [`TokenError::Unavailable`], never a refusal, and never an acceptance;
//! * no token, secret or national identifier reaches a log, an error or a `Debug` output;
//! * nothing is fetched but the configured addresses: a token cannot cause any other call.
#![deny(missing_docs)]

mod algorithm;
mod answers;
mod cache;
mod claims;
mod config;
mod defects;
mod error;
mod fetch;
mod identity;
mod json;
mod jws;
mod keys;
pub mod login;
mod secret;
mod verifier;
pub mod xoauth2;

pub use algorithm::Algorithm;
pub use cache::{MAX_STALE, REFRESH_AFTER, RETRY_AFTER, RETRY_EMPTY_AFTER};
pub use claims::MAX_LIFETIME;
pub use config::{Audience, ConfigError, DEFAULT_SKEW, Introspection, MAX_SKEW, VerifierConfig};
pub use error::{Outage, Refusal, TokenError};
pub use identity::Identity;
pub use jws::MAX_TOKEN;
pub use secret::Secret;
pub use verifier::Verifier;
