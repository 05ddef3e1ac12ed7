//! The readers: a few connections, each query on one of them in one snapshot.

use super::{failed, history, list, open, read};
use crate::model::{
    BatchFilter, BatchRow, ChangeRow, InstructionRow, ListFilter, ListPage, ReadModel, ReceivedRow,
    UnitRow,
};
use crate::pool::Pool;
use crate::store::StoreError;
use fx::AssetCode;
use rusqlite::{Connection, OpenFlags};
use settlement_core::command::Position;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use std::path::Path;
use std::sync::Arc;
use valuta_journal::Cursor;

/// The queries of the embedded read model; cheap to clone. A call waits while every reader is busy.
#[derive(Clone, Debug)]
pub struct SqliteReadModel(Arc<Readers>);

#[derive(Debug)]
struct Readers {
    file: String,
    connections: Pool<Connection>,
}

impl SqliteReadModel {
    /// Opens `readers` (at least one) connections on a file that a [`SqliteStore`](super::SqliteStore)
    /// has prepared. They cannot write.
    pub fn open(path: &Path, readers: usize) -> Result<Self, StoreError> {
        let file = path.display().to_string();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connections = (0..readers.max(1))
            .map(|_| open(path, flags))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| failed(&file, error))?;
        let connections = Pool::new(connections);
        Ok(Self(Arc::new(Readers { file, connections })))
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let read = self.0.connections.with(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            query(&snapshot)
        });
        read.map_err(|error| failed(&self.0.file, error))
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

    fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, StoreError> {
        self.read(|connection| read::changed_by(connection, holder, asset, until))
    }

    fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchRow>, StoreError> {
        self.read(|connection| read::batches(connection, filter))
    }
}
