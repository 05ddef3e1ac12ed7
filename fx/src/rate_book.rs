//! The rate book: quoted rates by pair, and what follows from them exactly.
//!
//! | asked for           | held      | answer                                           |
//! |---------------------|-----------|--------------------------------------------------|
//! | `A/B` bid           | `A/B`     | its bid                                          |
//! | `A/B` bid           | `B/A`     | one over its ask                                 |
//! | `A/B` bid through P | neither   | `A/P` bid times `P/B` bid, each held or inverted |
//! | `A/B` at any length | a chain   | the product along the shortest chain of pairs    |
//! | `A/A`               | -         | 1                                                |
//!
//! The mid of an inverse is the inverse of the mid, so values there and back are the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::asset::AssetCode;
use crate::pair::Pair;
use crate::rate::{Rate, RateError};
use crate::rate_quote::{Price, RateQuote};

/// Why a rate is not taken into the book, or not found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateBookError {
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

/// A price that was found along a chain of pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cross {
    /// The product along the chain, exactly.
    pub rate: Rate,
    /// The assets of the chain, the base first: two for a pair that is held, three through one pivot.
    pub chain: Vec<AssetCode>,
}

/// The shortest chain from one asset to another along pairs, in either order of each; of several the first
/// by its assets' codes. `None` if there is none.
#[must_use]
pub fn shortest_chain(
    pairs: impl IntoIterator<Item = Pair>,
    from: AssetCode,
    to: AssetCode,
) -> Option<Vec<AssetCode>> {
    let mut neighbours: BTreeMap<AssetCode, BTreeSet<AssetCode>> = BTreeMap::new();
    for Pair { base, quote } in pairs {
        neighbours.entry(base).or_default().insert(quote);
        neighbours.entry(quote).or_default().insert(base);
    }
    // Breadth first, neighbours by code: chains of each length come in the order of their codes.
    let (mut reached, mut chains) = (BTreeSet::from([from]), vec![vec![from]]);
    while !chains.is_empty() {
        if let Some(found) = chains.iter().find(|chain| chain.last() == Some(&to)) {
            return Some(found.clone());
        }
        let mut longer = Vec::new();
        for chain in &chains {
            let next = chain.last().and_then(|last| neighbours.get(last));
            for code in next.into_iter().flatten() {
                if reached.insert(*code) {
                    longer.push(chain.iter().copied().chain([*code]).collect());
                }
            }
        }
        chains = longer;
    }
    None
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
        let pair = quote.pair();
        if self.quotes.contains_key(&pair.inverse()) {
            return Err(RateBookError::InverseHeld { pair });
        }
        if self
            .get(pair)
            .is_some_and(|held| held.time_ms() > quote.time_ms())
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

    /// A price of any pair along the shortest chain of held pairs ([`shortest_chain`]), exactly.
    ///
    /// # Errors
    /// [`RateBookError::Missing`] if no chain joins the two, [`RateBookError::Cross`] if the product does
    /// not fit.
    pub fn cross(&self, pair: Pair, price: Price) -> Result<Cross, RateBookError> {
        let chain = shortest_chain(self.quotes.keys().copied(), pair.base, pair.quote)
            .ok_or(RateBookError::Missing { pair })?;
        let legs = chain.windows(2).map(|leg| Pair {
            base: leg[0],
            quote: leg[1],
        });
        let mut rate = Rate::ONE;
        for leg in legs {
            let held = self.rate(leg, price).expect("the chain is of held pairs");
            rate = rate
                .cross(&held)
                .map_err(|error| RateBookError::Cross { pair, error })?;
        }
        Ok(Cross { rate, chain })
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
    fn finds_the_shortest_chain() {
        let mut book = book();
        for rate in [
            quote("USD/CHF", "0.8", "0.8", 5),
            quote("GBP/CHF", "1.1", "1.1", 5),
            quote("NOK/SEK", "1", "1", 5),
        ] {
            book.insert(rate).unwrap();
        }
        for (of, expected) in [
            ("USD/EUR", "USD EUR: 100/117"),
            ("JPY/USD", "JPY EUR USD: 117/18650"),
            ("JPY/GBP", "JPY EUR USD CHF GBP: 468/102575"),
            ("USD/NOK", "there is no rate of USD/NOK"),
            ("USD/XXX", "there is no rate of USD/XXX"),
        ] {
            let found = match book.cross(pair(of), Price::Mid) {
                Ok(Cross { rate, chain }) => {
                    let chain: Vec<_> = chain.iter().map(AssetCode::to_string).collect();
                    format!("{}: {rate}", chain.join(" "))
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{of}");
        }
        // Two pivots are as near: the first by its code.
        book.insert(quote("CHF/JPY", "150", "150", 5)).unwrap();
        let chain = book.cross(pair("USD/JPY"), Price::Bid).unwrap().chain;
        assert_eq!(chain[1], pair("CHF/JPY").base);
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
}
