//! Compaction, fsck.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::{DATABASE, Options, Sqlite};
use super::model::picture;
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::*;

fn open(data: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(data).expect("opened"))
}

fn fsck(data: &Path, repair: bool) -> super::super::Report {
    Sqlite::fsck(data, repair, Options::default()).expect("looked over")
}

fn sql(data: &Path, text: &str) {
    Connection::open(data.join(DATABASE)).expect("opened").execute_batch(text).expect("done");
}

fn count(data: &Path, text: &str) -> i64 {
    Connection::open(data.join(DATABASE)).expect("opened").query_row(text, [], |row| row.get(0)).expect("counted")
}

/// Waits for what is done when nobody waits.
async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + patience::PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn large(store: &Tested, id: MailboxId, octet: u8) {
    let mut spool = store.spool();
    spool.write(&vec![octet; INLINE_LIMIT * 2 + 3]).await.expect("written");
    let body = spool.finish().await.expect("finished");
    let content = Some(Content { body, structure: b"large".to_vec(), links: Vec::new() });
    store.commit(Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() }).await.expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_mostly_dead_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = open(dir.path());
    let store: Tested = sqlite.clone();
    let one = made(&store, 1).await;
    let inbox = folder(&store, one, "INBOX").await.id;
    // More than a segment of what will go, and some that stays.
    let block = vec![b'x'; INLINE_LIMIT - 100];
    for n in 0..300 {
        store.commit(delivery(block.clone(), vec![to(one, "INBOX")])).await.expect("committed");
        if n % 60 == 0 {
            put(&store, one, "Sent", format!("stays {n}")).await;
        }
    }
    large(&store, one, b'L').await;
    let kept = entries(&store, one, "INBOX").await.pop().expect("there");
    let first = dir.path().join("segments/00000001.seg");
    assert!(first.exists() && dir.path().join("segments/00000002.seg").exists());
    let all: Vec<_> =
        entries(&store, one, "INBOX").await.iter().map(|e| e.uid).filter(|uid| *uid != kept.uid).collect();
    let change = FlagChange {
        uids: all,
        how: FlagOperation::Add,
        flags: mail::Flags::DELETED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.set_flags(one, inbox, change).await.expect("set");
    let opened = store.body(one, entries(&store, one, "Sent").await[0].body).await.expect("read").expect("there");
    store.expunge(one, inbox, None).await.expect("expunged");
    let before = picture(&store, &[one]).await;
    store.maintain(NOW).await.expect("maintained");
    until("the segment stays", || !first.exists()).await;
    assert_eq!(picture(&store, &[one]).await, before);
    assert_eq!(opened.read_all().await.expect("read"), "stays 0");
    store.close().await;
    drop((store, sqlite));
    assert!(fsck(dir.path(), false).clean());
    let store: Tested = open(dir.path());
    assert_eq!(picture(&store, &[one]).await, before);
}

/// 300 bodies of 256 KiB: the garbage in two slices, a segment of 64 MiB that is nearly all dead by quarters of its octets, and what
/// was begun before it was looked at.
const MOST_SLICES: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_although_somebody_always_waits() {
    let dir = tempfile::tempdir().expect("a folder");
    let store: Tested = open(dir.path());
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    let inbox = folder(&store, one, "INBOX").await.id;
    let block = vec![b'x'; INLINE_LIMIT - 100];
    let deliveries = async || {
        for _ in 0..300 {
            store.commit(delivery(block.clone(), vec![to(one, "INBOX")])).await.expect("committed");
        }
    };
    deliveries().await;
    put(&store, one, "Sent", "stays").await;
    let segments = || {
        let found = std::fs::read_dir(dir.path().join("segments")).expect("a folder");
        let mut names: Vec<_> = found.map(|entry| entry.expect("an entry").path()).collect();
        names.retain(|name| name.extension().is_some_and(|extension| extension == "seg"));
        names.sort();
        names
    };
    assert!(segments().len() >= 2, "{:?}", segments());
    let statistics = store.statistics().expect("an engine with commits");
    let before = statistics.upkeep_between.get();
    // More requests than a commit takes: the writer hardly ever finds its inbox empty.
    let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..3000 {
        let (store, busy) = (store.clone(), busy.clone());
        load.spawn(async move {
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                store.set_quota(two, Quota { octets: Some(1 << 40), messages: None }).await.expect("set");
            }
        });
    }
    let mut rounds = 0;
    let between = loop {
        rounds += 1;
        let change = FlagChange {
            uids: entries(&store, one, "INBOX").await.iter().map(|e| e.uid).collect(),
            how: FlagOperation::Add,
            flags: mail::Flags::DELETED,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        let first = segments().into_iter().next().expect("one");
        store.set_flags(one, inbox, change).await.expect("set");
        store.expunge(one, inbox, None).await.expect("expunged");
        store.maintain(NOW).await.expect("maintained");
        until("the segment stays while requests come", || !first.exists()).await;
        let between = statistics.upkeep_between.get() - before;
        if between > 0 {
            break between;
        }
        // A machine too busy to let them ask all the time: the writer found gaps after all, once more.
        assert!(rounds < 20, "nothing was ever done while somebody waits");
        deliveries().await;
    };
    // Garbage is given back and the segment copied while somebody waits: in a few slices of a known size. When only the gaps between
    // requests were used there was none.
    assert!(between <= MOST_SLICES * rounds, "{between} slices in {rounds} rounds");
    busy.store(false, std::sync::atomic::Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    assert_eq!(octets(&store, one, &entries(&store, one, "Sent").await[0]).await, "stays");
    store.close().await;
    drop(store);
    let report = fsck(dir.path(), false);
    assert!(report.clean(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_missing_file_keeps_back_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.tar.gz");
    let tar = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(tar.expect("tar is there").success());
    // The first large body has lost its file.
    let name: String = Connection::open(dir.path().join(DATABASE))
        .and_then(|db| db.query_row("SELECT min(file) FROM body WHERE file IS NOT NULL", [], |row| row.get(0)))
        .expect("a large body");
    std::fs::remove_file(dir.path().join("bodies").join(&name[..2]).join(&name)).expect("removed");
    let store: Tested = open(dir.path());
    let left = |what: &str| count(dir.path(), what);
    until("other mail stays in clear", || {
        left("SELECT count(*) FROM content") == 0
            && left("SELECT count(*) FROM body WHERE segment IS NULL") == 1
            && left("SELECT count(*) FROM queue_entry WHERE segment IS NULL") == 0
    })
    .await;
    // And compaction goes on after it.
    let one = store.mailboxes().await.expect("read")[0].id;
    put(&store, one, "INBOX", "since then").await;
    store.maintain(NOW).await.expect("maintained");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_earlier_formats_is_moved_and_encrypted() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.tar.gz");
    let tar = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(tar.expect("tar is there").success());
    let clear = || {
        ["store.db", "store.db-wal"].iter().any(|name| {
            let octets = std::fs::read(dir.path().join(name)).unwrap_or_default();
            octets.windows(16).any(|w| w == b"Subject: message") || octets.windows(11).any(|w| w == b"structure 1")
        })
    };
    assert!(clear(), "the fixture is in clear");
    let store: Tested = open(dir.path());
    let boxes: Vec<_> = store.mailboxes().await.expect("read").iter().map(|m| m.id).collect();
    let before = picture(&store, &boxes).await;
    let left = || {
        count(dir.path(), "SELECT count(*) FROM content")
            + count(dir.path(), "SELECT count(*) FROM body WHERE segment IS NULL")
            + count(dir.path(), "SELECT count(*) FROM queue_entry WHERE segment IS NULL")
            + count(dir.path(), "SELECT count(*) FROM clear_text")
    };
    let queued = store.queue().await.expect("read");
    let mut waiting = Vec::new();
    for entry in &queued {
        let body = store.queue_body(entry.id).await.expect("read").expect("there");
        waiting.push(body.read_all().await.expect("read"));
    }
    until("mail stays in clear", || left() == 0).await;
    assert!(!clear(), "clear text is left in free pages, or in the log");
    assert_eq!(format!("{:?}", store.queue().await.expect("read")), format!("{queued:?}"));
    for (entry, octets) in queued.iter().zip(&waiting) {
        let body = store.queue_body(entry.id).await.expect("read").expect("there");
        assert_eq!(body.read_all().await.expect("read"), *octets);
    }
    assert_eq!(picture(&store, &boxes).await, before);
    store.close().await;
    drop(store);
    let report = fsck(dir.path(), false);
    assert!(report.clean(), "{report:?}");
    let store: Tested = open(dir.path());
    assert_eq!(picture(&store, &boxes).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_finds_and_mends() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let store: Tested = open(&data);
    let one = made(&store, 1).await;
    for text in ["one", "two", "three"] {
        put(&store, one, "INBOX", text).await;
    }
    large(&store, one, b'L').await;
    assert!(matches!(Sqlite::fsck(&data, false, Options::default()), Err(StoreError::Unusable(_))), "a server uses it");
    let old = dir.path().join("old.db");
    store.close().await;
    drop(store);
    let report = fsck(&data, false);
    assert!(report.clean() && report.bodies == 4, "{report:?}");
    std::fs::copy(data.join(DATABASE), &old).expect("copied");
    // Counts that are wrong, a message without body.
    sql(
        &data,
        "UPDATE mailbox SET octets = 7; UPDATE folder SET messages = 9 WHERE id = 2; INSERT INTO copies VALUES (1, 1, 8); DELETE FROM body WHERE id = 2",
    );
    let report = fsck(&data, false);
    let found = (report.usage, report.counts, report.references, report.dangling.len());
    assert_eq!(found, (1, 1, 1, 1), "{report:?}");
    assert_eq!(fsck(&data, false), report, "looking changes nothing");
    fsck(&data, true);
    assert!(fsck(&data, false).clean());
    let store: Tested = open(&data);
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(found.len(), 3);
    assert_eq!(octets(&store, one, &found[1]).await, "three");
    assert_eq!(now(&store, 1).await.usage.messages, 3);
    // A database of before: what came since is in the log.
    put(&store, one, "INBOX", "since then").await;
    let sent = Commit { deliver: vec![to(one, "Sent")], ..delivery("sent", Vec::new()) };
    store.commit(sent).await.expect("committed");
    store.close().await;
    drop(store);
    assert!(
        !data.join(format!("{DATABASE}-wal")).exists(),
        "a store that is closed leaves nothing in the log of its database"
    );
    std::fs::copy(&old, data.join(DATABASE)).expect("copied");
    let report = fsck(&data, true);
    assert!(report.damaged.is_empty(), "{report:?}");
    let store: Tested = open(&data);
    let found = entries(&store, one, "INBOX").await;
    assert_eq!(octets(&store, one, found.last().expect("there")).await, "since then");
    assert_eq!(octets(&store, one, &entries(&store, one, "Sent").await[0]).await, "sent");
    store.close().await;
    drop(store);
    assert!(fsck(&data, false).clean());
    // A record that rots: said of that message and no other.
    let path = data.join("segments/00000001.seg");
    let mut segment = std::fs::read(&path).expect("read");
    segment[150] ^= 1;
    std::fs::write(&path, segment).expect("written");
    let report = fsck(&data, true);
    let found: Vec<_> = report.damaged.iter().map(|d| (d.folder.as_str(), d.uid, d.body)).collect();
    assert_eq!(found, [("INBOX", 1, 1)]);
    assert_eq!(report.damaged[0].mailbox, address(1).to_string());
    let store: Tested = open(&data);
    let found = entries(&store, one, "INBOX").await;
    assert!(matches!(store.body(one, found[0].body).await, Err(StoreError::Damaged(_))));
    assert_eq!(octets(&store, one, &found[1]).await, "two");
}

/// A folder put back in parts, by hand: two records have the number of one body. The one that is not the message's is never taken for it,
/// also when the message's own is damaged; a true copy of it is.
#[tokio::test(flavor = "multi_thread")]
async fn fsck_takes_no_other_message_that_has_the_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let message = |octets: &'static str, id: MailboxId| {
        let content = Content {
            body: Spooled::from_bytes(octets),
            structure: format!("structure of {octets}").into_bytes(),
            links: Vec::new(),
        };
        Commit { content: Some(content), deliver: vec![to(id, "INBOX")], ..Commit::default() }
    };
    let store: Tested = open(&first);
    let one = made(&store, 1).await;
    store.commit(message("one", one)).await.expect("committed");
    store.close().await;
    drop(store);
    super::power::copy(&first, &second);
    for (folder, octets) in [(&first, "two"), (&second, "odd")] {
        let store: Tested = open(folder);
        store.commit(message(octets, one)).await.expect("committed");
        store.close().await;
    }
    let segment = |folder: &Path, n: u32| folder.join(format!("segments/{n:08}.seg"));
    std::fs::copy(segment(&second, 1), segment(&first, 2)).expect("copied");
    let report = fsck(&first, true);
    assert_eq!((report.moved, report.unnamed, report.damaged.len()), (0, 0, 0), "{report:?}");
    // Both records of the first folder rot: of the first message there is a copy, of the second another message.
    let mut octets = std::fs::read(segment(&first, 1)).expect("read");
    for at in (100..octets.len()).step_by(60) {
        octets[at] ^= 1;
    }
    std::fs::write(segment(&first, 1), octets).expect("written");
    let report = fsck(&first, true);
    assert_eq!(report.moved, 1, "{report:?}");
    let damaged: Vec<_> = report.damaged.iter().map(|d| (d.uid, d.body)).collect();
    assert_eq!(damaged, [(2, 2)], "{report:?}");
}

/// Mail of an earlier format of a mailbox whose key is gone stays as it is, is told, and keeps back no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_keeps_back_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.tar.gz");
    let tar = std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(tar.expect("tar is there").success());
    // Every mailbox gets its key; that of the second is lost.
    drop(Sqlite::open_admin(dir.path()).expect("brought up to date"));
    let keys = dir.path().join("keys/data.keys");
    let mut slots = std::fs::read(&keys).expect("read");
    slots[2 * crate::keys::SLOT..3 * crate::keys::SLOT].fill(0);
    std::fs::write(&keys, slots).expect("written");
    let of = |what: &str, mailbox: u32| count(dir.path(), &what.replace("?1", &mailbox.to_string()));
    const CLEAR: &str = "SELECT count(*) FROM content WHERE mailbox = ?1";
    const UNSEALED: &str = "SELECT count(*) FROM body WHERE mailbox = ?1 AND segment IS NULL";
    let (texts, bodies) = (of(CLEAR, 2), of(UNSEALED, 2));
    assert!(texts > 0 && bodies > texts, "small ones and a large one");
    let store: Tested = open(dir.path());
    until("other mail stays in clear", || {
        of(CLEAR, 1) + of(UNSEALED, 1) + of(UNSEALED, 3) == 0
            && count(dir.path(), "SELECT count(*) FROM queue_entry WHERE segment IS NULL") == 0
    })
    .await;
    assert_eq!((of(CLEAR, 2), of(UNSEALED, 2)), (texts, bodies));
    // Compaction goes on after it, and what stays is read as it was.
    put(&store, MailboxId(1), "INBOX", "since then").await;
    assert!(store.commit(delivery("x", vec![to(MailboxId(2), "INBOX")])).await.is_err(), "no key, no new mail");
    let kept = entries(&store, MailboxId(2), "INBOX").await;
    let text = octets(&store, MailboxId(2), &kept[0]).await;
    assert!(String::from_utf8_lossy(&text).contains("Subject: message 13"));
    store.maintain(NOW).await.expect("maintained");
    assert_eq!((of(CLEAR, 2), of(UNSEALED, 2)), (texts, bodies));
    store.close().await;
}
