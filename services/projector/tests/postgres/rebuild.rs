//! A rebuild beside readers and a projector: nobody sees it happen.

use crate::support::database::Database;
use crate::support::engine::{Engine, banks};
use crate::support::follow::project;
use crate::support::postgres::Postgres;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use valuta_journal::{Journal as _, Source as _};
use valuta_projector::{
    Anchors as _, ListFilter, ProjectError, ReadModel as _, RebuildError, Store, rebuild,
};

fn schemas(database: &Postgres) -> Vec<String> {
    database.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'valuta%' ORDER BY 1")
}

#[test]
fn rebuilt_equals_live_and_readers_go_on() {
    let database = Postgres::new();
    let mut engine = Engine::new(3);
    let (stop, reads_done) = (AtomicBool::new(false), AtomicU64::new(0));
    let (reader, tail) = (engine.journal.reader(None).unwrap(), engine.journal.watch());
    let store = database.store();
    database.anchors().set_anchor(1, 0, "header").unwrap();
    std::thread::scope(|scope| {
        let (stop, tail, database, done) = (&stop, &tail, &database, &reads_done);
        // As the server does it: a store that fails is opened anew.
        let journal = engine.journal.reader(None).unwrap();
        let projector = scope.spawn(move || {
            let (mut readers, mut store) = (vec![journal, reader], Some(store));
            while let Some(reader) = readers.pop() {
                let store = store.take().unwrap_or_else(|| database.store());
                match valuta_projector::run(reader, tail, store, stop, |_| {}) {
                    Err(ProjectError::Store(error)) => {
                        assert!(error.to_string().contains("moved the cursor"), "{error}");
                    }
                    ended => return ended.unwrap(),
                }
            }
        });
        scope.spawn(move || {
            let reads = database.reads();
            let mut newest = 0;
            while !stop.load(Ordering::Relaxed) {
                let at = reads.state().unwrap().map_or(0, |cursor| cursor.sequence);
                assert!(at >= newest, "{at} after {newest}");
                newest = at;
                let mine = ListFilter {
                    participant: Some(banks()[0]),
                    limit: 10,
                    ..ListFilter::default()
                };
                reads.list(&mine).unwrap();
                assert_eq!(database.anchors().anchored().unwrap(), 1);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut steps = 0;
        engine.day(250, |engine| {
            steps += 1;
            if steps == 25 {
                let reader = engine.journal.reader(None).unwrap();
                let never = AtomicBool::new(false);
                let rebuilt = rebuild(&database.address(), reader, &never).unwrap();
                assert_eq!(rebuilt, engine.journal.tail());
            }
        });
        stop.store(true, Ordering::Relaxed);
        projector.join().unwrap();
    });
    assert!(reads_done.load(Ordering::Relaxed) > 0);
    project(&engine.journal, database.store()).unwrap();
    let clean = Postgres::new();
    project(&engine.journal, clean.store()).unwrap();
    assert_eq!(database.dump(), clean.dump());
    assert_eq!(schemas(&database), ["(valuta)"]);
    assert_eq!(
        database.anchors().anchored().unwrap(),
        1,
        "anchors came over"
    );
}

/// Stopped or dead anywhere before the exchange, the old one is as it was; leftovers are dropped.
#[test]
fn a_rebuild_that_ends_early_changes_nothing() {
    let database = Postgres::new();
    let mut engine = Engine::new(4);
    engine.day(60, |_| {});
    project(&engine.journal, database.store()).unwrap();
    let before = database.dump();
    let reader = || engine.journal.reader(None).unwrap();
    let stopped = rebuild(&database.address(), reader(), &AtomicBool::new(true));
    assert!(matches!(stopped, Err(RebuildError::Stopped)), "{stopped:?}");
    assert_eq!(database.dump(), before);
    assert_eq!(
        schemas(&database),
        ["(valuta)", "(valuta_rebuilt)"],
        "leftovers"
    );

    database
        .client()
        .batch_execute("CREATE SCHEMA valuta_replaced; UPDATE valuta.cycle_rows SET closed = NULL")
        .unwrap();
    assert_ne!(database.dump(), before, "damaged");
    rebuild(&database.address(), reader(), &AtomicBool::new(false)).unwrap();
    assert_eq!(database.dump(), before);
    assert_eq!(schemas(&database), ["(valuta)"]);
    let cursor = database.store().cursor().unwrap().unwrap();
    assert_eq!(cursor, engine.journal.tail());
}

/// One that stands where no journal does is put right, and not waited for for ever.
#[test]
fn a_contradicted_read_model_is_replaced() {
    let database = Postgres::new();
    let mut engine = Engine::new(6);
    engine.day(40, |_| {});
    project(&engine.journal, database.store()).unwrap();
    let expected = database.dump();
    let beyond = valuta_journal::Cursor {
        sequence: engine.journal.tail().sequence + 9,
        ..engine.journal.tail()
    };
    database.store().commit(&beyond).unwrap();
    let reader = engine.journal.reader(None).unwrap();
    rebuild(&database.address(), reader, &AtomicBool::new(false)).unwrap();
    assert_eq!(database.dump(), expected);
}

#[test]
fn one_rebuilds_at_a_time_and_only_what_is_ours_is_dropped() {
    let database = Postgres::new();
    drop(database.store());
    let engine = Engine::new(5);
    let reader = || engine.journal.reader(None).unwrap();
    let never = AtomicBool::new(false);
    let mut other = database.client();
    // As the rebuild takes it.
    let lock = "SELECT pg_advisory_lock(x'72656275696c'::BIGINT)";
    other.batch_execute(lock).unwrap();
    let busy = rebuild(&database.address(), reader(), &never);
    assert!(matches!(busy, Err(RebuildError::Busy(_))), "{busy:?}");
    other
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .unwrap();

    let foreign = "CREATE SCHEMA valuta_rebuilt; CREATE TABLE valuta_rebuilt.salaries (x INTEGER)";
    other.batch_execute(foreign).unwrap();
    let refused = rebuild(&database.address(), reader(), &never).unwrap_err();
    assert!(
        refused.to_string().contains("not a read model"),
        "{refused}"
    );
    assert!(
        database
            .rows("SELECT * FROM valuta_rebuilt.salaries")
            .is_empty()
    );
}
