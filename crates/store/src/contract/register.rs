//! Rules of the register of mailboxes (BAL-KIND, BAL-ROLES).

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    pub async fn a_new_mailbox_has_its_folders(store: &Tested) {
        let id = made(store, 1).await;
        let mailbox = now(store, 1).await;
        assert_eq!((mailbox.id, mailbox.usage, mailbox.last_authentication), (id, Usage::default(), None));
        assert_eq!((mailbox.kind, mailbox.label.as_str(), mailbox.created_at), (MailboxKind::Per, "BAL 1", NOW));
        assert_eq!(mailbox.holder, Holder::Person(person()));
        let folders = store.folders(id).await.expect("listed");
        let names: Vec<&str> = folders.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
        assert!(folders.iter().all(|f| f.subscribed && f.selectable));
        for (use_of, special_use) in DEFAULT_FOLDERS {
            assert!(folders.iter().any(|f| f.name == name(use_of) && f.special_use == Some(special_use)));
        }
    }

    pub async fn addresses_are_compared_as_addresses(store: &Tested) {
        let id = made(store, 1).await;
        let shouted: Address = address(1).to_string().to_uppercase().parse().expect("valid");
        assert_eq!(store.mailbox(&shouted).await.expect("read").map(|m| m.id), Some(id));
        assert_eq!(store.mailbox(&address(2)).await.expect("read"), None);
    }

    pub async fn an_address_is_taken_once(store: &Tested) {
        made(store, 1).await;
        assert!(same(&store.create_mailbox(new_mailbox(1)).await, &StoreError::MailboxExists));
        let mut shouted = new_mailbox(1);
        shouted.address = address(1).to_string().to_uppercase().parse().expect("valid");
        assert!(same(&store.create_mailbox(shouted).await, &StoreError::MailboxExists));
    }

    pub async fn mailboxes_come_in_the_order_of_their_addresses(store: &Tested) {
        for n in [3, 1, 2] {
            made(store, n).await;
        }
        let all = store.mailboxes().await.expect("listed");
        assert_eq!(all.iter().map(|m| m.address.clone()).collect::<Vec<_>>(), [address(1), address(2), address(3)]);
    }

    pub async fn numbers_are_not_given_twice(store: &Tested) {
        let first = made(store, 1).await;
        let epoch = folder(store, first, "INBOX").await.uid_validity;
        store.delete_mailbox(first).await.expect("deleted");
        let second = made(store, 1).await;
        assert!(second > first);
        assert!(
            folder(store, second, "INBOX").await.uid_validity > epoch,
            "a client must not mistake it for the old one"
        );
    }

    pub async fn an_erased_mailbox_is_gone_whole(store: &Tested) {
        let (id, other) = (made(store, 1).await, made(store, 2).await);
        put(store, id, "INBOX", "one").await;
        put(store, other, "INBOX", "two").await;
        let entry = entries(store, id, "INBOX").await[0];
        let mut counter = store.watch_mailbox(id).await.expect("watched");
        let inbox = folder(store, id, "INBOX").await.id;
        let mut view = store.watch(id, inbox).await.expect("watched");
        store.delete_mailbox(id).await.expect("deleted");
        assert!(counter.changed().await.is_err() || counter.changed().await.is_err(), "its watchers know");
        assert!(view.changed().await.is_err(), "its watchers know");
        assert_eq!(store.mailbox(&address(1)).await.expect("read"), None);
        assert!(same(&store.folders(id).await, &StoreError::NoSuchMailbox));
        assert!(same(&store.rights(id).await, &StoreError::NoSuchMailbox));
        assert!(store.body(id, entry.body).await.expect("read").is_none());
        assert_eq!(store.structures(id, &[entry.body]).await.expect("read"), [None]);
        let refused = store.commit(delivery("x", vec![to(id, "INBOX")])).await;
        assert!(same(&refused, &StoreError::NoSuchMailbox));
        assert_eq!(entries(store, other, "INBOX").await.len(), 1);
    }

    pub async fn quota_is_changed(store: &Tested) {
        let id = made(store, 1).await;
        let quota = Quota { octets: Some(1000), messages: Some(2) };
        store.set_quota(id, quota).await.expect("changed");
        assert_eq!(now(store, 1).await.quota, quota);
        store.set_quota(id, Quota::default()).await.expect("changed");
        assert_eq!(now(store, 1).await.quota, Quota::default());
    }

    pub async fn rights_are_dated(store: &Tested) {
        let id = made(store, 1).await;
        let right = Right { person: person(), role: Role::Member, from: NOW, until: Some(NOW + 10) };
        store.grant(id, right.clone()).await.expect("granted");
        let rights = store.rights(id).await.expect("read");
        assert_eq!(rights, std::slice::from_ref(&right));
        assert!(!rights[0].holds_at(NOW - 1) && rights[0].holds_at(NOW));
        assert!(rights[0].holds_at(NOW + 9) && !rights[0].holds_at(NOW + 10));
    }

    pub async fn rights_replace_and_end(store: &Tested) {
        let id = made(store, 1).await;
        let right = |role, until| Right { person: person(), role, from: NOW, until };
        store.grant(id, right(Role::Member, Some(NOW + 5))).await.expect("granted");
        store.grant(id, right(Role::Member, None)).await.expect("granted");
        store.grant(id, right(Role::Delegate, Some(NOW + 20))).await.expect("granted");
        assert_eq!(
            store.rights(id).await.expect("read"),
            [right(Role::Member, None), right(Role::Delegate, Some(NOW + 20))]
        );
        store.revoke(id, &person(), NOW + 30).await.expect("revoked");
        let ended = store.rights(id).await.expect("read");
        // One that ended earlier keeps its date.
        assert_eq!(ended, [right(Role::Member, Some(NOW + 30)), right(Role::Delegate, Some(NOW + 20))]);
        assert!(ended.iter().all(|r| !r.holds_at(NOW + 30)));
    }

    pub async fn unknown_mailboxes_are_told(store: &Tested) {
        let nobody = MailboxId(4242);
        let gone = StoreError::NoSuchMailbox;
        let right = Right { person: person(), role: Role::Member, from: 0, until: None };
        assert!(same(&store.delete_mailbox(nobody).await, &gone));
        assert!(same(&store.set_quota(nobody, Quota::default()).await, &gone));
        assert!(same(&store.grant(nobody, right).await, &gone));
        assert!(same(&store.revoke(nobody, &person(), 0).await, &gone));
        assert!(same(&store.rights(nobody).await, &gone));
        assert!(same(&store.folders(nobody).await, &gone));
        assert!(same(&store.create_folder(nobody, &name("a"), None).await, &gone));
        assert!(same(&store.delete_folder(nobody, &name("a")).await, &gone));
        assert!(same(&store.rename_folder(nobody, &name("a"), &name("b"), NOW).await, &gone));
        assert!(same(&store.subscribe(nobody, &name("a"), false).await, &gone));
        assert!(same(&store.watch(nobody, FolderId(1)).await, &gone));
        assert!(same(&store.watch_mailbox(nobody).await, &gone));
        assert!(same(&store.expunge(nobody, FolderId(1), None).await, &gone));
        assert!(same(&store.copy(nobody, FolderId(1), vec![Uid(1)], &name("INBOX"), NOW).await, &gone));
    }

    pub async fn authentications_are_noted(store: &Tested) {
        let id = made(store, 1).await;
        store.note_authentication(id, NOW + 5).await.expect("noted");
        store.note_authentication(id, NOW).await.expect("noted");
        store.maintain(NOW).await.expect("maintained");
        assert_eq!(now(store, 1).await.last_authentication, Some(NOW + 5));
    }

    pub async fn closing_ends_everything(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = folder(store, id, "INBOX").await.id;
        let mut view = store.watch(id, inbox).await.expect("watched");
        store.close().await;
        let closed = StoreError::Closed;
        assert!(view.changed().await.is_err());
        assert!(same(&store.create_mailbox(new_mailbox(2)).await, &closed));
        assert!(same(&store.mailbox(&address(1)).await, &closed));
        assert!(same(&store.commit(delivery("x", vec![to(id, "INBOX")])).await, &closed));
        assert!(same(&store.folders(id).await, &closed));
        assert!(same(&store.watch(id, inbox).await, &closed));
        assert!(same(&store.note_authentication(id, 0).await, &closed));
        store.close().await;
    }
}
pub use rules::*;
