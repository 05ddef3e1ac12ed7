//! Proofs that one member is in its batch.

use crate::batch::{BatchInput, Domain, Salts, each};
use crate::hash::Hash;
use crate::tree::Tree;

/// Leads from one member's content to its batch's members root.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberProof {
    /// Zero-based index of the member in its batch.
    pub index: u64,
    /// How many members the batch has.
    pub count: u64,
    /// Opens the member's commitment; known to the parties only.
    pub salt: Hash,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Hash>,
}

/// Says where the member is, not its salt.
impl std::fmt::Debug for MemberProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberProof")
            .field("index", &self.index)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// A batch's members, hashed once for many proofs: 64 bytes a member.
pub struct MemberTree {
    tree: Tree,
    salts: Salts,
}

impl MemberTree {
    /// Hashes all members of the batch.
    #[must_use]
    pub fn new(batch: &BatchInput) -> Self {
        Self {
            tree: each(&batch.members, batch.member_leaf())
                .into_iter()
                .collect(),
            salts: batch.salts(Domain::Members),
        }
    }

    /// The proof of the member at `index`; `None` beyond the last. Costs log2(count) hashes.
    #[must_use]
    pub fn proof(&self, index: u64) -> Option<MemberProof> {
        let count = self.tree.size();
        let path = self.tree.inclusion_proof(index, count)?;
        Some(MemberProof {
            index,
            count,
            salt: self.salts.of(index),
            path,
        })
    }
}

/// The proof of one member; `None` beyond the last. Hashes the whole batch: for several proofs of one
/// batch, make a [`MemberTree`].
#[must_use]
pub fn member_proof(batch: &BatchInput, index: u64) -> Option<MemberProof> {
    MemberTree::new(batch).proof(index)
}
