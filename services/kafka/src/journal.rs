//! The writing side: the leader's, one record in flight.
//!
//! | # | phase of an append | what is known                                                          |
//! |---|--------------------|------------------------------------------------------------------------|
//! | 1 | check              | memory; a refusal leaves everything as it was                          |
//! | 2 | produce            | nothing, until a report comes                                          |
//! | 3 | report             | the expected offset: durable, confirmed, done                          |
//! | 4 | barrier            | any other outcome: an `EpochStarted` of our own, read up to it         |
//! | 5 | judgement          | accepted before the barrier: confirmed. Else never: sent again under the new epoch |
//!
//! While the barrier cannot be written it is tried again, for ever: nothing is confirmed and nothing
//! refused. One barrier keeps its epoch over all its attempts: an attempt that lands late is the
//! barrier too, and a foreign leader that came meanwhile is not overtaken by us in ignorance of it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use valuta_journal::{
    AppendError, Chain, Cursor, Journal, JournalId, JournalReader, RECORD_BYTES_MAX, ReadError,
    RecordHeader, RecordLookup, Source, Tail, chain_after,
};

use crate::config::CALL_TIMEOUT;
use crate::error::{KafkaError, LeadError};
use crate::link::{Delivery, Link, Outgoing};
use crate::lookup::KafkaLookup;
use crate::message::{Kind, RawRecord};
use crate::reader::KafkaReader;
use crate::rule::Term;
use crate::shared::Shared;

/// Between two attempts at a barrier.
const BARRIER_PAUSE: Duration = Duration::from_millis(100);

/// From this many payload bytes on, the chain is hashed while the message is on its way; below,
/// starting the thread costs more than the hash.
const HASH_ASIDE_BYTES_MIN: usize = 48 << 10;

/// The one writer of a journal on Kafka, while it leads.
pub struct KafkaJournal {
    shared: Arc<Shared>,
    link: Box<dyn Link>,
    term: Term,
    address: String,
    health: watch::Sender<Option<String>>,
    poisoned: bool,
}

/// A step of an append that cannot go on here.
enum Stop {
    /// A newer epoch is another's.
    Fenced,
    /// The topic cannot be read any more.
    Lost(String),
}

impl KafkaJournal {
    /// Starts an epoch, newer than any that this process has read.
    pub(crate) fn lead(
        shared: Arc<Shared>,
        id: [u8; 16],
        address: &str,
        link: Box<dyn Link>,
    ) -> Result<Self, LeadError> {
        let epoch = shared.state().rule.epoch() + 1;
        let (health, _) = watch::channel(None);
        let mut journal = Self {
            shared,
            link,
            term: Term { epoch, id },
            address: address.to_string(),
            health,
            poisoned: false,
        };
        journal.start_epoch()?;
        Ok(journal)
    }

    fn start_epoch(&mut self) -> Result<(), LeadError> {
        let offset = match self.send_epoch(self.term) {
            Ok(Delivery::At(offset)) => offset,
            Ok(Delivery::Unknown(reason)) => return Err(KafkaError::Unavailable(reason).into()),
            Err(reason) => return Err(KafkaError::Lost(reason).into()),
        };
        match self.shared.wait_judged(offset, 2 * CALL_TIMEOUT) {
            Ok(true) => {}
            Ok(false) => return Err(KafkaError::TimedOut("reading the epoch back".into()).into()),
            Err(reason) => return Err(KafkaError::Lost(reason).into()),
        }
        if self.leads() {
            return Ok(());
        }
        let (epoch, leader) = self.who_leads();
        Err(LeadError::Overtaken { epoch, leader })
    }

    /// The term under which this journal writes; each barrier starts a newer one.
    pub fn term(&self) -> Term {
        self.term
    }

    /// `Some(why)` while an append cannot be finished because the brokers do not answer: nothing is
    /// lost, and the engine should refuse new work until it is `None` again.
    pub fn health(&self) -> watch::Receiver<Option<String>> {
        self.health.subscribe()
    }

    /// Whether this process has read no newer epoch than ours.
    pub fn leads(&self) -> bool {
        self.shared.state().rule.term() == Some(self.term)
    }

    fn who_leads(&self) -> (u64, String) {
        let epoch = self.shared.state().rule.epoch();
        let leader = self.shared.leader.borrow();
        let address = leader.as_ref().map(|leader| leader.address.clone());
        (epoch, address.unwrap_or_default())
    }

    /// An error says why the topic is not the journal's any more.
    fn send_epoch(&mut self, term: Term) -> Result<Delivery, String> {
        let raw = RawRecord::epoch_started(self.id(), term, now_ms(), &self.address);
        let read = self.shared.state().next_offset;
        let delivery = self.link.deliver(&Outgoing {
            raw: &raw,
            address: &self.address,
        });
        self.check_place(&delivery, read)?;
        Ok(delivery)
    }

    /// What was sent after everything before `read` was read lies behind it, in a topic that is still whole.
    fn check_place(&self, delivery: &Delivery, read: u64) -> Result<(), String> {
        match delivery {
            Delivery::At(offset) if *offset < read => {
                let topic = &self.shared.config.topic;
                let reason = format!(
                    "topic {topic} took a message at offset {offset}, where this process has read one: it \
                     was recreated, or records of it were deleted"
                );
                self.shared.fail(reason.clone());
                Err(reason)
            }
            _ => Ok(()),
        }
    }

    /// Nothing is written after a failure, or under an epoch that is over.
    fn check_alive(&mut self) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        if let Some(reason) = self.shared.stopped() {
            return Err(self.stop(Stop::Lost(reason)));
        }
        if !self.leads() {
            return Err(self.stop(Stop::Fenced));
        }
        Ok(())
    }

    fn check(&self, first: u64, last: u64, bytes: usize) -> Result<(), AppendError> {
        let expected = self.tail().sequence + 1;
        if first != expected || last < first {
            return Err(AppendError::SequenceNotNext {
                expected,
                first,
                last,
            });
        }
        let bytes_max = RECORD_BYTES_MAX;
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    /// Phases 2 to 5, over as many epochs as it takes.
    fn write(&mut self, draft: &Draft<'_>) -> Result<Cursor, Stop> {
        loop {
            let (header, expected) = self.next_header(draft)?;
            let raw = RawRecord {
                kind: Kind::Record,
                journal: self.id(),
                header,
                payload: draft.payload,
            };
            let outgoing = Outgoing {
                raw: &raw,
                address: &self.address,
            };
            let (chain, delivery) = hash_while(&raw, || self.link.deliver(&outgoing));
            self.check_place(&delivery, expected).map_err(Stop::Lost)?;
            let reason = match delivery {
                Delivery::At(offset) if offset == expected => {
                    match self.shared.confirm(offset, &raw, chain) {
                        Some(cursor) => return Ok(cursor),
                        None => "another writer's message came first".into(),
                    }
                }
                Delivery::At(offset) => format!("at offset {offset}, not {expected}"),
                Delivery::Unknown(reason) => {
                    self.set_health(Some(reason.clone()));
                    reason
                }
            };
            tracing::warn!(reason, sequence = draft.first, "a record needs a barrier");
            if let Some(cursor) = self.settle_by_barrier(chain)? {
                return Ok(cursor);
            }
        }
    }

    /// The header of the next record, and the offset that it must get.
    fn next_header(&self, draft: &Draft<'_>) -> Result<(RecordHeader, u64), Stop> {
        let state = self.shared.state();
        if state.rule.term() != Some(self.term) {
            return Err(Stop::Fenced);
        }
        let header = RecordHeader {
            epoch: self.term.epoch,
            leader_id: self.term.id,
            first_sequence: draft.first,
            last_sequence: draft.last,
            chain_before: state.rule.chain(),
            time_ms: draft.time_ms,
        };
        Ok((header, state.next_offset))
    }

    /// Phases 4 and 5: after it, the record with this chain is confirmed, or will never be accepted.
    fn settle_by_barrier(&mut self, chain: Chain) -> Result<Option<Cursor>, Stop> {
        if !self.leads() {
            return Err(Stop::Fenced);
        }
        let barrier = Term {
            epoch: self.term.epoch + 1,
            id: self.term.id,
        };
        while !self.try_barrier(barrier)? {
            thread::sleep(BARRIER_PAUSE);
        }
        self.term = barrier;
        self.set_health(None);
        let cursor = self.shared.state().cursor;
        Ok((cursor.chain == chain).then_some(cursor))
    }

    /// `true`: this process has read the barrier.
    fn try_barrier(&mut self, barrier: Term) -> Result<bool, Stop> {
        match self.send_epoch(barrier).map_err(Stop::Lost)? {
            Delivery::At(offset) => {
                let judged = self.shared.wait_judged(offset, Duration::MAX);
                judged.map_err(Stop::Lost)?;
            }
            Delivery::Unknown(reason) => self.set_health(Some(reason)),
        }
        if let Some(reason) = self.shared.stopped() {
            return Err(Stop::Lost(reason));
        }
        // An earlier attempt may have landed after all.
        let now = self.shared.state().rule.term();
        match now {
            Some(now) if now == barrier => Ok(true),
            Some(now) if now == self.term => Ok(false),
            _ => Err(Stop::Fenced),
        }
    }

    fn set_health(&self, health: Option<String>) {
        self.health.send_if_modified(|now| {
            let changes = *now != health;
            *now = health;
            changes
        });
    }

    fn stop(&mut self, stop: Stop) -> AppendError {
        self.poisoned = true;
        match stop {
            Stop::Lost(reason) => AppendError::Lost { reason },
            Stop::Fenced => {
                let (epoch, leader) = self.who_leads();
                AppendError::Fenced { epoch, leader }
            }
        }
    }
}

/// What the engine wants to be durable.
struct Draft<'a> {
    first: u64,
    last: u64,
    time_ms: i64,
    payload: &'a [u8],
}

impl Source for KafkaJournal {
    fn id(&self) -> JournalId {
        self.shared.tail.durable().journal
    }

    fn watch(&self) -> Tail {
        self.shared.tail.clone()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        Ok(Box::new(KafkaReader::open(&self.shared, from)?))
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        Arc::new(KafkaLookup::new(&self.shared))
    }
}

impl Journal for KafkaJournal {
    fn tail(&self) -> Cursor {
        self.shared.state().cursor
    }

    /// The brokers' disks are theirs to watch: a full one is a message that gets no report.
    fn reserve(&mut self, _bytes: usize) -> Result<(), AppendError> {
        self.check_alive()
    }

    fn append(
        &mut self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Result<Cursor, AppendError> {
        self.check_alive()?;
        self.check(first_sequence, last_sequence, payload.len())?;
        let draft = Draft {
            first: first_sequence,
            last: last_sequence,
            time_ms,
            payload,
        };
        self.write(&draft).map_err(|stop| self.stop(stop))
    }

    /// A report is all that there is to say.
    fn mark(&mut self) -> Result<(), AppendError> {
        self.reserve(0)
    }
}

/// The chain after the record, hashed beside the delivery if that is worth a thread.
fn hash_while(raw: &RawRecord<'_>, deliver: impl FnOnce() -> Delivery) -> (Chain, Delivery) {
    let hash = || chain_after(&raw.header, raw.payload);
    if raw.payload.len() < HASH_ASIDE_BYTES_MIN {
        return (hash(), deliver());
    }
    thread::scope(|scope| {
        let aside = thread::Builder::new().spawn_scoped(scope, hash);
        let delivery = deliver();
        let chain = match aside {
            Ok(thread) => thread.join().expect("hashing does not panic"),
            Err(_) => hash(), // no thread to be had: later, but the same
        };
        (chain, delivery)
    })
}

/// When an epoch started, for people: nothing is decided by it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
