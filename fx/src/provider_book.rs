//! The rates of many providers: several for one pair, each with a time, and a size up to which it holds.
//!
//! | asked for            | answer                                                                    |
//! |----------------------|---------------------------------------------------------------------------|
//! | a side of `A/B`      | the best of all fresh rates of `A/B` and, inverted, of `B/A` that hold for the size |
//! | a cross              | the best of each leg along the shortest chain of fresh pairs, exactly      |
//! | how far a rate is off | `rate / last - 1`, exactly                                               |
//!
//! Of equal rates the latest wins, then the first by its provider's name: the same book always gives the same
//! answer. A size is in units of the pair's base; along a chain it becomes the next leg's, not rounded.

use std::collections::BTreeMap;

use ethnum::I256;

use crate::amount::DecimalText;
use crate::asset::AssetCode;
use crate::fraction::Fraction;
use crate::pair::Pair;
use crate::rate::{Rate, RateError};
use crate::rate_book::shortest_chain;
use crate::rate_quote::{Price, RateQuote};

/// Which side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is paid for the base: the highest is best.
    Bid,
    /// What is taken for the base: the lowest is best.
    Ask,
}

/// A provider's rate of a pair; the provider is the quote's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRate {
    /// Bid and ask, with their time and provider.
    pub quote: RateQuote,
    /// The largest size that they hold for, in units of the base; `None`: any.
    pub size_max: Option<DecimalText>,
}

/// Why a rate is not taken into the book, or not found in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderBookError {
    /// The provider has a rate of the pair for the same size.
    #[error("{provider} has {pair} twice for one size")]
    Twice {
        /// The pair.
        pair: Pair,
        /// Whose.
        provider: String,
    },
    /// The provider has a rate of the inverse pair: the two would contradict each other.
    #[error("{provider} has {pair} as its inverse too")]
    InverseHeld {
        /// The pair.
        pair: Pair,
        /// Whose.
        provider: String,
    },
    /// No fresh rate that holds for the size.
    #[error("there is no fresh rate of {pair} for this size")]
    Missing {
        /// The pair, or the leg of a chain.
        pair: Pair,
    },
    /// The cross, or the size along the chain, does not fit.
    #[error("cross of {pair}: {error}")]
    Cross {
        /// The pair that was asked for.
        pair: Pair,
        /// What is wrong with it.
        error: RateError,
    },
}

/// What a book is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Units of the base; `None`: so little that every rate holds.
    pub size: Option<Fraction>,
    /// Rates of an earlier time are stale, Unix milliseconds; `None`: none is.
    pub fresh_from_ms: Option<i64>,
}

/// The best rate of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestRate {
    /// Exactly.
    pub rate: Rate,
    /// The assets of the chain, the base first.
    pub chain: Vec<AssetCode>,
    /// The provider of each leg.
    pub providers: Vec<String>,
}

/// Rates by pair, as they were quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderBook {
    rates: BTreeMap<Pair, Vec<ProviderRate>>,
}

impl ProviderBook {
    /// Takes a rate in.
    ///
    /// # Errors
    /// [`ProviderBookError::InverseHeld`], then [`ProviderBookError::Twice`]; the book is unchanged.
    pub fn insert(&mut self, rate: ProviderRate) -> Result<(), ProviderBookError> {
        let (pair, provider) = (rate.quote.pair(), rate.quote.source());
        let own = |pair| {
            self.held(pair)
                .filter(|held| held.quote.source() == provider)
        };
        let provider_of = || provider.to_owned();
        if own(pair.inverse()).next().is_some() {
            let provider = provider_of();
            return Err(ProviderBookError::InverseHeld { pair, provider });
        }
        let size = rate.size_max.map(units);
        if own(pair).any(|held| held.size_max.map(units) == size) {
            let provider = provider_of();
            return Err(ProviderBookError::Twice { pair, provider });
        }
        self.rates.entry(pair).or_default().push(rate);
        Ok(())
    }

    /// Pairs that have a rate, by code.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        self.rates.keys().copied()
    }

    fn held(&self, pair: Pair) -> impl Iterator<Item = &ProviderRate> {
        self.rates.get(&pair).into_iter().flatten()
    }

    /// The best of all fresh rates of a pair, in either order, that hold for the size.
    ///
    /// # Errors
    /// [`ProviderBookError::Missing`].
    pub fn best(
        &self,
        pair: Pair,
        side: Side,
        asked: &Asked,
    ) -> Result<BestRate, ProviderBookError> {
        let direct = self.held(pair).map(|held| (held, false));
        let inverse = self.held(pair.inverse()).map(|held| (held, true));
        let offers = direct
            .chain(inverse)
            .filter(|(held, _)| is_fresh(held, asked));
        let offers = offers.filter_map(|(held, inverse)| {
            let rate = offered(held, inverse, side);
            holds(held, inverse, &rate, asked.size).then_some((rate, held))
        });
        let best = offers.reduce(|best, next| {
            if is_better(&next, &best, side) {
                next
            } else {
                best
            }
        });
        let (rate, held) = best.ok_or(ProviderBookError::Missing { pair })?;
        Ok(BestRate {
            rate,
            chain: vec![pair.base, pair.quote],
            providers: vec![held.quote.source().to_owned()],
        })
    }

    /// The best rate along the shortest chain of pairs with a fresh rate ([`shortest_chain`]).
    ///
    /// # Errors
    /// [`ProviderBookError::Missing`] names the pair that no chain joins, or the leg that has no rate for
    /// the size; [`ProviderBookError::Cross`] if the product does not fit.
    pub fn cross(
        &self,
        pair: Pair,
        side: Side,
        asked: &Asked,
    ) -> Result<BestRate, ProviderBookError> {
        let fresh = self
            .rates
            .iter()
            .filter(|(_, held)| held.iter().any(|held| is_fresh(held, asked)));
        let chain = shortest_chain(fresh.map(|(pair, _)| *pair), pair.base, pair.quote)
            .ok_or(ProviderBookError::Missing { pair })?;
        let overflow = |error| ProviderBookError::Cross { pair, error };
        let (mut rate, mut asked, mut providers) = (Rate::ONE, *asked, Vec::new());
        for leg in chain.windows(2) {
            let leg = Pair {
                base: leg[0],
                quote: leg[1],
            };
            let best = self.best(leg, side, &asked)?;
            rate = rate.cross(&best.rate).map_err(overflow)?;
            asked.size = match asked.size {
                Some(size) => Some(times(size, &best.rate).ok_or(overflow(RateError::Overflow))?),
                None => None,
            };
            providers.extend(best.providers);
        }
        Ok(BestRate {
            rate,
            chain,
            providers,
        })
    }
}

fn is_fresh(held: &ProviderRate, asked: &Asked) -> bool {
    asked
        .fresh_from_ms
        .is_none_or(|from| held.quote.time_ms() >= from)
}

/// The side of the pair that was asked for: of an inverse, one over the other side.
fn offered(held: &ProviderRate, inverse: bool, side: Side) -> Rate {
    match (side, inverse) {
        (Side::Bid, false) => held.quote.rate(Price::Bid),
        (Side::Ask, false) => held.quote.rate(Price::Ask),
        (Side::Bid, true) => held.quote.rate(Price::Ask).inverse(),
        (Side::Ask, true) => held.quote.rate(Price::Bid).inverse(),
    }
}

/// Whether a rate holds for a size of the asked pair's base; an inverse's size is of the other asset.
fn holds(held: &ProviderRate, inverse: bool, rate: &Rate, size: Option<Fraction>) -> bool {
    let (Some(size), Some(size_max)) = (size, held.size_max) else {
        return true;
    };
    let size = if inverse {
        times(size, rate)
    } else {
        Some(size)
    };
    // What does not even fit is above every size.
    size.is_some_and(|size| size <= units(size_max))
}

fn is_better(one: &(Rate, &ProviderRate), other: &(Rate, &ProviderRate), side: Side) -> bool {
    let by_rate = match side {
        Side::Bid => one.0.cmp(&other.0),
        Side::Ask => other.0.cmp(&one.0),
    };
    let (one, other) = (&one.1.quote, &other.1.quote);
    let by_time = by_rate.then(one.time_ms().cmp(&other.time_ms()));
    by_time.then(other.source().cmp(one.source())).is_gt()
}

fn times(size: Fraction, rate: &Rate) -> Option<Fraction> {
    size.checked_mul(&as_fraction(rate))
}

fn as_fraction(rate: &Rate) -> Fraction {
    let parts = [rate.numerator(), rate.denominator()].map(I256::from);
    Fraction::new(parts[0], parts[1]).expect("two 128-bit integers fit")
}

/// A decimal's value, exactly.
#[must_use]
pub fn units(text: DecimalText) -> Fraction {
    let sign = if text.negative { -1 } else { 1 };
    let denominator = I256::from(10_i128.pow(text.scale.into()));
    Fraction::new(I256::from(text.mantissa) * I256::from(sign), denominator)
        .expect("18 digits over a power of ten fit")
}

/// How far a rate is from the last one, as a part of the last: `rate / last - 1`, exactly. Below zero where it
/// fell. `None` if that does not fit, as it does for any two quoted rates.
#[must_use]
pub fn deviation(last: &Rate, rate: &Rate) -> Option<Fraction> {
    let ratio = as_fraction(rate).checked_mul(&as_fraction(&last.inverse()))?;
    ratio.checked_add(&Fraction::new(I256::MINUS_ONE, I256::ONE)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn decimal(text: &str) -> DecimalText {
        DecimalText::parse(text.as_bytes()).unwrap()
    }

    /// `PROVIDER PAIR BID ASK TIME [SIZE]`
    fn rate(line: &str) -> ProviderRate {
        let words: Vec<_> = line.split(' ').collect();
        let time = words[4].parse().unwrap();
        ProviderRate {
            quote: RateQuote::parse(pair(words[1]), words[2], words[3], time, words[0]).unwrap(),
            size_max: words.get(5).map(|size| decimal(size)),
        }
    }

    fn book(lines: &[&str]) -> ProviderBook {
        let mut book = ProviderBook::default();
        for line in lines {
            book.insert(rate(line)).unwrap();
        }
        book
    }

    /// `PAIR SIDE [SIZE]`, of rates from a time on.
    fn check(book: &ProviderBook, question: &str, from: i64, expected: &str) {
        let words: Vec<_> = question.split(' ').collect();
        let side = if words[1] == "bid" {
            Side::Bid
        } else {
            Side::Ask
        };
        let asked = Asked {
            size: words.get(2).map(|size| units(decimal(size))),
            fresh_from_ms: Some(from),
        };
        let found = match book.cross(pair(words[0]), side, &asked) {
            Ok(best) => format!("{} {}", best.rate.to_text(12), best.providers.join("+")),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{question} from {from}");
    }

    #[test]
    fn the_best_of_each_side_and_size() {
        let book = book(&[
            "BANK1 EUR/USD 1.10 1.12 5 1000000",
            "BANK1 EUR/USD 1.09 1.13 5",
            "BANK2 EUR/USD 1.11 1.14 3 500000",
            "BANK3 USD/EUR 0.89 0.90 4 1000000",
        ]);
        // BANK3 inverted: bid 1/0.90 = 1.111..., ask 1/0.89 = 1.1235...
        check(&book, "EUR/USD bid", 0, "1.11111111111 BANK3");
        check(&book, "EUR/USD ask", 0, "1.12 BANK1");
        check(&book, "EUR/USD bid 900000", 0, "1.11111111111 BANK3");
        // 900,000.01 euro are more than a million dollars.
        check(&book, "EUR/USD bid 900000.01", 0, "1.1 BANK1");
        check(&book, "EUR/USD bid 1000000.01", 0, "1.09 BANK1");
        check(&book, "EUR/USD bid 500000", 5, "1.1 BANK1");
        check(&book, "USD/EUR ask", 0, "0.9 BANK3");
        check(&book, "USD/EUR bid 1000000", 0, "0.892857142857 BANK1");
        check(
            &book,
            "EUR/USD bid",
            6,
            "there is no fresh rate of EUR/USD for this size",
        );
    }

    #[test]
    fn of_equal_rates_the_latest_then_the_first_name() {
        let lines = [
            "B EUR/USD 1.1 1.2 3",
            "C EUR/USD 1.1 1.2 4",
            "A EUR/USD 1.1 1.2 4",
            "D EUR/USD 1.1 1.2 2",
        ];
        for turn in 0..4 {
            let mut lines = lines;
            lines.rotate_left(turn);
            check(&book(&lines), "EUR/USD bid", 0, "1.1 A");
            check(&book(&lines), "EUR/USD ask", 0, "1.2 A");
        }
    }

    #[test]
    fn crosses_leg_by_leg_with_the_size() {
        let book = book(&[
            "A EUR/USD 1.10 1.12 5",
            "B EUR/USD 1.11 1.13 5 100",
            "A USD/JPY 150 151 5 111",
            "C USD/JPY 149 152 5",
        ]);
        check(&book, "EUR/JPY bid 100", 0, "166.5 B+A");
        // 101 x 1.10 = 111.1 dollars: above A's 111.
        check(&book, "EUR/JPY bid 101", 0, "163.9 A+C");
        check(&book, "JPY/EUR ask", 0, "0.00600600600601 A+B");
        check(
            &book,
            "EUR/CHF bid",
            0,
            "there is no fresh rate of EUR/CHF for this size",
        );
    }

    #[test]
    fn a_provider_has_one_rate_for_one_thing() {
        let mut book = book(&["A EUR/USD 1.10 1.12 5", "A EUR/USD 1.11 1.12 5 100"]);
        for (line, expected) in [
            ("A EUR/USD 1 1 9", "A has EUR/USD twice for one size"),
            ("A EUR/USD 1 1 9 100.0", "A has EUR/USD twice for one size"),
            ("A USD/EUR 1 1 9 7", "A has USD/EUR as its inverse too"),
        ] {
            assert_eq!(book.insert(rate(line)).unwrap_err().to_string(), expected);
        }
        assert_eq!(book.insert(rate("B USD/EUR 1 1 9")), Ok(()));
        assert_eq!(book.pairs().count(), 2);
    }

    #[test]
    fn says_how_far_a_rate_is_off() {
        let rate = |text: &str| Rate::parse(text).unwrap();
        for (last, now, expected) in [
            ("1.1684", "1.30", "329/2921"),
            ("1.25", "1.00", "-1/5"),
            ("1.1", "1.1", "0/1"),
            (
                "0.000001",
                "999999999999999999",
                "999999999999999998999999/1",
            ),
        ] {
            let found = deviation(&rate(last), &rate(now)).unwrap();
            assert_eq!(found.to_string(), expected, "{last} {now}");
        }
    }
}
