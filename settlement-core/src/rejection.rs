//! Why something was refused: one variant, one ISO 20022 reason code, in one order of precedence.

use minicbor::{Decode, Encode};

/// A field of an instruction, for messages. `Leg*` fields go with a leg index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs)]
pub enum Field {
    #[n(0)]
    Lane,
    #[n(1)]
    Priority,
    #[n(2)]
    Created,
    #[n(3)]
    ValueDate,
    #[n(4)]
    Legs,
    #[n(5)]
    LegDebtor,
    #[n(6)]
    LegCreditor,
    #[n(7)]
    LegAmount,
    #[n(8)]
    LegAsset,
    #[n(9)]
    LegKind,
    #[n(10)]
    InstructionId,
    #[n(11)]
    EndToEndId,
    #[n(12)]
    QuoteId,
    #[n(13)]
    TradeReference,
    #[n(14)]
    Remittance,
    #[n(15)]
    Purpose,
    #[n(16)]
    ChargeBearer,
    #[n(17)]
    InstructedAmount,
    #[n(18)]
    InstructedAsset,
    #[n(19)]
    IsoMessage,
    #[n(20)]
    ReturnReason,
    #[n(31)]
    NotBefore,
    #[n(32)]
    ExpiresAt,
    #[n(33)]
    Approvers,
    #[n(34)]
    ApprovalsNeeded,
    #[n(35)]
    HashLock,
    #[n(36)]
    DocumentHash,
    #[n(37)]
    GroupId,
    #[n(38)]
    GroupMembers,
    /// The message as a whole: a field number or wire type that `valuta.v1` does not have.
    #[n(21)]
    Message,
}

/// What is wrong with a field's form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Fault {
    /// Required, and not there.
    #[n(0)]
    Missing,
    /// Longer, or more of it, than allowed.
    #[n(1)]
    TooLong,
    /// Not of the form that it must have.
    #[n(2)]
    Malformed,
    /// Not one of the values that it may have.
    #[n(3)]
    Unknown,
    /// There, where this kind or lane must not have it.
    #[n(4)]
    NotAllowed,
}

/// The first malformed field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct Malformed {
    /// Which field.
    #[n(0)]
    pub field: Field,
    /// Which leg, for a leg's field.
    #[n(1)]
    pub leg: u8,
    /// What is wrong.
    #[n(2)]
    pub fault: Fault,
}

/// Why an instruction or a movement was refused, in order of precedence: the first that applies wins.
/// Where a `leg` is given, it is the first leg that the reason applies to. `Ord` is that precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub enum Rejection {
    /// AM05: this identity came before with other content; the first is untouched.
    #[n(0)]
    DuplicateWithOtherContent,
    /// NARR, or RC01 for a BIC: a field that is not of its form.
    #[n(1)]
    Malformed(#[n(0)] Malformed),
    /// AM11: no such asset in the scheme.
    #[n(2)]
    AssetUnknown {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AM03: the asset is not enabled.
    #[n(3)]
    AssetNotEnabled {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// CH20: more decimals than the asset has.
    #[n(4)]
    AmountHasTooManyDecimals {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AM12: not a decimal, negative, or above 18 digits.
    #[n(5)]
    AmountInvalid {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AM01.
    #[n(6)]
    AmountMustNotBeZero {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AG12: debtor and creditor account are the same.
    #[n(7)]
    AccountsMustBeDifferent {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// DNOR.
    #[n(8)]
    DebtorUnknown {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// CNOR.
    #[n(9)]
    CreditorUnknown {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// NARR: the instructing participant must be the debtor (of every leg that no quote covers; of
    /// at least one leg of a trade side).
    #[n(10)]
    DebtorMustInstruct {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AC02.
    #[n(11)]
    DebtorAccountUnknown {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AC03.
    #[n(12)]
    CreditorAccountUnknown {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AC05.
    #[n(13)]
    DebtorAccountClosed {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AC07.
    #[n(14)]
    CreditorAccountClosed {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AC06: debtor's or creditor's.
    #[n(15)]
    AccountBlocked {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AG10: the instructing participant, or a debtor, is suspended.
    #[n(16)]
    DebtorSuspended {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AG11.
    #[n(17)]
    CreditorSuspended {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AM13: above the debited account's limit per instruction.
    #[n(18)]
    AboveInstructionLimit {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// AM14: above the cap towards this counterparty.
    #[n(19)]
    AboveBilateralCap {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// TM01: net, and no open cycle of the value date takes it any more.
    #[n(20)]
    PastCutOff,
    /// TM01: past the cut-off of the leg's asset for such an instruction.
    #[n(65)]
    PastAssetCutOff {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// DT02: created before the scheme's retention.
    #[n(21)]
    CreatedTooOld,
    /// DT02: created more than 5 minutes ahead of record time.
    #[n(22)]
    CreatedInFuture,
    /// DT03: a weekend.
    #[n(23)]
    NoBusinessDay,
    /// DT03: a holiday of the leg's asset.
    #[n(66)]
    HolidayOfAsset {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// DT04.
    #[n(24)]
    ValueDateTooFarAhead,
    /// DT05.
    #[n(25)]
    ValueDateInPast,
    /// DT03: the holiday figures of the leg's asset do not reach the date, so nobody can say.
    #[n(67)]
    BeyondCalendar {
        #[allow(missing_docs)]
        #[n(0)]
        leg: u8,
    },
    /// NARR: no such quote of the provider that the legs name, for this taker.
    #[n(26)]
    QuoteUnknown,
    /// NARR: consumed by another instruction.
    #[n(27)]
    QuoteAlreadyUsed,
    /// NARR `QUOTE_EXPIRED`: past `accept_until`, or its cycle completes after `settle_by`, or it had
    /// not settled by then.
    #[n(28)]
    QuoteExpired,
    /// NARR: the legs are not the quote's amounts, assets, parties and value date.
    #[n(29)]
    QuoteDiffers,
    /// NARR: a trade side's legs must be two, opposite between two parties, in two assets.
    #[n(30)]
    TradeMalformed,
    /// NARR: not before, expires at and the value date leave it no time to settle.
    #[n(70)]
    ConditionsNeverTrue,
    /// NARR: a participant that must approve is none of the scheme's.
    #[n(71)]
    ApproverUnknown,
    /// NARR `DOCUMENT_HASH_TAKEN`: another instruction carries the document.
    #[n(72)]
    DocumentHashTaken,
    /// DS24: approvals were missing when it expired.
    #[n(73)]
    ApprovalsMissing,
    /// NARR: nobody had shown the preimage when it expired.
    #[n(74)]
    PreimageMissing,
    /// NARR `UNMATCHED`: the other side had not come by the cut-off.
    #[n(31)]
    Unmatched,
    /// NARR `GROUP_INCOMPLETE`: not all of the group were ready by the cut-off, or when one expired.
    #[n(75)]
    GroupIncomplete,
    /// AB03: unsettled when its cycle completed, and no next cycle is open; or past its value date, or
    /// past the instant at which it expires.
    #[n(32)]
    ExpiredInQueue,
    /// AM04: a movement that takes out more than is available.
    #[n(33)]
    BalanceInsufficient,
    /// AM04: a pay-out of money that others still owe the cycle.
    #[n(76)]
    PoolInsufficient,
    /// AM23: a pay-out after which the account value test would fail.
    #[n(77)]
    TestsFail,
    /// NARR: no such cycle, or not in a state that takes this movement.
    #[n(34)]
    CycleNotTaking,
    /// NARR: a pay-out above what is due.
    #[n(35)]
    AbovePayOutDue,
    /// AM12: the account would go beyond what an amount can hold.
    #[n(36)]
    BalanceTooLarge,
}

impl Rejection {
    /// The ISO 20022 external status reason code.
    pub fn code(&self) -> &'static str {
        use Rejection as R;
        match self {
            R::DuplicateWithOtherContent => "AM05",
            R::Malformed(malformed) => match (malformed.field, malformed.fault) {
                (Field::LegDebtor | Field::LegCreditor, Fault::Malformed) => "RC01",
                _ => "NARR",
            },
            R::AssetUnknown { .. } => "AM11",
            R::AssetNotEnabled { .. } => "AM03",
            R::AmountHasTooManyDecimals { .. } => "CH20",
            R::AmountInvalid { .. } | R::BalanceTooLarge => "AM12",
            R::AmountMustNotBeZero { .. } => "AM01",
            R::AccountsMustBeDifferent { .. } => "AG12",
            R::DebtorUnknown { .. } => "DNOR",
            R::CreditorUnknown { .. } => "CNOR",
            R::DebtorAccountUnknown { .. } => "AC02",
            R::CreditorAccountUnknown { .. } => "AC03",
            R::DebtorAccountClosed { .. } => "AC05",
            R::CreditorAccountClosed { .. } => "AC07",
            R::AccountBlocked { .. } => "AC06",
            R::DebtorSuspended { .. } => "AG10",
            R::CreditorSuspended { .. } => "AG11",
            R::AboveInstructionLimit { .. } => "AM13",
            R::AboveBilateralCap { .. } => "AM14",
            R::PastCutOff | R::PastAssetCutOff { .. } => "TM01",
            R::CreatedTooOld | R::CreatedInFuture => "DT02",
            R::NoBusinessDay | R::HolidayOfAsset { .. } | R::BeyondCalendar { .. } => "DT03",
            R::ValueDateTooFarAhead => "DT04",
            R::ValueDateInPast => "DT05",
            R::ExpiredInQueue => "AB03",
            R::ApprovalsMissing => "DS24",
            R::BalanceInsufficient | R::PoolInsufficient => "AM04",
            R::TestsFail => "AM23",
            R::DebtorMustInstruct { .. }
            | R::QuoteUnknown
            | R::QuoteAlreadyUsed
            | R::QuoteExpired
            | R::QuoteDiffers
            | R::TradeMalformed
            | R::ConditionsNeverTrue
            | R::ApproverUnknown
            | R::DocumentHashTaken
            | R::PreimageMissing
            | R::GroupIncomplete
            | R::Unmatched
            | R::CycleNotTaking
            | R::AbovePayOutDue => "NARR",
        }
    }
}
