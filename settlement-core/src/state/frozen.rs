//! The frozen view: one state, at one sequence, that answers what would cost the writer too much.
//!
//! | question      | cost                                            | module    |
//! |---------------|-------------------------------------------------|-----------|
//! | explain       | one run a lane, then one of its part a binding account, each once | `explain` |
//! | what-if       | two runs                                        | `what_if` |
//! | funding       | the accounts and units                          | `funding` |
//!
//! It never changes, so what was worked out once is kept, and any number of threads may ask.

mod explain;
mod funding;
mod what_if;

use super::State;
use super::identities::{EntryId, Standing};
use super::queues::Place;
use crate::ids::{CycleName, Sequence, Timestamp};
use crate::instruction::Priority;
use crate::run::{Explainer, Outcome, Parts, Problem, Reason, settle, smallest_pay_ins};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use what_if::{Change, WhatIfError};

/// Whose run: all gross instructions', or one cycle's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RunScope {
    /// The gross lane.
    Gross,
    /// The net lane's cycle of this name.
    Cycle(CycleName),
}

/// The state as it was at one durable sequence.
pub struct FrozenView {
    state: State,
    sequence: Sequence,
    time: Timestamp,
    runs: Mutex<BTreeMap<RunScope, Arc<RunView>>>,
}

/// What a run would read now.
pub(super) struct RunInputs {
    pub(super) problem: Problem,
    /// By unit of the problem.
    pub(super) units: Vec<Place>,
}

/// A run over the inputs as they are, and why it leaves behind what it does.
struct RunView {
    inputs: RunInputs,
    outcome: Outcome,
    reasons: Vec<Option<Reason>>,
    /// By place: its unit.
    places: BTreeMap<EntryId, u32>,
    parts: Parts,
    /// By account.
    pay_ins: Mutex<BTreeMap<u32, PayIns>>,
}

/// The units of one account's part, ascending, and the [`smallest_pay_ins`] to it that free each.
type PayIns = Arc<(Vec<u32>, Vec<Option<i64>>)>;

impl FrozenView {
    /// A view of `state`, which has applied all up to `sequence`, the last at record time `time`.
    pub fn new(state: State, sequence: Sequence, time: Timestamp) -> Self {
        Self {
            state,
            sequence,
            time,
            runs: Mutex::default(),
        }
    }

    /// The last sequence that it shows.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Record time then.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The state itself.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The run of a scope; `None` if there is no such cycle.
    fn run(&self, scope: RunScope) -> Option<Arc<RunView>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = runs.get(&scope) {
            return Some(Arc::clone(known));
        }
        let made = Arc::new(RunView::new(self.state.run_inputs(scope)?));
        runs.insert(scope, Arc::clone(&made));
        Some(made)
    }
}

impl State {
    /// What a run of the scope would read now; `None` if there is no such cycle.
    fn run_inputs(&self, scope: RunScope) -> Option<RunInputs> {
        match scope {
            RunScope::Gross => Some(self.gridlock(Priority::Normal)),
            RunScope::Cycle(name) => {
                let cycle = self.cycle(name)?;
                let waiting = cycle.waiting();
                Some(RunInputs {
                    problem: self.cycle_problem(cycle),
                    units: waiting
                        .map(|member| (member.priority, member.rank, member.place))
                        .collect(),
                })
            }
        }
    }

    /// The run that a waiting instruction is part of, and its unit's place.
    fn scope_of(&self, id: EntryId) -> Option<(RunScope, EntryId)> {
        let place = self.unit_of(id);
        match self.identities.standing(id) {
            Standing::Queued => Some((RunScope::Gross, place)),
            Standing::Member(cycle) => {
                let name = self.cycles[cycle as usize].name;
                Some((RunScope::Cycle(name), place))
            }
            Standing::Settled(_)
            | Standing::Unmatched
            | Standing::Pending
            | Standing::Rejected(_)
            | Standing::Cancelled => None,
        }
    }
}

impl RunView {
    fn new(inputs: RunInputs) -> Self {
        let outcome = settle(&inputs.problem);
        let explainer = Explainer::new(&inputs.problem, &outcome);
        let units = 0..inputs.problem.unit_count();
        let reasons = units.map(|unit| explainer.reason(unit)).collect();
        let places = (0..).zip(&inputs.units);
        Self {
            reasons,
            places: places.map(|(unit, &(.., place))| (place, unit)).collect(),
            parts: Parts::new(&inputs.problem),
            outcome,
            inputs,
            pay_ins: Mutex::default(),
        }
    }

    /// The smallest pay-in to the account that frees the unit.
    fn smallest_pay_in(&self, unit: u32, account: u32) -> Option<i64> {
        let mut known = self.pay_ins.lock().unwrap_or_else(PoisonError::into_inner);
        let pay_ins = known
            .entry(account)
            .or_insert_with(|| Arc::new(self.pay_ins_to(account)));
        let (units, pay_ins) = &**pay_ins;
        // A unit of another part is freed by no pay-in here.
        let at = units.binary_search(&unit).ok()?;
        pay_ins[at]
    }

    fn pay_ins_to(&self, account: u32) -> (Vec<u32>, Vec<Option<i64>>) {
        let part = self.parts.of_account(&self.inputs.problem, account);
        let account = part.account(account).expect("the part was made for it");
        let pay_ins = smallest_pay_ins(&part.problem, account);
        (part.units, pay_ins)
    }
}
