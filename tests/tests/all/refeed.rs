//! The journaled inputs, fed again to a fresh engine in steps of any size, give the same events, state
//! and roots.
//!
//! A real server makes the journal, and its own ledger the headers that the roots are compared with.

use crate::crash::directory;
use crate::load::{Load, Random, long};
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::record::{self, Input};
use settlement_core::state::State;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use valuta_journal::{
    FileJournal, FileJournalOptions, Journal, JournalReader, MemoryJournal, Record, Source,
};
use valuta_keys::KeyRing;
use valuta_ledger::{Ledger, LedgerReader, LogKey};
use valuta_relay::{BatchFiles, Relay};
use valuta_tests::Server;
use valuta_tests::scheme::World;

const ORIGIN: &str = "valuta.log/refeed";

/// Works on a server until some cycles have completed, and stops it in order.
pub async fn make_journal(data: &Path, seed: u64) {
    let mut world = World::start(data).await.unwrap();
    let load = Load::new();
    load.fund(&world).await.unwrap();
    for round in 0..3 {
        load.work(&world, 100 * seed + round, 60).await;
        // A few lives, so that there is more than one kind of record boundary.
        assert_eq!(world.server.stop().unwrap(), Some(0));
        world.server = Server::start(data).unwrap();
        let token = world.server.operator_token().unwrap();
        world.operator = world.server.client(&token).await.unwrap();
        load.send_again(&world).await.unwrap();
    }
    assert!(load.cycles_completed().await >= 2);
    world.anchored().await.unwrap();
    assert_eq!(world.server.stop().unwrap(), Some(0));
}

pub fn open(data: &Path) -> FileJournal {
    let options = FileJournalOptions::default();
    FileJournal::create_or_open(&data.join("journal"), options)
        .unwrap()
        .0
}

pub fn records(mut reader: Box<dyn JournalReader>) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// What one input did.
type Done<'a> = (Sequence, Timestamp, Input<'a>, Vec<Event>);

fn inputs(records: &[Record]) -> Vec<Done<'_>> {
    let mut all = Vec::new();
    for record in records {
        let mut entries = record::entries(&record.payload).unwrap();
        let mut events = Vec::new();
        let mut sequence = Sequence(record.header.first_sequence);
        while let Some(input) = entries.next_into(&mut events).unwrap() {
            all.push((
                sequence,
                Timestamp(record.header.time_ms),
                input,
                std::mem::take(&mut events),
            ));
            sequence.0 += 1;
        }
    }
    all
}

/// Decides inputs again: a fresh engine that gets them `group` at a time.
fn feed(state: &mut State, group: &[Done<'_>]) {
    let mut batch = Submissions::default();
    for (_, _, input, _) in group {
        if let Input::Instruction(content) = input {
            let index = u32::try_from(batch.items.len()).unwrap();
            valuta_gateway::wire::decode_into(content, index, &mut batch).unwrap();
            // The journal holds canonical bytes, so that their digest is that of the identity.
            assert_eq!(batch.content_of(batch.items.last().unwrap()), *content);
        }
    }
    let mut items = batch.items.iter();
    for (sequence, now, input, expected) in group {
        let (sequence, now) = (*sequence, *now);
        let mut events = Vec::new();
        match input {
            Input::Instruction(_) => {
                let item = items.next().unwrap();
                let answer = state.execute_instruction(&batch, item, sequence, now, &mut events);
                assert!(!answer.repeated);
            }
            Input::Command(command) => {
                let answer = state.execute_command(command, sequence, now, &mut events);
                assert!(answer.is_ok_and(|answer| !answer.repeated), "{command:?}");
            }
            Input::Tick { seed } => state.execute_tick(*seed, sequence, now, &mut events),
            Input::Ran(result) => {
                // The run beside the writer is a pure function of what is frozen here.
                let request = state.take_run_request(now).expect("a run is due");
                assert_eq!(request.run(result.seed), **result);
                state.execute_ran(result, sequence, now, &mut events);
            }
        }
        assert_eq!(events, *expected, "at {sequence:?}: {input:?}");
    }
}

/// The inputs as records of other sizes; a record has one time.
fn journal_again(inputs: &[Done<'_>], random: &mut Random, size_max: u64) -> MemoryJournal {
    let mut journal = MemoryJournal::new(valuta_journal::JournalId([3; 16]));
    let mut rest = inputs;
    while let Some(&(first, time, ..)) = rest.first() {
        let size = usize::try_from(1 + random.below(size_max)).unwrap();
        let same_time = rest
            .iter()
            .take(size)
            .take_while(|(_, now, ..)| *now == time);
        let (group, after) = rest.split_at(same_time.count());
        let mut payload = Vec::new();
        for (_, _, input, events) in group {
            record::push(&mut payload, input, events);
        }
        let last = group.last().unwrap().0;
        journal.append(first.0, last.0, time.0, &payload).unwrap();
        rest = after;
    }
    journal
}

/// Header texts of everything that a relay makes of a journal.
fn headers(journal: &impl Journal, dir: &Path) -> Vec<String> {
    let key = LogKey::from_seed(ORIGIN, &[7; 32]).unwrap();
    let ledger = Ledger::open(&dir.join("ledger"), key).unwrap();
    let reader = ledger.reader();
    let files = BatchFiles::open(&dir.join("members")).unwrap();
    let relay = Relay::new(
        journal.reader(None).unwrap(),
        journal.lookup(),
        journal.watch(),
        ledger,
        Some(files),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let newest = newest_batch(journal);
    let seen = Arc::clone(&stop);
    let done = relay.run(&stop, move |batch| {
        seen.store(batch >= newest, std::sync::atomic::Ordering::Relaxed);
    });
    done.unwrap();
    texts(&reader)
}

fn newest_batch(journal: &impl Journal) -> u64 {
    let records = records(journal.reader(None).unwrap());
    let events = inputs(&records).into_iter().flat_map(|(.., events)| events);
    let batches = events.filter_map(|event| match event {
        Event::GrossBatchClosed(batch) | Event::CycleRan { batch, .. } => Some(batch.number),
        _ => None,
    });
    batches.max().unwrap()
}

fn texts(reader: &LedgerReader) -> Vec<String> {
    (1..reader.next_number())
        .map(|batch| reader.header(batch).unwrap().text())
        .collect()
}

/// Without what depends on where records begin: the chain, and so the hash of the header before.
fn without_chain(text: &str) -> Vec<&str> {
    let of_records = |line: &&str| line.starts_with("chain ") || line.starts_with("previous ");
    text.lines().filter(|line| !of_records(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_fed_again_give_the_same_events_state_and_roots() {
    for seed in 0..if long() { 10 } else { 1 } {
        let dir = directory();
        let data = dir.path().join("data");
        make_journal(&data, seed).await;
        tokio::task::block_in_place(|| check(&data, dir.path(), seed));
    }
}

fn check(data: &Path, dir: &Path, seed: u64) {
    let journal = open(data);
    let records = records(journal.reader(None).unwrap());
    let inputs = inputs(&records);
    let runs = inputs
        .iter()
        .filter(|(_, _, input, _)| matches!(input, Input::Ran(_)))
        .count();
    println!(
        "seed {seed}: {} inputs in {} records, {runs} runs",
        inputs.len(),
        records.len()
    );
    assert!(inputs.len() > 500 && records.len() > 100 && runs >= 2);

    // Applied only, as a start does.
    let mut replayed = State::new(true);
    let at = valuta_engine::replay(&mut *journal.reader(None).unwrap(), &mut replayed).unwrap();
    assert_eq!(at.sequence, inputs.last().unwrap().0.0);
    assert!(replayed.conserves());

    // The relay over the same records gives the very texts that the server anchored.
    let passphrase = std::fs::read_to_string(data.join("keys.passphrase")).unwrap();
    let ring = KeyRing::open(&data.join("keys"), passphrase.trim_end()).unwrap();
    let key = LogKey::from_ring(&ring, ring.list()[0].name()).unwrap();
    let anchored = texts(&Ledger::open(&data.join("ledger"), key).unwrap().reader());
    assert!(anchored.len() > 3);
    assert_eq!(headers(&journal, &dir.join("same")), anchored);

    let mut random = Random(seed);
    for (at, size_max) in [1, 2, 7, 100, 100_000].into_iter().enumerate() {
        let mut state = State::new(true);
        let mut rest = &inputs[..];
        while !rest.is_empty() {
            let size = usize::try_from(1 + random.below(size_max)).unwrap();
            let (group, after) = rest.split_at(size.min(rest.len()));
            feed(&mut state, group);
            rest = after;
        }
        assert_eq!(
            state.digest(),
            replayed.digest(),
            "steps of up to {size_max}"
        );

        let again = journal_again(&inputs, &mut random, size_max);
        let mut applied = State::new(true);
        valuta_engine::replay(&mut *again.reader(None).unwrap(), &mut applied).unwrap();
        assert_eq!(
            applied.digest(),
            replayed.digest(),
            "records of up to {size_max}"
        );
        let headers = headers(&again, &dir.join(format!("again-{at}")));
        assert_eq!(headers.len(), anchored.len());
        for (header, expected) in headers.iter().zip(&anchored) {
            assert_eq!(without_chain(header), without_chain(expected));
        }
    }
}
