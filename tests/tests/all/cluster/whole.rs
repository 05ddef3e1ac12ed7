//! A cluster of a scheme of its own: two engines, two gateways, relay, ledger, projector; own topics, own
//! database.

use super::postgres::SmallDisk;
use super::service::Service;
use super::stack::{Stack, psql, said};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use valuta_proto::v1;
use valuta_tests::scheme::{ASSETS, BANKS, MORNING_MS, READERS, name_of, scheme, timestamp};
use valuta_tests::server::{Client, valuta};

/// A standby that does not lead by then never will.
const LEADS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Which follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    Relay,
    Ledger,
    Projector,
}

/// Their names.
const FOLLOWERS: [&str; 3] = ["relay", "ledger", "projector"];
/// How long the services wait for PostgreSQL's answers: seconds.
const UNANSWERED: &str = "tcp_user_timeout=4";

pub struct Whole {
    pub engines: Vec<Service>,
    pub gateways: Vec<Service>,
    followers: Vec<Service>,
    /// Which gateways know of too; not started.
    second_ledger: Option<Service>,
    /// Tokens by BIC, and "OPERATOR", "TREASURY", "AUDITOR".
    pub tokens: BTreeMap<String, String>,
    /// `postgres://...` of the scheme's database.
    pub database: String,
    pub prefix: String,
    common: Vec<OsString>,
    engines_started: usize,
    small_disk: Option<SmallDisk>,
    pub stack: Stack,
    dir: TempDir,
}

impl Whole {
    /// Starts all of it and applies the scheme.
    pub async fn start() -> Self {
        let stack = Stack::alone();
        let dir = tempfile::tempdir().unwrap();
        let name = format!("faults_{:x}", started());
        let small_disk = SmallDisk::with_database(&stack.postgres, &name);
        if small_disk.is_none() {
            psql(&stack.postgres, &format!("CREATE DATABASE {name}"));
        }
        let (server, _) = stack.postgres.rsplit_once('/').unwrap();
        let database = format!("{server}/{name}");
        let secret = dir.path().join("link-secret");
        std::fs::write(&secret, format!("the secret of {name}")).unwrap();
        let prefix = format!("{name}-");
        let flags = [
            ("--kafka", OsString::from(&stack.kafka)),
            ("--kafka-prefix", OsString::from(&prefix)),
            ("--postgres", format!("{database}?{UNANSWERED}").into()),
            ("--link-secret-file", secret.into_os_string()),
        ];
        let words = |(flag, value)| [OsString::from(flag), value];
        let mut whole = Self {
            engines: Vec::new(),
            gateways: Vec::new(),
            followers: Vec::new(),
            second_ledger: None,
            tokens: BTreeMap::new(),
            database,
            prefix,
            common: flags.into_iter().flat_map(words).collect(),
            engines_started: 0,
            small_disk,
            stack,
            dir,
        };
        whole.valuta(&["topics", "create"]);
        whole.start_services().await;
        whole.apply_scheme().await;
        whole
    }

    async fn start_services(&mut self) {
        self.add_engine().await;
        self.engines[0].until("leading").await;
        self.add_engine().await;
        for name in FOLLOWERS {
            let mut service = self.service(name, name, &[]);
            service.start().await;
            self.followers.push(service);
        }
        let second = self.service("ledger", "ledger-2", &[]);
        let first = &self.follower(Follower::Ledger).address;
        let ledger = format!("http://{first},http://{}", second.address);
        self.second_ledger = Some(second);
        for name in ["gateway-1", "gateway-2"] {
            let mut gateway = self.service("gateway", name, &["--link-ledger", &ledger]);
            gateway.start().await;
            self.gateways.push(gateway);
        }
    }

    /// Where its processes keep their data, each in a directory of its name.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Another one that stands by.
    pub async fn add_engine(&mut self) {
        self.engines_started += 1;
        let mut engine = self.service("engine", &format!("engine-{}", self.engines_started), &[]);
        engine.start().await;
        engine.until("standing by").await;
        self.engines.push(engine);
    }

    /// Another one of the role, which stands by. A ledger has the first one's keys.
    pub async fn another(&mut self, which: Follower) -> Service {
        let name = FOLLOWERS[which as usize];
        let mut service = match which {
            Follower::Ledger => {
                self.copy_keys();
                self.second_ledger.take().expect("one at a time")
            }
            Follower::Relay | Follower::Projector => self.service(name, &format!("{name}-2"), &[]),
        };
        service.start().await;
        service.until("standing by").await;
        service
    }

    /// It has ended, and may come again.
    pub fn ended(&mut self, which: Follower, service: Service) {
        if which == Follower::Ledger {
            self.second_ledger = Some(service);
        }
    }

    /// One that was not given the first one's keys; not started.
    pub fn ledger_of_other_keys(&self) -> Service {
        self.service("ledger", &format!("ledger-{}", started()), &[])
    }

    fn copy_keys(&self) {
        let [from, to] = ["ledger", "ledger-2"].map(|name| self.dir.path().join(name));
        std::fs::create_dir_all(to.join("keys")).unwrap();
        for file in ["keys.passphrase", "mode"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        for entry in std::fs::read_dir(from.join("keys")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join("keys").join(entry.file_name())).unwrap();
        }
    }

    fn service(&self, name: &'static str, own: &str, more: &[&str]) -> Service {
        let mut arguments = self.common.clone();
        arguments.push("--data".into());
        arguments.push(self.dir.path().join(own).into());
        arguments.extend(more.iter().map(OsString::from));
        Service::new(name, arguments, self.dir.path().join(format!("{own}.log")))
    }

    async fn apply_scheme(&mut self) {
        let token = self.dir.path().join("engine-1/operator.token");
        let end = Instant::now() + LEADS_WITHIN;
        let mut operator = loop {
            // It is written before the engine serves, and its command comes right after.
            let token = std::fs::read_to_string(&token).unwrap_or_default();
            self.tokens.insert("OPERATOR".into(), token.trim().into());
            let mut operator = self.client(0, "OPERATOR").await.unwrap();
            if operator.set_time(MORNING_MS).await.is_ok() {
                break operator;
            }
            assert!(Instant::now() < end, "the operator is not let in");
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let request = v1::ApplySchemeRequest {
            request_id: "scheme".to_owned(),
            created: Some(timestamp(MORNING_MS)),
            scheme: Some(scheme()),
        };
        operator.admin.apply_scheme(request).await.unwrap();
        let banks = BANKS.map(|bic| (v1::Role::Participant, bic));
        let agents = ASSETS.map(|(_, _, agent)| (v1::Role::Agent, agent));
        let all = banks.into_iter().chain(agents);
        for (role, bic) in all.chain(READERS) {
            self.make_token(&mut operator, role, bic).await;
        }
    }

    async fn make_token(&mut self, operator: &mut Client, role: v1::Role, bic: &str) {
        let name = name_of(role, bic);
        let request = v1::CreateTokenRequest {
            request_id: format!("token-{name}"),
            created: Some(timestamp(MORNING_MS)),
            role: role.into(),
            bic: bic.to_owned(),
            label: name.to_owned(),
        };
        let answer = operator.admin.create_token(request).await.unwrap();
        self.tokens.insert(name.into(), answer.into_inner().token);
    }

    /// A connection to one of the gateways.
    pub async fn client(&self, gateway: usize, name: &str) -> anyhow::Result<Client> {
        Client::connect(&self.gateways[gateway].address, &self.tokens[name]).await
    }

    /// Every process: engines first.
    pub fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        let engines = self.engines.iter_mut();
        engines.chain(&mut self.followers).chain(&mut self.gateways)
    }

    pub fn follower(&mut self, which: Follower) -> &mut Service {
        &mut self.followers[which as usize]
    }

    /// The engine that leads, once just one does: on a machine without time for it, a standby may take over
    /// from a leader that lives, and that one must then end by itself.
    pub async fn leader(&mut self) -> usize {
        let end = Instant::now() + LEADS_WITHIN;
        loop {
            let leads = |engine: &mut Service| engine.is_working() && engine.has_said("leading");
            let all = self.engines.iter_mut().enumerate();
            let leading: Vec<_> = all.filter_map(|(at, it)| leads(it).then_some(at)).collect();
            if let [at] = leading[..] {
                return at;
            }
            let words: Vec<_> = self.engines.iter().map(Service::last_words).collect();
            assert!(Instant::now() < end, "{leading:?} lead: {words:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Forgets engines that have ended and starts others, until so many run, of which one leads.
    pub async fn replace_engines(&mut self, run: usize) {
        self.leader().await;
        self.engines.retain_mut(Service::is_running);
        while self.engines.len() < run {
            self.add_engine().await;
        }
    }

    /// What a supervisor does: starts again what has ended by itself. Each must have said why.
    pub async fn supervise(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        for service in self.followers.iter_mut().chain(&mut self.gateways) {
            if !service.is_running() {
                let words = service.ended().await;
                assert!(words.contains("error: "), "ended in silence: {words:?}");
                service.start().await;
                ended.push(words);
            }
        }
        ended
    }

    /// Runs another command of the program over this cluster.
    pub fn valuta(&self, words: &[&str]) -> String {
        let output = Command::new(valuta())
            .args(words)
            .arg("--rehearsal")
            .args(&self.common)
            .env_remove("VALUTA_CONFIG")
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where the database's tables are, if mounting it was allowed.
    pub fn small_disk(&self) -> Option<&SmallDisk> {
        self.small_disk.as_ref()
    }

    /// The journal as it is now, in files.
    pub fn copy_journal(&self, name: &str) -> PathBuf {
        let to = self.dir.path().join(name);
        self.valuta(&["journal", "copy", "--to-file", &to.display().to_string()]);
        to.join("journal")
    }

    /// Every line with these words that any process has logged, in all their lives.
    pub fn logged(&self, words: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        let logs = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let mut lines = Vec::new();
        for log in logs {
            let text = std::fs::read(log).unwrap();
            let text = String::from_utf8_lossy(&text);
            let found = text.lines().filter(|line| line.contains(words));
            lines.extend(found.map(str::to_owned));
        }
        lines.sort(); // files come in any order
        lines
    }

    /// The end of every log, for a test that fails.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for service in self
            .engines
            .iter()
            .chain(&self.gateways)
            .chain(&self.followers)
        {
            all += &format!("{}: {}\n", service.address, service.last_words());
        }
        all
    }
}

/// Which run this is, so that no two share a topic.
fn started() -> u128 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_nanos()
}

impl Drop for Whole {
    /// Services end before what they use; and a server that is paused could not drop a database.
    fn drop(&mut self) {
        self.gateways.clear();
        self.followers.clear();
        self.engines.clear();
        self.stack.resume_postgres();
    }
}
