//! What the trait asks, as requests of the writer and of the readers.
//!
//! Nothing is decided here: who may write at all ([`Sqlite::served`]), how many messages make one change ([`BULK`]), and which
//! module does it.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use mail::{FolderName, ModSeq, Rights, SpecialUse, Uid, View};
use mssante::{Address, NationalId};
use tokio::sync::watch;

use super::writer::{Kind, Message};
use super::{
    Sqlite, changing, deliver, expunged, folders, hold, marks, messages, queue, reads, register, sharing, upkeep,
};
use crate::limits::BULK;
use crate::*;

#[async_trait]
impl Store for Sqlite {
    async fn create_mailbox(&self, new: NewMailbox) -> Result<MailboxId> {
        self.write(0, move |tx| register::create(tx, &new)).await
    }

    async fn mailbox(&self, address: &Address) -> Result<Option<Mailbox>> {
        let address = address.clone();
        let mut found = self.readers.look(move |conn| register::mailbox(conn, &address)).await?;
        if let Some(mailbox) = &mut found {
            mailbox.last_authentication = mailbox.last_authentication.max(self.notes.get(mailbox.id));
        }
        Ok(found)
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        let mut all = self.readers.read(register::mailboxes).await?;
        for mailbox in &mut all {
            mailbox.last_authentication = mailbox.last_authentication.max(self.notes.get(mailbox.id));
        }
        Ok(all)
    }

    async fn delete_mailbox(&self, id: MailboxId) -> Result<()> {
        self.write(0, move |tx| register::delete(tx, id)).await
    }

    async fn set_quota(&self, id: MailboxId, quota: Quota) -> Result<()> {
        self.write(0, move |tx| register::set_quota(tx, id, quota)).await
    }

    async fn grant(&self, id: MailboxId, right: Right) -> Result<()> {
        self.write(0, move |tx| register::grant(tx, id, &right)).await
    }

    async fn revoke(&self, id: MailboxId, person: &NationalId, at: i64) -> Result<()> {
        let person = person.clone();
        self.write(0, move |tx| register::revoke(tx, id, &person, at)).await
    }

    async fn rights(&self, id: MailboxId) -> Result<Vec<Right>> {
        self.readers.look(move |conn| register::rights(conn, id)).await
    }

    async fn note_authentication(&self, id: MailboxId, at: i64) -> Result<()> {
        self.served()?;
        if self.inbox.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(StoreError::Closed);
        }
        self.notes.note(id, at);
        Ok(())
    }

    async fn folders(&self, mailbox: MailboxId) -> Result<Vec<Folder>> {
        self.served()?;
        self.readers.read(move |conn| folders::list(conn, mailbox)).await
    }

    async fn folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<Option<Folder>> {
        self.served()?;
        let name = name.clone();
        self.readers.look(move |conn| folders::named(conn, mailbox, &name)).await
    }

    async fn create_folder(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<Folder> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::create(tx, mailbox, &name, special_use)).await
    }

    async fn delete_folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<()> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::delete(tx, mailbox, &name)).await
    }

    async fn rename_folder(&self, mailbox: MailboxId, from: &FolderName, to: &FolderName, at: i64) -> Result<()> {
        self.served()?;
        let (from, to) = (from.clone(), to.clone());
        self.write(0, move |tx| folders::rename(tx, mailbox, &from, &to, at)).await
    }

    async fn subscribe(&self, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::subscribe(tx, mailbox, &name, subscribed)).await
    }

    async fn access(&self, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
        self.readers.look(move |conn| sharing::access(conn, mailbox)).await
    }

    async fn folder_and_access(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
    ) -> Result<(Option<Folder>, Vec<AccessEntry>)> {
        self.served()?;
        let epoch = self.known.epoch();
        if let Some(known) = self.known.get(epoch, mailbox, name) {
            return Ok(known);
        }
        let of = name.clone();
        let found = self
            .readers
            .look(move |conn| {
                // Each statement by itself would lock and unlock the database, which costs as much as the row.
                // An unknown mailbox has no folder, which is told.
                reads::at_once(conn, |conn| Ok((folders::named(conn, mailbox, &of)?, sharing::entries(conn, mailbox)?)))
            })
            .await?;
        self.known.keep(epoch, mailbox, name.clone(), &found);
        Ok(found)
    }

    async fn set_access(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        grantee: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()> {
        let grantee = grantee.clone();
        self.write(0, move |tx| sharing::set_access(tx, mailbox, folder, &grantee, rights)).await
    }

    async fn annotations(&self, mailbox: MailboxId, of: Option<FolderId>, reader: &str) -> Result<Vec<Annotation>> {
        self.served()?;
        let reader = reader.to_owned();
        self.readers.read(move |conn| sharing::annotations(conn, mailbox, of, &reader)).await
    }

    async fn all_annotations(&self, mailbox: MailboxId, reader: &str) -> Result<Vec<(Option<FolderId>, Annotation)>> {
        self.served()?;
        let reader = reader.to_owned();
        self.readers.read(move |conn| sharing::all_annotations(conn, mailbox, &reader)).await
    }

    async fn annotate(&self, mailbox: MailboxId, of: Option<FolderId>, changes: Vec<AnnotationChange>) -> Result<()> {
        self.served()?;
        let octets = changes.iter().filter_map(|c| c.value.as_ref()).map(Vec::len).sum();
        self.write(octets, move |tx| sharing::annotate(tx, mailbox, of, &changes)).await
    }

    async fn watch(&self, mailbox: MailboxId, folder: FolderId) -> Result<watch::Receiver<Arc<View>>> {
        self.served()?;
        self.watch_from((mailbox, folder), None).await
    }

    async fn open_folder(&self, mailbox: MailboxId, folder: FolderId) -> Result<Opening> {
        self.served()?;
        self.begin_opening((mailbox, folder)).await
    }

    async fn picture(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        reading: Reading,
    ) -> Result<(Arc<View>, watch::Receiver<Arc<View>>)> {
        self.served()?;
        self.complete((mailbox, folder), reading).await
    }

    async fn watch_mailbox(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>> {
        self.served()?;
        let views = self.views.clone();
        // In the writer, between two commits: neither a change nor the end of the mailbox can be missed.
        self.write(0, move |tx| {
            register::must_exist(tx.conn, mailbox)?;
            Ok(views.subscribe_mailbox(mailbox))
        })
        .await
    }

    async fn watch_annotations(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>> {
        self.served()?;
        let views = self.views.clone();
        // As above.
        self.write(0, move |tx| {
            register::must_exist(tx.conn, mailbox)?;
            Ok(views.subscribe_annotations(mailbox))
        })
        .await
    }

    fn spool(&self) -> Spool {
        Spool::in_folder(self.spool.clone())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.served()?;
        let (prepared, octets) = self.prepare(commit, 0).await?;
        let kind = match (prepared.plain(), prepared.logged()) {
            (true, _) => Kind::Plain,
            (false, true) => Kind::Logged,
            (false, false) => Kind::Other,
        };
        self.write_as(kind, octets, move |tx| deliver::commit(tx, prepared)).await
    }

    async fn commit_all(&self, commits: Vec<Commit>) -> Result<Vec<Committed>> {
        self.served()?;
        let (mut all, mut octets) = (Vec::with_capacity(commits.len()), 0);
        let mut kind = Kind::Logged;
        for (number, commit) in commits.into_iter().enumerate() {
            let number = u16::try_from(number).map_err(|_| StoreError::Io("too many messages in one commit".into()))?;
            let (prepared, more) = self.prepare(commit, number).await?;
            if !prepared.logged() {
                kind = Kind::Other;
            }
            all.push(prepared);
            octets += more;
        }
        // One request is one savepoint: what one of them cannot, none of them did.
        self.write_as(kind, octets, move |tx| all.into_iter().map(|prepared| deliver::commit(tx, prepared)).collect())
            .await
    }

    async fn replace(&self, mailbox: MailboxId, folder: FolderId, uid: Uid, by: Commit) -> Result<Option<Committed>> {
        self.served()?;
        let (prepared, octets) = self.prepare(by, 0).await?;
        self.write(octets, move |tx| {
            if changing::remove(tx, (mailbox, folder), uid)? {
                deliver::commit(tx, prepared).map(Some)
            } else {
                Ok(None)
            }
        })
        .await
    }

    async fn structures(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
        self.served()?;
        let bodies = bodies.to_vec();
        let keys = self.place.keys.clone();
        self.readers.read(move |conn| reads::structures(conn, &keys, mailbox, &bodies)).await
    }

    async fn body(&self, mailbox: MailboxId, body: u64) -> Result<Option<Body>> {
        self.served()?;
        let place = self.place.clone();
        self.readers.read(move |conn| reads::body(conn, &place, mailbox, body)).await
    }

    async fn derived_key(&self, mailbox: MailboxId, purpose: &'static str) -> Result<zeroize::Zeroizing<[u8; 32]>> {
        Ok(self.key(Some(mailbox)).await?.purpose(purpose))
    }

    async fn bodies(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Body>>> {
        self.served()?;
        let (place, bodies) = (self.place.clone(), bodies.to_vec());
        // One change of threads for all of them.
        self.readers.read(move |conn| reads::bodies(conn, &place, mailbox, &bodies)).await
    }

    async fn set_flags(&self, mailbox: MailboxId, folder: FolderId, change: FlagChange) -> Result<FlagsSet> {
        self.served()?;
        let (key, mut change) = ((mailbox, folder), change);
        let mut answer = FlagsSet::default();
        loop {
            let later = change.uids.split_off(change.uids.len().min(BULK));
            let (views, slice) =
                (self.views.clone(), FlagChange { uids: std::mem::replace(&mut change.uids, later), ..change.clone() });
            let done =
                self.write(0, move |tx| changing::set_flags(tx, key, views.current(key).as_deref(), &slice)).await?;
            answer.now.extend(done.now);
            answer.modified.extend(done.modified);
            if change.uids.is_empty() {
                return Ok(answer);
            }
        }
    }

    async fn expunge(&self, mailbox: MailboxId, folder: FolderId, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        self.served()?;
        let key = (mailbox, folder);
        let mut gone = Vec::new();
        let mut left = uids;
        loop {
            let slice = left.as_mut().map(|left| {
                let later = left.split_off(left.len().min(BULK));
                std::mem::replace(left, later)
            });
            let views = self.views.clone();
            let some = self
                .write(0, move |tx| changing::expunge(tx, key, views.current(key).as_deref(), slice.as_deref()))
                .await?;
            let over = match &left {
                Some(left) => left.is_empty(),
                None => some.len() < BULK,
            };
            gone.extend(some);
            if over {
                return Ok(gone);
            }
        }
    }

    async fn copy(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.served()?;
        let (key, to, views) = ((mailbox, from), to.clone(), self.views.clone());
        self.write(0, move |tx| changing::copy(tx, key, views.current(key).as_deref(), &uids, &to, at)).await
    }

    async fn move_messages(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.served()?;
        let (key, mut left) = ((mailbox, from), uids);
        let mut moved: Option<Copied> = None;
        loop {
            let later = left.split_off(left.len().min(BULK));
            let slice = std::mem::replace(&mut left, later);
            let (to, views) = (to.clone(), self.views.clone());
            let some = self
                .write(0, move |tx| changing::move_some(tx, key, views.current(key).as_deref(), &slice, &to, at))
                .await?;
            let all = match moved.take() {
                None => some,
                Some(Copied { mut uids, .. }) => {
                    uids.extend(some.uids);
                    Copied { uids, ..some }
                }
            };
            if left.is_empty() {
                return Ok(all);
            }
            moved = Some(all);
        }
    }

    async fn vanished(&self, mailbox: MailboxId, folder: FolderId, since: ModSeq) -> Result<Vanished> {
        self.served()?;
        self.readers.read(move |conn| expunged::vanished(conn, (mailbox, folder), since)).await
    }

    fn arrivals(&self) -> Vec<MailboxId> {
        self.views.take_arrivals()
    }

    async fn bodies_after(&self, mailbox: MailboxId, after: u64, limit: usize) -> Result<Vec<u64>> {
        self.served()?;
        self.readers.read(move |conn| messages::bodies_after(conn, mailbox, after, limit)).await
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>> {
        self.served()?;
        self.readers.read(queue::all).await
    }

    async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>> {
        self.served()?;
        self.readers.read(move |conn| queue::one(conn, id)).await
    }

    async fn queue_body(&self, id: QueueId) -> Result<Option<Body>> {
        self.served()?;
        let place = self.place.clone();
        self.readers.read(move |conn| reads::queue_body(conn, &place, id)).await
    }

    async fn maintain(&self, now: i64) -> Result<()> {
        self.served()?;
        let notes = self.notes.take();
        if !notes.is_empty() {
            let written = notes.clone();
            if let Err(error) = self.write(0, move |tx| upkeep::note_all(tx.conn, &written)).await {
                self.notes.put_back(notes);
                return Err(error);
            }
        }
        self.write(0, upkeep::forget_old).await?;
        // A slice in each transaction, so that deliveries have their turn between them.
        while self.write(0, |tx| marks::fold_some(tx.conn)).await? {}
        // One transaction after the other, so that deliveries have their turn between them.
        let mut after = (i64::MIN, Vec::new());
        while let Some(last) = self.write(0, move |tx| upkeep::forget_duplicates(tx, now, &after)).await? {
            after = last;
        }
        let files = self.place.files.clone();
        self.readers.read(move |conn| files.remove_orphans(|name| reads::is_named(conn, name))).await
    }

    fn hold(&self) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        (!self.admin).then(|| Box::new(hold::Hold::new(self.place.files.clone(), self.place.segments.clone())) as _)
    }

    fn statistics(&self) -> Option<Arc<Statistics>> {
        Some(self.statistics.clone())
    }

    fn open_views(&self) -> usize {
        self.views.open()
    }

    async fn close(&self) {
        let sender = self.inbox.write().unwrap_or_else(PoisonError::into_inner).take();
        // The readers' connections first: the last one that closes empties the log into the database and removes it, and of two
        // that close at once each takes the other for the last.
        self.readers.close().await;
        if let Some(sender) = sender {
            // The thread may have ended only by a bug; joining it tells.
            let _ = sender.send(Message::Stop);
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let ended = tokio::task::spawn_blocking(move || writer.join().is_ok()).await;
            if !matches!(ended, Ok(true)) {
                tracing::error!("the writer did not end well");
            }
        }
        self.places.close();
        self.views.forget_all();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
