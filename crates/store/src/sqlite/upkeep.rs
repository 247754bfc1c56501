//! What the writer does when nobody waits: garbage, dates of authentication, old traces.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{expunged, references, threads};
use crate::{DUPLICATE_MEMORY, MailboxId, Result};

/// How far behind the dates of authentication may be on disk (MSS-14, MSS-19: days matter, not seconds).
pub(super) const NOTE_DELAY: Duration = Duration::from_secs(50);

/// Bodies given back in one transaction: a few milliseconds, so that nobody waits for upkeep.
const SLICE: i64 = 200;

/// Dates of authentication not yet on disk.
#[derive(Default)]
pub(super) struct Notes(Mutex<HashMap<MailboxId, i64>>);

impl Notes {
    /// A map of numbers stays consistent whatever panics.
    fn lock(&self) -> MutexGuard<'_, HashMap<MailboxId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a date; the latest wins.
    pub(super) fn note(&self, mailbox: MailboxId, at: i64) {
        let mut notes = self.lock();
        let noted = notes.entry(mailbox).or_insert(at);
        *noted = at.max(*noted);
    }

    /// The date noted and not yet written.
    pub(super) fn get(&self, mailbox: MailboxId) -> Option<i64> {
        self.lock().get(&mailbox).copied()
    }

    pub(super) fn take(&self) -> HashMap<MailboxId, i64> {
        std::mem::take(&mut *self.lock())
    }

    pub(super) fn put_back(&self, notes: HashMap<MailboxId, i64>) {
        for (mailbox, at) in notes {
            self.note(mailbox, at);
        }
    }
}

/// Writes dates of authentication, inside a transaction.
pub(super) fn note_all(conn: &Connection, notes: &HashMap<MailboxId, i64>) -> Result<()> {
    let mut update = conn.prepare_cached(
        "UPDATE mailbox SET last_authentication = max(coalesce(last_authentication, ?2), ?2) WHERE id = ?1",
    )?;
    for (mailbox, at) in notes {
        update.execute(params![mailbox.0 as i64, at])?;
    }
    Ok(())
}

/// Writes dates of authentication, in one transaction of its own.
pub(super) fn write_notes(conn: &Connection, notes: &HashMap<MailboxId, i64>) -> Result<()> {
    let tx = conn.unchecked_transaction()?;
    note_all(&tx, notes)?;
    tx.commit()?;
    Ok(())
}

/// Gives back some bodies nobody names; answers whether there may be more.
pub(super) fn collect_some(tx: &mut Tx<'_>) -> Result<bool> {
    references::collect(tx, SLICE)
}

/// Removes a body nobody names.
pub(super) fn give_back(tx: &mut Tx<'_>, mailbox: i64, body: i64) -> Result<()> {
    let gone: Option<(Option<String>, Option<u32>, Option<i64>)> = tx
        .conn
        .prepare_cached("DELETE FROM body WHERE mailbox = ?1 AND id = ?2 RETURNING file, segment, stored")?
        .query_row(params![mailbox, body], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((file, segment, stored)) = gone else { return Ok(()) };
    if file.is_none() && segment.is_none() {
        tx.conn
            .prepare_cached("DELETE FROM content WHERE mailbox = ?1 AND body = ?2")?
            .execute(params![mailbox, body])?;
    }
    tx.effects.unnamed.extend(file);
    dead(tx, segment, stored)
}

/// A record is not needed any more: compaction counts on it.
pub(super) fn dead(tx: &Tx<'_>, segment: Option<u32>, stored: Option<i64>) -> Result<()> {
    if let (Some(segment), Some(stored)) = (segment, stored) {
        tx.conn
            .prepare_cached(
                "INSERT INTO segment (id, dead) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET dead = dead + excluded.dead",
            )?
            .execute(params![segment, stored])?;
    }
    Ok(())
}

/// Destroys the keys whose mailboxes are gone.
pub(super) fn destroy_keys(tx: &mut Tx<'_>) -> Result<()> {
    let dead: Vec<i64> = {
        let mut select = tx.conn.prepare_cached("SELECT mailbox FROM dead_key")?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for mailbox in dead {
        tx.keys.destroy(mailbox as u64)?;
        tx.conn.prepare_cached("DELETE FROM dead_key WHERE mailbox = ?1")?.execute([mailbox])?;
    }
    Ok(())
}

/// Duplicate keys looked at in one transaction, of which there are as many as deliveries of ten days: about two milliseconds. An
/// index on their time would spare the look and cost every delivery a row more (docs/adr/0006).
const KEYS: i64 = 5000;

/// Where a walk over the duplicate keys is: the last one looked at.
pub(super) type LastKey = (i64, Vec<u8>);

/// Forgets duplicate keys that are too old to matter, among those that follow `after`; answers the last one looked at, `None` when
/// there are no more.
pub(super) fn forget_duplicates(tx: &Tx<'_>, now: i64, after: &LastKey) -> Result<Option<LastKey>> {
    let before = now.saturating_sub(DUPLICATE_MEMORY);
    let last: Option<LastKey> = tx
        .conn
        .prepare_cached(
            "SELECT mailbox, key FROM duplicate WHERE (mailbox, key) > (?1, ?2) ORDER BY mailbox, key LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![after.0, after.1, KEYS - 1], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match &last {
        Some((mailbox, key)) => tx
            .conn
            .prepare_cached(
                "DELETE FROM duplicate WHERE (mailbox, key) > (?1, ?2) AND (mailbox, key) <= (?3, ?4) AND at < ?5",
            )?
            .execute(params![after.0, after.1, mailbox, key, before])?,
        None => tx
            .conn
            .prepare_cached("DELETE FROM duplicate WHERE (mailbox, key) > (?1, ?2) AND at < ?3")?
            .execute(params![after.0, after.1, before])?,
    };
    Ok(last)
}

/// Forgets expunged UIDs and links that are too old to matter.
pub(super) fn forget_old(tx: &mut Tx<'_>) -> Result<()> {
    expunged::forget_old(tx)?;
    let crowded: Vec<i64> = {
        let mut select = tx.conn.prepare_cached("SELECT id FROM mailbox WHERE links > 4 * messages + 1000")?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for mailbox in crowded {
        threads::forget_dead(tx, MailboxId(mailbox as u64))?;
    }
    tx.effects.garbage = true;
    tx.effects.compact = true;
    Ok(())
}
