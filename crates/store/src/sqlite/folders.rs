//! Folders: making, deleting, renaming, subscribing (RFC 3501 §6.3.3 to §6.3.7, RFC 6154).
//!
//! Invariants: the folder above every folder exists (perhaps as a `\NoSelect` name); a UIDVALIDITY is given once in the
//! whole store; a folder made where one was has another id and another UIDVALIDITY.

use mail::{FolderName, ModSeq, Outline, SpecialUse, Uid, UidValidity, View};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::register::{corrupt, must_exist};
use super::writer::Tx;
use super::{changing, load, messages, sharing};
use crate::limits::MAX_FOLDERS;
use crate::views::{Change, Key};
use crate::{Folder, FolderId, MailboxId, Result, StoreError};

const COLUMNS: &str = "id, name, special_use, subscribed, selectable, uid_validity";

type Raw = (i64, String, Option<String>, bool, bool, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn parsed((id, name, special_use, subscribed, selectable, uid_validity): Raw) -> Result<Folder> {
    Ok(Folder {
        id: FolderId(id as u32),
        name: FolderName::new(&name).map_err(|_| corrupt("folder name"))?,
        special_use: special_use.map(|name| SpecialUse::from_name(&name).ok_or_else(|| corrupt("use"))).transpose()?,
        subscribed,
        selectable,
        uid_validity: UidValidity(uid_validity as u32),
    })
}

pub(super) fn list(conn: &Connection, mailbox: MailboxId) -> Result<Vec<Folder>> {
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM folder WHERE mailbox = ?1 ORDER BY name"))?;
    let all = select.query_map([mailbox.0 as i64], raw)?.map(|row| parsed(row?)).collect::<Result<Vec<_>>>()?;
    if all.is_empty() {
        // A mailbox has at least INBOX.
        must_exist(conn, mailbox)?;
    }
    Ok(all)
}

/// The folder of a name; an unknown mailbox is told.
pub(super) fn named(conn: &Connection, mailbox: MailboxId, name: &FolderName) -> Result<Option<Folder>> {
    let found = find(conn, mailbox, name)?;
    if found.is_none() {
        must_exist(conn, mailbox)?;
    }
    Ok(found)
}

fn find(conn: &Connection, mailbox: MailboxId, name: &FolderName) -> Result<Option<Folder>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM folder WHERE mailbox = ?1 AND name = ?2"))?
        .query_row(params![mailbox.0 as i64, name.as_str()], raw)
        .optional()?
        .map(parsed)
        .transpose()
}

fn has_children(conn: &Connection, mailbox: MailboxId, name: &FolderName) -> Result<bool> {
    Ok(!children(conn, mailbox, name, 1)?.is_empty())
}

/// Folders under `name`, at most `limit`: names that begin with `name/`, and `0` follows `/` in ASCII.
fn children(conn: &Connection, mailbox: MailboxId, name: &FolderName, limit: usize) -> Result<Vec<(i64, String)>> {
    let mut select = conn.prepare_cached(
        "SELECT id, name FROM folder WHERE mailbox = ?1 AND name > ?2 || '/' AND name < ?2 || '0' ORDER BY name LIMIT ?3",
    )?;
    let rows = select
        .query_map(params![mailbox.0 as i64, name.as_str(), limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Inserts a folder; nothing is checked. The caller notes the change.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    mailbox: MailboxId,
    name: &FolderName,
    special_use: Option<SpecialUse>,
    subscribed: bool,
) -> Result<Folder> {
    let validity: i64 = tx
        .conn
        .prepare_cached("UPDATE uid_validity SET last = last + 1 RETURNING last")?
        .query_row([], |row| row.get(0))?;
    let uid_validity =
        UidValidity(u32::try_from(validity).map_err(|_| StoreError::FolderRefused("no UIDVALIDITY is left"))?);
    let id: i64 = tx
        .conn
        .prepare_cached("UPDATE mailbox SET next_folder = next_folder + 1 WHERE id = ?1 RETURNING next_folder - 1")?
        .query_row([mailbox.0 as i64], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::NoSuchMailbox)?;
    let id = FolderId(u32::try_from(id).map_err(|_| StoreError::FolderRefused("no folder number is left"))?);
    tx.conn
        .prepare_cached(
            "INSERT INTO folder (mailbox, id, name, special_use, subscribed, selectable, uid_validity)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)",
        )?
        .execute(params![
            mailbox.0 as i64,
            id.0,
            name.as_str(),
            special_use.map(SpecialUse::name),
            subscribed,
            uid_validity.0
        ])?;
    Ok(Folder { id, name: name.clone(), special_use, subscribed, selectable: true, uid_validity })
}

/// The missing folders above `name`, from the top.
fn create_above(tx: &mut Tx<'_>, mailbox: MailboxId, name: &FolderName) -> Result<()> {
    let mut missing = Vec::new();
    let mut above = name.parent();
    while let Some(folder) = above {
        if find(tx.conn, mailbox, &folder)?.is_some() {
            break;
        }
        above = folder.parent();
        missing.push(folder);
    }
    for folder in missing.into_iter().rev() {
        let made = insert(tx, mailbox, &folder, None, false)?;
        inherit(tx, mailbox, &made)?;
    }
    Ok(())
}

/// A new folder begins with the access list of the folder above it, if there is one.
fn inherit(tx: &Tx<'_>, mailbox: MailboxId, made: &Folder) -> Result<()> {
    let Some(above) = made.name.parent() else { return Ok(()) };
    match find(tx.conn, mailbox, &above)? {
        Some(above) => sharing::inherit(tx, mailbox, above.id, made.id),
        None => Ok(()),
    }
}

/// After folders were made: there may be only so many.
fn check_count(tx: &Tx<'_>, mailbox: MailboxId) -> Result<()> {
    let count: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM folder WHERE mailbox = ?1")?
        .query_row([mailbox.0 as i64], |row| row.get(0))?;
    if count > MAX_FOLDERS as i64 { Err(StoreError::FolderRefused("the mailbox has too many folders")) } else { Ok(()) }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    mailbox: MailboxId,
    name: &FolderName,
    special_use: Option<SpecialUse>,
) -> Result<Folder> {
    must_exist(tx.conn, mailbox)?;
    if let Some(there) = find(tx.conn, mailbox, name)? {
        if there.selectable {
            return Err(StoreError::FolderExists);
        }
        remove_row(tx, mailbox, there.id)?;
    }
    if let Some(special_use) = special_use
        && tx
            .conn
            .prepare_cached("SELECT 1 FROM folder WHERE mailbox = ?1 AND special_use = ?2")?
            .exists(params![mailbox.0 as i64, special_use.name()])?
    {
        return Err(StoreError::FolderRefused("another folder has this use"));
    }
    create_above(tx, mailbox, name)?;
    let folder = insert(tx, mailbox, name, special_use, false)?;
    inherit(tx, mailbox, &folder)?;
    check_count(tx, mailbox)?;
    tx.effects.changes.push(Change::Folders(mailbox));
    Ok(folder)
}

fn remove_row(tx: &mut Tx<'_>, mailbox: MailboxId, id: FolderId) -> Result<()> {
    let key = params![mailbox.0 as i64, id.0];
    tx.conn.prepare_cached("DELETE FROM folder WHERE mailbox = ?1 AND id = ?2")?.execute(key)?;
    tx.effects.changes.push(Change::FolderGone((mailbox, id)));
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, mailbox: MailboxId, name: &FolderName) -> Result<()> {
    must_exist(tx.conn, mailbox)?;
    let folder = find(tx.conn, mailbox, name)?.ok_or(StoreError::NoSuchFolder)?;
    if name.is_inbox() {
        return Err(StoreError::FolderRefused("INBOX cannot be deleted"));
    }
    let parent_of_some = has_children(tx.conn, mailbox, name)?;
    if parent_of_some && !folder.selectable {
        return Err(StoreError::FolderRefused("it has folders under it"));
    }
    changing::remove_all(tx, (mailbox, folder.id))?;
    sharing::forget(tx, mailbox, folder.id)?;
    let key = params![mailbox.0 as i64, folder.id.0];
    tx.conn.prepare_cached("DELETE FROM expunged WHERE mailbox = ?1 AND folder = ?2")?.execute(key)?;
    if parent_of_some {
        tx.conn
            .prepare_cached(
                "UPDATE folder SET selectable = 0, special_use = NULL, messages = 0 WHERE mailbox = ?1 AND id = ?2",
            )?
            .execute(key)?;
        tx.effects.changes.push(Change::FolderGone((mailbox, folder.id)));
    } else {
        remove_row(tx, mailbox, folder.id)?;
    }
    tx.effects.changes.push(Change::Folders(mailbox));
    Ok(())
}

pub(super) fn rename(tx: &mut Tx<'_>, mailbox: MailboxId, from: &FolderName, to: &FolderName, at: i64) -> Result<()> {
    must_exist(tx.conn, mailbox)?;
    let folder = find(tx.conn, mailbox, from)?.ok_or(StoreError::NoSuchFolder)?;
    if find(tx.conn, mailbox, to)?.is_some() {
        return Err(StoreError::FolderExists);
    }
    if from.is_inbox() {
        create_above(tx, mailbox, to)?;
        let made = insert(tx, mailbox, to, None, false)?;
        // What was read under the list of INBOX still is.
        sharing::inherit(tx, mailbox, folder.id, made.id)?;
        check_count(tx, mailbox)?;
        changing::move_all(tx, (mailbox, folder.id), to, at)?;
    } else {
        if to.is_under(from) {
            return Err(StoreError::FolderRefused("a folder cannot go under itself"));
        }
        create_above(tx, mailbox, to)?;
        check_count(tx, mailbox)?;
        let mut moves = vec![(i64::from(folder.id.0), to.clone())];
        for (id, name) in children(tx.conn, mailbox, from, MAX_FOLDERS)? {
            let moved = format!("{}{}", to.as_str(), &name[from.as_str().len()..]);
            let moved = FolderName::new(&moved).map_err(|_| {
                StoreError::FolderRefused("the name of a folder under it would be too long or too deep")
            })?;
            moves.push((id, moved));
        }
        for (id, name) in moves {
            tx.conn.prepare_cached("UPDATE folder SET name = ?3 WHERE mailbox = ?1 AND id = ?2")?.execute(params![
                mailbox.0 as i64,
                id,
                name.as_str()
            ])?;
        }
    }
    tx.effects.changes.push(Change::Folders(mailbox));
    Ok(())
}

pub(super) fn subscribe(tx: &mut Tx<'_>, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()> {
    must_exist(tx.conn, mailbox)?;
    let changed = tx
        .conn
        .prepare_cached("UPDATE folder SET subscribed = ?3 WHERE mailbox = ?1 AND name = ?2")?
        .execute(params![mailbox.0 as i64, name.as_str(), subscribed])?;
    if changed == 0 {
        return if subscribed { Err(StoreError::NoSuchFolder) } else { Ok(()) };
    }
    tx.effects.changes.push(Change::Folders(mailbox));
    Ok(())
}

/// A folder's view as the connection sees it now; `None` for an unknown or unselectable folder.
pub(super) fn load_view(conn: &Connection, key: Key) -> Result<Option<View>> {
    // Both statements must see one moment; inside the writer's transaction they do anyway.
    let own = if conn.is_autocommit() { Some(conn.unchecked_transaction()?) } else { None };
    let Some(mut view) = empty_view(conn, key)? else { return Ok(None) };
    view.extend(load::rows(conn, key, 0, u32::MAX)?);
    if let Some(own) = own {
        own.commit()?;
    }
    Ok(Some(view))
}

/// The state of a folder without its messages; `None` for an unknown or unselectable folder.
pub(super) fn empty_view(conn: &Connection, key: Key) -> Result<Option<View>> {
    Ok(outline(conn, key)?.map(|outline| outline.without_messages()))
}

/// What a folder's row says of it; `None` for an unknown or unselectable folder.
pub(super) fn outline(conn: &Connection, key: Key) -> Result<Option<Outline>> {
    let state = conn
        .prepare_cached(
            "SELECT uid_validity, uid_next, modseq, messages, keywords FROM folder
             WHERE mailbox = ?1 AND id = ?2 AND selectable = 1",
        )?
        .query_row(params![key.0.0 as i64, key.1.0], |row| {
            Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?], row.get::<_, String>(4)?))
        })
        .optional()?;
    let Some(([validity, next, modseq, messages], keywords)) = state else { return Ok(None) };
    Ok(Some(Outline {
        uid_validity: UidValidity(validity as u32),
        uid_next: Uid(next as u32),
        highest_modseq: ModSeq(modseq as u64),
        // A wrong number is found when the messages are read.
        messages: usize::try_from(messages).unwrap_or(0),
        keywords: messages::keywords_from(&keywords)?,
    }))
}

/// Writes into a folder's row how many messages it has, where it says otherwise; whether it did.
pub(super) fn count_again(conn: &Connection, key: Key) -> Result<bool> {
    let changed = conn
        .prepare_cached(
            "UPDATE folder SET messages = (SELECT count(*) FROM message WHERE mailbox = ?1 AND folder = ?2)
             WHERE mailbox = ?1 AND id = ?2
             AND messages != (SELECT count(*) FROM message WHERE mailbox = ?1 AND folder = ?2)",
        )?
        .execute(params![key.0.0 as i64, key.1.0])?;
    Ok(changed > 0)
}
