//! Every write that is not an instruction. Each carries its caller, a `request_id` and a creation time.

use crate::ids::{Bic, CycleName, Date, Sequence, Timestamp, Uetr};
use crate::instruction::{Digest, Identity, Kind, Priority, ShortText};
use crate::risk::RiskLine;
use fx::calendar::{DayChange, LocalCutoff};
use fx::{AssetCode, Pair, Rounding};
use minicbor::{Decode, Encode};
use rust_decimal::Decimal;

/// Who calls, as its token says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum Caller {
    /// A correspondent bank; a provider of quotes is one too.
    #[n(0)]
    Participant(#[n(0)] Bic),
    /// A settlement agent.
    #[n(1)]
    Agent(#[n(0)] Bic),
    /// Runs the scheme and its jobs.
    #[n(2)]
    Operator,
    /// Reads everything but the journal, writes nothing.
    #[n(3)]
    Treasury,
    /// Reads everything and follows the journal, writes nothing.
    #[n(4)]
    Auditor,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Command {
    /// Who calls; the core checks that it may.
    #[n(0)]
    pub caller: Caller,
    /// Per caller; the same id with the same digest gets the same answer, with another DU05.
    #[n(1)]
    pub request_id: ShortText,
    /// When the caller made it.
    #[n(2)]
    pub created: Timestamp,
    /// Of the request's content without `created`.
    #[n(3)]
    pub digest: Digest,
    /// What to do.
    #[n(4)]
    pub action: Action,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Action {
    /// Adds and changes what differs; removes nothing. Operator.
    #[n(0)]
    ApplyScheme(#[n(0)] Scheme),
    /// Suspends or reinstates. Operator.
    #[n(1)]
    SetParticipantState {
        /// Whom.
        #[n(0)]
        bic: Bic,
        /// The new state.
        #[n(1)]
        state: ParticipantState,
        /// For the schedule that a suspension replaces; at most 140 characters.
        #[n(2)]
        reason: String,
    },
    /// Opens, blocks, or closes (only at balance zero). Operator.
    #[n(2)]
    SetAccountState(#[n(0)] AccountLine),
    /// Sets or lifts one limit. Operator.
    #[n(3)]
    SetLimit(#[n(0)] LimitLine),
    /// Stores a token's hash. Operator.
    #[n(4)]
    CreateToken(#[n(0)] Token),
    /// Operator.
    #[n(5)]
    RevokeToken {
        /// The token's label.
        #[n(0)]
        label: ShortText,
    },
    /// Rehearsal schemes only; never goes back. Operator.
    #[n(6)]
    SetTime(#[n(0)] Timestamp),
    /// Replaces the rate set of each source in it. Operator.
    #[n(7)]
    SetRates(#[n(0)] Vec<RateLine>),
    /// Participant, as provider.
    #[n(8)]
    LockQuote(#[n(0)] QuoteTerms),
    /// Operator. Instants that are `None` come from the scheme's cut-offs on the value date.
    #[n(9)]
    OpenCycle {
        /// Which.
        #[n(0)]
        cycle: CycleName,
        /// From here on no instruction joins.
        #[n(1)]
        cut_off: Option<Timestamp>,
        /// From here on it runs with what is paid in.
        #[n(2)]
        pay_in_deadline: Option<Timestamp>,
        /// From here on it may complete with members left behind.
        #[n(3)]
        completion_deadline: Option<Timestamp>,
    },
    /// Operator.
    #[n(10)]
    CloseCycle(#[n(0)] CycleName),
    /// Operator.
    #[n(11)]
    NetCycle(#[n(0)] CycleName),
    /// Operator. Asks for a run; from the completion deadline on also completes.
    #[n(12)]
    SettleCycle(#[n(0)] CycleName),
    /// The asset's agent; a transfer: the participant.
    #[n(13)]
    Move(#[n(0)] Movement),
    /// The instructing participant.
    #[n(14)]
    Cancel {
        /// Of the instruction.
        #[n(0)]
        uetr: Uetr,
        /// Of the instruction.
        #[n(1)]
        kind: Kind,
    },
    /// Participant: received settled instructions up to and including this position.
    #[n(15)]
    Acknowledge(#[n(0)] Position),
    /// A participant that the instruction names; again is no change.
    #[n(35)]
    Approve(#[n(0)] Identity),
    /// Shows what an instruction's hash lock is the SHA-256 of; any participant, or the operator.
    #[n(36)]
    ShowPreimage {
        /// Of which instruction.
        #[n(0)]
        identity: Identity,
        /// At most 256 bytes; journaled.
        #[cbor(n(1), with = "minicbor::bytes")]
        preimage: Vec<u8>,
    },
    /// Keeps an amount of an account for gross instructions of a priority or above; the participant
    /// itself, or the operator.
    #[n(38)]
    SetReservation(#[n(0)] Reservation),
    /// Sets one risk rule. Operator.
    #[n(39)]
    SetRisk(#[n(0)] RiskLine),
    /// The instructing participant, of a gross instruction that waits in the queues.
    #[n(37)]
    SetPriority {
        /// Of the instruction.
        #[n(0)]
        uetr: Uetr,
        /// Of the instruction.
        #[n(1)]
        kind: Kind,
        /// The new one; its place in time stays.
        #[n(2)]
        priority: Priority,
    },
    /// Replaces what holds for all rates. Operator.
    #[n(20)]
    SetRateRules(#[n(0)] RateRules),
    /// Participant, as taker.
    #[n(21)]
    RequestQuote(#[n(0)] QuoteRequest),
    /// Sets or lifts a provider's limit. Operator.
    #[n(22)]
    SetQuoteLimit(#[n(0)] QuoteLimitLine),
}

/// Where in the journal something settled: the settling input, and the unit's place among what that
/// input settled. Orders what one participant receives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
pub struct Position {
    /// The input.
    #[n(0)]
    pub sequence: Sequence,
    /// From 0.
    #[n(1)]
    pub index: u32,
}

/// A scheme as described by its file.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Scheme {
    /// 1 to 35 characters; fixed by the first description.
    #[n(0)]
    pub name: ShortText,
    /// Totals are valued in it; fixed by the first description.
    #[n(1)]
    pub base_asset: AssetCode,
    #[n(2)]
    pub assets: Vec<AssetLine>,
    #[n(3)]
    pub participants: Vec<ParticipantLine>,
    #[n(4)]
    pub accounts: Vec<AccountLine>,
    #[n(5)]
    pub limits: Vec<LimitLine>,
    #[n(6)]
    pub cut_offs: Option<CutOffs>,
    #[cbor(n(30), default)]
    pub asset_cut_offs: Vec<AssetCutOff>,
    #[cbor(n(31), default)]
    pub days: Vec<AssetDay>,
    #[cbor(n(40), default)]
    pub risk: Vec<RiskLine>,
}

/// An asset, its decimals (0 to 8, fixed at registration) and its settlement agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AssetLine {
    #[n(0)]
    pub code: AssetCode,
    #[n(1)]
    pub decimals: u8,
    #[n(2)]
    pub agent: Bic,
    #[n(3)]
    pub enabled: bool,
}

/// Takes part, or is suspended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum ParticipantState {
    #[n(1)]
    Active,
    #[n(2)]
    Suspended,
}

/// A participant; `state` is taken at registration only, later changes are [`Action::SetParticipantState`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct ParticipantLine {
    #[n(0)]
    pub bic: Bic,
    /// At most 70 characters.
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub state: ParticipantState,
}

/// Takes debits and credits, neither, or is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum AccountState {
    #[n(1)]
    Open,
    #[n(2)]
    Blocked,
    #[n(3)]
    Closed,
}

/// One participant's balance in one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AccountLine {
    #[n(0)]
    pub participant: Bic,
    #[n(1)]
    pub asset: AssetCode,
    #[n(2)]
    pub state: AccountState,
}

/// Without `counterparty`: the most that one instruction may debit the account. With it: the most
/// that the account may have paid the counterparty, net of what came back, on one value date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct LimitLine {
    #[n(0)]
    pub participant: Bic,
    #[n(1)]
    pub asset: AssetCode,
    #[n(2)]
    pub counterparty: Option<Bic>,
    /// Minor units; `None` lifts the limit.
    #[n(3)]
    pub amount: Option<i64>,
}

/// An amount of an account that only gross instructions of at least a priority may use. It is a floor,
/// not a purse: using it does not lower it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Reservation {
    #[n(0)]
    pub participant: Bic,
    #[n(1)]
    pub asset: AssetCode,
    /// High or urgent.
    #[n(2)]
    pub priority: Priority,
    /// Minor units; 0 lifts it.
    #[n(3)]
    pub amount: i64,
}

/// Local times of a value date, in one zone. Minutes after midnight.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct CutOffs {
    /// IANA name.
    #[n(0)]
    pub zone: String,
    #[n(1)]
    pub close_minutes: u16,
    #[n(2)]
    pub pay_in_minutes: u16,
    #[n(3)]
    pub completion_minutes: u16,
}

/// What an asset's cut-off ends, on a value date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum CutOffPurpose {
    /// Payments: a customer's money.
    #[n(1)]
    Customer,
    /// Covers, returns and trade sides: the banks' own.
    #[n(2)]
    Interbank,
    /// Cancelling.
    #[n(3)]
    Cancel,
    /// Paying in on time; never later than the cycle's own deadline.
    #[n(4)]
    PayIn,
    /// Joining a cycle.
    #[n(5)]
    Close,
}

/// One asset's cut-off for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AssetCutOff {
    #[n(0)]
    pub asset: AssetCode,
    #[n(1)]
    pub purpose: CutOffPurpose,
    /// `None` lifts it.
    #[n(2)]
    pub cut_off: Option<LocalCutoff>,
    /// It is on so many business days of the asset before the value date; 0 to
    /// [`CUT_OFF_DAYS_BEFORE_MAX`].
    #[n(3)]
    pub days_before: u8,
}

/// How many business days before the value date a cut-off may be.
pub const CUT_OFF_DAYS_BEFORE_MAX: u8 = 5;

/// One date of one asset, as the scheme has it, whatever the published holidays are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AssetDay {
    #[n(0)]
    pub asset: AssetCode,
    #[n(1)]
    pub date: Date,
    #[n(2)]
    pub change: DayChange,
}

/// A token: SHA-256 of its text, and whom it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Token {
    #[n(0)]
    pub label: ShortText,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    #[n(2)]
    pub caller: Caller,
}

/// One pair's rates.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct RateLine {
    #[n(0)]
    pub pair: Pair,
    #[cbor(n(1), with = "crate::record::decimal")]
    pub bid: Decimal,
    #[cbor(n(2), with = "crate::record::decimal")]
    pub ask: Decimal,
    #[n(3)]
    pub time: Timestamp,
    /// Who quotes it; at most 35 characters.
    #[n(4)]
    pub source: String,
    /// The largest size that it holds for, in units of the base; `None`: any.
    #[cbor(n(5), with = "crate::record::optional_decimal", has_nil)]
    pub size_max: Option<Decimal>,
}

/// What holds for all rates.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct RateRules {
    /// A rate whose time is longer ago in record time is no best rate; `None`: none is stale.
    #[n(0)]
    pub stale_after_ms: Option<i64>,
    /// How far the middle of a rate may be from the pair's last accepted one, as a part of that; `None`: no
    /// guard.
    #[cbor(n(1), with = "crate::record::optional_decimal", has_nil)]
    pub deviation_max: Option<Decimal>,
    /// Whose set values are taken at; `None`: the last request's.
    #[n(2)]
    pub valuation_source: Option<String>,
}

/// Which amount of a quote is given, and which is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum FixedSide {
    #[n(1)]
    Source,
    #[n(2)]
    Target,
}

/// What a provider offers one taker: the taker pays `source_asset`, the provider `target_asset`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct QuoteTerms {
    /// Unique per provider.
    #[n(0)]
    pub quote_id: ShortText,
    #[n(1)]
    pub taker: Bic,
    #[n(2)]
    pub source_asset: AssetCode,
    #[n(3)]
    pub target_asset: AssetCode,
    #[n(4)]
    pub fixed_side: FixedSide,
    /// Minor units of the fixed side.
    #[n(5)]
    pub amount: i64,
    /// Of the two assets, in either order.
    #[n(6)]
    pub pair: Pair,
    #[cbor(n(7), with = "crate::record::decimal")]
    pub rate: Decimal,
    #[n(8)]
    pub rounding: Rounding,
    #[n(9)]
    pub value_date: Date,
    /// Exclusive.
    #[n(10)]
    pub accept_until: Timestamp,
    #[n(11)]
    pub settle_by: Timestamp,
    /// The taker's request that it answers.
    #[n(12)]
    pub quote_request: Option<ShortText>,
}

/// What a taker asks providers to quote.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct QuoteRequest {
    /// Unique per taker.
    #[n(0)]
    pub id: ShortText,
    #[n(1)]
    pub source_asset: AssetCode,
    #[n(2)]
    pub target_asset: AssetCode,
    #[n(3)]
    pub fixed_side: FixedSide,
    /// Minor units of the fixed side.
    #[n(4)]
    pub amount: i64,
    #[n(5)]
    pub value_date: Date,
    /// Offers are taken before it, in record time.
    #[n(6)]
    pub offers_until: Timestamp,
    /// Who is asked, at most [`PROVIDERS_MAX`]; empty: every participant.
    #[n(7)]
    pub providers: Vec<Bic>,
}

/// Of a quote request.
pub const PROVIDERS_MAX: usize = 64;

/// What a provider's open quotes, and accepted ones that have not settled, may reserve together of its
/// account in the asset that it pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct QuoteLimitLine {
    #[n(0)]
    pub provider: Bic,
    #[n(1)]
    pub asset: AssetCode,
    /// Minor units; `None` lifts the limit.
    #[n(2)]
    pub amount: Option<i64>,
}

/// What moves between a participant's account and its agent's mirror, or its own cycle fund.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum MovementKind {
    #[n(1)]
    Deposit,
    #[n(2)]
    Withdrawal,
    #[n(3)]
    PayIn,
    #[n(4)]
    PayOut,
    #[n(5)]
    Transfer,
}

/// One movement. Its postings: the participant's account, and the agent's mirror (none for a transfer).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Movement {
    #[n(0)]
    pub kind: MovementKind,
    #[n(1)]
    pub participant: Bic,
    /// `None` if the text is no asset code (AM11).
    #[n(2)]
    pub asset: Option<AssetCode>,
    /// As sent; `None` if the text is no decimal (AM12).
    #[n(3)]
    pub mantissa: Option<i64>,
    /// Decimals of the text.
    #[n(4)]
    pub scale: u8,
    /// Whether the text had a minus sign.
    #[n(5)]
    pub negative: bool,
    /// For pay-in, pay-out and transfer.
    #[n(6)]
    pub cycle: Option<CycleName>,
}

/// Why a write was refused. Nothing was journaled; the same request may be sent again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Encode, Decode)]
pub enum Refusal {
    /// The caller's role, or whom it stands for, does not allow this.
    #[error("{0}")]
    #[n(0)]
    NotPermitted(#[n(0)] String),
    /// DU05.
    #[error("DU05: request_id {0} came before with other content")]
    #[n(1)]
    RequestIdReused(#[n(0)] ShortText),
    /// DT02.
    #[error("DT02: created is {0}")]
    #[n(2)]
    CreatedOutOfRange(#[n(0)] String),
    /// A field names something that is not there.
    #[error("{field}: {reason}")]
    #[n(3)]
    NotFound {
        /// Path of the field.
        #[n(0)]
        field: String,
        /// What is not there.
        #[n(1)]
        reason: String,
    },
    /// A field's value cannot be taken.
    #[error("{field}: {reason}")]
    #[n(4)]
    Invalid {
        /// Path of the field.
        #[n(0)]
        field: String,
        /// Why not.
        #[n(1)]
        reason: String,
    },
    /// Not in this state.
    #[error("{0}")]
    #[n(5)]
    WrongState(#[n(0)] String),
    /// Not before an instant.
    #[error("too early: {what} not before {not_before:?}")]
    #[n(6)]
    TooEarly {
        /// What was asked.
        #[n(0)]
        what: String,
        /// When it may be.
        #[n(1)]
        not_before: Timestamp,
    },
    /// A run is under way whose outcome decides; it takes milliseconds.
    #[error("too early: a run is under way")]
    #[n(7)]
    RunUnderWay,
    /// A movement's business refusal.
    #[error("{code} {0:?}", code = .0.code())]
    #[n(8)]
    Rejected(#[n(0)] crate::rejection::Rejection),
}
