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
//! cycles. Balances never end an input below zero, so an asset's total bounds every balance: the total
//! is bounded where money enters, and nothing can overflow after that.

mod apply;
mod apply_cycle;
mod batch;
mod cycles;
mod decide_command;
mod decide_cycle;
mod decide_instruction;
mod decide_movement;
mod decide_quote;
mod decide_quote_request;
mod decide_scheme;
mod digest;
mod gross;
mod identities;
mod lifecycle;
mod limits;
mod query;
mod query_cycle;
mod queues;
mod quotes;
mod rates;
mod requests;
mod rounding_ledger;
#[cfg(test)]
mod tests;
mod unmatched;

use crate::command::{Action, Caller, Command, CutOffs, Position, Refusal, Token};
use crate::directory::Directory;
use crate::event::Event;
use crate::ids::{
    AccountId, AssetId, BatchNumber, CycleName, Date, ParticipantId, Sequence, Timestamp,
};
use crate::instruction::{ShortText, Submission, Submissions};
use crate::record::RunResult;
use crate::view::{CommandAnswer, InstructionAnswer, Statistics};
use batch::GrossBatch;
use cycles::Cycle;
use fx::AssetCode;
use identities::Identities;
use limits::{Limits, Usage};
use queues::Queues;
use quotes::Quotes;
use rates::Rates;
use requests::Requests;
use std::collections::BTreeMap;
use unmatched::Unmatched;

pub use lifecycle::RunRequest;

/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// How far ahead of record time a creation time may be, in milliseconds.
pub const CREATED_AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;
/// How old a creation time may be, in milliseconds: 400 days, the scheme's retention.
pub const CREATED_AGE_MS_MAX: i64 = 400 * DAY_MS;
/// How many days ahead of record time a value date may be.
pub const VALUE_DATE_AHEAD_DAYS_MAX: i32 = 400;

/// One account. Minor units.
#[derive(Clone, Copy, Default)]
struct Account {
    free: i64,
    /// The sum of its funds in cycles.
    reserved: i64,
}

/// What came into, and went out of, the scheme in one asset. Minor units.
#[derive(Clone, Copy, Default)]
struct Mirror {
    total_in: i128,
    total_out: i128,
}

/// All that one scheme's engine knows.
#[derive(Clone)]
pub struct State {
    rehearsal: bool,
    rehearsal_time: Option<Timestamp>,
    scheme: Option<(ShortText, AssetCode)>,
    cut_offs: Option<CutOffs>,
    directory: Directory,
    /// By account id.
    accounts: Vec<Account>,
    /// By asset id.
    mirrors: Vec<Mirror>,
    limits: Limits,
    usage: Usage,
    identities: Identities,
    queues: Queues,
    unmatched: Unmatched,
    /// In the order of opening.
    cycles: Vec<Cycle>,
    cycle_numbers: BTreeMap<CycleName, u32>,
    /// Cycles that are not completed.
    cycles_live: Vec<u32>,
    quotes: Quotes,
    rates: Rates,
    tokens: BTreeMap<ShortText, Token>,
    token_labels: BTreeMap<[u8; 32], ShortText>,
    tokens_version: u64,
    requests: Requests,
    acknowledged: BTreeMap<ParticipantId, Position>,
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
            directory: Directory::default(),
            accounts: Vec::new(),
            mirrors: Vec::new(),
            limits: Limits::default(),
            usage: Usage::default(),
            identities: Identities::new(),
            queues: Queues::default(),
            unmatched: Unmatched::default(),
            cycles: Vec::new(),
            cycle_numbers: BTreeMap::new(),
            cycles_live: Vec::new(),
            quotes: Quotes::default(),
            rates: Rates::default(),
            tokens: BTreeMap::new(),
            token_labels: BTreeMap::new(),
            tokens_version: 0,
            requests: Requests::default(),
            acknowledged: BTreeMap::new(),
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
        let event = self.decide_instruction(batch, item, now);
        self.enact(sequence, now, event, events);
        let id = self.identities.last().expect("just remembered");
        if let Some(event) = self.decide_match(id, now) {
            self.enact(sequence, now, event, events);
        }
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
            }
            Action::CloseCycle(_) => self.reject_unmatched(sequence, now, events),
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
        self.reject_unmatched(sequence, now, events);
        self.release(sequence, now, events);
        let certificate_hash = self.clear_gridlock(sequence, now, events);
        self.release(sequence, now, events);
        if let Some(batch) = self.closed_gross_batch(certificate_hash, seed) {
            self.enact(sequence, now, Event::GrossBatchClosed(batch), events);
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
        Some(self.tokens[label].caller)
    }

    /// All tokens, by label.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    /// Raised by every change of tokens.
    pub fn tokens_version(&self) -> u64 {
        self.tokens_version
    }

    /// How many instructions are remembered.
    pub fn instruction_count(&self) -> u64 {
        self.identities.len() as u64
    }

    /// What a rehearsal's time was set to last.
    pub fn rehearsal_time(&self) -> Option<Timestamp> {
        self.rehearsal_time
    }

    /// Who and what there is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether per asset all accounts with the agent's mirror sum to zero, funds make up what
    /// accounts have reserved, and nothing is below zero; all counted anew.
    pub fn conserves(&self) -> bool {
        let mut totals = vec![0_i128; self.mirrors.len()];
        let mut reserved = vec![0_i128; self.accounts.len()];
        for &cycle in &self.cycles_live {
            for (sum, &fund) in reserved.iter_mut().zip(&self.cycles[cycle as usize].funds) {
                *sum += i128::from(fund);
            }
        }
        let mut sound = true;
        for (index, (account, entry)) in self
            .accounts
            .iter()
            .zip(self.directory.accounts())
            .enumerate()
        {
            totals[usize::from(entry.asset.0)] += account.balance();
            sound &= account.free >= 0 && account.reserved >= 0;
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

    fn cycle_mut(&mut self, name: CycleName) -> &mut Cycle {
        let index = self.cycle_numbers[&name];
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

/// The first instant after a date, UTC.
fn end_of(date: Date) -> Timestamp {
    Timestamp((i64::from(date.0) + 1) * DAY_MS)
}
