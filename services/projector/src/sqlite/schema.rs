//! The tables, and whether a database is one of ours.
//!
//! Instants are milliseconds since 1970-01-01 UTC, dates are days since then, amounts are text of minor
//! units, `participant`, `asset` and `account` are the core's dense ids, BICs and codes are text, and
//! enums are the numbers of [`crate::codec`].

use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _};

/// Raised with every change of the tables. There is no migration: an older read model is rebuilt.
pub(crate) const SCHEMA_VERSION: i64 = 3;

const CREATE: &str = "
CREATE TABLE valuta_schema (version INTEGER NOT NULL);
-- One row once something is committed: what every other row stands at.
CREATE TABLE journal_cursor (
    one INTEGER PRIMARY KEY CHECK (one = 1), journal BLOB NOT NULL, journal_offset INTEGER NOT NULL,
    sequence INTEGER NOT NULL, chain BLOB NOT NULL
);
CREATE TABLE instructions (
    sequence INTEGER PRIMARY KEY, uetr BLOB NOT NULL, instructing TEXT NOT NULL, kind INTEGER NOT NULL,
    received INTEGER NOT NULL,
    -- Of accepted ones.
    lane INTEGER, priority INTEGER, created INTEGER, value_date INTEGER, assets TEXT,
    status INTEGER NOT NULL, waiting INTEGER, batch INTEGER, rejection BLOB, matched_with INTEGER,
    -- The cycle that it is, or was last, a member of.
    cycle_date INTEGER, cycle_number INTEGER,
    member_index INTEGER
);
-- Apart, since an instruction's row is rewritten with each status and its content never is.
CREATE TABLE contents (sequence INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE parties (
    participant INTEGER NOT NULL, sequence INTEGER NOT NULL, roles INTEGER NOT NULL,
    PRIMARY KEY (participant, sequence)
) WITHOUT ROWID;
CREATE TABLE changes (
    sequence INTEGER NOT NULL, change_index INTEGER NOT NULL, instruction INTEGER NOT NULL,
    status INTEGER NOT NULL, waiting INTEGER, cycle_date INTEGER, cycle_number INTEGER, batch INTEGER,
    rejection BLOB, matched_with INTEGER, time INTEGER NOT NULL,
    PRIMARY KEY (sequence, change_index)
) WITHOUT ROWID;
-- Changes that are no entry (first change of the instruction's own input): those are in parties.
CREATE TABLE party_changes (
    participant INTEGER NOT NULL, sequence INTEGER NOT NULL, change_index INTEGER NOT NULL,
    instruction INTEGER NOT NULL,
    PRIMARY KEY (participant, sequence, change_index)
) WITHOUT ROWID;
CREATE TABLE received (
    participant INTEGER NOT NULL, sequence INTEGER NOT NULL, unit_index INTEGER NOT NULL,
    instruction INTEGER NOT NULL,
    PRIMARY KEY (participant, sequence, unit_index)
) WITHOUT ROWID;
CREATE TABLE batch_members (
    batch INTEGER NOT NULL, sequence INTEGER NOT NULL, member_index INTEGER NOT NULL,
    PRIMARY KEY (batch, sequence)
) WITHOUT ROWID;
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, cycle_date INTEGER, cycle_number INTEGER, time INTEGER NOT NULL,
    sequence INTEGER NOT NULL, member_count INTEGER NOT NULL, certificate_hash BLOB,
    run_order INTEGER NOT NULL
);
CREATE INDEX batches_by_cycle ON batches (cycle_date, cycle_number) WHERE cycle_date IS NOT NULL;
CREATE TABLE postings (
    batch INTEGER NOT NULL, posting_index INTEGER NOT NULL, holder TEXT NOT NULL, asset INTEGER NOT NULL,
    mirror INTEGER NOT NULL, amount TEXT NOT NULL, balance TEXT NOT NULL,
    PRIMARY KEY (batch, posting_index)
) WITHOUT ROWID;
CREATE INDEX postings_by_account ON postings (holder, asset, batch);
-- From the ledger's side; may come before the batch.
CREATE TABLE anchors (batch INTEGER PRIMARY KEY, log_index INTEGER NOT NULL, header TEXT NOT NULL);
CREATE TABLE cycles (
    value_date INTEGER NOT NULL, number INTEGER NOT NULL, cut_off INTEGER NOT NULL,
    pay_in_deadline INTEGER NOT NULL, completion_deadline INTEGER NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0, schedule_version INTEGER NOT NULL DEFAULT 0,
    schedule_reason TEXT NOT NULL DEFAULT '', completed INTEGER NOT NULL DEFAULT 0,
    into_date INTEGER, into_number INTEGER,
    PRIMARY KEY (value_date, number)
) WITHOUT ROWID;
CREATE TABLE participants (
    id INTEGER PRIMARY KEY, bic TEXT NOT NULL UNIQUE, name TEXT NOT NULL, state INTEGER NOT NULL
);
CREATE TABLE assets (
    id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, decimals INTEGER NOT NULL, agent TEXT NOT NULL,
    enabled INTEGER NOT NULL
);
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY, participant INTEGER NOT NULL, asset INTEGER NOT NULL, state INTEGER NOT NULL
);
";

/// Every table, for [`clear`].
const TABLES: [&str; 16] = [
    "valuta_schema",
    "journal_cursor",
    "instructions",
    "contents",
    "parties",
    "changes",
    "party_changes",
    "received",
    "batch_members",
    "batches",
    "postings",
    "anchors",
    "cycles",
    "participants",
    "assets",
    "accounts",
];

/// Makes the tables where there are none, rebuilds ours of an older version, refuses all else.
pub(crate) fn prepare(connection: &mut Connection, file: &str) -> Result<(), StoreError> {
    let failed = |source: rusqlite::Error| super::failed(file, source);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    match version(&transaction).map_err(failed)? {
        Found::Nothing => transaction.execute_batch(CREATE).map_err(failed)?,
        Found::Ours(SCHEMA_VERSION) => return Ok(()),
        Found::Ours(found) if found > SCHEMA_VERSION => {
            return Err(StoreError::SchemaNewer {
                file: file.to_owned(),
                found,
                known: SCHEMA_VERSION,
            });
        }
        Found::Ours(found) => {
            tracing::warn!(
                file,
                found,
                known = SCHEMA_VERSION,
                "read model has an older schema: it is rebuilt from the journal"
            );
            clear(&transaction).map_err(failed)?;
            transaction.execute_batch(CREATE).map_err(failed)?;
        }
        Found::Foreign => {
            return Err(StoreError::Foreign {
                file: file.to_owned(),
            });
        }
    }
    transaction
        .execute("INSERT INTO valuta_schema VALUES (?1)", [SCHEMA_VERSION])
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Empties the database of ours.
pub(crate) fn recreate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    clear(&transaction)?;
    transaction.execute_batch(CREATE)?;
    transaction.execute("INSERT INTO valuta_schema VALUES (?1)", [SCHEMA_VERSION])?;
    transaction.commit()
}

enum Found {
    Nothing,
    Ours(i64),
    Foreign,
}

fn version(connection: &Connection) -> rusqlite::Result<Found> {
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
        [],
        |row| row.get(0),
    )?;
    let ours = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'valuta_schema'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    match (ours, tables) {
        (None, 0) => Ok(Found::Nothing),
        (None, _) => Ok(Found::Foreign),
        (Some(()), _) => connection
            .query_row("SELECT version FROM valuta_schema", [], |row| row.get(0))
            .optional()
            .map(|version| version.map_or(Found::Foreign, Found::Ours)),
    }
}

/// An older version's tables that this one no longer has stay; a later version lists them here.
fn clear(connection: &Connection) -> rusqlite::Result<()> {
    TABLES
        .iter()
        .try_for_each(|table| connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}")))
}
