//! The liquidity curve of a day: what each account would hold as the queue goes by, and its lowest point.
//!
//! The curve asks nothing of limits: it shows what funding the order of a day takes where everything in it
//! settles when its turn comes. Legs of one unit move together, so a point is what is held after a whole
//! unit. O(legs), and as many points.

use std::collections::BTreeMap;

use crate::run::Problem;

/// What an account holds once a unit has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The unit, by its place in the queue.
    pub unit: u32,
    /// Minor units.
    pub balance: i128,
}

/// One account's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// The account.
    pub account: u32,
    /// What it holds at first, minor units.
    pub opening: i128,
    /// After each unit that moves its balance, in queue order.
    pub points: Vec<Point>,
}

impl Curve {
    /// The first of the lowest points, if it is below the opening.
    pub fn lowest(&self) -> Option<Point> {
        let lowest = self.points.iter().min_by_key(|point| point.balance)?;
        (lowest.balance < self.opening).then_some(*lowest)
    }

    /// What must be there beforehand so that the account never goes below zero, minor units.
    pub fn funding(&self) -> i128 {
        let lowest = self.lowest().map_or(self.opening, |point| point.balance);
        lowest.saturating_neg().max(0)
    }

    /// What the account holds at the end, minor units.
    pub fn closing(&self) -> i128 {
        self.points
            .last()
            .map_or(self.opening, |point| point.balance)
    }
}

/// The curve of every account that a unit touches, by account.
pub fn curves(problem: &Problem) -> Vec<Curve> {
    let mut curves: BTreeMap<u32, Curve> = BTreeMap::new();
    for (unit, legs) in problem.units() {
        let mut changes: BTreeMap<u32, i128> = BTreeMap::new();
        for leg in legs {
            *changes.entry(leg.debtor).or_default() -= i128::from(leg.amount);
            *changes.entry(leg.creditor).or_default() += i128::from(leg.amount);
        }
        for (account, change) in changes {
            let curve = curves.entry(account).or_insert_with(|| Curve {
                account,
                opening: problem.balances()[account as usize].into(),
                points: Vec::new(),
            });
            let balance = curve.closing() + change;
            if change != 0 {
                curve.points.push(Point { unit, balance });
            }
        }
    }
    curves.into_values().collect()
}
