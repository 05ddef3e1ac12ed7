//! What happened. An event carries all that `apply` needs, so a replay never decides again.

use crate::command::{
    AccountLine, AssetCutOff, AssetDay, AssetLine, Caller, CutOffPurpose, CutOffs, LimitLine,
    MovementKind, ParticipantState, Position, QuoteLimitLine, QuoteRequest, QuoteTerms, RateLine,
    RateRules, Reservation, Token,
};
use crate::conditions::Conditions;
use crate::ids::{
    AccountId, AssetId, BatchNumber, Bic, CycleName, Date, ParticipantId, Sequence, Timestamp,
};
use crate::instruction::{Digest, Identity, Lane, LegKind, Priority, ShortText};
use crate::rejection::Rejection;
use crate::risk::{FrozenValue, RiskLine};
use crate::run::Cap;
use fx::AssetCode;
use minicbor::{Decode, Encode};

/// A leg between accounts, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct OrderLeg {
    #[n(0)]
    pub debtor: AccountId,
    #[n(1)]
    pub creditor: AccountId,
    #[n(2)]
    pub amount: i64,
    #[n(3)]
    pub kind: LegKind,
}

/// An accepted instruction.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Order {
    #[n(0)]
    pub identity: Identity,
    #[n(1)]
    pub instructing: ParticipantId,
    #[n(2)]
    pub digest: Digest,
    #[n(3)]
    pub lane: Lane,
    #[n(4)]
    pub priority: Priority,
    #[n(5)]
    pub created: Timestamp,
    #[n(6)]
    pub value_date: Date,
    /// 1 to 16. Up to two are held in place: see [`Legs`].
    #[n(7)]
    pub legs: Legs,
    /// The quote that it consumed: its provider, and the provider's id of it.
    #[n(8)]
    pub quote: Option<(ParticipantId, ShortText)>,
    /// What two sides of one trade have alike: the first 16 bytes of the SHA-256 of parties, value
    /// date, lane, assets, amounts and trade reference.
    #[n(9)]
    pub trade: Option<Digest>,
    #[n(10)]
    pub conditions: Option<Box<Conditions>>,
}

/// 1 to 16 legs; one or two, which is nearly always, without an allocation.
#[derive(Clone, Debug)]
pub enum Legs {
    /// One.
    One([OrderLeg; 1]),
    /// Two.
    Two([OrderLeg; 2]),
    /// Three to 16.
    Many(Box<[OrderLeg]>),
}

impl Legs {
    /// Takes 1 to 16 legs.
    pub fn new(legs: &[OrderLeg]) -> Self {
        match legs {
            [one] => Self::One([*one]),
            [one, two] => Self::Two([*one, *two]),
            many => Self::Many(many.into()),
        }
    }
}

impl std::ops::Deref for Legs {
    type Target = [OrderLeg];
    fn deref(&self) -> &[OrderLeg] {
        match self {
            Self::One(legs) => legs,
            Self::Two(legs) => legs,
            Self::Many(legs) => legs,
        }
    }
}

impl PartialEq for Legs {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Legs {}

impl<C> Encode<C> for Legs {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.len() as u64)?;
        self.iter().try_for_each(|leg| leg.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Legs {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        match d.array()? {
            Some(1) => Ok(Self::One([OrderLeg::decode(d, ctx)?])),
            Some(2) => Ok(Self::Two([
                OrderLeg::decode(d, ctx)?,
                OrderLeg::decode(d, ctx)?,
            ])),
            Some(count @ 3..=16) => (0..count)
                .map(|_| OrderLeg::decode(d, ctx))
                .collect::<Result<_, _>>()
                .map(Self::Many),
            _ => Err(minicbor::decode::Error::message(
                "an order has 1 to 16 legs",
            )),
        }
    }
}

/// Where an accepted instruction went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Entry {
    /// Gross, and settled at once, in the batch now open.
    #[n(0)]
    Settled,
    /// Gross, in the queues of the accounts that it debits.
    #[n(1)]
    Queued,
    /// Net, a member of this open cycle.
    #[n(2)]
    Member(#[n(0)] CycleName),
    /// A trade side that waits for the other.
    #[n(3)]
    Unmatched,
    /// It waits until its own conditions are true.
    #[n(4)]
    Conditional,
    /// It waits for the others of its group.
    #[n(5)]
    Grouped,
}

/// One account's change, or its balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AccountAmount {
    #[n(0)]
    pub account: AccountId,
    /// Minor units.
    #[n(1)]
    pub amount: i64,
}

/// One agent's mirror account's change, or its balance: what it holds, as a negative amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct MirrorAmount {
    #[n(0)]
    pub asset: AssetId,
    /// Minor units.
    #[n(1)]
    pub amount: i128Cbor,
}

/// `i128` in CBOR: 16 bytes, big endian.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct i128Cbor(pub i128);

impl<C> Encode<C> for i128Cbor {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0.to_be_bytes())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for i128Cbor {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?.try_into();
        let bytes = bytes.map_err(|_| minicbor::decode::Error::message("an i128 has 16 bytes"))?;
        Ok(Self(i128::from_be_bytes(bytes)))
    }
}

/// What a batch settles together, as it closes.
///
/// Members, in leaf order: a gross batch's are the units and movements settled since the gross batch
/// before it, in the order of their events; a cycle batch's are the units of its run's bitmap, in queue
/// order. A matched trade is one unit. Postings include the agents' mirrors, and sum to zero per asset.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)]
pub struct Batch {
    #[n(0)]
    pub number: BatchNumber,
    #[n(1)]
    pub cycle: Option<CycleName>,
    #[n(2)]
    pub member_count: u32,
    /// By account; only accounts that it changed (net zero included, if touched).
    #[n(3)]
    pub postings: Vec<AccountAmount>,
    #[n(4)]
    pub mirror_postings: Vec<MirrorAmount>,
    /// Balance after the batch (funds included) of each account in `postings`.
    #[n(5)]
    pub balances: Vec<AccountAmount>,
    #[n(6)]
    pub mirror_balances: Vec<MirrorAmount>,
    /// Of the run that settled it, or of the tick's gridlock run if there was one.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub certificate_hash: Option<[u8; 32]>,
    /// Secret: members' salts come from it. Never leaves the journal.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub seed: [u8; 32],
    /// Of a run that bypassed order: whether nothing larger could have settled.
    #[n(9)]
    pub bypassed: Option<bool>,
}

/// Without the seed, which opens every commitment: errors and logs show events.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("number", &self.number)
            .field("cycle", &self.cycle)
            .field("member_count", &self.member_count)
            .field("postings", &self.postings)
            .field("mirror_postings", &self.mirror_postings)
            .field("balances", &self.balances)
            .field("mirror_balances", &self.mirror_balances)
            .field("certificate_hash", &self.certificate_hash)
            .field("bypassed", &self.bypassed)
            .finish_non_exhaustive()
    }
}

/// One line of a cycle's schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct ScheduleLine {
    #[n(0)]
    pub account: AccountId,
    /// Multilateral net of the members that are not held.
    #[n(1)]
    pub net: i64,
    #[n(2)]
    pub pay_in_due: i64,
    #[n(3)]
    pub pay_out_due: i64,
}

/// What a cycle takes from the calendar as it opens; later changes of the calendar leave it as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct CycleCalendar {
    /// The first 16 bytes of the SHA-256 of all that instants are worked out from: holiday figures, zone
    /// data, and the scheme's days and cut-offs.
    #[n(0)]
    pub version: Digest,
    /// By asset and purpose, of assets with cut-offs of their own.
    #[n(1)]
    pub cut_offs: Vec<CutOffInstant>,
}

/// One asset's cut-off for one purpose, as an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct CutOffInstant {
    #[n(0)]
    pub asset: AssetId,
    #[n(1)]
    pub purpose: CutOffPurpose,
    #[n(2)]
    pub instant: Timestamp,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub enum Event {
    // --- instructions -------------------------------------------------------------------------
    /// The input's instruction entered (its sequence is the input's).
    #[n(0)]
    Accepted {
        #[n(0)]
        order: Order,
        #[n(1)]
        entry: Entry,
    },
    /// The input's instruction was refused.
    #[n(1)]
    Refused {
        #[n(0)]
        identity: Identity,
        #[n(1)]
        digest: Digest,
        /// False for AM05: the identity stays the first one's.
        #[n(2)]
        remembered: bool,
        #[n(3)]
        rejection: Rejection,
    },
    /// Two trade sides became one unit; its place in the queues is the second's.
    #[n(2)]
    Matched {
        #[n(0)]
        first: Sequence,
        #[n(1)]
        second: Sequence,
        /// Not `Unmatched` or `Conditional`.
        #[n(2)]
        entry: Entry,
    },
    /// A queued unit (named by its last instruction) settled in the batch now open.
    #[n(3)]
    Settled {
        #[n(0)]
        unit: Sequence,
    },
    /// An accepted instruction was rejected later; it leaves its queue or cycle, and so does the
    /// other side of its trade.
    #[n(4)]
    Rejected {
        #[n(0)]
        sequence: Sequence,
        #[n(1)]
        rejection: Rejection,
    },
    #[n(5)]
    Cancelled {
        #[n(0)]
        sequence: Sequence,
    },
    /// A waiting unit or member is held, since a party is suspended; or is no longer.
    #[n(6)]
    Held {
        #[n(0)]
        unit: Sequence,
        #[n(1)]
        held: bool,
    },

    /// A participant approved an instruction that waits for it.
    #[n(75)]
    Approved {
        #[n(0)]
        sequence: Sequence,
        #[n(1)]
        approver: Bic,
    },
    /// The preimage of an instruction's hash lock was shown.
    #[n(76)]
    PreimageShown {
        #[n(0)]
        sequence: Sequence,
        #[cbor(n(1), with = "minicbor::bytes")]
        preimage: Vec<u8>,
    },
    /// The last of an instruction's own conditions is true; its place is that of this input.
    #[n(77)]
    Released {
        #[n(0)]
        sequence: Sequence,
        /// Not `Conditional`.
        #[n(1)]
        entry: Entry,
    },
    /// All of a group are ready and became one unit, named by the last; its place is that of this input.
    #[n(78)]
    GroupFormed {
        /// Its units (instructions and matched trades, each by its name), in the order in which they
        /// became ready: that of their leaves.
        #[n(0)]
        units: Vec<Sequence>,
        /// `Settled`, `Queued` or `Member`.
        #[n(1)]
        entry: Entry,
    },
    /// A queued unit has another priority; it keeps its place in time.
    #[n(79)]
    PrioritySet {
        #[n(0)]
        unit: Sequence,
        #[n(1)]
        priority: Priority,
    },

    // --- movements ----------------------------------------------------------------------------
    #[n(10)]
    Moved {
        #[n(0)]
        kind: MovementKind,
        #[n(1)]
        account: AccountId,
        /// Minor units, positive.
        #[n(2)]
        amount: i64,
        #[n(3)]
        cycle: Option<CycleName>,
    },

    // --- cycles and batches -------------------------------------------------------------------
    #[n(20)]
    CycleOpened {
        #[n(0)]
        cycle: CycleName,
        #[n(1)]
        cut_off: Timestamp,
        #[n(2)]
        pay_in_deadline: Timestamp,
        #[n(3)]
        completion_deadline: Timestamp,
        /// What the calendar said then; `None` in records from before there was one.
        #[n(10)]
        calendar: Option<CycleCalendar>,
    },
    #[n(21)]
    CycleClosed {
        #[n(0)]
        cycle: CycleName,
    },
    /// What assets count for in the cycle that has just closed, by asset; one without a rate is left out.
    #[n(82)]
    CycleValued {
        #[n(0)]
        cycle: CycleName,
        #[n(1)]
        values: Vec<FrozenValue>,
    },
    /// A schedule: version 1 by netting, the next by a suspension.
    #[n(22)]
    CycleScheduled {
        #[n(0)]
        cycle: CycleName,
        #[n(1)]
        version: u32,
        #[n(2)]
        reason: String,
        #[n(3)]
        lines: Vec<ScheduleLine>,
        /// Value of legs and of pay-ins in the base asset at the frozen valuation rates: numerators
        /// over one denominator (10^12 minor units).
        #[n(4)]
        gross_value: i128Cbor,
        #[n(5)]
        net_value: i128Cbor,
    },
    /// A run settled members: one bit per unit in queue order of the units that were unsettled and not
    /// held before.
    #[n(23)]
    CycleRan {
        #[n(0)]
        cycle: CycleName,
        #[cbor(n(1), with = "minicbor::bytes")]
        settled: Vec<u8>,
        #[n(2)]
        batch: Batch,
        /// Bilateral caps as the run read them.
        #[cbor(n(3), default)]
        caps: Vec<Cap>,
    },
    /// What is left of funds is free again. Unsettled members went to the next open cycle of the value
    /// date (`into`), or are rejected by events of their own.
    #[n(24)]
    CycleCompleted {
        #[n(0)]
        cycle: CycleName,
        #[n(1)]
        into: Option<CycleName>,
    },
    /// The gross batch that was open is closed.
    #[n(25)]
    GrossBatchClosed(#[n(0)] Batch),
    /// A run found that no more members can settle until funds or members change.
    #[n(26)]
    CycleRanEmpty {
        #[n(0)]
        cycle: CycleName,
        /// Proves it.
        #[cbor(n(1), with = "minicbor::bytes")]
        certificate_hash: [u8; 32],
        /// Bilateral caps as the run read them.
        #[cbor(n(2), default)]
        caps: Vec<Cap>,
    },

    // --- scheme -------------------------------------------------------------------------------
    #[n(30)]
    SchemeNamed {
        #[n(0)]
        name: ShortText,
        #[n(1)]
        base_asset: AssetCode,
    },
    /// New (its id is the next), or changed (same code).
    #[n(31)]
    AssetSet(#[n(0)] AssetLine),
    #[n(32)]
    ParticipantSet {
        #[n(0)]
        bic: Bic,
        #[n(1)]
        name: String,
        #[n(2)]
        state: ParticipantState,
    },
    #[n(33)]
    AccountSet(#[n(0)] AccountLine),
    #[n(34)]
    LimitSet(#[n(0)] LimitLine),
    #[n(35)]
    CutOffsSet(#[n(0)] CutOffs),
    #[n(81)]
    RiskSet(#[n(0)] RiskLine),
    #[n(80)]
    ReservationSet(#[n(0)] Reservation),
    #[n(36)]
    TokenSet(#[n(0)] Token),
    #[n(37)]
    TokenRevoked {
        #[n(0)]
        label: ShortText,
    },
    #[n(38)]
    TimeSet(#[n(0)] Timestamp),
    /// Set, changed, or lifted.
    #[n(65)]
    AssetCutOffSet(#[n(0)] AssetCutOff),
    #[n(66)]
    AssetDaySet(#[n(0)] AssetDay),

    // --- rates and quotes ---------------------------------------------------------------------
    #[n(40)]
    RatesSet(#[n(0)] Vec<RateLine>),
    /// The set of each source in it is replaced; others stay. (`RatesSet`, which records of before there
    /// were providers have, replaces all.)
    #[n(42)]
    ProviderRatesSet(#[n(0)] Vec<RateLine>),
    #[n(43)]
    RateRulesSet(#[n(0)] RateRules),
    #[n(44)]
    QuoteRequested {
        #[n(0)]
        taker: ParticipantId,
        #[n(1)]
        request: QuoteRequest,
    },
    #[n(45)]
    QuoteLimitSet(#[n(0)] QuoteLimitLine),
    /// With both amounts, and what rounding gave or took: `source x rate = target + residual`.
    #[n(41)]
    QuoteLocked {
        #[n(0)]
        provider: ParticipantId,
        #[n(1)]
        terms: QuoteTerms,
        #[n(2)]
        source_amount: i64,
        #[n(3)]
        target_amount: i64,
        #[n(4)]
        residual_numerator: i128Cbor,
        #[n(5)]
        residual_denominator: i128Cbor,
    },

    // --- old identities -----------------------------------------------------------------------
    /// What is final of the inputs before a sequence is to leave memory for the files.
    #[n(70)]
    IdentitiesAged {
        /// From 1.
        #[n(0)]
        number: u64,
        /// Of the last of those inputs' day.
        #[n(1)]
        day: Date,
        #[n(2)]
        before: Sequence,
    },
    /// A file holds it: it left.
    #[n(71)]
    IdentitiesLeft {
        #[n(0)]
        number: u64,
    },

    // --- callers ------------------------------------------------------------------------------
    /// The input's command is remembered under its request id.
    #[n(50)]
    Requested {
        #[n(0)]
        caller: Caller,
        #[n(1)]
        request_id: ShortText,
        #[n(2)]
        digest: Digest,
        /// For retention.
        #[n(3)]
        created: Timestamp,
    },
    #[n(51)]
    Acknowledged {
        #[n(0)]
        participant: ParticipantId,
        #[n(1)]
        position: Position,
    },
}
