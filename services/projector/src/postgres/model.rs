//! The readers: a few connections, each query on one of them in one snapshot. One that broke is opened
//! anew by the next call.

use super::session::{Fault, Link, PostgresAddress, Session, Use};
use super::{history, list, read};
use crate::model::{
    BatchFilter, BatchRow, ChangeRow, InstructionRow, ListFilter, ListPage, ReadModel, ReceivedRow,
    UnitRow,
};
use crate::pool::Pool;
use crate::store::StoreError;
use fx::AssetCode;
use settlement_core::command::Position;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use std::sync::Arc;
use valuta_journal::Cursor;

/// The lock comes before the snapshot: no exchange of schemas falls between them.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     LOCK TABLE journal_cursor IN ACCESS SHARE MODE";

/// The queries of the read model; cheap to clone. A call waits while every reader is busy. Not from
/// within an asynchronous task: calls block. It may be dropped there.
#[derive(Clone)]
pub struct PostgresReadModel(Arc<Readers>);

/// `None` only while it is dropped.
struct Readers(Option<Pool<Link>>);

impl Drop for Readers {
    /// A connection says goodbye when it closes, which blocks: an asynchronous task must not.
    fn drop(&mut self) {
        let pool = self.0.take();
        // Without a thread the connections end with the process.
        let closing = std::thread::Builder::new().spawn(move || drop(pool));
        let _ = closing.map(std::thread::JoinHandle::join);
    }
}

impl PostgresReadModel {
    /// Opens `readers` (at least one) connections to a schema that a
    /// [`PostgresStore`](super::PostgresStore) has prepared. They need the right to SELECT, no more.
    pub fn open(address: &PostgresAddress, readers: usize) -> Result<Self, StoreError> {
        let links = (0..readers.max(1)).map(|_| Link::open(address, Use::Read));
        let links = links.collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Arc::new(Readers(Some(Pool::new(links))))))
    }

    fn read<T>(&self, query: impl Fn(&mut Session) -> Result<T, Fault>) -> Result<T, StoreError> {
        let pool = self.0.0.as_ref().expect("taken only when dropped");
        pool.with(|link| {
            link.run(|session| {
                session.batch(BEGIN)?;
                let read = query(session)?;
                session.batch("COMMIT")?;
                Ok(read)
            })
        })
    }
}

impl ReadModel for PostgresReadModel {
    fn state(&self) -> Result<Option<Cursor>, StoreError> {
        self.read(super::cursor)
    }

    fn list(&self, filter: &ListFilter) -> Result<ListPage, StoreError> {
        self.read(|session| list::list(session, filter))
    }

    fn instruction(&self, sequence: Sequence) -> Result<Option<InstructionRow>, StoreError> {
        self.read(|session| read::instruction(session, sequence))
    }

    fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ChangeRow>, StoreError> {
        self.read(|session| history::changes(session, participant, after, limit))
    }

    fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ReceivedRow>, StoreError> {
        self.read(|session| history::received(session, participant, after, limit))
    }

    fn unit(&self, instruction: Sequence) -> Result<Option<UnitRow>, StoreError> {
        self.read(|session| read::unit(session, instruction))
    }

    fn members(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<UnitRow>, StoreError> {
        self.read(|session| read::members(session, participant, batch, after, limit))
    }

    fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, StoreError> {
        self.read(|session| read::batch(session, number))
    }

    fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, StoreError> {
        self.read(|session| read::changed_by(session, holder, asset, until))
    }

    fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchRow>, StoreError> {
        self.read(|session| read::batches(session, filter))
    }
}
