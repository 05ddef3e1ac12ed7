//! The run: which waiting units settle together, with every queue kept in order.
//!
//! A *unit* is what settles whole or not at all: one instruction, a matched trade, or a group. Units
//! come in queue order (priority, then sequence). A unit is a *member* of every key that it debits; a
//! key's queue is its members in that order. A set of units keeps order when, for every key, the
//! settled members are a prefix of the queue; it is feasible when every key that has a member in the
//! set ends at or above its floor. The union of two feasible, order-keeping sets is feasible, so
//! exactly one largest exists, and [`settle`] finds it:
//!
//! | # | phase  | cost                    | what happens                                              |
//! |---|--------|-------------------------|-----------------------------------------------------------|
//! | 1 | start  | O(legs)                 | all settle; what each key then holds above its floor       |
//! | 2 | step   | O(1) to find, see 3     | the first failing key loses its last member                |
//! | 3 | follow | O(legs), over all steps | with each removed unit goes all behind it in its queues    |
//! | 4 | end    | O(keys)                 | no test fails: what is left settles, the trace is complete |
//!
//! A unit is removed at most once and tests update as units go, so the whole is linear. The trace of
//! removals is canonical: equal problems give equal traces (see [`crate::certificate`]).
//!
//! A key is an account, or a whole participant where a test spans its accounts. Tests of a key, in order
//! of precedence, all closed (equality passes); with balance `b`, rate `r`, haircut `h`:
//!
//! | test            | passes while                                     | spans     |
//! |-----------------|--------------------------------------------------|-----------|
//! | floor           | `b >= floor`                                     | no        |
//! | aggregate short | `sum r max(0,-b) <= limit`                       | accounts  |
//! | account value   | `sum r [max(0,b)(1-h) - max(0,-b)(1+h)] >= 0`    | accounts  |
//! | bilateral cap   | paid to a creditor, net of what comes back, `<= cap` | no    |
//!
//! None gets harder as money comes in, and all debits that one reads lie in one key: that is all that the
//! argument needs.
//!
//! Where a scheme lets units pass each other, [`bypass()`] then looks for more than order allows.

mod bitmap;
mod bypass;
mod explain;
mod floors;
mod lowest;
mod parts;
mod problem;
mod queues;
mod settle;
mod spanning;
mod union;
mod value;

pub use bitmap::{Bitmap, BitmapError};
pub use bypass::{Bypass, Component, LeftOut, bypass, left_out};
pub use explain::{
    Explainer, PAY_IN_MAX, Reason, settle_explained, smallest_pay_in, smallest_pay_ins,
};
pub use parts::{Part, Parts};
pub use problem::{
    AssetValue, Cap, FLOOR_NONE, HAIRCUT_SCALE, Leg, Problem, ProblemError, RATE_SCALED_MAX, Span,
};
pub use settle::settle;
pub use spanning::Test;

/// Why a unit was removed from the set of those that settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The key's test failed and this was the key's last member. Starts a step.
    Test {
        /// The failing key: the first in order of first debit in the queue.
        key: u32,
    },
    /// The unit stands behind one that this step removed earlier, in a queue which both are in.
    Order {
        /// The key in whose queue the unit stands behind.
        key: u32,
        /// The unit that went before it.
        behind: u32,
    },
}

/// One entry of the canonical trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The unit, by its place in the queue.
    pub unit: u32,
    /// The step, counted from 0: one failed test and all that follows from it.
    pub step: u32,
    /// What forced the removal.
    pub cause: Cause,
}

/// What a run decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One bit per unit, in queue order: set when it settles.
    pub settled: Bitmap,
    /// What each account holds after the run, in minor units. Wider than the openings: nothing bounds
    /// what a key without members may receive.
    pub closing: Vec<i128>,
    /// The canonical trace: each unit that does not settle, once, in order of removal.
    pub removals: Vec<Removal>,
}
