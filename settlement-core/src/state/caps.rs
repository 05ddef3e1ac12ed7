//! Bilateral caps where money moves. Acceptance counts what comes back as soon as it is accepted; here
//! only what has settled counts, so that no cap is exceeded by what settles, whatever is cancelled,
//! rejected or lowered in between.
//!
//! | where              | a unit may settle while                                                        |
//! |--------------------|--------------------------------------------------------------------------------|
//! | gross: entry, release | what it pays, net, is within the room: the cap less what settled on the date |
//! | a run              | what all that settles pays, net, is within the room (see [`crate::run`])       |
//! | a run's result     | that still is so: the gross lane may have taken room while it ran              |
//!
//! All lanes and cycles of a value date share the room. Where a cap was lowered below what has settled
//! there is none, and nothing but what comes back settles.

use super::State;
use super::cycles::Cycle;
use crate::event::OrderLeg;
use crate::ids::{AccountId, CycleName, Date, ParticipantId};
use crate::run::{Bitmap, Cap, Leg};
use std::collections::BTreeMap;

/// Of accounts without a cap, and the most that a run is told: no sum that moves in one day is above it.
const ROOM_MAX: i64 = i64::MAX;
/// Below any room: calls for another run.
const ROOM_OUTDATED: i64 = -1;

impl State {
    /// What a cap still lets settle on a value date, minor units, net of what comes back.
    fn room_under(
        &self,
        amount: i64,
        date: Date,
        account: AccountId,
        counterparty: ParticipantId,
    ) -> i64 {
        let settled = self.usage.get(date, account, counterparty).settled;
        let room = (i128::from(amount) - settled).clamp(0, ROOM_MAX.into());
        i64::try_from(room).expect("clamped")
    }

    fn room(&self, date: Date, account: AccountId, counterparty: ParticipantId) -> Option<i64> {
        let cap = self.limits.bilateral(account, counterparty)?;
        Some(self.room_under(cap, date, account, counterparty))
    }

    /// What a supposed cap would leave.
    pub(super) fn supposed_room(
        &self,
        amount: i64,
        date: Date,
        debtor: AccountId,
        creditor: AccountId,
    ) -> i64 {
        self.room_under(amount, date, debtor, self.owner(creditor))
    }

    /// By cap of a run: the room that there is now.
    pub(super) fn rooms(&self, date: Date, caps: &[Cap]) -> Vec<i64> {
        let room = |cap: &Cap| {
            let counterparty = self.owner(AccountId(cap.creditor));
            let room = self.room(date, AccountId(cap.debtor), counterparty);
            room.unwrap_or(ROOM_MAX)
        };
        caps.iter().map(room).collect()
    }

    /// Whether a unit of the gross lane keeps every cap.
    #[inline]
    pub(super) fn has_room_for(&self, date: Date, legs: &[OrderLeg]) -> bool {
        !self.limits.has_bilateral() || legs.iter().all(|leg| self.keeps_cap(date, leg, legs))
    }

    fn keeps_cap(&self, date: Date, leg: &OrderLeg, unit: &[OrderLeg]) -> bool {
        let counterparty = self.owner(leg.creditor);
        let room = self.room(date, leg.debtor, counterparty);
        room.is_none_or(|room| self.paid(unit.iter(), leg.debtor, counterparty) <= i128::from(room))
    }

    /// The caps that a run over these legs reads, by accounts; those that all of the legs together do
    /// not reach are left out.
    pub(super) fn run_caps(&self, date: Date, legs: impl Iterator<Item = Leg>) -> Vec<Cap> {
        if !self.limits.has_bilateral() {
            return Vec::new();
        }
        let mut sums: BTreeMap<(u32, u32), i128> = BTreeMap::new();
        for leg in legs {
            *sums.entry((leg.debtor, leg.creditor)).or_default() += i128::from(leg.amount);
        }
        let cap = |((debtor, creditor), sum): ((u32, u32), i128)| {
            let counterparty = self.owner(AccountId(creditor));
            let amount = self.room(date, AccountId(debtor), counterparty)?;
            (i128::from(amount) < sum).then_some(Cap {
                debtor,
                creditor,
                amount,
            })
        };
        sums.into_iter().filter_map(cap).collect()
    }

    /// All caps, with the room under each.
    pub(super) fn all_caps(&self, date: Date) -> Vec<Cap> {
        let cap = |((account, counterparty), cap): ((AccountId, ParticipantId), i64)| {
            let asset = self.directory.account(account).asset;
            let creditor = self.directory.account_id(counterparty, asset)?;
            Some(Cap {
                debtor: account.0,
                creditor: creditor.0,
                amount: self.room_under(cap, date, account, counterparty),
            })
        };
        self.limits.bilaterals().filter_map(cap).collect()
    }

    /// Whether what a run settles is within the room as it is now.
    pub(super) fn has_room_for_members(&self, cycle: &Cycle, settled: &Bitmap) -> bool {
        if !self.limits.has_bilateral() {
            return true;
        }
        let mut paid: BTreeMap<(u32, u32), i128> = BTreeMap::new();
        for leg in settled_legs(cycle, settled) {
            *paid.entry((leg.debtor, leg.creditor)).or_default() += i128::from(leg.amount);
            *paid.entry((leg.creditor, leg.debtor)).or_default() -= i128::from(leg.amount);
        }
        let date = cycle.name.value_date;
        paid.into_iter().all(|((debtor, creditor), paid)| {
            let counterparty = self.owner(AccountId(creditor));
            let room = self.room(date, AccountId(debtor), counterparty);
            room.is_none_or(|room| paid <= i128::from(room))
        })
    }

    /// Whether a run's outcome is known for a cycle's inputs as they are, and under its caps there is no
    /// more room than that run left.
    pub(super) fn has_outcome(&self, cycle: &Cycle) -> bool {
        if !cycle.has_run() {
            return false;
        }
        let rooms = self.rooms(cycle.name.value_date, &cycle.rooms);
        let mut pairs = cycle.rooms.iter().zip(rooms);
        pairs.all(|(left, now)| now <= left.amount)
    }

    /// A leg settles.
    #[inline]
    pub(super) fn count_settled(&mut self, date: Date, leg: &OrderLeg) {
        let (debtor, creditor) = (self.owner(leg.debtor), self.owner(leg.creditor));
        let (usage, amount) = (&mut self.usage, i128::from(leg.amount));
        usage.get_mut(date, leg.debtor, creditor).settled += amount;
        usage.get_mut(date, leg.creditor, debtor).settled -= amount;
    }

    /// Members that a run settles, before they are marked; whom they pay may have more room.
    pub(super) fn count_settled_members(&mut self, name: CycleName, settled: &Bitmap) {
        let index = self.cycle_index(name) as usize;
        let has_caps = self.limits.has_bilateral();
        let Self {
            cycles,
            directory,
            usage,
            queues,
            ..
        } = self;
        for leg in settled_legs(&cycles[index], settled) {
            let (debtor, creditor) = (AccountId(leg.debtor), AccountId(leg.creditor));
            let owner = |account| directory.account(account).participant;
            let (date, amount) = (name.value_date, i128::from(leg.amount));
            usage.get_mut(date, debtor, owner(creditor)).settled += amount;
            usage.get_mut(date, creditor, owner(debtor)).settled -= amount;
            if has_caps {
                queues.touch(creditor);
            }
        }
    }

    /// A run's outcome is known: what it read of caps, and the room that there was under each before its
    /// outcome was taken. Where that had grown while it ran, it did not see all.
    pub(super) fn note_ran(&mut self, name: CycleName, caps: &[Cap], before: &[i64]) {
        let after = self.rooms(name.value_date, caps);
        let left = |(cap, (&before, after)): (&Cap, (&i64, i64))| {
            let grown = before > cap.amount;
            let amount = if grown { ROOM_OUTDATED } else { after };
            Cap { amount, ..*cap }
        };
        let rooms = caps
            .iter()
            .zip(before.iter().zip(after))
            .map(left)
            .collect();
        let cycle = self.cycle_mut(name);
        cycle.rooms = rooms;
        cycle.ran = Some(cycle.version);
    }
}

fn settled_legs<'a>(cycle: &'a Cycle, settled: &'a Bitmap) -> impl Iterator<Item = &'a Leg> {
    let waiting = (0..).zip(cycle.waiting());
    let units = waiting.filter(|(bit, _)| settled.get(*bit));
    units.flat_map(|(_, member)| member.legs)
}
