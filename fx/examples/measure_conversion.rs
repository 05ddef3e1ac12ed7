//! Measures one conversion with its residual, and its verification, in nanoseconds.
//!
//! ```text
//! cargo run --release -p fx --example measure_conversion
//! ```
//!
//! | line   | rate                                                        | way             |
//! |--------|-------------------------------------------------------------|-----------------|
//! | quoted | EUR/USD as quoted                                           | 128 bits        |
//! | cross  | USD/JPY through the euro, a fraction                        | 128 bits        |
//! | wide   | a cross of four rates of 18 digits                          | 256 bits        |
//! | verify | that a conversion is the one of its amount, without division | 256 bits        |

use fx::{Conversion, Rate, Rounding, convert};
use std::hint::black_box;
use std::time::Instant;

/// Conversions of one measurement.
const COUNT: u64 = 10_000;
/// The best of so many is taken: the rest is the machine's noise.
const ROUNDS: u32 = 400;

fn main() {
    let rate = |text: &str| Rate::parse(text).expect("a rate");
    let cross = |from: &str, to: &str| rate(from).inverse().cross(&rate(to)).expect("fits");
    let usd_jpy = cross("1.1684", "186.75");
    let long = cross("999999.999999999989", "186750.000000000039");
    let wide = long.cross(&long).expect("fits");
    let quoted = rate("1.1684");
    println!(
        "quoted {:>6} ns",
        measure(|amount| converted(amount, &quoted))
    );
    println!(
        "cross  {:>6} ns",
        measure(|amount| converted(amount, &usd_jpy))
    );
    println!(
        "wide   {:>6} ns",
        measure(|amount| converted(amount, &wide))
    );
    let held = converted(123_456_789, &usd_jpy);
    let verified = measure(|amount| {
        let found = held.verify(amount, 2, &usd_jpy, 0, Rounding::HalfEven);
        assert_eq!(found, amount == 123_456_789);
        held
    });
    println!("verify {verified:>6} ns");
}

fn converted(amount: i64, rate: &Rate) -> Conversion {
    convert(amount, 2, rate, 0, Rounding::HalfEven).expect("within range")
}

/// Nanoseconds of one, with a tenth, as text: no float even here.
fn measure(one: impl Fn(i64) -> Conversion) -> String {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for at in 0..COUNT {
            let amount = 123_456_789 + i64::try_from(at).expect("small") * 9_973;
            black_box(one(black_box(amount)));
        }
        best = best.min(started.elapsed().as_nanos());
    }
    let tenths = best * 10 / u128::from(COUNT);
    format!("{}.{}", tenths / 10, tenths % 10)
}
