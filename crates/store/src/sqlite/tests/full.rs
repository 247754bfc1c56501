//! A full disk: nothing acknowledged that is not stored, and no restart needed when there is room again.

use std::path::Path;
use std::sync::Arc;

use mail::Uid;

use super::super::Sqlite;
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::*;

/// A small file system of its own, if we may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(octets: usize) -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={octets}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match done {
            Ok(output) if output.status.success() => Some(Small(dir)),
            _ => {
                eprintln!("skipped: a tmpfs cannot be mounted here (root only)");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// Octets that do not compress and are all different.
fn octets_of(n: u32, size: usize) -> Vec<u8> {
    n.to_be_bytes().iter().copied().cycle().take(size).collect()
}

async fn try_put(store: &Tested, id: MailboxId, n: u32, size: usize) -> Result<Uid> {
    let mut spool = store.spool();
    spool.write(&octets_of(n, size)).await?;
    let content = Some(Content { body: spool.finish().await?, structure: b"s".to_vec(), links: Vec::new() });
    let committed = store.commit(Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() }).await?;
    Ok(uid_of(committed.delivered[0]))
}

/// The store has exactly what was acknowledged, and its view says so.
async fn has_exactly(store: &Tested, id: MailboxId, acknowledged: &[(Uid, u32, usize)]) {
    let found = entries(store, id, "INBOX").await;
    assert_eq!(found.iter().map(|e| e.uid).collect::<Vec<_>>(), acknowledged.iter().map(|a| a.0).collect::<Vec<_>>());
    for (entry, (_, n, size)) in found.iter().zip(acknowledged) {
        assert!(octets(store, id, entry).await == octets_of(*n, *size));
    }
}

/// Fills the disk with messages of `size`, makes room, goes on, reopens.
async fn fills_and_recovers(size: usize) {
    let Some(small) = Small::mount(16 * 1024 * 1024) else { return };
    let data = small.path().join("data");
    let store: Tested = Arc::new(Sqlite::open(&data).expect("opened"));
    let id = made(&store, 1).await;
    let view = store.watch(id, FolderId(1)).await.expect("watched");
    // What somebody else keeps on the disk.
    let ballast = small.path().join("ballast");
    std::fs::write(&ballast, vec![1; 6 * 1024 * 1024]).expect("written");
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..5000 {
        match try_put(&store, id, n, size).await {
            Ok(uid) => acknowledged.push((uid, n, size)),
            Err(StoreError::Full) => refused += 1,
            Err(other) => panic!("a full disk is told as {other:?}"),
        }
        assert_eq!(view.borrow().len(), acknowledged.len(), "a view shows what is committed, no more, no less");
        if refused == 20 {
            break;
        }
    }
    assert!(refused == 20 && acknowledged.len() > 3, "{} went in", acknowledged.len());
    has_exactly(&store, id, &acknowledged).await;
    // Several at once: everybody is told.
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        tasks.spawn(async move { try_put(&store, id, 10_000 + n, size).await });
    }
    while let Some(done) = tasks.join_next().await {
        assert!(matches!(done.expect("no panic"), Err(StoreError::Full)));
    }
    std::fs::remove_file(&ballast).expect("removed");
    for n in 6000..6005 {
        let uid = try_put(&store, id, n, size).await.expect("there is room again");
        acknowledged.push((uid, n, size));
    }
    assert_eq!(view.borrow().len(), acknowledged.len());
    has_exactly(&store, id, &acknowledged).await;
    drop(store);
    let store: Tested = Arc::new(Sqlite::open(&data).expect("opened again"));
    has_exactly(&store, id, &acknowledged).await;
}

#[tokio::test]
async fn a_full_disk_is_temporary_for_small_messages() {
    fills_and_recovers(20_000).await;
}

#[tokio::test]
async fn a_full_disk_is_temporary_for_large_messages() {
    fills_and_recovers(INLINE_LIMIT * 2).await;
}

/// As above for those who cannot mount: the database may not grow.
#[tokio::test]
async fn a_full_database_refuses_one_request_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = Sqlite::open(dir.path()).expect("opened");
    let limit = async |pages: i64| {
        sqlite
            .write(0, move |tx| Ok(tx.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?))
            .await
            .expect("set");
    };
    limit(64).await;
    let id = sqlite.create_mailbox(new_mailbox(1)).await.expect("made");
    let mut there = 0;
    let refused = loop {
        match sqlite.commit(delivery(vec![b'x'; 20_000], vec![to(id, "INBOX")])).await {
            Ok(_) => there += 1,
            Err(error) => break error,
        }
        assert!(there < 5000);
    };
    assert!(matches!(refused, StoreError::Full), "{refused:?}");
    limit(1_000_000).await;
    sqlite.commit(delivery("small", vec![to(id, "INBOX")])).await.expect("there is room again");
    let view = sqlite.watch(id, FolderId(1)).await.expect("watched").borrow().clone();
    assert_eq!((view.len(), view.uid_next), (there + 1, Uid(there as u32 + 2)), "no UID was used up");
}

/// A request that panics is not acknowledged, and the writer serves the next.
#[tokio::test]
async fn a_panic_in_the_writer_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = Sqlite::open(dir.path()).expect("opened");
    let id = sqlite.create_mailbox(new_mailbox(1)).await.expect("made");
    let panicked: Result<()> = sqlite
        .write(0, move |tx| {
            tx.conn.execute("DELETE FROM folder", [])?;
            panic!("on purpose")
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Io(_))), "{panicked:?}");
    assert_eq!(sqlite.folders(id).await.expect("listed").len(), 6, "rolled back");
    sqlite.commit(delivery("x", vec![to(id, "INBOX")])).await.expect("it goes on");
    // And one that fails in the engine leaves its neighbours alone.
    let wrong: Result<()> = sqlite
        .write(0, move |tx| {
            tx.conn.execute("DELETE FROM folder", [])?;
            tx.conn.execute("INSERT INTO uid_validity VALUES (1, 1)", [])?;
            Ok(())
        })
        .await;
    assert!(matches!(wrong, Err(StoreError::Io(_))));
    assert_eq!(sqlite.folders(id).await.expect("listed").len(), 6, "rolled back");
}
