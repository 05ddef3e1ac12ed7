//! Whatever happens to the server: the store fails, opened anew it goes on at its cursor, and in the end the
//! rows are those of an undisturbed run.

use crate::proxy::Proxy;
use crate::support::database::Database;
use crate::support::engine::Engine;
use crate::support::follow::project;
use crate::support::postgres::Postgres;
use crate::support::random::{Inputs, Random, cursor};
use settlement_core::command::Position;
use std::time::Duration;
use valuta_journal::{Cursor, MemoryJournal};
use valuta_projector::{
    Anchors as _, PostgresAddress, PostgresReadModel, PostgresStore, ProjectError, ReadModel as _,
    Rows, Store, StoreError,
};

/// How often the way to the server is cut, for each seed.
const CUTS: usize = 30;

fn seeds(count: u64) -> std::ops::Range<u64> {
    0..if std::env::var_os("VALUTA_LONG").is_some() {
        20 * count
    } else {
        count
    }
}

fn day(seed: u64) -> MemoryJournal {
    let mut engine = Engine::new(seed);
    engine.day(200, |_| {});
    engine.journal
}

fn undisturbed(journal: &MemoryJournal) -> Vec<String> {
    let clean = Postgres::new();
    project(journal, clean.store()).unwrap();
    clean.dump()
}

/// Ends the connections of a store in the midst of its n-th write or commit.
struct Killed<'a> {
    store: PostgresStore,
    calls_left: u64,
    database: &'a Postgres,
}

impl Killed<'_> {
    fn count(&mut self) {
        if self.calls_left == 0 {
            assert!(self.database.terminate_others() > 0);
        }
        self.calls_left = self.calls_left.wrapping_sub(1);
    }
}

impl Store for Killed<'_> {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor()
    }

    /// Commits often, and in parts: a write of its own makes each transaction one of several.
    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.count();
        self.store.write(rows)
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        self.count();
        self.store.commit(cursor)
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        self.store.reset()
    }
}

#[test]
fn goes_on_after_its_connection_was_ended() {
    for seed in seeds(3) {
        let journal = day(seed);
        let database = Postgres::new();
        let mut random = Random(seed);
        for records in [1, 3, 9, 20, 30, 40, 60] {
            let killed = Killed {
                store: database.store(),
                calls_left: random.below(2),
                database: &database,
            };
            let before = database.reads().state().unwrap();
            let error = crate::support::follow::project_some(&journal, killed, records);
            if let Err(error) = error {
                assert!(matches!(error, ProjectError::Store(_)), "{error}");
                assert_eq!(database.reads().state().unwrap(), before);
                project_some(&journal, &database, records);
            }
        }
        project(&journal, database.store()).unwrap();
        assert_eq!(database.dump(), undisturbed(&journal), "seed {seed}");
    }
}

fn project_some(journal: &MemoryJournal, database: &Postgres, records: usize) {
    crate::support::follow::project_some(journal, database.store(), records).unwrap();
}

/// A database of its own, by a way that can be cut.
struct Cuttable {
    database: Postgres,
    proxy: Proxy,
    address: PostgresAddress,
}

impl Cuttable {
    fn new() -> Self {
        let database = Postgres::new();
        let url = database.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let (user, host) = authority
            .rsplit_once('@')
            .unwrap_or(("postgres", authority));
        let host = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:5432")
        };
        let proxy = Proxy::new(host);
        let address = format!("{scheme}://{user}@{}/{path}", proxy.address);
        Self {
            address: PostgresAddress::parse(&address).unwrap(),
            database,
            proxy,
        }
    }
}

/// As the server does it: the projector's loop opens the store anew until it can.
fn project_with_retries(journal: &MemoryJournal, address: &PostgresAddress) -> u32 {
    let mut failures = 0;
    loop {
        let opened = PostgresStore::open(address).map_err(ProjectError::Store);
        match opened.and_then(|store| project(journal, store)) {
            Ok(()) => return failures,
            Err(ProjectError::Store(error)) => {
                failures += 1;
                assert!(failures < 1_000, "{error}");
            }
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn goes_on_after_the_server_was_gone() {
    for seed in seeds(2) {
        let journal = day(seed + 10);
        let away = Cuttable::new();
        let done = std::sync::atomic::AtomicBool::new(false);
        let failures = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(seed);
                for _ in 0..CUTS {
                    std::thread::sleep(Duration::from_millis(5 + random.below(100)));
                    away.proxy.cut();
                    std::thread::sleep(Duration::from_millis(random.below(30)));
                    away.proxy.mend();
                }
                done.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            let mut failures = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                failures += project_with_retries(&journal, &away.address);
                away.database.store().reset().unwrap();
            }
            failures += project_with_retries(&journal, &away.address);
            failures
        });
        assert!(failures > 0, "seed {seed}");
        assert_eq!(away.database.dump(), undisturbed(&journal), "seed {seed}");
    }
}

#[test]
fn readers_and_anchors_connect_again() {
    let away = Cuttable::new();
    let mut store = PostgresStore::open(&away.address).unwrap();
    let mut rows = Rows::default();
    Inputs::new(1).scheme(&mut rows);
    store.write(&rows).unwrap();
    store
        .commit(&cursor(settlement_core::ids::Sequence(1)))
        .unwrap();
    let reads = PostgresReadModel::open(&away.address, 3).unwrap();
    let mut anchors = store.anchors().unwrap();
    for _ in 0..3 {
        // Ended by the server: each reader finds out by itself.
        away.database.terminate_others();
        for _ in 0..4 {
            assert_eq!(reads.state().unwrap().unwrap().sequence, 1);
        }
        anchors.set_anchor(1, 0, "header").unwrap();
        // Gone: clear errors, no waiting; and back.
        away.proxy.cut();
        for _ in 0..4 {
            let error = reads.changes(None, Position::default(), 1).unwrap_err();
            assert!(
                error.to_string().contains("read model postgres://"),
                "{error}"
            );
            assert!(anchors.anchored().is_err());
        }
        away.proxy.mend();
        assert_eq!(reads.state().unwrap().unwrap().sequence, 1);
        assert_eq!(anchors.anchored().unwrap(), 1);
    }
    let error = store.write(&rows).unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
}

/// A full disk says so, changes nothing, and is over when there is room again.
#[test]
fn a_full_disk_is_an_error_and_then_it_goes_on() {
    let journal = day(30);
    let database = Postgres::new();
    project_some(&journal, &database, 5);
    let before = database.dump();
    let mut client = database.client();
    client
        .batch_execute(
            "SET search_path = valuta;
             CREATE FUNCTION public.full_disk() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'could not extend file: No space left on device'
                 USING ERRCODE = 'disk_full'; END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON party_change_rows FOR EACH ROW
                 EXECUTE FUNCTION public.full_disk()",
        )
        .unwrap();
    let error = project(&journal, database.store()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("No space left on device (53100)"),
        "{error}"
    );
    assert_eq!(database.dump(), before);
    client
        .batch_execute("DROP TRIGGER full_disk ON party_change_rows")
        .unwrap();
    project(&journal, database.store()).unwrap();
    assert_eq!(database.dump(), undisturbed(&journal));
}

/// Of two writers one stops: the rows of neither are there twice.
#[test]
fn a_second_writer_stops_the_first() {
    let database = Postgres::new();
    let (mut first, mut second) = (database.store(), database.store());
    let at = |sequence| cursor(settlement_core::ids::Sequence(sequence));
    first.commit(&at(1)).unwrap();
    let error = second.commit(&at(2)).unwrap_err();
    assert!(
        error.to_string().contains("has moved the cursor"),
        "{error}"
    );
    drop(second);
    first.commit(&at(3)).unwrap();
    assert_eq!(database.store().cursor().unwrap(), Some(at(3)));
}

/// The gateway reads on the runtime's blocking threads.
#[test]
fn can_be_read_on_a_runtimes_blocking_thread() {
    let database = Postgres::new();
    drop(database.store());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(async {
        let opened = tokio::task::spawn_blocking(move || {
            let reads = database.reads();
            let state = reads.state();
            database.terminate_others();
            (state, reads.state(), database, reads)
        });
        let (first, second, database, reads) = opened.await.unwrap();
        tokio::task::spawn_blocking(move || drop((database, reads)))
            .await
            .unwrap();
        (first, second)
    });
    assert_eq!((found.0.unwrap(), found.1.unwrap()), (None, None));
}

/// As one does that was stopped: TCP alone would wait for ever.
#[test]
fn gives_up_on_a_server_that_takes_connections_and_answers_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    let url = format!("postgres://valuta@{at}/valuta?tcp_user_timeout=1");
    let address = PostgresAddress::parse(&url).unwrap();
    let opened = [
        PostgresStore::open(&address).err(),
        PostgresReadModel::open(&address, 1).err(),
    ];
    for error in opened {
        let said = error.unwrap().to_string();
        assert!(said.contains("has not answered for 1s"), "{said}");
    }
}

/// Nobody who asked for encryption gets a connection without.
#[test]
fn refuses_an_address_that_requires_encryption() {
    let address = PostgresAddress::parse("postgres://valuta@127.0.0.1/valuta?sslmode=require");
    let said = PostgresStore::open(&address.unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(
        said.contains("authority of its certificate is missing"),
        "{said}"
    );
}
