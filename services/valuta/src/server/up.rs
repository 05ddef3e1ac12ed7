//! Starting the parts in order, and stopping them.
//!
//! | # | start | stop |
//! |---|---|---|
//! | 1 | journal: lock, repair | last |
//! | 2 | state: the newest snapshot, then replay | - |
//! | 3 | engine | when the gateway has let go of its callers: finishes and answers what it took |
//! | 4 | followers: projector, relay | with the journal |
//! | 5 | gateway, then `listening ADDRESS` | first: open streams end |

use crate::output::causes;
use crate::server::config::{Config, ConfigErrors, UpArgs};
use crate::server::data::{DataDir, write_durably};
use crate::server::log::{open_ledger, routes, scrub};
use crate::server::metrics;
use crate::server::ports::{EnginePort, JournalPort, Log, ReadsPort};
use crate::server::standing::{Board, Follower, follow_engine};
use crate::server::witnessing::Witnessing;
use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use settlement_core::command::{Action, Caller, Command, Token};
use settlement_core::ids::Timestamp;
use settlement_core::instruction::{Digest, ShortText};
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use valuta_engine::{
    Clock, Engine, Handle, Recovered, SnapshotOptions, Snapshots, StopReason, SystemClock,
};
use valuta_gateway::{ServeConfig, TlsPem};
use valuta_journal::{
    Cursor, FileJournal, FileJournalOptions, FileReader, JournalReader, Leader, OpenError,
    ReadError, Source, Tail,
};
use valuta_ledger::LedgerReader;
use valuta_projector::{Anchors, ProjectError, SqliteStore, Store, StoreError};
use valuta_proto::v1::ProcessRole;
use valuta_relay::{BatchFiles, Receipts, Relay};
use valuta_witness::Collector;

/// Connections of the read model: as many calls read at once.
pub(super) const READERS: usize = 4;

/// A tenth of the weight that the engine and the gateway have.
const FOLLOWER_NICE: i32 = 10;
/// How long after a failure the read model's store is opened anew; each time twice as long.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(500);
/// And at most this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(16);
/// A thread that waits sees within this that it shall stop.
const STOP_SEEN_WITHIN: Duration = Duration::from_millis(50);

/// Serves until a signal ends it, or a fault on our side: then it stops rather than lie.
pub async fn up(args: UpArgs) -> ExitCode {
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(ConfigErrors(errors)) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    start_log(&config);
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

pub(super) fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(&config.log);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if config.log_json {
        lines.json().init();
    } else {
        lines.with_ansi(false).init();
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let metrics = metrics::install()?;
    let dir = DataDir::open(&config.data, config.rehearsal)?;
    let (rehearsal, following) = (config.rehearsal, !config.without_followers);
    let snapshots = SnapshotOptions {
        dir: dir.snapshots(),
        every_bytes: config.snapshot_every_bytes,
    };
    let options = StartOptions {
        rehearsal,
        following,
        snapshots,
        scrub_every: config.scrub_every,
        passphrase_file: config.passphrase_file,
        witnesses: config.witnesses,
    };
    let started = tokio::task::spawn_blocking(move || start(&dir, options))
        .await
        .context("starting")??;
    let Parts {
        engine,
        handle,
        reads,
        followers,
        stop_followers,
        first_token,
        board,
        log,
        collector,
    } = started;
    if let Some(first_token) = first_token {
        create_operator_token(&handle, first_token).await?;
    }

    let (stop, stopping) = watch::channel(false);
    let serve_config = ServeConfig {
        listen: config.listen,
        tls: config.tls.as_ref().map(read_tls).transpose()?,
        reflection: config.reflection,
        metrics,
        http: routes(log),
    };
    tokio::spawn(follow_engine(board.clone(), handle.clone()));
    let gateway = valuta_gateway::serve(
        serve_config,
        EnginePort(handle.clone()),
        reads,
        stopping,
        |address| {
            board.serves_at(address);
            println!("listening {address}");
            tracing::info!(%address, rehearsal, "listening");
        },
    );
    let mut engine_stopped = tokio::task::spawn_blocking(move || engine.join());
    tokio::pin!(gateway);
    let served = tokio::select! {
        served = &mut gateway => served.context("gateway"),
        reason = &mut engine_stopped => {
            // A fault: nothing more may be answered. The next start replays what is durable.
            bail!(stopped(reason.unwrap_or(StopReason::Journal("the engine panicked".to_owned()))))
        }
        signal = signal() => {
            tracing::info!(signal = signal?, "stopping");
            stop.send_replace(true);
            gateway.await.context("gateway")
        }
    };
    handle.shut_down();
    let reason = engine_stopped.await.context("engine")?;
    stop_followers.store(true, Ordering::Relaxed);
    drop(collector);
    for follower in followers {
        // A follower that failed has said so in the log.
        let _ = tokio::task::spawn_blocking(move || follower.join()).await;
    }
    match reason {
        StopReason::ShutDown => served,
        reason => Err(stopped(reason)),
    }
}

pub(super) fn stopped(reason: StopReason) -> anyhow::Error {
    match reason {
        StopReason::ShutDown => anyhow!("the engine has shut down"),
        StopReason::Journal(error) => anyhow!("{error}"),
        StopReason::Identities(error) => {
            anyhow!("old identities: {error}. The file was set aside; the next start makes it anew")
        }
        StopReason::ClockJumped(ms) => anyhow!(
            "the clock jumped ahead by {ms} ms while running: deadlines would pass unseen; check it and start again"
        ),
    }
}

pub(super) async fn signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

pub(super) fn read_tls(tls: &crate::server::config::Tls) -> anyhow::Result<TlsPem> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).with_context(|| format!("tls: {}", path.display()))
    };
    Ok(TlsPem {
        certificate: read(&tls.cert)?,
        key: read(&tls.key)?,
    })
}

struct Parts {
    engine: Engine,
    handle: Handle,
    reads: ReadsPort,
    followers: Vec<JoinHandle<()>>,
    stop_followers: Arc<AtomicBool>,
    /// At the first start: the operator's token, already in its file.
    first_token: Option<Command>,
    board: Board,
    log: LedgerReader,
    collector: Option<Collector>,
}

struct StartOptions {
    rehearsal: bool,
    following: bool,
    snapshots: SnapshotOptions,
    scrub_every: Duration,
    passphrase_file: Option<PathBuf>,
    witnesses: Option<PathBuf>,
}

fn start(dir: &DataDir, options: StartOptions) -> anyhow::Result<Parts> {
    let StartOptions {
        rehearsal,
        following,
        snapshots,
        scrub_every,
        passphrase_file,
        witnesses,
    } = options;
    let (journal, recovery) =
        FileJournal::create_or_open(&dir.journal(), FileJournalOptions::default())
            .map_err(|error| explain(error, dir))?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            file = %recovery.file.display(),
            offset = recovery.valid_bytes,
            torn_bytes = recovery.torn_bytes,
            "a torn record that nobody was answered for was cut off"
        );
    }
    let started = Instant::now();
    let Recovered {
        state,
        replayed,
        snapshot,
        reader: _,
    } = valuta_engine::recover(&journal, &Snapshots::new(dir.snapshots()), rehearsal)
        .context("replaying the journal")?;
    tracing::info!(
        sequence = replayed.sequence,
        snapshot,
        events = replayed.events,
        milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "replayed"
    );
    let first_token = match state.tokens().next() {
        Some(_) => None,
        None => Some(first_operator_token(dir, rehearsal, replayed.time)?),
    };

    let ledger = open_ledger(dir, journal.id(), passphrase_file.as_deref())?;
    let ledger_reader = ledger.reader();
    let files = BatchFiles::open(&dir.batches())?;
    let store = SqliteStore::open(&dir.read_model()).context("read model")?;

    let witnessing = Witnessing::start(&ledger_reader, witnesses.as_deref())?;
    let (lookup, tail, log) = (journal.lookup(), journal.watch(), ledger_reader.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let (projected, projected_reader) = watch::channel(0);
    let mut anchors = store.anchors().context("read model")?;
    let newest = anchors.anchored()?.min(ledger_reader.next_number() - 1);
    // What was lost is made again from the journal, and this then rises with it.
    let (anchored, anchored_reader) =
        watch::channel(if files.contains(newest) { newest } else { 0 });
    let board = board(&journal, &projected_reader, &anchored_reader)?;
    let (read_dir, read_tail) = (dir.journal(), tail.clone());
    let reader = move |from: Option<Cursor>| -> Result<Box<dyn JournalReader>, ReadError> {
        let tail = read_tail.clone();
        Ok(Box::new(FileReader::open(&read_dir, from, tail)?))
    };
    let whole_journal = JournalPort {
        id: journal.id(),
        tail: tail.clone(),
        lookup: Arc::clone(&lookup),
        reader: Box::new(reader.clone()),
    };
    let reads = ReadsPort::new(
        Box::new(store.read_model(READERS).context("read model")?),
        Log::Here {
            receipts: Arc::new(Receipts::new(
                Arc::clone(&lookup),
                ledger_reader.clone(),
                files.clone(),
            )),
            ledger: ledger_reader.clone(),
            policy: witnessing.policy,
        },
        projected_reader,
        anchored_reader,
        board.clone(),
        whole_journal,
    );

    let mut followers = Vec::new();
    if following {
        let relay = Relay::new(
            journal.reader(None)?,
            lookup,
            tail.clone(),
            ledger,
            Some(files),
        );
        let relay_stop = Arc::clone(&stop);
        let (scrubbed, scrub_stop) = (ledger_reader.clone(), Arc::clone(&stop));
        followers.push(follower("scrub", move || -> Result<(), Infallible> {
            scrub(&scrubbed, scrub_every, &scrub_stop);
            Ok(())
        })?);
        followers.push(follower("relay", move || {
            relay.run(&relay_stop, |batch| {
                note_anchor(&mut anchors, &ledger_reader, batch);
                anchored.send_if_modified(|newest| {
                    let newer = batch > *newest;
                    *newest = batch.max(*newest);
                    newer
                });
            })
        })?);
        let (dir, projector_stop) = (dir.clone(), Arc::clone(&stop));
        followers.push(follower("projector", move || {
            // Opened above, so that a start tells what is wrong with it.
            drop(store);
            let open = || SqliteStore::open(&dir.read_model());
            keep_projecting(
                &tail,
                open,
                || reader(None),
                &projector_stop,
                |sequence| {
                    projected.send_replace(sequence);
                },
            )
        })?);
    }
    let clock: Box<dyn Clock> = Box::new(SystemClock::default());
    let (engine, handle) = Engine::start(
        Box::new(journal),
        state,
        replayed,
        clock,
        rehearsal,
        Some(snapshots),
    )?;
    Ok(Parts {
        engine,
        handle,
        reads,
        followers,
        stop_followers: stop,
        first_token,
        board,
        log,
        collector: witnessing.collector,
    })
}

/// Of a process that does everything: it leads, and nobody else ever will.
fn board(
    journal: &FileJournal,
    projected: &watch::Receiver<u64>,
    anchored: &watch::Receiver<u64>,
) -> anyhow::Result<Board> {
    let process = Board::draw()?;
    let leader = Leader {
        epoch: journal.epoch(),
        id: process,
        address: String::new(),
    };
    let (projected, anchored) = (projected.clone(), anchored.clone());
    let followers = vec![
        Follower::new(ProcessRole::Projector).at(move || *projected.borrow()),
        Follower::new(ProcessRole::Ledger).done(move || *anchored.borrow()),
    ];
    let (_, leader) = watch::channel(Some(leader));
    let tail = journal.watch();
    Ok(Board::new(
        ProcessRole::Embedded,
        process,
        tail,
        leader,
        followers,
    ))
}

fn explain(error: OpenError, dir: &DataDir) -> anyhow::Error {
    // Its text has its sources' in it.
    anyhow!("journal in {}: {error}", dir.journal().display())
}

/// A follower's failure is told, and stops nothing else.
fn follower<E: std::fmt::Display>(
    name: &'static str,
    run: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            come_last(name);
            if let Err(error) = run() {
                ::metrics::counter!("valuta_follower_failures_total", "follower" => name)
                    .increment(1);
                tracing::error!(follower = name, "stopped: {error}");
            }
        })
}

/// Where processors are short, payments go first. Only the calling thread's priority is lowered.
pub(super) fn come_last(name: &'static str) {
    if let Err(error) = rustix::process::setpriority_process(None, FOLLOWER_NICE) {
        tracing::warn!(follower = name, "runs at full priority: {error}");
    }
}

/// Keeps the read model up. A store that fails, as on a full disk, is opened anew after a while, and goes
/// on where it last committed.
pub(super) fn keep_projecting<S: Store>(
    tail: &Tail,
    open: impl Fn() -> Result<S, StoreError>,
    reader: impl Fn() -> Result<Box<dyn JournalReader>, ReadError>,
    stop: &AtomicBool,
    progress: impl Fn(u64),
) -> Result<(), ProjectError> {
    let mut pause = RETRY_AFTER_MIN;
    // To be seen before the first one.
    ::metrics::counter!("valuta_follower_failures_total", "follower" => "projector").increment(0);
    loop {
        // The first word is where the store stands, each after it a commit.
        let (begun, words) = (Instant::now(), Cell::new(0_u64));
        let ended = open().map_err(ProjectError::Store).and_then(|store| {
            valuta_projector::run(reader()?, tail, store, stop, |sequence| {
                words.set(words.get() + 1);
                progress(sequence.0)
            })
        });
        match ended {
            Err(ProjectError::Store(error)) if !stop.load(Ordering::Relaxed) => {
                // It has worked for a while: this is another fault.
                if words.get() > 1 && begun.elapsed() > RETRY_AFTER_MAX {
                    pause = RETRY_AFTER_MIN;
                }
                ::metrics::counter!("valuta_follower_failures_total", "follower" => "projector")
                    .increment(1);
                tracing::error!(follower = "projector", ?pause, "tried again: {error}");
            }
            ended => return ended,
        }
        wait(stop, pause);
        // Each time the journal is read from its beginning: not too often, for as long as it lasts.
        pause = (pause * 2).min(RETRY_AFTER_MAX);
    }
}

/// Waits, unless it is to stop.
pub(super) fn wait(stop: &AtomicBool, pause: Duration) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STOP_SEEN_WITHIN);
    }
}

/// The read model shows anchors. It is told this one, and those before it that it lacks: a failure is only
/// logged, and the next batch makes up for it.
fn note_anchor(anchors: &mut impl Anchors, ledger: &LedgerReader, batch: u64) {
    let noted = (|| -> anyhow::Result<()> {
        for batch in anchors.anchored()? + 1..=batch {
            let anchor = ledger.anchor(batch)?;
            anchors.set_anchor(batch, anchor.index, &ledger.header(batch)?.text())?;
        }
        Ok(())
    })();
    if let Err(error) = noted {
        tracing::warn!(
            batch,
            "the read model does not show the anchor: {}",
            causes(&error)
        );
    }
}

/// Written before it is made: a crash in between makes the next start write another.
pub(super) fn first_operator_token(
    dir: &DataDir,
    rehearsal: bool,
    now: Timestamp,
) -> anyhow::Result<Command> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow!("no random bytes: {error}"))?;
    let text = format!(
        "vt_{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
    );
    write_durably(&dir.operator_token(), &format!("{text}\n"), 0o600)?;
    let hash: [u8; 32] = Sha256::digest(&text).into();
    let label = ShortText::parse(b"operator").context("the label has its form")?;
    let created = if rehearsal {
        now
    } else {
        Timestamp(SystemClock::default().wall_ms())
    };
    Ok(Command {
        caller: Caller::Operator,
        request_id: ShortText::parse(b"first-operator-token").context("the id has its form")?,
        created,
        digest: Digest([0; 16]),
        action: Action::CreateToken(Token {
            label,
            hash,
            caller: Caller::Operator,
        }),
    })
}

pub(super) async fn create_operator_token(handle: &Handle, command: Command) -> anyhow::Result<()> {
    handle
        .command(command)
        .await?
        .map_err(|refusal| anyhow!("the first token was refused: {refusal}"))?;
    tracing::info!("the operator's token is in the data directory's operator.token");
    Ok(())
}
