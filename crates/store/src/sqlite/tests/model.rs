//! Random operations, alone and at the same time: the durable engine and the one in memory agree.

use std::sync::Arc;

use mail::{Flags, ModSeq, Uid};
use proptest::prelude::*;

use super::make;
use crate::contract::*;
use crate::memory::Memory;
use crate::*;

const FOLDERS: [&str; 7] = ["INBOX", "Archive", "Sent", "a", "a/b", "c", "c/d/e"];
const KEYWORDS: [&str; 4] = ["one", "two", "THREE", "three"];

#[derive(Clone, Debug)]
pub(super) enum Op {
    Deliver {
        targets: Vec<(u8, u8)>,
        size: u8,
        key: Option<u8>,
        flags: u8,
        keyword: Option<u8>,
        queued: bool,
        links: Vec<u8>,
    },
    Create(u8, u8),
    Delete(u8, u8),
    Rename(u8, u8, u8),
    Subscribe(u8, u8, bool),
    Flag {
        at: (u8, u8),
        uids: Vec<u8>,
        how: u8,
        flags: u8,
        keyword: Option<u8>,
        since: Option<u8>,
    },
    Expunge((u8, u8), Option<Vec<u8>>),
    Copy((u8, u8), Vec<u8>, u8, bool),
    Quota(u8, Option<u8>, Option<u8>),
    Settle(u8, Vec<(u8, u8)>, Option<(u8, u8)>),
    Watch((u8, u8)),
    Maintain,
}

fn place() -> impl Strategy<Value = (u8, u8)> {
    (0..2u8, 0..FOLDERS.len() as u8)
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let uids = || proptest::collection::btree_set(1..15u8, 0..6).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let keyword = || proptest::option::of(0..KEYWORDS.len() as u8);
    prop_oneof![
        6 => (
            proptest::collection::vec(place(), 1..4), 0..60u8, proptest::option::of(0..4u8), any::<u8>(), keyword(), any::<bool>(),
            proptest::collection::vec(0..20u8, 0..4)
        )
            .prop_map(|(targets, size, key, flags, keyword, queued, links)| Op::Deliver { targets, size, key, flags, keyword, queued, links }),
        2 => place().prop_map(|(m, f)| Op::Create(m, f)),
        1 => place().prop_map(|(m, f)| Op::Delete(m, f)),
        1 => (place(), 0..FOLDERS.len() as u8).prop_map(|((m, f), t)| Op::Rename(m, f, t)),
        1 => (place(), any::<bool>()).prop_map(|((m, f), s)| Op::Subscribe(m, f, s)),
        4 => (place(), uids(), 0..3u8, any::<u8>(), keyword(), proptest::option::of(0..20u8))
            .prop_map(|(at, uids, how, flags, keyword, since)| Op::Flag { at, uids, how, flags, keyword, since }),
        2 => (place(), proptest::option::of(uids())).prop_map(|(at, uids)| Op::Expunge(at, uids)),
        3 => (place(), uids(), 0..FOLDERS.len() as u8, any::<bool>()).prop_map(|(at, uids, to, moves)| Op::Copy(at, uids, to, moves)),
        1 => (0..2u8, proptest::option::of(any::<u8>()), proptest::option::of(0..20u8)).prop_map(|(m, o, n)| Op::Quota(m, o, n)),
        2 => (0..6u8, proptest::collection::vec((0..3u8, 0..3u8), 1..3), proptest::option::of(place()))
            .prop_map(|(entry, recipients, notice)| Op::Settle(entry, recipients, notice)),
        1 => place().prop_map(Op::Watch),
        1 => Just(Op::Maintain),
    ]
}

fn uids(uids: &[u8]) -> Vec<Uid> {
    uids.iter().map(|uid| Uid((*uid).into())).collect()
}

fn keywords(keyword: Option<u8>) -> Vec<String> {
    keyword.map(|k| KEYWORDS[k as usize].to_owned()).into_iter().collect()
}

pub(super) fn entry() -> NewQueueEntry {
    NewQueueEntry {
        sender: None,
        return_path: Some(address(9)),
        parameters: MailParameters::default(),
        recipients: (0..2)
            .map(|n| NewQueueRecipient { address: address(n), notify: Notify::default(), original: None })
            .collect(),
        accepted_at: NOW,
        expires_at: NOW,
    }
}

/// Does one thing; the answer as text, so that two engines' can be compared.
pub(super) async fn run(
    store: &Tested,
    boxes: &[MailboxId],
    op: &Op,
    kept: &mut Vec<tokio::sync::watch::Receiver<Arc<mail::View>>>,
) -> String {
    let wanted = |(m, f): (u8, u8)| to(boxes[m as usize], FOLDERS[f as usize]);
    // An unknown folder is asked for by a number nobody has.
    let number = async |(m, f): (u8, u8)| {
        let all = store.folders(boxes[m as usize]).await.expect("listed");
        all.into_iter().find(|x| x.name == name(FOLDERS[f as usize])).map_or(FolderId(9999), |x| x.id)
    };
    match op {
        Op::Deliver { targets, size, key, flags, keyword, queued, links } => {
            let deliver = targets.iter().map(|at| Target {
                flags: Flags::from_bits((*flags).into()),
                keywords: keywords(*keyword),
                ..wanted(*at)
            });
            let commit = Commit {
                duplicate_key: key.map(|k| [k; 16]),
                enqueue: queued.then(|| NewQueueEntry { sender: key.map(|_| boxes[0]), ..entry() }),
                saved_at: NOW + i64::from(*size),
                ..delivery(vec![b'x'; *size as usize], deliver.collect())
            };
            let links = links.iter().map(|key| LinkKey((*key).into())).collect();
            let commit = Commit { content: commit.content.map(|c| Content { links, ..c }), ..commit };
            let result = store.commit(commit).await;
            // With several targets, several things can be wrong: which is told first is not part of the contract.
            if targets.len() > 1 && result.is_err() { "refused".into() } else { format!("{result:?}") }
        }
        Op::Create(m, f) => {
            format!("{:?}", store.create_folder(boxes[*m as usize], &name(FOLDERS[*f as usize]), None).await)
        }
        Op::Delete(m, f) => format!("{:?}", store.delete_folder(boxes[*m as usize], &name(FOLDERS[*f as usize])).await),
        Op::Rename(m, f, t) => {
            let (from, to) = (name(FOLDERS[*f as usize]), name(FOLDERS[*t as usize]));
            format!("{:?}", store.rename_folder(boxes[*m as usize], &from, &to, NOW).await)
        }
        Op::Subscribe(m, f, s) => {
            format!("{:?}", store.subscribe(boxes[*m as usize], &name(FOLDERS[*f as usize]), *s).await)
        }
        Op::Flag { at, uids: which, how, flags, keyword, since } => {
            let change = FlagChange {
                uids: uids(which),
                how: [FlagOperation::Replace, FlagOperation::Add, FlagOperation::Remove][*how as usize],
                flags: Flags::from_bits((*flags).into()),
                keywords: keywords(*keyword),
                unchanged_since: since.map(|s| ModSeq(s.into())),
            };
            format!("{:?}", store.set_flags(boxes[at.0 as usize], number(*at).await, change).await)
        }
        Op::Expunge(at, which) => {
            format!("{:?}", store.expunge(boxes[at.0 as usize], number(*at).await, which.as_deref().map(uids)).await)
        }
        Op::Copy(at, which, target, moves) => {
            let (id, from, target) = (boxes[at.0 as usize], number(*at).await, name(FOLDERS[*target as usize]));
            if *moves {
                format!("{:?}", store.move_messages(id, from, uids(which), &target, NOW).await)
            } else {
                format!("{:?}", store.copy(id, from, uids(which), &target, NOW).await)
            }
        }
        Op::Quota(m, octets, messages) => {
            let quota = Quota { octets: octets.map(|o| u64::from(o) * 4), messages: messages.map(u64::from) };
            format!("{:?}", store.set_quota(boxes[*m as usize], quota).await)
        }
        Op::Settle(n, recipients, notice) => {
            let outcome = |how: u8| match how {
                0 => Outcome::Relayed,
                1 => Outcome::Failed,
                _ => Outcome::Retry { at: NOW + 1, error: "later".into(), delay_told: true },
            };
            let recipients = recipients.iter().map(|(r, s)| ((*r).into(), outcome(*s))).collect();
            let settle = Some(Settlement { entry: QueueId((*n).into()), recipients });
            let commit = match notice {
                Some(at) => Commit { settle, ..delivery("notice", vec![wanted(*at)]) },
                None => Commit { settle, ..Commit::default() },
            };
            format!("{:?}", store.commit(commit).await)
        }
        Op::Watch(at) => match store.watch(boxes[at.0 as usize], number(*at).await).await {
            Ok(receiver) => {
                kept.push(receiver);
                "watching".into()
            }
            Err(error) => format!("{error:?}"),
        },
        Op::Maintain => format!("{:?}", store.maintain(NOW).await),
    }
}

/// Everything that can be seen of a store, as text.
pub(super) async fn picture(store: &Tested, boxes: &[MailboxId]) -> String {
    let mut all = format!("{:?}\n{:?}\n", store.mailboxes().await, store.queue().await);
    for id in boxes {
        for folder in store.folders(*id).await.expect("listed") {
            all += &format!("{folder:?}\n");
            if !folder.selectable {
                continue;
            }
            let (_, view, _) = opened(store, *id, folder.id).await;
            let bodies: Vec<u64> = view.iter().map(|e| e.body).collect();
            all +=
                &format!("{:?} {:?} {:?} {:?}\n", view.uid_validity, view.uid_next, view.highest_modseq, view.keywords);
            for entry in view.iter() {
                all += &format!("{entry:?} {:?}\n", octets(store, *id, entry).await);
            }
            all += &format!("{:?}\n", store.structures(*id, &bodies).await);
            for since in [0, 3, 9] {
                all += &format!("{:?}\n", store.vanished(*id, folder.id, ModSeq(since)).await);
            }
        }
        all += &format!("{:?}\n", store.bodies_after(*id, 0, 1000).await);
    }
    all
}

pub(in crate::sqlite) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_agree(ops in proptest::collection::vec(op(), 1..60)) {
        runtime().block_on(async {
            let (durable, dir) = make();
            let memory: Tested = Arc::new(Memory::new());
            let boxes = [made(&durable, 1).await, made(&durable, 2).await];
            assert_eq!(boxes, [made(&memory, 1).await, made(&memory, 2).await]);
            let (mut kept, mut kept_too) = (Vec::new(), Vec::new());
            for op in &ops {
                let (one, two) = (run(&durable, &boxes, op, &mut kept).await, run(&memory, &boxes, op, &mut kept_too).await);
                assert_eq!(one, two, "{op:?}");
            }
            // With views kept up to date, then with views read from disk, then from a store opened again.
            let wanted = picture(&memory, &boxes).await;
            assert_eq!(picture(&durable, &boxes).await, wanted);
            drop(kept);
            assert_eq!(picture(&durable, &boxes).await, wanted);
            durable.close().await;
            drop(durable);
            let again: Tested = Arc::new(crate::sqlite::Sqlite::open(&dir.path().join("data")).expect("opened"));
            assert_eq!(picture(&again, &boxes).await, wanted);
        });
    }

    /// Many at once: whatever the order, what views followed is what is on disk.
    #[test]
    fn at_the_same_time_nothing_is_lost(all in proptest::collection::vec(proptest::collection::vec(op(), 1..15), 2..6)) {
        runtime().block_on(async {
            let (store, dir) = make();
            let boxes = [made(&store, 1).await, made(&store, 2).await];
            let mut tasks = tokio::task::JoinSet::new();
            for ops in all {
                let store = store.clone();
                tasks.spawn(async move {
                    let mut kept = Vec::new();
                    for op in &ops {
                        run(&store, &boxes, op, &mut kept).await;
                    }
                    kept
                });
            }
            let mut kept = Vec::new();
            while let Some(done) = tasks.join_next().await {
                kept.extend(done.expect("no panic"));
            }
            let followed = picture(&store, &boxes).await;
            drop(kept);
            store.close().await;
            drop(store);
            let again: Tested = Arc::new(crate::sqlite::Sqlite::open(&dir.path().join("data")).expect("opened"));
            assert_eq!(picture(&again, &boxes).await, followed);
            for mailbox in again.mailboxes().await.expect("read") {
                let mut usage = Usage::default();
                for folder in again.folders(mailbox.id).await.expect("listed").iter().filter(|f| f.selectable) {
                    let view = again.watch(mailbox.id, folder.id).await.expect("watched").borrow().clone();
                    usage = Usage { octets: usage.octets + view.octets(), messages: usage.messages + view.len() as u64 };
                }
                assert_eq!(mailbox.usage, usage);
            }
        });
    }
}
