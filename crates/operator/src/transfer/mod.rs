//! Mail that comes from elsewhere or goes there whole: a Dovecot Maildir, an mbox file, another IMAP server.
//!
//! * [`letter`]: a message with what is known beside its octets, and how it travels between the command and the server;
//! * [`receive`]: letters into a mailbox; [`give`]: a mailbox as letters;
//! * [`maildir`], [`mbox`], [`remote`]: where letters come from or go to; [`text`]: line ends;
//! * [`tree`]: files that others may write;
//! * [`journal`]: what is done already, so that an import goes on where it stopped;
//! * [`http`]: the same over the server's admin socket, for a mailbox that is in use.
//!
//! Invariants:
//! * a letter is on disk before it counts as done; one that comes again is recognised by its key and not stored twice;
//! * flags, keywords and dates are kept; octets are those of the message with CRLF line ends, and nothing else changes;
//! * memory is bounded by [`MAX_BATCH`] and the largest message, whatever the size of the mailbox.

pub mod give;
pub mod http;
pub mod journal;
pub mod letter;
pub mod maildir;
pub mod mbox;
pub mod receive;
pub mod remote;
mod text;
mod tree;

pub use letter::{Key, Letter, Outcome, Post};

/// Letters of one commit: few enough that one refusal does not hold many, enough that the disk's flush is shared.
pub const MAX_LETTERS: usize = 64;
/// Octets of letters of one commit, when there is more than one.
pub const MAX_BATCH: usize = 8 * 1024 * 1024;
/// The largest message taken or given, in octets: what the configuration allows at most.
pub const MAX_MESSAGE: u64 = 256 * 1024 * 1024;

/// Why a transfer stopped.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// What was to be read or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] store::StoreError),
    /// No such mailbox here.
    #[error("no mailbox {0} here: open it first with `vaguemestre mailbox create`")]
    NoMailbox(String),
    /// The source is not what it should be.
    #[error("{0}")]
    Source(String),
    /// The other server.
    #[error("{0}: {1}")]
    Remote(String, String),
}

/// What every step answers.
pub type Result<T> = std::result::Result<T, TransferError>;

/// Something that gives letters one after the other. Blocking.
pub trait Source: Send {
    /// How many letters there are in all, as far as can be known without reading them.
    fn expected(&self) -> Option<u64>;
    /// The next letter; `None` at the end. `known` tells which keys are done: their octets need not be read.
    ///
    /// # Errors
    /// [`TransferError`]; a single unreadable message is [`Given::Skipped`], not an error.
    fn next(&mut self, known: &dyn Fn(&Key) -> bool) -> Result<Option<Given>>;
}

/// What a source gives.
#[derive(Debug)]
pub enum Given {
    /// A letter.
    Post(Box<Post>),
    /// One that is done already.
    Known,
    /// One that cannot be taken: where it is, and why.
    Skipped(String, String),
}
