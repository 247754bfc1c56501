//! Rules of folders (RFC 3501 §6.3.3 to §6.3.7, RFC 6154).

use mail::SpecialUse;

use super::*;
use crate::limits::MAX_FOLDERS;

#[allow(missing_docs)]
mod rules {
    use super::*;

    async fn names(store: &Tested, id: MailboxId) -> Vec<String> {
        store.folders(id).await.expect("listed").into_iter().map(|f| f.name.to_string()).collect()
    }

    async fn create(store: &Tested, id: MailboxId, wanted: &str) -> Folder {
        store.create_folder(id, &name(wanted), None).await.expect("created")
    }

    pub async fn folders_are_listed_by_name(store: &Tested) {
        let id = made(store, 1).await;
        for wanted in ["z", "été", "a"] {
            create(store, id, wanted).await;
        }
        let found = names(store, id).await;
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(found, sorted);
        assert_eq!(found.len(), 9);
    }

    pub async fn a_folder_is_found_by_its_name(store: &Tested) {
        let id = made(store, 1).await;
        store.create_folder(id, &name("Projets/Été"), None).await.expect("created");
        for folder in store.folders(id).await.expect("listed") {
            assert_eq!(store.folder(id, &folder.name).await.expect("read"), Some(folder));
        }
        for none in ["projets", "Projets/Été/x"] {
            if let Ok(none) = FolderName::new(none) {
                assert_eq!(store.folder(id, &none).await.expect("read"), None);
            }
        }
        store.delete_folder(id, &name("Projets/Été")).await.expect("deleted");
        assert_eq!(store.folder(id, &name("Projets/Été")).await.expect("read"), None);
        assert!(same(&store.folder(MailboxId(99), &name("INBOX")).await, &StoreError::NoSuchMailbox));
    }

    pub async fn missing_folders_above_are_made(store: &Tested) {
        let id = made(store, 1).await;
        let made = create(store, id, "a/b/c").await;
        assert!(made.selectable && !made.subscribed && made.special_use.is_none());
        assert_eq!(folder(store, id, "a/b/c").await, made);
        assert!(folder(store, id, "a").await.selectable);
        assert!(folder(store, id, "a/b").await.id != made.id);
    }

    pub async fn a_name_is_taken_once(store: &Tested) {
        let id = made(store, 1).await;
        create(store, id, "a").await;
        assert!(same(&store.create_folder(id, &name("a"), None).await, &StoreError::FolderExists));
        assert!(same(&store.create_folder(id, &name("inbox"), None).await, &StoreError::FolderExists));
        create(store, id, "A").await;
    }

    pub async fn one_folder_for_a_use(store: &Tested) {
        let id = made(store, 1).await;
        let refused = store.create_folder(id, &name("Spam"), Some(SpecialUse::Junk)).await;
        assert!(same(&refused, &StoreError::FolderRefused("")));
        store.delete_folder(id, &name("Junk")).await.expect("deleted");
        let made = store.create_folder(id, &name("Spam"), Some(SpecialUse::Junk)).await.expect("created");
        assert_eq!(made.special_use, Some(SpecialUse::Junk));
        assert_eq!(folder(store, id, "Spam").await, made);
    }

    pub async fn a_deleted_folder_is_gone(store: &Tested) {
        let id = made(store, 1).await;
        let a = create(store, id, "a").await;
        put(store, id, "a", "12345").await;
        let entry = entries(store, id, "a").await[0];
        store.delete_folder(id, &name("a")).await.expect("deleted");
        assert!(!names(store, id).await.contains(&"a".into()));
        assert!(same(&store.watch(id, a.id).await, &StoreError::NoSuchFolder));
        assert!(same(&store.delete_folder(id, &name("a")).await, &StoreError::NoSuchFolder));
        assert!(store.body(id, entry.body).await.expect("read").is_none());
        assert_eq!(now(store, 1).await.usage, Usage::default());
    }

    pub async fn inbox_stays(store: &Tested) {
        let id = made(store, 1).await;
        assert!(same(&store.delete_folder(id, &name("INBOX")).await, &StoreError::FolderRefused("")));
        create(store, id, "INBOX/a").await;
        assert!(same(&store.delete_folder(id, &name("INBOX")).await, &StoreError::FolderRefused("")));
    }

    pub async fn a_parent_stays_as_a_name(store: &Tested) {
        let id = made(store, 1).await;
        create(store, id, "a/b").await;
        put(store, id, "a", "one").await;
        put(store, id, "a/b", "two").await;
        let before = folder(store, id, "a").await;
        store.delete_folder(id, &name("a")).await.expect("deleted");
        let after = folder(store, id, "a").await;
        assert!(!after.selectable);
        assert_eq!(now(store, 1).await.usage, Usage { octets: 3, messages: 1 });
        assert!(same(&store.watch(id, before.id).await, &StoreError::NoSuchFolder));
        let refused = store.commit(delivery("x", vec![to(id, "a")])).await;
        assert!(same(&refused, &StoreError::NoSuchFolder));
        assert!(same(&store.delete_folder(id, &name("a")).await, &StoreError::FolderRefused("")));
        // Made again, it is another folder.
        let again = create(store, id, "a").await;
        assert!(again.selectable && again.uid_validity > before.uid_validity && again.id != before.id);
        assert!(entries(store, id, "a").await.is_empty());
        store.delete_folder(id, &name("a")).await.expect("deleted");
        store.delete_folder(id, &name("a/b")).await.expect("deleted");
        store.delete_folder(id, &name("a")).await.expect("a mere name without folders under it can go");
        assert!(!names(store, id).await.contains(&"a".into()));
    }

    pub async fn a_folder_made_anew_has_another_epoch(store: &Tested) {
        let id = made(store, 1).await;
        let first = create(store, id, "a").await;
        store.delete_folder(id, &name("a")).await.expect("deleted");
        let second = create(store, id, "a").await;
        assert!(second.uid_validity > first.uid_validity);
        assert!(second.id > first.id);
    }

    pub async fn renaming_moves_the_tree(store: &Tested) {
        let id = made(store, 1).await;
        let leaf = create(store, id, "a/b/c").await;
        create(store, id, "ab").await;
        put(store, id, "a/b/c", "one").await;
        store.rename_folder(id, &name("a"), &name("x/y"), NOW).await.expect("renamed");
        let found = names(store, id).await;
        for wanted in ["x", "x/y", "x/y/b", "x/y/b/c", "ab"] {
            assert!(found.contains(&wanted.into()), "{wanted} in {found:?}");
        }
        assert!(!found.iter().any(|n| n == "a" || n.starts_with("a/")));
        let moved = folder(store, id, "x/y/b/c").await;
        assert_eq!((moved.id, moved.uid_validity), (leaf.id, leaf.uid_validity), "the same folder by another name");
        assert_eq!(entries(store, id, "x/y/b/c").await.len(), 1);
    }

    pub async fn renaming_inbox_gives_its_messages(store: &Tested) {
        let id = made(store, 1).await;
        create(store, id, "INBOX/under").await;
        put(store, id, "INBOX", "one").await;
        put(store, id, "INBOX", "three").await;
        let inbox = folder(store, id, "INBOX").await;
        let before = now(store, 1).await.usage;
        store.rename_folder(id, &name("INBOX"), &name("old/2026"), NOW).await.expect("renamed");
        assert_eq!(folder(store, id, "INBOX").await, inbox);
        assert!(entries(store, id, "INBOX").await.is_empty());
        let given = entries(store, id, "old/2026").await;
        assert_eq!(given.iter().map(|e| e.size).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(octets(store, id, &given[1]).await, "three");
        assert_eq!(now(store, 1).await.usage, before);
        folder(store, id, "INBOX/under").await;
        assert_eq!(put(store, id, "INBOX", "next").await, Uid(3), "UIDs of INBOX go on");
    }

    pub async fn refused_renamings(store: &Tested) {
        let id = made(store, 1).await;
        create(store, id, "a/b").await;
        create(store, id, "c").await;
        let rename = async |from: &str, to: &str| store.rename_folder(id, &name(from), &name(to), NOW).await;
        assert!(same(&rename("a", "c").await, &StoreError::FolderExists));
        assert!(same(&rename("a", "a").await, &StoreError::FolderExists));
        assert!(same(&rename("a", "a/d").await, &StoreError::FolderRefused("")));
        assert!(same(&rename("nothing", "d").await, &StoreError::NoSuchFolder));
        assert!(same(&rename("INBOX", "c").await, &StoreError::FolderExists));
        assert!(same(&rename("c", "inbox").await, &StoreError::FolderExists));
        let deep = "d/".repeat(19) + "d";
        assert!(same(&rename("a", &deep).await, &StoreError::FolderRefused("")), "a/b would be too deep");
        assert!(!names(store, id).await.contains(&"d".into()), "nothing was made on the way");
    }

    pub async fn subscriptions(store: &Tested) {
        let id = made(store, 1).await;
        create(store, id, "a").await;
        store.subscribe(id, &name("a"), true).await.expect("subscribed");
        assert!(folder(store, id, "a").await.subscribed);
        store.rename_folder(id, &name("a"), &name("b"), NOW).await.expect("renamed");
        assert!(folder(store, id, "b").await.subscribed);
        store.subscribe(id, &name("b"), false).await.expect("unsubscribed");
        assert!(!folder(store, id, "b").await.subscribed);
        assert!(same(&store.subscribe(id, &name("nothing"), true).await, &StoreError::NoSuchFolder));
        store.subscribe(id, &name("nothing"), false).await.expect("there is nothing to do");
    }

    pub async fn only_so_many_folders(store: &Tested) {
        let id = made(store, 1).await;
        let there = names(store, id).await.len();
        for n in there..MAX_FOLDERS - 1 {
            create(store, id, &format!("f{n}")).await;
        }
        let refused = store.create_folder(id, &name("two/more"), None).await;
        assert!(same(&refused, &StoreError::FolderRefused("")));
        assert_eq!(names(store, id).await.len(), MAX_FOLDERS - 1, "not one of the two was made");
        create(store, id, "last").await;
        assert!(same(&store.create_folder(id, &name("more"), None).await, &StoreError::FolderRefused("")));
        assert!(same(
            &store.rename_folder(id, &name("INBOX"), &name("more"), NOW).await,
            &StoreError::FolderRefused("")
        ));
    }
}
pub use rules::*;
