//! Who may do what.

use crate::support::database::Database;
use crate::support::follow::project;
use crate::support::postgres::Postgres;
use crate::support::script::{Script, leg};
use settlement_core::event::Entry;
use settlement_core::ids::Sequence;
use valuta_projector::{
    Anchors, PostgresAddress, PostgresAnchors, PostgresReadModel, PostgresStore, ReadModel, Store,
};

/// The database as someone who is only this.
fn as_role(database: &Postgres, role: &str) -> PostgresAddress {
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    PostgresAddress::parse(&format!("{url}{separator}options=-c%20role%3D{role}")).unwrap()
}

#[test]
fn a_writer_projects_and_a_reader_reads() {
    let database = Postgres::new();
    drop(database.store());
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Settled);
    script.record();
    let writer = as_role(&database, "valuta_writer");
    project(&script.journal, PostgresStore::open(&writer).unwrap()).unwrap();
    PostgresAnchors::open(&writer)
        .unwrap()
        .set_anchor(1, 0, "header")
        .unwrap();

    let reader = as_role(&database, "valuta_reader");
    let reads = PostgresReadModel::open(&reader, 1).unwrap();
    assert!(reads.instruction(Sequence(2)).unwrap().is_some());
    let error = PostgresAnchors::open(&reader)
        .unwrap()
        .set_anchor(2, 1, "header")
        .unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");

    let mut store = PostgresStore::open(&writer).unwrap();
    store.reset().unwrap();
    assert_eq!(store.cursor().unwrap(), None);
}

#[test]
fn a_reader_only_selects() {
    let database = Postgres::new();
    drop(database.store());
    let mut client = database.client();
    client
        .batch_execute("SET search_path = valuta; SET ROLE valuta_reader")
        .unwrap();
    for view in [
        "positions",
        "instructions",
        "cycle_funding",
        "batches",
        "rounding_ledger",
        "waiting_with_reason",
        "legs",
    ] {
        client
            .batch_execute(&format!("SELECT * FROM {view}"))
            .unwrap();
    }
    for refused in [
        "INSERT INTO anchor_rows VALUES (1, 1, '')",
        "UPDATE cycle_rows SET closed = 1",
        "DELETE FROM instruction_rows",
        "TRUNCATE journal_cursor",
        "SELECT make_month('2026-11-01')",
        "CREATE TABLE mine (x INTEGER)",
        "LOCK TABLE journal_cursor IN EXCLUSIVE MODE",
    ] {
        let error = client.batch_execute(refused).unwrap_err();
        let code = error.code().unwrap().code();
        // Insufficient privilege; and a lock outside of a transaction, which is no right either.
        assert!(["42501", "25P01"].contains(&code), "{refused}: {error:?}");
    }
}

/// Whoever may make a schema may prepare it; roles are an administrator's where it may not make them.
#[test]
fn a_plain_owner_prepares_and_projects() {
    let database = Postgres::new();
    let owner = "valuta_test_owner";
    database
        .client()
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE {owner} NOLOGIN;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {owner}', current_database());
             END $$"
        ))
        .unwrap();
    let address = as_role(&database, owner);
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Settled);
    script.record();
    project(&script.journal, PostgresStore::open(&address).unwrap()).unwrap();
    let owners = "SELECT DISTINCT relowner::REGROLE::TEXT FROM pg_class
         WHERE relnamespace = 'valuta'::REGNAMESPACE";
    assert_eq!(database.rows(owners), [format!("({owner})")]);
}
