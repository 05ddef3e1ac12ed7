//! Why a unit was left behind, and the smallest pay-in that frees it.
//!
//! | asked for        | cost           | how                                                          |
//! |------------------|----------------|--------------------------------------------------------------|
//! | reasons of all   | O(legs)        | as each step starts: what fails, by how much; in the run itself, or in a replay of its trace |
//! | pay-ins to one account that free each unit | about one run | one run, in which the pay-in shrinks |
//! | that of one unit | less           | the same, until that unit goes                               |
//!
//! More money never settles less, so the sets `S(x)` that settle with a pay-in of `x` to one account
//! shrink as `x` does, and one run passes through all of them: start with the largest pay-in there is;
//! when no test fails, lower it to the least that the set which is left needs; one minor unit less, and
//! the account's key fails: what the run then removes needed exactly that much.

use fx::I256;

use super::floors::Floors;
use super::problem::Problem;
use super::settle::{Failure, Kind, Run, Tests, add_all};
use super::spanning::{Spanning, Test};
use super::value::base_unit;
use super::{Cause, Outcome, Removal};

/// The largest pay-in that is tried, minor units: the largest amount that there is.
pub const PAY_IN_MAX: i64 = fx::MINOR_UNITS_MAX;

/// Why a unit was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its own entry of the trace: a test that failed, or whom it stands behind.
    pub cause: Cause,
    /// The key whose test started the step that removed it.
    pub key: u32,
    /// The first failing test of that key, in order of precedence.
    pub test: Test,
    /// What is missing, above zero: minor units of the account's asset or, for a test that spans
    /// accounts, of the base asset, rounded up. [`i128::MAX`] stands for all that is more: only rates near
    /// the largest lead there.
    pub missing: i128,
    /// The binding account: the one that the test reads or, where it spans accounts, that of the largest
    /// short in base value (the first of equal ones).
    pub account: u32,
}

/// Why each unit of a run was left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Explainer {
    /// By unit: its step and cause, if it was removed.
    entries: Vec<Option<(u32, Cause)>>,
    steps: Vec<Step>,
    /// A minor unit of the base asset, as a value.
    base_unit: I256,
}

/// A step of the trace: what failed as it started.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    key: u32,
    failure: Failure,
}

impl Explainer {
    /// Replays the trace of `outcome`, which must be that of `problem`.
    pub fn new(problem: &Problem, outcome: &Outcome) -> Self {
        let removals = &outcome.removals;
        let steps = match Kind::of(problem, 0) {
            Kind::Floors => replay(problem, removals, Floors::new(problem)),
            Kind::Narrow => replay(problem, removals, Spanning::<i128>::new(problem)),
            Kind::Wide => replay(problem, removals, Spanning::<I256>::new(problem)),
        };
        Self::with_steps(problem, removals, steps)
    }

    fn with_steps(problem: &Problem, removals: &[Removal], steps: Vec<Step>) -> Self {
        let mut entries = vec![None; problem.unit_count() as usize];
        for removal in removals {
            entries[removal.unit as usize] = Some((removal.step, removal.cause));
        }
        Self {
            entries,
            steps,
            base_unit: base_unit(problem),
        }
    }

    /// Why the unit was left behind; `None` if it settles.
    pub fn reason(&self, unit: u32) -> Option<Reason> {
        let (step, cause) = self.entries[unit as usize]?;
        let Step { key, failure } = self.steps[step as usize];
        Some(Reason::new(cause, key, failure, self.base_unit))
    }
}

/// As [`settle`](super::settle()), and why it leaves behind what it does, without a replay.
pub fn settle_explained(problem: &Problem) -> (Outcome, Explainer) {
    let (outcome, steps) = match Kind::of(problem, 0) {
        Kind::Floors => settle_with_steps(problem, Floors::new(problem)),
        Kind::Narrow => settle_with_steps(problem, Spanning::<i128>::new(problem)),
        Kind::Wide => settle_with_steps(problem, Spanning::<I256>::new(problem)),
    };
    let explainer = Explainer::with_steps(problem, &outcome.removals, steps);
    (outcome, explainer)
}

fn settle_with_steps<T: Tests>(problem: &Problem, tests: T) -> (Outcome, Vec<Step>) {
    let mut run = match Run::start_unless_all_settle(problem, tests) {
        Err(all_settle) => return (all_settle, Vec::new()),
        Ok(run) => run,
    };
    let mut steps = Vec::new();
    while let Some(key) = run.first_failing() {
        let failure = run.tests.failure(problem, key);
        steps.push(Step { key, failure });
        run.step(key);
    }
    (run.finish(), steps)
}

fn replay<T: Tests>(problem: &Problem, removals: &[Removal], mut tests: T) -> Vec<Step> {
    add_all(problem, &mut tests);
    let mut steps = Vec::new();
    for removal in removals {
        if let Cause::Test { key } = removal.cause {
            let failure = tests.failure(problem, key);
            steps.push(Step { key, failure });
        }
        for leg in problem.unit(removal.unit) {
            tests.remove(leg);
        }
    }
    steps
}

impl Reason {
    /// `base_unit` is what a minor unit of the base asset is worth.
    pub(super) fn new(cause: Cause, key: u32, failure: Failure, base_unit: I256) -> Self {
        let missing = match failure.test {
            Test::Floor { .. } | Test::BilateralCap { .. } => failure.missing,
            Test::AggregateShort | Test::AccountValue => {
                (failure.missing + base_unit - I256::ONE) / base_unit
            }
        };
        Self {
            cause,
            key,
            test: failure.test,
            missing: i128::try_from(missing).unwrap_or(i128::MAX),
            account: failure.account,
        }
    }
}

/// By unit, the smallest pay-in to the account with which it settles, order kept, minor units: `Some(0)`
/// if it settles as it is, `None` if no pay-in to this account frees it.
pub fn smallest_pay_ins(problem: &Problem, account: u32) -> Vec<Option<i64>> {
    pay_ins(problem, account, None)
}

/// That of one unit: the search ends as soon as it is known.
pub fn smallest_pay_in(problem: &Problem, account: u32, unit: u32) -> Option<i64> {
    pay_ins(problem, account, Some(unit))[unit as usize]
}

fn pay_ins(problem: &Problem, account: u32, only: Option<u32>) -> Vec<Option<i64>> {
    match Kind::of(problem, PAY_IN_MAX) {
        Kind::Floors => free_each(problem, account, only, Floors::new(problem)),
        Kind::Narrow => free_each(problem, account, only, Spanning::<i128>::new(problem)),
        Kind::Wide => free_each(problem, account, only, Spanning::<I256>::new(problem)),
    }
}

/// By unit. If `only` one is asked for, the run ends once that is removed, and says nothing of others.
fn free_each<T: Tests>(
    problem: &Problem,
    account: u32,
    only: Option<u32>,
    mut tests: T,
) -> Vec<Option<i64>> {
    let census = add_all(problem, &mut tests);
    tests.change(account, i128::from(PAY_IN_MAX));
    let mut run = Run::start(problem, tests, census);
    exhaust(&mut run, only);
    let mut found = vec![Some(0); problem.unit_count() as usize];
    for removal in &run.removals {
        found[removal.unit as usize] = None;
    }
    let key = problem.key(account);
    let mut pay_in = PAY_IN_MAX;
    while goes_on(&run, only) && !run.queues.is_empty(key) {
        let needed = least_passing(&mut run.tests, key, account, pay_in);
        if needed == 0 {
            break;
        }
        pay_in = needed - 1;
        run.tests.change(account, -1);
        run.retest(key);
        let known = run.removals.len();
        exhaust(&mut run, only);
        for removal in &run.removals[known..] {
            found[removal.unit as usize] = Some(needed);
        }
    }
    found
}

/// Takes steps until no test fails, or all is known that is asked for.
fn exhaust<T: Tests>(run: &mut Run<'_, T>, only: Option<u32>) {
    while goes_on(run, only)
        && let Some(key) = run.first_failing()
    {
        run.step(key);
    }
}

fn goes_on<T: Tests>(run: &Run<'_, T>, only: Option<u32>) -> bool {
    only.is_none_or(|unit| run.holds(unit))
}

/// Lowers the account's pay-in to the least with which its key passes, as it does with `pay_in`, and
/// answers it.
fn least_passing<T: Tests>(tests: &mut T, key: u32, account: u32, pay_in: i64) -> i64 {
    let (mut low, mut high, mut now) = (0, pay_in, pay_in);
    while low < high {
        let middle = low + (high - low) / 2;
        tests.change(account, i128::from(middle - now));
        now = middle;
        if tests.fails(key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    tests.change(account, i128::from(low - now));
    low
}
