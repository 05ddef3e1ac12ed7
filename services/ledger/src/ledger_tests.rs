#![allow(clippy::unwrap_used)]
//! Crashes at every durable step, leftovers of every length, damage everywhere.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::batch::{Balance, MemberContent, Posting};
use crate::store::{Step, When};

const STEPS: [Step; 6] = [
    Step::WriteEntry,
    Step::SyncEntry,
    Step::WriteCheckpoint,
    Step::SyncCheckpoint,
    Step::RenameCheckpoint,
    Step::SyncDirectory,
];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A ledger of `count` batches, closed again.
    fn with(count: u64) -> Self {
        let place = Self::new();
        let mut ledger = place.open().unwrap();
        (1..=count)
            .for_each(|number| assert!(matches!(ledger.add(&batch(number)), Ok(Added::New(_)))));
        place
    }

    fn open(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(self.dir.path(), key())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn error(&self) -> String {
        match self.open() {
            Ok(_) => panic!("a damaged ledger opened"),
            Err(error) => error.to_string(),
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap());
        let mut files: Vec<_> = files
            .map(|file| {
                (
                    file.file_name().into_string().unwrap(),
                    fs::read(file.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

fn key() -> LogKey {
    LogKey::from_seed("valuta.example/log", &[1; 32]).unwrap()
}

fn batch(number: u64) -> BatchInput {
    let amount = i128::from(number) * 100;
    let posting = |participant: &str, amount| Posting {
        participant: participant.into(),
        asset: "EUR".into(),
        amount,
    };
    BatchInput {
        scheme: "demo".into(),
        number,
        time_ms: 1_763_640_000_000 + number as i64,
        cycle: None,
        seed: [number as u8; 32],
        members: (0..3)
            .map(|index| MemberContent::One(format!("{number}/{index}").into_bytes()))
            .collect(),
        postings: vec![posting("AAAADEFF", -amount), posting("BBBBDEFF", amount)],
        balances: vec![Balance {
            participant: "AAAADEFF".into(),
            asset: "EUR".into(),
            amount: 0,
        }],
        certificate_hash: None,
        sequence: number * 10,
        chain: [number as u8; 32],
    }
}

/// The checkpoints of an undisturbed ledger, by size.
fn checkpoints(count: u64) -> Vec<Arc<str>> {
    let place = Place::new();
    let mut ledger = place.open().unwrap();
    let mut checkpoints = vec![ledger.reader().checkpoint()];
    for number in 1..=count {
        checkpoints.push(
            ledger
                .add(&batch(number))
                .unwrap()
                .anchor()
                .checkpoint
                .clone(),
        );
    }
    checkpoints
}

/// Feeds from `next_number` on, and compares every checkpoint with the undisturbed ledger's.
fn feed_and_compare(place: &Place, count: u64, what: &str) {
    let expected = checkpoints(count);
    let mut ledger = place
        .open()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let size = ledger.reader().size() as usize;
    assert_eq!(ledger.reader().checkpoint(), expected[size], "{what}");
    for number in ledger.next_number()..=count {
        let added = ledger.add(&batch(number)).unwrap();
        assert!(matches!(added, Added::New(_)), "{what}");
        assert_eq!(
            added.anchor().checkpoint,
            expected[number as usize],
            "{what}"
        );
    }
    for number in 1..=count {
        let added = ledger.add(&batch(number)).unwrap();
        assert!(matches!(added, Added::AlreadyThere(_)), "{what}");
        assert_eq!(
            added.anchor().checkpoint,
            expected[count as usize],
            "{what}"
        );
    }
    assert_eq!(ledger.reader().audit().unwrap(), count, "{what}");
}

#[test]
fn a_crash_on_either_side_of_every_step_loses_nothing_and_forks_nothing() {
    for step in STEPS {
        for when in [When::Before, When::After] {
            for covered in [0, 1, 4] {
                let place = Place::with(covered);
                let mut ledger = place.open().unwrap();
                ledger.store.fault = Some((step, when));
                let (reader, before) = (ledger.reader(), ledger.reader().checkpoint());
                let error = ledger.add(&batch(covered + 1)).unwrap_err();
                assert!(
                    matches!(error, LedgerError::Io { .. }),
                    "{step:?} {when:?}: {error}"
                );
                assert_eq!(
                    reader.checkpoint(),
                    before,
                    "{step:?} {when:?}: shown before durable"
                );
                ledger.store.fault = None;
                let error = ledger.add(&batch(covered + 1)).unwrap_err();
                assert!(
                    matches!(error, LedgerError::Stopped { .. }),
                    "{step:?} {when:?}: {error}"
                );
                drop((ledger, reader));
                feed_and_compare(
                    &place,
                    covered + 2,
                    &format!("{step:?} {when:?} after {covered}"),
                );
            }
        }
    }
}

#[test]
fn a_torn_last_entry_of_every_length_is_dropped_or_signed() {
    let (before, after) = (Place::with(2), Place::with(3));
    let (old, new) = (
        fs::read(before.file("entries")).unwrap(),
        fs::read(after.file("entries")).unwrap(),
    );
    let place = Place::with(2);
    for length in old.len()..=new.len() {
        fs::write(place.file("entries"), &new[..length]).unwrap();
        fs::copy(before.file("checkpoint"), place.file("checkpoint")).unwrap();
        let ledger = place.open().unwrap();
        let size = if length == new.len() { 3 } else { 2 };
        assert_eq!(ledger.reader().size(), size, "{length}");
        drop(ledger);
        let kept = if length == new.len() {
            new.len()
        } else {
            old.len()
        };
        assert_eq!(
            fs::read(place.file("entries")).unwrap(),
            new[..kept],
            "{length}"
        );
    }
    // Length on disk before the bytes: zeros, or another file's old blocks.
    for garbage in [vec![0; 500], vec![0xff; 500], new[old.len() + 1..].to_vec()] {
        fs::write(place.file("entries"), [old.clone(), garbage].concat()).unwrap();
        fs::copy(before.file("checkpoint"), place.file("checkpoint")).unwrap();
        feed_and_compare(&place, 3, "garbage");
    }
}

#[test]
fn unfinished_files_are_for_nobody() {
    let place = Place::with(2);
    for leftover in ["", "valuta.exam", "valuta.example/log\n9\n"] {
        fs::write(place.file("checkpoint.new"), leftover).unwrap();
        feed_and_compare(&place, 3, leftover);
    }
    let place = Place::new();
    fs::write(place.file("entries.new"), "valuta.ent").unwrap();
    feed_and_compare(&place, 2, "cut off at the first start");
    let place = Place::with(0);
    fs::remove_file(place.file("checkpoint")).unwrap();
    feed_and_compare(&place, 2, "cut off before the first checkpoint");
}

#[test]
fn every_flipped_bit_in_covered_data_is_refused_and_nothing_is_changed() {
    let place = Place::with(3);
    // Each bit costs an opening: by default one bit of each byte.
    let is_long = std::env::var_os("VALUTA_LONG").is_some();
    for name in ["entries", "checkpoint"] {
        let good = fs::read(place.file(name)).unwrap();
        for bit in (0..good.len() * 8).filter(|bit| is_long || bit % 8 == bit / 8 % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(place.file(name), &bad).unwrap();
            let error = place.error();
            assert!(
                error.contains(&place.file(name).display().to_string()),
                "{name} bit {bit}: {error}"
            );
            if name == "entries" {
                assert!(error.contains("at offset"), "{name} bit {bit}: {error}");
            }
            assert_eq!(fs::read(place.file(name)).unwrap(), bad, "{name} bit {bit}");
        }
        fs::write(place.file(name), &good).unwrap();
    }
    feed_and_compare(&place, 4, "mended");
}

#[test]
fn covered_data_cut_off_at_any_length_is_refused() {
    let place = Place::with(2);
    for name in ["entries", "checkpoint"] {
        let good = fs::read(place.file(name)).unwrap();
        for length in 0..good.len() {
            fs::write(place.file(name), &good[..length]).unwrap();
            let before = place.files();
            place.error();
            assert_eq!(place.files(), before, "{name} {length}");
        }
        fs::write(place.file(name), &good).unwrap();
    }
}

#[test]
fn missing_old_and_foreign_files_are_refused() {
    let place = Place::with(3);
    let check = |change: &dyn Fn(), sentence: &str| {
        let good = place.files();
        change();
        let error = place.error();
        assert!(error.contains(sentence), "{error}");
        for (name, bytes) in good {
            fs::write(place.file(&name), bytes).unwrap();
        }
    };
    check(
        &|| fs::remove_file(place.file("checkpoint")).unwrap(),
        "missing, but there are entries",
    );
    check(
        &|| fs::remove_file(place.file("entries")).unwrap(),
        "missing, but there is a checkpoint",
    );
    let older = Place::with(1);
    let copy = |name| assert!(fs::copy(older.file(name), place.file(name)).is_ok());
    check(
        &|| copy("checkpoint"),
        "more than one entry after the checkpoint",
    );
    check(&|| copy("entries"), "cut off");
    let entries = fs::read(place.file("entries")).unwrap();
    let long = [entries.clone(), vec![0; 5_000]].concat();
    check(
        &|| fs::write(place.file("entries"), &long).unwrap(),
        "at offset",
    );
    feed_and_compare(&place, 4, "mended");
    for other in [("valuta.example/log", 2), ("valuta.example/other", 1)] {
        let other = LogKey::from_seed(other.0, &[other.1; 32]).unwrap();
        assert!(matches!(
            Ledger::open(place.dir.path(), other),
            Err(LedgerError::Checkpoint { .. })
        ));
    }
}

/// A valid frame that no crash of ours can have written stays for inspection.
#[test]
fn a_whole_entry_that_does_not_follow_is_refused() {
    let place = Place::with(2);
    let two = fs::read(place.file("entries")).unwrap();
    let one = fs::read(Place::with(1).file("entries")).unwrap().len();
    fs::write(place.file("entries"), [&two[..], &two[one..]].concat()).unwrap();
    assert!(
        place.error().contains("batch 2 is out of order"),
        "{}",
        place.error()
    );
}

/// As from another journal: whole, and of the right number.
#[test]
fn a_whole_entry_that_names_another_one_before_it_is_refused() {
    let (place, other) = (Place::with(1), Place::new());
    let mut ledger = other.open().unwrap();
    ledger
        .add(&BatchInput {
            seed: [99; 32],
            ..batch(1)
        })
        .unwrap();
    ledger.add(&batch(2)).unwrap();
    drop(ledger);
    let one = fs::read(place.file("entries")).unwrap();
    let foreign = fs::read(other.file("entries")).unwrap();
    fs::write(
        place.file("entries"),
        [&one[..], &foreign[one.len()..]].concat(),
    )
    .unwrap();
    assert!(
        place.error().contains("does not name the one before it"),
        "{}",
        place.error()
    );
}

#[test]
fn a_second_process_is_refused() {
    let place = Place::with(1);
    let first = place.open().unwrap();
    assert!(matches!(place.open(), Err(LedgerError::Locked { .. })));
    drop(first);
    assert!(place.open().is_ok());
}

#[test]
fn a_flipped_bit_in_memory_is_not_signed() {
    for size in 1..9 {
        for node in 0..u64::count_ones(size) {
            let place = Place::with(size);
            let mut ledger = place.open().unwrap();
            let good = fs::read(place.file("checkpoint")).unwrap();
            ledger.reader.shared.flip_edge_bit(node as usize);
            let error = ledger.add(&batch(size + 1)).unwrap_err();
            assert!(
                matches!(error, LedgerError::HashesDisagree { .. }),
                "{size}, {node}: {error}"
            );
            assert_eq!(fs::read(place.file("checkpoint")).unwrap(), good);
            drop(ledger);
            feed_and_compare(&place, size + 1, "restarted");
        }
    }
}

#[test]
fn damage_while_running_is_found_by_readers_and_by_the_audit() {
    let place = Place::with(3);
    let mut ledger = place.open().unwrap();
    let reader = ledger.reader();
    assert_eq!(reader.audit().unwrap(), 3);
    let mut bytes = fs::read(place.file("entries")).unwrap();
    bytes[100] ^= 1;
    fs::write(place.file("entries"), &bytes).unwrap();
    assert!(matches!(
        reader.audit(),
        Err(LedgerError::Damaged {
            offset: ENTRIES_START,
            ..
        })
    ));
    assert!(matches!(
        reader.header(1),
        Err(LedgerError::Damaged {
            offset: ENTRIES_START,
            ..
        })
    ));
    assert!(reader.header(2).is_ok());
    assert!(matches!(
        ledger.add(&batch(1)),
        Err(LedgerError::Damaged { .. })
    ));
    assert!(matches!(
        ledger.add(&batch(4)),
        Err(LedgerError::Stopped { .. })
    ));
}

#[test]
fn repeats_conflicts_and_gaps() {
    let place = Place::with(3);
    let mut ledger = place.open().unwrap();
    let check = |ledger: &mut Ledger, batch: &BatchInput, expected: &str| {
        let files = place.files();
        let found = match ledger.add(batch) {
            Ok(added) => format!("{added:?}"),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found}");
        assert_eq!(place.files(), files, "{expected}: nothing is written");
    };
    let changed = |number, change: fn(&mut BatchInput)| {
        let mut batch = batch(number);
        change(&mut batch);
        batch
    };
    check(&mut ledger, &batch(1), "AlreadyThere");
    check(&mut ledger, &batch(3), "AlreadyThere");
    check(
        &mut ledger,
        &batch(5),
        "batch 5 offered, but batch 4 is next",
    );
    check(
        &mut ledger,
        &changed(5, |b| b.number = u64::MAX),
        "but batch 4 is next",
    );
    check(
        &mut ledger,
        &changed(4, |b| b.scheme = "other".into()),
        "of scheme `other`",
    );
    check(
        &mut ledger,
        &changed(4, |b| b.members[0] = MemberContent::One(vec![])),
        "member 0 has no content",
    );
    check(
        &mut ledger,
        &changed(1, |b| b.number = 0),
        "`batch` is malformed",
    );
    check(
        &mut ledger,
        &changed(2, |b| b.seed[0] ^= 1),
        "batch 2 is in the log with other content: line `members`",
    );
    check(
        &mut ledger,
        &batch(4),
        "stopped: batch 2 is in the log with other content",
    );
    drop(ledger);
    feed_and_compare(&place, 4, "opened anew");
}
