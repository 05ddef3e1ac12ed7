//! What a journal says happened, read from its records alone: no state of the engine's is asked.

use prost::Message as _;
use settlement_core::command::{Action, Caller, MovementKind};
use settlement_core::directory::Directory;
use settlement_core::event::{Batch, Event};
use settlement_core::follow::{Fact, Follower};
use settlement_core::ids::{CycleName, Sequence, Timestamp};
use settlement_core::record::{self, Input};
use settlement_core::view;
use std::collections::BTreeMap;
use std::path::Path;
use valuta_journal::{FileReader, JournalReader as _, Record};
use valuta_proto::v1::{self, CycleState, Status};

/// What became of an instruction's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first of its identity, accepted or refused for good.
    First,
    /// Other content under an identity that was there.
    OtherContent,
}

/// An instruction as it was journaled.
#[derive(Clone, Debug)]
pub struct Instruction {
    pub uetr: String,
    pub content: Vec<u8>,
    pub outcome: Outcome,
    /// ISO code of its refusal.
    pub code: String,
    /// Every status that it ever had, in order.
    pub statuses: Vec<Status>,
}

/// A batch that closed.
#[derive(Clone, Debug)]
pub struct Closed {
    pub number: u64,
    /// Postings by asset, the agent's mirror among them.
    pub sums: BTreeMap<String, i128>,
}

/// A command that was done.
#[derive(Clone, Debug)]
pub struct Commanded {
    pub caller: String,
    pub request_id: String,
    pub sequence: u64,
}

/// A record's place.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub epoch: u64,
    pub first: u64,
    pub last: u64,
}

/// (BIC, asset) -> minor units.
pub type Balances = BTreeMap<(String, String), i128>;

#[derive(Default, Debug)]
pub struct Facts {
    /// By sequence.
    pub instructions: BTreeMap<u64, Instruction>,
    pub commands: Vec<Commanded>,
    pub batches: Vec<Closed>,
    /// How far each cycle came.
    pub cycles: BTreeMap<String, CycleState>,
    pub records: Vec<Written>,
    /// What movements put in and took out.
    pub moved: Balances,
    /// Records that began an epoch.
    pub epochs: u64,
}

impl Facts {
    /// Of a journal's files.
    pub fn read(journal: &Path) -> Self {
        let (mut reader, _) = FileReader::open_offline(journal, None).unwrap();
        let (mut facts, mut follower) = (Self::default(), Follower::new());
        while let Some(record) = reader.next_any().unwrap() {
            if record.header.starts_epoch() {
                facts.epochs += 1;
            } else {
                facts.record(&record, &mut follower);
            }
        }
        facts
    }

    fn record(&mut self, record: &Record, follower: &mut Follower) {
        let header = &record.header;
        self.records.push(Written {
            epoch: header.epoch,
            first: header.first_sequence,
            last: header.last_sequence,
        });
        let time = Timestamp(header.time_ms);
        let mut entries = record::entries(&record.payload).unwrap();
        let (mut sequence, mut events) = (header.first_sequence, Vec::new());
        while let Some(input) = entries.next_into(&mut events).unwrap() {
            self.input(sequence, &input, &events);
            for event in &events {
                let mut statuses = Vec::new();
                follower.observe(Sequence(sequence), time, event, &mut |fact| {
                    if let Fact::Status {
                        sequence, status, ..
                    } = fact
                    {
                        statuses.push((sequence.0, wire(status)));
                    }
                });
                self.statuses(&statuses);
                self.event(event, follower.directory());
            }
            sequence += 1;
        }
        assert_eq!(
            sequence,
            header.last_sequence + 1,
            "a record has its inputs"
        );
    }

    fn input(&mut self, sequence: u64, input: &Input<'_>, events: &[Event]) {
        match input {
            Input::Instruction(content) => {
                let refused = events.iter().find_map(|event| match event {
                    Event::Refused {
                        remembered,
                        rejection,
                        ..
                    } => Some((*remembered, rejection.code().to_owned())),
                    _ => None,
                });
                let (remembered, code) = refused.unwrap_or((true, String::new()));
                let instruction = Instruction {
                    uetr: v1::Instruction::decode(*content).unwrap().uetr,
                    content: content.to_vec(),
                    outcome: match remembered {
                        true => Outcome::First,
                        false => Outcome::OtherContent,
                    },
                    code,
                    statuses: Vec::new(),
                };
                self.instructions.insert(sequence, instruction);
            }
            // Asked for again, it may do more.
            Input::Command(command) if matches!(command.action, Action::SettleCycle(_)) => {}
            Input::Command(command) => self.commands.push(Commanded {
                caller: caller(command.caller),
                request_id: command.request_id.to_string(),
                sequence,
            }),
            Input::Tick { .. } | Input::Ran(_) => {}
        }
    }

    fn statuses(&mut self, new: &[(u64, Status)]) {
        for (sequence, status) in new {
            if let Some(instruction) = self.instructions.get_mut(sequence) {
                instruction.statuses.push(*status);
            }
        }
    }

    fn event(&mut self, event: &Event, directory: &Directory) {
        match event {
            Event::Moved {
                kind,
                account,
                amount,
                ..
            } => {
                let (bic, asset) = directory.account_names(*account);
                let sign = match kind {
                    MovementKind::Deposit | MovementKind::PayIn => 1,
                    MovementKind::Withdrawal | MovementKind::PayOut => -1,
                    MovementKind::Transfer => 0,
                };
                let account = (bic.to_string(), asset.to_string());
                *self.moved.entry(account).or_default() += sign * i128::from(*amount);
            }
            Event::GrossBatchClosed(batch) | Event::CycleRan { batch, .. } => {
                self.batches.push(closed(batch, directory));
            }
            Event::CycleOpened { cycle, .. } => self.reached(*cycle, CycleState::Open),
            Event::CycleClosed { cycle } => self.reached(*cycle, CycleState::Closed),
            Event::CycleScheduled { cycle, .. } => self.reached(*cycle, CycleState::Settling),
            Event::CycleCompleted { cycle, .. } => self.reached(*cycle, CycleState::Completed),
            _ => {}
        }
    }

    fn reached(&mut self, cycle: CycleName, state: CycleState) {
        self.cycles.insert(cycle.to_string(), state);
    }

    /// The first of each UETR: no test sends two kinds under one.
    pub fn firsts(&self) -> impl Iterator<Item = (u64, &Instruction)> {
        let all = self.instructions.iter();
        all.filter(|(_, instruction)| instruction.outcome == Outcome::First)
            .map(|(&sequence, instruction)| (sequence, instruction))
    }

    /// What movements and settled instructions make, by a model that does nothing but add.
    pub fn balances(&self) -> Balances {
        let mut balances = self.moved.clone();
        for (_, instruction) in self.firsts() {
            if instruction.statuses.last() != Some(&Status::Acsc) {
                continue;
            }
            let sent = v1::Instruction::decode(&*instruction.content).unwrap();
            // The two sides of a trade are the same two legs: those of the first debtor's count.
            if sent.kind() == v1::Kind::TradeSide && sent.legs[0].debtor != sent.instructing {
                continue;
            }
            for leg in sent.legs {
                let amount = crate::history::minor(&leg.amount, &leg.asset);
                *balances.entry((leg.debtor, leg.asset.clone())).or_default() -= amount;
                *balances.entry((leg.creditor, leg.asset)).or_default() += amount;
            }
        }
        balances.retain(|_, balance| *balance != 0);
        balances
    }
}

fn closed(batch: &Batch, directory: &Directory) -> Closed {
    let mut sums = BTreeMap::new();
    for posting in &batch.postings {
        let (_, asset) = directory.account_names(posting.account);
        *sums.entry(asset.to_string()).or_default() += i128::from(posting.amount);
    }
    for posting in &batch.mirror_postings {
        let asset = directory.asset(posting.asset).code.to_string();
        *sums.entry(asset).or_default() += posting.amount.0;
    }
    Closed {
        number: batch.number,
        sums,
    }
}

/// As a client names itself.
fn caller(caller: Caller) -> String {
    match caller {
        Caller::Participant(bic) | Caller::Agent(bic) => bic.to_string(),
        Caller::Operator => "OPERATOR".to_owned(),
        Caller::Treasury => "TREASURY".to_owned(),
        Caller::Auditor => "AUDITOR".to_owned(),
    }
}

fn wire(status: view::Status) -> Status {
    match status {
        view::Status::Member(_) => Status::Actc,
        view::Status::Waiting(_) => Status::Pdng,
        view::Status::Irrevocable(_) => Status::Acsp,
        view::Status::Settled { .. } => Status::Acsc,
        view::Status::Rejected(_) => Status::Rjct,
        view::Status::Cancelled => Status::Canc,
    }
}
