//! Messages: their rows, and what coming takes of a folder and of a mailbox.
//!
//! Invariants: usage, UIDs, MODSEQs, references to bodies, the folder's number of messages and rows change in one transaction; a body without reference is
//! removed in the same transaction when they are few, and left to upkeep otherwise.

use mail::{Entry, Flags, FolderName, Keywords, ModSeq, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::register::{corrupt, must_exist};
use super::writer::Tx;
use crate::views::{Change, Key};
use crate::{FolderId, MailboxId, Result, StoreError};

/// The bits that are system flags: keywords are given by name only.
pub(crate) const SYSTEM_BITS: u64 = (1 << Flags::FIRST_KEYWORD) - 1;

/// The flags that a name-less caller may give.
pub(crate) fn system_only(flags: Flags) -> Flags {
    Flags::from_bits(flags.bits() & SYSTEM_BITS)
}

pub(super) fn keywords_from(json: &str) -> Result<Keywords> {
    let names: Vec<String> = serde_json::from_str(json).map_err(|_| corrupt("table of keywords"))?;
    Ok(Keywords::new(names.into_iter().map(Into::into)))
}

fn keywords_json(keywords: &Keywords) -> Result<String> {
    let names: Vec<&str> = keywords.names().iter().map(|name| &**name).collect();
    serde_json::to_string(&names).map_err(|_| corrupt("table of keywords"))
}

/// Columns `uid, size, flags, modseq, internal_date, body, saved, thread`.
pub(super) fn entry(row: [i64; 8]) -> Result<Entry> {
    let [uid, size, flags, modseq, internal_date, body, saved, thread] = row;
    let number = |value: i64| u32::try_from(value).map_err(|_| corrupt("folder"));
    Ok(Entry {
        uid: Uid(number(uid)?),
        size: number(size)?,
        flags: Flags::from_bits(flags as u64),
        modseq: ModSeq(modseq as u64),
        internal_date,
        body: body as u64,
        saved: number(saved)?,
        thread: number(thread)?,
    })
}

/// A folder that receives or changes messages.
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) uid_validity: UidValidity,
    pub(super) uid_next: i64,
    pub(super) modseq: ModSeq,
}

impl Place {
    /// Takes `count` UIDs, for as many messages, and a new MODSEQ. [`Place::uid_next`] is the first of those UIDs.
    pub(super) fn take(tx: &Tx<'_>, mailbox: MailboxId, name: &FolderName, count: usize) -> Result<Option<Place>> {
        // Not with RETURNING: SQLite makes a table for its rows, each time, which costs more than to look the row up again.
        let taken = tx
            .conn
            .prepare_cached(
                "UPDATE folder SET uid_next = uid_next + ?3, modseq = modseq + 1, messages = messages + ?3
                 WHERE mailbox = ?1 AND name = ?2 AND selectable = 1",
            )?
            .execute(params![mailbox.0 as i64, name.as_str(), count as i64])?;
        if taken == 0 {
            return Ok(None);
        }
        let place = tx
            .conn
            .prepare_cached(
                "SELECT id, uid_validity, uid_next - ?3, modseq FROM folder WHERE mailbox = ?1 AND name = ?2",
            )?
            .query_row(params![mailbox.0 as i64, name.as_str(), count as i64], |row| {
                Ok(Place {
                    key: (mailbox, FolderId(row.get(0)?)),
                    uid_validity: UidValidity(row.get(1)?),
                    uid_next: row.get(2)?,
                    modseq: ModSeq(row.get::<_, i64>(3)? as u64),
                })
            })?;
        if place.uid_next + count as i64 > i64::from(u32::MAX) {
            return Err(StoreError::FolderRefused("no UID is left in the folder"));
        }
        Ok(Some(place))
    }
}

/// The next MODSEQ of a folder known to exist.
pub(super) fn next_modseq(tx: &Tx<'_>, key: Key) -> Result<ModSeq> {
    let modseq: i64 = tx
        .conn
        .prepare_cached("UPDATE folder SET modseq = modseq + 1 WHERE mailbox = ?1 AND id = ?2 RETURNING modseq")?
        .query_row(params![key.0.0 as i64, key.1.0], |row| row.get(0))?;
    Ok(ModSeq(modseq as u64))
}

/// The keywords of a selectable folder.
fn keywords_of(tx: &Tx<'_>, key: Key) -> Result<Keywords> {
    let json: Option<String> = tx
        .conn
        .prepare_cached("SELECT keywords FROM folder WHERE mailbox = ?1 AND id = ?2 AND selectable = 1")?
        .query_row(params![key.0.0 as i64, key.1.0], |row| row.get(0))
        .optional()?;
    match json {
        Some(json) => keywords_from(&json),
        None => {
            must_exist(tx.conn, key.0)?;
            Err(StoreError::NoSuchFolder)
        }
    }
}

/// The flags of keywords by name, added to the folder's table where they are new (the change is told with `modseq`).
pub(super) fn intern(tx: &mut Tx<'_>, key: Key, names: &[impl AsRef<str>], modseq: ModSeq) -> Result<Flags> {
    if names.is_empty() {
        return Ok(Flags::NONE);
    }
    let mut keywords = keywords_of(tx, key)?;
    let before = keywords.names().len();
    let mut flags = Flags::NONE;
    for name in names {
        flags = flags.with(keywords.intern(name.as_ref()).ok_or(StoreError::TooManyKeywords)?);
    }
    if keywords.names().len() > before {
        tx.conn.prepare_cached("UPDATE folder SET keywords = ?3 WHERE mailbox = ?1 AND id = ?2")?.execute(params![
            key.0.0 as i64,
            key.1.0,
            keywords_json(&keywords)?
        ])?;
        tx.effects.changes.push(Change::Keywords(key, keywords, modseq));
    }
    Ok(flags)
}

pub(super) const INSERT: &str =
    "INSERT INTO message (mailbox, folder, uid, size, flags, modseq, internal_date, body, saved, thread)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

pub(super) fn insert_row(insert: &mut Statement<'_>, key: Key, entry: &Entry) -> Result<()> {
    insert.execute(params![
        key.0.0 as i64,
        key.1.0,
        entry.uid.0,
        entry.size,
        entry.flags.bits() as i64,
        entry.modseq.0 as i64,
        entry.internal_date,
        entry.body as i64,
        entry.saved,
        entry.thread
    ])?;
    Ok(())
}

/// Inserts the row of a message that came and shows it.
pub(super) fn insert(tx: &mut Tx<'_>, key: Key, entry: Entry) -> Result<()> {
    insert_row(&mut *tx.conn.prepare_cached(INSERT)?, key, &entry)?;
    tx.effects.changes.push(Change::Push(key, entry));
    Ok(())
}

/// Mailboxes that ever received a body.
pub(super) fn with_bodies(conn: &Connection) -> Result<Vec<MailboxId>> {
    let mut select = conn.prepare("SELECT id FROM mailbox WHERE next_body > 1")?;
    let rows = select.query_map([], |row| Ok(MailboxId(row.get::<_, i64>(0)? as u64)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Bodies that are still named, above a number.
pub(super) fn bodies_after(conn: &Connection, mailbox: MailboxId, after: u64, limit: usize) -> Result<Vec<u64>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select =
        conn.prepare_cached(
        "SELECT id FROM body WHERE mailbox = ?1 AND id > ?2 AND refs > 0
         AND ifnull((SELECT last FROM garbage g WHERE g.mailbox = ?1 AND g.body <= body.id ORDER BY g.body DESC LIMIT 1), 0)
             < body.id
         ORDER BY id LIMIT ?3",
    )?;
    let rows = select.query_map(params![mailbox.0 as i64, after, limit], |row| Ok(row.get::<_, i64>(0)? as u64))?;
    let found: Vec<u64> = rows.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        must_exist(conn, mailbox)?;
    }
    Ok(found)
}

/// By how much a mailbox grows.
#[derive(Default)]
pub(super) struct Growth {
    pub(super) octets: u64,
    pub(super) messages: usize,
    /// Numbers of bodies to be given.
    pub(super) bodies: usize,
    /// Numbers of conversations to be given.
    pub(super) threads: usize,
    /// Rows in `link`.
    pub(super) links: usize,
}

/// Usage grows, within the quota; nothing is written when it is refused. Answers the first of the new bodies' numbers, and of
/// the new conversations'.
pub(super) fn grow(tx: &Tx<'_>, mailbox: MailboxId, by: &Growth) -> Result<(u64, u32)> {
    let numbers = params![
        mailbox.0 as i64,
        by.octets as i64,
        by.messages as i64,
        by.bodies as i64,
        by.threads as i64,
        by.links as i64,
        // What the log brings back was acknowledged within the quota of then.
        tx.replay
    ];
    let grown = tx
        .conn
        .prepare_cached(
            "UPDATE mailbox SET octets = octets + ?2, messages = messages + ?3, next_body = next_body + ?4,
                 next_thread = next_thread + ?5, links = links + ?6
             WHERE id = ?1 AND (?7 OR (ifnull(octets + ?2 <= quota_octets, 1) AND ifnull(messages + ?3 <= quota_messages, 1)))",
        )?
        .execute(numbers)?;
    if grown == 0 {
        must_exist(tx.conn, mailbox)?;
        return Err(StoreError::OverQuota);
    }
    // Not with RETURNING, as in `Place::take`.
    let (body, thread): (i64, i64) = tx
        .conn
        .prepare_cached("SELECT next_body - ?2, next_thread - ?3 FROM mailbox WHERE id = ?1")?
        .query_row(params![mailbox.0 as i64, by.bodies as i64, by.threads as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    // Four thousand million conversations in one mailbox: those beyond are of none.
    Ok((body as u64, u32::try_from(thread).unwrap_or(0)))
}

/// A moment as entries keep it (SAVEDATE).
pub(crate) fn saved(at: i64) -> u32 {
    at.clamp(0, i64::from(u32::MAX)) as u32
}

/// Usage shrinks.
pub(super) fn shrink(tx: &Tx<'_>, mailbox: MailboxId, messages: usize, octets: u64) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE mailbox SET octets = octets - ?2, messages = messages - ?3 WHERE id = ?1")?
        .execute(params![mailbox.0 as i64, octets as i64, messages as i64])?;
    Ok(())
}
