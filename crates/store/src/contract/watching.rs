//! Rules of the pictures sessions look at.

use std::sync::Arc;

use mail::{Uid, View};
use tokio::sync::watch;

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    async fn watched(store: &Tested, id: MailboxId, wanted: &str) -> watch::Receiver<Arc<View>> {
        let folder = folder(store, id, wanted).await.id;
        store.watch(id, folder).await.expect("watched")
    }

    pub async fn a_view_shows_every_commit(store: &Tested) {
        let id = made(store, 1).await;
        let mut view = watched(store, id, "INBOX").await;
        assert!(view.borrow().is_empty());
        assert_eq!(view.borrow().uid_next, Uid(1));
        for n in 1..=3 {
            put(store, id, "INBOX", "x").await;
            view.changed().await.expect("alive");
            assert_eq!(view.borrow_and_update().len(), n);
        }
        assert_eq!(view.borrow().uid_next, Uid(4));
        put(store, id, "Sent", "x").await;
        assert!(!view.has_changed().expect("alive"), "another folder is another matter");
    }

    pub async fn a_view_is_never_behind(store: &Tested) {
        let id = made(store, 1).await;
        let view = watched(store, id, "INBOX").await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, view) = (store.clone(), view.clone());
            tasks.spawn(async move {
                for _ in 0..10 {
                    let uid = put(&store, id, "INBOX", "x").await;
                    assert!(view.borrow().find(uid).is_some(), "answered, so visible");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        assert_eq!(view.borrow().len(), 80);
    }

    pub async fn a_view_follows_everything(store: &Tested) {
        let id = made(store, 1).await;
        let (inbox, archive) = (watched(store, id, "INBOX").await, watched(store, id, "Archive").await);
        for _ in 0..5 {
            put(store, id, "INBOX", "x").await;
        }
        mark(store, id, "INBOX", &[2, 4], Flags::DELETED.with(Flags::SEEN)).await;
        let number = folder(store, id, "INBOX").await.id;
        store.expunge(id, number, None).await.expect("expunged");
        store.copy(id, number, vec![Uid(1)], &name("Archive"), NOW).await.expect("copied");
        store.move_messages(id, number, vec![Uid(3)], &name("Archive"), NOW).await.expect("moved");
        let kept = (inbox.borrow().clone(), archive.borrow().clone());
        assert_eq!(kept.0.iter().map(|e| e.uid).collect::<Vec<_>>(), [Uid(1), Uid(5)]);
        assert_eq!((kept.0.unseen(), kept.0.deleted(), kept.0.octets()), (2, 0, 2));
        assert_eq!(kept.1.len(), 2);
        drop((inbox, archive));
        // What was followed is what is there.
        for (wanted, kept) in [("INBOX", kept.0), ("Archive", kept.1)] {
            let fresh = watched(store, id, wanted).await.borrow().clone();
            assert!(fresh.difference(&kept).is_empty());
            assert_eq!(fresh.iter().collect::<Vec<_>>(), kept.iter().collect::<Vec<_>>());
            assert_eq!((fresh.uid_next, fresh.highest_modseq), (kept.uid_next, kept.highest_modseq));
        }
    }

    pub async fn a_folder_gone_closes_its_view(store: &Tested) {
        let id = made(store, 1).await;
        let mut archive = watched(store, id, "Archive").await;
        let mut inbox = watched(store, id, "INBOX").await;
        store.rename_folder(id, &name("Archive"), &name("Old"), NOW).await.expect("renamed");
        put(store, id, "Old", "x").await;
        archive.changed().await.expect("a renamed folder is the same folder");
        assert_eq!(archive.borrow_and_update().len(), 1);
        store.delete_folder(id, &name("Old")).await.expect("deleted");
        assert!(archive.changed().await.is_err());
        store.rename_folder(id, &name("INBOX"), &name("Moved"), NOW).await.expect("renamed");
        put(store, id, "INBOX", "x").await;
        inbox.changed().await.expect("INBOX stays");
    }

    pub async fn a_view_opened_late_is_whole(store: &Tested) {
        let id = made(store, 1).await;
        for _ in 0..600 {
            put(store, id, "INBOX", "x").await;
        }
        mark(store, id, "INBOX", &[1, 600], Flags::SEEN).await;
        let view = watched(store, id, "INBOX").await.borrow().clone();
        assert_eq!((view.len(), view.unseen(), view.uid_next), (600, 598, Uid(601)));
        assert_eq!(view.uid_validity, folder(store, id, "INBOX").await.uid_validity);
    }

    pub async fn commits_are_seen_in_order(store: &Tested) {
        let id = made(store, 1).await;
        let mut view = watched(store, id, "INBOX").await;
        let watcher = tokio::spawn(async move {
            let mut before = view.borrow_and_update().clone();
            while before.len() < 200 {
                view.changed().await.expect("alive");
                let now = view.borrow_and_update().clone();
                assert!(now.len() > before.len() && now.highest_modseq > before.highest_modseq);
                // UID 12 is never seen before UID 10.
                assert!(now.iter().zip(1..).all(|(entry, n)| entry.uid == Uid(n)));
                before = now;
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let store = store.clone();
            tasks.spawn(async move {
                for _ in 0..20 {
                    put(&store, id, "INBOX", "x").await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        watcher.await.expect("every view was in order");
    }

    pub async fn the_counter_moves(store: &Tested) {
        let (id, other) = (made(store, 1).await, made(store, 2).await);
        let mut counter = store.watch_mailbox(id).await.expect("watched");
        put(store, other, "INBOX", "x").await;
        assert!(!counter.has_changed().expect("alive"));
        let inbox = folder(store, id, "INBOX").await.id;
        put(store, id, "INBOX", "x").await;
        counter.changed().await.expect("a message");
        mark(store, id, "INBOX", &[1], Flags::DELETED).await;
        counter.changed().await.expect("flags");
        store.expunge(id, inbox, None).await.expect("expunged");
        counter.changed().await.expect("an expunge");
        store.create_folder(id, &name("a"), None).await.expect("created");
        counter.changed().await.expect("a folder");
        store.subscribe(id, &name("a"), true).await.expect("subscribed");
        counter.changed().await.expect("a subscription");
        store.rename_folder(id, &name("a"), &name("b"), NOW).await.expect("renamed");
        counter.changed().await.expect("a name");
        store.delete_folder(id, &name("b")).await.expect("deleted");
        counter.changed().await.expect("a folder gone");
    }

    pub async fn opening_while_commits_run(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        let writer = {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    put(&store, id, "INBOX", "x").await;
                }
            })
        };
        let mut openers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            openers.spawn(async move {
                loop {
                    // Closed and opened again and again: now the first to look, now one of several.
                    let view = store.watch(id, inbox).await.expect("watched").borrow().clone();
                    assert!(view.iter().zip(1..).all(|(entry, n)| entry.uid == Uid(n)), "no update is lost");
                    assert_eq!(view.uid_next.0 as usize, view.len() + 1);
                    if view.len() == 300 {
                        return;
                    }
                    // Looking at an open view never waits: leave the threads to the writer.
                    tokio::task::yield_now().await;
                }
            });
        }
        writer.await.expect("no panic");
        while let Some(done) = openers.join_next().await {
            done.expect("no panic");
        }
    }
}
pub use rules::*;
