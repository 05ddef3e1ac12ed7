//! What a power cut would meet: the order of the system calls themselves.
//!
//! A killed process loses nothing that the kernel has, so kills cannot show a missing sync. Here the
//! calls of a whole run are listed by strace and walked: nothing is acknowledged, and no file takes
//! its name, while anything that it rests on may still be only in memory.

use std::collections::BTreeSet;
use std::process::Command;

use crate::faults::{CHILD_DIR, RECORDS};
use crate::support::directory;

/// What is not yet durable at one point of the run.
#[derive(Default)]
struct Volatile {
    /// Files with written bytes.
    written: BTreeSet<String>,
    /// Files with an allocation or a length, which `fdatasync` alone is not asked to keep.
    allocated: BTreeSet<String>,
    /// A rename whose directory was not synced.
    renamed: Option<String>,
}

/// What the run did, to show that the walk saw it.
#[derive(Default)]
struct Seen {
    acknowledged: u64,
    renames: u64,
    syncs: u64,
}

impl Volatile {
    fn walk(&mut self, line: &str, seen: &mut Seen) {
        // "1234 fdatasync(5</dir/file>) = 0": the name, its first path, the answer.
        let (_, call) = line.split_once(' ').unwrap();
        let (name, rest) = call.trim_start().split_once('(').unwrap();
        let path = rest
            .split(['<', '>', '"'])
            .nth(1)
            .unwrap_or_default()
            .to_string();
        assert!(!line.contains(" = -1"), "nothing fails here: {line}");
        match name {
            "pwritev" => _ = self.written.insert(path),
            "fallocate" => _ = self.allocated.insert(path),
            "fdatasync" => {
                seen.syncs += 1;
                self.written.remove(&path);
            }
            "fsync" => {
                self.written.remove(&path);
                self.allocated.remove(&path);
                self.renamed
                    .take_if(|renamed| renamed.rsplit_once('/').unwrap().0 == path);
            }
            "write" if path.ends_with("/acknowledged") => {
                seen.acknowledged += 1;
                assert!(
                    self.written.is_empty(),
                    "{line}: {:?} not synced",
                    self.written
                );
                assert!(
                    self.renamed.is_none(),
                    "{line}: {:?} not synced",
                    self.renamed
                );
            }
            "write" => {}
            "rename" | "renameat" | "renameat2" => {
                seen.renames += 1;
                assert!(!self.written.contains(&path), "{line}: written, not synced");
                assert!(
                    !self.allocated.contains(&path),
                    "{line}: allocated, not synced"
                );
                assert!(
                    self.renamed.is_none(),
                    "{line}: {:?} not synced",
                    self.renamed
                );
                self.renamed = Some(path);
            }
            other => panic!("{other} is not traced"),
        }
    }
}

#[test]
fn nothing_is_acknowledged_or_named_before_it_is_durable() {
    let dir = directory();
    let log = dir.path().join("calls");
    let calls = "trace=pwritev,fallocate,fdatasync,fsync,write,?rename,?renameat,?renameat2";
    let status = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-s",
            "0",
            "-e",
            "signal=none",
            "-e",
            calls,
            "-o",
        ])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["faults::child", "--exact", "--test-threads=1"])
        .env(CHILD_DIR, dir.path())
        .output()
        .expect("the program `strace` is needed for this test: apt-get install strace")
        .status;
    assert!(status.success());
    let (mut volatile, mut seen) = (Volatile::default(), Seen::default());
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        volatile.walk(line, &mut seen);
    }
    assert_eq!(seen.acknowledged, RECORDS);
    assert!(
        seen.renames >= 5 && seen.syncs >= 2 * RECORDS,
        "{} {}",
        seen.renames,
        seen.syncs
    );
}
