//! What the ledger costs over its hashes, measured in one run: `cargo run --release -p valuta-ledger
//! --example measure_ledger [ENTRIES] [MEMBERS] [DIR]`.
//!
//! The limit of a batch is plain SHA-256 doing the same number of compressions on the same cores, over
//! memory that stays in the cache. The log is built of headers that another process has committed to;
//! its receipts are each of another batch, so that none finds the last one's path.

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use valuta_ledger::{
    Balance, BatchInput, BatchTrees, ENTRIES_PER_CHECKPOINT_MAX, FIRST_BATCH_NUMBER, Header,
    Ledger, LedgerReader, LogKey, MemberContent, Posting, ReceiptContent,
};
use valuta_verify::Policy;

/// Bytes of an instruction, as the demo's are.
const CONTENT_BYTES: usize = 300;
/// Accounts that a large batch touches.
const ACCOUNTS: usize = 2_000;
const RECEIPTS: u64 = 2_000;
const TURNS: usize = 5;
const BLOCK_BYTES: usize = 64;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut args = env::args().skip(1);
    let entries = args.next().map_or(Ok(10_000_000), |text| text.parse())?;
    let members = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let parent = args.next().map_or_else(env::temp_dir, Into::into);
    let dir = parent.join(format!("measure-ledger-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = measure(&dir, entries, members);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path, entries: u64, members: usize) -> Outcome<()> {
    measure_log(&dir.join("log"), entries)?;
    println!("\nmembers      ours ms    limit ms   ours/limit   million compressions/s");
    for members in [members / 1_000, members / 10, members] {
        measure_members(members.max(1))?;
    }
    println!("\npostings and balances      us a line");
    measure_lines()?;
    println!("\nmembers   from settled to signed checkpoint, ms (of it hashing)");
    measure_batch(&dir.join("batch"), members)
}

fn key() -> LogKey {
    LogKey::from_seed("valuta.example/log", &[1; 32]).expect("a name")
}

fn batch(members: usize, accounts: usize) -> BatchInput {
    let content = |index: usize| {
        let mut content = vec![b'x'; CONTENT_BYTES];
        content[..8].copy_from_slice(&index.to_be_bytes());
        MemberContent::One(content)
    };
    // Two and two take and give the same.
    let amount = |index: usize| (index / 2 % 1_000) as i128 * [1, -1][index % 2];
    let name = |index: usize| format!("BANK{index:07}");
    BatchInput {
        scheme: "measure".into(),
        number: FIRST_BATCH_NUMBER,
        time_ms: 1_763_640_000_000,
        cycle: None,
        seed: [7; 32],
        members: (0..members).map(content).collect(),
        postings: (0..accounts)
            .map(|index| Posting {
                participant: name(index),
                asset: "EUR".into(),
                amount: amount(index),
            })
            .collect(),
        balances: (0..accounts)
            .map(|index| Balance {
                participant: name(index),
                asset: "EUR".into(),
                amount: 1_000_000,
            })
            .collect(),
        certificate_hash: Some([8; 32]),
        sequence: 1,
        chain: [9; 32],
    }
}

/// Salt: two, the keys of the HMAC being hashed once; commitment; leaf: one; node: two.
fn compressions(members: usize) -> usize {
    let commitment = (32 + CONTENT_BYTES + 9).div_ceil(BLOCK_BYTES);
    members * (2 + commitment + 1) + (members - 1) * 2
}

fn measure_members(members: usize) -> Outcome<()> {
    let batch = batch(members, 0);
    let count = compressions(members);
    let (mut ours, mut limit) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        let started = Instant::now();
        black_box(batch.commit()?);
        ours = ours.min(started.elapsed());
        let started = Instant::now();
        plain(count, members > 256);
        limit = limit.min(started.elapsed());
    }
    println!(
        "{members:>7} {:>12} {:>11} {:>10} % {:>18}",
        milliseconds(ours),
        milliseconds(limit),
        limit.as_nanos() * 100 / ours.as_nanos(),
        count as u128 * 1_000 / ours.as_nanos(),
    );
    Ok(())
}

/// As many compressions as asked for, by SHA-256 alone.
fn plain(compressions: usize, is_parallel: bool) {
    const BLOCKS: usize = 256;
    let buffer = vec![0x5a; BLOCKS * BLOCK_BYTES - 9];
    let hash = |_| _ = black_box(Sha256::digest(black_box(&buffer)));
    let times = 0..compressions.div_ceil(BLOCKS);
    if is_parallel {
        times.into_par_iter().for_each(hash);
    } else {
        times.for_each(hash);
    }
}

fn measure_lines() -> Outcome<()> {
    let batch = batch(1, ACCOUNTS);
    let started = Instant::now();
    black_box(batch.commit()?);
    let each = started.elapsed().as_nanos() as usize / ACCOUNTS;
    println!("{ACCOUNTS:>21} {:>14}.{:03}", each / 1_000, each % 1_000);
    Ok(())
}

fn measure_batch(dir: &Path, members: usize) -> Outcome<()> {
    let batch = batch(members, ACCOUNTS);
    let mut ledger = Ledger::open(dir, key())?;
    let started = Instant::now();
    let header = batch.commit()?;
    let hashed = started.elapsed();
    ledger.add_header(header)?;
    let signed = started.elapsed();
    let (signed, hashed) = (milliseconds(signed), milliseconds(hashed));
    println!("{members:>7} {signed:>22} ({hashed})");
    Ok(())
}

fn measure_log(dir: &Path, entries: u64) -> Outcome<()> {
    let batch = batch(3, 2);
    let template = batch.commit()?;
    let mut ledger = Ledger::open(dir, key())?;
    let started = Instant::now();
    while ledger.next_number() <= entries {
        let first = ledger.next_number();
        let next = first..=entries.min(first + ENTRIES_PER_CHECKPOINT_MAX as u64 - 1);
        let headers = next.map(|number| Header {
            number,
            ..template.clone()
        });
        ledger.add_headers(headers.collect())?;
    }
    let built = started.elapsed();
    println!(
        "log of {entries} entries: {} s to build, {} MB resident",
        built.as_secs(),
        resident_mb()
    );
    drop(ledger);
    let started = Instant::now();
    let mut ledger = Ledger::open(dir, key())?;
    let opened = started.elapsed();
    println!(
        "opened, every entry and tile hashed: {} ms",
        milliseconds(opened)
    );
    let mut additions = Vec::new();
    for number in entries + 1..=entries + 50 {
        let started = Instant::now();
        ledger.add_header(Header {
            number,
            ..template.clone()
        })?;
        additions.push(started.elapsed());
    }
    println!(
        "one header, from committed to signed, us (p50, p99): {}",
        quantiles(additions)
    );
    measure_receipts(&ledger.reader(), &batch, entries)
}

fn measure_receipts(reader: &LedgerReader, batch: &BatchInput, entries: u64) -> Outcome<()> {
    let trees = BatchTrees::new(batch);
    let proof = trees.members.proof(1).ok_or("no second member")?;
    let MemberContent::One(content) = batch.members[1].clone() else {
        return Err("no payment".into());
    };
    let content = ReceiptContent::One(content);
    let policy = Policy::parse(reader.policy())?;
    let (mut made, mut verified, mut bytes) = (Vec::new(), Vec::new(), 0);
    for turn in 0..RECEIPTS {
        // All over the log, in no order that a disk would like.
        let number = FIRST_BATCH_NUMBER + turn * 0x9e37_79b9 % entries;
        let started = Instant::now();
        let receipt = reader.receipt(number, &proof, &content)?;
        made.push(started.elapsed());
        let started = Instant::now();
        black_box(valuta_verify::verify(&receipt, &policy)?);
        verified.push(started.elapsed());
        bytes = receipt.len();
    }
    println!(
        "receipt of {bytes} bytes made, us (p50, p99): {}",
        quantiles(made)
    );
    println!("receipt verified, us (p50, p99): {}", quantiles(verified));
    Ok(())
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    format!("{}, {}", at(50), at(99))
}

fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

/// Of this process; 0 where the system does not say.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}
