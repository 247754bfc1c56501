//! After a crash: what the log holds and the database does not.
//!
//! Commits that only make messages sync the log and not the database (ADR 5). As the database's own log is a sequence, what a
//! power cut takes of it is always a suffix, and only of such commits, since every other commit syncs all before it. Here that
//! suffix is applied again, request by request, by the code that applied it first; it must come to the same UIDs and MODSEQs.
//!
//! A request is in the database if its mailbox's next body (or the last queue entry) is beyond it: numbers are given in order
//! and in the same transaction.

use rusqlite::{Connection, OptionalExtension, params};

use super::deliver::{self, Kept, Message, Origin, Prepared};
use super::facts::{self, Facts};
use super::record::{Owner, Whole};
use super::segment::{FIRST, Position, Segments, Spot, Walk};
use super::writer::{Effects, Tx};
use crate::keys::Keys;
use crate::{Result, StoreError, Target};

/// How the log ends.
pub(super) struct End {
    /// Where to go on; `None`: there is no segment.
    pub(super) position: Option<Position>,
    /// The last batch's number; 0 when there was none.
    pub(super) batch: u64,
    /// Requests applied.
    pub(super) replayed: usize,
}

/// Brings the database up to the log. Inside a transaction of the caller's.
///
/// # Errors
/// [`StoreError::Unusable`] when the log is damaged before its end.
pub(super) fn replay(conn: &Connection, keys: &Keys, segments: &Segments) -> Result<End> {
    let (segment, offset): (u32, i64) =
        conn.query_row("SELECT segment, place FROM log", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let numbers = segments.numbers()?;
    let Some(last) = numbers.last().copied() else {
        let named = "SELECT 1 FROM body WHERE segment IS NOT NULL UNION ALL SELECT 1 FROM queue_entry WHERE segment IS NOT NULL";
        if conn.prepare(named)?.exists([])? {
            return Err(StoreError::Unusable("the segments of its mail are not there".into()));
        }
        return Ok(End { position: None, batch: 0, replayed: 0 });
    };
    if segment != 0 && !numbers.contains(&segment) {
        return Err(StoreError::Unusable(format!("segment {segment} is not there: run fsck")));
    }
    let mut end = End { position: None, batch: 0, replayed: 0 };
    let mut group: Vec<(Whole, Spot)> = Vec::new();
    let mut complete = true;
    // A batch that the database does not have and was synced with, if at all: only the last can be so.
    let mut uncommitted: Option<u64> = None;
    let mut before: Option<u32> = None;
    for number in numbers.iter().copied().filter(|number| *number >= segment) {
        // Compaction removes only what lies before the noted place.
        if before.replace(number).is_some_and(|before| before + 1 != number) {
            return Err(StoreError::Unusable(format!("a segment before {number} is not there: run fsck")));
        }
        let from = if number == segment { offset as u64 } else { FIRST };
        let Some(mut walk) = Walk::start(segments, number, from)? else { continue };
        if from > FIRST && from > walk.length() {
            return Err(StoreError::Unusable(format!("segment {number} is shorter than it was: run fsck")));
        }
        loop {
            let Some((at, whole)) = walk.next()? else {
                let torn = match end.batch {
                    0 => Torn::First(Position { segment, offset: offset as u64 }.number()),
                    batch => Torn::Batch(batch + u64::from(complete)),
                };
                if resumed(conn, &mut walk, number, torn)? {
                    tracing::error!(segment = number, "a record that was indexed already is damaged: run fsck");
                    group.clear();
                    continue;
                }
                break;
            };
            // Batches have ascending numbers over all starts, and what a failed one leaves is cut before another begins.
            if whole.head.batch < end.batch || uncommitted.is_some_and(|batch| batch < whole.head.batch) {
                return Err(older(number));
            }
            if whole.head.batch > end.batch && !group.is_empty() {
                return Err(damaged(number, at));
            }
            end.batch = whole.head.batch;
            complete = whole.head.last();
            let spot = Spot { segment: number, offset: at, stored: whole.head.stored() };
            let more = whole.head.more;
            if whole.head.redo() {
                group.push((whole, spot));
                if more == 0 {
                    end.replayed += usize::from(apply(conn, keys, std::mem::take(&mut group))?);
                }
            } else if has(conn, whole.head.owner)? == Some(false) {
                uncommitted = Some(end.batch);
            }
        }
        // What is left of a request goes with the rest of it.
        let offset = group.first().map_or(walk.offset, |(_, spot)| spot.offset);
        end.position = Some(Position { segment: number, offset });
        if !group.is_empty() && number != last {
            return Err(damaged(number, offset));
        }
    }
    Ok(end)
}

/// Which batch may be torn where no record is.
#[derive(Clone, Copy)]
enum Torn {
    Batch(u64),
    /// The first behind the noted place: that of a start, with this number before it, or that of a batch the database has.
    First(u64),
}

/// Where no record is: goes to one further on that the database has, if there is any (what is damaged before it is indexed, and
/// reading it says so). Without, this is the end, unless a batch after the `torn` one follows: that was then acknowledged.
fn resumed(conn: &Connection, walk: &mut Walk, segment: u32, torn: Torn) -> Result<bool> {
    let here = walk.offset;
    if let Some(head) = walk.head()?
        && names(conn, head.owner, segment, here)?
    {
        // Perhaps only its facts, and its message can be read.
        walk.offset += head.length();
        return Ok(true);
    }
    let mut lost = None;
    while walk.seek()? {
        let Some(head) = walk.head()? else { continue };
        let torn = match torn {
            Torn::Batch(batch) => batch,
            Torn::First(before) if head.batch > before => before + 1,
            // What the database has was on disk whole.
            Torn::First(_) => 0,
        };
        if !head.redo() {
            // The copy of a record (compaction) that the database has, though not from here if its batch is torn.
            if names(conn, head.owner, segment, walk.offset)? {
                return Ok(true);
            }
            continue;
        }
        match has(conn, head.owner)? {
            Some(true) if head.batch >= torn => return Ok(true),
            Some(false) if head.batch > torn => lost = Some(walk.offset),
            _ => {}
        }
    }
    walk.offset = here;
    lost.map_or(Ok(false), |offset| Err(damaged(segment, offset)))
}

fn older(segment: u32) -> StoreError {
    StoreError::Unusable(format!("the database is older than the log in segment {segment}: run fsck"))
}

fn damaged(segment: u32, offset: u64) -> StoreError {
    StoreError::Unusable(format!(
        "segment {segment} is damaged before octet {offset}, in mail not yet indexed: run fsck"
    ))
}

/// Applies one request again, unless the database has it: wholly or not at all, whoever goes on after an error.
fn apply(conn: &Connection, keys: &Keys, group: Vec<(Whole, Spot)>) -> Result<bool> {
    conn.execute_batch("SAVEPOINT again")?;
    let applied = apply_some(conn, keys, group);
    conn.execute_batch(if applied.is_ok() { "RELEASE again" } else { "ROLLBACK TO again; RELEASE again" })?;
    applied
}

fn apply_some(conn: &Connection, keys: &Keys, group: Vec<(Whole, Spot)>) -> Result<bool> {
    let mut left = Vec::with_capacity(group.len());
    for (whole, spot) in group {
        match has(conn, whole.head.owner)? {
            Some(false) => left.push((whole, spot)),
            Some(true) => return Ok(false),
            // The mailbox was erased: what it received is of no use.
            None => {}
        }
    }
    if left.is_empty() {
        return Ok(false);
    }
    let mut effects = Effects::default();
    let mut tx = Tx { conn, effects: &mut effects, keys, replay: true };
    let mut commits: Vec<Prepared> = Vec::new();
    for (whole, spot) in left {
        let size = whole.head.size;
        let number = whole.head.commit;
        if commits.last().is_none_or(|prepared| prepared.commit != number) {
            commits.push(Prepared {
                message: Some(Message { size, links: Vec::new(), kept: Vec::new(), placed: None }),
                deliver: Vec::new(),
                enqueue: None,
                settle: None,
                duplicate_key: None,
                saved_at: 0,
                commit: number,
            });
        }
        // One was pushed above if there was none.
        let Some(prepared) = commits.last_mut() else { continue };
        let (keeper, file) = match (facts::read(whole.facts())?, whole.head.owner) {
            (Facts::Delivery(delivery), Owner::Mailbox(mailbox, _)) => {
                prepared.duplicate_key = delivery.duplicate_key;
                prepared.saved_at = delivery.saved_at;
                if let Some(message) = &mut prepared.message {
                    message.links = delivery.links;
                }
                for placement in delivery.placements {
                    prepared.deliver.push(Target {
                        mailbox,
                        folder: placement.name,
                        flags: placement.entry.flags,
                        keywords: placement.keywords,
                        internal_date: placement.entry.internal_date,
                    });
                }
                (Some(mailbox), delivery.file)
            }
            (Facts::Queued(entry, duplicate_key, file), Owner::Queue(_)) => {
                prepared.duplicate_key = prepared.duplicate_key.or(duplicate_key);
                prepared.enqueue = Some(entry);
                (None, file)
            }
            _ => return Err(StoreError::Damaged("the facts of a record")),
        };
        if let Some(message) = &mut prepared.message {
            message.kept.push(Kept { keeper, origin: Origin::Logged(whole, spot), file });
        }
    }
    for prepared in commits {
        deliver::commit(&mut tx, prepared)
            .map_err(|error| StoreError::Unusable(format!("the log cannot be applied ({error}): run fsck")))?;
    }
    Ok(true)
}

/// Whether the database has a record's message, or had it once; `None` without its mailbox.
pub(super) fn has(conn: &Connection, owner: Owner) -> Result<Option<bool>> {
    Ok(match owner {
        Owner::Mailbox(mailbox, body) => conn
            .prepare_cached("SELECT next_body FROM mailbox WHERE id = ?1")?
            .query_row([mailbox.0 as i64], |row| row.get::<_, i64>(0))
            .optional()?
            .map(|next| next as u64 > body),
        Owner::Queue(id) => Some(
            conn.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'queue_entry'")?
                .query_row([], |row| row.get::<_, i64>(0))
                .optional()?
                .is_some_and(|last| last as u64 >= id),
        ),
    })
}

/// Whether the database says that a record lies here.
fn names(conn: &Connection, owner: Owner, segment: u32, offset: u64) -> Result<bool> {
    Ok(match owner {
        Owner::Mailbox(mailbox, body) => conn
            .prepare_cached("SELECT 1 FROM body WHERE mailbox = ?1 AND id = ?2 AND segment = ?3 AND place = ?4")?
            .exists(params![mailbox.0 as i64, body as i64, segment, offset as i64])?,
        Owner::Queue(id) => conn
            .prepare_cached("SELECT 1 FROM queue_entry WHERE id = ?1 AND segment = ?2 AND place = ?3")?
            .exists(params![id as i64, segment, offset as i64])?,
    })
}
