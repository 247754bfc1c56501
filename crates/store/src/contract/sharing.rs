//! Rules of access lists and annotations ([`crate::sharing`]).

use mail::Rights;

use super::*;
use crate::sharing::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    fn somebody() -> Grantee {
        Grantee::Person(person())
    }

    fn rights(text: &str) -> Rights {
        text.parse().expect("rights")
    }

    async fn of(store: &Tested, id: MailboxId, wanted: &str) -> Vec<(Grantee, Rights)> {
        let folder = folder(store, id, wanted).await.id;
        let all = store.access(id).await.expect("read");
        all.into_iter().filter(|e| e.folder == folder).map(|e| (e.grantee, e.rights)).collect()
    }

    async fn give(store: &Tested, id: MailboxId, wanted: &str, who: &Grantee, given: Option<&str>) {
        let folder = folder(store, id, wanted).await.id;
        store.set_access(id, folder, who, given.map(rights)).await.expect("written");
    }

    fn note(scope: Scope, entry: &str, value: Option<&str>) -> AnnotationChange {
        AnnotationChange { scope, entry: entry.to_owned(), value: value.map(|v| v.as_bytes().to_vec()) }
    }

    fn own(who: &str) -> Scope {
        Scope::Private(who.to_owned())
    }

    pub async fn access_is_kept_and_replaced(store: &Tested) {
        let (id, other) = (made(store, 1).await, made(store, 2).await);
        assert!(store.access(id).await.expect("read").is_empty());
        let mut counter = store.watch_mailbox(id).await.expect("watched");
        give(store, id, "Sent", &somebody(), Some("lr")).await;
        counter.changed().await.expect("sessions are told");
        give(store, id, "Sent", &Grantee::Anyone, Some("")).await;
        assert_eq!(of(store, id, "Sent").await, [(somebody(), rights("lr")), (Grantee::Anyone, Rights::NONE)]);
        assert!(of(store, id, "INBOX").await.is_empty() && store.access(other).await.expect("read").is_empty());
        // Rights that obsolete letters speak of too: neither more nor less comes back.
        for given in ["lre", "lrt", "lrx", "lrk", "lrxt", "lrte"] {
            give(store, id, "Sent", &somebody(), Some(given)).await;
            assert_eq!(of(store, id, "Sent").await[0], (somebody(), rights(given)), "{given}");
        }
        give(store, id, "Sent", &somebody(), Some("lrswipkxtea")).await;
        give(store, id, "Sent", &Grantee::Anyone, None).await;
        give(store, id, "Sent", &Grantee::Anyone, None).await;
        assert_eq!(of(store, id, "Sent").await, [(somebody(), Rights::ALL)]);
        let unknown = store.set_access(id, FolderId(4242), &somebody(), None).await;
        assert!(same(&unknown, &StoreError::NoSuchFolder));
        assert!(same(&store.access(MailboxId(4242)).await, &StoreError::NoSuchMailbox));
        store.delete_mailbox(id).await.expect("deleted");
        assert!(same(&store.access(id).await, &StoreError::NoSuchMailbox));
    }

    pub async fn new_folders_begin_with_the_access_above(store: &Tested) {
        let id = made(store, 1).await;
        store.create_folder(id, &name("a"), None).await.expect("created");
        give(store, id, "a", &somebody(), Some("l")).await;
        // The folder between is made too.
        store.create_folder(id, &name("a/b/c"), None).await.expect("created");
        for made in ["a/b", "a/b/c"] {
            assert_eq!(of(store, id, made).await, [(somebody(), rights("l"))], "{made}");
        }
        // A copy, not a link.
        give(store, id, "a", &somebody(), Some("lr")).await;
        assert_eq!(of(store, id, "a/b").await, [(somebody(), rights("l"))]);
        store.rename_folder(id, &name("Sent"), &name("a/x/Sent"), NOW).await.expect("renamed");
        assert_eq!(of(store, id, "a/x").await, [(somebody(), rights("lr"))], "made by the renaming");
        assert!(of(store, id, "a/x/Sent").await.is_empty(), "a renamed folder keeps its own");
    }

    pub async fn access_lists_are_bounded(store: &Tested) {
        let id = made(store, 1).await;
        store.create_folder(id, &name("full"), None).await.expect("created");
        let full = folder(store, id, "full").await.id;
        let who = |n: usize| Grantee::Person(format!("8997{n:08}").parse().expect("an identifier"));
        // Together: one commit of the engine on the disk takes many.
        let mut given = tokio::task::JoinSet::new();
        for who in (0..MAX_ACCESS_ENTRIES).map(who) {
            let store = store.clone();
            given.spawn(async move { store.set_access(id, full, &who, Some(rights("lr"))).await.expect("written") });
        }
        given.join_all().await;
        let refused = |outcome: &Result<()>| matches!(outcome, Err(StoreError::FolderRefused(_)));
        assert!(refused(&store.set_access(id, full, &who(MAX_ACCESS_ENTRIES), Some(rights("l"))).await));
        store.set_access(id, full, &who(1), Some(rights("l"))).await.expect("one that is there is changed");
        let folders = MAX_ACCESS_OF_MAILBOX / MAX_ACCESS_ENTRIES;
        for n in 1..folders {
            store.create_folder(id, &name(&format!("full/{n}")), None).await.expect("created");
        }
        assert_eq!(store.access(id).await.expect("read").len(), MAX_ACCESS_OF_MAILBOX);
        assert!(refused(&store.create_folder(id, &name("full/more"), None).await.map(drop)));
        let inbox = folder(store, id, "INBOX").await.id;
        assert!(refused(&store.set_access(id, inbox, &somebody(), Some(rights("l"))).await));
        assert_eq!(
            store.access(id).await.expect("read").len(),
            MAX_ACCESS_OF_MAILBOX,
            "what is refused leaves nothing"
        );
        store.delete_folder(id, &name("full/1")).await.expect("deleted");
        store.create_folder(id, &name("full/more"), None).await.expect("room again");
    }

    pub async fn access_follows_the_folder(store: &Tested) {
        let id = made(store, 1).await;
        give(store, id, "Sent", &somebody(), Some("lr")).await;
        give(store, id, "INBOX", &somebody(), Some("r")).await;
        store.rename_folder(id, &name("Sent"), &name("Gone"), NOW).await.expect("renamed");
        assert_eq!(of(store, id, "Gone").await, [(somebody(), rights("lr"))]);
        store.rename_folder(id, &name("INBOX"), &name("Old"), NOW).await.expect("renamed");
        assert_eq!(
            of(store, id, "Old").await,
            [(somebody(), rights("r"))],
            "what was read under INBOX's list still is"
        );
        assert_eq!(of(store, id, "INBOX").await, [(somebody(), rights("r"))]);
        store.create_folder(id, &name("Gone/under"), None).await.expect("created");
        store.delete_folder(id, &name("Gone")).await.expect("deleted");
        assert!(of(store, id, "Gone").await.is_empty(), "a name that only holds folders");
        assert_eq!(of(store, id, "Gone/under").await.len(), 1);
        store.delete_folder(id, &name("Old")).await.expect("deleted");
        store.create_folder(id, &name("Old"), None).await.expect("created");
        assert!(of(store, id, "Old").await.is_empty(), "made anew");
        store.close().await;
        assert!(same(&store.access(id).await, &StoreError::Closed));
    }

    pub async fn annotations_are_by_reader(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = Some(folder(store, id, "INBOX").await.id);
        let changes = vec![
            note(Scope::Shared, "/comment", Some("for all")),
            note(own("a"), "/comment", Some("mine")),
            note(own("b"), "/comment", Some("yours")),
        ];
        store.annotate(id, inbox, changes).await.expect("written");
        let read = |reader: &'static str, of| async move {
            let all = store.annotations(id, of, reader).await.expect("read");
            all.into_iter().map(|a| String::from_utf8(a.value).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(read("a", inbox).await, ["for all", "mine"]);
        assert_eq!(read("c", inbox).await, ["for all"]);
        assert!(read("a", None).await.is_empty(), "the mailbox itself has its own");
        store.annotate(id, None, vec![note(own("a"), "/x", Some("whole"))]).await.expect("written");
        assert_eq!(read("a", None).await, ["whole"]);
        let changes = vec![note(own("a"), "/comment", None), note(Scope::Shared, "/comment", Some("other"))];
        store.annotate(id, inbox, changes).await.expect("written");
        assert_eq!(read("a", inbox).await, ["other"]);
        assert_eq!(read("b", inbox).await, ["other", "yours"]);
        let nowhere = Some(FolderId(4242));
        assert!(same(&store.annotations(id, nowhere, "a").await, &StoreError::NoSuchFolder));
        assert!(same(&store.annotate(id, nowhere, Vec::new()).await, &StoreError::NoSuchFolder));
        assert!(same(&store.annotations(MailboxId(4242), None, "a").await, &StoreError::NoSuchMailbox));
    }

    pub async fn annotations_are_watched_apart(store: &Tested) {
        let (id, other) = (made(store, 1).await, made(store, 2).await);
        let inbox = folder(store, id, "INBOX").await.id;
        let (mut moved, mut mailbox) =
            (store.watch_annotations(id).await.expect("watched"), store.watch_mailbox(id).await.expect("watched"));
        store.annotate(other, None, vec![note(Scope::Shared, "/comment", Some("x"))]).await.expect("written");
        put(store, id, "INBOX", "x").await;
        assert!(!moved.has_changed().expect("alive"), "a message is none, and neither is another mailbox's");
        mailbox.mark_unchanged();
        store.annotate(id, Some(inbox), vec![note(Scope::Shared, "/comment", Some("x"))]).await.expect("written");
        moved.changed().await.expect("a folder's");
        store.annotate(id, None, vec![note(own("a"), "/comment", Some("y"))]).await.expect("written");
        moved.changed().await.expect("the mailbox's own");
        assert!(!mailbox.has_changed().expect("alive"), "no session looks at its folders for that");
        let many = vec![note(own("a"), "/long", Some(&"x".repeat(MAX_ANNOTATION + 1)))];
        store.annotate(id, None, many).await.expect_err("too long");
        assert!(!moved.has_changed().expect("alive"), "what was refused");
        let kept = store.all_annotations(id, "a").await.expect("read");
        assert_eq!(
            kept.iter().map(|(of, a)| (*of, &*a.value)).collect::<Vec<_>>(),
            [(None, b"y".as_slice()), (Some(inbox), b"x".as_slice())]
        );
        let kept = store.all_annotations(id, "b").await.expect("read");
        assert_eq!(
            kept.iter().map(|(of, _)| *of).collect::<Vec<_>>(),
            [Some(inbox)],
            "another's private ones are not told"
        );
        store.delete_mailbox(id).await.expect("deleted");
        assert!(moved.changed().await.is_err(), "its watchers know");
        assert!(same(&store.watch_annotations(id).await, &StoreError::NoSuchMailbox));
        assert!(same(&store.all_annotations(id, "a").await, &StoreError::NoSuchMailbox));
    }

    pub async fn annotations_follow_the_folder(store: &Tested) {
        let id = made(store, 1).await;
        let sent = Some(folder(store, id, "Sent").await.id);
        store.annotate(id, sent, vec![note(Scope::Shared, "/comment", Some("x"))]).await.expect("written");
        store.rename_folder(id, &name("Sent"), &name("a"), NOW).await.expect("renamed");
        assert_eq!(store.annotations(id, sent, "-").await.expect("read").len(), 1);
        store.delete_folder(id, &name("a")).await.expect("deleted");
        store.create_folder(id, &name("a"), None).await.expect("created");
        let anew = Some(folder(store, id, "a").await.id);
        assert!(store.annotations(id, anew, "-").await.expect("read").is_empty());
    }

    pub async fn annotations_are_bounded(store: &Tested) {
        let id = made(store, 1).await;
        let inbox = Some(folder(store, id, "INBOX").await.id);
        let full = StoreError::TooManyAnnotations;
        let many = |count: usize, scope: Scope| {
            (0..count).map(move |n| note(scope.clone(), &format!("/e{n}"), Some("x"))).collect::<Vec<_>>()
        };
        assert!(same(&store.annotate(id, inbox, many(MAX_ANNOTATIONS + 1, own("a"))).await, &full));
        assert!(store.annotations(id, inbox, "a").await.expect("read").is_empty(), "all or none");
        store.annotate(id, inbox, many(MAX_ANNOTATIONS, own("a"))).await.expect("as many as fit");
        store.annotate(id, inbox, many(MAX_ANNOTATIONS, own("b"))).await.expect("another reader's");
        let long = "x".repeat(MAX_ANNOTATION);
        store.annotate(id, inbox, vec![note(own("a"), "/e0", Some(&long))]).await.expect("as long as fits");
        let longer = note(own("a"), "/e0", Some(&format!("{long}x")));
        assert!(same(&store.annotate(id, inbox, vec![longer]).await, &full));
        // In whichever folders: all together are bounded.
        let mut written = 0;
        for reader in 0..100 {
            let scope = own(&format!("reader {reader}"));
            let some = (0..MAX_ANNOTATIONS).map(|n| note(scope.clone(), &format!("/e{n}"), Some(&long))).collect();
            match store.annotate(id, None, some).await {
                Ok(()) => written += MAX_ANNOTATIONS * MAX_ANNOTATION,
                refused => {
                    assert!(same(&refused, &full) && written <= MAX_ANNOTATION_OCTETS);
                    return;
                }
            }
        }
        panic!("never refused");
    }
}
pub use rules::*;
