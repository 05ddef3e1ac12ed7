//! Runs, completion and suspension: what follows for cycles and their members.

use super::State;
use super::batch::account_amount;
use super::cycles::{Cycle, Sums, at};
use crate::certificate::Certificate;
use crate::event::{Batch, Event};
use crate::ids::{AccountId, CycleName, ParticipantId, Sequence, Timestamp};
use crate::record::RunResult;
use crate::rejection::Rejection;
use crate::risk::Funding;
use crate::run::{self, Bitmap, Leg, Problem};
use crate::view::CycleState;
use fx::I256;
use sha2::{Digest as _, Sha256};

/// Derives the seed of the gross batch that a cycle's run closes from the run's.
const GROSS_SEED_DOMAIN: &[u8] = b"valuta-gross-seed-v1";
const BYPASS_DOMAIN: &[u8] = b"valuta-bypass-v1";
/// Of the search for more than order allows: some tens of milliseconds beside the writer.
const BYPASS_STEPS_MAX: u64 = 1_000_000;

/// A cycle's run that is due: its frozen inputs, to be run beside the writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRequest {
    /// Which cycle.
    pub cycle: CycleName,
    /// Of the inputs; the result is taken only while they are still the cycle's.
    pub version: u64,
    /// Unsettled units that are not held, in queue order; keys are account ids, balances funds.
    pub problem: Problem,
    /// What each unit counts for where order is bypassed; empty where it is kept.
    pub weights: Vec<I256>,
}

impl RunRequest {
    /// Runs it; pure. `seed` is for the batch's salts: random, and never disclosed.
    pub fn run(self, seed: [u8; 32]) -> RunResult {
        let (certificate, outcome) = Certificate::of_run(&self.problem);
        let kept = certificate.hash();
        let more = (!self.weights.is_empty()).then(|| {
            run::bypass(
                &self.problem,
                &outcome.settled,
                &self.weights,
                BYPASS_STEPS_MAX,
            )
        });
        let settled = match &more {
            Some(more) => more.settled.to_bytes(),
            None => outcome.settled.to_bytes(),
        };
        RunResult {
            cycle: self.cycle,
            version: self.version,
            certificate_hash: match &more {
                Some(more) => bypass_hash(&kept, more.optimal, &settled),
                None => kept,
            },
            settled,
            seed,
            bypassed: more.map(|more| more.optimal),
            caps: self.problem.caps().to_vec(),
        }
    }
}

impl State {
    /// The cycle, and the version of its inputs, whose run is due: scheduled; funded or past the
    /// pay-in deadline; and without an outcome for its inputs as they are. Cheap.
    pub fn run_due(&self, now: Timestamp) -> Option<(CycleName, u64)> {
        let live = self
            .cycles_live
            .iter()
            .map(|&index| &self.cycles[index as usize]);
        let mut due = live.filter(|cycle| self.is_run_due(cycle, now));
        due.next().map(|cycle| (cycle.name, cycle.version))
    }

    /// What [`State::run_due`] names, with its frozen inputs: takes a copy of the members' legs.
    pub fn take_run_request(&self, now: Timestamp) -> Option<RunRequest> {
        let (name, version) = self.run_due(now)?;
        Some(RunRequest {
            cycle: name,
            version,
            problem: self.cycle_problem(self.cycle(name)?),
            weights: self.weights(self.cycle(name)?),
        })
    }

    /// The run that a journaled result is of, over the cycle's inputs as they stand and the caps that it
    /// says it read: so that an auditor can run it again. `None` if the result is stale, or no run's.
    pub fn run_request_of(&self, result: &RunResult) -> Option<RunRequest> {
        let cycle = self.cycle(result.cycle)?;
        if !self.is_fresh(cycle, result) {
            return None;
        }
        Some(RunRequest {
            cycle: cycle.name,
            version: cycle.version,
            problem: self.cycle_problem_with(cycle, result.caps.clone()).ok()?,
            weights: self.weights(cycle),
        })
    }

    fn is_fresh(&self, cycle: &Cycle, result: &RunResult) -> bool {
        may_run(cycle) && cycle.version == result.version && !self.has_outcome(cycle)
    }

    /// What a run's result leads to; nothing if its inputs are no longer the cycle's.
    pub(super) fn decide_ran(&self, result: &RunResult) -> Vec<Event> {
        let Some(cycle) = self.cycle(result.cycle) else {
            return Vec::new();
        };
        let fresh = self.is_fresh(cycle, result);
        let count = u32::try_from(cycle.waiting_count()).unwrap_or(u32::MAX);
        let settled = Bitmap::from_bytes(count, &result.settled);
        let Some(settled) = settled.ok().filter(|_| fresh) else {
            return Vec::new();
        };
        if settled.set_count() == 0 {
            return vec![Event::CycleRanEmpty {
                cycle: result.cycle,
                certificate_hash: result.certificate_hash,
                caps: result.caps.clone(),
            }];
        }
        // The gross lane may have taken room under a cap meanwhile.
        let fits = self.has_room_for_members(cycle, &settled);
        let Some(changes) = self.run_changes(cycle, &settled).filter(|_| fits) else {
            return Vec::new();
        };
        // Numbers close in order: a gross batch that took the one before closes first.
        let gross = self.closed_gross_batch(None, derived_seed(&result.seed));
        let mut events: Vec<Event> = gross.map(Event::GrossBatchClosed).into_iter().collect();
        events.push(Event::CycleRan {
            cycle: result.cycle,
            batch: self.cycle_batch(cycle, result, &settled, &changes),
            settled: result.settled.clone(),
            caps: result.caps.clone(),
        });
        events
    }

    /// Each account's change and whether it is touched; `None` if a fund of a prefunded cycle
    /// would end below zero, which no run gives.
    fn run_changes(&self, cycle: &Cycle, settled: &Bitmap) -> Option<Vec<Option<i128>>> {
        let mut changes: Vec<Option<i128>> = vec![None; self.accounts.len()];
        let waiting = (0..).zip(cycle.waiting());
        for (_, member) in waiting.filter(|(bit, _)| settled.get(*bit)) {
            for leg in member.legs {
                *changes[leg.debtor as usize].get_or_insert(0) -= i128::from(leg.amount);
                *changes[leg.creditor as usize].get_or_insert(0) += i128::from(leg.amount);
            }
        }
        let sound = (0..).zip(&changes).all(|(account, change)| {
            cycle.model.funding == Funding::Continuous
                || i128::from(at(&cycle.funds, AccountId(account))) + change.unwrap_or(0) >= 0
        });
        sound.then_some(changes)
    }

    /// Each part of a settled unit is a leaf.
    fn leaf_count(&self, cycle: &Cycle, settled: &Bitmap) -> u32 {
        if !self.groups.has_formed() {
            return settled.set_count();
        }
        let waiting = (0..).zip(cycle.waiting());
        let units = waiting.filter(|(bit, _)| settled.get(*bit));
        let count: usize = units
            .map(|(_, member)| self.parts(member.place).len())
            .sum();
        u32::try_from(count).expect("a run's leaves are numbered with u32")
    }

    fn cycle_batch(
        &self,
        cycle: &Cycle,
        result: &RunResult,
        settled: &Bitmap,
        changes: &[Option<i128>],
    ) -> Batch {
        let touched = || {
            changes
                .iter()
                .enumerate()
                .filter_map(|(at, change)| Some((at, (*change)?)))
        };
        let balance = |(at, change)| account_amount(at, self.accounts[at].balance() + change);
        Batch {
            number: self.batches + 1,
            cycle: Some(result.cycle),
            member_count: self.leaf_count(cycle, settled),
            postings: touched()
                .map(|(at, change)| account_amount(at, change))
                .collect(),
            mirror_postings: Vec::new(),
            balances: touched().map(balance).collect(),
            mirror_balances: Vec::new(),
            certificate_hash: Some(result.certificate_hash),
            seed: result.seed,
            bypassed: result.bypassed,
        }
    }

    /// A cycle of which a run settled the last member completes at once.
    pub(super) fn decide_completion_after(
        &self,
        name: CycleName,
        events: &[Event],
    ) -> Option<Event> {
        let ran = matches!(events.last(), Some(Event::CycleRan { cycle, .. }) if *cycle == name);
        let cycle = self.cycle(name)?;
        let done = cycle.unsettled_count() == 0
            && cycle.state == CycleState::Settling
            && self.short_fund(cycle).is_none();
        (ran && done).then_some(Event::CycleCompleted {
            cycle: name,
            into: None,
        })
    }

    /// Completes a cycle: unsettled members go to the next open cycle of the value date, or are rejected.
    pub(super) fn decide_completion(&self, cycle: &Cycle, now: Timestamp) -> Vec<Event> {
        let into = self.taking_cycle(cycle.name.value_date, now);
        let mut sums = into.map(Cycle::all_sums).unwrap_or_default();
        let settle_by = self.quotes.settle_by(cycle.name.value_date);
        let mut events = Vec::new();
        let mut rolls = false;
        for member in cycle.members().filter(|member| !member.settled) {
            let parts = self.parts(member.place);
            let too_late = |into: &Cycle| {
                let mut until = parts.iter().filter_map(|part| settle_by.get(part));
                until.any(|&until| into.completion_deadline > until)
            };
            let rejection = match into {
                None => Some(Rejection::ExpiredInQueue),
                Some(into) if too_late(into) => Some(Rejection::QuoteExpired),
                Some(_) => {
                    let fits = Sums::fit(&[&sums], member.legs.iter().copied());
                    (!fits).then_some(Rejection::BalanceTooLarge)
                }
            };
            if rejection.is_none() {
                sums.add(member.legs, 1);
                rolls = true;
            }
            events.extend(rejection.map(|rejection| Event::Rejected {
                sequence: self.identities.sequence(member.place),
                rejection,
            }));
        }
        events.push(Event::CycleCompleted {
            cycle: cycle.name,
            into: into.filter(|_| rolls).map(|into| into.name),
        });
        events
    }

    /// After a participant was suspended or reinstated: holds its waiting units, or lets them go, and
    /// replaces the schedules that this changes.
    pub(super) fn hold_and_reschedule(
        &mut self,
        reason: &str,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let scheduled: Vec<(CycleName, u64)> = self
            .settling()
            .map(|cycle| (cycle.name, cycle.version))
            .collect();
        for event in self.hold_events() {
            self.enact(sequence, now, event, events);
        }
        for (name, version) in scheduled {
            let cycle = self.cycle(name).expect("just listed");
            if cycle.version != version {
                let event = self.schedule(cycle, cycle.schedule_version + 1, reason.to_owned());
                self.enact(sequence, now, event, events);
            }
        }
    }

    fn is_run_due(&self, cycle: &Cycle, now: Timestamp) -> bool {
        may_run(cycle)
            && cycle.waiting_count() > 0
            && !self.has_outcome(cycle)
            && (cycle.model.funding == Funding::Continuous
                || now >= cycle.pay_in_deadline
                || cycle.is_funded())
    }

    fn settling(&self) -> impl Iterator<Item = &Cycle> {
        let live = self
            .cycles_live
            .iter()
            .map(|&index| &self.cycles[index as usize]);
        live.filter(|cycle| cycle.state == CycleState::Settling)
    }

    /// Units whose being held does not agree with their parties' states, in order of sequence.
    fn hold_events(&self) -> Vec<Event> {
        let suspended = |owner: ParticipantId| self.directory.is_suspended(owner);
        let involved =
            |debtor, creditor| suspended(self.owner(debtor)) || suspended(self.owner(creditor));
        let mut changed = Vec::new();
        for ((.., id), unit) in self.queues.iter() {
            let held = unit
                .legs
                .iter()
                .any(|leg| involved(leg.debtor, leg.creditor));
            changed.extend((held != unit.held).then_some((id, held)));
        }
        for (id, side) in self.unmatched.iter() {
            let held = side
                .legs
                .iter()
                .any(|leg| involved(leg.debtor, leg.creditor));
            changed.extend((held != side.held).then_some((id, held)));
        }
        for (id, unit) in self.pending.iter() {
            let held = unit
                .legs
                .iter()
                .any(|leg| involved(leg.debtor, leg.creditor));
            changed.extend((held != unit.held).then_some((id, held)));
        }
        for &cycle in &self.cycles_live {
            let members = self.cycles[cycle as usize].members();
            for member in members.filter(|member| !member.settled) {
                let of = |leg: &Leg| involved(AccountId(leg.debtor), AccountId(leg.creditor));
                let held = member.legs.iter().any(of);
                changed.extend((held != member.held).then_some((member.place, held)));
            }
        }
        changed.sort_unstable();
        let event = |(id, held)| Event::Held {
            unit: self.identities.sequence(id),
            held,
        };
        changed.into_iter().map(event).collect()
    }
}

/// A continuous cycle runs from its close on.
fn may_run(cycle: &Cycle) -> bool {
    match cycle.model.funding {
        Funding::Prefunded => cycle.state == CycleState::Settling,
        Funding::Continuous => matches!(cycle.state, CycleState::Closed | CycleState::Settling),
    }
}

/// What a run that bypassed order is known by: what settles with order kept, and what does.
fn bypass_hash(kept: &[u8; 32], optimal: bool, settled: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(BYPASS_DOMAIN);
    hasher.update(kept);
    hasher.update([u8::from(optimal)]);
    hasher.update(settled);
    hasher.finalize().into()
}

fn derived_seed(seed: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed);
    hasher.update(GROSS_SEED_DOMAIN);
    hasher.finalize().into()
}
