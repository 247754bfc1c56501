//! Rules of messages that come: UIDs, atomicity, quota, duplicates (OPE-QUEUE).

use std::collections::BTreeSet;

use super::*;
use crate::body::INLINE_LIMIT;

#[allow(missing_docs)]
mod rules {
    use super::*;

    pub async fn uids_and_modseqs_grow(store: &Tested) {
        let id = made(store, 1).await;
        for n in 1..=5 {
            assert_eq!(put(store, id, "INBOX", vec![b'x'; n as usize]).await, Uid(n));
        }
        let found = entries(store, id, "INBOX").await;
        assert!(found.windows(2).all(|w| w[0].uid < w[1].uid && w[0].modseq < w[1].modseq));
        assert_eq!(found.iter().map(|e| e.size).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(found.iter().all(|e| e.flags == Flags::NONE && e.internal_date == NOW));
        assert_eq!(now(store, 1).await.usage, Usage { octets: 15, messages: 5 });
        assert_eq!(put(store, id, "Sent", "x").await, Uid(1), "each folder counts by itself");
    }

    pub async fn octets_and_structure_come_back(store: &Tested) {
        let id = made(store, 1).await;
        let message: Vec<u8> = (0..=255u8).cycle().take(20_000).collect();
        let mut spool = store.spool();
        for piece in message.chunks(777) {
            spool.write(piece).await.expect("written");
        }
        let body = spool.finish().await.expect("finished");
        let content = Some(Content { body, structure: vec![0, 1, 255], links: Vec::new() });
        let commit = Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() };
        store.commit(commit).await.expect("committed");
        let entry = entries(store, id, "INBOX").await[0];
        assert_eq!(entry.size, 20_000);
        assert_eq!(octets(store, id, &entry).await, message);
        let structures = store.structures(id, &[entry.body, entry.body + 1, entry.body]).await.expect("read");
        assert_eq!(structures[0].as_deref(), Some(&[0, 1, 255][..]));
        assert_eq!((&structures[1], &structures[2]), (&None, &structures[0]));
        assert!(store.body(id, entry.body + 1).await.expect("read").is_none());
        let other = made(store, 2).await;
        assert!(store.body(other, entry.body).await.expect("read").is_none(), "another mailbox's");
    }

    pub async fn large_messages_come_back(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        let message: Vec<u8> = (0..=250u8).cycle().take(3 * INLINE_LIMIT + 12_345).collect();
        let mut spool = store.spool();
        for piece in message.chunks(100_000) {
            spool.write(piece).await.expect("written");
        }
        let body = spool.finish().await.expect("finished");
        let content = Some(Content { body, structure: b"s".to_vec(), links: Vec::new() });
        let deliver = vec![to(one, "INBOX"), to(two, "INBOX"), to(one, "Sent")];
        store.commit(Commit { content, deliver, ..Commit::default() }).await.expect("committed");
        for (id, wanted) in [(one, "INBOX"), (two, "INBOX"), (one, "Sent")] {
            let entry = entries(store, id, wanted).await[0];
            assert!(octets(store, id, &entry).await == message);
            let body = store.body(id, entry.body).await.expect("read").expect("there");
            assert_eq!(body.read(500_000, 10).await.expect("read"), message[500_000..500_010]);
        }
        // One mailbox's copies go, the other's stays.
        store.delete_mailbox(one).await.expect("deleted");
        store.maintain(NOW).await.expect("maintained");
        let entry = entries(store, two, "INBOX").await[0];
        assert!(octets(store, two, &entry).await == message);
    }

    pub async fn several_bodies_come_in_order(store: &Tested) {
        let id = made(store, 1).await;
        put(store, id, "INBOX", "one").await;
        put(store, id, "INBOX", vec![b'x'; INLINE_LIMIT + 1]).await;
        let found = entries(store, id, "INBOX").await;
        let asked = [found[1].body, found[1].body + 7, found[0].body, found[0].body];
        let bodies = store.bodies(id, &asked).await.expect("read");
        let lengths: Vec<Option<u64>> = bodies.iter().map(|body| body.as_ref().map(Body::len)).collect();
        assert_eq!(lengths, [Some(INLINE_LIMIT as u64 + 1), None, Some(3), Some(3)]);
        let one = bodies[2].as_ref().expect("there");
        assert_eq!(one.read_all().await.expect("read"), "one");
    }

    pub async fn empty_messages_are_messages(store: &Tested) {
        let id = made(store, 1).await;
        put(store, id, "INBOX", "").await;
        let entry = entries(store, id, "INBOX").await[0];
        assert!(octets(store, id, &entry).await.is_empty());
    }

    pub async fn several_targets_all_or_none(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        store.set_quota(two, Quota { octets: Some(4), messages: None }).await.expect("set");
        let targets = vec![to(one, "INBOX"), to(two, "INBOX")];
        let refused = store.commit(delivery("12345", targets.clone())).await;
        assert!(same(&refused, &StoreError::OverQuota));
        assert!(entries(store, one, "INBOX").await.is_empty() && entries(store, two, "INBOX").await.is_empty());
        assert_eq!(now(store, 1).await.usage, Usage::default());
        let committed = store.commit(delivery("1234", targets)).await.expect("committed");
        assert_eq!(committed.delivered.len(), 2);
        for (n, id) in [(1, one), (2, two)] {
            let epoch = folder(store, id, "INBOX").await.uid_validity;
            let uid = Uid(1);
            assert_eq!(
                committed.delivered[n - 1],
                Delivered::Message { uid_validity: epoch, uid },
                "nothing was used up"
            );
        }
    }

    pub async fn several_targets_in_one_mailbox_share(store: &Tested) {
        let id = made(store, 1).await;
        let targets = vec![to(id, "INBOX"), to(id, "Sent"), to(id, "INBOX")];
        let committed = store.commit(delivery("123", targets)).await.expect("committed");
        assert_eq!(committed.delivered.iter().map(|d| uid_of(*d)).collect::<Vec<_>>(), [Uid(1), Uid(1), Uid(2)]);
        let (inbox, sent) = (entries(store, id, "INBOX").await, entries(store, id, "Sent").await);
        assert!(inbox[0].body == inbox[1].body && inbox[0].body == sent[0].body);
        assert_eq!(now(store, 1).await.usage, Usage { octets: 9, messages: 3 });
    }

    pub async fn over_quota_changes_nothing(store: &Tested) {
        let id = made(store, 1).await;
        store.set_quota(id, Quota { octets: Some(10), messages: None }).await.expect("set");
        put(store, id, "INBOX", "123456").await;
        let before = (now(store, 1).await, entries(store, id, "INBOX").await);
        assert!(same(&store.commit(delivery("12345", vec![to(id, "INBOX")])).await, &StoreError::OverQuota));
        assert_eq!((now(store, 1).await, entries(store, id, "INBOX").await), before);
        assert!(same(&store.commit(delivery("12345", vec![to(id, "nothing")])).await, &StoreError::NoSuchFolder));
        assert_eq!(put(store, id, "INBOX", "1234").await, Uid(2), "exactly the quota fits");
    }

    pub async fn quota_counts_messages(store: &Tested) {
        let id = made(store, 1).await;
        store.set_quota(id, Quota { octets: None, messages: Some(2) }).await.expect("set");
        let three = vec![to(id, "INBOX"), to(id, "INBOX"), to(id, "Sent")];
        assert!(same(&store.commit(delivery("x", three)).await, &StoreError::OverQuota));
        let two = vec![to(id, "INBOX"), to(id, "Sent")];
        store.commit(delivery("x", two)).await.expect("committed");
        assert!(same(&store.commit(delivery("x", vec![to(id, "INBOX")])).await, &StoreError::OverQuota));
    }

    pub async fn quota_is_for_what_is_there(store: &Tested) {
        let id = made(store, 1).await;
        put(store, id, "INBOX", "12345").await;
        store.set_quota(id, Quota { octets: Some(6), messages: None }).await.expect("set");
        assert!(same(&store.commit(delivery("12", vec![to(id, "INBOX")])).await, &StoreError::OverQuota));
        mark(store, id, "INBOX", &[1], Flags::DELETED).await;
        let inbox = folder(store, id, "INBOX").await.id;
        store.expunge(id, inbox, None).await.expect("expunged");
        assert_eq!(now(store, 1).await.usage, Usage::default());
        put(store, id, "INBOX", "12").await;
    }

    fn keyed(octets: &'static str, key: u8, targets: Vec<Target>) -> Commit {
        Commit { duplicate_key: Some([key; 16]), ..delivery(octets, targets) }
    }

    pub async fn a_duplicate_is_not_delivered_twice(store: &Tested) {
        let id = made(store, 1).await;
        let first = store.commit(keyed("a", 1, vec![to(id, "INBOX"), to(id, "Sent")])).await.expect("committed");
        assert!(!first.delivered.contains(&Delivered::Duplicate), "one commit is no duplicate of itself");
        let again = store.commit(keyed("a", 1, vec![to(id, "INBOX"), to(id, "Sent")])).await.expect("committed");
        assert_eq!(again.delivered, [Delivered::Duplicate, Delivered::Duplicate]);
        assert_eq!(entries(store, id, "INBOX").await.len(), 1);
        assert_eq!(now(store, 1).await.usage.messages, 2);
        let other = store.commit(keyed("a", 2, vec![to(id, "INBOX")])).await.expect("committed");
        assert_eq!(uid_of(other.delivered[0]), Uid(2));
        // A commit that failed is not remembered.
        store.set_quota(id, Quota { octets: None, messages: Some(3) }).await.expect("set");
        assert!(same(&store.commit(keyed("a", 3, vec![to(id, "INBOX")])).await, &StoreError::OverQuota));
        store.set_quota(id, Quota::default()).await.expect("set");
        let retried = store.commit(keyed("a", 3, vec![to(id, "INBOX")])).await.expect("committed");
        assert_eq!(uid_of(retried.delivered[0]), Uid(3));
    }

    pub async fn duplicates_are_by_mailbox(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        store.commit(keyed("a", 1, vec![to(one, "INBOX")])).await.expect("committed");
        let both = store.commit(keyed("a", 1, vec![to(one, "INBOX"), to(two, "INBOX")])).await.expect("committed");
        assert_eq!(both.delivered[0], Delivered::Duplicate);
        assert_eq!(uid_of(both.delivered[1]), Uid(1));
        let entry = entries(store, two, "INBOX").await[0];
        assert_eq!(octets(store, two, &entry).await, "a");
    }

    pub async fn duplicates_are_forgotten(store: &Tested) {
        let id = made(store, 1).await;
        let at = |when| vec![Target { internal_date: when, ..to(id, "INBOX") }];
        store.commit(keyed("a", 1, at(NOW))).await.expect("committed");
        let still = store.commit(keyed("a", 1, at(NOW + DUPLICATE_MEMORY))).await.expect("committed");
        assert_eq!(still.delivered, [Delivered::Duplicate]);
        let later = store.commit(keyed("a", 1, at(NOW + DUPLICATE_MEMORY + 1))).await.expect("committed");
        assert_eq!(uid_of(later.delivered[0]), Uid(2));
        let again = store.commit(keyed("a", 1, at(NOW + DUPLICATE_MEMORY + 2))).await.expect("committed");
        assert_eq!(again.delivered, [Delivered::Duplicate], "remembered anew");
        store.maintain(NOW + 3 * DUPLICATE_MEMORY).await.expect("maintained");
        let after = store.commit(keyed("a", 1, at(NOW + DUPLICATE_MEMORY + 3))).await.expect("committed");
        assert_eq!(uid_of(after.delivered[0]), Uid(3));
    }

    pub async fn duplicates_are_by_the_time_of_the_commit(store: &Tested) {
        let id = made(store, 1).await;
        let old = || vec![Target { internal_date: 1000, ..to(id, "INBOX") }];
        let imported = |when| Commit { saved_at: when, ..keyed("old", 1, old()) };
        store.commit(imported(NOW)).await.expect("committed");
        store.maintain(NOW + 1).await.expect("maintained");
        let again = store.commit(imported(NOW + 2)).await.expect("committed");
        assert_eq!(again.delivered, [Delivered::Duplicate], "though its INTERNALDATE is of long ago");
    }

    pub async fn keywords_are_interned(store: &Tested) {
        let id = made(store, 1).await;
        let with = |keywords: &[&str]| Target {
            flags: Flags::SEEN,
            keywords: keywords.iter().map(ToString::to_string).collect(),
            ..to(id, "INBOX")
        };
        store.commit(delivery("a", vec![with(&["$Junk", "Traité"])])).await.expect("committed");
        store.commit(delivery("a", vec![with(&["$JUNK"])])).await.expect("committed");
        let inbox = folder(store, id, "INBOX").await.id;
        let view = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(view.keywords.names().iter().map(|k| &**k).collect::<Vec<_>>(), ["$Junk", "Traité"]);
        let names: Vec<Vec<&str>> = view.iter().map(|e| e.flags.names(&view.keywords).collect()).collect();
        assert_eq!(names, [vec!["\\Seen", "$Junk", "Traité"], vec!["\\Seen", "$Junk"]]);
        // Bits of keywords come from names only.
        let forged = Target { flags: Flags::from_bits(u64::MAX), ..to(id, "Sent") };
        store.commit(delivery("a", vec![forged])).await.expect("committed");
        assert_eq!(entries(store, id, "Sent").await[0].flags.bits() >> Flags::FIRST_KEYWORD, 0);
    }

    pub async fn keywords_are_bounded(store: &Tested) {
        let id = made(store, 1).await;
        let many: Vec<String> = (0..mail::Keywords::MAX).map(|n| format!("k{n}")).collect();
        let mut more = many.clone();
        more.push("one-more".into());
        let with = |keywords| vec![Target { keywords, ..to(id, "INBOX") }];
        assert!(same(&store.commit(delivery("a", with(more))).await, &StoreError::TooManyKeywords));
        assert!(entries(store, id, "INBOX").await.is_empty());
        store.commit(delivery("a", with(many))).await.expect("committed");
        assert!(same(&store.commit(delivery("a", with(vec!["new".into()]))).await, &StoreError::TooManyKeywords));
        assert_eq!(entries(store, id, "INBOX").await[0].flags.bits(), !0 << Flags::FIRST_KEYWORD);
    }

    pub async fn unknown_targets_refuse_all(store: &Tested) {
        let id = made(store, 1).await;
        let commit = delivery("a", vec![to(id, "INBOX"), to(id, "nothing")]);
        assert!(same(&store.commit(commit).await, &StoreError::NoSuchFolder));
        let commit = delivery("a", vec![to(id, "INBOX"), to(MailboxId(4242), "INBOX")]);
        assert!(same(&store.commit(commit).await, &StoreError::NoSuchMailbox));
        assert!(entries(store, id, "INBOX").await.is_empty());
        assert_eq!(now(store, 1).await.usage, Usage::default());
    }

    pub async fn a_commit_without_message(store: &Tested) {
        let id = made(store, 1).await;
        assert_eq!(store.commit(Commit::default()).await.expect("nothing to do"), Committed::default());
        let empty = Commit { deliver: vec![to(id, "INBOX")], ..Commit::default() };
        assert!(store.commit(empty).await.is_err());
    }

    pub async fn concurrent_commits_are_all_there(store: &Tested) {
        let id = made(store, 1).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..64u32 {
            let store = store.clone();
            tasks.spawn(async move {
                let refused = n % 4 == 3;
                let wanted = if refused { "nothing" } else { "INBOX" };
                let result = store.commit(delivery(n.to_string(), vec![to(id, wanted)])).await;
                assert_eq!(result.is_err(), refused, "one request's failure is its own");
                result.ok().map(|committed| (uid_of(committed.delivered[0]), n))
            });
        }
        let mut acknowledged = BTreeSet::new();
        while let Some(done) = tasks.join_next().await {
            acknowledged.extend(done.expect("no panic"));
        }
        let found = entries(store, id, "INBOX").await;
        assert_eq!(found.iter().map(|e| e.uid).collect::<Vec<_>>(), (1..=48).map(Uid).collect::<Vec<_>>());
        for (entry, (uid, n)) in found.iter().zip(acknowledged) {
            assert_eq!(entry.uid, uid);
            assert_eq!(octets(store, id, entry).await, n.to_string());
        }
    }
}
pub use rules::*;
