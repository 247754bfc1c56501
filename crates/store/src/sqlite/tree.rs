//! Rows of a table read out of the pages of its tree, without the engine's loop: for the one table of which a hundred thousand
//! neighbours are read at once, when a folder is opened first. The pages come from SQLite (`sqlite_dbpage`), of the moment its
//! transaction sees, the log's included; only what is in them is taken apart here, by the file format that SQLite promises to keep
//! (<https://www.sqlite.org/fileformat2.html>, §1.6 and §2).
//!
//! Invariants: what is not exactly as expected (another kind of page, a row that is no whole numbers, rows out of order, a SQLite without
//! `sqlite_dbpage`) is answered `None`, and the caller asks SQL, which knows what to say of it; no octet of a page is believed: every
//! look is within the page, and no more pages are read than the database has.

use std::ffi::c_int;
use std::ptr;

use rusqlite::{Connection, OptionalExtension, ffi};

/// What a page may be: §1.6, indexes only, since the table is `WITHOUT ROWID`.
const INTERIOR: u8 = 2;
const LEAF: u8 = 10;
/// More levels than any database can have.
const LEVELS: usize = 20;
/// A row of so many octets or more has columns nobody expects here, and may lie on several pages.
const LARGE: usize = 256;
/// Octets of a whole number by its serial type (§2.1): 8 and 9 are the numbers 0 and 1 themselves.
const LENGTHS: [u8; 10] = [0, 1, 2, 3, 4, 6, 8, 0, 0, 0];

/// What a row begins with: mailbox, folder, UID.
type Key = [i64; 3];

/// Makes something of every row of `message` from one key to another, both included, in their order; `None`: ask SQL. `C` columns, of
/// which those that a row does not have are 0. To be called in a transaction.
pub(super) fn rows<const C: usize, T>(
    conn: &Connection,
    first: Key,
    last: Key,
    make: impl FnMut([i64; C]) -> Option<T>,
) -> Option<Vec<T>> {
    if conn.is_autocommit() {
        // Pages of several moments are no tree.
        return None;
    }
    let find = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'message'";
    let root: i64 = conn.prepare_cached(find).ok()?.query_row([], |row| row.get(0)).optional().ok()??;
    let mut pages = Pages::of(conn)?;
    let mut asked = Asked { first, last, before: None, make, made: Vec::new() };
    pages.walk(u32::try_from(root).ok()?, 0, &mut asked)?;
    Some(asked.made)
}

/// What is asked for, and what was found of it.
struct Asked<F, T> {
    first: Key,
    last: Key,
    /// The row before.
    before: Option<Key>,
    make: F,
    made: Vec<T>,
}

impl<F, T> Asked<F, T> {
    /// Takes a row; whether there may be more.
    fn take<const C: usize>(&mut self, row: [i64; C]) -> Option<bool>
    where
        F: FnMut([i64; C]) -> Option<T>,
    {
        let key = key(&row);
        if key > self.last {
            return Some(false);
        }
        if key < self.first || self.before.is_some_and(|before| key <= before) {
            return None;
        }
        self.before = Some(key);
        self.made.push((self.make)(row)?);
        Some(true)
    }
}

/// Reads pages.
struct Pages<'c> {
    conn: &'c Connection,
    raw: *mut ffi::sqlite3_stmt,
    /// Pages that may still be read.
    left: i64,
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        // SAFETY: it is what `sqlite3_prepare_v2` gave, or null, and is used nowhere else.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

impl<'c> Pages<'c> {
    fn of(conn: &'c Connection) -> Option<Self> {
        let left = conn.prepare_cached("PRAGMA page_count").ok()?.query_row([], |row| row.get(0)).ok()?;
        let mut pages = Pages { conn, raw: ptr::null_mut(), left };
        let sql = c"SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
        // SAFETY: the handle is that of an open connection, which is borrowed for longer than the statement lives; the text ends with
        // NUL; the end of it is not asked for.
        let code = unsafe {
            ffi::sqlite3_prepare_v2(pages.conn.handle(), sql.as_ptr(), -1, &raw mut pages.raw, ptr::null_mut())
        };
        (code == ffi::SQLITE_OK).then_some(pages)
    }

    /// The octets of a page.
    fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(1).filter(|left| *left >= 0)?;
        // SAFETY: a statement of this thread's connection, at its beginning.
        let octets = unsafe {
            if ffi::sqlite3_bind_int64(self.raw, 1, number.into()) != ffi::SQLITE_OK
                || ffi::sqlite3_step(self.raw) != ffi::SQLITE_ROW
            {
                None
            } else {
                let start = ffi::sqlite3_column_blob(self.raw, 0).cast::<u8>();
                let length: c_int = ffi::sqlite3_column_bytes(self.raw, 0);
                // SAFETY: SQLite says that there are so many octets, until the statement goes on.
                usize::try_from(length)
                    .ok()
                    .filter(|length| *length > 0 && !start.is_null())
                    .map(|length| std::slice::from_raw_parts(start, length).to_vec())
            }
        };
        // SAFETY: the statement is this one's; what it failed with was told already.
        unsafe { ffi::sqlite3_reset(self.raw) };
        octets
    }

    /// The rows at and below a page; whether there may be more behind.
    fn walk<const C: usize, F, T>(&mut self, number: u32, level: usize, asked: &mut Asked<F, T>) -> Option<bool>
    where
        F: FnMut([i64; C]) -> Option<T>,
    {
        if level >= LEVELS || number < 2 {
            return None;
        }
        let octets = self.page(number)?;
        let page = Page::parse(&octets)?;
        // The first row asked for: what lies below those before it is not.
        let (mut from, mut to) = (0, page.cells);
        while from < to {
            let middle = from + (to - from) / 2;
            if key(&page.row::<3>(middle)?) < asked.first {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        for cell in from..page.cells {
            if let Some(below) = page.below(cell)?
                && !self.walk(below, level + 1, asked)?
            {
                return Some(false);
            }
            if !asked.take(page.row::<C>(cell)?)? {
                return Some(false);
            }
        }
        match page.behind {
            Some(behind) => self.walk(behind, level + 1, asked),
            None => Some(true),
        }
    }
}

/// The columns that rows are in the order of.
fn key<const C: usize>(row: &[i64; C]) -> Key {
    const { assert!(C >= 3) };
    [row[0], row[1], row[2]]
}

/// A page of the tree.
struct Page<'p> {
    octets: &'p [u8],
    cells: usize,
    /// Where the places of its cells are.
    places: usize,
    /// The page with what comes behind its last row; not in a leaf.
    behind: Option<u32>,
}

impl<'p> Page<'p> {
    fn parse(octets: &'p [u8]) -> Option<Self> {
        let cells = usize::from(u16::from_be_bytes(*octets.get(3..)?.first_chunk()?));
        let (places, behind) = match *octets.first()? {
            INTERIOR => (12, Some(u32::from_be_bytes(*octets.get(8..)?.first_chunk()?))),
            LEAF => (8, None),
            _ => return None,
        };
        Some(Page { octets, cells, places, behind })
    }

    /// From where a cell is to the end of the page.
    fn cell(&self, number: usize) -> Option<&'p [u8]> {
        let place = u16::from_be_bytes(*self.octets.get(self.places + 2 * number..)?.first_chunk()?);
        self.octets.get(usize::from(place)..)
    }

    /// The page with what comes before a row; `Some(None)` in a leaf.
    fn below(&self, cell: usize) -> Option<Option<u32>> {
        if self.behind.is_none() {
            return Some(None);
        }
        Some(Some(u32::from_be_bytes(*self.cell(cell)?.first_chunk()?)))
    }

    /// The first columns of a row.
    fn row<const C: usize>(&self, number: usize) -> Option<[i64; C]> {
        let cell = self.cell(number)?;
        let cell = if self.behind.is_some() { cell.get(4..)? } else { cell };
        // A length of more than one octet has its highest bit set: two are as many as a row here can have.
        let (length, rest) = match *cell {
            [length, ref rest @ ..] if length < 0x80 => (usize::from(length), rest),
            [high, low, ref rest @ ..] if low < 0x80 => (usize::from(high & 0x7f) << 7 | usize::from(low), rest),
            _ => return None,
        };
        if length >= LARGE {
            return None;
        }
        let record = rest.get(..length)?;
        let head = usize::from(*record.first()?);
        let types = record.get(1..head)?;
        let mut row = [0; C];
        let mut at = head;
        for (value, kind) in row.iter_mut().zip(types) {
            let length = usize::from(*LENGTHS.get(usize::from(*kind))?);
            *value = match kind {
                1..=6 => match rest.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
                    // Eight octets are there: those behind the number are shifted out, its sign is kept.
                    Some(eight) if at + length <= record.len() => i64::from_be_bytes(*eight) >> (64 - 8 * length),
                    _ => {
                        let octets = record.get(at..at + length)?;
                        let sign = if octets[0] < 0x80 { 0 } else { -1 };
                        octets.iter().fold(sign, |value, octet| value << 8 | i64::from(*octet))
                    }
                },
                8 => 0,
                9 => 1,
                // NULL, or kept for the future.
                _ => return None,
            };
            at += length;
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::params;

    use super::*;
    use crate::sqlite::schema;

    type Row = [i64; 10];

    fn opened() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().expect("a folder");
        let conn = schema::open_writer(&dir.path().join("store.db"), true).expect("opened");
        (dir, conn)
    }

    fn fill(conn: &Connection, rows: &[Row]) {
        let sql = "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let mut insert = conn.prepare_cached(sql).expect("prepared");
        for row in rows {
            insert.execute(*row).expect("inserted");
        }
    }

    fn by_sql(conn: &Connection, first: Key, last: Key) -> Vec<Row> {
        let sql = "SELECT * FROM message
                   WHERE (mailbox, folder, uid) >= (?1, ?2, ?3) AND (mailbox, folder, uid) <= (?4, ?5, ?6)
                   ORDER BY mailbox, folder, uid";
        let mut select = conn.prepare(sql).expect("prepared");
        let [a, b, c] = first;
        let [d, e, f] = last;
        let rows = select.query_map(params![a, b, c, d, e, f], |row| {
            let mut all = [0; 10];
            for (n, value) in all.iter_mut().enumerate() {
                *value = row.get(n)?;
            }
            Ok(all)
        });
        rows.expect("asked").map(|row| row.expect("read")).collect()
    }

    fn in_a_moment<T>(conn: &Connection, read: impl FnOnce() -> T) -> T {
        let moment = conn.unchecked_transaction().expect("begun");
        let done = read();
        moment.rollback().expect("ended");
        done
    }

    /// Numbers of every length, and those that have no octet.
    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            Just(0),
            Just(1),
            -200..200i64,
            -70_000..70_000i64,
            -20_000_000..20_000_000i64,
            any::<i32>().prop_map(i64::from),
            -(1i64 << 48)..1i64 << 48,
            any::<i64>(),
        ]
    }

    fn row() -> impl Strategy<Value = Row> {
        let key = (prop_oneof![1..4i64, number()], 1..4i64, prop_oneof![4 => 1..3000i64, 1 => 1..i64::from(u32::MAX)]);
        let others = proptest::array::uniform7(number());
        (key, others).prop_map(|((a, b, c), [d, e, f, g, h, i, j])| [a, b, c, d, e, f, g, h, i, j])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whatever the table holds, in however many pages: what SQL says.
        #[test]
        fn pages_say_what_sql_says(
            rows in proptest::collection::vec(row(), 0..1500),
            gone in proptest::collection::vec((1..4i64, 1..4i64, 1..3000i64), 0..300),
            first in (0..4i64, 0..4i64, 0..3000i64),
            last in (0..5i64, 0..5i64, 0..3000i64),
        ) {
            let (_dir, conn) = opened();
            let moment = conn.unchecked_transaction().expect("begun");
            fill(&conn, &rows);
            for (mailbox, folder, uid) in gone {
                conn.prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid = ?3")
                    .expect("prepared").execute(params![mailbox, folder, uid]).expect("deleted");
            }
            moment.commit().expect("committed");
            let (first, last) = ([first.0, first.1, first.2], [last.0, last.1, last.2]);
            let ranges = [(first, last), ([i64::MIN; 3], [i64::MAX; 3]), ([1, 1, 0], [1, 1, i64::MAX])];
            for (first, last) in ranges {
                let found = in_a_moment(&conn, || super::rows(&conn, first, last, Some::<Row>)).expect("there");
                prop_assert_eq!(found, by_sql(&conn, first, last));
            }
        }

        /// Whatever a page holds, nothing outside of it is looked at.
        #[test]
        fn any_page_is_read_or_refused(mut octets in proptest::collection::vec(any::<u8>(), 0..600), leaf: bool) {
            if let Some(kind) = octets.first_mut() {
                *kind = if leaf { LEAF } else { INTERIOR };
            }
            if let Some(page) = Page::parse(&octets) {
                for cell in 0..page.cells.min(40) {
                    let _ = (page.row::<10>(cell), page.below(cell));
                }
            }
        }
    }

    /// Pages in the log, not in the file yet; a change that is not committed yet; a second reader.
    #[test]
    fn what_the_transaction_sees_is_read() {
        let (dir, conn) = opened();
        let all = ([1, 1, 0], [1, 1, i64::MAX]);
        let rows: Vec<Row> = (1..5000).map(|uid| [1, 1, uid, 2000, 3, uid, 1_790_000_000, uid, 7, 9]).collect();
        let reader = schema::open_reader(&dir.path().join("store.db")).expect("opened");
        let moment = conn.unchecked_transaction().expect("begun");
        fill(&conn, &rows);
        assert_eq!(super::rows(&conn, all.0, all.1, Some::<Row>).expect("read"), rows);
        let before = in_a_moment(&reader, || super::rows(&reader, all.0, all.1, Some::<Row>)).expect("read");
        assert!(before.is_empty());
        moment.commit().expect("committed");
        let seen = in_a_moment(&reader, || super::rows(&reader, all.0, all.1, Some::<Row>));
        assert_eq!(seen.expect("read"), rows);
        // Without a transaction, nothing holds the pages together.
        assert!(super::rows(&reader, all.0, all.1, Some::<Row>).is_none());
        // What is made of a row may refuse it.
        let refused =
            in_a_moment(&reader, || super::rows(&reader, all.0, all.1, |row: Row| (row[2] < 4000).then_some(())));
        assert!(refused.is_none());
    }

    /// What no row of this program is, is left to SQL.
    #[test]
    fn other_rows_are_refused() {
        let blob = |row: &str| {
            let (_dir, conn) = opened();
            conn.execute(&format!("INSERT INTO message VALUES ({row})"), []).expect("inserted");
            in_a_moment(&conn, || super::rows(&conn, [1, 1, 0], [1, 1, 99], Some::<Row>))
        };
        assert_eq!(blob("1, 1, 1, 2, 3, 4, 5, 6, 7, 8").map(|rows| rows.len()), Some(1));
        for odd in ["x'00'", "'text'", "1.5", &format!("x'{}'", "00".repeat(5000))] {
            assert_eq!(blob(&format!("1, 1, 1, 2, 3, 4, 5, 6, 7, {odd}")), None, "{odd}");
        }
    }
}
