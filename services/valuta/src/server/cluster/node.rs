//! What every service has: its journal, the state that follows it, metrics, and an end.

use super::config::{Kafka, ServiceConfig};
use crate::server::data::DataDir;
use crate::server::standing::{Board, Follower, name};
use crate::server::up::{read_tls, signal};
use anyhow::{Context, anyhow, bail};
use axum::routing::get;
use settlement_core::event::Event;
use settlement_core::record;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use valuta_engine::{Handle, Recovered, Replica, SnapshotOptions, Snapshots};
use valuta_gateway::RenderMetrics;
use valuta_gateway::serve::{connections, server};
use valuta_journal::{Leader, Source as _, Tail};
use valuta_kafka::{Election, KafkaLog, Named};
use valuta_link::{LinkOptions, Reporter};
use valuta_proto::v1::ProcessRole;

/// A start reads the whole topic, or what came after a snapshot: no sooner is anything served.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3_600);
/// How often a closed journal is looked for.
const CLOSED_SEEN_WITHIN: Duration = Duration::from_millis(200);
/// Between two reports of a process.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The journal's reading side, read up to what was in the topic at the start.
pub async fn open_log(kafka: &Kafka, snapshots: Option<Snapshots>) -> anyhow::Result<KafkaLog> {
    let journal = kafka.journal();
    tokio::task::spawn_blocking(move || {
        let from = snapshots.and_then(|snapshots| snapshots.newest_cursor());
        let log = match from.map(|cursor| KafkaLog::open(&journal, Some(cursor))) {
            Some(Ok(log)) => log,
            Some(Err(error)) => {
                tracing::warn!(%error, "not from the snapshot");
                KafkaLog::open(&journal, None)?
            }
            None => KafkaLog::open(&journal, None)?,
        };
        log.wait_caught_up(CAUGHT_UP_WITHIN)?;
        Ok(log)
    })
    .await?
    .map_err(|error: valuta_kafka::KafkaError| anyhow!("journal: {error}"))
}

/// A journal, and the state that follows it.
pub struct Following {
    pub log: Arc<KafkaLog>,
    pub replica: Replica,
    pub reads: Handle,
    pub dir: DataDir,
    pub snapshots: SnapshotOptions,
}

/// Opens the journal, recovers the state, from a snapshot if there is one, and follows.
pub async fn follow(config: &ServiceConfig) -> anyhow::Result<Following> {
    let rehearsal = config.common.rehearsal;
    let dir = DataDir::open(&config.common.data, rehearsal)?;
    let kept = Snapshots::new(dir.snapshots());
    let log = Arc::new(open_log(&config.kafka, Some(kept.clone())).await?);
    let snapshots = SnapshotOptions {
        dir: dir.snapshots(),
        every_bytes: config.common.snapshot_every_bytes,
    };
    let (source, options) = (Arc::clone(&log), snapshots.clone());
    let (replica, reads) = tokio::task::spawn_blocking(move || {
        let recovered =
            valuta_engine::recover(&*source, &kept, rehearsal).context("replaying the journal")?;
        let Recovered {
            replayed, snapshot, ..
        } = &recovered;
        tracing::info!(
            sequence = replayed.sequence,
            snapshot,
            events = replayed.events,
            "replayed"
        );
        anyhow::Ok(Replica::start(
            &*source,
            recovered,
            rehearsal,
            Some(options),
        )?)
    })
    .await??;
    tokio::spawn(tell_leader(log.leader()));
    Ok(Following {
        log,
        replica,
        reads,
        dir,
        snapshots,
    })
}

/// As [`report`], of a process that only follows.
pub fn stand(
    config: &ServiceConfig,
    log: &KafkaLog,
    own: Follower,
    serves: SocketAddr,
) -> anyhow::Result<()> {
    let (role, tail, leader) = (own.role(), log.watch(), log.leader());
    let board = Board::new(role, Board::draw()?, tail, leader, vec![own]);
    board.serves_at(serves);
    report(board, &config.link);
    Ok(())
}

/// Tells the leader how far this process is, and the metrics what all are.
pub fn report(board: Board, link: &LinkOptions) {
    let mut reporter = Reporter::new(link.clone());
    tokio::spawn(async move {
        while !board.is_leading() {
            board.look(None, None);
            if let Some(leader) = board.leader() {
                match reporter.report(&leader, &board.own()).await {
                    Ok(told) => {
                        board.hear(told.processes, (told.sequence, told.time_ms, told.batches));
                    }
                    // What is known of others gets old, and says so.
                    Err(status) => tracing::debug!(%status, "the leader was not told"),
                }
            }
            board.tell();
            tokio::time::sleep(REPORT_EVERY).await;
        }
    });
}

/// The log says who leads.
async fn tell_leader(mut leader: watch::Receiver<Option<Leader>>) {
    loop {
        if let Some(Leader { epoch, address, .. }) = &*leader.borrow_and_update() {
            tracing::info!(epoch, address, "leads");
        }
        if leader.changed().await.is_err() {
            return;
        }
    }
}

/// The scheme's name, once its journal says it; `None`: stopped before.
pub fn scheme_name(log: &KafkaLog, stop: &AtomicBool) -> anyhow::Result<Option<String>> {
    let (mut reader, tail) = (log.reader(None)?, log.watch());
    let mut events = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(record) = reader.next()? else {
            tail.wait_past(reader.cursor().sequence, CLOSED_SEEN_WITHIN);
            continue;
        };
        let mut entries = record::entries(&record.payload)?;
        while entries.next_into(&mut events)?.is_some() {
            let mut names = events.iter().filter_map(|event| match event {
                Event::SchemeNamed { name, .. } => Some(name.to_string()),
                _ => None,
            });
            if let Some(name) = names.next() {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// Completes with the reason when the journal can no longer be read.
pub async fn journal_lost(log: &KafkaLog) -> anyhow::Error {
    let tail: Tail = log.watch();
    while !tail.is_closed() {
        tokio::time::sleep(CLOSED_SEEN_WITHIN).await;
    }
    let reason = log.failure();
    anyhow!("journal: {}", reason.as_deref().unwrap_or("closed"))
}

/// Serves a service's gRPC, if it has any, and `/metrics` and `/healthz`, until it is to stop.
pub async fn serve(
    config: &ServiceConfig,
    mut routes: Routes,
    render: RenderMetrics,
    stopping: watch::Receiver<bool>,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listen = config.common.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen: {listen}"))?;
    let address = listener.local_addr()?;
    let tls = config.common.tls.as_ref().map(read_tls).transpose()?;
    let mut server = server(tls.as_ref())?;
    let router = routes.axum_router_mut();
    *router = std::mem::take(router)
        .route("/metrics", get(move || async move { render() }))
        .route("/healthz", get(|| async { "serving\n" }));
    let serving = server
        .add_routes(routes.prepare())
        .serve_with_incoming_shutdown(connections(listener), stopped(stopping));
    let serving = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "nothing is served any more");
        }
    });
    println!("listening {address}");
    Ok((address, serving))
}

/// Completes when the service is to stop.
pub async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A service whose signal is gone is ending.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Works while it is this process's turn; until then, and after, it stands by for another of its role.
///
/// The turn is a hint: two may work at once, and then one of them repeats what is there. One whose turn is not
/// known, since the brokers do not say, goes on.
pub async fn in_turn(
    kafka: &Kafka,
    log: &KafkaLog,
    role: ProcessRole,
    works: &Turn,
    start: impl Fn(&mut Threads) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let kafka = kafka.clone();
    let election = tokio::task::spawn_blocking(move || join(&kafka, role)).await??;
    let mut named = election.named();
    // One for all turns: what comes between two of them is not missed.
    let mut told = std::pin::pin!(signal());
    loop {
        works.set(false);
        tokio::select! {
            this = named.wait_for(|named| *named == Named::This) => drop(this.context("election")?),
            error = journal_lost(log) => return Err(error),
            signal = &mut told => {
                tracing::info!(signal = signal?, "stopping");
                return Ok(());
            }
        }
        works.set(true);
        let mut threads = Threads::new();
        start(&mut threads)?;
        let ended = threads
            .run_until(
                log,
                &mut told,
                named.wait_for(|named| *named == Named::Other),
            )
            .await?;
        if ended == Ended::Told {
            return Ok(());
        }
        tracing::warn!("another one works");
    }
}

/// Becomes a candidate for a role's turn.
pub fn join(kafka: &Kafka, role: ProcessRole) -> anyhow::Result<Election> {
    Election::join(&kafka.journal(), name(role)).context("election")
}

/// Whether this process works, or stands by. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turn(Arc<AtomicBool>);

impl Turn {
    /// Says so too.
    pub fn set(&self, works: bool) {
        println!("{}", if works { "working" } else { "standing by" });
        self.0.store(works, Ordering::Relaxed);
    }

    /// For a [`Follower`].
    pub fn read(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let Self(works) = self.clone();
        move || works.load(Ordering::Relaxed)
    }
}

/// Why threads were ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By a signal.
    Told,
    /// Something else came about.
    Otherwise,
}

/// Threads of a service that follows: they end together, by a signal or by the first failure.
pub struct Threads {
    stop: Arc<AtomicBool>,
    ended: tokio::sync::mpsc::UnboundedSender<(&'static str, anyhow::Result<()>)>,
    endings: tokio::sync::mpsc::UnboundedReceiver<(&'static str, anyhow::Result<()>)>,
    running: usize,
}

impl Threads {
    pub fn new() -> Self {
        let (ended, endings) = tokio::sync::mpsc::unbounded_channel();
        Self {
            stop: Arc::default(),
            ended,
            endings,
            running: 0,
        }
    }

    pub fn start(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&AtomicBool) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (stop, ended) = (Arc::clone(&self.stop), self.ended.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // The service waits for every thread's word, a panic's too.
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&stop)));
                let result = result.unwrap_or_else(|_| Err(anyhow!("panicked")));
                let _ = ended.send((name, result));
            })
            .with_context(|| format!("no thread for {name}"))?;
        self.running += 1;
        Ok(())
    }

    /// Waits for a signal or a failure, ends all, and says how it went.
    pub async fn run(self, log: &KafkaLog) -> anyhow::Result<()> {
        let never = std::future::pending::<()>();
        self.run_until(log, signal(), never).await.map(drop)
    }

    /// The same, and ends all when `otherwise` completes.
    async fn run_until<T>(
        mut self,
        log: &KafkaLog,
        told: impl Future<Output = anyhow::Result<&'static str>>,
        otherwise: impl Future<Output = T>,
    ) -> anyhow::Result<Ended> {
        let (mut ended, mut failed) = (Ended::Told, None);
        tokio::select! {
            signal = told => tracing::info!(signal = signal?, "stopping"),
            ending = self.endings.recv() => {
                self.running -= 1;
                failed = ending;
            }
            error = journal_lost(log) => failed = Some(("journal", Err(error))),
            _ = otherwise => ended = Ended::Otherwise,
        }
        self.stop.store(true, Ordering::Relaxed);
        while self.running > 0 {
            let _ = self.endings.recv().await;
            self.running -= 1;
        }
        // Whatever noticed it first: the journal's own failure is why.
        if let Some(reason) = log.failure() {
            bail!("journal: {reason}");
        }
        match failed {
            Some((name, Err(error))) => Err(error.context(name)),
            Some((name, Ok(()))) => bail!("{name} ended by itself"),
            None => Ok(ended),
        }
    }
}
