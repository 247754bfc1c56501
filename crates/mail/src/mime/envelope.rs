//! The fields of IMAP's ENVELOPE (RFC 3501 §7.4.2).

use super::budget::Budget;
use crate::date::{self, Moment};
use crate::header::{Address, Field, parse_addresses};

/// The fields of ENVELOPE, as sent: unfolded, encoded words untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<S = String> {
    /// `Date`, unread; see [`super::Structure::sent`].
    pub date: Option<S>,
    /// `Subject`.
    pub subject: Option<S>,
    /// `From`.
    pub from: Vec<Address<S>>,
    /// `Sender`; `From` when absent.
    pub sender: Vec<Address<S>>,
    /// `Reply-To`; `From` when absent.
    pub reply_to: Vec<Address<S>>,
    /// `To`, all such fields together.
    pub to: Vec<Address<S>>,
    /// `Cc`, all such fields together.
    pub cc: Vec<Address<S>>,
    /// `Bcc`, all such fields together.
    pub bcc: Vec<Address<S>>,
    /// `In-Reply-To`.
    pub in_reply_to: Option<S>,
    /// `Message-ID`.
    pub message_id: Option<S>,
    /// `References`, which ENVELOPE does not tell and THREAD wants (RFC 5256): `None` also for messages kept before this
    /// was.
    pub references: Option<S>,
}

impl<S> Default for Envelope<S> {
    fn default() -> Self {
        Envelope {
            date: None,
            subject: None,
            from: Vec::new(),
            sender: Vec::new(),
            reply_to: Vec::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            in_reply_to: None,
            message_id: None,
            references: None,
        }
    }
}

/// Addresses kept of one field: more than any message limit on recipients, little enough for an answer.
const MAX_ADDRESSES: usize = 4000;

impl Envelope {
    /// Takes a field in; of those that should be alone, the first counts.
    pub(super) fn field(&mut self, field: &Field<'_>, budget: &mut Budget) {
        let texts = [
            ("Date", &mut self.date),
            ("Subject", &mut self.subject),
            ("In-Reply-To", &mut self.in_reply_to),
            ("References", &mut self.references),
            ("Message-ID", &mut self.message_id),
        ];
        let alone = [("From", &mut self.from), ("Sender", &mut self.sender), ("Reply-To", &mut self.reply_to)];
        let together = [("To", &mut self.to), ("Cc", &mut self.cc), ("Bcc", &mut self.bcc)];
        if let Some((_, text)) = texts.into_iter().find(|(name, _)| field.is(name)) {
            if text.is_none() {
                *text = budget.keep(field.value());
            }
        } else if let Some((_, list)) = alone.into_iter().find(|(name, _)| field.is(name)) {
            if list.is_empty() {
                addresses(list, field, budget);
            }
        } else if let Some((_, list)) = together.into_iter().find(|(name, _)| field.is(name)) {
            addresses(list, field, budget);
        }
    }

    /// After the last field: what defaults to From does.
    pub(super) fn complete(&mut self, budget: &mut Budget) {
        for slot in [&mut self.sender, &mut self.reply_to] {
            if slot.is_empty() && budget.take(self.from.iter().map(cost).sum()) {
                slot.clone_from(&self.from);
            }
        }
    }

    /// The `Date` field read.
    pub(super) fn sent(&self) -> Option<Moment> {
        self.date.as_deref().and_then(date::parse_rfc5322)
    }
}

fn addresses(slot: &mut Vec<Address>, field: &Field<'_>, budget: &mut Budget) {
    let room = MAX_ADDRESSES.saturating_sub(slot.len());
    for address in parse_addresses(&field.value(), room).addresses {
        if !budget.take(cost(&address)) {
            return;
        }
        slot.push(address);
    }
}

/// What an address takes in memory, in octets.
fn cost(address: &Address) -> usize {
    let text = match address {
        Address::Mailbox { name, route, local, domain } => {
            let optional = |o: &Option<String>| o.as_ref().map_or(0, String::len);
            optional(name) + optional(route) + local.len() + domain.len()
        }
        Address::GroupStart(name) => name.len(),
        Address::GroupEnd => 0,
    };
    text + size_of::<Address>()
}
