//! A set of documents of a segment.

/// Documents by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    /// None of `length` documents.
    pub(super) fn none(length: usize) -> Self {
        Bits { words: vec![0; length.div_ceil(64)], length }
    }

    pub(super) fn set(&mut self, n: u32) {
        if (n as usize) < self.length {
            self.words[n as usize / 64] |= 1 << (n % 64);
        }
    }

    pub(super) fn has(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    pub(super) fn and(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn or(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn and_not(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// How many are here and not in `other`.
    pub(super) fn missing_in(&self, other: &Bits) -> usize {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & !b).count_ones() as usize).sum()
    }

    /// Adds those of a bitmap of octets, the lowest bit first.
    pub(super) fn or_octets(&mut self, octets: &[u8]) {
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
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
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
}
