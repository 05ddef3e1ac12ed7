//! The run over a journal: cut anywhere it goes on to the same rows, deleted it is rebuilt, and a
//! journal that contradicts it, or cannot be read, stops it with a sentence.
#![allow(clippy::unwrap_used)]

mod support;

use settlement_core::event::{Entry, Event};
use settlement_core::ids::Sequence;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::compare::same_answers;
use support::database::{Database, for_every_database};
use support::days::day;
use support::faults::Dying;
use support::follow::{project, project_some};
use support::oracle::Oracle;
use support::random::Random;
use support::script::{Script, bic, cycle, leg};
use valuta_journal::{Cursor, JournalId, MemoryJournal, Source};
use valuta_projector::{ProjectError, ReadModel, Store};

fn seeds(count: u64) -> std::ops::Range<u64> {
    0..if std::env::var_os("VALUTA_LONG").is_some() {
        40 * count
    } else {
        count
    }
}

fn clean_dump<D: Database>(journal: &MemoryJournal) -> Vec<String> {
    let clean = D::new();
    project(journal, clean.store()).unwrap();
    clean.dump()
}

fn goes_on_where_it_was_stopped_or_killed<D: Database>() {
    for seed in seeds(4) {
        let journal = day(seed, 120);
        let clean = clean_dump::<D>(&journal);
        let database = D::new();
        let mut random = Random(seed);
        for records in [1, 2, 5, 11, 17, 26] {
            project_some(&journal, database.store(), records).unwrap();
            let dying = Dying {
                store: database.store(),
                calls_left: u32::try_from(random.below(3)).unwrap(),
                after: random.one_in(2),
            };
            let committed = database.reads().state().unwrap().unwrap().sequence;
            match project_some(&journal, dying, records + 3) {
                Ok(()) => {}
                Err(error) => assert!(error.to_string().contains("killed"), "{error}"),
            }
            assert!(database.reads().state().unwrap().unwrap().sequence >= committed);
        }
        project(&journal, database.store()).unwrap();
        assert_eq!(database.dump(), clean, "seed {seed}");
        project(&journal, database.store()).unwrap();
        assert_eq!(database.dump(), clean, "seed {seed}: nothing new");
    }
}

fn answers_as_the_oracle_does_over_a_day<D: Database>() {
    for seed in seeds(3) {
        let journal = day(seed + 100, 150);
        let (database, oracle) = (D::new(), Oracle::default());
        project(&journal, database.store()).unwrap();
        project(&journal, oracle.clone()).unwrap();
        let bics: Vec<_> = (0..4).map(bic).collect();
        same_answers(&database.reads(), &oracle, &bics, &format!("seed {seed}"));
    }
}

fn is_rebuilt_when_it_was_deleted_or_reset<D: Database>() {
    let journal = day(7, 200);
    let clean = clean_dump::<D>(&journal);
    let database = D::new();
    project(&journal, database.store()).unwrap();
    assert_eq!(database.dump(), clean);
    database.delete();
    assert_eq!(database.store().cursor().unwrap(), None);
    project(&journal, database.store()).unwrap();
    assert_eq!(database.dump(), clean, "deleted");
    database.store().reset().unwrap();
    project(&journal, database.store()).unwrap();
    assert_eq!(database.dump(), clean, "reset");
}

/// One input with more rows than one write takes: still one transaction, and the same rows.
fn a_large_run_is_one_transaction<D: Database>() {
    let members = 12_000;
    let mut script = Script::new();
    script.open_cycle(1);
    for _ in 0..members {
        script.accepted(0, &[leg(0, 1, 0, 1)], Entry::Member(cycle(1)));
    }
    script.close_and_net(1);
    script.record();
    let database = D::new();
    project(&script.journal, database.store()).unwrap();
    let before = database.dump();

    script.run(1, &vec![true; members], 1, &[]);
    script.record();
    let dying = Dying {
        store: database.store(),
        calls_left: 1,
        after: true,
    };
    project(&script.journal, dying).unwrap_err();
    assert_eq!(database.dump(), before, "half of a run is nothing");
    project(&script.journal, database.store()).unwrap();
    let reads = database.reads();
    let last = settlement_core::command::Position {
        sequence: Sequence(script.sequence.0 - 1),
        index: u32::MAX,
    };
    let changes = reads.changes(Some(bic(1)), last, usize::MAX).unwrap();
    assert_eq!(changes.len(), members);
    let received = reads.received(bic(1), last, usize::MAX).unwrap();
    assert_eq!(received.len(), members);
    assert!(
        received
            .iter()
            .zip(0..)
            .all(|(row, at)| row.position.index == at)
    );
    assert_eq!(clean_dump::<D>(&script.journal), database.dump());
}

fn contradiction(found: Result<(), ProjectError>) -> String {
    let error = found.unwrap_err();
    assert!(
        matches!(error, ProjectError::Contradicted { .. }),
        "{error}"
    );
    error.to_string()
}

fn a_journal_that_contradicts_it_stops_it<D: Database>() {
    let journal = day(8, 40);
    let database = D::new();
    project(&journal, database.store()).unwrap();
    let dump = database.dump();
    let cursor = database.reads().state().unwrap().unwrap();

    let empty = MemoryJournal::new(cursor.journal);
    let found = contradiction(project(&empty, database.store()));
    assert!(found.contains("it ends before"), "{found}");
    let other = MemoryJournal::new(JournalId([77; 16]));
    let found = contradiction(project(&other, database.store()));
    assert!(found.contains("it is another one"), "{found}");
    let found = contradiction(project(&day(9, 60), database.store()));
    assert!(
        found.contains("its chain is") || found.contains("no record"),
        "{found}"
    );
    assert_eq!(database.dump(), dump, "and nothing was written");

    for (changed, reason) in [
        (
            Cursor {
                chain: [0; 32],
                ..cursor
            },
            "its chain is another one",
        ),
        (
            Cursor {
                sequence: cursor.sequence + 1,
                ..cursor
            },
            "it ends before",
        ),
        (
            Cursor {
                offset: cursor.offset + 4096,
                ..cursor
            },
            "",
        ),
    ] {
        let database = D::new();
        project(&journal, database.store()).unwrap();
        database.store().commit(&changed).unwrap();
        match project(&journal, database.store()) {
            Ok(()) => assert_eq!(reason, "", "a copy has other offsets"),
            error => assert!(contradiction(error).contains(reason)),
        }
    }
}

fn a_record_that_cannot_be_read_stops_it<D: Database>() {
    let good = |script: &mut Script| script.accepted(0, &[leg(0, 1, 0, 1)], Entry::Settled);
    for (payload, expected) in [
        (
            &b"\x09"[..],
            "record of sequences 3 to 3: payload version 9",
        ),
        (
            b"\x01\x82\x00",
            "record of sequences 3 to 3: payload entry 0",
        ),
        (b"\x01", "0 inputs, the header names 1"),
    ] {
        let mut script = Script::new();
        good(&mut script);
        script.record();
        script.append(payload, 3);
        let database = D::new();
        let error = project(&script.journal, database.store()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut script = Script::new();
    let refused = Event::Refused {
        identity: script.identity(0, settlement_core::instruction::Kind::Payment),
        digest: settlement_core::instruction::Digest([0; 16]),
        remembered: true,
        rejection: settlement_core::rejection::Rejection::PastCutOff,
    };
    script.command(&[refused]);
    script.record();
    let error = project(&script.journal, D::new().store()).unwrap_err();
    assert!(error.to_string().contains("is no instruction"), "{error}");
}

/// Idle, it shows what is new well within 50 ms; it ends when told, and when the journal closes.
fn follows_a_live_journal<D: Database>() {
    let mut script = Script::new();
    let database = D::new();
    let (stop, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    let (reader, tail) = (script.journal.reader(None).unwrap(), script.journal.watch());
    let store = database.store();
    std::thread::scope(|scope| {
        let (tail, stop, seen) = (&tail, &stop, &seen);
        let run = scope.spawn(move || {
            valuta_projector::run(reader, tail, store, stop, |sequence| {
                seen.store(sequence.0, Ordering::SeqCst);
            })
        });
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            script.accepted(0, &[leg(0, 1, 0, 1)], Entry::Settled);
            let start = Instant::now();
            script.record();
            while seen.load(Ordering::SeqCst) < script.sequence.0 {
                assert!(start.elapsed() < Duration::from_secs(20), "no progress");
                std::thread::sleep(Duration::from_micros(200));
            }
            fastest = fastest.min(start.elapsed());
            let shown = database.reads().instruction(script.sequence).unwrap();
            assert!(shown.is_some(), "progress tells what is committed");
        }
        assert!(fastest < Duration::from_millis(50), "{fastest:?}");
        stop.store(true, Ordering::Relaxed);
        run.join().unwrap().unwrap();
    });
    let stop = AtomicBool::new(false);
    let (reader, tail) = (script.journal.reader(None).unwrap(), script.journal.watch());
    script.accepted(0, &[leg(0, 1, 0, 1)], Entry::Settled);
    script.record();
    let last = script.sequence.0;
    drop(script);
    valuta_projector::run(reader, &tail, database.store(), &stop, |_| {}).unwrap();
    assert_eq!(database.reads().state().unwrap().unwrap().sequence, last);
}

for_every_database!(
    goes_on_where_it_was_stopped_or_killed,
    answers_as_the_oracle_does_over_a_day,
    is_rebuilt_when_it_was_deleted_or_reset,
    a_large_run_is_one_transaction,
    a_journal_that_contradicts_it_stops_it,
    a_record_that_cannot_be_read_stops_it,
    follows_a_live_journal,
);
