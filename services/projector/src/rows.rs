//! What is written: the rows that records add and change, as plain values of the core's types, in
//! the form that any [`Store`](crate::Store) can take.

use settlement_core::command::{
    AccountState, AssetLine, MovementKind, ParticipantState, Position, QuoteTerms,
};
use settlement_core::ids::{
    AccountId, AssetId, BatchNumber, Bic, CycleName, Date, ParticipantId, Sequence, Timestamp,
};
use settlement_core::instruction::{Identity, Lane, LegKind, Priority, ShortText};
use settlement_core::rows::RunOrder;
use settlement_core::view::Status;
use std::collections::BTreeMap;

/// What a participant is to an instruction; several may hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Roles(pub u8);

impl Roles {
    /// Sent it.
    pub const INSTRUCTING: Self = Self(1);
    /// Is debited by a leg.
    pub const DEBTOR: Self = Self(2);
    /// Is credited by a leg.
    pub const CREDITOR: Self = Self(4);
    /// Is named as one of those that may approve it.
    pub const APPROVER: Self = Self(8);
    /// Has approved it.
    pub const APPROVED: Self = Self(16);
    /// Of those whose money it moves, and who sent it.
    pub const PRINCIPALS: Self = Self(1 | 2 | 4);

    /// Whether it has every role of `other`.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the roles of `other` as well.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A new instruction, refused or not, with its status so far.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct InstructionAdded {
    pub sequence: Sequence,
    /// What large tables are parted by: its value date, or the date that it came in if it was refused.
    pub day: Date,
    pub identity: Identity,
    /// `None` if it was refused: the refusal does not say.
    pub order: Option<OrderAdded>,
    /// When the record that brought it was written.
    pub received: Timestamp,
    /// Canonical bytes.
    pub content: Vec<u8>,
    /// `None` only until its first change, which is of the same input.
    pub standing: Standing,
}

/// What is known of an accepted instruction only.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct OrderAdded {
    pub lane: Lane,
    pub priority: Priority,
    pub created: Timestamp,
    pub value_date: Date,
    /// Codes of its legs' assets, each once, each between spaces: ` EUR USD `.
    pub assets: String,
    /// The quote that it consumed: its provider, and the provider's id of it.
    pub quote: Option<(ParticipantId, ShortText)>,
}

/// A leg of an accepted instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct LegAdded {
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
    /// From 0.
    pub index: u8,
    pub kind: LegKind,
    pub debtor: ParticipantId,
    pub creditor: ParticipantId,
    pub asset: AssetId,
    /// Minor units.
    pub amount: i64,
}

/// Where an instruction stands: the part of its row that changes. `None` leaves a column as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The newest status, with the other side of its trade.
    pub status: Option<(Status, Option<Sequence>)>,
    /// The cycle that it is, or was last, a member of.
    pub cycle: Option<CycleName>,
    /// Once settled: its leaf in the batch.
    pub member_index: Option<u32>,
    /// Its place in the gross lane's queues, once it has waited there.
    pub queued: Option<QueuePlace>,
}

/// A place in the gross lane's queues: first by priority, then by rank, then by unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct QueuePlace {
    pub priority: Priority,
    /// The input that gives the place among those of one priority.
    pub rank: Sequence,
    /// What settles together is named by one of its instructions.
    pub unit: Sequence,
}

/// What changed of an instruction whose row is already there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct StandingChanged {
    /// The instruction's.
    pub day: Date,
    pub standing: Standing,
}

impl Standing {
    /// Takes over what `newer` says.
    pub fn update(&mut self, newer: &Self) {
        self.status = newer.status.or(self.status);
        self.cycle = newer.cycle.or(self.cycle);
        self.member_index = newer.member_index.or(self.member_index);
        self.queued = newer.queued.or(self.queued);
    }
}

/// A participant is party to an instruction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub struct PartyAdded {
    pub participant: ParticipantId,
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
    pub roles: Roles,
}

/// A named approver has approved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub struct ApprovalAdded {
    pub participant: ParticipantId,
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
}

/// A status change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ChangeAdded {
    pub position: Position,
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
    pub status: Status,
    pub matched_with: Option<Sequence>,
    pub time: Timestamp,
}

impl ChangeAdded {
    /// An instruction's entry is the first change of its own input: whoever is party to the
    /// instruction finds it there, so it needs no row per party.
    pub fn is_entry(&self) -> bool {
        self.position.sequence == self.instruction && self.position.index == 0
    }
}

/// Something at a position concerns a participant: a change that is no entry, or a credit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub struct Concern {
    pub participant: ParticipantId,
    pub position: Position,
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
}

/// An instruction settled as (part of) a member of a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub struct MemberAdded {
    pub batch: BatchNumber,
    pub instruction: Sequence,
    /// The instruction's.
    pub day: Date,
    pub member_index: u32,
}

/// A movement, in the gross batch then open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct MovementAdded {
    /// Its command's.
    pub sequence: Sequence,
    pub kind: MovementKind,
    pub participant: ParticipantId,
    pub asset: AssetId,
    /// Minor units, positive.
    pub amount: i64,
    /// Whose fund it goes to, or leaves.
    pub cycle: Option<CycleName>,
    pub batch: BatchNumber,
    pub time: Timestamp,
}

/// A quote that a provider locked, with what rounding gave or took.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct QuoteAdded {
    pub provider: ParticipantId,
    pub sequence: Sequence,
    pub terms: QuoteTerms,
    /// The asset whose amount was computed and rounded.
    pub asset: AssetId,
    /// What rounding gave the provider (above zero) or took, in minor units: over the denominator.
    pub gain: i128,
    /// Positive.
    pub denominator: i128,
}

/// A closed batch.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct BatchAdded {
    pub number: BatchNumber,
    pub cycle: Option<CycleName>,
    pub time: Timestamp,
    pub sequence: Sequence,
    pub member_count: u32,
    pub certificate_hash: Option<[u8; 32]>,
    pub order: RunOrder,
    pub postings: Vec<PostingAdded>,
}

/// One account's, or one agent's mirror account's, change in a batch, and its balance after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct PostingAdded {
    /// The participant, or the agent.
    pub holder: Bic,
    pub asset: AssetId,
    pub mirror: bool,
    /// Minor units.
    pub amount: i128,
    /// Minor units, funds included.
    pub balance: i128,
}

/// A cycle's column that an event sets.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum CycleChange {
    Opened {
        cut_off: Timestamp,
        pay_in_deadline: Timestamp,
        completion_deadline: Timestamp,
        /// Of assets with pay-in deadlines of their own: the earlier of the two counts.
        pay_in_cut_offs: Vec<(AssetId, Timestamp)>,
    },
    Closed {
        /// By this input: pay-ins after it count against the schedule.
        sequence: Sequence,
    },
    Scheduled {
        version: u32,
        reason: String,
        lines: Vec<ScheduleAdded>,
    },
    Completed {
        into: Option<CycleName>,
    },
}

/// What one account owes to a cycle, or is owed by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ScheduleAdded {
    pub participant: ParticipantId,
    pub asset: AssetId,
    /// Minor units, as all three.
    pub net: i64,
    pub pay_in_due: i64,
    pub pay_out_due: i64,
}

/// A line of the directory, new or changed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum DirectoryChange {
    Asset {
        id: AssetId,
        line: AssetLine,
    },
    Participant {
        id: ParticipantId,
        bic: Bic,
        name: String,
        state: ParticipantState,
    },
    Account {
        id: AccountId,
        participant: ParticipantId,
        asset: AssetId,
        state: AccountState,
    },
}

/// Rows of consecutive inputs, in the order of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Rows {
    pub instructions: Vec<InstructionAdded>,
    pub legs: Vec<LegAdded>,
    /// Of instructions in earlier rows.
    pub standings: BTreeMap<Sequence, StandingChanged>,
    pub parties: Vec<PartyAdded>,
    /// Of instructions in these rows or earlier ones.
    pub approvals: Vec<ApprovalAdded>,
    pub changes: Vec<ChangeAdded>,
    /// Of changes that are no entries.
    pub concerns: Vec<Concern>,
    pub credits: Vec<Concern>,
    pub members: Vec<MemberAdded>,
    pub movements: Vec<MovementAdded>,
    pub quotes: Vec<QuoteAdded>,
    pub batches: Vec<BatchAdded>,
    pub cycles: Vec<(CycleName, CycleChange)>,
    pub directory: Vec<DirectoryChange>,
}

impl Rows {
    /// Rows in all, about: what bounds a write.
    pub fn count(&self) -> usize {
        // An instruction's content is a row of its own.
        self.instructions.len() * 2
            + self.legs.len()
            + self.standings.len()
            + self.parties.len()
            + self.approvals.len()
            + self.changes.len()
            + self.concerns.len()
            + self.credits.len()
            + self.members.len()
            + self.movements.len()
            + self.quotes.len()
            + self.batches.len()
            + self.cycles.len()
            + self.directory.len()
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Sets where an instruction stands: in its own row if that is among these, else by an update.
    /// `day` is the instruction's.
    pub fn stand(&mut self, instruction: Sequence, day: Date, newer: &Standing) {
        match self
            .instructions
            .binary_search_by_key(&instruction, |added| added.sequence)
        {
            Ok(at) => self.instructions[at].standing.update(newer),
            Err(_) => {
                let changed = self.standings.entry(instruction);
                let standing = Standing::default();
                let changed = changed.or_insert(StandingChanged { day, standing });
                changed.standing.update(newer);
            }
        }
    }

    /// Sorts what goes into tables that are ordered by participant, so that each page of them is
    /// touched once. Stable results: positions are unique per participant.
    pub fn sort(&mut self) {
        self.parties.sort_unstable();
        self.concerns.sort_unstable();
        self.credits.sort_unstable();
        self.members.sort_unstable();
    }

    /// Empties all, and keeps the memory.
    pub fn clear(&mut self) {
        self.instructions.clear();
        self.legs.clear();
        self.standings.clear();
        self.parties.clear();
        self.approvals.clear();
        self.changes.clear();
        self.concerns.clear();
        self.credits.clear();
        self.members.clear();
        self.movements.clear();
        self.quotes.clear();
        self.batches.clear();
        self.cycles.clear();
        self.directory.clear();
    }
}
