//! The MIME structure of a message: ENVELOPE, BODYSTRUCTURE and where each part lies, computed once while it streams in.
//!
//! [`Scanner`] reads a message in chunks of any size and gives a [`Structure`]; its memory is bounded by [`Limits`] whatever
//! the message. Every byte string has a structure: what cannot be understood is a leaf (RFC 2045 §5.2), never an error.
//! [`Structure::range`] answers the IMAP sections as byte ranges of the message; [`Structure::encode`] is what a store keeps.
//!
//! Invariants, whatever the input:
//! * every range lies inside the message; a part's header ends where its body starts; a child lies inside its parent's body;
//! * a `multipart` part has at least one child, and only such a part is named `multipart`; only a part that holds an
//!   embedded message is named `message/rfc822`. BODYSTRUCTURE can thus be written without a special case;
//! * texts are header text as sent (encoded words untouched), unfolded, without CR, LF or NUL. Octets that are not UTF-8
//!   are read as windows-1252.
//!
//! RFC 2045, 2046, 2183, 2231, 2557, 3282, 3501 §6.4.5 and §7.4.2, 5322.

mod budget;
mod codec;
mod envelope;
mod facts;
mod params;
mod part;
mod scanner;
mod section;

pub use codec::DecodeError;
pub use envelope::Envelope;
pub use params::{Param, parameter};
pub use part::{Content, Disposition, Part, Structure};
pub use scanner::{Limits, Scanner};
pub use section::Piece;

#[cfg(test)]
mod tests;
