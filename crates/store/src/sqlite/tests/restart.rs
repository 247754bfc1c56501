//! What a start makes of an odd end of the log, of a database older than it, and of a server of another version.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::super::record::Whole;
use super::super::segment::{Segments, Walk};
use super::super::{DATABASE, Options, Sqlite};
use super::power::{copy, log_length, shorten};
use crate::contract::*;
use crate::*;

fn open(data: &Path) -> Tested {
    Arc::new(Sqlite::open(data).expect("opened"))
}

async fn reopen(store: Tested, data: &Path) -> Tested {
    store.close().await;
    drop(store);
    open(data)
}

/// The last segment, its records and where they begin, and its length.
fn records(data: &Path) -> (PathBuf, Vec<(u64, Whole)>, u64) {
    let segments = Segments::open(data.join("segments")).expect("opened");
    let last = *segments.numbers().expect("listed").last().expect("a segment");
    let mut walk = Walk::start(&segments, last, 0).expect("read").expect("there");
    let mut all = Vec::new();
    while let Some(record) = walk.next().expect("read") {
        all.push(record);
    }
    (segments.path(last), all, walk.offset)
}

fn overwrite(path: &Path, at: u64, octets: &[u8]) {
    use std::os::unix::fs::FileExt;
    std::fs::File::options().write(true).open(path).expect("opened").write_all_at(octets, at).expect("written");
}

/// Blocks reach a disk in any order: the first batch since a start has its second record and not its first.
#[tokio::test]
async fn the_first_batch_since_a_start_may_be_torn_anywhere() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    for text in ["one", "two", "three"] {
        put(&store, one, "INBOX", text).await;
    }
    let store = reopen(store, &data).await;
    let (log, (_, before, end)) = (log_length(&data), records(&data));
    store.commit(delivery("torn", vec![to(one, "INBOX"), to(two, "INBOX")])).await.expect("committed");
    let copied = dir.path().join("copy");
    copy(&data, &copied);
    shorten(&copied.join("store.db-wal"), log);
    overwrite(&records(&copied).0, end, &[0; 64]);
    let again = open(&copied);
    assert_eq!(entries(&again, one, "INBOX").await.len(), before.len());
    assert_eq!(put(&again, one, "INBOX", "after").await.0, before.len() as u32 + 1);
    again.close().await;
    // The same followed by a batch is no end: the torn one was synced before.
    put(&store, one, "INBOX", "acknowledged").await;
    let copied = dir.path().join("other");
    copy(&data, &copied);
    shorten(&copied.join("store.db-wal"), log);
    overwrite(&records(&data).0.strip_prefix(&data).map(|path| copied.join(path)).expect("inside"), end, &[0; 64]);
    assert!(matches!(Sqlite::open(&copied), Err(StoreError::Unusable(_))));
}

/// A power cut in the middle of compaction: the copies that reached the disk are cut, though what they are copies of is indexed.
#[tokio::test]
async fn a_torn_compaction_is_cut() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    for text in ["one", "two"] {
        put(&store, one, "INBOX", text).await;
    }
    store.close().await;
    drop(store);
    let (path, all, end) = records(&data);
    let mut record = all[1].1.copy();
    record.finish(all[1].1.head.batch + 1, 1, 2, false);
    overwrite(&path, end + 1000, &record.octets);
    let store = reopen(open(&data), &data).await;
    assert_eq!(std::fs::metadata(&path).expect("there").len(), end, "no gap stays");
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(octets(&store, one, &found[1]).await, "two");
    store.close().await;
    drop(store);
    // Unless its commit was made: then something before it is damaged, and nothing is cut.
    let conn = Connection::open(data.join(DATABASE)).expect("opened");
    overwrite(&path, end + 1000, &record.octets);
    conn.execute("UPDATE body SET place = ?1 WHERE id = 2", [end as i64 + 1000]).expect("done");
    drop(conn);
    let store = open(&data);
    assert_eq!(octets(&store, one, &found[1]).await, "two");
}

/// Nothing acknowledged is cut from a log because the database was brought back from an older copy.
#[tokio::test]
async fn an_old_database_takes_nothing_from_the_log() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put(&store, one, "INBOX", "a").await;
    put(&store, one, "INBOX", "b").await;
    store.close().await;
    drop(store);
    let old = dir.path().join("old.db");
    std::fs::copy(data.join(DATABASE), &old).expect("copied");
    // A start that reads nothing of the log, then mail.
    let store = reopen(open(&data), &data).await;
    put(&store, one, "INBOX", "c").await;
    put(&store, one, "INBOX", "d").await;
    store.close().await;
    drop(store);
    let (path, _, end) = records(&data);
    let copied = dir.path().join("copy");
    copy(&data, &copied);
    std::fs::copy(&old, copied.join(DATABASE)).expect("copied");
    let again = open(&copied);
    let found = entries(&again, one, "INBOX").await;
    assert_eq!(found.len(), 4);
    assert_eq!(octets(&again, one, &found[3]).await, "d");
    again.close().await;
    drop(again);
    // What was committed otherwise in between cannot be brought back by a start.
    let store = open(&data);
    let inbox = folder(&store, one, "INBOX").await.id;
    let by = delivery("b again", vec![to(one, "INBOX")]);
    store.replace(one, inbox, mail::Uid(2), by).await.expect("replaced").expect("there");
    put(&store, two, "INBOX", "e").await;
    store.close().await;
    drop(store);
    assert!(records(&data).2 > end);
    let (_, _, end) = records(&data);
    std::fs::copy(&old, data.join(DATABASE)).expect("copied");
    assert!(matches!(Sqlite::open(&data), Err(StoreError::Unusable(_))));
    assert_eq!(std::fs::metadata(&path).expect("there").len(), end);
    // fsck does.
    Sqlite::fsck(&data, true, Options::default()).expect("looked over");
    let store = open(&data);
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(octets(&store, one, found.last().expect("there")).await, "b again");
    assert_eq!(entries(&store, two, "INBOX").await.len(), 1);
}

/// What the log cannot apply again is not half applied: a repair brings it back.
#[tokio::test]
async fn a_repair_brings_back_what_does_not_follow() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    put(&store, one, "INBOX", "a").await;
    store.close().await;
    drop(store);
    let old = dir.path().join("old.db");
    std::fs::copy(data.join(DATABASE), &old).expect("copied");
    let store = open(&data);
    let change = FlagChange {
        uids: vec![mail::Uid(1)],
        how: FlagOperation::Add,
        flags: mail::Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.set_flags(one, folder(&store, one, "INBOX").await.id, change).await.expect("set");
    put(&store, one, "INBOX", "b").await;
    put(&store, one, "INBOX", "c").await;
    store.close().await;
    drop(store);
    std::fs::copy(&old, data.join(DATABASE)).expect("copied");
    assert!(matches!(Sqlite::open(&data), Err(StoreError::Unusable(_))));
    Sqlite::fsck(&data, true, Options::default()).expect("looked over");
    let store = open(&data);
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(found.len(), 3);
    for (entry, text) in found.iter().zip(["a", "b", "c"]) {
        assert_eq!(octets(&store, one, entry).await, text);
    }
    store.close().await;
    drop(store);
    assert!(Sqlite::fsck(&data, false, Options::default()).expect("looked over").clean());
}

/// What is damaged at the end of the log and indexed is not cut: its message may be whole.
#[tokio::test]
async fn an_indexed_end_is_not_cut() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    put(&store, one, "INBOX", "a").await;
    put(&store, one, "INBOX", "b").await;
    let store = {
        store.close().await;
        drop(store);
        let (path, _, end) = records(&data);
        // In the facts.
        overwrite(&path, end - 5, &[0xff; 5]);
        open(&data)
    };
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(octets(&store, one, &found[1]).await, "b");
    put(&store, one, "INBOX", "c").await;
    let found = entries(&store, one, "INBOX").await;
    for (entry, text) in found.iter().zip(["a", "b", "c"]) {
        assert_eq!(octets(&store, one, entry).await, text);
    }
}

/// Segments older than the database are told, not filled up with zeros.
#[tokio::test]
async fn a_log_that_is_too_short_is_told() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    put(&store, one, "INBOX", "a").await;
    let store = reopen(store, &data).await;
    store.close().await;
    drop(store);
    let (path, _, end) = records(&data);
    shorten(&path, end - 10);
    assert!(matches!(Sqlite::open(&data), Err(StoreError::Unusable(_))));
    assert_eq!(std::fs::metadata(&path).expect("there").len(), end - 10);
}

/// The command line of a new version does not bring tables up to date under a server of the earlier one.
#[tokio::test]
async fn tables_are_not_changed_under_a_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.tar.gz");
    let tar = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(tar.expect("tar is there").success());
    let server = super::super::lock(dir.path()).expect("free");
    assert!(matches!(Sqlite::open_admin(dir.path()), Err(StoreError::Unusable(_))));
    drop(server);
    drop(Sqlite::open_admin(dir.path()).expect("nobody uses it"));
    let _server = super::super::lock(dir.path()).expect("free again");
    drop(Sqlite::open_admin(dir.path()).expect("beside a server of this version"));
}

/// A burst, a rest, a burst: the second finds a segment made ready. A crash may come while it is ready, and after it was begun.
#[tokio::test]
async fn a_segment_made_ready_is_a_segment_like_others() {
    use std::os::unix::fs::MetadataExt;
    // Small enough to be made ready for, and large: the segment of 64 MiB is soon full.
    const MESSAGE: usize = 200_000;
    const BURST: usize = 300;
    let text = |number: usize| format!("{number} {}", "x".repeat(MESSAGE));
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let mailbox = made(&store, 1).await;
    let burst = async |store: &Tested, from: usize| {
        for number in from..from + BURST {
            put(store, mailbox, "INBOX", text(number)).await;
        }
    };
    let check = async |store: &Tested, count: usize| {
        let all = entries(store, mailbox, "INBOX").await;
        assert_eq!(all.len(), count);
        for (number, entry) in all.iter().enumerate() {
            assert_eq!(octets(store, mailbox, entry).await, text(number));
        }
    };
    burst(&store, 0).await;
    let spare = data.join("segments/next");
    let begun = std::time::Instant::now();
    let ready = loop {
        match std::fs::metadata(&spare) {
            Ok(file) if file.len() > 40 * 1024 * 1024 => break file.ino(),
            _ => assert!(begun.elapsed().as_secs() < 60, "no spare; is there a GiB free in {}?", data.display()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let crashed = dir.path().join("ready");
    copy(&data, &crashed);
    let again = open(&crashed);
    assert!(!crashed.join("segments/next").exists());
    check(&again, BURST).await;
    again.close().await;
    burst(&store, BURST).await;
    assert!(!spare.exists());
    assert_eq!(std::fs::metadata(data.join("segments/00000002.seg")).expect("there").ino(), ready);
    let crashed = dir.path().join("begun");
    copy(&data, &crashed);
    let again = open(&crashed);
    check(&again, 2 * BURST).await;
    put(&again, mailbox, "INBOX", "after").await;
    again.close().await;
    check(&store, 2 * BURST).await;
    store.close().await;
}
