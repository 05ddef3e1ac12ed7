//! Exact search of one component: depth first, units in queue order, in before out.
//!
//! | a branch ends when                   | because                                                    |
//! |--------------------------------------|------------------------------------------------------------|
//! | a test fails already                 | all that may still come in has paid its creditors          |
//! | the goal cannot be reached any more  | [`Bounds`]: what is undecided weighs too little            |
//! | all is decided                       | it is feasible, and better than what was found before      |
//!
//! Sets come in the order in which they win ties, so the first of a goal is kept.

use std::collections::BTreeMap;

use fx::I256;

use super::Chosen;
use crate::run::bitmap::Bitmap;
use crate::run::problem::{FLOOR_NONE, Problem};
use crate::run::spanning::Spanning;
use crate::run::value::Value;

/// What came of a search.
pub(super) struct Searched {
    /// By unit of the component, whether it is in: nothing if nothing better was found.
    pub(super) best: Option<Vec<bool>>,
    pub(super) is_complete: bool,
    pub(super) steps: u64,
}

/// A search under way.
pub(super) struct Search<'s, 'a, V> {
    chosen: &'s mut Chosen<'a, V>,
    units: &'s [u32],
    weights: &'s [I256],
    bounds: Bounds,
    /// Of the first units: whether each is in.
    path: Vec<bool>,
    /// Weight of those that are.
    goal: I256,
    /// The least goal that is worth finding.
    needed: I256,
    best: Option<Vec<bool>>,
}

impl<'s, 'a, V: Value> Search<'s, 'a, V> {
    /// `chosen` holds the credits of all `units` and no debits; it is given back so.
    pub(super) fn new(
        chosen: &'s mut Chosen<'a, V>,
        units: &'s [u32],
        weights: &'s [I256],
        bounds: Bounds,
    ) -> Self {
        Self {
            chosen,
            units,
            weights,
            bounds,
            path: Vec::with_capacity(units.len()),
            goal: I256::ZERO,
            needed: I256::ZERO,
            best: None,
        }
    }

    /// Looks for what is better than `known`, or as good and earlier.
    pub(super) fn run(mut self, known: &Bitmap, steps_max: u64) -> Searched {
        let in_known = self.units.iter().filter(|&&unit| known.get(unit));
        self.needed = in_known.map(|&unit| self.weights[unit as usize]).sum();
        let has_all = self.units.iter().all(|&unit| known.get(unit));
        let (mut steps, mut is_open) = (0, !has_all);
        while is_open && steps < steps_max {
            steps += 1;
            is_open = self.step();
        }
        while !self.path.is_empty() {
            self.pop();
        }
        Searched {
            best: self.best,
            is_complete: !is_open,
            steps,
        }
    }

    /// Decides one unit, or leaves the branch; false when there is no other.
    fn step(&mut self) -> bool {
        if self.goal + self.bounds.undecided < self.needed {
            return self.backtrack();
        }
        if self.path.len() == self.units.len() {
            self.best = Some(self.path.clone());
            self.needed = self.goal + I256::ONE;
            return self.backtrack();
        }
        self.include() || self.exclude() || self.backtrack()
    }

    fn next_unit(&self) -> u32 {
        self.units[self.path.len()]
    }

    /// Takes the next unit in; if a test then fails, it stays undecided.
    fn include(&mut self) -> bool {
        let unit = self.next_unit();
        self.chosen.debit(unit, 1);
        if !self.chosen.debited_pass(unit) {
            self.chosen.debit(unit, -1);
            return false;
        }
        self.goal += self.weights[unit as usize];
        self.decide(unit, true);
        true
    }

    /// Leaves the next unit out; says whether all tests still pass without what it pays.
    fn exclude(&mut self) -> bool {
        let unit = self.next_unit();
        self.chosen.credit(unit, -1);
        self.decide(unit, false);
        self.chosen.credited_pass(unit)
    }

    fn decide(&mut self, unit: u32, is_in: bool) {
        self.bounds.decided(self.path.len());
        self.path.push(is_in);
        self.bounds
            .refresh(self.chosen.problem, &self.chosen.tests, unit);
    }

    /// Goes back to the last unit that is in, and leaves it out.
    fn backtrack(&mut self) -> bool {
        while let Some(was_in) = self.pop() {
            if was_in && self.exclude() {
                return true;
            }
        }
        false
    }

    /// Makes the last decision undone.
    fn pop(&mut self) -> Option<bool> {
        let was_in = self.path.pop()?;
        let unit = self.next_unit();
        if was_in {
            self.chosen.debit(unit, -1);
            self.goal -= self.weights[unit as usize];
        } else {
            self.chosen.credit(unit, 1);
        }
        self.bounds.undecided_again(self.path.len());
        self.bounds
            .refresh(self.chosen.problem, &self.chosen.tests, unit);
        Some(was_in)
    }
}

/// The most that undecided units can add to the goal.
///
/// A unit that debits an account with a floor is counted with the first such: all of them together can
/// debit no more than the account has above its floor when all that may still pay it does. So they weigh
/// no more than that, at the rate of the one that weighs most for what it takes.
pub(super) struct Bounds {
    /// By account: its place among the funds, for those that have one.
    places: BTreeMap<u32, usize>,
    funds: Vec<Fund>,
    /// By unit of the component: its fund and weight.
    units: Vec<(Option<usize>, I256)>,
    /// The sum of all bounds.
    pub(super) undecided: I256,
}

/// What units that are counted with one account can weigh.
struct Fund {
    /// Weight of the undecided ones.
    weight: I256,
    /// Weight and amount of the one that weighs most for its amount; nothing if that cannot be told in 256
    /// bits, and then only `weight` bounds.
    best: Option<(I256, I256)>,
    bound: I256,
}

impl Bounds {
    /// Before any of the units is decided.
    pub(super) fn new<V: Value>(
        problem: &Problem,
        tests: &Spanning<'_, V>,
        units: &[u32],
        weights: &[I256],
    ) -> Self {
        let mut bounds = Self {
            places: BTreeMap::new(),
            funds: Vec::new(),
            units: Vec::with_capacity(units.len()),
            undecided: I256::ZERO,
        };
        for &unit in units {
            let weight = weights[unit as usize];
            let fund = bounds.fund_of(problem, unit, weight);
            bounds.units.push((fund, weight));
            bounds.undecided += weight;
        }
        for place in bounds.places.clone().into_keys() {
            bounds.limit(place, tests);
        }
        bounds
    }

    fn fund_of(&mut self, problem: &Problem, unit: u32, weight: I256) -> Option<usize> {
        let legs = problem.unit(unit);
        let floors = problem.floors();
        let mut debtors = legs.iter().map(|leg| leg.debtor);
        let account = debtors.find(|&debtor| floors[debtor as usize] != FLOOR_NONE)?;
        let debits = legs.iter().filter(|leg| leg.debtor == account);
        let amount = debits.map(|leg| I256::from(leg.amount)).sum();
        let place = *self.places.entry(account).or_insert(self.funds.len());
        if place == self.funds.len() {
            self.funds.push(Fund {
                weight: I256::ZERO,
                best: Some((weight, amount)),
                bound: I256::ZERO,
            });
        }
        let fund = &mut self.funds[place];
        fund.weight += weight;
        fund.bound += weight;
        fund.best = fund.best.and_then(|best| heavier(best, (weight, amount)));
        Some(place)
    }

    /// The unit at this place of the component is decided.
    fn decided(&mut self, at: usize) {
        self.change(at, |weight, by| weight - by);
    }

    fn undecided_again(&mut self, at: usize) {
        self.change(at, |weight, by| weight + by);
    }

    fn change(&mut self, at: usize, change: impl Fn(I256, I256) -> I256) {
        let (fund, weight) = self.units[at];
        match fund {
            Some(fund) => self.funds[fund].weight = change(self.funds[fund].weight, weight),
            None => self.undecided = change(self.undecided, weight),
        }
    }

    /// Limits anew what the unit's accounts bound.
    fn refresh<V: Value>(&mut self, problem: &Problem, tests: &Spanning<'_, V>, unit: u32) {
        for leg in problem.unit(unit) {
            self.limit(leg.debtor, tests);
            self.limit(leg.creditor, tests);
        }
    }

    fn limit<V: Value>(&mut self, account: u32, tests: &Spanning<'_, V>) {
        let Some(&place) = self.places.get(&account) else {
            return;
        };
        let fund = &mut self.funds[place];
        let headroom = I256::from(tests.headroom(account).max(0));
        let most = fund
            .best
            .and_then(|(weight, amount)| Some(headroom.checked_mul(weight)? / amount));
        let bound = most.map_or(fund.weight, |most| most.min(fund.weight));
        self.undecided += bound - fund.bound;
        fund.bound = bound;
    }
}

/// Of two weights and amounts that which weighs more for its amount.
fn heavier(one: (I256, I256), other: (I256, I256)) -> Option<(I256, I256)> {
    let (left, right) = (one.0.checked_mul(other.1)?, other.0.checked_mul(one.1)?);
    Some(if right > left { other } else { one })
}
