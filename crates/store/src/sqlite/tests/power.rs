//! Power cuts: what was written and not synced is gone, wholly or in part.
//!
//! A cut is played by copying the data folder of a store at rest and shortening, or spoiling, in the copy what no sync covers: the
//! end of the database's log since the last commit that synced it, and the segments behind the last batch.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::Sqlite;
use super::super::segment::{Segments, Walk};
use super::model::{Op, op, picture, run, runtime};
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::*;

/// Copies a data folder without what only lives with a process.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name");
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !path.to_string_lossy().ends_with("-shm") {
            std::fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

pub(super) fn log_length(data: &Path) -> u64 {
    std::fs::metadata(data.join("store.db-wal")).map_or(0, |file| file.len())
}

pub(super) fn shorten(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).expect("opened").set_len(length).expect("cut");
}

/// The last segment and where its records end.
fn last_segment(data: &Path) -> (std::path::PathBuf, u64) {
    let segments = Segments::open(data.join("segments")).expect("opened");
    let last = segments.numbers().expect("readable").pop().expect("a segment");
    let mut walk = Walk::start(&segments, last, 0).expect("readable").expect("there");
    while walk.next().expect("readable").is_some() {}
    (segments.path(last), walk.offset)
}

fn open(data: &Path) -> Tested {
    Arc::new(Sqlite::open(data).expect("opened after the cut"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Whatever was done and wherever the database's log is cut behind its last sync, everything is as it was: same UIDs, MODSEQs,
    /// conversations, flags, texts, queue.
    #[test]
    fn nothing_acknowledged_is_lost_by_a_power_cut(
        ops in proptest::collection::vec(op(), 1..30),
        more in proptest::collection::vec(op(), 1..12),
        cuts in proptest::collection::vec((0.0..1.0f64, any::<bool>()), 1..4),
    ) {
        runtime().block_on(async {
            let (store, dir) = super::make();
            let data = dir.path().join("data");
            let boxes = [made(&store, 1).await, made(&store, 2).await];
            let (mut kept, mut synced) = (Vec::new(), log_length(&data));
            // First anything, then mostly what is only logged.
            let last = more.into_iter().filter(|op| matches!(op, Op::Deliver { .. }));
            for op in ops.into_iter().chain(last) {
                let before = log_length(&data);
                run(&store, &boxes, &op, &mut kept).await;
                let after = log_length(&data);
                if after > before && !matches!(op, Op::Deliver { .. }) {
                    synced = after;
                }
            }
            let (length, wanted) = (log_length(&data), picture(&store, &boxes).await);
            for (n, (cut, spoil)) in cuts.into_iter().enumerate() {
                let copied = dir.path().join(n.to_string());
                copy(&data, &copied);
                let at = synced + ((length - synced) as f64 * cut) as u64;
                let log = copied.join("store.db-wal");
                if spoil {
                    // Some later block did reach the disk, this one did not.
                    let mut octets = std::fs::read(&log).expect("read");
                    let end = octets.len().min(at as usize + 512);
                    octets[at as usize..end].fill(0);
                    std::fs::write(&log, octets).expect("written");
                } else {
                    shorten(&log, at);
                }
                let again = open(&copied);
                assert_eq!(picture(&again, &boxes).await, wanted);
                // And once more, with nothing left to bring back.
                again.close().await;
                drop(again);
                let again = open(&copied);
                assert_eq!(picture(&again, &boxes).await, wanted);
                again.set_quota(boxes[0], Quota::default()).await.expect("set");
                put(&again, boxes[0], "INBOX", "it goes on").await;
            }
        });
    }
}

/// The last batch is torn at every octet: it is there whole or not at all, and what was before it always is.
#[tokio::test]
async fn a_torn_end_is_cut() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put(&store, one, "INBOX", "before").await;
    let (_, before) = last_segment(&data);
    let log = log_length(&data);
    // Two records of one request.
    let entry = super::model::entry();
    let commit = Commit { enqueue: Some(entry), ..delivery("last", vec![to(one, "INBOX"), to(two, "Sent")]) };
    store.commit(commit).await.expect("committed");
    let (_, after) = last_segment(&data);
    assert!(after > before + 300);
    let copied = dir.path().join("copy");
    let whole = std::fs::read(last_segment(&data).0).expect("read");
    let cuts: Vec<u64> = (before..=after).step_by(23).chain([after - 1, after]).collect();
    // What did not reach the disk is missing, or it is the zeros that were prewritten there.
    for (length, zeros) in cuts.iter().flat_map(|length| [(*length, 0), (*length, 300_000)]) {
        let _ = std::fs::remove_dir_all(&copied);
        copy(&data, &copied);
        shorten(&copied.join("store.db-wal"), log);
        let segment = last_segment(&copied).0;
        shorten(&segment, length);
        shorten(&segment, length + zeros);
        let again = open(&copied);
        let lost = &whole[length as usize..after as usize];
        let there = usize::from(lost.is_empty() || (zeros > 0 && lost.iter().all(|octet| *octet == 0)));
        let found = entries(&again, one, "INBOX").await;
        assert_eq!(found.len(), 1 + there, "cut at {length}");
        assert_eq!(octets(&again, one, &found[0]).await, "before");
        assert_eq!(entries(&again, two, "Sent").await.len(), there);
        assert_eq!(again.queue().await.expect("read").len(), there);
        assert_eq!(put(&again, one, "INBOX", "after").await.0, 2 + there as u32);
        again.close().await;
    }
}

/// What recognises a message that waits in the queue comes back from the log with it, and is forgotten when it is given up (ADR 3).
#[tokio::test]
async fn what_was_given_up_after_a_power_cut_is_sent_again() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    let once = |at: i64| Commit {
        duplicate_key: Some([7; 16]),
        enqueue: Some(NewQueueEntry { sender: Some(one), accepted_at: at, ..super::model::entry() }),
        ..delivery("once", Vec::new())
    };
    let log = log_length(&data);
    assert_eq!(store.commit(once(NOW)).await.expect("queued").queued, Some(QueueId(1)));
    // Power goes: the database has nothing of it.
    let cut = dir.path().join("cut");
    copy(&data, &cut);
    shorten(&cut.join("store.db-wal"), log);
    let again = open(&cut);
    assert_eq!(again.commit(once(NOW + 1)).await.expect("answered").queued, None, "it is under way");
    let failed = |entry, n| Commit {
        settle: Some(Settlement { entry, recipients: vec![(n, Outcome::Failed)] }),
        ..Commit::default()
    };
    again.commit(failed(QueueId(1), 1)).await.expect("settled");
    assert_eq!(again.commit(once(NOW + 2)).await.expect("queued").queued, Some(QueueId(2)));
    // Once more, and again the database has nothing of the second either: it follows the first's end.
    again.close().await;
    drop(again);
    let again = open(&cut);
    let log = log_length(&cut);
    again.commit(failed(QueueId(2), 0)).await.expect("settled");
    let synced = log_length(&cut);
    assert!(synced > log, "an end is synced");
    assert_eq!(again.commit(once(NOW + 3)).await.expect("queued").queued, Some(QueueId(3)));
    let third = dir.path().join("third");
    copy(&cut, &third);
    shorten(&third.join("store.db-wal"), synced);
    let again = open(&third);
    let open: Vec<_> = again.queue().await.expect("read").iter().map(|e| (e.id.0, e.recipients.len())).collect();
    assert_eq!(open, [(1, 1), (3, 1)]);
    assert_eq!(again.commit(once(NOW + 4)).await.expect("answered").queued, None);
}

/// Damage before acknowledged mail that only the log has is told, not cut.
#[tokio::test]
async fn damage_in_the_middle_is_no_end() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let one = made(&store, 1).await;
    let log = log_length(&data);
    let (_, start) = last_segment(&data);
    for text in ["one", "two", "three"] {
        put(&store, one, "INBOX", text).await;
    }
    let copied = dir.path().join("copy");
    copy(&data, &copied);
    shorten(&copied.join("store.db-wal"), log);
    let (path, _) = last_segment(&copied);
    let mut octets = std::fs::read(&path).expect("read");
    octets[start as usize + 100] ^= 1;
    std::fs::write(&path, &octets).expect("written");
    assert!(matches!(Sqlite::open(&copied), Err(StoreError::Unusable(_))));
    // The same, with the database whole: the message says so when it is read, the others are there.
    copy(&data, &copied);
    std::fs::write(&path, &octets).expect("written");
    let again = open(&copied);
    let found = entries(&again, one, "INBOX").await;
    assert!(matches!(again.body(one, found[0].body).await, Err(StoreError::Damaged(_))));
    assert_eq!(self::octets(&again, one, &found[1]).await, "two");
}

/// No octet of a message is on disk in clear, and without its key none can be read.
#[tokio::test]
async fn mail_is_encrypted_and_erased_with_its_key() {
    let (store, dir) = super::make();
    let data = dir.path().join("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    let secret = "secretsecretsecret";
    store
        .commit(Commit {
            enqueue: Some(super::model::entry()),
            ..delivery(secret, vec![to(one, "INBOX"), to(two, "INBOX")])
        })
        .await
        .expect("committed");
    let mut spool = store.spool();
    spool.write(secret.repeat(INLINE_LIMIT / 10).as_bytes()).await.expect("written");
    let body = spool.finish().await.expect("finished");
    let content = Some(Content { body, structure: secret.into(), links: Vec::new() });
    store.commit(Commit { content, deliver: vec![to(one, "INBOX")], ..Commit::default() }).await.expect("committed");
    let (first, derived) = (entries(&store, one, "INBOX").await, store.derived_key(one, "x").await.expect("a key"));
    assert_ne!(derived, store.derived_key(one, "y").await.expect("a key"));
    assert_ne!(derived, store.derived_key(two, "x").await.expect("a key"));
    fn clear(folder: &Path, secret: &[u8]) -> bool {
        std::fs::read_dir(folder).expect("readable").any(|entry| {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                return clear(&path, secret);
            }
            std::fs::read(&path).expect("read").windows(secret.len()).any(|w| w == secret)
        })
    }
    assert!(!clear(&data, secret.as_bytes()), "a message lies on disk in clear");
    // A copy from before the mailbox went, as a backup would have it, with the keys of after.
    let copied = dir.path().join("copy");
    copy(&data, &copied);
    store.delete_mailbox(one).await.expect("deleted");
    assert!(matches!(store.derived_key(one, "x").await, Err(StoreError::NoSuchMailbox)));
    std::fs::copy(data.join("keys/data.keys"), copied.join("keys/data.keys")).expect("copied");
    let again = open(&copied);
    for entry in &first {
        assert!(matches!(again.body(one, entry.body).await, Err(StoreError::NoKey)));
        assert!(matches!(again.structures(one, &[entry.body]).await, Err(StoreError::NoKey)));
    }
    assert!(matches!(again.commit(delivery("x", vec![to(one, "INBOX")])).await, Err(StoreError::NoKey)));
    let other = entries(&again, two, "INBOX").await;
    assert_eq!(octets(&again, two, &other[0]).await, secret, "other mailboxes are not touched");
    again.close().await;
    drop(again);
    // Another master key, no keys at all, no segments: told at the start.
    std::fs::write(copied.join("keys/master.key"), "11".repeat(32)).expect("written");
    assert!(matches!(Sqlite::open(&copied), Err(StoreError::Unusable(_))));
    std::fs::remove_dir_all(copied.join("keys")).expect("removed");
    assert!(matches!(Sqlite::open(&copied), Err(StoreError::Unusable(_))));
    std::fs::remove_dir_all(copied.join("segments")).expect("removed");
    copy(&data.join("keys"), &copied.join("keys"));
    assert!(matches!(Sqlite::open(&copied), Err(StoreError::Unusable(_))));
}
