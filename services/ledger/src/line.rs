//! Proofs of a batch's balances and postings.

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;

use crate::batch::{Balance, BatchInput, Domain, Posting, Salts, SealedPosting, commitment, each};
use crate::hash::{Hash, leaf_hash};
use crate::header::ListRoot;
use crate::member::MemberTree;
use crate::pedersen;
use crate::tree::{Tree, root_from_path};

/// Leads from one account's balance after a batch to the header's balances root.
#[derive(Clone, PartialEq, Eq)]
pub struct BalanceProof {
    /// Zero-based index in the list.
    pub index: u64,
    /// How many balances the batch touched.
    pub count: u64,
    /// What is proven.
    pub balance: Balance,
    /// Opens the commitment; known to the participant only.
    pub salt: Hash,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Hash>,
}

/// Leads from one account's change in a batch to the header's postings root.
#[derive(Clone, PartialEq, Eq)]
pub struct PostingProof {
    /// Zero-based index in the list.
    pub index: u64,
    /// How many postings the batch has.
    pub count: u64,
    /// What is proven.
    pub posting: Posting,
    /// Opens the commitment; known to the participant only.
    pub salt: Hash,
    /// Opens the point; known to the participant only.
    pub blinding: [u8; 32],
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Hash>,
}

/// Shows that a batch's postings sum to zero per asset, and no line of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Conservation {
    pub(crate) postings: Vec<SealedPosting>,
    /// The sum of the blindings of each asset's postings.
    pub(crate) blindings: BTreeMap<String, Scalar>,
}

/// A batch's three lists, hashed once for many proofs: 64 bytes a line, and the lines.
pub struct BatchTrees {
    /// Of its members.
    pub members: MemberTree,
    postings: Vec<Posting>,
    sealed: Vec<SealedPosting>,
    posting_tree: Tree,
    posting_salts: Salts,
    blindings: Salts,
    balances: Vec<Balance>,
    balance_tree: Tree,
    balance_salts: Salts,
}

impl BatchTrees {
    /// Hashes all of the batch.
    #[must_use]
    pub fn new(batch: &BatchInput) -> Self {
        let sealed = each(&batch.postings, batch.sealed_posting());
        let balances = each(&batch.balances, batch.balance_leaf());
        Self {
            members: MemberTree::new(batch),
            postings: batch.postings.clone(),
            posting_tree: sealed.iter().map(SealedPosting::leaf).collect(),
            sealed,
            posting_salts: batch.salts(Domain::Postings),
            blindings: batch.salts(Domain::Blindings),
            balances: batch.balances.clone(),
            balance_tree: balances.into_iter().collect(),
            balance_salts: batch.salts(Domain::Balances),
        }
    }

    /// The proof of a participant's balance in an asset; `None` if the batch did not touch it.
    #[must_use]
    pub fn balance(&self, participant: &str, asset: &str) -> Option<BalanceProof> {
        let mut balances = (0..).zip(&self.balances);
        let (index, balance) =
            balances.find(|(_, line)| line.participant == participant && line.asset == asset)?;
        let count = self.balance_tree.size();
        Some(BalanceProof {
            index,
            count,
            balance: balance.clone(),
            salt: self.balance_salts.of(index),
            path: self.balance_tree.inclusion_proof(index, count)?,
        })
    }

    /// The proofs of a participant's postings, in order.
    #[must_use]
    pub fn postings(&self, participant: &str) -> Vec<PostingProof> {
        let postings = (0..).zip(&self.postings);
        let own = postings.filter(|(_, line)| line.participant == participant);
        let proof = |(index, posting): (u64, &Posting)| {
            let count = self.posting_tree.size();
            let path = self.posting_tree.inclusion_proof(index, count);
            PostingProof {
                index,
                count,
                posting: posting.clone(),
                salt: self.posting_salts.of(index),
                blinding: self.blindings.blinding(index).to_bytes(),
                path: path.expect("an index of the list"),
            }
        };
        own.map(proof).collect()
    }

    /// The proof that the postings conserve every asset.
    #[must_use]
    pub fn conservation(&self) -> Conservation {
        let mut blindings = BTreeMap::new();
        for (index, posting) in (0..).zip(&self.postings) {
            let asset = posting.asset.clone();
            *blindings.entry(asset).or_insert(Scalar::ZERO) += self.blindings.blinding(index);
        }
        Conservation {
            postings: self.sealed.clone(),
            blindings,
        }
    }
}

impl BalanceProof {
    pub(crate) fn commitment(&self) -> Hash {
        commitment(&self.salt, self.balance.content().as_bytes())
    }

    pub(crate) fn leads_to(&self, list: &ListRoot) -> bool {
        let leaf = leaf_hash(&self.commitment());
        let root = root_from_path(leaf, self.index, self.count, &self.path);
        self.count == list.count && root == Some(list.root)
    }
}

impl PostingProof {
    pub(crate) fn leads_to(&self, list: &ListRoot) -> bool {
        let Some(blinding) = Scalar::from_canonical_bytes(self.blinding).into_option() else {
            return false;
        };
        let sealed = SealedPosting {
            asset: self.posting.asset.clone(),
            point: pedersen::point(self.posting.amount, &blinding),
            commitment: commitment(&self.salt, self.posting.content().as_bytes()),
        };
        let root = root_from_path(sealed.leaf(), self.index, self.count, &self.path);
        self.count == list.count && root == Some(list.root)
    }
}

impl Conservation {
    pub(crate) fn leads_to(&self, list: &ListRoot) -> bool {
        let tree: Tree = self.postings.iter().map(SealedPosting::leaf).collect();
        tree.size() == list.count && tree.root(list.count) == Some(list.root)
    }

    /// The first asset whose points do not sum to zero.
    pub(crate) fn violated(&self) -> Option<&str> {
        let assets = self.postings.iter().map(|posting| posting.asset.as_str());
        let mut sums = assets.chain(self.blindings.keys().map(String::as_str));
        sums.find(|asset| {
            let points = self.postings.iter();
            let points = points.filter(|posting| posting.asset == *asset);
            let points = points.map(|posting| &posting.point);
            let blinding = self.blindings.get(*asset);
            !blinding.is_some_and(|blinding| pedersen::is_zero_sum(points, blinding))
        })
    }
}

/// Says where the line is, and nothing that opens it.
impl std::fmt::Debug for BalanceProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BalanceProof")
            .field("index", &self.index)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Says where the line is, and nothing that opens it.
impl std::fmt::Debug for PostingProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostingProof")
            .field("index", &self.index)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
