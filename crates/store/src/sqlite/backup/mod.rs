//! A consistent copy of a data folder while a server uses it.
//!
//! The copy holds the database as of one moment, and the segments up to the last record it names, the large bodies it names, and the traces.
//! It never holds `keys/`: what is in it is unreadable without, and stays so when a key is destroyed.
//!
//! * [`manifest`]: what a backup says of itself, written last; * [`restore`]: a data folder out of it.
//!
//! A backup into a folder that has one already is brought up to date: files that have not changed since are not copied again. The former
//! backup stays whole until the new manifest takes the place of its own: a file is never written in place, and what nobody names any more is
//! removed at the end.

mod manifest;
mod restore;

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use openssl::sha::Sha256;
use rusqlite::Connection;

pub use manifest::About;
use manifest::Item;
pub(in crate::sqlite) use manifest::Manifest;
pub(in crate::sqlite) use restore::raise;
pub use restore::{Restored, Restoring, restore};

use super::files::{make_private, sync_folder};
use super::record::HEAD;
use super::schema::MIGRATIONS;
use super::segment::{FIRST, Segments, Walk};
use super::{DATABASE, lock, reads};
use crate::{Result, StoreError};

/// Tells a folder of backups from any other, and two backups from each other: it is held locked.
const MARK: &str = "vaguemestre-backup.txt";
const MARK_TEXT: &str = "A backup made by `vaguemestre backup`. Without the keys (`vaguemestre keys export`) nobody can read the mail in it.\n\
    `vaguemestre restore` makes a data folder out of it. It is whole if it has a file `manifest`.\n";

/// Octets copied at once.
const PIECE: usize = 1024 * 1024;

/// Makes a file that only we may read.
fn private(path: &Path) -> Result<File> {
    Ok(File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// How a backup is made.
pub struct Making<'a> {
    /// The operator's data folder: `store/` and `traces/` are in it.
    pub data: &'a Path,
    /// Where it goes.
    pub target: &'a Path,
    /// Whether a server uses the data folder, and keeps its files meanwhile ([`crate::Store::hold`]). Without one, none may start.
    pub served: bool,
    /// Whether what is in the target already is read again.
    pub verify: bool,
    /// The version of the program.
    pub program: &'a str,
}

/// What [`backup`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// What the backup says of itself.
    pub about: About,
    /// Files in it, and their octets.
    pub files: (u64, u64),
    /// Those of them copied now.
    pub copied: (u64, u64),
    /// Copies of before that were damaged, and were made again.
    pub renewed: u64,
    /// Files of mail that are not there though messages name them: damage that fsck tells more of.
    pub missing: u64,
}

/// How far long work is: octets done, octets in all.
pub type Told<'a> = &'a mut dyn FnMut(u64, u64);

/// A file to go into a backup.
struct Wanted {
    /// Where it lies in the data folder.
    path: String,
    size: u64,
    changed: i64,
    /// It is written once, under a name of its own.
    fixed: bool,
}

/// Where the log ends for a database: behind the last record it names.
fn cut(conn: &Connection, segments: &Segments) -> Result<(u32, u64)> {
    let (mut segment, mut place): (u32, i64) =
        conn.query_row("SELECT segment, place FROM log", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for table in ["body", "queue_entry"] {
        let mut select = conn.prepare(&format!(
            "SELECT segment, place FROM {table} WHERE (segment, place) >= (?1, ?2) ORDER BY segment DESC, place DESC LIMIT 1"
        ))?;
        let mut rows = select.query((segment, place))?;
        if let Some(row) = rows.next()? {
            (segment, place) = (row.get(0)?, row.get(1)?);
        }
    }
    let Some(walk) = Walk::start(segments, segment, place as u64)? else {
        return Err(StoreError::Damaged("a segment is not there"));
    };
    // The noted place has no record if nothing came since.
    let head = walk.head()?;
    let named: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM body WHERE segment = ?1 AND place = ?2)
             OR EXISTS (SELECT 1 FROM queue_entry WHERE segment = ?1 AND place = ?2)",
        (segment, place),
        |row| row.get(0),
    )?;
    let length = head.filter(|_| named).map_or(0, |head| head.length());
    debug_assert!(length == 0 || length > HEAD as u64);
    Ok((segment, (place as u64).max(FIRST) + length))
}

/// Whether a folder holds nothing.
fn is_empty(folder: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(folder)?.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found")))
}

/// Takes the target: a folder of ours, or an empty one.
fn take(target: &Path) -> Result<File> {
    make_private(target)?;
    let path = target.join(MARK);
    if !path.exists() && !is_empty(target)? {
        return Err(StoreError::Unusable(format!("{} holds other things: give an empty folder", target.display())));
    }
    let mut mark = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    match mark.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(StoreError::Unusable(format!("another backup is made to {}", target.display())));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
    }
    mark.write_all(MARK_TEXT.as_bytes())?;
    mark.sync_all()?;
    Ok(mark)
}

/// Copies a data folder's mail, queue and traces, as of one moment, to a folder; see the module. The caller sees to it that the
/// server, if one runs, holds its files, and `held` tells in the end whether it did. Blocking.
///
/// # Errors
/// [`StoreError::Unusable`] when the target holds other things or the data folder cannot be backed up as it is;
/// [`StoreError::Full`], [`StoreError::Io`]. A backup that was there before stays whole.
pub fn backup(making: &Making<'_>, held: &mut dyn FnMut() -> bool, told: Told<'_>) -> Result<BackedUp> {
    let store = making.data.join("store");
    if !store.join(DATABASE).try_exists()? {
        return Err(StoreError::Unusable(format!("{} has no mail to back up", making.data.display())));
    }
    // Not kept: a server may start meanwhile, which is seen in the end.
    let alone = if making.served { None } else { Some(lock(&store)?.metadata()?.modified()?) };
    if std::path::absolute(making.target)?.starts_with(std::path::absolute(making.data)?) {
        return Err(StoreError::Unusable("a backup goes outside of the data folder, best to another disk".into()));
    }
    let _mark = take(making.target)?;
    // One that is not whole is as none.
    let before = match Manifest::read(making.target) {
        Ok(before) => before.unwrap_or_default(),
        Err(StoreError::Damaged(_)) => Manifest::default(),
        Err(error) => return Err(error),
    };
    let mut run = Run { making, manifest: Manifest::default(), done: BackedUp::default(), folders: HashSet::new() };
    run.manifest.about.begun =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    run.manifest.about.program = making.program.to_owned();
    let database = run.snapshot(&store)?;
    let wanted = run.wanted(&store, &database)?;
    run.copy(&before, wanted, told)?;
    let kept = match alone {
        Some(since) => std::fs::metadata(store.join("lock"))?.modified()? == since,
        None => held(),
    };
    if !kept {
        return Err(StoreError::Unusable(
            "a server started or stopped meanwhile, and the backup was not finished: make it again".into(),
        ));
    }
    run.finish_database(&database)?;
    for folder in &run.folders {
        sync_folder(folder)?;
    }
    run.manifest.write(making.target)?;
    run.clean()?;
    run.done.about = run.manifest.about.clone();
    Ok(run.done)
}

struct Run<'a> {
    making: &'a Making<'a>,
    manifest: Manifest,
    done: BackedUp,
    /// Folders that got entries, to be synced.
    folders: HashSet<PathBuf>,
}

impl Run<'_> {
    /// The database as of now, in a file that is not in its place yet.
    fn snapshot(&mut self, store: &Path) -> Result<PathBuf> {
        let path = self.making.target.join("store.db.new");
        for leftover in [path.clone(), path.with_extension("new-journal")] {
            if leftover.try_exists()? {
                std::fs::remove_file(&leftover)?;
            }
        }
        drop(private(&path)?);
        let conn = super::schema::open_reader(&store.join(DATABASE))?;
        let format: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format != MIGRATIONS.len() as i64 {
            return Err(StoreError::Unusable(
                "its data have another format than this program's: start the server of this version first".into(),
            ));
        }
        let to = path.to_str().ok_or_else(|| StoreError::Unusable("the target's name is not UTF-8".into()))?;
        conn.execute("VACUUM INTO ?1", [to])?;
        let about = &mut self.manifest.about;
        about.format = format;
        Ok(path)
    }

    /// What the snapshot names, and the traces.
    fn wanted(&mut self, store: &Path, database: &Path) -> Result<Vec<Wanted>> {
        let conn = Connection::open(database)?;
        // Nobody else uses it, and what is written is synced with the file.
        conn.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|n| n as u64);
        self.manifest.about.mailboxes = count("SELECT count(*) FROM mailbox")?;
        self.manifest.about.messages = count("SELECT count(*) FROM message")?;
        self.manifest.about.queue = count("SELECT count(*) FROM queue_entry")?;
        let segments = Segments::open(store.join("segments"))?;
        let (last, end) = if self.making.served {
            // Behind it, the server writes what is not of this moment.
            let (segment, end) = cut(&conn, &segments)?;
            conn.execute("UPDATE log SET segment = ?1, place = ?2", (segment, end as i64))?;
            (segment, end)
        } else {
            // What a crash left to be applied is in the log only.
            (u32::MAX, u64::MAX)
        };
        let mut wanted = Vec::new();
        for number in segments.numbers()?.into_iter().filter(|number| *number <= last) {
            let path = segments.path(number);
            let facts = std::fs::metadata(&path)?;
            let size = if number == last { end } else { facts.len() };
            if size > facts.len() {
                return Err(StoreError::Damaged("a segment is shorter than it should be: run fsck"));
            }
            wanted.push(Wanted {
                path: format!("store/segments/{number:08}.seg"),
                size,
                changed: changed(&facts),
                fixed: false,
            });
        }
        let live = super::schema::open_reader(&store.join(DATABASE))?;
        let mut select = conn.prepare(
            "SELECT file FROM body WHERE file IS NOT NULL UNION SELECT file FROM queue_entry WHERE file IS NOT NULL",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let folder = name.get(..2).ok_or(StoreError::Damaged("the name of a large message's file"))?;
            let path = format!("store/bodies/{folder}/{name}");
            match std::fs::metadata(self.making.data.join(&path)) {
                Ok(facts) => wanted.push(Wanted { path, size: facts.len(), changed: changed(&facts), fixed: true }),
                // Its mailbox was erased beside the server since the snapshot: its key is gone as well.
                Err(e) if e.kind() == ErrorKind::NotFound && !reads::is_named(&live, &name)? => {}
                Err(e) if e.kind() == ErrorKind::NotFound => self.done.missing += 1,
                Err(e) => return Err(e.into()),
            }
        }
        let traces = self.making.data.join("traces");
        if traces.is_dir() {
            for entry in std::fs::read_dir(&traces)? {
                let entry = entry?;
                let (facts, name) = (entry.metadata()?, entry.file_name());
                if let (true, Some(name)) = (facts.is_file(), name.to_str()) {
                    let path = format!("traces/{name}");
                    wanted.push(Wanted { path, size: facts.len(), changed: changed(&facts), fixed: false });
                }
            }
        }
        Ok(wanted)
    }

    /// Copies what is not there yet.
    fn copy(&mut self, before: &Manifest, wanted: Vec<Wanted>, told: Told<'_>) -> Result<()> {
        let before = before.by_path();
        let total = wanted.iter().map(|one| one.size).sum();
        let mut done = 0;
        for one in wanted {
            let known = before.get(one.path.as_str()).filter(|item| {
                let same = item.size == one.size && (one.fixed || item.changed == one.changed);
                let lies = std::fs::metadata(self.making.target.join(&item.at));
                same && lies.is_ok_and(|lies| lies.len() == one.size)
            });
            let item = match known {
                Some(item) if self.making.verify && !self.holds(item)? => {
                    self.done.renewed += 1;
                    self.take(&one)?
                }
                Some(item) => Some(Item::clone(item)),
                None => self.take(&one)?,
            };
            if let Some(item) = item {
                self.done.files.0 += 1;
                self.done.files.1 += item.size;
                self.manifest.items.push(item);
            } else {
                self.done.missing += 1;
            }
            done += one.size;
            told(done, total);
        }
        Ok(())
    }

    /// Whether what lies in the backup is what the manifest says.
    fn holds(&self, item: &Item) -> Result<bool> {
        let file = File::open(self.making.target.join(&item.at))?;
        let (size, digest) = copy(file, item.size, None)?;
        Ok(size == item.size && digest == item.sha256)
    }

    /// One file; `None` when it went.
    fn take(&mut self, one: &Wanted) -> Result<Option<Item>> {
        let source = match File::open(self.making.data.join(&one.path)) {
            Ok(source) => source,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        // One that grows has a name for each size: the copy of before is not touched.
        let mut at = if one.fixed { one.path.clone() } else { format!("{}-{}", one.path, one.size) };
        if !one.fixed && self.making.target.join(&at).try_exists()? {
            // Of the same size and yet another: of a data folder brought back to an earlier state.
            at = format!("{at}-{}", one.changed);
        }
        let target = self.making.target.join(&at);
        let folder = target.parent().unwrap_or(self.making.target).to_owned();
        if !folder.is_dir() {
            make_private(&folder)?;
            // The folders above have a new entry, perhaps.
            self.folders.extend(folder.ancestors().skip(1).take(2).map(Path::to_owned));
        }
        let new = folder.join("copying.new");
        let out = private(&new)?;
        let (size, sha256) = match copy(source, one.size, Some(&out)) {
            Ok(done) => done,
            Err(error) => {
                // Room for the server, if it is on this disk.
                let _ = std::fs::remove_file(&new);
                return Err(error);
            }
        };
        if size != one.size {
            return Err(StoreError::Damaged("a file is shorter than it was a moment before"));
        }
        out.sync_all()?;
        std::fs::rename(&new, &target)?;
        self.folders.insert(folder);
        self.done.copied.0 += 1;
        self.done.copied.1 += size;
        Ok(Some(Item { path: one.path.clone(), at, size, sha256, changed: one.changed }))
    }

    /// Puts the database in its place.
    fn finish_database(&mut self, new: &Path) -> Result<()> {
        let file = File::open(new)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        let (_, sha256) = copy(file, size, None)?;
        let at = format!("store.db-{}", &sha256[..16]);
        std::fs::rename(new, self.making.target.join(&at))?;
        self.folders.insert(self.making.target.to_owned());
        self.done.files.0 += 1;
        self.done.files.1 += size;
        self.done.copied.0 += 1;
        self.done.copied.1 += size;
        self.manifest.items.push(Item { path: format!("store/{DATABASE}"), at, size, sha256, changed: 0 });
        Ok(())
    }

    /// Removes what no manifest names any more.
    fn clean(&self) -> Result<()> {
        let named: HashSet<PathBuf> =
            self.manifest.items.iter().map(|item| self.making.target.join(&item.at)).collect();
        for entry in std::fs::read_dir(self.making.target)? {
            let path = entry?.path();
            let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("store.db"));
            if ours && path.is_file() && !named.contains(&path) {
                std::fs::remove_file(&path)?;
            }
        }
        for folder in ["store", "traces"] {
            let folder = self.making.target.join(folder);
            if folder.is_dir() {
                clean(&folder, &named)?;
            }
        }
        Ok(())
    }
}

fn clean(folder: &Path, named: &HashSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            clean(&path, named)?;
        } else if !named.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn changed(facts: &std::fs::Metadata) -> i64 {
    facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec())
}

/// Reads at most `size` octets, and writes them to a file if one is given; how many there were, and their digest.
fn copy(mut from: File, size: u64, mut to: Option<&File>) -> Result<(u64, String)> {
    let mut piece = vec![0; PIECE];
    let mut digest = Sha256::new();
    let mut done = 0;
    while done < size {
        let length = PIECE.min(usize::try_from(size - done).unwrap_or(PIECE));
        let read = from.read(&mut piece[..length])?;
        if read == 0 {
            break;
        }
        digest.update(&piece[..read]);
        if let Some(to) = &mut to {
            to.write_all(&piece[..read])?;
        }
        done += read as u64;
    }
    Ok((done, hex(&digest.finish())))
}
