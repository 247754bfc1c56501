//! Changes of many messages, and what upkeep forgets: beyond what the contract can afford for every engine.

use std::sync::Arc;

use mail::{Flags, ModSeq, Uid};
use rusqlite::{Connection, params};

use super::super::{DATABASE, Sqlite};
use super::make;
use crate::contract::*;
use crate::limits::BULK;
use crate::*;

/// Messages in INBOX, as rows: committing as many would take too long here.
fn fill(path: &std::path::Path, id: MailboxId, count: u32) {
    let mut conn = Connection::open(path).expect("opened");
    let tx = conn.transaction().expect("begun");
    for uid in 1..=count {
        let row = params![id.0 as i64, uid];
        tx.prepare_cached("INSERT INTO message VALUES (?1, 1, ?2, 1, 0, 2, 0, ?2, 0, 0)")
            .and_then(|mut insert| insert.execute(row))
            .expect("inserted");
        tx.prepare_cached("INSERT INTO body (mailbox, id, size, refs, structure) VALUES (?1, ?2, 1, 1, x'00')")
            .and_then(|mut insert| insert.execute(row))
            .expect("inserted");
        tx.prepare_cached("INSERT INTO content VALUES (?1, ?2, x'78')")
            .and_then(|mut insert| insert.execute(row))
            .expect("inserted");
    }
    let row = params![id.0 as i64, count];
    tx.execute("UPDATE folder SET uid_next = ?2 + 1, modseq = 2, messages = ?2 WHERE mailbox = ?1 AND id = 1", row)
        .expect("updated");
    tx.execute("UPDATE mailbox SET octets = ?2, messages = ?2, next_body = ?2 + 1 WHERE id = ?1", row)
        .expect("updated");
    tx.commit().expect("committed");
}

/// More than one commit's worth, with and without somebody looking: all is done, told and remembered.
#[tokio::test]
async fn more_than_one_commit_takes() {
    let count = BULK as u32 + 2000;
    for watched in [false, true] {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        fill(&dir.path().join("data").join(DATABASE), id, count);
        let inbox = FolderId(1);
        let watch = if watched { Some(store.watch(id, inbox).await.expect("watched")) } else { None };
        let all: Vec<Uid> = (1..=count).map(Uid).collect();
        let change = FlagChange {
            uids: all.clone(),
            how: FlagOperation::Add,
            flags: Flags::SEEN,
            keywords: vec!["done".into()],
            unchanged_since: None,
        };
        let set = store.set_flags(id, inbox, change.clone()).await.expect("set");
        assert_eq!(set.now.iter().map(|(uid, ..)| *uid).collect::<Vec<_>>(), all);
        assert!(set.modified.is_empty());
        assert!(set.now.iter().all(|(_, flags, modseq)| flags.contains(Flags::SEEN) && *modseq > ModSeq(2)));
        // Again: nothing changes, and all is told.
        assert_eq!(store.set_flags(id, inbox, change).await.expect("set"), set);
        let odd: Vec<Uid> = all.iter().copied().step_by(2).collect();
        let copied = store.copy(id, inbox, odd.clone(), &name("Archive"), NOW).await.expect("copied");
        assert_eq!(copied.uids.len(), odd.len());
        let moved = store.move_messages(id, inbox, all.clone(), &name("Trash"), NOW).await.expect("moved");
        assert_eq!(moved.uids, all.iter().map(|uid| (*uid, *uid)).collect::<Vec<_>>());
        assert_eq!(store.vanished(id, inbox, ModSeq(0)).await.expect("told").uids, all);
        assert_eq!(watch.as_ref().map(|w| w.borrow().len()), watched.then_some(0));
        let trash = folder(&store, id, "Trash").await.id;
        let change = FlagChange {
            uids: all.clone(),
            how: FlagOperation::Replace,
            flags: Flags::DELETED,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        store.set_flags(id, trash, change).await.expect("set");
        assert_eq!(store.expunge(id, trash, None).await.expect("expunged"), all);
        assert_eq!(now(&store, 1).await.usage, Usage { octets: odd.len() as u64, messages: odd.len() as u64 });
        // What was copied is still there, the others are nobody's at once and gone from the disk in time.
        let left = store.bodies_after(id, 0, usize::MAX).await.expect("read");
        assert_eq!(left, odd.iter().map(|uid| u64::from(uid.0)).collect::<Vec<_>>());
        assert!(store.body(id, 2).await.expect("read").is_none());
        assert_eq!(
            store.structures(id, &[1, 2]).await.expect("read").iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false]
        );
        let archive = entries(&store, id, "Archive").await;
        assert_eq!(octets(&store, id, &archive[odd.len() - 1]).await, "x");
        assert!(archive.iter().all(|e| e.flags.contains(Flags::SEEN)));
        store.close().await;
    }
}

/// A picture that an earlier request of the same commit made old is not used.
#[tokio::test]
async fn changes_in_one_commit_see_each_other() {
    let (store, _dir) = make();
    let id = made(&store, 1).await;
    for _ in 0..50 {
        put(&store, id, "INBOX", "x").await;
    }
    let view = store.watch(id, FolderId(1)).await.expect("watched");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40u32 {
        let store = store.clone();
        tasks.spawn(async move {
            let uids: Vec<Uid> = (1..=50).filter(|uid| uid % 5 != n % 5).map(Uid).collect();
            match n % 4 {
                0 | 1 => {
                    let how = if n % 8 < 4 { FlagOperation::Add } else { FlagOperation::Remove };
                    let flags = if n % 4 == 0 { Flags::SEEN } else { Flags::DELETED };
                    let change = FlagChange { uids, how, flags, keywords: Vec::new(), unchanged_since: None };
                    drop(store.set_flags(id, FolderId(1), change).await.expect("set"));
                }
                2 => drop(store.expunge(id, FolderId(1), Some(vec![Uid(n), Uid(n + 1)])).await.expect("expunged")),
                _ => {
                    drop(store.move_messages(id, FolderId(1), vec![Uid(n)], &name("Trash"), NOW).await.expect("moved"))
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    let seen: Vec<_> = view.borrow().iter().copied().collect();
    drop(view);
    put(&store, id, "INBOX", "the picture is forgotten").await;
    let mut on_disk = entries(&store, id, "INBOX").await;
    on_disk.pop();
    assert_eq!(on_disk, seen);
}

/// What upkeep forgot is said to be forgotten, and what was not is still told whole.
#[tokio::test]
async fn forgotten_expunges_are_said_to_be() {
    let (store, dir) = make();
    let id = made(&store, 1).await;
    let conn = Connection::open(dir.path().join("data").join(DATABASE)).expect("opened");
    // Every second UID, two to a MODSEQ: more runs than are kept.
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 10099)
         INSERT INTO expunged (mailbox, folder, modseq, uid, last) SELECT {id}, 1, 2 + n / 2, 1 + 2 * n, 1 + 2 * n FROM n;
         UPDATE folder SET uid_next = 20201, modseq = 5052, expunged_runs = 10100 WHERE mailbox = {id} AND id = 1;",
        id = id.0
    ))
    .expect("inserted");
    let told = async |since| store.vanished(id, FolderId(1), ModSeq(since)).await.expect("told");
    assert_eq!((told(0).await.complete, told(0).await.uids.len()), (true, 10_100));
    store.maintain(NOW).await.expect("maintained");
    let (all, floor) = (told(0).await, 51);
    assert!(!all.complete && all.uids.len() == 10_000);
    assert!(!told(floor - 1).await.complete);
    let later = told(floor).await;
    assert!(later.complete && later.uids.len() == 10_000, "{}", later.uids.len());
    assert_eq!(later.uids[0], Uid(201));
    let runs: i64 = conn
        .query_row("SELECT expunged_runs FROM folder WHERE mailbox = ?1 AND id = 1", [id.0 as i64], |row| row.get(0))
        .expect("read");
    assert_eq!(runs, 10_000);
    store.close().await;
    drop(store);
    let again: Tested = Arc::new(Sqlite::open(&dir.path().join("data")).expect("opened"));
    assert!(!again.vanished(id, FolderId(1), ModSeq(0)).await.expect("told").complete);
}

/// The links of conversations nobody has any more go; those of the others stay.
#[tokio::test]
async fn dead_conversations_are_forgotten() {
    let (store, dir) = make();
    let id = made(&store, 1).await;
    let linked = |links: Vec<u64>| {
        let content = content("x").map(|c| Content { links: links.into_iter().map(LinkKey).collect(), ..c });
        Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() }
    };
    store.commit(linked(vec![1])).await.expect("committed");
    let conn = Connection::open(dir.path().join("data").join(DATABASE)).expect("opened");
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 1299)
         INSERT INTO link SELECT {id}, n, 77 FROM n;
         UPDATE mailbox SET links = links + 1200, next_thread = 100 WHERE id = {id};",
        id = id.0
    ))
    .expect("inserted");
    store.maintain(NOW).await.expect("maintained");
    let left: (i64, i64) = conn
        .query_row("SELECT links, (SELECT count(*) FROM link) FROM mailbox", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("read");
    assert_eq!(left, (1, 1));
    store.commit(linked(vec![2, 1])).await.expect("committed");
    store.commit(linked(vec![3, 100])).await.expect("committed");
    assert_eq!(entries(&store, id, "INBOX").await.iter().map(|e| e.thread).collect::<Vec<_>>(), [1, 1, 100]);
}

/// More duplicate keys than one transaction looks at: the old ones go, of every mailbox, and the others stay.
#[tokio::test]
async fn old_duplicate_keys_are_forgotten_in_several_transactions() {
    let (store, dir) = make();
    made(&store, 1).await;
    let path = dir.path().join("data").join(DATABASE);
    let (now, mailboxes, each) = (2 * DUPLICATE_MEMORY, 3, 4001);
    {
        let mut conn = Connection::open(&path).expect("opened");
        let tx = conn.transaction().expect("begun");
        for mailbox in 1..=mailboxes {
            for n in 0..each {
                // Every second one is too old, whatever its key.
                let at = if n % 2 == 0 { now - DUPLICATE_MEMORY - 1 } else { now - DUPLICATE_MEMORY };
                let key = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                tx.prepare_cached("INSERT INTO duplicate VALUES (?1, ?2, ?3)")
                    .and_then(|mut insert| insert.execute(params![mailbox, &key[..], at]))
                    .expect("inserted");
            }
        }
        tx.commit().expect("committed");
    }
    store.maintain(now).await.expect("maintained");
    let conn = Connection::open(&path).expect("opened");
    let left = conn
        .query_row("SELECT count(*), min(at) FROM duplicate", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .expect("counted");
    assert_eq!(left, (mailboxes * (each / 2), now - DUPLICATE_MEMORY));
}
