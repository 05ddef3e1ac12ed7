//! RFC 6962 section 2.1, read from the definition: a tree of n leaves is a left one of the largest power
//! of two below n, and a right one of the rest.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The most hashes that a path can have: a tree of 2^63 leaves.
pub(crate) const PATH_HASHES_MAX: usize = 63;

/// SHA-256 of the bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    joined(&[bytes])
}

/// SHA-256 of the parts, joined.
pub(crate) fn joined(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The hash of a leaf with this data: `SHA-256(0x00 || data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    joined(&[&[0x00], data])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    joined(&[&[0x01], left, right])
}

/// The root of the tree of `size` leaves in which `path`, the leaf's sibling first, belongs to the leaf
/// hash at `index`. `None` if there is no such leaf or the path has the wrong length.
#[must_use]
pub fn root_from_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(leaf);
    }
    let left_size = 1 << (size - 1).ilog2();
    let (top, below) = path.split_last()?;
    if index < left_size {
        let left = root_from_path(leaf, index, left_size, below)?;
        Some(node_hash(&left, top))
    } else {
        let right = root_from_path(leaf, index - left_size, size - left_size, below)?;
        Some(node_hash(top, &right))
    }
}

/// A growing tree's right edge: all that its root needs. For whoever recomputes a root leaf by leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Roots of the perfect trees that the leaves so far make up, the largest first.
    perfect: Vec<Hash>,
}

impl Edge {
    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.perfect.pop().expect("one perfect tree for each bit");
            node = node_hash(&left, &node);
        }
        self.perfect.push(node);
        self.size += 1;
    }

    /// How many leaves were added.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over the leaves so far; of none the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let joined = |right: Hash, left: &Hash| node_hash(left, &right);
        match self.perfect.split_last() {
            None => sha256(b""),
            Some((last, larger)) => larger.iter().rev().fold(*last, joined),
        }
    }
}

impl Extend<Hash> for Edge {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<Hash> for Edge {
    fn from_iter<T: IntoIterator<Item = Hash>>(leaves: T) -> Self {
        let mut edge = Self::default();
        edge.extend(leaves);
        edge
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 6962's tree over the leaves `start..end`.
    fn tree(start: u64, end: u64) -> [u8; 32] {
        if end - start == 1 {
            return leaf_hash(&start.to_be_bytes());
        }
        let middle = start + left_of(end - start);
        joined(&[&[0x01], &tree(start, middle), &tree(middle, end)])
    }

    fn path(index: u64, start: u64, end: u64) -> Vec<[u8; 32]> {
        if end - start == 1 {
            return vec![];
        }
        let middle = start + left_of(end - start);
        let (mut path, sibling) = if index < middle {
            (path(index, start, middle), tree(middle, end))
        } else {
            (path(index, middle, end), tree(start, middle))
        };
        path.push(sibling);
        path
    }

    fn left_of(size: u64) -> u64 {
        let mut power = 1;
        while power * 2 < size {
            power *= 2;
        }
        power
    }

    #[test]
    fn a_published_path_leads_to_its_published_root() {
        // Index 0 of the eight leaves of the certificate-transparency test vectors.
        let hash = |hex: &str| -> [u8; 32] {
            let byte = |at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let path = [
            hash("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
            hash("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            hash("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
        ];
        let eight = hash("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
        assert_eq!(root_from_path(leaf_hash(b""), 0, 8, &path), Some(eight));
        assert_ne!(root_from_path(leaf_hash(b""), 1, 8, &path), Some(eight));
        assert_eq!(root_from_path(leaf_hash(b""), 0, 8, &path[..2]), None);
    }

    #[test]
    fn every_path_up_to_40_leads_to_the_root_and_no_other_does() {
        for size in 1..=40 {
            for index in 0..size {
                let path = path(index, 0, size);
                let leaf = leaf_hash(&index.to_be_bytes());
                assert_eq!(
                    root_from_path(leaf, index, size, &path),
                    Some(tree(0, size)),
                    "{index} in {size}"
                );
                let longer = [&path[..], &[[0; 32]]].concat();
                assert_eq!(
                    root_from_path(leaf, index, size, &longer),
                    None,
                    "{index} in {size}"
                );
                for at in 0..path.len() {
                    let mut other = path.clone();
                    other[at][31] ^= 1;
                    assert_ne!(
                        root_from_path(leaf, index, size, &other),
                        Some(tree(0, size)),
                        "{index} in {size}"
                    );
                    assert_eq!(
                        root_from_path(leaf, index, size, &path[..at]),
                        None,
                        "{index} in {size}"
                    );
                }
            }
            assert_eq!(root_from_path([0; 32], size, size, &[]), None);
        }
        assert_eq!(root_from_path([0; 32], 0, 0, &[]), None);
        assert!(
            root_from_path([0; 32], 0, u64::MAX, &[[0; 32]; 64]).is_some(),
            "no overflow at the largest size"
        );
    }
}
