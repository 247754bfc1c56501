//! SMTP as the trust space speaks it: a server for submission and for the operator interface, and a relay client.
//!
//! * [`backend`]: what the server asks of whoever queues and delivers ([`Backend`], [`Sender`], [`Transaction`],
//!   [`MessageSink`]);
//! * [`server`]: one connection, from greeting to QUIT ([`server::serve`]);
//! * [`client`]: the relay client, one result per recipient ([`client::Client`]);
//! * [`envelope`]: `MAIL` and `RCPT` with their parameters, the same for both sides;
//! * [`reply`]: replies with their enhanced codes (RFC 3463), that cannot hold a line end;
//! * [`command`]: the grammar of commands; [`wire`]: lines cut under hard limits; [`data`]: the body of `DATA`.
//!
//! Knows nothing of storage, of rights or of the white list.
#![deny(missing_docs)]

pub mod backend;
pub mod client;
pub mod command;
pub mod data;
pub mod envelope;
pub mod reply;
pub mod server;
mod verbs;
pub mod wire;

pub use backend::{
    Accepted, AuthFailure, Backend, Credentials, Mechanism, MessageSink, Peer, Received, Sender, Transaction,
};
pub use envelope::{BodyType, ForwardPath, MailFrom, Notify, Orcpt, Rcpt, Ret, ReversePath, Xtext};
pub use reply::{Enhanced, Reply};
pub use server::{Config, Role, serve};
