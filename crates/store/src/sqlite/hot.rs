//! The store's hot paths on one thread, for `bench/instructions`: what the writer does for a request, and what is done before it.
//! Not for anything else.

use std::path::Path;
use std::sync::Arc;

use mail::{Flags, Uid, View};
use tokio::sync::watch;

use super::writer::{Kind, Request, Tx, Writer};
use super::{DATABASE, Options, Sqlite, changing, deliver, folders, load, schema};
use crate::views::{Change, Key};
use crate::*;

/// A store that does what it is asked where it is asked, with one folder that somebody looks at.
pub struct Hot {
    store: Sqlite,
    writer: Writer,
    key: Key,
    view: watch::Receiver<Arc<View>>,
}

impl Hot {
    /// A data folder of a mailbox with so many small messages.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn make(folder: &Path, mailbox: NewMailbox, messages: u32) -> Result<Hot> {
        /// Messages in one commit.
        const TOGETHER: u32 = 500;
        let store = Sqlite::open(folder)?;
        let id = store.create_mailbox(mailbox).await?;
        for first in (0..messages).step_by(TOGETHER as usize) {
            let one = |_| Commit {
                content: Some(Content {
                    body: Spooled::from_bytes(&b"x"[..]),
                    structure: vec![b's'; 900],
                    links: Vec::new(),
                }),
                deliver: vec![Target::inbox(id, 0)],
                ..Commit::default()
            };
            store.commit_all((first..messages.min(first + TOGETHER)).map(one).collect()).await?;
        }
        store.close().await;
        drop(store);
        let (store, writer) = Sqlite::put_together(folder, Some(super::lock(folder)?), Options::default())?;
        let inbox = store.folder(id, &mail::FolderName::inbox()).await?.ok_or(StoreError::NoSuchFolder)?;
        let key = (id, inbox.id);
        let view = folders::load_view(&schema::open_reader(&folder.join(DATABASE))?, key)?;
        let (sender, view) = watch::channel(Arc::new(view.ok_or(StoreError::NoSuchFolder)?));
        store.views.publish(vec![Change::Open(key, sender)]);
        Ok(Hot { store, writer, key, view })
    }

    async fn serve<T: Send + 'static>(
        &mut self,
        kind: Kind,
        octets: usize,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.store.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (request, answer) = Request::new(run, octets, kind, place);
        self.writer.serve_one(Box::new(request));
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// `STORE 1:*`: every message is given the flags, or has them taken away; how many were told of.
    ///
    /// # Errors
    /// Those of [`Store::set_flags`].
    pub async fn mark_all(&mut self, how: FlagOperation, flags: Flags) -> Result<usize> {
        let view = self.view.borrow().clone();
        let uids: Vec<Uid> = view.iter().map(|entry| entry.uid).collect();
        let (key, change) = (self.key, FlagChange { uids, how, flags, keywords: Vec::new(), unchanged_since: None });
        let set = self.serve(Kind::Other, 0, move |tx| changing::set_flags(tx, key, Some(&view), &change)).await?;
        Ok(set.now.len())
    }

    /// APPEND, once the message was received: sealed, committed, shown.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub async fn append(&mut self, content: Content) -> Result<Committed> {
        let deliver = vec![Target::inbox(self.key.0, 0)];
        let commit = Commit { content: Some(content), deliver, ..Commit::default() };
        let (prepared, octets) = self.store.prepare(commit, 0).await?;
        self.serve(Kind::Plain, octets, move |tx| deliver::commit(tx, prepared)).await
    }

    /// Messages that the folder shows.
    pub fn shown(&self) -> usize {
        self.view.borrow().len()
    }

    /// The rows of the folder read into a picture, as when it is opened first; how many.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn load(&self) -> Result<usize> {
        // Pages are read of one moment or not at all.
        let moment = self.writer.conn.unchecked_transaction()?;
        let count = load::rows(&moment, self.key, 0, u32::MAX)?.len();
        moment.commit()?;
        Ok(count)
    }
}
