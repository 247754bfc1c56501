//! The tree: what is sought, resolved against the folder, and what one message answers to it.

use mail::bits::Bits;
use mail::date::Moment;
use mail::sequence::Ranges;
use mail::sought::{Place, Sought};
use mail::{Entry, Flags};
use time::Date;

use super::super::selected::Selected;
use crate::command::{DateTest, SearchKey};
use crate::objectid;

/// Keys up to which all messages are judged together: an answer to more of them is made message by message, with pauses for others.
const TOGETHER: usize = 256;

/// A search ready to judge messages.
pub(in super::super) struct Plan {
    key: Key,
    sought: Vec<Sought>,
    sent: bool,
    modseq: bool,
    /// How many keys there are, and whether some of them looks at a message itself and not at its texts.
    keys: usize,
    looks: bool,
}

/// A search key whose names are resolved.
enum Key {
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
    Saved(DateTest, Date),
    /// Internal date at this second or before it.
    Until(i64),
    /// Internal date at this second or after it.
    From(i64),
    ModSeq(u64),
    Body(u64),
    Thread(u32),
    Sent(DateTest, Date),
    /// A text of [`Plan::sought`].
    Text(usize),
}

/// What is known of a message.
pub(super) struct Facts<'f> {
    position: u32,
    entry: &'f Entry,
    /// When it was sent, if its Date can be read.
    pub(super) sent: Option<Option<Moment>>,
    /// Which of the texts sought it has.
    pub(super) texts: Option<Texts<'f>>,
}

/// What was found out of the texts of some messages.
#[derive(Clone, Copy)]
pub(super) struct Texts<'f> {
    /// For each text sought, the bodies that have it.
    pub(super) matching: &'f [Bits],
    /// Which of the bodies is the message's.
    pub(super) at: u32,
}

impl<'f> Facts<'f> {
    /// What the view tells.
    pub(super) fn of_view(position: u32, entry: &'f Entry) -> Self {
        Facts { position, entry, sent: None, texts: None }
    }
}

impl Plan {
    /// Resolves numbers and names against what the client knows; `now` in seconds since 1970.
    pub(in super::super) fn new(key: SearchKey, selected: &Selected, now: i64) -> Self {
        let nothing_yet = Key::Known(true);
        let mut plan = Plan { key: nothing_yet, sought: Vec::new(), sent: false, modseq: false, keys: 0, looks: false };
        plan.key = plan.resolve(key, selected, now);
        plan
    }

    /// Whether some key wants the date of sending.
    pub(super) fn needs_sent(&self) -> bool {
        self.sent
    }

    /// Whether MODSEQ was among the keys: the answer then tells the highest (RFC 7162 §3.1.5).
    pub(in super::super) fn names_modseq(&self) -> bool {
        self.modseq
    }

    /// The texts sought, each once.
    pub(super) fn sought(&self) -> &[Sought] {
        &self.sought
    }

    /// How many keys there are: what judging one message may cost.
    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// Whether some key looks at messages themselves. If not, what the view tells of one it tells of all.
    pub(super) fn looks_at_messages(&self) -> bool {
        self.looks
    }

    /// Of so many bodies, those that match, when texts alone decide.
    pub(super) fn by_texts_alone(&self, matching: &[Bits], bodies: usize) -> Option<Bits> {
        if self.looks || self.keys > TOGETHER { None } else { self.key.of_texts(matching, bodies) }
    }

    /// Whether the message matches; `None` when that is not known yet.
    pub(super) fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        self.key.judge(facts)
    }

    // The parser bounds the depth of keys, and so this recursion and that of `judge`.
    fn resolve(&mut self, key: SearchKey, selected: &Selected, now: i64) -> Key {
        let view = &selected.told;
        self.keys += 1;
        self.looks |= !matches!(
            key,
            SearchKey::And(_)
                | SearchKey::Or(..)
                | SearchKey::Not(_)
                | SearchKey::All
                | SearchKey::Header(..)
                | SearchKey::Body(_)
                | SearchKey::Text(_)
        );
        match key {
            SearchKey::And(keys) => Key::And(keys.into_iter().map(|k| self.resolve(k, selected, now)).collect()),
            SearchKey::Or(a, b) => {
                Key::Or(Box::new(self.resolve(*a, selected, now)), Box::new(self.resolve(*b, selected, now)))
            }
            SearchKey::Not(key) => Key::Not(Box::new(self.resolve(*key, selected, now))),
            SearchKey::All => Key::Known(true),
            SearchKey::Sequence(set) | SearchKey::Uid(set) if set.is_saved() => Key::Uid(selected.saved.clone()),
            SearchKey::Sequence(set) => Key::Sequence(set.resolve(u32::try_from(view.len()).unwrap_or(u32::MAX))),
            SearchKey::Uid(set) => Key::Uid(set.resolve(view.last().map_or(0, |e| e.uid.0))),
            SearchKey::Flag(flag, set) => Key::Flag(flag, set),
            SearchKey::Keyword(name, set) => match view.keywords.find(&name) {
                Some(flag) => Key::Flag(flag, set),
                None => Key::Known(!set),
            },
            // Nothing is recent here: sessions are not told apart by who came first.
            SearchKey::Recent(recent) => Key::Known(!recent),
            SearchKey::Header(name, text) => self.text(Place::Field(name.to_ascii_lowercase()), text),
            // Everything has the empty text.
            SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Key::Known(true),
            SearchKey::Body(text) => self.text(Place::Body, text),
            SearchKey::Text(text) => self.text(Place::Text, text),
            SearchKey::Larger(size) => Key::Larger(size),
            SearchKey::Smaller(size) => Key::Smaller(size),
            SearchKey::Internal(test, day) => Key::Internal(test, day),
            SearchKey::Saved(test, day) => Key::Saved(test, day),
            SearchKey::SaveDateSupported => Key::Known(true),
            SearchKey::Older(seconds) => Key::Until(now - i64::from(seconds)),
            SearchKey::Younger(seconds) => Key::From(now - i64::from(seconds)),
            SearchKey::EmailId(id) => objectid::email(&id).map_or(Key::Known(false), Key::Body),
            SearchKey::ThreadId(id) => objectid::thread(&id).map_or(Key::Known(false), Key::Thread),
            SearchKey::Sent(test, day) => {
                self.sent = true;
                Key::Sent(test, day)
            }
            SearchKey::ModSeq(modseq) => {
                self.modseq = true;
                Key::ModSeq(modseq)
            }
        }
    }

    fn text(&mut self, place: Place, text: String) -> Key {
        let sought = Sought { place, text };
        let known = self.sought.iter().position(|s| *s == sought);
        Key::Text(known.unwrap_or_else(|| {
            self.sought.push(sought);
            self.sought.len() - 1
        }))
    }
}

impl Key {
    /// Of so many bodies, those that match; `None` when something else than texts decides.
    fn of_texts(&self, matching: &[Bits], bodies: usize) -> Option<Bits> {
        Some(match self {
            Key::Known(true) => Bits::all(bodies),
            Key::Known(false) => Bits::none(bodies),
            Key::And(keys) => {
                let mut all = Bits::all(bodies);
                for key in keys {
                    all.and(&key.of_texts(matching, bodies)?);
                }
                all
            }
            Key::Or(a, b) => {
                let mut either = a.of_texts(matching, bodies)?;
                either.or(&b.of_texts(matching, bodies)?);
                either
            }
            Key::Not(key) => {
                let mut others = key.of_texts(matching, bodies)?;
                others.invert();
                others
            }
            Key::Text(number) => matching.get(*number)?.clone(),
            _ => return None,
        })
    }

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
            Key::Internal(test, day) => Some(compare(*test, entry.internal_date, *day)),
            // Mail kept before the store noted it has no other date (RFC 8514 §4.3).
            Key::Saved(test, day) if entry.saved == 0 => Some(compare(*test, entry.internal_date, *day)),
            Key::Saved(test, day) => Some(compare(*test, entry.saved.into(), *day)),
            Key::Until(second) => Some(entry.internal_date <= *second),
            Key::From(second) => Some(entry.internal_date >= *second),
            Key::ModSeq(modseq) => Some(entry.modseq.0 >= *modseq),
            Key::Body(body) => Some(entry.body == *body),
            Key::Thread(thread) => Some(entry.thread == *thread),
            Key::Sent(test, day) => Some(facts.sent?.is_some_and(|moment| on(*test, moment.date(), *day))),
            Key::Text(number) => facts.texts.and_then(|texts| Some(texts.matching.get(*number)?.has(texts.at))),
        }
    }
}

fn compare(test: DateTest, seconds: i64, day: Date) -> bool {
    on(test, Moment::utc(seconds).date(), day)
}

fn on(test: DateTest, date: Date, day: Date) -> bool {
    match test {
        DateTest::Before => date < day,
        DateTest::On => date == day,
        DateTest::Since => date >= day,
    }
}
