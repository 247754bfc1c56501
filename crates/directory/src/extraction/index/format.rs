//! The file of the index: what both the builder and the reader must agree on.
//!
//! ```text
//! magic | record blocks | postings | dictionary blocks | tables | facts (JSON) | footer
//! ```
//!
//! * Records are entries in their final order, each behind its length, [`RECORDS`] in a block, each block compressed (LZ4): a search
//!   that finds the first fifty reads their blocks only, and of a block the records it wants.
//! * The dictionary has one key for each word of each field (a field's octet, then the word), sorted; [`KEYS`] in a block, each
//!   without what it shares with the key before. A key of one record holds its number, others point to postings.
//! * Postings are record numbers in order, as differences in variable-length integers, with a checksum.
//! * The tables say where each block is and with which key each dictionary block begins; they alone are kept in memory.
//!
//! All integers are little-endian or LEB128. Everything read is checked: a damaged file is an error, never a panic or a wrong answer
//! that goes unseen (checksums of every part).

/// First octets; the last digit is the version.
pub(super) const MAGIC: &[u8; 8] = b"VGMDIR\x002";
/// Records of a block.
pub(super) const RECORDS: usize = 64;
/// Keys of a dictionary block.
pub(super) const KEYS: usize = 64;
/// Octets of the footer: four positions, the number of records, the length of the facts, a checksum, the magic.
pub(super) const FOOTER: usize = 4 * 8 + 4 + 4 + 4 + 8;
/// Largest block or table read: real ones have some KB, tables one MB.
pub(super) const MAX_PART: usize = 64 * 1024 * 1024;
/// Longest word of a key; longer ones are cut, and checked in the record.
pub(super) const MAX_WORD: usize = 60;
/// Most records: numbers of 32 bits, and a mark for each while a search runs.
pub(super) const MAX_RECORDS: usize = 50_000_000;

/// What a key is a word of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Name = b'n',
    Given = b'g',
    Profession = b'p',
    Speciality = b's',
    City = b'c',
    PostalCode = b'z',
    Department = b'd',
    Structure = b'o',
    StructureNumber = b'i',
    Rpps = b'r',
    Address = b'a',
    Kind = b'k',
}

/// The key of a word.
pub(super) fn key(field: Field, word: &str) -> Vec<u8> {
    let mut key = vec![field as u8];
    let mut end = word.len().min(MAX_WORD);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    key.extend_from_slice(&word.as_bytes()[..end]);
    key
}

/// Adds a variable-length integer.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Adds octets behind their length.
pub(super) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// Reads what [`put`] wrote. `None` at the end, or when it is no integer of 64 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn get(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(first & 0x7f).checked_shl(shift)?;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub fn size(&mut self) -> Option<usize> {
        usize::try_from(self.get()?).ok()
    }

    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn octets(&mut self) -> Option<&'a [u8]> {
        let count = self.size()?;
        self.take(count)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.octets()?).ok()
    }

    pub fn octet(&mut self) -> Option<u8> {
        self.take(1).map(|octet| octet[0])
    }
}

/// Marks of records.
#[derive(Debug, Clone)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub fn none(records: usize) -> Marks {
        Marks(vec![0; records.div_ceil(64)])
    }

    /// False when there is no such record.
    pub fn set(&mut self, record: u64) -> bool {
        let place = usize::try_from(record / 64).ok().and_then(|at| self.0.get_mut(at));
        place.map(|word| *word |= 1 << (record % 64)).is_some()
    }

    pub fn and(&mut self, other: &Marks) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own &= other);
    }

    /// The marked records, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_and_texts_come_back(numbers: Vec<u64>, text in "\\PC{0,20}") {
            let mut out = Vec::new();
            numbers.iter().for_each(|n| put(&mut out, *n));
            put_octets(&mut out, text.as_bytes());
            let mut cursor = Cursor(&out);
            for number in numbers {
                prop_assert_eq!(cursor.get(), Some(number));
            }
            prop_assert_eq!(cursor.text(), Some(text.as_str()));
            prop_assert!(cursor.0.is_empty() && cursor.get().is_none() && cursor.octet().is_none());
        }

        #[test]
        fn marks(mut set in proptest::collection::vec(0u64..200, 0..50)) {
            let mut marks = Marks::none(200);
            prop_assert!(set.iter().all(|record| marks.set(*record)));
            set.sort_unstable();
            set.dedup();
            prop_assert_eq!(marks.iter().map(|r| r as u64).collect::<Vec<_>>(), set);
            prop_assert!(!marks.set(256));
        }
    }

    #[test]
    fn endless_integers_are_none() {
        assert_eq!(Cursor(&[0xff; 20]).get(), None);
        assert_eq!(Cursor(&[0x80]).get(), None);
        assert_eq!(Cursor(&[5, 1]).octets(), None);
    }
}
