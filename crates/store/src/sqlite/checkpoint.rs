//! Emptying the write-ahead log into the database, beside the writer.
//!
//! A checkpoint copies what the log holds while the writer goes on appending; only when nothing is left to copy does the
//! writer start the log again from its beginning. So most of the work is done by a thread of its own, as often as it takes
//! to come close, and the writer itself copies the little that is left between two batches. Nobody waits for the rest.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::schema;
use crate::Result;

/// Pages written to the log after which it is emptied (16 MiB): few enough that readers find pages quickly, that a start after a
/// crash is short and that the disk keeps little twice; enough that pages written often are copied once.
const PAGES: u64 = 4096;
/// Pages left in the log that the writer copies itself: a few milliseconds.
const LITTLE: i64 = 512;
/// How often the thread begins again because the writer was faster, before the writer is made to wait.
const ROUNDS: usize = 8;

/// Looks after the log.
pub(super) struct Checkpoints {
    /// Pages written since it was last asked for.
    pages: u64,
    /// The thread came close: the rest is the writer's.
    close: Arc<AtomicBool>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Copies what can be copied without disturbing anybody; answers how many pages are left.
fn passive(conn: &Connection) -> Result<i64> {
    let (in_log, copied): (i64, i64) =
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(in_log - copied)
}

/// The pages left now, copying nothing.
fn left(conn: &Connection) -> Result<i64> {
    let (in_log, copied): (i64, i64) =
        conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(in_log - copied)
}

/// The pages the connection wrote since it was last asked.
fn pages_written(conn: &Connection) -> u64 {
    let (mut pages, mut highest) = (0, 0);
    // SAFETY: the handle is that of an open connection; the function reads a counter, sets it to zero and fills in two numbers.
    let answer = unsafe {
        rusqlite::ffi::sqlite3_db_status(
            conn.handle(),
            rusqlite::ffi::SQLITE_DBSTATUS_CACHE_WRITE,
            &raw mut pages,
            &raw mut highest,
            1,
        )
    };
    // Without it, as if each look were after some pages: it is emptied rather too often.
    if answer == rusqlite::ffi::SQLITE_OK { u64::try_from(pages).unwrap_or(0) } else { 4 }
}

impl Checkpoints {
    /// Starts the thread, with a connection of its own to the database of `path`.
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let close = Arc::new(AtomicBool::new(false));
        let done = close.clone();
        let conn = schema::open_writer(&path, false)?;
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
            while asked.recv().is_ok() {
                for _ in 0..ROUNDS {
                    match passive(&conn).and_then(|_| left(&conn)) {
                        Ok(pages) if pages > LITTLE => {}
                        Ok(_) => break,
                        Err(error) => {
                            tracing::warn!(%error, "the log could not be emptied; it stays until the next time");
                            break;
                        }
                    }
                }
                done.store(true, Ordering::Release);
            }
        })?;
        Ok(Checkpoints { pages: 0, close, ask: Some(ask), thread: Some(thread) })
    }

    /// Between two batches: asks the thread when it is time, and finishes what it left.
    pub(super) fn look_after(&mut self, conn: &Connection, idle: bool) {
        if self.close.swap(false, Ordering::Acquire)
            && let Err(error) = passive(conn)
        {
            tracing::warn!(%error, "the log could not be emptied; it stays until the next time");
        }
        self.pages += pages_written(conn);
        let due = self.pages >= PAGES || (idle && self.pages > 0);
        if due
            && let Some(ask) = &self.ask
            && !matches!(ask.try_send(()), Err(TrySendError::Full(())))
        {
            self.pages = 0;
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.ask.take();
        if let Some(thread) = self.thread.take() {
            // It ends after the round it is at.
            let _ = thread.join();
        }
    }
}
