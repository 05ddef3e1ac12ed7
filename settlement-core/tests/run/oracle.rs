//! The linear run against the definition and against all subsets.

use crate::mixes::{MIXES, Mix, random_parts};
use crate::naive::{Naive, Set};
use crate::support::*;
use settlement_core::certificate::{Certificate, check as check_certificate};
use settlement_core::run::{Cause, Outcome, Problem, ProblemError, Removal, settle};

fn settled(outcome: &Outcome) -> Set {
    outcome.settled.iter_set().map(|unit| 1 << unit).sum()
}

/// The run's outcome is the naive run's, entry by entry, and its certificate holds.
fn check_definition(problem: &Problem, name: &str) -> Outcome {
    let (outcome, naive) = (settle(problem), Naive::new(problem));
    let (set, removals) = naive.settle();
    assert_eq!(settled(&outcome), set, "{name}");
    assert_eq!(outcome.removals, removals, "{name}");
    assert_eq!(outcome.closing, naive.closing(set), "{name}");
    let certificate = Certificate::new(problem, removals);
    let verdict = check_certificate(problem, &certificate, &outcome.settled);
    assert_eq!(verdict, Ok(()), "{name}");
    outcome
}

#[test]
fn agrees_with_the_definition() {
    let (mut all, mut none, mut cascades) = (0, 0, 0);
    for seed in seeds(10_000) {
        let mut random = Random(seed);
        let shape = random_shape(&mut random, 30);
        let problem = random_problem(&mut random, shape);
        let outcome = check_definition(&problem, &format!("seed {seed}"));
        all += u32::from(outcome.removals.is_empty());
        none += u32::from(outcome.settled.set_count() == 0);
        let orders = outcome
            .removals
            .iter()
            .filter(|removal| matches!(removal.cause, Cause::Order { .. }));
        cascades += u32::from(orders.count() > 3);
    }
    // A generator that makes only easy problems would prove nothing.
    assert!(
        all > 100 && none > 100 && cascades > 500,
        "{all} {none} {cascades}"
    );
}

/// Cases of every mix: 100,000 in all, or so many of each mix on a long run.
const MIXED_CASES: u64 = 100_000;

/// Every mix of one half against all subsets, the definition and the checker.
fn check_mixes(half: u64) {
    let cases = if is_long() {
        MIXED_CASES
    } else {
        MIXED_CASES.div_ceil(MIXES)
    };
    for number in (0..MIXES).filter(|number| number % 2 == half) {
        let mix = Mix::numbered(number);
        let (mut all, mut some) = (0, 0);
        for case in 0..cases {
            let mut random = Random(number << 32 | case);
            let units_max = [5, 7, 7, 8, 10][random.below(5) as usize];
            let problem = random_parts(&mut random, mix, units_max).build();
            let outcome = check_definition(&problem, &format!("{mix:?} case {case}"));
            let brute = Naive::new(&problem).settle_by_brute_force();
            assert_eq!(settled(&outcome), brute, "{mix:?} case {case}");
            all += u64::from(outcome.removals.is_empty());
            some += u64::from(!outcome.removals.is_empty() && brute != 0);
        }
        let is_tested = mix.floors || mix.aggregate_shorts || mix.account_values || mix.caps;
        assert!(all > cases / 20, "{mix:?}: {all}");
        assert!(!is_tested || some > cases / 50, "{mix:?}: {some}");
    }
}

#[test]
fn every_mix_without_floors_agrees_with_all_subsets() {
    check_mixes(0);
}

#[test]
fn every_mix_with_floors_agrees_with_all_subsets() {
    check_mixes(1);
}

#[test]
fn every_unit_behind_names_one_ahead_of_it_in_the_same_queue() {
    for seed in seeds(2_000) {
        let mut random = Random(seed ^ 0xc3);
        let shape = random_shape(&mut random, 60);
        let problem = random_problem(&mut random, shape);
        let removals = settle(&problem).removals;
        for (index, removal) in removals.iter().enumerate() {
            let Cause::Order { key, behind } = removal.cause else {
                continue;
            };
            assert!(behind < removal.unit, "seed {seed}");
            assert!(debits(&problem, behind, key) && debits(&problem, removal.unit, key));
            let same_step = removals[..index]
                .iter()
                .filter(|earlier| earlier.step == removal.step);
            assert!(
                same_step
                    .map(|earlier| earlier.unit)
                    .any(|unit| unit == behind)
            );
        }
    }
}

#[test]
fn more_money_never_settles_less() {
    for seed in seeds(2_000) {
        let mut random = Random(seed ^ 0x1d);
        let shape = random_shape(&mut random, 40);
        let problem = random_problem(&mut random, shape);
        let before = settle(&problem).settled;
        let richer: Vec<i64> = problem
            .balances()
            .iter()
            .map(|balance| balance + random.between(0, 9))
            .collect();
        let units: Vec<_> = problem.units().map(|(_, legs)| legs.to_vec()).collect();
        let after = settle(&with_floors(&richer, problem.floors(), &units)).settled;
        assert!(before.iter_set().all(|unit| after.get(unit)), "seed {seed}");
    }
}

/// One line a unit, "0>1 5, 1>0 3"; the whole trace, "2:key 1" for a test and "3:behind 2 on 0".
fn check(balances: &[i64], queue: &[&str], trace: &[&str]) {
    let numbers = |text: &str| -> Vec<i64> {
        text.split(['>', ' '])
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let leg_of = |text: &str| match numbers(text)[..] {
        [debtor, creditor, amount] => leg(debtor as u32, creditor as u32, amount),
        _ => panic!("{text}"),
    };
    let units: Vec<_> = queue
        .iter()
        .map(|unit| unit.split(", ").map(leg_of).collect())
        .collect();
    let tell = |removal: &Removal| match removal.cause {
        Cause::Test { key } => format!("{}:key {key}", removal.unit),
        Cause::Order { key, behind } => format!("{}:behind {behind} on {key}", removal.unit),
    };
    let told: Vec<String> = settle(&problem(balances, &units))
        .removals
        .iter()
        .map(tell)
        .collect();
    assert_eq!(told, trace, "{queue:?}");
}

#[test]
fn the_trace_is_canonical() {
    check(&[], &[], &[]);
    check(&[5, 0], &["0>1 5"], &[]);
    check(&[4, 0], &["0>1 5"], &["0:key 0"]);
    // Each finances the other, though neither could go first.
    check(&[0, 0], &["0>1 5", "1>0 5"], &[]);
    // The last member goes, even when a larger one ahead of it is the trouble.
    check(&[5, 0], &["0>1 5", "0>1 1"], &["1:key 0"]);
    check(&[4, 0], &["0>1 5", "0>1 1"], &["1:key 0", "0:key 0"]);
    // The first failing key is the first debited, not the lowest number.
    check(&[0, 0, 0], &["1>2 1", "0>2 1"], &["0:key 1", "1:key 0"]);
    // Transitive: 0 goes by its test, 1 behind it on its second key, 2 behind 1.
    check(
        &[0, 9, 9, 0],
        &["0>3 1, 1>3 1", "1>3 1, 2>3 1", "2>3 1"],
        &["0:key 0", "1:behind 0 on 1", "2:behind 1 on 2"],
    );
    // Several behind one: from the last forward, key by key in order of its legs.
    check(
        &[0, 9, 9, 0],
        &["0>3 1, 2>3 1, 1>3 1", "1>3 1", "2>3 1", "1>3 1"],
        &[
            "0:key 0",
            "2:behind 0 on 2",
            "3:behind 0 on 1",
            "1:behind 0 on 1",
        ],
    );
    // A unit that debits one key twice is its member once.
    check(&[3, 0], &["0>1 1", "0>1 1, 0>1 2"], &["1:key 0"]);
    // Only received money may fail nothing: key 1 is short but pays nobody.
    check(&[5, -3], &["0>1 1"], &[]);
    // Once the payer's units are gone it is not tested, however short it is.
    check(&[-1, 0], &["0>1 1"], &["0:key 0"]);
}

#[test]
fn sums_beyond_64_bits_are_exact() {
    let most = i64::MAX;
    let units = vec![
        vec![leg(0, 2, most)],
        vec![leg(1, 2, most)],
        vec![leg(2, 0, most), leg(2, 1, 1)],
    ];
    let outcome = settle(&with_floors(
        &[0, 0, most],
        &[-most, -most, i64::MIN],
        &units,
    ));
    let most = i128::from(most);
    assert_eq!(outcome.closing, [0, 1 - most, 2 * most - 1]);
    let outcome = settle(&with_floors(
        &[i64::MIN, 0],
        &[i64::MAX, 0],
        &[vec![leg(0, 1, 1)]],
    ));
    assert_eq!(outcome.closing, [i128::from(i64::MIN), 0]);
}

#[test]
fn refuses_what_is_not_a_problem() {
    let uneven = ProblemError::FloorsMustMatchBalances {
        balances: 2,
        floors: 1,
    };
    assert_eq!(Problem::new(vec![0, 0], vec![0]).unwrap_err(), uneven);
    let mut problem = Problem::new(vec![0, 0], vec![0, 0]).unwrap();
    assert_eq!(problem.push_unit(&[leg(0, 1, 1)]), Ok(0));
    let empty = problem.clone();
    let mut refuse = |legs: &[_], error| assert_eq!(problem.push_unit(legs), Err(error));
    refuse(&[], ProblemError::LegsMissing { unit: 1 });
    refuse(
        &[leg(0, 1, 1), leg(2, 1, 1)],
        ProblemError::AccountUnknown {
            unit: 1,
            leg: 1,
            account: 2,
        },
    );
    refuse(
        &[leg(0, 2, 0)],
        ProblemError::AccountUnknown {
            unit: 1,
            leg: 0,
            account: 2,
        },
    );
    refuse(
        &[leg(1, 1, 1)],
        ProblemError::AccountsMustBeDifferent {
            unit: 1,
            leg: 0,
            account: 1,
        },
    );
    for amount in [0, -1, i64::MIN] {
        let error = ProblemError::AmountMustBePositive {
            unit: 1,
            leg: 0,
            amount,
        };
        refuse(&[leg(0, 1, amount)], error);
    }
    assert_eq!(problem, empty, "a refused unit changes nothing");
}
