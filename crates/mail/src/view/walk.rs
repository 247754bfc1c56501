//! Messages of a view looked at one after the other, by positions that mostly ascend: each costs a comparison or two where they are
//! neighbours, instead of a search for its chunk.

use super::{Entry, View};

/// Looks at messages by their positions.
#[derive(Clone, Debug)]
pub struct Walk<'v> {
    pub(super) view: &'v View,
    /// Where the last message was.
    pub(super) chunk: usize,
}

impl View {
    /// To look at messages by positions that mostly ascend.
    pub fn walk(&self) -> Walk<'_> {
        Walk { view: self, chunk: 0 }
    }
}

impl<'v> Walk<'v> {
    /// The entry at a position, as [`View::get`] finds it.
    #[inline]
    pub fn get(&mut self, position: usize) -> Option<&'v Entry> {
        for chunk in self.chunk..self.chunk + 2 {
            let Some(start) = self.view.starts.get(chunk) else { break };
            if let Some(entry) = position.checked_sub(*start).and_then(|at| self.view.chunks[chunk].get(at)) {
                self.chunk = chunk;
                return Some(entry);
            }
        }
        if position >= self.view.len {
            return None;
        }
        self.chunk = self.view.starts.partition_point(|start| *start <= position) - 1;
        self.view.chunks[self.chunk].get(position - self.view.starts[self.chunk])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::view::{Entry, ModSeq, Uid, UidValidity, View};
    use crate::{Flags, Keywords};

    fn view_of(uids: impl IntoIterator<Item = u32>) -> View {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        view.extend(uids.into_iter().map(|uid| {
            let (flags, modseq) = (Flags::NONE, ModSeq(1));
            Entry { uid: Uid(uid), size: uid, flags, modseq, internal_date: 0, body: 0, saved: 0, thread: 0 }
        }));
        view
    }

    proptest! {
        /// What is found is what each look by itself finds, in whatever order.
        #[test]
        fn as_each_look_by_itself(
            count in 0..2000u32,
            gone in proptest::collection::btree_set(1..2000u32, 0..900),
            asked in proptest::collection::vec(0..2100usize, 0..300),
            from in 0..2100usize,
        ) {
            let mut view = view_of(1..=count);
            view.remove(&gone.into_iter().map(Uid).collect::<Vec<_>>());
            let mut walk = view.walk();
            for position in (from..from + 600).chain(asked) {
                prop_assert_eq!(walk.get(position), view.get(position));
            }
        }
    }
}
