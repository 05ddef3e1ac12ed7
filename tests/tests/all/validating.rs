//! A witness outside: it follows the journal of a server that is one process, decides it again, and cosigns
//! nothing else; and a server whose journal was forged.

use crate::audit::{closed, forge_into};
use crate::cluster::service::free_address;
use crate::load::Load;
use crate::log::{Witness, checkpoint, says, size_of, witnessed};
use crate::refeed::{open, records};
use crate::support::http;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use valuta_journal::{FileJournal, FileJournalOptions, FileReader, Source as _};
use valuta_tests::scheme::World;
use valuta_tests::{Server, ServerOptions};
use valuta_verify::{KeyKind, Refusal, VerifierKey};

/// Longer than a witness takes, or a server that starts.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const CALLS: u64 = 250;
const ONE: &str = "one.example";
const TWO: &str = "two.example";

/// A server that is found again at its address, and what a witness needs to know of it.
struct Scene {
    dir: tempfile::TempDir,
    world: World,
    load: Arc<Load>,
    /// Of the server, and of each witness.
    listen: [String; 3],
    /// Named at the next start.
    witnesses: Option<PathBuf>,
}

impl Scene {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = [free_address(), free_address(), free_address()];
        let options = ServerOptions {
            listen: Some(listen[0].clone()),
            ..ServerOptions::default()
        };
        let server = Server::start_with(&dir.path().join("data"), &options).unwrap();
        let mut world = World::on(server).await.unwrap();
        let load = Load::new();
        load.fund(&world).await.unwrap();
        load.work(&world, 1, CALLS).await;
        // From the operator by another way, as a witness would.
        let policy = checkpoint(&mut world).await.policy;
        std::fs::write(dir.path().join("logs.txt"), policy).unwrap();
        std::fs::write(dir.path().join("auditor.token"), &world.tokens["AUDITOR"]).unwrap();
        Self {
            dir,
            world,
            load,
            listen,
            witnesses: None,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn witness(&self, name: &str) -> Witness {
        let listen = &self.listen[1 + usize::from(name == TWO)];
        let flags = [
            "--validate".to_owned(),
            format!("--server=http://{}", self.listen[0]),
            format!("--token-file={}", self.at("auditor.token").display()),
        ];
        Witness::start_with(self.dir.path(), name, &self.at("logs.txt"), listen, &flags)
    }

    /// From the server's next start on, any of these suffices.
    fn name(&mut self, witnesses: &[&Witness]) {
        let lines: Vec<_> = witnesses.iter().map(|witness| &*witness.line).collect();
        let names = [ONE, TWO][..witnesses.len()].join(" ");
        let text = format!(
            "{}\ngroup some any {names}\nquorum some\n",
            lines.join("\n")
        );
        let file = self.at("witnesses.txt");
        std::fs::write(&file, text).unwrap();
        self.witnesses = Some(file);
    }

    /// Starts the server again at its address, after it has ended.
    async fn start_again(&mut self) {
        let named = self
            .witnesses
            .as_ref()
            .map(|file| file.display().to_string());
        let options = ServerOptions {
            listen: Some(self.listen[0].clone()),
            arguments: named
                .map(|file| vec!["--witnesses".to_owned(), file])
                .unwrap_or_default(),
            ..ServerOptions::default()
        };
        self.world.server = Server::start_with(&self.at("data"), &options).unwrap();
        let token = self.world.server.operator_token().unwrap();
        self.world.operator = self.world.server.client(&token).await.unwrap();
    }

    async fn restart(&mut self) {
        assert_eq!(self.world.server.stop().unwrap(), Some(0));
        self.start_again().await;
    }

    async fn work(&self, seed: u64) {
        self.load.work(&self.world, seed, CALLS).await;
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(&format!("{name}.log"))).unwrap()
    }

    /// Waits until it says so.
    async fn until_said(&self, name: &str, words: &str) {
        let end = Instant::now() + WITHIN;
        while !self.said(name).contains(words) {
            assert!(Instant::now() < end, "{words:?}: {}", self.said(name));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a refusal of the witness says so; it is signed, and has its evidence.
    async fn refuses(&self, witness: &Witness, name: &str, reason: &str) -> Refusal {
        let key = witness.line.split_whitespace().nth(2).unwrap();
        let key = VerifierKey::parse(key, KeyKind::Cosignature).unwrap();
        let address = witness.address();
        let end = Instant::now() + WITHIN;
        loop {
            for number in http(&address, "GET", "/refusals", "").1.lines() {
                let (status, text) = http(&address, "GET", &format!("/refusals/{number}"), "");
                assert_eq!(status, 200);
                let refusal = Refusal::open(&text, &key).unwrap();
                assert!(refusal.evidence.is_some(), "{refusal:?}");
                if refusal.reason.contains(reason) {
                    return refusal;
                }
            }
            assert!(Instant::now() < end, "{reason:?}: {}", self.said(name));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the witness has copied all that the server has.
    async fn copied(&mut self, name: &str) {
        let request = valuta_proto::v1::GetStatusRequest {};
        let status = self.world.operator.admin.get_status(request).await;
        let sequence = status.unwrap().into_inner().sequence;
        let end = Instant::now() + WITHIN;
        while last_copied(&self.at(name).join("journal")) < sequence {
            assert!(Instant::now() < end, "{sequence}: {}", self.said(name));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The journal is locked while it is written: a copy of its files is not.
fn last_copied(journal: &Path) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("journal");
    let copied = Command::new("cp").arg("-r").args([journal, &here]).status();
    assert!(copied.unwrap().success());
    match FileReader::open_offline(&here, None) {
        Ok((_, recovery)) => recovery.tail.sequence,
        // Caught in the midst of a write.
        Err(_) => 0,
    }
}

/// Payments settle and are witnessed, whatever of the two is killed and started again; then the copy is enough
/// for an audit.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_outside_decides_the_journal_again() {
    let mut scene = Scene::start().await;
    let mut one = scene.witness(ONE);
    scene.name(&[&one]);
    scene.restart().await;
    witnessed(&mut scene.world).await;
    scene.work(2).await;
    let before = witnessed(&mut scene.world).await.witnessed;

    one.kill();
    scene.work(3).await;
    let unwitnessed = checkpoint(&mut scene.world).await;
    assert_eq!(unwitnessed.witnessed, before);
    assert!(size_of(&unwitnessed.checkpoint) > before);
    one = scene.witness(ONE);
    witnessed(&mut scene.world).await;
    // It has asked for what it lacks.
    let server = Server::log(&scene.at("data"));
    let asked = server
        .lines()
        .rev()
        .find(|line| line.contains("follows the journal caller"));
    assert!(!asked.unwrap().ends_with("after=0"), "{asked:?}");

    scene.world.server.kill();
    scene.until_said(ONE, "cannot be followed").await;
    scene.start_again().await;
    scene.work(4).await;
    witnessed(&mut scene.world).await;
    scene.until_said(ONE, "followed again").await;
    let said = scene.said(ONE);
    // Once for each loss: the first restart, and the kill.
    assert_eq!(said.matches("cannot be followed").count(), 2, "{said}");

    let data = scene.at(ONE).display().to_string();
    let log = format!("http://{}/log", scene.listen[0]);
    let words = [
        "audit",
        "--journal",
        &data,
        "--log",
        &log,
        "--policy",
        "logs.txt",
    ];
    // It is not read while it is written.
    says(scene.dir.path(), &words, 1, "");
    one.kill();
    says(scene.dir.path(), &words, 0, "cycle runs");
}

/// A token that is no auditor's, and a server that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_not_let_in_says_so() {
    let scene = Scene::start().await;
    let (dir, logs) = (scene.dir.path(), scene.at("logs.txt").display().to_string());
    let check = |token: &str, server: &str, expected: &str| {
        std::fs::write(scene.at("token"), token).unwrap();
        let server = format!("http://{server}");
        let words = [
            "witness",
            "--name",
            ONE,
            "--data",
            "refused",
            "--logs",
            &logs,
            "--listen",
            "127.0.0.1:0",
            "--validate",
            "--token-file",
            "token",
            "--server",
            &server,
        ];
        says(dir, &words, 1, expected);
    };
    let address = &scene.listen[0];
    check(&scene.world.tokens["TREASURY"], address, "NOT_PERMITTED");
    check("vt_unknown", address, "TOKEN_UNKNOWN");
    check(
        &scene.world.tokens["AUDITOR"],
        &scene.listen[1],
        "the first start needs it",
    );
    assert!(!scene.at("refused").join("journal").exists());
}

/// The server's journal of a stopped server, with another balance in its newest batch, and all that is made of
/// it gone. The sequence of what was changed.
fn forge_newest_batch(data: &Path) -> u64 {
    let (id, all) = {
        let journal = open(data);
        (journal.id(), records(journal.reader(None).unwrap()))
    };
    let batches = |all: &[valuta_journal::Record]| {
        let mut numbers = Vec::new();
        let mut nowhere = valuta_journal::MemoryJournal::new(id);
        forge_into(&mut nowhere, all, |_, events| {
            numbers.extend(closed(events).map(|batch| batch.number));
            false
        });
        numbers
    };
    let newest = *batches(&all).last().unwrap();
    for gone in ["journal", "ledger", "batches", "snapshots"] {
        std::fs::remove_dir_all(data.join(gone)).unwrap();
    }
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.display().to_string().contains("read-model.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let options = FileJournalOptions {
        id: Some(id),
        ..FileJournalOptions::default()
    };
    let (mut journal, _) = FileJournal::create_or_open(&data.join("journal"), options).unwrap();
    let forged = forge_into(&mut journal, &all, |_, events| {
        let is_newest = |batch: &&mut settlement_core::event::Batch| batch.number == newest;
        let batch = closed(events).filter(is_newest);
        let balance = batch.and_then(|batch| batch.balances.first_mut());
        balance.is_some_and(|balance| {
            balance.amount += 1;
            true
        })
    });
    forged.expect("the newest batch has a balance")
}

/// A server that goes on with a forged journal, and signs it: whoever followed the true one says that it is
/// denied, whoever comes later finds the forgery; neither cosigns.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_journal_is_not_cosigned() {
    let mut scene = Scene::start().await;
    let one = scene.witness(ONE);
    scene.name(&[&one]);
    scene.restart().await;
    let before = witnessed(&mut scene.world).await.witnessed;

    // More is settled, and followed, and not yet cosigned.
    let named = scene.witnesses.take();
    scene.restart().await;
    scene.work(2).await;
    scene.copied(ONE).await;
    assert_eq!(scene.world.server.stop().unwrap(), Some(0));
    let sequence = forge_newest_batch(&scene.at("data"));

    scene.witnesses = named;
    scene.start_again().await;
    scene
        .until_said(ONE, "the server denies the journal that it gave")
        .await;
    scene.refuses(&one, ONE, "by the journal the root").await;
    scene.work(3).await;
    let refusal = scene.refuses(&one, ONE, "the server denies").await;
    assert!(refusal.evidence.unwrap().starts_with("sequence "));

    let two = scene.witness(TWO);
    scene.name(&[&one, &two]);
    scene.restart().await;
    let reason = format!("the journal is wrong at sequence {sequence}");
    scene.refuses(&two, TWO, &reason).await;
    let newest = checkpoint(&mut scene.world).await;
    assert!(size_of(&newest.checkpoint) > before, "{newest:?}");
    assert!(newest.witnessed <= before, "{newest:?}");
}
