//! Valuation rates: what a unit of an asset is worth in the base currency, frozen to 12 decimals.
//!
//! A rate is rounded once, half-even, when it is frozen. From there on values are exact integers, so
//! a limit test has one answer on every machine and in every tool.

use core::fmt;

use ethnum::{I256, U256};
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::amount::{DECIMALS_MAX, format_minor_units};
use crate::rate::{Rate, RateError};
use crate::rounding::{self, Rounding};

/// Decimals of a valuation rate.
pub const VALUATION_DECIMALS: u8 = 12;

/// Decimals of a value: a rate's, and the most that an asset's amount has.
pub const VALUE_DECIMALS: u8 = VALUATION_DECIMALS + DECIMALS_MAX;

/// 1 in units of 10^-12.
const ONE_SCALED: i128 = 1_000_000_000_000;

/// Units of the base currency per unit of an asset, in 10^-12, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValuationRate(i128);

/// Freezes a rate (asset/base): half-even to 12 decimals, once.
///
/// # Errors
/// [`RateError::TooSmall`] if it rounds to zero: an asset worth nothing would pass every limit.
/// [`RateError::Overflow`] if it does not fit.
pub fn valuation_rate(rate: &Rate) -> Result<ValuationRate, RateError> {
    let part = |part: i128| U256::new(part.unsigned_abs());
    let numerator = part(rate.numerator()) * part(ONE_SCALED);
    let quotient = rounding::divide(numerator, part(rate.denominator()), Rounding::HalfEven);
    let scaled = i128::try_from(quotient.whole).map_err(|_| RateError::Overflow)?;
    ValuationRate::from_scaled(scaled).ok_or(RateError::TooSmall)
}

impl ValuationRate {
    /// The base currency itself.
    pub const ONE: Self = Self(ONE_SCALED);

    /// From units of 10^-12; `None` unless above zero.
    #[must_use]
    pub const fn from_scaled(scaled: i128) -> Option<Self> {
        if scaled > 0 { Some(Self(scaled)) } else { None }
    }

    /// In units of 10^-12.
    #[must_use]
    pub const fn scaled(self) -> i128 {
        self.0
    }

    /// What an amount is worth, exactly, in units of 10^-20 ([`VALUE_DECIMALS`]) of the base currency.
    ///
    /// The amount is in minor units of an asset with `decimals`, and may be negative (a short). Values
    /// of assets with different decimals add up. `None` beyond 256 bits or 8 decimals.
    #[must_use]
    pub fn value(self, minor: i128, decimals: u8) -> Option<I256> {
        let exponent = DECIMALS_MAX.checked_sub(decimals)?;
        let scale = I256::from(10_i64.pow(u32::from(exponent)));
        // Two factors of 128 bits have 256 together; only the third can leave them.
        (I256::from(self.0) * I256::from(minor)).checked_mul(scale)
    }
}

impl fmt::Display for ValuationRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_minor_units(self.0, VALUATION_DECIMALS))
    }
}

impl<C> Encode<C> for ValuationRate {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.i128(self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ValuationRate {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        Self::from_scaled(decoder.i128()?)
            .ok_or_else(|| decode::Error::message("a valuation rate is above zero").at(position))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(numerator: i128, denominator: i128, expected: &str) {
        let rate = Rate::from_fraction(numerator, denominator).unwrap();
        let found = match valuation_rate(&rate) {
            Ok(rate) => rate.to_string(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found, expected, "{numerator}/{denominator}");
    }

    #[test]
    fn rounds_half_even_once() {
        check(1, 1, "1.000000000000");
        check(1, 3, "0.333333333333");
        check(2, 3, "0.666666666667");
        check(1, 2_000_000_000_000, "TooSmall");
        check(3, 2_000_000_000_000, "0.000000000002");
        check(5, 2_000_000_000_000, "0.000000000002");
        check(1, 1_999_999_999_999, "0.000000000001");
        check(i128::MAX, 1, "Overflow");
        check(
            i128::MAX,
            ONE_SCALED,
            "170141183460469231731687303.715884105727",
        );
        // 1 IDR in EUR at 20082.05 IDR a euro (13 April 2026).
        check(100, 2_008_205, "0.000049795713");
    }

    #[test]
    fn values_exactly() {
        let base = |whole: i128| Some(I256::from(whole) * I256::from(10_i128.pow(20)));
        let rate = |text: &str| valuation_rate(&Rate::parse(text).unwrap()).unwrap();
        assert_eq!(rate("1.1").value(9_000_000_000, 2), base(99_000_000));
        assert_eq!(rate("0.008").value(-125_000, 0), base(-1_000));
        assert_eq!(rate("3.25").value(4_000, 3), base(13));
        assert_eq!(ValuationRate::ONE.value(100_000_000, 8), base(1));
        assert_eq!(
            ValuationRate::ONE.value(1, 8),
            Some(I256::from(1_000_000_000_000_i64))
        );
        assert_eq!(ValuationRate::ONE.value(1, 9), None);
        let largest = ValuationRate::from_scaled(i128::MAX).unwrap();
        assert_eq!(largest.value(i128::MIN, 0), None);
        assert_eq!(
            largest.value(i128::MIN, 8),
            Some(I256::from(i128::MAX) * I256::from(i128::MIN))
        );
    }

    #[test]
    fn is_above_zero_even_when_loaded() {
        for scaled in [1, ONE_SCALED, i128::MAX] {
            let rate = ValuationRate::from_scaled(scaled).unwrap();
            let bytes = minicbor::to_vec(rate).unwrap();
            assert_eq!(
                minicbor::decode::<ValuationRate>(&bytes).unwrap().scaled(),
                scaled
            );
        }
        for scaled in [0, -1, i128::MIN] {
            assert_eq!(ValuationRate::from_scaled(scaled), None);
            let bytes = minicbor::to_vec(scaled).unwrap();
            assert!(minicbor::decode::<ValuationRate>(&bytes).is_err());
        }
    }
}
