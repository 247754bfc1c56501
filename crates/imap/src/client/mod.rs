//! IMAP, the client's side: what a program needs to read a mailbox on a server that is a stranger.
//!
//! In layers, each over any `AsyncRead + AsyncWrite`:
//! * [`ResponseReader`] cuts the stream into responses, literals inside, under hard limits; a body may stream instead;
//! * [`parse`] gives a typed [`Response`];
//! * [`Connection`] sends [`Command`]s, pairs them with their answers and hands over every untagged response, asked for or not;
//! * [`open`] begins with STARTTLS; [`Connection::authenticate`] does XOAUTH2 and EXTERNAL, and PLAIN or LOGIN.
//!
//! Invariants:
//! * memory is bounded by the limits below whatever the server sends, grows as octets come and not as they are announced, and
//!   nothing recurses on what is read;
//! * nothing the server said before TLS is believed after it, no octet read before it survives it, and nothing is authenticated
//!   before it (LPS-NOPLAIN); passwords are for bringing mail from other servers only, never for a BAL;
//! * no untagged response is dropped between the socket and the caller;
//! * no name, flag or text given by a caller or by the server can end a command and begin another;
//! * every wait has an end: [`Patience`].
//!
//! RFC 3501, 2177, 3691, 4315, 4731, 4959, 5161, 6154, 6851, 7162, 7888, 9051; ECO-CONN.

mod append;
mod authenticate;
mod body;
mod capabilities;
mod code;
mod command;
mod connection;
mod cursor;
mod error;
mod fetch;
mod folder;
mod idle;
mod message;
mod open;
mod reader;
mod response;
mod structure;
#[cfg(test)]
mod tests;

pub use append::Appended;
pub use authenticate::Sasl;
pub use body::Wanted;
pub use capabilities::Capabilities;
pub use code::Code;
pub use command::Command;
pub use connection::{Connection, Tag, Take};
pub use error::{ClientError, Status, Told};
pub use fetch::{Fetched, Section};
pub use folder::{Counts, Listed, Resync, Selected};
pub use message::uid_sets;
pub use open::{open, starttls};
pub use reader::{Patience, Piece, ResponseReader};
pub use response::{Response, Untagged, parse};
pub use structure::Part;

/// The longest response before authentication, literals apart: capabilities and challenges have a few hundred octets.
pub const MAX_TEXT_BEFORE: usize = 64 * 1024;
/// The longest response, literals apart: SEARCH without ESEARCH tells 500,000 numbers in less.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Octets of literals in one response that are kept in memory: headers, names. Bodies stream.
pub const MAX_LITERALS: u64 = 2 * 1024 * 1024;
/// Untagged responses to one command: the windows asked for here are far smaller, a first look at a large folder is not.
pub const MAX_RESPONSES: usize = 1_000_000;
/// Flags of one message that are kept: more than any folder's keywords.
pub const MAX_FLAGS: usize = 128;
/// Longest flag kept, in octets.
pub const MAX_FLAG: usize = 256;
/// Numbers that a search or VANISHED may tell in all: more messages than any BAL holds.
pub const MAX_NUMBERS: u64 = 4_000_000;
/// Folders of one BAL: far more than anybody has.
pub const MAX_FOLDERS: usize = 100_000;
/// Parts within parts of a BODYSTRUCTURE that are told apart; what is deeper is passed over.
pub const MAX_NESTING: usize = 50;
/// Values of one BODYSTRUCTURE: a message of a thousand parts has fewer.
pub const MAX_VALUES: usize = 50_000;
/// Capabilities kept.
pub const MAX_CAPABILITIES: usize = 500;
/// Longest text of a status response kept, in octets: it is shown to people.
pub const MAX_HUMAN: usize = 500;
/// Octets read at once.
const READ: usize = 64 * 1024;
