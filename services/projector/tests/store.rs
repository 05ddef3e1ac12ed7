//! The suite that every store and its queries pass: against the naive oracle, by seed.
#![allow(clippy::unwrap_used)]

mod support;

use settlement_core::command::Position;
use settlement_core::ids::Sequence;
use settlement_core::view::Status;
use support::compare::{same_answers, whole_list};
use support::database::{Database, for_every_database};
use support::oracle::Oracle;
use support::random::{Inputs, bics, cursor};
use valuta_projector::{Anchors, ListFilter, ReadModel, Rows, Store};

fn seeds() -> std::ops::Range<u64> {
    0..if std::env::var_os("VALUTA_LONG").is_some() {
        400
    } else {
        12
    }
}

/// Writes `inputs` inputs in writes and commits of random sizes; what was committed is the same.
fn fill(seed: u64, inputs: u64, stores: &mut [&mut dyn Store]) -> Inputs {
    let mut made = Inputs::new(seed);
    let mut sizes = support::random::Random(!seed);
    let mut rows = Rows::default();
    made.scheme(&mut rows);
    for at in 0..inputs {
        made.input(&mut rows);
        let last = at + 1 == inputs;
        let commit = last || sizes.one_in(9);
        if commit || sizes.one_in(4) {
            rows.sort();
            for store in &mut *stores {
                store.write(&rows).unwrap();
            }
            rows.clear();
        }
        if commit {
            for store in &mut *stores {
                store.commit(&cursor(made.sequence())).unwrap();
            }
        }
    }
    made
}

fn answers_as_the_oracle_does<D: Database>() {
    for seed in seeds() {
        let database = D::new();
        let mut store = database.store();
        let mut oracle = Oracle::default();
        let made = fill(seed, 150, &mut [&mut store, &mut oracle]);
        let mut anchors = database.anchors();
        for (batch, index) in [(2, 0), (1, 5), (2, 1), (77, 9)] {
            let header = format!("batch {batch}\nat {index}\n");
            anchors.set_anchor(batch, index, &header).unwrap();
            oracle.set_anchor(batch, index, &header).unwrap();
        }
        assert_eq!(anchors.anchored().unwrap(), 77);
        let reads = database.reads();
        assert_eq!(reads.state().unwrap(), Some(cursor(made.sequence())));
        same_answers(&reads, &oracle, &bics(), &format!("seed {seed}"));
    }
}

fn commits_rows_and_cursor_together<D: Database>() {
    let database = D::new();
    let mut store = database.store();
    assert_eq!(store.cursor().unwrap(), None);
    assert_eq!(database.reads().state().unwrap(), None);
    let made = fill(1, 60, &mut [&mut store]);
    let committed = database.dump();
    assert!(committed.len() > 200, "{}", committed.len());

    let mut rows = Rows::default();
    let mut more = Inputs::new(2);
    while more.sequence() < Sequence(made.sequence().0) {
        more.input(&mut Rows::default());
    }
    while rows.instructions.is_empty() {
        more.input(&mut rows);
    }
    rows.standings.clear();
    rows.members.clear();
    rows.batches.clear();
    store.write(&rows).unwrap();
    assert_eq!(database.dump(), committed, "written, not committed");
    let seen = database
        .reads()
        .changes(None, Position::default(), usize::MAX)
        .unwrap();
    assert!(
        seen.iter()
            .all(|change| change.position.sequence <= made.sequence())
    );
    drop(store);

    let mut store = database.store();
    assert_eq!(database.dump(), committed, "opened again");
    assert_eq!(store.cursor().unwrap(), Some(cursor(made.sequence())));
    store.write(&rows).unwrap();
    store.commit(&cursor(more.sequence())).unwrap();
    assert_ne!(database.dump(), committed);
    assert_eq!(store.cursor().unwrap(), Some(cursor(more.sequence())));
}

fn starts_anew_after_a_reset<D: Database>() {
    let database = D::new();
    let mut store = database.store();
    fill(3, 80, &mut [&mut store]);
    let first = database.dump();
    store.write(&Rows::default()).unwrap();
    store.reset().unwrap();
    assert_eq!(store.cursor().unwrap(), None);
    assert!(database.reads().list(&all()).unwrap().rows.is_empty());
    fill(3, 80, &mut [&mut store]);
    assert_eq!(database.dump(), first);
}

fn all() -> ListFilter {
    ListFilter {
        limit: 100,
        ..ListFilter::default()
    }
}

/// Readers keep their own snapshot, and several work at once while the writer commits.
fn reads_while_it_writes<D: Database>()
where
    D::Reads: Clone + 'static,
{
    let database = D::new();
    let mut store = database.store();
    fill(4, 30, &mut [&mut store]);
    let reads = database.reads();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let at = reads.state().unwrap().unwrap().sequence;
                    let newest = whole_list(&reads, &all()).rows[0].answer.sequence.0;
                    assert!(newest + 30 > at, "nothing committed is missing");
                }
            });
        }
        let mut made = Inputs::new(4);
        made.scheme(&mut Rows::default());
        (0..30).for_each(|_| made.input(&mut Rows::default()));
        for _ in 0..100 {
            let mut rows = Rows::default();
            made.input(&mut rows);
            rows.sort();
            store.write(&rows).unwrap();
            store.commit(&cursor(made.sequence())).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// One call looks at a bounded number of rows: narrow filters get short pages with a way on.
fn goes_on_where_a_narrow_list_stopped<D: Database>() {
    let database = D::new();
    let mut store = database.store();
    let mut oracle = Oracle::default();
    fill(5, 200, &mut [&mut store, &mut oracle]);
    let mut rows = Rows::default();
    let sample = oracle.list(&all()).unwrap().rows[0].answer;
    for sequence in 10_000..55_000 {
        let status = if at_a_bound(sequence) {
            Status::Settled { batch: 900 }
        } else {
            Status::Cancelled
        };
        let standing = valuta_projector::Standing {
            status: Some((status, None)),
            ..valuta_projector::Standing::default()
        };
        rows.parties.push(valuta_projector::PartyAdded {
            participant: settlement_core::ids::ParticipantId(1),
            instruction: Sequence(sequence),
            day: settlement_core::ids::Date(20_000),
            roles: valuta_projector::Roles::DEBTOR,
        });
        rows.instructions.push(valuta_projector::InstructionAdded {
            sequence: Sequence(sequence),
            day: settlement_core::ids::Date(20_000),
            identity: sample.identity,
            order: None,
            received: settlement_core::ids::Timestamp(0),
            content: Vec::new(),
            standing,
        });
    }
    store.write(&rows).unwrap();
    store.commit(&cursor(Sequence(55_000))).unwrap();
    let reads = database.reads();
    for participant in [None, Some(bics()[1])] {
        let filter = ListFilter {
            participant,
            status: Some(valuta_projector::StatusFilter::Settled),
            ..all()
        };
        let first = reads.list(&filter).unwrap();
        assert!(
            first.rows.len() < filter.limit && first.next.is_some(),
            "bounded"
        );
        let numbers = |rows: &[valuta_projector::InstructionRow]| -> Vec<u64> {
            rows.iter().map(|row| row.answer.sequence.0).collect()
        };
        let earlier = oracle.list(&filter).unwrap().rows;
        assert!(!earlier.is_empty());
        let mut expected: Vec<u64> = (10_000..55_000)
            .rev()
            .filter(|at| at_a_bound(*at))
            .collect();
        expected.extend(numbers(&earlier));
        assert_eq!(numbers(&whole_list(&reads, &filter).rows), expected);
    }
}

/// Where a call may end: the row there must not be lost between two calls.
fn at_a_bound(sequence: u64) -> bool {
    sequence.is_multiple_of(5_000)
}

/// The ledger's side gets its turn between two transactions, however busy the projector is.
fn anchors_come_in_between<D: Database>()
where
    D::Anchors: 'static,
{
    let database = D::new();
    let mut store = database.store();
    let mut anchors = D::anchors_beside(&store);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..=50).for_each(|batch| anchors.set_anchor(batch, batch - 1, "header").unwrap());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut made = Inputs::new(6);
        let mut rows = Rows::default();
        made.scheme(&mut rows);
        let mut transactions = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            made.input(&mut rows);
            rows.sort();
            store.write(&rows).unwrap();
            store.commit(&cursor(made.sequence())).unwrap();
            rows.clear();
            transactions += 1;
            assert!(transactions < 100_000, "starved");
        }
    });
    assert_eq!(database.anchors().anchored().unwrap(), 50);
}

for_every_database!(
    anchors_come_in_between,
    answers_as_the_oracle_does,
    commits_rows_and_cursor_together,
    starts_anew_after_a_reset,
    reads_while_it_writes,
    goes_on_where_a_narrow_list_stopped,
);
