//! Questions to the live state, and their answers: names and minor units, ready for an edge to print.

use crate::command::{
    AccountLine, AssetCutOff, AssetDay, AssetLine, CutOffPurpose, CutOffs, LimitLine,
    ParticipantLine, Position, QuoteRequest, QuoteTerms, RateLine, RateRules, Token,
};
use crate::conditions::{Group, Hash};
use crate::ids::{BatchNumber, Bic, CycleName, Date, Sequence, Timestamp, Uetr};
use crate::instruction::{Digest, Identity, ShortText};
use crate::rejection::Rejection;
use crate::risk::{Model, RiskLine};
use fx::{AssetCode, BestRate, DecimalText, Fraction, Pair};
use minicbor::{Decode, Encode};

/// Where an instruction stands. ISO 20022 status, waiting reason and rejection are kept apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Status {
    /// ACTC, a member of an open cycle.
    #[n(0)]
    Member(#[n(0)] CycleName),
    /// PDNG.
    #[n(1)]
    Waiting(#[n(0)] Waiting),
    /// ACSP, a member of a closed cycle.
    #[n(2)]
    Irrevocable(#[n(0)] CycleName),
    /// ACSC; the batch that settled it (for gross: that will close at the next tick).
    #[n(3)]
    Settled {
        /// Batch number.
        #[n(0)]
        batch: BatchNumber,
    },
    /// RJCT.
    #[n(4)]
    Rejected(#[n(0)] Rejection),
    /// CANC.
    #[n(5)]
    Cancelled,
}

/// Why it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Waiting {
    /// A trade side without the other.
    #[n(0)]
    Unmatched,
    /// Behind an earlier one.
    #[n(1)]
    Order,
    /// First in its queues, and short.
    #[n(2)]
    Liquidity,
    /// A party is suspended.
    #[n(3)]
    Held,
    /// Too few of the named participants have approved it.
    #[n(4)]
    Approval,
    /// Nobody has shown the preimage of its hash lock.
    #[n(5)]
    Preimage,
    /// Its instant has not come.
    #[n(6)]
    NotBefore,
    /// Others of its group are not ready.
    #[n(7)]
    Group,
}

/// The current answer to an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct InstructionAnswer {
    #[n(0)]
    pub identity: Identity,
    #[n(1)]
    pub sequence: Sequence,
    #[n(2)]
    pub status: Status,
    #[n(3)]
    pub matched_with: Option<Sequence>,
    /// It came before with the same content: nothing was journaled now.
    #[n(4)]
    pub repeated: bool,
}

/// How far an instruction's conditions have come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConditionsView {
    /// Those named that have approved.
    pub approved_by: Vec<Bic>,
    /// Those named that have not.
    pub approvals_missing: Vec<Bic>,
    /// How many more must.
    pub approvals_outstanding: u32,
    /// The hash lock is open.
    pub preimage_shown: bool,
    /// Instructions of its group that are ready.
    pub group_ready: u64,
}

/// A question. Answered at the durable watermark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Every instruction under a UETR. Answer: [`View::Instructions`].
    Instructions(Uetr),
    /// Of one participant, or of all. Answer: [`View::Positions`].
    Positions(Option<Bic>),
    /// How far the conditions of an instruction have come. Answer: [`View::Conditions`].
    Conditions(Identity),
    /// Positions and bilateral nets of one participant, or of all. Answer: [`View::Cycle`].
    Cycle(CycleName, Option<Bic>),
    /// Without positions. Answer: [`View::Cycles`].
    Cycles,
    /// By provider and its quote id. Answer: [`View::Quote`].
    Quote(Bic, ShortText),
    /// By taker and its request id. Answer: [`View::QuoteRequest`].
    QuoteRequest(Bic, ShortText),
    /// Those that take offers now, by taker and id. Answer: [`View::QuoteRequests`].
    OpenQuoteRequests(QuoteRequestQuestion),
    /// Of one provider, or of all. Answer: [`View::QuoteLimits`].
    QuoteLimits(Option<Bic>),
    /// Answer: [`View::RoundingLedger`].
    RoundingLedger(RoundingQuestion),
    /// Rates with the best of each side. Answer: [`View::RateBook`].
    RateBook(RateQuestion),
    /// Answer: [`View::Scheme`].
    Scheme,
    /// Answer: [`View::ControlTotals`].
    ControlTotals,
    /// Answer: [`View::Statistics`].
    Statistics,
    /// What the participant has acknowledged. Answer: [`View::Acknowledged`].
    Acknowledged(Bic),
}

/// Which requests for quotes to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuoteRequestQuestion {
    /// Those that ask this provider; `None`: all.
    pub provider: Option<Bic>,
    /// Only what comes after this one: its taker and id. It may have closed since.
    pub after: Option<(Bic, ShortText)>,
    /// At most so many.
    pub limit: usize,
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum View {
    Instructions(Vec<InstructionAnswer>),
    Positions(Vec<PositionView>),
    /// `None`: it waits for no condition.
    Conditions(Option<ConditionsView>),
    /// `None`: no such cycle.
    Cycle(Option<Box<CycleView>>),
    Cycles(Vec<CycleView>),
    Quote(Option<Box<QuoteView>>),
    RateBook(Box<RateBookView>),
    /// `None`: no such request.
    QuoteRequest(Option<Box<QuoteRequestView>>),
    QuoteRequests(Vec<QuoteRequestView>),
    QuoteLimits(Vec<QuoteLimitView>),
    RoundingLedger(Vec<RoundingLine>),
    Scheme(Box<SchemeView>),
    ControlTotals(Vec<ControlTotal>),
    Statistics(Statistics),
    /// The zero position if it has acknowledged nothing.
    Acknowledged(Position),
}

/// An asset's code and decimals, to print minor units by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub struct AssetView {
    pub code: AssetCode,
    pub decimals: u8,
}

/// One account's position. Minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct PositionView {
    pub participant: Bic,
    pub asset: AssetView,
    /// Funds included.
    pub balance: i128,
    pub reserved: i128,
    /// Queued gross instructions' debits and credits of this account.
    pub queued_out: i128,
    pub queued_in: i128,
    pub instruction_limit: Option<i64>,
    /// Of what is free: kept for urgent gross instructions, and for high and urgent ones.
    pub kept_urgent: i64,
    pub kept_high: i64,
    /// Cycles that are not completed in which the account has members or a fund.
    pub cycles: Vec<FundView>,
}

/// One account in one cycle. Minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct FundView {
    pub cycle: CycleName,
    pub participant: Bic,
    pub asset: AssetView,
    /// Multilateral net of the members (not held); as scheduled once netted.
    pub net: i128,
    /// At close; 0 before.
    pub opening_fund: i128,
    pub fund: i128,
    pub pay_in_due: i128,
    pub pay_in_paid: i128,
    pub pay_out_due: i128,
    pub pay_out_paid: i128,
    pub pay_in_deadline: Timestamp,
}

/// A cycle's state, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum CycleState {
    #[n(0)]
    Open,
    #[n(1)]
    Closed,
    #[n(2)]
    Settling,
    #[n(3)]
    Completed,
}

/// A cycle.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct CycleView {
    pub name: CycleName,
    pub state: CycleState,
    pub model: Model,
    pub cut_off: Timestamp,
    pub pay_in_deadline: Timestamp,
    pub completion_deadline: Timestamp,
    /// Instructions (a matched trade counts as two).
    pub members: u64,
    pub settled: u64,
    pub held: u64,
    /// Unsettled, not held, after at least one run.
    pub left_behind: u64,
    pub schedule_version: u32,
    pub schedule_reason: String,
    pub positions: Vec<FundView>,
    pub totals: Vec<AssetTotals>,
    pub bilateral: Vec<BilateralView>,
    /// In lowest terms; 0/1 where there is no value, or not every asset has a rate.
    pub efficiency: (i128, i128),
    /// In the base asset's minor units, rounded half-even for display.
    pub gross_value: i128,
    pub net_value: i128,
    pub base_asset: AssetView,
    pub batches: Vec<BatchNumber>,
    /// Of all that its instants were worked out from.
    pub calendar_version: Digest,
    /// Instants of assets with cut-offs of their own, by asset and purpose.
    pub cut_offs: Vec<(AssetCode, CutOffPurpose, Timestamp)>,
}

/// One asset's sums over a cycle's members.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct AssetTotals {
    pub asset: AssetView,
    pub gross: i128,
    pub net: i128,
    /// `1 - net / gross` in lowest terms.
    pub efficiency: (i128, i128),
}

/// What `participant` gets from `counterparty`, net, over a cycle's members.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct BilateralView {
    pub participant: Bic,
    pub counterparty: Bic,
    pub asset: AssetView,
    pub net: i128,
}

/// Why a unit waits.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ExplanationView {
    pub answer: InstructionAnswer,
    /// The first failing test of the step that removed it from the run.
    pub test: BindingTest,
    /// The step removed it because it stands behind this one, which the step removed before.
    pub behind: Option<Sequence>,
    /// The instruction itself has no part in the key whose test failed: `behind` has, one of its group.
    pub by_group: bool,
    /// Of one that waits for a condition.
    pub awaited: Option<Box<AwaitedView>>,
    /// The binding account: the one that the test reads or, where it spans accounts, that of the
    /// participant's largest short in base value.
    pub participant: Bic,
    pub asset: AssetView,
    /// Minor units of `missing_asset`: the account's, or the base asset where the test spans accounts.
    pub missing: i128,
    pub missing_asset: AssetView,
    /// The smallest pay-in to the binding account with which the instruction settles, order kept;
    /// `None` if none does, or if it was not asked for.
    pub smallest_pay_in: Option<i64>,
}

/// What must come before an instruction takes its place in a queue, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AwaitedView {
    /// How far its conditions have come.
    pub progress: ConditionsView,
    /// Whose preimage is still to be shown.
    pub hash_lock: Option<Hash>,
    /// It takes its place at the first tick from then on.
    pub not_before: Option<Timestamp>,
    /// From then on it is rejected: by its own terms, or as the last cycle of its value date that is open
    /// cuts off.
    pub until: Option<Timestamp>,
    /// Which all must be ready.
    pub group: Option<Group>,
    /// Instructions of the group that are not ready, this one included if it is not.
    pub group_missing: u64,
}

/// What binds a waiting unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingTest {
    /// The account must not be short, and would be.
    Floor,
    /// The account would be short by more than its limit.
    ShortLimit,
    /// The participant's shorts would be worth more than their limit.
    AggregateShort,
    /// The participant's accounts would be worth less than nothing after haircuts.
    AccountValue,
    /// More would be paid to one counterparty than its cap allows.
    BilateralCap,
    /// A party is suspended.
    Held,
    /// The account is blocked, or closed; or the unit stands behind one that it stops.
    Blocked,
    /// No run yet.
    NotRun,
    /// A trade side waits for the other one.
    Unmatched,
    /// Too few participants have approved it.
    Approval,
    /// The preimage of its hash lock was not shown.
    Preimage,
    /// Its instant has not come.
    NotBefore,
    /// Not all of its group are ready.
    GroupIncomplete,
    /// Nothing: the next run settles it.
    None,
}

impl BindingTest {
    /// As on the wire and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::ShortLimit => "short_limit",
            Self::AggregateShort => "aggregate_short",
            Self::AccountValue => "account_value",
            Self::BilateralCap => "bilateral_cap",
            Self::Held => "held",
            Self::Blocked => "blocked",
            Self::NotRun => "not_run",
            Self::Unmatched => "unmatched",
            Self::Approval => "approval",
            Self::Preimage => "preimage",
            Self::NotBefore => "not_before",
            Self::GroupIncomplete => "group_incomplete",
            Self::None => "none",
        }
    }
}

/// A quote.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct QuoteView {
    pub provider: Bic,
    pub terms: QuoteTerms,
    pub source: AssetView,
    pub target: AssetView,
    pub source_amount: i64,
    pub target_amount: i64,
    pub residual: (i128, i128),
    pub state: QuoteState,
    /// The instruction that consumed it, and where that stands now.
    pub instruction: Option<InstructionAnswer>,
}

/// What a taker asked for, and what it was offered.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct QuoteRequestView {
    pub taker: Bic,
    pub request: QuoteRequest,
    pub source: AssetView,
    pub target: AssetView,
    /// Whether it takes offers.
    pub is_open: bool,
    /// Open ones first, the best for the taker first; of equals the first that was locked.
    pub offers: Vec<QuoteView>,
}

/// A provider's limit, and how much of it is reserved. Minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct QuoteLimitView {
    pub provider: Bic,
    pub asset: AssetView,
    pub limit: i64,
    /// By open quotes, and by accepted ones that have not settled.
    pub reserved: i128,
}

/// What the rounding ledger is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoundingQuestion {
    /// Of one provider, or of all.
    pub provider: Option<Bic>,
    /// Of one value date, or of all.
    pub date: Option<Date>,
}

/// What rounding gave a provider in one asset on one value date, over its quotes that settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoundingLine {
    /// Whose quotes.
    pub provider: Bic,
    /// In which each quote's computed amount is.
    pub asset: AssetView,
    /// The quotes' value date.
    pub date: Date,
    /// How many.
    pub quotes: u64,
    /// What rounding gave (above zero) or took, in units of the asset, exactly; `None` if the sum does not
    /// fit [`fx::fraction::PART_BITS_MAX`]: then the parts say it.
    pub gained: Option<Fraction>,
    /// The same by denominator, as quotes at one rate have it: they sum to it exactly, whatever fits.
    pub parts: Vec<Fraction>,
}

/// A quote's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum QuoteState {
    Locked,
    Accepted,
    Expired,
}

/// What the rate book is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateQuestion {
    /// Of one pair, crossed if need be; `None`: of every pair that a provider has.
    pub pair: Option<Pair>,
    /// Units of the pair's base that the rate must hold for; `None`: any rate will do.
    pub size: Option<DecimalText>,
}

/// The rate book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateBookView {
    /// Each with whether it is stale; the latest set's first.
    pub lines: Vec<(RateLine, bool)>,
    /// By pair.
    pub best: Vec<BestRates>,
    /// What holds for all of them.
    pub rules: RateRules,
}

/// The best fresh rates of a pair; a side is `None` if there is none for the size.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct BestRates {
    pub pair: Pair,
    pub bid: Option<BestRate>,
    pub ask: Option<BestRate>,
}

/// The scheme.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct SchemeView {
    /// `None` before the first description.
    pub name: Option<ShortText>,
    pub base_asset: Option<AssetCode>,
    pub rehearsal: bool,
    pub assets: Vec<AssetLine>,
    pub participants: Vec<ParticipantLine>,
    pub accounts: Vec<AccountLine>,
    pub limits: Vec<LimitLine>,
    /// Those that are not the default.
    pub risk: Vec<RiskLine>,
    pub cut_offs: Option<CutOffs>,
    pub asset_cut_offs: Vec<AssetCutOff>,
    pub days: Vec<AssetDay>,
    /// Hashes stay inside; for [`Token::label`] and [`Token::caller`].
    pub tokens: Vec<Token>,
}

/// Per asset: in - out = closing = what the agent holds. Minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ControlTotal {
    pub asset: AssetView,
    pub agent: Bic,
    pub total_in: i128,
    pub total_out: i128,
    /// Sum over the accounts, counted anew.
    pub closing: i128,
    /// The mirror account: negative.
    pub mirror: i128,
}

/// Counts since the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[allow(missing_docs)]
pub struct Statistics {
    #[n(0)]
    pub instructions: u64,
    #[n(1)]
    pub settled: u64,
    #[n(2)]
    pub rejected: u64,
    #[n(3)]
    pub cancelled: u64,
    /// Queued, unmatched, held, or members of a cycle.
    #[n(4)]
    pub waiting: u64,
    #[n(5)]
    pub batches: BatchNumber,
}

/// The answers to one batch of submissions. Every index is in exactly one of the two.
#[derive(Clone, PartialEq, Debug, Default, Encode, Decode)]
pub struct SubmitAnswer {
    /// Newly accepted, with equal status and consecutive indexes and sequences.
    #[n(0)]
    pub accepted: Vec<AcceptedRange>,
    /// Refused or repeated, with the index in the request.
    #[n(1)]
    pub others: Vec<(u32, InstructionAnswer)>,
}

/// A run of newly accepted instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct AcceptedRange {
    #[n(0)]
    pub first_index: u32,
    #[n(1)]
    pub count: u32,
    #[n(2)]
    pub first_sequence: Sequence,
    #[n(3)]
    pub status: Status,
}

/// The answer to a command that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CommandAnswer {
    /// The input's; of the first one for a repeat.
    #[n(0)]
    pub sequence: Sequence,
    /// Events other than the remembered request; 0 if everything already held.
    #[n(1)]
    pub changes: u32,
    /// It came before with the same content: nothing was journaled now.
    #[n(2)]
    pub repeated: bool,
}

impl SubmitAnswer {
    /// Adds one answer, joining it to the last range where it fits.
    pub fn push(&mut self, index: u32, answer: InstructionAnswer) {
        let plain = matches!(
            answer.status,
            Status::Member(_) | Status::Waiting(_) | Status::Settled { .. }
        );
        if answer.repeated || !plain || answer.matched_with.is_some() {
            self.others.push((index, answer));
            return;
        }
        if let Some(last) = self.accepted.last_mut() {
            let follows = last.first_index + last.count == index
                && last.first_sequence.0 + u64::from(last.count) == answer.sequence.0;
            if follows && last.status == answer.status {
                last.count += 1;
                return;
            }
        }
        self.accepted.push(AcceptedRange {
            first_index: index,
            count: 1,
            first_sequence: answer.sequence,
            status: answer.status,
        });
    }
}

/// What accounts need over the next value dates.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct FundingView {
    pub base_asset: AssetView,
    pub rows: Vec<FundingRow>,
}

/// One account on one value date. Minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct FundingRow {
    pub value_date: Date,
    pub participant: Bic,
    pub asset: AssetView,
    /// The account takes no debits or credits.
    pub blocked: bool,
    /// What is there for it: the free balance today, and what the value date's cycle funds hold.
    pub held: i128,
    pub incoming: i128,
    pub outgoing: i128,
    /// `held + incoming - outgoing`.
    pub projected: i128,
    /// `max(0, -projected)`.
    pub needed: i128,
    /// At the rates of now, half-even; `None` without a rate.
    pub needed_in_base: Option<i128>,
}

/// What would settle if.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct WhatIfView {
    pub base_asset: AssetView,
    pub before: RunTotals,
    pub after: RunTotals,
    /// Settle after and not before, in queue order.
    pub settles: Vec<InstructionAnswer>,
    /// Settle before and not after, in queue order; cancelled and suspended ones are not listed.
    pub waits: Vec<InstructionAnswer>,
    /// For each added instruction, in order, whether it settles.
    pub added: Vec<bool>,
    /// Accounts that close at another balance, by participant, then asset.
    pub closing: Vec<ClosingChange>,
    /// What the pay-ins cost, in minor units of the base asset; `None` without a rate.
    pub funding_in_base: Option<i128>,
}

/// What one run settles and leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunTotals {
    /// Instructions (a matched trade counts as two).
    pub settled: u64,
    /// Instructions that wait for the run and stay behind.
    pub waiting: u64,
    /// Legs that settle, in minor units of the base asset; `None` without rates.
    pub settled_value: Option<i128>,
    /// What would have to be paid in for all to settle, in the base asset; `None` without rates.
    pub needed_value: Option<i128>,
}

/// An account's balance after the run. Minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ClosingChange {
    pub participant: Bic,
    pub asset: AssetView,
    pub before: i128,
    pub after: i128,
}
