//! The journal of what was filed and answered: what makes an intake go on after a kill without filing or answering twice, and what
//! a clean-up stands on. ECO-RECEIPT, ECO-CLEAN.
//!
//! One file of JSON lines for a BAL. Invariants:
//! * [`Journal::record`] answers when the line is on disk: an effect is recorded before the next one begins;
//! * a line cut by a crash is taken away when the file is opened; one that cannot be read elsewhere is an error, never skipped;
//! * no name, no INS, no content: Message-IDs, UIDs, codes and digests. Readable by its owner only;
//! * one process at a time (a lock on the file).

mod error;
mod file;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mail::header;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

pub use error::JournalError;
use file::File;

/// How long a message that was cleaned away is remembered, so that it is not filed again when it comes again: servers try for five
/// days, people forward old mail for weeks.
pub const REMEMBERED: Duration = Duration::days(60);

/// What a message is recognised by wherever it lies: SHA-256 of its Message-ID and its body, in hexadecimal. What servers add to the
/// header on its way does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key of a message.
    #[must_use]
    pub fn of(octets: &[u8]) -> Key {
        let body = header::end(octets).unwrap_or(octets.len());
        let id = header::find(&octets[..body], "Message-ID").unwrap_or_default();
        let mut digest = openssl::sha::Sha256::new();
        digest.update(&(id.len() as u64).to_be_bytes());
        digest.update(id.as_bytes());
        digest.update(&octets[body..]);
        Key(digest.finish().iter().map(|octet| format!("{octet:02x}")).collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The folder.
    pub folder: String,
    /// Its UIDVALIDITY: under another one the UID means nothing.
    pub validity: u32,
    /// The UID.
    pub uid: u32,
}

/// What became of a message, for its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filed {
    /// Its documents are in the record.
    Done,
    /// They are not: the codes told.
    Refused(Vec<u16>),
    /// The host program took note of it (a receipt, a notice): nothing is answered.
    Noted,
}

/// What was done. Kept in this order; each is on disk before the next effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The message is about to be given to the host program.
    Begun {
        /// Which.
        key: Key,
        /// Where.
        place: Place,
        /// Its Message-ID.
        message_id: Option<String>,
        /// When.
        #[serde(with = "time::serde::timestamp")]
        at: OffsetDateTime,
    },
    /// The host program has it.
    Filed {
        /// Which.
        key: Key,
        /// What became of it.
        filed: Filed,
        /// When.
        #[serde(with = "time::serde::timestamp")]
        at: OffsetDateTime,
    },
    /// Its notice is about to be made, with this Message-ID and date.
    Answering {
        /// Which.
        key: Key,
        /// Message-ID of the notice.
        notice: String,
        /// Its date.
        #[serde(with = "time::serde::timestamp")]
        date: OffsetDateTime,
    },
    /// No notice is due: none was asked for, or it may not be sent.
    NotDue {
        /// Which.
        key: Key,
    },
    /// Its notice waits to be sent, durably.
    Queued {
        /// Which.
        key: Key,
    },
    /// The operator has its notice.
    Sent {
        /// Which.
        key: Key,
    },
    /// The keywords are set.
    Marked {
        /// Which.
        key: Key,
    },
    /// The same message was met at another place.
    Met {
        /// Which.
        key: Key,
        /// Where.
        place: Place,
    },
    /// It is deleted from that place.
    Cleaned {
        /// Which.
        key: Key,
        /// Where it was.
        place: Place,
        /// When.
        #[serde(with = "time::serde::timestamp")]
        at: OffsetDateTime,
    },
}

impl Event {
    /// The message it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Event::Begun { key, .. }
            | Event::Filed { key, .. }
            | Event::Answering { key, .. }
            | Event::NotDue { key }
            | Event::Queued { key }
            | Event::Sent { key }
            | Event::Marked { key }
            | Event::Met { key, .. }
            | Event::Cleaned { key, .. } => key,
        }
    }
}

/// How far the notice about a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was decided.
    Open,
    /// It has its Message-ID and date; it may or may not wait to be sent.
    Stamped,
    /// None is due.
    NotDue,
    /// It is in the outbox: it waits, or was given up there.
    Queued,
    /// The operator has it.
    Sent,
}

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, as far as known; what was cleaned away is no longer there.
    pub places: Vec<Place>,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// What became of it; none when the host program was never heard to have it.
    pub filed: Option<Filed>,
    /// When.
    pub filed_at: Option<OffsetDateTime>,
    /// Its notice.
    pub answer: Answer,
    /// Message-ID and date of the notice.
    pub notice: Option<(String, OffsetDateTime)>,
    /// Whether the keywords are set.
    pub marked: bool,
    /// When it was last deleted from a place.
    pub cleaned_at: Option<OffsetDateTime>,
    /// When it was begun.
    pub begun_at: OffsetDateTime,
}

impl Entry {
    /// Whether everything was done: filed or noted, and its notice with the operator where one is due. Only such a message may be
    /// cleaned away; one whose documents were refused is settled but for people to see.
    #[must_use]
    pub fn is_processed(&self) -> bool {
        match self.filed {
            Some(Filed::Done) => matches!(self.answer, Answer::Sent | Answer::NotDue),
            Some(Filed::Noted) => true,
            Some(Filed::Refused(_)) | None => false,
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Begun { place, .. } | Event::Met { place, .. } => {
                if !self.places.contains(place) {
                    self.places.push(place.clone());
                }
            }
            Event::Filed { filed, at, .. } => (self.filed, self.filed_at) = (Some(filed.clone()), Some(*at)),
            Event::Answering { notice, date, .. } => {
                (self.answer, self.notice) = (Answer::Stamped, Some((notice.clone(), *date)));
            }
            Event::NotDue { .. } => self.answer = Answer::NotDue,
            Event::Queued { .. } => self.answer = Answer::Queued,
            Event::Sent { .. } => self.answer = Answer::Sent,
            Event::Marked { .. } => self.marked = true,
            Event::Cleaned { place, at, .. } => {
                self.places.retain(|known| known != place);
                self.cleaned_at = Some(*at);
            }
        }
    }

    /// The events that give this entry, for a compact file.
    fn events(&self, key: &Key) -> Vec<Event> {
        let key = || key.clone();
        let mut places = self.places.iter().cloned();
        // One that lies nowhere was cleaned away: a place that no folder has keeps its place in the file.
        let nowhere = Place { folder: String::new(), validity: 0, uid: 0 };
        let first = places.next();
        let mut events = vec![Event::Begun {
            key: key(),
            place: first.clone().unwrap_or_else(|| nowhere.clone()),
            message_id: self.message_id.clone(),
            at: self.begun_at,
        }];
        if let (Some(filed), Some(at)) = (&self.filed, self.filed_at) {
            events.push(Event::Filed { key: key(), filed: filed.clone(), at });
        }
        if let Some((notice, date)) = &self.notice {
            events.push(Event::Answering { key: key(), notice: notice.clone(), date: *date });
        }
        match self.answer {
            Answer::Open | Answer::Stamped => {}
            Answer::NotDue => events.push(Event::NotDue { key: key() }),
            Answer::Queued => events.push(Event::Queued { key: key() }),
            Answer::Sent => events.push(Event::Sent { key: key() }),
        }
        if self.marked {
            events.push(Event::Marked { key: key() });
        }
        events.extend(places.map(|place| Event::Met { key: key(), place }));
        if first.is_none() || self.cleaned_at.is_some() {
            let at = self.cleaned_at.unwrap_or(self.begun_at);
            events.push(Event::Cleaned { key: key(), place: nowhere, at });
        }
        events
    }
}

/// The journal of a BAL. A clone is the same journal.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: File,
    entries: HashMap<Key, Entry>,
    /// A write that failed may have left half a line: nothing is written behind it.
    broken: bool,
}

impl Journal {
    /// Opens the journal in this file, made when it is not there; `now` decides what is old enough to be forgotten. Blocking.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, now: OffsetDateTime) -> Result<Journal, JournalError> {
        let (mut file, events) = File::open(path)?;
        let count = events.len();
        let mut entries: HashMap<Key, Entry> = HashMap::new();
        for event in &events {
            take(&mut entries, event);
        }
        let forgotten =
            |entry: &Entry| entry.places.is_empty() && entry.cleaned_at.is_some_and(|at| at + REMEMBERED < now);
        entries.retain(|_, entry| !forgotten(entry));
        let compact: Vec<Event> = entries.iter().flat_map(|(key, entry)| entry.events(key)).collect();
        /// Lines under which a file is never worth rewriting.
        const SMALL: usize = 1000;
        if count > SMALL && count > 2 * compact.len() {
            file.replace(&compact)?;
        }
        Ok(Journal { inner: Arc::new(Mutex::new(Inner { file, entries, broken: false })) })
    }

    /// Writes a line; on disk when this returns. Waits for the disk elsewhere than on the caller's thread.
    ///
    /// # Errors
    /// [`JournalError`]; what was recorded is then not known, and nothing more is recorded until the journal is opened again.
    pub async fn record(&self, event: Event) -> Result<(), JournalError> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || journal.record_blocking(&event))
            .await
            .unwrap_or_else(|cut| Err(JournalError::Io { what: "writing", source: std::io::Error::other(cut) }))
    }

    /// The same, blocking.
    ///
    /// # Errors
    /// As [`Journal::record`].
    pub fn record_blocking(&self, event: &Event) -> Result<(), JournalError> {
        let mut inner = self.lock();
        if inner.broken {
            return Err(JournalError::Broken);
        }
        if let Err(error) = inner.file.append(event) {
            inner.broken = true;
            return Err(error);
        }
        take(&mut inner.entries, event);
        Ok(())
    }

    /// What is known of a message.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Entry> {
        self.lock().entries.get(key).cloned()
    }

    /// Everything known.
    #[must_use]
    pub fn entries(&self) -> Vec<(Key, Entry)> {
        self.lock().entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// The message known at a place.
    #[must_use]
    pub fn at(&self, place: &Place) -> Option<(Key, Entry)> {
        let inner = self.lock();
        inner
            .entries
            .iter()
            .find(|(_, entry)| entry.places.contains(place))
            .map(|(key, entry)| (key.clone(), entry.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Whoever panicked with the lock changed nothing by halves: entries follow the file.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({} messages)", self.lock().entries.len())
    }
}

/// An event about a message never begun is of a file that lost its beginning: it is kept as well as it can be.
fn take(entries: &mut HashMap<Key, Entry>, event: &Event) {
    let entry = entries.entry(event.key().clone()).or_insert_with(|| Entry {
        places: Vec::new(),
        message_id: None,
        filed: None,
        filed_at: None,
        answer: Answer::Open,
        notice: None,
        marked: false,
        cleaned_at: None,
        begun_at: OffsetDateTime::UNIX_EPOCH,
    });
    if let Event::Begun { message_id, at, .. } = event {
        (entry.message_id, entry.begun_at) = (message_id.clone(), *at);
    }
    entry.apply(event);
}
