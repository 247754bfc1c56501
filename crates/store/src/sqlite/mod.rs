//! The embedded engine: SQLite with one writer that commits for everybody, bodies beside.
//!
//! A data folder holds `lock` (a server holds it locked), `store.db` with its log, `segments/` (messages, and the log that new ones
//! are made durable by), `bodies/` (large messages, one file each), `spool/` (messages on their way in) and `keys/` (what all
//! that is encrypted under: a backup leaves it out). It is readable by its owner only.
//!
//! * [`schema`]: tables, versions, opening; * [`writer`]: the group committer; * [`checkpoint`]: who empties its log; * [`deliver`], [`messages`], [`marks`], [`folders`],
//!   [`queue`], [`register`]: what requests do; * [`opening`], [`moment`], [`load`]: folders opened; * [`segment`], [`record`], [`facts`]: messages on disk; * [`replay`]: what a crash
//!   left to do; * [`service`]: the trait; * [`reads`]: the connections that read; * [`files`]: large bodies; * [`upkeep`]: what is done when nobody waits.

mod ahead;
mod backup;
mod changing;
mod checkpoint;
mod chosen;
mod compact;
mod deliver;
mod expunged;
mod facts;
mod files;
mod folders;
mod frames;
mod fsck;
#[doc(hidden)]
pub mod fuzzing;
mod hold;
mod hot;
mod keyring;
mod known;
mod load;
mod marks;
mod messages;
mod moment;
mod opening;
mod queue;
mod raw;
mod reads;
mod record;
mod references;
mod register;
mod replay;
mod schema;
mod segment;
mod service;
mod sharing;
#[cfg(test)]
mod tests;
mod threads;
mod tree;
mod upkeep;
mod writer;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use tokio::sync::Semaphore;

use crate::body::{INLINE_LIMIT, SpooledContent};
use crate::crypt::DataKey;
use crate::keys::{KeyKeeper, Keys, MasterKey, SYSTEM, Slot};
use crate::limits::MAX_MESSAGE;
use crate::views::Views;
use crate::*;
pub use backup::{About, BackedUp, Making, Restored, Restoring, Told, backup, restore};
use checkpoint::Checkpoints;
use deliver::{Keeper, Kept, Message as NewMessage, Origin, Prepared, keepers};
use files::{Files, make_private, sync_folder};
pub use fsck::{Checking, Damage, Report};
pub use hot::Hot;
pub use keyring::KeysBrought;
use reads::Readers;
pub(crate) use record::seal_and_open;
use record::{Record, Sealing};
use segment::{Log, Segments};
use upkeep::Notes;
use writer::{Kind, Message, Request, Tx, Writer};

/// Requests that may wait for the writer; beyond, callers wait for a place: bounds the memory that waiting takes.
const WAITING: usize = 4096;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            _ if error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
                // The log's index could not grow.
                StoreError::Full
            }
            _ => StoreError::Io(error.to_string()),
        }
    }
}

/// How a store is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// What wraps the data keys. `None`: the file `keys/master.key` of the data folder, made on first use. That is for tests and small
    /// sites: who gets the folder then gets the mail.
    pub keeper: Option<Arc<dyn KeyKeeper>>,
}

impl Options {
    /// With a keeper of the data keys.
    pub fn with_keeper(keeper: impl KeyKeeper) -> Self {
        Options { keeper: Some(Arc::new(keeper)) }
    }
}

/// The durable engine.
pub struct Sqlite {
    readers: Readers,
    readings: moment::Readings,
    share: moment::Share,
    place: reads::Place,
    spool: Arc<Path>,
    views: Arc<Views>,
    notes: Arc<Notes>,
    statistics: Arc<Statistics>,
    known: Arc<known::Known>,
    places: Arc<Semaphore>,
    inbox: RwLock<Option<Sender<Message>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Only the register may be used: opened beside a server.
    admin: bool,
    /// Held, and let go, with the store.
    lock: Mutex<Option<File>>,
}

impl Sqlite {
    /// Opens the data folder for a server with [`Options::default`]. Blocking.
    ///
    /// # Errors
    /// As [`Sqlite::open_with`].
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, Options::default())
    }

    /// Opens the data folder for a server, making it on first use. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when another server has it open, a newer version wrote it, its keys are not there or not those of
    /// the master key; [`StoreError::Full`], [`StoreError::Io`].
    pub fn open_with(folder: &Path, options: Options) -> Result<Self> {
        make_private(folder)?;
        let lock = lock(folder)?;
        let store = Self::start(folder, Some(lock), options)?;
        for leftover in std::fs::read_dir(&store.spool)? {
            std::fs::remove_file(leftover?.path())?;
        }
        let reader = schema::open_reader(&folder.join(DATABASE))?;
        store.place.files.remove_orphans(|name| reads::is_named(&reader, name))?;
        Ok(store)
    }

    /// Whether a server uses the data folder now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn in_use(folder: &Path) -> Result<bool> {
        match File::options().write(true).open(folder.join("lock")) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(error.into()),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Opens the data folder beside a server, for its register of mailboxes only: other methods answer
    /// [`StoreError::Unusable`]. Blocking.
    ///
    /// # Errors
    /// As [`Sqlite::open`], because of a server only if it is of a version that wrote an earlier format.
    pub fn open_admin(folder: &Path) -> Result<Self> {
        Self::open_admin_with(folder, Options::default())
    }

    /// As [`Sqlite::open_admin`], with the options of the server.
    ///
    /// # Errors
    /// As [`Sqlite::open_admin`].
    pub fn open_admin_with(folder: &Path, options: Options) -> Result<Self> {
        make_private(folder)?;
        // A server of an earlier version would go on by its own rules in tables that are brought up to date under it.
        let _alone = match schema::is_of_earlier_format(&folder.join(DATABASE))? {
            false => None,
            true => Some(lock(folder).map_err(|error| match error {
                StoreError::Unusable(used) => {
                    StoreError::Unusable(format!("{used}, and it is of an earlier version: restart it first"))
                }
                other => other,
            })?),
        };
        Self::start(folder, None, options)
    }

    fn start(folder: &Path, lock: Option<File>, options: Options) -> Result<Self> {
        let (store, writer) = Self::put_together(folder, lock, options)?;
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.serve())?;
        *store.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(store)
    }

    /// The store, and its writer before it serves.
    fn put_together(folder: &Path, lock: Option<File>, options: Options) -> Result<(Self, Writer)> {
        let admin = lock.is_none();
        let spool = folder.join("spool");
        make_private(&spool)?;
        let files = Files::open(folder.join("bodies"))?;
        let path = folder.join(DATABASE);
        let segments = Segments::open(folder.join("segments"))?;
        if !path.try_exists()? && !segments.numbers()?.is_empty() {
            return Err(StoreError::Unusable(format!("{} is not there and mail is: run fsck", path.display())));
        }
        let conn = schema::open_writer(&path, admin)?;
        let keys = Arc::new(open_keys(folder, options, &conn)?);
        let end = if admin { None } else { Some(begin(&conn, &keys, &segments)?) };
        let data_version = conn.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        sync_folder(folder)?;
        let place = reads::Place { files: files.clone(), segments: segments.clone(), keys: keys.clone() };
        let (sender, inbox) = mpsc::channel();
        let (views, notes) = (Arc::<Views>::default(), Arc::<Notes>::default());
        if !admin {
            views.note_arrivals(messages::with_bodies(&conn)?);
        }
        let (statistics, known) = (Arc::<Statistics>::default(), Arc::<known::Known>::default());
        let writer = Writer {
            conn,
            inbox,
            views: views.clone(),
            files: files.clone(),
            notes: notes.clone(),
            statistics: statistics.clone(),
            known: known.clone(),
            data_version,
            log: if admin { None } else { Some(Checkpoints::start(path.clone())?) },
            keys,
            segments,
            end,
            compaction: compact::Compaction::default(),
            held: None,
            synced: true,
        };
        let store = Sqlite {
            readers: Readers::new(&path),
            readings: moment::Readings::default(),
            share: moment::Share::default(),
            place,
            spool: spool.into(),
            views,
            notes,
            statistics,
            known,
            places: Arc::new(Semaphore::new(WAITING)),
            inbox: RwLock::new(Some(sender)),
            writer: Mutex::new(None),
            admin,
            lock: Mutex::new(lock),
        };
        Ok((store, writer))
    }

    /// Has the writer do something in its next commit.
    async fn write<T, F>(&self, octets: usize, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_as(Kind::Other, octets, run).await
    }

    async fn write_as<T, F>(&self, kind: Kind, octets: usize, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (request, answer) = Request::new(run, octets, kind, place);
        {
            // The value is an option: consistent whatever panics.
            let inbox = self.inbox.read().unwrap_or_else(PoisonError::into_inner);
            let inbox = inbox.as_ref().ok_or(StoreError::Closed)?;
            inbox.send(Message::Job(Box::new(request))).map_err(|_| StoreError::Closed)?;
        }
        // A request nobody answered was dropped with the writer: it may or may not be on disk, and is not acknowledged.
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Mail is a server's business.
    fn served(&self) -> Result<()> {
        if self.admin { Err(StoreError::Unusable("opened for its register only".into())) } else { Ok(()) }
    }

    /// The key of one that keeps a message.
    async fn key(&self, keeper: Keeper) -> Result<Arc<DataKey>> {
        let number = keeper.map_or(SYSTEM, |id| id.0);
        if let Some(key) = self.place.keys.cached(number) {
            return Ok(key);
        }
        let keys = self.place.keys.clone();
        self.readers
            .read(move |conn| match keys.get(number) {
                Err(StoreError::NoKey) => {
                    register::must_exist(conn, MailboxId(number))?;
                    Err(StoreError::NoKey)
                }
                key => key,
            })
            .await
    }

    /// Encrypts a message and puts it where the writer can commit it from. `commit`: which of its request.
    async fn prepare(&self, commit: Commit, number: u16) -> Result<(Prepared, usize)> {
        let Commit { content, deliver, enqueue, settle, duplicate_key, saved_at } = commit;
        let mut octets = 0;
        let message = match content {
            None => None,
            Some(Content { body, structure, links }) => {
                let size = body.len();
                if size > MAX_MESSAGE {
                    return Err(StoreError::Io("the message is larger than a store can hold".into()));
                }
                let mut keys = Vec::with_capacity(1);
                for keeper in keepers(&deliver, enqueue.is_some()) {
                    keys.push((keeper, self.key(keeper).await?));
                }
                let much = keys.len() * structure.len().max(body.len() as usize) > INLINE_LIMIT;
                let files = self.place.files.clone();
                let seal = move || seal(&files, body.content, size, &structure, links, keys);
                let message = if much {
                    tokio::task::spawn_blocking(seal)
                        .await
                        .map_err(|e| StoreError::Io(format!("an encrypting thread ended: {e}")))??
                } else {
                    seal()?
                };
                octets = message.kept.iter().map(Kept::octets).sum();
                Some(message)
            }
        };
        Ok((Prepared { message, deliver, enqueue, settle, duplicate_key, saved_at, commit: number }, octets))
    }
}

/// How long a lock may be held by somebody who only looks whether a server runs.
const LOCKED: std::time::Duration = std::time::Duration::from_secs(1);

/// Takes a data folder for a server. Blocking.
fn lock(folder: &Path) -> Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    let until = std::time::Instant::now() + LOCKED;
    loop {
        match lock.try_lock() {
            Ok(()) => {
                // Tells a backup that it is not alone any more.
                lock.set_modified(std::time::SystemTime::now())?;
                return Ok(lock);
            }
            Err(TryLockError::WouldBlock) if std::time::Instant::now() < until => std::thread::sleep(LOCKED / 50),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unusable(format!("another server uses {}", folder.display())));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Seals a message for each that keeps it. Blocking for a large one.
fn seal(
    files: &Files,
    content: SpooledContent,
    size: u64,
    structure: &[u8],
    links: Vec<LinkKey>,
    keys: Vec<(Keeper, Arc<DataKey>)>,
) -> Result<NewMessage> {
    let mut kept = Vec::with_capacity(keys.len());
    let placed = match content {
        SpooledContent::Memory(octets) => {
            for (keeper, key) in keys {
                let record = Record::seal(&key, size, structure, Sealing::Octets(&octets))?;
                kept.push(Kept { keeper, origin: Origin::New(record), file: None });
            }
            None
        }
        SpooledContent::File(file) => {
            let file_key = file.key();
            let placed = files.place(file, keys.len())?;
            for ((keeper, key), name) in keys.into_iter().zip(placed.names()) {
                let record = Record::seal(&key, size, structure, Sealing::File(&file_key))?;
                kept.push(Kept { keeper, origin: Origin::New(record), file: Some(name.clone()) });
            }
            Some(placed)
        }
    };
    Ok(NewMessage { size, links, kept, placed })
}

/// What wraps the keys of a folder of keys.
fn keeper(folder: &Path, options: Options) -> Result<Arc<dyn KeyKeeper>> {
    Ok(match options.keeper {
        Some(keeper) => keeper,
        None => Arc::new(MasterKey::from_file_or_made(&folder.join("master.key"))?),
    })
}

/// Opens the keys of a data folder, and makes those of a new one or of one from before mail was encrypted. Blocking.
fn open_keys(folder: &Path, options: Options, conn: &rusqlite::Connection) -> Result<Keys> {
    let folder = folder.join("keys");
    make_private(&folder)?;
    let keys = Keys::open(&folder, keeper(&folder, options)?)?;
    // Another process may be doing the same.
    let tx = conn.unchecked_transaction()?;
    conn.execute("UPDATE log SET only = only", [])?;
    let known: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM mailbox WHERE keyed = 1)
             OR EXISTS (SELECT 1 FROM queue_entry WHERE segment IS NOT NULL)",
        [],
        |row| row.get(0),
    )?;
    match keys.slot(SYSTEM)? {
        Slot::Wrapped(_) => {}
        _ if known => {
            return Err(StoreError::Unusable(format!(
                "the keys of its mail are not in {}: import them",
                folder.display()
            )));
        }
        _ => keys.make(SYSTEM)?,
    }
    let wrong = |_| StoreError::Unusable("its keys were not wrapped by this master key".into());
    keys.get(SYSTEM).map_err(wrong)?;
    let without: Vec<i64> = {
        let mut select = conn.prepare("SELECT id FROM mailbox WHERE keyed = 0")?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for id in without {
        keys.make(id as u64)?;
    }
    keys.sync()?;
    conn.execute("UPDATE mailbox SET keyed = 1 WHERE keyed = 0", [])?;
    tx.commit()?;
    Ok(keys)
}

/// Brings the database up to the log, and finds where to go on. Blocking.
fn begin(conn: &rusqlite::Connection, keys: &Keys, segments: &Segments) -> Result<Log> {
    let tx = conn.unchecked_transaction()?;
    // Takes the right to write before anything is read.
    conn.execute("UPDATE log SET only = only", [])?;
    let found = replay::replay(conn, keys, segments)?;
    let mut effects = writer::Effects::default();
    upkeep::destroy_keys(&mut Tx { conn, effects: &mut effects, keys, replay: true })?;
    let log = Log::start(segments.clone(), found.position, found.batch)?;
    let position = log.position();
    conn.execute(
        "UPDATE log SET segment = ?1, place = ?2",
        rusqlite::params![position.segment, position.offset as i64],
    )?;
    tx.commit()?;
    if found.replayed > 0 {
        tracing::info!(requests = found.replayed, "mail of before a crash was brought back from the log");
    }
    Ok(log)
}

const DATABASE: &str = "store.db";

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The writer ends when nobody can ask any more; what was asked is done first.
        self.inbox.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}
