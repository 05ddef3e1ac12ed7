//! The questions that the read model answers, and its answers.

use crate::store::StoreError;
use fx::AssetCode;
use settlement_core::command::Position;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use valuta_journal::Cursor;

pub use settlement_core::rows::*;

/// Rows that one call of a list looks at, at most: bounds its work to about 20 ms.
pub(crate) const SCAN_ROWS_MAX: i64 = 20_000;

/// The reading side. From any thread; calls block. Every call sees one committed state.
pub trait ReadModel: Send + Sync {
    /// How far it has followed the journal; `None` before the first commit.
    fn state(&self) -> Result<Option<Cursor>, StoreError>;

    /// Instructions, newest (largest sequence) first.
    fn list(&self, filter: &ListFilter) -> Result<ListPage, StoreError>;

    /// One instruction; `None` if that input is none, or is not projected yet.
    fn instruction(&self, sequence: Sequence) -> Result<Option<InstructionRow>, StoreError>;

    /// Changes of every instruction that the participant (`None`: anyone) is party to, in order of
    /// position, strictly after `after`, at most `limit`.
    fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ChangeRow>, StoreError>;

    /// Settled instructions with a leg that credits the participant, in order of position, strictly
    /// after `after`, at most `limit`. A matched trade credits a bank once: it receives the other
    /// side's instruction.
    fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ReceivedRow>, StoreError>;

    /// Where an instruction settled; `None` if it has not.
    fn unit(&self, instruction: Sequence) -> Result<Option<UnitRow>, StoreError>;

    /// The settled instructions of a batch that the participant (`None`: anyone) is party to, in order
    /// of sequence, strictly after `after`, at most `limit`. The batch need not be closed yet.
    fn members(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<UnitRow>, StoreError>;

    /// One closed batch with its postings.
    fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, StoreError>;

    /// The newest closed batch, up to `until`, that changed the holder's account of an asset.
    fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, StoreError>;

    /// Closed batches, newest first, without postings.
    fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchRow>, StoreError>;
}
