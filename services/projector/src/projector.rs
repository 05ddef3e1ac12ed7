//! Follows the journal, on two threads, so that the store never waits for a projection.
//!
//! | # | phase | thread | touches |
//! |---|---|---|---|
//! | 1 | read, decode, project | its own (`reading`) | memory |
//! | 2 | hand on | both (`portions`) | memory, when rows are many or nothing more is there to read |
//! | 3 | write | the caller's | an open transaction |
//! | 4 | commit | the caller's | rows and cursor at once |
//! | 5 | progress | the caller's | whoever waits for a sequence |
//!
//! At a start the journal is read from its beginning, for what the projection keeps in memory; what
//! stands in the store is compared with it by the cursor on the way.
//!
//! | ends first | then |
//! |---|---|
//! | 1: at the journal's end, told to stop, or at an error | all that it said to commit is written and committed; what goes beyond is not |
//! | 3 to 5: at an error | 1 ends at its next record; the store's error is the answer |

mod portions;
mod reading;

use crate::projection::RecordError;
use crate::store::{Store, StoreError};
use portions::portions;
use reading::{End, Reading};
use settlement_core::ids::Sequence;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use valuta_journal::{JournalReader, ReadError, Tail};

#[cfg(feature = "cluster")]
use valuta_journal::Cursor;

/// How long an idle projector takes to see that it shall stop. New records wake it at once.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// Why the projector stopped. The engine does not mind; the read model stays as it was committed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be projected.
    #[error("record of sequences {first} to {last}: {reason}")]
    Record {
        /// The record's first sequence.
        first: u64,
        /// Its last.
        last: u64,
        /// Why not.
        reason: RecordError,
    },
    /// The store's cursor is not of this journal.
    #[error(
        "the read model stands at sequence {sequence} of journal {journal}, which this \
         journal contradicts: {reason}; delete the read model, it will be rebuilt"
    )]
    Contradicted {
        /// The cursor's journal.
        journal: String,
        /// The cursor's sequence.
        sequence: u64,
        /// How.
        reason: &'static str,
    },
}

/// Follows the journal from its beginning until `stop`, or until the journal is closed and all of it is
/// projected. `progress` is told each sequence up to which the store is complete: at the start, and
/// after each commit. Runs on a thread of its own: all calls block.
pub fn run(
    reader: Box<dyn JournalReader>,
    tail: &Tail,
    mut store: impl Store,
    stop: &AtomicBool,
    mut progress: impl FnMut(Sequence),
) -> Result<(), ProjectError> {
    let cursor = store.cursor()?;
    progress(Sequence(cursor.map_or(0, |cursor| cursor.sequence)));
    let mut reading = Reading::new(reader, cursor)?;
    let mut wait = |read: Sequence| {
        // Closed is looked at first: what was durable before it is then seen by the wait.
        let closed = tail.is_closed();
        tail.wait_past(read.0, IDLE_WAIT) || !closed
    };
    project(&mut reading, &mut store, stop, &mut wait, &mut progress).map(drop)
}

/// Reads on a thread of its own, and writes on this one.
fn project(
    reading: &mut Reading,
    store: &mut impl Store,
    stop: &AtomicBool,
    wait: &mut (impl FnMut(Sequence) -> bool + Send),
    progress: &mut impl FnMut(Sequence),
) -> Result<End, ProjectError> {
    let writer_gone = AtomicBool::new(false);
    let (filling, writing) = portions(&writer_gone);
    std::thread::scope(|scope| {
        let reads = scope.spawn(move || reading.follow(&filling, stop, wait));
        // Its channels are closed when it returns, and so neither side waits for one that has ended.
        let written = writing.write_to(store, progress);
        let read = reads.join();
        let read = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written?;
        read
    })
}

/// A projection that is asked now and then to catch up with its journal.
#[cfg(feature = "cluster")]
pub(crate) struct Following<S> {
    reading: Reading,
    store: S,
}

#[cfg(feature = "cluster")]
impl<S: Store> Following<S> {
    pub(crate) fn new(reader: Box<dyn JournalReader>, store: S) -> Result<Self, ProjectError> {
        let reading = Reading::new(reader, None)?;
        Ok(Self { reading, store })
    }

    /// Projects all that is durable, and commits it; `false`: it was told to stop before that.
    pub(crate) fn catch_up(&mut self, stop: &AtomicBool) -> Result<bool, ProjectError> {
        let (reading, store) = (&mut self.reading, &mut self.store);
        let end = project(reading, store, stop, &mut |_| false, &mut |_| {})?;
        Ok(end == End::Journal)
    }

    /// The place in the journal after the last record that was read.
    pub(crate) fn cursor(&self) -> Cursor {
        self.reading.cursor()
    }
}
