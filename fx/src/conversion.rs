//! Converting an amount at a rate: the target, and exactly what rounding gave or took.
//!
//! With `N` and `D` of one rate and two assets, `source x N / D = target + residual / D`:
//!
//! | step     | formula                                                                   |
//! |----------|---------------------------------------------------------------------------|
//! | multiply | `N = rate.numerator x 10^max(0, target_decimals - source_decimals)`       |
//! |          | `D = rate.denominator x 10^max(0, source_decimals - target_decimals)`     |
//! | round    | `target = round(source x N / D)`, once, by the named rule                 |
//! | keep     | `residual = source x N - target x D`, over `D`                            |
//!
//! `D` does not depend on the amount, so the residuals of one quote add up as whole numbers.

use ethnum::{I256, U256};
use minicbor::{Decode, Encode};

use crate::amount::{DECIMALS_MAX, MINOR_UNITS_MAX, POWERS_OF_TEN};
use crate::fraction::Fraction;
use crate::rate::Rate;
use crate::rounding::{self, Rounding};

/// The outcome of converting an amount: `source x rate = target + residual`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Conversion {
    /// The converted amount in minor units of the target; may be zero.
    #[n(0)]
    pub target: i64,
    /// What rounding took (above zero) or gave (below), in minor units of the target, times the
    /// denominator. Its magnitude is below the denominator.
    #[n(1)]
    pub residual_numerator: i128,
    /// Above zero; the same for every amount at one rate between two assets. Not in lowest terms.
    #[n(2)]
    pub residual_denominator: i128,
}

/// Why an amount cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// An asset with more than [`DECIMALS_MAX`] decimals.
    #[error("an asset has at most 8 decimals")]
    TooManyDecimals,
    /// The source is below zero or above [`MINOR_UNITS_MAX`].
    #[error("the amount to convert is not between 0 and 18 digits of minor units")]
    SourceOutOfRange,
    /// The target would be above [`MINOR_UNITS_MAX`].
    #[error("the converted amount has more than 18 digits in minor units")]
    TargetTooLarge,
    /// The residual's denominator does not fit 128 bits.
    #[error("the residual does not fit a fraction of two 128-bit integers")]
    ResidualTooFine,
}

/// Converts an amount at `rate`, which is source/target, and rounds once.
///
/// # Errors
/// In the order of [`ConvertError`]. Never wraps: products are taken in 256 bits, which hold
/// `10^18 x 2^127 x 10^8`.
pub fn convert(
    source_minor: i64,
    source_decimals: u8,
    rate: &Rate,
    target_decimals: u8,
    rounding: Rounding,
) -> Result<Conversion, ConvertError> {
    if source_decimals > DECIMALS_MAX || target_decimals > DECIMALS_MAX {
        return Err(ConvertError::TooManyDecimals);
    }
    if !(0..=MINOR_UNITS_MAX).contains(&source_minor) {
        return Err(ConvertError::SourceOutOfRange);
    }
    match convert_narrow(
        source_minor,
        source_decimals,
        rate,
        target_decimals,
        rounding,
    ) {
        Some(conversion) => Ok(conversion),
        None => convert_wide(
            source_minor,
            source_decimals,
            rate,
            target_decimals,
            rounding,
        ),
    }
}

/// The same where every product fits 128 bits, as nearly all of real rates do; `None` where one does not, or
/// where there is an error to name.
#[inline]
fn convert_narrow(
    source_minor: i64,
    source_decimals: u8,
    rate: &Rate,
    target_decimals: u8,
    rounding: Rounding,
) -> Option<Conversion> {
    let power = |decimals: u8| POWERS_OF_TEN[usize::from(decimals)].unsigned_abs();
    let scale = |part: i128, decimals| part.unsigned_abs().checked_mul(power(decimals).into());
    let numerator = scale(
        rate.numerator(),
        target_decimals.saturating_sub(source_decimals),
    )?;
    let denominator = scale(
        rate.denominator(),
        source_decimals.saturating_sub(target_decimals),
    )?;
    let product = numerator.checked_mul(source_minor.unsigned_abs().into())?;
    let residual_denominator = i128::try_from(denominator).ok()?;
    let whole = match (u64::try_from(product), u64::try_from(denominator)) {
        // One machine instruction instead of a call.
        (Ok(product), Ok(denominator)) => u128::from(product / denominator),
        _ => product / denominator,
    };
    let remainder = product - whole * denominator;
    let missing = denominator - remainder;
    let rounded_up = rounding.rounds_up(remainder.cmp(&missing), whole % 2 == 1);
    let target = i64::try_from(whole).ok()? + i64::from(rounded_up);
    let given = if rounded_up { residual_denominator } else { 0 };
    (target <= MINOR_UNITS_MAX).then_some(Conversion {
        target,
        // Below the denominator, which fits.
        residual_numerator: remainder as i128 - given,
        residual_denominator,
    })
}

/// In 256 bits, which hold every product.
#[cold]
fn convert_wide(
    source_minor: i64,
    source_decimals: u8,
    rate: &Rate,
    target_decimals: u8,
    rounding: Rounding,
) -> Result<Conversion, ConvertError> {
    let factors = Factors::new(rate, source_decimals, target_decimals)?;
    let product = U256::from(source_minor.unsigned_abs()) * factors.numerator;
    let quotient = rounding::divide(product, factors.denominator, rounding);
    let target = i64::try_from(quotient.whole)
        .ok()
        .filter(|target| *target <= MINOR_UNITS_MAX)
        .ok_or(ConvertError::TargetTooLarge)?;
    let residual_denominator =
        i128::try_from(factors.denominator).map_err(|_| ConvertError::ResidualTooFine)?;
    // Below the denominator, which fits.
    let remainder = quotient.remainder.as_i128();
    let given = if quotient.rounded_up {
        residual_denominator
    } else {
        0
    };
    Ok(Conversion {
        target,
        residual_numerator: remainder - given,
        residual_denominator,
    })
}

/// What a target amount leaves of a source at an exact rate, `source x rate - target`, in units (not minor
/// units) of the target asset. For every method: a conversion by the regulation has one too.
///
/// # Errors
/// In the order of [`ConvertError`]; the amounts must be within 0 and [`MINOR_UNITS_MAX`].
pub fn residual(
    (source_minor, source_decimals): (i64, u8),
    rate: &Rate,
    (target_minor, target_decimals): (i64, u8),
) -> Result<Fraction, ConvertError> {
    if source_decimals > DECIMALS_MAX || target_decimals > DECIMALS_MAX {
        return Err(ConvertError::TooManyDecimals);
    }
    if !(0..=MINOR_UNITS_MAX).contains(&source_minor) {
        return Err(ConvertError::SourceOutOfRange);
    }
    if !(0..=MINOR_UNITS_MAX).contains(&target_minor) {
        return Err(ConvertError::TargetTooLarge);
    }
    let power = |decimals: u8| I256::from(10_i64.pow(u32::from(decimals)));
    let (source_unit, target_unit) = (power(source_decimals), power(target_decimals));
    let (above, below) = (I256::from(rate.numerator()), I256::from(rate.denominator()));
    // At most 2^60 x 2^127 x 2^27 each, so the difference has fewer than 216 bits.
    let exact = I256::from(source_minor) * above * target_unit;
    let whole = I256::from(target_minor) * below * source_unit;
    let fraction = Fraction::new(exact - whole, below * source_unit * target_unit);
    Ok(fraction.expect("both parts have fewer than 216 bits"))
}

/// `N` and `D` of the module's table; each below `2^127 x 10^8`.
struct Factors {
    numerator: U256,
    denominator: U256,
}

impl Factors {
    fn new(rate: &Rate, source_decimals: u8, target_decimals: u8) -> Result<Self, ConvertError> {
        if source_decimals > DECIMALS_MAX || target_decimals > DECIMALS_MAX {
            return Err(ConvertError::TooManyDecimals);
        }
        let scale = |part: i128, exponent: u8| {
            U256::new(part.unsigned_abs()) * U256::from(10_u64.pow(u32::from(exponent)))
        };
        Ok(Self {
            numerator: scale(
                rate.numerator(),
                target_decimals.saturating_sub(source_decimals),
            ),
            denominator: scale(
                rate.denominator(),
                source_decimals.saturating_sub(target_decimals),
            ),
        })
    }
}

impl Conversion {
    /// Whether this is the conversion of exactly this amount, by exactly this rule.
    ///
    /// Divides nothing: checks `source x N = target x D + residual` and that the residual is one
    /// that the rule may leave. So it shares no rounding code with [`convert`].
    #[must_use]
    pub fn verify(
        &self,
        source_minor: i64,
        source_decimals: u8,
        rate: &Rate,
        target_decimals: u8,
        rounding: Rounding,
    ) -> bool {
        let Ok(factors) = Factors::new(rate, source_decimals, target_decimals) else {
            return false;
        };
        let amounts = 0..=MINOR_UNITS_MAX;
        amounts.contains(&source_minor)
            && amounts.contains(&self.target)
            && U256::try_from(self.residual_denominator) == Ok(factors.denominator)
            && self.residual_is_allowed(rounding)
            && self.identity_holds(source_minor, &factors)
    }

    fn identity_holds(&self, source_minor: i64, factors: &Factors) -> bool {
        let product = U256::from(source_minor.unsigned_abs()) * factors.numerator;
        let whole = U256::from(self.target.unsigned_abs()) * factors.denominator;
        let residual = U256::new(self.residual_numerator.unsigned_abs());
        if self.residual_numerator < 0 {
            product + residual == whole
        } else {
            product == whole + residual
        }
    }

    fn residual_is_allowed(&self, rounding: Rounding) -> bool {
        let residual = self.residual_numerator;
        let magnitude = residual.unsigned_abs();
        let missing = self
            .residual_denominator
            .unsigned_abs()
            .checked_sub(magnitude);
        let Some(missing) = missing else { return false };
        match rounding {
            Rounding::HalfEven => {
                magnitude < missing || magnitude == missing && self.target % 2 == 0
            }
            Rounding::HalfUp => magnitude < missing || magnitude == missing && residual < 0,
            Rounding::Down => residual >= 0 && missing > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// `amount` is in minor units of an asset with the first number of decimals.
    fn check(source: (i64, u8), rate: &str, target_decimals: u8, expected: &str) {
        let rate = match rate.split_once(':') {
            Some((n, d)) => Rate::from_fraction(n.parse().unwrap(), d.parse().unwrap()).unwrap(),
            None => Rate::parse(rate).unwrap(),
        };
        let found = Rounding::ALL.map(|rounding| {
            let (minor, decimals) = source;
            match convert(minor, decimals, &rate, target_decimals, rounding) {
                Ok(found) => {
                    assert!(found.verify(minor, decimals, &rate, target_decimals, rounding));
                    let Conversion {
                        target,
                        residual_numerator,
                        residual_denominator,
                    } = found;
                    format!("{target} {residual_numerator:+}/{residual_denominator}")
                }
                Err(error) => format!("{error:?}"),
            }
        });
        let expected: Vec<_> = expected.split(", ").collect();
        let expected = if expected.len() == 1 {
            vec![expected[0]; 3]
        } else {
            expected
        };
        assert_eq!(found.as_slice(), expected, "{source:?} at {rate}");
    }

    #[test]
    fn converts_by_each_rule() {
        // half-even, half-up, down; one value where all agree.
        check((10_000, 2), "1.1684", 2, "11684 +0/2500");
        check((10_000, 2), "186.75", 0, "18675 +0/400");
        check((1, 2), "186.75", 0, "2 -53/400, 2 -53/400, 1 +347/400");
        check((15_983, 0), "0.0058", 2, "9270 +700/5000");
        check((100, 2), "0.005", 2, "0 +100/200, 1 -100/200, 0 +100/200");
        check((300, 2), "0.005", 2, "2 -100/200, 2 -100/200, 1 +100/200");
        check((500, 2), "0.005", 2, "2 +100/200, 3 -100/200, 2 +100/200");
        check((0, 2), "1.1684", 3, "0 +0/2500");
        check((1, 8), "0.000001", 0, "0 +1/100000000000000");
        check(
            (1_000, 3),
            "3.2561",
            2,
            "326 -39000/100000, 326 -39000/100000, 325 +61000/100000",
        );
    }

    #[test]
    fn works_in_256_bits() {
        let max = MINOR_UNITS_MAX;
        // (10^18 - 1)^2 = 10^36 - 2 x 10^18 + 1, over 10^20.
        let (up, down) = (
            -1_999_999_999_999_999_999_i128,
            98_000_000_000_000_000_001_i128,
        );
        let denominator = 10_i128.pow(20);
        let (nearest, below) = (10_i128.pow(16), 10_i128.pow(16) - 1);
        check(
            (max, 8),
            "999999.999999999999",
            0,
            &format!(
                "{nearest} {up:+}/{denominator}, {nearest} {up:+}/{denominator}, {below} {down:+}/{denominator}"
            ),
        );
        let inverse = format!("{}:{}", i128::MAX / 2, i128::MAX);
        // Just below a half: 2^126 - 1 over 2^127 - 1.
        check(
            (1, 0),
            &inverse,
            0,
            &format!("0 {:+}/{}", i128::MAX / 2, i128::MAX),
        );
        let above = format!("{}:{}", i128::MAX / 2 + 1, i128::MAX);
        let (up, down) = (i128::MAX / 2 + 1 - i128::MAX, i128::MAX / 2 + 1);
        let denominator = i128::MAX;
        check(
            (1, 0),
            &above,
            0,
            &format!("1 {up:+}/{denominator}, 1 {up:+}/{denominator}, 0 {down:+}/{denominator}"),
        );
        check(
            (max, 0),
            &format!("{}:{}", i128::MAX, i128::MAX - 1),
            0,
            &format!("{max} {max:+}/{}", i128::MAX - 1),
        );
    }

    /// The narrow way is an optimisation: where it answers, the wide one says the same.
    #[test]
    fn narrow_and_wide_agree() {
        let rates = [
            "186.75",
            "0.000001",
            "999999.999999999999",
            "1.1684",
            "2921",
        ];
        let mut narrow_count = 0;
        for (rate, over) in rates.iter().flat_map(|rate| rates.map(|over| (rate, over))) {
            let parse = |text: &str| Rate::parse(text).unwrap();
            let rate = parse(over).inverse().cross(&parse(rate)).unwrap();
            for source in (0..18).map(|exponent| 123_456_789_012_345_678 / 10_i64.pow(exponent)) {
                for (from, to, rounding) in [
                    (2, 0, Rounding::HalfEven),
                    (0, 8, Rounding::HalfUp),
                    (8, 0, Rounding::Down),
                    (2, 2, Rounding::HalfUp),
                ] {
                    let narrow = convert_narrow(source, from, &rate, to, rounding);
                    let wide = convert_wide(source, from, &rate, to, rounding);
                    narrow_count += u32::from(narrow.is_some());
                    assert!(
                        narrow.is_none() || narrow == wide.ok(),
                        "{source} at {rate}"
                    );
                }
            }
        }
        assert!(
            (900..1_800).contains(&narrow_count),
            "{narrow_count} of 1,800"
        );
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let max = MINOR_UNITS_MAX;
        check((-1, 2), "1.1", 2, "SourceOutOfRange");
        check((i64::MIN, 2), "1.1", 2, "SourceOutOfRange");
        check((max + 1, 2), "1.1", 2, "SourceOutOfRange");
        check((max, 2), "1.000001", 2, "TargetTooLarge");
        check(
            (max, 0),
            "170141183460469231731687303715884105727:1",
            8,
            "TargetTooLarge",
        );
        check((max, 2), "1", 2, "999999999999999999 +0/1");
        check((1, 9), "1.1", 2, "TooManyDecimals");
        check((1, 2), "1.1", 9, "TooManyDecimals");
        check((1, 255), "1.1", 255, "TooManyDecimals");
        check(
            (1, 1),
            "1:170141183460469231731687303715884105727",
            0,
            "ResidualTooFine",
        );
    }

    #[test]
    fn verify_refuses_every_change() {
        let rate = Rate::parse("186.75").unwrap();
        for (source, rounding) in [
            (1, Rounding::HalfEven),
            (3, Rounding::HalfUp),
            (7, Rounding::Down),
        ] {
            let good = convert(source, 2, &rate, 0, rounding).unwrap();
            assert!(good.verify(source, 2, &rate, 0, rounding));
            let step = good.residual_denominator;
            let bad = [
                Conversion {
                    target: good.target + 1,
                    ..good
                },
                Conversion {
                    residual_numerator: good.residual_numerator + 1,
                    ..good
                },
                Conversion {
                    residual_denominator: step * 2,
                    ..good
                },
                Conversion {
                    residual_denominator: 0,
                    ..good
                },
                Conversion {
                    residual_denominator: -step,
                    ..good
                },
                Conversion {
                    residual_numerator: i128::MIN,
                    ..good
                },
                // The identity holds, but no rule leaves so much.
                Conversion {
                    target: good.target + 1,
                    residual_numerator: good.residual_numerator - step,
                    ..good
                },
                Conversion {
                    target: good.target - 1,
                    residual_numerator: good.residual_numerator + step,
                    ..good
                },
                Conversion {
                    target: -1,
                    residual_numerator: good.residual_numerator
                        + step * i128::from(good.target + 1),
                    ..good
                },
            ];
            for bad in bad {
                assert!(!bad.verify(source, 2, &rate, 0, rounding), "{bad:?}");
            }
            assert!(!good.verify(source + 1, 2, &rate, 0, rounding));
            assert!(!good.verify(-source, 2, &rate, 0, rounding));
            assert!(!good.verify(source, 3, &rate, 0, rounding));
            assert!(!good.verify(source, 9, &rate, 0, rounding));
            assert!(!good.verify(source, 2, &rate.inverse(), 0, rounding));
        }
        // The identity holds, but the amount has 19 digits.
        let double = Rate::parse("2").unwrap();
        let target = MINOR_UNITS_MAX * 2;
        let bad = Conversion {
            target,
            residual_numerator: 0,
            residual_denominator: 1,
        };
        assert!(!bad.verify(MINOR_UNITS_MAX, 2, &double, 2, Rounding::Down));
        // A half goes one way only.
        let half = Rate::parse("0.5").unwrap();
        let [even, up, down] =
            Rounding::ALL.map(|rounding| convert(1, 2, &half, 2, rounding).unwrap());
        assert!(even == down && even != up);
        assert!(!even.verify(1, 2, &half, 2, Rounding::HalfUp));
        assert!(!up.verify(1, 2, &half, 2, Rounding::HalfEven));
        assert!(!up.verify(1, 2, &half, 2, Rounding::Down));
    }

    #[test]
    fn residuals_of_one_rate_add_up() {
        let rate = Rate::parse("1.1684").unwrap();
        let parts: Vec<_> = (1..=1_000)
            .map(|source| convert(source, 2, &rate, 3, Rounding::HalfEven).unwrap())
            .collect();
        let denominator = parts[0].residual_denominator;
        assert!(
            parts
                .iter()
                .all(|part| part.residual_denominator == denominator)
        );
        let targets: i128 = parts.iter().map(|part| i128::from(part.target)).sum();
        let residuals: i128 = parts.iter().map(|part| part.residual_numerator).sum();
        // 500500 cents x 1.1684 = 5847842.0 tenths of a cent
        assert_eq!(targets * denominator + residuals, 5_847_842 * denominator);
    }

    #[test]
    fn stores_and_loads() {
        let rate = Rate::from_fraction(1, i128::MAX).unwrap();
        let conversion = convert(MINOR_UNITS_MAX, 2, &rate, 2, Rounding::HalfEven).unwrap();
        let bytes = minicbor::to_vec(conversion).unwrap();
        assert_eq!(minicbor::decode::<Conversion>(&bytes).unwrap(), conversion);
    }
}
