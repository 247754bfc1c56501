//! The group committer: the one thread that writes.
//!
//! It takes everything that waits, applies each request (one that fails rolls back alone), syncs once, commits, shows the views
//! and answers everyone. A batch that only makes messages syncs the log of the [segments](super::segment) and not the database's:
//! after a crash it is [applied again](super::replay) from there. Any other batch syncs both. No artificial delay: what comes while a request is applied joins
//! the batch, and a lone request is committed at once. Upkeep (checkpoints, garbage, dates of authentication) is done after
//! the answers.
//!
//! Invariants:
//! * nobody is answered `Ok` before the commit is on disk, in the one log or the other; a batch that does not commit answers everyone an error;
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
use super::compact::{self, Compaction};
use super::files::{Files, Placed};
use super::known::Known;
use super::segment::{Batch, Log, Segments};
use super::upkeep::{self, Notes};
use crate::keys::Keys;
use crate::statistics::Statistics;
use crate::views::{Change, Views};
use crate::{Result, StoreError};

/// Requests in one commit: bounds what one failure of the disk refuses, and how long the first waits for the last.
const BATCH_REQUESTS: usize = 512;
/// Octets of messages in one commit, for the same reasons.
const BATCH_OCTETS: usize = 16 * 1024 * 1024;
/// Octets of the log after which its place is noted in the database: what is read again at a start.
const MARKED: u64 = 16 * 1024 * 1024;
/// How long an idle writer waits before it empties the log and looks at its other upkeep.
const IDLE: Duration = Duration::from_secs(5);
/// How often a slice of upkeep is done although somebody waits. Without it, garbage would grow for as long as a server is never idle; with
/// it, a slice of a few milliseconds is a few hundredths of the time.
const BUSY_UPKEEP: Duration = Duration::from_millis(250);

/// What a request may do: SQL, and effects that become true if the commit does.
pub(super) struct Tx<'c> {
    pub(super) conn: &'c Connection,
    pub(super) effects: &'c mut Effects,
    pub(super) keys: &'c Keys,
    /// Applied again after a crash, from the log.
    pub(super) replay: bool,
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
    /// Messages for the log.
    pub(super) batch: Batch,
    /// Keys were made, to be synced before the commit.
    pub(super) keys: bool,
    /// Segments nobody needs any more.
    pub(super) emptied: Vec<u32>,
    /// Compaction may have something to do.
    pub(super) compact: bool,
    /// Mailboxes went: their keys are to be destroyed.
    pub(super) dead_keys: bool,
}

/// A request as the writer sees it.
pub(super) trait Job: Send {
    /// Applies it; `Err` means it is to be rolled back alone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Octets it brings.
    fn octets(&self) -> usize;
    /// What it needs.
    fn kind(&self) -> Kind;
    /// Answers: what `run` gave if the batch is on disk, the batch's error otherwise.
    fn answer(self: Box<Self>, batch: &Result<()>);
}

/// What a request needs of the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It only makes messages, and is refused before it writes or not at all.
    Plain,
    /// It only makes messages.
    Logged,
    /// Anything else.
    Other,
}

/// A request with its answer's type.
pub(super) struct Request<F, T> {
    run: Option<F>,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
    octets: usize,
    kind: Kind,
    /// Its place among those that may wait; free again when it is answered.
    _place: OwnedSemaphorePermit,
}

impl<F, T> Request<F, T> {
    pub(super) fn new(
        run: F,
        octets: usize,
        kind: Kind,
        place: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<T>>) {
        let (answer, receiver) = oneshot::channel();
        (Request { run: Some(run), outcome: None, answer, octets, kind, _place: place }, receiver)
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

    fn kind(&self) -> Kind {
        self.kind
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
    pub(super) statistics: Arc<Statistics>,
    pub(super) known: Arc<Known>,
    /// `PRAGMA data_version` seen last: changes when another process writes.
    pub(super) data_version: i64,
    /// Who empties the log. The server's writer looks after the log, garbage and notes; the command line's does not.
    pub(super) log: Option<Checkpoints>,
    pub(super) keys: Arc<Keys>,
    pub(super) segments: Segments,
    /// The end of the segments; the command line's writer has none.
    pub(super) end: Option<Log>,
    pub(super) compaction: Compaction,
    /// The request that begins the next batch, since it did not fit the last.
    pub(super) held: Option<Box<dyn Job>>,
    /// Whether commits are synced by the database.
    pub(super) synced: bool,
}

/// What upkeep is due.
struct Due {
    garbage: bool,
    compact: bool,
    notes_at: Instant,
    /// When the last slice of garbage or compaction was done.
    upkeep_at: Instant,
}

impl Writer {
    /// Serves until told to stop, or until nobody can ask any more.
    pub(super) fn serve(mut self) {
        let mut due = Due {
            garbage: self.log.is_some(),
            compact: self.log.is_some(),
            notes_at: Instant::now(),
            upkeep_at: Instant::now(),
        };
        loop {
            let wait = if due.garbage || due.compact { Duration::ZERO } else { IDLE };
            let mut idle = false;
            let next = match self.held.take() {
                Some(job) => Ok(Message::Job(job)),
                None => self.inbox.recv_timeout(wait),
            };
            match next {
                Ok(Message::Job(first)) => {
                    if self.batch(first, &mut due) {
                        break;
                    }
                    if due.upkeep_at.elapsed() >= BUSY_UPKEEP {
                        if due.garbage || due.compact {
                            self.statistics.upkeep_between.one();
                        }
                        self.upkeep(&mut due, compact::SMALL_SLICE);
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if due.garbage || due.compact => self.upkeep(&mut due, compact::SLICE),
                Err(RecvTimeoutError::Timeout) => {
                    idle = true;
                    if let Some(end) = &mut self.end {
                        end.rest();
                    }
                }
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

    /// One request, on this thread: for [`super::hot`].
    pub(super) fn serve_one(&mut self, job: Box<dyn Job>) {
        let now = Instant::now();
        self.batch(job, &mut Due { garbage: false, compact: false, notes_at: now, upkeep_at: now });
    }

    /// A slice of what is due: garbage first, since what goes may leave segments mostly dead.
    fn upkeep(&mut self, due: &mut Due, slice: u64) {
        due.upkeep_at = Instant::now();
        if due.garbage {
            due.garbage = self.guarded(upkeep::collect_some).unwrap_or(false);
            due.compact |= !due.garbage && self.log.is_some();
        } else if due.compact {
            due.compact = self.compact(slice);
        }
    }

    /// One commit. Answers whether it was told to stop.
    fn batch(&mut self, first: Box<dyn Job>, due: &mut Due) -> bool {
        let mut jobs = Vec::with_capacity(16);
        let mut effects = Effects::default();
        let mut stop = false;
        let began = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| self.transact(first, &mut jobs, &mut effects, &mut stop)));
        let committed = done.unwrap_or_else(|_| Err(StoreError::Io("the writer failed on a request".into())));
        self.statistics.batch(jobs.len(), began.elapsed(), committed.is_ok());
        match &committed {
            Ok(()) => {
                if jobs.iter().any(|job| job.kind() == Kind::Other) {
                    self.known.changed();
                }
                due.garbage |= effects.garbage && self.log.is_some();
                due.compact |= effects.compact && self.log.is_some();
                let dead_keys = effects.dead_keys;
                self.make_true(effects);
                if dead_keys {
                    // What fails here is done at the next start.
                    self.guarded(upkeep::destroy_keys);
                }
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
        // Until the first that is not plain: a batch is of one kind or the other, so that none waits for the other's sync.
        let logged = self.end.is_some() && next.as_ref().is_some_and(|job| job.kind() != Kind::Other);
        let begun = self.begin(!logged, effects);
        while let Some(job) = next.take() {
            octets += job.octets();
            jobs.push(job);
            if begun.is_ok()
                && let Some(job) = jobs.last_mut()
            {
                apply(&self.conn, &self.keys, job.as_mut(), effects).map_err(|e| self.explain(e))?;
            }
            if jobs.len() < BATCH_REQUESTS && octets < BATCH_OCTETS {
                match self.inbox.try_recv() {
                    Ok(Message::Job(job)) if logged && job.kind() == Kind::Other => self.held = Some(job),
                    Ok(Message::Job(job)) => next = Some(job),
                    Ok(Message::Stop) => *stop = true,
                    Err(_) => {}
                }
            }
        }
        begun?;
        self.commit(logged, effects)
    }

    /// Makes a transaction durable.
    fn commit(&mut self, logged: bool, effects: &mut Effects) -> Result<()> {
        if effects.keys {
            self.keys.sync()?;
        }
        if let Some(end) = &mut self.end {
            if end.unmarked >= MARKED && !effects.batch.is_empty() {
                // If this commit is not lost, nothing before it is.
                let start = end.position();
                self.conn
                    .prepare_cached("UPDATE log SET segment = ?1, place = ?2")?
                    .execute(rusqlite::params![start.segment, start.offset as i64])?;
                end.unmarked = 0;
            }
            end.write(&mut effects.batch, logged)?;
        }
        step(&self.conn, "COMMIT").map_err(|e| self.explain(e))?;
        if let Some(end) = &mut self.end {
            end.keep(&effects.batch);
        }
        Ok(())
    }

    /// Whether the database syncs the commits to come.
    fn sync_commits(&mut self, synced: bool) -> Result<()> {
        if self.synced != synced {
            self.conn.execute_batch(if synced {
                "PRAGMA synchronous = FULL"
            } else {
                "PRAGMA synchronous = NORMAL"
            })?;
            self.synced = synced;
        }
        Ok(())
    }

    fn begin(&mut self, synced: bool, effects: &mut Effects) -> Result<()> {
        self.sync_commits(synced)?;
        if let Some(end) = &mut self.end {
            effects.batch = end.begin()?;
        }
        step(&self.conn, "BEGIN IMMEDIATE").map_err(|e| self.explain(e))?;
        let version: i64 = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.data_version = version;
            self.keys.forget_all();
            self.known.changed();
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
        for segment in &effects.emptied {
            if let Err(error) = self.segments.remove(*segment) {
                tracing::warn!(%error, segment, "an empty segment could not be removed");
            }
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
        if let Some(end) = &mut self.end {
            end.abandon();
        }
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the rollback failed");
        }
        // When the log is what fills the disk, emptying it makes room; when it cannot be emptied, nothing is lost.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }

    /// One transaction of upkeep; `None` when it failed.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Option<T> {
        let mut effects = Effects::default();
        let result = (|| {
            self.begin(true, &mut effects)?;
            let value = work(&mut Tx { conn: &self.conn, effects: &mut effects, keys: &self.keys, replay: false })?;
            self.commit(false, &mut effects)?;
            Ok::<T, StoreError>(value)
        })();
        match result {
            Ok(value) => {
                self.known.changed();
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

    /// A slice of compaction; whether there may be more.
    fn compact(&mut self, slice: u64) -> bool {
        if self.segments.waiting.held() {
            // Somebody copies the segments: the next upkeep comes back to it.
            return false;
        }
        let (segments, files) = (self.segments.clone(), self.files.clone());
        let mut state = std::mem::take(&mut self.compaction);
        let more = self.guarded(|tx| compact::some(tx, &mut state, &segments, &files, slice));
        if more.is_some() {
            // One that failed begins anew.
            self.compaction = state;
        }
        if more == Some(false)
            && let Err(error) = self.sync_commits(true).and_then(|()| compact::wipe(&self.conn))
        {
            tracing::warn!(%error, "clear text of an earlier format was not wiped; tried again later");
            self.recover();
        }
        more.unwrap_or(false)
    }

    fn write_notes(&mut self) {
        let notes = self.notes.take();
        if notes.is_empty() {
            return;
        }
        let result = self.sync_commits(true).and_then(|()| upkeep::write_notes(&self.conn, &notes));
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

/// One request, in its savepoint unless it is a plain one. `Err` is for the whole batch.
fn apply(conn: &Connection, keys: &Keys, job: &mut dyn Job, effects: &mut Effects) -> Result<()> {
    let plain = job.kind() == Kind::Plain;
    if !plain {
        step(conn, "SAVEPOINT request")?;
    }
    let written = conn.total_changes();
    let (changes, placed, unnamed) = (effects.changes.len(), effects.placed.len(), effects.unnamed.len());
    let records = effects.batch.len();
    match job.run(&mut Tx { conn, effects, keys, replay: false }) {
        Ok(()) => {
            effects.batch.group(records);
            if plain { Ok(()) } else { step(conn, "RELEASE request") }
        }
        Err(error) => {
            effects.batch.truncate(records);
            effects.changes.truncate(changes);
            effects.placed.truncate(placed);
            effects.unnamed.truncate(unnamed);
            if conn.is_autocommit() {
                // The engine rolled everything back by itself.
                return Err(error);
            }
            if plain {
                // Refused before it wrote, or by trouble that is everybody's.
                return if conn.total_changes() == written { Ok(()) } else { Err(error) };
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
