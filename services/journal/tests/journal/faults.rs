//! The process killed, or its disk failing, at every system call that touches the journal.
//!
//! The test program runs itself under strace, which injects the fault at the n-th call of one name.
//! The child appends and notes each acknowledged sequence in a file; whatever is noted must be in
//! the journal afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;
use valuta_journal::{AppendError, FileJournal, Journal, OpenError, Source, framed_bytes};

use crate::support::{
    SMALL_SEGMENT_BYTES, append_one, directory, drain, open, payload, read_offline,
};

pub const CHILD_DIR: &str = "VALUTA_JOURNAL_CHILD";
pub const RECORDS: u64 = 8;
const SIGKILL: i32 = 9;

/// The child: two lives of the journal over two segments and a spare each, in a directory that
/// holds `acknowledged`. Outside of a parent's run there is nothing to do.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let mut options = OpenOptions::new();
    let mut notes = options
        .append(true)
        .create(true)
        .open(dir.join("acknowledged"))
        .unwrap();
    for life in 1..=2 {
        match open(&dir.join("journal"), SMALL_SEGMENT_BYTES) {
            Ok((mut journal, _)) => work(&mut journal, life * RECORDS / 2, &mut notes),
            // A failed start leaves nothing but its message; the parent starts again.
            Err(error @ (OpenError::File(_) | OpenError::Read(_))) => println!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn work(journal: &mut FileJournal, until: u64, notes: &mut File) {
    while journal.tail().sequence < until {
        let sequence = journal.tail().sequence + 1;
        let content = payload(sequence, length(sequence));
        let appended = journal
            .reserve(framed_bytes(content.len()))
            .and_then(|()| journal.append(sequence, sequence, 0, &content).map(|_| ()));
        if let Err(error) = appended {
            return check_poisoned(journal, &error);
        }
        notes.write_all(&sequence.to_le_bytes()).unwrap();
        if let Err(error) = journal.mark() {
            return check_poisoned(journal, &error);
        }
    }
}

/// A failure of the disk is for ever, whatever is called next.
fn check_poisoned(journal: &mut FileJournal, error: &AppendError) {
    assert!(error.is_fatal() && journal.watch().is_closed(), "{error}");
    let next = journal.tail().sequence + 1;
    for again in [
        journal.append(next, next, 0, b"x").map(|_| ()),
        journal.reserve(1),
        journal.mark(),
    ] {
        assert!(matches!(again, Err(AppendError::Poisoned)));
    }
}

/// From an empty record to one of several pages.
fn length(sequence: u64) -> usize {
    (sequence as usize * 1700) % 9000
}

/// Runs the child under one injected fault.
fn run(dir: &Path, calls: &str, fault: &str, nth: u32) -> ExitStatus {
    let inject = format!("inject={calls}:{fault}:when={nth}");
    let child = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={calls}"),
            "-e",
            &inject,
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["faults::child", "--exact", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    child.expect("the program `strace` is needed for this test: apt-get install strace")
}

/// The last sequence that the child noted. One is left out where its append failed but was found
/// by the second life.
fn acknowledged(dir: &Path) -> u64 {
    let notes = fs::read(dir.join("acknowledged")).unwrap_or_default();
    let noted: Vec<u64> = notes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect();
    assert!(
        noted.is_sorted_by(|before, after| before < after),
        "nothing twice: {noted:?}"
    );
    noted.last().copied().unwrap_or(0)
}

/// All that was acknowledged is there once, at most one more, and the journal goes on.
fn check_journal(dir: &TempDir, case: &str) {
    let acknowledged = acknowledged(dir.path());
    let (mut journal, _) = open(&dir.path().join("journal"), SMALL_SEGMENT_BYTES)
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    let records = drain(&mut *journal.reader(None).unwrap()).unwrap();
    let found = records.len() as u64;
    assert!(
        (acknowledged..=acknowledged + 1).contains(&found),
        "{case}: {acknowledged}, {found}"
    );
    for (sequence, record) in (1..).zip(&records) {
        assert_eq!(record.header.first_sequence, sequence, "{case}");
        assert_eq!(
            record.payload,
            payload(sequence, length(sequence)),
            "{case}"
        );
    }
    append_one(&mut journal, 5000);
    drop(journal);
    let (again, _) = read_offline(&dir.path().join("journal")).unwrap();
    assert_eq!(
        (again.len() as u64, &again[..records.len()]),
        (found + 1, &records[..]),
        "{case}"
    );
}

/// Kills the child at each call of these names, until it gets through; at least `kills_min` times.
fn kill_at_every(calls: &str, kills_min: u32) {
    let mut killed = 0;
    loop {
        let dir = directory();
        let status = run(dir.path(), calls, "signal=SIGKILL", killed + 1);
        check_journal(&dir, &format!("killed at {calls} {}", killed + 1));
        if status.success() {
            assert_eq!(acknowledged(dir.path()), RECORDS);
            break;
        }
        assert_eq!(status.signal(), Some(SIGKILL), "{calls}: {status}");
        killed += 1;
    }
    assert!(killed >= kills_min, "{calls}: killed only {killed} times");
}

/// Fails each call of these names once; the child must stop by itself and in order.
fn fail_at_every(calls: &str, error: &str, failures_min: u32) {
    let mut nth = 1;
    while is_reached(calls, nth) {
        let dir = directory();
        let case = format!("{error} at {calls} {nth}");
        let status = run(dir.path(), calls, &format!("error={error}"), nth);
        assert!(status.success(), "{case}: {status}");
        check_journal(&dir, &case);
        nth += 1;
    }
    assert!(nth > failures_min, "{calls}: failed only {} times", nth - 1);
}

/// Whether an undisturbed child makes this many calls: it would be killed there.
fn is_reached(calls: &str, nth: u32) -> bool {
    !run(directory().path(), calls, "signal=SIGKILL", nth).success()
}

#[test]
fn killed_at_every_write() {
    kill_at_every("pwritev", 20);
}

#[test]
fn killed_at_every_sync_of_data() {
    kill_at_every("fdatasync", 16);
}

#[test]
fn killed_at_every_sync_of_a_file_or_directory() {
    kill_at_every("fsync", 12);
}

#[test]
fn killed_at_every_rename() {
    kill_at_every("?rename,?renameat,?renameat2", 5);
}

#[test]
fn killed_at_every_allocation_and_removal() {
    kill_at_every("fallocate", 5);
    kill_at_every("?unlink,?unlinkat", 3);
    kill_at_every("flock", 2);
}

#[test]
fn a_failed_sync_is_for_ever() {
    fail_at_every("fdatasync", "EIO", 16);
    fail_at_every("fsync", "EIO", 12);
}

#[test]
fn a_failed_write_or_rename_is_for_ever() {
    fail_at_every("pwritev", "EIO", 20);
    fail_at_every("?rename,?renameat,?renameat2", "EIO", 5);
}

/// The disk is full although space was reserved: a write that fails is fatal, whatever the reason.
#[test]
fn a_broken_reservation_is_for_ever() {
    fail_at_every("pwritev", "ENOSPC", 20);
    fail_at_every("fallocate", "EIO", 5);
}
