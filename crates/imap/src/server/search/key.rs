//! The tree: what is sought, resolved against the folder, and what one message answers to it.

use mail::header::{Address, Fields};
use mail::mime::Structure;
use mail::sequence::Ranges;
use mail::{Entry, Flags};
use time::Date;

use super::super::selected::Selected;
use super::{fold, fold_words};
use crate::command::{DateTest, SearchKey};

/// A search ready to judge messages.
pub(in super::super) struct Plan {
    key: Key,
    sought: Vec<Sought>,
    needs_header: bool,
}

/// A text sought in the contents.
pub(super) struct Sought {
    /// In lower case.
    pub(super) text: String,
    /// TEXT: in the message's header too.
    pub(super) header_too: bool,
}

/// A search key whose names are resolved.
pub(in super::super) enum Key {
    Known(bool),
    And(Vec<Key>),
    Or(Box<Key>, Box<Key>),
    Not(Box<Key>),
    Sequence(Ranges),
    Uid(Ranges),
    Flag(Flags, bool),
    Larger(u64),
    Smaller(u64),
    Internal(DateTest, Date),
    ModSeq(u64),
    Sent(DateTest, Date),
    /// A field that ENVELOPE has.
    Envelope(EnvelopeField, String),
    /// Any other field: name, text (empty: the field is there).
    Header(String, String),
    /// A text of [`Plan::sought`].
    Content(usize),
}

/// The fields of ENVELOPE that are searched without the header.
#[derive(Clone, Copy)]
pub(in super::super) enum EnvelopeField {
    Subject,
    MessageId,
    InReplyTo,
    From,
    To,
    Cc,
    Bcc,
}

/// What is known of a message.
pub(super) struct Facts<'f> {
    position: u32,
    entry: &'f Entry,
    pub(super) structure: Option<&'f Structure>,
    pub(super) header: Option<&'f Header>,
    /// For each text sought, whether it was found.
    pub(super) contents: Option<&'f [bool]>,
}

impl<'f> Facts<'f> {
    /// What the view tells.
    pub(super) fn of_view(position: u32, entry: &'f Entry) -> Self {
        Facts { position, entry, structure: None, header: None, contents: None }
    }
}

/// A header read for a search: names as they stand, values as they are compared.
pub(super) struct Header(Vec<(String, String)>);

impl Header {
    pub(super) fn new(block: &[u8]) -> Self {
        Header(Fields::new(block).map(|f| (f.name.to_owned(), fold_words(&f.value()))).collect())
    }

    fn has(&self, name: &str, text: &str) -> bool {
        self.0.iter().any(|(n, value)| n.eq_ignore_ascii_case(name) && value.contains(text))
    }
}

impl Plan {
    /// Resolves numbers and names against what the client knows.
    pub(in super::super) fn new(key: SearchKey, selected: &Selected) -> Self {
        let mut plan = Plan { key: Key::Known(true), sought: Vec::new(), needs_header: false };
        plan.key = plan.resolve(key, selected);
        plan
    }

    /// Whether some key wants the header itself.
    pub(super) fn needs_header(&self) -> bool {
        self.needs_header
    }

    /// The texts sought in contents.
    pub(super) fn sought(&self) -> &[Sought] {
        &self.sought
    }

    /// Whether the message matches; `None` when that is not known yet.
    pub(super) fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        self.key.judge(facts)
    }

    // The parser bounds the depth of keys, and so this recursion and that of `judge`.
    fn resolve(&mut self, key: SearchKey, selected: &Selected) -> Key {
        let view = &selected.told;
        match key {
            SearchKey::And(keys) => Key::And(keys.into_iter().map(|k| self.resolve(k, selected)).collect()),
            SearchKey::Or(a, b) => Key::Or(Box::new(self.resolve(*a, selected)), Box::new(self.resolve(*b, selected))),
            SearchKey::Not(key) => Key::Not(Box::new(self.resolve(*key, selected))),
            SearchKey::All => Key::Known(true),
            SearchKey::Sequence(set) => Key::Sequence(set.resolve(u32::try_from(view.len()).unwrap_or(u32::MAX))),
            SearchKey::Uid(set) => Key::Uid(set.resolve(view.last().map_or(0, |e| e.uid.0))),
            SearchKey::Flag(flag, set) => Key::Flag(flag, set),
            SearchKey::Keyword(name, set) => match view.keywords.find(&name) {
                Some(flag) => Key::Flag(flag, set),
                None => Key::Known(!set),
            },
            // Nothing is recent here: sessions are not told apart by who came first.
            SearchKey::Recent(recent) => Key::Known(!recent),
            SearchKey::Header(name, text) => self.header(name, &text),
            SearchKey::Body(text) => self.content(&text, false),
            SearchKey::Text(text) => self.content(&text, true),
            SearchKey::Larger(size) => Key::Larger(size),
            SearchKey::Smaller(size) => Key::Smaller(size),
            SearchKey::Internal(test, day) => Key::Internal(test, day),
            SearchKey::Sent(test, day) => Key::Sent(test, day),
            SearchKey::ModSeq(modseq) => Key::ModSeq(modseq),
        }
    }

    fn header(&mut self, name: String, text: &str) -> Key {
        let field = match name.to_ascii_lowercase().as_str() {
            "subject" => Some(EnvelopeField::Subject),
            "message-id" => Some(EnvelopeField::MessageId),
            "in-reply-to" => Some(EnvelopeField::InReplyTo),
            "from" => Some(EnvelopeField::From),
            "to" => Some(EnvelopeField::To),
            "cc" => Some(EnvelopeField::Cc),
            "bcc" => Some(EnvelopeField::Bcc),
            _ => None,
        };
        let text = fold(text);
        match field {
            // That a field is there although nothing is in it, ENVELOPE does not tell.
            Some(field) if !text.is_empty() => Key::Envelope(field, text),
            _ => {
                self.needs_header = true;
                Key::Header(name, text)
            }
        }
    }

    fn content(&mut self, text: &str, header_too: bool) -> Key {
        if text.is_empty() {
            return Key::Known(true);
        }
        self.sought.push(Sought { text: fold(text), header_too });
        Key::Content(self.sought.len() - 1)
    }
}

impl Key {
    fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        let entry = facts.entry;
        match self {
            Key::Known(known) => Some(*known),
            Key::And(keys) => {
                let mut verdict = Some(true);
                for key in keys {
                    match key.judge(facts) {
                        Some(false) => return Some(false),
                        None => verdict = None,
                        Some(true) => {}
                    }
                }
                verdict
            }
            Key::Or(a, b) => match (a.judge(facts), b.judge(facts)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Key::Not(key) => key.judge(facts).map(|verdict| !verdict),
            Key::Sequence(set) => Some(set.contains(facts.position + 1)),
            Key::Uid(set) => Some(set.contains(entry.uid.0)),
            Key::Flag(flag, set) => Some(entry.flags.contains(*flag) == *set),
            Key::Larger(size) => Some(u64::from(entry.size) > *size),
            Key::Smaller(size) => Some(u64::from(entry.size) < *size),
            Key::Internal(test, day) => {
                let date = mail::date::Moment::utc(entry.internal_date).date();
                Some(compare(*test, date, *day))
            }
            Key::ModSeq(modseq) => Some(entry.modseq.0 >= *modseq),
            Key::Sent(test, day) => {
                let sent = facts.structure?.sent;
                Some(sent.is_some_and(|moment| compare(*test, moment.date(), *day)))
            }
            Key::Envelope(field, text) => Some(in_envelope(facts.structure?, *field, text)),
            Key::Header(name, text) => Some(facts.header?.has(name, text)),
            Key::Content(number) => facts.contents?.get(*number).copied(),
        }
    }
}

fn compare(test: DateTest, date: Date, day: Date) -> bool {
    match test {
        DateTest::Before => date < day,
        DateTest::On => date == day,
        DateTest::Since => date >= day,
    }
}

fn in_envelope(structure: &Structure, field: EnvelopeField, text: &str) -> bool {
    let envelope = &structure.envelope;
    let in_text = |value: &Option<String>| value.as_deref().is_some_and(|v| fold_words(v).contains(text));
    match field {
        EnvelopeField::Subject => in_text(&envelope.subject),
        EnvelopeField::MessageId => in_text(&envelope.message_id),
        EnvelopeField::InReplyTo => in_text(&envelope.in_reply_to),
        EnvelopeField::From => addresses(&envelope.from).contains(text),
        EnvelopeField::To => addresses(&envelope.to).contains(text),
        EnvelopeField::Cc => addresses(&envelope.cc).contains(text),
        EnvelopeField::Bcc => addresses(&envelope.bcc).contains(text),
    }
}

/// Addresses as one text to search.
fn addresses(list: &[Address]) -> String {
    let mut text = String::new();
    for address in list {
        let separator = if text.is_empty() { "" } else { ", " };
        match address {
            Address::Mailbox { name: Some(name), local, domain, .. } => {
                text.push_str(&format!("{separator}{} <{local}@{domain}>", mail::header::decode_words(name)));
            }
            Address::Mailbox { name: None, local, domain, .. } => {
                text.push_str(&format!("{separator}{local}@{domain}"))
            }
            Address::GroupStart(name) => text.push_str(&format!("{separator}{}:", mail::header::decode_words(name))),
            Address::GroupEnd => text.push(';'),
        }
    }
    fold(&text)
}
