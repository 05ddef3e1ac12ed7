//! A small open-addressing table from `u64` to `u32`, with one fixed mixing function: equal inserts
//! give equal tables on every machine.

/// Slots are doubled beyond this load, in per cent.
const LOAD_PERCENT_MAX: usize = 75;
const SLOTS_MIN: usize = 16;
/// Marks a free slot; no value may be it.
const FREE: u32 = u32::MAX;

/// Keys are never removed. Values are below `u32::MAX`.
#[derive(Clone, Default)]
pub(crate) struct Table {
    slots: Vec<(u64, u32)>,
    used: usize,
}

/// Spreads a key over all 64 bits (the finalizer of splitmix64).
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

impl Table {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let (held, value) = self.slots[self.slot(key)];
        (value != FREE && held == key).then_some(value)
    }

    /// Sets a key's value.
    pub(crate) fn insert(&mut self, key: u64, value: u32) {
        assert!(value != FREE, "a value is below u32::MAX");
        if (self.used + 1) * 100 > self.slots.len() * LOAD_PERCENT_MAX {
            self.grow();
        }
        let slot = self.slot(key);
        self.used += usize::from(self.slots[slot].1 == FREE);
        self.slots[slot] = (key, value);
    }

    /// Where the key is, or the free slot where it would go.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = mix(key) as usize & mask;
        while self.slots[slot].1 != FREE && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// All pairs, by key.
    pub(crate) fn sorted(&self) -> Vec<(u64, u32)> {
        let used = self.slots.iter().filter(|(_, value)| *value != FREE);
        let mut pairs: Vec<(u64, u32)> = used.copied().collect();
        pairs.sort_unstable();
        pairs
    }

    fn grow(&mut self) {
        let count = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![(0, FREE); count]);
        for (key, value) in old.into_iter().filter(|&(_, value)| value != FREE) {
            let slot = self.slot(key);
            self.slots[slot] = (key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn does_as_a_map_does() {
        let mut table = Table::default();
        let mut map = BTreeMap::new();
        assert_eq!(table.get(0), None);
        for step in 0..20_000_u64 {
            let key = mix(step) % 5_000;
            let value = u32::try_from(step).unwrap();
            assert_eq!(table.get(key), map.get(&key).copied());
            table.insert(key, value);
            map.insert(key, value);
        }
        assert!((0..5_000).all(|key| table.get(key) == map.get(&key).copied()));
    }
}
