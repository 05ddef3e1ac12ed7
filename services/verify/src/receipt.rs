//! `valuta.receipt/v1`: one instruction, for a bank that sent or received it.

use crate::error::VerifyError;
use crate::member::{Member, MemberOpening, Side, check_count};
use crate::merkle::Hash;
use crate::note::Cosignature;
use crate::proof::Entry;
use crate::step::Step;
use crate::text::{self, Lines};

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log that signed: its origin, which the policy names.
    pub origin: String,
    /// The log's size at the checkpoint.
    pub tree_size: u64,
    /// Zero-based index of the batch in the log.
    pub log_index: u64,
    /// The witnesses of the policy that cosigned the checkpoint.
    pub cosigned_by: Vec<Cosignature>,
    /// The scheme's name.
    pub scheme: String,
    /// The batch's number in the scheme.
    pub batch: u64,
    /// `<value date>/<number>`; `None` for a gross batch.
    pub cycle: Option<String>,
    /// When the batch settled: record time in unix milliseconds.
    pub time_ms: i64,
    /// Zero-based index of the member in the batch.
    pub member_index: u64,
    /// How many members the batch has.
    pub member_count: u64,
    /// The instruction's bytes, as they were journaled.
    pub content: Vec<u8>,
    /// For a matched trade: which side the content is, and the SHA-256 of the other one.
    pub trade: Option<(Side, Hash)>,
    /// The hash of the run's certificate.
    pub certificate: Option<Hash>,
    /// The journal's sequence at the batch.
    pub sequence: u64,
    /// The journal's chain at the batch.
    pub chain: Hash,
    /// The batch header's text: the log entry.
    pub header: String,
}

/// The lines after the opening, not yet believed.
pub(crate) struct Receipt {
    count: u64,
    member: MemberOpening,
}

impl Receipt {
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let (index, count) = lines.take(
            "member ",
            text::index_of_count,
            "`member`, index and count expected",
        )?;
        let member = MemberOpening::parse(lines, index)?;
        Ok(Self { count, member })
    }

    pub(crate) fn check(
        self,
        entry: Entry,
        step: &mut dyn FnMut(Step),
    ) -> Result<Verified, VerifyError> {
        let header = entry.header;
        check_count(self.count, &header.members)?;
        let Member {
            index,
            content,
            trade,
        } = self.member.check(&header.members, step)?;
        Ok(Verified {
            origin: entry.origin,
            tree_size: entry.tree_size,
            log_index: entry.log_index,
            cosigned_by: entry.cosigned_by,
            scheme: header.scheme,
            batch: header.number,
            cycle: header.cycle,
            time_ms: header.time_ms,
            member_index: index,
            member_count: self.count,
            content,
            trade,
            certificate: header.certificate,
            sequence: header.sequence,
            chain: header.chain,
            header: entry.text,
        })
    }
}
