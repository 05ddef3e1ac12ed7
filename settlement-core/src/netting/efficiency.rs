//! Netting efficiency: the share of gross value that needs no funding, as an exact fraction.

use std::fmt;

use ethnum::U256;

use super::{MultilateralNets, NettingError};

/// Valuation rates are integers of this fraction of a base unit: 12 decimals.
pub const RATE_SCALE: u128 = 1_000_000_000_000;
/// A rate's mantissa is below 10^18, so scaled by 10^12 it is below this.
const RATE_SCALED_MAX: u128 = 10_u128.pow(30) - 1;
/// No asset has more decimals.
const DECIMALS_MAX: u8 = 8;

/// What one unit (not minor unit) of an asset is worth in base currency, frozen for a value date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Valuation {
    /// Base per unit of asset times [`RATE_SCALE`], above zero.
    pub rate_scaled: u128,
    /// Decimals of the asset's minor unit, 0 to 8.
    pub decimals: u8,
}

impl Valuation {
    /// The value of one minor unit, in 10^-20 of a base unit: the scale that all assets share.
    pub(super) fn minor_unit(self, asset: usize) -> Result<U256, NettingError> {
        if self.rate_scaled == 0
            || self.rate_scaled > RATE_SCALED_MAX
            || self.decimals > DECIMALS_MAX
        {
            return Err(NettingError::ValuationOutOfRange { asset });
        }
        Ok(U256::from(self.rate_scaled)
            * U256::from(10_u8).pow((DECIMALS_MAX - self.decimals).into()))
    }
}

/// An exact number from 0 to 1, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub numerator: U256,
    /// Below the line, never zero.
    pub denominator: U256,
}

impl Fraction {
    fn new(numerator: U256, denominator: U256) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Some(Self {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        })
    }

    /// The fraction in parts of `scale` (100 for per cent), rounded down: never more is claimed than
    /// was saved. Nothing if `scale` times the numerator needs more than 256 bits.
    pub fn parts_of(&self, scale: u64) -> Option<u64> {
        let parts = self.numerator.checked_mul(U256::from(scale))? / self.denominator;
        u64::try_from(parts).ok()
    }
}

/// `17/26`; `0` and `1` stand alone.
impl fmt::Display for Fraction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            return write!(formatter, "{}", self.numerator);
        }
        write!(formatter, "{}/{}", self.numerator, self.denominator)
    }
}

impl MultilateralNets {
    /// `1 - sum_p max(0,-N) / sum legs` of one asset; nothing if it has no legs. Panics out of range.
    pub fn efficiency(&self, asset: u32) -> Option<Fraction> {
        let (gross, short) = (
            self.gross(asset).unsigned_abs(),
            self.short(asset).unsigned_abs(),
        );
        Fraction::new(U256::from(gross - short), U256::from(gross))
    }

    /// The efficiency over all assets, each weighed with its value in base currency; nothing if there
    /// are no legs. One valuation per asset.
    pub fn efficiency_total(
        &self,
        valuations: &[Valuation],
    ) -> Result<Option<Fraction>, NettingError> {
        let (expected, actual) = (self.asset_count, valuations.len());
        if expected != actual {
            return Err(NettingError::ValuationsMissing { expected, actual });
        }
        let (mut gross_value, mut saved_value) = (U256::ZERO, U256::ZERO);
        for (asset, (index, valuation)) in (0..).zip(valuations.iter().enumerate()) {
            let minor_unit = valuation.minor_unit(index)?;
            let (gross, short) = (self.gross(asset), self.short(asset));
            gross_value = add_value(gross_value, gross, minor_unit)?;
            saved_value = add_value(saved_value, gross - short, minor_unit)?;
        }
        Ok(Fraction::new(saved_value, gross_value))
    }
}

/// `sum + amount * minor_unit`; amounts are not negative.
fn add_value(sum: U256, amount: i128, minor_unit: U256) -> Result<U256, NettingError> {
    let value = U256::from(amount.unsigned_abs()).checked_mul(minor_unit);
    value
        .and_then(|value| sum.checked_add(value))
        .ok_or(NettingError::ValueOverflow)
}

fn greatest_common_divisor(mut a: U256, mut b: U256) -> U256 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
