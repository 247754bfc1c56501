//! Searching mailboxes: an index for each, filled in the background, and an exact scan of what it does not know.
//!
//! Invariants:
//! * an answer is exact: what a body's index entry cannot tell is read from the body itself;
//! * delivery waits for nothing here: the index follows the store from a thread of its own, of low priority, a few seconds behind;
//! * an index is a cache under `<data>/search/<mailbox>/`, sealed with a key derived from the mailbox's: where that key is not to be
//!   had, everything is scanned, and nothing is written.
//!
//! Memory: [`MAX_OPEN`] indexes open, each a few megabytes at most; [`SEEKERS`] searches of an index, [`SCANNERS`] messages being
//! read, one batch being indexed.

mod indexer;
mod scan;

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::bits::Bits;
use mail::sought::Sought;
use search::{Answer, Index};
use store::{MailboxId, Store};
use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio::time::Instant;

/// Indexes open at once. Each keeps some tens of files open.
const MAX_OPEN: usize = 32;
/// Threads that read messages for searches, all sessions together: a search must not take the machine.
const SCANNERS: usize = 2;
/// Searches of indexes at once, all sessions together; the others wait their turn. Each has two threads for some milliseconds, and
/// one of a phrase may take 12 MB for each of them.
const SEEKERS: usize = 4;
/// How long one call may take before it answers what it has, so that the session can tell how far it is.
const CALL: Duration = Duration::from_millis(800);
/// What the key of the index is derived for.
const PURPOSE: &str = "search";

/// Which bodies have the texts sought; see [`imap::backend::Seeking`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many of the bodies asked for were judged, from the first.
    pub judged: usize,
    /// For each text, those of them that have it, by their places in the list.
    pub matching: Vec<Bits>,
}

/// Searches the mailboxes of a store.
pub struct Searcher {
    store: Arc<dyn Store>,
    folder: PathBuf,
    slots: Mutex<HashMap<MailboxId, Arc<Slot>>>,
    clock: AtomicU64,
    scanners: Arc<Semaphore>,
    seekers: Arc<Semaphore>,
    /// Mailboxes whose index lacks something that was searched: they come first.
    missed: Mutex<Vec<MailboxId>>,
    wake: Notify,
}

/// The place of one mailbox's index: one, so that a folder is never open twice.
#[derive(Default)]
struct Slot {
    index: OnceCell<Arc<Index>>,
    /// When it was last used, by the searcher's own count.
    used: AtomicU64,
    /// Bodies up to this number are indexed or cannot be; 0 at first: everything is compared with what the index has.
    done: AtomicU64,
    /// How many files the index had lost when `done` was counted.
    losses: AtomicU64,
}

impl Searcher {
    /// Searches `store`; indexes go into `folder`, made private.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(store: Arc<dyn Store>, folder: &Path) -> std::io::Result<Arc<Self>> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Arc::new(Searcher {
            store,
            folder: folder.to_owned(),
            slots: Mutex::default(),
            clock: AtomicU64::new(0),
            scanners: Arc::new(Semaphore::new(SCANNERS)),
            seekers: Arc::new(Semaphore::new(SEEKERS)),
            missed: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    fn folder_of(&self, mailbox: MailboxId) -> PathBuf {
        self.folder.join(mailbox.0.to_string())
    }

    /// The mailbox's place, and its index when one can be had.
    async fn slot(&self, mailbox: MailboxId) -> (Arc<Slot>, Option<Arc<Index>>) {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if !slots.contains_key(&mailbox) && slots.len() >= MAX_OPEN {
                // Those nobody uses: an index must not be opened again while it is open.
                let idle = slots.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1);
                let oldest = idle.min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed)).map(|(id, _)| *id);
                oldest.and_then(|id| slots.remove(&id));
            }
            slots.entry(mailbox).or_default().clone()
        };
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let opened = slot.index.get_or_try_init(|| self.open(mailbox)).await;
        let index = opened.map_err(|why| tracing::debug!(mailbox = mailbox.0, "no search index: {why}")).ok().cloned();
        (slot, index)
    }

    async fn open(&self, mailbox: MailboxId) -> Result<Arc<Index>, Unavailable> {
        let key = self.store.derived_key(mailbox, PURPOSE).await?;
        let folder = self.folder_of(mailbox);
        let opened = tokio::task::spawn_blocking(move || Index::open(&folder, key)).await;
        Ok(Arc::new(opened.map_err(|_| Unavailable::Thread)??))
    }

    /// Judges which of `bodies` (ascending, each once) have each text: at least one of them, and answers after about a second.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn seek(&self, mailbox: MailboxId, sought: &[Sought], bodies: &Arc<Vec<u64>>) -> store::Result<Judged> {
        let until = Instant::now() + CALL;
        let Answer { mut matching, unknown } = self.indexed(mailbox, sought, bodies).await;
        if unknown.is_empty() {
            return Ok(Judged { judged: bodies.len(), matching });
        }
        let places: Vec<u32> = unknown.iter().collect();
        let unknown = places.iter().map(|at| bodies[*at as usize]).collect();
        let scanned = self.scan(mailbox, sought, unknown, until).await?;
        let judged = scanned.next.map_or(bodies.len(), |next| places[next] as usize);
        for (all, more) in matching.iter_mut().zip(scanned.matching) {
            more.into_iter().for_each(|scanned| all.set(places[scanned]));
            all.clear_from(judged);
        }
        Ok(Judged { judged, matching })
    }

    /// What the index tells, and the bodies it says nothing of.
    async fn indexed(&self, mailbox: MailboxId, sought: &[Sought], bodies: &Arc<Vec<u64>>) -> Answer {
        let nothing =
            || Answer { matching: vec![Bits::none(bodies.len()); sought.len()], unknown: Bits::all(bodies.len()) };
        let (slot, Some(index)) = self.slot(mailbox).await else { return nothing() };
        let turn = self.seekers.clone().acquire_owned().await;
        let (sought_too, bodies_too) = (sought.to_vec(), bodies.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let answer = index.seek(&sought_too, &bodies_too);
            // Held until the search is over: the index must not be opened again meanwhile.
            drop((slot, turn));
            answer
        });
        let Ok(answer) = asked.await else { return nothing() };
        if !answer.unknown.is_empty() {
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            if !missed.contains(&mailbox) {
                missed.push(mailbox);
                self.wake.notify_one();
            }
        }
        answer
    }

    /// Removes the index of a mailbox that is no more.
    pub async fn forget(&self, mailbox: MailboxId) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&mailbox);
        let folder = self.folder_of(mailbox);
        let removed = tokio::task::spawn_blocking(move || Index::forget(&folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(mailbox = mailbox.0, "a search index is not removed: {error}");
        }
    }
}

/// Why a mailbox has no index now.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Index(#[from] search::IndexError),
    #[error("a thread ended")]
    Thread,
}

#[cfg(test)]
mod tests;
