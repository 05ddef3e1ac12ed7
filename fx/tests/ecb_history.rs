//! The whole history of the ECB's reference rates: every day imported, every cross converted both ways,
//! every identity checked again.
//!
//! | run              | crosses of a day                                             |
//! |------------------|--------------------------------------------------------------|
//! | each             | a dozen by seed, so a hundred thousand in all                |
//! | `VALUTA_LONG=1`  | all of them: six and a half million                          |
//!
//! The file is the ECB's own, and not ours to copy: where it is not beside the repository, the tests say so
//! and skip.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Cursor, Read};
use std::path::Path;

use fx::{
    AssetCode, Fraction, I256, Pair, Price, Rate, RateBook, RateQuote, ReferenceDay,
    ReferenceRates, Rounding, convert, known_minor_units, residual,
};
use rust_decimal::Decimal;
use support::Random;

const HISTORY: &str = "../../shared/facts/eurofxref-hist.zip";

/// Crosses of a day in a short run.
const CROSSES: usize = 12;

fn history() -> Option<ReferenceRates> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(HISTORY);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("SKIPPED: the ECB's history is not at {HISTORY} beside this crate");
        return None;
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive
        .by_index(0)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    Some(ReferenceRates::parse(&text).unwrap())
}

fn is_long() -> bool {
    std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1")
}

fn code(text: &str) -> AssetCode {
    text.parse().unwrap()
}

/// A day's currencies with one euro in each, the euro among them.
fn rates(day: ReferenceDay<'_>) -> Vec<(AssetCode, Rate)> {
    let published = day.rates();
    let mut rates: Vec<_> = published
        .map(|(code, text)| (code, Rate::from_decimal_text(text).unwrap()))
        .collect();
    rates.push((code("EUR"), Rate::ONE));
    rates
}

#[test]
fn currencies_come_and_go() {
    let Some(history) = history() else { return };
    assert_eq!(
        (history.days().len(), history.currencies().len()),
        (6_983, 41)
    );
    for (currency, first, last) in [
        ("USD", "1999-01-04", "2026-04-13"),
        ("SIT", "1999-01-04", "2006-12-29"),
        ("TRL", "1999-01-04", "2004-12-31"),
        ("TRY", "2005-01-03", "2026-04-13"),
        ("ROL", "1999-01-04", "2005-06-30"),
        ("RON", "2005-07-01", "2026-04-13"),
        ("HRK", "2005-04-01", "2022-12-30"),
        ("RUB", "2005-04-01", "2022-03-01"),
    ] {
        let has = |day: &ReferenceDay<'_>| day.rate(code(currency)).is_some();
        let newest = history.days().find(has).unwrap().date().to_string();
        let oldest = history.days().rfind(has).unwrap().date().to_string();
        assert_eq!(
            (oldest.as_str(), newest.as_str()),
            (first, last),
            "{currency}"
        );
    }
    // A new lira is a million old ones, a new leu ten thousand.
    for (old, new, last, first, factor) in [
        ("TRL", "TRY", "2004-12-31", "2005-01-03", 1_000_000),
        ("ROL", "RON", "2005-06-30", "2005-07-01", 10_000),
    ] {
        let rate = |date: &str, currency| {
            let day = history.day(date.parse().unwrap()).unwrap();
            Rate::from_decimal_text(day.rate(code(currency)).unwrap()).unwrap()
        };
        let revalued = rate(last, old).cross(&Rate::from_fraction(1, factor).unwrap());
        let change = rate(first, new)
            .cross(&revalued.unwrap().inverse())
            .unwrap();
        let (low, high) = (Rate::parse("0.95"), Rate::parse("1.05"));
        assert!(
            change > low.unwrap() && change < high.unwrap(),
            "{new}: {change}"
        );
    }
}

#[test]
fn every_cross_of_every_day_keeps_its_identities() {
    let Some(history) = history() else { return };
    let mut checked = 0_u64;
    for (seed, day) in (0..).zip(history.days()) {
        let mut random = Random::new(seed);
        let rates = rates(day);
        checked += check_day(&rates, &mut random);
    }
    eprintln!("{checked} crosses");
    assert!(checked > 80_000, "{checked}");
}

fn check_day(rates: &[(AssetCode, Rate)], random: &mut Random) -> u64 {
    if !is_long() {
        for _ in 0..CROSSES {
            check_cross(random.pick(rates), random.pick(rates), random);
        }
        return CROSSES as u64;
    }
    for from in rates {
        for to in rates {
            check_cross(*from, *to, random);
        }
    }
    (rates.len() * rates.len()) as u64
}

/// Both ways, by a rule of the seed, an amount of the seed.
fn check_cross(from: (AssetCode, Rate), to: (AssetCode, Rate), random: &mut Random) {
    let ((from, euro_from), (to, euro_to)) = (from, to);
    let rate = euro_from.inverse().cross(&euro_to).unwrap();
    let back = euro_to.inverse().cross(&euro_from).unwrap();
    assert_eq!(rate.inverse(), back, "{from}/{to}");
    assert_eq!(rate.cross(&back), Ok(Rate::ONE), "{from}/{to}");
    assert_eq!(euro_from.cross(&rate), Ok(euro_to), "EUR/{from}/{to}");
    let rounding = random.pick(&Rounding::ALL);
    let source = random.magnitude(12) as i64;
    let target = check_conversion(source, (from, to), &rate, rounding);
    check_conversion(target, (to, from), &back, rounding);
}

/// `source x rate = target + residual`, by the conversion's own residual, and by one counted apart.
fn check_conversion(
    source: i64,
    (from, to): (AssetCode, AssetCode),
    rate: &Rate,
    rounding: Rounding,
) -> i64 {
    let [from_decimals, to_decimals] = [from, to].map(|code| known_minor_units(code).unwrap());
    let found = convert(source, from_decimals, rate, to_decimals, rounding).unwrap();
    assert!(
        found.verify(source, from_decimals, rate, to_decimals, rounding),
        "{from}/{to} {source}"
    );
    let left = residual((source, from_decimals), rate, (found.target, to_decimals)).unwrap();
    let unit = I256::from(10_i64.pow(to_decimals.into()));
    let denominator = I256::from(found.residual_denominator) * unit;
    assert_eq!(
        Fraction::new(I256::from(found.residual_numerator), denominator),
        Some(left),
        "{from}/{to}"
    );
    let part = |minor: i64, decimals: u8| {
        Fraction::new(I256::from(minor), I256::from(10_i64.pow(decimals.into()))).unwrap()
    };
    let rate = Fraction::new(I256::from(rate.numerator()), I256::from(rate.denominator())).unwrap();
    let exact = part(source, from_decimals).checked_mul(&rate).unwrap();
    let sum = part(found.target, to_decimals).checked_add(&left).unwrap();
    assert_eq!(exact, sum, "{from}/{to} {source}");
    found.target
}

#[test]
fn the_book_of_a_day_crosses_as_the_rates_do() {
    let Some(history) = history() else { return };
    let step = if is_long() { 1 } else { 200 };
    for day in history.days().step_by(step) {
        let mut book = RateBook::new();
        for (currency, text) in day.rates() {
            let (pair, rate) = (
                Pair::new(code("EUR"), currency),
                Decimal::new(text.mantissa, text.scale.into()),
            );
            let quote = RateQuote::new(pair.unwrap(), rate, rate, 0, "ECB").unwrap();
            assert_eq!(book.insert(quote), Ok(None));
        }
        let rates = rates(day);
        let (from, euro_from) = rates[0];
        for (to, euro_to) in &rates {
            let found = book
                .cross(
                    Pair {
                        base: from,
                        quote: *to,
                    },
                    Price::Mid,
                )
                .unwrap();
            assert_eq!(
                Ok(found.rate),
                euro_from.inverse().cross(euro_to),
                "{from}/{to}"
            );
            assert!(found.chain.len() <= 3);
        }
    }
}
