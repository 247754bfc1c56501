//! The UIDs of messages that lie together, as ranges: where no message was ever taken out between them, a thousand UIDs cost two looks.

use std::ops::{Range, RangeInclusive};

use super::{Entry, View, Walk};

impl View {
    /// The UIDs of the messages at these positions, ascending, as ranges: neighbours that follow each other are in one, but for where
    /// the view itself is cut in parts.
    pub fn uids(&self, positions: Range<usize>) -> Uids<'_> {
        self.walk().uids(positions)
    }
}

impl<'v> Walk<'v> {
    /// The same, of positions that mostly ascend from one time to the next.
    #[inline]
    pub fn uids(&mut self, positions: Range<usize>) -> Uids<'v> {
        // Where the first is; there is none beyond the end.
        let there = self.get(positions.start).is_some();
        let end = if there { positions.end } else { 0 };
        Uids { view: self.view, chunk: self.chunk, at: positions.start, end, part: Stretches(&[]) }
    }
}

/// Ranges of UIDs: [`View::uids`].
#[derive(Clone, Debug)]
pub struct Uids<'v> {
    view: &'v View,
    /// The next part, in which the next position is.
    chunk: usize,
    at: usize,
    end: usize,
    part: Stretches<'v>,
}

impl Iterator for Uids<'_> {
    type Item = RangeInclusive<u32>;

    #[inline]
    fn next(&mut self) -> Option<RangeInclusive<u32>> {
        loop {
            if let Some(uids) = self.part.next() {
                return Some(uids);
            }
            if self.at >= self.end {
                return None;
            }
            let (chunk, start) = (self.view.chunks.get(self.chunk)?, self.view.starts[self.chunk]);
            let to = (self.end - start).min(chunk.len());
            self.part = Stretches(&chunk[self.at - start..to]);
            (self.at, self.chunk) = (start + to, self.chunk + 1);
        }
    }
}

/// What is left of a part.
#[derive(Clone, Debug)]
struct Stretches<'v>(&'v [Entry]);

impl Iterator for Stretches<'_> {
    type Item = RangeInclusive<u32>;

    #[inline]
    fn next(&mut self) -> Option<RangeInclusive<u32>> {
        let first = self.0.first()?.uid.0;
        // UIDs strictly grow: two that are as far apart as their places have all others between them.
        let follows = |at: usize| self.0.get(at).is_some_and(|entry| (entry.uid.0 - first) as usize == at);
        let count = if follows(self.0.len() - 1) {
            self.0.len()
        } else {
            let mut step = 1;
            while follows(step) {
                step *= 2;
            }
            // The last step followed, this one does not.
            let (mut from, mut to) = (step / 2, step.min(self.0.len()));
            while to - from > 1 {
                let middle = (from + to) / 2;
                if follows(middle) { from = middle } else { to = middle }
            }
            from + 1
        };
        let last = self.0[count - 1].uid.0;
        self.0 = &self.0[count..];
        Some(first..=last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::view::{Entry, ModSeq, Uid, UidValidity, View};
    use crate::{Flags, Keywords};

    fn view_of(uids: &[u32]) -> View {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        view.extend(uids.iter().map(|uid| {
            let (flags, modseq) = (Flags::NONE, ModSeq(1));
            Entry { uid: Uid(*uid), size: 1, flags, modseq, internal_date: 0, body: 0, saved: 0, thread: 0 }
        }));
        view
    }

    proptest! {
        /// The UIDs that each look by itself gives.
        #[test]
        fn as_each_look_by_itself(
            runs in proptest::collection::vec((1..20u32, prop_oneof![1..4u32, 1..900u32]), 0..40),
            from in 0..2500usize,
            count in 0..2500usize,
        ) {
            let mut uids = Vec::new();
            for (gap, run) in runs {
                let last = uids.last().copied().unwrap_or(0);
                uids.extend((0..run).map(|n| last + gap + n));
            }
            let view = view_of(&uids);
            let found: Vec<_> = view.uids(from..from + count).collect();
            let wanted = uids.get(from.min(uids.len())..(from + count).min(uids.len())).unwrap_or_default();
            prop_assert!(found.iter().cloned().flatten().eq(wanted.iter().copied()));
            // One range more for each gap, and for each part of 512.
            let gaps = wanted.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
            prop_assert!(found.len() <= gaps + wanted.len() / 512 + 2);
        }
    }
}
