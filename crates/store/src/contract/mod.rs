//! The rules every engine keeps, as tests any engine can be put through.
//!
//! `store::contract!(crate::make)` in a test module makes one `#[tokio::test]` of every rule; `make` is a function (by its
//! absolute path) that answers an empty store and whatever must live as long: `fn make() -> (Arc<dyn Store>, impl Sized)`.
//! A rule panics when the engine does not keep it.

pub mod coming;
pub mod folders;
pub mod following;
pub mod marking;
pub mod meaning;
pub mod moving;
pub mod opening;
pub mod queueing;
pub mod register;
pub mod sharing;
pub mod together;
pub mod vanishing;
pub mod watching;

use std::sync::Arc;

use bytes::Bytes;
use mail::{Entry, Flags, FolderName, Outline, Uid, View};
use mssante::{Address, MailboxKind, NationalId};
use tokio::sync::watch;

use crate::*;

/// One `#[tokio::test]` of every rule. See [`crate::contract`].
#[macro_export]
macro_rules! contract {
    ($make:path) => {
        $crate::contract! { @ $make;
            register {
                a_new_mailbox_has_its_folders addresses_are_compared_as_addresses an_address_is_taken_once
                mailboxes_come_in_the_order_of_their_addresses numbers_are_not_given_twice
                an_erased_mailbox_is_gone_whole quota_is_changed rights_are_dated rights_replace_and_end
                unknown_mailboxes_are_told authentications_are_noted closing_ends_everything
            }
            folders {
                folders_are_listed_by_name a_folder_is_found_by_its_name missing_folders_above_are_made a_name_is_taken_once one_folder_for_a_use
                a_deleted_folder_is_gone inbox_stays a_parent_stays_as_a_name a_folder_made_anew_has_another_epoch
                renaming_moves_the_tree renaming_inbox_gives_its_messages refused_renamings subscriptions
                only_so_many_folders
            }
            coming {
                uids_and_modseqs_grow several_bodies_come_in_order octets_and_structure_come_back large_messages_come_back empty_messages_are_messages
                several_targets_all_or_none several_targets_in_one_mailbox_share over_quota_changes_nothing
                quota_counts_messages quota_is_for_what_is_there a_duplicate_is_not_delivered_twice
                duplicates_are_by_mailbox duplicates_are_forgotten duplicates_are_by_the_time_of_the_commit
                keywords_are_interned keywords_are_bounded
                unknown_targets_refuse_all a_commit_without_message concurrent_commits_are_all_there
            }
            together {
                several_commits_are_one several_commits_all_or_none several_commits_share_the_quota
                a_message_is_replaced a_replaced_message_gives_its_room what_is_not_there_is_not_replaced
                a_refused_replacement_keeps_the_message large_messages_together
            }
            vanishing {
                what_vanished_is_told what_moves_vanishes vanishing_follows_a_renamed_folder
            }
            following {
                arrivals_are_told_once bodies_come_in_their_order an_arrival_can_be_read
            }
            meaning {
                saving_is_dated answers_join_the_conversation conversations_are_of_one_mailbox
                copies_stay_in_the_conversation refused_messages_begin_no_conversation links_are_bounded
            }
            marking {
                flags_are_replaced_added_removed only_changes_move_the_modseq unchanged_since_holds_back
                keywords_in_flag_changes unknown_uids_are_left_out expunge_takes_the_deleted expunge_of_some
                expunged_uids_are_not_given_again bodies_go_with_the_last_copy a_body_being_read_stays
                unknown_folders_are_told
            }
            moving {
                copies_share_bodies_and_count copies_keep_flags_and_dates copies_are_held_to_the_quota
                copies_translate_keywords copying_nothing_is_nothing moving_keeps_the_usage moving_into_the_same_folder
                moving_needs_a_folder
            }
            opening {
                the_number_told_is_true the_picture_is_of_what_was_told opened_while_commits_run
                what_is_not_there_is_not_opened
            }
            queueing {
                a_message_sent_again_is_not_queued_twice what_was_given_up_is_sent_again
                giving_up_and_its_notice_are_one giving_up_late_forgets_nothing_newer
                an_entry_comes_back entries_come_in_order an_entry_goes_with_its_last_recipient retries_are_noted
                a_settlement_and_its_notice_are_one nothing_is_settled_twice a_refused_delivery_is_not_queued
                large_entries_come_back delivery_and_queue_in_one
            }
            sharing {
                access_is_kept_and_replaced new_folders_begin_with_the_access_above access_lists_are_bounded access_follows_the_folder
                annotations_are_by_reader annotations_are_watched_apart annotations_follow_the_folder annotations_are_bounded
            }
            watching {
                a_view_shows_every_commit a_view_is_never_behind a_view_follows_everything a_folder_gone_closes_its_view
                a_view_opened_late_is_whole commits_are_seen_in_order the_counter_moves opening_while_commits_run
            }
        }
    };
    (@ $make:path; $($module:ident { $($rule:ident)* })*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let (store, _keep) = $make();
                $crate::contract::$module::$rule(&store).await;
            })*
        })*
    };
}

/// What a rule is given.
pub type Tested = std::sync::Arc<dyn Store>;

/// A moment, seconds since 1970.
pub const NOW: i64 = 1_790_000_000;

/// A valid address of its own for each number.
pub fn address(n: u32) -> Address {
    format!("bal{n}@alpha.formation.mssante.fr").parse().expect("a valid address")
}

/// A folder name.
pub fn name(name: &str) -> FolderName {
    FolderName::new(name).expect("a valid folder name")
}

/// A professional.
pub fn person() -> NationalId {
    "899700000017".parse().expect("a valid identifier")
}

/// A mailbox to be made.
pub fn new_mailbox(n: u32) -> NewMailbox {
    NewMailbox {
        address: address(n),
        kind: MailboxKind::Per,
        holder: Holder::Person(person()),
        label: format!("BAL {n}"),
        quota: Quota::default(),
        created_at: NOW,
    }
}

/// A mailbox made.
pub async fn made(store: &Tested, n: u32) -> MailboxId {
    store.create_mailbox(new_mailbox(n)).await.expect("a mailbox")
}

/// The mailbox of [`made`] as it is now.
pub async fn now(store: &Tested, n: u32) -> Mailbox {
    store.mailbox(&address(n)).await.expect("read").expect("there")
}

/// Where a message goes, without flags.
pub fn to(mailbox: MailboxId, folder: &str) -> Target {
    Target { mailbox, folder: name(folder), flags: Flags::NONE, keywords: Vec::new(), internal_date: NOW }
}

/// A message.
pub fn content(octets: impl Into<Bytes>) -> Option<Content> {
    let octets = octets.into();
    let structure = format!("structure of {} octets", octets.len()).into_bytes();
    Some(Content { body: Spooled::from_bytes(octets), structure, links: Vec::new() })
}

/// A delivery of one message.
pub fn delivery(octets: impl Into<Bytes>, targets: Vec<Target>) -> Commit {
    Commit { content: content(octets), deliver: targets, ..Commit::default() }
}

/// Delivers one message to one folder.
pub async fn put(store: &Tested, mailbox: MailboxId, folder: &str, octets: impl Into<Bytes>) -> Uid {
    let committed = store.commit(delivery(octets, vec![to(mailbox, folder)])).await.expect("delivered");
    uid_of(committed.delivered[0])
}

/// The UID of what was delivered.
pub fn uid_of(delivered: Delivered) -> Uid {
    match delivered {
        Delivered::Message { uid, .. } => uid,
        Delivered::Duplicate => panic!("taken for a duplicate"),
    }
}

/// The number of a folder.
pub async fn folder(store: &Tested, mailbox: MailboxId, wanted: &str) -> Folder {
    let all = store.folders(mailbox).await.expect("listed");
    all.into_iter().find(|f| f.name == name(wanted)).unwrap_or_else(|| panic!("{wanted} is not there"))
}

/// What is told of a folder at once, the picture of that moment, and the one that goes on.
pub async fn opened(store: &Tested, id: MailboxId, of: FolderId) -> (Outline, Arc<View>, watch::Receiver<Arc<View>>) {
    match store.open_folder(id, of).await.expect("opened") {
        Opening::Whole(receiver) => {
            let view = receiver.borrow().clone();
            (Outline::from(&*view), view, receiver)
        }
        Opening::Reading(reading) => {
            let outline = reading.outline().clone();
            let (view, receiver) = store.picture(id, of, reading).await.expect("read");
            assert_eq!(outline, Outline::from(&*view), "what was told is true");
            (outline, view, receiver)
        }
    }
}

/// What is in a folder.
pub async fn entries(store: &Tested, mailbox: MailboxId, wanted: &str) -> Vec<Entry> {
    let id = folder(store, mailbox, wanted).await.id;
    let (_, view, _) = opened(store, mailbox, id).await;
    view.iter().copied().collect()
}

/// The octets of an entry.
pub async fn octets(store: &Tested, mailbox: MailboxId, entry: &Entry) -> Bytes {
    let body = store.body(mailbox, entry.body).await.expect("read").expect("there");
    body.read_all().await.expect("read")
}

/// Adds system flags to messages.
pub async fn mark(store: &Tested, mailbox: MailboxId, wanted: &str, uids: &[u32], flags: Flags) -> FlagsSet {
    let id = folder(store, mailbox, wanted).await.id;
    let change = FlagChange {
        uids: uids.iter().map(|uid| Uid(*uid)).collect(),
        how: FlagOperation::Add,
        flags,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.set_flags(mailbox, id, change).await.expect("marked")
}

/// Whether two answers are the same error.
pub fn same<T>(result: &Result<T>, error: &StoreError) -> bool {
    matches!(result, Err(e) if std::mem::discriminant(e) == std::mem::discriminant(error))
}
