//! A folder read as it is at one moment: what its row says at once, its messages after it.
//!
//! One reader does it, in one transaction, which is the moment. Where there are many messages they are read in parts, and others help
//! as soon as somebody waits for the picture (not before: the answer to SELECT goes out first, on a machine with few cores too). A
//! part is taken by whoever comes to it next; what a helper could not read of this very moment, because the folder changed since, is read by the
//! first one in its own transaction.
//!
//! Invariants:
//! * parts of several moments are never put together: every change of a folder gives a MODSEQ, so the same MODSEQ (and UIDVALIDITY) is
//!   the same folder, whichever connection reads it, and a helper that sees another takes no part;
//! * nobody waits for a reader that has not begun: a helper has its place among the readers before it takes a part;
//! * whoever opens the folder at the same moment meanwhile gets the same picture, read once;
//! * a folder nobody waits for any more is read to the end of a part, no further.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mail::{Entry, Outline, View};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::folders::outline;
use super::load::rows;
use super::reads::{Lent, READERS, Readers};
use crate::opening::Reading;
use crate::views::Key;
use crate::{Result, StoreError};

/// A part is at least so many UIDs: some three milliseconds, many times what a change of threads costs.
const PART: u32 = 8192;
/// Readers for one folder at the most: half of all there are, so that others are not kept waiting by one large folder.
const TOGETHER: usize = READERS / 2;
/// Parts for each of them: whoever comes late still finds some.
const EACH: u32 = 4;

/// How a folder is shared out.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Readers at the most.
    pub(super) most: usize,
    /// UIDs in a part at the least.
    pub(super) least: u32,
}

impl Default for Share {
    fn default() -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from).min(TOGETHER);
        Share { most, least: PART }
    }
}

impl Share {
    /// The parts, in their order; the last goes to the end of all UIDs.
    fn parts(self, first: u32, last: u32) -> Vec<(u32, u32)> {
        let most = EACH * u32::try_from(self.most).unwrap_or(1);
        let count = ((last - first) / self.least).clamp(1, most);
        let each = (last - first) / count + 1;
        let from = |n: u32| first.saturating_add(n.saturating_mul(each));
        (0..count)
            .map(|n| (from(n), if n + 1 == count { u32::MAX } else { from(n).saturating_add(each - 1) }))
            .collect()
    }
}

/// Readings that are under way, by folder.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<Mutex<HashMap<Key, Arc<Work>>>>);

/// One of them.
struct Work {
    key: Key,
    outline: Outline,
    share: Share,
    readers: Readers,
    /// Known once the first reader has looked where the messages are.
    parts: OnceLock<Vec<(u32, u32)>>,
    /// The part to be read next.
    next: AtomicUsize,
    /// Where helpers put what they took: `None` for the first reader to read.
    read: Sender<(usize, Option<Vec<Entry>>)>,
    helped: AtomicBool,
    /// The picture; its receivers are those who wait for it.
    done: watch::Sender<Option<Result<Arc<View>>>>,
}

/// A part somebody took: answered for, whatever happens to who took it.
struct Taken<'w> {
    work: &'w Work,
    number: usize,
    rows: Option<Vec<Entry>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Nobody listens any more only when the reading failed.
        let _ = self.work.read.send((self.number, self.rows.take()));
    }
}

impl Work {
    /// The next part nobody has: its number and its UIDs.
    fn take(&self) -> Option<(usize, (u32, u32))> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.parts.wait().get(number).map(|part| (number, *part))
    }

    /// Asks for help, once.
    fn call(self: &Arc<Self>) {
        if self.helped.swap(true, Ordering::Relaxed) {
            return;
        }
        for _ in 1..self.share.most {
            let (readers, work) = (self.readers.clone(), Arc::downgrade(self));
            tokio::spawn(async move {
                let help = readers.read(move |conn| match work.upgrade() {
                    Some(work) => work.help(conn),
                    None => Ok(()),
                });
                if let Err(error) = help.await {
                    // The first reader reads what is left, and says what is wrong.
                    tracing::debug!(%error, "a folder is read without help");
                }
            });
        }
    }

    /// Reads parts as long as there are any, if the folder is still what it was.
    fn help(&self, conn: &Connection) -> Result<()> {
        if self.parts.wait().len() < 2 || self.next.load(Ordering::Relaxed) >= self.parts.wait().len() {
            return Ok(());
        }
        let moment = conn.unchecked_transaction()?;
        let now = outline(conn, self.key)?;
        if now.is_some_and(|now| same(&now, &self.outline)) {
            while let Some((number, (from, to))) = self.take() {
                let mut taken = Taken { work: self, number, rows: None };
                taken.rows = Some(rows(conn, self.key, from, to)?);
            }
        }
        moment.commit()?;
        Ok(())
    }

    /// Reads the folder in the transaction of the connection. `None`: nobody waits for it any more.
    fn read(
        &self,
        conn: &Connection,
        helped: &Receiver<(usize, Option<Vec<Entry>>)>,
        on: impl Fn() -> bool,
    ) -> Result<Option<View>> {
        let (first, last): (Option<u32>, Option<u32>) = conn
            .prepare_cached(
                "SELECT (SELECT min(uid) FROM message WHERE mailbox = ?1 AND folder = ?2),
                        (SELECT max(uid) FROM message WHERE mailbox = ?1 AND folder = ?2)",
            )?
            .query_row(params![self.key.0.0 as i64, self.key.1.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let parts = self.parts.get_or_init(|| self.share.parts(first.unwrap_or(0), last.unwrap_or(0)));
        let mut there: Vec<Option<Vec<Entry>>> = vec![None; parts.len()];
        let mut left = parts.len();
        while let Some((number, (from, to))) = self.take() {
            if !on() {
                return Ok(None);
            }
            there[number] = Some(rows(conn, self.key, from, to)?);
            left -= 1;
        }
        while left > 0 {
            // This one has a sender itself, and every part that was taken is answered for.
            let Ok((number, part)) = helped.recv() else { break };
            let (from, to) = parts[number];
            there[number] = Some(match part {
                Some(part) => part,
                None => rows(conn, self.key, from, to)?,
            });
            left -= 1;
        }
        let mut view = self.outline.without_messages();
        there.into_iter().flatten().for_each(|part| view.extend(part));
        Ok(Some(view))
    }
}

fn same(one: &Outline, other: &Outline) -> bool {
    (one.uid_validity, one.highest_modseq) == (other.uid_validity, other.highest_modseq)
}

/// Says how a reading ended, whatever it ended by.
struct End {
    readings: Readings,
    work: Arc<Work>,
    result: Result<Arc<View>>,
}

impl End {
    fn read(mut self, lent: Lent, helped: &Receiver<(usize, Option<Vec<Entry>>)>) {
        let on = || self.readings.wanted(&self.work);
        match lent.conn().and_then(|conn| self.work.read(conn, helped, on)) {
            Ok(Some(view)) => self.result = Ok(Arc::new(view)),
            Ok(None) => {}
            Err(error) => self.result = Err(error),
        }
        // The connection is free before anybody goes on.
        drop(lent);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Helpers find nothing to do.
        self.work.parts.get_or_init(Vec::new);
        self.readings.forget(&self.work);
        let result = std::mem::replace(&mut self.result, Err(StoreError::Closed));
        self.work.done.send_replace(Some(result));
    }
}

impl Readings {
    /// The map stays consistent whatever panics: every change of it is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Work>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read a folder; `None` for an unknown or unselectable one. The moment is that of this call.
    pub(super) async fn begin(&self, readers: &Readers, key: Key, share: Share) -> Result<Option<Reading>> {
        let lent = readers.lend().await?;
        // Right here: a change of threads costs more than this row.
        lent.begin()?;
        let Some(outline) = outline(lent.conn()?, key)? else { return Ok(None) };
        let (work, done, helped) = {
            let mut readings = self.lock();
            if let Some(work) = readings.get(&key).filter(|work| same(&work.outline, &outline)) {
                return Ok(Some(reading(work.clone(), work.done.subscribe())));
            }
            let (read, helped) = channel();
            let (done, picture) = watch::channel(None);
            let work = Arc::new(Work {
                key,
                outline,
                share,
                readers: readers.clone(),
                parts: OnceLock::new(),
                next: AtomicUsize::new(0),
                read,
                helped: AtomicBool::new(false),
                done,
            });
            // Of an earlier moment than this one if there is another: those who come now want this one.
            readings.insert(key, work.clone());
            (work, picture, helped)
        };
        let gone = Err(StoreError::Io("a reading thread ended".into()));
        let end = End { readings: self.clone(), work: work.clone(), result: gone };
        tokio::task::spawn_blocking(move || end.read(lent, &helped));
        Ok(Some(reading(work, done)))
    }

    /// The picture of a folder as it is now; `None` for an unknown or unselectable one.
    pub(super) async fn load(&self, readers: &Readers, key: Key, share: Share) -> Result<Option<Arc<View>>> {
        match self.begin(readers, key, share).await? {
            Some(reading) => reading.picture().await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether somebody waits for a reading; if not, nobody will.
    fn wanted(&self, work: &Arc<Work>) -> bool {
        if !work.done.is_closed() {
            return true;
        }
        // Others begin to wait under the lock only.
        let mut readings = self.lock();
        let wanted = !work.done.is_closed();
        if !wanted && readings.get(&work.key).is_some_and(|other| Arc::ptr_eq(other, work)) {
            readings.remove(&work.key);
        }
        wanted
    }

    /// A reading is over: whoever comes now finds the picture where pictures are, or reads again.
    fn forget(&self, work: &Arc<Work>) {
        let mut readings = self.lock();
        if readings.get(&work.key).is_some_and(|other| Arc::ptr_eq(other, work)) {
            readings.remove(&work.key);
        }
    }

    /// How many are under way.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }
}

/// What somebody who waits for a reading has of it.
fn reading(work: Arc<Work>, mut done: watch::Receiver<Option<Result<Arc<View>>>>) -> Reading {
    Reading::new(work.outline.clone(), async move {
        work.call();
        let ended = done.wait_for(Option::is_some).await.map_err(|_| StoreError::Closed)?;
        ended.clone().unwrap_or(Err(StoreError::Closed))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mail::{Flags, Uid};
    use proptest::prelude::*;

    use super::super::folders::load_view;
    use super::*;
    use crate::contract::*;
    use crate::sqlite::DATABASE;
    use crate::sqlite::tests::{make, model::runtime};
    use crate::{FlagChange, FlagOperation, FolderId, Store};

    async fn load(readers: &Readers, key: Key, most: usize, least: u32) -> Option<Arc<View>> {
        Readings::default().load(readers, key, Share { most, least }).await.expect("read")
    }

    fn uids(view: &View) -> Vec<u32> {
        view.iter().map(|entry| entry.uid.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// In parts or at once: the same picture, wherever its messages lie.
        #[test]
        fn parts_are_the_whole(
            there in proptest::collection::btree_set(prop_oneof![4 => 1..400u32, 1 => 1..u32::MAX - 1], 0..120),
            most in 1..7usize,
            least in 1..50u32,
        ) {
            runtime().block_on(async {
                let (store, dir) = make();
                let id = made(&store, 1).await;
                let path = dir.path().join("data").join(DATABASE);
                let conn = Connection::open(&path).expect("opened");
                for uid in &there {
                    let row = params![id.0 as i64, uid];
                    conn.execute("INSERT INTO message VALUES (?1, 1, ?2, 7, 0, 1, 0, 1, 0, 0)", row).expect("inserted");
                }
                let (readers, key) = (Readers::new(&path), (id, FolderId(1)));
                let view = load(&readers, key, most, least).await.expect("there");
                let whole = load_view(&conn, key).expect("read").expect("there");
                assert_eq!(BTreeSet::from_iter(uids(&view)), there);
                assert!(view.iter().eq(whole.iter()) && view.octets() == whole.octets());
                assert_eq!((view.uid_next, view.highest_modseq), (whole.uid_next, whole.highest_modseq));
                assert!(load(&readers, (id, FolderId(99)), most, least).await.is_none());
            });
        }
    }

    /// While others deliver, mark and expunge: never parts of two moments.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn parts_are_of_one_moment() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..40 {
            put(&store, id, "INBOX", "x").await;
        }
        let working = {
            let store: Arc<dyn Store> = store.clone();
            tokio::spawn(async move {
                for n in 1..=60u32 {
                    // The first and the last change together: half of it is never to be seen.
                    let uids = vec![Uid(1), Uid(40 + n - 1)];
                    let flags = if n % 2 == 0 { Flags::SEEN } else { Flags::ANSWERED };
                    let change = FlagChange {
                        uids,
                        how: FlagOperation::Replace,
                        flags,
                        keywords: Vec::new(),
                        unchanged_since: None,
                    };
                    store.set_flags(id, FolderId(1), change).await.expect("set");
                    put(&store, id, "INBOX", "x").await;
                }
            })
        };
        let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
        let mut seen = 0;
        while !working.is_finished() {
            let view = load(&readers, key, 4, 5).await.expect("there");
            let last = view.iter().filter(|e| !e.flags.is_empty() && e.uid.0 > 1).last();
            let first = view.find(Uid(1)).expect("there");
            if let Some(last) = last {
                assert_eq!((last.flags, last.modseq), (first.flags, first.modseq));
            }
            assert!(view.iter().all(|e| e.modseq <= view.highest_modseq));
            seen += 1;
        }
        working.await.expect("ended");
        assert!(seen > 1);
        assert_eq!(load(&readers, key, 4, 5).await.expect("there").len(), 100);
    }

    /// What was told, and what is read after it although the folder changed in between.
    async fn held(
        readers: &Readers,
        key: Key,
        share: Share,
    ) -> (Lent, Arc<Work>, Receiver<(usize, Option<Vec<Entry>>)>) {
        let lent = readers.lend().await.expect("lent");
        lent.begin().expect("begun");
        let outline = outline(lent.conn().expect("there"), key).expect("read").expect("there");
        let (read, helped) = channel();
        let (parts, next, helped_already) = (OnceLock::new(), AtomicUsize::new(0), AtomicBool::new(false));
        let (readers, done) = (readers.clone(), watch::Sender::new(None));
        let work = Work { key, outline, share, readers, parts, next, read, helped: helped_already, done };
        (lent, Arc::new(work), helped)
    }

    /// Messages come, go and change between the outline and the reading: the picture is of the outline, alone and with help
    /// that sees another folder, the same folder, or fails in the middle of a part.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_picture_is_of_the_moment_that_was_told() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..40 {
            put(&store, id, "INBOX", "x").await;
        }
        let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
        let share = Share { most: 3, least: 5 };
        for helpers in 0..3 {
            let before = load(&readers, key, 1, 1000).await.expect("there");
            let (lent, work, helped) = held(&readers, key, share).await;
            assert_eq!(work.outline, Outline::from(&*before));
            if helpers == 1 {
                // A helper takes parts of the same moment, before the change.
                work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
                let helper = readers.lend().await.expect("lent");
                work.help(helper.conn().expect("there")).expect("helped");
                assert!(work.next.load(Ordering::Relaxed) > work.parts.wait().len(), "it took all there is");
            }
            if helpers == 2 {
                work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
                let (number, _) = work.take().expect("a part");
                drop(Taken { work: &work, number, rows: None });
            }
            let first = before.iter().next().expect("there").uid;
            mark(&store, id, "INBOX", &[first.0, first.0 + 7], Flags::DELETED.with(Flags::SEEN)).await;
            assert_eq!(store.expunge(id, key.1, None).await.expect("expunged").len(), 2);
            mark(&store, id, "INBOX", &[first.0 + 1, first.0 + 9], Flags::FLAGGED).await;
            put(&store, id, "INBOX", "new").await;
            let helper = readers.lend().await.expect("lent");
            let taken = work.next.load(Ordering::Relaxed);
            work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
            work.help(helper.conn().expect("there")).expect("helped");
            assert_eq!(work.next.load(Ordering::Relaxed), taken, "no part of another moment is taken");
            let view = work.read(lent.conn().expect("there"), &helped, || true).expect("read").expect("wanted");
            assert!(view.iter().eq(before.iter()), "{helpers}");
            assert_eq!(Outline::from(&view), work.outline);
            assert_eq!(
                (view.unseen(), view.deleted(), view.octets()),
                (before.unseen(), before.deleted(), before.octets())
            );
        }
    }

    /// Those who come at the same moment share one reading; those who come after a change do not.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_reading_for_one_moment() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..10 {
            put(&store, id, "INBOX", "x").await;
        }
        let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
        let (readings, share) = (Readings::default(), Share { most: 2, least: 2 });
        // One that is under way and does not get on.
        let (lent, work, helped) = held(&readers, key, share).await;
        readings.lock().insert(key, work.clone());
        let second = readings.begin(&readers, key, share).await.expect("begun").expect("there");
        assert_eq!(*second.outline(), work.outline);
        put(&store, id, "INBOX", "x").await;
        let third = readings.begin(&readers, key, share).await.expect("begun").expect("there");
        assert_eq!(third.outline().messages, 11);
        assert_eq!(third.picture().await.expect("read").len(), 11, "it waits for nobody else");
        let end = End { readings: readings.clone(), work, result: Err(StoreError::Closed) };
        end.read(lent, &helped);
        assert_eq!(second.picture().await.expect("read").len(), 10);
        assert_eq!(readings.count(), 0);
    }

    /// What nobody waits for is not read, and leaves nothing; who waits for what fails is told.
    #[tokio::test]
    async fn readings_end() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..10 {
            put(&store, id, "INBOX", "x").await;
        }
        let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
        let readings = Readings::default();
        let (lent, work, helped) = held(&readers, key, Share { most: 1, least: 2 }).await;
        readings.lock().insert(key, work.clone());
        // Nobody has its receiver.
        let on = || readings.wanted(&work);
        assert!(work.read(lent.conn().expect("there"), &helped, on).expect("no trouble").is_none());
        assert_eq!((work.next.load(Ordering::Relaxed), readings.count()), (1, 0));
        drop(lent);
        // Whose thread never runs.
        let (_lent, work, _helped) = held(&readers, key, Share { most: 2, least: 2 }).await;
        let waiting = reading(work.clone(), work.done.subscribe());
        drop(End { readings, work, result: Err(StoreError::Io("gone".into())) });
        assert!(matches!(waiting.picture().await, Err(StoreError::Io(_))));
        // All places are free again.
        drop(_lent);
        readers.close().await;
    }
}
