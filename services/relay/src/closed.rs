//! What closes batches: records in, batches out as the ledger takes them.

use crate::batch;
use crate::files::{Line, Member};
use crate::relay::RelayError;
use settlement_core::event::{Batch, Event};
use settlement_core::follow::{Fact, Follower};
use settlement_core::ids::{BatchNumber, Sequence, Timestamp};
use settlement_core::record;
use std::sync::Arc;
use valuta_journal::{Chain, Record, RecordLookup};
use valuta_ledger::BatchInput;

/// The batches of a journal that is read from its first record on.
pub struct Batches {
    lookup: Arc<dyn RecordLookup>,
    follower: Follower,
    scheme: Option<String>,
}

/// A batch that closed, before its contents are read.
pub(crate) struct Closed {
    pub batch: Batch,
    /// Of the input that closed it.
    pub sequence: Sequence,
    pub time: Timestamp,
    /// Over the record that closed it and all before.
    pub chain: Chain,
    pub members: Vec<Member>,
}

impl Closed {
    pub fn number(&self) -> BatchNumber {
        self.batch.number
    }
}

impl Batches {
    /// `lookup` finds the contents of what settled.
    pub fn new(lookup: Arc<dyn RecordLookup>) -> Self {
        Self {
            lookup,
            follower: Follower::new(),
            scheme: None,
        }
    }

    /// The batches that the next record closed, in order.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn record(&mut self, record: &Record) -> Result<Vec<BatchInput>, RelayError> {
        let closed = self.follow(record)?;
        let input = |closed: &Closed| self.input(closed, &self.lines(closed));
        closed.iter().map(input).collect()
    }

    pub(crate) fn follow(&mut self, record: &Record) -> Result<Vec<Closed>, RelayError> {
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
                            time,
                            chain: record.chain_after,
                            members: members.into_iter().map(Member::from).collect(),
                        });
                    }
                });
            }
            sequence.0 += 1;
        }
        Ok(closed)
    }

    /// What a batch changed, by the names that the last record left.
    pub(crate) fn lines(&self, closed: &Closed) -> Vec<Line> {
        batch::lines(&closed.batch, self.follower.directory())
    }

    pub(crate) fn input(&self, closed: &Closed, lines: &[Line]) -> Result<BatchInput, RelayError> {
        let number = closed.number();
        let scheme = self.scheme.as_deref();
        let scheme = scheme.ok_or(RelayError::NoScheme { number })?;
        batch::input(closed, lines, scheme, &*self.lookup)
    }
}
