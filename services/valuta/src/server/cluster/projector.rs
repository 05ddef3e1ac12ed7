//! Journal and anchors -> PostgreSQL.

use super::config::{Kafka, ServiceArgs, ServiceConfig};
use super::node::{self, Threads, Turn};
use super::topics::Incoming;
use crate::output::causes;
use crate::server::metrics;
use crate::server::standing::{Follower, Progress};
use crate::server::up::{keep_projecting, wait};
use anyhow::{Context, anyhow};
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tonic::service::Routes;
use valuta_journal::Source as _;
use valuta_kafka::KafkaLog;
use valuta_projector::{Anchors, PostgresAddress, PostgresAnchors, PostgresStore, rebuild};
use valuta_proto::v1;
use valuta_proto::v1::ProcessRole;
use valuta_relay::topics::ANCHORS;

/// After PostgreSQL has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is done to the read model by hand.
#[derive(clap::Subcommand, Clone)]
pub enum ReadModelCommand {
    /// Build it anew from the journal, while readers go on with the old one
    Rebuild(ServiceArgs),
}

impl ReadModelCommand {
    /// What it is told.
    pub fn args(&self) -> &ServiceArgs {
        let Self::Rebuild(args) = self;
        args
    }
}

/// Runs one.
pub async fn projector(config: ServiceConfig) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let address = config.database()?;
    let (stop, stopping) = watch::channel(false);
    let (serves, _) = node::serve(&config, Routes::default(), render, stopping).await?;
    let log = Arc::new(node::open_log(&config.kafka, None).await?);
    let turn = Turn::default();
    let (projected, anchored) = (Progress::default(), Progress::default());
    let own = Follower::new(ProcessRole::Projector)
        .at(projected.read())
        .done(anchored.read())
        .in_turn(turn.read());
    node::stand(&config, &log, own, serves)?;
    let kafka = &config.kafka;
    let work =
        |threads: &mut Threads| start(threads, kafka, &log, &address, (&projected, &anchored));
    let ended = node::in_turn(kafka, &log, ProcessRole::Projector, &turn, work).await;
    stop.send_replace(true);
    ended
}

fn start(
    threads: &mut Threads,
    kafka: &Kafka,
    log: &Arc<KafkaLog>,
    address: &PostgresAddress,
    (projected, anchored): (&Progress, &Progress),
) -> anyhow::Result<()> {
    let (source, at, projected) = (Arc::clone(log), address.clone(), projected.clone());
    threads.start("projector", move |stop| {
        let tail = source.watch();
        let open = || PostgresStore::open(&at);
        let reader = || source.reader(None);
        Ok(keep_projecting(&tail, open, reader, stop, |at| {
            projected.set(at)
        })?)
    })?;
    let (topic, address, anchored) = (kafka.topic(ANCHORS, 1), address.clone(), anchored.clone());
    threads.start("anchors", move |stop| {
        anchors(&topic, &address, &anchored, stop)
    })
}

/// What the ledger says is in the log. A failure of PostgreSQL is waited out.
fn anchors(
    topic: &valuta_kafka::KafkaConfig,
    address: &PostgresAddress,
    anchored: &Progress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = PostgresAnchors::open(address)
            .map_err(anyhow::Error::from)
            .and_then(|store| show_anchors(topic, store, anchored, stop))
        {
            tracing::warn!("anchors are not shown, tried again: {}", causes(&error));
            wait(stop, RETRY_AFTER);
        }
    }
    Ok(())
}

fn show_anchors(
    topic: &valuta_kafka::KafkaConfig,
    mut store: PostgresAnchors,
    anchored: &Progress,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let mut shown = store.anchored()?;
    anchored.set(shown);
    let mut incoming = Incoming::open(topic)?;
    while !stop.load(Ordering::Relaxed) {
        let Some(payload) = incoming.next()? else {
            continue;
        };
        let anchor = v1::SettlementAnchor::decode(&*payload)
            .with_context(|| format!("a message of {ANCHORS}"))?;
        if anchor.batch > shown {
            store.set_anchor(anchor.batch, anchor.log_index, &anchor.header)?;
            shown = anchor.batch;
            anchored.set(shown);
        }
    }
    Ok(())
}

/// Does what is asked.
pub async fn read_model(command: ReadModelCommand, config: ServiceConfig) -> anyhow::Result<()> {
    let ReadModelCommand::Rebuild(_) = command;
    let address = config.database()?;
    let log = node::open_log(&config.kafka, None).await?;
    let end = log.watch().durable().sequence;
    eprintln!("rebuilding from {end} inputs; readers go on with the old read model");
    let rebuilt = tokio::task::spawn_blocking(move || rebuild_from(&log, &address)).await??;
    println!("rebuilt up to sequence {}", rebuilt.sequence);
    Ok(())
}

fn rebuild_from(
    log: &KafkaLog,
    address: &PostgresAddress,
) -> anyhow::Result<valuta_journal::Cursor> {
    let never = AtomicBool::new(false);
    rebuild(address, log.reader(None)?, &never).map_err(|error| anyhow!("{error}"))
}
