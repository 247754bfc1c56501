//! The connections that read, never waiting for the writer, and what they read of bodies.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::files::Files;
use super::schema::open_reader;
use crate::{Body, MailboxId, QueueId, Result, StoreError};

/// Reads at the same time: more would wait for the same cores and disk.
const READERS: usize = 8;

/// Read-only connections, opened as they are needed.
pub(super) struct Readers {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
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

    /// No more reads; waits for those under way and closes the connections.
    pub(super) async fn close(&self) {
        // Fails only when it is closed already.
        let _ = self.places.acquire_many(READERS as u32).await;
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn structures(conn: &Connection, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
    let mut select = conn.prepare_cached("SELECT structure FROM body WHERE mailbox = ?1 AND id = ?2 AND refs > 0")?;
    let mut found = Vec::with_capacity(bodies.len());
    for body in bodies {
        let structure = select
            .query_row(params![mailbox.0 as i64, *body as i64], |row| Ok(Arc::from(row.get_ref(0)?.as_blob()?)))
            .optional()?;
        found.push(structure);
    }
    Ok(found)
}

/// What a row says of octets: size, file, octets.
type Found = Option<(i64, Option<String>, Option<Vec<u8>>)>;

fn open(found: Found, files: &Files) -> Result<Option<Body>> {
    match found {
        None => Ok(None),
        Some((size, Some(name), _)) => files.body(&name, size as u64),
        Some((_, None, Some(octets))) => Ok(Some(Body::from_bytes(octets))),
        Some((_, None, None)) => Err(StoreError::Io("a message without octets".into())),
    }
}

pub(super) fn body(conn: &Connection, files: &Files, mailbox: MailboxId, body: u64) -> Result<Option<Body>> {
    let found = conn
        .prepare_cached(
            "SELECT b.size, b.file, c.octets FROM body b LEFT JOIN content c ON c.mailbox = b.mailbox AND c.body = b.id
             WHERE b.mailbox = ?1 AND b.id = ?2 AND b.refs > 0",
        )?
        .query_row(params![mailbox.0 as i64, body as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    open(found, files)
}

pub(super) fn queue_body(conn: &Connection, files: &Files, id: QueueId) -> Result<Option<Body>> {
    let found = conn
        .prepare_cached("SELECT size, file, octets FROM queue_entry WHERE id = ?1")?
        .query_row([id.0 as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    open(found, files)
}

/// Whether a row names this file.
pub(super) fn is_named(conn: &Connection, name: &str) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM body WHERE file = ?1 UNION ALL SELECT 1 FROM queue_entry WHERE file = ?1")?
        .exists([name])?)
}
