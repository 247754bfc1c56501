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

impl Filter {
    /// Whether it is the folder that is open.
    pub fn is_selected(&self) -> bool {
        matches!(self, Filter::Selected | Filter::SelectedDelayed)
    }
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
    /// `MailboxMetadataChange`.
    MailboxMetadataChange,
    /// `ServerMetadataChange`.
    ServerMetadataChange,
    /// An event that is not served: `AnnotationChange` (of messages, RFC 5257, which is not announced) or one nobody knows.
    Unknown,
}

impl Event {
    /// Whether it is one of messages, as what is told of the open folder has to be (RFC 5465 §8).
    pub fn is_of_messages(&self) -> bool {
        matches!(self, Event::MessageNew(_) | Event::MessageExpunge | Event::FlagChange)
    }
}
