//! Messages that wait to be sent, kept on disk: what is put is sent once, whatever becomes of the process, the network or the token.
//!
//! Invariants:
//! * what [`Outbox::put`] answered is on disk, octets first, then what makes it an entry;
//! * before the end of a message is said to the operator, that it will be is on disk. After a crash, an entry of which that was
//!   written goes again only to an operator that recognises it (ADR 3), and is [`State::Uncertain`] otherwise: never twice;
//! * a recipient who was accepted, or refused for good, is not tried again with those who were told to wait;
//! * one process at a time (a lock on the folder), one attempt at a time for an entry.
//!
//! The files hold health data in clear, readable by their owner only: the folder belongs on an encrypted disk.
//!
//! ```text
//! DIR/lock   DIR/N.eml: octets   DIR/N.json: envelope, how far it is
//! ```

mod error;
mod record;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mssante::Address;
use openssl::sha::Sha256;
use time::OffsetDateTime;

use crate::account::Account;
use crate::compose::{Outgoing, Spool};
use crate::content::Content;
use crate::explain::Explain as _;
use crate::send::{self, Cause, Doubt, Notices, Outcome, SendError, SendOptions, Tried};
use crate::space::Space;

pub use error::OutboxError;
pub use record::State;
use record::{Record, create, sync_folder};

/// Most entries: with more, something else is wrong.
pub const MAX_ENTRIES: usize = 10_000;
/// How long a message is tried, from when it was put. Longer, and whoever waits for it must be told by other means.
pub const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Waits after the first, second… attempt; the last one again and again.
const WAITS: [u64; 6] = [30, 60, 120, 300, 900, 1800];
/// Octets copied at a time.
const BLOCK: usize = 64 * 1024;

/// The number of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry, for a list.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// The BAL it goes from.
    pub sender: Address,
    /// Message-ID.
    pub message_id: String,
    /// Its octets.
    pub size: u64,
    /// Where it is.
    pub state: State,
    /// Recipients not settled.
    pub open: usize,
    /// Recipients refused for good.
    pub refused: Vec<Address>,
    /// When it was put.
    pub put_at: OffsetDateTime,
    /// Attempts made.
    pub attempts: u32,
    /// Not before.
    pub next: OffsetDateTime,
    /// Code of the last error.
    pub last: Option<String>,
}

/// What an attempt came to.
#[derive(Debug)]
pub enum Progress {
    /// The operator has it for every recipient it did not refuse; the entry is gone.
    Sent(Vec<Outcome>),
    /// It stays and is tried again, for these reasons.
    Waiting(Setback),
    /// It stays and is not tried any more.
    Failed(Setback),
    /// It stays: nobody knows whether the operator has it.
    Uncertain(SendError),
}

/// Why a message did not go, or not to everybody.
#[derive(Debug)]
pub enum Setback {
    /// No recipient was accepted, or none was asked for.
    Error(SendError),
    /// Some were.
    Partly(Vec<Outcome>),
}

/// What somebody decides of an entry that does not go by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Try again, at the risk of sending twice what was uncertain.
    SendAgain,
    /// Take it away.
    Forget,
}

/// The messages that wait.
pub struct Outbox {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<EntryId, Record>,
    busy: HashSet<EntryId>,
    last: u64,
}

/// An entry being sent; no longer once dropped.
struct Busy {
    id: EntryId,
    inner: Arc<Mutex<Inner>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.inner).busy.remove(&self.id);
    }
}

/// Whoever panicked with the lock left entries that are on disk as well.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> OutboxError {
    move |source| OutboxError::Io { what, source }
}

impl Outbox {
    /// Opens the folder, made when there is none, and reads what waits. Waits for the disk.
    ///
    /// # Errors
    /// [`OutboxError`]; [`OutboxError::Damaged`] names an entry whose description cannot be read.
    pub fn open(folder: &Path) -> Result<Self, OutboxError> {
        let opening = failed("opening its folder");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(&opening)?;
        let lock = create(&folder.join("lock")).map_err(&opening)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OutboxError::InUse),
            Err(fs::TryLockError::Error(error)) => return Err(opening(error)),
        }
        let mut inner = Inner::default();
        let mut octets = Vec::new();
        for file in fs::read_dir(folder).map_err(&opening)? {
            let path = file.map_err(&opening)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let Some(id) = number.map(EntryId) else { continue };
            inner.last = inner.last.max(id.0);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => {
                    let record = Record::read(&path).map_err(|error| match error.kind() {
                        io::ErrorKind::InvalidData => OutboxError::Damaged(id),
                        _ => opening(error),
                    })?;
                    inner.entries.insert(id, record);
                }
                Some("eml") => octets.push((id, path)),
                // Half written when somebody was killed.
                Some("part") => fs::remove_file(&path).map_err(&opening)?,
                _ => {}
            }
        }
        // Octets that never became an entry.
        for (_, path) in octets.iter().filter(|(id, _)| !inner.entries.contains_key(id)) {
            fs::remove_file(path).map_err(&opening)?;
        }
        Ok(Self { folder: folder.to_owned(), _lock: lock, inner: Arc::new(Mutex::new(inner)) })
    }

    /// What waits in a folder that another process may have open: changes nothing, and locks nobody out. A folder that is not there
    /// holds nothing.
    ///
    /// # Errors
    /// [`OutboxError::Io`] and [`OutboxError::Damaged`].
    pub fn look(folder: &Path) -> Result<Vec<Entry>, OutboxError> {
        let looking = failed("looking into its folder");
        let files = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(&looking)?,
        };
        let mut entries = BTreeMap::new();
        for file in files {
            let path = file.map_err(&looking)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let (Some(id), Some("json")) = (number.map(EntryId), path.extension().and_then(|e| e.to_str())) else {
                continue;
            };
            match Record::read(&path) {
                Ok(record) => drop(entries.insert(id, describe(id, &record))),
                // Sent meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(OutboxError::Damaged(id)),
                Err(error) => return Err(looking(error)),
            }
        }
        Ok(entries.into_values().collect())
    }

    /// Keeps a message to be sent from its BAL; on disk when it returns.
    ///
    /// # Errors
    /// [`OutboxError`]; the message is not kept then.
    pub async fn put(
        &self,
        message: &Outgoing,
        notices: Option<Notices>,
        now: SystemTime,
    ) -> Result<EntryId, OutboxError> {
        let id = {
            let mut inner = lock(&self.inner);
            if inner.entries.len() >= MAX_ENTRIES {
                return Err(OutboxError::Full);
            }
            if inner.entries.values().any(|entry| entry.message_id == message.message_id().as_str()) {
                return Err(OutboxError::AlreadyThere);
            }
            inner.last += 1;
            EntryId(inner.last)
        };
        let now = OffsetDateTime::from(now);
        let recipient = |address: &Address| record::Recipient { address: address.clone(), done: false, cause: None };
        let record = Record {
            version: 1,
            sender: message.sender().clone(),
            return_path: message.return_path().cloned(),
            recipients: message.recipients().iter().map(recipient).collect(),
            message_id: message.message_id().to_string(),
            eight_bit: message.is_eight_bit(),
            size: message.size(),
            digest: hexadecimal(message.digest()),
            notices,
            put_at: now,
            attempts: 0,
            next: now,
            doubt: None,
            state: State::Waiting,
            last: None,
        };
        let (octets, description, content) =
            (self.path(id, "eml"), self.path(id, "json"), message.spool.content().clone());
        let written = record.clone();
        blocking(move || {
            let mut file = create(&octets)?;
            let (mut from, mut block) = (content.reader(), vec![0; BLOCK]);
            loop {
                match from.read(&mut block)? {
                    0 => break,
                    count => file.write_all(&block[..count])?,
                }
            }
            file.sync_all()?;
            sync_folder(&octets)?;
            written.write(&description)
        })
        .await
        .map_err(failed("writing a message"))?;
        lock(&self.inner).entries.insert(id, record);
        Ok(id)
    }

    /// What waits, in the order it was put.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.inner).entries.iter().map(|(id, record)| describe(*id, record)).collect()
    }

    /// The entries to be tried now.
    #[must_use]
    pub fn due(&self, now: SystemTime) -> Vec<Entry> {
        let now = OffsetDateTime::from(now);
        self.entries().into_iter().filter(|entry| entry.state == State::Waiting && entry.next <= now).collect()
    }

    /// Tries every entry that is due, one after the other; `account` finds the account of a BAL, and none leaves its messages for later.
    pub async fn run(
        &self,
        space: &Space,
        account: impl Fn(&Address) -> Option<Account>,
        options: &SendOptions,
    ) -> Vec<(EntryId, Result<Progress, OutboxError>)> {
        let mut done = Vec::new();
        for entry in self.due(space.clock.now()) {
            if let Some(account) = account(&entry.sender) {
                done.push((entry.id, self.attempt(space, &account, entry.id, options).await));
            }
        }
        done
    }

    /// Tries an entry now; `account` is that of its sender. An entry that is uncertain or has failed is not tried, see
    /// [`Outbox::decide`].
    ///
    /// # Errors
    /// [`OutboxError`]: of the folder. What the operator says is in the [`Progress`].
    pub async fn attempt(
        &self,
        space: &Space,
        account: &Account,
        id: EntryId,
        options: &SendOptions,
    ) -> Result<Progress, OutboxError> {
        let (busy, mut record) = self.take(id)?;
        if record.state != State::Waiting {
            return Err(OutboxError::Stopped(id));
        }
        let message = self.message(id, &record).await?;
        let now = space.clock.now();
        let options = SendOptions { notices: record.notices, ..options.clone() };
        let before = record.doubt.map(|since| Doubt { since: since.into() });
        let mut ending = record.clone();
        ending.doubt = ending.doubt.or(Some(now.into()));
        let (path, working) = (self.path(id, "json"), busy.clone());
        // Whole even if nobody waits for it any more: the entry stays busy until then, and this is known to whoever tries next.
        let hook = async move {
            blocking(move || {
                ending.write(&path)?;
                lock(&working.inner).entries.insert(id, ending);
                Ok(())
            })
            .await
        };
        let Tried { result, ended, once } =
            send::attempt(space, account, &message, &options, before, Some(Box::pin(hook))).await;
        send::trace(space, account, &message, &result);
        if ended {
            record.doubt = record.doubt.or(Some(now.into()));
        }
        record.attempts += 1;
        let progress = judge(&mut record, result, (before.is_some(), once), space.clock.now());
        if matches!(progress, Progress::Sent(_)) {
            self.remove(id).await?;
        } else {
            self.keep(id, record).await?;
        }
        Ok(progress)
    }

    /// Decides of an entry.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn decide(&self, id: EntryId, decision: Decision, now: SystemTime) -> Result<(), OutboxError> {
        let (_busy, mut record) = self.take(id)?;
        match decision {
            Decision::Forget => self.remove(id).await,
            Decision::SendAgain => {
                let now = OffsetDateTime::from(now);
                (record.state, record.doubt, record.next, record.put_at) = (State::Waiting, None, now, now);
                // Those refused for good are tried again too; those accepted never.
                record.recipients.iter_mut().filter(|r| r.cause.is_some()).for_each(|r| r.done = false);
                self.keep(id, record).await
            }
        }
    }

    /// Marks an entry as being worked on.
    fn take(&self, id: EntryId) -> Result<(Arc<Busy>, Record), OutboxError> {
        let mut inner = lock(&self.inner);
        let record = inner.entries.get(&id).ok_or(OutboxError::Unknown(id))?.clone();
        if !inner.busy.insert(id) {
            return Err(OutboxError::Busy(id));
        }
        Ok((Arc::new(Busy { id, inner: self.inner.clone() }), record))
    }

    /// The message for the recipients still open, its octets checked.
    async fn message(&self, id: EntryId, record: &Record) -> Result<Outgoing, OutboxError> {
        let path = self.path(id, "eml");
        let (content, digest) = blocking(move || {
            let file = File::open(path)?;
            let content = Content::of_file(file)?;
            let (mut from, mut block, mut digest) = (content.reader(), vec![0; BLOCK], Sha256::new());
            loop {
                match from.read(&mut block)? {
                    0 => break,
                    count => digest.update(&block[..count]),
                }
            }
            Ok((content, digest.finish()))
        })
        .await
        .map_err(failed("reading a message"))?;
        let message_id = record.message_id.parse().map_err(|_| OutboxError::Damaged(id))?;
        if hexadecimal(&digest) != record.digest || content.len() != record.size {
            return Err(OutboxError::Damaged(id));
        }
        let open = record.recipients.iter().filter(|r| !r.done).map(|r| r.address.clone());
        Ok(Outgoing::ready(
            record.sender.clone(),
            record.return_path.clone(),
            open.collect(),
            message_id,
            String::new(),
            record.put_at,
            (Spool::of(content, digest), record.eight_bit),
        ))
    }

    async fn keep(&self, id: EntryId, record: Record) -> Result<(), OutboxError> {
        let (path, written) = (self.path(id, "json"), record.clone());
        blocking(move || written.write(&path)).await.map_err(failed("writing how far a message is"))?;
        lock(&self.inner).entries.insert(id, record);
        Ok(())
    }

    async fn remove(&self, id: EntryId) -> Result<(), OutboxError> {
        let (octets, description) = (self.path(id, "eml"), self.path(id, "json"));
        blocking(move || {
            // What makes it an entry first.
            fs::remove_file(&description)?;
            sync_folder(&description)?;
            fs::remove_file(&octets)
        })
        .await
        .map_err(failed("taking a message away"))?;
        lock(&self.inner).entries.remove(&id);
        Ok(())
    }

    fn path(&self, id: EntryId, extension: &str) -> PathBuf {
        self.folder.join(format!("{id}.{extension}"))
    }
}

/// What an attempt means for the entry.
/// `doubted`: the operator may have it since before; `once`: this operator recognises what it had.
fn judge(
    record: &mut Record,
    result: Result<send::Sent, SendError>,
    (doubted, once): (bool, bool),
    now: SystemTime,
) -> Progress {
    let now = OffsetDateTime::from(now);
    let outcomes = match result {
        Ok(sent) => sent.outcomes,
        Err(SendError::Refused { outcomes }) if !doubted => outcomes,
        Err(error) => {
            record.last = Some(error.code().to_owned());
            // An answer: it has not taken the message this time; an earlier doubt stays.
            if !doubted && !error.may_be_delivered() {
                record.doubt = None;
            }
            if matches!(error, SendError::NotRecognised) || (error.may_be_delivered() && !once) {
                record.state = State::Uncertain;
                return Progress::Uncertain(error);
            }
            // A lost answer is cleared by the next attempt, if that operator recognises it; so is a session that is over.
            let again = error.is_temporary() || error.may_be_delivered() || waits_for_people(&error);
            return match (again && !expired(record, now), doubted || error.may_be_delivered()) {
                (true, _) => {
                    record.next = now + wait(record.attempts);
                    Progress::Waiting(Setback::Error(error))
                }
                (false, true) => {
                    record.state = State::Uncertain;
                    Progress::Uncertain(error)
                }
                (false, false) => {
                    record.state = State::Failed;
                    Progress::Failed(Setback::Error(error))
                }
            };
        }
    };
    // The operator has spoken of each: nothing is in doubt any more.
    record.doubt = None;
    for outcome in &outcomes {
        let mut known = record.recipients.iter_mut().filter(|r| r.address == outcome.address);
        if let Some(recipient) = known.next() {
            recipient.done = outcome.cause != Some(Cause::Later);
            recipient.cause = outcome.cause.map(|cause| cause.code().to_owned());
        }
    }
    let open = record.recipients.iter().any(|r| !r.done);
    let refused = record.recipients.iter().filter(|r| r.done && r.cause.is_some()).count();
    record.last = outcomes.iter().find_map(|outcome| outcome.cause).map(|cause| cause.code().to_owned());
    match (open, expired(record, now)) {
        (true, false) => {
            record.next = now + wait(record.attempts);
            Progress::Waiting(Setback::Partly(outcomes))
        }
        // Kept, so that whoever sent it sees who does not have it.
        (true, true) => {
            record.state = State::Failed;
            Progress::Failed(Setback::Partly(outcomes))
        }
        (false, _) if refused > 0 => {
            record.state = State::Failed;
            Progress::Failed(Setback::Partly(outcomes))
        }
        (false, _) => Progress::Sent(outcomes),
    }
}

/// Somebody must log in: no fault of the message.
fn waits_for_people(error: &SendError) -> bool {
    matches!(error, SendError::Token(crate::account::TokenError::LoginNeeded))
}

fn expired(record: &Record, now: OffsetDateTime) -> bool {
    now - record.put_at > TRIED_FOR
}

fn wait(attempts: u32) -> Duration {
    let at = (attempts.saturating_sub(1) as usize).min(WAITS.len() - 1);
    Duration::from_secs(WAITS[at])
}

fn describe(id: EntryId, record: &Record) -> Entry {
    let refused = record.recipients.iter().filter(|r| r.done && r.cause.is_some());
    Entry {
        id,
        sender: record.sender.clone(),
        message_id: record.message_id.clone(),
        size: record.size,
        state: record.state,
        open: record.recipients.iter().filter(|r| !r.done).count(),
        refused: refused.map(|r| r.address.clone()).collect(),
        put_at: record.put_at,
        attempts: record.attempts,
        next: record.next,
        last: record.last.clone(),
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// On a thread that may wait for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done)
}
