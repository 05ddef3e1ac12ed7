//! What an existing schema gets: taken over, brought forward, or refused.

use crate::support::compare::same_answers;
use crate::support::database::Database;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::random::{Inputs, bics, cursor};
use postgres::Client;
use refinery::{Migration, Runner};
use std::io::{Read as _, Write as _};
use std::path::Path;
use valuta_projector::{Anchors as _, PostgresStore, ReadModel as _, Rows, Store, StoreError};

/// Commits some inputs' rows, from where `made` stands.
fn fill(made: &mut Inputs, inputs: u64, stores: &mut [&mut dyn Store]) {
    let mut rows = Rows::default();
    if made.sequence().0 == 0 {
        made.scheme(&mut rows);
    }
    (0..inputs).for_each(|_| made.input(&mut rows));
    rows.sort();
    for store in stores {
        store.write(&rows).unwrap();
        store.commit(&cursor(made.sequence())).unwrap();
    }
}

/// As the first version left it.
fn version_1(client: &mut Client) {
    let tables = include_str!("../../migrations/V1__tables.sql");
    let migration = Migration::unapplied("V1__tables", tables).unwrap();
    client
        .batch_execute("CREATE SCHEMA valuta; SET search_path = valuta, pg_temp")
        .unwrap();
    let mut runner = Runner::new(&[migration]);
    runner.set_migration_table_name("schema_history");
    runner.run(client).unwrap();
}

/// Every row of every table, as far as the other has the columns.
fn copy_rows(from: &mut Client, to: &mut Client) {
    let tables = "SELECT relname::TEXT FROM pg_class WHERE relnamespace = 'valuta'::REGNAMESPACE
         AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_history'";
    for table in from.query(tables, &[]).unwrap() {
        let table: String = table.get(0);
        let mut bytes = Vec::new();
        let columns = "SELECT string_agg(attname::TEXT, ', ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = ('valuta.' || $1::TEXT)::REGCLASS AND attnum > 0";
        let columns: String = to.query_one(columns, &[&table]).unwrap().get(0);
        let out = format!("COPY (SELECT {columns} FROM valuta.{table}) TO STDOUT (FORMAT binary)");
        from.copy_out(&out)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        let mut copy = to
            .copy_in(&format!("COPY valuta.{table} FROM STDIN (FORMAT binary)"))
            .unwrap();
        copy.write_all(&bytes).unwrap();
        copy.finish().unwrap();
    }
}

#[test]
fn an_older_version_comes_forward_with_its_data() {
    for seed in 0..3 {
        let (newest, older) = (Postgres::new(), Postgres::new());
        let (mut store, mut oracle) = (newest.store(), Oracle::default());
        let mut made = Inputs::new(seed);
        fill(&mut made, 120, &mut [&mut store, &mut oracle]);
        for (batch, index) in [(1, 0), (2, 1)] {
            newest.anchors().set_anchor(batch, index, "header").unwrap();
            oracle.set_anchor(batch, index, "header").unwrap();
        }
        let mut client = older.client();
        version_1(&mut client);
        for month in ["2026-11-01", "2026-12-01", "2027-01-01"] {
            client
                .batch_execute(&format!("SELECT make_month('{month}')"))
                .unwrap();
        }
        copy_rows(&mut newest.client(), &mut client);
        assert!(client.query("SELECT * FROM valuta.positions", &[]).is_err());

        // What the first version did not keep.
        let forget = "UPDATE valuta.batch_rows SET run_order = NULL WHERE cycle_date IS NOT NULL";
        newest.client().batch_execute(forget).unwrap();
        oracle.forget_order();
        let mut store = older.store();
        assert_eq!(store.cursor().unwrap(), Some(cursor(made.sequence())));
        assert_eq!(older.dump(), newest.dump(), "seed {seed}");
        same_answers(&older.reads(), &oracle, &bics(), "brought forward");
        for query in [
            "SELECT * FROM valuta.positions",
            "SELECT * FROM valuta.cycle_funding",
        ] {
            assert!(!client.query(query, &[]).unwrap().is_empty(), "{query}");
        }
        fill(&mut made, 40, &mut [&mut store, &mut oracle]);
        same_answers(&older.reads(), &oracle, &bics(), "and goes on");
    }
}

/// Makes a read model, changes the database with `sql`, opens it again.
fn reopened(sql: &str) -> Result<String, StoreError> {
    let database = Postgres::new();
    fill(&mut Inputs::new(1), 4, &mut [&mut database.store()]);
    database.client().batch_execute(sql).unwrap();
    let found = PostgresStore::open(&database.address())?.cursor()?;
    Ok(found.map_or("empty".to_owned(), |cursor| {
        format!("at {}", cursor.sequence)
    }))
}

#[test]
fn takes_over_or_refuses() {
    for (sql, expected) in [
        ("", "at 5"),
        ("DROP SCHEMA valuta CASCADE", "empty"),
        ("DROP SCHEMA valuta CASCADE; CREATE SCHEMA valuta", "empty"),
        (
            // As a crash leaves it after the library's first step.
            "ALTER TABLE valuta.schema_history SET SCHEMA public; DROP SCHEMA valuta CASCADE;
             CREATE SCHEMA valuta; ALTER TABLE public.schema_history SET SCHEMA valuta;
             DELETE FROM valuta.schema_history",
            "empty",
        ),
        (
            "CREATE SCHEMA payroll; CREATE TABLE payroll.salaries (x INTEGER)",
            "at 5",
        ),
        (
            "UPDATE valuta.schema_history SET version = 99 WHERE version = 5",
            "has schema version 99, this program knows up to 5",
        ),
        (
            "UPDATE valuta.schema_history SET checksum = '1' WHERE version = 1;
             DELETE FROM valuta.schema_history WHERE version > 1",
            "migration",
        ),
        (
            "DELETE FROM valuta.schema_history",
            "not a read model of Valuta",
        ),
        (
            "DROP TABLE valuta.schema_history",
            "not a read model of Valuta",
        ),
    ] {
        let found = reopened(sql).unwrap_or_else(|error| error.to_string());
        assert!(found.contains(expected), "{sql}: {found}");
    }
}

#[test]
fn leaves_what_is_not_ours_as_it_is() {
    let database = Postgres::new();
    let mut client = database.client();
    client
        .batch_execute("CREATE SCHEMA valuta; CREATE TABLE valuta.salaries AS SELECT 1 AS x")
        .unwrap();
    let error = PostgresStore::open(&database.address()).err().unwrap();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(database.rows("SELECT * FROM valuta.salaries"), ["(1)"]);
    assert!(error.to_string().contains(" schema valuta"), "{error}");
}

#[test]
fn several_may_open_at_once() {
    let database = Postgres::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(database.store()));
        }
    });
    assert_eq!(database.reads().state().unwrap(), None);
}

#[test]
fn an_address_does_not_show_its_password() {
    let address = "postgres://valuta:secret@db.bank.example:5433/settlement";
    let address = valuta_projector::PostgresAddress::parse(address).unwrap();
    assert_eq!(
        address.to_string(),
        "postgres://db.bank.example:5433/settlement schema valuta"
    );
    let error = valuta_projector::PostgresAddress::parse("postgres://u:secret@h:x/d");
    let error = error.unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

/// Months are made ahead, and each month's rows lie in it.
#[test]
fn rows_are_parted_by_the_month_of_their_day() {
    let database = Postgres::new();
    fill(&mut Inputs::new(7), 200, &mut [&mut database.store()]);
    let parts = database.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'valuta'::REGNAMESPACE AND relispartition
         AND relkind = 'r' AND relname LIKE 'leg_rows%' ORDER BY 1",
    );
    let months = ["11", "12"].map(|month| format!("(leg_rows_2026_{month})"));
    assert_eq!(parts[..2], months);
    assert_eq!(parts[2], "(leg_rows_2027_01)", "ahead");
    let refused = "SELECT count(*) FROM valuta.instruction_rows_2026_11
         WHERE value_date IS NULL AND day = received::DATE";
    assert_ne!(
        database.rows(refused),
        ["(0)"],
        "refused ones lie with the day they came in"
    );
}

#[test]
fn connections_are_encrypted_to_a_server_that_is_known() {
    let database = Postgres::new();
    let ca = std::env::var("VALUTA_TEST_CA").expect("scripts/stack writes it into its env");
    let authority = std::fs::read(&ca).unwrap();
    let trusting = |authority: &[u8]| database.address().trusting(authority);
    let _store = PostgresStore::open(&trusting(&authority).unwrap()).unwrap();
    let used = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl
                AND datname = current_database() AND pid <> pg_backend_pid()";
    assert_ne!(database.rows(used), ["(0)"]);
    // Another authority's, and a file of something else.
    let stranger = std::fs::read(Path::new(&ca).with_file_name("stranger.pem")).unwrap();
    let error = PostgresStore::open(&trusting(&stranger).unwrap())
        .err()
        .unwrap();
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = trusting(b"no certificate").err().unwrap();
    assert!(
        error.to_string().contains("holds no certificate"),
        "{error}"
    );
}
