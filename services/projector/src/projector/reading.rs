//! The thread that reads, decodes and projects: it says where each transaction ends, and waits while all
//! portions are full.

use super::ProjectError;
use super::portions::{Filling, WriterGone};
use crate::projection::{Projection, ROWS_MAX, RecordError};
use crate::rows::Rows;
use settlement_core::ids::Sequence;
use std::sync::atomic::{AtomicBool, Ordering};
use valuta_journal::{Cursor, JournalReader, ReadError, Record};

/// Rows after which a transaction ends with the record at hand, while there is more to read: large enough that
/// commits cost little, small enough that readers are some 100 ms behind at most, and so many fewer than
/// [`ROWS_MAX`] that a usual transaction is one portion, since a table's COPY costs something of its own.
const TRANSACTION_ROWS: usize = ROWS_MAX / 4 * 3;

/// A projection on its way through the journal.
pub(super) struct Reading {
    reader: Box<dyn JournalReader>,
    projection: Projection,
    /// Not yet handed on.
    rows: Rows,
    /// The store's, until the journal is read up to it.
    expected: Option<Cursor>,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// All that is durable is projected.
    Journal,
    /// It was told to stop before that.
    Stopped,
    /// The store failed before that, and has the error.
    WriterGone,
}

/// What it has handed on since the last commit.
#[derive(Default)]
struct Transaction {
    rows: usize,
    records: bool,
}

/// Why a record was not projected to its end.
enum Stop {
    WriterGone,
    Failed(ProjectError),
}

impl From<WriterGone> for Stop {
    fn from(_: WriterGone) -> Self {
        Self::WriterGone
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.into())
    }
}

/// Why a record's rows end in its midst.
enum Cut {
    WriterGone,
    Record(RecordError),
}

impl From<RecordError> for Cut {
    fn from(reason: RecordError) -> Self {
        Self::Record(reason)
    }
}

impl Reading {
    /// For a store that stands at `cursor`. `reader` stands at the journal's beginning.
    pub(super) fn new(
        reader: Box<dyn JournalReader>,
        cursor: Option<Cursor>,
    ) -> Result<Self, ProjectError> {
        if let Some(cursor) = cursor
            && cursor.journal != reader.cursor().journal
        {
            return Err(contradicted(&cursor, "it is another one"));
        }
        Ok(Self {
            reader,
            projection: Projection::new(Sequence(cursor.map_or(0, |cursor| cursor.sequence))),
            rows: Rows::default(),
            expected: cursor.filter(|cursor| cursor.sequence > 0),
        })
    }

    /// The place in the journal after the last record that was read.
    #[cfg(feature = "cluster")]
    pub(super) fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }

    /// Projects until `stop`, or until nothing more is durable and `wait`, which is told up to which sequence
    /// it has read, says that nothing will be. However it is stopped, what is whole is to be committed.
    pub(super) fn follow(
        &mut self,
        filling: &Filling<'_>,
        stop: &AtomicBool,
        wait: &mut impl FnMut(Sequence) -> bool,
    ) -> Result<End, ProjectError> {
        match self.follow_until(filling, stop, wait) {
            Ok(end) => Ok(end),
            Err(Stop::WriterGone) => Ok(End::WriterGone),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn follow_until(
        &mut self,
        filling: &Filling<'_>,
        stop: &AtomicBool,
        wait: &mut impl FnMut(Sequence) -> bool,
    ) -> Result<End, Stop> {
        let mut transaction = Transaction::default();
        while !stop.load(Ordering::Relaxed) {
            let more = self.step(filling, &mut transaction)?;
            if transaction.rows + self.rows.count() >= TRANSACTION_ROWS || !more {
                self.end(filling, &mut transaction)?;
            }
            if filling.writer_gone() {
                return Err(Stop::WriterGone);
            }
            if !more && !wait(Sequence(self.reader.cursor().sequence)) {
                return Ok(End::Journal);
            }
        }
        self.end(filling, &mut transaction)?;
        Ok(End::Stopped)
    }

    /// Reads and projects one record; `false`: there is none yet.
    fn step(&mut self, filling: &Filling<'_>, transaction: &mut Transaction) -> Result<bool, Stop> {
        let Some(record) = self.reader.next()? else {
            // What the store holds was durable before this start.
            return match &self.expected {
                Some(cursor) => Err(Stop::Failed(contradicted(cursor, "it ends before"))),
                None => Ok(false),
            };
        };
        self.project(&record, filling, transaction)?;
        match self.expected {
            Some(cursor) => self.compare(&record, &cursor).map_err(Stop::Failed)?,
            None => transaction.records = true,
        }
        Ok(true)
    }

    fn project(
        &mut self,
        record: &Record,
        filling: &Filling<'_>,
        transaction: &mut Transaction,
    ) -> Result<(), Stop> {
        let projected = self.projection.record(record, &mut self.rows, &mut |rows| {
            transaction.rows += rows.count();
            let handed_on = filling.hand_on(rows, None);
            handed_on.map_err(|WriterGone| Cut::WriterGone)
        });
        projected.map_err(|cut| match cut {
            Cut::WriterGone => Stop::WriterGone,
            Cut::Record(reason) => Stop::Failed(ProjectError::Record {
                first: record.header.first_sequence,
                last: record.header.last_sequence,
                reason,
            }),
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

    /// The transaction, if there is one, ends after the last record.
    fn end(
        &mut self,
        filling: &Filling<'_>,
        transaction: &mut Transaction,
    ) -> Result<(), WriterGone> {
        if std::mem::take(transaction).records {
            filling.hand_on(&mut self.rows, Some(self.reader.cursor()))?;
        }
        Ok(())
    }
}

fn contradicted(cursor: &Cursor, reason: &'static str) -> ProjectError {
    ProjectError::Contradicted {
        journal: cursor.journal.to_string(),
        sequence: cursor.sequence,
        reason,
    }
}
