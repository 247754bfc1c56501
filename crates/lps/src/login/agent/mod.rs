//! The agent: a process that keeps PSC sessions in memory for command lines, so that no token is ever on disk (ECO.1.2.5), as
//! `ssh-agent` keeps keys.
//!
//! `login` makes a [`PscSession`], starts the agent when none runs ([`start`]), and gives it the session ([`Client::add`]); other
//! commands ask it for access tokens ([`client`], a [`TokenSource`]). The agent ([`serve`]) refreshes them, holds several persons at once, and ends
//! with its last session: at the logout, after 15 idle minutes, or after 4 hours.
//!
//! Invariants:
//! * the socket lies in a folder of this user's that nobody else may enter (0700), is its owner's only (0600), and both ends check that
//!   the other runs as the same user (`SO_PEERCRED`): a folder or socket that somebody else put there is refused;
//! * the agent leaves no core dump and cannot be traced by other processes of the user; its memory is kept out of the swap where
//!   the machine lets it lock all of it;
//! * a refresh token goes in and never comes out: what the agent gives is access tokens, which live a minute or two;
//! * every frame is bounded in size and time, connections are counted, and a client that says nonsense is dropped.
//!
//! As with `ssh-agent`, any program of the same user may ask for a token: what protects one program of a user from another is the system.

mod client;
mod error;
mod harden;
mod place;
mod protocol;
mod server;

pub use client::{Client, client, start};
pub use error::{AgentError, Refusal};
pub use place::default_socket;
pub use protocol::SessionInfo;
pub use server::{FIRST_SESSION, serve};

#[cfg(doc)]
use crate::TokenSource;
#[cfg(doc)]
use psc::login::PscSession;
