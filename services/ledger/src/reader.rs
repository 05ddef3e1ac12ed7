//! What any thread may ask while the ledger's own thread adds batches.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::error::LedgerError;
use crate::hash::{Hash, leaf_hash, sha256};
use crate::header::{FIRST_BATCH_NUMBER, Header};
use crate::member::MemberProof;
use crate::receipt::{self, LogProof, ReceiptContent};
use crate::store::Entries;
use crate::tree::{Tree, root_from_path};

/// A batch's place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The batch's number.
    pub number: u64,
    /// Zero-based index of its header in the log.
    pub index: u64,
    /// SHA-256 of its header's text.
    pub header_hash: Hash,
    /// A signed checkpoint that covers it.
    pub checkpoint: Arc<str>,
}

/// A view of the ledger, cheap to clone and to share between threads. It shows only what is durable.
#[derive(Clone)]
pub struct LedgerReader {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) entries: Entries,
    policy: String,
    view: RwLock<View>,
}

/// Changed as a whole: the checkpoint covers exactly the tree.
pub(crate) struct View {
    pub(crate) tree: Tree,
    /// Where in `entries` each entry starts.
    pub(crate) offsets: Vec<u64>,
    pub(crate) checkpoint: Arc<str>,
}

impl Shared {
    pub(crate) fn new(entries: Entries, policy: String, view: View) -> Self {
        Self {
            entries,
            policy,
            view: RwLock::new(view),
        }
    }

    /// A view is whole even after a panic elsewhere: `show` cannot fail half-way.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Damages one node of the right edge, largest first.
    #[cfg(test)]
    pub(crate) fn flip_edge_bit(&self, node: usize) {
        self.view
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .tree
            .flip_edge_bit(node);
    }

    /// Shows a new entry with the checkpoint that covers it; both are durable.
    pub(crate) fn show(&self, leaf: Hash, offset: u64, checkpoint: Arc<str>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.tree.push(leaf);
        view.offsets.push(offset);
        view.checkpoint = checkpoint;
    }
}

impl LedgerReader {
    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<str> {
        self.shared.view().checkpoint.clone()
    }

    /// The policy that trusts this log's signature alone: [`LogKey::policy`](crate::LogKey::policy).
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.shared.policy
    }

    /// How many entries the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.view().tree.size()
    }

    /// The number of the batch that the ledger waits for.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        FIRST_BATCH_NUMBER + self.size()
    }

    /// The header of a batch.
    ///
    /// # Errors
    /// If there is no such batch, or its entry cannot be read as it was signed.
    pub fn header(&self, number: u64) -> Result<Header, LedgerError> {
        let index = self.index_of(number)?;
        let (offset, leaf) = {
            let view = self.shared.view();
            (offset_at(&view, index), view.tree.leaf(index))
        };
        let entries = &self.shared.entries;
        let text = entries.read(offset)?.text;
        if Some(leaf_hash(text.as_bytes())) != leaf {
            return Err(entries.damaged(offset, "entry is not the one that was signed"));
        }
        Header::parse(&text).map_err(|error| entries.damaged(offset, error.to_string()))
    }

    /// The headers with numbers in `numbers`, in order, as far as there are any; at most `count_max`.
    ///
    /// # Errors
    /// If an entry cannot be read as it was signed.
    pub fn headers(
        &self,
        numbers: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<Header>, LedgerError> {
        let first = numbers.start.max(FIRST_BATCH_NUMBER);
        let end = numbers.end.min(self.next_number());
        (first..end)
            .take(count_max)
            .map(|number| self.header(number))
            .collect()
    }

    /// Where a batch is in the log, with the newest checkpoint.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn anchor(&self, number: u64) -> Result<Anchor, LedgerError> {
        let header = self.header(number)?;
        Ok(Anchor {
            number,
            index: number - FIRST_BATCH_NUMBER,
            header_hash: header.hash(),
            checkpoint: self.checkpoint(),
        })
    }

    /// The path from the entry at `index` to the root at `size`, the leaf's sibling first.
    ///
    /// # Errors
    /// Unless `index < size`, and the log has had that size.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let view = self.shared.view();
        let proof = view.tree.inclusion_proof(index, size);
        proof.ok_or(LedgerError::ProofOutOfRange {
            from: index,
            to: size,
            size: view.tree.size(),
        })
    }

    /// The proof that the log at size `old` is a prefix of the log at size `new`.
    ///
    /// # Errors
    /// Unless `old <= new`, and the log has had both sizes.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        let view = self.shared.view();
        let proof = view.tree.consistency_proof(old, new);
        proof.ok_or(LedgerError::ProofOutOfRange {
            from: old,
            to: new,
            size: view.tree.size(),
        })
    }

    /// The receipt file of one instruction, against the newest checkpoint. What it proves is proven here
    /// first, so a receipt that is given out verifies.
    ///
    /// # Errors
    /// If there is no such batch, the content or proof is not of it, or the stored log is damaged.
    pub fn receipt(
        &self,
        number: u64,
        member: &MemberProof,
        content: &ReceiptContent,
    ) -> Result<String, LedgerError> {
        let header = self.header(number)?;
        let leaf = leaf_hash(&content.committed().commitment(&member.salt));
        let root = root_from_path(leaf, member.index, member.count, &member.path);
        if member.count != header.members.count || root != Some(header.members.root) {
            return Err(LedgerError::MemberForeign {
                number,
                index: member.index,
            });
        }
        let proof = self.log_proof(number)?;
        Ok(receipt::text(&header, member, content, &proof))
    }

    /// Re-hashes every entry from disk and compares the root with the one shown: for a background thread,
    /// at its leisure. Takes the lock for a moment per entry. Returns how many entries were checked.
    ///
    /// # Errors
    /// The first damage found.
    pub fn audit(&self) -> Result<u64, LedgerError> {
        let size = self.size();
        let mut previous = [0; 32];
        let mut offset = crate::store::ENTRIES_START;
        for index in 0..size {
            let frame = self.shared.entries.read(offset)?;
            check_link(&self.shared.entries, offset, index, &frame.text, previous)?;
            let shown = self.shared.view().tree.leaf(index);
            if shown != Some(leaf_hash(frame.text.as_bytes())) {
                return Err(self
                    .shared
                    .entries
                    .damaged(offset, "entry is not the one that was signed"));
            }
            previous = sha256(frame.text.as_bytes());
            offset = frame.end;
        }
        Ok(size)
    }

    fn log_proof(&self, number: u64) -> Result<LogProof, LedgerError> {
        let index = self.index_of(number)?;
        let view = self.shared.view();
        let size = view.tree.size();
        let out_of_range = LedgerError::ProofOutOfRange {
            from: index,
            to: size,
            size,
        };
        let (Some(path), Some(leaf), Some(root)) = (
            view.tree.inclusion_proof(index, size),
            view.tree.leaf(index),
            view.tree.root(size),
        ) else {
            return Err(out_of_range);
        };
        if root_from_path(leaf, index, size, &path) != Some(root) {
            return Err(LedgerError::HashesDisagree {
                what: "a path in the log",
            });
        }
        Ok(LogProof {
            index,
            path,
            checkpoint: view.checkpoint.clone(),
        })
    }

    fn index_of(&self, number: u64) -> Result<u64, LedgerError> {
        let next = self.next_number();
        if (FIRST_BATCH_NUMBER..next).contains(&number) {
            return Ok(number - FIRST_BATCH_NUMBER);
        }
        Err(LedgerError::BatchUnknown { number, next })
    }
}

fn offset_at(view: &View, index: u64) -> u64 {
    view.offsets[usize::try_from(index).expect("an index of a list in memory")]
}

/// Checks that an entry is the header that belongs at `index`, after the one with hash `previous`.
pub(crate) fn check_link(
    entries: &Entries,
    offset: u64,
    index: u64,
    text: &str,
    previous: Hash,
) -> Result<Header, LedgerError> {
    let header = Header::parse(text).map_err(|error| entries.damaged(offset, error.to_string()))?;
    if header.number != FIRST_BATCH_NUMBER + index {
        return Err(entries.damaged(offset, format!("batch {} is out of order", header.number)));
    }
    if header.previous != previous {
        return Err(entries.damaged(offset, "entry does not name the one before it"));
    }
    Ok(header)
}
