//! Damaged and missing files, a second process, another mode: each ends with what is acknowledged, or
//! with a message that names the file and the place.

use crate::crash::directory;
use crate::history::{History, list_all};
use crate::load::{Load, Random, long};
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use valuta_proto::v1;
use valuta_tests::scheme::{World, payment};
use valuta_tests::{Server, ServerOptions};

pub const SEGMENT: &str = "journal/00000000000000000000.segment";
const PAGE: u64 = 4096;
const RECORD_MAGIC: &[u8] = b"VREC";

/// A stopped server's data, and what its clients know.
pub struct Stopped {
    pub dir: tempfile::TempDir,
    pub world: World,
    pub load: Arc<Load>,
}

impl Stopped {
    /// A morning's work, then an orderly end.
    async fn new() -> Self {
        let dir = directory();
        let mut world = World::start(&dir.path().join("data")).await.unwrap();
        let load = Load::new();
        load.fund(&world).await.unwrap();
        load.work(&world, 5, 20).await;
        load.send_again(&world).await.unwrap();
        let anchored = world.anchored().await.unwrap();
        assert!(anchored > 1, "{anchored}");
        assert_eq!(world.server.stop().unwrap(), Some(0));
        Self { dir, world, load }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A copy to damage.
    fn copy(&self, name: &str) -> PathBuf {
        copy(&self.data(), &self.dir.path().join(name))
    }

    /// Starts on a copy and checks that everything acknowledged is there.
    pub async fn check(&mut self, data: &Path) {
        self.world.server = Server::start(data).unwrap();
        let token = self.world.server.operator_token().unwrap();
        self.world.operator = self.world.server.client(&token).await.unwrap();
        self.load.send_again(&self.world).await.unwrap();
        let mut treasury = self.world.client("TREASURY").await.unwrap();
        let mut operator = self.world.operator.clone();
        let mut history: History = std::mem::take(&mut *self.load.history());
        history.check(&mut operator, &mut treasury).await;
        *self.load.history() = history;
        self.world.server.kill();
    }
}

/// Preallocated space is not copied.
fn copy(from: &Path, to: &Path) -> PathBuf {
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
    to.to_path_buf()
}

/// Where records start, and where the last one ends.
fn record_starts(data: &Path) -> (Vec<u64>, u64) {
    let mut file = fs::File::open(data.join(SEGMENT)).unwrap();
    let mut head = [0; 48];
    let (mut starts, mut at) = (Vec::new(), PAGE);
    loop {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut head).unwrap();
        if &head[4..8] != RECORD_MAGIC {
            return (starts, at);
        }
        starts.push(at);
        let payload = u32::from_le_bytes(head[40..44].try_into().unwrap());
        at += (128 + u64::from(payload)).next_multiple_of(PAGE);
    }
}

fn read(path: &Path, at: u64, length: usize) -> Vec<u8> {
    let mut file = fs::File::open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).unwrap();
    bytes
}

fn write(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn flip(path: &Path, at: u64, bit: u64) {
    let mut byte = read(path, at, 1);
    byte[0] ^= 1 << bit;
    write(path, at, &byte);
}

/// The server does not start, ends with 1, and says all of `words`.
fn refuses(data: &Path, words: &[&str]) -> String {
    refuses_with(data, &ServerOptions::default(), words)
}

fn refuses_with(data: &Path, options: &ServerOptions, words: &[&str]) -> String {
    let error = match Server::start_with(data, options) {
        Ok(_) => panic!("it started, instead of refusing with {words:?}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("exit status: 1"), "{error}");
    for word in words {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
    error
}

/// What nobody was answered for may end in any way; it is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_repaired() {
    let mut stopped = Stopped::new().await;
    let (starts, end) = record_starts(&stopped.data());
    let last = *starts.last().unwrap();
    let record = read(
        &stopped.data().join(SEGMENT),
        last,
        usize::try_from(end - last).unwrap(),
    );
    let mut random = Random(3);
    // A record that did not fit its place, cut at every kind of byte; and bytes of nothing.
    let mut lengths = vec![
        1, 4, 7, 8, 24, 40, 44, 48, 80, 127, 128, 129, 500, 4_095, 4_096,
    ];
    if !long() {
        lengths.retain(|length| [1, 8, 44, 128, 500, 4_096].contains(length));
    }
    for (case, length) in lengths.into_iter().enumerate() {
        let data = stopped.copy(&format!("torn-{case}"));
        let mut tail = record.clone();
        tail.resize(8_192, 0);
        tail.truncate(length);
        if case % 2 == 1 {
            tail.iter_mut()
                .for_each(|byte| *byte = random.next().to_le_bytes()[0] | 1);
        }
        write(&data.join(SEGMENT), end, &tail);
        stopped.check(&data).await;
        let log = Server::log(&data);
        let said = log.contains(&format!("offset={end}")) && log.contains(".segment");
        assert!(said && log.contains("cut off"), "length {length}: {log}");
    }
}

/// With the mark of a moment before, the last record is not known to be acknowledged: whatever is left
/// of it is cut off, and those before it stand.
#[tokio::test(flavor = "multi_thread")]
async fn an_unmarked_last_record_may_be_cut_anywhere() {
    let dir = directory();
    let data = dir.path().join("data");
    let mut world = World::start(&data).await.unwrap();
    world.deposit("AAAAUS33", "USD", "100").await.unwrap();
    world.server.stop().unwrap();
    let marks = fs::read(data.join("journal/marks")).unwrap();
    let before = record_starts(&data).1;
    world.server = Server::start(&data).unwrap();
    let mut bank = world.client("AAAAUS33").await.unwrap();
    let sent = payment(1, "AAAAUS33", "BBBBDEFF", "1.00", "USD");
    let submit = v1::SubmitInstructionRequest {
        instruction: Some(sent.clone()),
    };
    bank.payments
        .submit_instruction(submit.clone())
        .await
        .unwrap();
    world.server.kill();
    fs::write(data.join("journal/marks"), marks).unwrap();
    let (starts, end) = record_starts(&data);
    assert_eq!(
        starts.last(),
        Some(&before),
        "one record for the one payment"
    );

    for (case, from) in [0, 4, 50, 130, 140, end - before - 1]
        .into_iter()
        .enumerate()
    {
        let to = copy(&data, &dir.path().join(format!("cut-{case}")));
        let zeros = vec![0; usize::try_from(end - before - from).unwrap()];
        write(&to.join(SEGMENT), before + from, &zeros);
        world.server = Server::start(&to).unwrap();
        let mut bank = world.client("AAAAUS33").await.unwrap();
        let again = bank
            .payments
            .submit_instruction(submit.clone())
            .await
            .unwrap();
        let status = again.into_inner().status.unwrap();
        assert_eq!(status.status(), v1::Status::Acsc, "cut from {from}");
    }
}

/// Acknowledged bytes that changed are found, wherever: the server does not start, and says where.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found() {
    let mut stopped = Stopped::new().await;
    let (starts, end) = record_starts(&stopped.data());
    let data = stopped.copy("flipped");
    let segment = data.join(SEGMENT);
    let mut random = Random(11);
    let count = if long() { 1_000 } else { 24 };
    for case in 0..count {
        // The last record too: it was marked as acknowledged.
        let at = match case {
            0 => random.below(96),
            1 => *starts.last().unwrap() + random.below(128),
            _ => PAGE + random.below(end - PAGE),
        };
        let bit = random.below(8);
        flip(&segment, at, bit);
        let error = refuses(&data, &[".segment, offset "]);
        let offset = error.split("offset ").nth(1).unwrap();
        let offset: u64 = offset
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let start = starts
            .iter()
            .rev()
            .find(|&&start| start <= at)
            .copied()
            .unwrap_or(0);
        assert_eq!(offset, start, "byte {at}, bit {bit}: {error}");
        flip(&segment, at, bit);
    }
    // Refusing has changed nothing.
    stopped.check(&data).await;
}

/// Files that the engine cannot do without, and those of the ledger, are not taken as they come.
#[tokio::test(flavor = "multi_thread")]
async fn lost_and_damaged_files_are_named() {
    let stopped = Stopped::new().await;
    type Damage = (&'static str, Box<dyn Fn(&Path)>, &'static [&'static str]);
    let cases: Vec<Damage> = vec![
        (
            "marks gone",
            Box::new(|data| fs::remove_file(data.join("journal/marks")).unwrap()),
            &["marks"],
        ),
        (
            "segment gone",
            Box::new(|data| fs::remove_file(data.join(SEGMENT)).unwrap()),
            &["journal"],
        ),
        (
            "segment cut",
            Box::new(|data| {
                let file = fs::OpenOptions::new()
                    .write(true)
                    .open(data.join(SEGMENT))
                    .unwrap();
                file.set_len(PAGE * 3).unwrap();
            }),
            &[".segment, offset ", "an acknowledged record is missing"],
        ),
        (
            "mode gone",
            Box::new(|data| fs::remove_file(data.join("mode")).unwrap()),
            &["mode"],
        ),
        (
            "ledger entry",
            Box::new(|data| flip(&newest(data, BUNDLES), 60, 3)),
            &["tile/entries/000", "offset"],
        ),
        (
            "ledger entries cut",
            Box::new(|data| {
                let path = newest(data, BUNDLES);
                let length = fs::metadata(&path).unwrap().len();
                let file = fs::OpenOptions::new().write(true).open(path);
                file.unwrap().set_len(length - 10).unwrap();
            }),
            &["tile/entries/000"],
        ),
        (
            "tile",
            Box::new(|data| flip(&newest(data, TILES), 40, 3)),
            &["tile/0/000", "offset 32"],
        ),
        (
            "checkpoint",
            Box::new(|data| flip(&data.join("ledger/public/checkpoint"), 40, 1)),
            &["checkpoint"],
        ),
        (
            "keys gone",
            Box::new(|data| fs::remove_dir_all(data.join("keys")).unwrap()),
            &["ledger"],
        ),
        (
            "another passphrase",
            Box::new(|data| fs::write(data.join("keys.passphrase"), "another").unwrap()),
            &["passphrase"],
        ),
    ];
    for (at, (name, damage, words)) in cases.into_iter().enumerate() {
        let data = stopped.copy(&format!("lost-{at}"));
        damage(&data);
        println!("{name}: {}", refuses(&data, words));
    }
}

/// Of a log with fewer than 256 entries.
const BUNDLES: &str = "ledger/public/tile/entries/000.p";
const TILES: &str = "ledger/public/tile/0/000.p";

/// The widest partial tile.
fn newest(data: &Path, partials: &str) -> PathBuf {
    let files = fs::read_dir(data.join(partials)).unwrap();
    let width =
        |path: &PathBuf| -> u32 { path.file_name().unwrap().to_str().unwrap().parse().unwrap() };
    let paths = files.map(|file| file.unwrap().path());
    paths.max_by_key(width).unwrap()
}

/// An entry that was being written when the process died was promised to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_ledger_entry_is_written_again() {
    let mut stopped = Stopped::new().await;
    for (case, torn) in [&b"\x05"[..], &[0, 200, 3, 4, 5, 6, 7]]
        .into_iter()
        .enumerate()
    {
        let data = stopped.copy(&format!("entry-{case}"));
        let public = data.join("ledger/public");
        let intact = fs::read(newest(&data, BUNDLES)).unwrap();
        // What was being written lies beside, until the rename.
        fs::write(data.join("ledger/bundle.new"), [&intact, torn].concat()).unwrap();
        fs::write(data.join("ledger/tile.new"), torn).unwrap();
        stopped.check(&data).await;
        let after = fs::read(newest(&data, BUNDLES)).unwrap();
        assert!(after.starts_with(&intact), "{}", public.display());
    }
}

/// What can be made again from the journal is made again, equal to what it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_journal_is_rebuilt_equal() {
    let stopped = Stopped::new().await;
    let mut world = stopped.world;
    let data = stopped.dir.path().join("data");
    let mut pictures = Vec::new();
    for gone in [
        &[][..],
        &["read-model.sqlite"],
        &["batches"],
        &["read-model.sqlite", "batches"],
    ] {
        for name in gone {
            let path = data.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            removed.unwrap();
            for rest in ["read-model.sqlite-wal", "read-model.sqlite-shm"] {
                let _ = fs::remove_file(data.join(rest)); // they may be gone with an orderly end
            }
        }
        world.server = Server::start(&data).unwrap();
        let token = world.server.operator_token().unwrap();
        world.operator = world.server.client(&token).await.unwrap();
        pictures.push(picture(&world).await);
        assert_eq!(world.server.stop().unwrap(), Some(0));
    }
    assert!(
        pictures[0].receipts.len() > 20,
        "{}",
        pictures[0].receipts.len()
    );
    for picture in &pictures[1..] {
        assert_eq!(picture.instructions, pictures[0].instructions);
        assert_eq!(picture.batches, pictures[0].batches);
        assert_eq!(picture.receipts, pictures[0].receipts);
    }
}

/// What was anchored before a start is so at once, and a lost file is not taken for a batch that is not anchored.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_anchored_stays_so_over_a_start() {
    let stopped = Stopped::new().await;
    let (mut world, data) = (stopped.world, stopped.dir.path().join("data"));
    let last = fs::read_dir(data.join("batches")).unwrap().count() as u64;
    // Nothing is read again from the journal: what is known is known from the start.
    let options = ServerOptions {
        arguments: vec!["--without-followers".to_owned()],
        ..ServerOptions::default()
    };
    world.server = Server::start_with(&data, &options).unwrap();
    let token = world.server.operator_token().unwrap();
    let mut ledger = world.server.client(&token).await.unwrap().ledger;
    let asked = |batch| v1::GetConservationProofRequest { batch };
    let first = data.join("batches/000000000001");
    fs::rename(&first, data.join("aside")).unwrap();
    let lost = ledger.get_conservation_proof(asked(1)).await.unwrap_err();
    assert_eq!(lost.code(), Code::Unavailable);
    let words = "batch 1 is anchored, but not yet read again from the journal";
    assert_eq!(lost.message(), words);
    fs::rename(data.join("aside"), first).unwrap();
    for batch in 1..=last {
        ledger.get_conservation_proof(asked(batch)).await.unwrap();
    }
    let next = ledger.get_conservation_proof(asked(last + 1)).await;
    assert_eq!(next.unwrap_err().code(), Code::FailedPrecondition);
    let balance = v1::GetBalanceProofRequest {
        participant: "AAAAUS33".to_owned(),
        asset: "USD".to_owned(),
        ..Default::default()
    };
    ledger.get_balance_proof(balance).await.unwrap();
    world.server.kill();
}

/// What the followers show.
struct Picture {
    instructions: Vec<v1::InstructionView>,
    batches: Vec<v1::Batch>,
    /// By UETR, each without its log's size: the proof grows with the log.
    receipts: Vec<(String, u64, String)>,
}

async fn picture(world: &World) -> Picture {
    let mut operator = world.operator.clone();
    let instructions = list_all(&mut operator).await;
    let now = operator
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut batches = Vec::new();
    for batch in 1..=now.batches {
        let request = v1::GetBatchRequest { batch, wait: true };
        let mut call = tonic::Request::new(request);
        call.set_timeout(Duration::from_secs(10));
        batches.extend(
            operator
                .settlement
                .get_batch(call)
                .await
                .unwrap()
                .into_inner()
                .batch,
        );
    }
    let mut receipts = Vec::new();
    let mut bank = world.client("AAAAUS33").await.unwrap();
    let own = |view: &&v1::InstructionView| {
        let status = view.status.as_ref().unwrap();
        status.instructing == "AAAAUS33" && status.status() == v1::Status::Acsc
    };
    for view in instructions.iter().filter(own) {
        let status = view.status.as_ref().unwrap();
        let request = v1::GetReceiptRequest {
            uetr: status.uetr.clone(),
            instructing: status.instructing.clone(),
            kind: status.kind,
            wait: true,
        };
        let receipt = bank.ledger.get_receipt(request).await.unwrap().into_inner();
        receipts.push((receipt.uetr, receipt.batch, receipt.receipt));
    }
    Picture {
        instructions,
        batches,
        receipts,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused() {
    let dir = directory();
    let data = dir.path().join("data");
    let world = World::start(&data).await.unwrap();
    refuses(&data, &["in use by another process", "journal"]);
    world.deposit("AAAAUS33", "USD", "1.00").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_and_a_live_server_never_share_data() {
    let dir = directory();
    let (rehearsal, live) = (dir.path().join("rehearsal"), dir.path().join("live"));
    let options = ServerOptions {
        live: true,
        ..ServerOptions::default()
    };
    let mut server = Server::start(&rehearsal).unwrap();
    server.stop().unwrap();
    refuses_with(&rehearsal, &options, &["--rehearsal"]);
    let mut server = Server::start_with(&live, &options).unwrap();
    let token = server.operator_token().unwrap();
    let mut operator = server.client(&token).await.unwrap();
    let status = operator
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.rehearsal);
    assert!(
        operator.set_time(0).await.is_err(),
        "a live server has its clock"
    );
    server.stop().unwrap();
    refuses(&live, &["live"]);
}
