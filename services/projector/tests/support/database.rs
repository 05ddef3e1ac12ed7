//! A database of its own for each test: a file, or a database of a real server.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::path::PathBuf;
use valuta_projector::{Anchors, ReadModel, SqliteStore, Store};

pub trait Database {
    type Store: Store;
    type Reads: ReadModel;
    type Anchors: Anchors;

    /// Empty.
    fn new() -> Self;
    /// Opens the store; the tables are there afterwards.
    fn store(&self) -> Self::Store;
    fn reads(&self) -> Self::Reads;
    fn anchors(&self) -> Self::Anchors {
        Self::anchors_beside(&self.store())
    }
    fn anchors_beside(store: &Self::Store) -> Self::Anchors;
    /// Every committed row of every table but the anchors, in the order of the keys.
    fn dump(&self) -> Vec<String>;
    /// Deletes all files.
    fn delete(&self);
}

pub struct Sqlite {
    directory: tempfile::TempDir,
}

impl Sqlite {
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("read.sqlite")
    }
}

impl Database for Sqlite {
    type Store = SqliteStore;
    type Reads = valuta_projector::SqliteReadModel;
    type Anchors = valuta_projector::SqliteAnchors;

    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).unwrap()
    }

    fn reads(&self) -> Self::Reads {
        valuta_projector::SqliteReadModel::open(&self.path(), 2).unwrap()
    }

    fn anchors_beside(store: &SqliteStore) -> Self::Anchors {
        store.anchors().unwrap()
    }

    fn dump(&self) -> Vec<String> {
        let connection = Connection::open(self.path()).unwrap();
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'anchors' ORDER BY 1")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        tables
            .iter()
            .flat_map(|table| dump_table(&connection, table))
            .collect()
    }

    fn delete(&self) {
        for file in std::fs::read_dir(self.directory.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

/// Makes each test for every database.
macro_rules! for_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test::<crate::support::database::Sqlite>();
            })+
        }
        #[cfg(feature = "cluster")]
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test::<crate::support::postgres::Postgres>();
            })+
        }
    };
}
pub(crate) use for_every_database;

fn dump_table(connection: &Connection, table: &str) -> Vec<String> {
    let mut select = connection
        .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))
        .or_else(|_| connection.prepare(&format!("SELECT * FROM {table}")))
        .unwrap();
    let columns = select.column_count();
    let mut rows = select.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = (0..columns).map(|at| cell(row.get_ref(at).unwrap()));
        let cells: Vec<String> = cells.collect();
        lines.push(format!("{table}: {}", cells.join(" | ")));
    }
    lines
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "-".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => panic!("a float in a table: {value}"),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
    }
}
