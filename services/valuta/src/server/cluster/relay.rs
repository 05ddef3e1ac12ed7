//! Journal -> topics: batches for the ledger, statuses for banks' own systems.

use super::config::ServiceConfig;
use super::node::{self, Threads};
use super::topics::{Outgoing, STATUS_PARTITIONS};
use prost::Message as _;
use settlement_core::ids::Bic;
use std::sync::Arc;
use tokio::sync::watch;
use valuta_journal::RecordLookup;
use valuta_kafka::KafkaLog;
use valuta_ledger::BatchInput;
use valuta_projector::StoreError;
use valuta_relay::topics::statuses::{StatusMessage, StatusStore, StatusTopic, WireForm};
use valuta_relay::topics::{BATCHES, STATUSES, batch_message};
use valuta_relay::{BatchSink, Relay, RelayError};

/// Runs it.
pub async fn relay(config: ServiceConfig) -> anyhow::Result<()> {
    let render = node::metrics()?;
    let (stop, stopping) = watch::channel(false);
    node::serve_metrics(&config, render, stopping).await?;
    let log = Arc::new(node::open_log(&config, None).await?);
    let mut threads = Threads::new();
    let (source, topic) = (Arc::clone(&log), config.kafka.topic(BATCHES, 1));
    threads.start("batches", move |stop| {
        let sink = BatchTopic(Outgoing::open(&topic)?);
        let (reader, lookup, tail) = (source.reader(None)?, source.lookup(), source.watch());
        let relay = Relay::new(reader, lookup, tail, sink, None);
        Ok(relay.run(stop, |_| {})?)
    })?;
    let (source, topic) = (
        Arc::clone(&log),
        config.kafka.topic(STATUSES, STATUS_PARTITIONS),
    );
    threads.start("statuses", move |stop| statuses(&source, &topic, stop))?;
    let ended = threads.run(&log).await;
    stop.send_replace(true);
    ended
}

/// `settlement-batches`.
struct BatchTopic(Outgoing);

impl BatchSink for BatchTopic {
    fn next_number(&self) -> u64 {
        self.0.newest() + 1
    }

    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError> {
        let header = batch.commit().map_err(|error| RelayError::Sink(error.into()))?;
        let payload = batch_message(&header).encode_to_vec();
        self.0
            .send(&header.scheme, header.scheme.as_bytes(), header.number, &payload)
            .and_then(|()| self.0.flush())
            .map_err(|error| RelayError::Sink(error.into()))?;
        metrics::gauge!("valuta_relayed_batch").set(header.number as f64);
        Ok(())
    }
}

fn statuses(
    log: &KafkaLog,
    topic: &valuta_kafka::KafkaConfig,
    stop: &std::sync::atomic::AtomicBool,
) -> anyhow::Result<()> {
    let topic = Statuses(Outgoing::open(topic)?);
    let form = WireForm {
        status: valuta_gateway::instruction_status,
        resume_token: valuta_gateway::position_text,
    };
    let store = StatusStore::new(topic, form);
    let tail = log.watch();
    valuta_projector::run(log.reader(None)?, &tail, store, stop, |_| {})?;
    Ok(())
}

/// `instruction-statuses`.
struct Statuses(Outgoing);

impl StatusTopic for Statuses {
    fn newest(&mut self, participant: Bic) -> Result<u64, StoreError> {
        Ok(self.0.newest_of(participant.to_string().as_bytes()))
    }

    fn send(&mut self, scheme: &str, message: StatusMessage) -> Result<(), StoreError> {
        let key = message.participant.to_string();
        self.0
            .send(scheme, key.as_bytes(), message.number, &message.payload)
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
