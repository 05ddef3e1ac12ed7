//! Proof files: each is proven here before it is handed out, so one that is given out verifies.
//!
//! A receipt is described in `receipt`. The others are C2SP tlog-proofs too, whose `extra` is one of these. Hashes and
//! bytes are in base64; `header` and `entry` are as in a receipt.
//!
//! ```text
//! valuta.balance/v1
//! header, entry
//! balance <index> <count>
//! content <`<participant> <asset> <amount>`>
//! digest <SHA-256 of the content>
//! salt <salt>
//! commitment <SHA-256(salt || content)>
//! path <hash>                            from the leaf to the balances root, any number
//!
//! valuta.posting/v1
//! header, entry
//! posting <index> <count>
//! content <`<participant> <asset> <amount>`>
//! salt <salt>
//! blinding <scalar>                      point = amount * B + blinding * H
//! path <hash>                            from the leaf to the postings root, any number
//!
//! valuta.conservation/v1
//! header, entry
//! posting <asset> <point> <commitment>   every leaf of the postings, in order
//! sum <asset> 0 <scalar>                 for each asset, ascending: the points' sum is 0 * B + scalar * H
//!
//! valuta.disclosure/v1
//! header, entry
//! count <members of the batch>
//! member <index>                         for each disclosed member, ascending, as in a receipt:
//! side, other, content, digest, salt, commitment, path
//! ```

use std::sync::{Arc, PoisonError};

use crate::error::LedgerError;
use crate::hash::{Hash, encode, leaf_hash, sha256};
use crate::header::Header;
use crate::line::{BalanceProof, Conservation, PostingProof};
use crate::member::MemberProof;
use crate::reader::LedgerReader;
use crate::receipt::{self, Extra, LogProof, ReceiptContent};
use crate::shared::Witnessed;
use crate::tree::root_from_path;

impl LedgerReader {
    /// The receipt file of one instruction, against the newest checkpoint with cosignatures if it covers the
    /// batch, else against the newest one. What it proves is proven here first, so a receipt that is given
    /// out verifies.
    ///
    /// # Errors
    /// If there is no such batch, the content or proof is not of it, or the stored log is damaged.
    pub fn receipt(
        &self,
        number: u64,
        member: &MemberProof,
        content: &ReceiptContent,
    ) -> Result<String, LedgerError> {
        let proof = self.log_proof(number)?;
        check_member(&proof.header, member, content)?;
        Ok(receipt::text(member, content, &proof))
    }

    /// The file that opens chosen members of a batch for an auditor, and tells nothing of the others.
    /// Proven here first, as every proof file.
    ///
    /// # Errors
    /// As [`receipt`](Self::receipt).
    pub fn disclosure(
        &self,
        number: u64,
        members: &[(MemberProof, ReceiptContent)],
    ) -> Result<String, LedgerError> {
        let proof = self.log_proof(number)?;
        let mut members = members.to_vec();
        members.sort_by_key(|(member, _)| member.index);
        members.dedup_by_key(|(member, _)| member.index);
        for (member, content) in &members {
            check_member(&proof.header, member, content)?;
        }
        Ok(disclosure_file(&members, &proof))
    }

    /// The file that proves one participant's balance after a batch.
    ///
    /// # Errors
    /// If there is no such batch, the proof is not of it, or the stored log is damaged.
    pub fn balance(&self, number: u64, balance: &BalanceProof) -> Result<String, LedgerError> {
        let proof = self.log_proof(number)?;
        if !balance.leads_to(&proof.header.balances) {
            return Err(line_foreign(number, "balance", balance.index));
        }
        Ok(balance_file(balance, &proof))
    }

    /// The file that proves one account's change in a batch.
    ///
    /// # Errors
    /// As [`balance`](Self::balance).
    pub fn posting(&self, number: u64, posting: &PostingProof) -> Result<String, LedgerError> {
        let proof = self.log_proof(number)?;
        if !posting.leads_to(&proof.header.postings) {
            return Err(line_foreign(number, "posting", posting.index));
        }
        Ok(posting_file(posting, &proof))
    }

    /// The file that proves that a batch's postings sum to zero per asset, and shows no line.
    ///
    /// # Errors
    /// As [`balance`](Self::balance), or if they do not.
    pub fn conservation(&self, number: u64, sums: &Conservation) -> Result<String, LedgerError> {
        let proof = self.log_proof(number)?;
        if !sums.leads_to(&proof.header.postings) {
            return Err(line_foreign(number, "posting", 0));
        }
        if let Some(asset) = sums.violated() {
            let asset = asset.to_owned();
            return Err(LedgerError::NotConserved { number, asset });
        }
        Ok(conservation_file(sums, &proof))
    }

    /// From a batch's header to the checkpoint that proofs are made against.
    fn log_proof(&self, number: u64) -> Result<Arc<LogProof>, LedgerError> {
        let index = self.index_of(number)?;
        let (size, of, note) = self.provable(index);
        let newest = || {
            self.shared
                .proof
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(proof) = newest().as_ref()
            && proof.index == index
            && proof.checkpoint == note
        {
            return Ok(Arc::clone(proof));
        }
        let proof = self.shared.noting(self.prove(index, size, &of, note))?;
        let proof = Arc::new(proof);
        *newest() = Some(Arc::clone(&proof));
        Ok(proof)
    }

    /// The log's size, and the checkpoint for proofs of the entry at `index`.
    fn provable(&self, index: u64) -> (u64, (u64, Hash), Arc<str>) {
        let view = self.shared.view();
        let witnessed = view.witnessed.as_ref();
        match witnessed.filter(|witnessed| index < witnessed.checkpoint.size) {
            Some(Witnessed {
                checkpoint, note, ..
            }) => {
                let of = (checkpoint.size, checkpoint.root);
                (view.size, of, note.clone())
            }
            None => (view.size, (view.size, view.root), view.checkpoint.clone()),
        }
    }

    fn prove(
        &self,
        index: u64,
        size: u64,
        of: &(u64, Hash),
        checkpoint: Arc<str>,
    ) -> Result<LogProof, LedgerError> {
        let header = self.read_header(index, size)?;
        let leaf = leaf_hash(header.text().as_bytes());
        let path = self.shared.tiles.proofs(size).inclusion(index, of.0)?;
        if root_from_path(leaf, index, of.0, &path) != Some(of.1) {
            return Err(LedgerError::HashesDisagree {
                what: "a path in the log",
            });
        }
        Ok(LogProof {
            header,
            index,
            path,
            checkpoint,
        })
    }
}

fn balance_file(proof: &BalanceProof, log: &LogProof) -> String {
    let content = proof.balance.content();
    let mut extra = Extra::new("valuta.balance/v1", &log.header);
    extra.line("balance", &format!("{} {}", proof.index, proof.count));
    extra.bytes("content", content.as_bytes());
    extra.bytes("digest", &sha256(content.as_bytes()));
    extra.bytes("salt", &proof.salt);
    extra.bytes("commitment", &proof.commitment());
    extra.path(&proof.path);
    log.file(extra)
}

fn posting_file(proof: &PostingProof, log: &LogProof) -> String {
    let mut extra = Extra::new("valuta.posting/v1", &log.header);
    extra.line("posting", &format!("{} {}", proof.index, proof.count));
    extra.bytes("content", proof.posting.content().as_bytes());
    extra.bytes("salt", &proof.salt);
    extra.bytes("blinding", &proof.blinding);
    extra.path(&proof.path);
    log.file(extra)
}

fn conservation_file(proof: &Conservation, log: &LogProof) -> String {
    let mut extra = Extra::new("valuta.conservation/v1", &log.header);
    for posting in &proof.postings {
        extra.line("posting", &posting.text());
    }
    for (asset, blinding) in &proof.blindings {
        let blinding = encode(blinding.as_bytes());
        extra.line("sum", &format!("{asset} 0 {blinding}"));
    }
    log.file(extra)
}

fn disclosure_file(members: &[(MemberProof, ReceiptContent)], log: &LogProof) -> String {
    let mut extra = Extra::new("valuta.disclosure/v1", &log.header);
    extra.line("count", &log.header.members.count.to_string());
    for (member, content) in members {
        extra.line("member", &member.index.to_string());
        extra.opened(member, content);
    }
    log.file(extra)
}

fn check_member(
    header: &Header,
    member: &MemberProof,
    content: &ReceiptContent,
) -> Result<(), LedgerError> {
    let leaf = leaf_hash(&content.committed().commitment(&member.salt));
    let root = root_from_path(leaf, member.index, member.count, &member.path);
    if member.count == header.members.count && root == Some(header.members.root) {
        return Ok(());
    }
    Err(LedgerError::MemberForeign {
        number: header.number,
        index: member.index,
    })
}

fn line_foreign(number: u64, list: &'static str, index: u64) -> LedgerError {
    LedgerError::LineForeign {
        number,
        list,
        index,
    }
}
