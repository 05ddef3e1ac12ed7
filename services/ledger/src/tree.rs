//! The RFC 6962 tree: every complete subtree's hash by level, so that a root or a path costs log2(size).
//!
//! 64 bytes a leaf. What is not a complete subtree (the right edge) is hashed when asked for, since it
//! differs from size to size.

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

    /// The hash of the leaf at `index`, zero-based.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.levels
            .first()?
            .get(usize::try_from(index).ok()?)
            .copied()
    }

    /// The right edge as it stands.
    #[must_use]
    pub fn edge(&self) -> Edge {
        let size = self.size();
        let set = |level: &usize| size >> level & 1 == 1;
        let nodes = (0..self.levels.len()).rev().filter(set);
        let nodes = nodes
            .map(|level| self.levels[level][((size >> level) - 1) as usize])
            .collect();
        Edge { size, nodes }
    }

    /// The root that the tree had at `size`. `None` if it never had so many leaves.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| {
            if size == 0 {
                sha256(b"")
            } else {
                self.range(0, size)
            }
        })
    }

    /// The path from the leaf at `index` to the root at `size`, the leaf's sibling first
    /// (RFC 6962 section 2.1.1). `None` unless `index < size <= self.size()`.
    #[must_use]
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The proof that the tree at `old` is a prefix of the tree at `new` (RFC 6962 section 2.1.2).
    /// Empty where `old` is 0 or `new`. `None` unless `old <= new <= self.size()`.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new || new > self.size() {
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
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(start, middle));
                start = middle;
            }
        }
        // A verifier knows the old root itself, so it is left out where it is one whole subtree.
        if start != 0 {
            proof.push(self.range(start, end));
        }
        proof.reverse();
        Some(proof)
    }

    #[cfg(test)]
    pub(crate) fn flip_edge_bit(&mut self, node: usize) {
        let size = self.size();
        let level = (0..self.levels.len())
            .rev()
            .filter(|level| size >> level & 1 == 1)
            .nth(node);
        let level = level.expect("a node of the edge");
        self.levels[level][((size >> level) - 1) as usize][7] ^= 0x10;
    }

    /// The root of the leaves `start..end`, not empty. `start` is a multiple of the smallest power of two
    /// that is not below the length, as in every split of section 2.1.
    fn range(&self, start: u64, end: u64) -> Hash {
        let length = end - start;
        if length.is_power_of_two() {
            let level = length.trailing_zeros();
            return self.levels[level as usize][(start >> level) as usize];
        }
        let middle = start + split(length);
        node_hash(&self.range(start, middle), &self.range(middle, end))
    }
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
