//! The tree over a log's entries, as the unfinished tile of each level: 256 hashes at most, of 8 KiB.

use serde::{Deserialize, Serialize};
use valuta_verify::{Hash, TILE_WIDTH, node_hash, sha256};

/// What is needed to go on, and to compare every tile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree {
    size: u64,
    /// Level 0 holds leaf hashes, each higher one the roots of 256 of the level below.
    unfinished: Vec<Vec<Hash>>,
}

/// A tile as it must be: level, index, hashes.
pub(super) type Tile = (u8, u64, Vec<Hash>);

impl Tree {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; tiles that became full are handed out.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<Tile>) {
        self.size += 1;
        let mut hash = leaf;
        let mut size = self.size;
        for level in 0u8.. {
            let at = usize::from(level);
            if self.unfinished.len() == at {
                self.unfinished.push(Vec::new());
            }
            self.unfinished[at].push(hash);
            if !size.is_multiple_of(TILE_WIDTH) {
                return;
            }
            let hashes = std::mem::take(&mut self.unfinished[at]);
            hash = perfect_root(&hashes);
            size /= TILE_WIDTH;
            full.push((level, size - 1, hashes));
        }
    }

    /// The tiles that are not full.
    pub fn partial(&self) -> impl Iterator<Item = Tile> {
        let levels = (0u8..).zip(&self.unfinished);
        let levels = levels.filter(|(_, hashes)| !hashes.is_empty());
        levels.map(|(level, hashes)| {
            let covers = TILE_WIDTH.pow(u32::from(level) + 1);
            (level, self.size / covers, hashes.clone())
        })
    }

    /// The root; of the empty tree SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let nodes = self.unfinished.iter().flat_map(|hashes| {
            let mut parts = parts(hashes);
            parts.reverse();
            parts
        });
        // From the right edge to the left.
        let root = nodes.reduce(|right, left| node_hash(&left, &right));
        root.unwrap_or_else(|| sha256(b""))
    }
}

/// The roots of the largest complete subtrees over these hashes, from the left.
fn parts(mut hashes: &[Hash]) -> Vec<Hash> {
    let mut roots = Vec::new();
    while !hashes.is_empty() {
        let (part, rest) = hashes.split_at(1 << hashes.len().ilog2());
        roots.push(perfect_root(part));
        hashes = rest;
    }
    roots
}

/// Of a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&perfect_root(left), &perfect_root(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use valuta_verify::{Edge, leaf_hash};

    #[test]
    fn roots_and_tiles_are_those_of_the_plain_tree() {
        let (mut tree, mut edge) = (Tree::default(), Edge::default());
        let mut full = Vec::new();
        let mut leaves = Vec::new();
        assert_eq!(tree.root(), edge.root());
        for number in 0..70_000u64 {
            let leaf = leaf_hash(&number.to_be_bytes());
            leaves.push(leaf);
            edge.push(leaf);
            tree.push(leaf, &mut full);
            if number < 1_000 || number % 255 == 0 {
                assert_eq!(tree.root(), edge.root(), "{number}");
            }
        }
        assert_eq!(tree.size(), 70_000);
        assert_eq!(full.len(), 273 + 1, "70,000 = 273 * 256 + 112");
        for (level, index, hashes) in &full {
            let covers = TILE_WIDTH.pow(u32::from(*level)) as usize;
            let start = *index as usize * 256 * covers;
            for (at, hash) in hashes.iter().enumerate() {
                let below = &leaves[start + at * covers..start + (at + 1) * covers];
                assert_eq!(*hash, perfect_root(below), "{level} {index} {at}");
            }
        }
        let partial: Vec<_> = tree.partial().map(|(l, i, h)| (l, i, h.len())).collect();
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    }
}
