//! Words and numbers of a queue file.

use super::form::{Fault, Text};
use super::{Goal, Order};
use fx::{AmountError, AssetCode, DecimalText};

/// Why an asset is refused.
pub(super) const UNKNOWN_ASSET: &str = "a currency that is not known, nor a token under assets";

/// Which of two instructions goes first, whatever their places in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    Urgent,
    High,
    Normal,
}

pub(super) const ORDERS: [(&str, Order); 2] =
    [("kept", Order::Kept), ("bypassed", Order::Bypassed)];
pub(super) const GOALS: [(&str, Goal); 2] = [("value", Goal::Value), ("count", Goal::Count)];
pub(super) const PRIORITIES: [(&str, Priority); 3] = [
    ("urgent", Priority::Urgent),
    ("high", Priority::High),
    ("normal", Priority::Normal),
];

/// One of a few words.
pub(super) fn word<T: Copy>(
    text: Option<&Text<'_>>,
    path: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, Fault> {
    let Some(text) = text else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| *word == text.text) {
        Some(&(_, value)) => Ok(Some(value)),
        None => {
            let words: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
            let reason = format!("{:?} is not one of {}", text.text, words.join(", "));
            Err(Fault::new(text.line, path, reason))
        }
    }
}

pub(super) fn code(text: &Text<'_>, path: impl Fn() -> String) -> Result<AssetCode, Fault> {
    let code = text.text.parse::<AssetCode>();
    code.map_err(|error| Fault::new(text.line, path(), error))
}

/// An amount that may be zero or below, in minor units.
pub(super) fn minor_units(text: &str, decimals: u8) -> Result<i64, String> {
    let text = DecimalText::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let positive = DecimalText {
        negative: false,
        ..text
    };
    let minor = match positive.to_minor_units(decimals) {
        Err(AmountError::Zero) => 0,
        minor => minor.map_err(|error| error.to_string())?,
    };
    Ok(if text.negative { -minor } else { minor })
}

pub(super) fn not_negative(
    text: &Text<'_>,
    decimals: u8,
    path: impl Fn() -> String,
) -> Result<i64, Fault> {
    let minor = minor_units(&text.text, decimals);
    let minor = minor.and_then(|minor| match minor {
        0.. => Ok(minor),
        _ => Err("below zero".to_owned()),
    });
    minor.map_err(|reason| Fault::new(text.line, path(), reason))
}

pub(super) fn numbered(place: usize) -> u32 {
    u32::try_from(place).expect("no file has 2^32 of anything")
}
