//! Whether a command is taken, and what it then changes first.

use super::identities::{EntryId, Standing};
use super::{CREATED_AGE_MS_MAX, CREATED_AHEAD_MS_MAX, State};
use crate::command::{
    AccountLine, Action, Caller, Command, ParticipantState, Position, Refusal, Reservation, Token,
};
use crate::event::Event;
use crate::ids::{Bic, Timestamp, Uetr};
use crate::instruction::{Identity, Kind, Priority, ShortText};
use crate::remembered::{Final, Request};
use crate::view::{CommandAnswer, CycleState};

/// Of a participant's name, in characters.
pub const NAME_CHARS_MAX: usize = 70;
/// Of the reason for a suspension, in characters.
pub const REASON_CHARS_MAX: usize = 140;
/// Of a rate's source, in characters.
pub const SOURCE_CHARS_MAX: usize = 35;

const SETTLED: &str = "the instruction has settled";
const REJECTED: &str = "the instruction was rejected";

/// What becomes of a command that is not refused.
pub(super) enum Decision {
    /// It was taken before.
    Repeat(CommandAnswer),
    /// Its first events, the request among them.
    Events(Vec<Event>),
}

impl State {
    pub(super) fn decide_command(
        &self,
        command: &Command,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        check_role(command)?;
        let remembered = self.taken(command.caller, command.request_id);
        if let Some(request) = &remembered {
            if request.digest != command.digest {
                return Err(Refusal::RequestIdReused(command.request_id));
            }
            // Settling is asked for again until the cycle has completed: each time has its answer.
            if !matches!(command.action, Action::SettleCycle(_)) {
                return Ok(Decision::Repeat(repeat_of(request)));
            }
        } else {
            check_created(command.created, now)?;
        }
        let changes = self.decide_action(command, now)?;
        if let Some(request) = &remembered
            && changes.is_empty()
        {
            return Ok(Decision::Repeat(repeat_of(request)));
        }
        let mut events = vec![Event::Requested {
            caller: command.caller,
            request_id: command.request_id,
            digest: command.digest,
            created: command.created,
        }];
        events.extend(changes);
        Ok(Decision::Events(events))
    }

    fn decide_action(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match &command.action {
            Action::ApplyScheme(scheme) => self.decide_scheme(scheme),
            Action::SetParticipantState { bic, state, reason } => {
                self.decide_participant_state(*bic, *state, reason)
            }
            Action::SetAccountState(line) => self.decide_account_state(line),
            Action::SetLimit(line) => {
                self.check_limit(line, "limit", &self.names())?;
                Ok(self.limit_change(line))
            }
            Action::CreateToken(token) => self.decide_token(token),
            Action::RevokeToken { label } => self.decide_revocation(*label),
            Action::SetTime(time) => self.decide_time(*time, now),
            Action::SetRates(lines) => self.decide_rates(lines),
            Action::SetRateRules(rules) => self.decide_rate_rules(rules),
            Action::RequestQuote(request) => {
                self.decide_quote_request(command.caller, request, now)
            }
            Action::SetQuoteLimit(line) => self.decide_quote_limit(line),
            Action::LockQuote(terms) => self.decide_quote(command.caller, terms, now),
            Action::OpenCycle {
                cycle,
                cut_off,
                pay_in_deadline,
                completion_deadline,
            } => {
                let instants = [*cut_off, *pay_in_deadline, *completion_deadline];
                self.decide_open(*cycle, instants, now)
            }
            Action::CloseCycle(cycle) => self.decide_close(*cycle, now),
            Action::NetCycle(cycle) => self.decide_net(*cycle),
            Action::SettleCycle(cycle) => self.decide_settle(*cycle, now),
            Action::Move(movement) => self.decide_movement(command.caller, movement),
            Action::Cancel { uetr, kind } => self.decide_cancel(command.caller, *uetr, *kind, now),
            Action::Approve(identity) => self.decide_approval(command.caller, identity),
            Action::ShowPreimage { identity, preimage } => self.decide_preimage(identity, preimage),
            Action::SetRisk(line) => self.decide_risk(line),
            Action::SetReservation(line) => self.decide_reservation(command.caller, line),
            Action::SetPriority {
                uetr,
                kind,
                priority,
            } => self.decide_priority(command.caller, *uetr, *kind, *priority),
            Action::Acknowledge(position) => self.decide_acknowledgement(command.caller, *position),
        }
    }

    fn decide_participant_state(
        &self,
        bic: Bic,
        state: ParticipantState,
        reason: &str,
    ) -> Result<Vec<Event>, Refusal> {
        let participant = self.directory.participant_id(bic);
        let participant = participant.ok_or_else(|| not_found("bic", "no such participant"))?;
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(invalid("reason", "is above 140 characters"));
        }
        let line = self.directory.participant(participant);
        let changed = line.state != state;
        Ok(changed
            .then(|| Event::ParticipantSet {
                bic,
                name: line.name.clone(),
                state,
            })
            .into_iter()
            .collect())
    }

    fn decide_account_state(&self, line: &AccountLine) -> Result<Vec<Event>, Refusal> {
        self.check_account(line, "", &self.names())?;
        Ok(self.account_change(line))
    }

    fn decide_token(&self, token: &Token) -> Result<Vec<Event>, Refusal> {
        if let Some(held) = self.tokens.get(&token.label) {
            return if held == token {
                Ok(Vec::new())
            } else {
                Err(invalid("label", "stands for another token"))
            };
        }
        if self.token_labels.contains_key(&token.hash) {
            return Err(invalid("hash", "is that of another token"));
        }
        let known = match token.caller {
            Caller::Participant(bic) => self.directory.participant_id(bic).is_some(),
            Caller::Agent(bic) => self
                .directory
                .assets()
                .iter()
                .any(|asset| asset.agent == bic),
            Caller::Operator | Caller::Treasury | Caller::Auditor => true,
        };
        if !known {
            return Err(not_found("bic", "is no participant, or no asset's agent"));
        }
        Ok(vec![Event::TokenSet(*token)])
    }

    fn decide_revocation(&self, label: ShortText) -> Result<Vec<Event>, Refusal> {
        if !self.tokens.contains_key(&label) {
            return Err(not_found("label", "no such token"));
        }
        Ok(vec![Event::TokenRevoked { label }])
    }

    fn decide_time(&self, time: Timestamp, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if !self.rehearsal {
            return Err(Refusal::WrongState(
                "only a rehearsal's time can be set".to_owned(),
            ));
        }
        let held = self.rehearsal_time.map_or(now, |held| held.max(now));
        if time < held {
            return Err(invalid("time", "goes back"));
        }
        if time.0 > TIME_MS_MAX {
            return Err(invalid("time", "is past the year 9998"));
        }
        let changed = self.rehearsal_time != Some(time);
        Ok(changed
            .then_some(Event::TimeSet(time))
            .into_iter()
            .collect())
    }

    /// An instruction of the caller's.
    fn own(&self, caller: Caller, uetr: Uetr, kind: Kind) -> Result<EntryId, Refusal> {
        let found = self.identities.find(&own_identity(caller, uetr, kind)?);
        found.ok_or_else(|| not_found("uetr", "no such instruction of the caller"))
    }

    fn decide_cancel(
        &self,
        caller: Caller,
        uetr: Uetr,
        kind: Kind,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.left_as(&own_identity(caller, uetr, kind)?) {
            None => {}
            Some(Final::Cancelled) => return Ok(Vec::new()),
            Some(Final::Settled(_)) => return Err(Refusal::WrongState(SETTLED.to_owned())),
            Some(Final::Rejected(_)) => return Err(Refusal::WrongState(REJECTED.to_owned())),
        }
        let id = self.own(caller, uetr, kind)?;
        let unit = self.unit_of(id);
        let event = Event::Cancelled {
            sequence: self.identities.sequence(unit),
        };
        match self.identities.standing(id) {
            Standing::Cancelled => Ok(Vec::new()),
            standing => match self.immovable(id, standing) {
                Some(reason) => Err(Refusal::WrongState(reason.to_owned())),
                None => {
                    self.check_cancel_cut_off(unit, standing, now)?;
                    Ok(vec![event])
                }
            },
        }
    }

    /// Why an instruction can no longer be cancelled.
    fn immovable(&self, id: EntryId, standing: Standing) -> Option<&'static str> {
        if let Standing::Settled(_) = standing {
            return Some(SETTLED);
        }
        if let Standing::Rejected(_) = standing {
            return Some(REJECTED);
        }
        if self.identities.partner(id).is_some() {
            return Some("the trade is matched: one side alone cannot cancel it");
        }
        if !self.is_all_of(self.unit_of(id), self.identities.identity(id).instructing) {
            return Some("the group is complete: one of its banks alone cannot cancel it");
        }
        match standing {
            Standing::Member(cycle) => (self.cycles[cycle as usize].state != CycleState::Open)
                .then_some("the instruction's cycle has closed"),
            _ => None,
        }
    }

    /// Whether all of a unit came from one bank; such a group it may cancel as a whole.
    fn is_all_of(&self, unit: EntryId, bank: Bic) -> bool {
        self.parts(unit).iter().all(|&part| {
            self.identities.partner(part).is_none()
                && self.identities.identity(part).instructing == bank
        })
    }

    fn decide_reservation(
        &self,
        caller: Caller,
        line: &Reservation,
    ) -> Result<Vec<Event>, Refusal> {
        if let Caller::Participant(bic) = caller
            && bic != line.participant
        {
            return Err(not_permitted("only the account's participant keeps it"));
        }
        let account = self.line_account(line.participant, line.asset);
        let account = account.ok_or_else(|| not_found("participant", "no such account"))?;
        if line.priority == Priority::Normal {
            return Err(invalid("priority", "is not high or urgent"));
        }
        if line.amount < 0 {
            return Err(invalid("amount", "is below zero"));
        }
        let same = self.limits.reservation(account, line.priority) == line.amount;
        let event = Event::ReservationSet(*line);
        Ok((!same).then_some(event).into_iter().collect())
    }

    fn decide_priority(
        &self,
        caller: Caller,
        uetr: Uetr,
        kind: Kind,
        priority: Priority,
    ) -> Result<Vec<Event>, Refusal> {
        let not_queued = || {
            Refusal::WrongState(
                "the instruction does not wait in the gross lane's queues".to_owned(),
            )
        };
        let identity = own_identity(caller, uetr, kind)?;
        if self.left_as(&identity).is_some() {
            return Err(not_queued());
        }
        let id = self.own(caller, uetr, kind)?;
        let unit = self.unit_of(id);
        let ((held, ..), _) = self.queues.by_id(unit).ok_or_else(not_queued)?;
        if !self.is_all_of(unit, self.identities.identity(id).instructing) {
            return Err(Refusal::WrongState(
                "the instruction settles together with another bank's".to_owned(),
            ));
        }
        let unit = self.identities.sequence(unit);
        let event = Event::PrioritySet { unit, priority };
        Ok((held != priority).then_some(event).into_iter().collect())
    }

    fn decide_acknowledgement(
        &self,
        caller: Caller,
        position: Position,
    ) -> Result<Vec<Event>, Refusal> {
        let Caller::Participant(bic) = caller else {
            return Err(not_permitted("only a participant acknowledges"));
        };
        let participant = self.directory.participant_id(bic);
        let participant = participant.ok_or_else(|| not_found("caller", "no such participant"))?;
        let held = self
            .acknowledged
            .get(&participant)
            .copied()
            .unwrap_or_default();
        let forward = position > held;
        Ok(forward
            .then_some(Event::Acknowledged {
                participant,
                position,
            })
            .into_iter()
            .collect())
    }
}

/// The last record time of which every date that the core computes is one of the calendar.
const TIME_MS_MAX: i64 = 253_370_764_800_000;

/// Of an instruction of the caller's.
fn own_identity(caller: Caller, uetr: Uetr, kind: Kind) -> Result<Identity, Refusal> {
    let Caller::Participant(instructing) = caller else {
        return Err(not_permitted("only the instructing participant does this"));
    };
    Ok(Identity {
        uetr,
        instructing,
        kind,
    })
}

fn repeat_of(request: &Request) -> CommandAnswer {
    CommandAnswer {
        sequence: request.sequence,
        changes: request.changes,
        repeated: true,
    }
}

/// Who may call what at all; whose account, asset or instruction it is comes later.
fn check_role(command: &Command) -> Result<(), Refusal> {
    let (allowed, who) = match command.action {
        Action::ApplyScheme(_)
        | Action::SetParticipantState { .. }
        | Action::SetAccountState(_)
        | Action::SetLimit(_)
        | Action::CreateToken(_)
        | Action::RevokeToken { .. }
        | Action::SetTime(_)
        | Action::SetRisk(_)
        | Action::SetRates(_)
        | Action::SetRateRules(_)
        | Action::SetQuoteLimit(_)
        | Action::OpenCycle { .. }
        | Action::CloseCycle(_)
        | Action::NetCycle(_)
        | Action::SettleCycle(_) => (command.caller == Caller::Operator, "the operator"),
        Action::LockQuote(_)
        | Action::RequestQuote(_)
        | Action::Cancel { .. }
        | Action::Approve(_)
        | Action::SetPriority { .. }
        | Action::Acknowledge(_) => (
            matches!(command.caller, Caller::Participant(_)),
            "a participant",
        ),
        Action::SetReservation(_) | Action::ShowPreimage { .. } => (
            matches!(command.caller, Caller::Participant(_) | Caller::Operator),
            "a participant or the operator",
        ),
        Action::Move(_) => (
            matches!(command.caller, Caller::Participant(_) | Caller::Agent(_)),
            "a settlement agent or a participant",
        ),
    };
    if allowed {
        return Ok(());
    }
    Err(not_permitted(format!("only {who} may do this")))
}

fn check_created(created: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if created.0 > now.0 + CREATED_AHEAD_MS_MAX {
        return Err(Refusal::CreatedOutOfRange(
            "more than 5 minutes ahead".to_owned(),
        ));
    }
    if created.0 < now.0 - CREATED_AGE_MS_MAX {
        return Err(Refusal::CreatedOutOfRange(
            "more than 400 days ago".to_owned(),
        ));
    }
    Ok(())
}

pub(super) fn not_permitted(reason: impl Into<String>) -> Refusal {
    Refusal::NotPermitted(reason.into())
}

pub(super) fn not_found(field: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::NotFound {
        field: field.into(),
        reason: reason.into(),
    }
}

pub(super) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::Invalid {
        field: field.into(),
        reason: reason.into(),
    }
}
