//! Rules of flags and expunge (RFC 3501 §6.4.3, §6.4.6, RFC 4315, RFC 7162).

use mail::ModSeq;

use super::*;

#[allow(missing_docs)]
mod rules {
    use super::*;

    async fn filled(store: &Tested, count: u32) -> (MailboxId, FolderId) {
        let id = made(store, 1).await;
        for n in 0..count {
            put(store, id, "INBOX", vec![b'x'; n as usize + 1]).await;
        }
        (id, folder(store, id, "INBOX").await.id)
    }

    fn change(uids: &[u32], how: FlagOperation, flags: Flags) -> FlagChange {
        let uids = uids.iter().map(|uid| Uid(*uid)).collect();
        FlagChange { uids, how, flags, keywords: Vec::new(), unchanged_since: None }
    }

    async fn flags(store: &Tested, id: MailboxId) -> Vec<Flags> {
        entries(store, id, "INBOX").await.iter().map(|e| e.flags).collect()
    }

    pub async fn flags_are_replaced_added_removed(store: &Tested) {
        let (id, inbox) = filled(store, 3).await;
        let both = Flags::SEEN.with(Flags::FLAGGED);
        let set =
            async |uids: &[u32], how, flags| store.set_flags(id, inbox, change(uids, how, flags)).await.expect("set");
        let done = set(&[1, 3], FlagOperation::Replace, both).await;
        assert_eq!(
            done.now.iter().map(|(uid, flags, _)| (*uid, *flags)).collect::<Vec<_>>(),
            [(Uid(1), both), (Uid(3), both)]
        );
        assert_eq!(flags(store, id).await, [both, Flags::NONE, both]);
        set(&[1, 2], FlagOperation::Add, Flags::DRAFT).await;
        assert_eq!(flags(store, id).await, [both.with(Flags::DRAFT), Flags::DRAFT, both]);
        set(&[1, 2, 3], FlagOperation::Remove, both).await;
        assert_eq!(flags(store, id).await, [Flags::DRAFT, Flags::DRAFT, Flags::NONE]);
        set(&[1], FlagOperation::Replace, Flags::NONE).await;
        assert_eq!(flags(store, id).await, [Flags::NONE, Flags::DRAFT, Flags::NONE]);
        // Only what may be changed is (RFC 4314 §4).
        set(&[2], FlagOperation::ReplaceWithin(both), Flags::SEEN.with(Flags::DELETED)).await;
        assert_eq!(flags(store, id).await[1], Flags::DRAFT.with(Flags::SEEN));
    }

    pub async fn only_changes_move_the_modseq(store: &Tested) {
        let (id, inbox) = filled(store, 2).await;
        let before = entries(store, id, "INBOX").await;
        let done = mark(store, id, "INBOX", &[1], Flags::SEEN).await;
        let after = entries(store, id, "INBOX").await;
        assert!(after[0].modseq > before[1].modseq, "above everything so far");
        assert_eq!(after[1], before[1]);
        assert_eq!(done.now, [(Uid(1), Flags::SEEN, after[0].modseq)]);
        let again = mark(store, id, "INBOX", &[1], Flags::SEEN).await;
        assert_eq!(again, done, "already so: told, and nothing moved");
        let view = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(view.highest_modseq, after[0].modseq);
    }

    pub async fn unchanged_since_holds_back(store: &Tested) {
        let (id, inbox) = filled(store, 3).await;
        let since = entries(store, id, "INBOX").await[2].modseq;
        mark(store, id, "INBOX", &[2], Flags::SEEN).await;
        let mut held = change(&[1, 2, 3, 9], FlagOperation::Add, Flags::FLAGGED);
        held.unchanged_since = Some(since);
        let done = store.set_flags(id, inbox, held.clone()).await.expect("set");
        assert_eq!(done.modified, [Uid(2)]);
        assert_eq!(done.now.iter().map(|(uid, ..)| *uid).collect::<Vec<_>>(), [Uid(1), Uid(3)]);
        assert_eq!(flags(store, id).await, [Flags::FLAGGED, Flags::SEEN, Flags::FLAGGED]);
        held.unchanged_since = Some(ModSeq(0));
        let done = store.set_flags(id, inbox, held).await.expect("set");
        assert_eq!((done.modified.len(), done.now.len()), (3, 0));
    }

    pub async fn keywords_in_flag_changes(store: &Tested) {
        let (id, inbox) = filled(store, 2).await;
        let with = |how, keywords: &[&str]| FlagChange {
            keywords: keywords.iter().map(ToString::to_string).collect(),
            ..change(&[1], how, Flags::NONE)
        };
        store.set_flags(id, inbox, with(FlagOperation::Add, &["one", "two"])).await.expect("set");
        store.set_flags(id, inbox, with(FlagOperation::Remove, &["ONE", "never"])).await.expect("set");
        let view = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(view.keywords.names().len(), 2, "what was to be removed was not added first");
        let first = view.get(0).expect("there");
        assert_eq!(first.flags.names(&view.keywords).collect::<Vec<_>>(), ["two"]);
        let many: Vec<String> = (0..55).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = store.set_flags(id, inbox, with(FlagOperation::Add, &many)).await;
        assert!(same(&refused, &StoreError::TooManyKeywords));
        let still = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!((still.keywords.names().len(), still.highest_modseq), (2, view.highest_modseq));
    }

    pub async fn unknown_uids_are_left_out(store: &Tested) {
        let (id, inbox) = filled(store, 1).await;
        let done = mark(store, id, "INBOX", &[7, 8], Flags::SEEN).await;
        assert_eq!(done, FlagsSet::default());
        let done = store.set_flags(id, inbox, change(&[], FlagOperation::Add, Flags::SEEN)).await.expect("set");
        assert_eq!(done, FlagsSet::default());
        assert_eq!(flags(store, id).await, [Flags::NONE]);
    }

    pub async fn expunge_takes_the_deleted(store: &Tested) {
        let (id, inbox) = filled(store, 4).await;
        mark(store, id, "INBOX", &[1, 3], Flags::DELETED).await;
        let before = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(store.expunge(id, inbox, None).await.expect("expunged"), [Uid(1), Uid(3)]);
        let after = store.watch(id, inbox).await.expect("watched").borrow().clone();
        assert_eq!(after.iter().map(|e| e.uid).collect::<Vec<_>>(), [Uid(2), Uid(4)]);
        assert!(after.highest_modseq > before.highest_modseq);
        assert_eq!(now(store, 1).await.usage, Usage { octets: 6, messages: 2 });
        assert!(store.expunge(id, inbox, None).await.expect("expunged").is_empty());
    }

    pub async fn expunge_of_some(store: &Tested) {
        let (id, inbox) = filled(store, 4).await;
        mark(store, id, "INBOX", &[1, 3], Flags::DELETED).await;
        let some = Some(vec![Uid(2), Uid(3), Uid(9)]);
        assert_eq!(store.expunge(id, inbox, some).await.expect("expunged"), [Uid(3)]);
        let left: Vec<Uid> = entries(store, id, "INBOX").await.iter().map(|e| e.uid).collect();
        assert_eq!(left, [Uid(1), Uid(2), Uid(4)]);
        assert!(store.expunge(id, inbox, Some(Vec::new())).await.expect("expunged").is_empty());
    }

    pub async fn expunged_uids_are_not_given_again(store: &Tested) {
        let (id, inbox) = filled(store, 2).await;
        mark(store, id, "INBOX", &[1, 2], Flags::DELETED).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        assert_eq!(put(store, id, "INBOX", "x").await, Uid(3));
    }

    pub async fn bodies_go_with_the_last_copy(store: &Tested) {
        let (id, inbox) = filled(store, 1).await;
        let body = entries(store, id, "INBOX").await[0].body;
        store.copy(id, inbox, vec![Uid(1)], &name("Archive"), NOW).await.expect("copied");
        mark(store, id, "INBOX", &[1], Flags::DELETED).await;
        store.expunge(id, inbox, None).await.expect("expunged");
        assert!(store.body(id, body).await.expect("read").is_some());
        mark(store, id, "Archive", &[1], Flags::DELETED).await;
        let archive = folder(store, id, "Archive").await.id;
        store.expunge(id, archive, None).await.expect("expunged");
        assert!(store.body(id, body).await.expect("read").is_none());
        assert_eq!(store.structures(id, &[body]).await.expect("read"), [None]);
    }

    pub async fn a_body_being_read_stays(store: &Tested) {
        let id = made(store, 1).await;
        let mut spool = store.spool();
        let message = vec![b'm'; 2 * crate::body::INLINE_LIMIT];
        spool.write(&message).await.expect("written");
        let content =
            Some(Content { body: spool.finish().await.expect("finished"), structure: Vec::new(), links: Vec::new() });
        let commit = Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() };
        store.commit(commit).await.expect("committed");
        let entry = entries(store, id, "INBOX").await[0];
        let open = store.body(id, entry.body).await.expect("read").expect("there");
        mark(store, id, "INBOX", &[1], Flags::DELETED).await;
        let inbox = folder(store, id, "INBOX").await.id;
        store.expunge(id, inbox, None).await.expect("expunged");
        store.maintain(NOW).await.expect("maintained");
        assert!(store.body(id, entry.body).await.expect("read").is_none());
        assert!(open.read_all().await.expect("still readable") == message);
    }

    pub async fn unknown_folders_are_told(store: &Tested) {
        let id = made(store, 1).await;
        let (nowhere, gone) = (FolderId(4242), StoreError::NoSuchFolder);
        let none = change(&[1], FlagOperation::Add, Flags::SEEN);
        assert!(same(&store.set_flags(id, nowhere, none).await, &gone));
        assert!(same(&store.expunge(id, nowhere, None).await, &gone));
        assert!(same(&store.watch(id, nowhere).await, &gone));
        assert!(same(&store.copy(id, nowhere, vec![Uid(1)], &name("INBOX"), NOW).await, &gone));
        assert!(same(&store.move_messages(id, nowhere, vec![Uid(1)], &name("INBOX"), NOW).await, &gone));
    }
}
pub use rules::*;
