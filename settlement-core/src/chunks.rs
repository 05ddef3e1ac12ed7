//! A list in chunks that frozen views share: by index, growing at the end.
//!
//! | part   | what                                             | a write after a freeze copies |
//! |--------|--------------------------------------------------|-------------------------------|
//! | tail   | what does not fill a leaf yet                    | nothing: views have their own |
//! | leaves | `LEAF` values each                               | one leaf                      |
//! | nodes  | [`NODE_LEAVES`] leaves each                      | one node's pointers           |
//!
//! A freeze costs one pointer per node, and one small allocation per node written since the last. A leaf
//! asks at each write whether it is alone, an atomic operation: there are too many of them to say so
//! for each at every freeze. The tail asks nothing.

use crate::shared::{Freeze, Shared};
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::cmp::Ordering;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// Leaves under one node: a million accounts have 244 nodes.
const NODE_LEAVES: usize = 64;

/// A list of values, `LEAF` to a leaf.
#[derive(Clone)]
pub(crate) struct Chunks<T, const LEAF: usize = 256> {
    nodes: Vec<Shared<Vec<Arc<[T]>>>>,
    /// How many values lie in full leaves.
    full: usize,
    tail: Vec<T>,
}

impl<T, const LEAF: usize> Default for Chunks<T, LEAF> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            full: 0,
            tail: Vec::new(),
        }
    }
}

impl<T, const LEAF: usize> Chunks<T, LEAF> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.full + self.tail.len()
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(self.full) {
            Some(at) => self.tail.get(at),
            None => {
                let (node, leaf, at) = Self::place(index);
                Some(&self.nodes[node].get()[leaf][at])
            }
        }
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let leaves = self.nodes.iter().flat_map(|node| node.get());
        leaves.flat_map(|leaf| leaf.iter()).chain(&self.tail)
    }

    /// As for a slice that is sorted by this key.
    pub(crate) fn binary_search_by_key<K: Ord>(
        &self,
        key: &K,
        of: impl Fn(&T) -> K,
    ) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match of(&self[middle]).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Node, leaf in the node, value in the leaf.
    #[inline]
    const fn place(index: usize) -> (usize, usize, usize) {
        let leaf = index / LEAF;
        (leaf / NODE_LEAVES, leaf % NODE_LEAVES, index % LEAF)
    }
}

impl<T: Clone, const LEAF: usize> Chunks<T, LEAF> {
    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        if self.tail.len() == LEAF {
            self.seal();
        }
        self.tail.push(value);
    }

    /// The tail becomes a leaf.
    #[cold]
    fn seal(&mut self) {
        let leaf = Arc::from(&self.tail[..]);
        self.tail.clear();
        self.full += LEAF;
        if self
            .nodes
            .last()
            .is_none_or(|node| node.get().len() == NODE_LEAVES)
        {
            self.nodes
                .push(Shared::Own(Vec::with_capacity(NODE_LEAVES)));
        }
        let node = self.nodes.last_mut().expect("pushed above");
        node.get_mut().push(leaf);
    }

    /// Grows to this many values; never shrinks.
    pub(crate) fn grow(&mut self, len: usize, value: T) {
        for _ in self.len()..len {
            self.push(value.clone());
        }
    }

    /// Lets go of as many of the first `count` values as fill whole nodes; answers how many.
    pub(crate) fn drop_front(&mut self, count: usize) -> usize {
        let whole = count.min(self.full) / (LEAF * NODE_LEAVES);
        self.nodes.drain(..whole);
        let dropped = whole * LEAF * NODE_LEAVES;
        self.full -= dropped;
        dropped
    }

    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.full = 0;
        self.tail.clear();
    }
}

impl<T, const LEAF: usize> Index<usize> for Chunks<T, LEAF> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("an index within the list")
    }
}

impl<T: Clone, const LEAF: usize> IndexMut<usize> for Chunks<T, LEAF> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        match index.checked_sub(self.full) {
            Some(at) => &mut self.tail[at],
            None => {
                let (node, leaf, at) = Self::place(index);
                &mut Arc::make_mut(&mut self.nodes[node].get_mut()[leaf])[at]
            }
        }
    }
}

impl<T: Clone, const LEAF: usize> FromIterator<T> for Chunks<T, LEAF> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut chunks = Self::default();
        values.into_iter().for_each(|value| chunks.push(value));
        chunks
    }
}

impl<T: Clone, const LEAF: usize> Freeze for Chunks<T, LEAF> {
    fn freeze(&mut self) {
        for node in &mut self.nodes {
            node.freeze_after(|_| {});
        }
    }
}

impl<C, T: Clone, const LEAF: usize> Encode<C> for Chunks<T, LEAF>
where
    T: Encode<C>,
{
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.len() as u64)?;
        self.iter().try_for_each(|value| value.encode(e, ctx))
    }
}

impl<'b, C, T: Clone, const LEAF: usize> Decode<'b, C> for Chunks<T, LEAF>
where
    T: Decode<'b, C>,
{
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let values = d.array_iter_with(ctx)?;
        values.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;

    fn values<const LEAF: usize>(chunks: &Chunks<u64, LEAF>) -> Vec<u64> {
        assert_eq!(chunks.iter().count(), chunks.len());
        assert!(chunks.iter().eq((0..chunks.len()).map(|at| &chunks[at])));
        chunks.iter().copied().collect()
    }

    /// Random writes to a live list and to its views, against plain vectors.
    #[test]
    fn every_view_keeps_what_it_was() {
        for seed in 0..50_u64 {
            let mut lists = vec![(Chunks::<u64, 4>::default(), Vec::new())];
            for step in 0..2_000_u64 {
                let random = mix(seed << 32 | step);
                let at = (random >> 8) as usize % lists.len();
                let (chunks, plain) = &mut lists[at];
                match random % 64 {
                    0 if at == 0 => {
                        chunks.freeze();
                        let view = (chunks.clone(), plain.clone());
                        lists.push(view);
                        if lists.len() > 4 {
                            lists.remove(1);
                        }
                    }
                    1 if random >> 60 == 0 => {
                        chunks.clear();
                        plain.clear();
                    }
                    2..32 => {
                        chunks.push(step);
                        plain.push(step);
                    }
                    _ if !plain.is_empty() => {
                        let index = (random >> 16) as usize % plain.len();
                        chunks[index] = step;
                        plain[index] = step;
                    }
                    _ => {}
                }
            }
            for (chunks, plain) in &lists {
                assert_eq!(values(chunks), *plain, "seed {seed}");
                assert_eq!(chunks.last(), plain.last());
                assert_eq!(chunks.get(plain.len()), None);
            }
        }
    }

    #[test]
    fn growing_fills_up_to_a_length() {
        let mut chunks = Chunks::<u64, 4>::default();
        chunks.grow(11, 7);
        chunks.grow(3, 8);
        assert_eq!(values(&chunks), vec![7; 11]);
    }
}
