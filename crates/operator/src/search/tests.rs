//! The index and the scan together, over a store in memory.

use mail::Flags;
use mail::FolderName;
use mail::mime::Structure;
use mail::sought::Place;
use store::contract::new_mailbox;
use store::memory::Memory;
use store::{Commit, Content, FlagChange, FlagOperation, Target};
use tokio_util::sync::CancellationToken;

use super::*;

struct House {
    store: Arc<dyn Store>,
    searcher: Arc<Searcher>,
    mailbox: MailboxId,
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> House {
        House::over(Arc::new(Memory::new())).await
    }

    async fn over(store: Arc<dyn Store>) -> House {
        let mailbox = store.create_mailbox(new_mailbox(1)).await.expect("made");
        let folder = tempfile::tempdir().expect("a folder");
        let searcher = Searcher::new(store.clone(), folder.path()).expect("made");
        House { store, searcher, mailbox, folder }
    }

    async fn deliver(&self, text: &str) -> u64 {
        let message = format!("Subject: essai\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{text}\r\n");
        let mut spool = self.store.spool();
        spool.write(message.as_bytes()).await.expect("written");
        let content = Content {
            body: spool.finish().await.expect("finished"),
            structure: Structure::of(message.as_bytes()).encode(),
            links: Vec::new(),
        };
        let target = Target {
            mailbox: self.mailbox,
            folder: FolderName::inbox(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: 0,
        };
        let commit = Commit { content: Some(content), deliver: vec![target], ..Commit::default() };
        self.store.commit(commit).await.expect("committed");
        *self.store.bodies_after(self.mailbox, 0, 10_000).await.expect("listed").last().expect("one")
    }

    async fn index(&self) {
        while self.searcher.index_some(self.mailbox, &CancellationToken::new()).await {}
    }

    async fn seek(&self, text: &str, bodies: &[u64]) -> Vec<u64> {
        let sought = [Sought { place: Place::Body, text: text.to_owned() }];
        let mut found = Vec::new();
        let mut left = bodies;
        while !left.is_empty() {
            let asked = Arc::new(left.to_vec());
            let judged = self.searcher.seek(self.mailbox, &sought, &asked).await.expect("searched");
            assert!(judged.judged > 0 && judged.matching.len() == 1);
            assert!(judged.matching[0].iter().all(|at| (at as usize) < judged.judged));
            found.extend(judged.matching[0].iter().map(|at| left[at as usize]));
            left = &left[judged.judged..];
        }
        found
    }

    async fn indexed(&self) -> usize {
        self.searcher.slot(self.mailbox).await.1.map_or(0, |index| index.len().0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexed_or_not_the_answer_is_the_same() {
    mixed(House::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_the_durable_store() {
    let data = tempfile::tempdir().expect("a folder");
    let store = Arc::new(store::sqlite::Sqlite::open(data.path()).expect("opened"));
    mixed(House::over(store.clone()).await).await;
    store.close().await;
}

async fn mixed(house: House) {
    let mut bodies = Vec::new();
    for i in 0..12 {
        bodies.push(
            house.deliver(&format!("<p>Pr&eacute;nom{i} {}</p>", if i % 2 == 0 { "pair" } else { "impair" })).await,
        );
        if i == 6 {
            house.index().await;
            assert_eq!(house.indexed().await, 7);
        }
    }
    let even: Vec<u64> = bodies.iter().copied().step_by(2).collect();
    assert_eq!(house.seek("prénom1", &bodies).await, [bodies[1], bodies[10], bodies[11]]);
    assert_eq!(house.seek(" pair", &bodies).await, even);
    assert_eq!(house.seek("absent", &bodies).await, [0; 0]);
    house.index().await;
    assert_eq!(house.indexed().await, 12);
    assert_eq!(house.seek(" PAIR", &bodies).await, even);
    assert_eq!(house.seek("pair", &bodies[3..5]).await, [bodies[3], bodies[4]]);
    // A body that is in no mailbox is judged too.
    assert_eq!(house.seek("pair", &[bodies[11], 1 << 40]).await, [bodies[11]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_indexed_again() {
    let house = House::new().await;
    let body = house.deliver("bonjour").await;
    house.index().await;
    for file in std::fs::read_dir(house.searcher.folder_of(house.mailbox)).expect("listed") {
        std::fs::write(file.expect("listed").path(), b"").expect("emptied");
    }
    assert_eq!(house.seek("bonjour", &[body]).await, [body]);
    assert_eq!(house.indexed().await, 0);
    house.index().await;
    assert_eq!(house.indexed().await, 1);
    assert_eq!(house.seek("bonjour", &[body]).await, [body]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_where_this_one_ended() {
    let mut house = House::new().await;
    house.deliver("un").await;
    house.index().await;
    let body = house.deliver("deux").await;
    house.searcher = Searcher::new(house.store.clone(), house.folder.path()).expect("made");
    assert_eq!(house.indexed().await, 1);
    house.index().await;
    assert_eq!(house.indexed().await, 2);
    assert_eq!(house.seek("deux", &[body]).await, [body]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_messages_and_mailboxes_leave_the_index() {
    let house = House::new().await;
    for i in 0..4 {
        house.deliver(&format!("texte {i}")).await;
    }
    house.index().await;
    let folders = house.store.folders(house.mailbox).await.expect("listed");
    let inbox = folders.iter().find(|f| f.name == FolderName::inbox()).expect("INBOX").id;
    let uids: Vec<mail::Uid> = {
        let view = house.store.watch(house.mailbox, inbox).await.expect("watched");
        let view = view.borrow();
        view.iter().take(3).map(|e| e.uid).collect()
    };
    let change = FlagChange {
        uids,
        how: FlagOperation::Add,
        flags: Flags::DELETED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    house.store.set_flags(house.mailbox, inbox, change).await.expect("flagged");
    house.store.expunge(house.mailbox, inbox, None).await.expect("expunged");
    house.store.maintain(i64::MAX / 2).await.expect("maintained");
    house.searcher.sweep(&CancellationToken::new()).await;
    assert_eq!(house.indexed().await, 1);
    house.store.delete_mailbox(house.mailbox).await.expect("deleted");
    assert!(house.searcher.folder_of(house.mailbox).is_dir());
    house.searcher.sweep(&CancellationToken::new()).await;
    assert!(!house.searcher.folder_of(house.mailbox).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_follows_the_store_and_stops() {
    let house = House::new().await;
    let body = house.deliver("suivi").await;
    let (tasks, shutdown) = (tokio_util::task::TaskTracker::new(), CancellationToken::new());
    house.searcher.start(&tasks, shutdown.clone());
    // A search of what is not indexed makes it be indexed at once.
    let deadline = Instant::now() + Duration::from_secs(30);
    while house.indexed().await == 0 {
        assert_eq!(house.seek("suivi", &[body]).await, [body]);
        assert!(Instant::now() < deadline, "never indexed");
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}
