//! A full disk refuses new work, loses nothing, and passes.
//!
//! Needs a file system of its own, so a mount: as root it always runs, else it says that it did not.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use valuta_journal::{AppendError, FileJournal, Journal, OpenError, Source};

use crate::support::{append_one, drain, open, open_and_replay};

const DISK_BYTES: u64 = 256 << 10;
const SEGMENT_BYTES: u64 = 64 << 10;

/// A small file system in memory, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("not run: mounting a small tmpfs needs root");
            return None;
        }
        let dir = TempDir::new().unwrap();
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status()
            .expect("the program `mount` is needed");
        assert!(
            mounted.success(),
            "root must be able to mount a tmpfs for this test"
        );
        Some(Self(dir))
    }

    fn journal(&self) -> std::path::PathBuf {
        self.0.path().join("journal")
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Takes what is left.
    fn fill(&self) {
        let _full = fs::write(self.filler(), vec![1; DISK_BYTES as usize]).unwrap_err();
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn is_full(result: Result<(), AppendError>) -> bool {
    matches!(result, Err(error @ AppendError::Full(_)) if !error.is_fatal())
}

/// Everything acknowledged reads back through each way in.
fn check_reads(journal: &FileJournal) {
    let records = drain(&mut *journal.reader(None).unwrap()).unwrap();
    assert_eq!(records.len() as u64, journal.tail().sequence);
    let lookup = journal.lookup();
    let found = |record: &&valuta_journal::Record| {
        *lookup
            .record_containing(record.header.first_sequence)
            .unwrap()
            == **record
    };
    assert!(records.iter().all(|record| found(&record)));
}

#[test]
fn a_full_disk_refuses_new_work_and_passes() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let (mut journal, _) = open(&disk.journal(), SEGMENT_BYTES).unwrap();
    append_one(&mut journal, 1000);
    disk.fill();
    // The segment has room: what is preallocated needs nothing of the disk.
    while journal.reserve(4096).is_ok() {
        append_one(&mut journal, 1000);
    }
    assert_eq!(journal.tail().sequence, 15);
    assert!(is_full(journal.reserve(4096)));
    // Without a reservation the append refuses as clearly, and nothing is written.
    assert!(is_full(journal.append(16, 16, 0, b"x").map(|_| ())));
    assert!(
        !disk.journal().join("spare.tmp").exists(),
        "no half spare stays behind"
    );
    journal.mark().unwrap();
    check_reads(&journal);
    disk.free();
    journal.reserve(4096).unwrap();
    append_one(&mut journal, 1000);
    check_reads(&journal);
    drop(journal);
    assert_eq!(replayed(&disk.journal()), 16);
}

#[test]
fn what_is_reserved_is_kept() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let (mut journal, _) = open(&disk.journal(), SEGMENT_BYTES).unwrap();
    (0..14).for_each(|_| append_one(&mut journal, 1000));
    // One page is left in the segment: the reservation must take the next one.
    journal.reserve(8 * 4096).unwrap();
    disk.fill();
    (0..8).for_each(|_| append_one(&mut journal, 1000));
    check_reads(&journal);
    drop(journal);
    disk.free();
    assert_eq!(replayed(&disk.journal()), 22);
}

#[test]
fn a_start_on_a_full_disk_says_so_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let (mut journal, _) = open(&disk.journal(), SEGMENT_BYTES).unwrap();
    (0..20).for_each(|_| append_one(&mut journal, 1000));
    drop(journal);
    disk.fill();
    for _ in 0..2 {
        let refused = open(&disk.journal(), SEGMENT_BYTES).unwrap_err();
        assert!(matches!(refused, OpenError::File(_)), "{refused}");
        assert!(
            refused.to_string().contains("cannot preallocate"),
            "{refused}"
        );
    }
    disk.free();
    assert_eq!(replayed(&disk.journal()), 20);
}

fn replayed(dir: &Path) -> usize {
    open_and_replay(dir).unwrap().0.len()
}
