//! Exact fractions of any sign: residuals, their sums, and deviations.
//!
//! Both parts have at most 250 bits, in lowest terms. What does not fit is `None`, and never wraps or rounds.

use core::cmp::Ordering;
use core::fmt;

use ethnum::{I256, U256};

/// Bits of a fraction's parts; below 256, so that ten times a part fits too.
pub const PART_BITS_MAX: u32 = 250;

/// Most digits of a fraction's text; 256 bits hold so many, and one more.
const TEXT_DIGITS_MAX: usize = 60;

/// `numerator / denominator` in lowest terms; the sign is the numerator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    numerator: I256,
    denominator: I256,
}

impl Fraction {
    /// Nothing: 0/1.
    pub const ZERO: Self = Self {
        numerator: I256::ZERO,
        denominator: I256::ONE,
    };

    /// A fraction, brought to lowest terms; `None` unless the denominator is above zero and both parts fit
    /// [`PART_BITS_MAX`].
    #[must_use]
    pub fn new(numerator: I256, denominator: I256) -> Option<Self> {
        if denominator <= I256::ZERO || numerator == I256::MIN {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        let (numerator, denominator) = (numerator / divisor, denominator / divisor);
        let fits = |part: I256| part.unsigned_abs() >> PART_BITS_MAX == U256::ZERO;
        (fits(numerator) && fits(denominator)).then_some(Self {
            numerator,
            denominator,
        })
    }

    /// Above, at, or below zero; shares no factor with the denominator.
    #[must_use]
    pub const fn numerator(&self) -> I256 {
        self.numerator
    }

    /// Above zero.
    #[must_use]
    pub const fn denominator(&self) -> I256 {
        self.denominator
    }

    /// The sum, exactly; `None` if it does not fit over the least common denominator.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let divisor = greatest_common_divisor(self.denominator, other.denominator);
        let (scale, other_scale) = (other.denominator / divisor, self.denominator / divisor);
        let left = self.numerator.checked_mul(scale)?;
        let right = other.numerator.checked_mul(other_scale)?;
        let denominator = self.denominator.checked_mul(scale)?;
        Self::new(left.checked_add(right)?, denominator)
    }

    /// The product, exactly; `None` if it does not fit.
    #[must_use]
    pub fn checked_mul(&self, other: &Self) -> Option<Self> {
        // Both are in lowest terms, so cancelling across keeps the products small.
        let left = greatest_common_divisor(self.numerator, other.denominator);
        let right = greatest_common_divisor(other.numerator, self.denominator);
        let numerator = (self.numerator / left).checked_mul(other.numerator / right)?;
        let denominator = (self.denominator / right).checked_mul(other.denominator / left)?;
        Self::new(numerator, denominator)
    }

    /// The same without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        Self {
            numerator: self.numerator.abs(),
            denominator: self.denominator,
        }
    }

    /// For people: half-even to at most so many significant digits, without trailing zeros.
    #[must_use]
    pub fn to_text(&self, significant_digits: usize) -> String {
        let sign = if self.numerator < I256::ZERO { "-" } else { "" };
        let [numerator, denominator] =
            [self.numerator, self.denominator].map(|part| part.unsigned_abs());
        let digits = Digits::of(
            numerator,
            denominator,
            significant_digits.clamp(1, TEXT_DIGITS_MAX),
        );
        format!("{sign}{}", digits.shown())
    }
}

/// Never zero: the denominator is not.
fn greatest_common_divisor(left: I256, right: I256) -> I256 {
    let (mut left, mut right) = (left.unsigned_abs(), right.unsigned_abs());
    while right != U256::ZERO {
        (left, right) = (right, left % right);
    }
    left.as_i256()
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Ord for Fraction {
    /// By continued fractions: the wholes, then what is left of each, inverted. Multiplies nothing.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (*self, *other);
        loop {
            let wholes = [left, right].map(|it| it.numerator.div_euclid(it.denominator));
            let rests = [left, right].map(|it| it.numerator.rem_euclid(it.denominator));
            let by_whole = wholes[0].cmp(&wholes[1]);
            if by_whole != Ordering::Equal {
                return by_whole;
            }
            if rests[0] == I256::ZERO || rests[1] == I256::ZERO {
                return rests[0].cmp(&rests[1]);
            }
            // r/d < s/e just where e/s < d/r.
            let inverted = |denominator, rest| Self {
                numerator: denominator,
                denominator: rest,
            };
            (left, right) = (
                inverted(right.denominator, rests[1]),
                inverted(left.denominator, rests[0]),
            );
        }
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A positive decimal: `digits x 10^-places`, or `digits x 10^zeros`.
struct Digits {
    digits: U256,
    places: usize,
    zeros: usize,
}

impl Digits {
    /// Long division, until there are enough digits, or nothing is left.
    fn of(numerator: U256, denominator: U256, significant: usize) -> Self {
        let mut digits = numerator / denominator;
        let length = if digits == U256::ZERO {
            0
        } else {
            digits.to_string().len()
        };
        if length > significant {
            return Self::of_large(numerator, denominator, length - significant);
        }
        let ten = U256::from(10_u64);
        let (mut rest, mut found, mut places) = (numerator % denominator, length, 0);
        while found < significant && rest != U256::ZERO {
            rest *= ten;
            digits = digits * ten + rest / denominator;
            rest %= denominator;
            places += 1;
            found += usize::from(digits != U256::ZERO);
        }
        Self {
            digits: rounded(digits, rest, denominator),
            places,
            zeros: 0,
        }
    }

    /// More digits before the point than wanted.
    fn of_large(numerator: U256, denominator: U256, zeros: usize) -> Self {
        // At most the numerator, which fits.
        let divisor = (0..zeros).fold(denominator, |divisor, _| divisor * U256::from(10_u64));
        let digits = rounded(numerator / divisor, numerator % divisor, divisor);
        Self {
            digits,
            places: 0,
            zeros,
        }
    }

    fn shown(&self) -> String {
        let Self {
            digits,
            places,
            zeros,
        } = self;
        let text = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = text.split_at(text.len() - places);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{}{point}{fraction}", "0".repeat(*zeros))
    }
}

/// Half-even.
fn rounded(whole: U256, rest: U256, denominator: U256) -> U256 {
    let missing = denominator - rest;
    let is_odd = whole % U256::from(2_u64) == U256::ONE;
    if rest > missing || rest == missing && is_odd {
        whole + U256::ONE
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fraction(numerator: i128, denominator: i128) -> Fraction {
        Fraction::new(I256::from(numerator), I256::from(denominator)).unwrap()
    }

    #[test]
    fn is_in_lowest_terms() {
        for (numerator, denominator, expected) in [
            (0, 7, "0/1"),
            (6, 4, "3/2"),
            (-6, 4, "-3/2"),
            (i128::MAX, i128::MAX, "1/1"),
        ] {
            assert_eq!(fraction(numerator, denominator).to_string(), expected);
        }
        for (numerator, denominator) in [
            (I256::ONE, I256::ZERO),
            (I256::ONE, -I256::ONE),
            (I256::MIN, I256::ONE),
            (I256::ONE << 250, I256::ONE),
            (I256::ONE, I256::ONE << 250),
        ] {
            assert_eq!(Fraction::new(numerator, denominator), None);
        }
        assert!(Fraction::new((I256::ONE << 250) - 1_i128, I256::ONE).is_some());
    }

    #[test]
    fn adds_and_multiplies_exactly_or_not_at_all() {
        for (left, right, sum, product) in [
            ((1, 2), (1, 3), "5/6", "1/6"),
            ((1, 2), (-1, 2), "0/1", "-1/4"),
            ((-7, 12), (5, 18), "-11/36", "-35/216"),
            ((0, 1), (1157, 2921), "1157/2921", "0/1"),
        ] {
            let (left, right) = (fraction(left.0, left.1), fraction(right.0, right.1));
            assert_eq!(left.checked_add(&right).unwrap().to_string(), sum);
            assert_eq!(left.checked_mul(&right).unwrap().to_string(), product);
        }
        let fine = fraction(1, i128::MAX);
        let finer = fraction(1, i128::MAX - 1);
        assert_eq!(fine.checked_add(&finer), None);
        assert_eq!(fine.checked_mul(&finer), None);
        assert_eq!(fine.checked_add(&fine), Some(fraction(2, i128::MAX)));
    }

    #[test]
    fn orders_by_value() {
        let ordered = [
            fraction(i128::MIN + 1, 1),
            fraction(-3, 2),
            fraction(-4, 3),
            Fraction::ZERO,
            fraction(1, i128::MAX),
            fraction(1, i128::MAX - 1),
            fraction(355, 113),
            fraction(22, 7),
        ];
        assert!(ordered.is_sorted_by(|left, right| left < right));
        for one in ordered {
            assert_eq!(one.cmp(&one), Ordering::Equal);
        }
    }

    #[test]
    fn shows_at_most_so_many_digits() {
        for (numerator, denominator, digits, expected) in [
            (466_875, 2_921, 12, "159.833960972"),
            (0, 1, 12, "0"),
            (-1, 8, 12, "-0.125"),
            (1, 3, 12, "0.333333333333"),
            (2, 3, 12, "0.666666666667"),
            (2, 3_000_000, 12, "0.000000666666666667"),
            (100, 1, 12, "100"),
            (1_168_400, 1_000_000, 12, "1.1684"),
            (123_456_789_012_345, 1, 12, "123456789012000"),
            (123_456_789_012_500, 1, 12, "123456789012000"),
            (123_456_789_013_500, 1, 12, "123456789014000"),
            (1_234_567_890_125, 10, 12, "123456789012"),
            (1_234_567_890_135, 10, 12, "123456789014"),
            (9_999_999_999_995, 10, 12, "1000000000000"),
            (9_999_999_999_999, 10_000_000_000_000, 12, "1"),
            (25, 10, 1, "2"),
            (35, 10, 1, "4"),
            (i128::MAX, 1, 3, "170000000000000000000000000000000000000"),
            (
                1,
                i128::MAX,
                3,
                "0.00000000000000000000000000000000000000588",
            ),
        ] {
            let found = fraction(numerator, denominator).to_text(digits);
            assert_eq!(found, expected, "{numerator}/{denominator}");
        }
    }
}
