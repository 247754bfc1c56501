//! Which bodies are still needed, and which are to be given back.
//!
//! A body comes with one reference. Those beyond are counted apart, in `copies`: a table of small rows, so that copying or
//! expunging a hundred thousand messages does not write a hundred thousand rows that hold structures (measured: 25,000 pages).
//! A body without reference is removed in the same transaction when they are few; otherwise it is noted in `garbage`, in runs
//! of numbers, is nobody's from then on, and upkeep removes it. (`body.refs`, of format 1, is 1 or, if noted as garbage then, 0.)
//!
//! Invariants: no row of `copies` has 0; runs of garbage do not overlap; a row of garbage with body 0 stands for all that is
//! left of a mailbox.

use rusqlite::{Connection, OptionalExtension, params};

use super::upkeep::give_back;
use super::writer::Tx;
use crate::{MailboxId, Result};

/// Bodies removed in the transaction that forgets them; beyond, upkeep does it so that nobody waits.
const AT_ONCE: usize = 100;

/// Up to so many, counts are looked up one by one; beyond, all between the lowest and the highest number are read.
const ONE_BY_ONE: usize = 1000;

/// The condition that body `?2` of mailbox `?1` is not garbage.
macro_rules! not_garbage {
    () => {
        "ifnull((SELECT last FROM garbage WHERE mailbox = ?1 AND body <= ?2 ORDER BY body DESC LIMIT 1), 0) < ?2"
    };
}
pub(super) use not_garbage;

/// One more reference for each body (in any order, perhaps several times).
pub(super) fn add(tx: &Tx<'_>, mailbox: MailboxId, bodies: impl Iterator<Item = u64>) -> Result<()> {
    add_some(tx, mailbox, bodies, 1)
}

/// More references for each body.
pub(super) fn add_some(tx: &Tx<'_>, mailbox: MailboxId, bodies: impl Iterator<Item = u64>, more: usize) -> Result<()> {
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO copies (mailbox, body, more) VALUES (?1, ?2, ?3)
         ON CONFLICT (mailbox, body) DO UPDATE SET more = more + excluded.more",
    )?;
    for body in bodies {
        insert.execute(params![mailbox.0 as i64, body as i64, more as i64])?;
    }
    Ok(())
}

/// One reference less for each body (in any order, perhaps several times).
pub(super) fn release(tx: &mut Tx<'_>, mailbox: MailboxId, bodies: impl Iterator<Item = u64>) -> Result<()> {
    let mut bodies: Vec<i64> = bodies.map(|body| body as i64).collect();
    bodies.sort_unstable();
    let total = bodies.len();
    let free = unreferenced(tx, mailbox, bodies)?;
    if total <= AT_ONCE {
        for body in free {
            give_back(tx, mailbox.0 as i64, body)?;
        }
        return Ok(());
    }
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for body in free {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == body => *last = body,
            _ => runs.push((body, body)),
        }
    }
    let mut insert = tx.conn.prepare_cached("INSERT INTO garbage (mailbox, body, last) VALUES (?1, ?2, ?3)")?;
    for (first, last) in runs {
        insert.execute(params![mailbox.0 as i64, first, last])?;
    }
    tx.effects.garbage = true;
    Ok(())
}

/// Takes the references away; answers the bodies that have none left, ascending. `bodies` ascending.
fn unreferenced(tx: &Tx<'_>, mailbox: MailboxId, bodies: Vec<i64>) -> Result<Vec<i64>> {
    let (Some(lowest), Some(highest)) = (bodies.first().copied(), bodies.last().copied()) else {
        return Ok(Vec::new());
    };
    let one = "SELECT body, more FROM copies WHERE mailbox = ?1 AND body = ?2";
    let mut known: Vec<(i64, i64)> = Vec::new();
    if bodies.len() <= ONE_BY_ONE {
        let mut select = tx.conn.prepare_cached(one)?;
        for body in &bodies {
            if known.last().is_none_or(|(last, _)| last != body) {
                let row = select.query_row(params![mailbox.0 as i64, body], |row| Ok((row.get(0)?, row.get(1)?)));
                known.extend(row.optional()?);
            }
        }
    } else {
        let mut select = tx.conn.prepare_cached(
            "SELECT body, more FROM copies WHERE mailbox = ?1 AND body BETWEEN ?2 AND ?3 ORDER BY body",
        )?;
        let rows =
            select.query_map(params![mailbox.0 as i64, lowest, highest], |row| Ok((row.get(0)?, row.get(1)?)))?;
        known = rows.collect::<rusqlite::Result<_>>()?;
    }
    if known.is_empty() {
        let mut free = bodies;
        free.dedup();
        return Ok(free);
    }
    let mut less = tx.conn.prepare_cached("UPDATE copies SET more = more - ?3 WHERE mailbox = ?1 AND body = ?2")?;
    let mut none = tx.conn.prepare_cached("DELETE FROM copies WHERE mailbox = ?1 AND body = ?2")?;
    let mut free = Vec::new();
    let mut known = known.into_iter().peekable();
    for group in bodies.chunk_by(|a, b| a == b) {
        let (body, count) = (group[0], group.len() as i64);
        while known.next_if(|(other, _)| *other < body).is_some() {}
        let more = known.next_if(|(other, _)| *other == body).map_or(0, |(_, more)| more);
        if more > count {
            less.execute(params![mailbox.0 as i64, body, count])?;
            continue;
        }
        if more > 0 {
            none.execute(params![mailbox.0 as i64, body])?;
        }
        if count > more {
            free.push(body);
        }
    }
    Ok(free)
}

/// Removes bodies nobody needs, about `limit` of them; answers whether there may be more.
pub(super) fn collect(tx: &mut Tx<'_>, limit: i64) -> Result<bool> {
    let mut left = limit;
    while left > 0 {
        let row: Option<(i64, i64, i64)> = tx
            .conn
            .prepare_cached("SELECT mailbox, body, last FROM garbage LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((mailbox, first, last)) = row else { return Ok(false) };
        let whole = if first == 0 {
            let bodies = some_of(tx.conn, mailbox, left)?;
            left -= bodies.len() as i64;
            let done = bodies.is_empty();
            for body in bodies {
                give_back(tx, mailbox, body)?;
            }
            done
        } else {
            let upto = last.min(first + left - 1);
            left -= upto - first + 1;
            for body in first..=upto {
                give_back(tx, mailbox, body)?;
            }
            if upto < last {
                tx.conn
                    .prepare_cached("UPDATE garbage SET body = ?3 WHERE mailbox = ?1 AND body = ?2")?
                    .execute(params![mailbox, first, upto + 1])?;
            }
            upto == last
        };
        if whole {
            tx.conn
                .prepare_cached("DELETE FROM garbage WHERE mailbox = ?1 AND body = ?2")?
                .execute(params![mailbox, first])?;
        }
    }
    Ok(true)
}

fn some_of(conn: &Connection, mailbox: i64, limit: i64) -> Result<Vec<i64>> {
    let mut select = conn.prepare_cached("SELECT id FROM body WHERE mailbox = ?1 ORDER BY id LIMIT ?2")?;
    let rows = select.query_map([mailbox, limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
