//! Every computation against a naive one in decimal digits, over seeds.
#![allow(clippy::unwrap_used)]

mod support;

use fx::{
    AmountError, AmountTextError, Conversion, ConvertError, DECIMALS_MAX, DecimalText,
    MINOR_UNITS_MAX, Rate, RateError, Rounding, convert, format_minor_units, split, valuation_rate,
};
use support::{Big, Random, seeds};

/// The grammar as a sentence would say it, on strings.
fn parse_naively(text: &str) -> Result<DecimalText, AmountTextError> {
    if text.is_empty() {
        return Err(AmountTextError::Empty);
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((_, "")) => return Err(AmountTextError::NotADecimal { offset: 0 }),
        Some((whole, fraction)) => (whole, fraction),
        None => (unsigned, ""),
    };
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(AmountTextError::NotADecimal { offset: 0 });
    }
    if fraction.len() > 18 {
        return Err(AmountTextError::TooManyDecimals);
    }
    let significant = digits.trim_start_matches('0');
    if significant.len() > 18 {
        return Err(AmountTextError::TooManyDigits);
    }
    let mantissa = significant.parse().unwrap_or(0);
    Ok(DecimalText {
        mantissa,
        scale: fraction.len() as u8,
        negative: text.starts_with('-'),
    })
}

/// A text that is often a decimal and sometimes nearly one.
fn random_text(random: &mut Random) -> String {
    let digits = |random: &mut Random, end| {
        let alphabet: &[char] = random.pick(&[&['0'][..], &['0', '1', '9'], &['9']]);
        (0..random.below(end))
            .map(|_| random.pick(alphabet))
            .collect::<String>()
    };
    let sign = random.pick(&["", "", "", "-", "+"]);
    let zeros = "0".repeat(random.below(25) as usize * random.below(2) as usize);
    let point = random.pick(&["", ".", "."]);
    let mut text = format!(
        "{sign}{zeros}{}{point}{}",
        digits(random, 22),
        digits(random, 22)
    );
    if random.below(8) == 0 {
        let at = random.below(text.len() as u64 + 1) as usize;
        text.insert(
            at,
            random.pick(&['.', '-', '+', ' ', 'e', '/', ':', 'x', '\0', '_', ',']),
        );
    }
    text
}

#[test]
fn decimal_texts_parse_as_naively() {
    let (mut good, mut bad) = (0, 0);
    for seed in seeds(40_000) {
        let text = random_text(&mut Random::new(seed));
        let mut found = DecimalText::parse(text.as_bytes());
        // The naive way knows no offset, but a refusal must be at a byte that cannot stand there.
        if let Err(AmountTextError::NotADecimal { offset }) = &mut found {
            let fits = |end: usize| parse_grammar_prefix(&text[..end]);
            assert!(
                fits(*offset) && (*offset == text.len() || !fits(*offset + 1)),
                "{text:?}"
            );
            *offset = 0;
        }
        assert_eq!(found, parse_naively(&text), "seed {seed}: {text:?}");
        *if found.is_ok() { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 5_000 && bad > 5_000, "{good} good, {bad} bad");
}

/// Whether some decimal begins so.
fn parse_grammar_prefix(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let completed = format!("{unsigned}0");
    let parts: Vec<_> = completed.split('.').collect();
    let digits = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    parts.len() <= 2 && parts.iter().all(digits)
}

#[test]
fn minor_units_are_the_digits_of_the_text() {
    for seed in seeds(20_000) {
        let mut random = Random::new(seed);
        let Ok(text) = parse_naively(&random_text(&mut random)) else {
            continue;
        };
        let decimals = random.below(u64::from(DECIMALS_MAX) + 1) as u8;
        let expected = if text.scale > decimals {
            Err(AmountError::TooManyDecimals)
        } else {
            let digits = format!(
                "{}{}",
                text.mantissa,
                "0".repeat((decimals - text.scale).into())
            );
            match digits.parse::<i128>().unwrap() {
                _ if text.negative => Err(AmountError::Negative),
                0 => Err(AmountError::Zero),
                minor if minor > i128::from(MINOR_UNITS_MAX) => Err(AmountError::TooLarge),
                minor => Ok(minor as i64),
            }
        };
        assert_eq!(
            text.to_minor_units(decimals),
            expected,
            "seed {seed}: {text:?} {decimals}"
        );
        if let Ok(minor) = expected {
            let written = format_minor_units(minor.into(), decimals);
            let read = DecimalText::parse(written.as_bytes()).unwrap();
            assert_eq!(
                (read.to_minor_units(decimals), read.scale),
                (Ok(minor), decimals),
                "{written}"
            );
        }
    }
}

/// A rate of one of the kinds that occur: quoted, inverse, cross, and any fraction at all.
fn random_rate(random: &mut Random) -> Rate {
    let kind = random.below(4);
    let mut quoted = || loop {
        let mantissa = random.magnitude(18) as i64;
        let text = format_minor_units(mantissa.into(), random.below(13) as u8);
        if let Ok(rate) = Rate::parse(&text) {
            return rate;
        }
    };
    match kind {
        0 => quoted(),
        1 => quoted().inverse(),
        2 => quoted().inverse().cross(&quoted()).unwrap(),
        _ => {
            let (numerator, denominator) = (random.magnitude(38), random.magnitude(38));
            Rate::from_fraction(numerator as i128, denominator as i128).unwrap()
        }
    }
}

/// Rounds `numerator / denominator` as on paper.
fn round_naively(numerator: &Big, denominator: &Big, rounding: Rounding) -> Big {
    let (whole, rest) = numerator.divided_by(denominator);
    let twice = rest.plus(&rest);
    let up = match rounding {
        Rounding::Down => false,
        Rounding::HalfUp => twice >= *denominator,
        Rounding::HalfEven => twice > *denominator || twice == *denominator && whole.is_odd(),
    };
    if up { whole.plus(&Big::of(1)) } else { whole }
}

/// `source x rate` in target minor units, over one denominator.
fn exact(source: i64, from: u8, rate: &Rate, to: u8) -> (Big, Big) {
    let numerator = Big::of(source).times(&Big::of(rate.numerator()));
    let denominator = Big::of(rate.denominator()).times(&Big::power_of_ten(from));
    (numerator.times(&Big::power_of_ten(to)), denominator)
}

/// `target + residual / d = n / dd`, times both denominators.
fn identity_holds(found: &Conversion, (numerator, denominator): &(Big, Big)) -> bool {
    let own = Big::of(found.residual_denominator);
    let left = Big::of(found.target).times(&own).times(denominator);
    let residual = Big::of(found.residual_numerator.unsigned_abs()).times(denominator);
    let right = numerator.times(&own);
    if found.residual_numerator < 0 {
        left == right.plus(&residual)
    } else {
        left.plus(&residual) == right
    }
}

#[test]
fn conversions_are_exact() {
    let (mut converted, mut halves, mut too_large) = (0, 0, 0);
    for seed in seeds(3_000) {
        let mut random = Random::new(seed);
        // Every fourth is made to end in a half.
        let (source, rate) = if seed % 4 == 0 {
            let odd = random.magnitude(17) as i64 | 1;
            let rate =
                Rate::from_fraction(random.magnitude(4) as i128 | 1, random.pick(&[2, 20, 200]));
            (odd, rate.unwrap())
        } else {
            (random.magnitude(18) as i64, random_rate(&mut random))
        };
        let (from, to) = (random.below(9) as u8, random.below(9) as u8);
        let exact = exact(source, from, &rate, to);
        for rounding in Rounding::ALL {
            let expected = round_naively(&exact.0, &exact.1, rounding);
            let case = format!("seed {seed}: {source}e-{from} x {rate} to {to} {rounding}");
            match convert(source, from, &rate, to, rounding) {
                Ok(found) => {
                    assert_eq!(Big::of(found.target), expected, "{case}");
                    assert!(identity_holds(&found, &exact), "{case}: {found:?}");
                    assert!(found.verify(source, from, &rate, to, rounding), "{case}");
                    converted += 1;
                    let twice = found.residual_numerator.unsigned_abs().checked_mul(2);
                    halves += u32::from(twice == Some(found.residual_denominator.unsigned_abs()));
                }
                Err(ConvertError::TargetTooLarge) => {
                    assert!(expected > Big::of(MINOR_UNITS_MAX), "{case}");
                    too_large += 1;
                }
                Err(ConvertError::ResidualTooFine) => {
                    let own = Big::of(rate.denominator());
                    let fine = own.times(&Big::power_of_ten(from.saturating_sub(to)));
                    assert!(fine > Big::of(i128::MAX), "{case}");
                }
                Err(error) => panic!("{case}: {error}"),
            }
        }
    }
    let counts = (converted, halves, too_large);
    assert!(
        converted > 3_000 && halves > 100 && too_large > 100,
        "{counts:?}"
    );
}

#[test]
fn verify_accepts_one_answer_only() {
    for seed in seeds(3_000) {
        let mut random = Random::new(seed);
        let (source, rate) = (random.magnitude(9) as i64, random_rate(&mut random));
        let rounding = random.pick(&Rounding::ALL);
        let Ok(good) = convert(source, 2, &rate, 2, rounding) else {
            continue;
        };
        // Moving whole units between target and residual keeps the identity; the rule then forbids it.
        for units in [-2, -1, 1, 2] {
            let moved = i128::from(units).checked_mul(good.residual_denominator);
            let Some(moved) = moved.and_then(|moved| good.residual_numerator.checked_sub(moved))
            else {
                continue;
            };
            let bad = Conversion {
                target: good.target + units,
                residual_numerator: moved,
                ..good
            };
            assert!(
                !bad.verify(source, 2, &rate, 2, rounding),
                "seed {seed}: {bad:?}"
            );
        }
    }
}

#[test]
fn rates_compute_exactly() {
    let mut overflows = 0;
    for seed in seeds(3_000) {
        let mut random = Random::new(seed);
        let (left, right) = (random_rate(&mut random), random_rate(&mut random));
        let [ln, ld, rn, rd] = [
            left.numerator(),
            left.denominator(),
            right.numerator(),
            right.denominator(),
        ]
        .map(Big::of);
        let cross = (ln.times(&rn), ld.times(&rd));
        overflows += check_fraction(left.cross(&right), &cross, &format!("seed {seed} cross"));
        let sum = ln.times(&rd).plus(&rn.times(&ld));
        let middle = (sum, ld.times(&rd).times(&Big::of(2)));
        overflows += check_fraction(left.middle(&right), &middle, &format!("seed {seed} middle"));
        assert_eq!(
            left.cmp(&right),
            ln.times(&rd).cmp(&rn.times(&ld)),
            "seed {seed}"
        );
        assert_eq!(left.cross(&left.inverse()), Ok(Rate::ONE), "seed {seed}");
    }
    assert!(overflows > 50, "only {overflows} were too large");
}

/// The found fraction is the expected one in lowest terms, or that does not fit. 1 if it does not.
fn check_fraction(found: Result<Rate, RateError>, expected: &(Big, Big), case: &str) -> u32 {
    let divisor = divisor_naively(expected.0.clone(), expected.1.clone());
    let (numerator, denominator) = (
        expected.0.divided_by(&divisor).0,
        expected.1.divided_by(&divisor).0,
    );
    let fits = numerator.clone().max(denominator.clone()) <= Big::of(i128::MAX);
    let Ok(rate) = found else {
        assert_eq!((found, fits), (Err(RateError::Overflow), false), "{case}");
        return 1;
    };
    assert_eq!(Big::of(rate.numerator()), numerator, "{case}");
    assert_eq!(Big::of(rate.denominator()), denominator, "{case}");
    0
}

fn divisor_naively(left: Big, right: Big) -> Big {
    let rest = left.divided_by(&right).1;
    if rest == Big::of(0) {
        right
    } else {
        divisor_naively(right, rest)
    }
}

#[test]
fn valuation_rates_are_rounded_as_on_paper() {
    for seed in seeds(3_000) {
        let rate = random_rate(&mut Random::new(seed));
        let numerator = Big::of(rate.numerator()).times(&Big::power_of_ten(12));
        let expected = round_naively(&numerator, &Big::of(rate.denominator()), Rounding::HalfEven);
        match valuation_rate(&rate) {
            Ok(found) => assert_eq!(Big::of(found.scaled()), expected, "seed {seed} {rate}"),
            Err(RateError::TooSmall) => assert_eq!(expected, Big::of(0), "seed {seed} {rate}"),
            Err(RateError::Overflow) => {
                assert!(expected > Big::of(i128::MAX), "seed {seed} {rate}")
            }
            Err(error) => panic!("seed {seed} {rate}: {error}"),
        }
    }
}

/// Hands out what rounding down left, one unit at a time, to the largest remainder not yet served.
fn split_naively(total: i64, ratios: &[u64]) -> Vec<i64> {
    let sum: u128 = ratios.iter().map(|ratio| u128::from(*ratio)).sum();
    let exact = |ratio: u64| total as u128 * u128::from(ratio);
    let mut shares: Vec<i64> = ratios
        .iter()
        .map(|ratio| (exact(*ratio) / sum) as i64)
        .collect();
    let mut remainders: Vec<_> = ratios.iter().map(|ratio| exact(*ratio) % sum).collect();
    while shares.iter().sum::<i64>() < total {
        let largest = *remainders.iter().max().unwrap();
        let first = remainders
            .iter()
            .position(|remainder| *remainder == largest)
            .unwrap();
        shares[first] += 1;
        remainders[first] = 0;
    }
    shares
}

#[test]
fn splits_sum_to_the_whole() {
    for seed in seeds(10_000) {
        let mut random = Random::new(seed);
        let digits = random.pick(&[1, 2, 19]);
        // Now and then so many that a sort which is not stable would show.
        let count = if seed % 50 == 0 {
            300
        } else {
            1 + random.below(9)
        };
        let mut ratios: Vec<u64> = (0..count)
            .map(|_| (random.magnitude(digits) - u128::from(random.below(2))) as u64)
            .collect();
        ratios[0] += 1;
        let total_digits = random.pick(&[2, 18]);
        let total = random.magnitude(total_digits) as i64;
        let shares = split(total, &ratios).unwrap();
        assert_eq!(
            shares,
            split_naively(total, &ratios),
            "seed {seed}: {total} by {ratios:?}"
        );
        assert_eq!(shares.iter().sum::<i64>(), total, "seed {seed}");
        let nothing_for_nothing = ratios
            .iter()
            .zip(&shares)
            .all(|(ratio, share)| *ratio > 0 || *share == 0);
        assert!(nothing_for_nothing, "seed {seed}");
    }
}

/// The oracle must be able to find fault, so it is held to known products and quotients itself.
#[test]
fn the_oracle_computes() {
    let big = |text: &str| Big::of(text);
    assert_eq!(
        big("18446744073709551615").times(&big("18446744073709551615")),
        big("340282366920938463426481119284349108225")
    );
    let (quotient, rest) =
        big("340282366920938463426481119284349108226").divided_by(&big("18446744073709551615"));
    assert_eq!((quotient, rest), (big("18446744073709551615"), big("1")));
    assert_eq!(big("1000").minus(&big("1")).to_string(), "999");
    assert_eq!(big("999").plus(&big("1")).to_string(), "1000");
    assert!(big("10") > big("9") && big("0010") == big("10") && big("0").to_string() == "0");
}

/// A book by the way that a sentence would say it: every rate of the pair, sorted.
#[test]
fn the_best_rate_is_the_naive_one() {
    use fx::{Asked, Pair, ProviderBook, ProviderRate, RateQuote, Side};
    let sizes = [None, Some("5"), Some("50"), Some("500.5")];
    let pairs = ["EUR/USD", "USD/EUR"].map(|text| Pair::parse(text).unwrap());
    let mut found_count = 0;
    for seed in seeds(2_000) {
        let mut random = Random::new(seed);
        let (mut book, mut held) = (ProviderBook::default(), Vec::new());
        for _ in 0..random.below(8) {
            let bid = 80 + random.below(20);
            let ask = bid + random.below(3);
            let [bid, ask] = [bid, ask].map(|part| format!("0.{part:03}"));
            let (pair, source) = (random.pick(&pairs), random.pick(&["A", "B", "C"]));
            let time = random.below(3) as i64;
            let rate = ProviderRate {
                quote: RateQuote::parse(pair, &bid, &ask, time, source).unwrap(),
                size_max: random
                    .pick(&sizes)
                    .map(|text| DecimalText::parse(text.as_bytes()).unwrap()),
            };
            if book.insert(rate.clone()).is_ok() {
                held.push(rate);
            }
        }
        let size = 1 + random.below(600) as i128;
        let asked = Asked {
            size: fx::Fraction::new(fx::I256::from(size), fx::I256::ONE),
            fresh_from_ms: Some(random.below(3) as i64),
        };
        for side in [Side::Bid, Side::Ask] {
            let mut offers: Vec<_> = held
                .iter()
                .filter(|it| Some(it.quote.time_ms()) >= asked.fresh_from_ms)
                .filter_map(|it| naive_offer(it, pairs[0], side == Side::Bid, size))
                .collect();
            // Worst first, so the last is the best; then the latest; then the first name.
            offers.sort_by(|one, other| {
                let by_rate = one.0.cmp(&other.0);
                let by_rate = if side == Side::Bid {
                    by_rate
                } else {
                    by_rate.reverse()
                };
                by_rate.then(one.1.cmp(&other.1)).then(other.2.cmp(&one.2))
            });
            let expected = offers.pop().map(|(rate, _, source)| (rate, source));
            let found = book.best(pairs[0], side, &asked).ok();
            let found = found.map(|best| (best.rate, best.providers[0].clone()));
            found_count += u32::from(found.is_some());
            assert_eq!(found, expected, "seed {seed} {side:?}");
        }
    }
    assert!(found_count > 1_000, "{found_count}");
}

/// Rate, time and source of a held rate as an offer for the pair, if it holds for the size.
fn naive_offer(
    held: &fx::ProviderRate,
    pair: fx::Pair,
    is_bid: bool,
    size: i128,
) -> Option<(Rate, i64, String)> {
    use fx::Price::{Ask, Bid};
    let direct = held.quote.pair() == pair;
    let rate = match (direct, is_bid) {
        (true, true) => held.quote.rate(Bid),
        (true, false) => held.quote.rate(Ask),
        (false, true) => held.quote.rate(Ask).inverse(),
        (false, false) => held.quote.rate(Bid).inverse(),
    };
    if let Some(max) = held.size_max {
        let max_tenths = i128::from(max.mantissa) * if max.scale == 0 { 10 } else { 1 };
        // In the held pair's base: size, or size x rate; compared without a division.
        let (above, below) = if direct {
            (size, 1)
        } else {
            (size * rate.numerator(), rate.denominator())
        };
        if above * 10 > max_tenths * below {
            return None;
        }
    }
    Some((rate, held.quote.time_ms(), held.quote.source().to_owned()))
}
