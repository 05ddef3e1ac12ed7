//! What is wrong with a machine or a data directory, said before it hurts.

use crate::output::causes;
use crate::server::data::DataDir;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};
use valuta_engine::{OldIdentities, Snapshots};
use valuta_journal::{FileReader, JournalReader};

/// What `valuta doctor` takes.
#[derive(clap::Args)]
pub struct DoctorArgs {
    /// The data directory to look at; its server must be stopped
    #[arg(long, env = "VALUTA_DATA")]
    pub data: Option<PathBuf>,
}

/// A day's journal of a busy scheme fits.
const FREE_BYTES_MIN: u64 = 10 << 30;
/// A step waits for one sync; beyond this, answers get slow.
const SYNC_MS_MAX: u128 = 20;
/// 2024-01-01: a clock before this was never set.
const CLOCK_SECONDS_MIN: u64 = 1_704_067_200;

struct Finding {
    good: bool,
    what: String,
}

fn finding(good: bool, what: String) -> Finding {
    Finding { good, what }
}

/// Prints a line for each thing looked at; exits 1 if one is not good.
pub async fn doctor(args: DoctorArgs) -> ExitCode {
    let looked = tokio::task::spawn_blocking(move || look(args.data.as_deref())).await;
    let findings = looked.unwrap_or_else(|error| vec![finding(false, error.to_string())]);
    for Finding { good, what } in &findings {
        println!("{}  {what}", if *good { "good" } else { "BAD " });
    }
    if findings.iter().all(|finding| finding.good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn look(data: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![clock()];
    let Some(data) = data else {
        findings.push(finding(
            true,
            "no data directory given: --data DIR looks at one".to_owned(),
        ));
        return findings;
    };
    findings.push(space(data));
    findings.push(sync(data));
    match DataDir::mode(data) {
        Ok(None) => findings.push(finding(true, "not started yet".to_owned())),
        Ok(Some(rehearsal)) => {
            let mode = if rehearsal { "rehearsal" } else { "live" };
            findings.push(finding(true, format!("mode {mode}")));
            findings.push(journal(&data.join("journal")));
            findings.extend(snapshots(&data.join("snapshots")));
            findings.extend(identities(&data.join("snapshots")));
        }
        Err(error) => findings.push(finding(false, causes(&error))),
    }
    findings
}

fn clock() -> Finding {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    finding(
        seconds >= CLOCK_SECONDS_MIN,
        format!("clock: {seconds} s since 1970"),
    )
}

fn space(data: &Path) -> Finding {
    let existing = data.ancestors().find(|path| path.exists());
    match existing.map(rustix::fs::statvfs) {
        Some(Ok(found)) => {
            let bytes = found.f_bavail.saturating_mul(found.f_frsize);
            finding(
                bytes >= FREE_BYTES_MIN,
                format!("disk: {} MiB free", bytes >> 20),
            )
        }
        Some(Err(error)) => finding(false, format!("disk: {}: {error}", data.display())),
        None => finding(false, format!("disk: {} has no parent", data.display())),
    }
}

fn sync(data: &Path) -> Finding {
    let Some(dir) = data.ancestors().find(|path| path.is_dir()) else {
        return finding(false, format!("disk: {} has no parent", data.display()));
    };
    let path = dir.join(".valuta-doctor");
    let write = || -> std::io::Result<u128> {
        std::fs::write(&path, [0u8; 4096])?;
        let started = Instant::now();
        std::fs::File::open(&path)?.sync_all()?;
        let took = started.elapsed().as_millis();
        std::fs::remove_file(&path)?;
        Ok(took)
    };
    match write() {
        Ok(took) => finding(took <= SYNC_MS_MAX, format!("disk: a sync takes {took} ms")),
        Err(error) => finding(false, format!("disk: {}: {error}", path.display())),
    }
}

/// Reads all of it: every checksum, the chain, the sequences.
fn journal(dir: &Path) -> Finding {
    let (mut reader, recovery) = match FileReader::open_offline(dir, None) {
        Ok(opened) => opened,
        Err(error) => return finding(false, format!("journal: {error}")),
    };
    let mut records = 0u64;
    loop {
        match reader.next() {
            Ok(Some(_)) => records += 1,
            Ok(None) => break,
            Err(error) => return finding(false, format!("journal: {error}")),
        }
    }
    let sequence = reader.cursor().sequence;
    finding(
        true,
        format!(
            "journal: {records} records to sequence {sequence} are whole, {} torn bytes to cut",
            recovery.torn_bytes
        ),
    )
}

/// Loads each: how long a start takes to come that far. One that is bad only costs a longer replay.
fn snapshots(dir: &Path) -> Vec<Finding> {
    let files = Snapshots::new(dir.to_path_buf()).newest_first();
    let look = |(_, path): (u64, PathBuf)| {
        let started = Instant::now();
        let checked = Snapshots::check(&path);
        let took = started.elapsed().as_millis();
        let name = path.display();
        match checked {
            Ok(sequence) => finding(
                true,
                format!("snapshot: to sequence {sequence} is whole, loaded in {took} ms"),
            ),
            Err(error) => finding(false, format!("snapshot: {name}: {error}")),
        }
    };
    files.into_iter().map(look).collect()
}

/// Reads each: one that is bad costs a replay of the whole journal at the next start.
fn identities(dir: &Path) -> Vec<Finding> {
    let look = |(path, checked): (PathBuf, Result<u64, String>)| match checked {
        Ok(lines) => {
            let name = path.file_name().unwrap_or_default().display();
            finding(true, format!("old identities: {name}: {lines} are whole"))
        }
        Err(error) => finding(false, format!("old identities: {error}")),
    };
    OldIdentities::check(dir).into_iter().map(look).collect()
}
