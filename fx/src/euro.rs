//! Conversion between currencies by the rules of Council Regulation (EC) No 1103/97.
//!
//! Articles 4 and 5: a euro rate has six significant figures, is one euro in the national currency,
//! and is neither rounded, truncated nor inverted into a rate of its own; between two currencies the
//! amount goes through the euro, and that intermediate amount is rounded to not less than three
//! decimals; the result is rounded to the nearest minor unit, a half up. A named method beside
//! [`convert`]: it rounds twice, so [`crate::residual`] against the exact rate may exceed half a unit.

use rust_decimal::Decimal;

use crate::amount::DecimalText;
use crate::conversion::{ConvertError, convert};
use crate::rate::{Rate, RateError};
use crate::rounding::Rounding;

/// Significant figures of a euro rate.
pub const EURO_RATE_FIGURES: u32 = 6;

/// Fewest decimals of the intermediate euro amount.
pub const EURO_DECIMALS_MIN: u8 = 3;

/// One euro in a national currency, with six significant figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EuroRate {
    rate: Rate,
    text: DecimalText,
}

/// Why the regulation's method does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EuroError {
    /// Not a rate at all.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// Not six significant figures, trailing zeros counted.
    #[error("a euro rate has six significant figures")]
    Figures,
    /// Fewer than [`EURO_DECIMALS_MIN`] decimals for the intermediate amount.
    #[error("the euro amount is rounded to not less than three decimals")]
    TooFewEuroDecimals,
    /// An amount or its decimals are out of range.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// One side of a conversion by the regulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EuroLeg {
    /// The euro itself.
    Euro,
    /// One euro in the side's currency: irrevocable ([`EuroRate::rate`]), or as published for a currency
    /// that the euro has not replaced, for which the regulation sets no number of figures.
    Currency(Rate),
}

/// An amount converted through the euro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EuroConversion {
    /// The intermediate amount, in euro with the decimals that were asked for; `None` if one side is the
    /// euro, so that nothing stands between them.
    pub euro: Option<i64>,
    /// The converted amount in minor units of the target.
    pub target: i64,
}

impl EuroRate {
    /// Reads a rate of six significant figures, such as `1.95583`, `40.3399` or `1936.27`.
    ///
    /// # Errors
    /// In the order of [`EuroError`].
    pub fn parse(text: &str) -> Result<Self, EuroError> {
        let text = Rate::check_quoted(text)?;
        if text.mantissa.unsigned_abs().ilog10() + 1 != EURO_RATE_FIGURES {
            return Err(EuroError::Figures);
        }
        let rate = Rate::from_decimal_text(text)?;
        Ok(Self { rate, text })
    }

    /// The rate, `EUR/currency`.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The rate as it was written, with its six figures.
    #[must_use]
    pub fn decimal(&self) -> Decimal {
        Decimal::new(self.text.mantissa, self.text.scale.into())
    }
}

/// Converts an amount by the regulation, rounding half up: the intermediate amount, and the result.
///
/// # Errors
/// In the order of [`EuroError`].
pub fn convert_through_euro(
    source: (i64, u8),
    source_leg: EuroLeg,
    euro_decimals: u8,
    target_leg: EuroLeg,
    target_decimals: u8,
) -> Result<EuroConversion, EuroError> {
    if euro_decimals < EURO_DECIMALS_MIN {
        return Err(EuroError::TooFewEuroDecimals);
    }
    let half_up = |(minor, decimals), rate: &Rate, to| {
        convert(minor, decimals, rate, to, Rounding::HalfUp).map(|converted| converted.target)
    };
    let (euro, target) = match (source_leg, target_leg) {
        (EuroLeg::Euro, EuroLeg::Euro) => (None, half_up(source, &Rate::ONE, target_decimals)?),
        (EuroLeg::Euro, EuroLeg::Currency(rate)) => {
            (None, half_up(source, &rate, target_decimals)?)
        }
        // Dividing by the rate exactly is what the ban on inverse rates asks for.
        (EuroLeg::Currency(rate), EuroLeg::Euro) => {
            (None, half_up(source, &rate.inverse(), target_decimals)?)
        }
        (EuroLeg::Currency(from), EuroLeg::Currency(to)) => {
            let euro = half_up(source, &from.inverse(), euro_decimals)?;
            let target = half_up((euro, euro_decimals), &to, target_decimals)?;
            (Some(euro), target)
        }
    };
    Ok(EuroConversion { euro, target })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rate(text: &str) -> EuroRate {
        EuroRate::parse(text).unwrap()
    }

    /// The irrevocable rates of Regulation (EC) No 2866/98.
    #[test]
    fn rates_have_six_figures() {
        for text in [
            "40.3399", "1.95583", "166.386", "6.55957", "0.787564", "1936.27", "2.20371", "200.482",
        ] {
            assert_eq!(rate(text).rate(), Rate::parse(text).unwrap());
        }
        for (text, expected) in [
            ("1.9558", EuroError::Figures),
            ("1.955830", EuroError::Figures),
            ("0.78756", EuroError::Figures),
            ("0", EuroError::Rate(RateError::NotPositive)),
            (
                "1,95583",
                EuroError::Rate(RateError::Text(crate::AmountTextError::NotADecimal {
                    offset: 1,
                })),
            ),
        ] {
            assert_eq!(EuroRate::parse(text), Err(expected), "{text}");
        }
    }

    fn check(
        source: (i64, u8),
        from: &str,
        euro_decimals: u8,
        to: &str,
        to_decimals: u8,
        expected: (i64, i64),
    ) {
        let leg = |text: &str| match text {
            "" => EuroLeg::Euro,
            text => EuroLeg::Currency(rate(text).rate()),
        };
        let found = convert_through_euro(source, leg(from), euro_decimals, leg(to), to_decimals);
        let (euro, target) = expected;
        let euro = (!from.is_empty() && !to.is_empty()).then_some(euro);
        assert_eq!(
            found,
            Ok(EuroConversion { euro, target }),
            "{source:?} {from} {to}"
        );
    }

    #[test]
    fn rounds_the_euro_amount_and_then_the_target() {
        // 100.00 marks = 51.1291881... euro, 51.129; x 6.55957 = 335.384254... francs
        check((10_000, 2), "1.95583", 3, "6.55957", 2, (51_129, 33_538));
        // Six decimals: 51.129188; x 6.55957 = 335.385488...
        check(
            (10_000, 2),
            "1.95583",
            6,
            "6.55957",
            2,
            (51_129_188, 33_539),
        );
        // 1 lira = 0.000516... euro: 0.001 at three decimals, nothing at all of Irish pounds
        check((1, 0), "1936.27", 3, "0.787564", 2, (1, 0));
        // 0.0005 up to 0.001 in each of the steps
        check((1, 3), "2.00000", 3, "0.500000", 3, (1, 1));
        check((2, 3), "2.00000", 3, "0.500000", 4, (1, 5));
        check((0, 2), "1.95583", 3, "6.55957", 2, (0, 0));
    }

    #[test]
    fn with_the_euro_on_one_side_it_rounds_once() {
        check((10_000, 2), "1.95583", 3, "", 2, (0, 5_113));
        check((10_000, 2), "", 3, "1.95583", 2, (0, 19_558));
        // 0.125 up
        check((1, 2), "", 3, "12.5000", 2, (0, 13));
        check((10_000, 2), "", 3, "", 2, (0, 10_000));
    }

    #[test]
    fn refuses_what_the_regulation_does() {
        let leg = |text| EuroLeg::Currency(rate(text).rate());
        let (mark, franc) = (leg("1.95583"), leg("6.55957"));
        for (source, euro_decimals, expected) in [
            ((1, 2), 2, EuroError::TooFewEuroDecimals),
            ((1, 2), 9, EuroError::Convert(ConvertError::TooManyDecimals)),
            (
                (-1, 2),
                3,
                EuroError::Convert(ConvertError::SourceOutOfRange),
            ),
        ] {
            let found = convert_through_euro(source, mark, euro_decimals, franc, 2);
            assert_eq!(found, Err(expected), "{source:?}");
        }
    }
}
