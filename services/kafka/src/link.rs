//! One message on its way to the broker, and what is known of it afterwards.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Header, Message};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use crate::client::{self, not_made};
use crate::config::KafkaConfig;
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

type Report = (usize, Result<u64, ClientError>);

/// The real one. After a message whose fate is unknown the producer is thrown away with all that it
/// may still hold: a new one has a new identity, and no memory.
pub(crate) struct ProducerLink {
    config: KafkaConfig,
    producer: Option<(ThreadedProducer<Reports>, Receiver<Report>)>,
    sent: usize,
}

/// Runs on the producer's own thread.
struct Reports(Sender<Report>);

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
            Ok(message) => Ok(client::offset(message.offset())),
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
        link.producer = Some(link.connect()?);
        Ok(link)
    }

    fn connect(&self) -> Result<(ThreadedProducer<Reports>, Receiver<Report>), KafkaError> {
        use rdkafka::config::FromClientConfigAndContext;
        let (sender, receiver) = channel();
        let settings = self.config.producer()?;
        let producer = ThreadedProducer::from_config_and_context(&settings, Reports(sender));
        Ok((producer.map_err(not_made)?, receiver))
    }

    fn send(&mut self, message: &Outgoing<'_>) -> Result<u64, String> {
        let taken = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect().map_err(|error| error.to_string())?,
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
                    return report.map_err(|error| error.to_string());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err("no delivery report".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("the producer is gone".into()),
            }
        }
    }
}

impl Link for ProducerLink {
    fn deliver(&mut self, message: &Outgoing<'_>) -> Delivery {
        match self.send(message) {
            Ok(offset) => Delivery::At(offset),
            Err(reason) => Delivery::Unknown(reason),
        }
    }
}
