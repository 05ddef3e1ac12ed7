//! The log as those see it who do not trust its operator: witnesses, banks with proofs, auditors.

use crate::load::Load;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use valuta_keys::KeyRing;
use valuta_ledger::{Header, Ledger, LogKey};
use valuta_proto::v1;
use valuta_tests::scheme::{BANKS, World};
use valuta_tests::server::valuta;
use valuta_tests::{Server, ServerOptions};
use valuta_verify::{Policy, Proven, VerifyError, verify_any};

/// Longer than a witness takes, or a server that starts.
const WITHIN: Duration = Duration::from_secs(30);
const CALLS: u64 = 250;

/// `valuta witness`. Dropped, it is killed.
pub struct Witness {
    child: Child,
    /// Its line of a policy.
    pub line: String,
}

impl Witness {
    fn start(dir: &Path, name: &str, logs: &Path, listen: &str) -> Self {
        Self::start_with(dir, name, logs, listen, &[])
    }

    /// Its data are in `dir/name`, and beside them what it logs, over all its lives.
    pub fn start_with(dir: &Path, name: &str, logs: &Path, listen: &str, more: &[String]) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(format!("{name}.log")))
            .unwrap();
        let mut child = Command::new(valuta())
            .args(["witness", "--rate", "0", "--name", name, "--listen", listen])
            .arg("--data")
            .arg(dir.join(name))
            .arg("--logs")
            .arg(logs)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("listening "));
        let line = lines.next().unwrap().unwrap();
        Self { child, line }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn address(&self) -> String {
        self.line.split("://").nth(1).unwrap().to_owned()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command of the program that needs no server; its exit code, and all that it said.
fn run(dir: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(valuta())
        .args(words)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

pub fn says(dir: &Path, words: &[&str], code: i32, expected: &str) {
    let (found, said) = run(dir, words);
    assert_eq!(found, Some(code), "{words:?}: {said}");
    assert!(said.contains(expected), "{words:?}: {said}");
}

pub async fn checkpoint(world: &mut World) -> v1::GetCheckpointResponse {
    let request = v1::GetCheckpointRequest {};
    let answer = world.operator.ledger.get_checkpoint(request).await;
    answer.unwrap().into_inner()
}

pub fn size_of(checkpoint: &str) -> u64 {
    checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

/// Waits until all that is settled is in a checkpoint that the quorum cosigned.
pub async fn witnessed(world: &mut World) -> v1::GetCheckpointResponse {
    let end = Instant::now() + WITHIN;
    loop {
        let status = world
            .operator
            .admin
            .get_status(v1::GetStatusRequest {})
            .await;
        let batches = status.unwrap().into_inner().batches;
        let newest = checkpoint(world).await;
        let size = size_of(&newest.checkpoint);
        if size == batches
            && newest.witnessed == size
            && newest.checkpoint.matches('\u{2014}').count() > 1
        {
            return newest;
        }
        assert!(Instant::now() < end, "{newest:?}, {batches} batches");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all that is settled is in a checkpoint, and is it.
async fn anchored(world: &mut World) -> String {
    let batches = world.anchored().await.unwrap();
    let signed = checkpoint(world).await.checkpoint;
    assert_eq!(size_of(&signed), batches);
    signed
}

async fn restart(world: &mut World, arguments: [&str; 2]) {
    assert_eq!(world.server.stop().unwrap(), Some(0));
    let options = ServerOptions {
        arguments: arguments.map(str::to_owned).to_vec(),
        ..ServerOptions::default()
    };
    let data = world.server.data.clone();
    world.server = Server::start_with(&data, &options).unwrap();
    let token = world.server.operator_token().unwrap();
    world.operator = world.server.client(&token).await.unwrap();
}

/// A day of work is witnessed by two, proved to banks, followed from outside, and decided again.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_witnessed_proved_followed_and_decided_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut world = World::start(&at.join("data")).await.unwrap();
    let load = Load::new();
    load.fund(&world).await.unwrap();
    load.work(&world, 1, CALLS).await;

    // The operator's key alone is what witnesses need to know.
    let alone = at.join("alone.txt");
    std::fs::write(&alone, checkpoint(&mut world).await.policy).unwrap();
    let one = Witness::start(at, "one.example", &alone, "127.0.0.1:0");
    let mut two = Witness::start(at, "two.example", &alone, "127.0.0.1:0");
    let witnesses = at.join("witnesses.txt");
    let text = format!(
        "{}\n{}\ngroup both all one.example two.example\nquorum both\n",
        one.line, two.line
    );
    std::fs::write(&witnesses, text).unwrap();
    restart(
        &mut world,
        ["--witnesses", &witnesses.display().to_string()],
    )
    .await;
    let newest = witnessed(&mut world).await;
    let policy = Policy::parse(&newest.policy).unwrap();
    std::fs::write(at.join("policy.txt"), &newest.policy).unwrap();
    proves(&mut world, &policy).await;

    let log = format!("http://{}/log", world.server.address);
    let audit = |log: &str| {
        let words = [
            "log",
            "audit",
            log,
            "--policy",
            "policy.txt",
            "--state",
            "seen",
        ];
        says(at, &words, 0, "one.example, two.example");
    };
    audit(&log);
    load.work(&world, 2, CALLS).await;
    // Waits itself until the newest is witnessed.
    audit(&log);
    witnessed(&mut world).await;
    audit(&at.join("data/ledger/public").display().to_string());

    // A witness that is gone delays nothing; what it has not seen is not witnessed.
    let address = two.address();
    two.kill();
    let before = checkpoint(&mut world).await.witnessed;
    load.work(&world, 3, CALLS).await;
    let after = checkpoint(&mut world).await;
    assert_eq!(after.witnessed, before);
    assert!(size_of(&after.checkpoint) > before);
    let request = v1::GetConservationProofRequest {
        batch: size_of(&after.checkpoint),
    };
    let answer = world.operator.ledger.get_conservation_proof(request).await;
    let unwitnessed = verify_any(answer.unwrap().into_inner().proof, &policy);
    assert!(matches!(
        unwitnessed,
        Err(VerifyError::QuorumMissing { .. })
    ));
    let _two = Witness::start(at, "two.example", &alone, &address);
    witnessed(&mut world).await;

    // Rotated, the log is signed by both keys, and verifies for who knows one of them.
    assert_eq!(world.server.stop().unwrap(), Some(0));
    let data = at.join("data").display().to_string();
    says(at, &["keys", "rotate", "--data", &data], 0, "active");
    let options = ServerOptions {
        arguments: vec!["--witnesses".into(), witnesses.display().to_string()],
        ..ServerOptions::default()
    };
    world.server = Server::start_with(&at.join("data"), &options).unwrap();
    let token = world.server.operator_token().unwrap();
    world.operator = world.server.client(&token).await.unwrap();
    let rotated = witnessed(&mut world).await;
    assert_eq!(rotated.policy.matches("log ").count(), 2);
    proves(&mut world, &policy).await;
    assert_eq!(world.server.stop().unwrap(), Some(0));
    let public = at.join("data/ledger/public").display().to_string();
    let words = [
        "audit",
        "--journal",
        &data,
        "--log",
        &public,
        "--policy",
        "policy.txt",
    ];
    says(at, &words, 0, "cycle runs");
}

/// Every batch conserves, every bank's newest balances and postings are proved to it, and agree.
async fn proves(world: &mut World, policy: &Policy) {
    let size = size_of(&checkpoint(world).await.checkpoint);
    let mut ledger = world.operator.ledger.clone();
    for batch in 1..=size {
        let request = v1::GetConservationProofRequest { batch };
        let answer = ledger.get_conservation_proof(request).await.unwrap();
        let proven = verify_any(answer.into_inner().proof, policy).unwrap();
        assert!(
            matches!(proven, Proven::Conservation(found) if found.entry.header.number == batch)
        );
    }
    for bank in BANKS {
        let mut ledger = world.client(bank).await.unwrap().ledger;
        let request = v1::GetBalanceProofRequest {
            asset: "USD".to_owned(),
            wait: true,
            ..Default::default()
        };
        let answer = ledger
            .get_balance_proof(request)
            .await
            .unwrap()
            .into_inner();
        let Proven::Balance(balance) = verify_any(&answer.proof, policy).unwrap() else {
            panic!("{}", answer.proof);
        };
        assert_eq!((&*balance.participant, &*balance.asset), (bank, "USD"));
        let request = v1::ListPostingProofsRequest {
            batch: answer.batch,
            ..Default::default()
        };
        let proofs = ledger
            .list_posting_proofs(request)
            .await
            .unwrap()
            .into_inner()
            .proofs;
        let changed = proofs.iter().any(|proof| {
            let Proven::Posting(posting) = verify_any(proof, policy).unwrap() else {
                panic!("{proof}");
            };
            assert_eq!(posting.participant, bank);
            posting.asset == "USD"
        });
        assert!(changed, "batch {} changed {bank}'s dollars", answer.batch);
        let request = v1::GetBatchRequest {
            batch: answer.batch,
            wait: true,
        };
        let batch = world.operator.settlement.get_batch(request).await;
        let batch = batch.unwrap().into_inner().batch.unwrap();
        assert_eq!(batch.header, balance.entry.text, "{bank}");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// The log of a stopped server under its real keys, in another directory and with another end.
fn forked(data: &Path, dir: &Path, keep: u64, more: u64) -> PathBuf {
    let passphrase = std::fs::read_to_string(data.join("keys.passphrase")).unwrap();
    let ring = KeyRing::open(&data.join("keys"), passphrase.trim_end()).unwrap();
    let key = || LogKey::from_ring(&ring, ring.list()[0].name()).unwrap();
    let real = Ledger::open(&data.join("ledger"), key()).unwrap().reader();
    let mut other = Ledger::open(dir, key()).unwrap();
    let last = real.header(keep).unwrap();
    for number in 1..=keep + more {
        let header = match number <= keep {
            true => real.header(number).unwrap(),
            false => Header {
                number,
                time_ms: last.time_ms + 1,
                sequence: last.sequence + number,
                ..last.clone()
            },
        };
        other.add_header(header).unwrap();
    }
    dir.join("public")
}

/// Whatever a log serves that is not the one history that was seen, an auditor names; two histories under its
/// signature are evidence for everyone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lies_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut world = World::start(&at.join("data")).await.unwrap();
    let load = Load::new();
    load.fund(&world).await.unwrap();
    for seed in 5..12 {
        load.work(&world, seed, CALLS).await;
    }
    world.anchored().await.unwrap();
    let policy = checkpoint(&mut world).await.policy;
    std::fs::write(at.join("policy.txt"), &policy).unwrap();
    assert_eq!(world.server.stop().unwrap(), Some(0));
    let (data, public) = (at.join("data"), at.join("data/ledger/public"));
    let audit = |log: &Path, code: i32, expected: &str| {
        let log = log.display().to_string();
        let words = [
            "log",
            "audit",
            &log,
            "--policy",
            "policy.txt",
            "--state",
            "seen",
        ];
        says(at, &words, code, expected);
    };
    audit(&public, 0, "good");
    let size = size_of(&std::fs::read_to_string(public.join("checkpoint")).unwrap());
    assert!((10..256).contains(&size), "{size}");

    let decide_again = |log: &Path, expected: &str| {
        let (journal, log) = (data.display().to_string(), log.display().to_string());
        let words = [
            "audit",
            "--journal",
            &journal,
            "--log",
            &log,
            "--policy",
            "policy.txt",
        ];
        says(at, &words, 1, expected);
    };
    type Lie = (&'static str, fn(&Path, u64), &'static str);
    let lies: [Lie; 5] = [
        (
            "entry",
            |log, size| flip(&log.join(format!("tile/entries/000.p/{size}")), 70),
            "entr",
        ),
        (
            "tile",
            |log, size| flip(&log.join(format!("tile/0/000.p/{size}")), 33),
            "tile/0/000",
        ),
        (
            "checkpoint",
            |log, _| flip(&log.join("checkpoint"), 40),
            "checkpoint",
        ),
        (
            "no entries",
            |log, _| std::fs::remove_dir_all(log.join("tile/entries")).unwrap(),
            "tile/entries",
        ),
        (
            "no tiles",
            |log, _| std::fs::remove_dir_all(log.join("tile/0")).unwrap(),
            "tile/0",
        ),
    ];
    for (name, lie, expected) in lies {
        let log = at.join(format!("lie-{name}"));
        copy(&public, &log);
        lie(&log, size);
        let place = log.display().to_string();
        let words = ["log", "audit", &place, "--policy", "policy.txt"];
        says(at, &words, 1, expected);
        decide_again(&log, expected);
    }

    // Older, by the log's own key: it went back.
    let older = forked(&data, &at.join("older"), size - 1, 0);
    audit(&older, 1, "went back");
    // Of the same size, and of a larger one: evidence.
    let evidence = at.join("fork.evidence");
    for (name, keep, more) in [("same", size - 1, 1), ("larger", size - 2, 7)] {
        let log = forked(&data, &at.join(name), keep, more);
        audit(&log, 1, "two histories");
        let policy = ["--policy", "policy.txt"];
        let words = [&["log", "check-fork", "fork.evidence"][..], &policy].concat();
        says(at, &words, 0, &size.to_string());
        flip(&evidence, 30);
        says(at, &words, 1, "");
        std::fs::remove_file(&evidence).unwrap();
        // Whoever has the journal needs no earlier look.
        decide_again(&log, "the log's entry of batch");
    }
    // A history that goes on, of batches that never happened.
    let log = forked(&data, &at.join("beyond"), size, 2);
    audit(&log, 0, "good");
    decide_again(&log, "never happened");
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Until the server has logged a line with all of these words.
async fn logged(data: &Path, words: &[&str]) {
    let end = Instant::now() + WITHIN;
    loop {
        let log = Server::log(data);
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        if log.lines().any(has_all) {
            return;
        }
        assert!(Instant::now() < end, "{words:?} in {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A bit that flips on disk is found while the server runs: nothing more is signed, and payments go on.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_by_the_scrub_of_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut world = World::start(&data).await.unwrap();
    let load = Load::new();
    load.fund(&world).await.unwrap();
    load.work(&world, 21, CALLS).await;
    restart(&mut world, ["--scrub-every-seconds", "1"]).await;
    logged(&data, &["the log was re-hashed and is whole"]).await;
    let signed = anchored(&mut world).await;
    let bundle = format!("tile/entries/000.p/{}", size_of(&signed));
    flip(&data.join("ledger/public").join(&bundle), 40);
    logged(&data, &["nothing more is signed", &bundle, "is damaged"]).await;

    load.work(&world, 22, CALLS).await;
    logged(&data, &["stopped", "follower=\"relay\"", &bundle]).await;
    assert_eq!(checkpoint(&mut world).await.checkpoint, signed);
    let file = data.join("ledger/public/checkpoint");
    assert_eq!(std::fs::read_to_string(file).unwrap(), signed);
    assert_eq!(world.server.stop().unwrap(), Some(0));
    let refused = Server::start(&data).err().unwrap().to_string();
    assert!(refused.contains(&bundle), "{refused}");
}
