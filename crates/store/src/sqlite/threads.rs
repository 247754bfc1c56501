//! Conversations (RFC 8474 THREADID): which one a new message is of.
//!
//! A message joins the conversation of the first of its links that its mailbox knows, else begins one; its links that were not
//! known lead to that conversation from then on. A message is never moved to another conversation (RFC 8474 §5.2: the
//! identifier does not change), so that two which turn out to be one stay two.
//!
//! Cost of a delivery: one look-up, and a row for each link not known, most often its own Message-ID only. How many rows a
//! mailbox has is counted in its row, so that upkeep finds those that have far more of them than messages without looking at
//! the others.

use rusqlite::{params, params_from_iter};

use super::writer::Tx;
use crate::limits::MAX_LINKS;
use crate::{LinkKey, MailboxId, Result};

/// What a new message needs to be of a conversation.
pub(super) struct Joined {
    /// The conversation it joins; `None`: it begins one.
    pub(super) thread: Option<u32>,
    /// Its links nobody knew.
    pub(super) unknown: Vec<i64>,
}

impl Joined {
    /// Which conversation a message with these links is of.
    pub(super) fn find(tx: &Tx<'_>, mailbox: MailboxId, links: &[LinkKey]) -> Result<Joined> {
        let mut keys: Vec<i64> = Vec::with_capacity(links.len().min(MAX_LINKS));
        for LinkKey(key) in links.iter().take(MAX_LINKS) {
            // The sign of SQL's integers says nothing here.
            let key = *key as i64;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Ok(Joined { thread: None, unknown: keys });
        }
        // One statement for each number of keys, MAX_LINKS at most, all of them kept prepared.
        let places = ", ?".repeat(keys.len() - 1);
        let mut select = tx
            .conn
            .prepare_cached(&format!("SELECT key, thread FROM link WHERE mailbox = ? AND key IN (?{places})"))?;
        let parameters = std::iter::once(mailbox.0 as i64).chain(keys.iter().copied());
        let known = select.query_map(params_from_iter(parameters), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let known: Vec<(i64, u32)> = known.collect::<rusqlite::Result<_>>()?;
        let of = |key: &i64| known.iter().find(|(other, _)| other == key).map(|(_, thread)| *thread);
        let thread = keys.iter().find_map(of);
        keys.retain(|key| of(key).is_none());
        Ok(Joined { thread, unknown: keys })
    }

    /// Notes what leads to the conversation from now on; the mailbox's row has counted them.
    pub(super) fn note(&self, tx: &Tx<'_>, mailbox: MailboxId, thread: u32) -> Result<()> {
        for key in &self.unknown {
            tx.conn.prepare_cached("INSERT INTO link (mailbox, key, thread) VALUES (?1, ?2, ?3)")?.execute(params![
                mailbox.0 as i64,
                key,
                thread
            ])?;
        }
        Ok(())
    }
}

/// Forgets what leads to conversations of which no message is left, in one mailbox that has far more links than messages.
pub(super) fn forget_dead(tx: &Tx<'_>, mailbox: MailboxId) -> Result<()> {
    let gone = tx
        .conn
        .prepare_cached(
            "DELETE FROM link WHERE mailbox = ?1 AND thread NOT IN (SELECT thread FROM message WHERE mailbox = ?1)",
        )?
        .execute([mailbox.0 as i64])?;
    tx.conn
        .prepare_cached("UPDATE mailbox SET links = links - ?2 WHERE id = ?1")?
        .execute(params![mailbox.0 as i64, gone as i64])?;
    Ok(())
}
