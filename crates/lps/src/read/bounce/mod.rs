//! What servers say became of a message: delivery reports (RFC 3464) read by their fields, other bounces by their words, both turned
//! into causes a person understands (client.md §2.6, ECO-RECEIPT).
//!
//! Anybody can write a bounce: [`About::belief`](super::About::belief) tells whether it is about a message that was sent.

mod cause;
mod words;

use mail::mime::Structure;
use mail::report::{Action, ReadReport};

pub use cause::Cause;

use super::{About, Message, body, kind};

/// Recipients kept of one bounce.
const MAX_RECIPIENTS: usize = 200;
/// Characters kept of what a server said.
const MAX_DIAGNOSTIC: usize = 300;

/// What became of a message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// Which message.
    pub about: About,
    /// The server that tells, as it says.
    pub reporting: Option<String>,
    /// Each recipient it speaks of; may be empty when it only has words.
    pub recipients: Vec<Delivery>,
    /// Whether it was read from fields or guessed from words.
    pub source: Source,
}

/// Where a bounce is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The fields of a delivery report.
    Fields,
    /// Words for people: less sure.
    Words,
}

/// What became of one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The address, as the server had it.
    pub address: String,
    /// The address the sender wrote, when it is told and differs.
    pub original: Option<String>,
    /// What became of the message.
    pub outcome: Outcome,
    /// The enhanced status code, e.g. `5.1.1`.
    pub status: Option<String>,
    /// What the last server said, on one line.
    pub diagnostic: Option<String>,
}

impl std::fmt::Debug for Delivery {
    /// Not the address: it may be a patient's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({:?}, {:?})", self.outcome, self.status)
    }
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// In the BAL.
    Delivered,
    /// Handed to a server that does not report.
    Relayed,
    /// Not yet; the server goes on trying. Nothing is to be done, above all nothing sent again.
    Delayed(Cause),
    /// Given up.
    Failed(Cause),
}

impl Bounce {
    /// The gravest outcome: a failure before a delay before a success. A failure without a known cause when nobody is named.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Failed(_) => 3,
            Outcome::Delayed(_) => 2,
            Outcome::Relayed => 1,
            Outcome::Delivered => 0,
        };
        let outcomes = self.recipients.iter().map(|recipient| recipient.outcome);
        outcomes.max_by_key(rank).unwrap_or(Outcome::Failed(Cause::Other))
    }
}

/// A bounce from a delivery report.
pub(super) fn of_report(octets: &[u8], structure: &Structure, message: &Message) -> Option<Bounce> {
    let report = ReadReport::of(octets, structure)?;
    let mut about = About { envelope_id: report.envelope_id.clone(), ..About::default() };
    about.add(report.message_id.iter().flat_map(|id| super::message_ids(id)));
    about.add(kind::inner_id(octets, &structure.root));
    about.add(message.in_reply_to.iter().cloned());
    let words = message.text.as_ref().map_or("", |text| text.text.as_str());
    let recipients = report.recipients.iter().take(MAX_RECIPIENTS).map(|told| {
        let diagnostic = told.diagnostic.as_deref().map(|said| body::one_line(said, MAX_DIAGNOSTIC));
        // Exchange and others put the reason into the words only.
        let said = diagnostic.as_deref().unwrap_or_default();
        let fallback = if said.is_empty() { words } else { "" };
        let cause = || Cause::of(Some(told.status), &told.address, said, fallback);
        Delivery {
            outcome: match told.action {
                Action::Failed => Outcome::Failed(cause()),
                Action::Delayed => Outcome::Delayed(cause()),
                Action::Delivered | Action::Expanded => Outcome::Delivered,
                Action::Relayed => Outcome::Relayed,
            },
            address: body::one_line(&told.address, 254),
            original: told
                .original
                .as_ref()
                .map(|original| body::one_line(&original.address, 254))
                .filter(|original| !original.eq_ignore_ascii_case(&told.address)),
            status: Some(told.status.to_string()),
            diagnostic,
        }
    });
    Some(Bounce { about, reporting: report.reporting_mta, recipients: recipients.collect(), source: Source::Fields })
}

/// A bounce without fields, from its words.
pub(super) fn of_text(octets: &[u8], structure: &Structure, message: &Message) -> Option<Bounce> {
    if !words::looks_like_one(message) {
        return None;
    }
    let text = message.text.as_ref().map_or("", |text| text.text.as_str());
    let mut about = About::default();
    about.add(kind::inner_id(octets, &structure.root));
    about.add(message.in_reply_to.iter().cloned());
    about.add(words::message_id_in(text));
    let recipients = words::recipients(text, &message.subject.full, message);
    Some(Bounce { about, reporting: None, recipients, source: Source::Words })
}
