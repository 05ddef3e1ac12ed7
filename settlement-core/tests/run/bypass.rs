//! Order bypassed, against every subset, and the published scenarios.

use fx::{I256, ValuationRate};
use settlement_core::certificate::{
    BypassClaim, BypassedError, Certificate, Optimality, check_bypassed,
};
use settlement_core::run::{
    AssetValue, Bitmap, Bypass, Cap, FLOOR_NONE, HAIRCUT_SCALE, Leg, Problem, Span, bypass, settle,
};

use crate::support::*;

const ENOUGH: u64 = 1_000_000;

/// Accounts `participant * assets + asset`, all tests at once, each of them often enough.
fn random_mixed(random: &mut Random) -> Problem {
    let (participants, assets) = (2 + random.below(3), 1 + random.below(3));
    let accounts = participants * assets;
    let wealth = [0, 4, 9, 20][random.below(4) as usize];
    let balances = (0..accounts).map(|_| random.between(-2, wealth)).collect();
    let floors = (0..accounts).map(|_| random_floor(random)).collect();
    let values = (0..assets)
        .map(|asset| random_value(random, asset))
        .collect();
    let spans = (0..participants)
        .filter_map(|participant| random_span(random, participant, assets))
        .collect();
    let caps = (0..random.below(3))
        .filter_map(|_| random_cap(random, participants, assets))
        .collect();
    let mut problem = Problem::new(balances, floors)
        .unwrap()
        .with_spans(2, values, spans)
        .unwrap()
        .with_caps(distinct(caps))
        .unwrap();
    let shape = Shape {
        participants,
        assets,
        units_max: 9,
        legs_max: 2,
    };
    for (_, legs) in random_problem(random, shape).units() {
        problem.push_unit(legs).unwrap();
    }
    problem
}

fn random_floor(random: &mut Random) -> i64 {
    match random.below(4) {
        0 => FLOOR_NONE,
        1 => random.between(-15, 5),
        _ => 0,
    }
}

fn random_value(random: &mut Random, asset: u64) -> AssetValue {
    let rate = [1_000_000_000_000, 1_100_000_000_000, 8_000_000_000][asset as usize];
    AssetValue {
        rate: ValuationRate::from_scaled(rate).unwrap(),
        haircut: if asset == 0 {
            0
        } else {
            random.below(2_000) as u16
        },
        decimals: if asset == 2 { 0 } else { 2 },
    }
}

fn random_span(random: &mut Random, participant: u64, assets: u64) -> Option<Span> {
    let account = |asset| ((participant * assets + asset) as u32, asset as u32);
    (random.below(2) == 0).then(|| Span {
        accounts: (0..assets).map(account).collect(),
        aggregate_short_max: (random.below(2) == 0).then(|| random.between(0, 20)),
        account_value: random.below(2) == 0,
    })
}

fn random_cap(random: &mut Random, participants: u64, assets: u64) -> Option<Cap> {
    let (from, to) = (random.below(participants), random.below(participants));
    let asset = random.below(assets);
    (from != to).then(|| Cap {
        debtor: (from * assets + asset) as u32,
        creditor: (to * assets + asset) as u32,
        amount: random.between(0, 10),
    })
}

fn distinct(mut caps: Vec<Cap>) -> Vec<Cap> {
    caps.sort_by_key(|cap| (cap.debtor, cap.creditor));
    caps.dedup_by_key(|cap| (cap.debtor, cap.creditor));
    caps
}

/// What each account holds if exactly the units of `set` settle.
fn closing(problem: &Problem, set: &[bool]) -> Vec<i128> {
    let mut closing: Vec<i128> = problem.balances().iter().map(|&b| i128::from(b)).collect();
    for (_, legs) in problem.units().filter(|&(unit, _)| set[unit as usize]) {
        for leg in legs {
            closing[leg.debtor as usize] -= i128::from(leg.amount);
            closing[leg.creditor as usize] += i128::from(leg.amount);
        }
    }
    closing
}

/// Every test as it is defined, with no shortcut.
fn fits(problem: &Problem, set: &[bool]) -> bool {
    let closing = closing(problem, set);
    let debited = |account: u32| {
        let mut inside = problem.units().filter(|&(unit, _)| set[unit as usize]);
        inside.any(|(unit, _)| debits(problem, unit, account))
    };
    let spanned = |account: u32| {
        let mut spans = problem.spans().iter();
        spans.find(|span| span.accounts.iter().any(|&(other, _)| other == account))
    };
    let tested = |account: u32| match spanned(account) {
        Some(span) => span.accounts.iter().any(|&(other, _)| debited(other)),
        None => debited(account),
    };
    let floor = |account: u32| problem.floors()[account as usize];
    let floors = (0..problem.account_count()).all(|account| {
        !tested(account)
            || floor(account) == FLOOR_NONE
            || closing[account as usize] >= i128::from(floor(account))
    });
    let caps = problem
        .caps()
        .iter()
        .all(|cap| !tested(cap.debtor) || paid(problem, set, cap) <= i128::from(cap.amount));
    let spans = problem
        .spans()
        .iter()
        .all(|span| !tested(span.accounts[0].0) || span_fits(problem, span, &closing));
    floors && caps && spans
}

fn paid(problem: &Problem, set: &[bool], cap: &Cap) -> i128 {
    let inside = problem.units().filter(|&(unit, _)| set[unit as usize]);
    let signed = |leg: &Leg| match (leg.debtor, leg.creditor) {
        pair if pair == (cap.debtor, cap.creditor) => i128::from(leg.amount),
        pair if pair == (cap.creditor, cap.debtor) => -i128::from(leg.amount),
        _ => 0,
    };
    inside.flat_map(|(_, legs)| legs).map(signed).sum()
}

fn span_fits(problem: &Problem, span: &Span, closing: &[i128]) -> bool {
    let (mut short, mut value) = (0, 0);
    for &(account, asset) in &span.accounts {
        let asset = &problem.assets()[asset as usize];
        let balance = closing[account as usize];
        let cents = 10_i128.pow(u32::from(2 - asset.decimals)) * asset.rate.scaled();
        let (whole, haircut) = (i128::from(HAIRCUT_SCALE), i128::from(asset.haircut));
        short += (-balance).max(0) * cents;
        value += balance.max(0) * cents * (whole - haircut);
        value -= (-balance).max(0) * cents * (whole + haircut);
    }
    let limit = span
        .aggregate_short_max
        .map(|limit| i128::from(limit) * 10_i128.pow(12));
    limit.is_none_or(|limit| short <= limit) && (!span.account_value || value >= 0)
}

fn subset(problem: &Problem, bits: u32) -> Vec<bool> {
    let units = 0..problem.unit_count();
    units.map(|unit| bits >> unit & 1 == 1).collect()
}

/// The feasible set of the largest goal; of several, the one that holds the first unit on which they differ.
fn best_by_brute_force(problem: &Problem, weights: &[I256]) -> Vec<bool> {
    let feasible = (0..1_u32 << problem.unit_count())
        .map(|bits| subset(problem, bits))
        .filter(|set| fits(problem, set));
    feasible
        .max_by_key(|set| (goal(set, weights), set.clone()))
        .unwrap()
}

fn goal(set: &[bool], weights: &[I256]) -> I256 {
    let inside = set.iter().zip(weights).filter(|&(&is_in, _)| is_in);
    inside.map(|(_, weight)| *weight).sum()
}

fn add_back_naively(problem: &Problem, kept: &Bitmap) -> Vec<bool> {
    let mut set: Vec<bool> = (0..problem.unit_count())
        .map(|unit| kept.get(unit))
        .collect();
    loop {
        let before = set.clone();
        for unit in 0..set.len() {
            let mut more = set.clone();
            more[unit] = true;
            if fits(problem, &more) {
                set = more;
            }
        }
        if set == before {
            return set;
        }
    }
}

fn list(settled: &Bitmap) -> Vec<bool> {
    (0..settled.bit_count())
        .map(|unit| settled.get(unit))
        .collect()
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
    for seed in seeds(4_000) {
        let mut random = Random(seed ^ 0x5eed);
        let problem = random_mixed(&mut random);
        let weights = random_weights(&mut random, &problem);
        let kept = settle(&problem).settled;
        let greedy = bypass(&problem, &kept, &weights, 0);
        let naive = add_back_naively(&problem, &kept);
        assert_eq!(list(&greedy.settled), naive, "seed {seed}");
        let least = goal(&naive, &weights);
        for budget in [3, 10, 40, ENOUGH] {
            let found = bypass(&problem, &kept, &weights, budget);
            let set = list(&found.settled);
            assert!(found.steps <= budget && fits(&problem, &set), "seed {seed}");
            assert!(goal(&set, &weights) >= least, "seed {seed} budget {budget}");
            assert_eq!(found.closing, closing(&problem, &set), "seed {seed}");
            unproven += u32::from(!found.optimal);
            if found.optimal {
                assert_eq!(set, best_by_brute_force(&problem, &weights), "seed {seed}");
            }
        }
        let best = bypass(&problem, &kept, &weights, ENOUGH);
        assert!(best.optimal, "seed {seed}");
        gained += u32::from(goal(&list(&best.settled), &weights) > goal(&naive, &weights));
        dropped += u32::from(kept.iter_set().any(|unit| !best.settled.get(unit)));
        split += u32::from(best.components.len() > 1);
    }
    // A generator that makes only easy problems would prove nothing.
    assert!(
        gained > 100 && dropped > 100 && unproven > 100 && split > 100,
        "{gained} {dropped} {unproven} {split}"
    );
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
    let units: Vec<Vec<Leg>> = queue.iter().map(unit).collect();
    let problem = problem(opening, &units);
    let weights: Vec<I256> = queue.iter().map(|&(_, _, amount)| amount.into()).collect();
    let kept = settle(&problem).settled;
    let Bypass {
        settled, optimal, ..
    } = bypass(&problem, &kept, &weights, ENOUGH);
    let found: Vec<u32> = settled.iter_set().map(|unit| unit + 1).collect();
    assert_eq!((&found[..], optimal), (best, true), "{queue:?}");
    assert_eq!(
        goal(&list(&settled), &weights),
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
    assert_eq!(list(&found.settled), [false, true]);
    assert!(found.optimal);
}

/// A random problem whose answers the checker is asked about: what settles in order, weights, the best.
fn answered(seed: u64) -> (Problem, Certificate, Bitmap, Vec<I256>, Bypass) {
    let mut random = Random(seed ^ 0xc4ec);
    let shape = random_shape(&mut random, 9);
    let problem = random_problem(&mut random, shape);
    let weights = random_weights(&mut random, &problem);
    let outcome = settle(&problem);
    let found = bypass(&problem, &outcome.settled, &weights, ENOUGH);
    let certificate = Certificate::new(&problem, outcome.removals);
    (problem, certificate, outcome.settled, weights, found)
}

#[test]
fn the_checker_proves_again_what_is_best_and_refuses_all_else() {
    let (mut better, mut failing, mut less) = (0, 0, 0);
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
        let best = goal(&list(&found.settled), &weights);
        for unit in 0..problem.unit_count() {
            let mut other = found.settled.clone();
            if !other.take(unit) {
                other.set(unit);
            }
            let set = list(&other);
            let expected = match asked(&other, true, ENOUGH) {
                Err(BypassedError::Fails { .. }) => !fits(&problem, &set),
                Err(BypassedError::LessThanKept) => {
                    less += 1;
                    goal(&set, &weights) < goal(&list(&kept), &weights)
                }
                Err(BypassedError::NotOptimal { .. }) => goal(&set, &weights) < best,
                Ok(Optimality::Reproved) => goal(&set, &weights) == best,
                unexpected => panic!("seed {seed}: {unexpected:?}"),
            };
            assert!(expected, "seed {seed} unit {unit}");
            better += u32::from(fits(&problem, &set));
            failing += u32::from(!fits(&problem, &set));
        }
    }
    assert!(
        better > 500 && failing > 500 && less > 100,
        "{better} {failing} {less}"
    );
}

#[test]
fn a_search_that_runs_out_of_steps_is_said_to() {
    let units: Vec<Vec<Leg>> = (1..=8).map(|amount| vec![leg(0, 1, amount)]).collect();
    let problem = problem(&[10, 0], &units);
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
