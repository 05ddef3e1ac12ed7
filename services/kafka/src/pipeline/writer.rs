//! Writing to a topic for others, in order, once each.
//!
//! | crash                          | what the next writer does                                        |
//! |--------------------------------|------------------------------------------------------------------|
//! | before a message is sent       | goes on after [`TopicWriter::resume_after`], so sends it          |
//! | sent, not confirmed            | finds it as the last of its partition, or not: sends it if not    |
//! | confirmed                      | finds it, or a later one: does not send it again                  |

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, ThreadedProducer};

use super::{Label, partition_of};
use crate::config::{Ahead, CALL_TIMEOUT, KafkaConfig};
use crate::error::KafkaError;
use crate::fetch::{Fetch, Fetched};
use crate::link::{Report, Reports, produce_with};
use crate::log::POLL;
use crate::topic::{Admin, check_topic};

/// Messages on their way; more wait for the first of them.
const OUTSTANDING_MAX: usize = 10_000;
/// A writer that has much on its way and hears nothing for so many message time-outs is to be opened anew.
const SILENT_TIMEOUTS_MAX: u32 = 6;
/// How many messages from a partition's end the search for a scheme's last one begins with.
const SEARCH: u64 = 16;

/// The one writer of a scheme's messages to a topic.
pub struct TopicWriter {
    config: KafkaConfig,
    scheme: String,
    producer: ThreadedProducer<Reports>,
    reports: Receiver<Report>,
    /// The newest number in each partition, sent or found.
    newest: Vec<u64>,
    /// The numbers that are on their way.
    outstanding: BTreeSet<u64>,
    last: u64,
    resume_after: u64,
}

/// What became of a message that was given to the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way; [`TopicWriter::flush`] waits for it.
    Now,
    /// It was there.
    Already,
}

impl TopicWriter {
    /// Checks the topic and finds what the scheme's writers before left in it.
    pub fn open(config: &KafkaConfig, scheme: &str) -> Result<Self, KafkaError> {
        check_topic(config)?;
        let (producer, reports) = produce_with(&config.pipeline_producer()?)?;
        let mut writer = Self {
            config: config.clone(),
            scheme: scheme.to_string(),
            producer,
            reports,
            newest: Vec::new(),
            outstanding: BTreeSet::new(),
            last: 0,
            resume_after: 0,
        };
        let admin = Admin::new(config)?;
        for partition in 0..admin.partitions()? {
            let found = last_label(config, &admin, partition, scheme)?;
            let (number, confirmed) = found.map_or((0, 0), |l| (l.number, l.confirmed));
            writer.newest.push(number);
            writer.resume_after = writer.resume_after.max(confirmed);
        }
        writer.last = writer.resume_after;
        Ok(writer)
    }

    /// Everything up to this number is in the topic; a writer goes on after it. What lies beyond may
    /// be there: given again, it is [`Sent::Already`].
    pub fn resume_after(&self) -> u64 {
        self.resume_after
    }

    /// Everything given to this writer up to this number is in the topic.
    pub fn confirmed(&self) -> u64 {
        self.outstanding
            .first()
            .map_or(self.last, |first| first - 1)
    }

    /// Sends a message, numbers rising from 1. After an error the writer must be opened anew.
    pub fn send(&mut self, number: u64, key: &[u8], payload: &[u8]) -> Result<Sent, KafkaError> {
        self.take_reports(Duration::ZERO)?;
        self.wait_for_room()?;
        let partitions = i32::try_from(self.newest.len()).unwrap_or(i32::MAX);
        let partition = partition_of(key, partitions);
        let newest = usize::try_from(partition).expect("not negative");
        if number <= self.newest[newest] {
            self.last = self.last.max(number);
            return Ok(Sent::Already);
        }
        let label = Label {
            scheme: self.scheme.clone(),
            number,
            confirmed: self.confirmed(),
        };
        let opaque = usize::try_from(number).unwrap_or(usize::MAX);
        self.produce(partition, opaque, &label, key, payload)?;
        self.newest[newest] = number;
        self.outstanding.insert(number);
        self.last = self.last.max(number);
        Ok(Sent::Now)
    }

    /// While too much is on its way. Brokers that stay away must not hold the caller for ever.
    fn wait_for_room(&mut self) -> Result<(), KafkaError> {
        let silent_max = SILENT_TIMEOUTS_MAX * self.config.message_timeout;
        let (mut waiting, mut heard) = (self.outstanding.len(), Instant::now());
        while self.outstanding.len() >= OUTSTANDING_MAX {
            self.take_reports(POLL)?;
            if self.outstanding.len() < waiting {
                (waiting, heard) = (self.outstanding.len(), Instant::now());
            }
            if heard.elapsed() > silent_max {
                let topic = &self.config.topic;
                let reason =
                    format!("the brokers did not take messages for {topic} within {silent_max:?}");
                return Err(KafkaError::TimedOut(reason));
            }
        }
        Ok(())
    }

    fn produce(
        &mut self,
        partition: i32,
        opaque: usize,
        label: &Label,
        key: &[u8],
        payload: &[u8],
    ) -> Result<(), KafkaError> {
        let topic = self.config.topic.clone();
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&topic, opaque)
                .partition(partition)
                .headers(label.headers())
                .key(key)
                .payload(payload);
        loop {
            let Err((error, again)) = self.producer.send(record) else {
                return Ok(());
            };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(self.refused(&error));
            }
            record = again;
            self.take_reports(POLL)?;
        }
    }

    /// Waits until everything is in the topic. `Ok(false)`: not within the time; it stays on its way.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, KafkaError> {
        let deadline = Instant::now() + timeout;
        while !self.outstanding.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.take_reports(left.min(POLL))?;
        }
        Ok(true)
    }

    /// Takes the reports that are there; waits for the first.
    fn take_reports(&mut self, wait: Duration) -> Result<(), KafkaError> {
        let mut wait = wait;
        loop {
            let (opaque, report) = match self.reports.recv_timeout(wait) {
                Ok(report) => report,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
            };
            report.map_err(|error| self.refused(&error))?;
            self.outstanding.remove(&(opaque as u64));
            wait = Duration::ZERO;
        }
    }

    fn refused(&self, error: &ClientError) -> KafkaError {
        KafkaError::Refused {
            action: "write to",
            topic: self.config.topic.clone(),
            reason: error.to_string(),
        }
    }
}

/// The scheme's last message in a partition; others may have written after it.
fn last_label(
    config: &KafkaConfig,
    admin: &Admin,
    partition: i32,
    scheme: &str,
) -> Result<Option<Label>, KafkaError> {
    let (first, end) = admin.watermarks_of(partition)?;
    let mut from = end.saturating_sub(SEARCH).max(first);
    while from < end {
        let found = labels(config, partition, from, end)?;
        if let Some(label) = found.into_iter().rev().find(|label| label.scheme == scheme) {
            return Ok(Some(label));
        }
        if from == first {
            break;
        }
        from = end.saturating_sub((end - from) * 8).max(first);
    }
    Ok(None)
}

/// The labels between two offsets.
fn labels(
    config: &KafkaConfig,
    partition: i32,
    from: u64,
    end: u64,
) -> Result<Vec<Label>, KafkaError> {
    let fetch = Fetch::open(config, partition, from, Ahead::Much)?;
    let mut labels = Vec::new();
    let mut heard = Instant::now();
    loop {
        match fetch.next(POLL)? {
            Fetched::Message(message) => {
                heard = Instant::now();
                labels.extend(Label::of(&message));
                if Fetch::offset(&message) + 1 >= end {
                    return Ok(labels);
                }
            }
            Fetched::Nothing if heard.elapsed() < 2 * CALL_TIMEOUT => {}
            Fetched::Nothing => return Err(KafkaError::TimedOut("reading the topic's end".into())),
        }
    }
}
