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

use mssante::Domain;
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
