//! A cluster of real processes on the servers that `scripts/stack` started: one engine and a standby, a gateway,
//! projector, relay and ledger, on topics and a database of its own.

use crate::server::valuta;
use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than any start or take-over.
const SAYS_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `scripts/stack` says of its servers: source its `env` first.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Its directory.
    pub dir: PathBuf,
    /// `host:port,...`
    pub brokers: String,
    /// `postgres://user:password@host:port/database`
    pub postgres: String,
}

impl Stack {
    /// From the environment.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_env() -> anyhow::Result<Self> {
        let var = |name: &str| {
            std::env::var(name).with_context(|| {
                format!("no {name}: start scripts/stack and source its env, or run scripts/test")
            })
        };
        Ok(Self {
            dir: var("VALUTA_TEST_STACK")?.into(),
            brokers: var("VALUTA_TEST_KAFKA")?,
            postgres: var("VALUTA_TEST_POSTGRES")?,
        })
    }

    /// `kill` or `start` a broker.
    ///
    /// # Errors
    /// If the script says no.
    pub fn broker(&self, what: &str, number: i32) -> anyhow::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/stack");
        let server = format!("broker-{number}");
        run(Command::new(script)
            .args([what, &server, "--dir"])
            .arg(&self.dir))
    }

    /// Waits until every partition is on all its brokers again.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn whole(&self) -> anyhow::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/stack");
        let end = Instant::now() + SAYS_WITHIN;
        while Instant::now() < end {
            let behind = Command::new(&script)
                .args(["topics", "--dir"])
                .arg(&self.dir)
                .args(["--describe", "--under-replicated-partitions"])
                .output()?;
            if behind.status.success() && behind.stdout.trim_ascii().is_empty() {
                return Ok(());
            }
        }
        bail!("partitions stay under-replicated")
    }

    /// An empty database beside the one of the stack; its address.
    ///
    /// # Errors
    /// If PostgreSQL says no.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let create = format!("CREATE DATABASE {name}");
        run(Command::new("psql").args(["-qX", &self.postgres, "-c", &create]))?;
        let (server, _) = self.postgres.rsplit_once('/').context("a database's URL")?;
        Ok(format!("{server}/{name}"))
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{:?}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}: {said}",
        command.get_program()
    );
    Ok(())
}

/// One service. Dropped, it is killed.
pub struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    /// Where it serves, `host:port`.
    pub address: String,
}

impl Process {
    fn start(
        name: &'static str,
        arguments: &[OsString],
        data: &Path,
        more: &[String],
    ) -> anyhow::Result<Self> {
        let log = data.with_extension("log");
        let mut child = Command::new(valuta())
            .args([name, "--rehearsal", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .args(more)
            .env_remove("VALUTA_CONFIG")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stdout = BufReader::new(child.stdout.take().context("piped")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Nobody listens any more, or nobody speaks.
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut process = Self {
            name,
            child,
            lines,
            log,
            address: String::new(),
        };
        let listening = process.until("listening ")?;
        process.address = listening["listening ".len()..].to_owned();
        Ok(process)
    }

    /// Waits for a line that begins so.
    ///
    /// # Errors
    /// If it does not come, or the process ends: its last words.
    pub fn until(&mut self, prefix: &str) -> anyhow::Result<String> {
        let end = Instant::now() + SAYS_WITHIN;
        while Instant::now() < end {
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok(line) if line.starts_with(prefix) => return Ok(line),
                Ok(_) => {}
                Err(_) => {
                    if self.child.try_wait()?.is_some() {
                        break;
                    }
                }
            }
        }
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = said.lines().rev().take(3).collect();
        bail!(
            "{} does not say {prefix:?}: {}",
            self.name,
            last.join(" | ")
        )
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All of it, on topics and a database of its own.
pub struct Cluster {
    /// The one that leads, then those that stand by.
    pub engines: Vec<Process>,
    /// Where banks call.
    pub gateway: Process,
    /// Projector, relay and ledger, while they run.
    pub followers: Vec<Process>,
    /// What every service is told.
    arguments: Vec<OsString>,
    dir: PathBuf,
    started: usize,
    /// Where the ledger serves, for gateways.
    ledger: String,
    /// The journal's topic.
    pub journal: String,
    /// The first operator's token.
    pub operator_token: String,
}

impl Cluster {
    /// Makes topics and a database, and starts everything; `name` is of letters and digits, and new.
    ///
    /// # Errors
    /// If something does not start: its last words.
    pub fn start(stack: &Stack, dir: &Path, name: &str, more: &[&str]) -> anyhow::Result<Self> {
        let secret = dir.join("link-secret");
        std::fs::write(&secret, format!("the secret of cluster {name}"))?;
        let mut arguments: Vec<OsString> = more.iter().map(OsString::from).collect();
        for (flag, value) in [
            ("--kafka", OsString::from(&stack.brokers)),
            ("--kafka-prefix", format!("{name}-").into()),
            ("--postgres", stack.database(name)?.into()),
            ("--link-secret-file", secret.into()),
        ] {
            arguments.extend([OsString::from(flag), value]);
        }
        run(Command::new(valuta())
            .args(["topics", "create", "--rehearsal"])
            .args(&arguments)
            .env_remove("VALUTA_CONFIG"))?;
        let start = |service, directory: &str, more: &[String]| {
            Process::start(service, &arguments, &dir.join(directory), more)
        };
        let mut engine = start("engine", "engine-1", &[])?;
        engine.until("leading")?;
        let token = std::fs::read_to_string(dir.join("engine-1/operator.token"))?;
        let ledger = start("ledger", "ledger", &[])?;
        let followers = vec![
            start("projector", "projector", &[])?,
            start("relay", "relay", &[])?,
        ];
        let at = format!("http://{}", ledger.address);
        let gateway = start("gateway", "gateway", &["--link-ledger".into(), at.clone()])?;
        let mut cluster = Self {
            engines: vec![engine],
            gateway,
            followers: followers.into_iter().chain([ledger]).collect(),
            arguments,
            dir: dir.to_owned(),
            started: 1,
            ledger: at,
            journal: format!("{name}-rehearsal-journal"),
            operator_token: token.trim().to_owned(),
        };
        cluster.start_standby()?;
        Ok(cluster)
    }

    /// One more engine, until it stands by.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_standby(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let data = self.dir.join(format!("engine-{}", self.started));
        let mut standby = Process::start("engine", &self.arguments, &data, &[])?;
        standby.until("standing by")?;
        self.engines.push(standby);
        Ok(())
    }

    /// Treasury's service, beside the gateway.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_treasury(&self) -> anyhow::Result<Process> {
        let more = ["--link-ledger".to_owned(), self.ledger.clone()];
        let data = self.dir.join("treasury");
        Process::start("treasury", &self.arguments, &data, &more)
    }

    /// Kills projector, relay and ledger.
    pub fn end_followers(&mut self) {
        self.followers.clear();
    }

    /// Kills the engine that leads, and waits until the next one does.
    ///
    /// # Errors
    /// If none does.
    pub fn replace_leader(&mut self) -> anyhow::Result<()> {
        drop(self.engines.remove(0));
        self.engines[0].until("leading").map(drop)
    }

    /// Every process.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let gateway = std::iter::once(&self.gateway);
        self.engines.iter().chain(gateway).chain(&self.followers)
    }
}
