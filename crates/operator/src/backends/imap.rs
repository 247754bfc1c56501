//! IMAP over the store: who opens the mailbox is decided before, what they may do in each folder here, traces are made here.
//!
//! * [`guard`]: the session's rights as they are now; * [`administration`]: rights, quota, annotations.

mod administration;
mod guard;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use imap::administration::Administration;
use imap::backend::{
    Account, Append, AuthFailure, Backend, Complete, Copied, Credentials, Failure, FlagChange, FlagOperation,
    FolderInfo, FolderStatus, Mechanism, MessageBody, ObjectId, OpenFolder, Opening, Peer, Reading, Result, Seeking,
    Vanished,
};
use mail::mime::Structure;
use mail::sought::Sought;
use mail::{Flags, FolderName, ModSeq, Rights, SpecialUse, Uid, View};
use store::{FolderId, MailboxId, Store, StoreError};
use tokio::sync::watch;
use trust::clock::Clock;

use crate::access::{Access, Denied, From, Opened, seconds};
use crate::backends::imap_append::{Receiving, StoreAppend};
use crate::search::Searcher;
use crate::traces::{Action, Trace, Tracer, Who};
use guard::{Guard, allowed};

/// IMAP for one entry point.
pub struct ImapBackend {
    /// Who decides.
    pub access: Arc<Access>,
    /// Where the mail is.
    pub store: Arc<dyn Store>,
    /// Who finds texts in it.
    pub searcher: Arc<Searcher>,
    /// What the entry point offers: XOAUTH2, or EXTERNAL.
    pub mechanisms: Vec<Mechanism>,
    /// Whether a certificate alone opens the mailbox (LPS-APP).
    pub preauth: bool,
    /// The largest message APPEND takes, in octets.
    pub append_limit: u64,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where traces go.
    pub tracer: Tracer,
}

impl ImapBackend {
    fn account(&self, peer: &Peer, opened: Opened) -> Arc<dyn Account> {
        Arc::new(StoreAccount {
            address: opened.mailbox.address.to_string(),
            mailbox: opened.mailbox.id,
            guard: Arc::new(Guard::new(self.access.clone(), self.store.clone(), opened.clone())),
            traced: Traced { tracer: self.tracer.clone(), opened, peer: peer.clone() },
            store: self.store.clone(),
            searcher: self.searcher.clone(),
            append_limit: self.append_limit,
            clock: self.clock.clone(),
        })
    }
}

fn from(peer: &Peer) -> From {
    From { action: Action::OpenImap, peer: peer.address, connection: peer.connection }
}

#[async_trait]
impl Backend for ImapBackend {
    fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    async fn authenticate(
        &self,
        peer: &Peer,
        credentials: Credentials,
    ) -> std::result::Result<Arc<dyn Account>, AuthFailure> {
        let opened = match credentials {
            Credentials::XOAuth2(response) => self.access.by_token(&response, &from(peer)).await,
            Credentials::External(authzid) => self.access.by_certificate(&authzid, &peer.tls, &from(peer)).await,
        };
        match opened {
            Ok(opened) => Ok(self.account(peer, opened)),
            Err(Denied::Refused) => Err(AuthFailure::Refused),
            Err(Denied::Unavailable) => Err(AuthFailure::Unavailable),
        }
    }

    async fn preauthenticate(&self, peer: &Peer) -> Option<Arc<dyn Account>> {
        if !self.preauth {
            return None;
        }
        let opened = self.access.by_certificate("", &peer.tls, &from(peer)).await.ok()?;
        Some(self.account(peer, opened))
    }
}

/// What names a folder for good.
fn object_id(mailbox: MailboxId, folder: FolderId) -> ObjectId {
    ObjectId { mailbox: mailbox.0, folder: folder.0 }
}

/// What went wrong, in IMAP's words. Temporary trouble is never a fault of the client.
pub(super) fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::NoSuchFolder => Failure::NonExistent,
        StoreError::FolderExists => Failure::AlreadyExists,
        StoreError::FolderRefused(why) => Failure::Cannot(why),
        StoreError::OverQuota => Failure::OverQuota,
        StoreError::TooManyKeywords => Failure::Limit("the folder has no room for another keyword"),
        StoreError::TooManyAnnotations => Failure::Limit("too many annotations"),
        StoreError::NoSuchMailbox
        | StoreError::MailboxExists
        | StoreError::Full
        | StoreError::Closed
        | StoreError::Unusable(_)
        | StoreError::NoKey
        | StoreError::Damaged(_)
        | StoreError::Io(_) => {
            tracing::error!("the store cannot answer: {error}");
            Failure::Unavailable
        }
    }
}

/// Who the traces of a session speak of.
#[derive(Clone)]
pub(super) struct Traced {
    tracer: Tracer,
    opened: Opened,
    peer: Peer,
}

impl Traced {
    /// Counts octets against what the mailbox may read and write in a minute.
    pub(super) async fn pace(&self, octets: u64) {
        self.opened.allowance.pace(octets).await;
    }

    pub(super) fn record<T>(&self, action: Action, folder: &FolderName, quantity: Option<u64>, outcome: &Result<T>) {
        self.tracer.record(Trace {
            capacity: Some(self.opened.capacity.label()),
            with: vec![folder.to_string()],
            quantity,
            answer: outcome.as_ref().err().map(ToString::to_string),
            connection: Some(self.peer.connection),
            ..Trace::new(self.opened.who.clone(), action, outcome.is_ok()).mailbox(&self.opened.mailbox.address)
        });
    }
}

struct StoreAccount {
    store: Arc<dyn Store>,
    searcher: Arc<Searcher>,
    mailbox: MailboxId,
    address: String,
    append_limit: u64,
    clock: Arc<dyn Clock>,
    guard: Arc<Guard>,
    traced: Traced,
}

impl StoreAccount {
    fn now(&self) -> i64 {
        seconds(self.clock.as_ref())
    }

    /// A folder that holds messages, and what the session may do there.
    async fn folder(&self, name: &FolderName) -> Result<(store::Folder, Rights)> {
        let (found, seen) = self.guard.fresh_with(name).await?;
        let (folder, rights) = seen.find(found.as_slice(), name)?;
        if folder.selectable {
            Ok((folder.clone(), rights))
        } else {
            Err(Failure::Cannot("the name only holds other folders"))
        }
    }

    /// Whether folders may be changed this way; a refusal is traced.
    async fn may_change(
        &self,
        name: &FolderName,
        judge: impl FnOnce(&guard::Seen, &[store::Folder]) -> Result<()> + Send,
    ) -> Result<()> {
        let seen = self.guard.fresh().await?;
        let folders = self.store.folders(self.mailbox).await.map_err(failure)?;
        let judged = judge(&seen, &folders);
        if judged.is_err() {
            self.traced.record(Action::Folder, name, None, &judged);
        }
        judged
    }

    /// Whose private annotations are.
    fn reader(&self) -> String {
        match &self.traced.opened.who {
            Who::Person(id) => id.clone(),
            Who::Application(structure) => format!("application {structure}"),
            _ => "unknown".to_owned(),
        }
    }

    /// Makes a folder that is open of its picture.
    fn opens(
        &self,
        folder: store::Folder,
    ) -> impl FnOnce(watch::Receiver<Arc<View>>) -> Arc<dyn OpenFolder> + Send + use<> {
        let (store, searcher, mailbox) = (self.store.clone(), self.searcher.clone(), self.mailbox);
        let (clock, receiving) = (self.clock.clone(), self.receiving());
        let (guard, traced) = (self.guard.clone(), self.traced.clone());
        move |view| {
            let (folder, name) = (folder.id, folder.name);
            Arc::new(StoreFolder { store, searcher, mailbox, folder, name, view, clock, receiving, guard, traced })
        }
    }

    /// What receives messages for this session.
    fn receiving(&self) -> Receiving {
        Receiving {
            store: self.store.clone(),
            mailbox: self.mailbox,
            limit: self.append_limit,
            clock: self.clock.clone(),
            traced: self.traced.clone(),
        }
    }

    /// Traces a change of folders.
    fn folder_changed(&self, name: &FolderName, outcome: std::result::Result<(), StoreError>) -> Result<()> {
        let outcome = outcome.map_err(failure);
        self.traced.record(Action::Folder, name, None, &outcome);
        outcome
    }
}

#[async_trait]
impl Account for StoreAccount {
    fn address(&self) -> &str {
        &self.address
    }

    fn append_limit(&self) -> u64 {
        self.append_limit
    }

    async fn folders(&self) -> Result<Vec<FolderInfo>> {
        let seen = self.guard.fresh().await?;
        let folders = self.store.folders(self.mailbox).await.map_err(failure)?;
        Ok(folders
            .into_iter()
            .map(|f| FolderInfo {
                id: f.id.0.into(),
                rights: seen.rights(f.id),
                name: f.name,
                special_use: f.special_use,
                subscribed: f.subscribed,
                selectable: f.selectable,
            })
            .filter(|f| f.rights.contains(Rights::LOOKUP))
            .collect())
    }

    async fn create(&self, name: &FolderName, special_use: Option<SpecialUse>) -> Result<ObjectId> {
        self.may_change(name, |seen, folders| seen.may_create(folders, name)).await?;
        match self.store.create_folder(self.mailbox, name, special_use).await {
            Ok(folder) => self.folder_changed(name, Ok(())).map(|()| object_id(self.mailbox, folder.id)),
            Err(error) => self.folder_changed(name, Err(error)).and(Err(Failure::Unavailable)),
        }
    }

    async fn delete(&self, name: &FolderName) -> Result<()> {
        self.may_change(name, |seen, folders| {
            let (_, rights) = seen.find(folders, name)?;
            allowed(rights, Rights::DELETE_FOLDER)
        })
        .await?;
        self.folder_changed(name, self.store.delete_folder(self.mailbox, name).await)
    }

    async fn rename(&self, from: &FolderName, to: &FolderName) -> Result<()> {
        self.may_change(from, |seen, folders| {
            let (_, rights) = seen.find(folders, from)?;
            // INBOX stays and loses its messages: as by MOVE, and to where whoever does it can read them.
            let emptying = Rights::READ.with(Rights::DELETE_MESSAGES).with(Rights::EXPUNGE);
            allowed(rights, if from.is_inbox() { emptying } else { Rights::DELETE_FOLDER })?;
            seen.may_create(folders, to)
        })
        .await?;
        self.folder_changed(from, self.store.rename_folder(self.mailbox, from, to, self.now()).await)
    }

    async fn subscribe(&self, name: &FolderName, subscribed: bool) -> Result<()> {
        if subscribed {
            self.my_rights(name).await?;
        }
        self.store.subscribe(self.mailbox, name, subscribed).await.map_err(failure)
    }

    async fn status(&self, name: &FolderName) -> Result<FolderStatus> {
        let (folder, rights) = self.folder(name).await?;
        allowed(rights, Rights::READ)?;
        let view = self.store.watch(self.mailbox, folder.id).await.map_err(failure)?.borrow().clone();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(FolderStatus {
            messages: count(view.len()),
            unseen: count(view.unseen()),
            deleted: count(view.deleted()),
            size: view.octets(),
            deleted_size: view.having(Flags::DELETED).map(|(_, e)| u64::from(e.size)).sum(),
            uid_next: view.uid_next,
            uid_validity: view.uid_validity,
            highest_modseq: view.highest_modseq,
            id: object_id(self.mailbox, folder.id),
        })
    }

    async fn open(&self, name: &FolderName) -> Result<Arc<dyn OpenFolder>> {
        let (folder, rights) = self.folder(name).await?;
        allowed(rights, Rights::READ)?;
        let view = self.store.watch(self.mailbox, folder.id).await.map_err(failure)?;
        Ok(self.opens(folder)(view))
    }

    async fn begin_open(&self, name: &FolderName) -> Result<Opening> {
        let (folder, rights) = self.folder(name).await?;
        allowed(rights, Rights::READ)?;
        let (mailbox, of) = (self.mailbox, folder.id);
        let opens = self.opens(folder);
        match self.store.open_folder(mailbox, of).await.map_err(failure)? {
            store::Opening::Whole(view) => Ok(Opening::Open(opens(view))),
            store::Opening::Reading(reading) => {
                let (store, outline) = (self.store.clone(), reading.outline().clone());
                let completing = Box::pin(async move {
                    let (told, view) = store.picture(mailbox, of, reading).await.map_err(failure)?;
                    Ok(Complete { folder: opens(view), told })
                });
                Ok(Opening::Reading(Reading { outline, id: object_id(mailbox, of), rights, completing }))
            }
        }
    }

    async fn changes(&self) -> Result<watch::Receiver<u64>> {
        self.store.watch_mailbox(self.mailbox).await.map_err(failure)
    }

    async fn append(&self, to: &FolderName) -> Result<Box<dyn Append>> {
        let (_, rights) = self.folder(to).await?;
        allowed(rights, Rights::INSERT)?;
        Ok(Box::new(StoreAppend::new(&self.receiving(), None, to, rights)))
    }
}

struct StoreFolder {
    store: Arc<dyn Store>,
    searcher: Arc<Searcher>,
    mailbox: MailboxId,
    folder: FolderId,
    name: FolderName,
    view: watch::Receiver<Arc<View>>,
    clock: Arc<dyn Clock>,
    receiving: Receiving,
    guard: Arc<Guard>,
    traced: Traced,
}

impl StoreFolder {
    /// Whether the session may do what needs these rights here.
    async fn may(&self, needed: Rights) -> Result<guard::Seen> {
        let seen = self.guard.fresh().await?;
        allowed(seen.rights(self.folder), needed)?;
        Ok(seen)
    }

    /// Where messages are to go, and what the session may do there.
    async fn target(&self, seen: &guard::Seen, to: &FolderName) -> Result<(FolderId, Rights)> {
        let found = self.store.folder(self.mailbox, to).await.map_err(failure)?;
        let (folder, rights) = seen.find(found.as_slice(), to)?;
        allowed(rights, Rights::INSERT)?;
        if folder.selectable { Ok((folder.id, rights)) } else { Err(Failure::NonExistent) }
    }

    /// Takes away from what was put there the flags that may not be set there (RFC 4314 §4).
    async fn strip(&self, (folder, rights): (FolderId, Rights), copied: &store::Result<store::Copied>) {
        let permitted = rights.flags();
        let (Ok(copied), false) = (copied, permitted == Rights::ALL.flags()) else { return };
        let mut uids: Vec<Uid> = copied.uids.iter().map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        let change = store::FlagChange {
            uids,
            how: store::FlagOperation::ReplaceWithin(Rights::ALL.flags().without(permitted)),
            flags: Flags::NONE,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        if let Err(error) = self.store.set_flags(self.mailbox, folder, change).await {
            tracing::warn!("flags of copies were kept: {error}");
        }
    }

    /// Traces a copy or a move and puts it in IMAP's words.
    fn copied(&self, to: &FolderName, outcome: store::Result<store::Copied>) -> Result<Copied> {
        let outcome = outcome.map(|done| Copied { uid_validity: done.uid_validity, uids: done.uids }).map_err(failure);
        let quantity = outcome.as_ref().ok().map(|done| done.uids.len() as u64);
        self.traced.record(Action::Copy, to, quantity, &outcome);
        outcome
    }
}

#[async_trait]
impl OpenFolder for StoreFolder {
    fn id(&self) -> ObjectId {
        object_id(self.mailbox, self.folder)
    }

    fn rights(&self) -> Rights {
        self.guard.now().rights(self.folder)
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    async fn structures(&self, bodies: &[u64]) -> Result<Vec<Option<Structure>>> {
        let encoded = self.store.structures(self.mailbox, bodies).await.map_err(failure)?;
        encoded
            .into_iter()
            .map(|bytes| match bytes {
                None => Ok(None),
                Some(bytes) => Structure::decode(&bytes).map(Some).map_err(|error| {
                    tracing::error!("a stored structure cannot be read: {error}");
                    Failure::Unavailable
                }),
            })
            .collect()
    }

    async fn encoded_structures(&self, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
        self.store.structures(self.mailbox, bodies).await.map_err(failure)
    }

    async fn body(&self, body: u64) -> Result<Option<Box<dyn MessageBody>>> {
        let body = self.store.body(self.mailbox, body).await.map_err(failure)?;
        if let Some(body) = &body {
            self.traced.pace(body.len()).await;
        }
        Ok(body.map(|body| Box::new(StoreBody(body)) as Box<dyn MessageBody>))
    }

    async fn seek(&self, sought: &[Sought], bodies: &Arc<Vec<u64>>) -> Result<Seeking> {
        let found = self.searcher.seek(self.mailbox, sought, bodies).await.map_err(failure)?;
        Ok(Seeking { judged: found.judged, matching: found.matching })
    }

    async fn bodies(&self, bodies: &[u64]) -> Result<Vec<Option<Box<dyn MessageBody>>>> {
        let found = self.store.bodies(self.mailbox, bodies).await.map_err(failure)?;
        self.traced.pace(found.iter().flatten().map(store::Body::len).sum()).await;
        Ok(found.into_iter().map(|body| Some(Box::new(StoreBody(body?)) as Box<dyn MessageBody>)).collect())
    }

    async fn replace(&self, uid: Uid, to: &FolderName) -> Result<Box<dyn Append>> {
        // The message that is there goes (RFC 8508 §3.5).
        let seen = self.may(Rights::READ.with(Rights::DELETE_MESSAGES).with(Rights::EXPUNGE)).await?;
        let (_, rights) = self.target(&seen, to).await?;
        Ok(Box::new(StoreAppend::new(&self.receiving, Some((self.folder, uid)), to, rights)))
    }

    async fn set_flags(&self, change: FlagChange) -> Result<Vec<Uid>> {
        let rights = self.may(Rights::READ).await?.rights(self.folder);
        let permitted = rights.flags();
        let everything = permitted == Rights::ALL.flags();
        // What may not be changed stays as it is, unless nothing of it may be (RFC 4314 §4).
        let flags = change.flags.without(change.flags.without(permitted));
        let keywords = if rights.contains(Rights::WRITE) { change.keywords } else { Vec::new() };
        let nothing = flags.is_empty() && keywords.is_empty();
        if permitted.is_empty() || (nothing && !everything && change.how != FlagOperation::Replace) {
            return Err(Failure::NoPermission);
        }
        let change = store::FlagChange {
            uids: change.uids,
            how: match change.how {
                FlagOperation::Replace if everything => store::FlagOperation::Replace,
                FlagOperation::Replace => store::FlagOperation::ReplaceWithin(permitted),
                FlagOperation::Add => store::FlagOperation::Add,
                FlagOperation::Remove => store::FlagOperation::Remove,
            },
            flags,
            keywords,
            unchanged_since: change.unchanged_since,
        };
        let set = self.store.set_flags(self.mailbox, self.folder, change).await.map_err(failure)?;
        Ok(set.modified)
    }

    async fn expunge(&self, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        self.may(Rights::EXPUNGE).await?;
        let gone = self.store.expunge(self.mailbox, self.folder, uids).await.map_err(failure);
        let quantity = gone.as_ref().ok().map(|uids| uids.len() as u64);
        if quantity != Some(0) {
            self.traced.record(Action::Expunge, &self.name, quantity, &gone);
        }
        gone
    }

    async fn vanished(&self, since: ModSeq) -> Result<Vanished> {
        let gone = self.store.vanished(self.mailbox, self.folder, since).await.map_err(failure)?;
        Ok(Vanished { uids: gone.uids, complete: gone.complete })
    }

    async fn copy(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied> {
        let seen = self.may(Rights::READ).await?;
        let target = self.target(&seen, to).await?;
        let now = seconds(self.clock.as_ref());
        let copied = self.store.copy(self.mailbox, self.folder, uids, to, now).await;
        self.strip(target, &copied).await;
        self.copied(to, copied)
    }

    async fn move_to(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied> {
        let seen = self.may(Rights::READ.with(Rights::DELETE_MESSAGES).with(Rights::EXPUNGE)).await?;
        let target = self.target(&seen, to).await?;
        let now = seconds(self.clock.as_ref());
        let moved = self.store.move_messages(self.mailbox, self.folder, uids, to, now).await;
        self.strip(target, &moved).await;
        self.copied(to, moved)
    }
}

struct StoreBody(store::Body);

#[async_trait]
impl MessageBody for StoreBody {
    fn len(&self) -> u64 {
        self.0.len()
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.0.read(offset, len).await.map_err(failure)
    }
}
