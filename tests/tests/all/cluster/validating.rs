//! A witness that may follow the journal: it cosigns what the journal gives, and nothing else.

use super::service::Service;
use super::whole::{Follower, Whole};
use crate::support::http;
use std::path::Path;
use std::time::{Duration, Instant};
use valuta_keys::{KeyKind, KeyRing, StoredKey};
use valuta_tests::scheme::{MORNING_MS, fund};
use valuta_verify::{
    Checkpoint, Edge, Hash, Policy, Refusal, VerifierKey, consistency_path, entries_path,
    leaf_hash, open_checkpoint,
};
use valuta_witness::request_text;

const WITNESS: &str = "test.example/witness";
const COMES_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Watched {
    whole: Whole,
    witness: Service,
    /// The witness's line and its quorum, after the log's key.
    policy: Policy,
    log_key: StoredKey,
    time_ms: i64,
}

impl Watched {
    async fn start() -> Self {
        let mut whole = Whole::start().await;
        let log_key = log_key(&whole.dir().join("ledger"));
        let logs = whole.dir().join("logs");
        std::fs::write(&logs, format!("log {}\nquorum none\n", log_key.vkey())).unwrap();
        let flag = |name: &str, value: &Path| [name.into(), value.as_os_str().to_owned()];
        let token = whole.dir().join("auditor.token");
        std::fs::write(&token, &whole.tokens["AUDITOR"]).unwrap();
        let gateway = format!("http://{}", whole.gateways[0].address);
        let words = [
            flag("--data", &whole.dir().join("witness")),
            flag("--logs", &logs),
            flag("--name", Path::new(WITNESS)),
            flag("--server", Path::new(&gateway)),
            flag("--token-file", &token),
        ];
        let mut arguments = words.concat();
        arguments.push("--validate".into());
        let mut witness = Service::new("witness", arguments, whole.dir().join("witness.log"));
        witness.start().await;
        witness.until("witness ").await;
        let printed = witness.printed();
        let line = printed.lines().find(|line| line.starts_with("witness "));
        let witnesses = format!("{}\nquorum {WITNESS}\n", line.unwrap());
        let file = whole.dir().join("witnesses");
        std::fs::write(&file, &witnesses).unwrap();
        let ledger = whole.follower(Follower::Ledger);
        ledger.kill();
        ledger.also(flag("--witnesses", &file));
        ledger.start().await;
        let policy = format!("log {}\n{witnesses}", log_key.vkey());
        Self {
            whole,
            witness,
            policy: Policy::parse(&policy).unwrap(),
            log_key,
            time_ms: MORNING_MS,
        }
    }

    /// Every bank gets something, and a second later that is a batch.
    async fn settle(&mut self, amount: &str) {
        let gateway = &self.whole.gateways[0].address;
        fund(gateway, &self.whole.tokens, amount).await.unwrap();
        self.time_ms += 1_000;
        let mut operator = self.whole.client(0, "OPERATOR").await.unwrap();
        operator.set_time(self.time_ms).await.unwrap();
    }

    /// The log's checkpoint, once it has so many entries and the witness has cosigned it.
    async fn witnessed(&self, size_min: u64) -> Checkpoint {
        let file = self.public().join("checkpoint");
        let end = Instant::now() + COMES_WITHIN;
        loop {
            let note = std::fs::read_to_string(&file).unwrap();
            match open_checkpoint(&note, &self.policy) {
                Ok(opened) if opened.checkpoint.size >= size_min => return opened.checkpoint,
                _ => {}
            }
            let words = self.witness.last_words();
            assert!(Instant::now() < end, "not witnessed: {note}{words}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn public(&self) -> std::path::PathBuf {
        self.whole.dir().join("ledger/ledger/public")
    }

    /// The log's entries, all in one bundle.
    fn entries(&self, size: u64) -> Vec<String> {
        let bundle = std::fs::read(self.public().join(entries_path(0, size))).unwrap();
        let mut rest = &bundle[..];
        let mut entries = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            entries.push(String::from_utf8(entry.to_vec()).unwrap());
            rest = after;
        }
        entries
    }

    /// Signed by the log as if it were its own.
    fn signed(&self, origin: &str, size: u64, root: Hash) -> String {
        let origin = origin.to_owned();
        let body = Checkpoint { origin, size, root }.body();
        format!("{body}\n{}", self.log_key.signature_line(&body))
    }

    async fn add_checkpoint(&self, old: u64, proof: &[Hash], note: &str) -> (u16, String) {
        let end = Instant::now() + COMES_WITHIN;
        loop {
            let body = request_text(old, proof, note);
            match http(&self.witness.address, "POST", "/add-checkpoint", &body) {
                // It is not that far yet, or has had enough of us for this second.
                (503 | 429, _) if Instant::now() < end => tokio::time::sleep(LOOK_EVERY).await,
                answer => return answer,
            }
        }
    }

    fn refusals(&self) -> String {
        http(&self.witness.address, "GET", "/refusals", "").1
    }
}

fn log_key(data: &Path) -> StoredKey {
    let passphrase = std::fs::read_to_string(data.join("keys.passphrase")).unwrap();
    let ring = KeyRing::open(&data.join("keys"), passphrase.trim_end()).unwrap();
    ring.active(KeyKind::Log).last().unwrap().clone()
}

fn leaves(entries: &[String]) -> Vec<Hash> {
    let leaf = |entry: &String| leaf_hash(entry.as_bytes());
    entries.iter().map(leaf).collect()
}

/// The proof that a tree begins with its first `old` leaves.
fn consistency(old: u64, leaves: &[Hash]) -> Vec<Hash> {
    let subtree = |start: u64, end: u64| {
        let leaves = &leaves[start as usize..end as usize];
        leaves.iter().copied().collect::<Edge>().root()
    };
    let path = consistency_path(old, leaves.len() as u64, subtree);
    path[usize::from(old.is_power_of_two())..].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_does_not_give_is_refused_and_published() {
    let mut watched = Watched::start().await;
    watched.settle("1").await;
    let seen = watched.witnessed(1).await;
    let (origin, size) = (seen.origin.as_str(), seen.size);

    // Without its ledger the log stays, while the journal goes on.
    watched.whole.follower(Follower::Ledger).kill();
    watched.settle("2").await;

    // Another tree, with a proof that is none.
    let note = watched.signed(origin, size + 5, [1; 32]);
    let answer = watched.add_checkpoint(size, &[[2; 32]; 3], &note).await;
    assert_eq!(answer.0, 422, "{answer:?}");
    assert_eq!(watched.refusals(), "");

    // The log itself, and then an entry that never was.
    let mut entries = watched.entries(size);
    assert_eq!(
        leaves(&entries).into_iter().collect::<Edge>().root(),
        seen.root
    );
    let last = entries.last().unwrap().clone();
    let (is, becomes) = (
        format!("\nbatch {size}\n"),
        format!("\nbatch {}\n", size + 1),
    );
    entries.push(last.replacen(&is, &becomes, 1));
    let leaves = leaves(&entries);
    let root = leaves.iter().copied().collect::<Edge>().root();
    let note = watched.signed(origin, size + 1, root);
    let proof = consistency(size, &leaves);
    let answer = watched.add_checkpoint(size, &proof, &note).await;
    assert_eq!(answer.0, 422, "{answer:?}");

    // Anyone can read why, and that the witness says so.
    assert_eq!(watched.refusals(), "1\n");
    let (status, refusal) = http(&watched.witness.address, "GET", "/refusals/1", "");
    assert_eq!(status, 200);
    let key: &VerifierKey = &watched.policy.witnesses()[0].key;
    let refusal = Refusal::open(&refusal, key).unwrap();
    assert_eq!(refusal.checkpoint, note);
    assert!(refusal.reason.contains("by the journal"), "{refusal:?}");
    let entry = refusal.evidence.unwrap();

    // The ledger comes back and anchors the very entry that the witness named.
    watched.whole.follower(Follower::Ledger).start().await;
    let seen = watched.witnessed(size + 1).await;
    assert_eq!(
        watched.entries(seen.size)[usize::try_from(size).unwrap()],
        entry
    );
    assert_eq!(watched.refusals(), "1\n");
}
