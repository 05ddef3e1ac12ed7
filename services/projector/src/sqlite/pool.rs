//! The readers: a few connections, each query on one of them in one snapshot.

use super::{failed, history, list, open, read};
use crate::model::{
    BatchFilter, BatchRow, ChangeRow, InstructionRow, ListFilter, ListPage, ReadModel, ReceivedRow,
    UnitRow,
};
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use settlement_core::command::Position;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use valuta_journal::Cursor;

/// The queries of the embedded read model; cheap to clone. A call waits while every reader is busy.
#[derive(Clone, Debug)]
pub struct SqliteReadModel(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    file: String,
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// Gives its connection back, also if the query panics.
struct Reader<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl SqliteReadModel {
    /// Opens `readers` (at least one) connections on a file that a [`SqliteStore`](super::SqliteStore)
    /// has prepared. They cannot write.
    pub fn open(path: &Path, readers: usize) -> Result<Self, StoreError> {
        let file = path.display().to_string();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let idle = (0..readers.max(1))
            .map(|_| open(path, flags))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| failed(&file, error))?;
        Ok(Self(Arc::new(Pool {
            file,
            idle: Mutex::new(idle),
            returned: Condvar::new(),
        })))
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = self.0.take();
        let connection = reader.connection.as_ref().expect("taken until dropped");
        connection
            .unchecked_transaction()
            .and_then(|snapshot| query(&snapshot))
            .map_err(|error| failed(&self.0.file, error))
    }
}

impl Pool {
    fn take(&self) -> Reader<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = loop {
            if let Some(connection) = idle.pop() {
                break Some(connection);
            }
            idle = self
                .returned
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        };
        Reader {
            pool: self,
            connection,
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}

impl ReadModel for SqliteReadModel {
    fn state(&self) -> Result<Option<Cursor>, StoreError> {
        self.read(super::cursor)
    }

    fn list(&self, filter: &ListFilter) -> Result<ListPage, StoreError> {
        self.read(|connection| list::list(connection, filter))
    }

    fn instruction(&self, sequence: Sequence) -> Result<Option<InstructionRow>, StoreError> {
        self.read(|connection| read::instruction(connection, sequence))
    }

    fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ChangeRow>, StoreError> {
        self.read(|connection| history::changes(connection, participant, after, limit))
    }

    fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ReceivedRow>, StoreError> {
        self.read(|connection| history::received(connection, participant, after, limit))
    }

    fn unit(&self, instruction: Sequence) -> Result<Option<UnitRow>, StoreError> {
        self.read(|connection| read::unit(connection, instruction))
    }

    fn members(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<UnitRow>, StoreError> {
        self.read(|connection| read::members(connection, participant, batch, after, limit))
    }

    fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, StoreError> {
        self.read(|connection| read::batch(connection, number))
    }

    fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchRow>, StoreError> {
        self.read(|connection| read::batches(connection, filter))
    }
}
