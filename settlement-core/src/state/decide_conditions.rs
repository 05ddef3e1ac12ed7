//! Conditions: whether an instruction's can come true, who makes them true, and what then follows.

use super::decide_command::{invalid, not_found, not_permitted};
use super::identities::{EntryId, Standing};
use super::pending::{GroupKey, PendingUnit};
use super::queues::Rank;
use super::{State, end_of_life};
use crate::command::{Caller, Refusal};
use crate::conditions::{Conditions, Hash, PREIMAGE_BYTES_MAX};
use crate::event::{Entry, Event, OrderLeg};
use crate::ids::{Date, Sequence, Timestamp};
use crate::instruction::{Body, Identity, Lane};
use crate::rejection::Rejection;
use crate::view::Waiting;

/// A unit at the door of its lane.
pub(super) struct Candidate<'a> {
    pub(super) id: EntryId,
    pub(super) priority: crate::instruction::Priority,
    pub(super) lane: Lane,
    pub(super) value_date: Date,
    pub(super) settle_by: Option<Timestamp>,
    pub(super) legs: &'a [OrderLeg],
}

impl State {
    /// What conditions ask for on entry.
    pub(super) fn check_conditions(
        &self,
        conditions: &Conditions,
        body: &Body,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let start = conditions.not_before.map_or(now, |since| since.max(now));
        let end = end_of_life(body.lane, body.value_date);
        if start >= conditions.expires_at.map_or(end, |until| until.min(end)) {
            return Err(Rejection::ConditionsNeverTrue);
        }
        let unknown = |bic| self.directory.participant_id(bic).is_none();
        let approvers = conditions.approvals.iter().flat_map(|named| &named.of);
        if approvers.copied().any(unknown) {
            return Err(Rejection::ApproverUnknown);
        }
        let taken = |document| self.documents.is_taken(document);
        if conditions.document.is_some_and(taken) {
            return Err(Rejection::DocumentHashTaken);
        }
        Ok(())
    }

    /// Where a unit goes of which nothing more must become true.
    pub(super) fn lane_entry(
        &self,
        unit: &Candidate<'_>,
        now: Timestamp,
    ) -> Result<Entry, Rejection> {
        if unit.lane == Lane::Gross {
            // It comes after all that wait.
            let place = (unit.priority, Rank::of(self.identities.next()), unit.id);
            let blocked = self.is_blocked(unit.legs);
            return Ok(if blocked {
                Entry::Queued
            } else {
                self.gross_entry(place, unit.value_date, unit.legs)
            });
        }
        let cycle = self.taking_cycle(unit.value_date, now);
        let cycle = cycle.ok_or(Rejection::PastCutOff)?;
        let kind = self.identities.identity(unit.id).kind;
        self.check_cycle_cut_offs(unit.legs, kind, cycle, now)?;
        let until = unit.settle_by.unwrap_or(Timestamp(i64::MAX));
        if cycle.completion_deadline > until {
            return Err(Rejection::QuoteExpired);
        }
        if !cycle.has_room_for(unit.legs.iter().map(super::decide_instruction::run_leg)) {
            return Err(Rejection::BalanceTooLarge);
        }
        Ok(Entry::Member(cycle.name))
    }

    /// Lets a unit go as far as its conditions allow.
    pub(super) fn advance(
        &mut self,
        id: EntryId,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let mut unit = id;
        loop {
            match self.decide_advance(unit, now) {
                Ok(None) => return,
                Ok(Some(event)) => {
                    unit = match &event {
                        Event::Matched { second, .. } => self.entry_of(*second),
                        _ => unit,
                    };
                    self.enact(sequence, now, event, events);
                }
                Err(rejection) => return self.reject(unit, rejection, sequence, now, events),
            }
        }
    }

    fn decide_advance(&self, id: EntryId, now: Timestamp) -> Result<Option<Event>, Rejection> {
        if self.identities.is_held(id) {
            return Ok(None);
        }
        match self.identities.standing(id) {
            Standing::Unmatched => self.decide_match(id, now),
            Standing::Pending => {
                let unit = self.pending.get(id).expect("it stands there");
                match unit.terms.group {
                    _ if now >= unit.terms.expires_at => Ok(None),
                    Some(key) if unit.progress.is_none() => self.decide_group(&key, now),
                    _ => self.decide_release(id, unit, now),
                }
            }
            _ => Ok(None),
        }
    }

    fn decide_release(
        &self,
        id: EntryId,
        unit: &PendingUnit,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let ready = |progress: &crate::conditions::Progress| progress.is_ready(now);
        if !unit.progress.as_ref().is_none_or(ready) {
            return Ok(None);
        }
        let entry = match (unit.trade, unit.terms.group) {
            (Some(_), _) => Entry::Unmatched,
            (None, Some(_)) => Entry::Grouped,
            (None, None) => self.lane_entry(&candidate(id, unit), now)?,
        };
        let sequence = self.identities.sequence(id);
        Ok(Some(Event::Released { sequence, entry }))
    }

    /// The group as one unit, if all of it are ready.
    fn decide_group(&self, key: &GroupKey, now: Timestamp) -> Result<Option<Event>, Rejection> {
        let ready = self.groups.ready(key);
        let instructions = |&id: &EntryId| self.identities.instruction_count(id);
        let unit = |&id: &EntryId| self.pending.get(id).expect("a ready one waits");
        let count: u64 = ready.iter().map(instructions).sum();
        let stuck = |unit: &PendingUnit| unit.held || now >= unit.terms.expires_at;
        if count != u64::from(key.0.members) || ready.iter().map(unit).any(stuck) {
            return Ok(None);
        }
        for id in ready {
            // Each by the cut-offs of its own kind.
            self.lane_entry(&candidate(*id, unit(id)), now)?;
        }
        let legs: Vec<OrderLeg> = ready
            .iter()
            .flat_map(|id| unit(id).legs.iter().copied())
            .collect();
        let settle_by = ready.iter().filter_map(|id| unit(id).terms.settle_by);
        let last = *ready.last().expect("a group has members");
        let entry = self.lane_entry(
            &Candidate {
                id: last,
                priority: self.lowest_priority(ready),
                lane: key.1,
                value_date: key.2,
                settle_by: settle_by.min(),
                legs: &legs,
            },
            now,
        )?;
        let sequence = |&id: &EntryId| self.identities.sequence(id);
        let units = ready.iter().map(sequence).collect();
        Ok(Some(Event::GroupFormed { units, entry }))
    }

    /// Nobody's own payments may be overtaken by what it ranked below them.
    pub(super) fn lowest_priority(&self, pending: &[EntryId]) -> crate::instruction::Priority {
        let units = pending.iter().filter_map(|&id| self.pending.get(id));
        let lowest = units.map(|unit| unit.priority).max();
        lowest.expect("a group has members")
    }

    /// Rejects a unit, and with it all that wait for the group that it names.
    pub(super) fn reject(
        &mut self,
        id: EntryId,
        rejection: Rejection,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let group = self.group_waited_for(id);
        let unit = self.identities.sequence(id);
        let rejected = |sequence, rejection| Event::Rejected {
            sequence,
            rejection,
        };
        self.enact(sequence, now, rejected(unit, rejection), events);
        let others = group.map(|key| self.groups.named(&key));
        for other in others.into_iter().flatten() {
            let unit = self.identities.sequence(other);
            let event = rejected(unit, Rejection::GroupIncomplete);
            self.enact(sequence, now, event, events);
        }
    }

    fn group_waited_for(&self, id: EntryId) -> Option<GroupKey> {
        let pending = self.pending.get(id).map(|unit| unit.terms);
        let terms = pending.or_else(|| self.unmatched.get(id).map(|side| side.terms));
        terms?.group
    }

    /// Why a unit whose time is over did not get further.
    fn expiry_of(unit: &PendingUnit, past_cut_off: bool) -> Rejection {
        if unit.terms.expiry == Rejection::QuoteExpired && !past_cut_off {
            return Rejection::QuoteExpired;
        }
        match unit.waits_for() {
            Waiting::Approval => Rejection::ApprovalsMissing,
            Waiting::Preimage => Rejection::PreimageMissing,
            Waiting::Group => Rejection::GroupIncomplete,
            _ if past_cut_off => Rejection::PastCutOff,
            _ => unit.terms.expiry,
        }
    }

    /// Rejects what waits for a condition at the end of its time, or when no cycle takes it any more;
    /// and members of open cycles that expire.
    pub(super) fn expire_conditional(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        while let Some(id) = self.pending.expired(now) {
            let unit = self.pending.get(id).expect("just found");
            let rejection = Self::expiry_of(unit, false);
            self.reject(id, rejection, sequence, now, events);
        }
        for id in self.expired_members(now) {
            self.reject(id, Rejection::ExpiredInQueue, sequence, now, events);
        }
        self.reject_past_cut_off(sequence, now, events);
    }

    /// Rejects net instructions that no cycle takes any more, with a condition still to come true.
    pub(super) fn reject_past_cut_off(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let net = self
            .pending
            .iter()
            .filter(|(_, unit)| unit.lane == Lane::Net);
        let late = net.filter(|(_, unit)| self.taking_cycle(unit.value_date, now).is_none());
        let late: Vec<EntryId> = late.map(|(id, _)| id).collect();
        for id in late {
            // Its group may have taken it along.
            if let Some(unit) = self.pending.get(id) {
                let rejection = Self::expiry_of(unit, true);
                self.reject(id, rejection, sequence, now, events);
            }
        }
    }

    fn expired_members(&self, now: Timestamp) -> Vec<EntryId> {
        let revocable = |id: &EntryId| match self.identities.standing(*id) {
            Standing::Member(cycle) => {
                self.cycles[cycle as usize].state == crate::view::CycleState::Open
            }
            _ => false,
        };
        self.member_expiries.due(now).filter(revocable).collect()
    }

    /// Lets those go whose instant has come.
    pub(super) fn mature(&mut self, sequence: Sequence, now: Timestamp, events: &mut Vec<Event>) {
        for id in self.pending.take_due(now) {
            self.advance(id, sequence, now, events);
        }
    }

    /// After a participant is no longer suspended: what became true meanwhile counts now.
    pub(super) fn advance_all(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let pending = self.pending.iter().map(|(id, _)| id);
        let unmatched = self.unmatched.iter().map(|(id, _)| id);
        let mut waiting: Vec<EntryId> = pending.chain(unmatched).collect();
        waiting.sort_unstable();
        for id in waiting {
            self.advance(id, sequence, now, events);
        }
    }

    /// The instruction, if it waits for a condition of its own.
    fn conditional(&self, identity: &Identity) -> Result<(EntryId, &PendingUnit), Refusal> {
        let found = self.identities.find(identity);
        let waits_for_none =
            || Refusal::WrongState("the instruction waits for no such condition".to_owned());
        if self.left_as(identity).is_some() {
            return Err(waits_for_none());
        }
        let id = found.ok_or_else(|| not_found("uetr", "no such instruction"))?;
        let own = |unit: &&PendingUnit| unit.progress.is_some();
        let unit = self.pending.get(id).filter(own);
        let unit = unit.ok_or_else(waits_for_none)?;
        Ok((id, unit))
    }

    pub(super) fn decide_approval(
        &self,
        caller: Caller,
        identity: &Identity,
    ) -> Result<Vec<Event>, Refusal> {
        let Caller::Participant(bic) = caller else {
            return Err(not_permitted("only a participant approves"));
        };
        let participant = self.directory.participant_id(bic);
        if participant.is_none_or(|id| self.directory.is_suspended(id)) {
            return Err(Refusal::WrongState("the caller is suspended".to_owned()));
        }
        let (id, unit) = self.conditional(identity)?;
        let progress = unit.progress.as_ref().expect("just looked");
        let approver = progress.approver(bic);
        let approver = approver
            .ok_or_else(|| not_permitted("the instruction does not name the caller as approver"))?;
        let event = Event::Approved {
            sequence: self.identities.sequence(id),
            approver: bic,
        };
        let again = progress.has_approved(approver);
        Ok((!again).then_some(event).into_iter().collect())
    }

    pub(super) fn decide_preimage(
        &self,
        identity: &Identity,
        preimage: &[u8],
    ) -> Result<Vec<Event>, Refusal> {
        if preimage.is_empty() || preimage.len() > PREIMAGE_BYTES_MAX {
            return Err(invalid("preimage", "is not of 1 to 256 bytes"));
        }
        let (id, unit) = self.conditional(identity)?;
        let progress = unit.progress.as_ref().expect("just looked");
        match progress.conditions().hash_lock {
            None => Err(Refusal::WrongState(
                "the instruction has no hash lock".to_owned(),
            )),
            Some(lock) if lock != Hash::of(preimage) => Err(invalid(
                "preimage",
                "its SHA-256 is not the instruction's hash lock",
            )),
            Some(_) if progress.is_preimage_shown() => Ok(Vec::new()),
            Some(_) => Ok(vec![Event::PreimageShown {
                sequence: self.identities.sequence(id),
                preimage: preimage.to_vec(),
            }]),
        }
    }
}

fn candidate(id: EntryId, unit: &PendingUnit) -> Candidate<'_> {
    Candidate {
        id,
        priority: unit.priority,
        lane: unit.lane,
        value_date: unit.value_date,
        settle_by: unit.terms.settle_by,
        legs: &unit.legs,
    }
}
