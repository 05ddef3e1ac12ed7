//! The ordered durable log of opaque records.
//!
//! One writer appends, each record holding a range of sequences without gaps; what [`Journal::append`]
//! returned for is durable. Followers read behind the durable watermark, each with its own
//! [`Cursor`], and can never make the writer wait. The journal knows nothing of what it holds.
//!
//! | module    | what                                                          |
//! |-----------|---------------------------------------------------------------|
//! | `record`  | header, chain, cursor: the same on every medium               |
//! | `frame`   | a record on disk: whole 4 KiB pages under one checksum        |
//! | `segment` | preallocated files that are the journal's address space       |
//! | `mark`    | how far an idle journal was acknowledged                      |
//! | `recover` | opening: torn tail or damage, and the repair                  |
//! | `file`    | the writer                                                    |
//! | `reader`  | followers, in order                                           |
//! | `lookup`  | random access by sequence, over `index`; `recent`: what it read |
//! | `tail`    | the watermark: waiting and wakers                             |
//! | `memory`  | the double, with faults                                       |
//!
//! A directory holds `lock`, `marks` and the segments; whatever ends in `.tmp` is removed at start.
//! A copy of all but `lock` is a copy of the journal: same id, chain and sequences.

mod disk;
mod error;
mod file;
mod frame;
mod index;
mod lookup;
mod mark;
mod memory;
mod reader;
mod recent;
mod record;
mod recover;
mod segment;
mod stopped;
mod tail;

use std::sync::Arc;

pub use error::{AppendError, Contradiction, Damage, Damaged, FileError, OpenError, ReadError};
pub use file::{
    FileJournal, FileJournalOptions, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
pub use frame::{PAGE_BYTES, framed_bytes};
pub use lookup::FileLookup;
pub use memory::{Fault, FaultPoint, MemoryJournal, MemoryLookup, MemoryReader};
pub use reader::FileReader;
pub use recent::RecentRecords;
pub use record::{
    CANONICAL_BYTES, Chain, Cursor, JournalId, Leader, RECORD_BYTES_MAX, Record, RecordHeader,
    chain_after,
};
pub use recover::Recovery;
pub use stopped::StoppedJournal;
pub use tail::Tail;

/// Where a journal's durable records are read: by its writer's process, or by another one.
pub trait Source: Send {
    /// The journal's nonce.
    fn id(&self) -> JournalId;

    /// The durable watermark, for followers.
    fn watch(&self) -> Tail;

    /// A follower from after `from`, or from the start.
    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError>;

    /// Random access to what is durable.
    fn lookup(&self) -> Arc<dyn RecordLookup>;
}

/// The one writer of a journal. Calls block; they belong on a thread of the journal's own.
pub trait Journal: Source {
    /// The end of what is durable.
    fn tail(&self) -> Cursor;

    /// Takes the space for coming records of together at most `bytes` (the sum of their
    /// [`framed_bytes`]), so that they do not meet a full disk. Called before a step is decided, it
    /// refuses new work while that is still possible: [`AppendError::Full`] changes nothing, and
    /// may be tried again.
    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError>;

    /// Appends one record; durable when it returns. Sequences start at 1 and have no gaps:
    /// `first_sequence` is the tail's plus one, `last_sequence` not below it. `time_ms` is the record
    /// time in milliseconds since 1970-01-01 UTC. After a fatal error ([`AppendError::is_fatal`])
    /// the process must stop: only opening anew tells what is on disk.
    fn append(
        &mut self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Result<Cursor, AppendError>;

    /// Says durably that everything so far was acknowledged. Called when idle, within 10 ms of the
    /// last append, and before stopping; without anything new it does nothing. Until then a damaged
    /// last record would be taken for a torn one.
    fn mark(&mut self) -> Result<(), AppendError>;
}

/// A follower: hands out durable records in order, each verified to continue the chain.
pub trait JournalReader: Send {
    /// The next record; `None`: nothing durable beyond the cursor yet. An error is final: damage
    /// does not heal.
    fn next(&mut self) -> Result<Option<Record>, ReadError>;

    /// As [`next`](Self::next), and records without inputs too, so that a copy is whole. Those behind the last
    /// inputs may come only with what follows them.
    fn next_any(&mut self) -> Result<Option<Record>, ReadError>;

    /// The place after the last record with inputs that was returned.
    fn cursor(&self) -> Cursor;
}

/// Random access by sequence, from any thread.
pub trait RecordLookup: Send + Sync {
    /// The durable record that holds the input with this sequence;
    /// [`ReadError::NotDurable`] if none does (yet).
    fn record_containing(&self, sequence: u64) -> Result<Arc<Record>, ReadError>;

    /// The cursor after the record that ends with this sequence (0: the start), `None` if the
    /// sequence is inside a record. So a follower finds its offset in a copy of the journal; it
    /// must compare the chain with its own.
    fn cursor_after(&self, sequence: u64) -> Result<Option<Cursor>, ReadError>;
}
