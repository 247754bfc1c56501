//! Which UIDs went at which MODSEQ (RFC 7162 VANISHED).
//!
//! A row is a run of UIDs that went together, so that emptying a folder of a hundred thousand messages is one row; written in
//! the transaction in which they go, whatever makes them go (EXPUNGE, MOVE, REPLACE, renaming INBOX). A folder's row counts
//! its runs, so that upkeep finds the folders that have too many without looking at the others; what it forgets is below the
//! folder's `expunged_floor`.

use mail::{ModSeq, Uid};
use rusqlite::{Connection, OptionalExtension, params};

use super::register::must_exist;
use super::writer::Tx;
use crate::views::Key;
use crate::{Result, StoreError, Vanished};

/// Runs remembered per folder: a client away for longer compares its whole list once. The index `folder_many_runs` says the
/// same number.
pub(super) const RUNS_KEPT: i64 = 10_000;

/// Runs of consecutive UIDs: the first and the last of each.
pub(super) fn runs(uids: impl Iterator<Item = Uid>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for Uid(uid) in uids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == uid => *last = uid,
            _ => runs.push((uid, uid)),
        }
    }
    runs
}

/// Remembers what goes now, under a MODSEQ of its own, which is answered, and counts it off. The folder is known to exist.
pub(super) fn note(tx: &Tx<'_>, key: Key, runs: &[(u32, u32)]) -> Result<ModSeq> {
    let messages: i64 = runs.iter().map(|(first, last)| i64::from(last - first) + 1).sum();
    let modseq: i64 = tx
        .conn
        .prepare_cached(
            "UPDATE folder SET modseq = modseq + 1, expunged_runs = expunged_runs + ?3, messages = messages - ?4
             WHERE mailbox = ?1 AND id = ?2 RETURNING modseq",
        )?
        .query_row(params![key.0.0 as i64, key.1.0, runs.len() as i64, messages], |row| row.get(0))?;
    let mut insert = tx
        .conn
        .prepare_cached("INSERT INTO expunged (mailbox, folder, modseq, uid, last) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (first, last) in runs {
        insert.execute(params![key.0.0 as i64, key.1.0, modseq, first, last])?;
    }
    Ok(ModSeq(modseq as u64))
}

/// What went since.
pub(super) fn vanished(conn: &Connection, key: Key, since: ModSeq) -> Result<Vanished> {
    // Both statements must see one moment.
    let tx = conn.unchecked_transaction()?;
    let floor: Option<i64> = tx
        .prepare_cached("SELECT expunged_floor FROM folder WHERE mailbox = ?1 AND id = ?2 AND selectable = 1")?
        .query_row(params![key.0.0 as i64, key.1.0], |row| row.get(0))
        .optional()?;
    let Some(floor) = floor else {
        must_exist(&tx, key.0)?;
        return Err(StoreError::NoSuchFolder);
    };
    // MODSEQs have 63 bits: nothing is above a larger number.
    let after = i64::try_from(since.0).unwrap_or(i64::MAX);
    let mut uids: Vec<Uid> = Vec::new();
    {
        let mut select =
            tx.prepare_cached("SELECT uid, last FROM expunged WHERE mailbox = ?1 AND folder = ?2 AND modseq > ?3")?;
        let mut rows = select.query(params![key.0.0 as i64, key.1.0, after])?;
        while let Some(row) = rows.next()? {
            let (first, last): (u32, u32) = (row.get(0)?, row.get(1)?);
            uids.extend((first..=last).map(Uid));
        }
    }
    tx.commit()?;
    // A UID goes once: there are none twice.
    uids.sort_unstable();
    Ok(Vanished { uids, complete: after >= floor })
}

/// Forgets the oldest runs of folders that have too many.
pub(super) fn forget_old(tx: &Tx<'_>) -> Result<()> {
    let crowded: Vec<(i64, i64)> = {
        // The number as the index says it, or the index is not used.
        let mut select = tx.conn.prepare_cached("SELECT mailbox, id FROM folder WHERE expunged_runs > 10000")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (mailbox, folder) in crowded {
        // Whole MODSEQs only: a client is told all of a change or none.
        let floor: Option<i64> = tx
            .conn
            .prepare_cached(
                "SELECT modseq FROM expunged WHERE mailbox = ?1 AND folder = ?2
                 ORDER BY modseq DESC, uid DESC LIMIT 1 OFFSET ?3",
            )?
            .query_row(params![mailbox, folder, RUNS_KEPT], |row| row.get(0))
            .optional()?;
        let Some(floor) = floor else { continue };
        let gone = tx
            .conn
            .prepare_cached("DELETE FROM expunged WHERE mailbox = ?1 AND folder = ?2 AND modseq <= ?3")?
            .execute(params![mailbox, folder, floor])?;
        tx.conn
            .prepare_cached(
                "UPDATE folder SET expunged_runs = expunged_runs - ?3, expunged_floor = max(expunged_floor, ?4)
                 WHERE mailbox = ?1 AND id = ?2",
            )?
            .execute(params![mailbox, folder, gone as i64, floor])?;
    }
    Ok(())
}
