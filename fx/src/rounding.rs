//! Rounding rules with a name, and the one division that applies them.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use ethnum::U256;
use minicbor::{Decode, Encode};

/// How a non-negative fraction becomes a whole number. Carried by the quote that it applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Rounding {
    /// To the nearest; a half to the even neighbour.
    #[default]
    #[n(0)]
    HalfEven,
    /// To the nearest; a half up.
    #[n(1)]
    HalfUp,
    /// Towards zero.
    #[n(2)]
    Down,
}

/// What is not the name of a rounding rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rounding is half-even, half-up or down")]
pub struct RoundingError;

impl Rounding {
    /// Every rule, in the order of the wire.
    pub const ALL: [Self; 3] = [Self::HalfEven, Self::HalfUp, Self::Down];

    /// Whether a remainder rounds up, by how it compares to what is missing to the next whole number.
    #[inline]
    pub(crate) const fn rounds_up(self, remainder_to_missing: Ordering, is_odd: bool) -> bool {
        match (self, remainder_to_missing) {
            (Self::Down, _) | (Self::HalfEven | Self::HalfUp, Ordering::Less) => false,
            (Self::HalfUp, Ordering::Equal)
            | (Self::HalfEven | Self::HalfUp, Ordering::Greater) => true,
            (Self::HalfEven, Ordering::Equal) => is_odd,
        }
    }

    /// The rule's name in files and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfEven => "half-even",
            Self::HalfUp => "half-up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Rounding {
    type Err = RoundingError;

    fn from_str(text: &str) -> Result<Self, RoundingError> {
        Self::ALL
            .into_iter()
            .find(|rounding| rounding.as_str() == text)
            .ok_or(RoundingError)
    }
}

/// A rounded quotient, and what the division left before it was rounded.
pub(crate) struct Quotient {
    pub(crate) whole: U256,
    /// `0 <= remainder < denominator`, of the quotient rounded down.
    pub(crate) remainder: U256,
    pub(crate) rounded_up: bool,
}

/// `numerator / denominator`, rounded once. The denominator must not be zero.
pub(crate) fn divide(numerator: U256, denominator: U256, rounding: Rounding) -> Quotient {
    let (whole, remainder) = quotient_and_remainder(numerator, denominator);
    let missing = denominator - remainder;
    let is_odd = *whole.low() % 2 == 1;
    let rounded_up = rounding.rounds_up(remainder.cmp(&missing), is_odd);
    // Rounding up needs a remainder, so a denominator of two or more, so the whole is not the maximum.
    let whole = if rounded_up { whole + U256::ONE } else { whole };
    Quotient {
        whole,
        remainder,
        rounded_up,
    }
}

/// 128-bit division is in hardware's reach and covers almost every real conversion.
fn quotient_and_remainder(numerator: U256, denominator: U256) -> (U256, U256) {
    let high = *numerator.high() | *denominator.high();
    if high == 0 {
        let (numerator, denominator) = (*numerator.low(), *denominator.low());
        return (
            U256::new(numerator / denominator),
            U256::new(numerator % denominator),
        );
    }
    (numerator / denominator, numerator % denominator)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(numerator: u128, denominator: u128, half_even: u128, half_up: u128, down: u128) {
        // Once in 128 bits and once in 256, by a common factor that changes no quotient.
        for factor in [U256::ONE, U256::ONE << 120] {
            let (top, bottom) = (
                U256::new(numerator) * factor,
                U256::new(denominator) * factor,
            );
            for (rounding, expected) in Rounding::ALL.into_iter().zip([half_even, half_up, down]) {
                let found = divide(top, bottom, rounding);
                assert_eq!(
                    found.whole, expected,
                    "{numerator}/{denominator} {rounding}"
                );
                assert_eq!(found.remainder, top - top / bottom * bottom);
                assert_eq!(found.rounded_up, found.whole > top / bottom);
            }
        }
    }

    #[test]
    fn rounds_by_name() {
        check(0, 7, 0, 0, 0);
        check(7, 1, 7, 7, 7);
        check(1, 2, 0, 1, 0);
        check(3, 2, 2, 2, 1);
        check(5, 2, 2, 3, 2);
        check(249, 100, 2, 2, 2);
        check(250, 100, 2, 3, 2);
        check(251, 100, 3, 3, 2);
        check(1, 3, 0, 0, 0);
        check(2, 3, 1, 1, 0);
        check(u128::MAX, 2, 1 << 127, 1 << 127, (1 << 127) - 1);
    }

    #[test]
    fn a_remainder_near_the_top_does_not_overflow() {
        let top = U256::MAX;
        let found = divide(top - U256::ONE, top, Rounding::HalfEven);
        assert_eq!((found.whole, found.remainder), (U256::ONE, top - U256::ONE));
    }

    #[test]
    fn names_and_codes_round_trip() {
        for (rounding, name, code) in [
            (Rounding::HalfEven, "half-even", 0),
            (Rounding::HalfUp, "half-up", 1),
            (Rounding::Down, "down", 2),
        ] {
            assert_eq!(
                (rounding.to_string().as_str(), name.parse()),
                (name, Ok(rounding))
            );
            assert_eq!(minicbor::to_vec(rounding).unwrap(), [code]);
            assert_eq!(minicbor::decode::<Rounding>(&[code]).unwrap(), rounding);
        }
        assert!(minicbor::decode::<Rounding>(&[3]).is_err());
        for name in ["", "HALF-EVEN", "half_even", "up", "bankers"] {
            assert_eq!(name.parse::<Rounding>(), Err(RoundingError), "{name:?}");
        }
        assert_eq!(Rounding::default(), Rounding::HalfEven);
    }
}
