//! Rules of folders that are opened before their messages are read.

use mail::{Outline, Uid};

use super::*;

async fn holds(store: &Tested, id: MailboxId, wanted: &str, messages: usize) {
    let of = folder(store, id, wanted).await.id;
    let (outline, view, receiver) = opened(store, id, of).await;
    assert_eq!(outline.messages, messages, "{wanted}");
    assert_eq!(outline, Outline::from(&*view), "{wanted}");
    assert!(receiver.borrow().iter().eq(view.iter()), "{wanted}");
}

#[allow(missing_docs)]
mod rules {
    use super::*;

    /// Whatever makes messages come and go, what is told at once is what there is.
    pub async fn the_number_told_is_true(store: &Tested) {
        let id = made(store, 1).await;
        holds(store, id, "INBOX", 0).await;
        for n in 1..=6 {
            put(store, id, "INBOX", "x").await;
            holds(store, id, "INBOX", n).await;
        }
        let inbox = folder(store, id, "INBOX").await.id;
        let several = (0..4).map(|_| delivery("x", vec![to(id, "INBOX"), to(id, "Sent")])).collect();
        store.commit_all(several).await.expect("committed");
        holds(store, id, "INBOX", 10).await;
        holds(store, id, "Sent", 4).await;
        mark(store, id, "INBOX", &[1, 2, 3, 5, 9], Flags::DELETED.with(Flags::SEEN)).await;
        holds(store, id, "INBOX", 10).await;
        store.expunge(id, inbox, Some(vec![Uid(2), Uid(9)])).await.expect("expunged");
        holds(store, id, "INBOX", 8).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        holds(store, id, "INBOX", 5).await;
        store.copy(id, inbox, vec![Uid(4), Uid(6), Uid(7)], &name("Archive"), NOW).await.expect("copied");
        holds(store, id, "Archive", 3).await;
        store.copy(id, inbox, vec![Uid(4)], &name("INBOX"), NOW).await.expect("copied");
        holds(store, id, "INBOX", 6).await;
        store.move_messages(id, inbox, vec![Uid(4), Uid(5), Uid(6)], &name("Archive"), NOW).await.expect("moved");
        holds(store, id, "INBOX", 4).await;
        holds(store, id, "Archive", 5).await;
        store.move_messages(id, inbox, vec![Uid(7), Uid(8)], &name("INBOX"), NOW).await.expect("moved");
        holds(store, id, "INBOX", 4).await;
        let by = delivery("other", vec![to(id, "INBOX")]);
        store.replace(id, inbox, Uid(10), by).await.expect("replaced").expect("there");
        holds(store, id, "INBOX", 4).await;
        let by = delivery("elsewhere", vec![to(id, "Sent")]);
        assert_eq!(store.replace(id, inbox, Uid(10), by).await.expect("answered"), None);
        holds(store, id, "Sent", 4).await;
        // What is refused counts nothing.
        let refused = delivery("x", vec![to(id, "INBOX"), to(id, "Nowhere")]);
        assert!(same(&store.commit(refused).await, &StoreError::NoSuchFolder));
        holds(store, id, "INBOX", 4).await;
        store.rename_folder(id, &name("INBOX"), &name("Old"), NOW).await.expect("renamed");
        holds(store, id, "INBOX", 0).await;
        holds(store, id, "Old", 4).await;
        store.rename_folder(id, &name("Old"), &name("Older"), NOW).await.expect("renamed");
        holds(store, id, "Older", 4).await;
        // A folder made where one was begins with none.
        store.create_folder(id, &name("Older/Below"), None).await.expect("made");
        store.delete_folder(id, &name("Older")).await.expect("deleted");
        store.create_folder(id, &name("Older"), None).await.expect("made");
        holds(store, id, "Older", 0).await;
        put(store, id, "Older", "x").await;
        holds(store, id, "Older", 1).await;
    }

    /// What happens after a folder was opened is not in the picture of then, and in the one that goes on.
    pub async fn the_picture_is_of_what_was_told(store: &Tested) {
        let id = made(store, 1).await;
        for _ in 0..20 {
            put(store, id, "INBOX", "x").await;
        }
        let inbox = folder(store, id, "INBOX").await.id;
        let opening = store.open_folder(id, inbox).await.expect("opened");
        mark(store, id, "INBOX", &[3, 4, 5], Flags::DELETED).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        mark(store, id, "INBOX", &[7], Flags::SEEN).await;
        put(store, id, "INBOX", "x").await;
        if let Opening::Reading(reading) = opening {
            let outline = reading.outline().clone();
            assert_eq!(outline.messages, 20);
            let (then, now) = store.picture(id, inbox, reading).await.expect("read");
            let now = now.borrow().clone();
            assert_eq!(outline, Outline::from(&*then));
            assert!(then.iter().map(|e| e.uid.0).eq(1..=20) && then.unseen() == 20 && then.deleted() == 0);
            let since = now.difference(&then);
            assert_eq!((since.expunged, since.changed, since.added), (vec![2, 3, 4], vec![3], 1));
        }
        holds(store, id, "INBOX", 18).await;
    }

    /// Opened again and again while others write: always of one moment, and never behind what was answered.
    pub async fn opened_while_commits_run(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        for _ in 0..8 {
            put(store, id, "INBOX", "x").await;
        }
        let writer = {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 1..=60 {
                    // As many come as go: two commits, between which there is one more.
                    put(&store, id, "INBOX", "x").await;
                    mark(&store, id, "INBOX", &[n], Flags::DELETED).await;
                    store.expunge(id, inbox, None).await.expect("expunged");
                }
            })
        };
        let mut openers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let store = store.clone();
            openers.spawn(async move {
                loop {
                    let (outline, view, receiver) = opened(&store, id, inbox).await;
                    assert_eq!(outline, Outline::from(&*view));
                    let first = view.iter().next().expect("never empty").uid.0;
                    let last = view.uid_next.0 - 1;
                    assert!(view.iter().map(|e| e.uid.0).eq(first..=last), "messages of two moments");
                    assert!((8..=9).contains(&view.len()));
                    assert!(receiver.borrow().highest_modseq >= view.highest_modseq);
                    if first == 61 {
                        return;
                    }
                    drop(receiver);
                    tokio::task::yield_now().await;
                }
            });
        }
        writer.await.expect("no panic");
        while let Some(done) = openers.join_next().await {
            done.expect("no panic");
        }
    }

    pub async fn what_is_not_there_is_not_opened(store: &Tested) {
        let id = made(store, 1).await;
        let unknown = store.open_folder(id, FolderId(99)).await.map(drop);
        assert!(same(&unknown, &StoreError::NoSuchFolder));
        let unknown = store.open_folder(MailboxId(99), FolderId(1)).await.map(drop);
        assert!(same(&unknown, &StoreError::NoSuchMailbox));
        // Gone between the two.
        for _ in 0..5 {
            put(store, id, "Archive", "x").await;
        }
        let archive = folder(store, id, "Archive").await.id;
        let opening = store.open_folder(id, archive).await.expect("opened");
        store.delete_folder(id, &name("Archive")).await.expect("deleted");
        if let Opening::Reading(reading) = opening {
            let gone = store.picture(id, archive, reading).await.map(drop);
            assert!(same(&gone, &StoreError::NoSuchFolder));
        }
    }
}
pub use rules::*;
