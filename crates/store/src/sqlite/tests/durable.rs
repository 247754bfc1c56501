//! What only durability brings: reopening, versions, the lock, the command line beside a server, kill -9.

use std::path::Path;
use std::sync::Arc;

use mail::Uid;
use rusqlite::Connection;

use super::super::schema::MIGRATIONS;
use super::super::{DATABASE, Sqlite};
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::*;

fn open(folder: &Path) -> Tested {
    Arc::new(Sqlite::open(folder).expect("opened"))
}

fn large(octet: u8) -> Vec<u8> {
    vec![octet; INLINE_LIMIT + 10]
}

async fn put_large(store: &Tested, targets: Vec<Target>, octet: u8) {
    let mut spool = store.spool();
    spool.write(&large(octet)).await.expect("written");
    let content = Some(Content {
        body: spool.finish().await.expect("finished"),
        structure: b"large".to_vec(),
        links: Vec::new(),
    });
    store.commit(Commit { content, deliver: targets, ..Commit::default() }).await.expect("committed");
}

/// Files under a folder.
fn files(folder: &Path) -> usize {
    let inside = |path: &Path| std::fs::read_dir(path).expect("readable").map(|e| e.expect("readable").path());
    inside(folder).map(|path| if path.is_dir() { inside(&path).count() } else { 1 }).sum()
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put(&store, one, "INBOX", "small").await;
    put_large(&store, vec![to(one, "INBOX"), to(two, "Sent")], b'L').await;
    let target = Target { keywords: vec!["kept".into()], ..to(one, "INBOX") };
    store.commit(delivery("with", vec![target])).await.expect("committed");
    store.create_folder(one, &name("a/b"), None).await.expect("created");
    let right = Right { person: person(), role: Role::Delegate, from: 1, until: Some(2) };
    store.grant(one, right.clone()).await.expect("granted");
    store.set_quota(two, Quota { octets: Some(1 << 40), messages: Some(9) }).await.expect("set");
    store.note_authentication(one, 77).await.expect("noted");
    let entry = NewQueueEntry {
        sender: Some(one),
        return_path: Some(address(1)),
        parameters: MailParameters::default(),
        recipients: vec![NewQueueRecipient { address: address(3), notify: Notify::default(), original: None }],
        accepted_at: NOW,
        expires_at: NOW + 5,
    };
    let commit = || Commit {
        content: content("queued"),
        duplicate_key: Some([8; 16]),
        enqueue: Some(entry.clone()),
        ..Commit::default()
    };
    let queued = store.commit(commit()).await.expect("queued").queued.expect("a number");
    let before = (store.mailboxes().await, store.folders(one).await, entries(&store, one, "INBOX").await);
    drop(store);

    let store = open(dir.path());
    let after = (store.mailboxes().await, store.folders(one).await, entries(&store, one, "INBOX").await);
    assert_eq!(after.0.expect("read"), before.0.expect("read"));
    assert_eq!(after.1.expect("read"), before.1.expect("read"));
    assert_eq!(after.2, before.2);
    assert_eq!(now(&store, 1).await.last_authentication, Some(77));
    assert_eq!(store.rights(one).await.expect("read"), [right]);
    assert_eq!(octets(&store, one, &after.2[0]).await, "small");
    let sent = entries(&store, two, "Sent").await[0];
    assert!(octets(&store, one, &after.2[1]).await == large(b'L') && octets(&store, two, &sent).await == large(b'L'));
    let view = store.watch(one, FolderId(1)).await.expect("watched").borrow().clone();
    assert_eq!(view.get(2).expect("there").flags.names(&view.keywords).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(store.queue().await.expect("read")[0].id, queued);
    assert_eq!(store.commit(commit()).await.expect("committed").queued, None, "sent before the restart");
    assert_eq!(put(&store, one, "INBOX", "next").await, Uid(4));
}

#[tokio::test]
async fn large_bodies_leave_no_file_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let bodies = dir.path().join("bodies");
    let store = open(dir.path());
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put_large(&store, vec![to(one, "INBOX"), to(two, "INBOX"), to(one, "Sent")], b'a').await;
    assert_eq!(files(&bodies), 2, "one for each mailbox");
    // Refused: its file goes.
    let mut spool = store.spool();
    spool.write(&large(b'b')).await.expect("written");
    let content =
        Some(Content { body: spool.finish().await.expect("finished"), structure: Vec::new(), links: Vec::new() });
    let refused = store.commit(Commit { content, deliver: vec![to(one, "nothing")], ..Commit::default() }).await;
    assert!(same(&refused, &StoreError::NoSuchFolder));
    assert_eq!((files(&bodies), files(&dir.path().join("spool"))), (2, 0));
    store.delete_mailbox(two).await.expect("deleted");
    assert_eq!(files(&bodies), 1);
    // Orphans of a crash: removed by upkeep and at the start; what is named stays.
    let orphan = |n: u8| {
        let name = format!("{n:02x}").repeat(16);
        let folder = bodies.join(&name[..2]);
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join(name), "orphan").expect("written");
    };
    orphan(1);
    assert_eq!(files(&bodies), 2);
    store.maintain(NOW).await.expect("maintained");
    assert_eq!(files(&bodies), 1);
    store.close().await;
    orphan(2);
    std::fs::write(dir.path().join("spool/leftover"), "x").expect("written");
    let store = open(dir.path());
    assert_eq!((files(&bodies), files(&dir.path().join("spool"))), (1, 0));
    let entry = entries(&store, one, "INBOX").await[0];
    assert!(octets(&store, one, &entry).await == large(b'a'));
}

#[tokio::test]
async fn much_garbage_is_given_back_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    store.create_folder(one, &name("a"), None).await.expect("created");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..600 {
        let store = store.clone();
        let target = if n % 2 == 0 { to(one, "a") } else { to(two, "INBOX") };
        tasks.spawn(async move { store.commit(delivery("x", vec![target])).await.map(drop) });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic").expect("committed");
    }
    let body = entries(&store, one, "a").await[0].body;
    store.delete_folder(one, &name("a")).await.expect("deleted");
    store.delete_mailbox(two).await.expect("deleted");
    assert!(store.body(one, body).await.expect("read").is_none(), "gone for everybody at once");
    assert_eq!(now(&store, 1).await.usage, Usage::default());
    let reader = Connection::open(dir.path().join(DATABASE)).expect("opened");
    let left = |table| -> i64 {
        reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counted")
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ["garbage", "body", "content"].into_iter().any(|table| left(table) > 0) {
        assert!(std::time::Instant::now() < deadline, "the garbage stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_server_and_the_command_line_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let one = made(&store, 1).await;
    assert!(matches!(Sqlite::open(dir.path()), Err(StoreError::Unusable(_))), "one server at a time");
    let admin: Tested = Arc::new(Sqlite::open_admin(dir.path()).expect("opened"));
    let two = made(&admin, 2).await;
    // The server sees it at once, and both write.
    assert_eq!(now(&store, 2).await.id, two);
    put(&store, two, "INBOX", "x").await;
    admin.set_quota(two, Quota { octets: Some(1), messages: None }).await.expect("set");
    assert!(same(&store.commit(delivery("y", vec![to(two, "INBOX")])).await, &StoreError::OverQuota));
    assert!(same(&admin.commit(delivery("y", vec![to(one, "INBOX")])).await, &StoreError::Unusable(String::new())));
    assert!(same(&admin.folders(one).await, &StoreError::Unusable(String::new())));
    // A mailbox erased beside the server: whoever looks at it learns it with the next commit.
    let mut view = store.watch(two, FolderId(1)).await.expect("watched");
    admin.delete_mailbox(two).await.expect("deleted");
    put(&store, one, "INBOX", "z").await;
    assert!(view.changed().await.is_err());
    drop(admin);
    store.close().await;
    let again = open(dir.path());
    assert_eq!(again.mailboxes().await.expect("read").len(), 1);
}

#[tokio::test]
async fn versions_are_brought_up_to_date_or_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(DATABASE);
    // A database of version 1, as that version left it.
    let old = Connection::open(&path).expect("made");
    old.execute_batch(MIGRATIONS[0]).expect("version 1");
    old.execute_batch(
        "INSERT INTO mailbox (id, lookup, address, kind, person, label, created_at, octets, messages, next_body, next_folder)
         VALUES (7, 'bal1@alpha.formation.mssante.fr', 'bal1@alpha.formation.mssante.fr', 'PER', '899700000017', 'BAL', 5, 3, 1, 2, 2);
         INSERT INTO folder VALUES (7, 1, 'INBOX', NULL, 1, 1, 9, 2, 2, '[\"k\"]');
         INSERT INTO message VALUES (7, 1, 1, 3, 257, 2, 6, 1);
         INSERT INTO body VALUES (7, 1, 3, 1, NULL, x'00');
         INSERT INTO content VALUES (7, 1, CAST('abc' AS BLOB));
         UPDATE uid_validity SET last = 9;
         PRAGMA user_version = 1;",
    )
    .expect("filled");
    drop(old);
    let store = open(dir.path());
    let id = now(&store, 1).await.id;
    assert_eq!(id, MailboxId(7));
    let entry = entries(&store, id, "INBOX").await[0];
    assert_eq!(octets(&store, id, &entry).await, "abc");
    assert_eq!(put(&store, id, "INBOX", "more").await, Uid(2));
    drop(store);

    let newer = Connection::open(&path).expect("opened");
    newer.execute_batch(&format!("PRAGMA user_version = {}", MIGRATIONS.len() + 1)).expect("set");
    drop(newer);
    match Sqlite::open(dir.path()) {
        Err(StoreError::Unusable(text)) => assert!(text.contains("format"), "{text}"),
        other => panic!("a newer version was not refused: {:?}", other.err()),
    }
}
