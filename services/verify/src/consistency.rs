//! RFC 9162 section 2.1.4: that a tree is the beginning of a larger one, or provably is not.

use crate::merkle::{Hash, node_hash, sha256};

/// Whether `proof`, a Merkle consistency proof, leads from the one tree to the other. Two trees of one size
/// need an empty proof and one root; every tree grows out of the empty one, also without a proof.
#[must_use]
pub fn is_consistent(
    (old_size, old_root): (u64, &Hash),
    (new_size, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == sha256(b"");
    }
    if proof.is_empty() {
        return false;
    }
    // A whole left tree is known to the one who asks: its root is not repeated in the proof.
    let known: &[Hash] = match old_size.is_power_of_two() {
        true => &[*old_root],
        false => &[],
    };
    roots_from_path(old_size, new_size, &[known, proof].concat()) == Some((*old_root, *new_root))
}

/// The roots at `old_size` and `new_size` of the one tree that the whole path belongs to: a consistency proof
/// with, in front, the root of the old tree where the proof leaves it out (if `old_size` is a power of two).
/// `None` unless `0 < old_size < new_size` and the path has its length.
///
/// Whatever has the second root has the first one too, since finding another path would break SHA-256. So a
/// path to a signed root is evidence against a signed root of the old size that is another one.
#[must_use]
pub fn roots_from_path(old_size: u64, new_size: u64, path: &[Hash]) -> Option<(Hash, Hash)> {
    if old_size == 0 || old_size >= new_size {
        return None;
    }
    let (first, path) = path.split_first()?;
    // The last leaf of each tree, seen from the level of the node that is looked at.
    let shift = old_size.trailing_zeros();
    let (mut old_node, mut new_node) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (mut old_root, mut new_root) = (*first, *first);
    for hash in path {
        if new_node == 0 {
            return None;
        }
        if old_node & 1 == 1 || old_node == new_node {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            // Levels at which the node has no sibling.
            while old_node & 1 == 0 && old_node != 0 {
                old_node >>= 1;
                new_node >>= 1;
            }
        } else {
            new_root = node_hash(&new_root, hash);
        }
        old_node >>= 1;
        new_node >>= 1;
    }
    (new_node == 0).then_some((old_root, new_root))
}

/// The path that [`roots_from_path`] takes, of a tree whose `subtree(start, end)` gives the root over the
/// leaves `start..end`. Empty unless `0 < old_size < new_size`.
pub fn consistency_path(
    old_size: u64,
    new_size: u64,
    mut subtree: impl FnMut(u64, u64) -> Hash,
) -> Vec<Hash> {
    let mut path = Vec::new();
    if old_size == 0 || old_size >= new_size {
        return path;
    }
    // Down to the tree that the old one ends with, taking the siblings on the way.
    let (mut start, mut end) = (0, new_size);
    while old_size != end {
        let middle = start + (1 << (end - start - 1).ilog2());
        if old_size <= middle {
            path.push(subtree(middle, end));
            end = middle;
        } else {
            path.push(subtree(start, middle));
            start = middle;
        }
    }
    path.push(subtree(start, end));
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::merkle::{Edge, leaf_hash};
    use std::collections::BTreeMap;

    /// Pairs of sizes that are tried, all of them.
    const SIZE_MAX: u64 = 300;

    /// RFC 6962 section 2.1 and 2.1.2, word by word.
    #[derive(Default)]
    struct Naive {
        roots: BTreeMap<(u64, u64), Hash>,
    }

    impl Naive {
        fn root(&mut self, start: u64, end: u64) -> Hash {
            if let Some(root) = self.roots.get(&(start, end)) {
                return *root;
            }
            let root = match end - start {
                0 => sha256(b""),
                1 => leaf_hash(&start.to_be_bytes()),
                size => {
                    let middle = start + left_of(size);
                    node_hash(&self.root(start, middle), &self.root(middle, end))
                }
            };
            self.roots.insert((start, end), root);
            root
        }

        /// `SUBPROOF(m, D[start:end], is_whole)`
        fn proof(&mut self, old: u64, start: u64, end: u64, is_whole: bool) -> Vec<Hash> {
            if old == end - start {
                return match is_whole {
                    true => vec![],
                    false => vec![self.root(start, end)],
                };
            }
            let left = left_of(end - start);
            let middle = start + left;
            let (mut proof, sibling) = if old <= left {
                let below = self.proof(old, start, middle, is_whole);
                (below, self.root(middle, end))
            } else {
                let below = self.proof(old - left, middle, end, false);
                (below, self.root(start, middle))
            };
            proof.push(sibling);
            proof
        }
    }

    fn left_of(size: u64) -> u64 {
        let mut power = 1;
        while power * 2 < size {
            power *= 2;
        }
        power
    }

    #[test]
    fn every_pair_of_sizes_up_to_300_is_consistent_by_its_own_proof_only() {
        let mut naive = Naive::default();
        for new in 1..=SIZE_MAX {
            let new_root = naive.root(0, new);
            for old in 1..new {
                let (proof, old_root) = (naive.proof(old, 0, new, true), naive.root(0, old));
                let good = |old_root: &Hash, new_root: &Hash, proof: &[Hash]| {
                    is_consistent((old, old_root), (new, new_root), proof)
                };
                assert!(good(&old_root, &new_root, &proof), "{old} in {new}");
                let path = consistency_path(old, new, |start, end| naive.root(start, end));
                let known = usize::from(old.is_power_of_two());
                assert_eq!(path[known..], proof, "{old} in {new}");
                assert_eq!(roots_from_path(old, new, &path), Some((old_root, new_root)));

                assert!(!good(&[1; 32], &new_root, &proof), "{old} in {new}");
                assert!(!good(&old_root, &[1; 32], &proof), "{old} in {new}");
                assert!(!good(&old_root, &new_root, &proof[1..]), "{old} in {new}");
                let longer = [&proof[..], &[[0; 32]]].concat();
                assert!(!good(&old_root, &new_root, &longer), "{old} in {new}");
                let at = (old % proof.len() as u64) as usize;
                let mut other = proof.clone();
                other[at][0] ^= 0x80;
                assert!(!good(&old_root, &new_root, &other), "{old} in {new}");
                for old in [old - 1, old + 1] {
                    let is_good = is_consistent((old, &old_root), (new, &new_root), &proof);
                    assert!(!is_good, "as {old} in {new}");
                }
            }
        }
    }

    #[test]
    fn equal_and_empty_trees() {
        let (root, empty) = (leaf_hash(b"a"), sha256(b""));
        let check = |old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash], good| {
            assert_eq!(is_consistent(old, new, proof), good, "{old:?} {new:?}");
        };
        check((1, &root), (1, &root), &[], true);
        check((1, &root), (1, &root), &[root], false);
        check((1, &root), (1, &empty), &[], false);
        check((0, &empty), (0, &empty), &[], true);
        check((0, &empty), (1, &root), &[], true);
        check((0, &empty), (1, &root), &[root], false);
        check((0, &root), (1, &root), &[], false);
        check((2, &root), (1, &root), &[], false);
        check((2, &root), (1, &root), &[root], false);
        check((1, &root), (2, &root), &[], false);
        check((u64::MAX - 1, &root), (u64::MAX, &root), &[root; 63], false);
    }

    /// The roots of the certificate-transparency test vectors.
    #[test]
    fn the_published_trees_grow_out_of_each_other() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let bytes = |hex: &str| -> Vec<u8> {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(byte).collect()
        };
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = Edge::default();
        for (leaf, root) in leaves.iter().zip(roots) {
            edge.push(leaf_hash(&bytes(leaf)));
            assert_eq!(edge.root().to_vec(), bytes(root), "{}", edge.size());
        }
        let root = |size: usize| -> Hash { bytes(roots[size - 1]).try_into().unwrap() };
        let mut of = |start: u64, end: u64| -> Hash {
            let leaves = leaves[start as usize..end as usize].iter();
            leaves
                .map(|leaf| leaf_hash(&bytes(leaf)))
                .collect::<Edge>()
                .root()
        };
        // The published proof from 6 to 8 leaves.
        let proof: Vec<Hash> = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
        .map(|hex| bytes(hex).try_into().unwrap())
        .to_vec();
        assert_eq!(consistency_path(6, 8, &mut of), proof);
        assert!(is_consistent((6, &root(6)), (8, &root(8)), &proof));
    }
}
