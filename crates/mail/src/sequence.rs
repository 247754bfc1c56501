//! Sequence sets of IMAP (RFC 3501 `sequence-set`): message numbers or UIDs, with `*` for the last one.
//!
//! [`SequenceSet`] is what the client wrote; [`Ranges`] is what it means once the last number is known: merged, ascending
//! ranges, also used to write COPYUID, ESEARCH and VANISHED.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// Longest text read, in octets: with 20,000 ranges of small numbers it is reached first.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most ranges in one set: a client that lists each message of a large folder stays below; bounds memory and merging.
pub const MAX_RANGES: usize = 20_000;

/// One end of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Number {
    /// A number.
    Value(NonZeroU32),
    /// `*`: the largest number in use.
    Star,
}

/// A sequence set as written by a client, or `$`, what a search saved (RFC 5182): the only one without ranges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SequenceSet(Vec<(Number, Number)>);

/// Why a text is not a sequence set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SequenceError {
    /// Not of the grammar, or a number outside 1..=4294967295.
    #[error("not a sequence set")]
    Syntax,
    /// More than [`MAX_TEXT`] octets or [`MAX_RANGES`] ranges.
    #[error("the sequence set is too long")]
    TooLong,
}

impl SequenceSet {
    /// Reads `1,3:5,7:*`.
    pub fn parse(text: &str) -> Result<Self, SequenceError> {
        if text.len() > MAX_TEXT {
            return Err(SequenceError::TooLong);
        }
        let mut ranges = Vec::new();
        for item in text.split(',') {
            if ranges.len() == MAX_RANGES {
                return Err(SequenceError::TooLong);
            }
            ranges.push(match item.split_once(':') {
                Some((from, to)) => (number(from)?, number(to)?),
                None => {
                    let n = number(item)?;
                    (n, n)
                }
            });
        }
        Ok(SequenceSet(ranges))
    }

    /// `$`: the messages that the last search saved. It resolves to nothing; whoever keeps them knows them.
    pub fn saved() -> Self {
        SequenceSet(Vec::new())
    }

    /// Whether this is `$`.
    pub fn is_saved(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges as written; either end may be the larger.
    pub fn ranges(&self) -> &[(Number, Number)] {
        &self.0
    }

    /// Whether the set speaks of `*`.
    pub fn has_star(&self) -> bool {
        self.0.iter().any(|(a, b)| *a == Number::Star || *b == Number::Star)
    }

    /// What the set means when `max` is the largest number in use (0: nothing is in use, the set is empty).
    ///
    /// Numbers above `max` stay in the result: `5:*` with `max` 3 is `3:5`, as RFC 3501 wants.
    pub fn resolve(&self, max: u32) -> Ranges {
        let Some(max) = NonZeroU32::new(max) else {
            return Ranges::default();
        };
        let value = |n: &Number| match n {
            Number::Value(v) => v.get(),
            Number::Star => max.get(),
        };
        Ranges::from_pairs(self.0.iter().map(|(a, b)| (value(a), value(b))))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Value(v) => write!(f, "{v}"),
            Number::Star => f.write_str("*"),
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_saved() {
            return f.write_str("$");
        }
        for (i, (from, to)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if from == to {
                write!(f, "{comma}{from}")?;
            } else {
                write!(f, "{comma}{from}:{to}")?;
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<Number, SequenceError> {
    if text == "*" {
        return Ok(Number::Star);
    }
    // `parse` alone would accept a sign; leading zeros are not `nz-number`.
    if !text.starts_with(|c: char| matches!(c, '1'..='9')) {
        return Err(SequenceError::Syntax);
    }
    text.parse().map(Number::Value).map_err(|_| SequenceError::Syntax)
}

/// A set of nonzero numbers as merged ranges.
///
/// Invariant: ascending, none empty, none touching another, none holding 0.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash)]
pub struct Ranges(Vec<RangeInclusive<u32>>);

impl Ranges {
    /// Merges ranges given in any order, ends in any order; zero is left out.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut pairs: Vec<(u32, u32)> =
            pairs.into_iter().map(|(a, b)| (a.min(b).max(1), a.max(b))).filter(|(from, to)| from <= to).collect();
        pairs.sort_unstable();
        let mut set = Ranges::default();
        for (from, to) in pairs {
            set.add(from, to);
        }
        set
    }

    /// Adds a range that starts at or after the start of the last one.
    fn add(&mut self, from: u32, to: u32) {
        match self.0.last_mut() {
            Some(last) if from <= last.end().saturating_add(1) => *last = *last.start()..=to.max(*last.end()),
            _ => self.0.push(from..=to),
        }
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|r| u64::from(r.end() - r.start()) + 1).sum()
    }

    /// Whether the number is in the set.
    pub fn contains(&self, n: u32) -> bool {
        let i = self.0.partition_point(|r| *r.end() < n);
        self.0.get(i).is_some_and(|r| r.contains(&n))
    }

    /// The numbers, ascending. May be four thousand million of them: bound the set with [`Ranges::up_to`] first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(Clone::clone)
    }

    /// The numbers at most `max`.
    pub fn up_to(&self, max: u32) -> Ranges {
        Ranges(self.0.iter().filter(|r| *r.start() <= max).map(|r| *r.start()..=(*r.end()).min(max)).collect())
    }

    /// The smallest number.
    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|r| *r.start())
    }

    /// The largest number.
    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|r| *r.end())
    }
}

impl FromIterator<u32> for Ranges {
    /// Zero is left out. Ascending numbers cost no sorting.
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = Ranges::default();
        let mut numbers = numbers.into_iter().filter(|n| *n != 0);
        for n in numbers.by_ref() {
            if set.0.last().is_some_and(|last| n < *last.start()) {
                let done = set.0.iter().map(|r| (*r.start(), *r.end())).collect::<Vec<_>>();
                return Ranges::from_pairs(done.into_iter().chain([(n, n)]).chain(numbers.map(|n| (n, n))));
            }
            set.add(n, n);
        }
        set
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}:{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn reads_and_resolves() {
        let set = SequenceSet::parse("2,4:7,9,12:*").expect("valid");
        assert_eq!(set.to_string(), "2,4:7,9,12:*");
        assert!(set.has_star());
        assert_eq!(set.resolve(15).to_string(), "2,4:7,9,12:15");
        assert_eq!(set.resolve(10).to_string(), "2,4:7,9:12");
        assert_eq!(set.resolve(0), Ranges::default());
        assert_eq!(SequenceSet::parse("5:*").expect("valid").resolve(3).to_string(), "3:5");
        assert_eq!(SequenceSet::parse("*:1,3:2").expect("valid").resolve(4).to_string(), "1:4");
        assert_eq!(SequenceSet::parse("4294967295:1,4294967295").expect("valid").resolve(1).count(), 4_294_967_295);
        for bad in ["", "0", "1,", ",1", "1:", ":1", "1:2:3", "+1", "01", "4294967296", "1 ", "**", "-1", "1:0"] {
            assert_eq!(SequenceSet::parse(bad), Err(SequenceError::Syntax), "{bad}");
        }
    }

    #[test]
    fn is_bounded() {
        let many = vec!["1"; MAX_RANGES].join(",");
        assert!(SequenceSet::parse(&many).is_ok());
        assert_eq!(SequenceSet::parse(&format!("{many},1")), Err(SequenceError::TooLong));
        assert_eq!(SequenceSet::parse(&"1".repeat(MAX_TEXT + 1)), Err(SequenceError::TooLong));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(pairs in proptest::collection::vec((0u32..60, 0u32..60), 0..20), max in 0u32..70) {
            let mut plain = BTreeSet::new();
            for (a, b) in &pairs { plain.extend((*a.min(b)..=*a.max(b)).filter(|n| *n != 0)); }
            let ranges = Ranges::from_pairs(pairs);
            prop_assert!(ranges.0.windows(2).all(|w| u64::from(*w[0].end()) + 1 < u64::from(*w[1].start())));
            prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranges.count(), plain.len() as u64);
            prop_assert_eq!(ranges.up_to(max).iter().collect::<Vec<_>>(), plain.iter().copied().filter(|n| *n <= max).collect::<Vec<_>>());
            for n in 0..70 { prop_assert_eq!(ranges.contains(n), plain.contains(&n)); }
            prop_assert_eq!(&plain.iter().copied().collect::<Ranges>(), &ranges);
            prop_assert_eq!(&plain.iter().rev().copied().collect::<Ranges>(), &ranges);
            if !ranges.is_empty() {
                prop_assert_eq!(SequenceSet::parse(&ranges.to_string()).expect("valid").resolve(1), ranges);
            }
        }

        #[test]
        fn never_panics(text in "[0-9:*,]{0,40}", max: u32) {
            if let Ok(set) = SequenceSet::parse(&text) {
                prop_assert_eq!(&SequenceSet::parse(&set.to_string()).expect("its own text"), &set);
                let _ = set.resolve(max).count();
            }
        }
    }
}
