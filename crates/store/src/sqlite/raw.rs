//! Rows of whole numbers, read without what the binding does for each column, which is as much as the engine does for it: for the one
//! statement that reads a hundred thousand of them.
//!
//! Invariant: a statement is run by whoever borrows it alone, lives no longer than its connection, and is at its beginning between two runs.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

use rusqlite::{Connection, ffi};

use crate::{Result, StoreError};

/// A statement of which parameters and columns are whole numbers.
pub(super) struct Select<'c, const P: usize, const C: usize> {
    raw: *mut ffi::sqlite3_stmt,
    /// It must not outlive its connection.
    _conn: PhantomData<&'c Connection>,
}

impl<const P: usize, const C: usize> Drop for Select<'_, P, C> {
    fn drop(&mut self) {
        // SAFETY: it is what `sqlite3_prepare_v2` gave, or null, and is used nowhere else.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

fn failed(code: c_int) -> StoreError {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
}

impl<'c, const P: usize, const C: usize> Select<'c, P, C> {
    /// Reads the text of the statement.
    pub(super) fn prepare(conn: &'c Connection, sql: &CStr) -> Result<Self> {
        let mut select = Select { raw: ptr::null_mut(), _conn: PhantomData };
        // SAFETY: the handle is that of an open connection, which is borrowed for longer than the statement lives; the text ends with
        // NUL; the end of it is not asked for.
        let code =
            unsafe { ffi::sqlite3_prepare_v2(conn.handle(), sql.as_ptr(), -1, &raw mut select.raw, ptr::null_mut()) };
        if code == ffi::SQLITE_OK { Ok(select) } else { Err(failed(code)) }
    }

    /// Gives `take` every row. What is no number in the table is 0.
    pub(super) fn each(&mut self, parameters: [i64; P], take: impl FnMut([i64; C]) -> Result<()>) -> Result<()> {
        let done = self.run(parameters, take);
        // SAFETY: the statement is this one's; what it failed with was told already.
        unsafe { ffi::sqlite3_reset(self.raw) };
        done
    }

    fn run(&mut self, parameters: [i64; P], mut take: impl FnMut([i64; C]) -> Result<()>) -> Result<()> {
        for (place, parameter) in (1..).zip(parameters) {
            // SAFETY: a statement that is not being run.
            let code = unsafe { ffi::sqlite3_bind_int64(self.raw, place, parameter) };
            if code != ffi::SQLITE_OK {
                return Err(failed(code));
            }
        }
        loop {
            // SAFETY: a statement of this thread's connection.
            match unsafe { ffi::sqlite3_step(self.raw) } {
                ffi::SQLITE_ROW => {
                    let mut row = [0; C];
                    for (column, value) in (0..).zip(&mut row) {
                        // SAFETY: there is a row; a column that is not there would be NULL, which is 0.
                        *value = unsafe { ffi::sqlite3_column_int64(self.raw, column) };
                    }
                    take(row)?;
                }
                ffi::SQLITE_DONE => return Ok(()),
                code => return Err(failed(code)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_failures_told() {
        let conn = Connection::open_in_memory().expect("opened");
        conn.execute_batch(
            "CREATE TABLE t (a INTEGER, b INTEGER); INSERT INTO t VALUES (1, -2), (3, 9223372036854775807)",
        )
        .expect("made");
        let mut select = Select::prepare(&conn, c"SELECT a, b FROM t WHERE a >= ?1 ORDER BY a").expect("prepared");
        for (from, wanted) in [(1, &[[1, -2], [3, i64::MAX]][..]), (2, &[[3, i64::MAX]]), (4, &[])] {
            let stopped = select.each([1], |_: [i64; 2]| Err(StoreError::Closed));
            assert!(matches!(stopped, Err(StoreError::Closed)));
            let mut all = Vec::new();
            let take = |row| {
                all.push(row);
                Ok(())
            };
            select.each([from], take).expect("read");
            assert_eq!(all, wanted);
        }
        drop(select);
        assert!(matches!(Select::<0, 1>::prepare(&conn, c"SELECT x FROM t"), Err(StoreError::Io(_))));
        // Nothing is left open.
        conn.execute_batch("DROP TABLE t").expect("dropped");
    }
}
