//! The view against a plain list, and what it says of itself.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn empty() -> View {
    View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default())
}

fn entry(uid: u32, flags: Flags, modseq: u64) -> Entry {
    Entry {
        uid: Uid(uid),
        size: uid,
        flags,
        modseq: ModSeq(modseq),
        internal_date: 0,
        body: u64::from(uid),
        saved: 0,
        thread: 0,
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Extend(u16),
    Update(u16, bool),
    UpdateAll(std::collections::BTreeSet<u16>, bool),
    Remove(Vec<u16>),
    Snapshot,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1u8..200).prop_map(Op::Push),
        (1u16..700).prop_map(Op::Extend),
        (any::<u16>(), any::<bool>()).prop_map(|(u, s)| Op::Update(u % 2000, s)),
        (proptest::collection::btree_set(0u16..3000, 0..300), any::<bool>()).prop_map(|(u, s)| Op::UpdateAll(u, s)),
        proptest::collection::vec(0u16..2000, 0..40).prop_map(Op::Remove),
        Just(Op::Snapshot),
    ]
}

proptest! {
    /// A view agrees with a plain list, and the difference of two views with what was done between them.
    #[test]
    fn agrees_with_a_list(ops in proptest::collection::vec(op(), 1..40)) {
        let (mut view, mut list, mut modseq) = (empty(), Vec::<Entry>::new(), 1);
        let (mut old_view, mut old_list) = (view.clone(), list.clone());
        for op in ops {
            modseq += 1;
            match op {
                Op::Push(n) => for _ in 0..n {
                    let flags = if n % 8 == 0 { Flags::DELETED } else { Flags::NONE };
                    let e = entry(view.uid_next.0, flags, modseq);
                    view.push(e);
                    list.push(e);
                },
                Op::Extend(n) => {
                    let from = view.uid_next.0;
                    let new: Vec<Entry> = (0..u32::from(n))
                        .map(|i| entry(from + 2 * i, if n % 8 == 0 && i == 3 { Flags::SEEN } else { Flags::NONE }, modseq)).collect();
                    view.extend(new.iter().copied());
                    list.extend(new);
                }
                Op::UpdateAll(uids, seen) => {
                    let flags = if seen { Flags::SEEN } else { Flags::DELETED };
                    let messages: Vec<(Uid, Flags)> = uids.iter().map(|u| (Uid(u32::from(*u)), flags)).collect();
                    let mut known = 0;
                    let picked: Vec<(usize, Entry)> = list.iter().copied().enumerate()
                        .filter(|(_, e)| messages.binary_search_by_key(&e.uid, |m| m.0).is_ok()).collect();
                    let asked: Vec<Uid> = messages.iter().map(|m| m.0).collect();
                    prop_assert_eq!(view.pick(&asked), picked);
                    for e in &mut list {
                        if messages.binary_search_by_key(&e.uid, |m| m.0).is_ok() {
                            known += 1;
                            e.flags = flags;
                            e.modseq = ModSeq(modseq);
                        }
                    }
                    prop_assert_eq!(view.update_all(&messages, ModSeq(modseq)), known);
                }
                Op::Update(uid, seen) => {
                    let flags = if seen { Flags::SEEN } else { Flags::DELETED };
                    let known = list.iter_mut().find(|e| e.uid.0 == u32::from(uid));
                    prop_assert_eq!(view.update(Uid(uid.into()), flags, ModSeq(modseq)), known.is_some());
                    if let Some(e) = known { e.flags = flags; e.modseq = ModSeq(modseq); }
                }
                Op::Remove(mut uids) => {
                    uids.sort_unstable();
                    uids.dedup();
                    let uids: Vec<Uid> = uids.into_iter().map(|u| Uid(u.into())).collect();
                    let before = list.len();
                    list.retain(|e| uids.binary_search(&e.uid).is_err());
                    prop_assert_eq!(view.remove(&uids), before - list.len());
                }
                Op::Snapshot => { old_view = view.clone(); old_list = list.clone(); }
            }
            prop_assert_eq!(view.iter().copied().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!(view.len(), list.len());
            prop_assert_eq!(view.unseen(), list.iter().filter(|e| !e.flags.contains(Flags::SEEN)).count());
            prop_assert_eq!(view.deleted(), list.iter().filter(|e| e.flags.contains(Flags::DELETED)).count());
            for flag in [Flags::SEEN, Flags::DELETED] {
                let wanted: Vec<(usize, Entry)> =
                    list.iter().copied().enumerate().filter(|(_, e)| e.flags.contains(flag)).collect();
                prop_assert_eq!(view.having(flag).map(|(i, e)| (i, *e)).collect::<Vec<_>>(), wanted);
            }
            prop_assert_eq!(view.octets(), list.iter().map(|e| u64::from(e.size)).sum::<u64>());
            for since in [modseq / 2, modseq - 1].into_iter().filter(|_| modseq % 8 == 0) {
                let (from, to) = (list.len() / 3, list.len() * 2 / 3 + 1);
                for range in [from..to, list.len()..usize::MAX] {
                    let wanted: Vec<(usize, Entry)> = list.iter().copied().enumerate()
                        .filter(|(i, e)| range.contains(i) && e.modseq.0 > since).collect();
                    let found: Vec<(usize, Entry)> = view.changed_since(range.clone(), ModSeq(since)).map(|(i, e)| (i, *e)).collect();
                    prop_assert_eq!(found, wanted);
                    let wanted: Vec<Entry> = list.iter().copied().enumerate().filter(|(i, _)| range.contains(i)).map(|(_, e)| e).collect();
                    prop_assert_eq!(view.range(range).copied().collect::<Vec<_>>(), wanted);
                }
            }
            for (i, e) in list.iter().enumerate().step_by(97) {
                prop_assert_eq!(view.get(i), Some(e));
                prop_assert_eq!(view.position(e.uid), Ok(i));
            }
            prop_assert_eq!(view.get(list.len()), None);
            let d = view.difference(&old_view);
            let was: HashMap<Uid, &Entry> = old_list.iter().map(|e| (e.uid, e)).collect();
            let is: HashSet<Uid> = list.iter().map(|e| e.uid).collect();
            let expunged: Vec<usize> =
                old_list.iter().enumerate().filter(|(_, e)| !is.contains(&e.uid)).map(|(i, _)| i).collect();
            let changed: Vec<usize> = list.iter().enumerate()
                .filter(|(_, e)| was.get(&e.uid).is_some_and(|o| *o != *e)).map(|(i, _)| i).collect();
            let added = list.iter().filter(|e| !was.contains_key(&e.uid)).count();
            prop_assert_eq!(d, Difference { expunged, changed, added });
        }
    }
}
