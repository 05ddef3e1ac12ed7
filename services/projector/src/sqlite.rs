//! The embedded read model: one SQLite file in WAL mode, one writer, a few readers.
//!
//! | connection | opened by | does |
//! |---|---|---|
//! | writer | [`SqliteStore`] | rows and cursor, one transaction per commit |
//! | anchors | [`SqliteAnchors`] | the ledger's upserts, a row each |
//! | readers | [`SqliteReadModel`] | queries, each in one snapshot; they never wait for a writer |

mod history;
mod list;
mod pool;
mod read;
mod schema;
mod turn;
mod write;

pub use pool::SqliteReadModel;

use crate::rows::Rows;
use crate::store::{Anchors, Store, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use settlement_core::ids::BatchNumber;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use turn::{Taken, Turn};
use valuta_journal::{Cursor, JournalId};

/// How long a writer waits for one of another process, which has no business here but a backup.
const BUSY_WAIT: Duration = Duration::from_secs(60);
/// Of each writer's page cache, in KiB (negative: that is how SQLite tells KiB from pages).
const CACHE_KIB: i64 = -32_768;
/// Pages of 4 KiB in the WAL before a commit moves them into the file: 32 MiB, since moving costs two
/// syncs whatever the amount.
const CHECKPOINT_PAGES: i64 = 8_192;
/// The file keeps no more than this once it is moved: 64 MiB.
const WAL_BYTES_MAX: i64 = 64 << 20;
/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 64;

/// The writer of the embedded read model.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    file: Arc<str>,
    turn: Turn,
    /// A transaction is open.
    writing: Option<Taken>,
}

impl SqliteStore {
    /// Opens the file, or creates it with its tables. One of an older schema is emptied, and said so
    /// in the log; one of a newer schema, or of another program, is refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file: Arc<str> = path.display().to_string().into();
        let mut connection = open(path, OpenFlags::default()).map_err(|e| failed(&file, e))?;
        schema::prepare(&mut connection, &file)?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            file,
            turn: Turn::default(),
            writing: None,
        })
    }

    /// A read model with `readers` connections of its own.
    pub fn read_model(&self, readers: usize) -> Result<SqliteReadModel, StoreError> {
        SqliteReadModel::open(&self.path, readers)
    }

    /// The ledger's way in.
    pub fn anchors(&self) -> Result<SqliteAnchors, StoreError> {
        let connection = open(&self.path, OpenFlags::default());
        Ok(SqliteAnchors {
            connection: connection.map_err(|e| failed(&self.file, e))?,
            file: Arc::clone(&self.file),
            turn: self.turn.clone(),
        })
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        if self.writing.is_none() {
            let taken = self.turn.take();
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.writing = Some(taken);
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        cursor(&self.connection).map_err(|e| failed(&self.file, e))
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.begin()
            .and_then(|()| write::write(&self.connection, rows))
            .map_err(|e| failed(&self.file, e))
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        self.begin()
            .and_then(|()| write::set_cursor(&self.connection, cursor))
            // A crash before this: neither rows nor cursor. After it: both, or, if the machine lost
            // power before the WAL reached the disk, neither.
            .and_then(|()| self.connection.execute_batch("COMMIT"))
            .map_err(|e| failed(&self.file, e))?;
        self.writing = None;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        let turn = match self.writing.take() {
            Some(taken) => {
                let rolled_back = self.connection.execute_batch("ROLLBACK");
                rolled_back.map_err(|e| failed(&self.file, e))?;
                taken
            }
            None => self.turn.take(),
        };
        let recreated = schema::recreate(&mut self.connection);
        drop(turn);
        recreated.map_err(|e| failed(&self.file, e))
    }
}

/// Writes anchors.
#[derive(Debug)]
pub struct SqliteAnchors {
    connection: Connection,
    file: Arc<str>,
    turn: Turn,
}

impl Anchors for SqliteAnchors {
    fn set_anchor(
        &mut self,
        batch: BatchNumber,
        log_index: u64,
        header: &str,
    ) -> Result<(), StoreError> {
        let _turn = self.turn.take();
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO anchors VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![int(batch), int(log_index), header]))
            .map(drop)
            .map_err(|e| failed(&self.file, e))
    }

    fn anchored(&mut self) -> Result<BatchNumber, StoreError> {
        self.connection
            .query_row("SELECT coalesce(max(batch), 0) FROM anchors", [], |row| {
                natural(row, 0)
            })
            .map_err(|e| failed(&self.file, e))
    }
}

/// Opens a connection as every one of ours is set.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // The journal is what is durable: after a power cut an older state follows on from its cursor.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    }
    Ok(connection)
}

fn cursor(connection: &Connection) -> rusqlite::Result<Option<Cursor>> {
    connection
        .prepare_cached("SELECT journal, journal_offset, sequence, chain FROM journal_cursor")?
        .query_row([], |row| {
            Ok(Cursor {
                journal: JournalId(row.get(0)?),
                offset: natural(row, 1)?,
                sequence: natural(row, 2)?,
                chain: row.get(3)?,
            })
        })
        .optional()
}

fn failed(file: &str, source: rusqlite::Error) -> StoreError {
    StoreError::Database {
        file: file.to_owned(),
        source: Box::new(source),
    }
}

/// Sequences, numbers and offsets as SQL has integers. What is stored is counted from 1, and below
/// 2^63; what a caller asks for may be beyond, and then is beyond all that is stored.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Back from [`int`].
fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A column that no row of ours can hold.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read; delete the read model, it will be rebuilt")]
struct Damaged {
    what: &'static str,
}

fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    let error = Box::new(Damaged { what });
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, error)
}
