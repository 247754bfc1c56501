//! SORT (RFC 5256 §3, RFC 5957): the keys of all messages, computed once, then their order.
//!
//! Texts are compared decoded, in lower case and decomposed, so that an accent decides after its letter; equal messages stay
//! in the order of their numbers. Memory: eight octets a message and criterion, and the texts, each cut at [`MAX_TEXT`].

use std::cmp::Ordering;

use mail::Entry;
use mail::date::Moment;
use mail::header::{Address, decode_words};
use mail::mime::Envelope;
use unicode_normalization::UnicodeNormalization;

use super::super::reply::Stop;
use super::envelopes::envelopes;
use super::{Work, subject};
use crate::command::{SortBy, SortCriterion};

/// Octets of a text that decide the order: what is alike so far counts as equal.
const MAX_TEXT: usize = 512;

/// The positions in the order asked.
pub(in super::super) async fn sorted(
    work: &mut Work<'_>,
    positions: Vec<u32>,
    criteria: &[SortCriterion],
) -> Result<Vec<u32>, Stop> {
    let mut columns: Vec<Column> = criteria.iter().map(|c| Column::new(c.by)).collect();
    let in_view = |c: &SortCriterion| matches!(c.by, SortBy::Arrival | SortBy::Size);
    if criteria.iter().all(in_view) {
        let view = &work.selected.told;
        for entry in positions.iter().filter_map(|p| view.get(*p as usize)) {
            columns.iter_mut().for_each(|c| c.add(entry, None));
        }
    } else {
        envelopes(work, &positions, |_, entry, envelope| {
            columns.iter_mut().for_each(|c| c.add(entry, envelope.as_ref()));
        })
        .await?;
    }
    let reverse: Vec<bool> = criteria.iter().map(|c| c.reverse).collect();
    // Some comparisons for each of perhaps a million messages: not on a thread that serves others.
    let sort = move || {
        let mut order: Vec<u32> = (0..positions.len() as u32).collect();
        order.sort_unstable_by(|a, b| compare(&columns, &reverse, *a, *b));
        order.into_iter().map(|i| positions[i as usize]).collect()
    };
    tokio::task::spawn_blocking(sort).await.map_err(|_| crate::backend::Failure::Unavailable.into())
}

fn compare(columns: &[Column], reverse: &[bool], a: u32, b: u32) -> Ordering {
    for (column, reverse) in columns.iter().zip(reverse) {
        let order = column.compare(a as usize, b as usize);
        if order != Ordering::Equal {
            return if *reverse { order.reverse() } else { order };
        }
    }
    a.cmp(&b)
}

/// The keys of one criterion, in the order of the messages.
struct Column {
    by: SortBy,
    numbers: Vec<i64>,
    texts: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Column {
    fn new(by: SortBy) -> Self {
        Column { by, numbers: Vec::new(), texts: Vec::new(), ends: Vec::new() }
    }

    /// The key of the next message; one that is gone has the keys of an empty one.
    fn add(&mut self, entry: &Entry, envelope: Option<&(Envelope<&str>, Option<Moment>)>) {
        let (envelope, date) = (envelope.map(|(e, _)| e), envelope.and_then(|(_, sent)| *sent));
        match self.by {
            SortBy::Arrival => self.numbers.push(entry.internal_date),
            SortBy::Size => self.numbers.push(entry.size.into()),
            SortBy::Date => self.numbers.push(sent(entry, date)),
            SortBy::Subject => {
                let subject = envelope.and_then(|e| e.subject).unwrap_or_default();
                self.text(&subject::base(subject).text);
            }
            SortBy::From => self.text(mailbox(envelope.and_then(|e| e.from.first()))),
            SortBy::To => self.text(mailbox(envelope.and_then(|e| e.to.first()))),
            SortBy::Cc => self.text(mailbox(envelope.and_then(|e| e.cc.first()))),
            SortBy::DisplayFrom => self.text(&displayed(envelope.and_then(|e| e.from.first()))),
            SortBy::DisplayTo => self.text(&displayed(envelope.and_then(|e| e.to.first()))),
        }
    }

    fn text(&mut self, text: &str) {
        let start = self.texts.len();
        if text.is_ascii() {
            self.texts.extend(text.bytes().take(MAX_TEXT).map(|b| b.to_ascii_lowercase()));
        } else {
            let mut buffer = [0; 4];
            for c in text.chars().flat_map(char::to_lowercase).nfkd() {
                self.texts.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                if self.texts.len() - start >= MAX_TEXT {
                    self.texts.truncate(start + MAX_TEXT);
                    break;
                }
            }
        }
        self.ends.push(self.texts.len());
    }

    fn at(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[i]]
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        if self.ends.is_empty() { self.numbers[a].cmp(&self.numbers[b]) } else { self.at(a).cmp(self.at(b)) }
    }
}

/// The sent date in UTC; the internal date when there is none (RFC 5256 §2.2).
pub(super) fn sent(entry: &Entry, sent: Option<Moment>) -> i64 {
    sent.map_or(entry.internal_date, |moment| moment.unix)
}

/// What ENVELOPE tells as the mailbox of the first address.
fn mailbox<'e>(address: Option<&Address<&'e str>>) -> &'e str {
    match address {
        Some(Address::Mailbox { local, .. }) => local,
        Some(Address::GroupStart(name)) => name,
        Some(Address::GroupEnd) | None => "",
    }
}

/// What a client shows of the first address (RFC 5957 §3).
fn displayed(address: Option<&Address<&str>>) -> String {
    match address {
        Some(Address::Mailbox { name: Some(name), .. }) if !name.is_empty() => decode_words(name),
        Some(Address::Mailbox { local, domain, .. }) => format!("{local}@{domain}"),
        Some(Address::GroupStart(name)) => decode_words(name),
        Some(Address::GroupEnd) | None => String::new(),
    }
}
