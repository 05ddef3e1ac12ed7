//! The demo's cluster: two engines, two gateways, projector, relay and ledger, over the Kafka and the
//! PostgreSQL that `scripts/stack` has started.

use super::child::Process;
use super::home::Home;
use crate::client::CliError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::process::Command;
use valuta_kafka::KafkaConfig;
use valuta_projector::PostgresAddress;

/// What `scripts/stack` writes of itself.
const KAFKA: &str = "VALUTA_TEST_KAFKA";
const POSTGRES: &str = "VALUTA_TEST_POSTGRES";
/// Stops and starts servers of it.
const STACK: &str = "scripts/stack";

/// All its processes.
pub struct Cluster {
    engines: [Process; 2],
    /// Which of them leads.
    leader: usize,
    gateways: [Process; 2],
    followers: Vec<Process>,
    /// The journal's topic.
    journal: KafkaConfig,
    /// What every service is told.
    common: Vec<OsString>,
    stack: PathBuf,
    logs: PathBuf,
    root: PathBuf,
    /// Engines started so far.
    started: usize,
}

impl Cluster {
    /// Makes the topics of a scheme of its own, and starts everything. `stack` is the directory of
    /// `scripts/stack`.
    pub async fn start(home: &Home, stack: &Path) -> Result<Self, CliError> {
        let (kafka, postgres) = (address(stack, KAFKA)?, address(stack, POSTGRES)?);
        let root = home.data();
        std::fs::create_dir_all(&root).map_err(|error| CliError::file(&root, &error))?;
        let secret = root.join("link-secret");
        let mut random = [0; 4];
        getrandom::fill(&mut random)
            .map_err(|error| CliError::Unavailable(format!("no random bytes: {error}")))?;
        let prefix = format!("demo-{:08x}-", u32::from_be_bytes(random));
        std::fs::write(&secret, format!("the secret of {prefix}"))
            .map_err(|error| CliError::file(&secret, &error))?;
        let common: Vec<OsString> = [
            ("--kafka", OsString::from(&kafka)),
            ("--kafka-prefix", OsString::from(&prefix)),
            ("--postgres", database(&postgres, &prefix).await?.into()),
            ("--link-secret-file", secret.into_os_string()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [OsString::from(flag), value])
        .collect();
        let logs = home.root().to_owned();
        create_topics(&common).await?;
        let start = |name, directory: String, more: Vec<OsString>| {
            service(name, &common, root.join(directory), more, &logs)
        };
        let mut first = start("engine", "engine-1".to_owned(), Vec::new()).await?;
        first.until("leading").await?;
        let mut second = start("engine", "engine-2".to_owned(), Vec::new()).await?;
        second.until("standing by").await?;
        let relay = start("relay", "relay".to_owned(), Vec::new()).await?;
        let projector = start("projector", "projector".to_owned(), Vec::new()).await?;
        let ledger = start("ledger", "ledger".to_owned(), Vec::new()).await?;
        let at = || vec!["--link-ledger".into(), OsString::from(&ledger.url)];
        let gateways = [
            start("gateway", "gateway-1".to_owned(), at()).await?,
            start("gateway", "gateway-2".to_owned(), at()).await?,
        ];
        Ok(Self {
            engines: [first, second],
            leader: 0,
            gateways,
            followers: vec![relay, projector, ledger],
            journal: KafkaConfig::new(kafka, format!("{prefix}rehearsal-journal")),
            common,
            stack: stack.to_owned(),
            logs,
            root,
            started: 2,
        })
    }

    /// The gateways.
    pub fn urls(&self) -> Vec<&str> {
        self.gateways
            .iter()
            .map(|process| process.url.as_str())
            .collect()
    }

    /// Kills the engine that leads.
    pub async fn kill_leader(&mut self) -> Result<(), CliError> {
        self.engines[self.leader].kill().await
    }

    /// Waits until the one that stood by leads, and starts another to stand by.
    pub async fn replace_leader(&mut self) -> Result<(), CliError> {
        let killed = self.leader;
        self.engines[1 - killed].until("leading").await?;
        self.leader = 1 - killed;
        self.started += 1;
        let directory = self.root.join(format!("engine-{}", self.started));
        let standby = service("engine", &self.common, directory, Vec::new(), &self.logs);
        self.engines[killed] = standby.await?;
        self.engines[killed].until("standing by").await
    }

    /// Kills the broker that leads the journal's partition; answers which.
    pub async fn kill_leading_broker(&self) -> Result<i32, CliError> {
        let journal = self.journal.clone();
        let asked = tokio::task::spawn_blocking(move || valuta_kafka::leading_broker(&journal));
        let broker = asked
            .await
            .map_err(|error| CliError::Unavailable(error.to_string()))?;
        let broker = broker.map_err(|error| CliError::Unavailable(error.to_string()))?;
        self.stack("kill", broker).await?;
        Ok(broker)
    }

    /// Starts it again.
    pub async fn start_broker(&self, broker: i32) -> Result<(), CliError> {
        self.stack("start", broker).await
    }

    async fn stack(&self, what: &str, broker: i32) -> Result<(), CliError> {
        let mut command = Command::new(STACK);
        let server = format!("broker-{broker}");
        command.arg(what).arg(&server).arg("--dir").arg(&self.stack);
        run(&mut command, &format!("{STACK} {what} {server}")).await
    }

    /// Ends all, those that others need last.
    pub async fn stop(self) -> Result<(), CliError> {
        for process in self.gateways.into_iter().chain(self.followers) {
            process.stop().await?;
        }
        // The one that stands by first: else it would take over.
        let [one, two] = self.engines;
        let in_order = if self.leader == 0 {
            [two, one]
        } else {
            [one, two]
        };
        for process in in_order {
            process.stop().await?;
        }
        Ok(())
    }
}

async fn service(
    name: &'static str,
    common: &[OsString],
    data: PathBuf,
    more: Vec<OsString>,
    logs: &Path,
) -> Result<Process, CliError> {
    let file = data
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let data = [OsString::from("--data"), data.into_os_string()];
    let arguments = common.iter().cloned().chain(data).chain(more);
    Process::start(name, arguments, &logs.join(format!("{file}.log"))).await
}

/// A database of the demo's own, beside the one at this address.
async fn database(postgres: &str, prefix: &str) -> Result<String, CliError> {
    let name = prefix.trim_end_matches('-').replace('-', "_");
    let unavailable = |error: &dyn std::fmt::Display| CliError::Unavailable(error.to_string());
    let address = PostgresAddress::parse(postgres).map_err(|error| unavailable(&error))?;
    let wanted = name.clone();
    let made = tokio::task::spawn_blocking(move || address.create_database(&wanted)).await;
    made.map_err(|error| unavailable(&error))?
        .map_err(|error| unavailable(&error))?;
    let (server, _) = postgres
        .rsplit_once('/')
        .ok_or_else(|| CliError::Usage(format!("{POSTGRES}: not postgres://server/database")))?;
    Ok(format!("{server}/{name}"))
}

async fn create_topics(common: &[OsString]) -> Result<(), CliError> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| CliError::Unavailable(error.to_string()))?;
    let mut command = Command::new(program);
    command
        .args(["topics", "create", "--rehearsal"])
        .args(common);
    run(&mut command, "valuta topics create").await
}

async fn run(command: &mut Command, what: &str) -> Result<(), CliError> {
    let unavailable = |reason: String| CliError::Unavailable(format!("{what}: {reason}"));
    let output = command
        .output()
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(unavailable(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// A line `export NAME=value` of the stack's `env`.
fn address(stack: &Path, name: &str) -> Result<String, CliError> {
    let path = stack.join("env");
    let text = std::fs::read_to_string(&path).map_err(|error| CliError::file(&path, &error))?;
    let mut lines = text.lines();
    let found = lines.find_map(|line| {
        line.strip_prefix("export ")?
            .strip_prefix(name)?
            .strip_prefix('=')
    });
    let found = found.map(|value| value.trim_matches(['\'', '"']).to_owned());
    found.ok_or_else(|| CliError::Usage(format!("{}: has no {name}", path.display())))
}
