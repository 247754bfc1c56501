//! Rules of several commits made as one: MULTIAPPEND and REPLACE.

use super::*;
use crate::body::INLINE_LIMIT;

#[allow(missing_docs)]
mod rules {
    use super::*;

    pub async fn several_commits_are_one(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        let mut view = store.watch(id, inbox).await.expect("watched");
        view.borrow_and_update();
        let commits = vec![
            delivery("one", vec![to(id, "INBOX")]),
            delivery("three", vec![to(id, "INBOX"), to(id, "Sent")]),
            delivery("", vec![to(id, "INBOX")]),
        ];
        let done = store.commit_all(commits).await.expect("committed");
        let uids: Vec<Vec<Uid>> = done.iter().map(|c| c.delivered.iter().map(|d| uid_of(*d)).collect()).collect();
        assert_eq!(uids, [vec![Uid(1)], vec![Uid(2), Uid(1)], vec![Uid(3)]]);
        assert!(view.has_changed().expect("open"));
        assert_eq!(view.borrow_and_update().len(), 3, "shown together");
        let found = entries(store, id, "INBOX").await;
        assert_eq!(octets(store, id, &found[0]).await, "one");
        assert_eq!(octets(store, id, &found[1]).await, "three");
        assert_eq!(now(store, 1).await.usage, Usage { octets: 13, messages: 4 });
        assert!(store.commit_all(Vec::new()).await.expect("nothing to do").is_empty());
    }

    pub async fn several_commits_all_or_none(store: &Tested) {
        let id = made(store, 1).await;
        let before = now(store, 1).await;
        let commits = vec![delivery("one", vec![to(id, "INBOX")]), delivery("two", vec![to(id, "nothing")])];
        assert!(same(&store.commit_all(commits).await, &StoreError::NoSuchFolder));
        assert_eq!(now(store, 1).await, before);
        assert!(entries(store, id, "INBOX").await.is_empty());
        assert_eq!(put(store, id, "INBOX", "x").await, Uid(1), "nothing was used up");
    }

    pub async fn several_commits_share_the_quota(store: &Tested) {
        let id = made(store, 1).await;
        store.set_quota(id, Quota { octets: Some(9), messages: None }).await.expect("set");
        let five = || delivery("12345", vec![to(id, "INBOX")]);
        assert!(same(&store.commit_all(vec![five(), five()]).await, &StoreError::OverQuota), "each alone would fit");
        assert_eq!(now(store, 1).await.usage, Usage::default());
        let four = delivery("1234", vec![to(id, "INBOX")]);
        assert_eq!(store.commit_all(vec![five(), four]).await.expect("exactly the quota").len(), 2);
    }

    pub async fn large_messages_together(store: &Tested) {
        let id = made(store, 1).await;
        let large = |octet: u8| vec![octet; INLINE_LIMIT + 10];
        let mut commits = Vec::new();
        for octet in [b'a', b'b'] {
            let mut spool = store.spool();
            spool.write(&large(octet)).await.expect("written");
            let body = spool.finish().await.expect("finished");
            let content = Some(Content { body, structure: vec![octet], links: Vec::new() });
            commits.push(Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() });
        }
        store.commit_all(commits).await.expect("committed");
        let found = entries(store, id, "INBOX").await;
        assert!(octets(store, id, &found[0]).await == large(b'a'));
        assert!(octets(store, id, &found[1]).await == large(b'b'));
    }

    pub async fn a_message_is_replaced(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        put(store, id, "INBOX", "draft").await;
        let old = entries(store, id, "INBOX").await[0];
        let view = store.watch(id, inbox).await.expect("watched");
        let by = delivery("final text", vec![to(id, "INBOX")]);
        let done = store.replace(id, inbox, Uid(1), by).await.expect("replaced").expect("it was there");
        assert_eq!(uid_of(done.delivered[0]), Uid(2));
        let seen: Vec<Uid> = view.borrow().iter().map(|e| e.uid).collect();
        assert_eq!(seen, [Uid(2)]);
        assert!(store.body(id, old.body).await.expect("read").is_none());
        assert_eq!(now(store, 1).await.usage, Usage { octets: 10, messages: 1 });
        let elsewhere = delivery("sent", vec![to(id, "Sent")]);
        store.replace(id, inbox, Uid(2), elsewhere).await.expect("replaced").expect("it was there");
        assert!(entries(store, id, "INBOX").await.is_empty());
        assert_eq!(entries(store, id, "Sent").await.len(), 1);
    }

    pub async fn a_replaced_message_gives_its_room(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        put(store, id, "INBOX", "12345").await;
        store.set_quota(id, Quota { octets: Some(6), messages: Some(1) }).await.expect("set");
        let by = delivery("123456", vec![to(id, "INBOX")]);
        store.replace(id, inbox, Uid(1), by).await.expect("it fits").expect("it was there");
    }

    pub async fn what_is_not_there_is_not_replaced(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        put(store, id, "INBOX", "kept").await;
        let before = (now(store, 1).await, entries(store, id, "INBOX").await);
        let by = delivery("x", vec![to(id, "INBOX")]);
        assert!(store.replace(id, inbox, Uid(9), by).await.expect("asked").is_none());
        assert_eq!((now(store, 1).await, entries(store, id, "INBOX").await), before);
        let by = delivery("x", vec![to(id, "INBOX")]);
        assert!(same(&store.replace(id, FolderId(9999), Uid(1), by).await, &StoreError::NoSuchFolder));
    }

    pub async fn a_refused_replacement_keeps_the_message(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        put(store, id, "INBOX", "kept").await;
        let before = (now(store, 1).await, entries(store, id, "INBOX").await);
        let by = delivery("x", vec![to(id, "nothing")]);
        assert!(same(&store.replace(id, inbox, Uid(1), by).await, &StoreError::NoSuchFolder));
        store.set_quota(id, Quota { octets: Some(5), messages: None }).await.expect("set");
        let by = delivery("123456", vec![to(id, "INBOX")]);
        assert!(same(&store.replace(id, inbox, Uid(1), by).await, &StoreError::OverQuota));
        assert_eq!(entries(store, id, "INBOX").await, before.1);
        assert_eq!(now(store, 1).await.usage, before.0.usage);
        assert_eq!(octets(store, id, &before.1[0]).await, "kept");
    }
}

pub use rules::*;
