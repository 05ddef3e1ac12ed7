//! Proofs on demand: the batch is read again from the journal, its trees are kept for the next.

use crate::batch;
use crate::files::{BatchFile, BatchFiles, Member};
use crate::relay::RelayError;
use settlement_core::ids::{BatchNumber, Sequence};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use valuta_journal::RecordLookup;
use valuta_ledger::{BatchTrees, LedgerReader, MemberProof, ReceiptContent, Side, sha256};

/// Batches whose trees are kept: 64 bytes a member, and the accounts that changed.
const BATCHES_MAX: usize = 4;

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

struct OpenBatch {
    batch: BatchNumber,
    trees: BatchTrees,
    /// By sequence: (sequence, leaf index).
    leaves: Vec<(Sequence, u64)>,
    members: Vec<Member>,
}

/// Makes receipts and the other proofs; shared between threads.
pub struct Receipts {
    lookup: Arc<dyn RecordLookup>,
    ledger: LedgerReader,
    files: BatchFiles,
    batches: Mutex<VecDeque<Arc<OpenBatch>>>,
}

impl Receipts {
    /// Over the same journal, ledger and files as the relay.
    pub fn new(lookup: Arc<dyn RecordLookup>, ledger: LedgerReader, files: BatchFiles) -> Self {
        Self {
            lookup,
            ledger,
            files,
            batches: Mutex::default(),
        }
    }

    /// The receipts of instructions (in any order) that a batch settled; what the batch did not settle
    /// is left out. `None` until the batch is anchored.
    pub fn make(
        &self,
        batch: BatchNumber,
        instructions: &[Sequence],
    ) -> Result<Option<Vec<Receipt>>, RelayError> {
        let Some(open) = self.open(batch)? else {
            return Ok(None);
        };
        let opened = self.openings(&open, instructions)?;
        let receipts = opened.into_iter().map(|(sequence, proof, part)| {
            Ok(Receipt {
                sequence,
                batch,
                text: self.ledger.receipt(batch, &proof, &part)?,
                content: part.bytes().to_vec(),
            })
        });
        receipts.collect::<Result<_, RelayError>>().map(Some)
    }

    /// One file that opens these instructions of a batch and tells nothing of the others; what the batch did
    /// not settle is left out. `None` until the batch is anchored, or if it settled none of them.
    pub fn disclosure(
        &self,
        batch: BatchNumber,
        instructions: &[Sequence],
    ) -> Result<Option<String>, RelayError> {
        let Some(open) = self.open(batch)? else {
            return Ok(None);
        };
        let opened = self.openings(&open, instructions)?;
        let members: Vec<_> = opened
            .into_iter()
            .map(|(_, proof, part)| (proof, part))
            .collect();
        if members.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.ledger.disclosure(batch, &members)?))
    }

    /// The proof of an account's balance after a batch that changed it. `None` until the batch is anchored, or
    /// if it did not.
    pub fn balance(
        &self,
        batch: BatchNumber,
        participant: &str,
        asset: &str,
    ) -> Result<Option<String>, RelayError> {
        let Some(open) = self.open(batch)? else {
            return Ok(None);
        };
        let proof = open.trees.balance(participant, asset);
        let file = proof.map(|proof| self.ledger.balance(batch, &proof));
        Ok(file.transpose()?)
    }

    /// Opens the postings of a participant in a batch. `None` until the batch is anchored.
    pub fn postings(
        &self,
        batch: BatchNumber,
        participant: &str,
    ) -> Result<Option<Vec<String>>, RelayError> {
        let Some(open) = self.open(batch)? else {
            return Ok(None);
        };
        let proofs = open.trees.postings(participant);
        let files = proofs.iter().map(|proof| self.ledger.posting(batch, proof));
        Ok(Some(files.collect::<Result<_, _>>()?))
    }

    /// The proof that a batch's postings sum to zero in every asset, which shows none of them. `None` until the
    /// batch is anchored.
    pub fn conservation(&self, batch: BatchNumber) -> Result<Option<String>, RelayError> {
        let Some(open) = self.open(batch)? else {
            return Ok(None);
        };
        let sums = open.trees.conservation();
        Ok(Some(self.ledger.conservation(batch, &sums)?))
    }

    /// What opens each of these instructions that the batch settled.
    fn openings(
        &self,
        open: &OpenBatch,
        instructions: &[Sequence],
    ) -> Result<Vec<(Sequence, MemberProof, ReceiptContent)>, RelayError> {
        let found: Vec<(Sequence, u64)> = instructions
            .iter()
            .filter_map(|&sequence| open.leaf(sequence).map(|leaf| (sequence, leaf)))
            .collect();
        let mut needed: Vec<Sequence> = found
            .iter()
            .flat_map(|&(_, leaf)| open.member(leaf).sequences())
            .collect();
        needed.sort_unstable();
        needed.dedup();
        let contents = batch::read_contents(&needed, &*self.lookup)?;
        let openings = found.into_iter().map(|(sequence, leaf)| {
            let content = contents[&sequence].clone();
            let part = match open.member(leaf) {
                Member::One(_) | Member::Movement(_) => ReceiptContent::One(content),
                Member::Trade(first, second) => {
                    let (side, other) = if sequence == first {
                        (Side::First, second)
                    } else {
                        (Side::Second, first)
                    };
                    ReceiptContent::SideOfTwo {
                        side,
                        content,
                        other: sha256(&contents[&other]),
                    }
                }
            };
            let proof = open.trees.members.proof(leaf);
            (
                sequence,
                proof.expect("the leaf is one of the tree's"),
                part,
            )
        });
        Ok(openings.collect())
    }

    /// `None` until the batch is anchored.
    fn open(&self, batch: BatchNumber) -> Result<Option<Arc<OpenBatch>>, RelayError> {
        if batch >= self.ledger.next_number() {
            return Ok(None);
        }
        let kept = self
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|open| open.batch == batch)
            .cloned();
        if kept.is_some() {
            return Ok(kept);
        }
        let Some(BatchFile {
            closed_by,
            members,
            lines,
        }) = self.files.read(batch)?
        else {
            return Err(RelayError::Unread { number: batch });
        };
        let closed = batch::read_closing(batch, closed_by, &*self.lookup)?;
        let contents = batch::member_contents(&members, &*self.lookup)?;
        let mut leaves: Vec<_> = (0u64..)
            .zip(&members)
            .flat_map(|(leaf, member)| member.sequences().map(move |sequence| (sequence, leaf)))
            .collect();
        leaves.sort_unstable();
        let open = Arc::new(OpenBatch {
            batch,
            trees: BatchTrees::new(&batch::leaves(&closed, contents, &lines)),
            leaves,
            members,
        });
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.push_back(Arc::clone(&open));
        if batches.len() > BATCHES_MAX {
            batches.pop_front();
        }
        Ok(Some(open))
    }
}

impl OpenBatch {
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
