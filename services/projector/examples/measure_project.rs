//! How fast the journal becomes the read model, beside the limit: the same rows, made beforehand,
//! inserted by the same statements.
//!
//! `cargo run --release -p valuta-projector --example measure_project [INSTRUCTIONS]`
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/script.rs"]
#[allow(dead_code, missing_docs)]
mod script;

use script::{Script, batch_of, bic, cycle, leg};
use settlement_core::event::{Entry, Event};
use settlement_core::ids::Sequence;
use settlement_core::rejection::Rejection;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use valuta_journal::{Cursor, Source};
use valuta_projector::{Rows, SqliteStore, Store, StoreError};

const INSTRUCTIONS_DEFAULT: u64 = 200_000;
/// As one engine step under load.
const RECORD_INSTRUCTIONS: u64 = 2_000;

/// A day: of ten instructions four gross ones settle at once and one later, four are net, one is
/// refused; gross batches close as they would each second.
fn day(instructions: u64) -> Script {
    let mut script = Script::new();
    script.open_cycle(1);
    let (mut queued, mut members, mut batch, mut open) = (Vec::new(), 0, 1, 0);
    for at in 0..instructions {
        let bank = u16::try_from(at % 4).unwrap();
        let to = (bank + 1 + u16::try_from(at / 4 % 3).unwrap()) % 4;
        let legs = [leg(bank, to, u16::from(at % 7 == 0), 100)];
        match at % 10 {
            0..=3 => {
                script.accepted(bank, &legs, Entry::Settled);
                open += 1;
            }
            4 => queued.push(script.accepted(bank, &legs, Entry::Queued)),
            5..=8 => {
                script.accepted(bank, &legs, Entry::Member(cycle(1)));
                members += 1;
            }
            _ => drop(script.refused(bic(bank), Rejection::PastCutOff)),
        }
        if at % RECORD_INSTRUCTIONS == RECORD_INSTRUCTIONS - 1 {
            let released: Vec<Event> = queued
                .drain(..)
                .map(|unit| Event::Settled { unit })
                .collect();
            open += released.len() + 1;
            script.deposit(bank, &released);
            script.tick(&[Event::GrossBatchClosed(batch_of(batch, open))]);
            (batch, open) = (batch + 1, 0);
            script.record();
        }
    }
    if open > 0 {
        script.tick(&[Event::GrossBatchClosed(batch_of(batch, open))]);
        batch += 1;
    }
    script.close_and_net(1);
    script.record();
    script.run(1, &vec![true; members], batch, &[]);
    script.record();
    script
}

/// Keeps what it gets.
#[derive(Default)]
struct Recording(Mutex<Vec<(Rows, Option<Cursor>)>>);

impl Store for &Recording {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        Ok(None)
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.0.lock().unwrap().push((rows.clone(), None));
        Ok(())
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        self.0
            .lock()
            .unwrap()
            .push((Rows::default(), Some(*cursor)));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Drops what it gets: what is left is reading, decoding and projecting.
struct Nowhere;

impl Store for Nowhere {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        Ok(None)
    }

    fn write(&mut self, _: &Rows) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self, _: &Cursor) -> Result<(), StoreError> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Projects to the journal's end; how long it took.
fn projected(script: &Script, store: impl Store) -> Duration {
    let stop = AtomicBool::new(false);
    let commits = AtomicU64::new(0);
    let last = script.sequence;
    let start = Instant::now();
    let reader = script.journal.reader(None).unwrap();
    let progress = |sequence: Sequence| {
        commits.fetch_add(1, Ordering::Relaxed);
        stop.store(sequence == last, Ordering::Relaxed);
    };
    valuta_projector::run(reader, &script.journal.watch(), store, &stop, progress).unwrap();
    start.elapsed()
}

fn inserted(recorded: &[(Rows, Option<Cursor>)], mut store: SqliteStore) -> Duration {
    let start = Instant::now();
    for (rows, cursor) in recorded {
        match cursor {
            Some(cursor) => store.commit(cursor).unwrap(),
            None => store.write(rows).unwrap(),
        }
    }
    start.elapsed()
}

fn main() {
    let argument = std::env::args().nth(1);
    let instructions = argument.map_or(INSTRUCTIONS_DEFAULT, |count| {
        count.parse().expect("a count")
    });
    let script = day(instructions);
    let directory = tempfile::tempdir().unwrap();
    let recording = Recording::default();
    projected(&script, &recording);
    let recorded = recording.0.into_inner().unwrap();
    let rows: usize = recorded.iter().map(|(rows, _)| rows.count()).sum();
    println!("{instructions} instructions, {rows} rows");

    let open = |name| SqliteStore::open(&directory.path().join(name)).unwrap();
    let memory = projected(&script, Nowhere);
    let ours = projected(&script, open("projected"));
    let limit = inserted(&recorded, open("inserted"));
    let per_second = |time: Duration, count: u64| u128::from(count) * 1_000_000 / time.as_micros();
    for (what, time) in [
        ("read, decode, project", memory),
        ("the same rows inserted (the limit)", limit),
        ("journal to read model (ours)", ours),
    ] {
        let rate = per_second(time, instructions);
        println!(
            "{what:<36} {:>8} ms {rate:>9} instructions/s",
            time.as_millis()
        );
    }
    println!("ratio {} %", limit.as_micros() * 100 / ours.as_micros());
    let bytes = std::fs::metadata(directory.path().join("projected"))
        .unwrap()
        .len();
    println!(
        "{} bytes per instruction in the file",
        bytes / instructions.max(1)
    );
}
