//! The read model: follows the journal and answers lists, history and batches from SQL.
//!
//! | module | what |
//! |---|---|
//! | `projector` | the thread: reads records, commits rows and cursor together |
//! | `projection`, `parties` | records into rows: a pure function of the journal |
//! | `rows`, `codec` | what is written, in core types; those as columns |
//! | `store` | where rows go: one trait for every database |
//! | `model` | what can be asked: one trait for every database |
//! | `sqlite` | both, embedded |
//! | `postgres` | both, of a cluster (feature `cluster`) |
//! | `pool` | readers' connections |
//!
//! It holds nothing that the journal does not: it can be deleted at any time, and is rebuilt.

mod codec;
mod model;
mod parties;
mod pool;
#[cfg(feature = "cluster")]
mod postgres;
mod projection;
mod projector;
mod rows;
mod sqlite;
mod store;

pub use model::{
    AnchorRow, BatchFilter, BatchRow, ChangeRow, InstructionRow, ListFilter, ListPage, PostingRow,
    ReadModel, ReceivedRow, StatusFilter, UnitRow,
};
#[cfg(feature = "cluster")]
pub use postgres::{
    PostgresAddress, PostgresAnchors, PostgresReadModel, PostgresStore, RebuildError, rebuild,
};
pub use projection::RecordError;
pub use projector::{ProjectError, run};
pub use rows::{
    ApprovalAdded, BatchAdded, ChangeAdded, Concern, CycleChange, DirectoryChange,
    InstructionAdded, LegAdded, MemberAdded, MovementAdded, OrderAdded, PartyAdded, PostingAdded,
    QueuePlace, QuoteAdded, Roles, Rows, ScheduleAdded, Standing, StandingChanged,
};
pub use sqlite::{SqliteAnchors, SqliteReadModel, SqliteStore};
pub use store::{Anchors, Store, StoreError};
