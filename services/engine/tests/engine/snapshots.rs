//! A start from a snapshot is a start from the journal; a snapshot that is not whole, or not of this
//! journal, costs nothing but time; and one that cannot be taken stops nothing.

use crate::support::{
    Held, JOURNAL, Random, Running, payment, payments, recovered, replayed, seeds, set_up,
};
use settlement_core::view::Status;
use std::fs;
use std::path::{Path, PathBuf};
use valuta_engine::{Snapshots, StopReason};
use valuta_journal::{JournalId, MemoryJournal};

const NEVER: u64 = u64::MAX;

fn files(dir: &Path) -> Vec<PathBuf> {
    let newest_first = Snapshots::new(dir.to_path_buf()).newest_first();
    newest_first.into_iter().map(|(_, path)| path).collect()
}

/// What a start finds with snapshots is what it finds without; answers which snapshot it took.
fn check(journal: &MemoryJournal, dir: &Path) -> Option<u64> {
    let (state, plain) = replayed(journal, true);
    let found = recovered(journal, dir);
    assert_eq!(found.state.digest(), state.digest());
    assert!(found.state.conserves());
    let (sequence, time) = (found.replayed.sequence, found.replayed.time);
    assert_eq!((sequence, time), (plain.sequence, plain.time));
    assert_eq!(
        found.replayed.records == plain.records,
        found.snapshot.is_none()
    );
    found.snapshot
}

/// Runs an engine over a journal and its snapshots, and stops it in order.
async fn day(
    journal: MemoryJournal,
    dir: &Path,
    every_bytes: u64,
    random: &mut Random,
) -> MemoryJournal {
    let held = Held::new(journal);
    let running = Running::with_snapshots(held.clone(), dir, every_bytes);
    let handle = &running.handle;
    set_up(handle).await;
    for _ in 0..10 + random.below(20) {
        let first = random.below(5_000);
        let batch = payments(
            first..first + 1 + random.below(40),
            1 + random.below(500) as i64,
        );
        handle.submit(batch).await.unwrap();
    }
    assert_eq!(running.stop().await, StopReason::ShutDown);
    held.into_inner().crash()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_a_snapshot_is_a_start_from_the_journal() {
    for seed in seeds(10) {
        let (dir, mut random) = (tempfile::tempdir().unwrap(), Random(seed));
        let mut journal = MemoryJournal::new(JOURNAL);
        for _ in 0..4 {
            // The orderly end takes one; what follows is replayed after it.
            journal = day(journal, dir.path(), 20_000, &mut random).await;
            let last = check(&journal, dir.path());
            assert_eq!(
                last,
                Some(replayed(&journal, true).1.sequence),
                "seed {seed}"
            );
            let other = tempfile::tempdir().unwrap();
            journal = day(journal, other.path(), NEVER, &mut random).await;
            assert_eq!(check(&journal, dir.path()), last, "seed {seed}");
            assert!((1..=2).contains(&files(dir.path()).len()));
        }
    }
}

/// A journal of two days, with a snapshot after each.
async fn two_snapshots(dir: &Path) -> MemoryJournal {
    let mut random = Random(7);
    let journal = day(MemoryJournal::new(JOURNAL), dir, NEVER, &mut random).await;
    let journal = day(journal, dir, NEVER, &mut random).await;
    assert_eq!(files(dir).len(), 2);
    journal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = two_snapshots(dir.path()).await;
    let sequences: Vec<u64> = Snapshots::new(dir.path().to_path_buf())
        .newest_first()
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    let newest = files(dir.path())[0].clone();
    let whole = fs::read(&newest).unwrap();
    assert_eq!(check(&journal, dir.path()), Some(sequences[0]));
    let mut random = Random(3);
    let every_head_bit = (0..200 * 8).chain((0..200).map(|_| random.below(whole.len() as u64 * 8)));
    for bit in every_head_bit {
        let mut bytes = whole.clone();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        fs::write(&newest, bytes).unwrap();
        let found = recovered(&journal, dir.path());
        assert_eq!(found.snapshot, Some(sequences[1]), "bit {bit}");
    }
    for length in (0..whole.len()).step_by(whole.len() / 100) {
        fs::write(&newest, &whole[..length]).unwrap();
        assert_eq!(
            recovered(&journal, dir.path()).snapshot,
            Some(sequences[1]),
            "{length} bytes"
        );
    }
    let longer = [whole.as_slice(), b"x"].concat();
    fs::write(&newest, longer).unwrap();
    assert_eq!(check(&journal, dir.path()), Some(sequences[1]));
    fs::write(&files(dir.path())[1], b"nothing of ours").unwrap();
    assert_eq!(check(&journal, dir.path()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_journal_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = two_snapshots(dir.path()).await;
    assert!(check(&journal, dir.path()).is_some());
    // Another id; the same id with another history; the same history, but shorter.
    let elsewhere = tempfile::tempdir().unwrap();
    let other_id = MemoryJournal::new(JournalId([8; 16]));
    let other_id = day(other_id, elsewhere.path(), NEVER, &mut Random(7)).await;
    let other_history = MemoryJournal::new(JOURNAL);
    let other_history = day(other_history, elsewhere.path(), NEVER, &mut Random(8)).await;
    let empty = MemoryJournal::new(JOURNAL);
    for other in [other_id, other_history, empty] {
        assert_eq!(check(&other, dir.path()), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_tidied_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let journal = two_snapshots(dir.path()).await;
    let newest = files(dir.path())[0].clone();
    // Killed while it wrote, and killed before it removed the oldest.
    fs::write(dir.path().join("snapshot.tmp"), b"half of one").unwrap();
    let old = dir.path().join("snapshot-00000000000000000001");
    fs::copy(&newest, &old).unwrap();
    assert!(check(&journal, dir.path()).is_some());
    let journal = day(journal, dir.path(), NEVER, &mut Random(9)).await;
    assert_eq!(files(dir.path()).len(), 2);
    assert!(!old.exists() && !dir.path().join("snapshot.tmp").exists());
    assert_eq!(
        check(&journal, dir.path()),
        Some(replayed(&journal, true).1.sequence)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_taken_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("snapshots");
    fs::write(&blocked, b"in the way").unwrap();
    let journal = Held::memory();
    let running = Running::with_snapshots(journal.clone(), &blocked, 1_000);
    set_up(&running.handle).await;
    for number in 0..50 {
        let answer = running.handle.submit(payment(number, 100)).await.unwrap();
        assert!(matches!(answer.accepted[0].status, Status::Settled { .. }));
    }
    // Once it is out of the way, the next one is taken.
    fs::remove_file(&blocked).unwrap();
    for number in 50..100 {
        running.handle.submit(payment(number, 100)).await.unwrap();
    }
    assert_eq!(running.stop().await, StopReason::ShutDown);
    let journal = journal.into_inner().crash();
    assert_eq!(
        check(&journal, &blocked),
        Some(replayed(&journal, true).1.sequence)
    );
}
