//! Messages: coming, copied, moved, marked, gone.
//!
//! Invariants: usage, UIDs, MODSEQs, references to bodies and rows change in one transaction; a body without reference is
//! removed in the same transaction when they are few, and left to upkeep otherwise.

use mail::{Entry, Flags, FolderName, Keywords, ModSeq, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::expunged;
use super::register::{corrupt, must_exist};
use super::upkeep::give_back;
use super::writer::Tx;
use crate::views::{Change, Key};
use crate::{Copied, FlagChange, FlagOperation, FlagsSet, FolderId, MailboxId, Result, StoreError};

/// Bodies removed in the transaction that forgets them; beyond, upkeep does it so that nobody waits.
const AT_ONCE: usize = 100;

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
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        uid: Uid(row.get(0)?),
        size: row.get(1)?,
        flags: Flags::from_bits(row.get::<_, i64>(2)? as u64),
        modseq: ModSeq(row.get::<_, i64>(3)? as u64),
        internal_date: row.get(4)?,
        body: row.get::<_, i64>(5)? as u64,
        saved: row.get(6)?,
        thread: row.get(7)?,
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
    /// Takes `count` UIDs and a new MODSEQ. [`Place::uid_next`] is the first of those UIDs.
    pub(super) fn take(tx: &Tx<'_>, mailbox: MailboxId, name: &FolderName, count: usize) -> Result<Option<Place>> {
        let row = tx
            .conn
            .prepare_cached(
                "UPDATE folder SET uid_next = uid_next + ?3, modseq = modseq + 1
                 WHERE mailbox = ?1 AND name = ?2 AND selectable = 1
                 RETURNING id, uid_validity, uid_next - ?3, modseq",
            )?
            .query_row(params![mailbox.0 as i64, name.as_str(), count as i64], |row| {
                Ok(Place {
                    key: (mailbox, FolderId(row.get(0)?)),
                    uid_validity: UidValidity(row.get(1)?),
                    uid_next: row.get(2)?,
                    modseq: ModSeq(row.get::<_, i64>(3)? as u64),
                })
            })
            .optional()?;
        if row.as_ref().is_some_and(|place| place.uid_next + count as i64 > i64::from(u32::MAX)) {
            return Err(StoreError::FolderRefused("no UID is left in the folder"));
        }
        Ok(row)
    }
}

/// The next MODSEQ of a folder known to exist.
fn next_modseq(tx: &Tx<'_>, key: Key) -> Result<ModSeq> {
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

const INSERT: &str =
    "INSERT INTO message (mailbox, folder, uid, size, flags, modseq, internal_date, body, saved, thread)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

fn insert_row(insert: &mut Statement<'_>, key: Key, entry: &Entry) -> Result<()> {
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

fn one(tx: &Tx<'_>, key: Key, uid: Uid) -> Result<Option<Entry>> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT uid, size, flags, modseq, internal_date, body, saved, thread FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid = ?3",
        )?
        .query_row(params![key.0.0 as i64, key.1.0, uid.0], entry)
        .optional()?)
}

fn all(tx: &Tx<'_>, key: Key) -> Result<Vec<Entry>> {
    let mut select = tx.conn.prepare_cached(
        "SELECT uid, size, flags, modseq, internal_date, body, saved, thread FROM message WHERE mailbox = ?1 AND folder = ?2 ORDER BY uid",
    )?;
    let rows = select.query_map(params![key.0.0 as i64, key.1.0], entry)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
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
        conn.prepare_cached("SELECT id FROM body WHERE mailbox = ?1 AND id > ?2 AND refs > 0 ORDER BY id LIMIT ?3")?;
    let rows = select.query_map(params![mailbox.0 as i64, after, limit], |row| Ok(row.get::<_, i64>(0)? as u64))?;
    let found: Vec<u64> = rows.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        must_exist(conn, mailbox)?;
    }
    Ok(found)
}

/// Usage grows, within the quota; nothing is written when it is refused. Answers the first of the new bodies' numbers, and of the new conversations'.
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
    let numbers: Option<(i64, i64)> = tx
        .conn
        .prepare_cached(
            "UPDATE mailbox SET octets = octets + ?2, messages = messages + ?3, next_body = next_body + ?4,
                 next_thread = next_thread + ?5, links = links + ?6
             WHERE id = ?1 AND (?7 OR (ifnull(octets + ?2 <= quota_octets, 1) AND ifnull(messages + ?3 <= quota_messages, 1)))
             RETURNING next_body - ?4, next_thread - ?5",
        )?
        .query_row(numbers, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((body, thread)) = numbers else {
        must_exist(tx.conn, mailbox)?;
        return Err(StoreError::OverQuota);
    };
    // Four thousand million conversations in one mailbox: those beyond are of none.
    Ok((body as u64, u32::try_from(thread).unwrap_or(0)))
}

/// A moment as entries keep it (SAVEDATE).
pub(crate) fn saved(at: i64) -> u32 {
    at.clamp(0, i64::from(u32::MAX)) as u32
}

fn shrink(tx: &Tx<'_>, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
    let octets: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
    tx.conn
        .prepare_cached("UPDATE mailbox SET octets = octets - ?2, messages = messages - ?3 WHERE id = ?1")?
        .execute(params![mailbox.0 as i64, octets as i64, entries.len() as i64])?;
    Ok(())
}

/// Bodies lose a reference each.
fn unreference(tx: &mut Tx<'_>, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
    let mailbox = mailbox.0 as i64;
    for entry in entries {
        let left: i64 = tx
            .conn
            .prepare_cached("UPDATE body SET refs = refs - 1 WHERE mailbox = ?1 AND id = ?2 RETURNING refs")?
            .query_row(params![mailbox, entry.body as i64], |row| row.get(0))?;
        if left > 0 {
            continue;
        }
        if entries.len() <= AT_ONCE {
            give_back(tx, mailbox, entry.body as i64)?;
        } else {
            tx.conn
                .prepare_cached("INSERT INTO garbage VALUES (?1, ?2)")?
                .execute(params![mailbox, entry.body as i64])?;
            tx.effects.garbage = true;
        }
    }
    Ok(())
}

/// Rows go, and are remembered.
fn delete_rows(tx: &mut Tx<'_>, key: Key, entries: &[Entry]) -> Result<()> {
    let runs = expunged::runs(entries.iter().map(|entry| entry.uid));
    let modseq = expunged::note(tx, key, &runs)?;
    {
        let mut delete = tx
            .conn
            .prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid BETWEEN ?3 AND ?4")?;
        for (first, last) in &runs {
            delete.execute(params![key.0.0 as i64, key.1.0, first, last])?;
        }
    }
    tx.effects.changes.push(Change::Remove(key, entries.iter().map(|entry| entry.uid).collect(), modseq));
    Ok(())
}

/// Every message of a folder that goes itself.
pub(super) fn remove_all(tx: &mut Tx<'_>, key: Key) -> Result<()> {
    let entries = all(tx, key)?;
    tx.conn
        .prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2")?
        .execute(params![key.0.0 as i64, key.1.0])?;
    shrink(tx, key.0, &entries)?;
    unreference(tx, key.0, &entries)
}

pub(super) fn set_flags(tx: &mut Tx<'_>, key: Key, change: &FlagChange) -> Result<FlagsSet> {
    let mut keywords = keywords_of(tx, key)?;
    let mut answer = FlagsSet::default();
    if change.uids.is_empty() {
        return Ok(answer);
    }
    let mut operand = system_only(change.flags);
    let known = keywords.names().len();
    for name in &change.keywords {
        match change.how {
            // What nobody has cannot be taken away: not worth a bit.
            FlagOperation::Remove => operand = operand.with(keywords.find(name).unwrap_or_default()),
            _ => operand = operand.with(keywords.intern(name).ok_or(StoreError::TooManyKeywords)?),
        }
    }
    let mut changed: Vec<(Uid, Flags)> = Vec::new();
    for uid in &change.uids {
        let Some(entry) = one(tx, key, *uid)? else { continue };
        if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
            answer.modified.push(*uid);
            continue;
        }
        let flags = match change.how {
            FlagOperation::Replace => operand,
            FlagOperation::ReplaceWithin(these) => {
                entry.flags.without(these).with(operand.without(operand.without(these)))
            }
            FlagOperation::Add => entry.flags.with(operand),
            FlagOperation::Remove => entry.flags.without(operand),
        };
        if flags != entry.flags {
            changed.push((*uid, flags));
        }
        answer.now.push((*uid, flags, entry.modseq));
    }
    let grown = keywords.names().len() > known;
    if changed.is_empty() && !grown {
        return Ok(answer);
    }
    let modseq = next_modseq(tx, key)?;
    if grown {
        intern(tx, key, &keywords.names()[known..], modseq)?;
    }
    let mut next = answer.now.iter_mut();
    for (uid, flags) in &changed {
        tx.conn
            .prepare_cached(
                "UPDATE message SET flags = ?4, modseq = ?5 WHERE mailbox = ?1 AND folder = ?2 AND uid = ?3",
            )?
            .execute(params![key.0.0 as i64, key.1.0, uid.0, flags.bits() as i64, modseq.0 as i64])?;
        // Both lists are in the order of the UIDs asked for.
        if let Some(now) = next.find(|(now, ..)| now == uid) {
            now.2 = modseq;
        }
    }
    if !changed.is_empty() {
        tx.effects.changes.push(Change::Flags(key, changed, modseq));
    }
    Ok(answer)
}

pub(super) fn expunge(tx: &mut Tx<'_>, key: Key, uids: Option<&[Uid]>) -> Result<Vec<Uid>> {
    keywords_of(tx, key)?;
    let deleted: Vec<Entry> = {
        let mut select = tx.conn.prepare_cached(
            "SELECT uid, size, flags, modseq, internal_date, body, saved, thread FROM message INDEXED BY message_deleted
             WHERE mailbox = ?1 AND folder = ?2 AND (flags & 8) != 0 ORDER BY uid",
        )?;
        let rows = select.query_map(params![key.0.0 as i64, key.1.0], entry)?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let going: Vec<Entry> = match uids {
        None => deleted,
        Some(uids) => deleted.into_iter().filter(|entry| uids.binary_search(&entry.uid).is_ok()).collect(),
    };
    if going.is_empty() {
        return Ok(Vec::new());
    }
    delete_rows(tx, key, &going)?;
    shrink(tx, key.0, &going)?;
    unreference(tx, key.0, &going)?;
    Ok(going.into_iter().map(|entry| entry.uid).collect())
}

/// One message goes, whatever its flags; whether it was there.
pub(super) fn remove(tx: &mut Tx<'_>, key: Key, uid: Uid) -> Result<bool> {
    keywords_of(tx, key)?;
    let Some(going) = one(tx, key, uid)? else { return Ok(false) };
    delete_rows(tx, key, &[going])?;
    shrink(tx, key.0, &[going])?;
    unreference(tx, key.0, &[going])?;
    Ok(true)
}

/// What a copy and a move have in common: rows in the folder `to`, with its own bits for the keywords.
fn duplicate_rows(tx: &mut Tx<'_>, from: Key, to: &FolderName, entries: &[Entry], at: i64) -> Result<Copied> {
    let place = Place::take(tx, from.0, to, entries.len())?.ok_or(StoreError::NoSuchFolder)?;
    let source = keywords_of(tx, from)?;
    let used = entries.iter().fold(Flags::NONE, |flags, entry| flags.with(entry.flags));
    let mut bits: Vec<(Flags, Flags)> = Vec::new();
    for (index, name) in source.names().iter().enumerate() {
        let Some(here) = Flags::keyword(index).filter(|flag| used.contains(*flag)) else { continue };
        bits.push((here, intern(tx, place.key, &[name], place.modseq)?));
    }
    let mut copied = Copied { uid_validity: place.uid_validity, uids: Vec::with_capacity(entries.len()) };
    let mut new: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut insert = tx.conn.prepare_cached(INSERT)?;
    // Place::take saw to it that the UIDs fit.
    for (uid, entry) in (place.uid_next as u32..).zip(entries) {
        let keywords =
            bits.iter().filter(|(here, _)| entry.flags.contains(*here)).fold(Flags::NONE, |f, (_, b)| f.with(*b));
        let flags = system_only(entry.flags).with(keywords);
        let entry_there = Entry { uid: Uid(uid), flags, modseq: place.modseq, saved: saved(at), ..*entry };
        insert_row(&mut insert, place.key, &entry_there)?;
        new.push(entry_there);
        copied.uids.push((entry.uid, Uid(uid)));
    }
    drop(insert);
    tx.effects.changes.push(Change::Extend(place.key, new));
    Ok(copied)
}

/// The messages of those UIDs that exist, once the folders are known to.
fn chosen(tx: &Tx<'_>, from: Key, uids: &[Uid], to: &FolderName) -> Result<(Vec<Entry>, UidValidity)> {
    keywords_of(tx, from)?;
    let validity: u32 = tx
        .conn
        .prepare_cached("SELECT uid_validity FROM folder WHERE mailbox = ?1 AND name = ?2 AND selectable = 1")?
        .query_row(params![from.0.0 as i64, to.as_str()], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::NoSuchFolder)?;
    let mut entries = Vec::with_capacity(uids.len());
    for uid in uids {
        entries.extend(one(tx, from, *uid)?);
    }
    Ok((entries, UidValidity(validity)))
}

pub(super) fn copy(tx: &mut Tx<'_>, from: Key, uids: &[Uid], to: &FolderName, at: i64) -> Result<Copied> {
    let (entries, uid_validity) = chosen(tx, from, uids, to)?;
    if entries.is_empty() {
        return Ok(Copied { uid_validity, uids: Vec::new() });
    }
    let octets = entries.iter().map(|entry| u64::from(entry.size)).sum();
    grow(tx, from.0, &Growth { octets, messages: entries.len(), ..Growth::default() })?;
    for entry in &entries {
        tx.conn
            .prepare_cached("UPDATE body SET refs = refs + 1 WHERE mailbox = ?1 AND id = ?2")?
            .execute(params![from.0.0 as i64, entry.body as i64])?;
    }
    duplicate_rows(tx, from, to, &entries, at)
}

pub(super) fn move_some(tx: &mut Tx<'_>, from: Key, uids: &[Uid], to: &FolderName, at: i64) -> Result<Copied> {
    let (entries, uid_validity) = chosen(tx, from, uids, to)?;
    if entries.is_empty() {
        return Ok(Copied { uid_validity, uids: Vec::new() });
    }
    move_entries(tx, from, &entries, to, at)
}

fn move_entries(tx: &mut Tx<'_>, from: Key, entries: &[Entry], to: &FolderName, at: i64) -> Result<Copied> {
    let copied = duplicate_rows(tx, from, to, entries, at)?;
    delete_rows(tx, from, entries)?;
    Ok(copied)
}

/// INBOX gives all its messages to a folder just made.
pub(super) fn move_all(tx: &mut Tx<'_>, from: Key, to: &FolderName, at: i64) -> Result<()> {
    let entries = all(tx, from)?;
    if !entries.is_empty() {
        move_entries(tx, from, &entries, to, at)?;
    }
    Ok(())
}
