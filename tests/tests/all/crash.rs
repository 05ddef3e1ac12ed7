//! The real process, killed at every durable step and at random moments, under load, hundreds of times.
//!
//! `strace` kills it on entry to the n-th call of one kind on one file, before the call has any effect:
//! so the kill at a step is the kill after the step before it. Each life begins with everything being
//! sent again; whoever was answered once gets the same answer in every life.

use crate::load::{Load, Random, long};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use valuta_tests::scheme::World;
use valuta_tests::{Server, ServerOptions};

/// Journal between two snapshots: several in each life.
const SNAPSHOT_EVERY_KIB: &str = "16";
/// A life that was not cut short by its fault is cut short after this.
const LIFE_MAX: Duration = Duration::from_millis(1_500);

/// One call to die at.
#[derive(Clone, Debug)]
pub struct Fault {
    /// A file of the data directory; empty: any file or socket.
    pub file: &'static str,
    pub call: &'static str,
    /// Counted per thread.
    pub at: u32,
    /// What happens instead of the call.
    pub effect: &'static str,
}

impl Fault {
    pub fn kill(file: &'static str, call: &'static str, at: u32) -> Self {
        Self {
            file,
            call,
            at,
            effect: "signal=SIGKILL",
        }
    }

    /// The server as a direct child, its tracer beside it: killed, the tracer goes too.
    pub fn options(&self, data: &Path) -> ServerOptions {
        let mut under: Vec<String> = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"]
            .map(str::to_owned)
            .to_vec();
        if !self.file.is_empty() {
            under.extend(["-P".to_owned(), data.join(self.file).display().to_string()]);
        }
        under.extend(["-e".to_owned(), format!("trace={}", self.call)]);
        let inject = format!("inject={}:{}:when={}", self.call, self.effect, self.at);
        under.extend(["-e".to_owned(), inject]);
        ServerOptions {
            under,
            arguments: ["--snapshot-every-kib", SNAPSHOT_EVERY_KIB]
                .map(str::to_owned)
                .to_vec(),
            ..ServerOptions::default()
        }
    }
}

/// A data directory in memory where there is one: its servers start hundreds of times.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

/// One data directory and the servers that lived on it.
struct Lives {
    data: PathBuf,
    world: World,
    load: Arc<Load>,
    deaths: u32,
}

impl Lives {
    async fn begin(dir: &Path) -> Self {
        let data = dir.join("data");
        let world = World::start(&data).await.unwrap();
        let load = Load::new();
        load.fund(&world).await.unwrap();
        Self {
            data,
            world,
            load,
            deaths: 0,
        }
    }

    /// A life under `options`: everything again, then work, then death. `false`: it died at its start.
    async fn live(&mut self, options: &ServerOptions, seed: u64, life_max: Duration) -> bool {
        self.world.server.kill();
        self.deaths += 1;
        let Ok(server) = Server::start_with(&self.data, options) else {
            return false;
        };
        self.world.server = server;
        let token = self.world.server.operator_token().unwrap();
        let Ok(operator) = self.world.server.client(&token).await else {
            return true;
        };
        self.world.operator = operator;
        let (load, world) = (Arc::clone(&self.load), &self.world);
        let life = async {
            if load.send_again(world).await.is_ok() {
                load.work(world, seed, 40).await;
            }
        };
        // Whether it died of its fault or is killed now: the next life has to make up for it.
        let _ = tokio::time::timeout(life_max, life).await;
        true
    }

    /// The last life: everything is answered, and all of it is right.
    async fn check(&mut self) {
        self.world.server.kill();
        self.world.server = Server::start(&self.data).unwrap();
        let token = self.world.server.operator_token().unwrap();
        self.world.operator = self.world.server.client(&token).await.unwrap();
        self.load.send_again(&self.world).await.unwrap();
        let mut treasury = self.world.client("TREASURY").await.unwrap();
        let mut operator = self.world.operator.clone();
        let mut history = std::mem::take(&mut *self.load.history());
        assert_eq!(history.answered(), history.len());
        history.check(&mut operator, &mut treasury).await;
        *self.load.history() = history;
    }
}

/// Every step of the first start that changes a disk, killed once each: the second start is as if there
/// had been no first.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_of_the_first_start() {
    // (call, every how many of them)
    let calls = [
        ("mkdir", 1),
        ("fallocate", 1),
        ("pwritev", 1),
        ("fsync", 1),
        ("fdatasync", 1),
        ("rename", 1),
        ("linkat", 1),
        ("unlink", 1),
        ("ftruncate", 1),
        ("pwrite64", if long() { 1 } else { 11 }),
    ];
    let mut deaths = 0;
    for (call, every) in calls {
        for at in (1..).step_by(every) {
            let dir = directory();
            let data = dir.path().join("data");
            let fault = Fault::kill("", call, at);
            let first = Server::start_with(&data, &fault.options(&data));
            let survived = first.is_ok_and(|mut server| {
                // What follows the start, such as the first mark, is a step too.
                let end = Instant::now() + Duration::from_millis(60);
                while Instant::now() < end && server.is_running() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                server.is_running()
            });
            if survived {
                break;
            }
            deaths += 1;
            let world = World::start(&data).await;
            let world = world.unwrap_or_else(|error| panic!("after {fault:?}: {error:#}"));
            world.deposit("AAAAUS33", "USD", "1.00").await.unwrap();
        }
    }
    println!("{deaths} deaths at the first start");
    assert!(
        deaths > 40,
        "only {deaths} deaths: the faults do not reach the server"
    );
}

/// The durable steps of a server that works: (file, call, how many of them).
const STEPS: &[(&str, &str, u32)] = &[
    // Start-up: the valid part of the last segment is copied.
    ("journal/repair.tmp", "fallocate", 0),
    ("journal/repair.tmp", "pwritev", 1),
    ("journal/repair.tmp", "fsync", 1),
    ("journal/repair.tmp", "rename", 1),
    // Records, and the mark when idle.
    ("journal/00000000000000000000.segment", "pwritev", 10),
    ("journal/00000000000000000000.segment", "fdatasync", 10),
    ("journal/marks", "pwritev", 3),
    ("journal/marks", "fdatasync", 3),
    // A batch into the ledger.
    ("ledger/bundle.new", "write", 3),
    ("ledger/bundle.new", "fsync", 3),
    ("ledger/bundle.new", "rename", 2),
    ("ledger/tile.new", "write", 3),
    ("ledger/tile.new", "fsync", 2),
    ("ledger/tile.new", "rename", 2),
    ("ledger/checkpoint.new", "write", 2),
    ("ledger/checkpoint.new", "fsync", 2),
    ("ledger/checkpoint.new", "rename", 2),
    ("ledger/public", "fsync", 2),
    ("batches", "rename", 0),
    // A snapshot: taken every few KiB of journal here.
    ("snapshots/snapshot.tmp", "write", 2),
    ("snapshots/snapshot.tmp", "fsync", 2),
    ("snapshots/snapshot.tmp", "rename", 2),
    ("snapshots", "fsync", 2),
    ("", "unlink", 3),
    // The read model.
    ("read-model.sqlite-wal", "pwrite64", 6),
    ("read-model.sqlite", "pwrite64", 1),
    // Durable, and not yet told.
    ("", "writev", 8),
    ("", "sendto", 8),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_durable_step_under_load() {
    let dir = directory();
    let mut lives = Lives::begin(dir.path()).await;
    let times = if long() { 8 } else { 1 };
    let mut seed = 0;
    for &(file, call, count) in STEPS {
        for at in 1..=count * times {
            seed += 1;
            let options = Fault::kill(file, call, at).options(&lives.data);
            lives.live(&options, seed, LIFE_MAX).await;
        }
        lives.check().await;
    }
    let cycles = lives.load.cycles_completed().await;
    println!(
        "{} deaths, {} instructions, {cycles} cycles",
        lives.deaths,
        lives.load.history().len()
    );
    assert!(cycles > 0, "no cycle completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_under_load() {
    let dir = directory();
    let mut lives = Lives::begin(dir.path()).await;
    let mut random = Random(7);
    for seed in 0..if long() { 400 } else { 40 } {
        let life_max = Duration::from_millis(1 + random.below(250));
        lives
            .live(&ServerOptions::default(), 1_000 + seed, life_max)
            .await;
        if seed % 20 == 19 {
            lives.check().await;
        }
    }
    let cycles = lives.load.cycles_completed().await;
    let instructions = lives.load.history().len();
    println!(
        "{} deaths, {instructions} instructions, {cycles} cycles",
        lives.deaths
    );
}
