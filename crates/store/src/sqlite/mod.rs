//! The embedded engine: SQLite with one writer that commits for everybody, bodies beside.
//!
//! A data folder holds `lock` (a server holds it locked), `store.db` with its log, `segments/` (messages, and the log that new ones
//! are made durable by), `bodies/` (large messages, one file each), `spool/` (messages on their way in) and `keys/` (what all
//! that is encrypted under: a backup leaves it out). It is readable by its owner only.
//!
//! * [`schema`]: tables, versions, opening; * [`writer`]: the group committer; * [`checkpoint`]: who empties its log; * [`deliver`], [`messages`], [`folders`],
//!   [`queue`], [`register`]: what requests do; * [`segment`], [`record`], [`facts`]: messages on disk; * [`replay`]: what a crash
//!   left to do; * [`reads`]: the connections that read; * [`files`]: large bodies; * [`upkeep`]: what is done when nobody waits.

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
mod fsck;
#[doc(hidden)]
pub mod fuzzing;
mod hold;
mod keyring;
mod messages;
mod queue;
mod reads;
mod record;
mod references;
mod register;
mod replay;
mod schema;
mod segment;
mod sharing;
#[cfg(test)]
mod tests;
mod threads;
mod upkeep;
mod writer;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use mail::{FolderName, ModSeq, Rights, SpecialUse, Uid, View};
use mssante::{Address, NationalId};
use tokio::sync::{Semaphore, watch};

use crate::body::{INLINE_LIMIT, SpooledContent};
use crate::crypt::DataKey;
use crate::keys::{KeyKeeper, Keys, MasterKey, SYSTEM, Slot};
use crate::limits::{BULK, MAX_MESSAGE};
use crate::views::{Change, Views};
use crate::*;
pub use backup::{About, BackedUp, Making, Restored, Restoring, Told, backup, restore};
use checkpoint::Checkpoints;
use deliver::{Keeper, Kept, Message as NewMessage, Origin, Prepared, keepers};
use files::{Files, make_private, sync_folder};
pub use fsck::{Checking, Damage, Report};
pub use keyring::KeysBrought;
use reads::Readers;
pub(crate) use record::seal_and_open;
use record::{Record, Sealing};
use segment::{Log, Segments};
use upkeep::Notes;
use writer::{Kind, Message, Request, Tx, Writer};

/// Requests that may wait for the writer; beyond, callers wait for a place: bounds the memory that waiting takes.
const WAITING: usize = 4096;

/// How often a view is loaded beside the writer before it is loaded by it: beside, nobody waits, but a folder that receives
/// all the time changes meanwhile.
const LOADS_BESIDE: usize = 3;

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
    place: reads::Place,
    spool: Arc<Path>,
    views: Arc<Views>,
    notes: Arc<Notes>,
    statistics: Arc<Statistics>,
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
        let statistics = Arc::<Statistics>::default();
        let writer = Writer {
            conn,
            inbox,
            views: views.clone(),
            files: files.clone(),
            notes: notes.clone(),
            statistics: statistics.clone(),
            data_version,
            log: if admin { None } else { Some(Checkpoints::start(path.clone())?) },
            keys,
            segments,
            end,
            compaction: compact::Compaction::default(),
            held: None,
            synced: true,
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.serve())?;
        Ok(Sqlite {
            readers: Readers::new(&path),
            place,
            spool: spool.into(),
            views,
            notes,
            statistics,
            places: Arc::new(Semaphore::new(WAITING)),
            inbox: RwLock::new(Some(sender)),
            writer: Mutex::new(Some(thread)),
            admin,
            lock: Mutex::new(lock),
        })
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

    /// Has the writer let somebody look at a folder, if `view` is what it knows (`None`: it loads the view itself).
    async fn open_view(&self, key: views::Key, view: Option<View>) -> Result<Option<watch::Receiver<Arc<View>>>> {
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
            let now = folders::empty_view(tx.conn, key)?.ok_or(StoreError::NoSuchFolder)?;
            let view = match view {
                // Every change gives a MODSEQ, and UIDVALIDITY is another in a folder made anew.
                Some(view) if view.highest_modseq == now.highest_modseq && view.uid_validity == now.uid_validity => {
                    view
                }
                Some(_) => return Ok(None),
                None => folders::load_view(tx.conn, key)?.ok_or(StoreError::NoSuchFolder)?,
            };
            let (sender, receiver) = watch::channel(Arc::new(view));
            tx.effects.changes.push(Change::Open(key, sender));
            Ok(Some(receiver))
        })
        .await
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

#[async_trait]
impl Store for Sqlite {
    async fn create_mailbox(&self, new: NewMailbox) -> Result<MailboxId> {
        self.write(0, move |tx| register::create(tx, &new)).await
    }

    async fn mailbox(&self, address: &Address) -> Result<Option<Mailbox>> {
        let address = address.clone();
        let mut found = self.readers.look(move |conn| register::mailbox(conn, &address)).await?;
        if let Some(mailbox) = &mut found {
            mailbox.last_authentication = mailbox.last_authentication.max(self.notes.get(mailbox.id));
        }
        Ok(found)
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        let mut all = self.readers.read(register::mailboxes).await?;
        for mailbox in &mut all {
            mailbox.last_authentication = mailbox.last_authentication.max(self.notes.get(mailbox.id));
        }
        Ok(all)
    }

    async fn delete_mailbox(&self, id: MailboxId) -> Result<()> {
        self.write(0, move |tx| register::delete(tx, id)).await
    }

    async fn set_quota(&self, id: MailboxId, quota: Quota) -> Result<()> {
        self.write(0, move |tx| register::set_quota(tx, id, quota)).await
    }

    async fn grant(&self, id: MailboxId, right: Right) -> Result<()> {
        self.write(0, move |tx| register::grant(tx, id, &right)).await
    }

    async fn revoke(&self, id: MailboxId, person: &NationalId, at: i64) -> Result<()> {
        let person = person.clone();
        self.write(0, move |tx| register::revoke(tx, id, &person, at)).await
    }

    async fn rights(&self, id: MailboxId) -> Result<Vec<Right>> {
        self.readers.look(move |conn| register::rights(conn, id)).await
    }

    async fn note_authentication(&self, id: MailboxId, at: i64) -> Result<()> {
        self.served()?;
        if self.inbox.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(StoreError::Closed);
        }
        self.notes.note(id, at);
        Ok(())
    }

    async fn folders(&self, mailbox: MailboxId) -> Result<Vec<Folder>> {
        self.served()?;
        self.readers.read(move |conn| folders::list(conn, mailbox)).await
    }

    async fn create_folder(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<Folder> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::create(tx, mailbox, &name, special_use)).await
    }

    async fn delete_folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<()> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::delete(tx, mailbox, &name)).await
    }

    async fn rename_folder(&self, mailbox: MailboxId, from: &FolderName, to: &FolderName, at: i64) -> Result<()> {
        self.served()?;
        let (from, to) = (from.clone(), to.clone());
        self.write(0, move |tx| folders::rename(tx, mailbox, &from, &to, at)).await
    }

    async fn subscribe(&self, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()> {
        self.served()?;
        let name = name.clone();
        self.write(0, move |tx| folders::subscribe(tx, mailbox, &name, subscribed)).await
    }

    async fn access(&self, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
        self.readers.look(move |conn| sharing::access(conn, mailbox)).await
    }

    async fn set_access(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        grantee: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()> {
        let grantee = grantee.clone();
        self.write(0, move |tx| sharing::set_access(tx, mailbox, folder, &grantee, rights)).await
    }

    async fn annotations(&self, mailbox: MailboxId, of: Option<FolderId>, reader: &str) -> Result<Vec<Annotation>> {
        self.served()?;
        let reader = reader.to_owned();
        self.readers.read(move |conn| sharing::annotations(conn, mailbox, of, &reader)).await
    }

    async fn annotate(&self, mailbox: MailboxId, of: Option<FolderId>, changes: Vec<AnnotationChange>) -> Result<()> {
        self.served()?;
        let octets = changes.iter().filter_map(|c| c.value.as_ref()).map(Vec::len).sum();
        self.write(octets, move |tx| sharing::annotate(tx, mailbox, of, &changes)).await
    }

    async fn watch(&self, mailbox: MailboxId, folder: FolderId) -> Result<watch::Receiver<Arc<View>>> {
        self.served()?;
        let key = (mailbox, folder);
        for _ in 0..LOADS_BESIDE {
            if let Some(receiver) = self.views.subscribe(key) {
                return Ok(receiver);
            }
            let loaded = self.readers.read(move |conn| match folders::load_view(conn, key)? {
                Some(view) => Ok(view),
                None => {
                    register::must_exist(conn, mailbox)?;
                    Err(StoreError::NoSuchFolder)
                }
            });
            if let Some(receiver) = self.open_view(key, Some(loaded.await?)).await? {
                return Ok(receiver);
            }
        }
        self.open_view(key, None).await?.ok_or(StoreError::NoSuchFolder)
    }

    async fn watch_mailbox(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>> {
        self.served()?;
        let views = self.views.clone();
        // In the writer, between two commits: neither a change nor the end of the mailbox can be missed.
        self.write(0, move |tx| {
            register::must_exist(tx.conn, mailbox)?;
            Ok(views.subscribe_mailbox(mailbox))
        })
        .await
    }

    fn spool(&self) -> Spool {
        Spool::in_folder(self.spool.clone())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.served()?;
        let (prepared, octets) = self.prepare(commit, 0).await?;
        let kind = match (prepared.plain(), prepared.logged()) {
            (true, _) => Kind::Plain,
            (false, true) => Kind::Logged,
            (false, false) => Kind::Other,
        };
        self.write_as(kind, octets, move |tx| deliver::commit(tx, prepared)).await
    }

    async fn commit_all(&self, commits: Vec<Commit>) -> Result<Vec<Committed>> {
        self.served()?;
        let (mut all, mut octets) = (Vec::with_capacity(commits.len()), 0);
        let mut kind = Kind::Logged;
        for (number, commit) in commits.into_iter().enumerate() {
            let number = u16::try_from(number).map_err(|_| StoreError::Io("too many messages in one commit".into()))?;
            let (prepared, more) = self.prepare(commit, number).await?;
            if !prepared.logged() {
                kind = Kind::Other;
            }
            all.push(prepared);
            octets += more;
        }
        // One request is one savepoint: what one of them cannot, none of them did.
        self.write_as(kind, octets, move |tx| all.into_iter().map(|prepared| deliver::commit(tx, prepared)).collect())
            .await
    }

    async fn replace(&self, mailbox: MailboxId, folder: FolderId, uid: Uid, by: Commit) -> Result<Option<Committed>> {
        self.served()?;
        let (prepared, octets) = self.prepare(by, 0).await?;
        self.write(octets, move |tx| {
            if changing::remove(tx, (mailbox, folder), uid)? {
                deliver::commit(tx, prepared).map(Some)
            } else {
                Ok(None)
            }
        })
        .await
    }

    async fn structures(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
        self.served()?;
        let bodies = bodies.to_vec();
        let keys = self.place.keys.clone();
        self.readers.read(move |conn| reads::structures(conn, &keys, mailbox, &bodies)).await
    }

    async fn body(&self, mailbox: MailboxId, body: u64) -> Result<Option<Body>> {
        self.served()?;
        let place = self.place.clone();
        self.readers.read(move |conn| reads::body(conn, &place, mailbox, body)).await
    }

    async fn derived_key(&self, mailbox: MailboxId, purpose: &'static str) -> Result<zeroize::Zeroizing<[u8; 32]>> {
        Ok(self.key(Some(mailbox)).await?.purpose(purpose))
    }

    async fn bodies(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Body>>> {
        self.served()?;
        let (place, bodies) = (self.place.clone(), bodies.to_vec());
        // One change of threads for all of them.
        self.readers.read(move |conn| reads::bodies(conn, &place, mailbox, &bodies)).await
    }

    async fn set_flags(&self, mailbox: MailboxId, folder: FolderId, change: FlagChange) -> Result<FlagsSet> {
        self.served()?;
        let (key, mut change) = ((mailbox, folder), change);
        let mut answer = FlagsSet::default();
        loop {
            let later = change.uids.split_off(change.uids.len().min(BULK));
            let (views, slice) =
                (self.views.clone(), FlagChange { uids: std::mem::replace(&mut change.uids, later), ..change.clone() });
            let done =
                self.write(0, move |tx| changing::set_flags(tx, key, views.current(key).as_deref(), &slice)).await?;
            answer.now.extend(done.now);
            answer.modified.extend(done.modified);
            if change.uids.is_empty() {
                return Ok(answer);
            }
        }
    }

    async fn expunge(&self, mailbox: MailboxId, folder: FolderId, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        self.served()?;
        let key = (mailbox, folder);
        let mut gone = Vec::new();
        let mut left = uids;
        loop {
            let slice = left.as_mut().map(|left| {
                let later = left.split_off(left.len().min(BULK));
                std::mem::replace(left, later)
            });
            let views = self.views.clone();
            let some = self
                .write(0, move |tx| changing::expunge(tx, key, views.current(key).as_deref(), slice.as_deref()))
                .await?;
            let over = match &left {
                Some(left) => left.is_empty(),
                None => some.len() < BULK,
            };
            gone.extend(some);
            if over {
                return Ok(gone);
            }
        }
    }

    async fn copy(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.served()?;
        let (key, to, views) = ((mailbox, from), to.clone(), self.views.clone());
        self.write(0, move |tx| changing::copy(tx, key, views.current(key).as_deref(), &uids, &to, at)).await
    }

    async fn move_messages(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied> {
        self.served()?;
        let (key, mut left) = ((mailbox, from), uids);
        let mut moved: Option<Copied> = None;
        loop {
            let later = left.split_off(left.len().min(BULK));
            let slice = std::mem::replace(&mut left, later);
            let (to, views) = (to.clone(), self.views.clone());
            let some = self
                .write(0, move |tx| changing::move_some(tx, key, views.current(key).as_deref(), &slice, &to, at))
                .await?;
            let all = match moved.take() {
                None => some,
                Some(Copied { mut uids, .. }) => {
                    uids.extend(some.uids);
                    Copied { uids, ..some }
                }
            };
            if left.is_empty() {
                return Ok(all);
            }
            moved = Some(all);
        }
    }

    async fn vanished(&self, mailbox: MailboxId, folder: FolderId, since: ModSeq) -> Result<Vanished> {
        self.served()?;
        self.readers.read(move |conn| expunged::vanished(conn, (mailbox, folder), since)).await
    }

    fn arrivals(&self) -> Vec<MailboxId> {
        self.views.take_arrivals()
    }

    async fn bodies_after(&self, mailbox: MailboxId, after: u64, limit: usize) -> Result<Vec<u64>> {
        self.served()?;
        self.readers.read(move |conn| messages::bodies_after(conn, mailbox, after, limit)).await
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>> {
        self.served()?;
        self.readers.read(queue::all).await
    }

    async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>> {
        self.served()?;
        self.readers.read(move |conn| queue::one(conn, id)).await
    }

    async fn queue_body(&self, id: QueueId) -> Result<Option<Body>> {
        self.served()?;
        let place = self.place.clone();
        self.readers.read(move |conn| reads::queue_body(conn, &place, id)).await
    }

    async fn maintain(&self, now: i64) -> Result<()> {
        self.served()?;
        let notes = self.notes.take();
        if !notes.is_empty() {
            let written = notes.clone();
            if let Err(error) = self.write(0, move |tx| upkeep::note_all(tx.conn, &written)).await {
                self.notes.put_back(notes);
                return Err(error);
            }
        }
        self.write(0, upkeep::forget_old).await?;
        // One transaction after the other, so that deliveries have their turn between them.
        let mut after = (i64::MIN, Vec::new());
        while let Some(last) = self.write(0, move |tx| upkeep::forget_duplicates(tx, now, &after)).await? {
            after = last;
        }
        let files = self.place.files.clone();
        self.readers.read(move |conn| files.remove_orphans(|name| reads::is_named(conn, name))).await
    }

    fn hold(&self) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        (!self.admin).then(|| Box::new(hold::Hold::new(self.place.files.clone(), self.place.segments.clone())) as _)
    }

    fn statistics(&self) -> Option<Arc<Statistics>> {
        Some(self.statistics.clone())
    }

    fn open_views(&self) -> usize {
        self.views.open()
    }

    async fn close(&self) {
        let sender = self.inbox.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The thread may have ended only by a bug; joining it tells.
            let _ = sender.send(Message::Stop);
        }
        self.readers.close().await;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let ended = tokio::task::spawn_blocking(move || writer.join().is_ok()).await;
            if !matches!(ended, Ok(true)) {
                tracing::error!("the writer did not end well");
            }
        }
        self.places.close();
        self.views.forget_all();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
