//! The priced part of a quote: which side the taker takes, which side is fixed, and the other amount.
//!
//! Who quotes to whom, until when, and against which limit is the core's matter.

use minicbor::{Decode, Encode};

use crate::conversion::{Conversion, ConvertError, convert};
use crate::pair::Pair;
use crate::rate::Rate;
use crate::rounding::Rounding;

/// What the taker of a quote does with the pair's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum TakerSide {
    /// Receives the base and pays the quote asset: the provider's ask.
    #[n(0)]
    BuysBase,
    /// Pays the base and receives the quote asset: the provider's bid.
    #[n(1)]
    SellsBase,
}

/// Whose amount is given; the other side's is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum FixedSide {
    /// The base's amount is given.
    #[n(0)]
    Base,
    /// The quote asset's amount is given.
    #[n(1)]
    Quote,
}

/// What decides the amounts of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct QuoteTerms {
    /// The pair that the rate is of.
    #[n(0)]
    pub pair: Pair,
    /// What the taker does with the base.
    #[n(1)]
    pub taker_side: TakerSide,
    /// Whose amount is given.
    #[n(2)]
    pub fixed_side: FixedSide,
    /// Units of the quote asset per unit of the base.
    #[n(3)]
    pub rate: Rate,
    /// How the other side's amount is rounded.
    #[n(4)]
    pub rounding: Rounding,
}

/// Why a quote has no amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The fixed amount is zero.
    #[error("the fixed amount is zero")]
    FixedAmountZero,
    /// The fixed amount cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The fixed amount is worth less than the smallest unit of the other side.
    #[error("the other side's amount would be zero")]
    OtherAmountZero,
}

/// Both amounts of a quote, in minor units, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct PricedQuote {
    /// The base's amount.
    #[n(0)]
    pub base_minor: i64,
    /// The quote asset's amount.
    #[n(1)]
    pub quote_minor: i64,
    /// What rounding took from, or gave to, the side that is not fixed.
    #[n(2)]
    pub conversion: Conversion,
}

impl QuoteTerms {
    /// Both amounts, of which one is given; rounds the other once.
    ///
    /// # Errors
    /// In the order of [`QuoteError`].
    pub fn price(
        &self,
        fixed_minor: i64,
        base_decimals: u8,
        quote_decimals: u8,
    ) -> Result<PricedQuote, QuoteError> {
        if fixed_minor == 0 {
            return Err(QuoteError::FixedAmountZero);
        }
        let (rate, from, to) = self.direction(base_decimals, quote_decimals);
        let conversion = convert(fixed_minor, from, &rate, to, self.rounding)?;
        if conversion.target == 0 {
            return Err(QuoteError::OtherAmountZero);
        }
        let (base_minor, quote_minor) = match self.fixed_side {
            FixedSide::Base => (fixed_minor, conversion.target),
            FixedSide::Quote => (conversion.target, fixed_minor),
        };
        Ok(PricedQuote {
            base_minor,
            quote_minor,
            conversion,
        })
    }

    /// Whether these are the amounts of this quote; divides nothing (see [`Conversion::verify`]).
    #[must_use]
    pub fn verify(&self, priced: &PricedQuote, base_decimals: u8, quote_decimals: u8) -> bool {
        let (rate, from, to) = self.direction(base_decimals, quote_decimals);
        let (fixed, other) = match self.fixed_side {
            FixedSide::Base => (priced.base_minor, priced.quote_minor),
            FixedSide::Quote => (priced.quote_minor, priced.base_minor),
        };
        fixed > 0
            && other > 0
            && other == priced.conversion.target
            && priced
                .conversion
                .verify(fixed, from, &rate, to, self.rounding)
    }

    /// Fixed/other rate, and the decimals of the fixed and of the other side.
    fn direction(&self, base_decimals: u8, quote_decimals: u8) -> (Rate, u8, u8) {
        match self.fixed_side {
            FixedSide::Base => (self.rate, base_decimals, quote_decimals),
            FixedSide::Quote => (self.rate.inverse(), quote_decimals, base_decimals),
        }
    }
}

impl PricedQuote {
    /// What the taker pays and what it receives, in minor units.
    #[must_use]
    pub const fn pays_and_receives(&self, side: TakerSide) -> (i64, i64) {
        match side {
            TakerSide::BuysBase => (self.quote_minor, self.base_minor),
            TakerSide::SellsBase => (self.base_minor, self.quote_minor),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use FixedSide::{Base, Quote};

    fn terms(rate: &str, fixed_side: FixedSide, rounding: Rounding) -> QuoteTerms {
        let (pair, rate) = (Pair::parse("EUR/JPY").unwrap(), Rate::parse(rate).unwrap());
        QuoteTerms {
            pair,
            taker_side: TakerSide::BuysBase,
            fixed_side,
            rate,
            rounding,
        }
    }

    fn check(
        rate: &str,
        fixed_side: FixedSide,
        fixed: i64,
        expected: Result<(i64, i64), QuoteError>,
    ) {
        let terms = terms(rate, fixed_side, Rounding::HalfUp);
        let found = terms.price(fixed, 2, 0);
        if let Ok(priced) = found {
            assert!(terms.verify(&priced, 2, 0));
        }
        let amounts = found.map(|priced| (priced.base_minor, priced.quote_minor));
        assert_eq!(amounts, expected, "{fixed} {fixed_side:?} at {rate}");
    }

    #[test]
    fn prices_the_side_that_is_not_fixed() {
        check("186.75", Base, 10_000, Ok((10_000, 18_675)));
        check("186.75", Base, 1, Ok((1, 2)));
        check("186.75", Quote, 18_675, Ok((10_000, 18_675)));
        check("186.75", Quote, 1, Ok((1, 1)));
        check("0.4", Base, 1, Err(QuoteError::OtherAmountZero));
        check("1000", Quote, 1, Err(QuoteError::OtherAmountZero));
        check("186.75", Base, 0, Err(QuoteError::FixedAmountZero));
        check(
            "186.75",
            Base,
            -1,
            Err(QuoteError::Convert(ConvertError::SourceOutOfRange)),
        );
        check(
            "999999",
            Base,
            999_999_999_999_999_999,
            Err(QuoteError::Convert(ConvertError::TargetTooLarge)),
        );
    }

    #[test]
    fn the_sides_decide_who_pays_what() {
        let priced = terms("186.75", Base, Rounding::Down)
            .price(10_000, 2, 0)
            .unwrap();
        assert_eq!(
            priced.pays_and_receives(TakerSide::BuysBase),
            (18_675, 10_000)
        );
        assert_eq!(
            priced.pays_and_receives(TakerSide::SellsBase),
            (10_000, 18_675)
        );
    }

    #[test]
    fn verify_refuses_other_amounts() {
        for fixed_side in [Base, Quote] {
            let terms = terms("186.75", fixed_side, Rounding::HalfEven);
            let good = terms.price(12_345, 2, 0).unwrap();
            assert!(terms.verify(&good, 2, 0));
            for bad in [
                PricedQuote {
                    base_minor: good.base_minor + 1,
                    ..good
                },
                PricedQuote {
                    quote_minor: good.quote_minor + 1,
                    ..good
                },
                PricedQuote {
                    base_minor: -good.base_minor,
                    ..good
                },
                PricedQuote {
                    base_minor: good.quote_minor,
                    quote_minor: good.base_minor,
                    ..good
                },
            ] {
                assert!(!terms.verify(&bad, 2, 0), "{bad:?}");
            }
            assert!(!terms.verify(&good, 2, 2));
        }
    }

    #[test]
    fn stores_and_loads() {
        let terms = terms("186.75", Quote, Rounding::Down);
        let priced = terms.price(18_675, 2, 0).unwrap();
        let bytes = minicbor::to_vec((terms, priced)).unwrap();
        assert_eq!(
            minicbor::decode::<(QuoteTerms, PricedQuote)>(&bytes).unwrap(),
            (terms, priced)
        );
    }
}
