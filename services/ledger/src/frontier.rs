//! The right edge as tiles hold it: all that is needed to go on with a log.

use crate::hash::Hash;
use crate::tile::{TILE_WIDTH, Tile, TileKind};
use crate::tree::Edge;

/// For each level of tiles, the hashes since its last full one: at most 8 KiB a level.
#[derive(Clone, Default)]
pub(crate) struct Frontier {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Frontier {
    /// Adds a leaf; `full` gets each tile that it fills, lowest level first.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut impl FnMut(Tile, &[Hash])) {
        self.size += 1;
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(node);
            if self.levels[level].len() as u64 != TILE_WIDTH {
                return;
            }
            let hashes = std::mem::take(&mut self.levels[level]);
            let tile = self.tile(level, TILE_WIDTH);
            full(tile, &hashes);
            node = hashes.into_iter().collect::<Edge>().root();
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the leaf at `index`, which is not in a full tile.
    pub(crate) fn leaf(&self, index: u64) -> Option<Hash> {
        let at = index.checked_sub(self.size / TILE_WIDTH * TILE_WIDTH)?;
        self.levels.first()?.get(usize::try_from(at).ok()?).copied()
    }

    /// The partial tiles, lowest level first.
    pub(crate) fn tiles(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        let levels = self.levels.iter().enumerate();
        let levels = levels.filter(|(_, hashes)| !hashes.is_empty());
        levels.map(|(level, hashes)| (self.tile(level, hashes.len() as u64), hashes.as_slice()))
    }

    pub(crate) fn root(&self) -> Hash {
        let levels = self.levels.iter().rev();
        let edges = levels.map(|hashes| hashes.iter().copied().collect::<Edge>());
        Edge::concat(self.size, edges).root()
    }

    /// The rightmost tile of a level, which is being filled.
    fn tile(&self, level: usize, width: u64) -> Tile {
        let level = u8::try_from(level).expect("a size of 64 bits has 8 levels of tiles");
        // `size` leaves fill whole tiles up to this one, or end in it.
        let span = 8 * (u32::from(level) + 1);
        Tile {
            kind: TileKind::Hashes(level),
            index: (self.size - 1).checked_shr(span).unwrap_or(0),
            width,
        }
    }

    /// Damages one hash of the edge.
    #[cfg(test)]
    pub(crate) fn flip_bit(&mut self, hash: usize) -> bool {
        let hash = self.levels.iter_mut().flatten().nth(hash);
        hash.map(|hash| hash[7] ^= 0x10).is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::leaf_hash;
    use crate::tree::Tree;

    /// Against the tree in memory: every root, and every tile by the specification's own formula.
    #[test]
    fn tiles_and_roots_are_those_of_the_tree() {
        let (mut frontier, mut tree) = (Frontier::default(), Tree::default());
        assert_eq!(Some(frontier.root()), tree.root(0));
        for size in 1..=2_100_u64 {
            let leaf = leaf_hash(&size.to_be_bytes());
            tree.push(leaf);
            let mut full = Vec::new();
            frontier.push(leaf, &mut |tile, hashes| full.push((tile, hashes.to_vec())));
            let right = frontier
                .tiles()
                .map(|(tile, hashes)| (tile, hashes.to_vec()));
            for (tile, hashes) in full.iter().cloned().chain(right) {
                assert_eq!(tile.width, hashes.len() as u64);
                assert_eq!(Tile::at(tile.kind, tile.index, size), Some(tile), "{size}");
                let TileKind::Hashes(level) = tile.kind else {
                    unreachable!()
                };
                for (at, hash) in (0..).zip(hashes) {
                    let index = tile.index * TILE_WIDTH + at;
                    assert_eq!(tree.node(8 * u32::from(level), index), hash, "{size}");
                }
            }
            assert_eq!(full.len(), usize::from(size.is_multiple_of(256)));
            if size % 7 == 0 || size % 256 < 2 {
                assert_eq!(Some(frontier.root()), tree.root(size), "{size}");
            }
            let is_partial = size % 256 != 0;
            assert_eq!(frontier.leaf(size - 1), is_partial.then_some(leaf));
        }
    }
}
