//! Rules of copies and moves (RFC 3501 §6.4.7, RFC 4315, RFC 6851).

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    async fn filled(store: &Tested) -> (MailboxId, FolderId) {
        let id = made(store, 1).await;
        for octets in ["1", "22", "333"] {
            put(store, id, "INBOX", octets).await;
        }
        (id, folder(store, id, "INBOX").await.id)
    }

    fn uids(uids: &[u32]) -> Vec<Uid> {
        uids.iter().map(|uid| Uid(*uid)).collect()
    }

    pub async fn copies_share_bodies_and_count(store: &Tested) {
        let (id, inbox) = filled(store).await;
        put(store, id, "Archive", "x").await;
        let copied = store.copy(id, inbox, uids(&[1, 3, 7]), &name("Archive"), NOW).await.expect("copied");
        assert_eq!(copied.uids, [(Uid(1), Uid(2)), (Uid(3), Uid(3))]);
        assert_eq!(copied.uid_validity, folder(store, id, "Archive").await.uid_validity);
        let (from, to) = (entries(store, id, "INBOX").await, entries(store, id, "Archive").await);
        assert_eq!((to[1].body, to[2].body), (from[0].body, from[2].body));
        assert_eq!(now(store, 1).await.usage, Usage { octets: 11, messages: 6 });
        assert_eq!(octets(store, id, &to[2]).await, "333");
    }

    pub async fn copies_keep_flags_and_dates(store: &Tested) {
        let id = made(store, 1).await;
        let target = Target { flags: Flags::FLAGGED, internal_date: 77, ..to(id, "INBOX") };
        store.commit(delivery("a", vec![target])).await.expect("committed");
        let inbox = folder(store, id, "INBOX").await.id;
        store.copy(id, inbox, uids(&[1]), &name("INBOX"), NOW).await.expect("copied into the same folder");
        let found = entries(store, id, "INBOX").await;
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].uid, found[1].flags, found[1].internal_date), (Uid(2), Flags::FLAGGED, 77));
        assert!(found[1].modseq > found[0].modseq);
    }

    pub async fn copies_are_held_to_the_quota(store: &Tested) {
        let (id, inbox) = filled(store).await;
        store.set_quota(id, Quota { octets: Some(8), messages: None }).await.expect("set");
        let refused = store.copy(id, inbox, uids(&[1, 3]), &name("Archive"), NOW).await;
        assert!(same(&refused, &StoreError::OverQuota));
        assert!(entries(store, id, "Archive").await.is_empty());
        assert_eq!(now(store, 1).await.usage, Usage { octets: 6, messages: 3 });
        store.copy(id, inbox, uids(&[2]), &name("Archive"), NOW).await.expect("that much fits");
        assert_eq!(entries(store, id, "Archive").await[0].uid, Uid(1));
    }

    pub async fn copies_translate_keywords(store: &Tested) {
        let id = made(store, 1).await;
        let with = |wanted: &str, keywords: &[&str]| Target {
            keywords: keywords.iter().map(ToString::to_string).collect(),
            ..to(id, wanted)
        };
        store.commit(delivery("a", vec![with("INBOX", &["one", "two"])])).await.expect("committed");
        store.commit(delivery("b", vec![with("Archive", &["two", "three"])])).await.expect("committed");
        store.commit(delivery("c", vec![with("INBOX", &["unused"])])).await.expect("committed");
        let inbox = folder(store, id, "INBOX").await.id;
        store.copy(id, inbox, uids(&[1]), &name("Archive"), NOW).await.expect("copied");
        let archive = folder(store, id, "Archive").await.id;
        let view = store.watch(id, archive).await.expect("watched").borrow().clone();
        assert_eq!(view.keywords.names().iter().map(|k| &**k).collect::<Vec<_>>(), ["two", "three", "one"]);
        let mut names: Vec<&str> = view.get(1).expect("there").flags.names(&view.keywords).collect();
        names.sort_unstable();
        assert_eq!(names, ["one", "two"]);
    }

    pub async fn copying_nothing_is_nothing(store: &Tested) {
        let (id, inbox) = filled(store).await;
        let archive = folder(store, id, "Archive").await;
        let before = store.watch(id, archive.id).await.expect("watched").borrow().clone();
        let copied = store.copy(id, inbox, uids(&[9]), &name("Archive"), NOW).await.expect("nothing to do");
        assert_eq!(copied, Copied { uid_validity: archive.uid_validity, uids: Vec::new() });
        let moved = store.move_messages(id, inbox, Vec::new(), &name("Archive"), NOW).await.expect("nothing to do");
        assert!(moved.uids.is_empty());
        let after = store.watch(id, archive.id).await.expect("watched").borrow().clone();
        assert_eq!(after.highest_modseq, before.highest_modseq);
    }

    pub async fn moving_keeps_the_usage(store: &Tested) {
        let (id, inbox) = filled(store).await;
        // Over its quota, a mailbox can still be put in order.
        store.set_quota(id, Quota { octets: Some(1), messages: Some(1) }).await.expect("set");
        let before = store.watch(id, inbox).await.expect("watched").borrow().clone();
        let moved = store.move_messages(id, inbox, uids(&[1, 3]), &name("Trash"), NOW).await.expect("moved");
        assert_eq!(moved.uids, [(Uid(1), Uid(1)), (Uid(3), Uid(2))]);
        assert_eq!(moved.uid_validity, folder(store, id, "Trash").await.uid_validity);
        let after = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(after.iter().map(|e| e.uid).collect::<Vec<_>>(), [Uid(2)]);
        assert!(after.highest_modseq > before.highest_modseq);
        let trash = entries(store, id, "Trash").await;
        assert_eq!(octets(store, id, &trash[1]).await, "333");
        assert_eq!(now(store, 1).await.usage, Usage { octets: 6, messages: 3 });
    }

    pub async fn moving_into_the_same_folder(store: &Tested) {
        let (id, inbox) = filled(store).await;
        let moved = store.move_messages(id, inbox, uids(&[2]), &name("INBOX"), NOW).await.expect("moved");
        assert_eq!(moved.uids, [(Uid(2), Uid(4))]);
        let found = entries(store, id, "INBOX").await;
        assert_eq!(found.iter().map(|e| e.uid).collect::<Vec<_>>(), uids(&[1, 3, 4]));
        assert_eq!(octets(store, id, &found[2]).await, "22");
    }

    pub async fn moving_needs_a_folder(store: &Tested) {
        let (id, inbox) = filled(store).await;
        let gone = StoreError::NoSuchFolder;
        assert!(same(&store.move_messages(id, inbox, uids(&[1]), &name("nothing"), NOW).await, &gone));
        assert!(same(&store.copy(id, inbox, uids(&[1]), &name("nothing"), NOW).await, &gone));
        assert_eq!(entries(store, id, "INBOX").await.len(), 3);
    }
}
pub use rules::*;
