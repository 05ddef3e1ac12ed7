//! The follower's loop.

use crate::closed::{Batches, Closed};
use crate::files::{BatchFile, BatchFiles};
use settlement_core::record::PayloadError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use valuta_journal::{JournalReader, ReadError, RecordLookup, Tail};
use valuta_ledger::{Added, BatchInput, Ledger, LedgerError};

/// How often a relay without anything to do looks whether it should end.
const IDLE_TURN: Duration = Duration::from_millis(200);

/// Why relaying or making a receipt failed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The journal cannot be read, or contradicts itself.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is not one of this program's.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The ledger refuses: a conflict is an alarm.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What takes the batches elsewhere failed.
    #[error("batches: {0}")]
    Sink(Box<dyn std::error::Error + Send + Sync>),
    /// The files that proofs are made of.
    #[error("batch files: {0}")]
    Files(#[from] std::io::Error),
    /// A member's input is not where the journal's index says.
    #[error("the journal holds no instruction or movement at sequence {sequence}")]
    NoInput {
        /// The member's.
        sequence: u64,
    },
    /// The batch is anchored, but its file is not there: the relay writes it when it comes to the batch.
    #[error("batch {number} is anchored, but not yet read again from the journal")]
    Unread {
        /// The batch's.
        number: u64,
    },
    /// A batch's closing event is not where its file says.
    #[error("batch {number} did not close where its file says")]
    NoBatch {
        /// The batch's.
        number: u64,
    },
    /// A batch closed before the scheme had a name: our bug.
    #[error("batch {number} closed in a scheme without a name")]
    NoScheme {
        /// The batch's.
        number: u64,
    },
}

/// Who takes closed batches: the ledger, or a topic on the way to it.
pub trait BatchSink: Send {
    /// The number of the batch that it takes next: it has all before.
    fn next_number(&self) -> u64;

    /// Takes the next one; durable when it returns.
    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError>;
}

impl BatchSink for Ledger {
    fn next_number(&self) -> u64 {
        Ledger::next_number(self)
    }

    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError> {
        if let Added::New(anchor) = Ledger::add(self, batch)? {
            tracing::info!(batch = batch.number, index = anchor.index, "anchored");
        }
        Ok(())
    }
}

/// Takes no batch: where the ledger is fed by others and only those files are to be kept up.
pub struct FilesOnly;

impl BatchSink for FilesOnly {
    fn next_number(&self) -> u64 {
        u64::MAX
    }

    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError> {
        Err(RelayError::NoBatch {
            number: batch.number,
        })
    }
}

/// Follows the journal from its beginning and hands each batch over, once.
pub struct Relay<S> {
    reader: Box<dyn JournalReader>,
    tail: Tail,
    sink: S,
    files: Option<BatchFiles>,
    batches: Batches,
}

impl<S: BatchSink> Relay<S> {
    /// `reader` starts at the journal's beginning. `files` are kept where receipts are made.
    pub fn new(
        reader: Box<dyn JournalReader>,
        lookup: Arc<dyn RecordLookup>,
        tail: Tail,
        sink: S,
        files: Option<BatchFiles>,
    ) -> Self {
        Self {
            reader,
            tail,
            sink,
            files,
            batches: Batches::new(lookup),
        }
    }

    /// Runs until `stop`, or the journal closes, or an error that needs an operator. `anchored` is
    /// called with each batch number that was taken, in order, those of earlier starts included.
    pub fn run(
        mut self,
        stop: &AtomicBool,
        mut anchored: impl FnMut(u64),
    ) -> Result<(), RelayError> {
        while !stop.load(Ordering::Relaxed) {
            let Some(record) = self.reader.next()? else {
                let after = self.reader.cursor().sequence;
                if !self.tail.wait_past(after, IDLE_TURN) && self.tail.is_closed() {
                    break;
                }
                continue;
            };
            for closed in self.batches.follow(&record)? {
                self.hand_over(&closed, &mut anchored)?;
            }
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        closed: &Closed,
        anchored: &mut impl FnMut(u64),
    ) -> Result<(), RelayError> {
        let number = closed.number();
        let file = self.files.as_ref().filter(|files| !files.contains(number));
        let is_taken = number < self.sink.next_number();
        if is_taken && file.is_none() {
            anchored(number);
            return Ok(());
        }
        let lines = self.batches.lines(closed);
        if let Some(files) = file {
            let file = BatchFile {
                closed_by: closed.sequence,
                members: closed.members.clone(),
                lines: lines.clone(),
            };
            files.write(number, &file)?;
        }
        if !is_taken {
            self.sink.add(&self.batches.input(closed, &lines)?)?;
        }
        anchored(number);
        Ok(())
    }
}
