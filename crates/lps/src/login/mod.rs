//! Logging in with Pro Santé Connect (issue 4 §2; client.md §3): what a host program adds to [`psc::login`].
//!
//! * [`PscTokens`]: a session as a [`TokenSource`];
//! * [`browser`]: logging in with the browser of this machine;
//! * [`vendor`]: the same through the vendor's server, as PSC wants it for programs in production;
//! * [`agent`]: a process that keeps sessions for command lines: no token on disk;
//! * every error of [`psc::login`] explains itself.
//!
//! A space's [`Provider`] is `space.psc`. A login by phone is `provider.ciba(person, channel)`, its two digits shown, then `wait()`.

pub mod agent;
pub mod browser;
mod explain;
mod loopback;
mod page;
mod tokens;
pub mod vendor;

pub use psc::login::{
    BindingMessage, Channel, CibaLogin, LoginError, Over, Provider, PscSession, RedirectLogin, SESSION_IDLE,
    SESSION_MAX,
};
pub use tokens::PscTokens;

#[cfg(doc)]
use crate::TokenSource;
