//! The follower's loop.

use crate::batch::{self, Closing};
use crate::members::{Member, MemberFiles};
use settlement_core::event::{Batch, Event};
use settlement_core::follow::{Fact, Follower};
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::record::{self, PayloadError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use valuta_journal::{JournalReader, ReadError, Record, RecordLookup, Tail};
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
    /// The member files.
    #[error("member files: {0}")]
    Members(#[from] std::io::Error),
    /// A member's input is not where the journal's index says.
    #[error("the journal holds no instruction or movement at sequence {sequence}")]
    NoInput {
        /// The member's.
        sequence: u64,
    },
    /// A batch's closing event is not where its member file says.
    #[error("batch {number} did not close where its member file says")]
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

/// Takes no batch: where the ledger is fed by others and only the member files are to be kept up.
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
    lookup: Arc<dyn RecordLookup>,
    tail: Tail,
    sink: S,
    files: Option<MemberFiles>,
    follower: Follower,
    scheme: Option<String>,
}

/// A batch that closed within one record, before it is handed over.
struct Closed {
    batch: Batch,
    sequence: Sequence,
    members: Vec<Member>,
}

impl<S: BatchSink> Relay<S> {
    /// `reader` starts at the journal's beginning. `files` are kept where receipts are made.
    pub fn new(
        reader: Box<dyn JournalReader>,
        lookup: Arc<dyn RecordLookup>,
        tail: Tail,
        sink: S,
        files: Option<MemberFiles>,
    ) -> Self {
        Self {
            reader,
            lookup,
            tail,
            sink,
            files,
            follower: Follower::new(),
            scheme: None,
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
            for closed in self.follow(&record)? {
                self.hand_over(&closed, &record, &mut anchored)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, record: &Record) -> Result<Vec<Closed>, RelayError> {
        let mut entries = record::entries(&record.payload)?;
        let mut sequence = Sequence(record.header.first_sequence);
        let time = Timestamp(record.header.time_ms);
        let (mut events, mut closed) = (Vec::new(), Vec::new());
        while entries.next_into(&mut events)?.is_some() {
            for event in &events {
                if let Event::SchemeNamed { name, .. } = event {
                    self.scheme = Some(name.to_string());
                }
                self.follower.observe(sequence, time, event, &mut |fact| {
                    if let Fact::BatchClosed { batch, members } = fact {
                        closed.push(Closed {
                            batch: batch.clone(),
                            sequence,
                            members: members.into_iter().map(Member::from).collect(),
                        });
                    }
                });
            }
            sequence.0 += 1;
        }
        Ok(closed)
    }

    fn hand_over(
        &mut self,
        closed: &Closed,
        record: &Record,
        anchored: &mut impl FnMut(u64),
    ) -> Result<(), RelayError> {
        let number = closed.batch.number;
        if let Some(files) = self.files.as_ref().filter(|files| !files.contains(number)) {
            files.write(number, closed.sequence, &closed.members)?;
        }
        if number < self.sink.next_number() {
            anchored(number);
            return Ok(());
        }
        let scheme = self.scheme.as_deref();
        let input = batch::input(
            &closed.batch,
            Closing {
                sequence: closed.sequence,
                time: Timestamp(record.header.time_ms),
                chain: record.chain_after,
            },
            &closed.members,
            self.follower.directory(),
            scheme.ok_or(RelayError::NoScheme { number })?,
            &*self.lookup,
        )?;
        self.sink.add(&input)?;
        anchored(number);
        Ok(())
    }
}
