//! Whether every field has its form. The first that does not, in the order of [`Field`], is the answer.

use super::sent::{LegText, Sent, number};
use fx::{AssetCode, DecimalText};
use settlement_core::ids::{Bic, Date, Timestamp};
use settlement_core::instruction::{
    Body, Kind, LEGS_MAX, Lane, LegKind, LegSent, Priority, SHORT_TEXT_CHARS_MAX, ShortText,
};
use settlement_core::rejection::{Fault, Field, Malformed};

/// Of a remittance text, in characters (ISO 20022 Max140Text).
pub const REMITTANCE_CHARS_MAX: usize = 140;
/// Of an ISO 20022 external code: purpose, return reason.
pub const CODE_CHARS_MAX: usize = 4;
/// Of the opaque message that an instruction came from.
pub const ISO_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Of an amount's text: 18 digits, point, sign, and room for leading zeros.
pub const AMOUNT_TEXT_BYTES_MAX: usize = 40;

/// The instants that `google.protobuf.Timestamp` allows: years 1 to 9999.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;
const NANOS_PER_SECOND: i32 = 1_000_000_000;

pub(super) type Checked<T> = Result<T, Malformed>;

pub(super) const fn malformed<T>(field: Field, fault: Fault) -> Checked<T> {
    Err(Malformed {
        field,
        leg: 0,
        fault,
    })
}

/// `KIND_*` on the wire; `None` for unspecified and unknown values.
pub(crate) const fn kind(value: i32) -> Option<Kind> {
    match value {
        1 => Some(Kind::Payment),
        2 => Some(Kind::Cover),
        3 => Some(Kind::Return),
        4 => Some(Kind::TradeSide),
        _ => None,
    }
}

/// A `google.protobuf.Timestamp` in milliseconds; what is finer is dropped.
pub(crate) fn timestamp(seconds: i64, nanos: i32) -> Option<Timestamp> {
    let valid =
        (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) && (0..NANOS_PER_SECOND).contains(&nanos);
    valid.then(|| Timestamp(seconds * 1_000 + i64::from(nanos / 1_000_000)))
}

/// The fields before the legs: lane, priority, created, value date, number of legs.
pub(super) fn head(sent: &Sent<'_>) -> Checked<Body> {
    let lane = match sent.lane {
        0 => return malformed(Field::Lane, Fault::Missing),
        1 => Lane::Gross,
        2 => Lane::Net,
        _ => return malformed(Field::Lane, Fault::Unknown),
    };
    let priority = match sent.priority {
        0 | 1 => Priority::Normal,
        2 => Priority::High,
        3 => Priority::Urgent,
        _ => return malformed(Field::Priority, Fault::Unknown),
    };
    let Some(stamp) = sent.created else {
        return malformed(Field::Created, Fault::Missing);
    };
    let Some(created) = timestamp(stamp.seconds, stamp.nanos) else {
        return malformed(Field::Created, Fault::Malformed);
    };
    let value_date = match sent.text(number::VALUE_DATE) {
        [] => return malformed(Field::ValueDate, Fault::Missing),
        text => match Date::parse(text) {
            Some(date) => date,
            None => return malformed(Field::ValueDate, Fault::Malformed),
        },
    };
    match sent.legs_count {
        0 => malformed(Field::Legs, Fault::Missing),
        1..=LEGS_MAX => Ok(Body {
            lane,
            priority,
            created,
            value_date,
            quote_id: None,
            trade_reference: None,
            conditions: None,
        }),
        _ => malformed(Field::Legs, Fault::TooLong),
    }
}

/// One leg. What is no amount or asset at all is left to the core, which has codes for that.
pub(super) fn leg(text: &LegText<'_>, leg: u8) -> Checked<LegSent> {
    let at_leg = |field, fault| Malformed { field, leg, fault };
    let bic = |field, text: &[u8]| match text {
        [] => Err(at_leg(field, Fault::Missing)),
        _ => Bic::parse(text).ok_or(at_leg(field, Fault::Malformed)),
    };
    let debtor = bic(Field::LegDebtor, text.debtor)?;
    let creditor = bic(Field::LegCreditor, text.creditor)?;
    let kind = match text.kind {
        0 | 1 => LegKind::Principal,
        2 => LegKind::Charge,
        _ => return Err(at_leg(Field::LegKind, Fault::Unknown)),
    };
    Ok(LegSent {
        kind,
        debtor,
        creditor,
        asset: AssetCode::parse(text.asset),
        amount: decimal(text.amount),
    })
}

fn decimal(text: &[u8]) -> Option<DecimalText> {
    if text.len() > AMOUNT_TEXT_BYTES_MAX {
        return None;
    }
    DecimalText::parse(text).ok()
}

/// The fields after the legs, and what the kind asks for.
pub(super) fn tail(sent: &Sent<'_>, kind: Kind, body: &mut Body) -> Checked<()> {
    let trade = kind == Kind::TradeSide;
    short_text(sent, number::INSTRUCTION_ID, Field::InstructionId)?;
    short_text(sent, number::END_TO_END_ID, Field::EndToEndId)?;
    body.quote_id = short_text(sent, number::QUOTE_ID, Field::QuoteId)?;
    if trade && body.quote_id.is_some() {
        return malformed(Field::QuoteId, Fault::NotAllowed);
    }
    body.trade_reference = short_text(sent, number::TRADE_REFERENCE, Field::TradeReference)?;
    match (trade, body.trade_reference) {
        (true, None) => return malformed(Field::TradeReference, Fault::Missing),
        (false, Some(_)) => return malformed(Field::TradeReference, Fault::NotAllowed),
        (true, Some(_)) | (false, None) => {}
    }
    remittance(sent.text(number::REMITTANCE))?;
    code(sent.text(number::PURPOSE), Field::Purpose)?;
    if !(0..=4).contains(&sent.charge_bearer) {
        return malformed(Field::ChargeBearer, Fault::Unknown);
    }
    instructed(
        sent.text(number::INSTRUCTED_AMOUNT),
        sent.text(number::INSTRUCTED_ASSET),
    )?;
    if sent.text(number::ISO_MESSAGE).len() > ISO_MESSAGE_BYTES_MAX {
        return malformed(Field::IsoMessage, Fault::TooLong);
    }
    let reason = sent.text(number::RETURN_REASON);
    code(reason, Field::ReturnReason)?;
    if kind != Kind::Return && !reason.is_empty() {
        return malformed(Field::ReturnReason, Fault::NotAllowed);
    }
    Ok(())
}

/// At most 35 printable ASCII characters; `None` if it was not sent.
fn short_text(sent: &Sent<'_>, number: u32, field: Field) -> Checked<Option<ShortText>> {
    match sent.text(number) {
        [] => Ok(None),
        text if text.len() > SHORT_TEXT_CHARS_MAX => malformed(field, Fault::TooLong),
        text => match ShortText::parse(text) {
            Some(text) => Ok(Some(text)),
            None => malformed(field, Fault::Malformed),
        },
    }
}

/// At most 140 characters of UTF-8, none of them a control character.
fn remittance(text: &[u8]) -> Checked<()> {
    let Ok(text) = std::str::from_utf8(text) else {
        return malformed(Field::Remittance, Fault::Malformed);
    };
    if text.len() > REMITTANCE_CHARS_MAX && text.chars().count() > REMITTANCE_CHARS_MAX {
        return malformed(Field::Remittance, Fault::TooLong);
    }
    if text.chars().any(char::is_control) {
        return malformed(Field::Remittance, Fault::Malformed);
    }
    Ok(())
}

/// An ISO 20022 external code: at most four letters and digits.
fn code(text: &[u8], field: Field) -> Checked<()> {
    if text.len() > CODE_CHARS_MAX {
        return malformed(field, Fault::TooLong);
    }
    if !text.iter().all(u8::is_ascii_alphanumeric) {
        return malformed(field, Fault::Malformed);
    }
    Ok(())
}

/// What the ultimate debtor ordered: amount and asset, or neither. The asset may be one that the
/// scheme does not have.
fn instructed(amount: &[u8], asset: &[u8]) -> Checked<()> {
    match (amount, asset) {
        ([], []) => return Ok(()),
        ([], _) => return malformed(Field::InstructedAmount, Fault::Missing),
        _ => {}
    }
    if amount.len() > AMOUNT_TEXT_BYTES_MAX {
        return malformed(Field::InstructedAmount, Fault::TooLong);
    }
    if decimal(amount).is_none_or(|amount| amount.negative) {
        return malformed(Field::InstructedAmount, Fault::Malformed);
    }
    if asset.is_empty() {
        return malformed(Field::InstructedAsset, Fault::Missing);
    }
    if AssetCode::parse(asset).is_none() {
        return malformed(Field::InstructedAsset, Fault::Malformed);
    }
    Ok(())
}
