//! Delivery status notifications (RFC 3461, 3462, 3464, and RFC 6533 for addresses that are not ASCII): written and read.
//!
//! A report has three parts: a text for people, French then English; the status for programs; the header or the whole of
//! the message it speaks of. It goes out with an empty envelope sender and says `Auto-Submitted: auto-replied`, so that
//! nothing answers it.
//!
//! Invariant: what a remote server said can neither add a field nor end a part, whatever it holds. OPE-QUEUE, ECO-RECEIPT.

mod read;
mod text;
mod write;
mod xtext;

pub use read::ReadReport;
pub use xtext::{decode_xtext, encode_xtext, is_address_type, xtext_octets};

use crate::date::Moment;
use crate::enhanced::Enhanced;
use crate::header::HeaderError;

/// A report to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its own Message-ID, with its angle brackets.
    pub message_id: String,
    /// When it is written.
    pub date: Moment,
    /// The address it comes from: the postmaster of the domain.
    pub from: String,
    /// Whom it goes to: the envelope sender of the message it speaks of.
    pub to: String,
    /// The DNS name of the server that reports.
    pub reporting_mta: String,
    /// The ENVID that the sender gave, decoded from xtext.
    pub envelope_id: Option<String>,
    /// When the message came to the server that reports.
    pub arrival: Option<Moment>,
    /// What became of each recipient: at least one.
    pub recipients: Vec<Recipient>,
    /// What is given back of the message.
    pub returned: Returned,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address the sender wrote first (ORCPT), when known.
    pub original: Option<TypedAddress>,
    /// The address the server worked with.
    pub address: String,
    /// What was done.
    pub action: Action,
    /// The enhanced status code.
    pub status: Enhanced,
    /// The DNS name of the server that answered.
    pub remote_mta: Option<String>,
    /// What it answered, e.g. `550 5.1.1 No such user`; made safe when written.
    pub diagnostic: Option<String>,
    /// The last attempt.
    pub last_attempt: Option<Moment>,
    /// For [`Action::Delayed`]: when the server will give up.
    pub will_retry_until: Option<Moment>,
}

/// An address with its type (RFC 3461 §4.2), decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypedAddress {
    /// `rfc822`, `utf-8`…
    pub kind: String,
    /// The address.
    pub address: String,
}

impl TypedAddress {
    /// From the value of ORCPT, e.g. `rfc822;a+2Bb@c.fr`; `None` when it is not one.
    pub fn from_orcpt(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        if !is_address_type(kind) {
            return None;
        }
        let address =
            if kind.eq_ignore_ascii_case("utf-8") { xtext::decode_unicode(address)? } else { decode_xtext(address)? };
        let sound = !address.is_empty() && !address.chars().any(char::is_control);
        sound.then(|| TypedAddress { kind: kind.to_owned(), address })
    }
}

/// What a server did for a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet delivered, still trying.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a server that does not report.
    Relayed,
    /// Delivered to a list.
    Expanded,
}

impl Action {
    const ALL: [(Action, &'static str); 5] = [
        (Action::Failed, "failed"),
        (Action::Delayed, "delayed"),
        (Action::Delivered, "delivered"),
        (Action::Relayed, "relayed"),
        (Action::Expanded, "expanded"),
    ];

    /// The word of the `Action:` field.
    pub fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }

    /// From the word, any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(a, _)| *a)
    }
}

/// What a report gives back of the message it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Nothing.
    Nothing,
    /// The raw header.
    Header(Vec<u8>),
    /// The raw message; above [`Returned::MAX`], its header only.
    Message(Vec<u8>),
}

impl Returned {
    /// Largest part given back, in octets: a report is not a second copy of a large document.
    pub const MAX: usize = 1024 * 1024;
}

/// Why a report cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// No recipient to report on.
    #[error("a delivery report needs a recipient")]
    NoRecipient,
    /// The sender or the receiver of the report is not one plain address.
    #[error("a delivery report goes from one address to one address")]
    Address,
    /// A value cannot stand in a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

#[cfg(test)]
mod tests;
