//! Finds the largest feasible set that keeps order, and the trace that proves it.

use std::hint::black_box;

use fx::I256;

use super::bitmap::Bitmap;
use super::floors::Floors;
use super::lowest::LowestSet;
use super::problem::{Leg, Problem};
use super::queues::{Census, Queues};
use super::spanning::{Spanning, Test};
use super::value::fits_narrow;
use super::{Cause, Outcome, Removal};

/// How many units' legs are fetched at a time: more than a core keeps loads in flight, few enough for
/// its nearest cache.
const FETCHED_UNITS_MAX: usize = 32;

/// The tests of all keys over the present set, updated leg by leg.
pub(super) trait Tests {
    /// A leg of the set, before any is removed.
    fn add(&mut self, leg: &Leg);

    /// All legs were added.
    fn added(&mut self);

    /// A leg leaves the set.
    fn remove(&mut self, leg: &Leg);

    /// Whether a test of the key fails, members or not.
    fn fails(&self, key: u32) -> bool;

    /// The key's first failing test in order of precedence; the key must fail.
    fn failure(&self, problem: &Problem, key: u32) -> Failure;

    /// Money comes to the account from outside, or goes.
    fn change(&mut self, account: u32, change: i128);

    /// What each account holds once the present set has settled, minor units.
    fn closing(&self, problem: &Problem) -> Vec<i128>;
}

/// What a failing key lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) test: Test,
    /// The binding account.
    pub(super) account: u32,
    /// Minor units or, for a test that spans accounts, a value.
    pub(super) missing: I256,
}

/// Runs the problem: pure, and linear in its legs.
///
/// The trace is canonical. A step removes the last member of the first failing key; then each removed
/// unit in turn, in order of removal, takes along the members behind it in the queue of each key that
/// it debits: keys in order of its legs, members from the last forward.
pub fn settle(problem: &Problem) -> Outcome {
    match Kind::of(problem, 0) {
        Kind::Floors => settle_under(problem, Floors::new(problem)),
        Kind::Narrow => settle_under(problem, Spanning::<i128>::new(problem)),
        Kind::Wide => settle_under(problem, Spanning::<I256>::new(problem)),
    }
}

/// Which tests a problem needs.
pub(super) enum Kind {
    /// Floors alone.
    Floors,
    /// All, with values in 128 bits.
    Narrow,
    /// All, with values in 256 bits.
    Wide,
}

impl Kind {
    /// With as much more on each account as `pay_in` says, minor units.
    pub(super) fn of(problem: &Problem, pay_in: i64) -> Self {
        if problem.spans().is_empty() && problem.caps().is_empty() {
            Self::Floors
        } else if fits_narrow(problem, pay_in) {
            Self::Narrow
        } else {
            Self::Wide
        }
    }
}

fn settle_under<T: Tests>(problem: &Problem, tests: T) -> Outcome {
    match Run::start_unless_all_settle(problem, tests) {
        Err(all_settle) => all_settle,
        Ok(mut run) => {
            run.exhaust();
            run.finish()
        }
    }
}

/// Brings every unit into the set.
pub(super) fn add_all<T: Tests>(problem: &Problem, tests: &mut T) -> Census {
    let mut census = Census::new(problem.account_count());
    for leg in problem.legs() {
        tests.add(leg);
        census.count(problem.key(leg.debtor));
    }
    tests.added();
    census
}

/// A run under way.
pub(super) struct Run<'a, T> {
    problem: &'a Problem,
    pub(super) tests: T,
    pub(super) queues: Queues,
    /// Keys in order of first debit.
    ranked: Vec<u32>,
    /// Ranks of the keys that fail and have a member in the set.
    failing: LowestSet,
    settled: Bitmap,
    pub(super) removals: Vec<Removal>,
    step: u32,
}

impl<'a, T: Tests> Run<'a, T> {
    /// The run; or its outcome, if all settle: then nobody asks who stands behind whom, and the queues
    /// are never laid out.
    pub(super) fn start_unless_all_settle(
        problem: &'a Problem,
        mut tests: T,
    ) -> Result<Self, Outcome> {
        let census = add_all(problem, &mut tests);
        if census.ranked.iter().any(|&key| tests.fails(key)) {
            return Ok(Self::start(problem, tests, census));
        }
        let settled = Bitmap::all(problem.unit_count());
        Err(Outcome {
            settled,
            closing: tests.closing(problem),
            removals: Vec::new(),
        })
    }

    pub(super) fn start(problem: &'a Problem, tests: T, census: Census) -> Self {
        let queues = census.queues(problem);
        let ranked = census.ranked;
        let mut failing = LowestSet::new(ranked.len());
        for (rank, &key) in (0_u32..).zip(&ranked) {
            if tests.fails(key) {
                failing.insert(rank);
            }
        }
        let settled = Bitmap::all(problem.unit_count());
        Self {
            problem,
            tests,
            queues,
            ranked,
            failing,
            settled,
            removals: Vec::new(),
            step: 0,
        }
    }

    /// Takes steps until no test fails.
    pub(super) fn exhaust(&mut self) {
        while let Some(key) = self.first_failing() {
            self.step(key);
        }
    }

    /// The first failing key that has a member, in order of first debit.
    pub(super) fn first_failing(&self) -> Option<u32> {
        let rank = self.failing.lowest()?;
        Some(self.ranked[rank as usize])
    }

    /// Whether the unit is still in the set.
    pub(super) fn holds(&self, unit: u32) -> bool {
        self.settled.get(unit)
    }

    /// Removes the failing key's last member and all that follows. The trace itself is the list of
    /// those whose followers are still to be removed.
    pub(super) fn step(&mut self, key: u32) {
        let problem = self.problem;
        fetch(
            self.queues
                .burst(key)
                .iter()
                .map(|&unit| problem.unit(unit)),
        );
        let last = self.queues.last(key).expect("a failing key has a member");
        let mut cursor = self.removals.len();
        self.settled.take(last);
        self.removals.push(Removal {
            unit: last,
            step: self.step,
            cause: Cause::Test { key },
        });
        while cursor < self.removals.len() {
            let end = self.removals.len().min(cursor + FETCHED_UNITS_MAX);
            fetch(
                self.removals[cursor..end]
                    .iter()
                    .map(|removal| problem.unit(removal.unit)),
            );
            for index in cursor..end {
                self.follow(self.removals[index].unit);
            }
            cursor = end;
        }
        self.step += 1;
    }

    /// Gives back what the removed unit moved, and removes those behind it.
    fn follow(&mut self, unit: u32) {
        let problem = self.problem;
        for leg in problem.unit(unit) {
            self.tests.remove(leg);
            let (debtor, creditor) = (problem.key(leg.debtor), problem.key(leg.creditor));
            self.remove_behind(unit, debtor);
            self.retest(debtor);
            self.retest(creditor);
        }
    }

    fn remove_behind(&mut self, behind: u32, key: u32) {
        let (settled, removals, step) = (&mut self.settled, &mut self.removals, self.step);
        for &unit in self.queues.cut(key, behind).iter().rev() {
            // One that is removed already went through another key (or is `behind` itself).
            if settled.take(unit) {
                removals.push(Removal {
                    unit,
                    step,
                    cause: Cause::Order { key, behind },
                });
            }
        }
    }

    /// A key is tested only while it has a member in the set.
    pub(super) fn retest(&mut self, key: u32) {
        let Some(rank) = self.queues.rank(key) else {
            return;
        };
        if self.tests.fails(key) && !self.queues.is_empty(key) {
            self.failing.insert(rank);
        } else {
            self.failing.remove(rank);
        }
    }

    pub(super) fn finish(self) -> Outcome {
        let closing = self.tests.closing(self.problem);
        Outcome {
            settled: self.settled,
            closing,
            removals: self.removals,
        }
    }
}

/// Reads units' legs once before they are worked on, only so that they are in the cache: they lie
/// anywhere in memory, and loads that do not wait for each other overlap. Half of a run's time.
fn fetch<'a>(units: impl Iterator<Item = &'a [Leg]>) {
    let ends = |sum: i64, legs: &[Leg]| sum ^ legs[0].amount ^ legs[legs.len() - 1].amount;
    black_box(units.fold(0, ends));
}
