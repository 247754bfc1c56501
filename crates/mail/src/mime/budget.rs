//! What the texts of a structure may take in memory, all parts together.

/// What is left, in octets.
#[derive(Clone, Debug)]
pub(super) struct Budget(usize);

/// What a kept text costs beside its octets: the string itself and its allocation.
const OVERHEAD: usize = 32;

impl Budget {
    pub(super) fn new(octets: usize) -> Self {
        Budget(octets)
    }

    /// Takes that many octets; false, and nothing is taken, when there are not as many left.
    pub(super) fn take(&mut self, octets: usize) -> bool {
        let enough = self.0 >= octets;
        if enough {
            self.0 -= octets;
        }
        enough
    }

    /// The text, if it can be kept whole.
    pub(super) fn keep(&mut self, text: String) -> Option<String> {
        self.take(text.len() + OVERHEAD).then_some(text)
    }
}
