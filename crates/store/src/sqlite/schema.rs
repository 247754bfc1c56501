//! The tables, how a database is opened, and how one of an older version is brought up to date.
//!
//! Invariants: `PRAGMA user_version` is the number of steps of [`MIGRATIONS`] applied; a step, once released, never changes;
//! a database of a newer version is refused untouched. Every table of mail has the mailbox first in its key; the outgoing
//! queue belongs to the node that relays, not to a mailbox, and is keyed by entry.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::frames;
use crate::{Result, StoreError};

/// The steps from an empty database to the present version, in order.
pub(super) const MIGRATIONS: [&str; 7] = [
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
];

/// A part of format 2 that came after the first folders of format 3, which only its tables tell: applied wherever they are missing.
const COPIES: &str = include_str!("v2_copies.sql");

/// How long one process waits for the other's write (a server and the command line beside it).
const BUSY: Duration = Duration::from_secs(10);

/// Octets in a page. Measured with `examples/commit_rate.rs` (20 KB messages, 64 mailboxes, 4096 and 8192 in turn, twice):
/// 3,500–4,300 commits/s against 3,550–3,800 with 16 writers, 214–258 µs of processor against 230–251, 88 KB written for each
/// message against 122, since a small row costs a page in the log and another at its emptying. 16384 and 32768 cost more
/// processor.
pub(super) const PAGE_SIZE: u32 = 4096;

/// Page cache of the writer, in KiB: the inner pages of every tree and the leaves of the mailboxes that are receiving.
const WRITER_CACHE: u32 = 64 * 1024;

/// Page cache of each reader, in KiB: the inner pages of the trees; the system's own cache has the rest.
const READER_CACHE: u32 = 4 * 1024;

/// Statements kept prepared by each connection: more than there are in this crate.
const STATEMENTS: usize = 128;

/// Octets the write-ahead log may keep on disk when it starts again: kept, it is overwritten in place, which syncs
/// faster than growing a file.
const LOG_KEPT: u32 = 128 * 1024 * 1024;

/// Opens the connection that writes, making or updating the database. `checkpoints`: whether SQLite empties the log by
/// itself (the server's writer does that on its own time).
pub(super) fn open_writer(path: &Path, checkpoints: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = match frames::name() {
        Some(log) => Connection::open_with_flags_and_vfs(path, flags, log)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    conn.busy_timeout(BUSY)?;
    // Before anything is written: it cannot change afterwards.
    conn.pragma_update(None, "page_size", PAGE_SIZE)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Unusable(format!("the file system does not carry a write-ahead log (mode {mode})")));
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {LOG_KEPT}"), [], |_| Ok(()))?;
    if !checkpoints {
        conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    }
    keep_plans(&conn)?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// Opens a connection that only reads; the database exists.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "cache_size", -i64::from(READER_CACHE))?;
    keep_plans(&conn)?;
    Ok(conn)
}

/// Each statement is prepared once. Without its word that plans are stable, SQLite prepares one anew at every value that is bound where a
/// plan might be better for it (beside `LIMIT 1` in a subquery, or a partial index): that took longer than the row.
fn keep_plans(conn: &Connection) -> Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Whether there is a database, of a format that opening brings up to date.
pub(super) fn is_of_earlier_format(path: &Path) -> Result<bool> {
    if !path.try_exists()? {
        return Ok(false);
    }
    let conn = open_reader(path)?;
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // 0: just begun by another process.
    Ok(version != 0 && (version < MIGRATIONS.len() as i64 || !conn.table_exists(None, "copies")?))
}

/// Applies the missing steps, all in one transaction (another process may be doing the same).
fn migrate(conn: &mut Connection) -> Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(StoreError::Unusable(format!(
            "its data have format {version} and this program knows formats up to {known}: use the version of \
             Vaguemestre that wrote them, or a later one"
        )));
    }
    let done = usize::try_from(version).map_err(|_| StoreError::Unusable("its data have a negative version".into()))?;
    for step in &MIGRATIONS[done..] {
        tx.execute_batch(step)?;
    }
    if !tx.table_exists(None, "copies")? {
        tx.execute_batch(COPIES)?;
    }
    if version < known {
        tx.pragma_update(None, "user_version", known)?;
    }
    tx.commit()?;
    Ok(())
}
