//! Folders opened by sessions: the picture that all of them share, and what is told of it before it is there.

use std::sync::Arc;
use std::time::Duration;

use mail::View;
use tokio::sync::watch;

use super::{Sqlite, folders, register};
use crate::opening::{Opening, Reading};
use crate::views::{Change, Key};
use crate::{Result, StoreError};

/// How often a picture is read beside the writer before it is read by it: beside, nobody waits, but a folder that receives all the
/// time changes meanwhile.
const BESIDE: usize = 3;

/// Messages of a folder that is read before it is opened: about half a millisecond. Few in builds for tests, so that all of them, those of
/// sessions too, see the other way.
const AT_ONCE: usize = if cfg!(debug_assertions) { 2 } else { 1000 };

/// How long a commit that was read may take until it is shown: it takes microseconds, unless the machine stands still.
const SHOWN: Duration = Duration::from_secs(30);

impl Sqlite {
    /// The folder is unknown, or its mailbox is.
    async fn unknown(&self, key: Key) -> StoreError {
        match self.readers.read(move |conn| register::must_exist(conn, key.0)).await {
            Ok(()) => StoreError::NoSuchFolder,
            Err(error) => error,
        }
    }

    /// [`Store::watch`](crate::Store::watch), with what somebody read of the folder, if anybody did.
    pub(super) async fn watch_from(&self, key: Key, mut read: Option<Arc<View>>) -> Result<watch::Receiver<Arc<View>>> {
        for _ in 0..BESIDE {
            if let Some(receiver) = self.views.subscribe(key) {
                return Ok(receiver);
            }
            let view = match read.take() {
                Some(view) => Some(view),
                None => self.readings.load(&self.readers, key, self.share).await?,
            };
            let Some(view) = view else { return Err(self.unknown(key).await) };
            if let Some(receiver) = self.open_view(key, Some(view)).await? {
                return Ok(receiver);
            }
        }
        self.open_view(key, None).await?.ok_or(StoreError::NoSuchFolder)
    }

    /// [`Store::open_folder`](crate::Store::open_folder).
    pub(super) async fn begin_opening(&self, key: Key) -> Result<Opening> {
        if let Some(receiver) = self.views.subscribe(key) {
            return Ok(Opening::Whole(receiver));
        }
        let Some(reading) = self.readings.begin(&self.readers, key, self.share).await? else {
            return Err(self.unknown(key).await);
        };
        if reading.outline().messages > AT_ONCE {
            return Ok(Opening::Reading(reading));
        }
        let count = reading.outline().messages;
        let view = reading.picture().await?;
        if view.len() != count {
            // Nobody was told.
            self.count_again(key).await?;
        }
        self.watch_from(key, Some(view)).await.map(Opening::Whole)
    }

    /// [`Store::picture`](crate::Store::picture).
    pub(super) async fn complete(&self, key: Key, reading: Reading) -> Result<(Arc<View>, watch::Receiver<Arc<View>>)> {
        let outline = reading.outline().clone();
        let read = reading.picture().await?;
        if read.len() != outline.messages {
            // Whoever waits was told a number that is not true: nothing can be said to them but that.
            self.count_again(key).await?;
            return Err(StoreError::Damaged("the number of messages in the row of a folder"));
        }
        let mut receiver = self.watch_from(key, Some(read.clone())).await?;
        // A commit is on disk, and read here, before it is shown: what goes on must not be behind what was told.
        let shown = receiver.wait_for(|shown| shown.highest_modseq >= outline.highest_modseq);
        match tokio::time::timeout(SHOWN, shown).await {
            Ok(shown) => drop(shown.map_err(|_| StoreError::NoSuchFolder)?),
            Err(_) => return Err(StoreError::Io("a commit was not shown".into())),
        }
        // The same moment is the same picture: one of them is enough.
        let shown = receiver.borrow().clone();
        Ok((if outline.is_of(&shown) { shown } else { read }, receiver))
    }

    /// The number of messages in a folder's row was found wrong, by whatever: it is set right.
    async fn count_again(&self, key: Key) -> Result<()> {
        if self.write(0, move |tx| folders::count_again(tx.conn, key)).await? {
            tracing::error!(
                mailbox = key.0.0,
                folder = key.1.0,
                "a folder's number of messages was wrong, and is right now"
            );
        }
        Ok(())
    }

    /// Has the writer let somebody look at a folder, if `view` is what it knows (`None`: it loads the view itself).
    async fn open_view(&self, key: Key, view: Option<Arc<View>>) -> Result<Option<watch::Receiver<Arc<View>>>> {
        let views = self.views.clone();
        self.write(0, move |tx| {
            if let Some(receiver) = views.subscribe(key) {
                return Ok(Some(receiver));
            }
            for change in &tx.effects.changes {
                // Another session opened it in this very batch.
                if let Change::Open(opened, sender) = change
                    && *opened == key
                {
                    return Ok(Some(sender.subscribe()));
                }
            }
            let now = folders::outline(tx.conn, key)?.ok_or(StoreError::NoSuchFolder)?;
            let view = match view {
                Some(view) if now.is_of(&view) => view,
                Some(_) => return Ok(None),
                None => Arc::new(folders::load_view(tx.conn, key)?.ok_or(StoreError::NoSuchFolder)?),
            };
            let (sender, receiver) = watch::channel(view);
            tx.effects.changes.push(Change::Open(key, sender));
            Ok(Some(receiver))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use crate::contract::*;
    use crate::sqlite::DATABASE;
    use crate::sqlite::tests::make;
    use crate::{FolderId, Opening, StoreError};

    /// A number that is not true is told to nobody twice.
    #[tokio::test]
    async fn a_wrong_number_is_set_right() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..5 {
            put(&store, id, "INBOX", "x").await;
        }
        let conn = Connection::open(dir.path().join("data").join(DATABASE)).expect("opened");
        let set = |count: i64| conn.execute("UPDATE folder SET messages = ?1 WHERE id = 1", [count]).expect("set");
        let said = || conn.query_row("SELECT messages FROM folder WHERE id = 1", [], |row| row.get::<_, i64>(0));
        set(9);
        let Opening::Reading(reading) = store.open_folder(id, FolderId(1)).await.expect("opened") else {
            panic!("nine are many here");
        };
        let told = store.picture(id, FolderId(1), reading).await.map(drop);
        assert!(matches!(told, Err(StoreError::Damaged(_))), "{told:?}");
        assert_eq!(said().expect("read"), 5);
        for few in [1, -3] {
            set(few);
            let Opening::Whole(view) = store.open_folder(id, FolderId(1)).await.expect("opened") else {
                panic!("so few are read first");
            };
            assert_eq!((view.borrow().len(), said().expect("read")), (5, 5));
            drop(view);
            // The picture is forgotten with the next change of the folder.
            mark(&store, id, "INBOX", &[1], if few > 0 { mail::Flags::SEEN } else { mail::Flags::FLAGGED }).await;
        }
    }

    /// What was read of a commit that is not shown yet is given together with a picture that shows it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_goes_on_is_never_behind_what_was_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let sqlite = std::sync::Arc::new(crate::sqlite::Sqlite::open(dir.path()).expect("opened"));
        let store: Tested = sqlite.clone();
        let id = made(&store, 1).await;
        for _ in 0..5 {
            put(&store, id, "INBOX", "x").await;
        }
        let key = (id, FolderId(1));
        let _others = store.watch(id, key.1).await.expect("watched");
        // On disk, and shown to nobody.
        let conn = Connection::open(dir.path().join(DATABASE)).expect("opened");
        conn.execute("UPDATE folder SET modseq = modseq + 1 WHERE id = 1", []).expect("changed");
        let begun = sqlite.readings.begin(&sqlite.readers, key, sqlite.share).await.expect("begun").expect("there");
        let wanted = begun.outline().highest_modseq;
        let mut completing = std::pin::pin!(sqlite.complete(key, begun));
        // However long it waits, there is nothing to be shown yet.
        let early = tokio::time::timeout(Duration::from_millis(50), &mut completing).await;
        assert!(early.is_err(), "what goes on is behind");
        put(&store, id, "INBOX", "shown").await;
        let (told, receiver) = completing.await.expect("complete");
        assert_eq!((told.len(), told.highest_modseq), (5, wanted));
        assert!(receiver.borrow().highest_modseq >= wanted);
    }
}
