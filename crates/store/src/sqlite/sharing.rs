//! Access lists and annotations in tables. The rules are in [`crate::sharing`].

use mail::Rights;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::register::{corrupt, must_exist};
use super::writer::Tx;
use crate::sharing::*;
use crate::views::Change;
use crate::{FolderId, MailboxId, Result, StoreError};

/// Annotations of the mailbox itself are under this number, which no folder has.
const WHOLE: u32 = 0;

pub(super) fn access(conn: &Connection, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
    let all = entries(conn, mailbox)?;
    if all.is_empty() {
        must_exist(conn, mailbox)?;
    }
    Ok(all)
}

/// The same of a mailbox known to exist.
pub(super) fn entries(conn: &Connection, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
    let mut select = conn.prepare_cached(
        "SELECT folder, grantee, rights FROM folder_access WHERE mailbox = ?1 ORDER BY folder, grantee",
    )?;
    let rows = select.query_map([mailbox.0 as i64], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    rows.map(|row| {
        let (folder, grantee, rights) = row?;
        Ok(AccessEntry {
            folder: FolderId(folder),
            grantee: Grantee::parse(&grantee).map_err(|_| corrupt("grantee"))?,
            rights: rights.parse::<Rights>().map_err(|_| corrupt("set of rights"))?,
        })
    })
    .collect()
}

fn folder_must_exist(conn: &Connection, mailbox: MailboxId, folder: FolderId) -> Result<()> {
    must_exist(conn, mailbox)?;
    let there = conn
        .prepare_cached("SELECT 1 FROM folder WHERE mailbox = ?1 AND id = ?2")?
        .exists(params![mailbox.0 as i64, folder.0])?;
    if there { Ok(()) } else { Err(StoreError::NoSuchFolder) }
}

pub(super) fn set_access(
    tx: &mut Tx<'_>,
    mailbox: MailboxId,
    folder: FolderId,
    grantee: &Grantee,
    rights: Option<Rights>,
) -> Result<()> {
    folder_must_exist(tx.conn, mailbox, folder)?;
    match rights {
        Some(rights) => {
            let values = params![mailbox.0 as i64, folder.0, grantee.as_str(), rights.to_string()];
            let changed = tx
                .conn
                .prepare_cached(
                    "UPDATE folder_access SET rights = ?4 WHERE mailbox = ?1 AND folder = ?2 AND grantee = ?3",
                )?
                .execute(values)?;
            if changed == 0 {
                tx.conn
                    .prepare_cached(
                        "INSERT INTO folder_access (mailbox, folder, grantee, rights) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(values)?;
                check_count(tx.conn, mailbox, folder)?;
            }
        }
        None => {
            tx.conn
                .prepare_cached("DELETE FROM folder_access WHERE mailbox = ?1 AND folder = ?2 AND grantee = ?3")?
                .execute(params![mailbox.0 as i64, folder.0, grantee.as_str()])?;
        }
    }
    tx.effects.changes.push(Change::Folders(mailbox));
    Ok(())
}

/// A new folder begins with what the one it comes from has.
pub(super) fn inherit(tx: &Tx<'_>, mailbox: MailboxId, from: FolderId, to: FolderId) -> Result<()> {
    let copied = tx
        .conn
        .prepare_cached(
            "INSERT INTO folder_access (mailbox, folder, grantee, rights)
             SELECT mailbox, ?3, grantee, rights FROM folder_access WHERE mailbox = ?1 AND folder = ?2",
        )?
        .execute(params![mailbox.0 as i64, from.0, to.0])?;
    if copied == 0 { Ok(()) } else { check_count(tx.conn, mailbox, to) }
}

/// After entries were added to a folder: there may be only so many. Nothing else is refused to a mailbox that has more from before.
fn check_count(conn: &Connection, mailbox: MailboxId, folder: FolderId) -> Result<()> {
    let (of_folder, of_mailbox): (u32, u32) = conn
        .prepare_cached("SELECT count(*) FILTER (WHERE folder = ?2), count(*) FROM folder_access WHERE mailbox = ?1")?
        .query_row(params![mailbox.0 as i64, folder.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    check_entries(of_folder as usize, of_mailbox as usize)
}

/// What a folder had, when it goes.
pub(super) fn forget(tx: &Tx<'_>, mailbox: MailboxId, folder: FolderId) -> Result<()> {
    let key = params![mailbox.0 as i64, folder.0];
    tx.conn.prepare_cached("DELETE FROM folder_access WHERE mailbox = ?1 AND folder = ?2")?.execute(key)?;
    tx.conn.prepare_cached("DELETE FROM annotation WHERE mailbox = ?1 AND folder = ?2")?.execute(key)?;
    Ok(())
}

fn number(conn: &Connection, mailbox: MailboxId, of: Option<FolderId>) -> Result<u32> {
    match of {
        Some(folder) => folder_must_exist(conn, mailbox, folder).map(|()| folder.0),
        None => must_exist(conn, mailbox).map(|()| WHOLE),
    }
}

pub(super) fn annotations(
    conn: &Connection,
    mailbox: MailboxId,
    of: Option<FolderId>,
    reader: &str,
) -> Result<Vec<Annotation>> {
    let folder = number(conn, mailbox, of)?;
    let mut select = conn.prepare_cached(
        "SELECT owner, entry, value FROM annotation WHERE mailbox = ?1 AND folder = ?2 AND owner IN ('', ?3)
         ORDER BY owner, entry",
    )?;
    let rows = select.query_map(params![mailbox.0 as i64, folder, reader], annotation)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A row that begins with owner, entry, value.
fn annotation(row: &Row<'_>) -> rusqlite::Result<Annotation> {
    let owner: String = row.get(0)?;
    let scope = if owner.is_empty() { Scope::Shared } else { Scope::Private(owner) };
    Ok(Annotation { scope, entry: row.get(1)?, value: row.get(2)? })
}

pub(super) fn all_annotations(
    conn: &Connection,
    mailbox: MailboxId,
    reader: &str,
) -> Result<Vec<(Option<FolderId>, Annotation)>> {
    must_exist(conn, mailbox)?;
    let mut select = conn.prepare_cached(
        "SELECT owner, entry, value, folder FROM annotation WHERE mailbox = ?1 AND owner IN ('', ?2)
         ORDER BY folder, owner, entry",
    )?;
    let rows = select.query_map(params![mailbox.0 as i64, reader], |row| {
        let folder: u32 = row.get(3)?;
        Ok(((folder != WHOLE).then_some(FolderId(folder)), annotation(row)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn annotate(
    tx: &mut Tx<'_>,
    mailbox: MailboxId,
    of: Option<FolderId>,
    changes: &[AnnotationChange],
) -> Result<()> {
    let folder = number(tx.conn, mailbox, of)?;
    for change in changes {
        let (owner, entry) = (change.scope.owner(), change.entry.as_str());
        match &change.value {
            None => {
                tx.conn
                    .prepare_cached(
                        "DELETE FROM annotation WHERE mailbox = ?1 AND folder = ?2 AND owner = ?3 AND entry = ?4",
                    )?
                    .execute(params![mailbox.0 as i64, folder, owner, entry])?;
            }
            Some(value) if value.len() > MAX_ANNOTATION => return Err(StoreError::TooManyAnnotations),
            Some(value) => {
                tx.conn
                    .prepare_cached(
                        "INSERT INTO annotation (mailbox, folder, owner, entry, value) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET value = excluded.value",
                    )?
                    .execute(params![mailbox.0 as i64, folder, owner, entry, value])?;
                let count: i64 = tx
                    .conn
                    .prepare_cached(
                        "SELECT count(*) FROM annotation WHERE mailbox = ?1 AND folder = ?2 AND owner = ?3",
                    )?
                    .query_row(params![mailbox.0 as i64, folder, owner], |row| row.get(0))?;
                if count > MAX_ANNOTATIONS as i64 {
                    return Err(StoreError::TooManyAnnotations);
                }
            }
        }
    }
    let octets: Option<i64> = tx
        .conn
        .prepare_cached("SELECT sum(length(value) + length(entry)) FROM annotation WHERE mailbox = ?1")?
        .query_row([mailbox.0 as i64], |row| row.get(0))
        .optional()?
        .flatten();
    if octets.unwrap_or(0) > MAX_ANNOTATION_OCTETS as i64 {
        return Err(StoreError::TooManyAnnotations);
    }
    tx.effects.changes.push(Change::Annotations(mailbox));
    Ok(())
}
