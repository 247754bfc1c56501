//! One moment, whoever reads it and whatever others do meanwhile.

use std::collections::BTreeSet;

use mail::{Flags, Uid};
use proptest::prelude::*;

use super::super::folders::load_view;
use super::*;
use crate::contract::*;
use crate::sqlite::DATABASE;
use crate::sqlite::tests::{make, model::runtime};
use crate::{FlagChange, FlagOperation, FolderId, Store};

async fn load(readers: &Readers, key: Key, most: usize, least: u32) -> Option<Arc<View>> {
    Readings::default().load(readers, key, Share { most, least, ..Share::default() }).await.expect("read")
}

fn uids(view: &View) -> Vec<u32> {
    view.iter().map(|entry| entry.uid.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In parts or at once: the same picture, wherever its messages lie.
    #[test]
    fn parts_are_the_whole(
        there in proptest::collection::btree_set(prop_oneof![4 => 1..400u32, 1 => 1..u32::MAX - 1], 0..120),
        most in 1..7usize,
        least in 1..50u32,
    ) {
        runtime().block_on(async {
            let (store, dir) = make();
            let id = made(&store, 1).await;
            let path = dir.path().join("data").join(DATABASE);
            let conn = Connection::open(&path).expect("opened");
            for uid in &there {
                let row = params![id.0 as i64, uid];
                conn.execute("INSERT INTO message VALUES (?1, 1, ?2, 7, 0, 1, 0, 1, 0, 0)", row).expect("inserted");
            }
            let (readers, key) = (Readers::new(&path), (id, FolderId(1)));
            let view = load(&readers, key, most, least).await.expect("there");
            let whole = load_view(&conn, key).expect("read").expect("there");
            assert_eq!(BTreeSet::from_iter(uids(&view)), there);
            assert!(view.iter().eq(whole.iter()) && view.octets() == whole.octets());
            assert_eq!((view.uid_next, view.highest_modseq), (whole.uid_next, whole.highest_modseq));
            assert!(load(&readers, (id, FolderId(99)), most, least).await.is_none());
        });
    }
}

/// While others deliver, mark and expunge: never parts of two moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_are_of_one_moment() {
    let (store, dir) = make();
    let id = made(&store, 1).await;
    for _ in 0..40 {
        put(&store, id, "INBOX", "x").await;
    }
    let working = {
        let store: Arc<dyn Store> = store.clone();
        tokio::spawn(async move {
            for n in 1..=60u32 {
                // The first and the last change together: half of it is never to be seen.
                let uids = vec![Uid(1), Uid(40 + n - 1)];
                let flags = if n % 2 == 0 { Flags::SEEN } else { Flags::ANSWERED };
                let change = FlagChange {
                    uids,
                    how: FlagOperation::Replace,
                    flags,
                    keywords: Vec::new(),
                    unchanged_since: None,
                };
                store.set_flags(id, FolderId(1), change).await.expect("set");
                put(&store, id, "INBOX", "x").await;
            }
        })
    };
    let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
    let mut seen = 0;
    while !working.is_finished() {
        let view = load(&readers, key, 4, 5).await.expect("there");
        let last = view.iter().filter(|e| !e.flags.is_empty() && e.uid.0 > 1).last();
        let first = view.find(Uid(1)).expect("there");
        if let Some(last) = last {
            assert_eq!((last.flags, last.modseq), (first.flags, first.modseq));
        }
        assert!(view.iter().all(|e| e.modseq <= view.highest_modseq));
        seen += 1;
    }
    working.await.expect("ended");
    assert!(seen > 1);
    assert_eq!(load(&readers, key, 4, 5).await.expect("there").len(), 100);
}

/// What was told, and what is read after it although the folder changed in between.
async fn held(readers: &Readers, key: Key, share: Share) -> (Lent, Arc<Work>, Receiver<(usize, Option<Vec<Entry>>)>) {
    let lent = readers.lend().await.expect("lent");
    lent.begin().expect("begun");
    let outline = outline(lent.conn().expect("there"), key).expect("read").expect("there");
    let (read, helped) = channel();
    let (parts, next, helped_already) = (OnceLock::new(), AtomicUsize::new(0), AtomicBool::new(false));
    let (readers, done) = (readers.clone(), watch::Sender::new(None));
    let wanted = Notify::new();
    let work = Work { key, outline, share, readers, parts, next, read, helped: helped_already, wanted, done };
    (lent, Arc::new(work), helped)
}

/// Messages come, go and change between the outline and the reading: the picture is of the outline, alone and with help
/// that sees another folder, the same folder, or fails in the middle of a part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_is_of_the_moment_that_was_told() {
    let (store, dir) = make();
    let id = made(&store, 1).await;
    for _ in 0..40 {
        put(&store, id, "INBOX", "x").await;
    }
    let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
    let share = Share { most: 3, least: 5, ..Share::default() };
    for helpers in 0..3 {
        let before = load(&readers, key, 1, 1000).await.expect("there");
        let (lent, work, helped) = held(&readers, key, share).await;
        assert_eq!(work.outline, Outline::from(&*before));
        if helpers == 1 {
            // A helper takes parts of the same moment, before the change.
            work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
            let helper = readers.lend().await.expect("lent");
            work.help(helper.conn().expect("there")).expect("helped");
            assert!(work.next.load(Ordering::Relaxed) > work.parts.wait().len(), "it took all there is");
        }
        if helpers == 2 {
            work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
            let (number, _) = work.take().expect("a part");
            drop(Taken { work: &work, number, rows: None });
        }
        let first = before.iter().next().expect("there").uid;
        mark(&store, id, "INBOX", &[first.0, first.0 + 7], Flags::DELETED.with(Flags::SEEN)).await;
        assert_eq!(store.expunge(id, key.1, None).await.expect("expunged").len(), 2);
        mark(&store, id, "INBOX", &[first.0 + 1, first.0 + 9], Flags::FLAGGED).await;
        put(&store, id, "INBOX", "new").await;
        let helper = readers.lend().await.expect("lent");
        let taken = work.next.load(Ordering::Relaxed);
        work.parts.get_or_init(|| share.parts(1, before.last().expect("there").uid.0));
        work.help(helper.conn().expect("there")).expect("helped");
        assert_eq!(work.next.load(Ordering::Relaxed), taken, "no part of another moment is taken");
        let view = work.read(lent.conn().expect("there"), &helped, || true).expect("read").expect("wanted");
        assert!(view.iter().eq(before.iter()), "{helpers}");
        assert_eq!(Outline::from(&view), work.outline);
        assert_eq!(
            (view.unseen(), view.deleted(), view.octets()),
            (before.unseen(), before.deleted(), before.octets())
        );
    }
}

/// A store whose INBOX has ten messages, and what reads it.
async fn filled() -> (Tested, tempfile::TempDir, Readers, Key) {
    let (store, dir) = make();
    let id = made(&store, 1).await;
    for _ in 0..10 {
        put(&store, id, "INBOX", "x").await;
    }
    let readers = Readers::new(&dir.path().join("data").join(DATABASE));
    (store, dir, readers, (id, FolderId(1)))
}

/// Those who come at the same moment share one reading; those who come after a change do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reading_for_one_moment() {
    let (store, _dir, readers, key) = filled().await;
    let (readings, share) = (Readings::default(), Share { most: 2, least: 2, ..Share::default() });
    // One that is under way and does not get on.
    let (lent, work, helped) = held(&readers, key, share).await;
    readings.lock().insert(key, work.clone());
    let second = readings.begin(&readers, key, share).await.expect("begun").expect("there");
    assert_eq!(*second.outline(), work.outline);
    put(&store, key.0, "INBOX", "x").await;
    let third = readings.begin(&readers, key, share).await.expect("begun").expect("there");
    assert_eq!(third.outline().messages, 11);
    assert_eq!(third.picture().await.expect("read").len(), 11, "it waits for nobody else");
    let end = End { readings: readings.clone(), work, result: Err(StoreError::Closed) };
    end.read(lent, &helped);
    assert_eq!(second.picture().await.expect("read").len(), 10);
    assert_eq!(readings.count(), 0);
}

/// The answer to SELECT goes out first; whoever takes it slowly does not keep a reader.
#[tokio::test]
async fn a_reading_begins_when_somebody_waits_or_soon() {
    let (_store, _dir, readers, key) = filled().await;
    let readings = Readings::default();
    let never = Share { head_start: Duration::MAX, ..Share::default() };
    let waiting = readings.begin(&readers, key, never).await.expect("begun").expect("there");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(readings.lock()[&key].parts.get().is_none(), "nobody waits");
    assert_eq!(waiting.picture().await.expect("read").len(), 10);
    let not_waiting = readings.begin(&readers, key, Share::default()).await.expect("begun").expect("there");
    let end = std::time::Instant::now() + patience::PATIENCE;
    while readings.count() > 0 {
        assert!(std::time::Instant::now() < end, "it does not begin");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    readers.close().await;
    assert_eq!(not_waiting.picture().await.expect("read").len(), 10);
}

/// What nobody waits for is not read, and leaves nothing; who waits for what fails is told.
#[tokio::test]
async fn readings_end() {
    let (_store, _dir, readers, key) = filled().await;
    let readings = Readings::default();
    let (lent, work, helped) = held(&readers, key, Share { most: 1, least: 2, ..Share::default() }).await;
    readings.lock().insert(key, work.clone());
    // Nobody has its receiver.
    let on = || readings.wanted(&work);
    assert!(work.read(lent.conn().expect("there"), &helped, on).expect("no trouble").is_none());
    assert_eq!((work.next.load(Ordering::Relaxed), readings.count()), (1, 0));
    drop(lent);
    // Whose thread never runs.
    let (_lent, work, _helped) = held(&readers, key, Share { most: 2, least: 2, ..Share::default() }).await;
    let waiting = reading(work.clone(), work.done.subscribe());
    drop(End { readings, work, result: Err(StoreError::Io("gone".into())) });
    assert!(matches!(waiting.picture().await, Err(StoreError::Io(_))));
    // All places are free again.
    drop(_lent);
    readers.close().await;
}
