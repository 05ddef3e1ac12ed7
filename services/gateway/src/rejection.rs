//! The core's rejections on the wire: ISO 20022 code, stable name, field and a sentence. One table.

use crate::wire::{CODE_CHARS_MAX, ISO_MESSAGE_BYTES_MAX, REMITTANCE_CHARS_MAX, WireError};
use settlement_core::conditions::{APPROVERS_MAX, GROUP_MEMBERS_MAX};
use settlement_core::instruction::{LEGS_MAX, SHORT_TEXT_CHARS_MAX};
use settlement_core::rejection::{Fault, Field, Malformed, Rejection};
use valuta_proto::v1;

/// The field at fault.
enum Place {
    Nowhere,
    Of(&'static str),
    Leg(u8, &'static str),
}

/// A rejection as callers see it.
pub(crate) fn to_wire(rejection: &Rejection) -> v1::Rejection {
    let (reason, field, detail) = match rejection {
        Rejection::Malformed(malformed) => malformed_parts(*malformed),
        other => {
            let (reason, place, detail) = parts(other);
            (reason.to_owned(), path(&place), detail.to_owned())
        }
    };
    v1::Rejection {
        code: rejection.code().to_owned(),
        reason,
        field,
        detail,
    }
}

/// A movement has no legs: its fields are the request's own.
pub(crate) fn movement_to_wire(rejection: &Rejection) -> v1::Rejection {
    let mut wire = to_wire(rejection);
    let field = wire.field.rsplit('.').next().unwrap_or_default();
    wire.field = match field {
        "debtor" | "creditor" => "participant",
        field => field,
    }
    .to_owned();
    wire
}

/// What has no readable identity, or is not the caller's.
pub(crate) fn wire_error(error: &WireError) -> v1::Rejection {
    v1::Rejection {
        code: error.code.to_owned(),
        reason: error.reason.to_owned(),
        field: error.field.to_owned(),
        detail: error.detail.to_owned(),
    }
}

fn path(place: &Place) -> String {
    match place {
        Place::Nowhere => String::new(),
        Place::Of(field) => (*field).to_owned(),
        Place::Leg(leg, "") => format!("legs[{leg}]"),
        Place::Leg(leg, field) => format!("legs[{leg}].{field}"),
    }
}

/// Name, field and sentence. Exhaustive: a new reason must choose its words.
fn parts(rejection: &Rejection) -> (&'static str, Place, &'static str) {
    use Place::{Leg, Nowhere, Of};
    use Rejection as R;
    match *rejection {
        R::Malformed(_) => ("MALFORMED", Nowhere, "a field is malformed"),
        R::DuplicateWithOtherContent => (
            "DUPLICATE_WITH_OTHER_CONTENT",
            Of("uetr"),
            "this UETR, instructing participant and kind came before with other content; the first is untouched",
        ),
        R::AssetUnknown { leg } => (
            "ASSET_UNKNOWN",
            Leg(leg, "asset"),
            "the scheme has no such asset",
        ),
        R::AssetNotEnabled { leg } => (
            "ASSET_NOT_ENABLED",
            Leg(leg, "asset"),
            "the scheme does not settle this asset now",
        ),
        R::AmountHasTooManyDecimals { leg } => (
            "AMOUNT_HAS_TOO_MANY_DECIMALS",
            Leg(leg, "amount"),
            "more decimals than the asset has; input is never rounded",
        ),
        R::AmountInvalid { leg } => (
            "AMOUNT_INVALID",
            Leg(leg, "amount"),
            "an amount is a positive decimal of at most 18 digits in minor units",
        ),
        R::AmountMustNotBeZero { leg } => (
            "AMOUNT_MUST_NOT_BE_ZERO",
            Leg(leg, "amount"),
            "an amount is above zero",
        ),
        R::AccountsMustBeDifferent { leg } => (
            "ACCOUNTS_MUST_BE_DIFFERENT",
            Leg(leg, "creditor"),
            "debtor and creditor account are the same",
        ),
        R::DebtorUnknown { leg } => (
            "DEBTOR_UNKNOWN",
            Leg(leg, "debtor"),
            "no participant of the scheme has this BIC",
        ),
        R::CreditorUnknown { leg } => (
            "CREDITOR_UNKNOWN",
            Leg(leg, "creditor"),
            "no participant of the scheme has this BIC",
        ),
        R::DebtorMustInstruct { leg } => (
            "DEBTOR_MUST_INSTRUCT",
            Leg(leg, "debtor"),
            "the instructing participant pays every leg that no quote covers, and one leg of a trade",
        ),
        R::DebtorAccountUnknown { leg } => (
            "DEBTOR_ACCOUNT_UNKNOWN",
            Leg(leg, "debtor"),
            "the debtor has no account in this asset",
        ),
        R::CreditorAccountUnknown { leg } => (
            "CREDITOR_ACCOUNT_UNKNOWN",
            Leg(leg, "creditor"),
            "the creditor has no account in this asset",
        ),
        R::DebtorAccountClosed { leg } => (
            "DEBTOR_ACCOUNT_CLOSED",
            Leg(leg, "debtor"),
            "the debtor's account is closed",
        ),
        R::CreditorAccountClosed { leg } => (
            "CREDITOR_ACCOUNT_CLOSED",
            Leg(leg, "creditor"),
            "the creditor's account is closed",
        ),
        R::AccountBlocked { leg } => (
            "ACCOUNT_BLOCKED",
            Leg(leg, ""),
            "the debtor's or the creditor's account is blocked",
        ),
        R::DebtorSuspended { leg } => (
            "DEBTOR_SUSPENDED",
            Leg(leg, "debtor"),
            "the instructing participant, or a debtor, is suspended",
        ),
        R::CreditorSuspended { leg } => (
            "CREDITOR_SUSPENDED",
            Leg(leg, "creditor"),
            "the creditor is suspended",
        ),
        R::AboveInstructionLimit { leg } => (
            "ABOVE_INSTRUCTION_LIMIT",
            Leg(leg, "amount"),
            "above the limit per instruction of the debited account",
        ),
        R::AboveBilateralCap { leg } => (
            "ABOVE_BILATERAL_CAP",
            Leg(leg, "amount"),
            "above the cap of the debited account towards this counterparty",
        ),
        R::PastCutOff => (
            "PAST_CUT_OFF",
            Of("value_date"),
            "no open cycle of the value date takes it any more",
        ),
        R::PastAssetCutOff { leg } => (
            "PAST_ASSET_CUT_OFF",
            Leg(leg, "asset"),
            "past the asset's cut-off for such an instruction on this value date",
        ),
        R::CreatedTooOld => (
            "CREATED_TOO_OLD",
            Of("created"),
            "created before the scheme's retention of 400 days",
        ),
        R::CreatedInFuture => (
            "CREATED_IN_FUTURE",
            Of("created"),
            "created more than 5 minutes ahead of record time",
        ),
        R::NoBusinessDay => (
            "NO_BUSINESS_DAY",
            Of("value_date"),
            "a weekend: not a business day of every currency in the legs",
        ),
        R::HolidayOfAsset { leg } => (
            "HOLIDAY_OF_ASSET",
            Leg(leg, "asset"),
            "the value date is a holiday of this asset",
        ),
        R::BeyondCalendar { leg } => (
            "BEYOND_CALENDAR",
            Leg(leg, "asset"),
            "the holidays of this asset are not known for the value date",
        ),
        R::ValueDateTooFarAhead => (
            "VALUE_DATE_TOO_FAR_AHEAD",
            Of("value_date"),
            "the value date is further ahead than this lane takes",
        ),
        R::ValueDateInPast => (
            "VALUE_DATE_IN_PAST",
            Of("value_date"),
            "the value date has passed",
        ),
        R::QuoteUnknown => (
            "QUOTE_UNKNOWN",
            Of("quote_id"),
            "the provider that the legs name has locked no such quote for this taker",
        ),
        R::QuoteAlreadyUsed => (
            "QUOTE_ALREADY_USED",
            Of("quote_id"),
            "another instruction has consumed the quote",
        ),
        R::QuoteExpired => (
            "QUOTE_EXPIRED",
            Of("quote_id"),
            "past the quote's accept_until, or it cannot settle or has not settled by settle_by",
        ),
        R::QuoteDiffers => (
            "QUOTE_DIFFERS",
            Of("quote_id"),
            "the legs are not the quote's amounts, assets, parties and value date",
        ),
        R::TradeMalformed => (
            "TRADE_MALFORMED",
            Of("legs"),
            "a trade side has two legs, opposite between two parties, in two assets",
        ),
        R::ConditionsNeverTrue => (
            "CONDITIONS_NEVER_TRUE",
            Of("conditions"),
            "not_before, expires_at and the value date leave it no time to settle",
        ),
        R::ApproverUnknown => (
            "APPROVER_UNKNOWN",
            Of("conditions.approvers"),
            "no participant of the scheme has this BIC",
        ),
        R::DocumentHashTaken => (
            "DOCUMENT_HASH_TAKEN",
            Of("conditions.document_hash"),
            "another instruction carries the document",
        ),
        R::ApprovalsMissing => (
            "APPROVALS_MISSING",
            Of("conditions.approvers"),
            "approvals were missing when it expired",
        ),
        R::PreimageMissing => (
            "PREIMAGE_MISSING",
            Of("conditions.hash_lock"),
            "nobody had shown the preimage when it expired",
        ),
        R::GroupIncomplete => (
            "GROUP_INCOMPLETE",
            Of("conditions.group_id"),
            "not all of the group were ready by the cut-off, or when one of it left",
        ),
        R::Unmatched => (
            "UNMATCHED",
            Nowhere,
            "the other side of the trade had not come by the cut-off",
        ),
        R::ExpiredInQueue => (
            "EXPIRED_IN_QUEUE",
            Nowhere,
            "unsettled when its cycle completed and no other is open, or past its value date",
        ),
        R::BalanceInsufficient => (
            "BALANCE_INSUFFICIENT",
            Of("amount"),
            "more than is available on the account",
        ),
        R::PoolInsufficient => (
            "POOL_INSUFFICIENT",
            Of("amount"),
            "others still owe the cycle what this would pay out",
        ),
        R::TestsFail => (
            "TESTS_FAIL",
            Of("amount"),
            "the account value test would fail afterwards",
        ),
        R::CycleNotTaking => (
            "CYCLE_NOT_TAKING",
            Of("cycle"),
            "no such cycle, or not in a state that takes this movement",
        ),
        R::AbovePayOutDue => (
            "ABOVE_PAY_OUT_DUE",
            Of("amount"),
            "more than the pay-out that is due",
        ),
        R::BalanceTooLarge => (
            "BALANCE_TOO_LARGE",
            Leg(0, "amount"),
            "the account would go beyond what an amount can hold",
        ),
    }
}

/// `FIELD_FAULT`, its path, and what the field must be.
fn malformed_parts(malformed: Malformed) -> (String, String, String) {
    let Malformed { field, leg, fault } = malformed;
    let (name, place, form) = field_parts(field, leg);
    let fault_name = match fault {
        Fault::Missing => "MISSING",
        Fault::TooLong => "TOO_LONG",
        Fault::Malformed => "MALFORMED",
        Fault::Unknown => "UNKNOWN",
        Fault::NotAllowed => "NOT_ALLOWED",
    };
    let what = match fault {
        Fault::Missing => "required",
        Fault::TooLong => "too long",
        Fault::Malformed => "malformed",
        Fault::Unknown => "not a value that valuta.v1 has",
        Fault::NotAllowed => "not allowed for this kind",
    };
    (
        format!("{name}_{fault_name}"),
        path(&place),
        format!("{what}: {form}"),
    )
}

fn field_parts(field: Field, leg: u8) -> (&'static str, Place, String) {
    use Place::{Leg, Nowhere, Of};
    let text = |words: &str| words.to_owned();
    let identifier = || format!("at most {SHORT_TEXT_CHARS_MAX} printable ASCII characters");
    let code =
        || format!("an ISO 20022 external code of at most {CODE_CHARS_MAX} letters and digits");
    let instant = || text("an instant of the years 1 to 9999");
    let hash = || text("the 32 bytes of a SHA-256");
    let bic = || text("a BIC of 8 or 11 characters, upper case (ISO 9362)");
    match field {
        Field::Lane => ("LANE", Of("lane"), text("gross or net")),
        Field::Priority => ("PRIORITY", Of("priority"), text("normal, high or urgent")),
        Field::Created => ("CREATED", Of("created"), instant()),
        Field::ValueDate => ("VALUE_DATE", Of("value_date"), text("a date, YYYY-MM-DD")),
        Field::Legs => ("LEGS", Of("legs"), format!("1 to {LEGS_MAX} legs")),
        Field::LegDebtor => ("LEG_DEBTOR", Leg(leg, "debtor"), bic()),
        Field::LegCreditor => ("LEG_CREDITOR", Leg(leg, "creditor"), bic()),
        Field::LegAmount => ("LEG_AMOUNT", Leg(leg, "amount"), text("decimal text")),
        Field::LegAsset => ("LEG_ASSET", Leg(leg, "asset"), text("an asset code")),
        Field::LegKind => ("LEG_KIND", Leg(leg, "kind"), text("principal or charge")),
        Field::InstructionId => ("INSTRUCTION_ID", Of("instruction_id"), identifier()),
        Field::EndToEndId => ("END_TO_END_ID", Of("end_to_end_id"), identifier()),
        Field::QuoteId => ("QUOTE_ID", Of("quote_id"), identifier()),
        Field::TradeReference => (
            "TRADE_REFERENCE",
            Of("trade_reference"),
            format!("of a trade side only, {}", identifier()),
        ),
        Field::Remittance => (
            "REMITTANCE",
            Of("remittance"),
            format!(
                "at most {REMITTANCE_CHARS_MAX} characters of UTF-8 without control characters"
            ),
        ),
        Field::Purpose => ("PURPOSE", Of("purpose"), code()),
        Field::ChargeBearer => (
            "CHARGE_BEARER",
            Of("charge_bearer"),
            text("DEBT, CRED, SHAR or SLEV"),
        ),
        Field::InstructedAmount => (
            "INSTRUCTED_AMOUNT",
            Of("instructed_amount"),
            text("decimal text, together with instructed_asset"),
        ),
        Field::InstructedAsset => (
            "INSTRUCTED_ASSET",
            Of("instructed_asset"),
            text("an asset code, together with instructed_amount"),
        ),
        Field::IsoMessage => (
            "ISO_MESSAGE",
            Of("iso_message"),
            format!("at most {ISO_MESSAGE_BYTES_MAX} bytes"),
        ),
        Field::ReturnReason => (
            "RETURN_REASON",
            Of("return_reason"),
            format!("of a return only, {}", code()),
        ),
        Field::NotBefore => ("NOT_BEFORE", Of("conditions.not_before"), instant()),
        Field::ExpiresAt => ("EXPIRES_AT", Of("conditions.expires_at"), instant()),
        Field::Approvers => (
            "APPROVERS",
            Of("conditions.approvers"),
            format!("1 to {APPROVERS_MAX} BICs, each once, together with approvals_needed"),
        ),
        Field::ApprovalsNeeded => (
            "APPROVALS_NEEDED",
            Of("conditions.approvals_needed"),
            text("from 1 to as many as are named"),
        ),
        Field::HashLock => ("HASH_LOCK", Of("conditions.hash_lock"), hash()),
        Field::DocumentHash => ("DOCUMENT_HASH", Of("conditions.document_hash"), hash()),
        Field::GroupId => (
            "GROUP_ID",
            Of("conditions.group_id"),
            format!("{}, together with group_members", identifier()),
        ),
        Field::GroupMembers => (
            "GROUP_MEMBERS",
            Of("conditions.group_members"),
            format!("2 to {GROUP_MEMBERS_MAX}, together with group_id"),
        ),
        Field::Message => (
            "MESSAGE",
            Nowhere,
            text("the instruction has a field number or wire type that valuta.v1 does not have"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rejection: Rejection, expected: &str) {
        let wire = to_wire(&rejection);
        let v1::Rejection {
            code,
            reason,
            field,
            detail,
        } = wire;
        assert_eq!(format!("{code} {reason} {field}"), expected);
        assert!(!detail.is_empty());
    }

    #[test]
    fn names_code_reason_and_field() {
        check(
            Rejection::DuplicateWithOtherContent,
            "AM05 DUPLICATE_WITH_OTHER_CONTENT uetr",
        );
        check(
            Rejection::AmountMustNotBeZero { leg: 3 },
            "AM01 AMOUNT_MUST_NOT_BE_ZERO legs[3].amount",
        );
        check(
            Rejection::AccountBlocked { leg: 0 },
            "AC06 ACCOUNT_BLOCKED legs[0]",
        );
        check(Rejection::Unmatched, "NARR UNMATCHED ");
        let malformed = |field, leg, fault| Rejection::Malformed(Malformed { field, leg, fault });
        check(
            malformed(Field::LegDebtor, 2, Fault::Malformed),
            "RC01 LEG_DEBTOR_MALFORMED legs[2].debtor",
        );
        check(
            malformed(Field::ValueDate, 0, Fault::Missing),
            "NARR VALUE_DATE_MISSING value_date",
        );
        check(
            malformed(Field::Message, 0, Fault::Unknown),
            "NARR MESSAGE_UNKNOWN ",
        );
    }

    #[test]
    fn a_movement_names_its_own_fields() {
        let field = |rejection| movement_to_wire(&rejection).field;
        assert_eq!(field(Rejection::AmountInvalid { leg: 0 }), "amount");
        assert_eq!(field(Rejection::DebtorUnknown { leg: 0 }), "participant");
        assert_eq!(field(Rejection::CycleNotTaking), "cycle");
    }
}
