//! Rules of what is remembered of messages that went (RFC 7162 VANISHED).

use mail::ModSeq;

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    fn uids(all: &[u32]) -> Vec<Uid> {
        all.iter().map(|uid| Uid(*uid)).collect()
    }

    async fn filled(store: &Tested, count: u32) -> (MailboxId, FolderId) {
        let id = made(store, 1).await;
        for _ in 0..count {
            put(store, id, "INBOX", "x").await;
        }
        (id, folder(store, id, "INBOX").await.id)
    }

    /// The MODSEQ of a folder now.
    async fn highest(store: &Tested, id: MailboxId, folder: FolderId) -> ModSeq {
        store.watch(id, folder).await.expect("watched").borrow().highest_modseq
    }

    async fn gone(store: &Tested, id: MailboxId, folder: FolderId, since: ModSeq) -> Vec<Uid> {
        let vanished = store.vanished(id, folder, since).await.expect("told");
        assert!(vanished.complete);
        vanished.uids
    }

    pub async fn what_vanished_is_told(store: &Tested) {
        let (id, inbox) = filled(store, 9).await;
        let begin = highest(store, id, inbox).await;
        assert!(gone(store, id, inbox, ModSeq(0)).await.is_empty());
        mark(store, id, "INBOX", &[2, 3, 5, 8], Flags::DELETED).await;
        store.expunge(id, inbox, Some(uids(&[5, 8]))).await.expect("expunged");
        let first = highest(store, id, inbox).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        let second = highest(store, id, inbox).await;
        for since in [ModSeq(0), begin] {
            assert_eq!(gone(store, id, inbox, since).await, uids(&[2, 3, 5, 8]));
        }
        assert_eq!(gone(store, id, inbox, first).await, uids(&[2, 3]));
        for since in [second, ModSeq(second.0 + 1), ModSeq(u64::MAX)] {
            assert!(gone(store, id, inbox, since).await.is_empty());
        }
        // Expunging nothing is nothing.
        store.expunge(id, inbox, None).await.expect("expunged");
        assert_eq!(highest(store, id, inbox).await, second);
        store.maintain(NOW).await.expect("maintained");
        assert_eq!(gone(store, id, inbox, begin).await, uids(&[2, 3, 5, 8]));
    }

    pub async fn what_moves_vanishes(store: &Tested) {
        let (id, inbox) = filled(store, 5).await;
        let since = highest(store, id, inbox).await;
        store.move_messages(id, inbox, uids(&[1, 2, 4]), &name("Trash"), NOW).await.expect("moved");
        assert_eq!(gone(store, id, inbox, since).await, uids(&[1, 2, 4]));
        let trash = folder(store, id, "Trash").await.id;
        assert!(gone(store, id, trash, ModSeq(0)).await.is_empty(), "what comes does not vanish");
        // Into the folder where it is.
        store.move_messages(id, inbox, uids(&[3]), &name("INBOX"), NOW).await.expect("moved");
        assert_eq!(gone(store, id, inbox, since).await, uids(&[1, 2, 3, 4]));
        store.rename_folder(id, &name("INBOX"), &name("Old"), NOW).await.expect("renamed");
        assert_eq!(gone(store, id, inbox, since).await, uids(&[1, 2, 3, 4, 5, 6]));
        let old = folder(store, id, "Old").await.id;
        assert!(gone(store, id, old, ModSeq(0)).await.is_empty());
        // What replaces a message takes it away too.
        let uid = put(store, id, "INBOX", "draft").await;
        let since = highest(store, id, inbox).await;
        store
            .replace(id, inbox, uid, delivery("final", vec![to(id, "INBOX")]))
            .await
            .expect("done")
            .expect("was there");
        assert_eq!(gone(store, id, inbox, since).await, [uid]);
    }

    pub async fn vanishing_follows_a_renamed_folder(store: &Tested) {
        let id = made(store, 1).await;
        put(store, id, "Archive", "x").await;
        put(store, id, "Archive", "y").await;
        mark(store, id, "Archive", &[1], Flags::DELETED).await;
        let archive = folder(store, id, "Archive").await.id;
        store.expunge(id, archive, None).await.expect("expunged");
        store.rename_folder(id, &name("Archive"), &name("Attic"), NOW).await.expect("renamed");
        assert_eq!(gone(store, id, archive, ModSeq(0)).await, uids(&[1]));
        // A folder of the old name has a memory of its own.
        store.create_folder(id, &name("Archive"), None).await.expect("created");
        let new = folder(store, id, "Archive").await.id;
        assert!(gone(store, id, new, ModSeq(0)).await.is_empty());
        store.delete_folder(id, &name("Attic")).await.expect("deleted");
        assert!(same(&store.vanished(id, archive, ModSeq(0)).await, &StoreError::NoSuchFolder));
        assert!(same(&store.vanished(MailboxId(4242), archive, ModSeq(0)).await, &StoreError::NoSuchMailbox));
    }
}
pub use rules::*;
