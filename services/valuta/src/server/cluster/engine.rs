//! An engine of a cluster.
//!
//! | # | phase | until |
//! |---|---|---|
//! | 1 | recover, follow: the state stays warm | - |
//! | 2 | stand by | the leader's process has gone; or the group names this one, and the leader does not answer |
//! | 3 | take over: start an epoch, read up to it | another came first: back to 2 |
//! | 4 | lead: take gateways' requests | a signal, a fault, or a newer leader: then it stops |
//!
//! That two engines may think that they should lead is harmless: the journal's rule lets one write.

use super::config::ServiceConfig;
use super::node::{self, Following};
use crate::server::metrics;
use crate::server::standing::{Board, Follower, follow_engine};
use crate::server::up::{create_operator_token, first_operator_token, signal, stopped};
use anyhow::{Context, anyhow, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::service::Routes;
use valuta_engine::{Clock, Engine, SystemClock};
use valuta_journal::{Journal as _, Leader, Source as _};
use valuta_kafka::{Election, KafkaJournal, KafkaLog, LeadError, Named};
use valuta_link::{EngineLinkService, Lead, TakeReport, Told};
use valuta_proto::v1::ProcessRole;

/// The role of engines in their group.
const LEADER: &str = "leader";
/// A leader whose process is gone refuses connections; one that is only slow does not.
const GONE_CHECKS: u32 = 2;
const GONE_CHECK_EVERY: Duration = Duration::from_millis(50);
const REACHED_WITHIN: Duration = Duration::from_millis(500);
/// By one that the group names, while the leader goes on.
const LEADER_ASKED_EVERY: Duration = Duration::from_millis(500);
/// After an epoch that could not be started.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How long the state may take to be at what the new epoch stands on.
const WARM_WITHIN: Duration = Duration::from_secs(60);

/// Runs one.
pub async fn engine(config: ServiceConfig) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let (leads, leading) = watch::channel(None);
    let (stop, stopping) = watch::channel(false);
    let following = node::follow(&config).await?;
    // From the start on: a standby says that it does not lead.
    let board = board(&following)?;
    let link = EngineLinkService::server(leading, config.link.secret.clone(), taking(&board));
    let (address, serving) = node::serve(&config, Routes::new(link), render, stopping).await?;
    let url = config.advertise.clone().unwrap_or_else(|| {
        let scheme = if config.common.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{address}")
    });
    board.serves_at(url.split("://").last().unwrap_or(&url));
    node::report(board.clone(), &config.link);
    let ended = stand_and_lead(&config, following, &url, (&leads, &board)).await;
    leads.send_replace(None);
    stop.send_replace(true);
    // Streams of gateways end with the process.
    serving.abort();
    ended
}

fn board(following: &Following) -> anyhow::Result<Board> {
    let (log, durable) = (&following.log, following.reads.durable());
    let standby = Follower::new(ProcessRole::Standby).at(move || *durable.borrow());
    let (role, process) = (ProcessRole::Standby, Board::draw()?);
    let (tail, leader) = (log.watch(), log.leader());
    Ok(Board::new(role, process, tail, leader, vec![standby]))
}

/// What the one that leads does with reports.
fn taking(board: &Board) -> TakeReport {
    let board = board.clone();
    Arc::new(move |processes| {
        let processes = board.take(processes);
        let (sequence, time_ms, batches) = board.marks();
        Told {
            processes,
            sequence,
            time_ms,
            batches,
        }
    })
}

async fn stand_and_lead(
    config: &ServiceConfig,
    following: Following,
    url: &str,
    (leads, board): (&watch::Sender<Option<Lead>>, &Board),
) -> anyhow::Result<()> {
    let kafka = config.kafka.journal();
    let election = tokio::task::spawn_blocking(move || Election::join(&kafka, LEADER))
        .await?
        .map_err(|error| anyhow!("election: {error}"))?;
    println!("standing by");
    let journal = tokio::select! {
        journal = stand_by(config, &following.log, &election, (url, board.process())) => journal?,
        error = node::journal_lost(&following.log) => return Err(error),
        signal = signal() => {
            tracing::info!(signal = signal?, "stopping");
            return Ok(());
        }
    };
    lead(config, following, journal, (leads, board)).await
}

/// Waits until it should lead, and starts an epoch.
async fn stand_by(
    config: &ServiceConfig,
    log: &Arc<KafkaLog>,
    election: &Election,
    (url, id): (&str, [u8; 16]),
) -> anyhow::Result<KafkaJournal> {
    let mut named = election.named();
    loop {
        tokio::select! {
            this = named.wait_for(|named| *named == Named::This) => {
                drop(this.context("election")?);
                // The group may name another because a broker went: a leader that does its work goes on.
                let leader = log.leader().borrow().clone();
                if let Some(leader) = leader.filter(|leader| leader.address != url)
                    && valuta_link::leads(&leader, &config.link).await
                {
                    tokio::time::sleep(LEADER_ASKED_EVERY).await;
                    continue;
                }
            }
            () = leader_gone(log.leader()) => tracing::warn!("the leader's process has gone"),
        }
        let (log, url) = (Arc::clone(log), url.to_owned());
        let started = tokio::task::spawn_blocking(move || log.lead(id, &url)).await?;
        match started {
            Ok(journal) => return Ok(journal),
            Err(LeadError::Overtaken { epoch, leader }) => {
                tracing::info!(epoch, leader, "another leads");
                // It may be named and gone: the next turn sees that.
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(LeadError::Kafka(error)) => {
                tracing::warn!(%error, "no epoch could be started; tried again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => bail!("{error}"),
        }
    }
}

/// Completes when the process that leads refuses connections. Quicker than the group's session.
async fn leader_gone(mut leader: watch::Receiver<Option<Leader>>) {
    loop {
        let address = leader.borrow_and_update().as_ref().and_then(authority);
        let watched = async {
            match &address {
                Some(address) => until_refused(address).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = watched => return,
            changed = leader.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
        }
    }
}

/// `host:port` of a leader's address.
fn authority(leader: &Leader) -> Option<String> {
    let (_, authority) = leader.address.split_once("://")?;
    Some(authority.trim_end_matches('/').to_owned())
}

async fn until_refused(address: &str) {
    let mut refused = 0;
    while refused < GONE_CHECKS {
        let connected = tokio::time::timeout(REACHED_WITHIN, TcpStream::connect(address)).await;
        match connected {
            // Nobody speaks on it; it ends when the process does.
            Ok(Ok(mut connection)) => {
                refused = 0;
                let _ = connection.read(&mut [0; 1]).await;
            }
            Ok(Err(_)) => refused += 1,
            // No answer at all may be the network: the group's session tells.
            Err(_) => refused = 0,
        }
        tokio::time::sleep(GONE_CHECK_EVERY).await;
    }
}

async fn lead(
    config: &ServiceConfig,
    following: Following,
    journal: KafkaJournal,
    (leads, board): (&watch::Sender<Option<Lead>>, &Board),
) -> anyhow::Result<()> {
    let Following {
        log,
        replica,
        reads,
        dir,
        snapshots,
    } = following;
    let (rehearsal, term) = (config.common.rehearsal, journal.term());
    let hindrance = journal.health();
    let end = journal.tail().sequence;
    let mut durable = reads.durable();
    tokio::time::timeout(WARM_WITHIN, durable.wait_for(|at| *at >= end))
        .await
        .context("reading up to the new epoch")??;
    let (state, replayed) = tokio::task::spawn_blocking(|| replica.stop()).await??;
    let first_token = match state.tokens().next() {
        Some(_) => None,
        None => Some(first_operator_token(&dir, rehearsal, replayed.time)?),
    };
    let clock: Box<dyn Clock> = Box::new(SystemClock::default());
    let (engine, handle) = Engine::start(
        Box::new(journal),
        state,
        replayed,
        clock,
        rehearsal,
        Some(snapshots),
    )?;
    leads.send_replace(Some(Lead {
        engine: handle.clone(),
        hindrance,
    }));
    board.leads();
    tokio::spawn(follow_engine(board.clone(), handle.clone()));
    tracing::info!(epoch = term.epoch, sequence = end, "leading");
    println!("leading {}", term.epoch);
    let mut leader = log.leader();
    let mut engine_stopped = tokio::task::spawn_blocking(move || engine.join());
    if let Some(token) = first_token {
        create_operator_token(&handle, token).await?;
    }
    let ended = tokio::select! {
        reason = &mut engine_stopped => bail!(stopped(reason?)),
        error = node::journal_lost(&log) => Err(error),
        newer = leader.wait_for(|leader| leader.as_ref().is_some_and(|leader| leader.id != term.id)) => {
            let newer = newer.context("journal")?;
            Err(anyhow!("another engine leads: {:?}", newer.as_ref().map(|leader| &leader.address)))
        }
        signal = signal() => {
            tracing::info!(signal = signal?, "stopping");
            Ok(())
        }
    };
    leads.send_replace(None);
    if ended.is_ok() {
        handle.shut_down();
        engine_stopped.await?;
    }
    ended
}
