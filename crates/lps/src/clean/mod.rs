//! Deleting from a BAL what was processed, and nothing else. ECO-CLEAN; client.md §2.8: a BAL is no record, and what was filed is to
//! be deleted from it.
//!
//! A message is *processed* when the [`Journal`] says that the host program filed it and that the operator has its notice, where one
//! is due. Invariants:
//! * what the journal does not know, was refused, or waits for its notice is never touched, however old it is; nor is what a
//!   person flagged;
//! * [`plan`] changes nothing and says of every message what would become of it and why;
//! * a message is deleted by its UID (UID EXPUNGE: nobody else's deletions are carried out), under the UIDVALIDITY of the plan, and
//!   only while its Message-ID is the journal's;
//! * a kill in the middle is taken up by the next plan: what is gone is noted.

mod error;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

pub use error::CleanError;

use crate::explain::Language;
use crate::intake::Mailbox;
use crate::journal::{Answer, Entry, Event, Filed, Journal, Key, Place};
use crate::session::{Listing, Summary};

/// Messages deleted with one command: what is checked just before stays true for as long as it takes.
const BATCH: usize = 100;

/// What besides being processed lets a message go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// How long after it was filed a message stays. Nothing goes by its age alone.
    pub keep: Duration,
}

/// Why a message stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The journal does not know it.
    Unknown,
    /// It was begun and never filed.
    NotFiled,
    /// Its documents were refused: people must look.
    Refused,
    /// Its notice waits to be sent, or will never go.
    NoticeNotSent,
    /// It is not so long that it was filed.
    Recent,
    /// A person flagged it.
    Flagged,
    /// Its Message-ID is not the one the journal knows at this place.
    Other,
}

impl Why {
    /// Stable, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Why::Unknown => "unknown",
            Why::NotFiled => "not-filed",
            Why::Refused => "refused",
            Why::NoticeNotSent => "notice-not-sent",
            Why::Recent => "recent",
            Why::Flagged => "flagged",
            Why::Other => "other",
        }
    }

    /// For people.
    #[must_use]
    pub fn message(self, language: Language) -> &'static str {
        match self {
            Why::Unknown => language.pick("n'a pas été traité par ce logiciel", "was not processed by this software"),
            Why::NotFiled => language.pick("n'a pas été intégré", "was not filed"),
            Why::Refused => language.pick("a été refusé : à examiner", "was refused: to be looked at"),
            Why::NoticeNotSent => {
                language.pick("son accusé d'intégration n'est pas parti", "its integration notice has not gone")
            }
            Why::Recent => language.pick("a été intégré trop récemment", "was filed too recently"),
            Why::Flagged => language.pick("est marqué comme important", "is flagged"),
            Why::Other => language.pick("n'est pas celui que le journal connaît", "is not the one the journal knows"),
        }
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It is deleted: filed, and its notice sent or none due.
    Delete,
    /// It stays.
    Keep(Why),
}

/// A message of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its UID.
    pub uid: u32,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// Its octets.
    pub size: u64,
    /// What becomes of it.
    pub decision: Decision,
    key: Option<Key>,
}

/// What a clean-up would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The folder.
    pub folder: String,
    /// Its UIDVALIDITY.
    pub validity: u32,
    /// Every message, ascending by UID.
    pub items: Vec<Item>,
    /// Messages of the journal that are no longer there: deleted by somebody else, or before a kill.
    gone: Vec<(Key, Place)>,
}

/// What a clean-up did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// Messages deleted.
    pub deleted: usize,
    /// Octets they had.
    pub octets: u64,
    /// Messages that were to be deleted and changed meanwhile: they stay.
    pub spared: usize,
}

/// What would be deleted of a folder, and what would stay and why. Changes nothing.
///
/// # Errors
/// [`CleanError::Mailbox`].
pub async fn plan(
    mailbox: &dyn Mailbox,
    journal: &Journal,
    folder: &str,
    rule: Rule,
    now: OffsetDateTime,
) -> Result<Plan, CleanError> {
    let validity = mailbox.validity(folder).await.map_err(CleanError::Mailbox)?;
    let listed = mailbox.list(folder, &Listing::all()).await.map_err(CleanError::Mailbox)?;
    let mut known: HashMap<u32, (Key, Entry)> = HashMap::new();
    for (key, entry) in journal.entries() {
        for place in entry.places.iter().filter(|place| place.folder == folder && place.validity == validity) {
            known.insert(place.uid, (key.clone(), entry.clone()));
        }
    }
    let items = listed
        .iter()
        .map(|summary| {
            let found = known.remove(&summary.uid);
            let decision = match &found {
                None => Decision::Keep(Why::Unknown),
                Some((_, entry)) => decide(summary, entry, rule, now),
            };
            Item {
                uid: summary.uid,
                message_id: summary.message_id(),
                size: summary.size,
                decision,
                key: found.map(|(key, _)| key),
            }
        })
        .collect();
    let gone =
        known.into_iter().map(|(uid, (key, _))| (key, Place { folder: folder.to_owned(), validity, uid })).collect();
    Ok(Plan { folder: folder.to_owned(), validity, items, gone })
}

fn decide(summary: &Summary, entry: &Entry, rule: Rule, now: OffsetDateTime) -> Decision {
    let keep = Decision::Keep;
    if !is_same(summary, entry) {
        return keep(Why::Other);
    }
    match (&entry.filed, entry.answer) {
        (None, _) => return keep(Why::NotFiled),
        (Some(Filed::Refused(_)), _) => return keep(Why::Refused),
        (Some(Filed::Done), Answer::Open | Answer::Stamped | Answer::Queued) => {
            return keep(Why::NoticeNotSent);
        }
        (Some(Filed::Done), Answer::Sent | Answer::NotDue) | (Some(Filed::Noted), _) => {}
    }
    if summary.has("\\Flagged") {
        return keep(Why::Flagged);
    }
    match entry.filed_at {
        Some(at) if at + rule.keep <= now && entry.is_processed() => Decision::Delete,
        _ => keep(Why::Recent),
    }
}

/// Whether it is still the message the journal knows. One without a Message-ID is known by its place alone.
fn is_same(summary: &Summary, entry: &Entry) -> bool {
    summary.message_id() == entry.message_id
}

impl Plan {
    /// What is to be deleted.
    pub fn deletions(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.decision == Decision::Delete)
    }

    /// Carries the plan out. Whatever changed since it was made is spared. What is deleted is in the journal, and in the traces of
    /// the session.
    ///
    /// # Errors
    /// [`CleanError`]: what was deleted before is noted, or will be by the next plan.
    pub async fn carry_out(
        &self,
        mailbox: &dyn Mailbox,
        journal: &Journal,
        now: OffsetDateTime,
    ) -> Result<Cleaned, CleanError> {
        let mut cleaned = Cleaned::default();
        if mailbox.validity(&self.folder).await.map_err(CleanError::Mailbox)? != self.validity {
            return Err(CleanError::FolderChanged);
        }
        for (key, place) in &self.gone {
            journal.record(Event::Cleaned { key: key.clone(), place: place.clone(), at: now }).await?;
        }
        let wanted: Vec<&Item> = self.deletions().collect();
        for batch in wanted.chunks(BATCH) {
            let uids: Vec<u32> = batch.iter().map(|item| item.uid).collect();
            let listed = mailbox.list(&self.folder, &Listing::uids(&uids)).await.map_err(CleanError::Mailbox)?;
            let mut sure: Vec<(&Item, &Key)> = Vec::new();
            for item in batch {
                let summary = listed.iter().find(|summary| summary.uid == item.uid);
                let entry = item.key.as_ref().and_then(|key| Some((key, journal.get(key)?)));
                match (summary, entry) {
                    (Some(summary), Some((key, entry)))
                        if is_same(summary, &entry) && entry.is_processed() && !summary.has("\\Flagged") =>
                    {
                        sure.push((item, key));
                    }
                    _ => cleaned.spared += 1,
                }
            }
            if sure.is_empty() {
                continue;
            }
            let uids: Vec<u32> = sure.iter().map(|(item, _)| item.uid).collect();
            mailbox.expunge(&self.folder, &uids).await.map_err(CleanError::Mailbox)?;
            for (item, key) in sure {
                let place = Place { folder: self.folder.clone(), validity: self.validity, uid: item.uid };
                journal.record(Event::Cleaned { key: key.clone(), place, at: now }).await?;
                cleaned.deleted += 1;
                cleaned.octets += item.size;
            }
        }
        Ok(cleaned)
    }
}
