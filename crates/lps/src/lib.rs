//! MSSanté for care software (LPS, DUI, PFI): everything Référentiel #2 asks of a mail client, as an asynchronous library.
//!
//! * [`account`]: a BAL and how it is opened (Pro Santé Connect or certificate);
//! * [`discover`]: from an address to where its BAL is opened;
//! * [`space`]: the settings, and the only way to a server;
//! * [`documents`]: health documents checked, packed and copied; [`content`]: octets that may be many;
//! * [`compose`]: writing a message, and to whom;
//! * [`explain`]: every error says whose fault it is, in French and in English, and what to do;
//! * [`intake`]: documents taken in by a platform, once; [`journal`]: what was filed and answered, durably;
//! * [`clean`]: deleting what was processed;
//! * [`login`]: Pro Santé Connect: by browser, by phone, kept by an agent;
//! * [`send`]: handing a message over, never twice; [`outbox`]: those that wait;
//! * [`find`]: who to write to, in the Annuaire Santé;
//! * [`session`]: one BAL over IMAP;
//! * [`read`]: a message, who wrote it, its documents, receipts, notices and bounces; [`receipt`]: answering it;
//! * [`thread`]: messages as conversations;
//! * [`trace`]: the functional traces of ECO.4.1.x.
//!
//! Invariants:
//! * nothing here panics on what a server, a document or a user gives, prints, or ends the host program (ECO.1.2.3);
//! * tokens live in memory only, wiped when dropped, and never reach a log or a trace (ECO.1.2.5);
//! * no connection leaves the trust space: names, addresses and certificates are checked before a token is sent.
#![deny(missing_docs)]

pub mod account;
pub mod clean;
pub mod compose;
pub mod content;
pub mod discover;
pub mod documents;
pub mod explain;
pub mod find;
mod handshake;
pub mod intake;
pub mod journal;
pub mod login;
pub mod outbox;
pub mod read;
pub mod receipt;
pub mod send;
pub mod session;
pub mod space;
pub mod thread;
pub mod trace;

pub use account::{Account, Authentication, Credentials, Endpoint, EntryPoints, TokenError, TokenSource};
pub use content::Content;
pub use documents::{DocumentError, DocumentSet, Given, Preparation, Version};
pub use explain::{Explain, Fault, Language};
pub use space::{ConnectError, Software, Space, SpaceError};

/// The examples of the editor's guide compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/editor.md")]
mod guide {}
