//! The connections that read, never waiting for the writer, and what they read of bodies.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::files::Files;
use super::record::{self, Owner};
use super::references::not_garbage;
use super::schema::open_reader;
use super::segment::{Segments, Spot};
use crate::keys::Keys;
use crate::{Body, MailboxId, QueueId, Result, StoreError};

/// Reads at the same time: more would wait for the same cores and disk.
pub(super) const READERS: usize = 8;

/// Read-only connections, opened as they are needed.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<Path>,
    pub(super) idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Readers { path: path.into(), idle: Arc::default(), places: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs `work` on a connection, on a blocking thread.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let lock = move || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let idle = self.idle.clone();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let conn = match lock() {
                Some(conn) => conn,
                None => open_reader(&path)?,
            };
            let result = work(&conn);
            if conn.is_autocommit() {
                // A vector of connections stays consistent whatever panics.
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            }
            result
        })
        .await
        .map_err(|e| StoreError::Io(format!("a reading thread ended: {e}")))?
    }

    /// Runs a look-up of a row or two right here when a connection is idle: two changes of threads cost more than it does. For
    /// what every login and every recipient asks, whose pages are in memory; anything longer is [`Readers::read`].
    pub(super) async fn look<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        if let Ok(_place) = self.places.try_acquire() {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(conn) = idle {
                let result = work(&conn);
                if conn.is_autocommit() {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
                }
                return result;
            }
        }
        self.read(work).await
    }

    /// A connection of one's own for as long as it is needed.
    pub(super) async fn lend(&self) -> Result<Lent> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => {
                let path = self.path.clone();
                tokio::task::spawn_blocking(move || open_reader(&path))
                    .await
                    .map_err(|e| StoreError::Io(format!("a reading thread ended: {e}")))??
            }
        };
        Ok(Lent { conn: Some(conn), idle: self.idle.clone(), _place: place })
    }

    /// No more reads; waits for those under way and closes the connections.
    pub(super) async fn close(&self) {
        // Fails only when it is closed already.
        let _ = self.places.acquire_many(READERS as u32).await;
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection lent to somebody, with its place among the readers.
pub(super) struct Lent {
    /// There until it is dropped.
    conn: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    pub(super) fn conn(&self) -> Result<&Connection> {
        self.conn.as_ref().ok_or(StoreError::Closed)
    }

    /// What is read from the first row on is of one moment.
    pub(super) fn begin(&self) -> Result<()> {
        self.conn()?.prepare_cached("BEGIN")?.execute([])?;
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let over = conn.is_autocommit() || conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([])).is_ok();
        if over {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
    }
}

/// Reads what is of one moment.
pub(super) fn at_once<T>(conn: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    conn.prepare_cached("BEGIN")?.execute([])?;
    let done = read(conn);
    // A transaction that only read ends either way; a connection that is still in one is not used again.
    conn.prepare_cached("COMMIT")?.execute([])?;
    done
}

/// What reading mail takes beside a connection.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) files: Files,
    pub(super) segments: Segments,
    pub(super) keys: Arc<Keys>,
}

pub(super) fn structures(
    conn: &Connection,
    keys: &Keys,
    mailbox: MailboxId,
    bodies: &[u64],
) -> Result<Vec<Option<Arc<[u8]>>>> {
    // One transaction: each statement by itself would lock and unlock the database, which costs more than the row.
    let moment = conn.unchecked_transaction()?;
    let mut select = conn.prepare_cached(concat!(
        "SELECT structure, segment IS NULL FROM body WHERE mailbox = ?1 AND id = ?2 AND refs > 0 AND ",
        not_garbage!()
    ))?;
    let mut found = Vec::with_capacity(bodies.len());
    for body in bodies {
        let mut rows = select.query(params![mailbox.0 as i64, *body as i64])?;
        let structure = match rows.next()? {
            None => None,
            Some(row) => {
                let octets = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
                let clear: bool = row.get(1)?;
                Some(if clear {
                    Arc::from(octets)
                } else {
                    record::open_structure(&*keys.get(mailbox.0)?, octets)?.into()
                })
            }
        };
        found.push(structure);
    }
    drop(select);
    moment.commit()?;
    Ok(found)
}

/// What a row says of octets.
struct Found {
    size: u64,
    file: Option<String>,
    spot: Option<Spot>,
    /// Of earlier formats.
    clear: Option<Vec<u8>>,
}

/// Columns `size, file, segment, place, stored, octets`.
fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let spot = match row.get::<_, Option<u32>>(2)? {
        None => None,
        Some(segment) => {
            Some(Spot { segment, offset: row.get::<_, i64>(3)? as u64, stored: row.get::<_, i64>(4)? as u64 })
        }
    };
    Ok(Found { size: row.get::<_, i64>(0)? as u64, file: row.get(1)?, spot, clear: row.get(5)? })
}

/// How often a row is read again because what it named was moved meanwhile.
const MOVES: usize = 5;

/// A body, wherever `find` says it is.
fn open(place: &Place, owner: Owner, mut find: impl FnMut() -> Result<Option<Found>>) -> Result<Option<Body>> {
    for _ in 0..MOVES {
        let Some(found) = find()? else { return Ok(None) };
        let Some(spot) = found.spot else {
            return match (found.file, found.clear) {
                (Some(name), _) => place.files.body(&name, found.size, None),
                (None, Some(octets)) => Ok(Some(Body::from_bytes(octets))),
                (None, None) => Err(StoreError::Damaged("a message without octets")),
            };
        };
        let key = place.keys.get(owner.key())?;
        // Gone: compaction moved it after the row was read.
        let Some(whole) = place.segments.read(spot)? else { continue };
        if whole.head.owner != owner || whole.head.size != found.size {
            return Err(StoreError::Damaged("a row names another's record"));
        }
        return match found.file {
            None => whole.into_body(&key).map(Some),
            Some(name) => place.files.body(&name, found.size, Some(whole.file_key(&key)?)),
        };
    }
    Err(StoreError::Damaged("the segment of a message is not there"))
}

pub(super) fn body(conn: &Connection, place: &Place, mailbox: MailboxId, body: u64) -> Result<Option<Body>> {
    open(place, Owner::Mailbox(mailbox, body), || row(conn, mailbox, body))
}

/// Several, in the order asked for.
pub(super) fn bodies(
    conn: &Connection,
    place: &Place,
    mailbox: MailboxId,
    bodies: &[u64],
) -> Result<Vec<Option<Body>>> {
    // All rows in one transaction (see `structures`), which is over before files are read: what was moved meanwhile has a new row.
    let moment = conn.unchecked_transaction()?;
    let rows: Vec<Option<Found>> = bodies.iter().map(|body| row(conn, mailbox, *body)).collect::<Result<_>>()?;
    moment.commit()?;
    let each = bodies.iter().zip(rows).map(|(body, found)| {
        let mut found = Some(found);
        let find = || found.take().map_or_else(|| row(conn, mailbox, *body), Ok);
        open(place, Owner::Mailbox(mailbox, *body), find)
    });
    each.collect()
}

/// What the row of a body says.
fn row(conn: &Connection, mailbox: MailboxId, body: u64) -> Result<Option<Found>> {
    Ok(conn
        .prepare_cached(concat!(
            "SELECT b.size, b.file, b.segment, b.place, b.stored, c.octets
             FROM body b LEFT JOIN content c ON b.segment IS NULL AND c.mailbox = b.mailbox AND c.body = b.id
             WHERE b.mailbox = ?1 AND b.id = ?2 AND b.refs > 0 AND ",
            not_garbage!()
        ))?
        .query_row(params![mailbox.0 as i64, body as i64], found)
        .optional()?)
}

pub(super) fn queue_body(conn: &Connection, place: &Place, id: QueueId) -> Result<Option<Body>> {
    open(place, Owner::Queue(id.0), || {
        Ok(conn
            .prepare_cached("SELECT size, file, segment, place, stored, octets FROM queue_entry WHERE id = ?1")?
            .query_row([id.0 as i64], found)
            .optional()?)
    })
}

/// Whether a row names this file.
pub(super) fn is_named(conn: &Connection, name: &str) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM body WHERE file = ?1 UNION ALL SELECT 1 FROM queue_entry WHERE file = ?1")?
        .exists([name])?)
}
