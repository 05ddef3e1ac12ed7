//! What a witness cosigns, measured in one run: `cargo run --release -p valuta-witness --example
//! measure_witness [DIR]`.
//!
//! The limit is one `pwrite` of 4 KiB and one `fdatasync` after the other. Requests of one log follow each
//! other, those of several logs share commits. Without HTTP: signatures, proofs and the durable state alone.

#![allow(clippy::float_arithmetic)] // rates of a measurement: no money

use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use valuta_keys::{KeyKind, StoredKey};
use valuta_verify::{
    Checkpoint, Edge, Hash, KeyKind as Kind, VerifierKey, consistency_path, leaf_hash,
    signature_line,
};
use valuta_witness::{Witness, WitnessConfig, request_text};

/// Checkpoints of each log.
const CHECKPOINTS: u64 = 200;
/// Writes of the limit.
const WRITES: u64 = 1_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let parent = env::args_os()
        .nth(1)
        .unwrap_or_else(|| env::temp_dir().into_os_string());
    let dir = Path::new(&parent).join(format!("measure-witness-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = measure(&dir).await;
    std::fs::remove_dir_all(&dir)?;
    measured
}

async fn measure(dir: &Path) -> Outcome<()> {
    println!("logs    cosigned a second    limit, writes a second    ours/limit");
    for logs in [1, 8, 64] {
        let limit = raw(&dir.join("raw"))?;
        let ours = cosign(&dir.join(format!("{logs}.redb")), logs).await?;
        println!(
            "{logs:>4} {ours:>20.0} {limit:>25.0} {:>12.2}",
            ours / limit
        );
    }
    Ok(())
}

fn raw(path: &Path) -> Outcome<f64> {
    let file = File::create(path)?;
    let page = [0x5a; 4096];
    file.write_all_at(&vec![0; 4096 * 256], 0)?;
    file.sync_all()?;
    let started = Instant::now();
    for write in 0..WRITES {
        file.write_all_at(&page, write % 256 * 4096)?;
        file.sync_data()?;
    }
    Ok(WRITES as f64 / started.elapsed().as_secs_f64())
}

async fn cosign(path: &Path, logs: u8) -> Outcome<f64> {
    let (mut requests, mut vkeys) = (Vec::new(), Vec::new());
    for log in 0..logs {
        let (vkey, of_log) = log_of(log)?;
        requests.push(of_log);
        vkeys.push(vkey);
    }
    let config = WitnessConfig {
        key: StoredKey::from_seed(KeyKind::Witness, "witness.example", 0, &[99; 32])?,
        logs: vkeys,
        clock: Arc::new(|| 1_763_640_000_000),
        rate: None,
        validator: None,
    };
    let witness = Arc::new(Witness::open(path, config)?);
    let started = Instant::now();
    let tasks = requests.into_iter().map(|of_log| {
        let witness = Arc::clone(&witness);
        tokio::spawn(async move {
            for request in of_log {
                witness.add_checkpoint(request.as_bytes()).await?;
            }
            Ok::<_, valuta_witness::Refused>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let count = u64::from(logs) * CHECKPOINTS;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// A log's key, and a request for each of its sizes.
fn log_of(log: u8) -> Outcome<(String, Vec<String>)> {
    let origin = format!("log-{log}.example");
    let signing = SigningKey::from_bytes(&[log; 32]);
    let key = VerifierKey::new(&origin, Kind::Note, &signing.verifying_key().to_bytes())?;
    let subtree = |start: u64, end: u64| -> Hash {
        let mut edge = Edge::default();
        (start..end).for_each(|leaf| edge.push(leaf_hash(&leaf.to_be_bytes())));
        edge.root()
    };
    let requests = (1..=CHECKPOINTS).map(|size| {
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            size,
            root: subtree(0, size),
        };
        let body = checkpoint.body();
        let signature = signing.sign(body.as_bytes()).to_bytes();
        let note = format!("{body}\n{}", signature_line(&origin, key.id(), &signature));
        let old = size - 1;
        let path = consistency_path(old, size, subtree);
        let known = usize::from(old.is_power_of_two()).min(path.len());
        request_text(old, &path[known..], &note)
    });
    Ok((key.to_string(), requests.collect()))
}
