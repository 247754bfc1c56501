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

/// Octets of messages after which the log is emptied: few enough that readers find pages quickly, that a start after a
/// crash is short and that the disk keeps little twice; enough that pages written often are copied once.
const OCTETS: usize = 16 * 1024 * 1024;
/// Same in number of batches, for changes without octets.
const BATCHES: usize = 1000;
/// Pages left in the log that the writer copies itself: a few milliseconds.
const LITTLE: i64 = 512;
/// How often the thread begins again because the writer was faster, before the writer is made to wait.
const ROUNDS: usize = 8;

/// Looks after the log.
pub(super) struct Checkpoints {
    octets: usize,
    batches: usize,
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
        Ok(Checkpoints { octets: 0, batches: 0, close, ask: Some(ask), thread: Some(thread) })
    }

    /// A batch of so many octets was committed.
    pub(super) fn note(&mut self, octets: usize) {
        self.octets += octets;
        self.batches += 1;
    }

    /// Between two batches: asks the thread when it is time, and finishes what it left.
    pub(super) fn look_after(&mut self, conn: &Connection, idle: bool) {
        if self.close.swap(false, Ordering::Acquire)
            && let Err(error) = passive(conn)
        {
            tracing::warn!(%error, "the log could not be emptied; it stays until the next time");
        }
        let due = self.octets >= OCTETS || self.batches >= BATCHES || (idle && self.batches > 0);
        if due
            && let Some(ask) = &self.ask
            && !matches!(ask.try_send(()), Err(TrySendError::Full(())))
        {
            self.octets = 0;
            self.batches = 0;
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
