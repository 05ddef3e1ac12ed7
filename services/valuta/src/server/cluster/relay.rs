//! Journal -> topics: batches for the ledger, statuses for banks' own systems.

use super::config::{Kafka, ServiceConfig};
use super::node::{self, Threads, Turn};
use super::topics::{Outgoing, STATUS_PARTITIONS};
use crate::server::metrics;
use crate::server::standing::{Follower, Progress};
use prost::Message as _;
use settlement_core::ids::BatchNumber;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;
use tonic::service::Routes;
use valuta_journal::Source as _;
use valuta_kafka::{KafkaConfig, KafkaLog};
use valuta_ledger::BatchInput;
use valuta_projector::StoreError;
use valuta_proto::v1::ProcessRole;
use valuta_relay::topics::statuses::{StatusMessage, StatusStore, StatusTopic, WireForm};
use valuta_relay::topics::{BATCHES, STATUSES, batch_message};
use valuta_relay::{BatchSink, Relay, RelayError};

/// Runs it.
pub async fn relay(config: ServiceConfig) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let (stop, stopping) = watch::channel(false);
    let (serves, _) = node::serve(&config, Routes::default(), render, stopping).await?;
    let log = Arc::new(node::open_log(&config.kafka, None).await?);
    let (turn, told, relayed) = (Turn::default(), Progress::default(), Progress::default());
    let own = Follower::new(ProcessRole::Relay)
        .at(told.read())
        .done(relayed.read())
        .in_turn(turn.read());
    node::stand(&config, &log, own, serves)?;
    let kafka = &config.kafka;
    let work = |threads: &mut Threads| start(threads, kafka, &log, &told, &relayed);
    let ended = node::in_turn(kafka, &log, ProcessRole::Relay, &turn, work).await;
    stop.send_replace(true);
    ended
}

fn start(
    threads: &mut Threads,
    kafka: &Kafka,
    log: &Arc<KafkaLog>,
    told: &Progress,
    relayed: &Progress,
) -> anyhow::Result<()> {
    let (source, topic) = (Arc::clone(log), kafka.topic(BATCHES, 1));
    let relayed = relayed.clone();
    threads.start("batches", move |stop| {
        let Some(scheme) = node::scheme_name(&source, stop)? else {
            return Ok(());
        };
        let sink = BatchTopic::open(&topic, &scheme)?;
        let (reader, lookup, tail) = (source.reader(None)?, source.lookup(), source.watch());
        let relay = Relay::new(reader, lookup, tail, sink, None);
        Ok(relay.run(stop, |batch| relayed.set(batch))?)
    })?;
    let (source, topic) = (Arc::clone(log), kafka.topic(STATUSES, STATUS_PARTITIONS));
    let told = told.clone();
    threads.start("statuses", move |stop| {
        statuses(&source, &topic, &told, stop)
    })
}

/// `settlement-batches`.
struct BatchTopic {
    outgoing: Outgoing,
    next: BatchNumber,
}

impl BatchTopic {
    fn open(topic: &KafkaConfig, scheme: &str) -> anyhow::Result<Self> {
        let outgoing = Outgoing::open(topic, scheme)?;
        let next = outgoing.held() + 1;
        Ok(Self { outgoing, next })
    }
}

impl BatchSink for BatchTopic {
    fn next_number(&self) -> u64 {
        self.next
    }

    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError> {
        let header = batch
            .commit()
            .map_err(|error| RelayError::Sink(error.into()))?;
        let payload = batch_message(&header).encode_to_vec();
        self.outgoing
            .send(header.number, header.scheme.as_bytes(), &payload)
            .and_then(|()| self.outgoing.flush())
            .map_err(|error| RelayError::Sink(error.into()))?;
        self.next = header.number + 1;
        Ok(())
    }
}

fn statuses(
    log: &KafkaLog,
    topic: &KafkaConfig,
    told: &Progress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let Some(scheme) = node::scheme_name(log, stop)? else {
        return Ok(());
    };
    let topic = Statuses(Outgoing::open(topic, &scheme)?);
    let form = WireForm {
        status: valuta_gateway::instruction_status,
        resume_token: valuta_gateway::position_text,
    };
    let store = StatusStore::new(topic, form, scheme);
    let tail = log.watch();
    valuta_projector::run(log.reader(None)?, &tail, store, stop, |at| told.set(at.0))?;
    Ok(())
}

/// `instruction-statuses`.
struct Statuses(Outgoing);

impl StatusTopic for Statuses {
    fn held(&self) -> u64 {
        self.0.held()
    }

    fn send(&mut self, message: StatusMessage) -> Result<(), StoreError> {
        let key = message.participant.to_string();
        self.0
            .send(message.number, key.as_bytes(), &message.payload)
            .map_err(failed)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.0.flush().map_err(failed)
    }
}

fn failed(error: anyhow::Error) -> StoreError {
    StoreError::Database {
        file: format!("topic {STATUSES}"),
        source: error.into(),
    }
}
