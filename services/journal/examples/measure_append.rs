//! What the journal costs over the disk, measured in one run: `cargo run --release -p valuta-journal
//! --example measure_append [DIR]`.
//!
//! The limit is one `pwrite` and one `fdatasync` of the same bytes into a file preallocated the same
//! way; ours adds the checksum, the chain and the watermark. A record
//! takes whole pages, header included: 8 KiB for a payload of 4 KiB, on both sides. Both alternate in short turns, so that
//! a busy disk slows both.

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};
use sha2::{Digest, Sha256};
use valuta_journal::{
    FileJournal, FileJournalOptions, FileReader, Journal, JournalReader, framed_bytes,
};

/// Appends of one turn, before the other side has its turn.
const TURN: usize = 20;
/// Bytes that are replayed for the reading rate.
const REPLAY_BYTES: usize = 1 << 30;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let parent = env::args_os()
        .nth(1)
        .unwrap_or_else(|| env::temp_dir().into_os_string());
    let dir = Path::new(&parent).join(format!("measure-append-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path) -> Outcome<()> {
    println!("payload     ours us (p50, p99)    limit us (p50, p99)   ours/limit   ours MB/s");
    for (payload_bytes, turns) in [(4 << 10, 100), (64 << 10, 60), (512 << 10, 20)] {
        measure_append(dir, payload_bytes, turns)?;
    }
    println!("\nreplay       ours MB/s     limit MB/s   ours/limit   thousand 300-byte events/s");
    for payload_bytes in [4 << 10, 64 << 10, 512 << 10] {
        measure_replay(dir, payload_bytes)?;
    }
    Ok(())
}

fn measure_append(dir: &Path, payload_bytes: usize, turns: usize) -> Outcome<()> {
    let payload: Vec<u8> = (0..payload_bytes)
        .map(|at| (at * 131 % 251) as u8)
        .collect();
    // The same bytes reach the disk on both sides: whole pages.
    let framed = vec![0x5a; framed_bytes(payload_bytes)];
    let name = format!("journal-{payload_bytes}");
    let (mut journal, _) =
        FileJournal::create_or_open(&dir.join(name), FileJournalOptions::default())?;
    let raw = preallocated(&dir.join("raw"), (turns * TURN * framed.len()) as u64)?;
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        for _ in 0..TURN {
            let sequence = journal.tail().sequence + 1;
            let started = Instant::now();
            journal.append(sequence, sequence, 0, &payload)?;
            ours.push(started.elapsed());
        }
        for at in 0..TURN {
            let started = Instant::now();
            raw.write_all_at(&framed, ((turn * TURN + at) * framed.len()) as u64)?;
            raw.sync_data()?;
            limit.push(started.elapsed());
        }
    }
    let (ours_total, limit_total): (Duration, Duration) = (ours.iter().sum(), limit.iter().sum());
    println!(
        "{:>4} KiB {:>20} {:>24} {:>10} % {:>11}",
        payload_bytes >> 10,
        quantiles(ours),
        quantiles(limit),
        limit_total.as_micros() * 100 / ours_total.as_micros(),
        (turns * TURN * payload_bytes) as u128 / ours_total.as_micros(),
    );
    std::fs::remove_file(dir.join("raw"))?;
    Ok(())
}

fn preallocated(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::create(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    Ok(file)
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    format!("{}, {}", at(50), at(99))
}

/// From the page cache, as after a restart of the process: what the processor can verify. The limit
/// is SHA-256 alone over the same bytes in memory. Opening is not in it.
fn measure_replay(dir: &Path, payload_bytes: usize) -> Outcome<()> {
    let dir = dir.join(format!("replay-{payload_bytes}"));
    let (mut journal, _) = FileJournal::create_or_open(&dir, FileJournalOptions::default())?;
    let payload: Vec<u8> = (0..payload_bytes)
        .map(|at| (at * 131 % 251) as u8)
        .collect();
    let records = (REPLAY_BYTES / 8 / payload_bytes).min(8_192);
    for sequence in 1..=records as u64 {
        journal.append(sequence, sequence, 0, &payload)?;
    }
    drop(journal);
    let (mut bytes, mut ours, mut limit) = (0, Duration::ZERO, Duration::ZERO);
    while bytes < REPLAY_BYTES {
        let (mut reader, _) = FileReader::open_offline(&dir, None)?;
        let started = Instant::now();
        while let Some(record) = reader.next()? {
            bytes += record.payload.len();
        }
        ours += started.elapsed();
        let started = Instant::now();
        (0..records).for_each(|_| _ = black_box(Sha256::digest(black_box(&payload))));
        limit += started.elapsed();
    }
    println!(
        "{:>4} KiB {:>12} {:>14} {:>10} % {:>28}",
        payload_bytes >> 10,
        bytes as u128 / ours.as_micros(),
        bytes as u128 / limit.as_micros(),
        limit.as_micros() * 100 / ours.as_micros(),
        bytes as u128 * 1000 / 300 / ours.as_micros(),
    );
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
