//! Rules of what the search index follows: which mailboxes received something, and what.

use std::collections::BTreeSet;

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    async fn bodies(store: &Tested, id: MailboxId, wanted: &str) -> Vec<u64> {
        entries(store, id, wanted).await.iter().map(|e| e.body).collect()
    }

    pub async fn arrivals_are_told_once(store: &Tested) {
        let (one, two, three) = (made(store, 1).await, made(store, 2).await, made(store, 3).await);
        assert!(store.arrivals().is_empty(), "a new mailbox received nothing");
        put(store, one, "INBOX", "a").await;
        put(store, one, "Sent", "b").await;
        store.commit(delivery("c", vec![to(one, "INBOX"), to(two, "INBOX")])).await.expect("committed");
        let mut told = store.arrivals();
        told.sort_unstable();
        assert_eq!(told, [one, two]);
        assert!(store.arrivals().is_empty());
        // What is refused did not arrive.
        assert!(store.commit(delivery("d", vec![to(three, "nothing")])).await.is_err());
        assert!(store.arrivals().is_empty());
        put(store, three, "INBOX", "e").await;
        assert_eq!(store.arrivals(), [three]);
        put(store, two, "INBOX", "f").await;
        store.delete_mailbox(two).await.expect("deleted");
        assert!(store.arrivals().is_empty(), "gone");
    }

    pub async fn bodies_come_in_their_order(store: &Tested) {
        let (id, other) = (made(store, 1).await, made(store, 2).await);
        let after = async |after, limit| store.bodies_after(id, after, limit).await.expect("read");
        assert!(after(0, 10).await.is_empty());
        for n in 0..5u8 {
            let wanted = if n % 2 == 0 { "INBOX" } else { "Sent" };
            put(store, id, wanted, vec![n]).await;
            put(store, other, "INBOX", vec![n]).await;
        }
        let all: BTreeSet<u64> =
            bodies(store, id, "INBOX").await.into_iter().chain(bodies(store, id, "Sent").await).collect();
        let all: Vec<u64> = all.into_iter().collect();
        assert_eq!(after(0, 10).await, all);
        assert_eq!(after(0, 2).await, all[..2]);
        assert_eq!(after(all[1], 2).await, all[2..4]);
        assert!(after(all[4], 10).await.is_empty() && after(u64::MAX, 10).await.is_empty());
        assert!(after(0, 0).await.is_empty());
        // A copy is no new body; what lost its last message is none any more.
        let inbox = folder(store, id, "INBOX").await.id;
        store.copy(id, inbox, vec![Uid(1)], &name("Archive"), NOW).await.expect("copied");
        mark(store, id, "INBOX", &[1, 2], Flags::DELETED).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        assert_eq!(after(0, 10).await, [all[0], all[1], all[3], all[4]]);
        let next = put(store, id, "INBOX", "more").await;
        let new = entries(store, id, "INBOX").await.into_iter().find(|e| e.uid == next).expect("there").body;
        assert_eq!(after(all[4], 10).await, [new], "numbers grow");
        assert!(same(&store.bodies_after(MailboxId(4242), 0, 1).await, &StoreError::NoSuchMailbox));
    }

    pub async fn an_arrival_can_be_read(store: &Tested) {
        let id = made(store, 1).await;
        let writers = {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    put(&store, id, "INBOX", "x").await;
                }
            })
        };
        // Whoever is told of a mailbox sees what it received: nobody asks again for what was told.
        let (mut after, mut seen) = (0, 0);
        while seen < 50 {
            let over = writers.is_finished();
            let told = !store.arrivals().is_empty();
            assert!(told || !over, "an arrival was not told");
            if told {
                let bodies = store.bodies_after(id, after, 100).await.expect("read");
                seen += bodies.len();
                after = bodies.last().copied().unwrap_or(after);
            } else {
                tokio::task::yield_now().await;
            }
        }
        writers.await.expect("no panic");
    }
}
pub use rules::*;
