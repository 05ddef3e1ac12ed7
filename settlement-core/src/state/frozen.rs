//! The frozen view: one state, at one sequence, that answers what would cost the writer too much.
//!
//! | question      | cost                                            | module    |
//! |---------------|-------------------------------------------------|-----------|
//! | explain       | one run a lane, then one of its part for the first unit of a binding account, and one for all others | `explain` |
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
use crate::ids::{CycleName, Date, Sequence, Timestamp};
use crate::instruction::Priority;
use crate::run::{
    Explainer, Outcome, Part, Parts, Problem, settle_explained, smallest_pay_in, smallest_pay_ins,
};
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
    explainer: Explainer,
    /// By place: its unit.
    places: BTreeMap<EntryId, u32>,
    parts: Parts,
    /// The largest part that was asked for, by its root.
    part: Mutex<Option<(u32, Arc<Part>)>>,
    /// By account.
    pay_ins: Mutex<BTreeMap<u32, PayIns>>,
}

/// The smallest pay-ins to one account that are known: the first that is asked for is searched alone,
/// the second time all are.
enum PayIns {
    /// A unit, and its own.
    One(u32, Option<i64>),
    /// The units of the account's part, ascending, and those of each.
    All(Vec<u32>, Vec<Option<i64>>),
}

impl PayIns {
    /// Of a unit, if it is known.
    fn get(&self, unit: u32) -> Option<Option<i64>> {
        match self {
            Self::One(known, pay_in) => (*known == unit).then_some(*pay_in),
            // A unit of another part is freed by no pay-in here.
            Self::All(units, pay_ins) => {
                let at = units.binary_search(&unit).ok();
                Some(at.and_then(|at| pay_ins[at]))
            }
        }
    }
}

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

    /// Of a scope's units: gross ones wait for no later day.
    fn date_of(&self, scope: RunScope) -> Date {
        match scope {
            RunScope::Gross => self.time.date(),
            RunScope::Cycle(name) => name.value_date,
        }
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
        let (outcome, explainer) = settle_explained(&inputs.problem);
        let places = (0..).zip(&inputs.units);
        Self {
            places: places.map(|(unit, &(.., place))| (place, unit)).collect(),
            parts: Parts::new(&inputs.problem),
            outcome,
            explainer,
            inputs,
            part: Mutex::default(),
            pay_ins: Mutex::default(),
        }
    }

    /// The smallest pay-in to the account that frees the unit.
    fn smallest_pay_in(&self, unit: u32, account: u32) -> Option<i64> {
        let mut known = self.pay_ins.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&account).map(|pay_ins| pay_ins.get(unit));
        if let Some(Some(pay_in)) = found {
            return pay_in;
        }
        let part = self.part(account);
        let here = part.account(account).expect("the part was made for it");
        let pay_ins = if found.is_none() {
            let at = part.units.binary_search(&unit).ok();
            let at = at.and_then(|at| u32::try_from(at).ok());
            let pay_in = at.and_then(|at| smallest_pay_in(&part.problem, here, at));
            PayIns::One(unit, pay_in)
        } else {
            let pay_ins = smallest_pay_ins(&part.problem, here);
            PayIns::All(part.units.clone(), pay_ins)
        };
        let pay_in = pay_ins.get(unit).expect("searched for");
        known.insert(account, pay_ins);
        pay_in
    }

    /// The part that holds the account. The largest so far is kept.
    fn part(&self, account: u32) -> Arc<Part> {
        let root = self.parts.root(&self.inputs.problem, account);
        let mut kept = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, part)) = &*kept
            && *known == root
            && part.account(account).is_some()
        {
            return Arc::clone(part);
        }
        let part = Arc::new(self.parts.of_account(&self.inputs.problem, account));
        let size = |part: &Part| part.units.len();
        if kept
            .as_ref()
            .is_none_or(|(_, kept)| size(kept) < size(&part))
        {
            *kept = Some((root, Arc::clone(&part)));
        }
        part
    }
}
