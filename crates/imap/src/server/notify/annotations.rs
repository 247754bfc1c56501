//! Annotations that changed: MailboxMetadataChange and ServerMetadataChange (RFC 5465 §5.6, §5.7).
//!
//! What is kept of each is a mark of its value, not the value. Names alone are told, of what was removed too (RFC 5464 §4.4.2).

use std::collections::{BTreeMap, BTreeSet};

use mail::{FolderName, Rights};
use tokio::sync::watch;

use super::moved;
use super::own::Own;
use crate::administration::{EntryName, Mark};
use crate::backend::{Account, Failure, FolderInfo};
use crate::notify::Event;

/// What the client knows of the annotations of the mailbox (`None`) and of folders, by their numbers.
pub(super) struct Annotations {
    counter: watch::Receiver<u64>,
    known: BTreeMap<(Option<u64>, EntryName), Mark>,
}

/// Annotations of a folder, or of the mailbox, that changed.
pub(super) struct Changed {
    pub(super) of: Option<FolderName>,
    pub(super) entries: Vec<EntryName>,
}

impl Annotations {
    /// Begins to watch, if some group asks for it: what there is now counts as told.
    pub(super) async fn new(account: &dyn Account, wanted: bool) -> Result<Option<Self>, Failure> {
        if !wanted {
            return Ok(None);
        }
        // First the counter: what changes after it is looked at again.
        let mut counter = account.annotation_changes().await?;
        counter.mark_unchanged();
        Ok(Some(Annotations { counter, known: account.marks().await?.into_iter().collect() }))
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(&mut self) {
        moved(&mut self.counter).await;
    }

    /// Whether there may be something to tell.
    pub(super) fn has_changed(&self) -> bool {
        self.counter.has_changed().unwrap_or(false)
    }

    /// What changed since the last look, in these folders, where it is wanted and was not done by the session itself.
    pub(super) async fn look<'e>(
        &mut self,
        account: &dyn Account,
        folders: &[FolderInfo],
        events: impl Fn(Option<&FolderInfo>) -> &'e [Event],
        own: &[Own],
    ) -> Result<Vec<Changed>, Failure> {
        if !self.has_changed() {
            return Ok(Vec::new());
        }
        self.counter.mark_unchanged();
        let mut now: BTreeMap<(Option<u64>, EntryName), Mark> = match account.marks().await {
            Ok(marks) => marks.into_iter().collect(),
            Err(failure) => {
                self.counter.mark_changed();
                return Err(failure);
            }
        };
        // What may not be read now is not gone: it is compared when it may be read again.
        let closed: BTreeSet<u64> =
            folders.iter().filter(|folder| !folder.rights.contains(Rights::READ)).map(|folder| folder.id).collect();
        let kept = self.known.iter().filter(|((of, _), _)| of.is_some_and(|folder| closed.contains(&folder)));
        now.extend(kept.map(|(key, mark)| (key.clone(), *mark)));
        let mut found: BTreeMap<Option<u64>, Vec<EntryName>> = BTreeMap::new();
        let gone = self.known.keys().filter(|key| !now.contains_key(*key));
        let set = now.iter().filter(|(key, mark)| self.known.get(*key) != Some(*mark)).map(|(key, _)| key);
        for (of, entry) in gone.chain(set) {
            found.entry(*of).or_default().push(entry.clone());
        }
        self.known = now;
        let known = &self.known;
        let changed = found.into_iter().filter_map(|(of, mut entries)| {
            // A folder that is gone took its annotations with it, and that it is gone is told elsewhere.
            let folder = match of {
                Some(id) => Some(folders.iter().find(|folder| folder.id == id)?),
                None => None,
            };
            let event = if folder.is_some() { Event::MailboxMetadataChange } else { Event::ServerMetadataChange };
            if !events(folder).contains(&event) {
                return None;
            }
            let name = folder.map(|folder| folder.name.clone());
            entries.retain(|entry| {
                let now = known.get(&(of, entry.clone())).copied();
                !own.iter().any(|own| own.annotated(name.as_ref(), entry, now))
            });
            entries.sort_unstable();
            (!entries.is_empty()).then_some(Changed { of: name, entries })
        });
        Ok(changed.collect())
    }
}
