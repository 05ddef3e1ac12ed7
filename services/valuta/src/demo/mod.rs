//! `valuta demo`: a day of settlement, with a power cut, against a server process of its own, over gRPC alone.
//!
//! | # | scene           | file        | what must hold                                                     |
//! |---|-----------------|-------------|--------------------------------------------------------------------|
//! | 1 | setting up      | `setup`     | the scheme applies, and applying it again changes nothing          |
//! | 2 | a day's traffic | `traffic`   | every answer is the planned one; credited banks receive everything |
//! | 3 | power cut       | `power_cut` | sent again: the same answers, nothing twice, every balance exact   |
//! |   | or take-over    | `take_over` | the same, and no stream breaks                                     |
//! | 4 | the cycle       | `example`, `day` | nets as computed here; who pays late leaves behind, then all settle |
//! | 5 | control         | `control`   | in - out = closing = mirror, per currency                          |
//! | 6 | proof           | `proof`     | receipts verify offline, and no byte of one can change             |
//!
//! Every check is an assertion: the first that fails ends the demo with exit code 1.

mod child;
#[cfg(feature = "cluster")]
mod cluster;
mod control;
mod day;
mod example;
mod home;
mod instruction;
mod plan;
mod power_cut;
mod proof;
mod random;
mod receive;
mod server;
mod session;
mod setup;
mod stage;
mod stream;
mod summary;
#[cfg(feature = "cluster")]
mod take_over;
mod traffic;
mod world;
mod wrong;

use crate::client::{CliError, note};
use clap::Args;
#[cfg(feature = "cluster")]
use cluster::Cluster;
use home::Home;
use plan::{Amounts, INSTRUCTIONS_MIN, Plan};
use server::Server;
use session::{Session, Tokens};
use stage::Stage;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stream::Answer;
use world::{ASSETS, BANKS, World};

/// What `demo` takes.
#[derive(Args)]
pub struct DemoArgs {
    /// How many instructions the banks send
    #[arg(long, default_value = "200000", value_parser = clap::value_parser!(u32).range(INSTRUCTIONS_MIN as i64..))]
    instructions: u32,
    /// The same seed makes the same day
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Keep the data, the receipts and the policy that verifies them, in this new directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Each service alone, over the Kafka and PostgreSQL that `scripts/stack up --dir DIR` has started
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "DIR")]
    cluster: Option<PathBuf>,
}

/// What the demo knows by itself, to hold the server's figures against.
struct Books {
    /// Confirmed by agents: deposits and pay-ins, by currency.
    total_in: [i128; ASSETS],
    /// Pay-outs.
    total_out: [i128; ASSETS],
    /// Every account outside cycle funds, and inside.
    balance: Amounts,
}

/// Figures for the last screen.
#[derive(Default)]
struct Figures {
    stream_elapsed: Duration,
    stream_count: u64,
    latencies: Vec<Duration>,
    unanswered: u64,
    restart: Duration,
    receipts: usize,
    checkpoint: String,
}

/// Answers by bank, in the order of the plan.
#[derive(Default)]
struct Answers {
    morning: Vec<Vec<Option<Answer>>>,
    afternoon: Vec<Vec<Option<Answer>>>,
    late: Vec<Vec<Option<Answer>>>,
}

/// The demo between two scenes.
struct Demo {
    stage: Stage,
    home: Home,
    world: Arc<World>,
    plan: Arc<Plan>,
    tokens: Tokens,
    server: Server,
    session: Session,
    books: Books,
    figures: Figures,
    answers: Answers,
}

/// Runs all scenes.
///
/// # Errors
/// [`CliError::Refused`] where a check fails; data and log are kept then.
pub async fn run(args: DemoArgs) -> Result<(), CliError> {
    let mut demo = Demo::set_up(&args).await?;
    let played = demo.play().await;
    if played.is_err() {
        demo.home.keep();
        let root = demo.home.root().display().to_string();
        note(&format!("note: data and log are kept in {root}"));
    }
    played?;
    demo.server.stop().await
}

impl Demo {
    async fn play(&mut self) -> Result<(), CliError> {
        self.traffic().await?;
        match &self.server {
            Server::One(_) => self.power_cut().await?,
            #[cfg(feature = "cluster")]
            Server::Cluster(_) => self.take_over().await?,
        }
        self.stage.scene("The cycle: net, fund, settle");
        self.settle_day_close().await?;
        self.settle_example().await?;
        self.settle_day().await?;
        self.control().await?;
        self.prove().await?;
        self.sum_up().await
    }
}
