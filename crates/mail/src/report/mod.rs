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

use std::fmt;
use std::str::FromStr;

use crate::date::Moment;
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
    pub status: Status,
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

/// An enhanced status code (RFC 3463), e.g. `5.1.1`.
///
/// Invariant: the class is 2, 4 or 5; the other numbers are at most 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    class: u8,
    subject: u16,
    detail: u16,
}

impl Status {
    /// A status; `None` outside the bounds of the type.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Option<Self> {
        if matches!(class, 2 | 4 | 5) && subject <= 999 && detail <= 999 {
            Some(Status { class, subject, detail })
        } else {
            None
        }
    }

    /// 2, 4 or 5.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The second number.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let mut numbers = text.split('.').map(|n| {
            let plain = (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| n.parse::<u16>().ok()).flatten().ok_or(NotAStatus)
        });
        let mut next = || numbers.next().unwrap_or(Err(NotAStatus));
        let (class, subject, detail) = (next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(NotAStatus);
        }
        let class = u8::try_from(class).map_err(|_| NotAStatus)?;
        Status::new(class, subject, detail).ok_or(NotAStatus)
    }
}

/// The text is not an enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotAStatus;

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
