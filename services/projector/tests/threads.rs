//! The two threads of the projector: whichever fails or is told to stop, wherever, the other one ends, and what is
//! committed is whole transactions, in order. The naive way beside it: each record alone, on one thread's time.
#![allow(clippy::unwrap_used)]

mod support;

use settlement_core::ids::Sequence;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use support::database::{Database, for_every_database};
use support::days::{LARGE_DAY_RECORD, day, large_day};
use support::faults::{Dying, Paused, Then};
use support::follow::{project, project_some};
use support::oracle::Oracle;
use valuta_journal::{Cursor, Journal, JournalReader, MemoryJournal, ReadError, Record, Source};
use valuta_projector::{ProjectError, ReadModel as _, Rows, Store, StoreError};

/// Members of the large days: a run has more rows than one portion.
const MEMBERS: u64 = 12_000;
/// Then nothing more is there yet, and a transaction ends.
const RECORDS_AT_ONCE: u32 = 2;
/// Rows that are handed on at once, as the projection has them.
const PORTION_ROWS: u64 = 65_536;
/// One is filled, one waits, one is written.
const PORTIONS: u64 = 3;

/// What a store must hold that stands at a sequence: each record projected in a transaction of its own.
struct Naive(BTreeMap<u64, Rows>);

impl Naive {
    fn of(journal: &MemoryJournal) -> Self {
        let (mut reader, mut held) = (journal.reader(None).unwrap(), BTreeMap::new());
        let oracle = Oracle::default();
        held.insert(0, oracle.committed());
        let mut records = 0;
        while let Some(record) = reader.next().unwrap() {
            records += 1;
            project_some(journal, oracle.clone(), records).unwrap();
            held.insert(record.header.last_sequence, oracle.committed());
        }
        Self(held)
    }

    /// Where the store stands, which must be at the end of a record with all that is up to there.
    fn check(&self, store: &Oracle, name: &str) -> u64 {
        let at = store.state().unwrap().map_or(0, |cursor| cursor.sequence);
        let expected = self.0.get(&at);
        let expected = expected.unwrap_or_else(|| panic!("{name}: {at} is inside a record"));
        assert!(store.committed() == *expected, "{name}: at {at}");
        at
    }
}

/// A large day, and what a store must hold after each of its records.
fn large() -> &'static (MemoryJournal, Naive) {
    static LARGE: LazyLock<(MemoryJournal, Naive)> = LazyLock::new(|| {
        let journal = large_day(MEMBERS).journal;
        let naive = Naive::of(&journal);
        (journal, naive)
    });
    &LARGE
}

/// Reads with pauses; ends, if nothing fails, with the journal or when the reader says so.
fn run(
    journal: &MemoryJournal,
    (calls, then): (u32, Then),
    store: impl Store,
    stop: &AtomicBool,
    mut progress: impl FnMut(u64),
) -> Result<(), ProjectError> {
    let last = journal.tail().sequence;
    let reader = Box::new(Paused {
        reader: journal.reader(None).unwrap(),
        records_at_once: RECORDS_AT_ONCE,
        read: 0,
        calls_left: calls,
        then,
    });
    valuta_projector::run(reader, &journal.watch(), store, stop, |Sequence(at)| {
        stop.fetch_or(at == last, Ordering::Relaxed);
        progress(at);
    })
}

/// The journal as it is read to its end.
fn never() -> (u32, Then) {
    (u32::MAX, Then::Fail)
}

fn is_killed(error: &ProjectError) -> bool {
    matches!(error, ProjectError::Store(_)) && error.to_string().contains("killed")
}

/// Whatever call of the store fails, before it is done or after, the run ends with that error, though the journal
/// goes on for ever; and the next run goes on.
#[test]
fn a_store_that_fails_ends_the_run() {
    let (journal, naive) = large();
    let mut commits = 0;
    for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
        let (store, name) = (Oracle::default(), format!("call {call}, after {after}"));
        let mut told = vec![];
        let dying = Dying {
            store: store.clone(),
            calls_left: call,
            after,
        };
        let ended = run(journal, never(), dying, &AtomicBool::new(false), |at| {
            assert_eq!(store.state().unwrap().map_or(0, |it| it.sequence), at);
            told.push(at);
        });
        assert!(told.is_sorted_by(|one, next| one < next), "{name}");
        let at = naive.check(&store, &name);
        let Err(error) = ended else {
            assert_eq!(at, journal.tail().sequence);
            commits = told.len();
            assert!(call > 12, "the day is long enough: {call}");
            break;
        };
        assert!(is_killed(&error), "{name}: {error}");
        project(journal, store.reopened()).unwrap();
        assert_eq!(naive.check(&store, &name), journal.tail().sequence);
    }
    assert!(commits > 5, "{commits}");
}

/// Whatever record cannot be read: what was committed before is there, and nothing else.
#[test]
fn a_journal_that_fails_ends_the_run() {
    let ((journal, naive), mut stood) = (large(), 0);
    for call in 0.. {
        let (store, name) = (Oracle::default(), format!("call {call}"));
        let stop = AtomicBool::new(false);
        let ended = run(journal, (call, Then::Fail), store.clone(), &stop, |_| {});
        let at = naive.check(&store, &name);
        assert!(stood <= at, "{name}");
        stood = at;
        match ended {
            Err(ProjectError::Read(ReadError::Lost { .. })) => {}
            Err(error) => panic!("{name}: {error}"),
            Ok(()) => break,
        }
    }
    assert_eq!(stood, journal.tail().sequence);
}

/// Half of a record's rows are handed on before it shows that the record is not whole.
#[test]
fn nothing_of_a_record_that_fails_is_committed() {
    let (journal, naive) = large();
    let mut damaged = MemoryJournal::new(journal.id());
    let mut reader = journal.reader(None).unwrap();
    while let Some(Record {
        header, payload, ..
    }) = reader.next().unwrap()
    {
        // One input with the rows of all members; four follow it.
        let is_run = header.last_sequence == journal.tail().sequence - 4;
        let last = header.last_sequence + u64::from(is_run);
        damaged
            .append(header.first_sequence, last, header.time_ms, &payload)
            .unwrap();
        if is_run {
            break;
        }
    }
    let store = Oracle::default();
    let error = project(&damaged, store.clone()).unwrap_err();
    assert!(error.to_string().contains("the header names 2"), "{error}");
    naive.check(&store, "not whole");
}

/// Told to stop at any call of the reader's, it commits all that it has read; told so by another thread in the
/// midst of any call of the store's, something whole.
#[test]
fn stops_with_what_is_whole() {
    let (journal, naive) = large();
    let ends: Vec<u64> = naive.0.keys().copied().collect();
    for call in 0.. {
        let (store, name) = (Oracle::default(), format!("reader's call {call}"));
        let stop = Arc::new(AtomicBool::new(false));
        let then = Then::Stop(Arc::clone(&stop));
        run(journal, (call, then), store.clone(), &stop, |_| {}).unwrap();
        let at = naive.check(&store, &name);
        // Each RECORDS_AT_ONCE calls that find a record are followed by one that does not.
        let read = call + 1 - (call + 1) / (RECORDS_AT_ONCE + 1);
        let read = usize::try_from(read).unwrap().min(ends.len() - 1);
        assert_eq!(at, ends[read], "{name}");
        if read == ends.len() - 1 {
            break;
        }
    }
    for call in 0..12 {
        let (store, name) = (Oracle::default(), format!("store's call {call}"));
        let stop = AtomicBool::new(false);
        let stopping = Calling {
            store: store.clone(),
            calls: 0,
            before: |at| {
                stop.fetch_or(at == call, Ordering::Relaxed);
            },
        };
        run(journal, never(), stopping, &stop, |_| {}).unwrap();
        naive.check(&store, &name);
        project(journal, store.reopened()).unwrap();
        assert_eq!(naive.check(&store, &name), journal.tail().sequence);
    }
}

/// Does something before each write or commit, which is told its number.
struct Calling<S, F> {
    store: S,
    calls: u32,
    before: F,
}

impl<S, F: FnMut(u32)> Calling<S, F> {
    fn call(&mut self) -> &mut S {
        (self.before)(self.calls);
        self.calls += 1;
        &mut self.store
    }
}

impl<S: Store, F: FnMut(u32) + Send> Store for Calling<S, F> {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor()
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        assert!(rows.count() as u64 <= PORTION_ROWS + 100, "about a portion");
        self.call().write(rows)
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        self.call().commit(cursor)
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        self.store.reset()
    }
}

/// A panic of the store is one of the run: nobody waits for a thread that is no more.
#[test]
fn a_store_that_panics_ends_the_run() {
    let (journal, _) = large();
    for call in [0, 1, 9] {
        let store = Calling {
            store: Oracle::default(),
            calls: 0,
            before: |at| assert_ne!(at, call, "told to"),
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(journal, never(), store, &AtomicBool::new(false), |_| {})
        }));
        assert!(ended.is_err());
    }
}

/// Counts what is read.
struct Counting {
    reader: Box<dyn JournalReader>,
    records: Arc<AtomicU64>,
}

impl JournalReader for Counting {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let next = self.reader.next()?;
        let found = u64::from(next.is_some());
        self.records.fetch_add(found, Ordering::SeqCst);
        Ok(next)
    }

    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        self.next()
    }

    fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }
}

/// While the store writes its first rows, no more is read than fits into the portions.
#[test]
fn a_slow_store_bounds_what_is_held() {
    let journal = large_day(4 * MEMBERS).journal;
    let read = Arc::new(AtomicU64::new(0));
    let reader = Box::new(Counting {
        reader: journal.reader(None).unwrap(),
        records: Arc::clone(&read),
    });
    let stop = AtomicBool::new(false);
    let store = Calling {
        store: Oracle::default(),
        calls: 0,
        before: |call| {
            if call == 0 {
                wait_until_it_stands_still(&read);
                // A member has a row and its content, a leg, two parties and a change; the first record has
                // none, and the last one is not yet projected.
                let ahead = (read.load(Ordering::SeqCst) - 2) * LARGE_DAY_RECORD * 6;
                let held = PORTIONS * PORTION_ROWS;
                assert!(ahead <= held && ahead > held / 2, "{ahead} rows of {held}");
                stop.store(true, Ordering::Relaxed);
            }
        },
    };
    valuta_projector::run(reader, &journal.watch(), store, &stop, |_| {}).unwrap();
}

fn wait_until_it_stands_still(count: &AtomicU64) {
    let mut unchanged = 0;
    while unchanged < 20 {
        let before = count.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(10));
        let moved = before != count.load(Ordering::SeqCst);
        unchanged = if moved { 0 } else { unchanged + 1 };
    }
}

/// The same on the real databases, over a day of everything.
fn goes_on_after_any_call_failed<D: Database>() {
    let journal = day(21, 60);
    let clean = D::new();
    project(&journal, clean.store()).unwrap();
    let (clean, database) = (clean.dump(), D::new());
    for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
        let dying = Dying {
            store: database.store(),
            calls_left: call,
            after,
        };
        let stop = AtomicBool::new(false);
        let ended = run(&journal, never(), dying, &stop, |_| {});
        let Err(error) = ended else {
            assert!(call > 4, "the day is long enough: {call}");
            break;
        };
        assert!(is_killed(&error), "{error}");
        project(&journal, database.store()).unwrap();
        assert!(database.dump() == clean, "call {call}, after {after}");
        database.store().reset().unwrap();
    }
}

for_every_database!(goes_on_after_any_call_failed);
