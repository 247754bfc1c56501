//! NOTIFY (RFC 5465): what a client wants to be told unasked, as values.

use crate::command::{FetchItem, Name};

/// A NOTIFY command.
#[derive(Clone, Debug, PartialEq)]
pub enum Notify {
    /// `NONE`: nothing but what commands tell.
    None,
    /// `SET`.
    Set {
        /// `STATUS`: where things are is told at once.
        status: bool,
        /// Who wants what; the first group that a folder fits counts.
        groups: Vec<Group>,
    },
}

/// Folders and what is to be told of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which folders.
    pub filter: Filter,
    /// Which events; empty is `NONE`.
    pub events: Vec<Event>,
}

/// Which folders.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// The one that is open; what is expunged is told at once.
    Selected,
    /// The one that is open; what is expunged waits for a command that may tell it.
    SelectedDelayed,
    /// Those where mail arrives.
    Inboxes,
    /// All.
    Personal,
    /// The subscribed ones.
    Subscribed,
    /// These and those under them.
    Subtree(Vec<Name>),
    /// These.
    Mailboxes(Vec<Name>),
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `MessageNew`, with what is fetched of new messages in the folder that is open.
    MessageNew(Vec<FetchItem>),
    /// `MessageExpunge`.
    MessageExpunge,
    /// `FlagChange`.
    FlagChange,
    /// `MailboxName`.
    MailboxName,
    /// `SubscriptionChange`.
    SubscriptionChange,
    /// An event that is not served: `AnnotationChange`, `MailboxMetadataChange`, `ServerMetadataChange` or one nobody knows.
    Unknown,
}
