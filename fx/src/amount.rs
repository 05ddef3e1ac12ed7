//! Amounts: the exact text of a decimal, and minor units.
//!
//! Input is never rounded. `1.0` yen has one decimal too many, although no value would be lost: who
//! writes decimals that the asset does not have may have meant another asset.

use minicbor::{Decode, Encode};

/// Most decimals that an asset may have.
pub const DECIMALS_MAX: u8 = 8;

/// Largest amount of one leg in minor units: 18 digits, as ISO 20022 allows.
pub const MINOR_UNITS_MAX: i64 = 999_999_999_999_999_999;

/// Most significant digits of a decimal's text (leading zeros do not count).
pub const TEXT_DIGITS_MAX: usize = 18;

/// Most digits after the point of a decimal's text.
pub const TEXT_DECIMALS_MAX: usize = 18;

/// Powers of ten that fit an `i64`, by exponent.
pub(crate) const POWERS_OF_TEN: [i64; 19] = powers_of_ten();

const fn powers_of_ten() -> [i64; 19] {
    let mut powers = [1; 19];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
}

/// The text of a decimal, exactly: `[-]mantissa x 10^-scale`.
///
/// Grammar: `['-'] digits ['.' digits]`, nothing else: no `+`, exponent, space, separator, or empty part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct DecimalText {
    /// The digits without the point, `0 <= mantissa < 10^18`.
    #[n(0)]
    pub mantissa: i64,
    /// Digits after the point, trailing zeros included, at most 18.
    #[n(1)]
    pub scale: u8,
    /// Whether the text began with `-`; `-0` did.
    #[n(2)]
    pub negative: bool,
}

/// Why a text is not a decimal. In order of precedence: the first that applies is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountTextError {
    /// There is no text.
    #[error("the decimal is empty")]
    Empty,
    /// The text leaves the grammar at this byte, counted from 0.
    #[error("not a decimal: byte {offset} is not a digit or a point between digits")]
    NotADecimal {
        /// Offset of the first byte that does not fit; the length, if the text ends too early.
        offset: usize,
    },
    /// More than [`TEXT_DECIMALS_MAX`] digits after the point.
    #[error("more than 18 digits after the point")]
    TooManyDecimals,
    /// More than [`TEXT_DIGITS_MAX`] significant digits.
    #[error("more than 18 significant digits")]
    TooManyDigits,
}

impl DecimalText {
    /// Reads a decimal without rounding or allocating.
    ///
    /// # Errors
    /// Whatever the grammar does not allow, or what does not fit 18 digits.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, AmountTextError> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let (whole, point) = take_digits(text, start, 0);
        let (mantissa, end) = match text.get(point) {
            Some(b'.') => take_digits(text, point + 1, whole),
            _ => (whole, point),
        };
        let scale = end.saturating_sub(point + 1);
        let part_is_empty = point == start || end == point + 1;
        if end != text.len() || part_is_empty {
            return Err(refusal(text, if point == start { point } else { end }));
        }
        // The mantissa may have wrapped only where there are more digits than fit.
        if end - start > TEXT_DIGITS_MAX {
            check_size(&text[start..], scale)?;
        }
        Ok(Self {
            mantissa,
            scale: scale as u8,
            negative,
        })
    }

    /// The amount in minor units of an asset with so many decimals.
    ///
    /// # Errors
    /// In the order of [`AmountError`]: decimals that the asset does not have (zeros too), then a
    /// negative or too large amount, then zero.
    #[inline]
    pub fn to_minor_units(self, decimals: u8) -> Result<i64, AmountError> {
        if self.scale > decimals {
            return Err(AmountError::TooManyDecimals);
        }
        if self.negative {
            return Err(AmountError::Negative);
        }
        if self.mantissa == 0 {
            return Err(AmountError::Zero);
        }
        POWERS_OF_TEN
            .get(usize::from(decimals - self.scale))
            .and_then(|power| self.mantissa.checked_mul(*power))
            .filter(|minor_units| *minor_units <= MINOR_UNITS_MAX)
            .ok_or(AmountError::TooLarge)
    }
}

/// Appends the digits from `offset` on to a mantissa; gives where they end too.
#[inline]
fn take_digits(text: &[u8], offset: usize, mantissa: i64) -> (i64, usize) {
    let (mut mantissa, mut offset) = (mantissa, offset);
    while let Some(byte) = text.get(offset) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(i64::from(digit));
        offset += 1;
    }
    (mantissa, offset)
}

#[cold]
fn refusal(text: &[u8], offset: usize) -> AmountTextError {
    if text.is_empty() {
        return AmountTextError::Empty;
    }
    AmountTextError::NotADecimal { offset }
}

/// Counts digits where the text is long enough to have too many of them.
#[cold]
fn check_size(digits: &[u8], scale: usize) -> Result<(), AmountTextError> {
    if scale > TEXT_DECIMALS_MAX {
        return Err(AmountTextError::TooManyDecimals);
    }
    let significant = digits
        .iter()
        .filter(|byte| **byte != b'.')
        .skip_while(|byte| **byte == b'0');
    if significant.count() > TEXT_DIGITS_MAX {
        return Err(AmountTextError::TooManyDigits);
    }
    Ok(())
}

/// Why a decimal is not an amount of an asset. In order of precedence: the first that applies wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// More decimals than the asset has (CH20).
    #[error("more decimals than the asset has")]
    TooManyDecimals,
    /// Below zero (AM12); `-0` counts.
    #[error("the amount is negative")]
    Negative,
    /// Above [`MINOR_UNITS_MAX`] (AM12).
    #[error("the amount has more than 18 digits in minor units")]
    TooLarge,
    /// Zero (AM01).
    #[error("the amount is zero")]
    Zero,
}

impl AmountError {
    /// The ISO 20022 reason code (external status reason, pacs.002).
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::TooManyDecimals => "CH20",
            Self::Negative | Self::TooLarge => "AM12",
            Self::Zero => "AM01",
        }
    }
}

/// Minor units as decimal text with all the asset's decimals: `(-5, 2)` is `-0.05`.
#[must_use]
pub fn format_minor_units(minor: i128, decimals: u8) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let decimals = usize::from(decimals);
    let digits = format!("{:0width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match DecimalText::parse(text.as_bytes()) {
            Ok(DecimalText {
                mantissa,
                scale,
                negative,
            }) => {
                format!("{}{mantissa}e-{scale}", if negative { "-" } else { "" })
            }
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn parses_exactly() {
        check("0", "0e-0");
        check("-0", "-0e-0");
        check("1.10", "110e-2");
        check("-1234.5", "-12345e-1");
        check("000000000000000000000000.10", "10e-2");
        check("0.000000000000000001", "1e-18");
        check("999999999999999999", "999999999999999999e-0");
        check("99999999999999999.9", "999999999999999999e-1");
        check("0.999999999999999999", "999999999999999999e-18");
        check("000999999999999999999", "999999999999999999e-0");
    }

    #[test]
    fn refuses_what_the_grammar_does_not_have() {
        check("", "Empty");
        check("-", "NotADecimal { offset: 1 }");
        check(".", "NotADecimal { offset: 0 }");
        check(".5", "NotADecimal { offset: 0 }");
        check("-.5", "NotADecimal { offset: 1 }");
        check("5.", "NotADecimal { offset: 2 }");
        check("1.2.3", "NotADecimal { offset: 3 }");
        check("1..3", "NotADecimal { offset: 2 }");
        check("+1", "NotADecimal { offset: 0 }");
        check("--1", "NotADecimal { offset: 1 }");
        check("1-", "NotADecimal { offset: 1 }");
        check(" 1", "NotADecimal { offset: 0 }");
        check("1 ", "NotADecimal { offset: 1 }");
        check("1e5", "NotADecimal { offset: 1 }");
        check("1,000.00", "NotADecimal { offset: 1 }");
        check("1_000", "NotADecimal { offset: 1 }");
        check("0x10", "NotADecimal { offset: 1 }");
        check("٣", "NotADecimal { offset: 0 }");
        check("1\0", "NotADecimal { offset: 1 }");
        check("NaN", "NotADecimal { offset: 0 }");
        // The grammar comes before the size.
        check("99999999999999999999999999x", "NotADecimal { offset: 26 }");
        check("99999999999999999999999999.", "NotADecimal { offset: 27 }");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        check("1000000000000000000", "TooManyDigits");
        check("0.1000000000000000000", "TooManyDecimals");
        check("0.0000000000000000000", "TooManyDecimals");
        check("1.000000000000000000", "TooManyDigits");
        check("18446744073709551616", "TooManyDigits");
        check("18446744073709551617.5", "TooManyDigits");
        // Decimals come before digits.
        check(
            "99999999999999999999.0000000000000000000",
            "TooManyDecimals",
        );
    }

    fn check_minor_units(text: &str, decimals: u8, expected: Result<i64, AmountError>) {
        let found = DecimalText::parse(text.as_bytes())
            .unwrap()
            .to_minor_units(decimals);
        assert_eq!(found, expected, "{text} with {decimals} decimals");
    }

    #[test]
    fn gives_minor_units() {
        check_minor_units("15983", 0, Ok(15_983));
        check_minor_units("1234.5", 2, Ok(123_450));
        check_minor_units("0.05", 2, Ok(5));
        check_minor_units("0.001", 3, Ok(1));
        check_minor_units("0.00000001", 8, Ok(1));
        check_minor_units("9999999999.99999999", 8, Ok(MINOR_UNITS_MAX));
        check_minor_units("9999999999999999.99", 2, Ok(MINOR_UNITS_MAX));
        check_minor_units("999999999999999999", 0, Ok(MINOR_UNITS_MAX));
    }

    #[test]
    fn refuses_in_order_of_precedence() {
        use AmountError::{Negative, TooLarge, TooManyDecimals, Zero};
        check_minor_units("1.0", 0, Err(TooManyDecimals));
        check_minor_units("0.5", 0, Err(TooManyDecimals));
        check_minor_units("0.0001", 3, Err(TooManyDecimals));
        check_minor_units("1.100", 2, Err(TooManyDecimals));
        check_minor_units("-0.000", 2, Err(TooManyDecimals));
        check_minor_units("-1.00", 2, Err(Negative));
        check_minor_units("-0", 2, Err(Negative));
        check_minor_units("-999999999999999999", 8, Err(Negative));
        check_minor_units("10000000000000000", 2, Err(TooLarge));
        check_minor_units("999999999999999999", 8, Err(TooLarge));
        check_minor_units("1", 18, Err(TooLarge));
        check_minor_units("1", 255, Err(TooLarge));
        check_minor_units("0", 255, Err(Zero));
        check_minor_units("0", 0, Err(Zero));
        check_minor_units("0.00", 2, Err(Zero));
    }

    #[test]
    fn formats_minor_units() {
        for (minor, decimals, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (123_450, 2, "1234.50"),
            (15_983, 0, "15983"),
            (-15_983, 0, "-15983"),
            (1, 8, "0.00000001"),
            (1_000, 3, "1.000"),
            (i128::MAX, 2, "1701411834604692317316873037158841057.27"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(format_minor_units(minor, decimals), text);
        }
    }
}
