//! What an existing file gets: taken over, rebuilt, or refused; what is not ours is left alone.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use settlement_core::ids::Sequence;
use std::path::Path;
use valuta_journal::{Cursor, JournalId};
use valuta_projector::{Rows, SqliteStore, Store, StoreError};

fn cursor(sequence: Sequence) -> Cursor {
    Cursor {
        sequence: sequence.0,
        ..Cursor::start(JournalId([1; 16]))
    }
}

/// Makes a read model, changes it with `sql`, opens it again.
fn reopened(path: &Path, sql: &str) -> Result<Option<Cursor>, StoreError> {
    let mut store = SqliteStore::open(path).unwrap();
    store.write(&Rows::default()).unwrap();
    store.commit(&cursor(Sequence(5))).unwrap();
    drop(store);
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
    SqliteStore::open(path)?.cursor()
}

#[test]
fn takes_over_rebuilds_or_refuses() {
    for (sql, expected) in [
        ("", "at 5"),
        ("UPDATE valuta_schema SET version = 0", "empty"),
        (
            "UPDATE valuta_schema SET version = 0; DROP TABLE changes; CREATE TABLE changes (x)",
            "empty",
        ),
        (
            "UPDATE valuta_schema SET version = 99",
            "has schema version 99, this program knows up to 3",
        ),
        ("DROP TABLE valuta_schema", "not a read model of Valuta"),
        ("DELETE FROM valuta_schema", "not a read model of Valuta"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("read.sqlite");
        let found = match reopened(&path, sql) {
            Ok(Some(cursor)) => format!("at {}", cursor.sequence),
            Ok(None) => "empty".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{sql}: {found}");
    }
}

#[test]
fn leaves_what_is_not_ours_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("payroll.sqlite");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE salaries (x); INSERT INTO salaries VALUES (1)")
        .unwrap();
    drop(other);
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let other = Connection::open(&path).unwrap();
    let tables: i64 = other
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);

    std::fs::write(
        &path,
        b"no database at all, but some bytes of text\n".repeat(100),
    )
    .unwrap();
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("payroll.sqlite"), "{error}");
}
