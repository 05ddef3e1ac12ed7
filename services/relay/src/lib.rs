//! Journal to ledger: turns each closed batch into what the ledger takes, in order, and makes receipts.
//!
//! | module | room for |
//! |---|---|
//! | `batch` | a batch's members and contents, read from the journal |
//! | `closed` | records in, closed batches out |
//! | `files` | what each batch settled and changed: a file a batch, rebuilt by following |
//! | `relay` | the follower's loop |
//! | `receipts` | member trees and receipt files, on demand |
//! | [`topics`] | what is published for others, as messages |
//!
//! It follows the journal with a cursor that needs no store: the ledger says which batch comes next, and
//! an older one is skipped. A dead relay stops nothing but anchoring.

mod batch;
mod closed;
mod files;
mod receipts;
mod relay;
pub mod topics;

pub use closed::Batches;
pub use files::BatchFiles;
pub use receipts::{Receipt, Receipts};
pub use relay::{BatchSink, FilesOnly, Relay, RelayError};
