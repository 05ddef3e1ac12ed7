//! Wire values as people write them, both ways: times, enums, references.

use crate::client::CliError;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use prost_types::Timestamp;
use valuta_proto::v1;

/// Reads an RFC 3339 instant, such as `2026-04-13T10:00:00Z`.
///
/// # Errors
/// What is expected instead.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{text:?} is no RFC 3339 time: {error}"))?;
    let nanos = i32::try_from(time.timestamp_subsec_nanos())
        .map_err(|_| format!("{text:?} is no instant"))?;
    Ok(Timestamp {
        seconds: time.timestamp(),
        nanos,
    })
}

/// An instant in UTC; empty if unset.
pub fn time(time: Option<&Timestamp>) -> String {
    let instant = time.and_then(|time| {
        DateTime::<Utc>::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
    });
    instant
        .map(|instant| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        .unwrap_or_default()
}

/// Reads bytes as pairs of hexadecimal digits.
///
/// # Errors
/// What is expected instead.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match *pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or_else(|| format!("{text:?} is not pairs of hexadecimal digits"))
}

/// An enum's value as its short name: `KIND_TRADE_SIDE` as `trade_side`; empty if unspecified.
fn short(full: &str, prefix: &str) -> String {
    match full.strip_prefix(prefix).unwrap_or(full) {
        "UNSPECIFIED" => String::new(),
        name => name.to_ascii_lowercase(),
    }
}

/// A function from wire to name for each enum.
macro_rules! shown {
    ($($name:ident $enum:ident $prefix:literal),* $(,)?) => {
        $(
            /// The value's short name in lower case; empty if unspecified or not known.
            pub fn $name(value: i32) -> String {
                let value = v1::$enum::try_from(value).unwrap_or_default();
                short(value.as_str_name(), $prefix)
            }
        )*
    };
}

/// A function from name to wire for each enum; the name may be given in full too.
macro_rules! parsed {
    ($($parse:ident $enum:ident $prefix:literal),* $(,)?) => {
        $(
            /// Reads a short or full name; an empty one is unspecified.
            ///
            /// # Errors
            /// The names that there are.
            pub fn $parse(text: &str) -> Result<i32, String> {
                if text.is_empty() {
                    return Ok(0);
                }
                let upper = text.to_ascii_uppercase();
                let full = if upper.starts_with($prefix) { upper } else { format!("{}{upper}", $prefix) };
                v1::$enum::from_str_name(&full).map(i32::from).ok_or_else(|| {
                    let known = (1..).map_while(|value| v1::$enum::try_from(value).ok());
                    let known: Vec<String> =
                        known.map(|value| short(value.as_str_name(), $prefix)).collect();
                    format!("{text:?} is none of {}", known.join(", "))
                })
            }
        )*
    };
}

shown! {
    funding FundingModel "FUNDING_MODEL_",
    order SettlementOrder "SETTLEMENT_ORDER_",
    batch_order BatchOrder "BATCH_ORDER_",
    kind Kind "KIND_",
    lane Lane "LANE_",
    priority Priority "PRIORITY_",
    leg_kind LegKind "LEG_KIND_",
    waiting_reason WaitingReason "WAITING_REASON_",
    rounding Rounding "ROUNDING_",
    fixed_side FixedSide "FIXED_SIDE_",
    status_name Status "STATUS_",
    cycle_state CycleState "CYCLE_STATE_",
    quote_state QuoteState "QUOTE_STATE_",
    participant_state ParticipantState "PARTICIPANT_STATE_",
    account_state AccountState "ACCOUNT_STATE_",
    cut_off_purpose CutOffPurpose "CUT_OFF_PURPOSE_",
    day_kind DayKind "DAY_KIND_",
}

parsed! {
    parse_funding FundingModel "FUNDING_MODEL_",
    parse_order SettlementOrder "SETTLEMENT_ORDER_",
    parse_kind Kind "KIND_",
    parse_lane Lane "LANE_",
    parse_priority Priority "PRIORITY_",
    parse_leg_kind LegKind "LEG_KIND_",
    parse_charge_bearer ChargeBearer "CHARGE_BEARER_",
    parse_rounding Rounding "ROUNDING_",
    parse_fixed_side FixedSide "FIXED_SIDE_",
    parse_role Role "ROLE_",
    parse_status Status "STATUS_",
    parse_account_state AccountState "ACCOUNT_STATE_",
}

/// An ISO 20022 status in its upper-case form.
pub fn status(value: i32) -> String {
    status_name(value).to_ascii_uppercase()
}

/// For clap: an instant.
pub fn time_argument(text: &str) -> Result<Timestamp, String> {
    parse_time(text)
}

/// For clap: a day.
///
/// # Errors
/// What is expected instead.
pub fn parse_date(text: &str) -> Result<NaiveDate, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    date.map_err(|_| "a date is YYYY-MM-DD".into())
}

/// A quote as `PROVIDER/ID`.
///
/// # Errors
/// If there is no slash, or nothing on one side of it.
pub fn parse_quote(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((provider, id)) if !provider.is_empty() && !id.is_empty() => {
            Ok((provider.to_owned(), id.to_owned()))
        }
        _ => Err(format!("{text:?} is no PROVIDER/ID")),
    }
}

/// The part that an answer must have.
///
/// # Errors
/// [`CliError::Refused`]: the server left it out.
pub fn present<T>(part: Option<T>, what: &str) -> Result<T, CliError> {
    part.ok_or_else(|| CliError::Refused(format!("the server's answer has no {what} (INTERNAL)")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_round_trip_in_utc() {
        for (text, shown) in [
            ("2026-04-13T10:00:00Z", "2026-04-13T10:00:00Z"),
            ("2026-04-13T12:00:00+02:00", "2026-04-13T10:00:00Z"),
            ("2026-04-13T10:00:00.250Z", "2026-04-13T10:00:00.250Z"),
        ] {
            assert_eq!(time(Some(&parse_time(text).unwrap())), shown);
        }
        for text in ["", "2026-04-13", "2026-04-13T25:00:00Z", "10:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(time(None), "");
    }

    #[test]
    fn enums_take_short_and_full_names() {
        for (text, value) in [
            ("trade_side", 4),
            ("KIND_TRADE_SIDE", 4),
            ("Payment", 1),
            ("", 0),
        ] {
            assert_eq!(parse_kind(text).unwrap(), value, "{text}");
        }
        assert_eq!(kind(4), "trade_side");
        assert_eq!((kind(0), kind(99)), (String::new(), String::new()));
        assert_eq!(status(parse_status("acsc").unwrap()), "ACSC");
        let error = parse_lane("fast").unwrap_err();
        assert!(error.contains("gross, net"), "{error}");
    }

    #[test]
    fn quotes_are_named_with_their_provider() {
        assert_eq!(
            parse_quote("BBBBDEFF/Q1").unwrap(),
            ("BBBBDEFF".into(), "Q1".into())
        );
        for text in ["Q1", "/Q1", "BBBBDEFF/"] {
            assert!(parse_quote(text).is_err(), "{text}");
        }
    }
}
