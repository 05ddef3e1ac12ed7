//! Disjoint sets of keys.

/// Sets of integers below a count, each with its lowest member for a root.
pub(super) struct Union {
    parents: Vec<u32>,
}

impl Union {
    pub(super) fn new(key_count: u32) -> Self {
        Self {
            parents: (0..key_count).collect(),
        }
    }

    pub(super) fn root(&mut self, mut key: u32) -> u32 {
        while self.parents[key as usize] != key {
            // Halves the path for those who come after.
            let grandparent = self.parents[self.parents[key as usize] as usize];
            self.parents[key as usize] = grandparent;
            key = grandparent;
        }
        key
    }

    pub(super) fn unite(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }
}
