//! Messages of a view found one after the other, by UIDs that ascend: each costs a step or two where they are neighbours, instead
//! of two binary searches.

use super::{Entry, Uid, View};

/// Finds messages by ascending UIDs.
#[derive(Clone, Debug)]
pub struct Follow<'v> {
    view: &'v View,
    chunk: usize,
    at: usize,
}

impl View {
    /// To find messages by UIDs that ascend.
    pub fn follow(&self) -> Follow<'_> {
        Follow { view: self, chunk: 0, at: 0 }
    }
}

impl<'v> Follow<'v> {
    /// The message of a UID and its position, if it is there. One that was passed already is not found.
    #[inline]
    pub fn find(&mut self, uid: Uid) -> Option<(usize, &'v Entry)> {
        let mut entries = self.view.chunks.get(self.chunk)?;
        if entries.last().is_some_and(|last| last.uid < uid) {
            let later = &self.view.chunks[self.chunk + 1..];
            self.chunk += 1 + later.partition_point(|chunk| chunk[chunk.len() - 1].uid < uid);
            self.at = 0;
            entries = self.view.chunks.get(self.chunk)?;
        }
        // The last of these is not below the UID: `at` stays within.
        if entries.get(self.at).is_some_and(|entry| entry.uid < uid) {
            self.at += 1;
            if entries.get(self.at).is_some_and(|entry| entry.uid < uid) {
                self.at += entries[self.at..].partition_point(|entry| entry.uid < uid);
            }
        }
        let entry = entries.get(self.at).filter(|entry| entry.uid == uid)?;
        Some((self.view.starts[self.chunk] + self.at, entry))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::view::{Entry, ModSeq, Uid, UidValidity, View};
    use crate::{Flags, Keywords};

    fn view(uids: impl IntoIterator<Item = u32>) -> View {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        for uid in uids {
            let (size, flags, modseq) = (uid, Flags::NONE, ModSeq(1));
            view.push(Entry { uid: Uid(uid), size, flags, modseq, internal_date: 0, body: 0, saved: 0, thread: 0 });
        }
        view
    }

    proptest! {
        /// What is found is what a search from the beginning finds, whatever is there and whatever is asked.
        #[test]
        fn as_a_search_of_each_finds(
            there in proptest::collection::btree_set(1..4000u32, 0..2000),
            asked in proptest::collection::btree_set(0..4100u32, 0..600),
            gone in proptest::collection::btree_set(1..4000u32, 0..900),
        ) {
            // Chunks of every length.
            let mut view = view(there);
            view.remove(&gone.into_iter().map(Uid).collect::<Vec<_>>());
            let mut follow = view.follow();
            for uid in asked.into_iter().map(Uid) {
                let wanted = view.position(uid).ok().map(|at| (at, uid));
                prop_assert_eq!(follow.find(uid).map(|(at, entry)| (at, entry.uid)), wanted);
                // The same again is found again.
                prop_assert_eq!(follow.find(uid).map(|(at, entry)| (at, entry.uid)), wanted);
            }
        }
    }

    #[test]
    fn nothing_before_where_it_is() {
        let view = view([2, 4, 6]);
        let mut follow = view.follow();
        assert_eq!(follow.find(Uid(5)).map(|(at, _)| at), None);
        assert_eq!(follow.find(Uid(4)).map(|(at, _)| at), None);
        assert_eq!(follow.find(Uid(6)).map(|(at, _)| at), Some(2));
        assert_eq!(follow.find(Uid(7)).map(|(at, _)| at), None);
        assert_eq!(follow.find(Uid(6)).map(|(at, _)| at), None);
    }
}
