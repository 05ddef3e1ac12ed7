//! Order bypassed, against every subset, and the published scenarios.

use fx::I256;
use settlement_core::certificate::{
    BypassClaim, BypassedError, Certificate, Optimality, check_bypassed,
};
use settlement_core::run::{Bitmap, Bypass, Leg, PAY_IN_MAX, Problem, bypass, left_out, settle};

use crate::mixes::{MIXES, Mix, random_parts};
use crate::naive::{Naive, Set, units};
use crate::support::*;
use crate::wide::extreme_parts;

const ENOUGH: u64 = 1_000_000;
const UNITS_MAX: u64 = 9;

/// A random problem of the seed's mix of tests, keys, priorities and groups.
fn random_mixed(random: &mut Random, seed: u64) -> Problem {
    random_parts(random, Mix::numbered(seed % MIXES), UNITS_MAX).build()
}

fn set_of(settled: &Bitmap) -> Set {
    settled.iter_set().fold(0, |set, unit| set | 1 << unit)
}

fn bitmap(unit_count: u32, set: Set) -> Bitmap {
    let mut bitmap = Bitmap::none(unit_count);
    units(set).for_each(|unit| bitmap.set(unit));
    bitmap
}

fn goal(set: Set, weights: &[I256]) -> I256 {
    units(set).map(|unit| weights[unit as usize]).sum()
}

/// The feasible set of the largest goal; of several, the one that holds the first unit on which they differ.
fn best_by_brute_force(naive: &Naive<'_>, weights: &[I256]) -> Set {
    let feasible = (0..=naive.all()).filter(|&set| naive.is_feasible(set));
    let best = feasible.max_by_key(|&set| (goal(set, weights), set.reverse_bits()));
    best.unwrap()
}

fn add_back_naively(naive: &Naive<'_>, kept: Set) -> Set {
    let mut set = kept;
    loop {
        let before = set;
        for unit in units(naive.all() & !set) {
            if naive.is_feasible(set | 1 << unit) {
                set |= 1 << unit;
            }
        }
        if set == before {
            return set;
        }
    }
}

/// What a unit moves, or one each.
fn random_weights(random: &mut Random, problem: &Problem) -> Vec<I256> {
    let by_count = random.below(2) == 0;
    let amount = |legs: &[Leg]| legs.iter().map(|leg| I256::from(leg.amount)).sum();
    let weight = |legs: &[Leg]| if by_count { I256::ONE } else { amount(legs) };
    problem.units().map(|(_, legs)| weight(legs)).collect()
}

#[test]
fn the_best_of_all_subsets_is_found_and_no_budget_makes_it_worse() {
    let (mut gained, mut dropped, mut unproven, mut split) = (0, 0, 0, 0);
    for seed in seeds(5_120) {
        let mut random = Random(seed ^ 0x5eed);
        let problem = random_mixed(&mut random, seed);
        let weights = random_weights(&mut random, &problem);
        let naive = Naive::new(&problem);
        let kept = settle(&problem).settled;
        let greedy = add_back_naively(&naive, set_of(&kept));
        let best = best_by_brute_force(&naive, &weights);
        for budget in [0, 3, 10, 40, ENOUGH] {
            let found = bypass(&problem, &kept, &weights, budget);
            let set = set_of(&found.settled);
            assert!(
                found.steps <= budget && naive.is_feasible(set),
                "seed {seed}"
            );
            assert!(goal(set, &weights) >= goal(greedy, &weights), "seed {seed}");
            assert_eq!(found.closing, naive.closing(set), "seed {seed}");
            assert!(budget > 0 || set == greedy, "seed {seed}");
            assert!(budget < ENOUGH || found.optimal, "seed {seed}");
            assert!(!found.optimal || set == best, "seed {seed}");
            unproven += u32::from(!found.optimal);
            split += u32::from(found.components.len() > 1);
        }
        gained += u32::from(goal(best, &weights) > goal(greedy, &weights));
        dropped += u32::from(set_of(&kept) & !best != 0);
    }
    // A generator that makes only easy problems would prove nothing.
    let enough = gained > 100 && dropped > 100 && unproven > 100 && split > 100;
    assert!(enough, "{gained} {dropped} {unproven} {split}");
}

/// The largest numbers that there are, in 256 bits.
#[test]
fn the_best_is_found_and_proved_again_among_extremes() {
    for seed in seeds(100) {
        let mut random = Random(seed ^ 0xb16);
        let problem = extreme_parts(&mut random).build();
        let weights = random_weights(&mut random, &problem);
        let naive = Naive::new(&problem);
        let outcome = settle(&problem);
        let found = bypass(&problem, &outcome.settled, &weights, ENOUGH);
        let best = best_by_brute_force(&naive, &weights);
        assert_eq!(
            (set_of(&found.settled), found.optimal),
            (best, true),
            "seed {seed}"
        );
        let certificate = Certificate::new(&problem, outcome.removals);
        let claim = BypassClaim {
            kept: &outcome.settled,
            settled: &found.settled,
            weights: &weights,
            is_optimal: true,
        };
        let verdict = check_bypassed(&problem, &certificate, &claim, ENOUGH);
        assert_eq!(verdict, Ok(Optimality::Reproved), "seed {seed}");
        for unit in units(naive.all() & !best) {
            assert!(
                left_out(&problem, &found.settled, unit).is_some(),
                "seed {seed}"
            );
        }
    }
}

/// Of a unit that does not fit: one minor unit less than its pay-in does not suffice.
#[test]
fn what_is_left_out_fits_with_the_smallest_pay_in() {
    let (mut freed, mut stuck) = (0, 0);
    for seed in seeds(2_560) {
        let mut random = Random(seed ^ 0x1ef7);
        let problem = random_mixed(&mut random, seed);
        let weights = random_weights(&mut random, &problem);
        let kept = settle(&problem).settled;
        let best = bypass(&problem, &kept, &weights, ENOUGH).settled;
        let set = set_of(&best);
        for unit in 0..problem.unit_count() {
            let more = set | 1 << unit;
            let Some(found) = left_out(&problem, &best, unit) else {
                assert_eq!(more, set, "seed {seed}: nothing more fits");
                continue;
            };
            let account = found.reason.account;
            let fits = |pay_in: i64| {
                let balance = problem.balances()[account as usize] + pay_in;
                let richer = problem.clone().with_balance(account, balance);
                Naive::new(&richer).is_feasible(more)
            };
            assert!(!fits(0) && found.reason.missing > 0, "seed {seed}");
            match found.smallest_pay_in {
                Some(pay_in) => assert!(fits(pay_in) && !fits(pay_in - 1), "seed {seed}"),
                None => assert!(!fits(PAY_IN_MAX), "seed {seed}"),
            }
            freed += u32::from(found.smallest_pay_in.is_some());
            stuck += u32::from(found.smallest_pay_in.is_none());
        }
    }
    assert!(freed > 100 && stuck > 100, "{freed} {stuck}");
}

#[test]
fn components_share_no_key_that_can_bind() {
    for seed in seeds(1_000) {
        let mut random = Random(seed ^ 0xc0);
        let shape = random_shape(&mut random, 60);
        let problem = random_problem(&mut random, shape);
        let weights = vec![I256::ONE; problem.unit_count() as usize];
        let kept = settle(&problem).settled;
        let found = bypass(&problem, &kept, &weights, 2_000);
        let mut seen = vec![false; weights.len()];
        for component in &found.components {
            assert!(component.units.is_sorted());
            for &unit in &component.units {
                assert!(
                    !std::mem::replace(&mut seen[unit as usize], true),
                    "seed {seed}"
                );
            }
        }
        let alone = (0..).zip(&seen).filter(|&(_, &is_seen)| !is_seen);
        for (unit, _) in alone {
            assert!(found.settled.get(unit), "seed {seed} unit {unit}");
        }
    }
}

/// `queue` is (from, to, amount) with banks from 1; `best` names entries from 1.
fn check(opening: &[i64], queue: &[(u32, u32, i64)], best: &[u32], value: i64) {
    let unit = |&(from, to, amount): &(u32, u32, i64)| vec![leg(from - 1, to - 1, amount)];
    let queued: Vec<Vec<Leg>> = queue.iter().map(unit).collect();
    let problem = problem(opening, &queued);
    let weights: Vec<I256> = queue.iter().map(|&(_, _, amount)| amount.into()).collect();
    let kept = settle(&problem).settled;
    let Bypass {
        settled, optimal, ..
    } = bypass(&problem, &kept, &weights, ENOUGH);
    let found: Vec<u32> = settled.iter_set().map(|unit| unit + 1).collect();
    assert_eq!((&found[..], optimal), (best, true), "{queue:?}");
    assert_eq!(
        goal(set_of(&settled), &weights),
        I256::from(value),
        "{queue:?}"
    );
}

/// Project Ubin phase 2 test report, by name of its scenarios: the best value where order does not count,
/// found by exhaustive search.
#[test]
fn the_published_scenarios_are_reached_and_proven() {
    // 2_2
    check(
        &[10, 8],
        &[(1, 2, 20), (2, 1, 15), (1, 2, 30), (1, 2, 15), (2, 1, 80)],
        &[1, 2],
        35,
    );
    // 4_2: what settles with order kept, 1 2 3 5, is worth 31; letting 4 pass 1 is worth more.
    let queue = [
        (1, 2, 8),
        (2, 3, 7),
        (3, 1, 9),
        (1, 2, 20),
        (2, 1, 7),
        (1, 2, 40),
        (2, 3, 80),
        (3, 2, 10),
    ];
    check(&[5, 6, 7], &queue, &[2, 3, 4, 5], 43);
    // 4_4
    check(
        &[5, 6, 7],
        &[(3, 2, 9), (2, 3, 8), (1, 2, 7), (2, 1, 20)],
        &[1, 2],
        17,
    );
    // 6_2
    let queue = [
        (1, 5, 8),
        (5, 4, 9),
        (4, 1, 10),
        (1, 2, 15),
        (2, 3, 6),
        (3, 1, 7),
    ];
    check(&[3, 4, 5, 4, 3], &queue, &[1, 2, 3], 27);
    // 7_1
    let queue = [(1, 2, 8), (2, 3, 10), (3, 4, 20), (4, 5, 30), (5, 1, 40)];
    check(&[3, 4, 5, 4, 3], &queue, &[], 0);
    // 7_3
    let queue = [
        (1, 2, 15),
        (2, 3, 6),
        (3, 1, 7),
        (1, 5, 8),
        (5, 4, 9),
        (4, 1, 20),
    ];
    check(&[3, 4, 5, 4, 3], &queue, &[], 0);
    // 1_1, 1_3, 3_1, 3_3, 5_2, 5_4: all settles.
    check(&[0, 0], &[(2, 1, 2), (1, 2, 2)], &[1, 2], 4);
    check(
        &[5, 6],
        &[(1, 2, 8), (2, 1, 10), (2, 1, 20), (1, 2, 17)],
        &[1, 2, 3, 4],
        55,
    );
    check(
        &[0, 0, 0],
        &[(1, 3, 2), (2, 3, 3), (3, 2, 5), (2, 1, 2)],
        &[1, 2, 3, 4],
        12,
    );
    check(
        &[3, 4, 5],
        &[(1, 2, 5), (2, 1, 7), (2, 3, 8), (3, 2, 7)],
        &[1, 2, 3, 4],
        27,
    );
    let queue = [
        (1, 2, 2),
        (2, 3, 3),
        (3, 4, 5),
        (4, 5, 6),
        (5, 1, 2),
        (5, 2, 1),
        (5, 3, 2),
        (5, 4, 1),
    ];
    check(&[0; 5], &queue, &[1, 2, 3, 4, 5, 6, 7, 8], 22);
    let queue = [
        (5, 1, 8),
        (5, 4, 9),
        (4, 5, 15),
        (1, 2, 14),
        (2, 3, 15),
        (3, 1, 10),
    ];
    check(&[3, 4, 5, 8, 3], &queue, &[1, 2, 3, 4, 5, 6], 71);
}

#[test]
fn of_equal_goals_the_earliest_wins() {
    // Either of the first two, or the last two: the first unit decides.
    check(&[5, 0], &[(1, 2, 5), (1, 2, 5)], &[1], 5);
    check(
        &[6, 0],
        &[(1, 2, 3), (1, 2, 4), (1, 2, 2), (1, 2, 3)],
        &[1, 4],
        6,
    );
}

#[test]
fn values_far_beyond_64_bits_are_weighed_exactly() {
    let most = i64::MAX;
    let problem = problem(
        &[most, 0],
        &[vec![leg(0, 1, most)], vec![leg(0, 1, most - 1)]],
    );
    let kept = settle(&problem).settled;
    let heavy = I256::ONE << 200_u32;
    let found = bypass(&problem, &kept, &[heavy, heavy + I256::ONE], ENOUGH);
    assert_eq!(set_of(&found.settled), 0b10);
    assert!(found.optimal);
}

/// A random problem whose answers the checker is asked about: what settles in order, weights, the best.
fn answered(seed: u64) -> (Problem, Certificate, Bitmap, Vec<I256>, Bypass) {
    let mut random = Random(seed ^ 0xc4ec);
    let problem = random_mixed(&mut random, seed);
    let weights = random_weights(&mut random, &problem);
    let outcome = settle(&problem);
    let found = bypass(&problem, &outcome.settled, &weights, ENOUGH);
    let certificate = Certificate::new(&problem, outcome.removals);
    (problem, certificate, outcome.settled, weights, found)
}

#[test]
fn the_checker_proves_again_what_is_best_and_refuses_all_else() {
    let (mut worse, mut failing) = (0, 0);
    for seed in seeds(1_500) {
        let (problem, certificate, kept, weights, found) = answered(seed);
        let asked = |settled: &Bitmap, is_optimal, steps_max| {
            let claim = BypassClaim {
                kept: &kept,
                settled,
                weights: &weights,
                is_optimal,
            };
            check_bypassed(&problem, &certificate, &claim, steps_max)
        };
        assert_eq!(
            asked(&found.settled, true, ENOUGH),
            Ok(Optimality::Reproved),
            "seed {seed}"
        );
        assert_eq!(asked(&found.settled, false, 0), Ok(Optimality::NotClaimed));
        let naive = Naive::new(&problem);
        let best = set_of(&found.settled);
        for unit in 0..problem.unit_count() {
            let set = best ^ 1 << unit;
            let is_less = |than: Set| goal(set, &weights) < goal(than, &weights);
            let other = bitmap(problem.unit_count(), set);
            let expected = match asked(&other, true, ENOUGH) {
                Err(BypassedError::Fails { .. }) => !naive.is_feasible(set),
                Err(BypassedError::LessThanKept) => is_less(set_of(&kept)),
                Err(BypassedError::NotOptimal { .. }) => is_less(best),
                unexpected => panic!("seed {seed}: {unexpected:?}"),
            };
            assert!(expected, "seed {seed} unit {unit}");
            worse += u32::from(naive.is_feasible(set));
            failing += u32::from(!naive.is_feasible(set));
        }
    }
    assert!(worse > 500 && failing > 500, "{worse} {failing}");
}

#[test]
fn a_search_that_runs_out_of_steps_is_said_to() {
    let queued: Vec<Vec<Leg>> = (1..=8).map(|amount| vec![leg(0, 1, amount)]).collect();
    let problem = problem(&[10, 0], &queued);
    let outcome = settle(&problem);
    let weights = vec![I256::ONE; 8];
    let found = bypass(&problem, &outcome.settled, &weights, ENOUGH);
    let certificate = Certificate::new(&problem, outcome.removals);
    let claim = BypassClaim {
        kept: &outcome.settled,
        settled: &found.settled,
        weights: &weights,
        is_optimal: true,
    };
    for (steps_max, expected) in [(3, Optimality::NotReproved), (ENOUGH, Optimality::Reproved)] {
        assert_eq!(
            check_bypassed(&problem, &certificate, &claim, steps_max),
            Ok(expected)
        );
    }
    let other = Certificate {
        input_hash: [0; 32],
        ..certificate
    };
    let error = check_bypassed(&problem, &other, &claim, ENOUGH).unwrap_err();
    assert!(matches!(error, BypassedError::Kept(_)), "{error}");
}
