//! Fields of requests, parsed once; a field that is not of its form is `INVALID_ARGUMENT` and named.

use crate::errors::{invalid, missing};
use crate::wire;
use fx::{AssetCode, DecimalText, Pair};
use prost_types::Timestamp as WireTime;
use rust_decimal::Decimal;
use settlement_core::command::Position;
use settlement_core::ids::{Bic, CycleName, Date, Sequence, Timestamp, Uetr};
use settlement_core::instruction::{Kind, Priority, SHORT_TEXT_CHARS_MAX, ShortText};
use tonic::Status;
use valuta_proto::v1;

type Parsed<T> = Result<T, Status>;

/// What `form` says if `parse` finds nothing; `FIELD_MISSING` if the text is empty.
fn required<T>(
    field: &str,
    text: &str,
    form: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Parsed<T> {
    if text.is_empty() {
        return Err(missing(field));
    }
    parse(text).ok_or_else(|| invalid(field, form))
}

/// `None` if the text is empty.
pub(crate) fn optional<T>(
    field: &str,
    text: &str,
    parse: impl FnOnce(&str, &str) -> Parsed<T>,
) -> Parsed<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(field, text).map(Some)
}

pub(crate) fn bic(field: &str, text: &str) -> Parsed<Bic> {
    let form = "a BIC has 8 or 11 characters, upper case (ISO 9362)";
    required(field, text, form, |text| Bic::parse(text.as_bytes()))
}

pub(crate) fn asset(field: &str, text: &str) -> Parsed<AssetCode> {
    let form = "an asset code has 1 to 8 characters A-Z and 0-9";
    required(field, text, form, |text| AssetCode::parse(text.as_bytes()))
}

pub(crate) fn uetr(field: &str, text: &str) -> Parsed<Uetr> {
    let form = "a UETR is a UUID of version 4 in lower case, 8-4-4-4-12";
    required(field, text, form, |text| Uetr::parse(text.as_bytes()))
}

pub(crate) fn date(field: &str, text: &str) -> Parsed<Date> {
    let form = "a date is YYYY-MM-DD";
    required(field, text, form, |text| Date::parse(text.as_bytes()))
}

pub(crate) fn cycle(field: &str, text: &str) -> Parsed<CycleName> {
    let form = "a cycle is a value date and its number on it, such as 2026-11-20/1";
    required(field, text, form, CycleName::parse)
}

pub(crate) fn pair(field: &str, text: &str) -> Parsed<Pair> {
    let form = "a pair is BASE/QUOTE of two assets, such as EUR/USD";
    required(field, text, form, |text| Pair::parse(text).ok())
}

/// 1 to 35 printable ASCII characters.
pub(crate) fn short_text(field: &str, text: &str) -> Parsed<ShortText> {
    let form = format!("at most {SHORT_TEXT_CHARS_MAX} printable ASCII characters");
    required(field, text, &form, |text| ShortText::parse(text.as_bytes()))
}

/// Printable text of a bounded length; may be empty.
pub(crate) fn text(field: &str, text: &str, chars_max: usize) -> Parsed<String> {
    if text.chars().count() > chars_max {
        return Err(invalid(field, format!("at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "no control characters"));
    }
    Ok(text.to_owned())
}

/// A decimal with nothing rounded away, such as a rate.
pub(crate) fn decimal(field: &str, text: &str) -> Parsed<Decimal> {
    let form = "decimal text, at most 18 digits";
    required(field, text, form, |text| {
        // The strict grammar first: the library takes exponents and separators too.
        DecimalText::parse(text.as_bytes()).ok()?;
        Decimal::from_str_exact(text).ok()
    })
}

/// An amount above zero, in minor units of an asset with so many decimals.
pub(crate) fn amount(field: &str, text: &str, decimals: u8) -> Parsed<i64> {
    let form = "an amount is decimal text, at most 18 digits";
    let amount = required(field, text, form, |text| {
        DecimalText::parse(text.as_bytes()).ok()
    })?;
    amount
        .to_minor_units(decimals)
        .map_err(|error| invalid(field, error.to_string()))
}

/// The same, or zero.
pub(crate) fn amount_or_zero(field: &str, text: &str, decimals: u8) -> Parsed<i64> {
    match DecimalText::parse(text.as_bytes()) {
        Ok(zero) if zero.mantissa == 0 && !zero.negative && zero.scale <= decimals => Ok(0),
        _ => amount(field, text, decimals),
    }
}

pub(crate) fn kind(field: &str, value: i32) -> Parsed<Kind> {
    match value {
        0 => Err(missing(field)),
        value => wire::kind(value).ok_or_else(|| unknown(field)),
    }
}

/// An enum's number that `valuta.v1` does not have.
/// A priority that must be named.
pub(crate) fn priority(field: &str, value: i32) -> Parsed<Priority> {
    match v1::Priority::try_from(value) {
        Ok(v1::Priority::Unspecified) => Err(missing(field)),
        Ok(v1::Priority::Normal) => Ok(Priority::Normal),
        Ok(v1::Priority::High) => Ok(Priority::High),
        Ok(v1::Priority::Urgent) => Ok(Priority::Urgent),
        Err(_) => Err(unknown(field)),
    }
}

pub(crate) fn unknown(field: &str) -> Status {
    invalid(field, "not a value that valuta.v1 has")
}

pub(crate) fn time(field: &str, time: Option<WireTime>) -> Parsed<Timestamp> {
    optional_time(field, time)?.ok_or_else(|| missing(field))
}

pub(crate) fn optional_time(field: &str, time: Option<WireTime>) -> Parsed<Option<Timestamp>> {
    time.map(|time| {
        wire::timestamp(time.seconds, time.nanos)
            .ok_or_else(|| invalid(field, "an instant of the years 1 to 9999"))
    })
    .transpose()
}

/// `sequence.index`: a resume token, or a position of `Receive`.
pub(crate) fn position(field: &str, text: &str) -> Parsed<Position> {
    let form = "a position as it was answered, such as 1042.0; or 0 for the beginning";
    required(field, text, form, |text| {
        if text == "0" {
            return Some(Position::default());
        }
        let (sequence, index) = text.split_once('.')?;
        Some(Position {
            sequence: Sequence(number(sequence)?),
            index: u32::try_from(number(index)?).ok()?,
        })
    })
}

/// Digits only: Rust's own parser also takes a plus sign.
fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// The text that [`position`] reads.
/// What a watch resumes from.
pub fn position_text(position: Position) -> String {
    format!("{}.{}", position.sequence.0, position.index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use tonic::Code;
    use tonic_types::StatusExt;

    #[test]
    fn positions_round_trip() {
        for (sequence, index) in [(0, 0), (1, 0), (u64::MAX, u32::MAX)] {
            let position = Position {
                sequence: Sequence(sequence),
                index,
            };
            assert_eq!(
                self::position("p", &position_text(position)).unwrap(),
                position
            );
        }
        assert_eq!(position("p", "0").unwrap(), Position::default());
        for text in [
            "",
            "1",
            "1.",
            ".1",
            "+1.0",
            "1.-1",
            "1.4294967296",
            "18446744073709551616.0",
            "1.0.0",
        ] {
            assert!(position("p", text).is_err(), "{text}");
        }
    }

    #[test]
    fn faults_name_the_field() {
        let status = cycle("cycle", "2026-11-20").unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "cycle"
        );
        let reason = |status: Status| {
            status
                .get_error_details()
                .error_info()
                .unwrap()
                .reason
                .clone()
        };
        assert_eq!(
            reason(short_text("request_id", "").unwrap_err()),
            "FIELD_MISSING"
        );
        assert_eq!(
            reason(short_text("request_id", &"x".repeat(36)).unwrap_err()),
            "FIELD_INVALID"
        );
        assert_eq!(reason(kind("kind", 9).unwrap_err()), "FIELD_INVALID");
        assert_eq!(reason(time("time", None).unwrap_err()), "FIELD_MISSING");
    }

    #[test]
    fn amounts_are_never_rounded() {
        assert_eq!(amount("a", "12.34", 2).unwrap(), 1_234);
        assert_eq!(amount_or_zero("a", "0.00", 2).unwrap(), 0);
        for text in ["0", "-1", "0.5", "1e3", "", "1000000000000000000"] {
            assert!(amount("a", text, 0).is_err(), "{text}");
        }
        for text in ["-0", "0.0", ""] {
            assert!(amount_or_zero("a", text, 0).is_err(), "{text}");
        }
        assert_eq!(decimal("r", "1.0850").unwrap().to_string(), "1.0850");
        for text in ["1e5", "1_0", "", "+1", "1."] {
            assert!(decimal("r", text).is_err(), "{text}");
        }
    }
}
