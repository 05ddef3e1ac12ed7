//! The brokers and the PostgreSQL that `scripts/stack` started, one server at a time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

const BROKERS: [&str; 3] = ["broker-1", "broker-2", "broker-3"];

/// What a server of the stack is told.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    Kill,
    Start,
    Pause,
    Resume,
}

/// The stack, for one test alone: each kills what the others need.
pub struct Stack {
    dir: PathBuf,
    pub kafka: String,
    pub postgres: String,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    /// With every server up.
    pub fn alone() -> Self {
        static LOCK: Mutex<()> = Mutex::new(());
        let stack = Self {
            _alone: LOCK.lock().unwrap_or_else(PoisonError::into_inner),
            dir: variable("VALUTA_TEST_STACK").into(),
            kafka: variable("VALUTA_TEST_KAFKA"),
            postgres: variable("VALUTA_TEST_POSTGRES"),
        };
        stack.all_up();
        stack
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts whatever does not run. Brokers come up together: one alone waits for the others.
    pub fn all_up(&self) {
        self.resume_postgres();
        std::thread::scope(|scope| {
            for broker in BROKERS {
                scope.spawn(move || {
                    self.on(broker, Do::Resume);
                    assert!(self.on(broker, Do::Start), "{broker} does not start");
                });
            }
        });
    }

    /// Broker 1 to 3.
    pub fn broker(&self, number: usize, what: Do) {
        let server = BROKERS[number - 1];
        assert!(self.on(server, what), "{server}: {what:?}");
    }

    /// Up, whatever it was.
    pub fn resume_postgres(&self) {
        self.on("postgres", Do::Resume);
        self.on("postgres", Do::Start);
    }

    /// The same with PostgreSQL.
    pub fn postgres(&self, what: Do) {
        assert!(self.on("postgres", what), "postgres: {what:?}");
    }

    fn on(&self, server: &str, what: Do) -> bool {
        let word = format!("{what:?}").to_lowercase();
        let output = Command::new(script())
            .args([&word, server, "--dir"])
            .arg(&self.dir)
            .output()
            .unwrap();
        output.status.success()
    }

    /// The broker that leads a topic's only partition, as Kafka's own tool says.
    pub fn leading_broker(&self, topic: &str) -> usize {
        let text = self.tool("topics", &["--describe", "--topic", topic]);
        let number = text.split("Leader: ").nth(1).and_then(|rest| {
            let digits = rest.split_whitespace().next()?;
            digits.parse().ok()
        });
        number.unwrap_or_else(|| panic!("no leader of {topic}: {text}"))
    }

    /// Changes a setting of a topic, as an operator does who does not know better.
    pub fn set(&self, topic: &str, setting: &str) {
        let topic = ["--entity-type", "topics", "--entity-name", topic];
        let change = [&topic[..], &["--alter", "--add-config", setting]].concat();
        let text = self.tool("configs", &change);
        assert!(text.contains("Completed updating"), "{setting}: {text}");
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let mut tool = Command::new(script());
        tool.args([name, "--dir"]).arg(&self.dir).args(arguments);
        said(&tool.output().unwrap())
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("no {name}: run scripts/test, or start scripts/stack and source its env")
    })
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/stack")
}

/// Both outputs.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// What a query answers, a line a row, without header. Every test machine of the stack has `psql`.
pub fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", url, "-c", sql])
        .output()
        .unwrap();
    assert!(output.status.success(), "{sql}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}
