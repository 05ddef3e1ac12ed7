//! Which schema is ours, of which version, and how an older one comes forward.
//!
//! Migrations are numbered files that are never changed once released; `schema_history` in the schema says
//! which have run. All that are missing run in one transaction, so a crash leaves the older version.

use super::session::{Fault, PostgresAddress, Session, Use};
use crate::store::StoreError;
use refinery::{Migration, Runner};

/// Oldest first: name, and what it does.
const MIGRATIONS: [(&str, &str); 5] = [
    (
        "V1__tables",
        include_str!("../../migrations/V1__tables.sql"),
    ),
    (
        "V2__views_and_roles",
        include_str!("../../migrations/V2__views_and_roles.sql"),
    ),
    (
        "V3__order_and_approvals",
        include_str!("../../migrations/V3__order_and_approvals.sql"),
    ),
    (
        "V4__completed_cycles",
        include_str!("../../migrations/V4__completed_cycles.sql"),
    ),
    (
        "V5__postings_by_account",
        include_str!("../../migrations/V5__postings_by_account.sql"),
    ),
];
/// Says which migrations have run: what a schema of ours is known by.
const HISTORY: &str = "schema_history";
/// Older servers lack what views and partitions need.
const SERVER_VERSION_MIN: i32 = 150_000;
/// One prepares at a time; any number that nobody else uses.
const PREPARING: i64 = 0x7661_6c75_7461;

/// Every table with rows, for [`Store::reset`](crate::Store::reset).
pub(super) const TABLES: [&str; 21] = [
    "journal_cursor",
    "instruction_rows",
    "waiting_rows",
    "content_rows",
    "leg_rows",
    "party_rows",
    "change_rows",
    "party_change_rows",
    "received_rows",
    "batch_member_rows",
    "batch_rows",
    "posting_rows",
    "anchor_rows",
    "movement_rows",
    "cycle_rows",
    "cycle_deadline_rows",
    "schedule_rows",
    "quote_rows",
    "participant_rows",
    "asset_rows",
    "account_rows",
];

/// Makes the schema where there is none, brings ours forward, refuses all else.
pub(super) fn prepare(session: &mut Session, address: &PostgresAddress) -> Result<(), StoreError> {
    let failed = |fault| address.failed(fault);
    server_version(session, address)?;
    session
        .execute("SELECT pg_advisory_lock($1)", &[&PREPARING])
        .map_err(failed)?;
    let prepared = migrate(session, address);
    // Goes with the connection too.
    session
        .execute("SELECT pg_advisory_unlock($1)", &[&PREPARING])
        .map_err(failed)?;
    prepared
}

fn server_version(session: &mut Session, address: &PostgresAddress) -> Result<(), StoreError> {
    let row = session.query_one("SELECT current_setting('server_version_num')::INTEGER", &[]);
    let version: i32 = row.map_err(|fault| address.failed(fault))?.get(0);
    if version < SERVER_VERSION_MIN {
        return Err(StoreError::Database {
            file: address.to_string(),
            source: format!(
                "the server is PostgreSQL {}, {} or newer is needed",
                version / 10_000,
                SERVER_VERSION_MIN / 10_000
            )
            .into(),
        });
    }
    Ok(())
}

fn migrate(session: &mut Session, address: &PostgresAddress) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("some");
    match found(session, address.schema).map_err(|fault| address.failed(fault))? {
        Found::Foreign => {
            return Err(StoreError::Foreign {
                file: address.to_string(),
            });
        }
        Found::Ours(version) if version == known => return Ok(()),
        Found::Ours(found) if found > known => {
            return Err(StoreError::SchemaNewer {
                file: address.to_string(),
                found,
                known,
            });
        }
        Found::Ours(found) => {
            tracing::info!(%address, found, known, "read model has an older schema: it is brought forward");
        }
        Found::Nothing => {
            let create = format!("CREATE SCHEMA {}", address.schema);
            session
                .batch(&create)
                .map_err(|fault| address.failed(fault))?;
        }
        Found::Empty => {}
    }
    let ran = runner()
        .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        .and_then(|runner| Ok(runner.run(address.connect(Use::Change)?.client())?));
    ran.map(drop).map_err(|error| StoreError::Database {
        file: address.to_string(),
        source: format!("migration: {}", told(&*error)).into(),
    })
}

fn runner() -> Result<Runner, refinery::Error> {
    let migrations = MIGRATIONS.map(|(name, sql)| Migration::unapplied(name, sql));
    let migrations = migrations.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut runner = Runner::new(&migrations).set_grouped(true);
    runner.set_migration_table_name(HISTORY);
    Ok(runner)
}

/// An error with all that it comes from.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text += &format!(": {inner}");
        source = inner.source();
    }
    text
}

/// What stands under a schema's name.
pub(super) enum Found {
    /// No such schema.
    Nothing,
    /// A schema with nothing in it, as an administrator may have made it for us, or as a crash left it
    /// before the first migration.
    Empty,
    /// Ours, of this version.
    Ours(i64),
    /// Someone else's.
    Foreign,
}

pub(super) fn found(session: &mut Session, schema: &str) -> Result<Found, Fault> {
    let row = session.query_one(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::TEXT),
             (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1::TEXT)
              AND relname::TEXT NOT IN ($2::TEXT, $2::TEXT || '_pkey')),
             to_regclass($1::TEXT || '.' || $2::TEXT) IS NOT NULL",
        &[&schema, &HISTORY],
    )?;
    let (there, others, history): (bool, i64, bool) = (row.get(0), row.get(1), row.get(2));
    if !there {
        return Ok(Found::Nothing);
    }
    let version: Option<i64> = if history {
        let newest = format!("SELECT max(version)::BIGINT FROM {schema}.{HISTORY}");
        session.query_one(&newest, &[])?.get(0)
    } else {
        None
    };
    Ok(match version {
        Some(version) => Found::Ours(version),
        None if others == 0 => Found::Empty,
        None => Found::Foreign,
    })
}
