//! More than order allows: what settles when a unit may pass those that wait ahead of it.
//!
//! A set is feasible when every key that has a member in it passes its tests. Of all feasible sets this
//! looks for one of the largest goal: the sum of its units' weights (their value, or how many
//! instructions they are; the caller says which).
//!
//! | # | phase      | cost                        | what happens                                          |
//! |---|------------|-----------------------------|-------------------------------------------------------|
//! | 1 | add back   | O(legs) a pass              | each waiting unit that fits, in queue order, until none does |
//! | 2 | split      | O(legs)                     | units that can never hinder each other fall apart     |
//! | 3 | search     | one step a unit in or out   | each component exactly, while the budget lasts        |
//!
//! A key *can bind* if it fails when all its members settle and nobody pays it. Only through such keys
//! do units depend on each other, so components are those of units that touch one in common, whether
//! they pay it or are paid. The search may drop units that settled with order kept, where the goal gains.
//!
//! Of sets with one goal the earliest wins: the one that holds the first unit, in queue order, on which
//! two differ. Steps are counted, never timed, so equal problems have equal answers on every machine. A
//! component that the budget does not finish keeps the best that was found, never less than phase 1.

mod components;
mod left_out;
mod search;

pub use left_out::{LeftOut, left_out};

use fx::I256;

use super::bitmap::Bitmap;
use super::problem::Problem;
use super::settle::Tests as _;
use super::spanning::Spanning;
use super::value::{Value, fits_narrow};
use components::components;
use search::{Bounds, Search};

/// What settles with order bypassed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// One bit per unit, in queue order: set when it settles.
    pub settled: Bitmap,
    /// What each account holds then, in minor units.
    pub closing: Vec<i128>,
    /// The components that were searched, by their first unit; units in none of them all settle.
    pub components: Vec<Component>,
    /// Whether no feasible set has a larger goal, nor an earlier one the same: all components say so.
    pub optimal: bool,
    /// How much of the budget was used.
    pub steps: u64,
}

/// Units that can hinder each other, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Ascending.
    pub units: Vec<u32>,
    /// Whether its part of the answer is proven the best.
    pub optimal: bool,
}

/// Adds to `kept`, the units that settle with order kept, what order held back; `weights` are the units'
/// (above zero), `steps_max` is the budget of the exact search, shared evenly by the components.
pub fn bypass(problem: &Problem, kept: &Bitmap, weights: &[I256], steps_max: u64) -> Bypass {
    let unit_count = problem.unit_count();
    assert_eq!(kept.bit_count(), unit_count, "one bit per unit");
    assert_eq!(weights.len(), unit_count as usize, "one weight per unit");
    if fits_narrow(problem, 0) {
        bypass_under::<i128>(problem, kept, weights, steps_max)
    } else {
        bypass_under::<I256>(problem, kept, weights, steps_max)
    }
}

fn bypass_under<V: Value>(
    problem: &Problem,
    kept: &Bitmap,
    weights: &[I256],
    steps_max: u64,
) -> Bypass {
    let mut settled = add_back::<V>(problem, kept);
    let groups = components::<V>(problem);
    let mut chosen = Chosen::<V>::new(problem);
    problem.units().for_each(|(unit, _)| chosen.credit(unit, 1));
    let (mut steps, mut found) = (0, Vec::with_capacity(groups.len()));
    for (left, units) in (1..=groups.len() as u64).rev().zip(groups) {
        // What one component leaves is shared by those that follow.
        let share = (steps_max - steps) / left;
        let bounds = Bounds::new(problem, &chosen.tests, &units, weights);
        let searched = Search::new(&mut chosen, &units, weights, bounds).run(&settled, share);
        steps += searched.steps;
        for (&unit, is_in) in units.iter().zip(searched.best.into_iter().flatten()) {
            if is_in {
                settled.set(unit);
            } else {
                settled.take(unit);
            }
        }
        let optimal = searched.is_complete;
        found.push(Component { units, optimal });
    }
    Bypass {
        closing: closing(problem, &settled),
        optimal: found.iter().all(|component| component.optimal),
        components: found,
        settled,
        steps,
    }
}

/// Phase 1.
fn add_back<V: Value>(problem: &Problem, kept: &Bitmap) -> Bitmap {
    let mut settled = kept.clone();
    let mut chosen = Chosen::<V>::new(problem);
    for unit in kept.iter_set() {
        chosen.credit(unit, 1);
        chosen.debit(unit, 1);
    }
    let mut waiting: Vec<u32> = (0..problem.unit_count())
        .filter(|&unit| !kept.get(unit))
        .collect();
    loop {
        let before = waiting.len();
        waiting.retain(|&unit| {
            let is_in = chosen.try_add(unit);
            if is_in {
                settled.set(unit);
            }
            !is_in
        });
        if waiting.len() == before {
            return settled;
        }
    }
}

fn closing(problem: &Problem, settled: &Bitmap) -> Vec<i128> {
    let mut closing: Vec<i128> = problem.balances().iter().map(|&b| b.into()).collect();
    for leg in settled.iter_set().flat_map(|unit| problem.unit(unit)) {
        closing[leg.debtor as usize] -= i128::from(leg.amount);
        closing[leg.creditor as usize] += i128::from(leg.amount);
    }
    closing
}

/// A set of units under way, the two sides of each apart: a unit that may yet come in is only credited,
/// which is the best that can happen to everyone else.
struct Chosen<'a, V> {
    problem: &'a Problem,
    tests: Spanning<'a, V>,
    /// By key: how many legs of the set debit it. A key is tested only while there is one.
    debits: Vec<u32>,
}

impl<'a, V: Value> Chosen<'a, V> {
    /// Nobody is in.
    fn new(problem: &'a Problem) -> Self {
        let mut tests = Spanning::new(problem);
        tests.added();
        Self {
            problem,
            tests,
            debits: vec![0; problem.account_count() as usize],
        }
    }

    fn try_add(&mut self, unit: u32) -> bool {
        self.credit(unit, 1);
        self.debit(unit, 1);
        let fits = self.debited_pass(unit);
        if !fits {
            self.debit(unit, -1);
            self.credit(unit, -1);
        }
        fits
    }

    /// The unit's debits come (`sign` 1) or go (-1).
    fn debit(&mut self, unit: u32, sign: i8) {
        for leg in self.problem.unit(unit) {
            self.tests
                .debit(leg, i128::from(leg.amount) * i128::from(sign));
            let count = &mut self.debits[self.problem.key(leg.debtor) as usize];
            *count = count.wrapping_add_signed(sign.into());
        }
    }

    /// The unit's credits come (`sign` 1) or go (-1).
    fn credit(&mut self, unit: u32, sign: i8) {
        for leg in self.problem.unit(unit) {
            self.tests
                .credit(leg, i128::from(leg.amount) * i128::from(sign));
        }
    }

    fn debited_pass(&self, unit: u32) -> bool {
        let mut legs = self.problem.unit(unit).iter();
        legs.all(|leg| self.passes(leg.debtor))
    }

    fn credited_pass(&self, unit: u32) -> bool {
        let mut legs = self.problem.unit(unit).iter();
        legs.all(|leg| self.passes(leg.creditor))
    }

    fn passes(&self, account: u32) -> bool {
        let key = self.problem.key(account);
        self.debits[key as usize] == 0 || !self.tests.fails(key)
    }
}
