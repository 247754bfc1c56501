//! IMAP. The client's side is [`client`]; the rest is the server's: IMAP4rev1 (RFC 3501) and the extensions each kept in a file
//! of its own.
//!
//! The crate knows a small [`backend`] trait and nothing of storage. Reading is in two stages: [`wire`] cuts the stream into
//! lines and literals under hard limits, [`parse`] gives a [`command::Command`]; APPEND's literal and FETCH's bodies stream.
//!
//! Invariants:
//! * nothing is offered or accepted before TLS but CAPABILITY, NOOP, ID, LOGOUT and STARTTLS, and not a byte read before TLS
//!   is used after it (LPS-NOPLAIN);
//! * a session's memory is bounded whatever the client sends and however slowly it reads;
//! * sequence numbers change only where RFC 3501 §7.4.1 allows.
#![deny(missing_docs)]

pub mod administration;
pub mod backend;
pub mod client;
pub mod command;
pub mod modifiers;
pub mod notify;
pub mod objectid;
pub mod parse;
pub mod response;
pub mod server;
pub mod url;
pub mod utf7;
pub mod wire;

pub use administration::Administration;
pub use backend::{Account, Backend, Credentials, OpenFolder};
pub use server::{Config, serve};
