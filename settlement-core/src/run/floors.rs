//! The one test of a run in which every account is a key: it ends at or above its floor.

use fx::I256;

use super::problem::{FLOOR_NONE, Leg, Problem};
use super::settle::{Failure, Tests};
use super::spanning::Test;

/// Stands for [`FLOOR_NONE`]: no sum of balances and legs comes near it.
const BOTTOM: i128 = -(1 << 120);

/// What each account holds above its floor if the present set settles: below 0, the test fails.
pub(super) struct Floors {
    /// In `i128`: 2^32 legs of 2^63 and an opening less a floor stay below 2^96.
    headroom: Vec<i128>,
}

impl Floors {
    /// Before anything settles.
    pub(super) fn new(problem: &Problem) -> Self {
        let pairs = problem.balances().iter().zip(problem.floors());
        let headroom = pairs
            .map(|(&balance, &floor)| i128::from(balance) - wide(floor))
            .collect();
        Self { headroom }
    }
}

/// A floor as a number that can be counted with.
pub(super) fn wide(floor: i64) -> i128 {
    if floor == FLOOR_NONE {
        BOTTOM
    } else {
        i128::from(floor)
    }
}

impl Tests for Floors {
    #[inline]
    fn add(&mut self, leg: &Leg) {
        self.headroom[leg.debtor as usize] -= i128::from(leg.amount);
        self.headroom[leg.creditor as usize] += i128::from(leg.amount);
    }

    #[inline]
    fn remove(&mut self, leg: &Leg) {
        self.headroom[leg.debtor as usize] += i128::from(leg.amount);
        self.headroom[leg.creditor as usize] -= i128::from(leg.amount);
    }

    #[inline]
    fn fails(&self, key: u32) -> bool {
        self.headroom[key as usize] < 0
    }

    fn failure(&self, _: &Problem, key: u32) -> Failure {
        Failure {
            test: Test::Floor { account: key },
            account: key,
            missing: I256::from(-self.headroom[key as usize]),
        }
    }

    #[inline]
    fn change(&mut self, account: u32, change: i128) {
        self.headroom[account as usize] += change;
    }

    fn added(&mut self) {}

    fn closing(&self, problem: &Problem) -> Vec<i128> {
        let pairs = self.headroom.iter().zip(problem.floors());
        pairs
            .map(|(&headroom, &floor)| headroom + wide(floor))
            .collect()
    }
}
