//! Rows of the read model: filters and answers in core types, that projector and gateway share.

use crate::command::Position;
use crate::ids::{BatchNumber, Bic, CycleName, Date, Sequence, Timestamp};
use crate::instruction::{Kind, Lane};
use crate::view::{AssetView, InstructionAnswer};

/// A status without its particulars, to filter by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum StatusFilter {
    Member,
    Waiting,
    Irrevocable,
    Settled,
    Rejected,
    Cancelled,
}

/// Which instructions to list. Every filter that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListFilter {
    /// A party: instructing, debtor or creditor of any leg, or named as an approver. `None`: everyone's.
    pub participant: Option<Bic>,
    #[allow(missing_docs)]
    pub status: Option<StatusFilter>,
    /// Of accepted ones: a refusal does not say. So for value date and asset.
    pub lane: Option<Lane>,
    #[allow(missing_docs)]
    pub kind: Option<Kind>,
    #[allow(missing_docs)]
    pub value_date: Option<Date>,
    /// Of any leg.
    pub asset: Option<fx::AssetCode>,
    /// Another party, not as an approver.
    pub counterparty: Option<Bic>,
    /// The cycle that it is, or was last, a member of.
    pub cycle: Option<CycleName>,
    /// Those that wait for approvals, among them the participant's, which is then given.
    pub awaiting_approval: bool,
    /// Only instructions with a smaller sequence.
    pub before: Option<Sequence>,
    /// Rows at most.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListPage {
    /// At most as many as asked for. Fewer, even none, if the filters are so narrow that the work of
    /// one call found no more: `next` tells whether there may be more.
    pub rows: Vec<InstructionRow>,
    /// [`ListFilter::before`] of the next page; `None`: this was the last.
    pub next: Option<Sequence>,
}

/// An instruction with its current status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstructionRow {
    /// `repeated` is false.
    pub answer: InstructionAnswer,
    /// Canonical bytes.
    pub content: Vec<u8>,
    /// Time of the record that brought it.
    pub received: Timestamp,
}

/// One status change of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeRow {
    /// The input that changed it, and the change's place among all that this input changed, from 0.
    pub position: Position,
    /// The status after the change.
    pub answer: InstructionAnswer,
    /// Time of the record that changed it.
    pub time: Timestamp,
}

/// One settled instruction that credits a participant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedRow {
    /// The input that settled it, and its unit's place among the units that this input settled, from
    /// 0. Unique and rising within one participant.
    pub position: Position,
    /// The instruction.
    pub row: InstructionRow,
}

/// Where an instruction settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitRow {
    /// The instruction.
    pub instruction: Sequence,
    /// The other side, if it is a trade's: both are one leaf, in order of sequence.
    pub matched_with: Option<Sequence>,
    /// The batch.
    pub batch: BatchNumber,
    /// The leaf.
    pub member_index: u32,
}

/// Which batches to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchFilter {
    /// Only batches of this cycle.
    pub cycle: Option<CycleName>,
    /// Only batches with a smaller number: the last one of the page before.
    pub before: Option<BatchNumber>,
    /// Rows at most.
    pub limit: usize,
}

/// A closed batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRow {
    /// From 1.
    pub number: BatchNumber,
    /// `None` for a gross batch.
    pub cycle: Option<CycleName>,
    /// Time of the record that closed it.
    pub time: Timestamp,
    /// Units (a matched trade is one) and movements.
    pub members: u64,
    /// The input that closed it.
    pub sequence: Sequence,
    /// Of the run that settled it, or of its tick's gridlock run.
    pub certificate_hash: Option<[u8; 32]>,
    /// `None` of a cycle's batch that the read model took in before it kept this.
    pub order: Option<RunOrder>,
    /// Empty in a list.
    pub postings: Vec<PostingRow>,
    /// Its entry in the log, once anchored.
    pub anchor: Option<AnchorRow>,
}

/// Whether what settled together kept every queue's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunOrder {
    /// Nothing settled before what waits ahead of it; that nothing more could, in order, is proven.
    Kept,
    /// Something did.
    Bypassed {
        /// Whether it is proven that nothing larger could have settled.
        optimal: bool,
    },
}

impl RunOrder {
    /// Of a batch that is as it is in an event.
    pub fn of(bypassed: Option<bool>) -> Self {
        bypassed.map_or(Self::Kept, |optimal| Self::Bypassed { optimal })
    }

    /// Whether it is proven that nothing more could have settled, given the order.
    pub fn is_optimal(self) -> bool {
        match self {
            Self::Kept => true,
            Self::Bypassed { optimal } => optimal,
        }
    }
}

/// One account's change in one batch, in the batch's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PostingRow {
    /// The account's; of a mirror account the settlement agent.
    pub participant: Bic,
    /// With decimals, to print by.
    pub asset: AssetView,
    /// It is the agent's mirror account.
    pub mirror: bool,
    /// Minor units; positive is received.
    pub amount: i128,
    /// Minor units, after the batch.
    pub balance: i128,
}

/// A batch's place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnchorRow {
    /// From 0.
    pub log_index: u64,
    /// The log entry: the batch's header as text.
    pub header: String,
}
