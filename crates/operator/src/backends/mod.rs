//! What the protocol servers ask for, answered over the store.
//!
//! * [`imap`]: mailboxes for IMAP;
//! * [`submission`]: mail from our own people;
//! * [`mx`]: mail from other operators;
//! * [`incoming`]: what the two last share: a message that streams into the store.

pub mod imap;
pub mod incoming;
pub mod mx;
pub mod submission;
