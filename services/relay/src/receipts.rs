//! Receipts on demand: the batch is read again from the journal, its member tree kept for the next.

use crate::batch;
use crate::members::{Member, MemberFiles};
use crate::relay::RelayError;
use settlement_core::ids::{BatchNumber, Sequence};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use valuta_journal::RecordLookup;
use valuta_ledger::{LedgerReader, MemberTree, ReceiptContent, Side, sha256};

/// Batches whose member trees are kept: 64 bytes a member.
const TREES_MAX: usize = 4;

/// A receipt file, and what it is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The instruction.
    pub sequence: Sequence,
    /// Its batch.
    pub batch: BatchNumber,
    /// Its canonical bytes.
    pub content: Vec<u8>,
    /// C2SP tlog-proof.
    pub text: String,
}

struct Tree {
    batch: BatchNumber,
    tree: MemberTree,
    /// By sequence: (sequence, leaf index).
    leaves: Vec<(Sequence, u64)>,
    members: Vec<Member>,
}

/// Makes receipts; shared between threads.
pub struct Receipts {
    lookup: Arc<dyn RecordLookup>,
    ledger: LedgerReader,
    files: MemberFiles,
    trees: Mutex<VecDeque<Arc<Tree>>>,
}

impl Receipts {
    /// Over the same journal, ledger and files as the relay.
    pub fn new(lookup: Arc<dyn RecordLookup>, ledger: LedgerReader, files: MemberFiles) -> Self {
        Self {
            lookup,
            ledger,
            files,
            trees: Mutex::default(),
        }
    }

    /// The receipts of instructions (in any order) that a batch settled; what the batch did not settle
    /// is left out. `None` until the batch is anchored.
    pub fn make(
        &self,
        batch: BatchNumber,
        instructions: &[Sequence],
    ) -> Result<Option<Vec<Receipt>>, RelayError> {
        if batch >= self.ledger.next_number() {
            return Ok(None);
        }
        let Some(tree) = self.tree(batch)? else {
            return Ok(None);
        };
        let found: Vec<(Sequence, u64)> = instructions
            .iter()
            .filter_map(|&sequence| tree.leaf(sequence).map(|leaf| (sequence, leaf)))
            .collect();
        let mut needed: Vec<Sequence> = found
            .iter()
            .flat_map(|&(_, leaf)| tree.member(leaf).sequences())
            .collect();
        needed.sort_unstable();
        needed.dedup();
        let contents = batch::read_contents(&needed, &*self.lookup)?;
        found
            .into_iter()
            .map(|(sequence, leaf)| {
                let content = &contents[&sequence];
                let part = match tree.member(leaf) {
                    Member::One(_) | Member::Movement(_) => ReceiptContent::One(content.clone()),
                    Member::Trade(first, second) => {
                        let (side, other) = if sequence == first {
                            (Side::First, second)
                        } else {
                            (Side::Second, first)
                        };
                        ReceiptContent::SideOfTwo {
                            side,
                            content: content.clone(),
                            other: sha256(&contents[&other]),
                        }
                    }
                };
                let proof = tree
                    .tree
                    .proof(leaf)
                    .expect("the leaf is one of the tree's");
                Ok(Receipt {
                    sequence,
                    batch,
                    content: content.clone(),
                    text: self.ledger.receipt(batch, &proof, &part)?,
                })
            })
            .collect::<Result<Vec<_>, RelayError>>()
            .map(Some)
    }

    fn tree(&self, batch: BatchNumber) -> Result<Option<Arc<Tree>>, RelayError> {
        let kept = self
            .trees
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|tree| tree.batch == batch)
            .cloned();
        if kept.is_some() {
            return Ok(kept);
        }
        let Some((closed_by, members)) = self.files.read(batch)? else {
            return Ok(None);
        };
        let closed = batch::read_closing(batch, closed_by, &*self.lookup)?;
        let contents = batch::member_contents(&members, &*self.lookup)?;
        let mut leaves: Vec<_> = (0u64..)
            .zip(&members)
            .flat_map(|(leaf, member)| member.sequences().map(move |sequence| (sequence, leaf)))
            .collect();
        leaves.sort_unstable();
        let tree = Arc::new(Tree {
            batch,
            tree: MemberTree::new(&batch::members_only(&closed, contents)),
            leaves,
            members,
        });
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.push_back(Arc::clone(&tree));
        if trees.len() > TREES_MAX {
            trees.pop_front();
        }
        Ok(Some(tree))
    }
}

impl Tree {
    fn leaf(&self, sequence: Sequence) -> Option<u64> {
        let at = self
            .leaves
            .binary_search_by_key(&sequence, |&(sequence, _)| sequence)
            .ok()?;
        Some(self.leaves[at].1)
    }

    fn member(&self, leaf: u64) -> Member {
        self.members[usize::try_from(leaf).expect("a leaf is within memory")]
    }
}
