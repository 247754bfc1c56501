//! The engine in memory: the same behaviour with nothing durable, for tests and as the model the durable one is held to.
//!
//! Everything is one value behind a mutex, shared in pieces behind `Arc`: a change works on a copy that costs what it
//! changes, and takes the place of the old value only when it succeeded.

mod folders;
mod messages;
mod queue;
mod sharing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use mail::{FolderName, ModSeq, Rights, SpecialUse, Uid, View};
use mssante::{Address, NationalId};
use tokio::sync::watch;

use crate::limits::MAX_MESSAGE;
use crate::*;

/// The engine.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    state: State,
    closed: bool,
    views: HashMap<(MailboxId, FolderId), watch::Sender<Arc<View>>>,
    counters: HashMap<MailboxId, watch::Sender<u64>>,
    /// The same of their annotations.
    annotations: HashMap<MailboxId, watch::Sender<u64>>,
    arrivals: BTreeSet<MailboxId>,
}

#[derive(Clone, Default)]
struct State {
    boxes: BTreeMap<MailboxId, Arc<MailboxState>>,
    last_mailbox: u64,
    last_validity: i64,
    queue: BTreeMap<QueueId, Arc<Queued>>,
    last_entry: u64,
    /// Mailboxes changed by the operation under way.
    touched: Vec<MailboxId>,
    /// Mailboxes whose annotations this change changed.
    annotated: Vec<MailboxId>,
    /// Mailboxes that received bodies in the operation under way.
    received: Vec<MailboxId>,
}

#[derive(Clone)]
struct MailboxState {
    mailbox: Mailbox,
    rights: Vec<Right>,
    folders: BTreeMap<FolderId, Arc<FolderState>>,
    last_folder: u32,
    bodies: HashMap<u64, Arc<BodyState>>,
    last_body: u64,
    duplicates: HashMap<[u8; 16], i64>,
    access: BTreeMap<(FolderId, Grantee), Rights>,
    annotations: BTreeMap<(FolderId, Scope, String), Vec<u8>>,
    links: HashMap<LinkKey, u32>,
    last_thread: u32,
}

#[derive(Clone)]
struct FolderState {
    folder: Folder,
    view: View,
    /// What went at which MODSEQ; nothing is ever forgotten.
    expunged: Vec<(ModSeq, Vec<Uid>)>,
}

#[derive(Clone)]
struct BodyState {
    references: u64,
    structure: Arc<[u8]>,
    octets: Bytes,
}

#[derive(Clone)]
struct Queued {
    entry: QueueEntry,
    /// What recognises the message if its sender sends it again.
    once: Option<[u8; 16]>,
    octets: Bytes,
}

/// A message whose octets were read.
struct Message {
    octets: Bytes,
    structure: Arc<[u8]>,
    links: Vec<LinkKey>,
}

/// A commit whose message was read.
async fn whole(mut commit: Commit) -> Result<(Commit, Option<Message>)> {
    let message = match commit.content.take() {
        None => None,
        Some(content) if content.body.len() > MAX_MESSAGE => {
            return Err(StoreError::Io("the message is larger than a store can hold".into()));
        }
        Some(content) => {
            let octets = content.body.body().read_all().await?;
            Some(Message { octets, structure: content.structure.into(), links: content.links })
        }
    };
    Ok((commit, message))
}

impl State {
    fn mailbox(&self, id: MailboxId) -> Result<&MailboxState> {
        self.boxes.get(&id).map(|state| &**state).ok_or(StoreError::NoSuchMailbox)
    }

    fn mailbox_mut(&mut self, id: MailboxId) -> Result<&mut MailboxState> {
        self.touched.push(id);
        self.boxes.get_mut(&id).map(Arc::make_mut).ok_or(StoreError::NoSuchMailbox)
    }

    fn create_mailbox(&mut self, new: NewMailbox) -> Result<MailboxId> {
        if self.boxes.values().any(|state| state.mailbox.address == new.address) {
            return Err(StoreError::MailboxExists);
        }
        self.last_mailbox += 1;
        let id = MailboxId(self.last_mailbox);
        let NewMailbox { address, kind, holder, label, quota, created_at } = new;
        let mailbox = Mailbox {
            id,
            address,
            kind,
            holder,
            label,
            quota,
            usage: Usage::default(),
            created_at,
            last_authentication: None,
        };
        self.boxes.insert(
            id,
            Arc::new(MailboxState {
                mailbox,
                rights: Vec::new(),
                folders: BTreeMap::new(),
                last_folder: 0,
                bodies: HashMap::new(),
                last_body: 0,
                duplicates: HashMap::new(),
                access: BTreeMap::new(),
                annotations: BTreeMap::new(),
                links: HashMap::new(),
                last_thread: 0,
            }),
        );
        self.last_validity = self.last_validity.max(created_at.min(4_000_000_000));
        self.insert_folder(id, &FolderName::inbox(), None, true)?;
        for (name, special_use) in DEFAULT_FOLDERS {
            let name =
                FolderName::new(name).map_err(|_| StoreError::FolderRefused("a default folder has a bad name"))?;
            self.insert_folder(id, &name, Some(special_use), true)?;
        }
        Ok(id)
    }

    fn grant(&mut self, id: MailboxId, right: Right) -> Result<()> {
        let rights = &mut self.mailbox_mut(id)?.rights;
        rights.retain(|r| (&r.person, r.role) != (&right.person, right.role));
        rights.push(right);
        rights.sort_by_key(|r| (r.person.to_string(), r.role as u8));
        Ok(())
    }

    fn revoke(&mut self, id: MailboxId, person: &NationalId, at: i64) -> Result<()> {
        for right in &mut self.mailbox_mut(id)?.rights {
            if right.person == *person && right.until.is_none_or(|until| until > at) {
                right.until = Some(at);
            }
        }
        Ok(())
    }

    fn commit(&mut self, commit: Commit, message: Option<Message>) -> Result<Committed> {
        if let Some(settlement) = &commit.settle {
            self.settle(settlement)?;
        }
        let mut committed = Committed::default();
        let Some(message) = message else {
            return if commit.deliver.is_empty() && commit.enqueue.is_none() {
                Ok(committed)
            } else {
                Err(StoreError::Io("a commit delivers a message it does not hold".into()))
            };
        };
        committed.delivered = self.deliver(&commit, &message)?;
        let once = commit.duplicate_key;
        if let Some(new) = commit.enqueue.map(|new| self.not_sent_yet(new, once)).transpose()?.flatten() {
            committed.queued = Some(self.enqueue(new, once, message.octets)?);
        }
        Ok(committed)
    }
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Memory::default()
    }

    /// Changes are made on a copy: the value is whole whatever panics.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed { Err(StoreError::Closed) } else { Ok(inner) }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        read(&self.lock()?.state)
    }

    /// All or nothing, then the views.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut inner = self.lock()?;
        let mut draft = inner.state.clone();
        let value = change(&mut draft)?;
        let mut touched = std::mem::take(&mut draft.touched);
        let annotated = std::mem::take(&mut draft.annotated);
        let received = std::mem::take(&mut draft.received);
        inner.state = draft;
        inner.arrivals.extend(received);
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            inner.show(id);
        }
        for id in annotated {
            if let Some(counter) = inner.annotations.get(&id) {
                counter.send_modify(|count| *count += 1);
            }
        }
        Ok(value)
    }
}

impl Inner {
    /// Brings what is looked at in a mailbox up to date.
    fn show(&mut self, id: MailboxId) {
        let Some(now) = self.state.boxes.get(&id) else {
            self.views.retain(|(owner, _), _| *owner != id);
            self.counters.remove(&id);
            self.annotations.remove(&id);
            self.arrivals.remove(&id);
            return;
        };
        self.views.retain(|(owner, folder), sender| {
            if *owner != id {
                return true;
            }
            let Some(state) = now.folders.get(folder).filter(|state| state.folder.selectable) else { return false };
            if sender.borrow().highest_modseq != state.view.highest_modseq {
                sender.send_replace(Arc::new(state.view.clone()));
            }
            sender.receiver_count() > 0
        });
        if let Some(counter) = self.counters.get(&id) {
            counter.send_modify(|count| *count += 1);
        }
    }
}

#[async_trait]
impl Store for Memory {
    async fn create_mailbox(&self, new: NewMailbox) -> Result<MailboxId> {
        self.change(|state| state.create_mailbox(new))
    }

    async fn mailbox(&self, address: &Address) -> Result<Option<Mailbox>> {
        self.read(|state| Ok(state.boxes.values().find(|b| b.mailbox.address == *address).map(|b| b.mailbox.clone())))
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        self.read(|state| {
            let mut all: Vec<Mailbox> = state.boxes.values().map(|b| b.mailbox.clone()).collect();
            all.sort_by(|a, b| a.address.cmp(&b.address));
            Ok(all)
        })
    }

    async fn delete_mailbox(&self, id: MailboxId) -> Result<()> {
        self.change(|state| {
            state.touched.push(id);
            state.boxes.remove(&id).map(drop).ok_or(StoreError::NoSuchMailbox)
        })
    }

    async fn set_quota(&self, id: MailboxId, quota: Quota) -> Result<()> {
        self.change(|state| {
            state.mailbox_mut(id)?.mailbox.quota = quota;
            Ok(())
        })
    }

    async fn grant(&self, id: MailboxId, right: Right) -> Result<()> {
        self.change(|state| state.grant(id, right))
    }

    async fn revoke(&self, id: MailboxId, person: &NationalId, at: i64) -> Result<()> {
        self.change(|state| state.revoke(id, person, at))
    }

    async fn rights(&self, id: MailboxId) -> Result<Vec<Right>> {
        self.read(|state| Ok(state.mailbox(id)?.rights.clone()))
    }

    async fn note_authentication(&self, id: MailboxId, at: i64) -> Result<()> {
        let mut inner = self.lock()?;
        if let Some(state) = inner.state.boxes.get_mut(&id).map(Arc::make_mut) {
            state.mailbox.last_authentication = state.mailbox.last_authentication.max(Some(at));
        }
        Ok(())
    }

    async fn folders(&self, mailbox: MailboxId) -> Result<Vec<Folder>> {
        self.read(|state| state.list(mailbox))
    }

    async fn create_folder(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<Folder> {
        self.change(|state| state.create_folder(mailbox, name, special_use))
    }

    async fn delete_folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<()> {
        self.change(|state| state.delete_folder(mailbox, name))
    }

    async fn rename_folder(&self, mailbox: MailboxId, from: &FolderName, to: &FolderName, at: i64) -> Result<()> {
        self.change(|state| state.rename_folder(mailbox, from, to, at))
    }

    async fn subscribe(&self, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()> {
        self.change(|state| state.subscribe(mailbox, name, subscribed))
    }

    async fn access(&self, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
        self.read(|state| state.access(mailbox))
    }

    async fn set_access(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        grantee: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()> {
        self.change(|state| state.set_access(mailbox, folder, grantee, rights))
    }

    async fn annotations(&self, mailbox: MailboxId, of: Option<FolderId>, reader: &str) -> Result<Vec<Annotation>> {
        self.read(|state| state.annotations(mailbox, of, reader))
    }

    async fn all_annotations(&self, mailbox: MailboxId, reader: &str) -> Result<Vec<(Option<FolderId>, Annotation)>> {
        self.read(|state| state.all_annotations(mailbox, reader))
    }

    async fn annotate(&self, mailbox: MailboxId, of: Option<FolderId>, changes: Vec<AnnotationChange>) -> Result<()> {
        self.change(|state| state.annotate(mailbox, of, changes))
    }

    async fn watch(&self, mailbox: MailboxId, folder: FolderId) -> Result<watch::Receiver<Arc<View>>> {
        let mut inner = self.lock()?;
        let view = inner.state.folder(mailbox, folder)?.view.clone();
        Ok(inner.views.entry((mailbox, folder)).or_insert_with(|| watch::Sender::new(Arc::new(view))).subscribe())
    }

    async fn watch_mailbox(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>> {
        let mut inner = self.lock()?;
        inner.state.mailbox(mailbox)?;
        Ok(inner.counters.entry(mailbox).or_insert_with(|| watch::Sender::new(0)).subscribe())
    }

    async fn watch_annotations(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>> {
        let mut inner = self.lock()?;
        inner.state.mailbox(mailbox)?;
        Ok(inner.annotations.entry(mailbox).or_insert_with(|| watch::Sender::new(0)).subscribe())
    }

    fn spool(&self) -> Spool {
        Spool::in_memory()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let (commit, message) = whole(commit).await?;
        self.change(|state| state.commit(commit, message))
    }

    async fn commit_all(&self, commits: Vec<Commit>) -> Result<Vec<Committed>> {
        let mut all = Vec::with_capacity(commits.len());
        for commit in commits {
            all.push(whole(commit).await?);
        }
        self.change(|state| all.into_iter().map(|(commit, message)| state.commit(commit, message)).collect())
    }

    async fn replace(&self, mailbox: MailboxId, folder: FolderId, uid: Uid, by: Commit) -> Result<Option<Committed>> {
        let (by, message) = whole(by).await?;
        self.change(
            |state| {
                if state.remove(mailbox, folder, uid)? { state.commit(by, message).map(Some) } else { Ok(None) }
            },
        )
    }

    async fn structures(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
        self.read(|state| {
            let known = state.boxes.get(&mailbox);
            Ok(bodies
                .iter()
                .map(|id| known.and_then(|b| b.bodies.get(id)).map(|body| body.structure.clone()))
                .collect())
        })
    }

    async fn body(&self, mailbox: MailboxId, body: u64) -> Result<Option<Body>> {
        self.read(|state| {
            let body = state.boxes.get(&mailbox).and_then(|b| b.bodies.get(&body));
            Ok(body.map(|body| Body::from_bytes(body.octets.clone())))
        })
    }

    async fn set_flags(&self, mailbox: MailboxId, folder: FolderId, change: FlagChange) -> Result<FlagsSet> {
        self.change(|state| state.set_flags(mailbox, folder, &change))
    }

    async fn expunge(&self, mailbox: MailboxId, folder: FolderId, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        self.change(|state| state.expunge(mailbox, folder, uids.as_deref()))
    }

    async fn copy(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.change(|state| state.copy(mailbox, from, &uids, to, at))
    }

    async fn move_messages(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.change(|state| state.move_messages(mailbox, from, &uids, to, at))
    }

    async fn vanished(&self, mailbox: MailboxId, folder: FolderId, since: ModSeq) -> Result<Vanished> {
        self.read(|state| {
            let later = state.folder(mailbox, folder)?.expunged.iter().filter(|(modseq, _)| *modseq > since);
            let mut uids: Vec<Uid> = later.flat_map(|(_, uids)| uids).copied().collect();
            uids.sort_unstable();
            Ok(Vanished { uids, complete: true })
        })
    }

    fn arrivals(&self) -> Vec<MailboxId> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.arrivals).into_iter().collect()
    }

    async fn bodies_after(&self, mailbox: MailboxId, after: u64, limit: usize) -> Result<Vec<u64>> {
        self.read(|state| {
            let bodies = &state.mailbox(mailbox)?.bodies;
            let mut found: Vec<u64> = bodies.keys().copied().filter(|id| *id > after).collect();
            found.sort_unstable();
            found.truncate(limit);
            Ok(found)
        })
    }

    /// Of a data key that is the same for all: nothing here outlives the process.
    async fn derived_key(&self, mailbox: MailboxId, purpose: &'static str) -> Result<zeroize::Zeroizing<[u8; 32]>> {
        self.read(|state| {
            state.mailbox(mailbox)?;
            Ok(zeroize::Zeroizing::new(openssl::sha::sha256(format!("memory {} {purpose}", mailbox.0).as_bytes())))
        })
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>> {
        self.read(|state| Ok(state.queue.values().map(|queued| queued.entry.clone()).collect()))
    }

    async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>> {
        self.read(|state| Ok(state.queue.get(&id).map(|queued| queued.entry.clone())))
    }

    async fn queue_body(&self, id: QueueId) -> Result<Option<Body>> {
        self.read(|state| Ok(state.queue.get(&id).map(|queued| Body::from_bytes(queued.octets.clone()))))
    }

    async fn maintain(&self, now: i64) -> Result<()> {
        self.change(|state| {
            for mailbox in state.boxes.values_mut().filter(|b| !b.duplicates.is_empty()) {
                Arc::make_mut(mailbox).duplicates.retain(|_, at| *at >= now.saturating_sub(DUPLICATE_MEMORY));
            }
            Ok(())
        })
    }

    async fn close(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        inner.views.clear();
        inner.counters.clear();
        inner.annotations.clear();
    }
}

#[cfg(test)]
mod tests {
    pub(crate) fn make() -> (crate::contract::Tested, ()) {
        (std::sync::Arc::new(super::Memory::new()), ())
    }

    crate::contract!(crate::memory::tests::make);
}
