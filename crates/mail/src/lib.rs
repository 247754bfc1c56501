//! The words of Internet mail and their rules, with no I/O: what `store`, `imap`, `smtp` and `operator` all speak of.
//!
//! * [`bits`]: sets of positions;
//! * [`flags`]: the flags and keywords of a message; [`acl`]: the rights on a folder;
//! * [`view`]: an immutable, cheaply shared picture of a folder (UID, flags, MODSEQ…) and the difference between two of them;
//! * [`folder`]: folder names and special uses;
//! * [`date`]: the dates of messages and of IMAP;
//! * [`header`]: header fields, address lists, encoded words;
//! * [`preview`]: the first words of a message;
//! * [`report`]: delivery status notifications;
//! * [`sequence`]: sets of message numbers; [`sought`]: texts sought in messages;
//! * [`markup`]: HTML and XML made text;
//! * [`disposition`]: what became of a message at its reader's (MDN, RFC 8098);
//! * [`mime`]: the structure of a message (ENVELOPE, BODYSTRUCTURE, where each part lies), computed once while it streams in.
#![deny(missing_docs)]

pub mod acl;
pub mod bits;
pub mod date;
pub mod disposition;
mod enhanced;
mod entities;
pub mod flags;
pub mod folder;
pub mod header;
pub mod markup;
pub mod mime;
pub mod preview;
pub mod report;
pub mod sequence;
pub mod sought;
pub mod view;

pub use acl::Rights;
pub use enhanced::{Enhanced, NotEnhanced};
pub use flags::{Flags, Keywords};
pub use folder::{FolderName, SpecialUse};
pub use view::{Difference, Entry, ModSeq, Outline, Uid, UidValidity, View};
