//! Real rates: the euro foreign exchange reference rates that the ECB published for 13 April 2026 and
//! for 31 December 2004. Expected figures were computed apart, with fractions.
#![allow(clippy::unwrap_used)]

use fx::{
    AssetCode, Pair, Price, Rate, RateBook, RateQuote, Rounding, convert, iso_minor_units,
    valuation_rate,
};

/// 13 April 2026, 16:00 CET, when reference rates are published.
const PUBLISHED_MS: i64 = 1_776_088_800_000;

/// Currency, 1 EUR in it, and 1 of it in EUR to 12 decimals.
const RATES: &[(&str, &str, &str)] = &[
    ("USD", "1.1684", "0.855871276960"),
    ("JPY", "186.75", "0.005354752343"),
    ("GBP", "0.87058", "1.148659514347"),
    ("IDR", "20082.05", "0.000049795713"),
    ("KRW", "1740.86", "0.000574428731"),
    ("ISK", "143.2", "0.006983240223"),
    ("HUF", "366.9", "0.002725538294"),
    ("CHF", "0.9242", "1.082016879463"),
    ("CAD", "1.6177", "0.618161587439"),
    ("TRY", "52.2478", "0.019139561857"),
    ("INR", "109.047", "0.009170357736"),
];

fn euro() -> AssetCode {
    AssetCode::parse(b"EUR").unwrap()
}

fn book() -> RateBook {
    let mut book = RateBook::new();
    for (code, rate, _) in RATES {
        let pair = Pair::new(euro(), code.parse().unwrap()).unwrap();
        book.insert(RateQuote::parse(pair, rate, rate, PUBLISHED_MS, "ECB").unwrap())
            .unwrap();
    }
    book
}

fn rate(pair: &str) -> Rate {
    book()
        .rate_through(pair.parse().unwrap(), euro(), Price::Mid)
        .unwrap()
}

#[test]
fn values_in_euro() {
    for (code, _, expected) in RATES {
        let found = valuation_rate(&rate(&format!("{code}/EUR"))).unwrap();
        assert_eq!(found.to_string(), *expected, "{code}");
    }
}

#[test]
fn crosses_through_the_euro() {
    for (pair, expected) in [
        ("USD/JPY", "159.833960972270"),
        ("GBP/USD", "1.342093776563"),
        ("CHF/JPY", "202.066652239775"),
        ("KRW/IDR", "11.535706489896"),
        ("IDR/GBP", "0.000043351152"),
        ("TRY/INR", "2.087111801837"),
    ] {
        assert_eq!(
            valuation_rate(&rate(pair)).unwrap().to_string(),
            expected,
            "{pair}"
        );
    }
}

/// 123,456,789 minor units of the base, half-even, with the residual in lowest terms.
#[test]
fn converts_with_the_residual() {
    for (pair, target, residual) in [
        ("USD/JPY", 197_325_876, (-609, 11_684)),
        ("GBP/USD", 165_690_588, (8_328, 43_529)),
        ("CHF/JPY", 249_465_000, (4_575, 9_242)),
        ("KRW/IDR", 142_416_128_209, (-8_737, 87_043)),
        ("IDR/GBP", 5_352, (-316_401, 52_847_500)),
        ("ISK/HUF", 31_631_491_539, (63, 358)),
    ] {
        let assets: Pair = pair.parse().unwrap();
        let [from, to] = [assets.base, assets.quote].map(|code| iso_minor_units(code).unwrap());
        let found = convert(123_456_789, from, &rate(pair), to, Rounding::HalfEven).unwrap();
        let (numerator, denominator): (i128, i128) = residual;
        assert_eq!(found.target, target, "{pair}");
        let (left, right) = (
            found.residual_numerator * denominator,
            numerator * found.residual_denominator,
        );
        assert_eq!(left, right, "{pair}: {found:?}");
    }
}

/// 31 December 2004, the last day of the old lira: seven digits before the point.
#[test]
fn old_currencies_fit() {
    let euro_in = |text: &str| Rate::parse(text).unwrap();
    let (lira, pound, leu) = (euro_in("1836200"), euro_in("0.4343"), euro_in("39390"));
    for (rate, expected) in [
        (lira.inverse(), "0.000000544603"),
        (
            pound.inverse().cross(&lira).unwrap(),
            "4227953.027860925627",
        ),
        (lira.inverse().cross(&leu).unwrap(), "0.021451911556"),
    ] {
        assert_eq!(valuation_rate(&rate).unwrap().to_string(), expected);
    }
    // Whoever would quote the lira against the euro must quote the inverse.
    assert_eq!(Rate::parse("0.000000544603"), Err(fx::RateError::TooSmall));
}
