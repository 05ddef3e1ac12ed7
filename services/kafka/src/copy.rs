//! A whole journal to and from another medium: id, chain and sequences stay, so that cursors, snapshots
//! and receipts stay good.
//!
//! The reader's rule is what makes a copy whole: a topic in which a record is missing, doubled or out
//! of place ends before it, and [`CopyWriter::finish`] compares the ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use valuta_journal::{Chain, JournalId, ReadError, Record};

use crate::config::{Ahead, KafkaConfig};
use crate::error::KafkaError;
use crate::link::Stream;
use crate::log::KafkaLog;
use crate::message::{Kind, RawRecord};
use crate::reader::Behind;
use crate::rule::Term;
use crate::shared::{Place, Shared};
use crate::topic::{Admin, create_topic, write_genesis};

/// How long the brokers may take for what is still on its way.
const FINISH: Duration = Duration::from_secs(60);

/// Every accepted record of a topic, with inputs or without, up to where it ended when this was made.
pub struct CopyReader {
    shared: Arc<Shared>,
    behind: Behind,
    until: u64,
}

impl CopyReader {
    pub(crate) fn open(shared: &Arc<Shared>) -> Result<Self, ReadError> {
        Ok(Self {
            behind: Behind::open(shared, Place::default(), Ahead::Much)?,
            until: shared.state().next_offset,
            shared: Arc::clone(shared),
        })
    }

    /// The next record; `None`: that was all.
    pub fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        let found = self.behind.next_until(&self.shared, self.until)?;
        Ok(found.map(|(_, record)| record))
    }
}

/// Makes a topic that holds a journal from elsewhere.
pub struct CopyWriter {
    config: KafkaConfig,
    journal: JournalId,
    stream: Stream,
    /// The genesis is written with the first record, whose term it names.
    begun: bool,
    end: (u64, Chain),
}

impl CopyWriter {
    /// Into this topic, which is created, or is empty.
    pub fn create(config: &KafkaConfig, journal: JournalId) -> Result<Self, KafkaError> {
        create_topic(config)?;
        let (_, end) = Admin::new(config)?.watermarks()?;
        if end > 0 {
            return Err(KafkaError::Refused {
                action: "copy into",
                topic: config.topic.clone(),
                reason: format!("it is not empty: it has {end} messages"),
            });
        }
        Ok(Self {
            config: config.clone(),
            journal,
            stream: Stream::new(config)?,
            begun: false,
            end: (0, journal.genesis()),
        })
    }

    /// Appends the next record, as it stands in the source.
    pub fn append(&mut self, record: &Record) -> Result<(), KafkaError> {
        let header = record.header;
        if !self.begun {
            let term = Term {
                epoch: header.epoch,
                id: header.leader_id,
            };
            self.begin((!header.starts_epoch()).then_some(term))?;
        }
        let kind = if header.starts_epoch() {
            Kind::EpochStarted
        } else {
            Kind::Record
        };
        self.end = (header.last_sequence, record.chain_after);
        self.stream.send(&RawRecord {
            kind,
            journal: self.journal,
            header,
            payload: &record.payload,
        })
    }

    fn begin(&mut self, term: Option<Term>) -> Result<(), KafkaError> {
        self.begun = true;
        let found = write_genesis(&self.config, self.journal, term)?;
        if found != self.journal {
            return Err(KafkaError::Refused {
                action: "copy into",
                topic: self.config.topic.clone(),
                reason: format!("it holds journal {found} now"),
            });
        }
        Ok(())
    }

    /// Waits until all is in the topic, reads it back under the rule, and compares.
    pub fn finish(mut self) -> Result<(), KafkaError> {
        if !self.begun {
            self.begin(None)?;
        }
        self.stream.flush(FINISH)?;
        let log = KafkaLog::open(&self.config, None)?;
        let begun = Instant::now();
        while let Err(error) = log.wait_caught_up(FINISH) {
            // A long journal takes its time; one that does not move does not.
            if begun.elapsed() > 10 * FINISH || !matches!(error, KafkaError::TimedOut(_)) {
                return Err(error);
            }
        }
        let found = log.end();
        if found == self.end {
            return Ok(());
        }
        Err(KafkaError::Lost(format!(
            "the copy in topic {} ends with sequence {}, the source with {}, or by another chain",
            self.config.topic, found.0, self.end.0
        )))
    }
}
