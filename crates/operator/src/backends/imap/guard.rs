//! What a session may do, as it is now: the capacity it opened the mailbox in and the access lists of the folders.
//!
//! Before every change the lists are read again, which costs little beside the commit that follows; reading is held to what
//! was seen when the folder was opened or looked at since (every minute or so).

use std::sync::{Arc, PoisonError, RwLock};

use imap::backend::{Failure, Result};
use mail::{FolderName, Rights};
use mssante::NationalId;
use store::{AccessEntry, Folder, FolderId, MailboxId, Store};

use super::failure;
use crate::access::{Access, Opened};
use crate::rights::Capacity;
use crate::sharing;

/// What was seen at one moment.
#[derive(Clone)]
pub(super) struct Seen {
    /// As what the mailbox is open.
    pub(super) capacity: Capacity,
    person: Option<NationalId>,
    list: Arc<[AccessEntry]>,
}

impl Seen {
    /// What the session may do in a folder.
    pub(super) fn rights(&self, folder: FolderId) -> Rights {
        sharing::in_folder(self.capacity, self.person.as_ref(), &self.list, folder)
    }

    /// The access lists of the mailbox.
    pub(super) fn list(&self) -> &[AccessEntry] {
        &self.list
    }

    /// The same session under other lists, in whatever order.
    pub(super) fn under(&self, mut list: Vec<AccessEntry>) -> Seen {
        list.sort_by_key(|entry| entry.folder);
        Seen { list: list.into(), ..self.clone() }
    }

    /// A folder that is there for the session; any other is no folder.
    ///
    /// # Errors
    /// [`Failure::NonExistent`].
    pub(super) fn find<'f>(&self, folders: &'f [Folder], name: &FolderName) -> Result<(&'f Folder, Rights)> {
        let folder = folders.iter().find(|f| f.name == *name).ok_or(Failure::NonExistent)?;
        let rights = self.rights(folder.id);
        if rights.contains(Rights::LOOKUP) { Ok((folder, rights)) } else { Err(Failure::NonExistent) }
    }

    /// Whether a folder of this name may be made: `k` on the nearest folder above, or at the top of the mailbox.
    ///
    /// # Errors
    /// [`Failure::NoPermission`], also when a folder that is not there for the session has the name.
    pub(super) fn may_create(&self, folders: &[Folder], name: &FolderName) -> Result<()> {
        if folders.iter().any(|f| f.name == *name) && self.find(folders, name).is_err() {
            return Err(Failure::NoPermission);
        }
        let mut above = name.parent();
        let rights = loop {
            let Some(parent) = above else { break sharing::by_capacity(self.capacity) };
            if let Some(folder) = folders.iter().find(|f| f.name == parent) {
                break self.rights(folder.id);
            }
            above = parent.parent();
        };
        allowed(rights, Rights::LOOKUP.with(Rights::CREATE))
    }
}

/// # Errors
/// [`Failure::NoPermission`] unless all of `needed` is there.
pub(super) fn allowed(rights: Rights, needed: Rights) -> Result<()> {
    if rights.contains(needed) { Ok(()) } else { Err(Failure::NoPermission) }
}

/// The session's rights, shared by its folders.
pub(super) struct Guard {
    access: Arc<Access>,
    store: Arc<dyn Store>,
    opened: Opened,
    seen: RwLock<Seen>,
}

impl Guard {
    pub(super) fn new(access: Arc<Access>, store: Arc<dyn Store>, opened: Opened) -> Self {
        let seen = Seen { capacity: opened.capacity, person: opened.person(), list: Arc::from(Vec::new()) };
        Guard { access, store, opened, seen: RwLock::new(seen) }
    }

    fn mailbox(&self) -> MailboxId {
        self.opened.mailbox.id
    }

    /// What was seen last.
    pub(super) fn now(&self) -> Seen {
        // A value that is replaced whole: right whatever panics.
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again.
    pub(super) async fn fresh(&self) -> Result<Seen> {
        let list = self.store.access(self.mailbox()).await.map_err(failure)?;
        Ok(self.note(list))
    }

    /// Looks again, and for a folder.
    pub(super) async fn fresh_with(&self, name: &FolderName) -> Result<(Option<Folder>, Seen)> {
        let (folder, list) = self.store.folder_and_access(self.mailbox(), name).await.map_err(failure)?;
        Ok((folder, self.note(list)))
    }

    fn note(&self, list: Vec<AccessEntry>) -> Seen {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if *seen.list != *list {
            seen.list = list.into();
        }
        seen.clone()
    }

    /// Whether the session may still have the mailbox open. Trouble of our own ends nobody's session.
    pub(super) async fn still_open(&self) -> bool {
        match self.access.still(&self.opened).await {
            Ok(Some(capacity)) => {
                self.seen.write().unwrap_or_else(PoisonError::into_inner).capacity = capacity;
                // What cannot be read now is read before the next change.
                let _ = self.fresh().await;
                true
            }
            Ok(None) => false,
            Err(_) => true,
        }
    }
}
