//! A set of small integers that finds its lowest member in a few instructions: 64 bits a word, and
//! above each word a bit that says whether it holds anything.

const WORD_BITS: usize = u64::BITS as usize;

/// Integers below a capacity; insert, remove and lowest each touch at most one word a level (three
/// levels hold 262,144).
pub(super) struct LowestSet {
    /// From the members up to one single word.
    levels: Vec<Vec<u64>>,
}

impl LowestSet {
    pub(super) fn new(capacity: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = capacity.max(1);
        loop {
            let words = bits.div_ceil(WORD_BITS);
            levels.push(vec![0; words]);
            if words == 1 {
                return Self { levels };
            }
            bits = words;
        }
    }

    pub(super) fn insert(&mut self, member: u32) {
        let mut index = member as usize;
        for level in &mut self.levels {
            let word = &mut level[index / WORD_BITS];
            let was_empty = *word == 0;
            *word |= 1 << (index % WORD_BITS);
            if !was_empty {
                return;
            }
            index /= WORD_BITS;
        }
    }

    pub(super) fn remove(&mut self, member: u32) {
        let mut index = member as usize;
        for level in &mut self.levels {
            let word = &mut level[index / WORD_BITS];
            let bit = 1 << (index % WORD_BITS);
            let was_absent = *word & bit == 0;
            *word &= !bit;
            if was_absent || *word != 0 {
                return;
            }
            index /= WORD_BITS;
        }
    }

    pub(super) fn lowest(&self) -> Option<u32> {
        let mut index = 0;
        for level in self.levels.iter().rev() {
            let word = level[index];
            if word == 0 {
                return None;
            }
            index = index * WORD_BITS + word.trailing_zeros() as usize;
        }
        Some(u32::try_from(index).expect("members are u32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_tree() {
        for capacity in [1_usize, 63, 64, 65, 4_096, 4_097, 300_000] {
            let mut fast = LowestSet::new(capacity);
            let mut tree = BTreeSet::new();
            let mut state = capacity as u64;
            for _ in 0..2_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let member = u32::try_from((state >> 33) % capacity as u64).expect("small");
                if state >> 32 & 1 == 0 {
                    fast.insert(member);
                    tree.insert(member);
                } else {
                    let victim = if state >> 31 & 1 == 0 {
                        tree.first().copied()
                    } else {
                        None
                    };
                    fast.remove(victim.unwrap_or(member));
                    tree.remove(&victim.unwrap_or(member));
                }
                assert_eq!(fast.lowest(), tree.first().copied(), "capacity {capacity}");
            }
        }
    }
}
