//! A list in chunks that frozen views share: by index, growing at the end.
//!
//! | part   | what                                             | a write after a freeze copies |
//! |--------|--------------------------------------------------|-------------------------------|
//! | tail   | what does not fill a leaf yet                    | nothing: views have their own |
//! | leaves | `LEAF` values each                               | one leaf                      |
//! | nodes  | [`NODE_LEAVES`] leaves each                      | one node's pointers           |
//! | spares | leaves that no list needs any more               |                               |
//!
//! A freeze costs one pointer per node, and one small allocation per node written since the last. A leaf
//! asks at each write whether it is alone, an atomic operation: there are too many of them to say so
//! for each at every freeze. The tail asks nothing.
//!
//! A view that ends gives the leaves that it alone still had back to the list that it was taken of, for
//! the next copies. To free them instead would have the allocator sort thousands of pieces into its
//! lists at the writer's next allocation: up to 10 ms, mostly while the next view is taken.

use crate::shared::{Freeze, Shared};
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::cmp::Ordering;
use std::hint::black_box;
use std::mem::needs_drop;
use std::ops::{Index, IndexMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Leaves under one node: a million accounts have 244 nodes.
const NODE_LEAVES: usize = 64;

type Leaf<T> = Arc<[T]>;

/// A list of values, `LEAF` to a leaf.
#[derive(Clone)]
pub(crate) struct Chunks<T, const LEAF: usize = 256> {
    nodes: Vec<Shared<Node<T>>>,
    /// How many values lie in full leaves.
    full: usize,
    tail: Vec<T>,
    spares: Spares<T>,
}

struct Node<T> {
    leaves: Vec<Leaf<T>>,
}

/// Leaves to write into, which nobody else has: some at hand, and those that views gave back.
struct Spares<T> {
    at_hand: Vec<Leaf<T>>,
    given_back: Arc<Mutex<Vec<Leaf<T>>>>,
}

impl<T, const LEAF: usize> Default for Chunks<T, LEAF> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            full: 0,
            tail: Vec::new(),
            spares: Spares::default(),
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { leaves: Vec::new() }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        // Each leaf's count is a wait for memory: asked for all at once, the waits overlap, which those
        // of counting up do not.
        black_box(self.leaves.iter().map(Arc::strong_count).sum::<usize>());
        let mut leaves = Vec::with_capacity(NODE_LEAVES);
        leaves.extend(self.leaves.iter().cloned());
        Self { leaves }
    }
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self {
            at_hand: Vec::new(),
            given_back: Arc::default(),
        }
    }
}

/// The clone has nothing at hand, and takes from where the original does.
impl<T> Clone for Spares<T> {
    fn clone(&self) -> Self {
        Self {
            at_hand: Vec::new(),
            given_back: Arc::clone(&self.given_back),
        }
    }
}

impl<T> Spares<T> {
    fn pop(&mut self) -> Option<Leaf<T>> {
        if self.at_hand.is_empty() {
            // Poisoned or not, a list of spares is whole.
            let given_back = self.given_back.lock();
            let mut given_back = given_back.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut self.at_hand, &mut given_back);
        }
        self.at_hand.pop()
    }

    /// Keeps those leaves of a node that nobody else has. What values own would outlive them in a
    /// spare, so only leaves of plain values are kept.
    fn keep(&mut self, node: Shared<Node<T>>) {
        if needs_drop::<T>() {
            return;
        }
        let leaves = node.into_inner().map(|node| node.leaves);
        for mut leaf in leaves.into_iter().flatten() {
            if Arc::get_mut(&mut leaf).is_some() {
                self.at_hand.push(leaf);
            }
        }
    }

    /// Up to so many in all: the rest is freed.
    fn give_back(&mut self, count_max: usize) {
        if self.at_hand.is_empty() {
            return;
        }
        let given_back = self.given_back.lock();
        let mut given_back = given_back.unwrap_or_else(PoisonError::into_inner);
        let room = count_max.saturating_sub(given_back.len());
        self.at_hand.truncate(room);
        given_back.append(&mut self.at_hand);
    }
}

impl<T: Clone> Spares<T> {
    /// A leaf of these values that nobody else has.
    fn leaf_of(&mut self, values: &[T]) -> Leaf<T> {
        let Some(mut leaf) = self.pop() else {
            return Arc::from(values);
        };
        let own = Arc::get_mut(&mut leaf).expect("nobody else has a spare");
        own.clone_from_slice(values);
        leaf
    }
}

impl<T, const LEAF: usize> Drop for Chunks<T, LEAF> {
    fn drop(&mut self) {
        self.nodes.drain(..).for_each(|node| self.spares.keep(node));
        // No more than make the list once over.
        self.spares.give_back(self.full / LEAF);
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
                Some(&self.nodes[node].get().leaves[leaf][at])
            }
        }
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        let leaves = self.nodes.iter().flat_map(|node| &node.get().leaves);
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
        let leaf = self.spares.leaf_of(&self.tail);
        self.tail.clear();
        if self.full.is_multiple_of(LEAF * NODE_LEAVES) {
            self.nodes.push(Shared::Own(Node::default()));
        }
        self.full += LEAF;
        let node = self.nodes.last_mut().expect("pushed above");
        node.get_mut().leaves.push(leaf);
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
        self.nodes.drain(..).for_each(|node| self.spares.keep(node));
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
                let leaf = &mut self.nodes[node].get_mut().leaves[leaf];
                if Arc::strong_count(leaf) > 1 {
                    *leaf = self.spares.leaf_of(leaf);
                }
                // Without weak ones, a count that was 1 stays 1.
                &mut Arc::get_mut(leaf).expect("nobody else has it now")[at]
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

    /// What a view alone had at its end is what the next copies are written into, not more of it than
    /// the list is long.
    #[test]
    fn leaves_that_views_give_back_are_written_into_again() {
        let mut chunks: Chunks<u64, 4> = (0..41).collect();
        let spares = |chunks: &Chunks<u64, 4>| {
            let given_back = chunks.spares.given_back.lock().unwrap().len();
            (chunks.spares.at_hand.len(), given_back)
        };
        let views: Vec<_> = (0..3)
            .map(|view| {
                chunks.freeze();
                let frozen = chunks.clone();
                (0..41).for_each(|index| chunks[index] = view);
                frozen
            })
            .collect();
        assert_eq!(spares(&chunks), (0, 0));
        drop(views);
        assert_eq!(spares(&chunks), (0, 10));
        chunks.freeze();
        let frozen = chunks.clone();
        (0..20).for_each(|index| chunks[index] = 7);
        assert_eq!(spares(&chunks), (5, 0));
        assert_eq!(values(&frozen), vec![2; 41]);
        chunks.clear();
        assert_eq!(spares(&chunks), (10, 0), "its own, but none of the view's");
        drop(frozen);
        assert_eq!(spares(&chunks), (10, 10));
    }

    /// A spare would keep what its values own.
    #[test]
    fn leaves_whose_values_own_something_are_freed() {
        let value = Arc::new(0);
        let mut chunks: Chunks<Arc<u64>, 4> = (0..9).map(|_| Arc::clone(&value)).collect();
        chunks.freeze();
        let frozen = chunks.clone();
        chunks[0] = Arc::new(1);
        drop(frozen);
        assert_eq!(Arc::strong_count(&value), 9);
    }
}
