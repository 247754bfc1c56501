//! Folders of the engine in memory.

use std::sync::Arc;

use mail::{FolderName, Keywords, ModSeq, SpecialUse, Uid, UidValidity, View};

use super::{FolderState, State};
use crate::limits::MAX_FOLDERS;
use crate::{Folder, FolderId, MailboxId, Result, StoreError};

impl State {
    /// A selectable folder.
    pub(super) fn folder(&self, mailbox: MailboxId, id: FolderId) -> Result<&FolderState> {
        let folders = &self.mailbox(mailbox)?.folders;
        folders.get(&id).map(|f| &**f).filter(|f| f.folder.selectable).ok_or(StoreError::NoSuchFolder)
    }

    /// A selectable folder, to change.
    pub(super) fn folder_mut(&mut self, mailbox: MailboxId, id: FolderId) -> Result<&mut FolderState> {
        self.folder(mailbox, id)?;
        let folders = &mut self.mailbox_mut(mailbox)?.folders;
        folders.get_mut(&id).map(Arc::make_mut).ok_or(StoreError::NoSuchFolder)
    }

    pub(super) fn named(&self, mailbox: MailboxId, name: &FolderName) -> Result<Option<&Folder>> {
        Ok(self.mailbox(mailbox)?.folders.values().map(|f| &f.folder).find(|f| f.name == *name))
    }

    /// The number of a selectable folder.
    pub(super) fn selectable(&self, mailbox: MailboxId, name: &FolderName) -> Result<FolderId> {
        let folder = self.named(mailbox, name)?.filter(|f| f.selectable);
        folder.map(|f| f.id).ok_or(StoreError::NoSuchFolder)
    }

    fn under(&self, mailbox: MailboxId, name: &FolderName) -> Result<Vec<FolderId>> {
        let folders = self.mailbox(mailbox)?.folders.values();
        Ok(folders.filter(|f| f.folder.name.is_under(name)).map(|f| f.folder.id).collect())
    }

    pub(super) fn list(&self, mailbox: MailboxId) -> Result<Vec<Folder>> {
        let mut all: Vec<Folder> = self.mailbox(mailbox)?.folders.values().map(|f| f.folder.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    pub(super) fn insert_folder(
        &mut self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
        subscribed: bool,
    ) -> Result<Folder> {
        self.last_validity += 1;
        let uid_validity = UidValidity(
            u32::try_from(self.last_validity).map_err(|_| StoreError::FolderRefused("no UIDVALIDITY is left"))?,
        );
        let state = self.mailbox_mut(mailbox)?;
        state.last_folder += 1;
        let id = FolderId(state.last_folder);
        let folder = Folder { id, name: name.clone(), special_use, subscribed, selectable: true, uid_validity };
        let view = View::empty(uid_validity, Uid(1), ModSeq(1), Keywords::default());
        state.folders.insert(id, Arc::new(FolderState { folder: folder.clone(), view, expunged: Vec::new() }));
        Ok(folder)
    }

    fn create_above(&mut self, mailbox: MailboxId, name: &FolderName) -> Result<()> {
        if let Some(parent) = name.parent()
            && self.named(mailbox, &parent)?.is_none()
        {
            self.create_above(mailbox, &parent)?;
            let made = self.insert_folder(mailbox, &parent, None, false)?;
            self.inherit_above(mailbox, &made)?;
        }
        Ok(())
    }

    /// A new folder begins with the access list of the folder above it, if there is one.
    fn inherit_above(&mut self, mailbox: MailboxId, made: &Folder) -> Result<()> {
        let Some(above) = made.name.parent() else { return Ok(()) };
        match self.named(mailbox, &above)?.map(|f| f.id) {
            Some(above) => self.inherit(mailbox, above, made.id),
            None => Ok(()),
        }
    }

    fn check_count(&self, mailbox: MailboxId) -> Result<()> {
        if self.mailbox(mailbox)?.folders.len() > MAX_FOLDERS {
            return Err(StoreError::FolderRefused("the mailbox has too many folders"));
        }
        Ok(())
    }

    pub(super) fn create_folder(
        &mut self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<Folder> {
        if let Some(there) = self.named(mailbox, name)? {
            if there.selectable {
                return Err(StoreError::FolderExists);
            }
            let id = there.id;
            self.mailbox_mut(mailbox)?.folders.remove(&id);
        }
        let used = |f: &Arc<FolderState>| special_use.is_some() && f.folder.special_use == special_use;
        if self.mailbox(mailbox)?.folders.values().any(used) {
            return Err(StoreError::FolderRefused("another folder has this use"));
        }
        self.create_above(mailbox, name)?;
        let folder = self.insert_folder(mailbox, name, special_use, false)?;
        self.inherit_above(mailbox, &folder)?;
        self.check_count(mailbox)?;
        Ok(folder)
    }

    pub(super) fn delete_folder(&mut self, mailbox: MailboxId, name: &FolderName) -> Result<()> {
        let folder = self.named(mailbox, name)?.ok_or(StoreError::NoSuchFolder)?.clone();
        if name.is_inbox() {
            return Err(StoreError::FolderRefused("INBOX cannot be deleted"));
        }
        let parent = !self.under(mailbox, name)?.is_empty();
        if folder.selectable {
            self.empty(mailbox, folder.id)?;
        } else if parent {
            return Err(StoreError::FolderRefused("it has folders under it"));
        }
        self.forget_sharing(mailbox, folder.id)?;
        let folders = &mut self.mailbox_mut(mailbox)?.folders;
        if parent {
            if let Some(state) = folders.get_mut(&folder.id).map(Arc::make_mut) {
                state.folder.selectable = false;
                state.folder.special_use = None;
            }
        } else {
            folders.remove(&folder.id);
        }
        Ok(())
    }

    pub(super) fn rename_folder(
        &mut self,
        mailbox: MailboxId,
        from: &FolderName,
        to: &FolderName,
        at: i64,
    ) -> Result<()> {
        let id = self.named(mailbox, from)?.ok_or(StoreError::NoSuchFolder)?.id;
        if self.named(mailbox, to)?.is_some() {
            return Err(StoreError::FolderExists);
        }
        if from.is_inbox() {
            self.create_above(mailbox, to)?;
            let made = self.insert_folder(mailbox, to, None, false)?;
            // What was read under the list of INBOX still is.
            self.inherit(mailbox, id, made.id)?;
            self.check_count(mailbox)?;
            let uids: Vec<Uid> = self.folder(mailbox, id)?.view.iter().map(|e| e.uid).collect();
            self.move_messages(mailbox, id, &uids, to, at)?;
            return Ok(());
        }
        if to.is_under(from) {
            return Err(StoreError::FolderRefused("a folder cannot go under itself"));
        }
        self.create_above(mailbox, to)?;
        self.check_count(mailbox)?;
        let mut going = self.under(mailbox, from)?;
        going.push(id);
        let folders = &mut self.mailbox_mut(mailbox)?.folders;
        for id in going {
            if let Some(state) = folders.get_mut(&id).map(Arc::make_mut) {
                let moved = format!("{to}{}", &state.folder.name.as_str()[from.as_str().len()..]);
                state.folder.name = FolderName::new(&moved).map_err(|_| {
                    StoreError::FolderRefused("the name of a folder under it would be too long or too deep")
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn subscribe(&mut self, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()> {
        let Some(id) = self.named(mailbox, name)?.map(|f| f.id) else {
            return if subscribed { Err(StoreError::NoSuchFolder) } else { Ok(()) };
        };
        if let Some(state) = self.mailbox_mut(mailbox)?.folders.get_mut(&id).map(Arc::make_mut) {
            state.folder.subscribed = subscribed;
        }
        Ok(())
    }
}
