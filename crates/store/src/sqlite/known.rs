//! What was read of a folder's name and of a mailbox's access list, kept while nobody changed any such thing: every APPEND asks for it, and each
//! commit of a message makes a reader forget the pages it would find it on.
//!
//! Invariants: what is kept is given only in the epoch in which it was asked for; a new epoch begins with every commit of this store that may change
//! more than messages that come, before it is answered, and when the writer finds that another process wrote, before it does
//! anything else. So whoever was answered finds what they changed; what another process changed is found after the next message at
//! the latest, and what comes into a folder that is gone is refused by the writer, which does not ask here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::FolderName;

use crate::{AccessEntry, Folder, MailboxId};

/// A folder, if there is one, and the access list of its mailbox.
pub(super) type Answer = (Option<Folder>, Vec<AccessEntry>);

/// Answers kept at the most: those of an epoch are forgotten together.
const KEPT: usize = 1024;
/// Entries of an access list that is kept: longer ones are read each time, so that what is kept stays small.
const ENTRIES: usize = 32;

/// An epoch: what was asked for in it is known as long as it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Epoch(u64);

/// What is known.
#[derive(Default)]
pub(super) struct Known {
    epoch: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    epoch: u64,
    answers: HashMap<(MailboxId, FolderName), Answer>,
}

impl Known {
    /// To be asked before anything is read.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Something changed, perhaps, and is committed.
    pub(super) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // An epoch with answers of another is never seen: they are cleared before it is set.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known in this epoch.
    pub(super) fn get(&self, Epoch(epoch): Epoch, mailbox: MailboxId, name: &FolderName) -> Option<Answer> {
        let kept = self.lock();
        if kept.epoch != epoch {
            return None;
        }
        kept.answers.get(&(mailbox, name.clone())).cloned()
    }

    /// Keeps what was read in an epoch.
    pub(super) fn keep(&self, Epoch(epoch): Epoch, mailbox: MailboxId, name: FolderName, answer: &Answer) {
        if answer.1.len() > ENTRIES {
            return;
        }
        let mut kept = self.lock();
        if kept.epoch != epoch || kept.answers.len() >= KEPT {
            kept.answers.clear();
            kept.epoch = epoch;
        }
        kept.answers.insert((mailbox, name), answer.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_its_epoch() {
        let (known, name) = (Known::default(), FolderName::inbox());
        let before = known.epoch();
        assert!(known.get(before, MailboxId(1), &name).is_none());
        known.keep(before, MailboxId(1), name.clone(), &(None, Vec::new()));
        assert_eq!(known.get(before, MailboxId(1), &name), Some((None, Vec::new())));
        assert!(known.get(before, MailboxId(2), &name).is_none());
        known.changed();
        assert!(known.get(known.epoch(), MailboxId(1), &name).is_none());
        // What was read before the change is not known after it, although it is kept later.
        known.keep(before, MailboxId(1), name.clone(), &(None, Vec::new()));
        assert!(known.get(known.epoch(), MailboxId(1), &name).is_none());
        for number in 0..2 * KEPT as u64 {
            known.keep(known.epoch(), MailboxId(number), name.clone(), &(None, Vec::new()));
        }
        assert!(known.lock().answers.len() <= KEPT);
    }
}
