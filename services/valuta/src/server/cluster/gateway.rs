//! A gateway of a cluster: writes go to the engine that leads, questions are answered from a state of its
//! own that follows the journal, lists from PostgreSQL, receipts from the ledger's process.

use super::config::ServiceConfig;
use super::ledger_client::LedgerClient;
use super::node;
use crate::server::metrics;
use crate::server::ports::{EnginePort, JournalPort, Log, ReadsPort, engine_error};
use crate::server::standing::{Board, Follower};
use crate::server::up::{READERS, read_tls, signal};
use anyhow::{Context, anyhow};
use settlement_core::command::{Caller, Command, Refusal};
use settlement_core::ids::{BatchNumber, Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::state::FrozenView;
use settlement_core::view::{CommandAnswer, Query, SubmitAnswer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use valuta_engine::Handle;
use valuta_gateway::ServeConfig;
use valuta_gateway::ports::{self, EngineError};
use valuta_journal::Source as _;
use valuta_kafka::KafkaLog;
use valuta_link::Link;
use valuta_projector::{
    Anchors as _, PostgresAddress, PostgresAnchors, PostgresReadModel, ReadModel as _, StoreError,
};
use valuta_proto::v1::ProcessRole;

/// How often PostgreSQL is asked how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(20);
/// While it does not answer.
const PROGRESS_RETRY: Duration = Duration::from_secs(1);

/// Runs one; without `writes` it is a treasury's.
pub async fn gateway(config: ServiceConfig, writes: bool) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let address = config.database()?;
    let node::Following {
        log,
        replica,
        reads,
        ..
    } = node::follow(&config).await?;
    let board = board(&log, &reads, writes)?;
    node::report(board.clone(), &config.link);
    let link = writes.then(|| Link::start(log.leader(), config.link.clone()));
    let engine = RemoteEngine {
        reads: EnginePort(reads.clone()),
        handle: reads,
        link,
    };
    let (model, at) = {
        let address = address.clone();
        let open = move || -> Result<_, StoreError> {
            let model = PostgresReadModel::open(&address, READERS)?;
            // Where it cannot be told yet, `progress` says why.
            let at = PostgresAnchors::open(&address)
                .and_then(|mut anchors| come_to(&model, &mut anchors));
            Ok((model, at.unwrap_or_default()))
        };
        let opened = tokio::task::spawn_blocking(open).await?;
        opened.context("read model")?
    };
    let (projected, projected_reader) = watch::channel(at.projected);
    let (anchored, anchored_reader) = watch::channel(at.anchored);
    std::thread::Builder::new()
        .name("progress".to_owned())
        .spawn(move || progress(&address, &projected, &anchored))?;
    let ledger = LedgerClient::new(&config.ledgers, &config.link)?;
    let reads = ReadsPort::new(
        Box::new(model),
        Log::Elsewhere(ledger),
        projected_reader,
        anchored_reader,
        board.clone(),
        whole_journal(&log),
    );
    let (stop, stopping) = watch::channel(false);
    let serve = ServeConfig {
        http: axum::Router::new(),
        listen: config.common.listen,
        tls: config.common.tls.as_ref().map(read_tls).transpose()?,
        reflection: config.common.reflection,
        metrics: render,
    };
    let gateway = valuta_gateway::serve(serve, engine, reads, stopping, |address| {
        board.serves_at(address);
        println!("listening {address}");
        tracing::info!(%address, writes, "listening");
    });
    tokio::pin!(gateway);
    let mut followed = tokio::task::spawn_blocking(move || replica.join());
    tokio::select! {
        served = &mut gateway => served.context("gateway"),
        ended = &mut followed => {
            let error = ended?.err().map_or_else(|| anyhow!("it ended"), anyhow::Error::from);
            match log.failure() {
                Some(reason) => Err(anyhow!("journal: {reason}")),
                None => Err(error.context("following the journal")),
            }
        }
        signal = signal() => {
            tracing::info!(signal = signal?, "stopping");
            stop.send_replace(true);
            gateway.await.context("gateway")
        }
    }
}

fn whole_journal(log: &Arc<KafkaLog>) -> JournalPort {
    let read = Arc::clone(log);
    JournalPort {
        id: log.id(),
        tail: log.watch(),
        lookup: log.lookup(),
        reader: Box::new(move |from| read.reader(from)),
    }
}

fn board(log: &KafkaLog, reads: &Handle, writes: bool) -> anyhow::Result<Board> {
    let role = if writes {
        ProcessRole::Gateway
    } else {
        ProcessRole::Treasury
    };
    let durable = reads.durable();
    let own = Follower::new(role).at(move || *durable.borrow());
    let (tail, leader) = (log.watch(), log.leader());
    Ok(Board::new(role, Board::draw()?, tail, leader, vec![own]))
}

/// How far PostgreSQL is: the sequence and the batch that it shows.
#[derive(Default)]
struct ComeTo {
    projected: u64,
    anchored: BatchNumber,
}

fn come_to(model: &PostgresReadModel, anchors: &mut PostgresAnchors) -> Result<ComeTo, StoreError> {
    Ok(ComeTo {
        projected: model.state()?.map_or(0, |cursor| cursor.sequence),
        anchored: anchors.anchored()?,
    })
}

/// Tells how far PostgreSQL is. Ends when nobody listens.
fn progress(
    address: &PostgresAddress,
    projected: &watch::Sender<u64>,
    anchored: &watch::Sender<u64>,
) {
    while !projected.is_closed() {
        let asked = (|| -> Result<(), StoreError> {
            let model = PostgresReadModel::open(address, 1)?;
            let mut anchors = PostgresAnchors::open(address)?;
            while !projected.is_closed() {
                let at = come_to(&model, &mut anchors)?;
                raise(projected, at.projected);
                raise(anchored, at.anchored);
                std::thread::sleep(PROGRESS_EVERY);
            }
            Ok(())
        })();
        if let Err(error) = asked {
            tracing::warn!(%error, "the read model does not answer");
            std::thread::sleep(PROGRESS_RETRY);
        }
    }
}

/// A rebuild does not take back what was said.
fn raise(to: &watch::Sender<u64>, value: u64) {
    to.send_if_modified(|at| {
        let newer = value > *at;
        *at = value.max(*at);
        newer
    });
}

/// The engine that leads for writes, and the state of this process for questions: never older than
/// what this process has answered.
#[derive(Clone)]
pub struct RemoteEngine {
    reads: EnginePort,
    handle: Handle,
    link: Option<Link>,
}

impl RemoteEngine {
    fn link(&self) -> Result<&Link, EngineError> {
        self.link.as_ref().ok_or(EngineError::ReadOnly)
    }

    fn at_least(&self, min_sequence: Sequence) -> Sequence {
        let answered = self.link.as_ref().map(Link::newest_answered);
        min_sequence.max(answered.unwrap_or_default())
    }
}

impl ports::Engine for RemoteEngine {
    async fn submit(&self, batch: Submissions) -> Result<SubmitAnswer, EngineError> {
        self.link()?.submit(batch).await.map_err(engine_error)
    }

    /// Answers once this process has read it too: a token that was made is good here at once.
    async fn command(
        &self,
        command: Command,
    ) -> Result<Result<CommandAnswer, Refusal>, EngineError> {
        let answer = self.link()?.command(command).await.map_err(engine_error)?;
        if let Ok(answer) = &answer {
            let mut durable = self.handle.durable();
            let read = durable.wait_for(|at| *at >= answer.sequence.0).await;
            read.map_err(|_| EngineError::Stopped)?;
        }
        Ok(answer)
    }

    async fn query(
        &self,
        query: Query,
        min_sequence: Sequence,
    ) -> Result<ports::Answered, EngineError> {
        self.reads.query(query, self.at_least(min_sequence)).await
    }

    async fn frozen(&self, min_sequence: Sequence) -> Result<Arc<FrozenView>, EngineError> {
        self.reads.frozen(self.at_least(min_sequence)).await
    }

    async fn content(&self, sequence: Sequence) -> Result<Option<ports::Content>, EngineError> {
        self.reads.content(sequence).await
    }

    fn caller(&self, token_hash: &[u8; 32]) -> Option<Caller> {
        self.reads.caller(token_hash)
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.reads.durable()
    }

    fn now(&self) -> Timestamp {
        self.reads.now()
    }

    fn rehearsal(&self) -> bool {
        self.reads.rehearsal()
    }
}
