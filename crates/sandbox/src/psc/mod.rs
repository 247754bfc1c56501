//! A stand-in for Pro Santé Connect (client.md §3): the same paths, the same shape of tokens, other keys.
//!
//! * [`keys`]: its signing key, its client's secret, and the key of an issuer nobody knows;
//! * [`claims`]: what its tokens say; [`mint`]: tokens made to order from the folder alone, good or with one flaw;
//! * [`server`]: discovery, keys, login page, token, refresh, revocation, introspection, userinfo, logout; CIBA, and the phones that answer it.
//!
//! Invariant: what the server says of a token depends on the token's signature and on what was revoked, never on whether it
//! gave the token itself: a token minted from the command line is as good as one from a login.

mod ciba;
pub mod claims;
pub mod keys;
mod login;
pub mod mint;
mod phone;
pub mod server;
mod sessions;

pub use keys::Keys;
pub use mint::{Flaw, MintError, Order, mint};
pub use server::{Psc, Service};
