//! A set of small numbers, a bit for each: messages of a folder by position, documents of an index.
//!
//! Sets of everything, of nothing and of what lies together cost next to nothing: sixty-four are looked at at a time, and what follows each
//! other is handed over as a range ([`Bits::runs`]).
//!
//! Invariant: no number at or above the length is in the set.

use std::ops::Range;

/// Numbers below a length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    length: usize,
}

/// The lowest `count` bits, at most all.
fn lowest(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

impl Bits {
    /// None of `length` numbers.
    pub fn none(length: usize) -> Self {
        Bits { words: vec![0; length.div_ceil(64)], length }
    }

    /// All of `length` numbers.
    pub fn all(length: usize) -> Self {
        let mut all = Bits { words: vec![u64::MAX; length.div_ceil(64)], length };
        all.trim();
        all
    }

    /// These of `length` numbers; those that are not below it are left out.
    pub fn of(length: usize, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut set = Bits::none(length);
        numbers.into_iter().for_each(|n| set.set(n));
        set
    }

    /// The number that all those in it are below.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Puts a number in; nothing, when it is not below the length.
    #[inline]
    pub fn set(&mut self, n: u32) {
        if (n as usize) < self.length {
            self.words[n as usize / 64] |= 1 << (n % 64);
        }
    }

    /// Puts all numbers of a range in that are below the length.
    pub fn set_range(&mut self, range: Range<usize>) {
        let (from, to) = (range.start, range.end.min(self.length));
        if from >= to {
            return;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        let (begin, end) = (!lowest(from % 64), lowest((to - 1) % 64 + 1));
        if first == last {
            self.words[first] |= begin & end;
            return;
        }
        self.words[first] |= begin;
        self.words[first + 1..last].fill(u64::MAX);
        self.words[last] |= end;
    }

    /// Takes a number out.
    pub fn clear(&mut self, n: u32) {
        if let Some(word) = self.words.get_mut(n as usize / 64) {
            *word &= !(1 << (n % 64));
        }
    }

    /// Takes out all that are not below `n`.
    pub fn clear_from(&mut self, n: usize) {
        if n < self.length {
            self.words[n / 64] &= lowest(n % 64);
            self.words[n / 64 + 1..].fill(0);
        }
    }

    /// Whether a number is in it.
    #[inline]
    pub fn has(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    /// Whether some number of a range is in it.
    pub fn has_some(&self, range: Range<usize>) -> bool {
        let (from, to) = (range.start, range.end.min(self.length));
        if from >= to {
            return false;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        let (begin, end) = (!lowest(from % 64), lowest((to - 1) % 64 + 1));
        if first == last {
            return self.words[first] & begin & end != 0;
        }
        self.words[first] & begin != 0
            || self.words[first + 1..last].iter().any(|w| *w != 0)
            || self.words[last] & end != 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// How many are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The lowest in it.
    pub fn first(&self) -> Option<u32> {
        let at = self.words.iter().position(|w| *w != 0)?;
        Some(at as u32 * 64 + self.words[at].trailing_zeros())
    }

    /// The highest in it.
    pub fn last(&self) -> Option<u32> {
        let at = self.words.iter().rposition(|w| *w != 0)?;
        Some(at as u32 * 64 + 63 - self.words[at].leading_zeros())
    }

    /// Leaves only what is in `other` too.
    pub fn and(&mut self, other: &Bits) {
        let shared = self.words.len().min(other.words.len());
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
        self.words[shared..].fill(0);
    }

    /// Adds what is in `other`.
    pub fn or(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
        self.trim();
    }

    /// Takes out what is in `other`.
    pub fn and_not(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// All below the length that were not in it.
    pub fn invert(&mut self) {
        self.words.iter_mut().for_each(|w| *w = !*w);
        self.trim();
    }

    /// Adds those of a range of `other`, so that the first of the range is `at` here.
    pub fn or_range(&mut self, at: usize, other: &Bits, range: Range<usize>) {
        let (mut from, to) = (range.start, range.end.min(other.length));
        let mut at = at;
        while from < to {
            let count = (to - from).min(64);
            let (low, shift) = (other.words[from / 64] >> (from % 64), from % 64);
            let high = if shift == 0 { 0 } else { other.words.get(from / 64 + 1).map_or(0, |w| w << (64 - shift)) };
            let word = (low | high) & lowest(count);
            if let Some(here) = self.words.get_mut(at / 64) {
                *here |= word << (at % 64);
            }
            if let Some(next) = self.words.get_mut(at / 64 + 1).filter(|_| !at.is_multiple_of(64)) {
                *next |= word >> (64 - at % 64);
            }
            (from, at) = (from + count, at + count);
        }
        self.trim();
    }

    /// How many are here and not in `other`.
    pub fn missing_in(&self, other: &Bits) -> usize {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & !b).count_ones() as usize).sum()
    }

    /// Adds those of a bitmap of octets, the lowest bit first.
    pub fn or_octets(&mut self, octets: &[u8]) {
        for (word, eight) in self.words.iter_mut().zip(octets.chunks(8)) {
            let mut whole = [0; 8];
            whole[..eight.len()].copy_from_slice(eight);
            *word |= u64::from_le_bytes(whole);
        }
        self.trim();
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut().filter(|_| !self.length.is_multiple_of(64)) {
            *last &= (1 << (self.length % 64)) - 1;
        }
    }

    /// Those in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros();
                    word &= word - 1;
                    i as u32 * 64 + bit
                })
            })
        })
    }

    /// Those in it as ranges, ascending, each as long as it can be.
    pub fn runs(&self) -> Runs<'_> {
        Runs { words: &self.words, at: 0, word: self.words.first().copied().unwrap_or(0) }
    }
}

/// Ranges of numbers: [`Bits::runs`].
#[derive(Clone, Debug)]
pub struct Runs<'b> {
    words: &'b [u64],
    at: usize,
    /// What is left of the word at that place.
    word: u64,
}

impl Iterator for Runs<'_> {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        while self.word == 0 {
            self.at += 1;
            self.word = *self.words.get(self.at)?;
        }
        let first = self.word.trailing_zeros();
        let start = self.at as u32 * 64 + first;
        // With ones below it, the word is ones up to the end of the run.
        let filled = self.word | (self.word - 1);
        let ones = filled.trailing_ones();
        if ones < 64 {
            self.word &= u64::MAX << ones;
            return Some(start..self.at as u32 * 64 + ones);
        }
        loop {
            self.at += 1;
            self.word = self.words.get(self.at).copied().unwrap_or(0);
            let ones = self.word.trailing_ones();
            if ones < 64 {
                self.word &= u64::MAX << ones;
                return Some(start..self.at as u32 * 64 + ones);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Bits;

    /// Sets with long stretches of everything and of nothing, as those of folders are.
    fn numbers(length: usize) -> impl Strategy<Value = BTreeSet<u32>> {
        let bound = length.max(1) as u32;
        let stretches = proptest::collection::vec((0..bound, 1..200u32), 0..5);
        let single = proptest::collection::vec(0..bound, 0..20);
        (stretches, single).prop_map(move |(stretches, single)| {
            let stretches = stretches.into_iter().flat_map(|(from, count)| from..from + count);
            stretches.chain(single).filter(|n| (*n as usize) < length).collect()
        })
    }

    fn two_sets() -> impl Strategy<Value = (usize, BTreeSet<u32>, BTreeSet<u32>)> {
        (0..400usize).prop_flat_map(|length| (Just(length), numbers(length), numbers(length)))
    }

    fn is(bits: &Bits, wanted: impl IntoIterator<Item = u32>) -> bool {
        *bits == Bits::of(bits.length(), wanted)
    }

    proptest! {
        /// Each question and change is that of a set of numbers.
        #[test]
        fn as_a_set_of_numbers((length, a, b) in two_sets(), from in 0..450usize, count in 0..450usize, at in 0..450usize) {
            let (bits, other) = (Bits::of(length, a.iter().copied()), Bits::of(length, b.iter().copied()));
            prop_assert!(bits.iter().eq(a.iter().copied()));
            prop_assert!(bits.runs().flatten().eq(a.iter().copied()));
            let runs: Vec<_> = bits.runs().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start) && runs.iter().all(|r| !r.is_empty()));
            prop_assert_eq!((bits.count(), bits.first(), bits.last()), (a.len(), a.first().copied(), a.last().copied()));
            prop_assert_eq!(bits.is_empty(), a.is_empty());
            prop_assert!((0..length as u32 + 70).all(|n| bits.has(n) == a.contains(&n)));
            prop_assert_eq!(bits.missing_in(&other), a.difference(&b).count());
            let changed = |change: &dyn Fn(&mut Bits)| { let mut bits = bits.clone(); change(&mut bits); bits };
            prop_assert!(is(&changed(&|s| s.and(&other)), a.intersection(&b).copied()));
            prop_assert!(is(&changed(&|s| s.or(&other)), a.union(&b).copied()));
            prop_assert!(is(&changed(&|s| s.and_not(&other)), a.difference(&b).copied()));
            prop_assert!(is(&changed(&Bits::invert), (0..length as u32).filter(|n| !a.contains(n))));
            prop_assert_eq!(Bits::all(length), changed(&|s| s.set_range(0..usize::MAX)));
            let range = from..from + count;
            let within = |n: &u32| range.contains(&(*n as usize));
            prop_assert_eq!(bits.has_some(range.clone()), a.iter().any(within));
            prop_assert!(is(&changed(&|s| s.set_range(range.clone())), a.iter().copied().chain(from as u32..(from + count) as u32)));
            prop_assert!(is(&changed(&|s| s.clear_from(from)), a.iter().copied().filter(|n| (*n as usize) < from)));
            prop_assert!(is(&changed(&|s| s.clear(from as u32)), a.iter().copied().filter(|n| *n as usize != from)));
            let moved = b.iter().filter(|n| within(n)).map(|n| n - from as u32 + at as u32);
            prop_assert!(is(&changed(&|s| s.or_range(at, &other, range.clone())), a.iter().copied().chain(moved)));
        }

        /// Sets of other lengths: what this one has no room for is left out.
        #[test]
        fn of_other_lengths(a in numbers(100), b in numbers(300)) {
            let (short, long) = (Bits::of(100, a.iter().copied()), Bits::of(300, b.iter().copied()));
            let mut joined = short.clone();
            joined.or(&long);
            prop_assert!(is(&joined, a.iter().chain(&b).copied()));
            let mut both = long.clone();
            both.and(&short);
            prop_assert!(is(&both, a.intersection(&b).copied()));
        }
    }
}
