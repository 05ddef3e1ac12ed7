//! The test of a prefunded run: a key with a member in the set ends at or above its floor.

use super::problem::{Leg, Problem};

/// What each key holds above its floor if the present set settles: below 0, the test fails.
pub(super) struct Floors {
    /// In `i128`: 2^32 legs of 2^63 and an opening less a floor stay below 2^96.
    headroom: Vec<i128>,
}

impl Floors {
    /// Before anything settles.
    pub(super) fn new(problem: &Problem) -> Self {
        let pairs = problem.balances().iter().zip(problem.floors());
        let headroom = pairs
            .map(|(&balance, &floor)| i128::from(balance) - i128::from(floor))
            .collect();
        Self { headroom }
    }

    pub(super) fn add(&mut self, leg: &Leg) {
        self.headroom[leg.debtor as usize] -= i128::from(leg.amount);
        self.headroom[leg.creditor as usize] += i128::from(leg.amount);
    }

    pub(super) fn remove(&mut self, leg: &Leg) {
        self.headroom[leg.debtor as usize] += i128::from(leg.amount);
        self.headroom[leg.creditor as usize] -= i128::from(leg.amount);
    }

    pub(super) fn fails(&self, key: u32) -> bool {
        self.headroom[key as usize] < 0
    }

    /// What each key holds once the present set has settled, minor units.
    pub(super) fn closing(&self, problem: &Problem) -> Vec<i128> {
        let pairs = self.headroom.iter().zip(problem.floors());
        pairs
            .map(|(&headroom, &floor)| headroom + i128::from(floor))
            .collect()
    }
}
