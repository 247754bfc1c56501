//! The writer's way to SQLite's write-ahead log: the frames of a commit go to the file in one call, where SQLite makes two for each page.
//!
//! A file system of SQLite's (VFS) that is the system's own but for one kind of file, the log: what is written to it is kept until the last page
//! of a commit (its frame says so, <https://www.sqlite.org/fileformat2.html> §4.1) or until anything else is asked of the file.
//!
//! Invariants: SQLite shows a commit to readers after its last page was written, and by then all of it is in the file; what is
//! kept is always one run of octets; whatever is not the head of a frame that is new, or the page behind it, goes to the file
//! at once: also heads that are written again, because pages went to the log before their commit and one of them changed. So the
//! file has, whenever anybody may look, what it would have without this.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_OK, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::schema::PAGE_SIZE;

/// Octets of a frame's head, and of the file's.
const FRAME: usize = 24;
const TITLE: i64 = 32;
/// Octets kept at the most, thirty frames: a commit of more goes in several calls. SQLite's own file system takes less than 128 KiB in one.
const KEPT: usize = 30 * (FRAME + PAGE_SIZE as usize);

const NAME: &CStr = c"vaguemestre-log";

/// The log's file, as SQLite holds it; the system's own follows it in memory.
#[repr(C)]
struct Frames {
    methods: *const sqlite3_io_methods,
    waiting: *mut Waiting,
}

/// What is kept.
#[derive(Default)]
struct Waiting {
    octets: Vec<u8>,
    /// Where in the file it belongs.
    at: i64,
    /// Where the page of a frame is due, whose head came last.
    page: Option<i64>,
    /// That frame is the last of a commit.
    commit: bool,
    /// Behind all frames that were written since the log began anew; zero until then.
    end: i64,
}

static BASE: OnceLock<Option<Base>> = OnceLock::new();

/// The system's own file system.
struct Base(*mut sqlite3_vfs);
// SAFETY: SQLite lets any thread use a file system that is registered, and this one stays so.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

/// The name to open the writer with; `None` where there is no such file system: SQLite's own will do.
pub(super) fn name() -> Option<&'static CStr> {
    BASE.get_or_init(register).is_some().then_some(NAME)
}

fn register() -> Option<Base> {
    // SAFETY: the default file system lives as long as the process; the copy has its functions, which take it as an argument only to find what
    // `pAppData` names, which is copied too. The copy is never freed, and is registered once.
    unsafe {
        let base = sqlite3_vfs_find(ptr::null());
        let mut ours = *base.as_ref()?;
        ours.szOsFile += c_int::try_from(size_of::<Frames>()).ok()?;
        ours.zName = NAME.as_ptr();
        ours.pNext = ptr::null_mut();
        ours.xOpen = Some(open);
        (sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 0) == SQLITE_OK).then_some(Base(base))
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // The log is neither mapped nor has it locks of its own: those are of later versions.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// The system's own file.
///
/// # Safety
/// `file` is one that [`open`] opened as a log.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: it lies right behind, in the memory that `szOsFile` asked for.
    unsafe { file.cast::<Frames>().add(1).cast() }
}

/// Calls a function of the system's own file. The functions of version 1 are all there.
macro_rules! pass {
    ($file:expr, $function:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        match (*(*inner).pMethods).$function {
            Some(function) => function(inner $(, $argument)*),
            None => SQLITE_CANTOPEN,
        }
    }};
}

/// Writes what is kept to the file.
///
/// # Safety
/// As [`inner`].
unsafe fn flush(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open log has what it keeps, which only its connection's thread looks at.
    unsafe {
        let waiting = &mut *(*file.cast::<Frames>()).waiting;
        if waiting.octets.is_empty() {
            return SQLITE_OK;
        }
        // It is at most what is kept, and a page.
        let length = waiting.octets.len() as c_int;
        let code = pass!(file, xWrite, waiting.octets.as_ptr().cast(), length, waiting.at);
        // What could not be written, SQLite is told of; the commit it was of is none.
        waiting.octets.clear();
        code
    }
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let Some(Some(Base(base))) = BASE.get() else { return SQLITE_CANTOPEN };
    // SAFETY: SQLite gives memory of `szOsFile` octets, zeroed, and arguments for the system's own function.
    unsafe {
        let Some(opens) = (**base).xOpen else { return SQLITE_CANTOPEN };
        if flags & SQLITE_OPEN_WAL == 0 {
            return opens(*base, name, file, flags, out);
        }
        let code = opens(*base, name, inner(file), flags, out);
        // Without methods, SQLite takes it for not opened.
        let methods = if code == SQLITE_OK { &raw const METHODS } else { ptr::null() };
        let waiting = if code == SQLITE_OK { Box::into_raw(Box::default()) } else { ptr::null_mut() };
        file.cast::<Frames>().write(Frames { methods, waiting });
        code
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open log; SQLite closes it once and then forgets it.
    unsafe {
        let flushed = flush(file);
        drop(Box::from_raw((*file.cast::<Frames>()).waiting));
        let closed = pass!(file, xClose);
        if closed == SQLITE_OK { flushed } else { closed }
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, octets: *const c_void, length: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: an open log, which only its connection's thread uses; SQLite says that there are so many octets.
    unsafe {
        let waiting = &mut *(*file.cast::<Frames>()).waiting;
        let given = std::slice::from_raw_parts(octets.cast::<u8>(), usize::try_from(length).unwrap_or(0));
        let whole = FRAME as i64 + i64::from(PAGE_SIZE);
        let is_head = given.len() == FRAME && at >= TITLE.max(waiting.end) && (at - TITLE) % whole == 0;
        let is_page = given.len() == PAGE_SIZE as usize && waiting.page == Some(at);
        let follows = waiting.at + waiting.octets.len() as i64 == at;
        waiting.page = None;
        let end = at + given.len() as i64;
        waiting.end = if at < TITLE { end } else { waiting.end.max(end) };
        if !waiting.octets.is_empty() && !(follows && (is_head || is_page)) {
            let code = flush(file);
            if code != SQLITE_OK {
                return code;
            }
        }
        if !is_head && !is_page {
            return pass!(file, xWrite, octets, length, at);
        }
        let waiting = &mut *(*file.cast::<Frames>()).waiting;
        if waiting.octets.is_empty() {
            waiting.at = at;
        }
        waiting.octets.extend_from_slice(given);
        if is_head {
            waiting.page = Some(at + FRAME as i64);
            // The size of the database after the commit, in the last frame of one.
            waiting.commit = given[4..8] != [0; 4];
            SQLITE_OK
        } else if waiting.commit || waiting.octets.len() >= KEPT {
            flush(file)
        } else {
            SQLITE_OK
        }
    }
}

/// Whatever is asked sees all that was written.
macro_rules! after_flush {
    ($name:ident, $function:ident $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: an open log, and arguments for the system's own function.
            unsafe {
                match flush(file) {
                    SQLITE_OK => pass!(file, $function $(, $argument)*),
                    code => code,
                }
            }
        }
    };
}

after_flush!(read, xRead, octets: *mut c_void, length: c_int, at: sqlite3_int64);
after_flush!(truncate, xTruncate, size: sqlite3_int64);
after_flush!(sync, xSync, flags: c_int);
after_flush!(file_size, xFileSize, size: *mut sqlite3_int64);
after_flush!(lock, xLock, how: c_int);
after_flush!(unlock, xUnlock, how: c_int);
after_flush!(check_reserved_lock, xCheckReservedLock, held: *mut c_int);
after_flush!(file_control, xFileControl, what: c_int, argument: *mut c_void);

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open log.
    unsafe { pass!(file, xSectorSize) }
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open log.
    unsafe { pass!(file, xDeviceCharacteristics) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::{Connection, OpenFlags, params};

    use super::super::schema;

    #[derive(Clone, Debug)]
    enum Step {
        /// Rows, and octets of each.
        Insert(u8, u16),
        Delete(u8),
        Savepoint,
        Back,
        Commit,
        Rollback,
        Checkpoint,
        /// Durable or not, from the next commit on.
        Synced(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (1..60u8, 1..9000u16).prop_map(|(rows, octets)| Step::Insert(rows, octets)),
            2 => any::<u8>().prop_map(Step::Delete),
            1 => Just(Step::Savepoint),
            1 => Just(Step::Back),
            6 => Just(Step::Commit),
            1 => Just(Step::Rollback),
            1 => Just(Step::Checkpoint),
            1 => any::<bool>().prop_map(Step::Synced),
        ]
    }

    fn sum(conn: &Connection) -> (i64, i64) {
        conn.query_row("SELECT count(*), ifnull(sum(length(octets)), 0) FROM t", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("read")
    }

    /// A page that went to the log before its commit changes, so its frame's head and all behind it are written again: the last of them has no page
    /// behind it that would send it to the file.
    #[test]
    fn heads_written_again_are_in_the_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store.db");
        let conn = schema::open_writer(&path, false).expect("opened");
        conn.execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, octets BLOB NOT NULL); PRAGMA cache_size = 12; PRAGMA synchronous = NORMAL; \
             CREATE TABLE first (n INTEGER); INSERT INTO first VALUES (0)",
        )
        .expect("made");
        for round in 1..=6 {
            conn.execute_batch("BEGIN IMMEDIATE; UPDATE first SET n = -1").expect("begun");
            for _ in 0..40 * round {
                conn.execute("INSERT INTO t (octets) VALUES (randomblob(3000))", []).expect("inserted");
            }
            conn.execute("UPDATE first SET n = ?1", [round]).expect("changed again");
            conn.execute_batch("COMMIT").expect("committed");
            let copy = tempfile::tempdir().expect("a folder");
            for name in ["store.db", "store.db-wal"] {
                std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
            }
            let again = Connection::open(copy.path().join("store.db")).expect("opened");
            let found: i64 = again.query_row("SELECT n FROM first", [], |row| row.get(0)).expect("read");
            assert_eq!(found, round, "the commit is not whole in the files");
            assert_eq!(sum(&again), sum(&conn));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Whoever reads by the system's own file system sees every commit, whole, and nothing else: also of transactions that are larger
        /// than the cache, so that pages go to the log before their commit.
        #[test]
        fn others_see_each_commit(steps in proptest::collection::vec(step(), 1..40)) {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("store.db");
            let conn = schema::open_writer(&path, false).expect("opened");
            prop_assert!(super::name().is_some());
            conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, octets BLOB NOT NULL); PRAGMA cache_size = 12")
                .expect("made");
            let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened");
            let mut committed = sum(&reader);
            conn.execute_batch("BEGIN IMMEDIATE; SAVEPOINT s").expect("begun");
            for step in steps {
                match step {
                    Step::Insert(rows, octets) => {
                        for _ in 0..rows {
                            conn.execute("INSERT INTO t (octets) VALUES (randomblob(?1))", [octets]).expect("inserted");
                        }
                    }
                    Step::Delete(some) => {
                        conn.execute("DELETE FROM t WHERE id % 7 = ?1", params![some % 7]).expect("deleted");
                    }
                    Step::Savepoint => conn.execute_batch("RELEASE s; SAVEPOINT s").expect("kept"),
                    Step::Back => conn.execute_batch("ROLLBACK TO s").expect("back"),
                    Step::Commit => {
                        let wanted = sum(&conn);
                        conn.execute_batch("COMMIT").expect("committed");
                        committed = wanted;
                        prop_assert_eq!(sum(&reader), committed);
                        conn.execute_batch("BEGIN IMMEDIATE; SAVEPOINT s").expect("begun");
                    }
                    Step::Rollback => conn.execute_batch("ROLLBACK; BEGIN IMMEDIATE; SAVEPOINT s").expect("begun"),
                    Step::Checkpoint => {
                        conn.execute_batch("COMMIT").expect("committed");
                        committed = sum(&conn);
                        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("emptied");
                        conn.execute_batch("BEGIN IMMEDIATE; SAVEPOINT s").expect("begun");
                    }
                    Step::Synced(synced) => {
                        conn.execute_batch("COMMIT").expect("committed");
                        committed = sum(&conn);
                        conn.pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" }).expect("set");
                        conn.execute_batch("BEGIN IMMEDIATE; SAVEPOINT s").expect("begun");
                    }
                }
                prop_assert_eq!(sum(&reader), committed);
            }
            // As after a kill: another copy of both files, opened anew.
            let copy = tempfile::tempdir().expect("a folder");
            for name in ["store.db", "store.db-wal"] {
                std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
            }
            let again = Connection::open(copy.path().join("store.db")).expect("opened");
            prop_assert_eq!(sum(&again), committed);
            let whole: String = again.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
            prop_assert_eq!(whole, "ok");
        }
    }
}
