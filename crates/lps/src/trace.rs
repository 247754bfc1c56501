//! Functional traces (ECO.4.1.1, ECO.4.1.2): who did what on which BAL, what was asked and what the server answered, failures
//! included. Never a message's content, never a dialogue, no token.
//!
//! [`file`] keeps them as files; [`query`] reads and exports those.

pub mod file;
pub mod query;
mod redact;

use time::OffsetDateTime;

pub use file::TraceFolder;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A session was opened, or not.
    Connect,
    /// A folder was listed or synchronised.
    List,
    /// A message was read.
    Read,
    /// A message was handed over.
    Send,
    /// Messages were marked.
    Mark,
    /// Messages were deleted.
    Delete,
    /// A receipt or an integration notice was sent.
    Receipt,
    /// Somebody logged in or out.
    Login,
    /// The Annuaire Santé was asked.
    Search,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 9] = [
        Action::Connect,
        Action::List,
        Action::Read,
        Action::Send,
        Action::Mark,
        Action::Delete,
        Action::Receipt,
        Action::Login,
        Action::Search,
    ];

    /// The one of that code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.code() == code)
    }

    /// Lower case, stable, for files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Action::Connect => "connect",
            Action::List => "list",
            Action::Read => "read",
            Action::Send => "send",
            Action::Mark => "mark",
            Action::Delete => "delete",
            Action::Receipt => "receipt",
            Action::Login => "login",
            Action::Search => "search",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The workstation's clock.
    pub at: OffsetDateTime,
    /// Authenticated author: national identifier or certificate name.
    pub author: String,
    /// The BAL, when one is concerned.
    pub mailbox: Option<String>,
    /// What was done.
    pub action: Action,
    /// What was asked of the server, without content: `UID EXPUNGE INBOX 12:14`, `MAIL to 2 recipients, 48213 octets`.
    pub request: String,
    /// What it answered, cut to [`MAX_ANSWER`].
    pub answer: String,
    /// Whether it did what was asked.
    pub done: bool,
    /// Message-ID, when one message is concerned.
    pub message_id: Option<String>,
}

/// Longest answer kept, in characters.
pub const MAX_ANSWER: usize = 200;

/// Takes traces. Must not block long and cannot fail: a trace that cannot be written is the host program's to report.
pub trait Tracer: Send + Sync {
    /// Keeps one.
    fn record(&self, trace: Trace);
}

/// Keeps none, for tests and programs that trace by themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl Tracer for NoTrace {
    fn record(&self, _: Trace) {}
}
