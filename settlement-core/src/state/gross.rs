//! The gross lane: entry, release, gridlock, deadlines, and its batch.

use super::State;
use super::decide_instruction::run_leg;
use super::frozen::RunInputs;
use super::identities::EntryId;
use super::queues::{Place, Queued, debited, net_of};
use crate::certificate::Certificate;
use crate::command::AccountState;
use crate::event::{Batch, Entry, Event, OrderLeg};
use crate::ids::{Date, Sequence, Timestamp};
use crate::instruction::{Lane, Priority};
use crate::rejection::Rejection;
use crate::run::{self, Problem};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

impl State {
    /// Where a gross unit goes: it settles at once only if it overtakes nobody and can pay.
    #[inline]
    pub(super) fn gross_entry(&self, place: Place, date: Date, legs: &[OrderLeg]) -> Entry {
        if self.queues.is_behind(place, legs)
            || !self.can_pay(place.0, legs)
            || !self.has_room_for(date, legs)
        {
            return Entry::Queued;
        }
        Entry::Settled
    }

    /// Whether every account that the legs debit can pay from what is free and not kept for a higher
    /// priority: the legs act together, and one that brings an account money takes nothing of it.
    #[inline]
    fn can_pay(&self, priority: Priority, legs: &[OrderLeg]) -> bool {
        if let [leg] = legs {
            let floor = self.limits.floor(leg.debtor, priority);
            return i128::from(self.free(leg.debtor)) - i128::from(floor) >= i128::from(leg.amount);
        }
        debited(legs).all(|account| {
            let net = net_of(legs, account);
            let floor = i128::from(self.limits.floor(account, priority));
            net >= 0 || i128::from(self.free(account)) + net >= floor
        })
    }

    pub(super) fn is_blocked(&self, legs: &[OrderLeg]) -> bool {
        let open = |account| self.directory.account(account).state == AccountState::Open;
        !legs
            .iter()
            .all(|leg| open(leg.debtor) && open(leg.creditor))
    }

    /// Settles what new liquidity lets settle, the first in order first, until nothing does.
    #[inline]
    pub(super) fn release(&mut self, sequence: Sequence, now: Timestamp, events: &mut Vec<Event>) {
        while let Some(place) = self.queues.pop_candidate() {
            if self.is_releasable(place, now) {
                let unit = self.identities.sequence(place.2);
                self.enact(sequence, now, Event::Settled { unit }, events);
            }
        }
    }

    fn is_releasable(&self, place: Place, now: Timestamp) -> bool {
        self.queues.get(place).is_some_and(|unit| {
            !unit.held
                && now < unit.expires_at
                && !self.queues.is_behind(place, &unit.legs)
                && self.can_pay(place.0, &unit.legs)
                && self.has_room_for(unit.value_date, &unit.legs)
                && !self.is_blocked(&unit.legs)
        })
    }

    /// Settles the largest set of queued units that keeps order, and answers its certificate's hash.
    /// A run that settles nothing leaves no trace.
    ///
    /// Where something is kept for higher priorities, an account's floor is that of the lowest priority
    /// that waits on it; what is left then runs again without the lowest priority, and without the next.
    /// So each run is sound and canonical, but a set that only all priorities together could settle,
    /// each at a floor of its own, is not looked for. The hash of several runs is that of their hashes.
    pub(super) fn clear_gridlock(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Option<[u8; 32]> {
        if !self.queues.take_changed() || self.queues.is_empty() {
            return None;
        }
        let lowest = [Priority::Normal, Priority::High, Priority::Urgent];
        let runs = if self.limits.has_reservations() { 3 } else { 1 };
        let mut hashes = Vec::new();
        for &lowest in &lowest[..runs] {
            hashes.extend(self.clear_down_to(lowest, sequence, now, events));
        }
        match hashes[..] {
            [] => None,
            [hash] => Some(hash),
            _ => Some(Sha256::digest(hashes.concat()).into()),
        }
    }

    /// One run over the units of a priority or above.
    fn clear_down_to(
        &mut self,
        lowest: Priority,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Option<[u8; 32]> {
        let RunInputs { problem, units } = self.gridlock(lowest);
        let outcome = run::settle(&problem);
        if outcome.settled.set_count() == 0 {
            return None;
        }
        for unit in outcome.settled.iter_set() {
            let (.., place) = units[unit as usize];
            let unit = self.identities.sequence(place);
            self.enact(sequence, now, Event::Settled { unit }, events);
        }
        Some(Certificate::new(&problem, outcome.removals).hash())
    }

    /// Queued units of a priority or above, with what is free. A unit on a blocked account stays out,
    /// and so does all behind it.
    pub(super) fn gridlock(&self, lowest: Priority) -> RunInputs {
        let balances: Vec<i64> = self.accounts.iter().map(|account| account.free).collect();
        let floors = self.gridlock_floors(lowest);
        let problem = Problem::new(balances, floors).expect("as many floors as balances");
        let units = self.unblocked(lowest);
        // What waits is of one value date, but for what the next tick rejects.
        let date = units.iter().map(|(_, unit)| unit.value_date).max();
        let legs = units.iter().flat_map(|(_, unit)| unit.legs.iter());
        let caps = date.map_or_else(Vec::new, |date| self.run_caps(date, legs.map(run_leg)));
        let mut problem = problem.with_caps(caps).expect("caps name what is there");
        for (_, unit) in &units {
            let legs: Vec<run::Leg> = unit.legs.iter().map(run_leg).collect();
            let pushed = problem.push_unit(&legs);
            pushed.expect("legs were checked when they were accepted");
        }
        let units = units.iter().map(|&(place, _)| place).collect();
        RunInputs { problem, units }
    }

    /// Those of [`State::runnable`] that neither debit a blocked account nor stand behind one that does.
    fn unblocked(&self, lowest: Priority) -> Vec<(Place, &Queued)> {
        let mut stopped = BTreeSet::new();
        let mut units = Vec::new();
        for (place, unit) in self.runnable(lowest) {
            let behind = debited(&unit.legs).any(|account| stopped.contains(&account));
            if behind || self.is_blocked(&unit.legs) {
                stopped.extend(debited(&unit.legs));
            } else {
                units.push((place, unit));
            }
        }
        units
    }

    fn runnable(&self, lowest: Priority) -> impl Iterator<Item = (Place, &Queued)> {
        let units = self.queues.iter();
        units.filter(move |(place, unit)| !unit.held && place.0 <= lowest)
    }

    /// By account: what the lowest of those that wait on it must leave.
    fn gridlock_floors(&self, lowest: Priority) -> Vec<i64> {
        let mut floors = vec![0; self.accounts.len()];
        if self.limits.has_reservations() {
            for (place, unit) in self.runnable(lowest) {
                for account in debited(&unit.legs) {
                    // Priorities only fall along the queue.
                    floors[account.0 as usize] = self.limits.floor(account, place.0);
                }
            }
        }
        floors
    }

    /// Rejects queued units whose time has come: past their value date, or past what their quote allows.
    pub(super) fn expire(&mut self, sequence: Sequence, now: Timestamp, events: &mut Vec<Event>) {
        while let Some((id, rejection)) = self.queues.expired(now) {
            let event = Event::Rejected {
                sequence: self.identities.sequence(id),
                rejection,
            };
            self.enact(sequence, now, event, events);
        }
    }

    /// Rejects trade sides that no cycle takes any more, or whose value date is over.
    pub(super) fn reject_unmatched(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let late: Vec<EntryId> = self
            .unmatched
            .iter()
            .filter(|(_, side)| match side.lane {
                _ if now >= side.terms.expires_at => true,
                Lane::Gross => false,
                Lane::Net => self.taking_cycle(side.value_date, now).is_none(),
            })
            .map(|(id, _)| id)
            .collect();
        for id in late {
            // Its group may have taken it along.
            if self.unmatched.get(id).is_some() {
                self.reject(id, Rejection::Unmatched, sequence, now, events);
            }
        }
    }

    /// The gross batch as it would close now, if it has members.
    pub(super) fn closed_gross_batch(
        &self,
        certificate_hash: Option<[u8; 32]>,
        seed: [u8; 32],
    ) -> Option<Batch> {
        self.gross_batch.closed(
            |account| self.accounts[account].balance(),
            |asset| self.mirrors[asset].balance(),
            certificate_hash,
            seed,
        )
    }

    /// A unit settles: accounts change, the batch takes in its leaves, and whom it pays may pay on.
    #[inline]
    pub(super) fn settle_gross(&mut self, date: Date, legs: &[OrderLeg], leaves: usize) -> u32 {
        for leg in legs {
            self.count_settled(date, leg);
            self.accounts[leg.debtor.0 as usize].free -= leg.amount;
            self.accounts[leg.creditor.0 as usize].free += leg.amount;
            self.gross_batch.post(leg.debtor, -i128::from(leg.amount));
            self.gross_batch.post(leg.creditor, i128::from(leg.amount));
            self.queues.touch(leg.creditor);
        }
        self.admit_to_batch(leaves)
    }

    /// So many members more in the gross batch; answers the batch's number.
    pub(super) fn admit_to_batch(&mut self, leaves: usize) -> u32 {
        let number = self.gross_batch.admit(self.batches + 1, leaves);
        self.batches = number;
        u32::try_from(number).expect("one batch a second for a century is below 2^32")
    }

    /// A queued unit's waiting reason: short if it is the first wherever it pays, else behind.
    pub(super) fn is_first(&self, place: Place, unit: &Queued) -> bool {
        !self.queues.is_behind(place, &unit.legs)
    }
}
