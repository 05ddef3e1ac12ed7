//! Why a unit is not in a set that keeps no order.

use fx::I256;

use super::Chosen;
use crate::run::Cause;
use crate::run::bitmap::Bitmap;
use crate::run::explain::{PAY_IN_MAX, Reason};
use crate::run::problem::Problem;
use crate::run::settle::Tests as _;
use crate::run::value::{Value, base_unit, fits_narrow};

/// Why a unit does not fit beside a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The first test that fails when it is added: keys in the order of its legs.
    pub reason: Reason,
    /// The smallest pay-in to the binding account with which it fits, minor units; `None` if none does.
    pub smallest_pay_in: Option<i64>,
}

/// Why `unit` does not fit beside the feasible set `settled`; nothing if it does. O(legs), and as much as
/// the unit's tests take for each bit of the pay-in.
pub fn left_out(problem: &Problem, settled: &Bitmap, unit: u32) -> Option<LeftOut> {
    if fits_narrow(problem, PAY_IN_MAX) {
        left_out_under::<i128>(problem, settled, unit)
    } else {
        left_out_under::<I256>(problem, settled, unit)
    }
}

fn left_out_under<V: Value>(problem: &Problem, settled: &Bitmap, unit: u32) -> Option<LeftOut> {
    let mut chosen = Chosen::<V>::new(problem);
    let others = settled.iter_set().filter(|&other| other != unit);
    for inside in others.chain([unit]) {
        chosen.credit(inside, 1);
        chosen.debit(inside, 1);
    }
    let mut keys = problem.unit(unit).iter().map(|leg| problem.key(leg.debtor));
    let key = keys.find(|&key| !chosen.passes(key))?;
    let failure = chosen.tests.failure(problem, key);
    let reason = Reason::new(Cause::Test { key }, key, failure, base_unit(problem));
    let smallest_pay_in = smallest_pay_in(&mut chosen, unit, reason.account);
    Some(LeftOut {
        reason,
        smallest_pay_in,
    })
}

/// More money never fails a test, so the least with which all of the unit's pass is found by halving.
fn smallest_pay_in<V: Value>(chosen: &mut Chosen<'_, V>, unit: u32, account: u32) -> Option<i64> {
    let mut fits = |pay_in: i64| {
        chosen.tests.change(account, pay_in.into());
        let fits = chosen.debited_pass(unit);
        chosen.tests.change(account, -i128::from(pay_in));
        fits
    };
    if !fits(PAY_IN_MAX) {
        return None;
    }
    let (mut low, mut high) = (0, PAY_IN_MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}
