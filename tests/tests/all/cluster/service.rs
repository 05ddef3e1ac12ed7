//! One process of a cluster: started, killed, stopped, continued, started again on the same data and at the
//! same address.

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use valuta_tests::server::valuta;

/// Longer than any start, or take-over.
const UNTIL_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Below the range that outgoing connections take, so that one that was killed finds its port again.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Dropped, it is killed.
pub struct Service {
    /// `valuta NAME`.
    name: &'static str,
    arguments: Vec<OsString>,
    /// `host:port`
    pub address: String,
    /// What it logs, over all its lives; beside it what it prints.
    log: PathBuf,
    child: Option<Child>,
    /// Where its present life begins in what it prints, and in its log.
    since: (usize, usize),
    paused: bool,
}

impl Service {
    /// Not yet started. `log` is its own.
    pub fn new(name: &'static str, arguments: Vec<OsString>, log: PathBuf) -> Self {
        Self {
            name,
            arguments,
            address: free_address(),
            log,
            child: None,
            since: (0, 0),
            paused: false,
        }
    }

    /// Told so too from its next start on.
    pub fn also(&mut self, arguments: impl IntoIterator<Item = OsString>) {
        self.arguments.extend(arguments);
    }

    /// Starts it and waits until it listens.
    pub async fn start(&mut self) {
        self.spawn();
        self.until("listening ").await;
    }

    /// Starts it; it may fail.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        self.since = (read(&self.printed_to()).len(), read(&self.log).len());
        let append = |path: &PathBuf| {
            let file = File::options().create(true).append(true).open(path);
            Stdio::from(file.unwrap())
        };
        let child = Command::new(valuta())
            .args([self.name, "--listen", &self.address])
            // A witness is of any mode.
            .args((self.name != "witness").then_some("--rehearsal"))
            .args(&self.arguments)
            .env_remove("VALUTA_CONFIG")
            .stdin(Stdio::null())
            .stdout(append(&self.printed_to()))
            .stderr(append(&self.log))
            .spawn();
        self.child = Some(child.unwrap());
        self.paused = false;
    }

    fn printed_to(&self) -> PathBuf {
        self.log.with_extension("out")
    }

    /// What it has printed in this life.
    pub fn printed(&self) -> String {
        read(&self.printed_to()).split_off(self.since.0)
    }

    /// What it has logged in this life.
    pub fn logged(&self) -> String {
        read(&self.log).split_off(self.since.1)
    }

    /// Whether it has printed such a line in this life.
    pub fn has_said(&self, prefix: &str) -> bool {
        self.printed().lines().any(|line| line.starts_with(prefix))
    }

    /// Waits until it has.
    pub async fn until(&mut self, prefix: &str) {
        let end = Instant::now() + UNTIL_MAX;
        while !self.has_said(prefix) {
            assert!(
                self.is_running() && Instant::now() < end,
                "{} does not say {prefix:?}: {}",
                self.name,
                self.last_words()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = self.logged();
        let mut lines: Vec<_> = log.lines().rev().take(4).collect();
        lines.reverse();
        lines.join(" | ")
    }

    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Runs, and is not stopped.
    pub fn is_working(&mut self) -> bool {
        !self.paused && self.is_running()
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL, and waits for the end. One that has ended by itself is only forgotten.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP
    pub fn pause(&mut self) {
        self.signal("STOP");
        self.paused = true;
    }

    /// SIGCONT
    pub fn resume(&mut self) {
        self.signal("CONT");
        self.paused = false;
    }

    fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success(), "kill -s {name} {}", self.name);
    }

    /// Waits until it has ended by itself; its last words.
    pub async fn ended(&mut self) -> String {
        let end = Instant::now() + UNTIL_MAX;
        while self.is_running() {
            assert!(Instant::now() < end, "{} does not end", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.kill();
        self.last_words()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub fn free_address() -> String {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let mine = u16::try_from(std::process::id() % u32::from(span)).unwrap();
    loop {
        let at = NEXT.fetch_add(7, Ordering::Relaxed).wrapping_add(mine) % span;
        let address = format!("127.0.0.1:{}", PORTS.start + at);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
