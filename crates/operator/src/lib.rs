//! The operator service: what a hospital, an agency or a company runs to be part of the trust space.
//!
//! * [`config`]: one TOML file; [`service`]: an operator running from it;
//! * [`rights`]: who may open which mailbox; [`sharing`]: what they may do in a folder; [`access`]: from a token or a
//!   certificate to an opened mailbox;
//! * [`backends`]: what the IMAP and SMTP servers ask for, answered over the store;
//! * [`mod@search`]: texts found in mailboxes at once;
//! * [`rates`]: how much one mailbox or address may ask for; [`monitoring`]: how the server is;
//! * [`queue`]: mail on its way to other operators; [`notices`]: what senders are told of it;
//! * [`autoconfig`]: how mail software finds the ports; [`traces`]: who did what.
#![deny(missing_docs)]

pub mod access;
pub mod autoconfig;
pub mod backends;
pub mod config;
pub mod listener;
pub mod monitoring;
pub mod notices;
pub mod queue;
pub mod rates;
pub mod rights;
pub mod search;
pub mod service;
pub mod sharing;
pub mod traces;
pub mod transfer;

pub use config::Config;
pub use service::{Addresses, Operator, Refresher, ReloadError, Reloaded, StartError};
