//! The largest numbers there are: nothing overflows, and 256 bits answer as 128 do.

use crate::explain::naive_reasons;
use crate::mixes::Parts;
use crate::naive::Naive;
use crate::support::*;
use fx::ValuationRate;
use settlement_core::certificate::{Certificate, check};
use settlement_core::run::{
    AssetValue, Cap, Explainer, FLOOR_NONE, Problem, RATE_SCALED_MAX, Reason, Span, Test, settle,
    smallest_pay_ins,
};

fn check_run(problem: &Problem, name: &str) {
    let outcome = settle(problem);
    let naive = Naive::new(problem);
    let (set, removals) = naive.settle();
    assert_eq!(outcome.removals, removals, "{name}");
    assert_eq!(outcome.closing, naive.closing(set), "{name}");
    let certificate = Certificate::new(problem, removals);
    let verdict = check(problem, &certificate, &outcome.settled);
    assert_eq!(verdict, Ok(()), "{name}");
}

/// One of the least, the most, and what lies about zero.
fn extreme(random: &mut Random, least: i64) -> i64 {
    [least, 0, 1, 1_000, i64::MAX - 1, i64::MAX][random.below(6) as usize]
}

/// Three participants with two assets.
pub fn extreme_parts(random: &mut Random) -> Parts {
    let rates = [1, 1_000_000_000_000, RATE_SCALED_MAX - 1, RATE_SCALED_MAX];
    let asset = |random: &mut Random| AssetValue {
        rate: ValuationRate::from_scaled(rates[random.below(4) as usize]).unwrap(),
        haircut: [0, 500, 9_999][random.below(3) as usize],
        decimals: [0, 2, 8][random.below(3) as usize],
    };
    let span = |random: &mut Random, participant: u32| Span {
        accounts: vec![(2 * participant, 0), (2 * participant + 1, 1)],
        aggregate_short_max: (random.below(2) == 0).then(|| extreme(random, i64::MIN)),
        account_value: random.below(2) == 0,
    };
    let unit = |random: &mut Random| {
        let leg_count = 1 + random.below(4);
        let legs = (0..leg_count).map(|_| {
            let (debtor, asset) = (random.below(3) as u32, random.below(2) as u32);
            let creditor = (debtor + 1 + random.below(2) as u32) % 3;
            leg(
                2 * debtor + asset,
                2 * creditor + asset,
                extreme(random, 1).max(1),
            )
        });
        legs.collect()
    };
    let unit_count = random.below(12);
    Parts {
        balances: (0..6).map(|_| extreme(random, i64::MIN)).collect(),
        floors: (0..6).map(|_| extreme(random, FLOOR_NONE)).collect(),
        base_decimals: [0, 8][random.below(2) as usize],
        assets: vec![asset(random), asset(random)],
        spans: (0..3)
            .map(|participant| span(random, participant))
            .collect(),
        caps: vec![Cap {
            debtor: 0,
            creditor: 2,
            amount: extreme(random, 0),
        }],
        units: (0..unit_count).map(|_| unit(random)).collect(),
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let (mut some, mut values) = (0, 0);
    for seed in seeds(10_000) {
        let mut random = Random(seed ^ 0xb16);
        let problem = extreme_parts(&mut random).build();
        check_run(&problem, &format!("seed {seed}"));
        let outcome = settle(&problem);
        let explainer = Explainer::new(&problem, &outcome);
        let reasons: Vec<Option<Reason>> = (0..problem.unit_count())
            .map(|unit| explainer.reason(unit))
            .collect();
        let expected = naive_reasons(&problem, &outcome.removals);
        assert_eq!(reasons, expected, "seed {seed}");
        for reason in reasons.into_iter().flatten() {
            values += u32::from(matches!(
                reason.test,
                Test::AccountValue | Test::AggregateShort
            ));
        }
        let pay_ins = smallest_pay_ins(&problem, random.below(6) as u32);
        for (unit, pay_in) in (0..).zip(pay_ins) {
            assert_eq!(pay_in == Some(0), outcome.settled.get(unit), "seed {seed}");
        }
        let settled = outcome.settled.set_count();
        some += u32::from(settled > 0 && settled < problem.unit_count());
    }
    assert!(some > 500 && values > 2_500, "{some} {values}");
}

#[test]
fn a_weight_beyond_128_bits_on_an_account_that_nothing_reaches() {
    // A whole unit of the asset is worth 10^18 of a base with 8 decimals: 2 x 10^42 a minor unit.
    let heavy = AssetValue {
        rate: ValuationRate::from_scaled(RATE_SCALED_MAX).unwrap(),
        haircut: 9_999,
        decimals: 0,
    };
    let base = AssetValue {
        rate: ValuationRate::ONE,
        haircut: 0,
        decimals: 8,
    };
    let span = Span {
        accounts: vec![(0, 1), (1, 0)],
        aggregate_short_max: Some(5),
        account_value: false,
    };
    for (paid, settles) in [(15, true), (16, false)] {
        let parts = Parts {
            balances: vec![10, 0, 0],
            floors: vec![FLOOR_NONE; 3],
            base_decimals: 8,
            assets: vec![heavy, base],
            spans: vec![span.clone()],
            caps: Vec::new(),
            units: vec![vec![leg(0, 2, paid)]],
        };
        let problem = parts.build();
        check_run(&problem, &format!("{paid} paid"));
        assert_eq!(settle(&problem).settled.get(0), settles, "{paid} paid");
    }
}

#[test]
fn equality_passes_and_one_minor_unit_more_does_not_in_either_width() {
    // A cent of the euro is worth 1.1 cents of the base; a minor unit of that is a thousandth of a cent.
    let euro = AssetValue {
        rate: ValuationRate::from_scaled(1_100_000_000_000).unwrap(),
        haircut: 500,
        decimals: 2,
    };
    // With the largest, values take 130 bits.
    for factor in [1, 1_000_000, 80_000_000_000_000] {
        for (over, settles) in [(0, true), (1, false)] {
            let span = Span {
                accounts: vec![(0, 0)],
                aggregate_short_max: Some(11_000 * factor),
                account_value: false,
            };
            let parts = Parts {
                balances: vec![0, 0],
                floors: vec![FLOOR_NONE; 2],
                base_decimals: 5,
                assets: vec![euro],
                spans: vec![span],
                caps: Vec::new(),
                units: vec![vec![leg(0, 1, 10 * factor + over)]],
            };
            let problem = parts.build();
            check_run(&problem, &format!("factor {factor} over {over}"));
            let settled = settle(&problem).settled.get(0);
            assert_eq!(settled, settles, "factor {factor} over {over}");
        }
    }
}
