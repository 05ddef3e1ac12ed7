#![allow(clippy::unwrap_used)]
//! Roots and proofs against the definitions of RFC 6962.

use super::*;
use crate::hash::leaf_hash;

/// The definitions of RFC 6962 section 2.1, word for word, over slices.
mod naive {
    use super::*;

    pub fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(largest_power_below(more.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    pub fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return vec![];
        }
        let k = largest_power_below(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut proof, sibling) = if index < k {
            (path(index, left), root(right))
        } else {
            (path(index - k, right), root(left))
        };
        proof.push(sibling);
        proof
    }

    pub fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if whole { vec![] } else { vec![root(leaves)] };
        }
        let k = largest_power_below(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut proof, sibling) = if old <= k {
            (subproof(old, left, whole), root(right))
        } else {
            (subproof(old - k, right, false), root(left))
        };
        proof.push(sibling);
        proof
    }

    fn largest_power_below(length: usize) -> usize {
        let mut power = 1;
        while power * 2 < length {
            power *= 2;
        }
        power
    }
}

/// RFC 9162 section 2.1.4.2.
fn is_consistent(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    if old.0 == 0 || old.0 == new.0 {
        return proof.is_empty() && (old.0 == 0 || old.1 == new.1);
    }
    let mut path = proof.to_vec();
    if old.0.is_power_of_two() {
        path.insert(0, old.1);
    }
    let (mut index, mut last) = (old.0 - 1, new.0 - 1);
    while index & 1 == 1 {
        index >>= 1;
        last >>= 1;
    }
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let (mut old_root, mut new_root) = (*first, *first);
    for node in rest {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            old_root = node_hash(node, &old_root);
            new_root = node_hash(node, &new_root);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node_hash(&new_root, node);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && old_root == old.1 && new_root == new.1
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

#[test]
fn roots_are_the_known_answers() {
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
    ];
    let inputs = inputs
        .into_iter()
        .chain(["606162636465666768696a6b6c6d6e6f"]);
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
    let (mut tree, mut edge) = (Tree::default(), Edge::default());
    for (input, root) in inputs.zip(roots) {
        let leaf = leaf_hash(&bytes(input));
        tree.push(leaf);
        edge.push(leaf);
        assert_eq!(hex(&tree.root(tree.size()).unwrap()), root);
        assert_eq!(hex(&edge.root()), root);
    }
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex(&Edge::default().root()), empty);
    assert_eq!(hex(&tree.root(0).unwrap()), empty);
}

#[test]
fn published_consistency_proofs_are_ours() {
    // Google's certificate-transparency test vectors: (1, 8), (6, 8) and (2, 5) over the same leaves.
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
    ];
    let inputs = inputs
        .into_iter()
        .chain(["606162636465666768696a6b6c6d6e6f"]);
    let tree: Tree = inputs.map(|input| leaf_hash(&bytes(input))).collect();
    let proof = |old, new| -> Vec<String> {
        tree.consistency_proof(old, new)
            .unwrap()
            .iter()
            .map(|hash| hex(hash))
            .collect()
    };
    assert_eq!(
        proof(6, 8),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        proof(2, 5),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ]
    );
}

#[test]
fn every_root_and_inclusion_proof_up_to_64_is_the_naive_one() {
    let leaves = leaves(64);
    let tree: Tree = leaves.iter().copied().collect();
    for size in 0..=64 {
        let prefix = &leaves[..size];
        let root = naive::root(prefix);
        assert_eq!(tree.root(size as u64), Some(root), "size {size}");
        assert_eq!(
            prefix.iter().copied().collect::<Edge>().root(),
            root,
            "size {size}"
        );
        for index in 0..size {
            let path = tree.inclusion_proof(index as u64, size as u64).unwrap();
            assert_eq!(path, naive::path(index, prefix), "{index} in {size}");
            let at = |index, path: &[Hash]| {
                root_from_path(prefix[index], index as u64, size as u64, path)
            };
            assert_eq!(at(index, &path), Some(root), "{index} in {size}");
            assert_ne!(
                at((index + 1) % size, &path),
                Some(root).filter(|_| size > 1)
            );
            for length in 0..path.len() {
                assert_ne!(
                    at(index, &path[..length]),
                    Some(root),
                    "{index} in {size}, cut to {length}"
                );
            }
            let longer = [path, vec![root]].concat();
            assert_eq!(at(index, &longer), None, "{index} in {size}, too long");
        }
        assert_eq!(tree.inclusion_proof(size as u64, size as u64), None);
    }
    assert_eq!(tree.inclusion_proof(0, 65), None);
    assert_eq!(tree.root(65), None);
}

#[test]
fn every_consistency_proof_up_to_64_is_the_naive_one() {
    let leaves = leaves(64);
    let tree: Tree = leaves.iter().copied().collect();
    for new in 0..=64_usize {
        for old in 0..=new {
            let proof = tree.consistency_proof(old as u64, new as u64).unwrap();
            if old > 0 {
                assert_eq!(
                    proof,
                    naive::subproof(old, &leaves[..new], true),
                    "{old} to {new}"
                );
            }
            let head = |size: usize| (size as u64, naive::root(&leaves[..size]));
            assert!(
                is_consistent(head(old), head(new), &proof),
                "{old} to {new}"
            );
            if 0 < old && old < new {
                let other = (old as u64, naive::root(&leaves[64 - old..]));
                assert!(
                    !is_consistent(other, head(new), &proof),
                    "{old} to {new}, another tree"
                );
            }
        }
        assert_eq!(tree.consistency_proof(new as u64 + 1, new as u64), None);
    }
    assert_eq!(tree.consistency_proof(1, 65), None);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
