//! What the protocol servers ask for, answered over the store.
//!
//! * [`imap`]: mailboxes for IMAP;
//! * [`submission`]: mail from our own people;
//! * [`mx`]: mail from other operators;
//! * [`recipients`]: mailboxes that were looked up a moment ago;
//! * [`incoming`]: what the two last share: a message that streams into the store;
//! * [`links`]: what ties it to its conversation.

pub(crate) mod defects;
pub mod imap;
mod imap_append;
pub mod incoming;
pub mod links;
pub mod mx;
pub mod recipients;
pub mod submission;

use std::sync::Arc;

use mssante::{Address, Domain};
use store::Store;
use tokio_util::sync::DropGuard;
use trust::clock::Clock;
use trust::white_list::Keeper;

use crate::queue::QueueHandle;
use crate::traces::Tracer;

/// What everything that takes mail needs to know of the operator.
pub struct Site {
    /// Where mail goes.
    pub store: Arc<dyn Store>,
    /// Who may write and be written to.
    pub white_list: Arc<Keeper>,
    /// The domains that are ours; at least one.
    pub domains: Vec<Domain>,
    /// Who gets what is for the postmaster of a domain where that address has no mailbox.
    pub postmaster: Option<Address>,
    /// The name in Received.
    pub hostname: String,
    /// The largest message, in octets.
    pub limit: u64,
    /// How long a message or notice is tried, in seconds.
    pub expire: i64,
    /// Told of what is to be relayed.
    pub queue: QueueHandle,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where traces go.
    pub tracer: Tracer,
    /// Ends the refreshing of the list when nobody goes by it any more.
    pub trusted: Arc<DropGuard>,
}

/// The local part every domain that receives mail must take (RFC 5321 §4.5.1).
pub(crate) const POSTMASTER: &str = "postmaster";

impl Site {
    /// `<postmaster>` without domain, as an address.
    fn postmaster(&self) -> Option<Address> {
        format!("{POSTMASTER}@{}", self.domains[0]).parse().ok()
    }

    /// Whose mailbox an address stands for that has none of its own.
    fn in_place_of(&self, address: &Address) -> Option<&Address> {
        self.postmaster.as_ref().filter(|_| address.local().eq_ignore_ascii_case(POSTMASTER))
    }
}
