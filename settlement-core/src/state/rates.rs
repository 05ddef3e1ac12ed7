//! Rates: the last set of each provider, what they were accepted against, and what values are taken at.
//!
//! | part       | holds                                                   | read by                      |
//! |------------|---------------------------------------------------------|------------------------------|
//! | `sets`     | each provider's last set, the latest first              | `GetRates`, the best rates   |
//! | `valuation` | the last request's lines, or the named source's        | netting, through the book    |
//! | `accepted` | the last accepted middle of each pair                   | the outlier guard            |
//! | `rules`    | staleness, guard, source of valuation                   | all of them                  |

use super::State;
use super::decide_command::{SOURCE_CHARS_MAX, invalid, not_found};
use crate::command::{RateLine, RateRules, Refusal};
use crate::event::Event;
use crate::ids::Timestamp;
use crate::view::{BestRates, RateBookView, RateQuestion};
use fx::provider_book::{deviation, units};
use fx::{
    Asked, DecimalText, Fraction, I256, Pair, Price, ProviderBook, ProviderBookError, ProviderRate,
    Rate, RateBook, RateError, RateQuote, RateQuoteError, Side,
};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Digits of a percentage in a refusal; the fraction beside it is exact.
const PERCENT_DIGITS: usize = 12;

/// All rates.
#[derive(Clone, Default)]
pub(crate) struct Rates {
    /// Not empty, of one source each; the latest first.
    sets: Vec<Vec<RateLine>>,
    providers: ProviderBook,
    last: Vec<RateLine>,
    /// By pair in the order of its codes.
    accepted: BTreeMap<Pair, Rate>,
    rules: RateRules,
    /// What values are taken at.
    pub(crate) valuation: RateBook,
}

impl Rates {
    /// Takes a request's lines in: each of its sources' sets is replaced.
    pub(crate) fn set(&mut self, lines: &[RateLine]) {
        self.sets = replaced(&self.sets, lines);
        self.last = lines.to_vec();
        // Of several lines of a pair the first counts.
        for line in lines.iter().rev() {
            let quote = quote_of(line).expect("decided: the line is a rate");
            let (pair, rate) = in_order(line.pair, quote.rate(Price::Mid));
            self.accepted.insert(pair, rate);
        }
        self.rebuild();
    }

    /// Takes a set in as records of before there were providers have it: it replaces everything.
    pub(crate) fn set_all(&mut self, lines: &[RateLine]) {
        self.sets.clear();
        self.set(lines);
    }

    pub(crate) fn set_rules(&mut self, rules: &RateRules) {
        self.rules = rules.clone();
        self.rebuild();
    }

    fn rebuild(&mut self) {
        let book = provider_book(&self.sets);
        self.providers = book.unwrap_or_else(|(place, error)| panic!("decided: {place:?} {error}"));
        let lines = match &self.rules.valuation_source {
            None => &self.last[..],
            Some(source) => {
                let set = self.sets.iter().find(|set| set[0].source == *source);
                set.map_or(&[][..], |set| &set[..])
            }
        };
        self.valuation = valuation_book(lines);
    }

    /// Every line, the latest set's first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &RateLine> {
        self.sets.iter().flatten()
    }

    /// All that later decisions depend on.
    #[allow(clippy::type_complexity)]
    pub(crate) fn parts(
        &self,
    ) -> (
        &[Vec<RateLine>],
        &[RateLine],
        &BTreeMap<Pair, Rate>,
        &RateRules,
    ) {
        (&self.sets, &self.last, &self.accepted, &self.rules)
    }

    /// From [`Rates::parts`].
    pub(crate) fn from_parts(
        sets: Vec<Vec<RateLine>>,
        last: Vec<RateLine>,
        accepted: BTreeMap<Pair, Rate>,
        rules: RateRules,
    ) -> Self {
        let mut rates = Self {
            sets,
            last,
            accepted,
            rules,
            ..Self::default()
        };
        rates.rebuild();
        rates
    }

    /// From when on a rate is fresh.
    fn fresh_from(&self, now: Timestamp) -> Option<i64> {
        let age = self.rules.stale_after_ms?;
        Some(now.0.saturating_sub(age))
    }

    fn view(&self, question: &RateQuestion, now: Timestamp) -> RateBookView {
        let fresh_from_ms = self.fresh_from(now);
        let asked = Asked {
            size: question.size.map(units),
            fresh_from_ms,
        };
        let is_stale = |line: &RateLine| fresh_from_ms.is_some_and(|from| line.time.0 < from);
        let wanted = |line: &&RateLine| {
            question
                .pair
                .is_none_or(|pair| line.pair.is_of(pair.base, pair.quote))
        };
        let lines = self.lines().filter(wanted);
        let best = |pair| BestRates {
            pair,
            bid: self.providers.cross(pair, Side::Bid, &asked).ok(),
            ask: self.providers.cross(pair, Side::Ask, &asked).ok(),
        };
        RateBookView {
            lines: lines.map(|line| (line.clone(), is_stale(line))).collect(),
            best: match question.pair {
                Some(pair) => vec![best(pair)],
                None => self.quoted_pairs().into_iter().map(best).collect(),
            },
            rules: self.rules.clone(),
        }
    }

    /// Each pair once, in the order that its latest line has it, by code.
    fn quoted_pairs(&self) -> Vec<Pair> {
        let mut pairs = BTreeMap::new();
        for line in self.lines() {
            let (key, _) = in_order(line.pair, Rate::ONE);
            pairs.entry(key).or_insert(line.pair);
        }
        pairs.into_values().collect()
    }
}

impl State {
    pub(super) fn decide_rates(&self, lines: &[RateLine]) -> Result<Vec<Event>, Refusal> {
        for (index, line) in lines.iter().enumerate() {
            self.check_rate(line)
                .map_err(|(field, reason)| refusal(index, field, reason))?;
        }
        check_sets(lines)?;
        for (index, line) in lines.iter().enumerate() {
            self.check_deviation(line)
                .map_err(|reason| refusal(index, "bid", Reason::Invalid(reason)))?;
        }
        let changed =
            replaced(&self.rates.sets, lines) != self.rates.sets || self.rates.last != lines;
        Ok(changed
            .then(|| Event::ProviderRatesSet(lines.to_vec()))
            .into_iter()
            .collect())
    }

    fn check_rate(&self, line: &RateLine) -> Result<(), (&'static str, Reason)> {
        if line.source.chars().count() > SOURCE_CHARS_MAX {
            return Err(("source", Reason::Invalid("is above 35 characters".into())));
        }
        for code in [line.pair.base, line.pair.quote] {
            if self.directory.asset_id(code).is_none() {
                return Err(("pair", Reason::NotFound(format!("no such asset: {code}"))));
            }
        }
        quote_of(line).map_err(|error| (rate_field(&error), Reason::Invalid(error.to_string())))?;
        match line.size_max {
            Some(size) if decimal_text(size).is_none_or(|size| size.mantissa == 0) => {
                let reason = "is not an amount above zero, of at most 18 digits";
                Err(("size_max", Reason::Invalid(reason.into())))
            }
            _ => Ok(()),
        }
    }

    /// The outlier guard: the middle against the pair's last accepted one.
    fn check_deviation(&self, line: &RateLine) -> Result<(), String> {
        let (Some(allowed), Ok(quote)) = (self.rates.rules.deviation_max, quote_of(line)) else {
            return Ok(());
        };
        let (pair, rate) = in_order(line.pair, quote.rate(Price::Mid));
        let Some(last) = self.rates.accepted.get(&pair) else {
            return Ok(());
        };
        // Of the pair as it was sent, so that the sender reads its own figures.
        let (last, rate) = if pair == line.pair {
            (*last, rate)
        } else {
            (last.inverse(), rate.inverse())
        };
        let found = deviation(&last, &rate).ok_or_else(|| RateError::Overflow.to_string())?;
        let allowed = decimal_text(allowed).map(units).unwrap_or(Fraction::ZERO);
        if found.abs() <= allowed {
            return Ok(());
        }
        let direction = if found < Fraction::ZERO {
            "below"
        } else {
            "above"
        };
        Err(format!(
            "the middle of {} is {} % ({}) {direction} the last accepted, {}; the guard allows {} %",
            line.pair,
            percent(&found.abs()),
            found.abs(),
            last.to_text(PERCENT_DIGITS),
            percent(&allowed)
        ))
    }

    pub(super) fn decide_rate_rules(&self, rules: &RateRules) -> Result<Vec<Event>, Refusal> {
        if rules.stale_after_ms.is_some_and(|age| age <= 0) {
            return Err(invalid("stale_after", "is not above zero"));
        }
        let deviation = rules.deviation_max.map(decimal_text);
        if deviation.is_some_and(|it| it.is_none_or(|it| it.mantissa == 0)) {
            let reason = "is not a part of the rate above zero, such as 0.05";
            return Err(invalid("deviation_max", reason));
        }
        if let Some(source) = &rules.valuation_source
            && !(1..=SOURCE_CHARS_MAX).contains(&source.chars().count())
        {
            return Err(invalid("valuation_source", "is not 1 to 35 characters"));
        }
        let changed = self.rates.rules != *rules;
        Ok(changed
            .then(|| Event::RateRulesSet(rules.clone()))
            .into_iter()
            .collect())
    }

    pub(super) fn rate_book_view(&self, question: &RateQuestion, now: Timestamp) -> RateBookView {
        self.rates.view(question, now)
    }
}

/// Why a line is refused.
enum Reason {
    Invalid(String),
    NotFound(String),
}

fn refusal(index: usize, field: &str, reason: Reason) -> Refusal {
    let field = format!("rates[{index}].{field}");
    match reason {
        Reason::Invalid(reason) => invalid(field, reason),
        Reason::NotFound(reason) => not_found(field, reason),
    }
}

/// Whether the lines of each source go together.
fn check_sets(lines: &[RateLine]) -> Result<(), Refusal> {
    let mut book = ProviderBook::default();
    for (index, line) in lines.iter().enumerate() {
        let reason =
            |error: ProviderBookError| refusal(index, "pair", Reason::Invalid(error.to_string()));
        book.insert(provider_rate(line)).map_err(reason)?;
    }
    Ok(())
}

/// The sets after a request: its own first, in the order of their sources, then what is left of the others.
fn replaced(sets: &[Vec<RateLine>], lines: &[RateLine]) -> Vec<Vec<RateLine>> {
    let mut after: Vec<Vec<RateLine>> = Vec::new();
    for line in lines {
        match after.iter_mut().find(|set| set[0].source == line.source) {
            Some(set) => set.push(line.clone()),
            None => after.push(vec![line.clone()]),
        }
    }
    let kept = sets
        .iter()
        .filter(|set| lines.iter().all(|line| line.source != set[0].source));
    after.extend(kept.cloned());
    after
}

fn provider_book(sets: &[Vec<RateLine>]) -> Result<ProviderBook, (Pair, ProviderBookError)> {
    let mut book = ProviderBook::default();
    for line in sets.iter().flatten() {
        book.insert(provider_rate(line))
            .map_err(|error| (line.pair, error))?;
    }
    Ok(book)
}

/// One rate of each pair: the first line that has it, in either order.
fn valuation_book(lines: &[RateLine]) -> RateBook {
    let mut book = RateBook::new();
    for line in lines {
        if book.get(line.pair).is_none() && book.get(line.pair.inverse()).is_none() {
            let quote = quote_of(line).expect("decided: the line is a rate");
            book.insert(quote).expect("the pair is new in either order");
        }
    }
    book
}

fn provider_rate(line: &RateLine) -> ProviderRate {
    ProviderRate {
        quote: quote_of(line).expect("decided: the line is a rate"),
        size_max: line.size_max.and_then(decimal_text),
    }
}

fn quote_of(line: &RateLine) -> Result<RateQuote, RateQuoteError> {
    RateQuote::new(line.pair, line.bid, line.ask, line.time.0, &line.source)
}

/// `None` if it is below zero, or has more digits than an amount's text.
fn decimal_text(decimal: Decimal) -> Option<DecimalText> {
    let text = DecimalText::parse(decimal.to_string().as_bytes()).ok()?;
    (!text.negative).then_some(text)
}

/// A pair in the order of its codes, and its rate in that order.
fn in_order(pair: Pair, rate: Rate) -> (Pair, Rate) {
    if pair.base <= pair.quote {
        (pair, rate)
    } else {
        (pair.inverse(), rate.inverse())
    }
}

fn percent(part: &Fraction) -> String {
    let hundred = Fraction::new(I256::from(100), I256::ONE).expect("a whole number fits");
    match part.checked_mul(&hundred) {
        Some(percent) => percent.to_text(PERCENT_DIGITS),
        None => format!("100 x {part}"),
    }
}

/// Which field of a rate an error is about.
fn rate_field(error: &RateQuoteError) -> &'static str {
    match error {
        RateQuoteError::Bid { .. } | RateQuoteError::BidAboveAsk { .. } => "bid",
        RateQuoteError::Ask { .. } => "ask",
        RateQuoteError::Source { .. } => "source",
        RateQuoteError::SameAsset { .. } => "pair",
    }
}
