//! A statement is prepared once, whatever values it is given.

use std::ffi::CStr;
use std::sync::PoisonError;

use mail::Flags;
use rusqlite::{Connection, ffi};

use super::super::Sqlite;
use crate::contract::*;
use crate::*;

/// How often statements of the connection were prepared again.
fn prepared_again(conn: &Connection) -> i32 {
    let mut again = 0;
    // SAFETY: the handle is that of an open connection that nobody else uses meanwhile, and the statements are its own.
    unsafe {
        let mut statement = ffi::sqlite3_next_stmt(conn.handle(), std::ptr::null_mut());
        while !statement.is_null() {
            // A pragma of the file's size is prepared anew by rule.
            if !CStr::from_ptr(ffi::sqlite3_sql(statement)).to_bytes().starts_with(b"PRAGMA") {
                again += ffi::sqlite3_stmt_status(statement, ffi::SQLITE_STMTSTATUS_REPREPARE, 0);
            }
            statement = ffi::sqlite3_next_stmt(conn.handle(), statement);
        }
    }
    again
}

#[tokio::test]
async fn statements_are_prepared_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = std::sync::Arc::new(Sqlite::open(dir.path()).expect("opened"));
    let store: Tested = sqlite.clone();
    for number in 1..=4 {
        let mailbox = made(&store, number).await;
        for text in ["one", "two", "three"] {
            put(&store, mailbox, "INBOX", text).await;
        }
        let inbox = store.folder(mailbox, &name("INBOX")).await.expect("read").expect("there");
        let all = entries(&store, mailbox, "INBOX").await;
        let bodies: Vec<u64> = all.iter().map(|entry| entry.body).collect();
        assert_eq!(store.structures(mailbox, &bodies).await.expect("read").len(), 3);
        assert!(store.bodies(mailbox, &bodies).await.expect("read").iter().all(Option::is_some));
        assert_eq!(store.bodies_after(mailbox, 0, 2).await.expect("read").len(), 2);
        let uids: Vec<_> = all.iter().map(|entry| entry.uid).collect();
        let change = FlagChange {
            uids: uids.clone(),
            how: FlagOperation::Add,
            flags: Flags::DELETED,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        store.set_flags(mailbox, inbox.id, change).await.expect("set");
        store.copy(mailbox, inbox.id, uids, &name("Sent"), NOW).await.expect("copied");
        assert_eq!(store.expunge(mailbox, inbox.id, None).await.expect("expunged").len(), 3);
        store.vanished(mailbox, inbox.id, mail::ModSeq(1)).await.expect("read");
    }
    let writer = sqlite.write(0, |tx| Ok(prepared_again(tx.conn))).await.expect("asked");
    let readers: i32 =
        sqlite.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).iter().map(prepared_again).sum();
    assert_eq!((writer, readers), (0, 0), "statements prepared again by the writer and by the readers");
}
