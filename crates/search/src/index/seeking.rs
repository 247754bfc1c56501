//! Seeking texts in an index: which of the bodies asked for have them.
//!
//! What is asked and what is answered are positions in the list of bodies. Segments hold bodies in the order they came, and so are those asked
//! for: they are matched in [`Stretch`]es, and what a segment finds of a stretch is moved to the answer sixty-four at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use mail::bits::Bits;
use mail::sought::Sought;

use super::segment::Segment;
use super::{Index, blocks};
use crate::matching::Needle;

/// Threads of one search.
const THREADS: usize = 2;
/// Documents from which a search is worth a second thread.
const MANY: usize = 2_000;

/// What an index answers, by positions in the bodies asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For each text sought, in order, the bodies that have it; none of those unknown.
    pub matching: Vec<Bits>,
    /// The bodies that must be read.
    pub unknown: Bits,
}

impl Index {
    /// Which of the bodies (ascending, each once) have the texts, as far as it is known.
    pub fn seek(&self, sought: &[Sought], bodies: &[u64]) -> Answer {
        let needles: Vec<Needle> = sought.iter().map(Needle::new).collect();
        let list = self.list();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut partial = Partial::of(needles.len(), bodies.len());
            while let Some(segment) = list.segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = partial.take(segment, &needles, bodies) {
                    self.lost(segment, &error);
                }
            }
            partial
        };
        let threads = if list.documents() < MANY { 1 } else { THREADS.min(list.segments.len()) };
        let partials: Vec<Partial> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mine = work();
            // A thread that ended otherwise has covered nothing: its bodies are unknown.
            std::iter::once(mine).chain(others.into_iter().filter_map(|t| t.join().ok())).collect()
        });
        let matching = vec![Bits::none(bodies.len()); needles.len()];
        let mut answer = Answer { matching, unknown: Bits::all(bodies.len()) };
        for partial in partials {
            answer.unknown.and_not(&partial.covered);
            for (all, some) in answer.matching.iter_mut().zip(&partial.matching) {
                all.or(some);
            }
        }
        answer
    }
}

/// What one thread found.
struct Partial {
    matching: Vec<Bits>,
    covered: Bits,
}

impl Partial {
    fn of(needles: usize, bodies: usize) -> Self {
        Partial { matching: vec![Bits::none(bodies); needles], covered: Bits::none(bodies) }
    }

    fn take(&mut self, segment: &Segment, needles: &[Needle], bodies: &[u64]) -> blocks::Result<()> {
        let stretches = stretches(&segment.bodies, bodies);
        if stretches.is_empty() {
            return Ok(());
        }
        let mut asked = Bits::none(segment.total());
        stretches.iter().for_each(|s| asked.set_range(s.document..s.document + s.length));
        let found = needles.iter().map(|needle| segment.seek(needle, &asked)).collect::<blocks::Result<Vec<Bits>>>()?;
        // Of documents that are not whole, what was not found is not known; the header, they have whole.
        let mut unknown = Bits::none(segment.total());
        for (_, found) in needles.iter().zip(&found).filter(|(needle, _)| needle.wants_body()) {
            let mut left = segment.not_whole(&asked);
            left.and_not(found);
            unknown.or(&left);
        }
        asked.and_not(&unknown);
        move_to(&mut self.covered, &asked, &stretches);
        for (all, mut some) in self.matching.iter_mut().zip(found) {
            some.and(&asked);
            move_to(all, &some, &stretches);
        }
        Ok(())
    }
}

/// Documents of a segment that follow each other as bodies asked for do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// The number of the first.
    document: usize,
    /// Its position in the bodies asked for.
    at: usize,
    length: usize,
}

/// The documents of these bodies (in any order) among the bodies asked for (ascending, each once).
fn stretches(documents: &[u64], bodies: &[u64]) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let (mut document, mut near) = (0, 0);
    while let Some(body) = documents.get(document) {
        // Mostly the next of both are the same, or the document's is between two of those asked for.
        let after = near == 0 || bodies[near - 1] < *body;
        let place = match bodies.get(near) {
            Some(next) if next == body => Ok(near),
            next if after && next.is_none_or(|next| body < next) => Err(near),
            _ => bodies.binary_search(body),
        };
        match place {
            Ok(at) => {
                let length = alike(&documents[document..], &bodies[at..]);
                stretches.push(Stretch { document, at, length });
                (document, near) = (document + length, at + length);
            }
            Err(at) => (document, near) = (document + 1, at),
        }
    }
    stretches
}

/// How many the two have in common at their beginning.
fn alike(a: &[u64], b: &[u64]) -> usize {
    /// Compared at once, by the fastest there is.
    const TOGETHER: usize = 64;
    let together =
        a.chunks_exact(TOGETHER).zip(b.chunks_exact(TOGETHER)).take_while(|(a, b)| a == b).count() * TOGETHER;
    together + a[together..].iter().zip(&b[together..]).take_while(|(a, b)| a == b).count()
}

/// What was found of documents, by positions in the bodies asked for.
fn move_to(positions: &mut Bits, documents: &Bits, stretches: &[Stretch]) {
    for stretch in stretches {
        positions.or_range(stretch.at, documents, stretch.document..stretch.document + stretch.length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each document that was asked for is in one stretch, where its body is.
        #[test]
        fn stretches_are_what_both_have(
            bodies in proptest::collection::btree_set(0..400u64, 0..300),
            runs in proptest::collection::vec((0..400u64, 1..150u64), 0..6),
        ) {
            let bodies: Vec<u64> = bodies.into_iter().collect();
            let mut documents: Vec<u64> = Vec::new();
            for body in runs.into_iter().flat_map(|(from, count)| from..from + count) {
                if !documents.contains(&body) {
                    documents.push(body);
                }
            }
            let found: Vec<(usize, usize)> = stretches(&documents, &bodies)
                .into_iter()
                .flat_map(|s| (0..s.length).map(move |n| (s.document + n, s.at + n)))
                .collect();
            let wanted: Vec<(usize, usize)> = documents
                .iter()
                .enumerate()
                .filter_map(|(n, body)| Some((n, bodies.binary_search(body).ok()?)))
                .collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
