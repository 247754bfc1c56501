//! The pictures of folders that sessions look at, kept up to date by whoever commits.
//!
//! Invariants:
//! * only the committer calls [`Views::publish`], after a commit and before it is answered, in the order of the commits;
//! * a view is kept while a receiver lives; a sender without receivers is forgotten at the next occasion;
//! * a folder or mailbox that is gone drops its sender: receivers see the channel closed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{Entry, Flags, Keywords, ModSeq, Uid, View};
use tokio::sync::watch;

use crate::{FolderId, MailboxId};

/// A folder, anywhere.
pub(crate) type Key = (MailboxId, FolderId);

/// Something a commit changed that somebody may be looking at.
#[derive(Debug)]
pub(crate) enum Change {
    /// A message came, with a new body.
    Push(Key, Entry),
    /// Copies came (UIDs ascending).
    Extend(Key, Vec<Entry>),
    /// Flags of messages changed.
    Flags(Key, Vec<(Uid, Flags)>, ModSeq),
    /// Messages went (ascending).
    Remove(Key, Vec<Uid>, ModSeq),
    /// The folder knows more keywords.
    Keywords(Key, Keywords, ModSeq),
    /// The folder is gone.
    FolderGone(Key),
    /// The set of folders of the mailbox changed, or one of their properties.
    Folders(MailboxId),
    /// Annotations of the mailbox, or of a folder of it, changed.
    Annotations(MailboxId),
    /// The mailbox is gone.
    MailboxGone(MailboxId),
    /// Somebody looks at the folder from now on; the sender holds what it showed before this commit.
    Open(Key, watch::Sender<Arc<View>>),
}

impl Change {
    fn mailbox(&self) -> MailboxId {
        match self {
            Change::Push((mailbox, _), _)
            | Change::Extend((mailbox, _), _)
            | Change::Flags((mailbox, _), ..)
            | Change::Remove((mailbox, _), ..)
            | Change::Keywords((mailbox, _), ..)
            | Change::FolderGone((mailbox, _))
            | Change::Open((mailbox, _), _)
            | Change::Folders(mailbox)
            | Change::Annotations(mailbox)
            | Change::MailboxGone(mailbox) => *mailbox,
        }
    }
}

/// How many senders may lie about before those without receivers are swept.
const SWEEP_AT: usize = 1024;

/// The registry.
#[derive(Default)]
pub(crate) struct Views {
    folders: Mutex<HashMap<Key, watch::Sender<Arc<View>>>>,
    mailboxes: Counters,
    annotations: Counters,
    /// Mailboxes that received bodies and that nobody asked about since.
    arrivals: Mutex<HashSet<MailboxId>>,
}

/// What of each mailbox moves with every change of some kind.
#[derive(Default)]
struct Counters(Mutex<HashMap<MailboxId, watch::Sender<u64>>>);

impl Counters {
    fn subscribe(&self, mailbox: MailboxId) -> watch::Receiver<u64> {
        let mut counters = lock(&self.0);
        if counters.len() >= SWEEP_AT && counters.len().is_power_of_two() {
            counters.retain(|_, sender| sender.receiver_count() > 0);
        }
        counters.entry(mailbox).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Moves those of some mailboxes (each once), and forgets those that nobody looks at.
    fn advance(&self, mut mailboxes: Vec<MailboxId>) {
        if mailboxes.is_empty() {
            return;
        }
        mailboxes.sort_unstable();
        mailboxes.dedup();
        let mut counters = lock(&self.0);
        for mailbox in mailboxes {
            if let Some(sender) = counters.get(&mailbox) {
                if sender.receiver_count() == 0 {
                    counters.remove(&mailbox);
                } else {
                    sender.send_modify(|count| *count += 1);
                }
            }
        }
    }
}

/// The maps stay consistent whatever panics: every change of them is one insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Views {
    /// The view of a folder somebody looks at already.
    pub(crate) fn subscribe(&self, key: Key) -> Option<watch::Receiver<Arc<View>>> {
        lock(&self.folders).get(&key).map(watch::Sender::subscribe)
    }

    /// What those who look at a folder see now, if anybody does.
    pub(crate) fn current(&self, key: Key) -> Option<Arc<View>> {
        lock(&self.folders).get(&key).map(|sender| sender.borrow().clone())
    }

    /// The counter of a mailbox; the caller has seen that the mailbox exists.
    pub(crate) fn subscribe_mailbox(&self, mailbox: MailboxId) -> watch::Receiver<u64> {
        self.mailboxes.subscribe(mailbox)
    }

    /// The counter of a mailbox's annotations; the caller has seen that the mailbox exists.
    pub(crate) fn subscribe_annotations(&self, mailbox: MailboxId) -> watch::Receiver<u64> {
        self.annotations.subscribe(mailbox)
    }

    /// How many folders are shown to somebody, or were.
    pub(crate) fn open(&self) -> usize {
        lock(&self.folders).len()
    }

    /// Mailboxes somebody looks at.
    pub(crate) fn mailboxes(&self) -> Vec<MailboxId> {
        let mut ids: Vec<MailboxId> = lock(&self.folders).keys().map(|(mailbox, _)| *mailbox).collect();
        ids.extend(lock(&self.mailboxes.0).keys());
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Notes that mailboxes received bodies, which are on disk.
    pub(crate) fn note_arrivals(&self, mailboxes: impl IntoIterator<Item = MailboxId>) {
        lock(&self.arrivals).extend(mailboxes);
    }

    /// Mailboxes that received bodies since the last call.
    pub(crate) fn take_arrivals(&self) -> Vec<MailboxId> {
        std::mem::take(&mut *lock(&self.arrivals)).into_iter().collect()
    }

    /// Forgets everything: receivers see their channels closed and have to open again.
    pub(crate) fn forget_all(&self) {
        lock(&self.folders).clear();
        lock(&self.mailboxes.0).clear();
        lock(&self.annotations.0).clear();
    }

    /// Shows what commits changed.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        // First: a picture that could not follow must not keep what came from being told.
        self.note_arrivals(changes.iter().filter_map(|change| match change {
            Change::Push((mailbox, _), _) => Some(*mailbox),
            _ => None,
        }));
        let mut touched: Vec<MailboxId> = Vec::new();
        let mut annotated: Vec<MailboxId> = Vec::new();
        {
            let mut folders = lock(&self.folders);
            let mut working: HashMap<Key, View> = HashMap::new();
            for change in changes {
                match change {
                    Change::Open(..) => {}
                    Change::Annotations(mailbox) => annotated.push(mailbox),
                    _ => touched.push(change.mailbox()),
                }
                apply(&mut folders, &mut working, change);
            }
            for (key, view) in working {
                if let Some(sender) = folders.get(&key) {
                    if sender.receiver_count() == 0 {
                        folders.remove(&key);
                    } else {
                        sender.send_replace(Arc::new(view));
                    }
                }
            }
            if folders.len() >= SWEEP_AT && folders.len().is_power_of_two() {
                folders.retain(|_, sender| sender.receiver_count() > 0);
            }
        }
        self.mailboxes.advance(touched);
        self.annotations.advance(annotated);
    }

    /// Drops the counters of a mailbox that is gone, after [`Views::publish`] showed it.
    pub(crate) fn forget_mailbox(&self, mailbox: MailboxId) {
        lock(&self.folders).retain(|(owner, _), _| *owner != mailbox);
        lock(&self.mailboxes.0).remove(&mailbox);
        lock(&self.annotations.0).remove(&mailbox);
        lock(&self.arrivals).remove(&mailbox);
    }
}

fn apply(folders: &mut HashMap<Key, watch::Sender<Arc<View>>>, working: &mut HashMap<Key, View>, change: Change) {
    let key = match &change {
        Change::Push(key, _)
        | Change::Extend(key, _)
        | Change::Flags(key, ..)
        | Change::Remove(key, ..)
        | Change::Keywords(key, ..) => *key,
        Change::FolderGone(key) => {
            working.remove(key);
            folders.remove(key);
            return;
        }
        Change::Open(..) => {
            if let Change::Open(key, sender) = change {
                folders.insert(key, sender);
            }
            return;
        }
        Change::MailboxGone(mailbox) => {
            working.retain(|(owner, _), _| owner != mailbox);
            folders.retain(|(owner, _), _| owner != mailbox);
            return;
        }
        Change::Folders(_) | Change::Annotations(_) => return,
    };
    let view = match working.entry(key) {
        std::collections::hash_map::Entry::Occupied(view) => view.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => {
            let Some(sender) = folders.get(&key) else { return };
            // Cloned in its own statement: the borrow of the channel must not outlive it.
            let view = View::clone(&sender.borrow());
            place.insert(view)
        }
    };
    match change {
        Change::Push(_, entry) => view.push(entry),
        Change::Extend(_, entries) => view.extend(entries),
        Change::Flags(_, messages, modseq) => {
            view.update_all(&messages, modseq);
            view.highest_modseq = view.highest_modseq.max(modseq);
        }
        Change::Remove(_, uids, modseq) => {
            view.remove(&uids);
            view.highest_modseq = view.highest_modseq.max(modseq);
        }
        Change::Keywords(_, keywords, modseq) => {
            view.keywords = keywords;
            view.highest_modseq = view.highest_modseq.max(modseq);
        }
        Change::FolderGone(_)
        | Change::Folders(_)
        | Change::Annotations(_)
        | Change::MailboxGone(_)
        | Change::Open(..) => {}
    }
}
