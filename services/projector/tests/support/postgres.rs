//! A database of its own on the real PostgreSQL that `VALUTA_TEST_POSTGRES` names.

use super::database::Database;
use postgres::{Client, NoTls};
use std::sync::atomic::{AtomicU32, Ordering};
use valuta_projector::{PostgresAddress, PostgresAnchors, PostgresReadModel, PostgresStore};

const VARIABLE: &str = "VALUTA_TEST_POSTGRES";

/// Dropped with everything in it.
pub struct Postgres {
    name: String,
}

fn server() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!("{VARIABLE} does not name a PostgreSQL server (postgres://...): run scripts/test")
    })
}

/// The same server, another database.
fn url(database: &str) -> String {
    let server = server();
    let (scheme, rest) = server.split_once("://").expect("postgres://...");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let options = path
        .split_once('?')
        .map(|(_, options)| format!("?{options}"));
    format!(
        "{scheme}://{authority}/{database}{}",
        options.unwrap_or_default()
    )
}

impl Postgres {
    pub fn url(&self) -> String {
        url(&self.name)
    }

    pub fn address(&self) -> PostgresAddress {
        PostgresAddress::parse(&self.url()).unwrap()
    }

    /// A connection of the test's own.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    /// Ends every other connection to the database; how many there were.
    pub fn terminate_others(&self) -> usize {
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND backend_type = 'client backend'";
        self.client().query(end, &[]).unwrap().len()
    }

    /// What a query gives, each row as text.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let query = format!("SELECT q::TEXT FROM ({query}) q");
        let rows = self.client().query(&query, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Ok(mut client) = Client::connect(&server(), NoTls) {
            // What is left of a test that failed hurts nobody.
            let _ = client.batch_execute(&drop);
        }
    }
}

impl Database for Postgres {
    type Store = PostgresStore;
    type Reads = PostgresReadModel;
    type Anchors = PostgresAnchors;

    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("valuta_test_{}_{number}", std::process::id());
        let mut client = Client::connect(&server(), NoTls).unwrap();
        // Of an earlier process with the same id, if it was killed.
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        client.batch_execute(&drop).unwrap();
        let create = format!("CREATE DATABASE {name}");
        client.batch_execute(&create).unwrap();
        Self { name }
    }

    fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.address()).unwrap()
    }

    fn reads(&self) -> PostgresReadModel {
        PostgresReadModel::open(&self.address(), 2).unwrap()
    }

    fn anchors_beside(store: &PostgresStore) -> PostgresAnchors {
        store.anchors().unwrap()
    }

    fn dump(&self) -> Vec<String> {
        let mut client = self.client();
        client.batch_execute("SET timezone = 'UTC'").unwrap();
        let tables = "SELECT relname::TEXT FROM pg_class
             WHERE relnamespace = 'valuta'::REGNAMESPACE AND relkind IN ('r', 'p') AND NOT relispartition
             AND relname NOT IN ('schema_history', 'anchor_rows') ORDER BY 1";
        let tables = client.query(tables, &[]).unwrap();
        let mut lines = Vec::new();
        for table in tables {
            let table: String = table.get(0);
            let select = format!("SELECT t::TEXT FROM valuta.{table} t ORDER BY 1");
            let rows = client.query(&select, &[]).unwrap();
            let rows = rows.iter().map(|row| row.get::<_, String>(0));
            lines.extend(rows.map(|row| format!("{table}: {row}")));
        }
        lines
    }

    fn delete(&self) {
        self.client()
            .batch_execute("DROP SCHEMA valuta CASCADE")
            .unwrap();
    }
}
