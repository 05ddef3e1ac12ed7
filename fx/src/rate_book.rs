//! The rate book: quoted rates by pair, and what follows from them exactly.
//!
//! | asked for           | held      | answer                                           |
//! |---------------------|-----------|--------------------------------------------------|
//! | `A/B` bid           | `A/B`     | its bid                                          |
//! | `A/B` bid           | `B/A`     | one over its ask                                 |
//! | `A/B` bid through P | neither   | `A/P` bid times `P/B` bid, each held or inverted |
//! | `A/A`               | -         | 1                                                |
//!
//! The mid of an inverse is the inverse of the mid, so values there and back are the same.

use std::collections::BTreeMap;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use rust_decimal::Decimal;

use crate::amount::DecimalText;
use crate::asset::AssetCode;
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
    const fn of_inverse(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
            Self::Mid => Self::Mid,
        }
    }
}

/// Why a rate is not taken into the book, or not found in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateBookError {
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
    /// The inverse pair is held, and two rates for one thing would contradict each other.
    #[error("{pair} is held as its inverse")]
    InverseHeld {
        /// The pair that was to be inserted.
        pair: Pair,
    },
    /// A later rate of the pair is held.
    #[error("a later rate of {pair} is held")]
    LaterHeld {
        /// The pair that was to be inserted.
        pair: Pair,
    },
    /// No rate of the pair is held, in either order.
    #[error("there is no rate of {pair}")]
    Missing {
        /// The pair that is missing.
        pair: Pair,
    },
    /// The cross does not fit.
    #[error("cross of {pair}: {error}")]
    Cross {
        /// The pair that was asked for.
        pair: Pair,
        /// What is wrong with it.
        error: RateError,
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
    /// In the order of [`RateBookError`].
    pub fn new(
        pair: Pair,
        bid: Decimal,
        ask: Decimal,
        time_ms: i64,
        source: &str,
    ) -> Result<Self, RateBookError> {
        let bid_rate =
            Rate::from_decimal(bid).map_err(|error| RateBookError::Bid { pair, error })?;
        let ask_rate =
            Rate::from_decimal(ask).map_err(|error| RateBookError::Ask { pair, error })?;
        if bid_rate > ask_rate {
            return Err(RateBookError::BidAboveAsk { pair });
        }
        let length_is_good = (1..=SOURCE_BYTES_MAX).contains(&source.len());
        if !length_is_good || source.chars().any(char::is_control) {
            return Err(RateBookError::Source { pair });
        }
        if pair.base == pair.quote {
            return Err(RateBookError::SameAsset { pair });
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
    /// In the order of [`RateBookError`].
    pub fn parse(
        pair: Pair,
        bid: &str,
        ask: &str,
        time_ms: i64,
        source: &str,
    ) -> Result<Self, RateBookError> {
        let bid = decimal(bid).map_err(|error| RateBookError::Bid { pair, error })?;
        let ask = decimal(ask).map_err(|error| RateBookError::Ask { pair, error })?;
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

/// Quoted rates by pair: the last of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateBook {
    quotes: BTreeMap<Pair, RateQuote>,
}

impl RateBook {
    /// An empty book.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            quotes: BTreeMap::new(),
        }
    }

    /// Takes a rate in and gives back the one that it replaces. At the same time the new one wins.
    ///
    /// # Errors
    /// [`RateBookError::InverseHeld`], then [`RateBookError::LaterHeld`]; the book is unchanged.
    pub fn insert(&mut self, quote: RateQuote) -> Result<Option<RateQuote>, RateBookError> {
        let pair = quote.pair;
        if self.quotes.contains_key(&pair.inverse()) {
            return Err(RateBookError::InverseHeld { pair });
        }
        if self
            .get(pair)
            .is_some_and(|held| held.time_ms > quote.time_ms)
        {
            return Err(RateBookError::LaterHeld { pair });
        }
        Ok(self.quotes.insert(pair, quote))
    }

    /// The rate of a pair as it was quoted; not its inverse.
    #[must_use]
    pub fn get(&self, pair: Pair) -> Option<&RateQuote> {
        self.quotes.get(&pair)
    }

    /// All rates, in the order of their pairs.
    pub fn iter(&self) -> impl Iterator<Item = &RateQuote> {
        self.quotes.values()
    }

    /// How many pairs are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.quotes.len()
    }

    /// Whether no pair is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.quotes.is_empty()
    }

    /// A price of a pair that is held, in either order.
    #[must_use]
    pub fn rate(&self, pair: Pair, price: Price) -> Option<Rate> {
        if pair.base == pair.quote {
            return Some(Rate::ONE);
        }
        let inverse = || Some(self.get(pair.inverse())?.rate(price.of_inverse()).inverse());
        self.get(pair).map(|held| held.rate(price)).or_else(inverse)
    }

    /// A price of any pair: held in either order, else crossed through the pivot, exactly.
    ///
    /// # Errors
    /// [`RateBookError::Missing`] names the first leg that is not held, [`RateBookError::Cross`] a
    /// cross that does not fit.
    pub fn rate_through(
        &self,
        pair: Pair,
        pivot: AssetCode,
        price: Price,
    ) -> Result<Rate, RateBookError> {
        if let Some(rate) = self.rate(pair, price) {
            return Ok(rate);
        }
        let leg = |pair| {
            self.rate(pair, price)
                .ok_or(RateBookError::Missing { pair })
        };
        let to_pivot = leg(Pair {
            base: pair.base,
            quote: pivot,
        })?;
        let from_pivot = leg(Pair {
            base: pivot,
            quote: pair.quote,
        })?;
        to_pivot
            .cross(&from_pivot)
            .map_err(|error| RateBookError::Cross { pair, error })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn fraction(numerator: i128, denominator: i128) -> Rate {
        Rate::from_fraction(numerator, denominator).unwrap()
    }

    fn quote(of: &str, bid: &str, ask: &str, time_ms: i64) -> RateQuote {
        RateQuote::parse(pair(of), bid, ask, time_ms, "ECB").unwrap()
    }

    fn book() -> RateBook {
        let mut book = RateBook::new();
        for rate in [
            quote("EUR/USD", "1.16", "1.18", 5),
            quote("EUR/JPY", "186", "187", 5),
        ] {
            assert_eq!(book.insert(rate), Ok(None));
        }
        book
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
        assert_eq!(found, Err(RateBookError::SameAsset { pair: same }));
    }

    #[test]
    fn finds_direct_inverse_and_cross() {
        let book = book();
        let pivot = pair("EUR/USD").base;
        for (of, bid, ask, mid) in [
            ("EUR/USD", (116, 100), (118, 100), (117, 100)),
            ("USD/EUR", (100, 118), (100, 116), (100, 117)),
            ("USD/JPY", (18_600, 118), (18_700, 116), (18_650, 117)),
            ("JPY/USD", (116, 18_700), (118, 18_600), (117, 18_650)),
        ] {
            for (price, (numerator, denominator)) in
                [(Price::Bid, bid), (Price::Ask, ask), (Price::Mid, mid)]
            {
                let found = book.rate_through(pair(of), pivot, price);
                assert_eq!(
                    found,
                    Ok(fraction(numerator, denominator)),
                    "{of} {price:?}"
                );
            }
        }
        let same = Pair {
            base: pivot,
            quote: pivot,
        };
        assert_eq!(book.rate_through(same, pivot, Price::Ask), Ok(Rate::ONE));
        assert_eq!(book.rate(pair("USD/JPY"), Price::Mid), None);
    }

    #[test]
    fn says_which_leg_is_missing() {
        let book = book();
        for (of, pivot, missing) in [
            ("USD/CHF", "EUR", "EUR/CHF"),
            ("CHF/USD", "EUR", "CHF/EUR"),
            ("EUR/CHF", "EUR", "EUR/CHF"),
            ("USD/JPY", "GBP", "USD/GBP"),
        ] {
            let found = book.rate_through(pair(of), pivot.parse().unwrap(), Price::Mid);
            assert_eq!(
                found,
                Err(RateBookError::Missing {
                    pair: pair(missing)
                }),
                "{of}"
            );
        }
    }

    #[test]
    fn keeps_the_last_rate_and_never_both_directions() {
        let mut book = book();
        let held = book.clone();
        let earlier = book.insert(quote("EUR/USD", "1.2", "1.2", 4));
        assert_eq!(
            earlier,
            Err(RateBookError::LaterHeld {
                pair: pair("EUR/USD")
            })
        );
        let inverse = book.insert(quote("USD/EUR", "0.8", "0.8", 9));
        assert_eq!(
            inverse,
            Err(RateBookError::InverseHeld {
                pair: pair("USD/EUR")
            })
        );
        assert_eq!(book, held);
        let replaced = book
            .insert(quote("EUR/USD", "1.2", "1.2", 5))
            .unwrap()
            .unwrap();
        assert_eq!(replaced.bid().to_string(), "1.16");
        assert_eq!(book.rate(pair("EUR/USD"), Price::Mid), Some(fraction(6, 5)));
        let pairs: Vec<_> = book.iter().map(|quote| quote.pair().to_string()).collect();
        assert_eq!(
            (pairs.join(" ").as_str(), book.len()),
            ("EUR/JPY EUR/USD", 2)
        );
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
