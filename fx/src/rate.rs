//! Exchange rates: positive fractions in lowest terms.
//!
//! A quoted rate is decimal text within bounds. What is computed from quoted rates (an inverse, a
//! cross through a pivot, a mid) is a fraction, so it is exact; only a final amount is rounded.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use ethnum::{I256, U256};
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use rust_decimal::Decimal;

use crate::amount::{AmountTextError, DecimalText};
use crate::fraction::Fraction;

/// First mantissa that a quoted rate may not have.
pub const QUOTED_MANTISSA_END: i128 = 1_000_000_000_000_000_000;

/// Most decimals of a quoted rate.
pub const QUOTED_DECIMALS_MAX: u32 = 12;

/// A quoted rate is not below one over this (0.000001): quote the inverse instead.
pub const QUOTED_INVERSE_MAX: i128 = 1_000_000;

/// A positive rate: 1 unit of the base is `numerator / denominator` units of the quote asset.
///
/// In lowest terms, so equal rates are equal values, however they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    numerator: i128,
    denominator: i128,
}

/// Why something is not a rate. In order of precedence: the first that applies is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// The text is not a decimal.
    #[error("the rate is not a decimal: {0}")]
    Text(#[from] AmountTextError),
    /// Zero or below.
    #[error("the rate is not above zero")]
    NotPositive,
    /// More than [`QUOTED_DECIMALS_MAX`] decimals, trailing zeros included.
    #[error("the rate has more than 12 decimals")]
    TooManyDecimals,
    /// The mantissa is not below [`QUOTED_MANTISSA_END`].
    #[error("the rate has more than 18 digits")]
    TooManyDigits,
    /// Below 0.000001.
    #[error("the rate is below 0.000001: quote the inverse")]
    TooSmall,
    /// The fraction, in lowest terms, does not fit 128 bits.
    #[error("the rate does not fit a fraction of two 128-bit integers")]
    Overflow,
}

impl Rate {
    /// What an asset costs in itself.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// Reads a quoted rate, by the grammar of [`DecimalText`].
    ///
    /// # Errors
    /// In the order of [`RateError`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        Self::from_decimal_text(DecimalText::parse(text.as_bytes())?)
    }

    /// Reads a quoted rate without making the fraction: for tables of rates of which few are used.
    ///
    /// # Errors
    /// In the order of [`RateError`].
    pub fn check_quoted(text: &str) -> Result<DecimalText, RateError> {
        let text = DecimalText::parse(text.as_bytes())?;
        let (mantissa, scale) = signed(text);
        check_bounds(mantissa, scale)?;
        Ok(text)
    }

    /// A quoted rate from a decimal's text, under the same bounds as [`Rate::parse`].
    ///
    /// # Errors
    /// In the order of [`RateError`].
    pub fn from_decimal_text(text: DecimalText) -> Result<Self, RateError> {
        let (mantissa, scale) = signed(text);
        Self::from_quoted(mantissa, scale)
    }

    /// A quoted rate from a decimal, under the same bounds as [`Rate::parse`].
    ///
    /// # Errors
    /// In the order of [`RateError`].
    pub fn from_decimal(rate: Decimal) -> Result<Self, RateError> {
        Self::from_quoted(rate.mantissa(), rate.scale())
    }

    fn from_quoted(mantissa: i128, scale: u32) -> Result<Self, RateError> {
        check_bounds(mantissa, scale)?;
        Self::from_fraction(mantissa, 10_i128.pow(scale))
    }

    /// For people: half-even to at most so many significant digits, without trailing zeros.
    #[must_use]
    pub fn to_text(&self, significant_digits: usize) -> String {
        let (numerator, denominator) = (I256::from(self.numerator), I256::from(self.denominator));
        let fraction = Fraction::new(numerator, denominator);
        fraction
            .expect("two 128-bit integers fit")
            .to_text(significant_digits)
    }

    /// Any positive fraction, brought to lowest terms.
    ///
    /// # Errors
    /// [`RateError::NotPositive`] unless both parts are above zero.
    pub fn from_fraction(numerator: i128, denominator: i128) -> Result<Self, RateError> {
        if numerator <= 0 || denominator <= 0 {
            return Err(RateError::NotPositive);
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Ok(Self {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        })
    }

    /// Units of the quote asset, above zero; shares no factor with the denominator.
    #[must_use]
    pub const fn numerator(&self) -> i128 {
        self.numerator
    }

    /// Units of the base asset, above zero.
    #[must_use]
    pub const fn denominator(&self) -> i128 {
        self.denominator
    }

    /// The rate of `QUOTE/BASE`, exactly.
    #[must_use]
    pub const fn inverse(&self) -> Self {
        Self {
            numerator: self.denominator,
            denominator: self.numerator,
        }
    }

    /// `A/B` from this rate `A/P` and `through`, which is `P/B`, exactly: their product.
    ///
    /// `USD/JPY` from what is quoted against the euro is
    /// `eur_usd.inverse().cross(&eur_jpy)`, that is `EUR/JPY / EUR/USD`.
    ///
    /// # Errors
    /// [`RateError::Overflow`] if the product in lowest terms does not fit.
    pub fn cross(&self, through: &Self) -> Result<Self, RateError> {
        // Both are in lowest terms, so cancelling across gives lowest terms, before anything overflows.
        let left = greatest_common_divisor(self.numerator, through.denominator);
        let right = greatest_common_divisor(through.numerator, self.denominator);
        let numerator = (self.numerator / left).checked_mul(through.numerator / right);
        let denominator = (self.denominator / right).checked_mul(through.denominator / left);
        match (numerator, denominator) {
            (Some(numerator), Some(denominator)) => Ok(Self {
                numerator,
                denominator,
            }),
            _ => Err(RateError::Overflow),
        }
    }

    /// The middle between two rates, exactly: half their sum.
    ///
    /// # Errors
    /// [`RateError::Overflow`] if the result in lowest terms does not fit.
    pub fn middle(&self, other: &Self) -> Result<Self, RateError> {
        // n1/d1 + n2/d2 over the least common denominator l, halved: below 2^255, so within 256 bits.
        let divisor = greatest_common_divisor(self.denominator, other.denominator);
        let (scale, other_scale) = (other.denominator / divisor, self.denominator / divisor);
        let sum = wide(self.numerator) * wide(scale) + wide(other.numerator) * wide(other_scale);
        let denominator = (wide(self.denominator) * wide(scale)).checked_mul(U256::new(2));
        Self::from_wide(sum, denominator.ok_or(RateError::Overflow)?)
    }

    fn from_wide(numerator: U256, denominator: U256) -> Result<Self, RateError> {
        let divisor = greatest_common_divisor_wide(numerator, denominator);
        let narrow = |part: U256| i128::try_from(part / divisor).map_err(|_| RateError::Overflow);
        Self::from_fraction(narrow(numerator)?, narrow(denominator)?)
    }
}

fn signed(text: DecimalText) -> (i128, u32) {
    let sign = if text.negative { -1 } else { 1 };
    (sign * i128::from(text.mantissa), u32::from(text.scale))
}

fn check_bounds(mantissa: i128, scale: u32) -> Result<(), RateError> {
    if mantissa <= 0 {
        return Err(RateError::NotPositive);
    }
    if scale > QUOTED_DECIMALS_MAX {
        return Err(RateError::TooManyDecimals);
    }
    if mantissa >= QUOTED_MANTISSA_END {
        return Err(RateError::TooManyDigits);
    }
    if mantissa * QUOTED_INVERSE_MAX < 10_i128.pow(scale) {
        return Err(RateError::TooSmall);
    }
    Ok(())
}

fn wide(positive: i128) -> U256 {
    U256::new(positive.unsigned_abs())
}

fn greatest_common_divisor(mut left: i128, mut right: i128) -> i128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

fn greatest_common_divisor_wide(mut left: U256, mut right: U256) -> U256 {
    while right != U256::ZERO {
        (left, right) = (right, left % right);
    }
    left
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = wide(self.numerator) * wide(other.denominator);
        left.cmp(&(wide(other.numerator) * wide(self.denominator)))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        Self::parse(text)
    }
}

impl TryFrom<Decimal> for Rate {
    type Error = RateError;

    fn try_from(rate: Decimal) -> Result<Self, RateError> {
        Self::from_decimal(rate)
    }
}

/// The stored form: `[numerator, denominator]`, each an integer or a bignum.
#[derive(Encode, Decode)]
struct RateFields {
    #[n(0)]
    numerator: i128,
    #[n(1)]
    denominator: i128,
}

impl<C> Encode<C> for Rate {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let Self {
            numerator,
            denominator,
        } = *self;
        RateFields {
            numerator,
            denominator,
        }
        .encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for Rate {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        let fields = RateFields::decode(decoder, context)?;
        let rate = Self::from_fraction(fields.numerator, fields.denominator)
            .map_err(|error| decode::Error::message(error).at(position))?;
        // One rate has one stored form, else equal records would have different hashes.
        if rate.numerator != fields.numerator {
            return Err(decode::Error::message("the rate is not in lowest terms").at(position));
        }
        Ok(rate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match Rate::parse(text) {
            Ok(rate) => rate.to_string(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found, expected, "{text:?}");
        // Where a decimal can hold the text, it must give the same rate.
        if let Ok(decimal) = Decimal::from_str_exact(text)
            && DecimalText::parse(text.as_bytes()).is_ok()
        {
            assert_eq!(Rate::from_decimal(decimal), Rate::parse(text), "{text:?}");
        }
    }

    #[test]
    fn parses_within_bounds() {
        check("1", "1/1");
        check("1.10", "11/10");
        check("1.1000", "11/10");
        check("186.75", "747/4");
        check("0.000001", "1/1000000");
        check("0.000001000000", "1/1000000");
        check("0.000000999999", "TooSmall");
        check("0.000000", "NotPositive");
        check("999999999999999999", "999999999999999999/1");
        check("999999.999999999999", "999999999999999999/1000000000000");
        check("1000000000000000000", "Text(TooManyDigits)");
        check("1.0000000000000", "TooManyDecimals");
        check("0.0000000000001", "TooManyDecimals");
        check("0", "NotPositive");
        check("-1.1", "NotPositive");
        check("-0", "NotPositive");
        check("", "Text(Empty)");
        check("1,1", "Text(NotADecimal { offset: 1 })");
        check("+1.1", "Text(NotADecimal { offset: 0 })");
        check("1e3", "Text(NotADecimal { offset: 1 })");
    }

    #[test]
    fn a_decimal_beyond_the_bounds_is_refused() {
        for (decimal, expected) in [
            (Decimal::MAX, RateError::TooManyDigits),
            (Decimal::MIN, RateError::NotPositive),
            (Decimal::ZERO, RateError::NotPositive),
            (Decimal::new(-0, 2), RateError::NotPositive),
            (Decimal::new(1, 13), RateError::TooManyDecimals),
            (
                Decimal::new(1_000_000_000_000_000_000, 6),
                RateError::TooManyDigits,
            ),
            (Decimal::new(999_999, 12), RateError::TooSmall),
        ] {
            assert_eq!(Rate::try_from(decimal), Err(expected), "{decimal}");
        }
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn inverse_and_cross_are_exact() {
        let (eur_usd, eur_jpy) = (rate("1.1684"), rate("186.75"));
        let usd_jpy = eur_usd.inverse().cross(&eur_jpy).unwrap();
        // 186.75 / 1.1684 = 1867500 / 11684
        assert_eq!(usd_jpy, Rate::from_fraction(1_867_500, 11_684).unwrap());
        assert_eq!(usd_jpy.inverse().cross(&usd_jpy), Ok(Rate::ONE));
        assert_eq!(eur_usd.cross(&usd_jpy), Ok(eur_jpy));
        assert_eq!(eur_usd.inverse().inverse(), eur_usd);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let large = Rate::from_fraction(i128::MAX, 1).unwrap();
        let small = large.inverse();
        assert_eq!(large.cross(&large), Err(RateError::Overflow));
        assert_eq!(small.cross(&small), Err(RateError::Overflow));
        assert_eq!(large.cross(&small), Ok(Rate::ONE));
        assert_eq!(large.middle(&small), Err(RateError::Overflow));
        assert_eq!(large.middle(&large), Ok(large));
        let (odd, even) = (
            Rate::from_fraction(1, i128::MAX),
            Rate::from_fraction(1, i128::MAX - 1),
        );
        assert_eq!(
            odd.unwrap().middle(&even.unwrap()),
            Err(RateError::Overflow)
        );
        for (numerator, denominator) in [(0, 1), (1, 0), (-1, 1), (1, -1), (-1, -1), (i128::MIN, 1)]
        {
            let refused = Rate::from_fraction(numerator, denominator);
            assert_eq!(
                refused,
                Err(RateError::NotPositive),
                "{numerator}/{denominator}"
            );
        }
    }

    #[test]
    fn middle_is_not_rounded() {
        let (bid, ask) = (rate("1.084712345678"), rate("1.084712345679"));
        let expected = Rate::from_fraction(2_169_424_691_357, 2_000_000_000_000).unwrap();
        assert_eq!(bid.middle(&ask), Ok(expected));
        let third = Rate::from_fraction(1, 3).unwrap();
        assert_eq!(third.middle(&rate("0.5")), Rate::from_fraction(5, 12));
    }

    #[test]
    fn orders_by_value() {
        let ordered = [
            Rate::from_fraction(1, i128::MAX).unwrap(),
            Rate::from_fraction(1, i128::MAX - 1).unwrap(),
            rate("0.000001"),
            rate("1.084712345678"),
            rate("1.084712345679"),
            Rate::from_fraction(i128::MAX - 1, 2).unwrap(),
            Rate::from_fraction(i128::MAX, 2).unwrap(),
        ];
        assert!(ordered.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn stores_one_form_only() {
        let extremes = [i128::MAX, 1_000_000_000_000_000_000_000_000_000_007];
        for rate in [
            rate("1.1684"),
            Rate::from_fraction(extremes[0], extremes[1]).unwrap(),
        ] {
            let bytes = minicbor::to_vec(rate).unwrap();
            assert_eq!(minicbor::decode::<Rate>(&bytes).unwrap(), rate);
        }
        let text = |numerator, denominator| {
            let bytes = minicbor::to_vec(RateFields {
                numerator,
                denominator,
            })
            .unwrap();
            minicbor::decode::<Rate>(&bytes).unwrap_err().to_string()
        };
        assert!(text(2, 4).contains("lowest terms"));
        assert!(text(0, 1).contains("above zero"));
        assert!(text(1, -1).contains("above zero"));
    }

    /// The traps of the decimal type that the edges use: if a release changes one, it shows here.
    #[test]
    fn traps_of_the_decimal_type() {
        let large = Decimal::from(u64::MAX);
        let product = large
            .checked_mul(Decimal::from_str_exact("1.084712345678").unwrap())
            .unwrap();
        // The exact product is 20009411538130934511.474126434970: the last digits are lost in silence.
        assert!(product.scale() < 12, "{product}");
        let sum = Decimal::MAX.checked_add(Decimal::new(4, 1)).unwrap();
        assert_eq!(sum, Decimal::MAX, "checked_add rounds in silence");
        assert!(
            "0.12345678901234567890123456789".parse::<Decimal>().is_ok(),
            "from_str rounds"
        );
        assert!(Decimal::from_str_exact("0.12345678901234567890123456789").is_err());
        assert!(Decimal::from_str_exact("1_000").is_ok() && Rate::parse("1_000").is_err());
        let (short, long) = (Decimal::new(11, 1), Decimal::new(110, 2));
        assert!(short == long && short.to_string() != long.to_string());
        assert_eq!(Rate::from_decimal(short), Rate::from_decimal(long));
        assert_eq!((-Decimal::ZERO).to_string(), "-0");
        assert_eq!(
            Decimal::new(25, 1).round(),
            Decimal::from(2),
            "round is half-even"
        );
    }
}
