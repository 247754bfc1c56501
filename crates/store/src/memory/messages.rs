//! Messages of the engine in memory.

use std::sync::Arc;

use mail::{Entry, Flags, FolderName, ModSeq, Uid};

use super::{BodyState, MailboxState, Message, State};
use crate::limits::MAX_LINKS;
use crate::{
    Commit, Copied, DUPLICATE_MEMORY, Delivered, FlagChange, FlagOperation, FlagsSet, FolderId, LinkKey, MailboxId,
    Result, StoreError,
};

fn system_only(flags: Flags) -> Flags {
    Flags::from_bits(flags.bits() & ((1 << Flags::FIRST_KEYWORD) - 1))
}

fn saved(at: i64) -> u32 {
    at.clamp(0, i64::from(u32::MAX)) as u32
}

impl MailboxState {
    /// The conversation of a message with these links.
    fn join(&mut self, links: &[LinkKey]) -> u32 {
        let links = &links[..links.len().min(MAX_LINKS)];
        let known = links.iter().find_map(|key| self.links.get(key)).copied();
        let thread = known.unwrap_or_else(|| {
            self.last_thread += 1;
            self.last_thread
        });
        for key in links {
            self.links.entry(*key).or_insert(thread);
        }
        thread
    }
}

impl State {
    fn grow(&mut self, mailbox: MailboxId, octets: u64, messages: u64) -> Result<()> {
        let mailbox = &mut self.mailbox_mut(mailbox)?.mailbox;
        mailbox.usage.octets += octets;
        mailbox.usage.messages += messages;
        let over = mailbox.quota.octets.is_some_and(|limit| mailbox.usage.octets > limit)
            || mailbox.quota.messages.is_some_and(|limit| mailbox.usage.messages > limit);
        if over { Err(StoreError::OverQuota) } else { Ok(()) }
    }

    /// The next UID and a MODSEQ of its own for a message that comes.
    fn next(&mut self, mailbox: MailboxId, folder: FolderId) -> Result<(Uid, ModSeq)> {
        let view = &self.folder(mailbox, folder)?.view;
        if view.uid_next.0 == u32::MAX {
            return Err(StoreError::FolderRefused("no UID is left in the folder"));
        }
        Ok((view.uid_next, ModSeq(view.highest_modseq.0 + 1)))
    }

    fn intern(&mut self, mailbox: MailboxId, folder: FolderId, names: &[impl AsRef<str>]) -> Result<Flags> {
        let mut flags = Flags::NONE;
        if !names.is_empty() {
            let view = &mut self.folder_mut(mailbox, folder)?.view;
            for name in names {
                flags = flags.with(view.keywords.intern(name.as_ref()).ok_or(StoreError::TooManyKeywords)?);
            }
        }
        Ok(flags)
    }

    pub(super) fn deliver(&mut self, commit: &Commit, message: &Message) -> Result<Vec<Delivered>> {
        let mut delivered = Vec::new();
        let mut new: Vec<(MailboxId, u32)> = Vec::new();
        for target in &commit.deliver {
            let state = self.mailbox_mut(target.mailbox)?;
            let known = new.iter().find(|(mailbox, _)| *mailbox == target.mailbox);
            let thread = if let Some((_, thread)) = known {
                *thread
            } else {
                if let Some(key) = commit.duplicate_key {
                    let time = Commit::time(commit.saved_at, target.internal_date);
                    let since = time.saturating_sub(DUPLICATE_MEMORY);
                    if state.duplicates.get(&key).is_some_and(|at| *at >= since) {
                        delivered.push(Delivered::Duplicate);
                        continue;
                    }
                    state.duplicates.insert(key, time);
                }
                state.last_body += 1;
                let body =
                    BodyState { references: 0, structure: message.structure.clone(), octets: message.octets.clone() };
                state.bodies.insert(state.last_body, Arc::new(body));
                let thread = state.join(&message.links);
                new.push((target.mailbox, thread));
                thread
            };
            let body = state.last_body;
            let folder = self.selectable(target.mailbox, &target.folder)?;
            self.grow(target.mailbox, message.octets.len() as u64, 1)?;
            let (uid, modseq) = self.next(target.mailbox, folder)?;
            let keywords = self.intern(target.mailbox, folder, &target.keywords)?;
            let flags = system_only(target.flags).with(keywords);
            let (size, internal_date) = (message.octets.len() as u32, target.internal_date);
            let saved = saved(commit.saved_at);
            let entry = Entry { uid, size, flags, modseq, internal_date, body, saved, thread };
            self.reference(target.mailbox, body, 1)?;
            let state = self.folder_mut(target.mailbox, folder)?;
            state.view.push(entry);
            delivered.push(Delivered::Message { uid_validity: state.view.uid_validity, uid });
        }
        self.received.extend(new.into_iter().map(|(mailbox, _)| mailbox));
        Ok(delivered)
    }

    fn reference(&mut self, mailbox: MailboxId, body: u64, change: i64) -> Result<()> {
        let bodies = &mut self.mailbox_mut(mailbox)?.bodies;
        let gone = || StoreError::Io("a message without octets".into());
        let state = bodies.get_mut(&body).map(Arc::make_mut).ok_or_else(gone)?;
        state.references = state.references.checked_add_signed(change).ok_or_else(gone)?;
        if state.references == 0 {
            bodies.remove(&body);
        }
        Ok(())
    }

    /// Messages leave the mailbox for good.
    fn forget(&mut self, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            self.reference(mailbox, entry.body, -1)?;
            let usage = &mut self.mailbox_mut(mailbox)?.mailbox.usage;
            usage.octets -= u64::from(entry.size);
            usage.messages -= 1;
        }
        Ok(())
    }

    /// Takes messages out of a folder's view.
    fn take(&mut self, mailbox: MailboxId, folder: FolderId, entries: &[Entry]) -> Result<()> {
        let state = self.folder_mut(mailbox, folder)?;
        let uids: Vec<Uid> = entries.iter().map(|entry| entry.uid).collect();
        state.view.remove(&uids);
        state.view.highest_modseq = ModSeq(state.view.highest_modseq.0 + 1);
        state.expunged.push((state.view.highest_modseq, uids));
        Ok(())
    }

    /// One message goes, whatever its flags; whether it was there.
    pub(super) fn remove(&mut self, mailbox: MailboxId, folder: FolderId, uid: Uid) -> Result<bool> {
        let Some(going) = self.folder(mailbox, folder)?.view.find(uid).copied() else { return Ok(false) };
        self.take(mailbox, folder, &[going])?;
        self.forget(mailbox, &[going])?;
        Ok(true)
    }

    pub(super) fn empty(&mut self, mailbox: MailboxId, folder: FolderId) -> Result<()> {
        let all: Vec<Entry> = self.folder(mailbox, folder)?.view.iter().copied().collect();
        self.take(mailbox, folder, &all)?;
        self.forget(mailbox, &all)
    }

    pub(super) fn set_flags(&mut self, mailbox: MailboxId, folder: FolderId, change: &FlagChange) -> Result<FlagsSet> {
        self.folder(mailbox, folder)?;
        let mut answer = FlagsSet::default();
        if change.uids.is_empty() {
            return Ok(answer);
        }
        let state = self.folder_mut(mailbox, folder)?;
        let known = state.view.keywords.names().len();
        let mut operand = system_only(change.flags);
        for name in &change.keywords {
            let flag = match change.how {
                FlagOperation::Remove => state.view.keywords.find(name).unwrap_or_default(),
                _ => state.view.keywords.intern(name).ok_or(StoreError::TooManyKeywords)?,
            };
            operand = operand.with(flag);
        }
        let modseq = ModSeq(state.view.highest_modseq.0 + 1);
        if state.view.keywords.names().len() > known {
            state.view.highest_modseq = modseq;
        }
        for uid in &change.uids {
            let Some(entry) = state.view.find(*uid).copied() else { continue };
            if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
                answer.modified.push(*uid);
                continue;
            }
            let flags = match change.how {
                FlagOperation::Replace => operand,
                FlagOperation::ReplaceWithin(these) => {
                    entry.flags.without(these).with(operand.without(operand.without(these)))
                }
                FlagOperation::Add => entry.flags.with(operand),
                FlagOperation::Remove => entry.flags.without(operand),
            };
            if flags == entry.flags {
                answer.now.push((*uid, flags, entry.modseq));
            } else {
                state.view.update(*uid, flags, modseq);
                answer.now.push((*uid, flags, modseq));
            }
        }
        Ok(answer)
    }

    pub(super) fn expunge(&mut self, mailbox: MailboxId, folder: FolderId, uids: Option<&[Uid]>) -> Result<Vec<Uid>> {
        let view = &self.folder(mailbox, folder)?.view;
        let chosen = |entry: &&Entry| {
            entry.flags.contains(Flags::DELETED) && uids.is_none_or(|uids| uids.binary_search(&entry.uid).is_ok())
        };
        let going: Vec<Entry> = view.iter().filter(chosen).copied().collect();
        if !going.is_empty() {
            self.take(mailbox, folder, &going)?;
            self.forget(mailbox, &going)?;
        }
        Ok(going.into_iter().map(|entry| entry.uid).collect())
    }

    fn put_all(
        &mut self,
        mailbox: MailboxId,
        from: FolderId,
        entries: &[Entry],
        to: FolderId,
        at: i64,
    ) -> Result<Copied> {
        let table = self.folder(mailbox, from)?.view.keywords.clone();
        let modseq = ModSeq(self.folder(mailbox, to)?.view.highest_modseq.0 + 1);
        let used = entries.iter().fold(Flags::NONE, |flags, entry| flags.with(entry.flags));
        for (index, name) in table.names().iter().enumerate() {
            if Flags::keyword(index).is_some_and(|flag| used.contains(flag)) {
                self.intern(mailbox, to, &[name])?;
            }
        }
        let mut copied = Copied { uid_validity: self.folder(mailbox, to)?.view.uid_validity, uids: Vec::new() };
        for entry in entries {
            let (uid, _) = self.next(mailbox, to)?;
            let view = &mut self.folder_mut(mailbox, to)?.view;
            let mut flags = system_only(entry.flags);
            for name in entry.flags.without(flags).names(&table) {
                flags = flags.with(view.keywords.find(name).unwrap_or_default());
            }
            view.push(Entry { uid, flags, modseq, saved: saved(at), ..*entry });
            copied.uids.push((entry.uid, uid));
        }
        Ok(copied)
    }

    fn chosen(&self, mailbox: MailboxId, from: FolderId, uids: &[Uid]) -> Result<Vec<Entry>> {
        let view = &self.folder(mailbox, from)?.view;
        Ok(uids.iter().filter_map(|uid| view.find(*uid)).copied().collect())
    }

    pub(super) fn copy(
        &mut self,
        mailbox: MailboxId,
        from: FolderId,
        uids: &[Uid],
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        let entries = self.chosen(mailbox, from, uids)?;
        let to = self.selectable(mailbox, to)?;
        self.grow_for(mailbox, &entries)?;
        for entry in &entries {
            self.reference(mailbox, entry.body, 1)?;
        }
        self.put_all(mailbox, from, &entries, to, at)
    }

    fn grow_for(&mut self, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.grow(mailbox, entries.iter().map(|entry| u64::from(entry.size)).sum(), entries.len() as u64)
    }

    pub(super) fn move_messages(
        &mut self,
        mailbox: MailboxId,
        from: FolderId,
        uids: &[Uid],
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        let entries = self.chosen(mailbox, from, uids)?;
        let to = self.selectable(mailbox, to)?;
        let copied = self.put_all(mailbox, from, &entries, to, at)?;
        if !entries.is_empty() {
            self.take(mailbox, from, &entries)?;
        }
        Ok(copied)
    }
}
