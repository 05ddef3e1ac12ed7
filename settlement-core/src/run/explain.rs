//! Why a unit was left behind, and the smallest pay-in that frees it.
//!
//! | asked for       | cost             | how                                                              |
//! |-----------------|------------------|------------------------------------------------------------------|
//! | reasons of all  | O(legs)          | the trace is replayed: what failed, and by how much, as each step started |
//! | pay-ins to one account that free each unit | about one run | one run, in which the pay-in shrinks |
//!
//! More money never settles less, so the sets `S(x)` that settle with a pay-in of `x` to one account
//! shrink as `x` does, and one run passes through all of them: start with the largest pay-in there is;
//! when no test fails, lower it to the least that the set which is left needs; one minor unit less, and
//! the account's key fails: what the run then removes needed exactly that much.

use fx::I256;

use super::problem::Problem;
use super::settle::{Run, Tests as _, add_all};
use super::spanning::{Spanning, Test};
use super::value::{Value, fits_narrow, power, value_decimals};
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

/// Explains one run.
pub struct Explainer<'a> {
    problem: &'a Problem,
    removals: &'a [Removal],
    /// By unit: its entry of the trace, if it was removed.
    entries: Vec<Option<u32>>,
    /// By step: its reason as it started.
    steps: Vec<Reason>,
}

impl<'a> Explainer<'a> {
    /// Replays the trace of `outcome`, which must be that of `problem`.
    pub fn new(problem: &'a Problem, outcome: &'a Outcome) -> Self {
        let mut entries = vec![None; problem.unit_count() as usize];
        for (entry, removal) in (0_u32..).zip(&outcome.removals) {
            entries[removal.unit as usize] = Some(entry);
        }
        let steps = if fits_narrow(problem, 0) {
            reasons(problem, &outcome.removals, Spanning::<i128>::new(problem))
        } else {
            reasons(problem, &outcome.removals, Spanning::<I256>::new(problem))
        };
        Self {
            problem,
            removals: &outcome.removals,
            entries,
            steps,
        }
    }

    /// Why the unit was left behind; `None` if it settles.
    pub fn reason(&self, unit: u32) -> Option<Reason> {
        let entry = self.entries[unit as usize]?;
        let removal = self.removals[entry as usize];
        Some(Reason {
            cause: removal.cause,
            ..self.steps[removal.step as usize]
        })
    }

    /// [`smallest_pay_ins`] of the problem.
    pub fn smallest_pay_ins(&self, account: u32) -> Vec<Option<i64>> {
        smallest_pay_ins(self.problem, account)
    }
}

/// By unit, the smallest pay-in to the account with which it settles, order kept, minor units: `Some(0)`
/// if it settles as it is, `None` if no pay-in to this account frees it.
pub fn smallest_pay_ins(problem: &Problem, account: u32) -> Vec<Option<i64>> {
    if fits_narrow(problem, PAY_IN_MAX) {
        free_each(problem, account, Spanning::<i128>::new(problem))
    } else {
        free_each(problem, account, Spanning::<I256>::new(problem))
    }
}

fn reasons<V: Value>(
    problem: &Problem,
    removals: &[Removal],
    mut tests: Spanning<'_, V>,
) -> Vec<Reason> {
    for leg in problem.legs() {
        tests.add(leg);
    }
    tests.added();
    let mut steps = Vec::new();
    for removal in removals {
        if let Cause::Test { key } = removal.cause {
            steps.push(reason(problem, &tests, key));
        }
        for leg in problem.unit(removal.unit) {
            tests.remove(leg);
        }
    }
    steps
}

/// Why a key fails now.
pub(super) fn reason<V: Value>(problem: &Problem, tests: &Spanning<'_, V>, key: u32) -> Reason {
    let test = tests.first_failing(key);
    let test = test.expect("a step starts with a key that fails");
    let missing = tests.missing(key, test);
    let (account, missing) = match test {
        Test::Floor { account } => (account, missing),
        Test::BilateralCap { cap } => (problem.caps()[cap as usize].debtor, missing),
        Test::AggregateShort | Test::AccountValue => {
            let account = tests.largest_short(key).unwrap_or(key);
            (account, in_base_rounded_up(problem, missing))
        }
    };
    Reason {
        cause: Cause::Test { key },
        key,
        test,
        missing: i128::try_from(missing).unwrap_or(i128::MAX),
        account,
    }
}

/// A value above zero in minor units of the base asset.
fn in_base_rounded_up(problem: &Problem, value: I256) -> I256 {
    let unit = power(value_decimals(problem) - problem.base_decimals());
    (value + unit - I256::ONE) / unit
}

fn free_each<V: Value>(
    problem: &Problem,
    account: u32,
    mut tests: Spanning<'_, V>,
) -> Vec<Option<i64>> {
    let census = add_all(problem, &mut tests);
    tests.change(account, i128::from(PAY_IN_MAX));
    let mut run = Run::start(problem, tests, census);
    run.exhaust();
    let mut found = vec![Some(0); problem.unit_count() as usize];
    for removal in &run.removals {
        found[removal.unit as usize] = None;
    }
    let key = problem.key(account);
    let mut pay_in = PAY_IN_MAX;
    while !run.queues.is_empty(key) {
        let needed = least_passing(&mut run.tests, key, account, pay_in);
        if needed == 0 {
            break;
        }
        pay_in = needed - 1;
        run.tests.change(account, -1);
        run.retest(key);
        let known = run.removals.len();
        run.exhaust();
        for removal in &run.removals[known..] {
            found[removal.unit as usize] = Some(needed);
        }
    }
    found
}

/// Lowers the account's pay-in to the least with which its key passes, as it does with `pay_in`, and
/// answers it.
fn least_passing<V: Value>(
    tests: &mut Spanning<'_, V>,
    key: u32,
    account: u32,
    pay_in: i64,
) -> i64 {
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
