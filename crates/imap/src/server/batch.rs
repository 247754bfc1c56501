//! How many messages are looked at together: many, so that their structures cost one look into the store; few enough that
//! they fit.

use mail::{Entry, View};

/// Most messages whose structures are in memory at once; twice as many while the next are read ahead.
const BATCH: usize = 512;
/// Most octets their structures may take: an encoded structure is hardly larger than its message, and never than [`LARGEST`].
const OCTETS: usize = 16 * 1024 * 1024;
/// What the largest encoded structure takes (the budget of [`mail::mime::Limits`], and what the tree adds).
const LARGEST: usize = 1_200_000;

/// The next messages: positions (from 0) with their entries; none when there are no more.
pub(super) fn next(view: &View, positions: &mut impl Iterator<Item = usize>) -> Vec<(usize, Entry)> {
    let mut batch = Vec::new();
    let mut octets = 0;
    while batch.len() < BATCH && octets < OCTETS {
        let Some(position) = positions.next() else { break };
        let Some(entry) = view.get(position) else { continue };
        octets += (entry.size as usize).min(LARGEST);
        batch.push((position, *entry));
    }
    batch
}

/// Their bodies, in the same order.
pub(super) fn bodies(batch: &[(usize, Entry)]) -> Vec<u64> {
    batch.iter().map(|(_, entry)| entry.body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Flags, Keywords, ModSeq, Uid, UidValidity};

    #[test]
    fn large_messages_come_in_small_batches() {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        for uid in 1..2000 {
            let size = if uid < 1000 { 1000 } else { 50_000_000 };
            let (uid, flags, modseq) = (Uid(uid), Flags::NONE, ModSeq(1));
            view.push(Entry { uid, size, flags, modseq, internal_date: 0, body: uid.0.into(), saved: 0, thread: 0 });
        }
        let mut positions = 0..view.len();
        assert_eq!(next(&view, &mut positions).len(), BATCH);
        let mut seen = BATCH;
        loop {
            let batch = next(&view, &mut positions);
            if batch.is_empty() {
                break;
            }
            let octets: usize = batch.iter().map(|(_, e)| (e.size as usize).min(LARGEST)).sum();
            assert!(octets < OCTETS + LARGEST && batch[0].0 == seen);
            seen += batch.len();
        }
        assert_eq!(seen, view.len());
    }
}
