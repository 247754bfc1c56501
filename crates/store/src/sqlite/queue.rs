//! The outgoing queue (OPE-QUEUE): entries with their message, and their recipients not settled yet.
//!
//! Invariants: an entry exists as long as one of its recipients is open; what is remembered of a message sent to a recipient
//! ([`sent_key`]) is forgotten in the commit that gives that recipient up, so that it can be sent again (ADR 3).

use mssante::Address;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::register::corrupt;
use super::segment::Spot;
use super::upkeep;
use super::writer::Tx;
use crate::model::sent_key;
use crate::{
    MailParameters, MailboxId, NewQueueEntry, Notify, Outcome, QueueEntry, QueueId, QueueRecipient, Result, Settlement,
    StoreError,
};

pub(super) fn notify_bits(notify: Notify) -> i64 {
    i64::from(notify.success)
        | i64::from(notify.failure) << 1
        | i64::from(notify.delay) << 2
        | i64::from(notify.explicit) << 3
}

pub(super) fn notify_from(bits: i64) -> Notify {
    Notify { success: bits & 1 != 0, failure: bits & 2 != 0, delay: bits & 4 != 0, explicit: bits & 8 != 0 }
}

/// Adds an entry; `key` is what recognises its message.
pub(super) fn enqueue(
    tx: &Tx<'_>,
    entry: &NewQueueEntry,
    key: Option<[u8; 16]>,
    size: u64,
    file: Option<&str>,
) -> Result<QueueId> {
    if entry.recipients.is_empty() {
        return Err(StoreError::Io("a queue entry without recipient".into()));
    }
    let id: i64 = tx
        .conn
        .prepare_cached(
            "INSERT INTO queue_entry (sender, return_path, return_full, envelope_id, eight_bit, utf8, accepted_at,
             expires_at, size, file, once) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .insert(params![
            entry.sender.map(|id| id.0 as i64),
            entry.return_path.as_ref().map(ToString::to_string),
            entry.parameters.return_full,
            entry.parameters.envelope_id,
            entry.parameters.eight_bit,
            entry.parameters.utf8,
            entry.accepted_at,
            entry.expires_at,
            size as i64,
            file,
            // Without a sender nothing was remembered.
            key.as_ref().filter(|_| entry.sender.is_some()).map(|key| &key[..])
        ])?;
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO queue_recipient (entry, place, address, notify, original, next_attempt) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (place, recipient) in entry.recipients.iter().enumerate() {
        insert.execute(params![
            id,
            place as i64,
            recipient.address.to_string(),
            notify_bits(recipient.notify),
            recipient.original,
            entry.accepted_at
        ])?;
    }
    Ok(QueueId(id as u64))
}

/// Notes where the message of an entry is.
pub(super) fn place(tx: &Tx<'_>, id: QueueId, spot: Spot) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE queue_entry SET segment = ?2, place = ?3, stored = ?4 WHERE id = ?1")?
        .execute(params![id.0 as i64, spot.segment, spot.offset as i64, spot.stored as i64])?;
    Ok(())
}

/// # Errors
/// [`StoreError::Io`] when a recipient is not open any more: what goes with the settlement (a DSN) was done already.
pub(super) fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<()> {
    let id = settlement.entry.0 as i64;
    for (place, outcome) in &settlement.recipients {
        if matches!(outcome, Outcome::Failed) {
            forget(tx, id, *place)?;
        }
        let changed = match outcome {
            Outcome::Relayed | Outcome::Failed => tx
                .conn
                .prepare_cached("DELETE FROM queue_recipient WHERE entry = ?1 AND place = ?2")?
                .execute(params![id, place])?,
            Outcome::Retry { at, error, delay_told } => tx
                .conn
                .prepare_cached(
                    "UPDATE queue_recipient SET attempts = attempts + 1, next_attempt = ?3, last_error = ?4, delay_told = ?5
                     WHERE entry = ?1 AND place = ?2",
                )?
                .execute(params![id, place, at, error, delay_told])?,
        };
        if changed == 0 {
            return Err(StoreError::Io("the queue has no such open recipient".into()));
        }
    }
    if !tx.conn.prepare_cached("SELECT 1 FROM queue_recipient WHERE entry = ?1 LIMIT 1")?.exists([id])? {
        let gone: Option<(Option<String>, Option<u32>, Option<i64>)> = tx
            .conn
            .prepare_cached("DELETE FROM queue_entry WHERE id = ?1 RETURNING file, segment, stored")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((file, segment, stored)) = gone {
            tx.effects.unnamed.extend(file);
            upkeep::dead(tx, segment, stored)?;
        }
    }
    Ok(())
}

/// Forgets that the message of an entry was sent to one of its recipients, who is open still. What was remembered at another time is of
/// another entry: of one accepted when this one had been forgotten.
fn forget(tx: &Tx<'_>, entry: i64, place: u32) -> Result<()> {
    let found: Option<(i64, Vec<u8>, i64, String)> = tx
        .conn
        .prepare_cached(
            "SELECT e.sender, e.once, e.accepted_at, r.address FROM queue_entry e JOIN queue_recipient r ON r.entry = e.id
             WHERE e.id = ?1 AND r.place = ?2 AND e.sender IS NOT NULL AND e.once IS NOT NULL",
        )?
        .query_row(params![entry, place], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((sender, once, at, to)) = found else { return Ok(()) };
    if once.is_empty() {
        // Queued by a format that kept no key: what its sender did in that second.
        tx.conn.prepare_cached("DELETE FROM duplicate WHERE mailbox = ?1 AND at = ?2")?.execute(params![sender, at])?;
        return Ok(());
    }
    let once = once.try_into().map_err(|_| corrupt("duplicate key in the queue"))?;
    tx.conn.prepare_cached("DELETE FROM duplicate WHERE mailbox = ?1 AND key = ?2 AND at = ?3")?.execute(params![
        sender,
        &sent_key(once, &address(&to)?)[..],
        at
    ])?;
    Ok(())
}

const COLUMNS: &str =
    "id, sender, return_path, return_full, envelope_id, eight_bit, utf8, accepted_at, expires_at, size";

fn entry(row: &Row<'_>) -> rusqlite::Result<(QueueEntry, Option<String>)> {
    let entry = QueueEntry {
        id: QueueId(row.get::<_, i64>(0)? as u64),
        sender: row.get::<_, Option<i64>>(1)?.map(|id| MailboxId(id as u64)),
        return_path: None,
        parameters: MailParameters {
            return_full: row.get(3)?,
            envelope_id: row.get(4)?,
            eight_bit: row.get(5)?,
            utf8: row.get(6)?,
        },
        accepted_at: row.get(7)?,
        expires_at: row.get(8)?,
        size: row.get::<_, i64>(9)? as u64,
        recipients: Vec::new(),
    };
    Ok((entry, row.get(2)?))
}

fn address(text: &str) -> Result<Address> {
    text.parse().map_err(|_| corrupt("address in the queue"))
}

/// The entry with its return path and recipients.
fn complete(conn: &Connection, (mut entry, return_path): (QueueEntry, Option<String>)) -> Result<QueueEntry> {
    entry.return_path = return_path.as_deref().map(address).transpose()?;
    let mut select = conn.prepare_cached(
        "SELECT place, address, notify, original, attempts, next_attempt, last_error, delay_told FROM queue_recipient
         WHERE entry = ?1 ORDER BY place",
    )?;
    let mut rows = select.query([entry.id.0 as i64])?;
    while let Some(row) = rows.next()? {
        entry.recipients.push(QueueRecipient {
            index: row.get(0)?,
            address: address(&row.get::<_, String>(1)?)?,
            notify: notify_from(row.get(2)?),
            original: row.get(3)?,
            attempts: row.get(4)?,
            next_attempt: row.get(5)?,
            last_error: row.get(6)?,
            delay_told: row.get(7)?,
        });
    }
    Ok(entry)
}

pub(super) fn all(conn: &Connection) -> Result<Vec<QueueEntry>> {
    let read = conn.unchecked_transaction()?;
    let entries = {
        let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM queue_entry ORDER BY id"))?;
        let rows = select.query_map([], entry)?;
        rows.map(|row| complete(conn, row?)).collect::<Result<_>>()?
    };
    read.commit()?;
    Ok(entries)
}

pub(super) fn one(conn: &Connection, id: QueueId) -> Result<Option<QueueEntry>> {
    let read = conn.unchecked_transaction()?;
    let found = within(conn, id)?;
    read.commit()?;
    Ok(found)
}

/// The same inside a transaction of the caller's.
pub(super) fn within(conn: &Connection, id: QueueId) -> Result<Option<QueueEntry>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM queue_entry WHERE id = ?1"))?
        .query_row([id.0 as i64], entry)
        .optional()?
        .map(|found| complete(conn, found))
        .transpose()
}
