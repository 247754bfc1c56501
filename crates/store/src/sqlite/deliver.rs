//! [`Store::commit`](crate::Store::commit): delivery, APPEND, acceptance into the queue, the end of a queue entry.
//!
//! The path every message takes: as few statements as can be (one each for usage, folder, row, body and octets).

use bytes::Bytes;
use mail::{Entry, ModSeq, Uid};
use rusqlite::{OptionalExtension, params};

use super::files::Placed;
use super::messages::{Growth, Place, grow, insert, intern, saved, system_only};
use super::queue;
use super::register::must_exist;
use super::threads::Joined;
use super::writer::Tx;
use crate::{
    Committed, DUPLICATE_MEMORY, Delivered, LinkKey, MailboxId, NewQueueEntry, Result, Settlement, StoreError, Target,
};

/// A message whose octets are where they can be committed from.
pub(super) struct Message {
    pub(super) size: u64,
    pub(super) structure: Vec<u8>,
    pub(super) links: Vec<LinkKey>,
    pub(super) octets: Octets,
}

/// Where the octets are.
pub(super) enum Octets {
    /// To be written with the commit.
    Inline(Bytes),
    /// In files already, under one name for each place that keeps one.
    Files(Placed),
}

/// A [`Commit`](crate::Commit) ready for the writer.
pub(super) struct Prepared {
    pub(super) message: Option<Message>,
    pub(super) deliver: Vec<Target>,
    pub(super) enqueue: Option<NewQueueEntry>,
    pub(super) settle: Option<Settlement>,
    pub(super) duplicate_key: Option<[u8; 16]>,
    pub(super) saved_at: i64,
}

/// How many places keep the octets: each mailbox, and the queue.
pub(super) fn keepers(deliver: &[Target], enqueue: bool) -> usize {
    let mut mailboxes: Vec<MailboxId> = deliver.iter().map(|target| target.mailbox).collect();
    mailboxes.sort_unstable();
    mailboxes.dedup();
    mailboxes.len() + usize::from(enqueue)
}

/// How one place keeps the octets.
#[derive(Clone, Copy)]
pub(super) enum Kept<'m> {
    Inline(&'m [u8]),
    File(&'m str),
}

pub(super) fn commit(tx: &mut Tx<'_>, prepared: Prepared) -> Result<Committed> {
    let Prepared { message, deliver, enqueue, settle, duplicate_key, saved_at } = prepared;
    let mut committed = Committed { delivered: Vec::with_capacity(deliver.len()), queued: None };
    if let Some(settlement) = &settle {
        queue::settle(tx, settlement)?;
    }
    let Some(message) = message else {
        return if deliver.is_empty() && enqueue.is_none() {
            Ok(committed)
        } else {
            Err(StoreError::Io("a commit delivers a message it does not hold".into()))
        };
    };
    let Message { size, structure, links, octets } = message;
    let (inline, placed) = match octets {
        Octets::Inline(octets) => (octets, None),
        Octets::Files(placed) => (Bytes::new(), Some(placed)),
    };
    let mut names = placed.as_ref().map(|placed| placed.names().to_vec()).unwrap_or_default().into_iter();
    let mut known: Vec<(MailboxId, Option<(u64, u32)>)> = Vec::with_capacity(1);
    for target in &deliver {
        let mailbox = target.mailbox;
        let body = match known.iter().find(|(id, _)| *id == mailbox) {
            Some((_, body)) => *body,
            None => {
                let body = if is_duplicate(tx, mailbox, duplicate_key, target.internal_date)? {
                    None
                } else {
                    let targets = deliver.iter().filter(|target| target.mailbox == mailbox).count();
                    let joined = Joined::find(tx, mailbox, &links)?;
                    let growth = Growth {
                        octets: size * targets as u64,
                        messages: targets,
                        bodies: 1,
                        threads: usize::from(joined.thread.is_none()),
                        links: joined.unknown.len(),
                    };
                    let (body, thread) = grow(tx, mailbox, &growth)
                        .or_else(|refused| Err(unknown_folder(tx, &deliver)?.unwrap_or(refused)))?;
                    let thread = joined.thread.unwrap_or(thread);
                    joined.note(tx, mailbox, thread)?;
                    let name = names.next();
                    let kept = name.as_deref().map_or(Kept::Inline(&inline), Kept::File);
                    insert_body(tx, mailbox, body, size, targets, &structure, kept)?;
                    Some((body, thread))
                };
                known.push((mailbox, body));
                body
            }
        };
        committed.delivered.push(match body {
            None => Delivered::Duplicate,
            Some((body, thread)) => {
                put(tx, target, Entry { size: size as u32, body, thread, saved: saved(saved_at), ..BLANK })?
            }
        });
    }
    if let Some(entry) = &enqueue {
        let name = names.next();
        let kept = name.as_deref().map_or(Kept::Inline(&inline), Kept::File);
        committed.queued = Some(queue::enqueue(tx, entry, size, kept)?);
    }
    // Names nobody took (a mailbox that had the message already).
    tx.effects.unnamed.extend(names);
    tx.effects.placed.extend(placed);
    Ok(committed)
}

/// A folder that does not exist is told before a quota that is reached: making it is in the client's hands.
fn unknown_folder(tx: &Tx<'_>, deliver: &[Target]) -> Result<Option<StoreError>> {
    for target in deliver {
        let known = tx
            .conn
            .prepare_cached("SELECT 1 FROM folder WHERE mailbox = ?1 AND name = ?2 AND selectable = 1")?
            .exists(params![target.mailbox.0 as i64, target.folder.as_str()])?;
        if !known {
            must_exist(tx.conn, target.mailbox)?;
            return Ok(Some(StoreError::NoSuchFolder));
        }
    }
    Ok(None)
}

/// Whether the mailbox had the message; remembers that it has it now.
fn is_duplicate(tx: &Tx<'_>, mailbox: MailboxId, key: Option<[u8; 16]>, now: i64) -> Result<bool> {
    let Some(key) = key else { return Ok(false) };
    let at: Option<i64> = tx
        .conn
        .prepare_cached("SELECT at FROM duplicate WHERE mailbox = ?1 AND key = ?2")?
        .query_row(params![mailbox.0 as i64, &key[..]], |row| row.get(0))
        .optional()?;
    if at.is_some_and(|at| at >= now.saturating_sub(DUPLICATE_MEMORY)) {
        must_exist(tx.conn, mailbox)?;
        return Ok(true);
    }
    tx.conn.prepare_cached("INSERT OR REPLACE INTO duplicate VALUES (?1, ?2, ?3)")?.execute(params![
        mailbox.0 as i64,
        &key[..],
        now
    ])?;
    Ok(false)
}

fn insert_body(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    body: u64,
    size: u64,
    references: usize,
    structure: &[u8],
    kept: Kept<'_>,
) -> Result<()> {
    let (mailbox, body) = (mailbox.0 as i64, body as i64);
    let file = match kept {
        Kept::Inline(octets) => {
            tx.conn
                .prepare_cached("INSERT INTO content (mailbox, body, octets) VALUES (?1, ?2, ?3)")?
                .execute(params![mailbox, body, octets])?;
            None
        }
        Kept::File(name) => Some(name),
    };
    tx.conn
        .prepare_cached("INSERT INTO body (mailbox, id, size, refs, file, structure) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![mailbox, body, size as i64, references as i64, file, structure])?;
    Ok(())
}

/// An entry about which nothing is known yet.
const BLANK: Entry = Entry {
    uid: Uid(0),
    size: 0,
    flags: mail::Flags::NONE,
    modseq: ModSeq(0),
    internal_date: 0,
    body: 0,
    saved: 0,
    thread: 0,
};

/// One message into one folder; `entry` is what it has in all of them. Its size was checked against MAX_MESSAGE before the
/// commit was sent.
fn put(tx: &mut Tx<'_>, target: &Target, entry: Entry) -> Result<Delivered> {
    let place = Place::take(tx, target.mailbox, &target.folder, 1)?.ok_or(StoreError::NoSuchFolder)?;
    let keywords = intern(tx, place.key, &target.keywords, place.modseq)?;
    let uid = Uid(place.uid_next as u32);
    let flags = system_only(target.flags).with(keywords);
    insert(tx, place.key, Entry { uid, flags, modseq: place.modseq, internal_date: target.internal_date, ..entry })?;
    Ok(Delivered::Message { uid_validity: place.uid_validity, uid })
}
