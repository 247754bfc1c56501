//! A data folder out of a backup.
//!
//! What was given since the backup, and is lost, must not be given again: clients, and other servers, have seen it. So everything that
//! only grows is raised by more than can have been given since: UIDs and MODSEQs (RFC 9051 §2.3.1.1, RFC 7162 §3.1), UIDVALIDITYs of folders to come, numbers of
//! mailboxes, folders, bodies and conversations (RFC 8474). UIDVALIDITY itself stays, so that clients keep what they
//! have of messages that are still there. Every message gets a MODSEQ above all given before, and expunges are forgotten up to it: a client
//! that knew a later state compares flags and UIDs of the folder once, and fetches no message again.
//!
//! What was erased since stays erased: a mailbox whose key was destroyed is not brought back.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::files::{Files, make_private, sync_folder};
use super::super::keyring::Exported;
use super::super::{DATABASE, Options, Sqlite, keeper, writer};
use super::manifest::Manifest;
use super::{About, Told, copy, private};
use crate::keys::{Keys, SYSTEM, Slot};
use crate::{MailboxId, Result, StoreError};

/// UIDs skipped in every folder: more than come into one between two backups; four thousand restores fit.
const UIDS: i64 = 1_000_000;
/// The highest UID a folder is raised to; beyond, it gets another UIDVALIDITY.
const LAST_UID: i64 = u32::MAX as i64 - 2 * UIDS;
/// MODSEQs (of 63 bits) and bodies skipped.
const MODSEQS: i64 = 1 << 40;
/// UIDVALIDITYs skipped: folders made, over all mailboxes.
const VALIDITIES: i64 = 1_000_000;
/// Conversations skipped in every mailbox (32 bits).
const THREADS: i64 = 1_000_000;
/// Folders skipped in every mailbox.
const FOLDERS: i64 = 10_000;
/// Mailboxes skipped, beyond those that have a key.
const MAILBOXES: i64 = 1000;
/// Entries of the queue skipped.
const ENTRIES: i64 = 1_000_000_000;

/// How a backup is restored.
pub struct Restoring<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The operator's data folder: not there, or empty.
    pub data: &'a Path,
    /// Keys, as `export_keys` wrote them.
    pub keys: &'a Path,
    /// The file of the master key, for a data folder that keeps its own ([`Options::keeper`] is `None`).
    pub master_key: Option<&'a Path>,
    /// How the store is opened.
    pub options: Options,
    /// The outgoing queue is left out: the server the backup is of lived on, and sent it.
    pub without_queue: bool,
    /// Mailboxes that have no key in the export are brought back empty; otherwise they refuse the whole.
    pub empty_without_key: bool,
}

/// What [`restore`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// What the backup said of itself.
    pub about: About,
    /// Files, and their octets.
    pub files: (u64, u64),
    /// Mailboxes not brought back: they were erased since.
    pub erased: u64,
    /// Addresses of mailboxes brought back empty, since their key was not there.
    pub emptied: Vec<String>,
    /// Entries of the outgoing queue that will be sent.
    pub queue: u64,
}

/// Makes a data folder out of a backup, whole or not at all; see the module. Blocking.
///
/// # Errors
/// [`StoreError::Unusable`] when the data folder is not empty, the folder is no backup, or the keys are not those of its mail;
/// [`StoreError::Damaged`] when a file of the backup is not what its manifest says; [`StoreError::Full`], [`StoreError::Io`].
pub fn restore(how: &Restoring<'_>, told: Told<'_>) -> Result<Restored> {
    let manifest = Manifest::read(how.from)?.ok_or_else(|| {
        StoreError::Unusable(format!(
            "{} has no manifest: it is no backup, or one that was not finished",
            how.from.display()
        ))
    })?;
    let exported = Exported::read(how.keys)?;
    make_private(how.data)?;
    let making = how.data.join("restoring");
    for entry in std::fs::read_dir(how.data)? {
        let entry = entry?;
        let path = entry.path();
        if path == making {
            // Of a restore that was interrupted.
            std::fs::remove_dir_all(&path)?;
        } else if entry.file_name() != "lost+found" {
            return Err(StoreError::Unusable(format!(
                "{} is not empty: move it away first, a restore never overwrites mail",
                how.data.display()
            )));
        }
    }
    make_private(&making)?;
    match fill(how, &manifest, &exported, &making, told) {
        Ok(restored) => {
            for name in ["traces", "store"] {
                if making.join(name).is_dir() {
                    std::fs::rename(making.join(name), how.data.join(name))?;
                }
            }
            std::fs::remove_dir_all(&making)?;
            sync_folder(how.data)?;
            Ok(restored)
        }
        Err(error) => {
            // What is left is removed by the next try as well.
            let _ = std::fs::remove_dir_all(&making);
            Err(error)
        }
    }
}

fn fill(
    how: &Restoring<'_>,
    manifest: &Manifest,
    exported: &Exported,
    making: &Path,
    told: Told<'_>,
) -> Result<Restored> {
    let mut restored = Restored { about: manifest.about.clone(), ..Restored::default() };
    let total = manifest.items.iter().map(|item| item.size).sum();
    let mut folders = std::collections::HashSet::new();
    for item in &manifest.items {
        let (from, to) = (how.from.join(&item.at), making.join(&item.path));
        let folder = to.parent().unwrap_or(making);
        if folders.insert(folder.to_owned()) {
            make_private(folder)?;
        }
        let source = File::open(&from).map_err(|e| StoreError::Unusable(format!("{}: {e}", from.display())))?;
        let out = private(&to)?;
        let (size, sha256) = copy(source, item.size, Some(&out))?;
        if size != item.size || sha256 != item.sha256 {
            tracing::error!(file = %from.display(), "not what the manifest says");
            return Err(StoreError::Damaged("a file of the backup is not what its manifest says"));
        }
        out.sync_all()?;
        restored.files.0 += 1;
        restored.files.1 += size;
        told(restored.files.1, total);
    }
    let store = making.join("store");
    let folder = store.join("keys");
    make_private(&folder)?;
    if let (Some(from), None) = (how.master_key, &how.options.keeper) {
        let mut out = private(&folder.join("master.key"))?;
        std::io::copy(&mut File::open(from)?, &mut out)?;
        out.sync_all()?;
    } else if how.options.keeper.is_none() {
        return Err(StoreError::Unusable(
            "the configuration names no master key ([store] key_file or key_env): give the file of the one the mail was kept under".into(),
        ));
    }
    let keys = Keys::open(&folder, keeper(&folder, how.options.clone())?)?;
    exported.bring(&keys)?;
    {
        let conn = super::super::schema::open_writer(&store.join(DATABASE), true)?;
        adjust(how, &conn, &store, &keys, &mut restored)?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    drop(keys);
    // It opens, and the log with it: better told now than at the start of the server.
    drop(Sqlite::open_with(&store, how.options.clone())?);
    folders.extend([store.clone(), folder, making.to_owned(), store.join("bodies")]);
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        sync_folder(folder)?;
    }
    Ok(restored)
}

/// What must be otherwise than at the time of the backup.
fn adjust(how: &Restoring<'_>, conn: &Connection, store: &Path, keys: &Keys, restored: &mut Restored) -> Result<()> {
    // What a crash had left in the log is of before the backup: it comes first, with the numbers of then.
    let segments = super::super::segment::Segments::open(store.join("segments"))?;
    let tx = conn.unchecked_transaction()?;
    let found = super::super::replay::replay(conn, keys, &segments)?;
    if let Some(end) = found.position {
        conn.execute("UPDATE log SET segment = ?1, place = ?2", (end.segment, end.offset as i64))?;
    }
    let mailboxes: Vec<(i64, String)> = {
        let mut select = conn.prepare("SELECT id, address FROM mailbox WHERE keyed = 1")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let mut missing = Vec::new();
    for (id, address) in mailboxes {
        match keys.slot(id as u64)? {
            Slot::Wrapped(_) => {}
            Slot::Destroyed => {
                erase(conn, keys, id)?;
                restored.erased += 1;
            }
            Slot::Empty => missing.push((id, address)),
        }
    }
    if !missing.is_empty() && !how.empty_without_key {
        let few: Vec<&str> = missing.iter().take(5).map(|(_, address)| address.as_str()).collect();
        return Err(StoreError::Unusable(format!(
            "{} mailbox(es) have no key in this export, which is older than the backup: {}{}; give a later export, or say that they \
             are to come back empty",
            missing.len(),
            few.join(", "),
            if missing.len() > few.len() { "…" } else { "" }
        )));
    }
    for (id, address) in missing {
        empty(conn, id)?;
        restored.emptied.push(address);
    }
    if how.without_queue || keys.slot(SYSTEM)? == Slot::Empty {
        conn.execute_batch("DELETE FROM queue_recipient; DELETE FROM queue_entry;")?;
    }
    restored.queue = conn.query_row("SELECT count(*) FROM queue_entry", [], |row| row.get::<_, i64>(0))? as u64;
    raise(conn, keys)?;
    tx.commit()?;
    let files = Files::open(store.join("bodies"))?;
    files.remove_orphans(|name| super::super::reads::is_named(conn, name))
}

/// A mailbox that was erased since the backup.
fn erase(conn: &Connection, keys: &Keys, id: i64) -> Result<()> {
    let mut effects = writer::Effects::default();
    let mut tx = writer::Tx { conn, effects: &mut effects, keys, replay: false };
    super::super::register::delete(&mut tx, MailboxId(id as u64))?;
    // Its key is destroyed already.
    conn.execute("DELETE FROM dead_key WHERE mailbox = ?1", [id])?;
    Ok(())
}

/// A mailbox whose mail nobody can read: its folders and rights stay, a key is made at the next start.
fn empty(conn: &Connection, id: i64) -> Result<()> {
    for table in ["message", "mark", "body", "copies", "garbage", "link", "expunged", "duplicate"] {
        conn.execute(&format!("DELETE FROM {table} WHERE mailbox = ?1"), [id])?;
    }
    conn.execute("UPDATE folder SET messages = 0 WHERE mailbox = ?1", [id])?;
    conn.execute("UPDATE mailbox SET keyed = 0, octets = 0, messages = 0, links = 0 WHERE id = ?1", [id])?;
    Ok(())
}

/// Raises everything that only grows; see the module.
pub(in crate::sqlite) fn raise(conn: &Connection, keys: &Keys) -> Result<()> {
    conn.execute("UPDATE uid_validity SET last = min(last + ?1, 4294000000)", [VALIDITIES])?;
    let worn: Vec<(i64, i64)> = {
        let mut select = conn.prepare("SELECT mailbox, id FROM folder WHERE uid_next > ?1")?;
        let rows = select.query_map([LAST_UID], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (mailbox, folder) in worn {
        let validity: i64 =
            conn.query_row("UPDATE uid_validity SET last = last + 1 RETURNING last", [], |row| row.get(0))?;
        conn.execute(
            "UPDATE folder SET uid_validity = ?3 WHERE mailbox = ?1 AND id = ?2",
            params![mailbox, folder, validity],
        )?;
    }
    conn.execute("UPDATE folder SET uid_next = uid_next + ?1 WHERE uid_next <= ?2", [UIDS, LAST_UID])?;
    conn.execute("UPDATE folder SET modseq = modseq + ?1, expunged_floor = modseq + ?1, expunged_runs = 0", [MODSEQS])?;
    conn.execute("DELETE FROM expunged", [])?;
    // Whatever has a MODSEQ of now is not of before it.
    super::super::marks::fold_all(conn)?;
    conn.execute(
        "UPDATE message SET modseq = (SELECT f.modseq FROM folder f WHERE f.mailbox = message.mailbox AND f.id = message.folder)",
        [],
    )?;
    conn.execute(
        "UPDATE mailbox SET next_body = next_body + ?1, next_folder = next_folder + ?2, next_thread = next_thread + ?3",
        [MODSEQS, FOLDERS, THREADS],
    )?;
    let slots = keys.slots()? as i64;
    for (table, least, more) in [("mailbox", slots, MAILBOXES), ("queue_entry", 0, ENTRIES)] {
        let now: Option<i64> =
            conn.query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0)).optional()?;
        let next = now.unwrap_or(0).max(least) + more;
        conn.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, next])?;
    }
    Ok(())
}
