//! What clients have sent and what they were answered, each with its place in the one order of all
//! askings and answers: so an answer that came before another was asked for is known to be older.

use prost::Message as _;
use std::collections::BTreeMap;
use valuta_proto::v1::{self, Status};

/// An instruction's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub uetr: String,
    /// What was sent.
    pub content: Vec<u8>,
    pub sequence: u64,
    pub status: Status,
    /// ISO code of a rejection; empty without one.
    pub code: String,
    pub asked: u64,
    pub told: u64,
}

/// A command's answer.
#[derive(Clone, Debug)]
pub struct Done {
    pub caller: String,
    pub request_id: String,
    pub sequence: u64,
}

/// Of one cluster, over all its faults.
#[derive(Default, Debug)]
pub struct Seen {
    pub answers: Vec<Answer>,
    pub commands: Vec<Done>,
    /// As they were answered, again when asked for again.
    pub quotes: Vec<v1::Quote>,
    /// Each cycle's newest answer.
    pub cycles: BTreeMap<String, v1::Cycle>,
    /// Answers that no fault excuses.
    pub wrong: Vec<String>,
    instants: u64,
}

impl Seen {
    /// The next place in the order.
    pub fn instant(&mut self) -> u64 {
        self.instants += 1;
        self.instants
    }

    /// An instruction's status came back.
    pub fn told(&mut self, content: Vec<u8>, status: &v1::InstructionStatus, asked: u64) {
        let rejection = status.rejection.as_ref();
        let answer = Answer {
            uetr: status.uetr.clone(),
            content,
            sequence: status.sequence,
            status: status.status(),
            code: rejection.map_or_else(String::new, |why| why.code.clone()),
            asked,
            told: self.instant(),
        };
        self.answers.push(answer);
    }

    /// A command was done.
    pub fn done(&mut self, caller: &str, request_id: &str, sequence: u64) {
        self.commands.push(Done {
            caller: caller.to_owned(),
            request_id: request_id.to_owned(),
            sequence,
        });
    }

    /// A cycle's view came back. One client asks for all of them, one after the other, so none may be older
    /// than the one before.
    pub fn told_cycle(&mut self, cycle: v1::Cycle) {
        let reached = |cycle: &v1::Cycle| (cycle.state, cycle.schedule_version, cycle.settled);
        let before = self.cycles.get(&cycle.name);
        if before.is_some_and(|before| reached(&cycle) < reached(before)) {
            self.wrong.push(format!("went back: {before:?}, {cycle:?}"));
        }
        self.cycles.insert(cycle.name.clone(), cycle);
    }

    /// How many, and how many members they settled.
    pub fn cycles_completed(&self) -> (usize, u64) {
        let all = self.cycles.values();
        let completed = all.filter(|cycle| cycle.state() == v1::CycleState::Completed);
        let settled: Vec<u64> = completed.map(|cycle| cycle.settled).collect();
        (settled.len(), settled.iter().sum())
    }

    /// How many settled that are so.
    pub fn settled(&self, is_so: impl Fn(&v1::Instruction) -> bool) -> usize {
        let newest = self.newest().into_values();
        let settled = newest.filter(|answer| answer.status == Status::Acsc);
        let sent = settled.map(|answer| v1::Instruction::decode(&*answer.content).unwrap());
        sent.filter(is_so).count()
    }

    /// Each UETR's newest answer that is not a refusal of other content.
    pub fn newest(&self) -> BTreeMap<&str, &Answer> {
        let own = self.answers.iter().filter(|answer| answer.code != "AM05");
        own.map(|answer| (answer.uetr.as_str(), answer)).collect()
    }
}
