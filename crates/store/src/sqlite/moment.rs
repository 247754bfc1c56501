//! A folder read as it is at one moment: what its row says at once, its messages after it.
//!
//! One reader does it, in one transaction, which is the moment. Where there are many messages they are read in parts, and others help.
//! All begin as soon as somebody waits for the picture and not before, so that the answer to SELECT goes out first, on a machine with
//! few cores too; the first reader begins after [`HEAD_START`] in any case, however slowly a client takes that answer. A part is taken by
//! whoever comes to it next; what a helper could not read of this very moment, because the folder changed since, is read by the
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
use std::time::Duration;

use mail::{Entry, Outline, View};
use rusqlite::{Connection, params};
use tokio::sync::{Notify, watch};

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
/// What an answer may take before the reading begins beside it: the reader and its transaction are held meanwhile. Some ten times what an
/// answer takes, and less than what the processors are shared out in, which is what it would wait for otherwise.
const HEAD_START: Duration = Duration::from_millis(2);

/// How a folder is shared out.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Readers at the most.
    pub(super) most: usize,
    /// UIDs in a part at the least.
    pub(super) least: u32,
    /// How long nobody begins while nobody waits.
    pub(super) head_start: Duration,
}

impl Default for Share {
    fn default() -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from).min(TOGETHER);
        Share { most, least: PART, head_start: HEAD_START }
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
    /// Told when somebody waits.
    wanted: Notify,
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

    /// Somebody waits: the first reader begins, and help is asked for, once.
    fn call(self: &Arc<Self>) {
        if self.helped.swap(true, Ordering::Relaxed) {
            return;
        }
        self.wanted.notify_one();
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
        if now.is_some_and(|now| now.is_same_moment(&self.outline)) {
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
            if let Some(work) = readings.get(&key).filter(|work| work.outline.is_same_moment(&outline)) {
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
                wanted: Notify::new(),
                done,
            });
            // Of an earlier moment than this one if there is another: those who come now want this one.
            readings.insert(key, work.clone());
            (work, picture, helped)
        };
        let gone = Err(StoreError::Io("a reading thread ended".into()));
        let end = End { readings: self.clone(), work: work.clone(), result: gone };
        tokio::spawn(async move {
            // Either way it begins.
            let _ = tokio::time::timeout(share.head_start, end.work.wanted.notified()).await;
            tokio::task::spawn_blocking(move || end.read(lent, &helped));
        });
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
mod tests;
