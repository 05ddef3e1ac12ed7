//! The read model behind the real state machine: it says what the live state says, and what it wrote
//! while the engine worked is what a rebuild writes.
#![allow(clippy::unwrap_used)]

mod support;

use settlement_core::command::Position;
use settlement_core::ids::Sequence;
use settlement_core::rejection::Rejection;
use settlement_core::view::{InstructionAnswer, Status, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use support::compare::{same_answers, whole_list};
use support::database::{Database, for_every_database};
use support::engine::{Engine, banks};
use support::follow::project;
use support::oracle::Oracle;
use valuta_journal::Source;
use valuta_projector::{BatchFilter, ListFilter, ReadModel, ReceivedRow};

fn seeds() -> std::ops::Range<u64> {
    0..if std::env::var_os("VALUTA_LONG").is_some() {
        300
    } else {
        8
    }
}

/// Why a queued one waits is the live state's to say; the read model says liquidity.
fn as_followed(mut answer: InstructionAnswer) -> InstructionAnswer {
    if answer.status == Status::Waiting(Waiting::Order) {
        answer.status = Status::Waiting(Waiting::Liquidity);
    }
    answer
}

/// Runs a day with the projector beside it.
fn day_with_projector(seed: u64, database: &impl Database) -> Engine {
    let mut engine = Engine::new(seed);
    let stop = AtomicBool::new(false);
    let (reader, tail) = (engine.journal.reader(None).unwrap(), engine.journal.watch());
    let store = database.store();
    std::thread::scope(|scope| {
        let (stop, tail) = (&stop, &tail);
        let run = scope.spawn(move || valuta_projector::run(reader, tail, store, stop, |_| {}));
        let mut steps = 0;
        engine.day(250, |_| {
            steps += 1;
            if steps % 7 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        stop.store(true, Ordering::Relaxed);
        run.join().unwrap().unwrap();
    });
    engine
}

fn says_what_the_state_says<D: Database>() {
    let (mut seen, mut cycle_batches) = (BTreeMap::new(), 0);
    for seed in seeds() {
        let database = D::new();
        let engine = day_with_projector(seed, &database);
        // Stopped anywhere; the rest is caught up with.
        project(&engine.journal, database.store()).unwrap();
        let reads = database.reads();
        for (sequence, uetr, content) in &engine.sent {
            let row = reads.instruction(*sequence).unwrap().unwrap();
            let duplicate = Status::Rejected(Rejection::DuplicateWithOtherContent);
            match engine.answer(*sequence, *uetr) {
                Some(answer) => assert_eq!(row.answer, as_followed(answer), "seed {seed}"),
                None => assert_eq!(row.answer.status, duplicate, "seed {seed}"),
            }
            assert_eq!(&row.content, content);
            *seen.entry(word(&row.answer)).or_insert(0) += 1;
        }
        let all = ListFilter {
            limit: 50,
            ..ListFilter::default()
        };
        assert_eq!(whole_list(&reads, &all).rows.len(), engine.sent.len());
        last_changes_are_the_statuses(&reads, seed);
        credits_are_received_once(&reads, seed);
        cycle_batches += leaves_are_all_there(&reads, seed);
    }
    for word in [
        "settled",
        "settled trade",
        "rejected",
        "rejected trade",
        "cancelled",
        "waiting",
    ] {
        assert!(seen.contains_key(word), "the days have {word}: {seen:?}");
    }
    assert!(cycle_batches > 0, "the days have runs of cycles");
}

fn word(answer: &InstructionAnswer) -> String {
    let status = match answer.status {
        Status::Member(_) | Status::Irrevocable(_) => "member",
        Status::Waiting(_) => "waiting",
        Status::Settled { .. } => "settled",
        Status::Rejected(_) => "rejected",
        Status::Cancelled => "cancelled",
    };
    let trade = answer.matched_with.map_or("", |_| " trade");
    format!("{status}{trade}")
}

fn last_changes_are_the_statuses(reads: &impl ReadModel, seed: u64) {
    let mut last = BTreeMap::new();
    for change in reads
        .changes(None, Position::default(), usize::MAX)
        .unwrap()
    {
        last.insert(change.answer.sequence, change.answer);
    }
    for (sequence, answer) in last {
        let row = reads.instruction(sequence).unwrap().unwrap();
        assert_eq!(row.answer, answer, "seed {seed}");
    }
}

/// Every settled instruction is received by each bank that a leg of it credits, a trade's by the one
/// that did not send it; at rising positions.
fn credits_are_received_once(reads: &impl ReadModel, seed: u64) {
    for bank in banks() {
        let received = reads
            .received(bank, Position::default(), usize::MAX)
            .unwrap();
        assert!(
            received.is_sorted_by(|a, b| a.position < b.position),
            "seed {seed}"
        );
        let unit = |row: &ReceivedRow| {
            let ReceivedRow { row, .. } = row;
            assert!(matches!(row.answer.status, Status::Settled { .. }));
            let other = row.answer.matched_with;
            assert!(other.is_none() || row.answer.identity.instructing != bank);
            other.map_or(row.answer.sequence, |other| other.min(row.answer.sequence))
        };
        let units: BTreeSet<Sequence> = received.iter().map(unit).collect();
        assert_eq!(units.len(), received.len(), "seed {seed}: a unit once");
        let mine = ListFilter {
            participant: Some(bank),
            limit: 1_000,
            ..ListFilter::default()
        };
        for row in whole_list(reads, &mine).rows {
            let settled = matches!(row.answer.status, Status::Settled { .. });
            let sent_by_me = row.answer.identity.instructing == bank;
            let received = received.iter().any(|received| received.row == row);
            assert_eq!(received, settled && !sent_by_me, "seed {seed}: {row:?}");
        }
    }
}

/// In a closed batch each leaf is a unit's or a movement's. How many batches are cycles'.
fn leaves_are_all_there(reads: &impl ReadModel, seed: u64) -> usize {
    let every = BatchFilter {
        limit: usize::MAX,
        ..BatchFilter::default()
    };
    let batches = reads.batches(&every).unwrap();
    assert!(!batches.is_empty());
    for (batch, number) in batches.iter().rev().zip(1..) {
        assert_eq!(batch.number, number, "seed {seed}: without gaps");
        let members = reads
            .members(None, number, Sequence(0), usize::MAX)
            .unwrap();
        let leaves: BTreeSet<u32> = members.iter().map(|unit| unit.member_index).collect();
        assert!(leaves.iter().all(|leaf| u64::from(*leaf) < batch.members));
        let sides = members
            .iter()
            .filter(|unit| unit.matched_with.is_some())
            .count();
        assert_eq!(leaves.len(), members.len() - sides / 2, "seed {seed}");
        if batch.cycle.is_some() {
            assert_eq!(
                leaves.len() as u64,
                batch.members,
                "seed {seed}: no movements"
            );
        }
        let sum: i128 = reads
            .batch(number)
            .unwrap()
            .unwrap()
            .postings
            .iter()
            .map(|row| row.amount)
            .sum();
        assert_eq!(sum, 0, "seed {seed}");
    }
    batches.iter().filter(|batch| batch.cycle.is_some()).count()
}

fn rebuilt_equals_live<D: Database>() {
    for seed in seeds() {
        let live = D::new();
        let engine = day_with_projector(seed + 1_000, &live);
        project(&engine.journal, live.store()).unwrap();
        let rebuilt = D::new();
        project(&engine.journal, rebuilt.store()).unwrap();
        assert_eq!(live.dump(), rebuilt.dump(), "seed {seed}");
        if seed == 0 {
            let oracle = Oracle::default();
            project(&engine.journal, oracle.clone()).unwrap();
            same_answers(&live.reads(), &oracle, &banks(), "live");
        }
    }
}

for_every_database!(says_what_the_state_says, rebuilt_equals_live);
