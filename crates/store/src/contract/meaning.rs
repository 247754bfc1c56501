//! Rules of what a message has beside its flags: when it was saved (RFC 8514), which conversation it is of (RFC 8474).

use super::*;
use crate::limits::MAX_LINKS;

#[allow(missing_docs)]
mod rules {
    use super::*;

    fn linked(links: &[u64], targets: Vec<Target>) -> Commit {
        let content = content("x").map(|c| Content { links: links.iter().map(|key| LinkKey(*key)).collect(), ..c });
        Commit { content, deliver: targets, ..Commit::default() }
    }

    async fn threads(store: &Tested, id: MailboxId, wanted: &str) -> Vec<u32> {
        entries(store, id, wanted).await.iter().map(|e| e.thread).collect()
    }

    pub async fn saving_is_dated(store: &Tested) {
        let id = made(store, 1).await;
        let target = Target { internal_date: 5, ..to(id, "INBOX") };
        let commit = Commit { saved_at: NOW + 1, ..delivery("a", vec![target]) };
        store.commit(commit).await.expect("committed");
        let inbox = folder(store, id, "INBOX").await.id;
        store.copy(id, inbox, vec![Uid(1)], &name("Archive"), NOW + 2).await.expect("copied");
        store.move_messages(id, inbox, vec![Uid(1)], &name("Trash"), NOW + 3).await.expect("moved");
        let saved =
            async |wanted| entries(store, id, wanted).await.iter().map(|e| i64::from(e.saved)).collect::<Vec<_>>();
        assert_eq!((saved("Archive").await, saved("Trash").await), (vec![NOW + 2], vec![NOW + 3]));
        let entry = entries(store, id, "Trash").await[0];
        assert_eq!(entry.internal_date, 5, "the date of the message stays");
        put(store, id, "INBOX", "b").await;
        assert_eq!(saved("INBOX").await, [0], "not known");
        let far = Commit { saved_at: i64::MAX, ..delivery("c", vec![to(id, "INBOX")]) };
        store.commit(far).await.expect("committed");
        store.rename_folder(id, &name("INBOX"), &name("Old"), NOW + 4).await.expect("renamed");
        assert_eq!(saved("Old").await, [NOW + 4, NOW + 4]);
        let trash = folder(store, id, "Trash").await.id;
        mark(store, id, "Trash", &[1], Flags::SEEN).await;
        store.rename_folder(id, &name("Trash"), &name("Bin"), NOW + 5).await.expect("renamed");
        assert_eq!(folder(store, id, "Bin").await.id, trash);
        assert_eq!(saved("Bin").await, [NOW + 3], "neither marking nor renaming is saving");
    }

    pub async fn answers_join_the_conversation(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = || vec![to(id, "INBOX")];
        // A message, its answer, another one, one without links, twice.
        for links in [&[1][..], &[2, 1], &[3], &[], &[]] {
            store.commit(linked(links, inbox())).await.expect("committed");
        }
        assert_eq!(threads(store, id, "INBOX").await, [1, 1, 2, 3, 4]);
        // What is answered comes after its answer.
        store.commit(linked(&[11, 10], inbox())).await.expect("committed");
        store.commit(linked(&[10], inbox())).await.expect("committed");
        store.commit(linked(&[12, 10], vec![to(id, "Sent")])).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await[5..], [5, 5]);
        assert_eq!(threads(store, id, "Sent").await, [5], "whatever the folder");
        // The first link known decides, and nothing joined moves.
        store.commit(linked(&[20, 3, 1], inbox())).await.expect("committed");
        store.commit(linked(&[3, 1], inbox())).await.expect("committed");
        store.commit(linked(&[21, 20], inbox())).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await, [1, 1, 2, 3, 4, 5, 5, 2, 2, 2]);
        // The same key twice, and the largest.
        store.commit(linked(&[u64::MAX, u64::MAX, 30], inbox())).await.expect("committed");
        store.commit(linked(&[31, u64::MAX], inbox())).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await[10..], [6, 6]);
    }

    pub async fn conversations_are_of_one_mailbox(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        store.commit(linked(&[9], vec![to(two, "INBOX")])).await.expect("committed");
        let everywhere = vec![to(one, "INBOX"), to(two, "INBOX"), to(one, "Sent")];
        store.commit(linked(&[1], everywhere)).await.expect("committed");
        assert_eq!(threads(store, one, "INBOX").await, [1]);
        assert_eq!(threads(store, one, "Sent").await, [1]);
        assert_eq!(threads(store, two, "INBOX").await, [1, 2]);
        // An erased mailbox takes its conversations along.
        store.delete_mailbox(one).await.expect("deleted");
        let again = made(store, 1).await;
        store.commit(linked(&[2, 1], vec![to(again, "INBOX")])).await.expect("committed");
        store.commit(linked(&[1], vec![to(again, "INBOX")])).await.expect("committed");
        assert_eq!(threads(store, again, "INBOX").await, [1, 1]);
    }

    pub async fn copies_stay_in_the_conversation(store: &Tested) {
        let id = made(store, 1).await;
        for links in [&[1][..], &[2]] {
            store.commit(linked(links, vec![to(id, "INBOX")])).await.expect("committed");
        }
        let inbox = folder(store, id, "INBOX").await.id;
        store.copy(id, inbox, vec![Uid(1), Uid(2)], &name("Archive"), NOW).await.expect("copied");
        store.move_messages(id, inbox, vec![Uid(2)], &name("Trash"), NOW).await.expect("moved");
        assert_eq!(threads(store, id, "Archive").await, [1, 2]);
        assert_eq!(threads(store, id, "Trash").await, [2]);
        mark(store, id, "INBOX", &[1], Flags::DELETED).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        store.commit(linked(&[3, 1], vec![to(id, "INBOX")])).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await, [1], "a conversation outlives its messages' copies");
    }

    pub async fn refused_messages_begin_no_conversation(store: &Tested) {
        let id = made(store, 1).await;
        store.set_quota(id, Quota { octets: None, messages: Some(1) }).await.expect("set");
        let two = vec![to(id, "INBOX"), to(id, "Sent")];
        assert!(same(&store.commit(linked(&[1], two)).await, &StoreError::OverQuota));
        store.commit(linked(&[2], vec![to(id, "INBOX")])).await.expect("committed");
        store.set_quota(id, Quota::default()).await.expect("set");
        store.commit(linked(&[1], vec![to(id, "INBOX")])).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await, [1, 2]);
    }

    pub async fn links_are_bounded(store: &Tested) {
        let id = made(store, 1).await;
        let many: Vec<u64> = (1..=MAX_LINKS as u64 + 1).collect();
        store.commit(linked(&many, vec![to(id, "INBOX")])).await.expect("committed");
        store.commit(linked(&[100, MAX_LINKS as u64], vec![to(id, "INBOX")])).await.expect("committed");
        store.commit(linked(&[101, MAX_LINKS as u64 + 1], vec![to(id, "INBOX")])).await.expect("committed");
        assert_eq!(threads(store, id, "INBOX").await, [1, 1, 2]);
    }
}
pub use rules::*;
