//! One message on its way to the broker, and what is known of it afterwards.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Header, Message};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use crate::client::{self, not_made};
use crate::config::{CALL_TIMEOUT, KafkaConfig};
use crate::error::KafkaError;
use crate::message::{ADDRESS, RawRecord};

/// How long after the message's time-out its report must be here.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// A message of the journal's topic.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The record.
    pub raw: &'a RawRecord<'a>,
    /// The sender's address, for whoever looks for the leader; no part of the record.
    pub address: &'a str,
}

/// What is known of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is at this offset, on all in-sync replicas.
    At(u64),
    /// It may be in the topic, come later, or never.
    Unknown(String),
}

/// Sends one message at a time. A trait so that tests lose reports and delay messages.
pub trait Link: Send {
    /// Sends it and waits until its fate is known, or for the message's time-out.
    fn deliver(&mut self, message: &Outgoing<'_>) -> Delivery;
}

/// `None`: delivered, but the broker no longer knows where to.
pub(crate) type Report = (usize, Result<Option<u64>, ClientError>);

/// The real one. After a message whose fate is unknown the producer is thrown away with all that it
/// may still hold: a new one has a new identity, and no memory.
pub(crate) struct ProducerLink {
    config: KafkaConfig,
    producer: Option<(ThreadedProducer<Reports>, Receiver<Report>)>,
    sent: usize,
}

/// Runs on the producer's own thread.
pub(crate) struct Reports(Sender<Report>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::forward_log(level, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!(%error, "librdkafka: {reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let report = match result {
            Ok(message) => Ok(u64::try_from(message.offset()).ok()),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody waits any more: the link gave the producer up.
        let _ = self.0.send((number, report));
    }
}

impl ProducerLink {
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut link = Self {
            config: config.clone(),
            producer: None,
            sent: 0,
        };
        link.producer = Some(connect(config)?);
        Ok(link)
    }

    fn send(&mut self, message: &Outgoing<'_>) -> Result<u64, String> {
        let taken = match self.producer.take() {
            Some(producer) => producer,
            None => connect(&self.config).map_err(|error| error.to_string())?,
        };
        self.sent += 1;
        let headers = message.raw.headers().insert(Header {
            key: ADDRESS,
            value: Some(message.address),
        });
        let record: BaseRecord<'_, (), [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.topic, self.sent)
                .partition(0)
                .headers(headers)
                .payload(message.raw.payload);
        let (producer, reports) = &taken;
        producer
            .send(record)
            .map_err(|(error, _)| error.to_string())?;
        let offset = self.await_report(reports)?;
        self.producer = Some(taken);
        Ok(offset)
    }

    fn await_report(&self, reports: &Receiver<Report>) -> Result<u64, String> {
        let deadline = Instant::now() + self.config.message_timeout + REPORT_GRACE;
        loop {
            match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((number, report)) if number == self.sent => {
                    let offset = report.map_err(|error| error.to_string())?;
                    return offset.ok_or_else(|| "the delivery report names no offset".into());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err("no delivery report".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("the producer is gone".into()),
            }
        }
    }
}

fn connect(
    config: &KafkaConfig,
) -> Result<(ThreadedProducer<Reports>, Receiver<Report>), KafkaError> {
    produce_with(&config.producer()?)
}

impl Link for ProducerLink {
    fn deliver(&mut self, message: &Outgoing<'_>) -> Delivery {
        match self.send(message) {
            Ok(offset) => Delivery::At(offset),
            Err(reason) => Delivery::Unknown(reason),
        }
    }
}

/// Many messages of the journal's topic on their way, in order, none left out between two others.
pub(crate) struct Stream {
    config: KafkaConfig,
    producer: ThreadedProducer<Reports>,
    reports: Receiver<Report>,
    sent: usize,
    done: usize,
    bytes: VecDeque<usize>,
}

/// What may be on its way at once.
const STREAM_BYTES_MAX: usize = 64 << 20;
const STREAM_MESSAGES_MAX: usize = 10_000;

impl Stream {
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let (producer, reports) = produce_with(&config.pipeline_producer()?)?;
        Ok(Self {
            config: config.clone(),
            producer,
            reports,
            sent: 0,
            done: 0,
            bytes: VecDeque::new(),
        })
    }

    pub fn send(&mut self, raw: &RawRecord<'_>) -> Result<(), KafkaError> {
        while self.bytes.len() >= STREAM_MESSAGES_MAX
            || self.bytes.iter().sum::<usize>() > STREAM_BYTES_MAX
        {
            self.take_report(CALL_TIMEOUT)?;
        }
        self.sent += 1;
        self.bytes.push_back(raw.payload.len());
        let record: BaseRecord<'_, (), [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.topic, self.sent)
                .partition(0)
                .headers(raw.headers())
                .payload(raw.payload);
        let sent = self.producer.send(record);
        sent.map_err(|(error, _)| self.refused(&error))
    }

    pub fn flush(&mut self, silence: Duration) -> Result<(), KafkaError> {
        while self.done < self.sent {
            self.take_report(silence)?;
        }
        Ok(())
    }

    /// Reports come in the order of one partition.
    fn take_report(&mut self, silence: Duration) -> Result<(), KafkaError> {
        match self.reports.recv_timeout(silence) {
            Ok((number, Ok(_))) => {
                self.done = self.done.max(number);
                self.bytes.pop_front();
                Ok(())
            }
            Ok((_, Err(error))) => Err(self.refused(&error)),
            Err(_) => Err(KafkaError::Unavailable("no delivery report".into())),
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

/// A producer whose reports come over a channel.
pub(crate) fn produce_with(
    settings: &ClientConfig,
) -> Result<(ThreadedProducer<Reports>, Receiver<Report>), KafkaError> {
    use rdkafka::config::FromClientConfigAndContext;
    let (sender, receiver) = channel();
    let producer = ThreadedProducer::from_config_and_context(settings, Reports(sender));
    Ok((producer.map_err(not_made)?, receiver))
}
