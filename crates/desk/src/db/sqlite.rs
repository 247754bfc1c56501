//! SQLite: one file, one connection, every change on disk before it is answered.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrations;
use super::sql::Sql;
use crate::error::Broken;

/// Opens a file, made on first use, readable by its owner only.
pub(super) fn open(path: &Path) -> Result<Connection, Broken> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    make_private(path).map_err(|error| Broken::File(path.to_owned(), error))?;
    prepare(Connection::open_with_flags(path, flags)?)
}

/// One in memory.
pub(super) fn in_memory() -> Result<Connection, Broken> {
    prepare(Connection::open_in_memory()?)
}

fn prepare(mut connection: Connection) -> Result<Connection, Broken> {
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    connection.set_prepared_statement_cache_capacity(super::STATEMENTS);
    // A statement is prepared once, whatever values it is given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = super::version();
    let had = usize::try_from(found).ok().filter(|had| *had <= migrations::ALL.len());
    let had = had.ok_or(Broken::Version(found, known))?;
    if had < migrations::ALL.len() {
        run(&mut connection, |sql| {
            migrations::ALL[had..].iter().try_for_each(|step| sql.batch(step))?;
            sql.batch(&format!("PRAGMA user_version = {known}"))
        })?;
    }
    Ok(connection)
}

/// Does a piece of work, whole or not at all.
pub(super) fn run<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Sql<'_>) -> Result<T, Broken>,
) -> Result<T, Broken> {
    // Rolled back when it is dropped, in a panic too.
    let change = connection.transaction()?;
    let done = work(&mut Sql::Sqlite(&change))?;
    change.commit()?;
    Ok(done)
}

/// Made readable by its owner only, before anything is in it.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}
