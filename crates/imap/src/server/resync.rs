//! Resynchronisation (RFC 7162 §3.2): VANISHED instead of EXPUNGE, and what a client that comes back missed.
//!
//! Invariants:
//! * `VANISHED (EARLIER)` names no message that the client has under a number in this session: those are told by VANISHED;
//! * when the backend has forgotten some of what was expunged, every UID the client may know that is not there is named:
//!   too many, never too few (RFC 7162 §3.2.10.2);
//! * a client that knows a MODSEQ the folder never had (the folder was restored from a backup) is told everything.

use mail::sequence::Ranges;
use mail::{ModSeq, Uid, View};

use super::Ended;
use super::output::Output;
use super::reply::Stop;
use super::selected::Selected;
use crate::command::Numbers;
use crate::modifiers::Resync;

/// Ranges of UIDs in one VANISHED: keeps its line within what clients read (RFC 7162 §4: 8,192 octets).
const RANGES: usize = 360;

/// `* VANISHED [(EARLIER)] uids`, in as many lines as it takes.
pub(super) async fn vanished(out: &mut Output, earlier: bool, uids: &Ranges) -> Result<(), Ended> {
    for ranges in uids.ranges().chunks(RANGES) {
        out.put(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
        for (i, range) in ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (from, to) if from == to => out.text(format_args!("{comma}{from}")),
                (from, to) => out.text(format_args!("{comma}{from}:{to}")),
            }
        }
        out.put(b"\r\n");
        out.room().await?;
    }
    Ok(())
}

/// What a client that opened the folder with QRESYNC missed: expunges first, then flags and new messages.
pub(super) async fn select(out: &mut Output, selected: &Selected, resync: &Resync) -> Result<(), Stop> {
    let view = &selected.told;
    // Another folder: the client forgets what it knew (RFC 7162 §3.2.5.1).
    if resync.uid_validity != view.uid_validity {
        return Ok(());
    }
    let restored = resync.modseq > view.highest_modseq;
    let since = if restored { ModSeq(0) } else { resync.modseq };
    let last = last_given(view);
    let known = match &resync.known {
        Some(known) => known.resolve(last).up_to(last),
        None => Ranges::from_pairs((last > 0).then_some((1, last))),
    };
    // Nothing was expunged up to a message that still has the number it had.
    let settled = match &resync.matched {
        Some((numbers, uids)) if !restored => matched(view, &numbers.resolve(u32::MAX), &uids.resolve(u32::MAX)),
        _ => 0,
    };
    earlier(out, selected, since, &known, settled).await?;
    let mut sent = 0;
    for (position, entry) in view.changed_since(0..view.len(), since) {
        if known.contains(entry.uid.0) {
            selected.tell_flags(out, position, entry, Some(&view.keywords), Numbers::Uid, ModSeq(u64::MAX));
            out.room().await?;
            sent += 1;
            if sent % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}

/// Messages told before other tasks get their turn.
const TURN: usize = 1024;

/// `VANISHED (EARLIER)`: those of `asked` above `settled` that are not there and went since then.
pub(super) async fn earlier(
    out: &mut Output,
    selected: &Selected,
    since: ModSeq,
    asked: &Ranges,
    settled: u32,
) -> Result<(), Stop> {
    let view = &selected.told;
    let gone = selected.folder.vanished(since).await?;
    let gone: Ranges = if gone.complete {
        gone.uids.iter().filter(|u| asked.contains(u.0) && view.position(**u).is_err()).map(|u| u.0).collect()
    } else {
        absent(view, asked, settled)
    };
    Ok(vanished(out, true, &gone).await?)
}

/// The last UID the folder may have given.
pub(super) fn last_given(view: &View) -> u32 {
    view.uid_next.0.saturating_sub(1)
}

/// The UIDs of `asked` above `settled` that no message has.
fn absent(view: &View, asked: &Ranges, settled: u32) -> Ranges {
    let mut gaps = Vec::new();
    for range in asked.ranges() {
        let (mut from, to) = ((*range.start()).max(settled.saturating_add(1)), *range.end());
        if from > to {
            continue;
        }
        let position = view.position(Uid(from)).unwrap_or_else(|next| next);
        for entry in view.range(position..view.len()) {
            if entry.uid.0 > to {
                break;
            }
            if entry.uid.0 > from {
                gaps.push((from, entry.uid.0 - 1));
            }
            from = entry.uid.0.saturating_add(1);
        }
        if from <= to {
            gaps.push((from, to));
        }
    }
    Ranges::from_pairs(gaps)
}

/// The highest UID that still has the sequence number it had; 0: none.
fn matched(view: &View, numbers: &Ranges, uids: &Ranges) -> u32 {
    // Both ascend: beyond the folder's length no number can match, so that the walk is bounded by it.
    let most = u32::try_from(view.len()).unwrap_or(u32::MAX);
    let pairs = numbers.iter().take_while(|n| *n <= most).zip(uids.iter());
    let same = |(number, uid): &(u32, u32)| view.get(*number as usize - 1).is_some_and(|e| e.uid.0 == *uid);
    pairs.filter(same).last().map_or(0, |(_, uid)| uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Entry, Flags, Keywords, UidValidity};
    use proptest::prelude::*;

    fn view(uids: &[u32]) -> View {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        for uid in uids {
            view.push(Entry {
                uid: Uid(*uid),
                size: 1,
                flags: Flags::NONE,
                modseq: ModSeq(1),
                internal_date: 0,
                body: 1,
                saved: 0,
                thread: 0,
            });
        }
        view
    }

    proptest! {
        #[test]
        fn absent_is_what_is_not_there(
            there in proptest::collection::btree_set(1u32..60, 0..40),
            asked in proptest::collection::btree_set(1u32..70, 0..40),
            settled in 0u32..20,
        ) {
            let view = view(&there.iter().copied().collect::<Vec<_>>());
            let wanted: Vec<u32> = asked.difference(&there).copied().filter(|u| *u > settled).collect();
            let asked: Ranges = asked.iter().copied().collect();
            prop_assert_eq!(absent(&view, &asked, settled).iter().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn the_last_match_counts() {
        let view = view(&[2, 4, 6, 8]);
        let ranges = |list: &[u32]| list.iter().copied().collect::<Ranges>();
        assert_eq!(matched(&view, &ranges(&[1, 2, 3, 4]), &ranges(&[2, 4, 6, 8])), 8);
        assert_eq!(matched(&view, &ranges(&[1, 2, 3]), &ranges(&[2, 5, 7])), 2);
        assert_eq!(matched(&view, &ranges(&[2, 9]), &ranges(&[2, 4])), 0);
        assert_eq!(matched(&view, &Ranges::from_pairs([(1, u32::MAX)]), &Ranges::from_pairs([(1, u32::MAX)])), 0);
    }
}
