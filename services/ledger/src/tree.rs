//! The RFC 6962 tree: every complete subtree's hash by level, so that a root or a path costs log2(size).
//!
//! 64 bytes a leaf. What is not a complete subtree (the right edge) is hashed when asked for, since it
//! differs from size to size.

use std::convert::Infallible;

use crate::hash::{Hash, node_hash, sha256};

/// The complete subtrees at the right end of a tree, largest first: all that is needed to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// One node for each bit set in `size`, highest first.
    nodes: Vec<Hash>,
}

impl Edge {
    /// Adds the hash of one leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // As in a binary counter: each trailing one carries into the next level.
        for _ in 0..self.size.trailing_ones() {
            let left = self
                .nodes
                .pop()
                .expect("one node for each bit set in the size");
            node = node_hash(&left, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root; of the empty tree SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return sha256(b"");
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The edge of a tree of `size` leaves whose parts have these edges, the highest part first.
    pub(crate) fn concat(size: u64, parts: impl Iterator<Item = Self>) -> Self {
        let nodes = parts.flat_map(|part| part.nodes).collect();
        Self { size, nodes }
    }
}

impl FromIterator<Hash> for Edge {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut edge = Self::default();
        leaves.into_iter().for_each(|leaf| edge.push(leaf));
        edge
    }
}

/// An append-only Merkle tree over leaf hashes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the root of the leaves `i * 2^k .. (i + 1) * 2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Adds the hash of one leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            if !nodes.len().is_multiple_of(2) {
                return;
            }
            node = node_hash(&nodes[nodes.len() - 2], &nodes[nodes.len() - 1]);
        }
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root that the tree had at `size`. `None` if it never had so many leaves.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| self.range((0, size)))
    }

    /// The path from the leaf at `index` to the root at `size`, the leaf's sibling first
    /// (RFC 6962 section 2.1.1). `None` unless `index < size <= self.size()`.
    #[must_use]
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let ranges = inclusion_ranges(index, size).filter(|_| size <= self.size())?;
        Some(ranges.into_iter().map(|range| self.range(range)).collect())
    }

    /// The proof that the tree at `old` is a prefix of the tree at `new` (RFC 6962 section 2.1.2).
    /// Empty where `old` is 0 or `new`. `None` unless `old <= new <= self.size()`.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        let ranges = consistency_ranges(old, new).filter(|_| new <= self.size())?;
        Some(ranges.into_iter().map(|range| self.range(range)).collect())
    }

    /// The root of the leaves `index * 2^level .. (index + 1) * 2^level`, which are all there.
    pub(crate) fn node(&self, level: u32, index: u64) -> Hash {
        self.levels[level as usize][usize::try_from(index).expect("an index in memory")]
    }

    fn range(&self, range: LeafRange) -> Hash {
        let node = &mut |level, index| Ok::<_, Infallible>(self.node(level, index));
        match range_hash(range, node) {
            Ok(hash) => hash,
        }
    }
}

/// Leaves from the first to before the second. In a proof the first is a multiple of the smallest power
/// of two that is not below the length.
pub(crate) type LeafRange = (u64, u64);

/// What a path consists of, the leaf's sibling first. `None` unless `index < size`.
pub(crate) fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<LeafRange>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push((middle, end));
            end = middle;
        } else {
            path.push((start, middle));
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// What a consistency proof consists of. `None` unless `old <= new`.
pub(crate) fn consistency_ranges(old: u64, new: u64) -> Option<Vec<LeafRange>> {
    if old > new {
        return None;
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Some(proof);
    }
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push((middle, end));
            end = middle;
        } else {
            proof.push((start, middle));
            start = middle;
        }
    }
    // A verifier knows the old root itself, so it is left out where it is one whole subtree.
    if start != 0 {
        proof.push((start, end));
    }
    proof.reverse();
    Some(proof)
}

/// The root of a range's leaves, from the roots of complete subtrees: `node(level, index)`.
pub(crate) fn range_hash<E>(
    (start, end): LeafRange,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let length = end - start;
    if length == 0 {
        return Ok(sha256(b""));
    }
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return node(level, start >> level);
    }
    let middle = start + split(length);
    let left = range_hash((start, middle), node)?;
    Ok(node_hash(&left, &range_hash((middle, end), node)?))
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The root that `path` leads to from the leaf hash at `index` in a tree of `size` (RFC 9162 section
/// 2.1.3.2). `None` if the path has not exactly the right length.
#[must_use]
pub fn root_from_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let (mut index, mut last) = (index, size.checked_sub(1)?);
    if index > last {
        return None;
    }
    let mut node = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            node = node_hash(sibling, &node);
            // A node without a right sibling rises unchanged until it has a left one.
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
