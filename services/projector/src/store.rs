//! Where rows go, and what can go wrong there.

use crate::rows::Rows;
use settlement_core::ids::BatchNumber;
use valuta_journal::Cursor;

/// The writing side of a read model. One writer; calls block.
pub trait Store: Send {
    /// The place in the journal that the committed rows stand at; `None` in an empty store.
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError>;

    /// Writes rows into the transaction that is open, and opens one if none is. Nobody sees them,
    /// and nothing of them outlives the store, before [`Self::commit`].
    fn write(&mut self, rows: &Rows) -> Result<(), StoreError>;

    /// Commits all that was written since the last commit, and the cursor, as one transaction.
    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError>;

    /// Empties the store, so that it is rebuilt from the journal's beginning. Anchors go too: the
    /// ledger offers them anew.
    fn reset(&mut self) -> Result<(), StoreError>;
}

/// Where the ledger's side says what is anchored: it has no cursor, and may come before the batch.
pub trait Anchors: Send {
    /// Sets a batch's place in the log and its header, the log's entry. Repeats change nothing.
    fn set_anchor(
        &mut self,
        batch: BatchNumber,
        log_index: u64,
        header: &str,
    ) -> Result<(), StoreError>;

    /// The newest anchored batch's number; 0 before the first.
    fn anchored(&mut self) -> Result<BatchNumber, StoreError>;
}

/// The read model's store failed. Nothing is lost: it can be rebuilt from the journal.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database says no.
    #[error("read model {file}: {source}")]
    Database {
        /// The database.
        file: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Written by a newer program.
    #[error("read model {file} has schema version {found}, this program knows up to {known}")]
    SchemaNewer {
        /// The database.
        file: String,
        /// Its version.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// It holds tables that are not a read model's.
    #[error("{file} is not a read model of Valuta: it is left as it is")]
    Foreign {
        /// The database.
        file: String,
    },
}
