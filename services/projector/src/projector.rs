//! The thread that follows the journal.
//!
//! | # | phase | touches |
//! |---|---|---|
//! | 1 | read, decode, project | memory |
//! | 2 | write | an open transaction, when rows are many or nothing more is there to read |
//! | 3 | commit | rows and cursor at once |
//! | 4 | progress | whoever waits for a sequence |
//!
//! At a start the journal is read from its beginning, for what the projection keeps in memory; what
//! stands in the store is compared with it by the cursor on the way.

use crate::projection::{Projection, RecordError};
use crate::rows::Rows;
use crate::store::{Store, StoreError};
use settlement_core::ids::Sequence;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use valuta_journal::{Cursor, JournalReader, ReadError, Record, Tail};

/// Rows in one transaction, while there is more to read: large enough that commits cost little, small
/// enough that readers are some 100 ms behind at most.
const TRANSACTION_ROWS: usize = 65_536;
/// How long an idle projector takes to see that it shall stop. New records wake it at once.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// Why the projector stopped. The engine does not mind; the read model stays as it was committed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The journal cannot be read.
    #[error("projector: {0}")]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("projector: {0}")]
    Store(#[from] StoreError),
    /// A record cannot be projected.
    #[error("projector: record of sequences {first} to {last}: {reason}")]
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
        "projector: the read model stands at sequence {sequence} of journal {journal}, which this \
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
    let mut following = Following::new(reader, store, cursor)?;
    while !stop.load(Ordering::Relaxed) {
        let more = following.step()?;
        if following.transaction_rows >= TRANSACTION_ROWS || !more {
            following.commit(&mut progress)?;
        }
        // Closed is looked at first: what was durable before it is then seen by the wait.
        let closed = tail.is_closed();
        if !more && !tail.wait_past(following.reader.cursor().sequence, IDLE_WAIT) && closed {
            break;
        }
    }
    following.commit(&mut progress)
}

/// A projection on its way through the journal, and where its rows go.
pub(crate) struct Following<S> {
    reader: Box<dyn JournalReader>,
    store: S,
    projection: Projection,
    rows: Rows,
    /// The store's, until the journal is read up to it.
    expected: Option<Cursor>,
    transaction_rows: usize,
    /// Records since the last commit.
    uncommitted: bool,
}

impl<S: Store> Following<S> {
    pub(crate) fn new(
        reader: Box<dyn JournalReader>,
        store: S,
        cursor: Option<Cursor>,
    ) -> Result<Self, ProjectError> {
        if let Some(cursor) = cursor
            && cursor.journal != reader.cursor().journal
        {
            return Err(contradicted(&cursor, "it is another one"));
        }
        Ok(Self {
            reader,
            store,
            projection: Projection::new(Sequence(cursor.map_or(0, |cursor| cursor.sequence))),
            rows: Rows::default(),
            expected: cursor.filter(|cursor| cursor.sequence > 0),
            transaction_rows: 0,
            uncommitted: false,
        })
    }

    /// Projects all that is durable, and commits it; `false`: it was told to stop before that.
    #[cfg(feature = "cluster")]
    pub(crate) fn catch_up(&mut self, stop: &AtomicBool) -> Result<bool, ProjectError> {
        while !stop.load(Ordering::Relaxed) {
            let more = self.step()?;
            if self.transaction_rows >= TRANSACTION_ROWS || !more {
                self.commit(&mut |_| {})?;
            }
            if !more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The place in the journal after the last record that was read.
    #[cfg(feature = "cluster")]
    pub(crate) fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }

    /// Reads and projects one record; `false`: there is none yet.
    fn step(&mut self) -> Result<bool, ProjectError> {
        let Some(record) = self.reader.next()? else {
            // What the store holds was durable before this start.
            return match &self.expected {
                Some(cursor) => Err(contradicted(cursor, "it ends before")),
                None => Ok(false),
            };
        };
        self.project(&record)?;
        match self.expected {
            Some(cursor) => self.compare(&record, &cursor)?,
            None => self.uncommitted = true,
        }
        Ok(true)
    }

    fn project(&mut self, record: &Record) -> Result<(), ProjectError> {
        let (store, written) = (&mut self.store, &mut self.transaction_rows);
        let projected = self.projection.record(record, &mut self.rows, &mut |rows| {
            write(store, rows, written).map_err(Stop::Store)
        });
        projected.map_err(|stop| match stop {
            Stop::Store(error) => error.into(),
            Stop::Record(reason) => ProjectError::Record {
                first: record.header.first_sequence,
                last: record.header.last_sequence,
                reason,
            },
        })
    }

    /// The journal up to the store's cursor must be what the store was made from. Offsets are not
    /// compared: a copy of a journal may have others.
    fn compare(&mut self, record: &Record, cursor: &Cursor) -> Result<(), ProjectError> {
        let last = record.header.last_sequence;
        if last < cursor.sequence {
            return Ok(());
        }
        if last > cursor.sequence {
            return Err(contradicted(cursor, "no record of it ends there"));
        }
        if record.chain_after != cursor.chain {
            return Err(contradicted(cursor, "its chain is another one"));
        }
        self.expected = None;
        Ok(())
    }

    fn commit(&mut self, progress: &mut impl FnMut(Sequence)) -> Result<(), ProjectError> {
        if !self.uncommitted {
            return Ok(());
        }
        let cursor = self.reader.cursor();
        write(&mut self.store, &mut self.rows, &mut self.transaction_rows)?;
        self.store.commit(&cursor)?;
        (self.transaction_rows, self.uncommitted) = (0, false);
        progress(Sequence(cursor.sequence));
        Ok(())
    }
}

fn write<S: Store>(store: &mut S, rows: &mut Rows, written: &mut usize) -> Result<(), StoreError> {
    let count = rows.count();
    if count > 0 {
        rows.sort();
        store.write(rows)?;
        rows.clear();
        *written += count;
    }
    Ok(())
}

/// Why a record was not projected to its end.
enum Stop {
    Store(StoreError),
    Record(RecordError),
}

impl From<RecordError> for Stop {
    fn from(reason: RecordError) -> Self {
        Self::Record(reason)
    }
}

fn contradicted(cursor: &Cursor, reason: &'static str) -> ProjectError {
    ProjectError::Contradicted {
        journal: cursor.journal.to_string(),
        sequence: cursor.sequence,
        reason,
    }
}
