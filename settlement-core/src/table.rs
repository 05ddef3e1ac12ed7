//! A small open-addressing table that numbers keys densely, with one fixed mixing function: equal
//! inserts give equal tables on every machine.
//!
//! Keys are never removed, so a frozen view needs no copy: it shares the slots with the writer, who goes
//! on filling them, and knows by the number of a key whether it came later. A table that is laid out
//! anew leaves the old slots to the views. A view that is written to copies its slots first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slots are doubled beyond this load, in per cent.
const LOAD_PERCENT_MAX: usize = 75;
const SLOTS_MIN: usize = 16;
/// Marks a free slot; no number may be it.
const FREE: u32 = u32::MAX;

/// A key and its number. Written once: the key, then the number.
struct Slot {
    key: AtomicU64,
    number: AtomicU32,
}

/// Numbers of keys: 0, 1, 2, ... in the order of insertion.
#[derive(Default)]
pub(crate) struct Table {
    slots: Arc<[Slot]>,
    /// Numbers from here on are not this table's.
    used: u32,
    /// Nobody else writes to the slots.
    writes: bool,
}

/// The clone shares the slots, and does not write to them.
impl Clone for Table {
    fn clone(&self) -> Self {
        Self {
            slots: Arc::clone(&self.slots),
            used: self.used,
            writes: false,
        }
    }
}

/// Spreads a key over all 64 bits (the finalizer of splitmix64).
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

impl Table {
    /// How many keys have a number, which is the next one's.
    pub(crate) fn len(&self) -> usize {
        self.used as usize
    }

    /// The number of a key.
    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = mix(key) as usize;
        loop {
            let slot = self.slots.get(at & mask)?;
            let number = slot.number.load(Ordering::Relaxed);
            if number >= self.used {
                return None;
            }
            if slot.key.load(Ordering::Relaxed) == key {
                return Some(number);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Gives a key that has none the next number.
    pub(crate) fn insert(&mut self, key: u64) -> u32 {
        let number = self.used;
        assert!(number < FREE, "more keys than numbers");
        let full = (self.len() + 1) * 100 > self.slots.len() * LOAD_PERCENT_MAX;
        if full || !self.writes {
            self.lay_out(if full {
                self.slots.len() * 2
            } else {
                self.slots.len()
            });
        }
        let slot = self.free_slot(key);
        debug_assert!(
            slot.number.load(Ordering::Relaxed) == FREE,
            "the key is new"
        );
        // Views never look at a number from here on, so in which order they see the two is no matter.
        slot.key.store(key, Ordering::Relaxed);
        slot.number.store(number, Ordering::Relaxed);
        self.used += 1;
        number
    }

    /// The first slot of a key that is free to this table.
    #[inline]
    fn free_slot(&self, key: u64) -> &Slot {
        let mask = self.slots.len() - 1;
        let mut at = mix(key) as usize & mask;
        while self.slots[at].number.load(Ordering::Relaxed) != FREE {
            at = (at + 1) & mask;
        }
        &self.slots[at]
    }

    /// All keys with their numbers, in the order of keys.
    pub(crate) fn sorted(&self) -> Vec<(u64, u32)> {
        let mut pairs: Vec<(u64, u32)> = self.pairs().collect();
        pairs.sort_unstable();
        pairs
    }

    fn pairs(&self) -> impl Iterator<Item = (u64, u32)> {
        let load = |slot: &Slot| {
            let number = slot.number.load(Ordering::Relaxed);
            (slot.key.load(Ordering::Relaxed), number)
        };
        let pairs = self.slots.iter().map(load);
        pairs.filter(|&(_, number)| number < self.used)
    }

    fn lay_out(&mut self, count: usize) {
        let free = || Slot {
            key: AtomicU64::new(0),
            number: AtomicU32::new(FREE),
        };
        let slots = (0..count.max(SLOTS_MIN)).map(|_| free()).collect();
        let old = std::mem::replace(
            self,
            Self {
                slots,
                used: self.used,
                writes: true,
            },
        );
        for (key, number) in old.pairs() {
            let slot = self.free_slot(key);
            slot.key.store(key, Ordering::Relaxed);
            slot.number.store(number, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Pair = (Table, BTreeMap<u64, u32>);

    fn add((table, map): &mut Pair, key: u64) {
        assert_eq!(table.get(key), map.get(&key).copied());
        map.entry(key).or_insert_with(|| table.insert(key));
    }

    /// A table, and clones that go on by themselves.
    #[test]
    fn does_as_a_map_does_and_so_does_every_clone() {
        let mut pairs = vec![Pair::default()];
        assert_eq!(pairs[0].0.get(0), None);
        for step in 0..40_000_u64 {
            let at = if step % 16 == 0 {
                (mix(step) >> 40) as usize % pairs.len()
            } else {
                0
            };
            add(&mut pairs[at], mix(step) % 20_000);
            if step.is_power_of_two() {
                let clone = pairs[0].clone();
                pairs.push(clone);
            }
        }
        for (table, map) in &pairs {
            assert_eq!(table.len(), map.len());
            assert!((0..20_000).all(|key| table.get(key) == map.get(&key).copied()));
            let sorted: Vec<_> = map.iter().map(|(&key, &number)| (key, number)).collect();
            assert_eq!(table.sorted(), sorted);
        }
    }
}
