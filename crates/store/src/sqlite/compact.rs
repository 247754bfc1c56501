//! Compaction: what is needed of segments that are mostly dead goes to the end of the log, and mail of earlier formats too.
//!
//! Done by the writer, a slice at a time, when nobody waits, and a small one now and then when somebody always does. A record's copy and the row that names it change in one commit that
//! is synced; the old segment is removed after it. Readers that have it open go on, others read the row again.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::facts;
use super::files::Files;
use super::queue;
use super::record::{Owner, Record, Sealing};
use super::segment::{Position, Segments, Spot, Walk};
use super::writer::Tx;
use crate::body::SpoolFile;
use crate::{MailboxId, NewQueueEntry, NewQueueRecipient, QueueId, Result, StoreError};

/// Octets copied in one transaction when nobody waits: some ten milliseconds.
pub(super) const SLICE: u64 = 4 * 1024 * 1024;
/// Octets copied in one transaction while others wait: a few milliseconds, four times a second.
pub(super) const SMALL_SLICE: u64 = 1024 * 1024;
/// Rows of an earlier format moved in one transaction.
const ROWS: i64 = 50;

/// Where compaction is.
#[derive(Default)]
pub(super) struct Compaction {
    at: Option<Position>,
    /// Something in the segment could not be read: it stays.
    damaged: bool,
    /// The last body of format 1 looked at: one whose key is not there stays as it is and does not keep back the others.
    content: (i64, i64),
    /// Large bodies of earlier formats that stay, since their file or their key is not there.
    files: i64,
    /// The last entry of the queue looked at.
    queue: i64,
}

/// Does some, about `slice` octets; answers whether there may be more.
pub(super) fn some(
    tx: &mut Tx<'_>,
    state: &mut Compaction,
    segments: &Segments,
    files: &Files,
    slice: u64,
) -> Result<bool> {
    if move_content(tx, &mut state.content)?
        || move_file(tx, files, &mut state.files)?
        || move_queue(tx, files, &mut state.queue)?
    {
        return Ok(true);
    }
    let at = match state.at {
        Some(at) => at,
        None => match candidate(tx, segments)? {
            Some(segment) => Position { segment, offset: 0 },
            None => return Ok(false),
        },
    };
    let Some(mut walk) = Walk::start(segments, at.segment, at.offset)? else {
        // Removed: by now its row may go.
        state.at = None;
        tx.conn.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([at.segment])?;
        return Ok(true);
    };
    let mut copied = 0;
    while copied < slice {
        let Some((offset, whole)) = walk.next()? else {
            if walk.seek()? {
                state.damaged = true;
                continue;
            }
            finish(tx, state, at.segment)?;
            return Ok(true);
        };
        let spot = Spot { segment: at.segment, offset, stored: whole.head.stored() };
        // What is dead is read too, and costs a look-up.
        copied += whole.head.length() / 4;
        if named(tx, whole.head.owner)? == Some((spot.segment, spot.offset)) {
            copied += whole.head.length();
            let moved = tx.effects.batch.put(whole.copy())?;
            name(tx, whole.head.owner, moved)?;
        }
    }
    state.at = Some(Position { segment: at.segment, offset: walk.offset });
    Ok(true)
}

/// The segment is done with.
fn finish(tx: &mut Tx<'_>, state: &mut Compaction, segment: u32) -> Result<()> {
    if std::mem::take(&mut state.damaged) {
        tracing::error!(segment, "a segment is damaged and stays as it is: run fsck");
        tx.conn.prepare_cached("UPDATE segment SET dead = -1 WHERE id = ?1")?.execute([segment])?;
    } else {
        // Its row goes after it, so that a crash between the two leaves no file behind.
        tx.effects.emptied.push(segment);
    }
    state.at = None;
    Ok(())
}

/// A segment of which most is dead, before the one that receives and before what a start would read.
fn candidate(tx: &Tx<'_>, segments: &Segments) -> Result<Option<u32>> {
    let noted: u32 = tx.conn.prepare_cached("SELECT segment FROM log")?.query_row([], |row| row.get(0))?;
    let mut select = tx.conn.prepare_cached("SELECT id, dead FROM segment WHERE id < ?1 AND dead > 0 ORDER BY id")?;
    let mut rows = select.query([noted])?;
    while let Some(row) = rows.next()? {
        let (id, dead): (u32, i64) = (row.get(0)?, row.get(1)?);
        match std::fs::metadata(segments.path(id)) {
            Ok(file) if dead as u64 * 2 > file.len() => return Ok(Some(id)),
            Ok(_) => {}
            // Removed already.
            Err(_) => return Ok(Some(id)),
        }
    }
    Ok(None)
}

/// Where the row of a record says it is.
fn named(tx: &Tx<'_>, owner: Owner) -> Result<Option<(u32, u64)>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<u32>>(0)?, row.get::<_, Option<i64>>(1)?));
    let found = match owner {
        Owner::Mailbox(mailbox, body) => tx
            .conn
            .prepare_cached("SELECT segment, place FROM body WHERE mailbox = ?1 AND id = ?2")?
            .query_row(params![mailbox.0 as i64, body as i64], read),
        Owner::Queue(id) => {
            tx.conn.prepare_cached("SELECT segment, place FROM queue_entry WHERE id = ?1")?.query_row([id as i64], read)
        }
    };
    Ok(found.optional()?.and_then(|(segment, place)| Some((segment?, place? as u64))))
}

/// Says where a record is now.
fn name(tx: &Tx<'_>, owner: Owner, spot: Spot) -> Result<()> {
    let (place, stored) = (spot.offset as i64, spot.stored as i64);
    match owner {
        Owner::Mailbox(mailbox, body) => tx
            .conn
            .prepare_cached("UPDATE body SET segment = ?3, place = ?4, stored = ?5 WHERE mailbox = ?1 AND id = ?2")?
            .execute(params![mailbox.0 as i64, body as i64, spot.segment, place, stored])?,
        Owner::Queue(id) => tx
            .conn
            .prepare_cached("UPDATE queue_entry SET segment = ?2, place = ?3, stored = ?4 WHERE id = ?1")?
            .execute(params![id as i64, spot.segment, place, stored])?,
    };
    Ok(())
}

/// A body of an earlier format gets its record. Which folders it was delivered to is not known any more.
fn seal(
    tx: &mut Tx<'_>,
    mailbox: i64,
    body: i64,
    size: u64,
    structure: &[u8],
    what: Sealing<'_>,
    file: Option<&str>,
) -> Result<()> {
    let key = tx.keys.get(mailbox as u64)?;
    let owner = Owner::Mailbox(MailboxId(mailbox as u64), body as u64);
    let mut record = Record::seal(&key, size, structure, what)?;
    record.complete(owner, 0, |out| facts::write_delivery(out, &[], None, 0, &[], file));
    let sealed = record.structure().to_vec();
    let spot = tx.effects.batch.put(record)?;
    tx.conn
        .prepare_cached("UPDATE body SET structure = ?3, file = ?4 WHERE mailbox = ?1 AND id = ?2")?
        .execute(params![mailbox, body, sealed, file])?;
    name(tx, owner, spot)
}

/// The key of a mailbox whose mail is to be sealed. Without it the mail stays as it is: told, and left.
fn has_key(tx: &Tx<'_>, mailbox: i64, body: i64) -> Result<bool> {
    match tx.keys.get(mailbox as u64) {
        Ok(_) => Ok(true),
        Err(error @ (StoreError::NoKey | StoreError::Damaged(_))) => {
            tracing::error!(mailbox, body, %error, "mail of an earlier format stays as it is: run fsck");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Moves some bodies of the table of formats 1 and 2 that follow `after`.
fn move_content(tx: &mut Tx<'_>, after: &mut (i64, i64)) -> Result<bool> {
    let rows: Vec<(i64, i64, Vec<u8>)> = {
        let mut select = tx.conn.prepare_cached(
            "SELECT mailbox, body, octets FROM content WHERE (mailbox, body) > (?1, ?2) ORDER BY mailbox, body LIMIT ?3",
        )?;
        let rows = select.query_map([after.0, after.1, ROWS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (mailbox, body, octets) in &rows {
        let structure: Option<Vec<u8>> = tx
            .conn
            .prepare_cached("SELECT structure FROM body WHERE mailbox = ?1 AND id = ?2 AND segment IS NULL")?
            .query_row(params![mailbox, body], |row| row.get(0))
            .optional()?;
        let there = tx.conn.prepare_cached("SELECT 1 FROM mailbox WHERE id = ?1")?.exists([mailbox])?;
        *after = (*mailbox, *body);
        if let Some(structure) = structure.filter(|_| there) {
            if !has_key(tx, *mailbox, *body)? {
                continue;
            }
            seal(tx, *mailbox, *body, octets.len() as u64, &structure, Sealing::Octets(octets), None)?;
        }
        tx.conn
            .prepare_cached("DELETE FROM content WHERE mailbox = ?1 AND body = ?2")?
            .execute(params![mailbox, body])?;
    }
    Ok(!rows.is_empty())
}

/// Encrypts one large body of formats 1 and 2, behind those that `stay`.
fn move_file(tx: &mut Tx<'_>, files: &Files, stay: &mut i64) -> Result<bool> {
    let row: Option<(i64, i64, String, i64, Vec<u8>)> = tx
        .conn
        .prepare_cached(
            "SELECT b.mailbox, b.id, b.file, b.size, b.structure FROM body b INDEXED BY body_file
             WHERE b.file IS NOT NULL AND b.segment IS NULL AND b.mailbox IN (SELECT id FROM mailbox)
             ORDER BY b.file LIMIT 1 OFFSET ?1",
        )?
        .query_row([*stay], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((mailbox, body, name, size, structure)) = row else { return Ok(false) };
    let file = if has_key(tx, mailbox, body)? { files.encrypted(&name)? } else { None };
    let Some(file) = file else {
        *stay += 1;
        return Ok(true);
    };
    let key = file.key();
    let placed = files.place(file, 1)?;
    let new = placed.names()[0].clone();
    seal(tx, mailbox, body, size as u64, &structure, Sealing::File(&key), Some(&new))?;
    tx.effects.placed.push(placed);
    tx.effects.unnamed.push(name);
    Ok(true)
}

/// Encrypts the message of one entry of the queue of formats 1 and 2, of those that follow `after`.
fn move_queue(tx: &mut Tx<'_>, files: &Files, after: &mut i64) -> Result<bool> {
    let row: Option<(i64, Option<String>, Option<Vec<u8>>)> = tx
        .conn
        .prepare_cached(
            "SELECT id, file, octets FROM queue_entry WHERE segment IS NULL AND id > ?1 ORDER BY id LIMIT 1",
        )?
        .query_row([*after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((id, file, octets)) = row else { return Ok(false) };
    *after = id;
    let id = QueueId(id as u64);
    let Some(entry) = queue::within(tx.conn, id)? else { return Ok(true) };
    let key = tx.keys.get(crate::keys::SYSTEM)?;
    let (mut record, new) = match &file {
        None => (Record::seal(&key, entry.size, b"", Sealing::Octets(&octets.unwrap_or_default()))?, None),
        Some(name) => {
            let Some(sealed) = files.encrypted(name)? else { return Ok(true) };
            let file_key = sealed.key();
            let placed = files.place(sealed, 1)?;
            let new = placed.names()[0].clone();
            tx.effects.placed.push(placed);
            tx.effects.unnamed.push(name.clone());
            (Record::seal(&key, entry.size, b"", Sealing::File(&file_key))?, Some(new))
        }
    };
    let facts = NewQueueEntry {
        sender: entry.sender,
        return_path: entry.return_path,
        parameters: entry.parameters,
        recipients: entry
            .recipients
            .into_iter()
            .map(|r| NewQueueRecipient { address: r.address, notify: r.notify, original: r.original })
            .collect(),
        accepted_at: entry.accepted_at,
        expires_at: entry.expires_at,
    };
    record.complete(Owner::Queue(id.0), 0, |out| facts::write_queued(out, &facts, None, new.as_deref()));
    let spot = tx.effects.batch.put(record)?;
    tx.conn
        .prepare_cached("UPDATE queue_entry SET octets = NULL, file = ?2 WHERE id = ?1")?
        .execute(params![id.0 as i64, new])?;
    queue::place(tx, id, spot)?;
    Ok(true)
}

/// Wipes the clear text that earlier formats left in free pages and in the database's log, once all mail is sealed: the database is written
/// anew, which takes as long as copying it, and its log is emptied. Outside of any transaction; nothing is done when nothing is due.
pub(super) fn wipe(conn: &Connection) -> Result<()> {
    const LEFT: &str = "SELECT EXISTS (SELECT 1 FROM content)
         OR EXISTS (SELECT 1 FROM body WHERE segment IS NULL AND mailbox IN (SELECT id FROM mailbox))
         OR EXISTS (SELECT 1 FROM queue_entry WHERE segment IS NULL)";
    let due: bool = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM clear_text)")?.query_row([], |row| row.get(0))?;
    if !due || conn.query_row(LEFT, [], |row| row.get(0))? {
        return Ok(());
    }
    let began = std::time::Instant::now();
    conn.execute_batch("VACUUM")?;
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        conn.execute("DELETE FROM clear_text", [])?;
        tracing::info!(
            milliseconds = began.elapsed().as_millis() as u64,
            "mail of before encryption is wiped from the database"
        );
    }
    Ok(())
}

impl Files {
    /// A file in clear, encrypted into a spool file. Blocking. `None` when it is not there, which is told.
    fn encrypted(&self, name: &str) -> Result<Option<SpoolFile>> {
        let spool = self.root().parent().map(|data| data.join("spool"));
        let spool = spool.ok_or_else(|| StoreError::Io("no spool folder".into()))?;
        let clear = match std::fs::File::open(self.path(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::error!(name, "the file of a large message of an earlier format is missing: run fsck");
                return Ok(None);
            }
            opened => opened?,
        };
        encrypt(&clear, &spool).map(Some)
    }
}

fn encrypt(mut clear: &std::fs::File, spool: &Path) -> Result<SpoolFile> {
    use std::io::Read;
    let mut file = SpoolFile::create(spool)?;
    let mut piece = zeroize::Zeroizing::new(vec![0; crate::body::INLINE_LIMIT]);
    loop {
        let length = clear.read(&mut piece)?;
        file.append(&piece[..length], length == 0)?;
        if length == 0 {
            return Ok(file);
        }
    }
}
