//! From octets to commands, first stage: lines and literals under hard limits, no grammar.
//!
//! [`CommandReader`] gives a command as one piece of memory, its literals inside as they were on the wire
//! (RFC 3501 §4.3, RFC 7888); the second stage is [`parse`](crate::parse). The literals of APPEND and REPLACE are the
//! exception: the head is given as soon as the first begins, the octets are drawn chunk by chunk, and the text between two
//! literals is given in its turn ([`Tail`]).
//!
//! Invariants:
//! * memory is bounded by the limits below whatever is sent, and at however slow a pace;
//! * every async method is cancel-safe: what was read stays in the reader, so it may stand in a `select!`;
//! * a refused command leaves the reader at the start of the next one, or says that the connection is lost;
//! * a line ends with CRLF; a lone LF ends the line too, but the command is refused;
//! * what was read before STARTTLS cannot survive it: [`CommandReader::into_inner`] fails when anything is left.

mod literal;
mod reader;
mod tail;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

pub use literal::tag;
pub use reader::CommandReader;
pub use tail::Tail;

/// Longest command text (literals apart) before authentication, in octets: RFC 7162 §4 asks for 8,192 at least, and only
/// AUTHENTICATE needs more.
pub const MAX_TEXT_BEFORE: usize = 8 * 1024;
/// Longest AUTHENTICATE command (SASL-IR): a token of [`MAX_RAW_LINE`] and the words before it.
pub const MAX_TEXT_AUTHENTICATE: usize = MAX_RAW_LINE + 256;
/// Longest command text (literals apart) after authentication: room for a sequence set of some thousand ranges.
pub const MAX_TEXT: usize = 64 * 1024;
/// Octets of gathered literals in a command before authentication: nothing useful carries one, yet RFC 7888 §4 wants 4,096.
pub const MAX_LITERALS_BEFORE: usize = 16 * 1024;
/// Octets of gathered literals in a command after authentication: long search texts, folder names.
pub const MAX_LITERALS: usize = 1024 * 1024;
/// Number of literals in one command: a search with a literal per key stays below; bounds the continuations sent.
pub const MAX_LITERAL_COUNT: usize = 256;
/// Longest raw line: base64 of a 12 KiB access token (LPS-TOKEN: tokens of Pro Santé Connect stay far below).
pub const MAX_RAW_LINE: usize = 16 * 1024;
/// Octets of a refused command read and forgotten so that the connection stays usable, before authentication.
pub const MAX_DISCARD_BEFORE: u64 = 64 * 1024;
/// The same after authentication.
pub const MAX_DISCARD: u64 = 1024 * 1024;
/// The same for the message of a refused APPEND sent without waiting (`{n+}`): a client that ignored APPENDLIMIT keeps its
/// connection, one that sends without end does not.
pub const MAX_DISCARD_MESSAGE: u64 = 64 * 1024 * 1024;
/// Largest piece of a message given at once.
pub const MAX_CHUNK: usize = 32 * 1024;
/// Octets kept of what is read in advance: a connection that waits costs little more than this.
const BUFFER: usize = 4 * 1024;

/// Which limits apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nobody is known yet: the strict limits.
    NotAuthenticated,
    /// A mailbox is open to the session.
    Authenticated,
}

impl Phase {
    fn literals(self) -> usize {
        match self {
            Phase::NotAuthenticated => MAX_LITERALS_BEFORE,
            Phase::Authenticated => MAX_LITERALS,
        }
    }

    fn discard(self) -> u64 {
        match self {
            Phase::NotAuthenticated => MAX_DISCARD_BEFORE,
            Phase::Authenticated => MAX_DISCARD,
        }
    }

    fn discard_message(self) -> u64 {
        match self {
            Phase::NotAuthenticated => MAX_DISCARD_BEFORE,
            Phase::Authenticated => MAX_DISCARD_MESSAGE,
        }
    }
}

/// What [`CommandReader::next`] saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole command without its final CRLF, for [`parse`](crate::parse::parse).
    Command(Zeroizing<Vec<u8>>),
    /// The client waits before it sends a literal: send a continuation, flush, call `next` again.
    Continue,
    /// APPEND or REPLACE up to and with the first announcement after the folder's name (`{n}`), for
    /// [`parse`](crate::parse::parse).
    ///
    /// To take it: a continuation when `synchronizing`, then [`CommandReader::literal_chunk`] until it gives nothing, then
    /// [`CommandReader::append_next`], and so on until that says it is the end. To refuse it, at any point: answer and call
    /// `next`, which forgets what is left.
    Append {
        /// The command as far as it is read.
        head: Zeroizing<Vec<u8>>,
        /// Octets of the message.
        size: u64,
        /// Whether the client waits for a continuation.
        synchronizing: bool,
    },
    /// The command broke a limit and was forgotten: `BAD`, with the tag when it could be read; the connection goes on.
    Refused {
        /// The tag.
        tag: Option<String>,
        /// Why.
        reason: Refusal,
    },
    /// There is too much to forget: `BYE` and close.
    Fatal(Refusal),
    /// The client closed between two commands.
    End,
}

/// What [`CommandReader::line`] saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its CRLF.
    Text(Zeroizing<Vec<u8>>),
    /// A line that was forgotten.
    Refused(Refusal),
    /// There is too much to forget: `BYE` and close.
    Fatal(Refusal),
    /// The client closed.
    End,
}

/// Why a command was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More text than the limit.
    #[error("the command line is too long")]
    TooLong,
    /// A literal that does not fit.
    #[error("the literal is too large")]
    LiteralTooLarge,
    /// More than [`MAX_LITERAL_COUNT`] literals.
    #[error("too many literals in one command")]
    TooManyLiterals,
    /// A line that ends with a lone LF.
    #[error("expected CRLF at the end of the line")]
    BareLineFeed,
    /// What follows a message of APPEND is no end of a command, or some of the message was not drawn.
    #[error("expected CRLF after the message")]
    AfterMessage,
    /// More than may be read and forgotten: fatal.
    #[error("too much data that cannot be used")]
    TooMuch,
}

impl Refusal {
    /// Whether the connection cannot go on.
    pub fn is_fatal(self) -> bool {
        self == Refusal::TooMuch
    }
}

/// Octets were read that must not be used: they came before TLS (LPS-NOPLAIN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data came before the TLS handshake")]
pub struct Injected;
