//! The group committer: the one thread that writes.
//!
//! It takes everything that waits, applies each request inside its own savepoint (one that fails rolls back alone), commits
//! once (one sync), shows the views and answers everyone. No artificial delay: what comes while a request is applied joins
//! the batch, and a lone request is committed at once. Upkeep (checkpoints, garbage, dates of authentication) is done after
//! the answers.
//!
//! Invariants:
//! * nobody is answered `Ok` before the commit is on disk; a batch that does not commit answers everyone an error;
//! * views are published after the commit and before the answers, in the order of the commits;
//! * nothing that goes wrong (full disk, I/O error, panic) ends the thread: the transaction is rolled back and the next
//!   batch begins anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::checkpoint::Checkpoints;
use super::files::{Files, Placed};
use super::upkeep::{self, Notes};
use crate::views::{Change, Views};
use crate::{Result, StoreError};

/// Requests in one commit: bounds what one failure of the disk refuses, and how long the first waits for the last.
const BATCH_REQUESTS: usize = 512;
/// Octets of messages in one commit, for the same reasons.
const BATCH_OCTETS: usize = 16 * 1024 * 1024;
/// How long an idle writer waits before it empties the log and looks at its other upkeep.
const IDLE: Duration = Duration::from_secs(5);

/// What a request may do: SQL, and effects that become true if the commit does.
pub(super) struct Tx<'c> {
    pub(super) conn: &'c Connection,
    pub(super) effects: &'c mut Effects,
}

/// What becomes true with the commit.
#[derive(Default)]
pub(super) struct Effects {
    /// What sessions are to see.
    pub(super) changes: Vec<Change>,
    /// Files the commit names.
    pub(super) placed: Vec<Placed>,
    /// Files no row names any more.
    pub(super) unnamed: Vec<String>,
    /// Bodies were left for upkeep to give back.
    pub(super) garbage: bool,
}

/// A request as the writer sees it.
pub(super) trait Job: Send {
    /// Applies it; `Err` means it is to be rolled back alone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Octets it brings.
    fn octets(&self) -> usize;
    /// Answers: what `run` gave if the batch is on disk, the batch's error otherwise.
    fn answer(self: Box<Self>, batch: &Result<()>);
}

/// A request with its answer's type.
pub(super) struct Request<F, T> {
    run: Option<F>,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
    octets: usize,
    /// Its place among those that may wait; free again when it is answered.
    _place: OwnedSemaphorePermit,
}

impl<F, T> Request<F, T> {
    pub(super) fn new(run: F, octets: usize, place: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<Result<T>>) {
        let (answer, receiver) = oneshot::channel();
        (Request { run: Some(run), outcome: None, answer, octets, _place: place }, receiver)
    }
}

impl<F, T> Job for Request<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Some(run) = self.run.take() else { return Err(StoreError::Io("a request ran twice".into())) };
        match run(tx) {
            Ok(value) => {
                self.outcome = Some(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.outcome = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn octets(&self) -> usize {
        self.octets
    }

    fn answer(self: Box<Self>, batch: &Result<()>) {
        let outcome = match (batch, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Io("the request was not applied".into())),
            // Its own reason first: a request over its quota stays so.
            (Err(_), Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error.clone()),
        };
        // Whoever asked may have gone.
        let _ = self.answer.send(outcome);
    }
}

/// What the writer is sent.
pub(super) enum Message {
    /// Something to do.
    Job(Box<dyn Job>),
    /// Finish what came before, and end.
    Stop,
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) inbox: Receiver<Message>,
    pub(super) views: Arc<Views>,
    pub(super) files: Files,
    pub(super) notes: Arc<Notes>,
    /// `PRAGMA data_version` seen last: changes when another process writes.
    pub(super) data_version: i64,
    /// Who empties the log. The server's writer looks after the log, garbage and notes; the command line's does not.
    pub(super) log: Option<Checkpoints>,
}

/// What upkeep is due.
struct Due {
    garbage: bool,
    notes_at: Instant,
}

impl Writer {
    /// Serves until told to stop, or until nobody can ask any more.
    pub(super) fn serve(mut self) {
        let mut due = Due { garbage: self.log.is_some(), notes_at: Instant::now() };
        loop {
            let wait = if due.garbage { Duration::ZERO } else { IDLE };
            let mut idle = false;
            match self.inbox.recv_timeout(wait) {
                Ok(Message::Job(first)) => {
                    if self.batch(first, &mut due) {
                        break;
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if due.garbage => {
                    due.garbage = self.guarded(upkeep::collect_some).unwrap_or(false);
                }
                Err(RecvTimeoutError::Timeout) => idle = true,
            }
            if let Some(log) = &mut self.log {
                log.look_after(&self.conn, idle);
            }
            if self.log.is_some() && due.notes_at.elapsed() >= upkeep::NOTE_DELAY {
                due.notes_at = Instant::now();
                self.write_notes();
            }
        }
        self.write_notes();
    }

    /// One commit. Answers whether it was told to stop.
    fn batch(&mut self, first: Box<dyn Job>, due: &mut Due) -> bool {
        let mut jobs = Vec::with_capacity(16);
        let mut effects = Effects::default();
        let mut stop = false;
        let done = catch_unwind(AssertUnwindSafe(|| self.transact(first, &mut jobs, &mut effects, &mut stop)));
        let committed = done.unwrap_or_else(|_| Err(StoreError::Io("the writer failed on a request".into())));
        match &committed {
            Ok(()) => {
                due.garbage |= effects.garbage && self.log.is_some();
                if let Some(log) = &mut self.log {
                    log.note(jobs.iter().map(|job| job.octets()).sum());
                }
                self.make_true(effects);
            }
            Err(error) => {
                tracing::error!(%error, requests = jobs.len(), "a batch was not committed");
                self.recover();
                drop(effects);
            }
        }
        for job in jobs {
            job.answer(&committed);
        }
        stop
    }

    fn transact(
        &mut self,
        first: Box<dyn Job>,
        jobs: &mut Vec<Box<dyn Job>>,
        effects: &mut Effects,
        stop: &mut bool,
    ) -> Result<()> {
        let mut octets = 0;
        let mut next = Some(first);
        let begun = self.begin();
        while let Some(job) = next.take() {
            octets += job.octets();
            jobs.push(job);
            if begun.is_ok()
                && let Some(job) = jobs.last_mut()
            {
                apply(&self.conn, job.as_mut(), effects).map_err(|e| self.explain(e))?;
            }
            if jobs.len() < BATCH_REQUESTS && octets < BATCH_OCTETS {
                match self.inbox.try_recv() {
                    Ok(Message::Job(job)) => next = Some(job),
                    Ok(Message::Stop) => *stop = true,
                    Err(_) => {}
                }
            }
        }
        begun?;
        step(&self.conn, "COMMIT").map_err(|e| self.explain(e))
    }

    fn begin(&mut self) -> Result<()> {
        step(&self.conn, "BEGIN IMMEDIATE").map_err(|e| self.explain(e))?;
        let version: i64 = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.data_version = version;
            // Another process erased a mailbox, perhaps: whoever looks at it must know.
            for mailbox in self.views.mailboxes() {
                let mut there = self.conn.prepare_cached("SELECT 1 FROM mailbox WHERE id = ?1")?;
                if !there.exists([mailbox.0 as i64])? {
                    self.views.forget_mailbox(mailbox);
                }
            }
        }
        Ok(())
    }

    /// After the commit: files, then views.
    fn make_true(&self, effects: Effects) {
        for placed in effects.placed {
            placed.keep();
        }
        for name in &effects.unnamed {
            self.files.remove(name);
        }
        let gone: Vec<_> = effects
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::MailboxGone(mailbox) => Some(*mailbox),
                _ => None,
            })
            .collect();
        if catch_unwind(AssertUnwindSafe(|| self.views.publish(effects.changes))).is_err() {
            // A view that could not follow is shown to nobody: sessions open their folders again.
            tracing::error!("a view could not follow a commit");
            self.views.forget_all();
        }
        for mailbox in gone {
            self.views.forget_mailbox(mailbox);
        }
    }

    /// Back to a connection outside any transaction.
    fn recover(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the rollback failed");
        }
        // When the log is what fills the disk, emptying it makes room; when it cannot be emptied, nothing is lost.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }

    /// One transaction of upkeep; `None` when it failed.
    fn guarded<T>(&mut self, work: fn(&mut Tx<'_>) -> Result<T>) -> Option<T> {
        let mut effects = Effects::default();
        let result = (|| {
            step(&self.conn, "BEGIN IMMEDIATE")?;
            let value = work(&mut Tx { conn: &self.conn, effects: &mut effects })?;
            step(&self.conn, "COMMIT")?;
            Ok::<T, StoreError>(value)
        })();
        match result {
            Ok(value) => {
                self.make_true(effects);
                Some(value)
            }
            Err(error) => {
                tracing::warn!(%error, "upkeep was put off");
                self.recover();
                None
            }
        }
    }

    fn write_notes(&mut self) {
        let notes = self.notes.take();
        if notes.is_empty() {
            return;
        }
        let result = upkeep::write_notes(&self.conn, &notes);
        if let Err(error) = result {
            tracing::warn!(%error, "dates of authentication were not written; tried again later");
            self.recover();
            self.notes.put_back(notes);
        }
    }

    /// A full disk that SQLite calls an I/O error.
    fn explain(&self, error: StoreError) -> StoreError {
        if !matches!(error, StoreError::Io(_)) {
            return error;
        }
        // SAFETY: the handle is that of an open connection, and the function only reads a number from it.
        let errno = unsafe { rusqlite::ffi::sqlite3_system_errno(self.conn.handle()) };
        if errno == libc::ENOSPC || errno == libc::EDQUOT { StoreError::Full } else { error }
    }
}

/// One request in its savepoint. `Err` is for the whole batch.
fn apply(conn: &Connection, job: &mut dyn Job, effects: &mut Effects) -> Result<()> {
    step(conn, "SAVEPOINT request")?;
    let (changes, placed, unnamed) = (effects.changes.len(), effects.placed.len(), effects.unnamed.len());
    match job.run(&mut Tx { conn, effects }) {
        Ok(()) => step(conn, "RELEASE request"),
        Err(error) => {
            effects.changes.truncate(changes);
            effects.placed.truncate(placed);
            effects.unnamed.truncate(unnamed);
            if conn.is_autocommit() {
                // The engine rolled everything back by itself.
                return Err(error);
            }
            step(conn, "ROLLBACK TO request")?;
            step(conn, "RELEASE request")
        }
    }
}

fn step(conn: &Connection, sql: &str) -> Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}
