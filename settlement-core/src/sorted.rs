//! An ordered map in chunks that frozen views share: a B+tree of three levels.
//!
//! | level  | what                                     | a write after a freeze copies |
//! |--------|------------------------------------------|-------------------------------|
//! | top    | nodes by their first key                 | nothing: views have their own |
//! | nodes  | up to [`NODE_LEAVES_MAX`] leaves         | one node's pointers and keys  |
//! | leaves | up to [`LEAF_ENTRIES_MAX`] keys, values  | one leaf                      |
//!
//! The top grows with the map: 25 nodes for 100,000 entries, 2,500 for ten million.

use crate::shared::{Freeze, Shared};
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Small, since it is copied; large enough that a leaf's keys share cache lines.
const LEAF_ENTRIES_MAX: usize = 64;
const NODE_LEAVES_MAX: usize = 128;

/// The first key of a part, and the part.
type Part<K, T> = (K, Shared<Vec<T>>);
type Leaf<K, V> = Part<K, (K, V)>;
type Node<K, V> = Part<K, Leaf<K, V>>;

/// Values by key.
#[derive(Clone)]
pub(crate) struct Sorted<K, V = ()> {
    top: Vec<Node<K, V>>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { top: Vec::new() }
    }
}

/// The part that holds a key, if any does: the last whose first key is not above it.
#[inline]
fn part_of<K: Ord, T>(parts: &[Part<K, T>], key: &K) -> usize {
    let after = parts.partition_point(|(first, _)| first <= key);
    after.saturating_sub(1)
}

/// The first part that may have entries from where `before` turns false.
#[inline]
fn part_from<K, T>(parts: &[Part<K, T>], before: &impl Fn(&K) -> bool) -> usize {
    parts
        .partition_point(|(first, _)| before(first))
        .saturating_sub(1)
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.top.is_empty()
    }

    fn leaf(&self, key: &K) -> Option<&[(K, V)]> {
        let (_, node) = self.top.get(part_of(&self.top, key))?;
        let (_, leaf) = &node.get()[part_of(node.get(), key)];
        Some(leaf.get())
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let leaf = self.leaf(key)?;
        let at = leaf.binary_search_by_key(key, |&(held, _)| held).ok()?;
        Some(&leaf[at].1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        let (_, node) = self.top.first()?;
        let (_, leaf) = node.get().first()?;
        leaf.get().first().map(|(key, value)| (key, value))
    }

    /// The first entry for whose key `before` is false; it must be true up to some key, and false
    /// from there on.
    pub(crate) fn seek(&self, before: impl Fn(&K) -> bool) -> Option<(&K, &V)> {
        self.iter_from(before).next()
    }

    /// All entries from [`Sorted::seek`]'s on.
    pub(crate) fn iter_from(&self, before: impl Fn(&K) -> bool) -> impl Iterator<Item = (&K, &V)> {
        let top = part_from(&self.top, &before);
        let nodes = self.top[top.min(self.top.len())..].iter();
        let first_leaf = self
            .top
            .get(top)
            .map_or(0, |(_, node)| part_from(node.get(), &before));
        let leaves = nodes.flat_map(|(_, node)| node.get()).skip(first_leaf);
        let entries = leaves.flat_map(|(_, leaf)| leaf.get());
        entries
            .map(|(key, value)| (key, value))
            .skip_while(move |(key, _)| before(key))
    }

    /// In order of key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let leaves = self.top.iter().flat_map(|(_, node)| node.get());
        let entries = leaves.flat_map(|(_, leaf)| leaf.get());
        entries.map(|(key, value)| (key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Copy, V: Clone> Sorted<K, V> {
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        // Asked first, so that what is not there copies nothing.
        if !self.contains_key(key) {
            return None;
        }
        let top = part_of(&self.top, key);
        let node = self.top[top].1.get_mut();
        let at = part_of(node, key);
        let leaf = node[at].1.get_mut();
        let at = leaf.binary_search_by_key(key, |&(held, _)| held).ok()?;
        Some(&mut leaf[at].1)
    }

    /// Gives back the value that it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.top.is_empty() {
            let leaf = Shared::Own(vec![(key, value)]);
            self.top.push((key, Shared::Own(vec![(key, leaf)])));
            return None;
        }
        let top = part_of(&self.top, &key);
        let last_node = top + 1 == self.top.len();
        let (node_first, node) = &mut self.top[top];
        let node = node.get_mut();
        let at = part_of(node, &key);
        let last_leaf = at + 1 == node.len();
        let (leaf_first, leaf) = &mut node[at];
        let entries = leaf.get_mut();
        match entries.binary_search_by_key(&key, |&(held, _)| held) {
            Ok(place) => return Some(std::mem::replace(&mut entries[place].1, value)),
            Err(place) => entries.insert(place, (key, value)),
        }
        (*leaf_first, *node_first) = (key.min(*leaf_first), key.min(*node_first));
        if entries.len() > LEAF_ENTRIES_MAX {
            let upper = split(entries, last_leaf);
            node.insert(at + 1, upper);
        }
        if node.len() > NODE_LEAVES_MAX {
            let upper = split(node, last_node);
            self.top.insert(top + 1, upper);
        }
        None
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        if !self.contains_key(key) {
            return None;
        }
        let top = part_of(&self.top, key);
        let node = self.top[top].1.get_mut();
        let at = part_of(node, key);
        let entries = node[at].1.get_mut();
        let place = entries.binary_search_by_key(key, |&(held, _)| held).ok()?;
        let (_, value) = entries.remove(place);
        mend(node, at, LEAF_ENTRIES_MAX);
        mend(&mut self.top, top, NODE_LEAVES_MAX);
        Some(value)
    }
}

/// The first key of what a part holds.
trait FirstKey<K> {
    fn first_key(&self) -> K;
}

impl<K: Copy, T> FirstKey<K> for (K, T) {
    fn first_key(&self) -> K {
        self.0
    }
}

/// Takes the upper half off. At the map's end nearly nothing: keys mostly ascend, and leaves then
/// stay full.
fn split<K, T: FirstKey<K>>(parts: &mut Vec<T>, is_last: bool) -> Part<K, T> {
    let from = if is_last {
        parts.len() - 1
    } else {
        parts.len() / 2
    };
    let upper = parts.split_off(from);
    (upper[0].first_key(), Shared::Own(upper))
}

/// After a removal below: drops the part if it is empty, joins it with the next if both are small, and
/// sets its first key anew.
fn mend<K: Copy, T: Clone + FirstKey<K>>(parts: &mut Vec<Part<K, T>>, at: usize, max: usize) {
    let Some(first) = parts[at].1.get().first() else {
        parts.remove(at);
        return;
    };
    parts[at].0 = first.first_key();
    let size = |at: usize| parts.get(at).map_or(max, |(_, part)| part.get().len());
    if size(at) + size(at + 1) <= max / 2 {
        let (_, mut next) = parts.remove(at + 1);
        parts[at].1.get_mut().append(next.get_mut());
    }
}

impl<K: Ord + Copy, V: Clone> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut sorted = Self::default();
        for (key, value) in entries {
            sorted.insert(key, value);
        }
        sorted
    }
}

impl<K: Clone, V: Clone> Freeze for Sorted<K, V> {
    fn freeze(&mut self) {
        for (_, node) in &mut self.top {
            node.freeze_after(|leaves| {
                leaves
                    .iter_mut()
                    .for_each(|(_, leaf)| leaf.freeze_after(|_| {}));
            });
        }
    }
}

impl<C, K: Ord + Copy, V: Clone> Encode<C> for Sorted<K, V>
where
    K: Encode<C>,
    V: Encode<C>,
{
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.iter().count() as u64)?;
        self.iter().try_for_each(|entry| entry.encode(e, ctx))
    }
}

impl<'b, C, K: Ord + Copy, V: Clone> Decode<'b, C> for Sorted<K, V>
where
    K: Decode<'b, C>,
    V: Decode<'b, C>,
{
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let entries = d.array_iter_with(ctx)?;
        entries.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;
    use std::collections::BTreeMap;

    type Pair = (Sorted<u64, u64>, BTreeMap<u64, u64>);

    fn check((sorted, plain): &Pair, seed: u64) {
        assert!(sorted.iter().eq(plain.iter()), "seed {seed}");
        assert_eq!(sorted.is_empty(), plain.is_empty());
        assert_eq!(sorted.first(), plain.first_key_value());
        for from in (0..1_000).map(|step| mix(seed + step) % 20_000) {
            let expected = plain.range(from..).next();
            assert_eq!(sorted.seek(|key| *key < from), expected, "from {from}");
            assert_eq!(sorted.get(&from), plain.get(&from));
        }
    }

    fn change((sorted, plain): &mut Pair, random: u64, removals: u64) {
        let key = (random >> 8) % 20_000;
        if random % 100 < removals {
            assert_eq!(sorted.remove(&key), plain.remove(&key));
        } else if random.is_multiple_of(7) {
            assert_eq!(sorted.get_mut(&key), plain.get_mut(&key));
        } else {
            assert_eq!(sorted.insert(key, random), plain.insert(key, random));
        }
    }

    /// Random changes to a live map and to its views, against `BTreeMap`; it fills, then empties.
    #[test]
    fn does_as_a_map_does_and_so_does_every_view() {
        for seed in 0..20_u64 {
            let mut maps = vec![Pair::default()];
            for step in 0..60_000_u64 {
                let random = mix(seed << 32 | step);
                let removals = if step < 30_000 { 20 } else { 95 };
                let at = if random >> 62 == 0 {
                    (random >> 40) as usize % maps.len()
                } else {
                    0
                };
                change(&mut maps[at], random, removals);
                if step % 5_000 == 0 {
                    maps[0].0.freeze();
                    let view = maps[0].clone();
                    maps.push(view);
                }
            }
            maps.iter().for_each(|pair| check(pair, seed));
        }
    }

    #[test]
    fn ascending_keys_fill_their_leaves_and_leave_from_the_front() {
        let (mut sorted, count) = (Sorted::default(), 100_000_u64);
        (0..count).for_each(|key| assert_eq!(sorted.insert(key, ()), None));
        assert!(sorted.top.len() <= 14, "{} nodes", sorted.top.len());
        for key in 0..count {
            assert_eq!(sorted.first(), Some((&key, &())));
            sorted.remove(&key);
        }
        assert!(sorted.is_empty());
    }
}
