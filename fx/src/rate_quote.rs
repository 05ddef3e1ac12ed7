//! Quoted rates: bid and ask of a pair, as a source gave them.
//!
//! Kept as the decimals that were quoted (they are shown and stored with every zero) and as the exact
//! fractions that everything is computed with.

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use rust_decimal::Decimal;

use crate::amount::DecimalText;
use crate::pair::Pair;
use crate::rate::{Rate, RateError};

/// Longest name of a rate's source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64;

/// Which of a quoted pair's prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Price {
    /// What the source pays for the base.
    Bid,
    /// What the source takes for the base.
    Ask,
    /// Half way between them, not rounded.
    Mid,
}

impl Price {
    /// The price of the inverse pair that gives this one.
    pub(crate) const fn of_inverse(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
            Self::Mid => Self::Mid,
        }
    }
}

/// Why something is not a quoted rate. In order of precedence: the first that applies is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateQuoteError {
    /// The bid is not a quotable rate.
    #[error("bid of {pair}: {error}")]
    Bid {
        /// The pair that it was quoted for.
        pair: Pair,
        /// What is wrong with it.
        error: RateError,
    },
    /// The ask is not a quotable rate.
    #[error("ask of {pair}: {error}")]
    Ask {
        /// The pair that it was quoted for.
        pair: Pair,
        /// What is wrong with it.
        error: RateError,
    },
    /// The bid is above the ask.
    #[error("bid of {pair} is above its ask")]
    BidAboveAsk {
        /// The pair that they were quoted for.
        pair: Pair,
    },
    /// The source's name is empty, longer than [`SOURCE_BYTES_MAX`], or has control characters.
    #[error("source of {pair} is not a name of 1 to 64 bytes")]
    Source {
        /// The pair that it was named for.
        pair: Pair,
    },
    /// The pair has two equal sides.
    #[error("{pair} is not of two different assets")]
    SameAsset {
        /// The pair.
        pair: Pair,
    },
}

/// A two-way rate of a pair, as a source quoted it: within the bounds of [`Rate`], bid not above ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateQuote {
    pair: Pair,
    bid: Decimal,
    ask: Decimal,
    time_ms: i64,
    source: String,
    bid_rate: Rate,
    ask_rate: Rate,
    mid_rate: Rate,
}

impl RateQuote {
    /// A quoted rate; `time_ms` is Unix time in milliseconds, of the source.
    ///
    /// # Errors
    /// In the order of [`RateQuoteError`].
    pub fn new(
        pair: Pair,
        bid: Decimal,
        ask: Decimal,
        time_ms: i64,
        source: &str,
    ) -> Result<Self, RateQuoteError> {
        let bid_rate =
            Rate::from_decimal(bid).map_err(|error| RateQuoteError::Bid { pair, error })?;
        let ask_rate =
            Rate::from_decimal(ask).map_err(|error| RateQuoteError::Ask { pair, error })?;
        if bid_rate > ask_rate {
            return Err(RateQuoteError::BidAboveAsk { pair });
        }
        let length_is_good = (1..=SOURCE_BYTES_MAX).contains(&source.len());
        if !length_is_good || source.chars().any(char::is_control) {
            return Err(RateQuoteError::Source { pair });
        }
        if pair.base == pair.quote {
            return Err(RateQuoteError::SameAsset { pair });
        }
        // Quoted rates have 18 digits over at most 10^12, so their middle fits by far.
        let mid_rate = bid_rate
            .middle(&ask_rate)
            .expect("the middle of two quoted rates fits");
        let source = source.to_owned();
        Ok(Self {
            pair,
            bid,
            ask,
            time_ms,
            source,
            bid_rate,
            ask_rate,
            mid_rate,
        })
    }

    /// A quoted rate from the texts of bid and ask.
    ///
    /// # Errors
    /// In the order of [`RateQuoteError`].
    pub fn parse(
        pair: Pair,
        bid: &str,
        ask: &str,
        time_ms: i64,
        source: &str,
    ) -> Result<Self, RateQuoteError> {
        let bid = decimal(bid).map_err(|error| RateQuoteError::Bid { pair, error })?;
        let ask = decimal(ask).map_err(|error| RateQuoteError::Ask { pair, error })?;
        Self::new(pair, bid, ask, time_ms, source)
    }

    /// The pair.
    #[must_use]
    pub const fn pair(&self) -> Pair {
        self.pair
    }

    /// The bid as quoted, with its trailing zeros.
    #[must_use]
    pub const fn bid(&self) -> Decimal {
        self.bid
    }

    /// The ask as quoted, with its trailing zeros.
    #[must_use]
    pub const fn ask(&self) -> Decimal {
        self.ask
    }

    /// The source's time, Unix milliseconds.
    #[must_use]
    pub const fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// Who quoted it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// One of its prices, exactly.
    #[must_use]
    pub const fn rate(&self, price: Price) -> Rate {
        match price {
            Price::Bid => self.bid_rate,
            Price::Ask => self.ask_rate,
            Price::Mid => self.mid_rate,
        }
    }
}

/// A quoted rate's text as a decimal, by the project's grammar: it is narrower than the library's.
fn decimal(text: &str) -> Result<Decimal, RateError> {
    Rate::parse(text)?;
    let DecimalText {
        mantissa, scale, ..
    } = DecimalText::parse(text.as_bytes())?;
    Ok(Decimal::new(mantissa, u32::from(scale)))
}

/// The stored form: `[pair, bid, ask, time, source]`, rates as text.
#[derive(Encode, Decode)]
struct QuoteFields<'a> {
    #[n(0)]
    pair: Pair,
    #[n(1)]
    bid: String,
    #[n(2)]
    ask: String,
    #[n(3)]
    time_ms: i64,
    #[b(4)]
    source: &'a str,
}

impl<C> Encode<C> for RateQuote {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let (bid, ask) = (self.bid.to_string(), self.ask.to_string());
        let Self { pair, time_ms, .. } = *self;
        QuoteFields {
            pair,
            bid,
            ask,
            time_ms,
            source: &self.source,
        }
        .encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for RateQuote {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        let fields = QuoteFields::decode(decoder, context)?;
        Self::parse(
            fields.pair,
            &fields.bid,
            &fields.ask,
            fields.time_ms,
            fields.source,
        )
        .map_err(|error| decode::Error::message(error).at(position))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn quote(of: &str, bid: &str, ask: &str, time_ms: i64) -> RateQuote {
        RateQuote::parse(pair(of), bid, ask, time_ms, "ECB").unwrap()
    }

    #[test]
    fn refuses_what_is_not_a_quoted_rate() {
        let (long, longest) = ("x".repeat(65), "x".repeat(64));
        for (bid, ask, source, expected) in [
            ("0", "x", "", "bid of EUR/USD: the rate is not above zero"),
            (
                "x",
                "1",
                "ECB",
                "bid of EUR/USD: the rate is not a decimal: not a decimal: byte 0",
            ),
            (
                "1.1",
                "-0",
                "ECB",
                "ask of EUR/USD: the rate is not above zero",
            ),
            (
                "1.1",
                "0.00000099",
                "ECB",
                "ask of EUR/USD: the rate is below 0.000001",
            ),
            ("1.2", "1.1", "", "bid of EUR/USD is above its ask"),
            ("1.1", "1.1", "", "source of EUR/USD"),
            ("1.1", "1.1", &long, "source of EUR/USD"),
            ("1.1", "1.1", "E\nCB", "source of EUR/USD"),
            ("1.1", "1.10", &longest, ""),
        ] {
            let found = RateQuote::parse(pair("EUR/USD"), bid, ask, 0, source);
            let text = found.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(
                text.starts_with(expected) && text.is_empty() == expected.is_empty(),
                "{text}"
            );
        }
        let same = Pair {
            base: pair("EUR/USD").base,
            quote: pair("EUR/USD").base,
        };
        let found = RateQuote::parse(same, "1", "1", 0, "ECB");
        assert_eq!(found, Err(RateQuoteError::SameAsset { pair: same }));
    }

    #[test]
    fn stores_and_loads_with_every_zero() {
        let rate = quote("EUR/USD", "1.1600", "1.180", 1_776_038_400_000);
        let bytes = minicbor::to_vec(&rate).unwrap();
        let loaded: RateQuote = minicbor::decode(&bytes).unwrap();
        assert_eq!(
            (loaded.bid().to_string(), loaded.ask().to_string()),
            ("1.1600".into(), "1.180".into())
        );
        assert_eq!(
            (loaded.time_ms(), loaded.source()),
            (1_776_038_400_000, "ECB")
        );
        assert_eq!(loaded, rate);
        let fields = |bid: &str, source| {
            let (bid, ask) = (bid.to_owned(), "1.2".to_owned());
            minicbor::to_vec(QuoteFields {
                pair: pair("EUR/USD"),
                bid,
                ask,
                time_ms: 0,
                source,
            })
            .unwrap()
        };
        assert!(minicbor::decode::<RateQuote>(&fields("1.1", "ECB")).is_ok());
        for (bid, source) in [("1.3", "ECB"), ("0", "ECB"), ("1.1", ""), ("1e1", "ECB")] {
            assert!(
                minicbor::decode::<RateQuote>(&fields(bid, source)).is_err(),
                "{bid} {source:?}"
            );
        }
    }
}
