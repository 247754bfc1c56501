//! Disjoint sets: which messages are together, in nearly constant time each (union by size, path halving).

/// Sets of numbers.
pub(super) struct Sets {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl Sets {
    /// Each alone.
    pub(super) fn new(count: usize) -> Self {
        Sets { parent: (0..count).collect(), size: vec![1; count] }
    }

    /// The one that stands for the set of this one.
    pub(super) fn find(&mut self, mut of: usize) -> usize {
        while self.parent[of] != of {
            self.parent[of] = self.parent[self.parent[of]];
            of = self.parent[of];
        }
        of
    }

    /// Puts two sets together; false when they were.
    pub(super) fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return false;
        }
        let (small, large) = if self.size[a] < self.size[b] { (a, b) } else { (b, a) };
        self.parent[small] = large;
        self.size[large] += self.size[small];
        true
    }
}
