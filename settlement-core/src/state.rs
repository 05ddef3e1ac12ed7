//! The state machine: one writer's accounts, queues, cycles and identities.
//!
//! | # | phase        | may refuse | changes the state | module                                      |
//! |---|--------------|------------|-------------------|---------------------------------------------|
//! | 1 | decide       | yes        | no                | `decide_*`: an input becomes its first events |
//! | 2 | apply        | no         | yes               | `apply`: one event                          |
//! | 3 | consequences | no         | through events    | `gross`, `lifecycle`: until nothing follows |
//!
//! `execute_*` does the three for one input. A replay calls only `apply`, with the events in order, and
//! ends in the same state: [`State::digest`] compares. An input that has no events, such as a repeat, a
//! refused command, an idle tick or a stale run, leaves no trace and is not journaled.
//!
//! Accounts are (participant, asset); a balance is what is free, and what is reserved in funds of
//! cycles. What is free never ends an input below zero, nor does a fund of a prefunded cycle; those of a
//! continuous one may be short within the tests. An asset's total, bounded where money enters, and the
//! bound on a cycle's sums then bound every balance, and nothing can overflow after that.

mod apply;
mod apply_conditions;
mod apply_cycle;
mod batch;
mod calendar;
mod caps;
mod cycles;
mod decide_command;
mod decide_conditions;
mod decide_cycle;
mod decide_instruction;
mod decide_movement;
mod decide_quote;
mod decide_quote_request;
mod decide_scheme;
mod digest;
mod frozen;
mod gross;
mod identities;
mod leaving;
mod lifecycle;
mod limits;
mod pending;
mod query;
mod query_cycle;
mod queues;
mod quotes;
mod rates;
mod requests;
mod risk;
mod rounding_ledger;
mod snapshot;
#[cfg(test)]
mod tests;
mod unmatched;
mod window;

use crate::chunks::Chunks;
use crate::command::{
    Action, AssetCutOff, Caller, Command, CutOffPurpose, CutOffs, Position, Refusal, Token,
};
use crate::directory::Directory;
use crate::event::Event;
use crate::ids::{
    AccountId, AssetId, BatchNumber, CycleName, Date, ParticipantId, Sequence, Timestamp,
};
use crate::instruction::{Lane, ShortText, Submission, Submissions};
use crate::record::RunResult;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::view::{CommandAnswer, InstructionAnswer, Statistics};
use batch::GrossBatch;
use calendar::{EntryCutOffs, OpenToday};
use cycles::{Cycle, Cycles};
use fx::{AssetCode, Calendars};
use identities::Identities;
use leaving::Leaving;
use limits::{Limits, Usage};
use minicbor::{Decode, Encode};
use pending::{Documents, Expiries, Groups, Pending};
use queues::Queues;
use quotes::Quotes;
use rates::Rates;
use requests::Requests;
use risk::Risk;
use std::sync::Arc;
use unmatched::Unmatched;

pub use frozen::{Change, FrozenView, RunScope, WhatIfError};
pub use leaving::{HOT_DAYS, Place};
pub use lifecycle::RunRequest;
pub use snapshot::{SNAPSHOT_VERSION, SnapshotError};

/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// How far ahead of record time a creation time may be, in milliseconds.
pub const CREATED_AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;
/// How old a creation time may be, in milliseconds: 400 days, the scheme's retention.
pub const CREATED_AGE_MS_MAX: i64 = 400 * DAY_MS;
/// How many days ahead of record time a value date may be.
pub const VALUE_DATE_AHEAD_DAYS_MAX: i32 = 400;

/// One account. Minor units.
#[derive(Clone, Copy, Default, Encode, Decode)]
struct Account {
    #[n(0)]
    free: i64,
    /// The sum of its funds in cycles.
    #[n(1)]
    reserved: i64,
}

/// What came into, and went out of, the scheme in one asset. Minor units.
#[derive(Clone, Copy, Default, Encode, Decode)]
struct Mirror {
    #[cbor(n(0), with = "crate::record::wide")]
    total_in: i128,
    #[cbor(n(1), with = "crate::record::wide")]
    total_out: i128,
}

/// All that one scheme's engine knows.
#[derive(Clone)]
pub struct State {
    rehearsal: bool,
    rehearsal_time: Option<Timestamp>,
    scheme: Option<(ShortText, AssetCode)>,
    cut_offs: Option<CutOffs>,
    asset_cut_offs: Sorted<(AssetCode, CutOffPurpose), AssetCutOff>,
    calendars: Arc<Calendars>,
    /// Worked out from the two above; no part of the replicated state.
    entry_cut_offs: EntryCutOffs,
    open_today: OpenToday,
    directory: Directory,
    /// By account id.
    accounts: Chunks<Account, 64>,
    /// By asset id.
    mirrors: Chunks<Mirror>,
    limits: Limits,
    risk: Risk,
    usage: Usage,
    identities: Identities,
    queues: Queues,
    unmatched: Unmatched,
    pending: Pending,
    groups: Groups,
    documents: Documents,
    /// Members of cycles that expire before their value date is over.
    member_expiries: Expiries,
    /// In the order of opening.
    cycles: Cycles,
    cycle_numbers: Sorted<CycleName, u32>,
    /// Cycles that are not completed.
    cycles_live: Vec<u32>,
    quotes: Quotes,
    rates: Arc<Rates>,
    tokens: Sorted<ShortText, Token>,
    token_labels: Sorted<[u8; 32], ShortText>,
    tokens_version: u64,
    requests: Requests,
    leaving: Leaving,
    acknowledged: Sorted<ParticipantId, Position>,
    gross_batch: GrossBatch,
    /// The last number that a batch took, be it still open.
    batches: BatchNumber,
    statistics: Statistics,
}

impl State {
    /// An empty scheme. A rehearsal takes its time from [`Action::SetTime`] alone.
    pub fn new(rehearsal: bool) -> Self {
        Self {
            rehearsal,
            rehearsal_time: None,
            scheme: None,
            cut_offs: None,
            asset_cut_offs: Sorted::default(),
            calendars: Arc::new(Calendars::new()),
            entry_cut_offs: EntryCutOffs::default(),
            open_today: OpenToday::default(),
            directory: Directory::default(),
            accounts: Chunks::default(),
            mirrors: Chunks::default(),
            limits: Limits::default(),
            risk: Risk::default(),
            usage: Usage::default(),
            identities: Identities::new(),
            queues: Queues::default(),
            unmatched: Unmatched::default(),
            pending: Pending::default(),
            groups: Groups::default(),
            documents: Documents::default(),
            member_expiries: Expiries::default(),
            cycles: Cycles::default(),
            cycle_numbers: Sorted::default(),
            cycles_live: Vec::new(),
            quotes: Quotes::default(),
            rates: Arc::default(),
            tokens: Sorted::default(),
            token_labels: Sorted::default(),
            tokens_version: 0,
            requests: Requests::default(),
            leaving: Leaving::default(),
            acknowledged: Sorted::default(),
            gross_batch: GrossBatch::default(),
            batches: 0,
            statistics: Statistics::default(),
        }
    }

    /// Brings what a batch will be looked up in closer, a few thousand instructions at a time at most.
    /// Changes nothing; leaving it out costs a wait for memory per instruction.
    pub fn warm(&self, batch: &Submissions) {
        self.identities
            .warm(batch.items.iter().map(|item| item.identity.uetr));
    }

    /// The same for a record's events, before a replay applies them.
    pub fn warm_events(&self, events: &[Event]) {
        let uetrs = events.iter().filter_map(|event| match event {
            Event::Accepted { order, .. } => Some(order.identity.uetr),
            Event::Refused { identity, .. } => Some(identity.uetr),
            _ => None,
        });
        self.identities.warm(uetrs);
    }

    /// Takes one instruction of a batch. `sequence` is the number that it gets if it is journaled,
    /// which it is unless the answer is `repeated`; `now` is record time. Events are appended.
    pub fn execute_instruction(
        &mut self,
        batch: &Submissions,
        item: &Submission,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> InstructionAnswer {
        if let Some(id) = self.identities.find(&item.identity) {
            if self.identities.digest(id) == item.digest {
                return self.answer(id, true);
            }
            let (event, answer) = Self::duplicate(item, sequence);
            self.enact(sequence, now, event, events);
            return answer;
        }
        if let Some(left) = self.recalled(&item.identity) {
            return match left.answer_to(item) {
                Some(answer) => answer,
                None => {
                    let (event, answer) = Self::duplicate(item, sequence);
                    self.enact(sequence, now, event, events);
                    answer
                }
            };
        }
        self.prepare_today(now.date());
        self.prepare_cut_offs(batch, item, now);
        let event = self.decide_instruction(batch, item, now);
        self.enact(sequence, now, event, events);
        let id = self.identities.last().expect("just remembered");
        self.advance(id, sequence, now, events);
        self.release(sequence, now, events);
        self.answer(id, false)
    }

    /// Takes one command. A refused one changes nothing, and neither does a repeat: both have no
    /// events and are not journaled. Else the first event is [`Event::Requested`].
    pub fn execute_command(
        &mut self,
        command: &Command,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<CommandAnswer, Refusal> {
        let decided = match self.decide_command(command, now)? {
            decide_command::Decision::Repeat(answer) => return Ok(answer),
            decide_command::Decision::Events(events) => events,
        };
        let first = events.len();
        for event in decided {
            self.enact(sequence, now, event, events);
        }
        match &command.action {
            Action::SetParticipantState { reason, .. } => {
                self.hold_and_reschedule(reason, sequence, now, events);
                self.advance_all(sequence, now, events);
            }
            Action::CloseCycle(_) => {
                self.reject_unmatched(sequence, now, events);
                self.reject_past_cut_off(sequence, now, events);
            }
            Action::Approve(identity) | Action::ShowPreimage { identity, .. } => {
                let id = self
                    .identities
                    .find(identity)
                    .expect("decided: it is there");
                self.advance(id, sequence, now, events);
            }
            _ => {}
        }
        self.release(sequence, now, events);
        Ok(CommandAnswer {
            sequence,
            changes: u32::try_from(events.len() - first - 1).unwrap_or(u32::MAX),
            repeated: false,
        })
    }

    /// Lets time pass: deadlines act, the run clears gridlock, the gross batch closes if it is not
    /// empty. No events if nothing was due. `seed` is random, and secret.
    pub fn execute_tick(
        &mut self,
        seed: [u8; 32],
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        self.expire(sequence, now, events);
        self.expire_conditional(sequence, now, events);
        self.reject_unmatched(sequence, now, events);
        self.mature(sequence, now, events);
        self.release(sequence, now, events);
        let certificate_hash = self.clear_gridlock(sequence, now, events);
        self.release(sequence, now, events);
        if let Some(batch) = self.closed_gross_batch(certificate_hash, seed) {
            self.enact(sequence, now, Event::GrossBatchClosed(batch), events);
        }
        if let Some(event) = self.decide_leaving(now) {
            self.enact(sequence, now, event, events);
        }
    }

    /// Takes a run's result in. No events if it is stale.
    pub fn execute_ran(
        &mut self,
        result: &RunResult,
        sequence: Sequence,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        for event in self.decide_ran(result) {
            self.enact(sequence, now, event, events);
        }
        if let Some(event) = self.decide_completion_after(result.cycle, events) {
            self.enact(sequence, now, event, events);
        }
        self.release(sequence, now, events);
    }

    /// Applies an event and keeps it.
    fn enact(&mut self, sequence: Sequence, now: Timestamp, event: Event, events: &mut Vec<Event>) {
        self.apply(sequence, now, &event);
        events.push(event);
    }

    /// Whom a token's hash stands for.
    pub fn token(&self, hash: &[u8; 32]) -> Option<Caller> {
        let label = self.token_labels.get(hash)?;
        Some(self.tokens.get(label)?.caller)
    }

    /// All tokens, by label.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    /// Raised by every change of tokens.
    pub fn tokens_version(&self) -> u64 {
        self.tokens_version
    }

    /// How many instructions there ever were.
    pub fn instruction_count(&self) -> u64 {
        self.identities.len() as u64
    }

    /// Whether its time comes from [`Action::SetTime`] alone.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// What a rehearsal's time was set to last.
    pub fn rehearsal_time(&self) -> Option<Timestamp> {
        self.rehearsal_time
    }

    /// Who and what there is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// A view of the state as it is now, for other threads: whatever is written from here on, on
    /// either side, is copied first, in small parts. Costs as much as was written since the last
    /// view, and a pointer per some 10,000 values; cloning the view again costs the pointers alone.
    pub fn freeze(&mut self) -> Self {
        Freeze::freeze(self);
        self.clone()
    }

    /// Whether per asset all accounts with the agent's mirror sum to zero, funds make up what
    /// accounts have reserved, and nothing is below zero; all counted anew.
    pub fn conserves(&self) -> bool {
        let mut totals = vec![0_i128; self.mirrors.len()];
        let mut reserved = vec![0_i128; self.accounts.len()];
        for &cycle in &self.cycles_live {
            for (sum, &fund) in reserved
                .iter_mut()
                .zip(self.cycles[cycle as usize].funds.iter())
            {
                *sum += i128::from(fund);
            }
        }
        let mut sound = true;
        let may_be_short = self.cycles_live.iter().any(|&cycle| {
            self.cycles[cycle as usize].model.funding == crate::risk::Funding::Continuous
        });
        for (index, (account, entry)) in self
            .accounts
            .iter()
            .zip(self.directory.accounts())
            .enumerate()
        {
            totals[usize::from(entry.asset.0)] += account.balance();
            sound &= account.free >= 0 && (account.reserved >= 0 || may_be_short);
            sound &= reserved[index] == i128::from(account.reserved);
        }
        let mirrored = self.mirrors.iter().zip(&totals);
        sound
            && mirrored.fold(true, |sound, (mirror, &total)| {
                sound && total + mirror.balance() == 0
            })
    }

    fn cycle(&self, name: CycleName) -> Option<&Cycle> {
        let index = *self.cycle_numbers.get(&name)?;
        Some(&self.cycles[index as usize])
    }

    /// Of a cycle that was decided to be there.
    fn cycle_index(&self, name: CycleName) -> u32 {
        let index = self.cycle_numbers.get(&name);
        *index.expect("decided: the cycle is there")
    }

    fn cycle_mut(&mut self, name: CycleName) -> &mut Cycle {
        let index = self.cycle_index(name);
        &mut self.cycles[index as usize]
    }

    /// The open cycle of a value date with the lowest number that still takes instructions.
    fn taking_cycle(&self, date: Date, now: Timestamp) -> Option<&Cycle> {
        let live = self
            .cycles_live
            .iter()
            .map(|&index| &self.cycles[index as usize]);
        let taking = live.filter(|cycle| cycle.name.value_date == date && cycle.takes(now));
        taking.min_by_key(|cycle| cycle.name.number)
    }

    fn free(&self, account: AccountId) -> i64 {
        self.accounts[account.0 as usize].free
    }

    fn owner(&self, account: AccountId) -> ParticipantId {
        self.directory.account(account).participant
    }

    fn mirror(&self, asset: AssetId) -> &Mirror {
        &self.mirrors[usize::from(asset.0)]
    }
}

/// Names every field: a new one must say what a view shares of it.
impl Freeze for State {
    fn freeze(&mut self) {
        let Self {
            rehearsal: _,
            rehearsal_time: _,
            scheme: _,
            cut_offs: _,
            asset_cut_offs,
            calendars: _,
            entry_cut_offs: _,
            open_today: _,
            directory,
            accounts,
            mirrors,
            limits,
            risk,
            usage,
            identities,
            queues,
            unmatched,
            pending,
            groups,
            documents,
            member_expiries,
            cycles,
            cycle_numbers,
            cycles_live: _,
            quotes,
            rates: _,
            tokens,
            token_labels,
            tokens_version: _,
            requests,
            leaving: _,
            acknowledged,
            gross_batch,
            batches: _,
            statistics: _,
        } = self;
        let money: [&mut dyn Freeze; 7] = [
            directory,
            accounts,
            mirrors,
            limits,
            risk,
            usage,
            gross_batch,
        ];
        let instructions: [&mut dyn Freeze; 7] = [
            identities,
            queues,
            unmatched,
            cycles,
            cycle_numbers,
            quotes,
            requests,
        ];
        let conditions: [&mut dyn Freeze; 4] = [pending, groups, documents, member_expiries];
        let rest: [&mut dyn Freeze; 4] = [asset_cut_offs, tokens, token_labels, acknowledged];
        let all = money.into_iter().chain(instructions).chain(conditions);
        let all = all.chain(rest);
        all.for_each(Freeze::freeze);
    }
}

impl Account {
    fn balance(&self) -> i128 {
        i128::from(self.free) + i128::from(self.reserved)
    }
}

impl Mirror {
    /// What the agent holds, as a negative amount.
    fn balance(&self) -> i128 {
        self.total_out - self.total_in
    }
}

/// When an instruction of a lane and value date is too late without a condition that says so: gross
/// settles on the date itself, net as long as a cycle of it takes instructions.
fn end_of_life(lane: Lane, date: Date) -> Timestamp {
    match lane {
        Lane::Gross => end_of(date),
        Lane::Net => Timestamp(i64::MAX),
    }
}

/// The first instant after a date, UTC.
fn end_of(date: Date) -> Timestamp {
    Timestamp((i64::from(date.0) + 1) * DAY_MS)
}
