//! Reasons and smallest pay-ins, against a replay of the definition and a search by trying.

use crate::mixes::{MIXES, Mix, random_parts};
use crate::naive::{Naive, Set};
use crate::support::*;
use settlement_core::run::{
    Cause, Explainer, PAY_IN_MAX, Parts, Problem, Reason, Removal, settle, settle_explained,
    smallest_pay_in, smallest_pay_ins,
};

/// Pay-ins up to this are all tried.
const TRIED_MAX: i64 = 50;

/// By unit: the failing test of the step that removed it, as it stood when the step started.
pub fn naive_reasons(problem: &Problem, removals: &[Removal]) -> Vec<Option<Reason>> {
    let naive = Naive::new(problem);
    let (mut set, mut step) = (naive.all(), None);
    let mut reasons = vec![None; problem.unit_count() as usize];
    for removal in removals {
        if let Cause::Test { key } = removal.cause {
            let failure = naive.failure(key, set, &naive.closing(set)).unwrap();
            step = Some((key, failure));
        }
        let (key, failure) = step.as_ref().unwrap();
        reasons[removal.unit as usize] = Some(Reason {
            cause: removal.cause,
            key: *key,
            test: failure.test,
            missing: failure.missing,
            account: failure.account,
        });
        set &= !(1 << removal.unit);
    }
    reasons
}

#[test]
fn reasons_are_those_of_the_definition() {
    let mut tests = [0; 4];
    for seed in seeds(20_000) {
        let mut random = Random(seed ^ 0xe7);
        let mix = Mix::numbered(seed % MIXES);
        let problem = random_parts(&mut random, mix, 16).build();
        let outcome = settle(&problem);
        let explainer = Explainer::new(&problem, &outcome);
        let explained = settle_explained(&problem);
        assert_eq!(
            (&explained.0, &explained.1),
            (&outcome, &explainer),
            "seed {seed}"
        );
        let expected = naive_reasons(&problem, &outcome.removals);
        for unit in 0..problem.unit_count() {
            let reason = explainer.reason(unit);
            assert_eq!(reason, expected[unit as usize], "seed {seed} unit {unit}");
            if let Some(reason) = reason {
                use settlement_core::run::Test;
                let kind = match reason.test {
                    Test::Floor { .. } => 0,
                    Test::AggregateShort => 1,
                    Test::AccountValue => 2,
                    Test::BilateralCap { .. } => 3,
                };
                tests[kind] += 1;
            }
        }
    }
    assert!(tests.iter().all(|&count| count > 2_000), "{tests:?}");
}

/// What settles, by the definition, if so much more is on the account.
fn settled_with(problem: &Problem, account: u32, pay_in: i64) -> Set {
    let balance = problem.balances()[account as usize] + pay_in;
    let paid_in = problem.clone().with_balance(account, balance);
    Naive::new(&paid_in).settle().0
}

/// Answers how many units a pay-in frees.
fn check_pay_ins(problem: &Problem, account: u32, name: &str) -> usize {
    let found = smallest_pay_ins(problem, account);
    let alone = (0..problem.unit_count()).map(|unit| smallest_pay_in(problem, account, unit));
    assert!(alone.eq(found.iter().copied()), "{name} account {account}");
    let settles = |unit: u32, pay_in: i64| settled_with(problem, account, pay_in) >> unit & 1 == 1;
    let mut left = Naive::new(problem).all();
    for pay_in in 0..=TRIED_MAX {
        let settled = settled_with(problem, account, pay_in);
        for unit in crate::naive::units(left & settled) {
            let smallest = found[unit as usize];
            assert_eq!(
                smallest,
                Some(pay_in),
                "{name} account {account} unit {unit}"
            );
        }
        left &= !settled;
    }
    for unit in crate::naive::units(left) {
        let name = format!("{name} account {account} unit {unit}");
        match found[unit as usize] {
            Some(pay_in) => {
                assert!(pay_in > TRIED_MAX, "{name}: {pay_in} does not free it");
                assert!(
                    settles(unit, pay_in) && !settles(unit, pay_in - 1),
                    "{name}"
                );
            }
            None => {
                let frees = [1_000, 1_000_000, PAY_IN_MAX].map(|pay_in| settles(unit, pay_in));
                assert_eq!(frees, [false; 3], "{name}");
            }
        }
    }
    found
        .iter()
        .filter(|smallest| smallest.is_some_and(|pay_in| pay_in > 0))
        .count()
}

#[test]
fn pay_ins_are_the_smallest_that_free() {
    let mut freed = 0;
    for seed in seeds(3_000) {
        let mut random = Random(seed ^ 0xfa);
        let mix = Mix::numbered(seed % MIXES);
        let problem = random_parts(&mut random, mix, 10).build();
        let outcome = settle(&problem);
        let reason = outcome
            .removals
            .first()
            .and_then(|removal| Explainer::new(&problem, &outcome).reason(removal.unit));
        let account = match reason {
            Some(reason) if seed % 4 > 0 => reason.account,
            _ => random.below(u64::from(problem.account_count())) as u32,
        };
        freed += check_pay_ins(&problem, account, &format!("seed {seed}"));
    }
    assert!(freed > 2_000, "{freed}");
}

#[test]
fn a_pay_in_to_the_binding_account_frees_who_waits_for_it_alone() {
    // Account 0 is two short for its only unit.
    let problem = problem(&[3, 0], &[vec![leg(0, 1, 5)]]);
    let outcome = settle(&problem);
    let explainer = Explainer::new(&problem, &outcome);
    let reason = explainer.reason(0).unwrap();
    assert_eq!((reason.account, reason.missing), (0, 2));
    assert_eq!(smallest_pay_ins(&problem, 0), [Some(2)]);
    assert_eq!(smallest_pay_ins(&problem, 1), [None]);
}

#[test]
fn a_part_alone_is_as_it_is_in_the_whole() {
    let mut split = 0;
    for seed in seeds(20_000) {
        let mut random = Random(seed ^ 0x9a);
        let mix = Mix::numbered(seed % MIXES);
        let problem = random_parts(&mut random, mix, 10).build();
        let (settled, parts) = (settle(&problem).settled, Parts::new(&problem));
        let account = u32::try_from(random.below(problem.account_count().into())).unwrap();
        let part = parts.of_account(&problem, account);
        let alone = settle(&part.problem).settled;
        let here = part.account(account).unwrap();
        let pay_ins = smallest_pay_ins(&part.problem, here);
        let whole = smallest_pay_ins(&problem, account);
        for (at, &unit) in (0_u32..).zip(&part.units) {
            assert_eq!(alone.get(at), settled.get(unit), "seed {seed} unit {unit}");
            assert_eq!(
                pay_ins[at as usize], whole[unit as usize],
                "seed {seed} unit {unit}"
            );
        }
        // No pay-in here frees a unit of another part.
        for unit in (0..problem.unit_count()).filter(|unit| !part.units.contains(unit)) {
            let expected = settled.get(unit).then_some(0);
            assert_eq!(whole[unit as usize], expected, "seed {seed} unit {unit}");
        }
        split += usize::from(part.units.len() < problem.unit_count() as usize);
    }
    assert!(split > 2_000, "{split}");
}
