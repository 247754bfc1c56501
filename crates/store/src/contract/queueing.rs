//! Rules of the outgoing queue (OPE-QUEUE).

use super::*;
use crate::body::INLINE_LIMIT;

#[allow(missing_docs)]
mod rules {
    use super::*;

    fn entry(sender: Option<MailboxId>, recipients: &[u32]) -> NewQueueEntry {
        NewQueueEntry {
            sender,
            return_path: sender.map(|_| address(1)),
            parameters: MailParameters {
                return_full: Some(false),
                envelope_id: Some("id+3D1".into()),
                eight_bit: true,
                utf8: false,
            },
            recipients: recipients
                .iter()
                .map(|n| NewQueueRecipient {
                    address: address(*n),
                    notify: Notify { success: true, explicit: true, ..Notify::default() },
                    original: Some(format!("rfc822;bal{n}")),
                })
                .collect(),
            accepted_at: NOW,
            expires_at: NOW + 86_400,
        }
    }

    fn queued(octets: &'static str, sender: Option<MailboxId>, recipients: &[u32]) -> Commit {
        Commit { content: content(octets), enqueue: Some(entry(sender, recipients)), ..Commit::default() }
    }

    async fn enqueue(store: &Tested, octets: &'static str, recipients: &[u32]) -> QueueId {
        store.commit(queued(octets, None, recipients)).await.expect("queued").queued.expect("has a number")
    }

    fn settled(entry: QueueId, recipients: &[u32]) -> Option<Settlement> {
        Some(Settlement { entry, recipients: recipients.iter().map(|n| (*n, Outcome::Relayed)).collect() })
    }

    pub async fn a_message_sent_again_is_not_queued_twice(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        let commit = |sender, key: u8, recipients: &[u32], at: i64| Commit {
            duplicate_key: Some([key; 16]),
            enqueue: Some(NewQueueEntry { accepted_at: at, ..entry(Some(sender), recipients) }),
            ..queued("octets", None, &[9])
        };
        let to = async |id: Option<QueueId>| {
            let found = store.queue_entry(id.expect("queued")).await.expect("read").expect("there");
            found.recipients.iter().map(|r| r.address.clone()).collect::<Vec<_>>()
        };
        let first = store.commit(commit(one, 1, &[2, 3], NOW)).await.expect("committed");
        assert_eq!(to(first.queued).await, [address(2), address(3)]);
        let again = store.commit(commit(one, 1, &[3, 2], NOW + 5)).await.expect("committed");
        assert_eq!(again.queued, None, "sent to both already");
        // Whom it was not accepted for the first time gets it, and nobody else.
        let more = store.commit(commit(one, 1, &[2, 4, 3], NOW + 5)).await.expect("committed");
        assert_eq!(to(more.queued).await, [address(4)]);
        assert_eq!(
            store
                .queue_body(more.queued.expect("queued"))
                .await
                .expect("read")
                .expect("there")
                .read_all()
                .await
                .expect("read"),
            "octets"
        );
        for other in [commit(one, 2, &[2], NOW + 5), commit(two, 1, &[2], NOW + 5)] {
            assert!(store.commit(other).await.expect("committed").queued.is_some(), "another message, another sender");
        }
        let late = NOW + DUPLICATE_MEMORY + 1;
        assert!(store.commit(commit(one, 1, &[2], late)).await.expect("committed").queued.is_some(), "forgotten");
        // Without key or sender nothing is remembered.
        for _ in 0..2 {
            let unkeyed = Commit { duplicate_key: None, ..commit(one, 3, &[2], NOW) };
            assert!(store.commit(unkeyed).await.expect("committed").queued.is_some());
            let notice = Commit { duplicate_key: Some([4; 16]), ..queued("octets", None, &[2]) };
            assert!(store.commit(notice).await.expect("committed").queued.is_some());
        }
        // To people here and elsewhere at once, in one commit.
        let both = || Commit { deliver: vec![Target::inbox(two, NOW)], ..commit(one, 5, &[2], NOW) };
        let done = store.commit(both()).await.expect("committed");
        assert!(done.queued.is_some() && done.delivered[0] != Delivered::Duplicate);
        let done = store.commit(both()).await.expect("committed");
        assert_eq!((done.queued, done.delivered), (None, vec![Delivered::Duplicate]));
    }

    /// A message with a key, from a mailbox, accepted at a time.
    fn keyed(sender: MailboxId, key: u8, recipients: &[u32], at: i64) -> Commit {
        Commit {
            duplicate_key: Some([key; 16]),
            enqueue: Some(NewQueueEntry { accepted_at: at, ..entry(Some(sender), recipients) }),
            ..queued("octets", None, &[9])
        }
    }

    /// Whom it was queued for; nobody when there is no entry.
    async fn queued_for(store: &Tested, commit: Commit) -> (QueueId, Vec<Address>) {
        let Some(id) = store.commit(commit).await.expect("committed").queued else { return (QueueId(0), Vec::new()) };
        let found = store.queue_entry(id).await.expect("read").expect("there");
        (id, found.recipients.into_iter().map(|r| r.address).collect())
    }

    fn ends(entry: QueueId, outcomes: &[(u32, Outcome)]) -> Commit {
        Commit { settle: Some(Settlement { entry, recipients: outcomes.to_vec() }), ..Commit::default() }
    }

    pub async fn what_was_given_up_is_sent_again(store: &Tested) {
        let (one, two) = (made(store, 1).await, made(store, 2).await);
        let (id, _) = queued_for(store, keyed(one, 1, &[2, 3, 4], NOW)).await;
        let (other, _) = queued_for(store, keyed(two, 1, &[3], NOW)).await;
        let (second, _) = queued_for(store, keyed(one, 2, &[3], NOW)).await;
        let later = Outcome::Retry { at: NOW + 9, error: "451".into(), delay_told: false };
        store.commit(ends(id, &[(0, Outcome::Relayed), (1, Outcome::Failed), (2, later)])).await.expect("settled");
        // The one who did not get it: not who has it, nor who may still get it.
        let (again, to) = queued_for(store, keyed(one, 1, &[2, 3, 4], NOW + 5)).await;
        assert_eq!(to, [address(3)]);
        // And that is remembered in its turn.
        assert_eq!(queued_for(store, keyed(one, 1, &[3], NOW + 6)).await.1, []);
        store.commit(ends(again, &[(0, Outcome::Relayed)])).await.expect("settled");
        assert_eq!(queued_for(store, keyed(one, 1, &[3], NOW + 7)).await.1, []);
        // Of another message, and of another's, nothing was forgotten.
        assert_eq!(queued_for(store, keyed(one, 2, &[3], NOW + 7)).await.1, []);
        assert_eq!(queued_for(store, keyed(two, 1, &[3], NOW + 7)).await.1, []);
        // The last open recipient, with which the entry goes.
        store.commit(ends(id, &[(2, Outcome::Failed)])).await.expect("settled");
        assert!(store.queue_entry(id).await.expect("read").is_none());
        assert_eq!(queued_for(store, keyed(one, 1, &[4, 2], NOW + 8)).await.1, [address(4)]);
        for (entry, sender, key) in [(other, two, 1), (second, one, 2)] {
            store.commit(ends(entry, &[(0, Outcome::Failed)])).await.expect("settled");
            assert_eq!(queued_for(store, keyed(sender, key, &[3], NOW + 9)).await.1, [address(3)]);
        }
    }

    pub async fn giving_up_and_its_notice_are_one(store: &Tested) {
        let sender = made(store, 1).await;
        store.set_quota(sender, Quota { octets: Some(3), messages: None }).await.expect("set");
        let (id, _) = queued_for(store, keyed(sender, 1, &[2], NOW)).await;
        let notice = |octets: &'static str| Commit {
            deliver: vec![to(sender, "INBOX")],
            content: content(octets),
            ..ends(id, &[(0, Outcome::Failed)])
        };
        assert!(same(&store.commit(notice("too large")).await, &StoreError::OverQuota));
        assert_eq!(queued_for(store, keyed(sender, 1, &[2], NOW + 1)).await.1, [], "not given up without its notice");
        store.commit(notice("dsn")).await.expect("settled");
        assert_eq!(queued_for(store, keyed(sender, 1, &[2], NOW + 1)).await.1, [address(2)]);
        // What is settled twice is refused, and nothing is forgotten by it.
        assert!(store.commit(notice("dsn")).await.is_err());
        assert_eq!(queued_for(store, keyed(sender, 1, &[2], NOW + 1)).await.1, []);
    }

    pub async fn giving_up_late_forgets_nothing_newer(store: &Tested) {
        let sender = made(store, 1).await;
        let (old, _) = queued_for(store, keyed(sender, 1, &[2], NOW)).await;
        // The first waits for more than ten days: the second is accepted meanwhile.
        let later = NOW + DUPLICATE_MEMORY + 1;
        let (new, to) = queued_for(store, keyed(sender, 1, &[2], later)).await;
        assert_eq!(to, [address(2)]);
        store.commit(ends(old, &[(0, Outcome::Failed)])).await.expect("settled");
        assert_eq!(queued_for(store, keyed(sender, 1, &[2], later + 1)).await.1, [], "the second may still arrive");
        store.commit(ends(new, &[(0, Outcome::Failed)])).await.expect("settled");
        assert_eq!(queued_for(store, keyed(sender, 1, &[2], later + 1)).await.1, [address(2)]);
        // Without key, without sender, and when the sender is gone: nothing to forget.
        let unkeyed = Commit { duplicate_key: None, ..keyed(sender, 3, &[2], NOW) };
        let (unkeyed, _) = queued_for(store, unkeyed).await;
        let notice = Commit { duplicate_key: Some([4; 16]), ..queued("octets", None, &[2]) };
        let (notice, _) = queued_for(store, notice).await;
        let (orphan, _) = queued_for(store, keyed(sender, 5, &[2], NOW)).await;
        store.delete_mailbox(sender).await.expect("deleted");
        for entry in [unkeyed, notice, orphan] {
            store.commit(ends(entry, &[(0, Outcome::Failed)])).await.expect("settled");
            assert!(store.queue_entry(entry).await.expect("read").is_none());
        }
    }

    pub async fn an_entry_comes_back(store: &Tested) {
        let sender = made(store, 1).await;
        let id = store.commit(queued("octets", Some(sender), &[2, 3])).await.expect("queued").queued.expect("a number");
        let found = store.queue_entry(id).await.expect("read").expect("there");
        let wanted = entry(Some(sender), &[2, 3]);
        assert_eq!((found.id, found.sender, found.size), (id, Some(sender), 6));
        assert_eq!((found.return_path, found.parameters), (wanted.return_path, wanted.parameters));
        assert_eq!((found.accepted_at, found.expires_at), (NOW, NOW + 86_400));
        assert_eq!(found.recipients.iter().map(|r| r.index).collect::<Vec<_>>(), [0, 1]);
        let second = &found.recipients[1];
        assert_eq!((&second.address, &second.notify), (&wanted.recipients[1].address, &wanted.recipients[1].notify));
        assert_eq!(second.original, wanted.recipients[1].original);
        assert_eq!((second.attempts, second.next_attempt, second.delay_told), (0, NOW, false));
        assert_eq!(second.last_error, None);
        let body = store.queue_body(id).await.expect("read").expect("there");
        assert_eq!(body.read_all().await.expect("read"), "octets");
        let notice = enqueue(store, "notice", &[2]).await;
        let notice = store.queue_entry(notice).await.expect("read").expect("there");
        assert_eq!((notice.sender, notice.return_path), (None, None));
        assert!(store.queue_entry(QueueId(4242)).await.expect("read").is_none());
        assert!(store.queue_body(QueueId(4242)).await.expect("read").is_none());
        assert!(store.commit(queued("nobody", None, &[])).await.is_err(), "never without recipients");
    }

    pub async fn entries_come_in_order(store: &Tested) {
        let mut ids = Vec::new();
        for octets in ["a", "b", "c"] {
            ids.push(enqueue(store, octets, &[1, 2]).await);
        }
        store.commit(Commit { settle: settled(ids[1], &[0]), ..Commit::default() }).await.expect("settled");
        let all = store.queue().await.expect("read");
        assert_eq!(all.iter().map(|e| e.id).collect::<Vec<_>>(), ids);
        assert_eq!(all.iter().map(|e| e.recipients.len()).collect::<Vec<_>>(), [2, 1, 2]);
        assert_eq!(all[1].recipients[0].index, 1, "an index is stable");
    }

    pub async fn an_entry_goes_with_its_last_recipient(store: &Tested) {
        let id = enqueue(store, "a", &[1, 2]).await;
        store.commit(Commit { settle: settled(id, &[1]), ..Commit::default() }).await.expect("settled");
        assert!(store.queue_entry(id).await.expect("read").is_some());
        store.commit(Commit { settle: settled(id, &[0]), ..Commit::default() }).await.expect("settled");
        assert!(store.queue_entry(id).await.expect("read").is_none());
        assert!(store.queue_body(id).await.expect("read").is_none());
        assert!(store.queue().await.expect("read").is_empty());
        assert!(enqueue(store, "b", &[1]).await > id, "numbers are not given twice");
    }

    pub async fn retries_are_noted(store: &Tested) {
        let id = enqueue(store, "a", &[1, 2]).await;
        for (n, delay_told) in [(1, false), (2, true)] {
            let outcome = Outcome::Retry { at: NOW + n, error: format!("451 try {n}"), delay_told };
            let settle = Some(Settlement { entry: id, recipients: vec![(1, outcome)] });
            store.commit(Commit { settle, ..Commit::default() }).await.expect("noted");
        }
        let found = store.queue_entry(id).await.expect("read").expect("there");
        let second = &found.recipients[1];
        assert_eq!((second.attempts, second.next_attempt, second.delay_told), (2, NOW + 2, true));
        assert_eq!(second.last_error.as_deref(), Some("451 try 2"));
        assert_eq!(found.recipients[0].attempts, 0);
    }

    pub async fn a_settlement_and_its_notice_are_one(store: &Tested) {
        let sender = made(store, 1).await;
        store.set_quota(sender, Quota { octets: Some(3), messages: None }).await.expect("set");
        let id = enqueue(store, "a", &[1]).await;
        let notice =
            |octets: &'static str| Commit { settle: settled(id, &[0]), ..delivery(octets, vec![to(sender, "INBOX")]) };
        assert!(same(&store.commit(notice("too large")).await, &StoreError::OverQuota));
        assert!(store.queue_entry(id).await.expect("read").is_some(), "not settled without its notice");
        store.commit(notice("dsn")).await.expect("settled");
        assert!(store.queue_entry(id).await.expect("read").is_none());
        assert_eq!(entries(store, sender, "INBOX").await.len(), 1);
    }

    pub async fn nothing_is_settled_twice(store: &Tested) {
        let sender = made(store, 1).await;
        let id = enqueue(store, "a", &[1, 2]).await;
        let notice = |recipients: &[u32]| Commit {
            settle: settled(id, recipients),
            ..delivery("dsn", vec![to(sender, "INBOX")])
        };
        store.commit(notice(&[0])).await.expect("settled");
        assert!(store.commit(notice(&[0])).await.is_err());
        assert!(store.commit(notice(&[1, 0])).await.is_err());
        assert_eq!(store.queue_entry(id).await.expect("read").expect("there").recipients.len(), 1);
        store.commit(notice(&[1])).await.expect("settled");
        assert!(store.commit(notice(&[1])).await.is_err());
        assert_eq!(entries(store, sender, "INBOX").await.len(), 2, "one notice for each");
    }

    pub async fn a_refused_delivery_is_not_queued(store: &Tested) {
        let id = made(store, 1).await;
        let commit = Commit { enqueue: Some(entry(None, &[1])), ..delivery("a", vec![to(id, "nothing")]) };
        assert!(same(&store.commit(commit).await, &StoreError::NoSuchFolder));
        assert!(store.queue().await.expect("read").is_empty());
    }

    pub async fn large_entries_come_back(store: &Tested) {
        let sender = made(store, 1).await;
        let message = vec![b'q'; INLINE_LIMIT + 1];
        let mut spool = store.spool();
        spool.write(&message).await.expect("written");
        let content =
            Some(Content { body: spool.finish().await.expect("finished"), structure: Vec::new(), links: Vec::new() });
        let enqueue = Some(entry(Some(sender), &[2]));
        let commit = Commit { content, deliver: vec![to(sender, "Sent")], enqueue, ..Commit::default() };
        let id = store.commit(commit).await.expect("queued").queued.expect("a number");
        let open = store.queue_body(id).await.expect("read").expect("there");
        assert_eq!(open.len(), message.len() as u64);
        store.commit(Commit { settle: settled(id, &[0]), ..Commit::default() }).await.expect("settled");
        assert!(open.read_all().await.expect("still readable") == message);
        let kept = entries(store, sender, "Sent").await[0];
        assert!(octets(store, sender, &kept).await == message, "the copy in Sent is its own");
    }

    pub async fn delivery_and_queue_in_one(store: &Tested) {
        let (sender, local) = (made(store, 1).await, made(store, 2).await);
        let targets = vec![to(local, "INBOX"), to(sender, "Sent")];
        let commit = Commit { enqueue: Some(entry(Some(sender), &[7, 8])), ..delivery("all", targets) };
        let committed = store.commit(commit).await.expect("committed");
        assert_eq!(committed.delivered.len(), 2);
        let body = store.queue_body(committed.queued.expect("queued")).await.expect("read").expect("there");
        assert_eq!(body.read_all().await.expect("read"), "all");
        assert_eq!(entries(store, local, "INBOX").await.len(), 1);
    }
}
pub use rules::*;
