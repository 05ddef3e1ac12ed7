#![allow(clippy::unwrap_used)]
//! Crashes at every durable step, leftovers of every kind, damage everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::batch::{Balance, MemberContent, Posting};
use crate::hash::encode;
use crate::store::{Fault, Step, Target, When};

const STEPS: [Step; 4] = [Step::Write, Step::Sync, Step::Rename, Step::SyncDirectory];
const CHECKPOINT: &str = "public/checkpoint";
const BUNDLE: &str = "public/tile/entries/000.p";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A ledger of `count` batches, closed again. Of the last three each has a checkpoint.
    fn with(count: u64) -> Self {
        let place = Self::new();
        let mut ledger = place.open().unwrap();
        let each = count.saturating_sub(3);
        ledger
            .add_headers((1..=each).map(header).collect())
            .unwrap();
        (each + 1..=count)
            .for_each(|number| assert!(matches!(ledger.add(&batch(number)), Ok(Added::New(_)))));
        drop(ledger);
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

    /// All files, by their path in the ledger's directory.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        collect(self.dir.path(), &mut |path| {
            let name = path.strip_prefix(self.dir.path()).unwrap();
            let name = name.to_str().unwrap().to_owned();
            files.push((name, fs::read(path).unwrap()));
        });
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

fn collect(dir: &Path, file: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, file);
        } else {
            file(&path);
        }
    }
}

fn set_fault(ledger: &Ledger, fault: Option<Fault>) {
    ledger.reader.shared.store().as_mut().unwrap().fault = fault;
}

fn header(number: u64) -> Header {
    batch(number).commit().unwrap()
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
        let added = ledger.add(&batch(number)).unwrap();
        checkpoints.push(added.anchor().checkpoint.clone());
    }
    checkpoints
}

/// Feeds from `next_number` on, and compares every checkpoint with the undisturbed ledger's.
fn feed_and_compare(place: &Place, expected: &[Arc<str>], what: &str) {
    let count = expected.len() as u64 - 1;
    let mut ledger = place
        .open()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let size = ledger.reader().size() as usize;
    assert_eq!(ledger.reader().checkpoint(), expected[size], "{what}");
    for number in ledger.next_number()..=count {
        let added = ledger.add(&batch(number)).unwrap();
        assert!(matches!(added, Added::New(_)), "{what}");
        let checkpoint = &added.anchor().checkpoint;
        assert_eq!(*checkpoint, expected[number as usize], "{what}");
    }
    for number in (1..=count).rev().take(5) {
        let added = ledger.add(&batch(number)).unwrap();
        assert!(matches!(added, Added::AlreadyThere(_)), "{what}");
        let checkpoint = &added.anchor().checkpoint;
        assert_eq!(*checkpoint, expected[count as usize], "{what}");
    }
    let stored = fs::read_to_string(place.file(CHECKPOINT)).unwrap();
    assert_eq!(*stored, *ledger.reader().checkpoint(), "{what}");
    assert_eq!(ledger.reader().audit().unwrap(), count, "{what}");
}

#[test]
fn a_crash_on_either_side_of_every_step_loses_nothing_and_forks_nothing() {
    let expected = checkpoints(259);
    for covered in [0, 1, 4, 254, 255, 256] {
        for target in [Target::Bundle, Target::Tile, Target::Checkpoint] {
            for (step, when) in STEPS
                .into_iter()
                .flat_map(|step| [(step, When::Before), (step, When::After)])
            {
                let what = format!("{target:?} {step:?} {when:?} after {covered}");
                let place = Place::with(covered);
                let mut ledger = place.open().unwrap();
                set_fault(&ledger, Some((target, step, when)));
                let (reader, before) = (ledger.reader(), ledger.reader().checkpoint());
                let headers = vec![header(covered + 1), header(covered + 2)];
                let error = ledger.add_headers(headers).unwrap_err();
                assert!(matches!(error, LedgerError::Io { .. }), "{what}: {error}");
                assert_eq!(reader.checkpoint(), before, "{what}: shown before durable");
                set_fault(&ledger, None);
                let error = ledger.add(&batch(covered + 1)).unwrap_err();
                let is_stopped = matches!(error, LedgerError::Stopped { .. });
                assert!(is_stopped, "{what}: {error}");
                drop((ledger, reader));
                feed_and_compare(&place, &expected[..=covered as usize + 3], &what);
            }
        }
    }
}

#[test]
fn several_headers_with_one_signature_give_the_same_log() {
    let expected = checkpoints(20);
    let place = Place::new();
    let mut ledger = place.open().unwrap();
    let added = ledger.add_headers((1..=7).map(header).collect()).unwrap();
    assert!(
        added
            .iter()
            .all(|added| added.anchor().checkpoint == expected[7])
    );
    assert_eq!(added[6].anchor().index, 6);
    let mixed = ledger.add_headers((6..=9).map(header).collect()).unwrap();
    let is_new: Vec<_> = mixed
        .iter()
        .map(|added| matches!(added, Added::New(_)))
        .collect();
    assert_eq!(is_new, [false, false, true, true]);
    let check = |ledger: &mut Ledger, numbers: &[u64], sentence: &str| {
        let error = ledger.add_headers(numbers.iter().copied().map(header).collect());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        assert_eq!(ledger.reader().checkpoint(), expected[9], "none is added");
    };
    check(
        &mut ledger,
        &[10, 12],
        "batch 12 offered, but batch 11 is next",
    );
    check(
        &mut ledger,
        &[10, 10],
        "batch 10 offered, but batch 11 is next",
    );
    assert!(ledger.add_headers(Vec::new()).unwrap().is_empty());
    drop(ledger);
    feed_and_compare(&place, &expected, "some at once");

    let foreign = |number, scheme: &str| Header {
        scheme: scheme.into(),
        ..header(number)
    };
    let mut ledger = Place::new().open().unwrap();
    let error = ledger.add_headers(vec![foreign(1, "a"), foreign(2, "b")]);
    assert!(matches!(error, Err(LedgerError::SchemeForeign { .. })));
    assert!(ledger.add(&batch(1)).is_ok(), "not stopped");
}

/// The files are what C2SP tlog-tiles says, for every size; older partial ones stay until the full one.
#[test]
fn the_static_files_are_those_of_the_specification() {
    let place = Place::new();
    let mut ledger = place.open().unwrap();
    let mut expected: Vec<String> = vec!["lock".into(), CHECKPOINT.into()];
    for size in 1..=260_u64 {
        ledger.add(&batch(size)).unwrap();
        let (index, width) = ((size - 1) / 256, (size - 1) % 256 + 1);
        for kind in ["0", "entries"] {
            let tile = format!("public/tile/{kind}/{index:03}");
            expected.retain(|name| width < 256 || !name.starts_with(&tile));
            expected.push(if width < 256 {
                format!("{tile}.p/{width}")
            } else {
                tile
            });
        }
        if size == 256 {
            expected.push("public/tile/1/000.p/1".into());
        }
        expected.sort();
        if size % 100 == 0 || size % 256 < 5 {
            assert_eq!(place.names(), expected, "{size}");
        }
    }
    let file = |name: &str| fs::read(place.file(name)).unwrap();
    let reader = ledger.reader();
    let texts: Vec<_> = (1..=260)
        .map(|number| reader.header(number).unwrap().text())
        .collect();
    let mut bundle = Vec::new();
    for text in &texts[256..] {
        bundle.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        bundle.extend(text.as_bytes());
    }
    assert_eq!(file("public/tile/entries/001.p/4"), bundle);
    let leaves: Vec<_> = texts
        .iter()
        .map(|text| leaf_hash(text.as_bytes()))
        .collect();
    assert_eq!(file("public/tile/0/000"), leaves[..256].concat());
    assert_eq!(file("public/tile/0/001.p/4"), leaves[256..].concat());
    let root = leaves[..256].iter().copied().collect::<Edge>().root();
    assert_eq!(file("public/tile/1/000.p/1"), root);
}

/// What proofs read from tiles, against the tree in memory, for all pairs of sizes.
#[test]
fn proofs_from_tiles_are_those_of_the_tree() {
    let size_max = 300;
    let place = Place::with(size_max);
    let reader = place.open().unwrap().reader();
    let leaves = (1..=size_max).map(|number| {
        let text = reader.header(number).unwrap().text();
        leaf_hash(text.as_bytes())
    });
    let tree: crate::tree::Tree = leaves.collect();
    let mut proofs = reader.shared.tiles.proofs(size_max);
    for new in 0..=size_max {
        assert_eq!(proofs.root(new).unwrap(), tree.root(new).unwrap());
        for old in 0..=new {
            let proof = proofs.consistency(old, new).unwrap();
            assert_eq!(Some(proof), tree.consistency_proof(old, new), "{old} {new}");
            if old < new {
                let path = proofs.inclusion(old, new).unwrap();
                assert_eq!(Some(path), tree.inclusion_proof(old, new), "{old} {new}");
            }
        }
    }
    for (from, to) in [(5, 5), (0, size_max + 1), (7, 6)] {
        let error = reader.inclusion_proof(from, to).unwrap_err();
        assert!(matches!(error, LedgerError::ProofOutOfRange { .. }));
    }
    assert!(reader.consistency_proof(3, 2).is_err());
    assert!(reader.consistency_proof(0, size_max + 1).is_err());
}

#[test]
fn unfinished_files_are_for_nobody() {
    let expected = checkpoints(3);
    let place = Place::with(2);
    for target in ["bundle", "tile", "checkpoint", "witnessed"] {
        fs::write(place.file(&format!("{target}.new")), "cut off").unwrap();
    }
    feed_and_compare(&place, &expected, "leftovers");
    let place = Place::with(0);
    fs::remove_file(place.file(CHECKPOINT)).unwrap();
    feed_and_compare(&place, &expected, "cut off before the first checkpoint");
}

#[test]
fn tiles_that_are_missing_are_made_again_and_superseded_ones_go() {
    let expected = checkpoints(263);
    let place = Place::with(259);
    let before = place.files();
    let names = place.names();
    for name in names
        .iter()
        .filter(|name| !name.contains("entries") && name.contains("tile"))
    {
        fs::remove_file(place.file(name)).unwrap();
        drop(place.open().unwrap());
        if ["public/tile/0/001.p/1", "public/tile/0/001.p/2"].contains(&name.as_str()) {
            fs::write(
                place.file(name),
                &before.iter().find(|(n, _)| n == name).unwrap().1,
            )
            .unwrap();
        }
        assert_eq!(place.files(), before, "{name}");
    }
    fs::remove_dir_all(place.file("public/tile/0")).unwrap();
    fs::remove_dir_all(place.file("public/tile/1")).unwrap();
    fs::create_dir(place.file(BUNDLE)).unwrap();
    fs::write(place.file(&format!("{BUNDLE}/9")), "of a crash").unwrap();
    feed_and_compare(&place, &expected, "made again");
    assert!(!place.file(BUNDLE).exists());
}

#[test]
fn every_flipped_bit_in_covered_data_is_named_and_nothing_is_changed() {
    // Each bit costs an opening: by default one bit of each byte.
    let is_long = std::env::var_os("VALUTA_LONG").is_some();
    let place = Place::with(3);
    witness(&place.open().unwrap(), "w");
    let names = place.names();
    assert_eq!(names.len(), 9, "{names:?}");
    for name in names.iter().filter(|name| *name != "lock") {
        let good = fs::read(place.file(name)).unwrap();
        for bit in (0..good.len() * 8).filter(|bit| is_long || bit % 8 == bit / 8 % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(place.file(name), &bad).unwrap();
            let error = place.error();
            let path = place.file(name).display().to_string();
            assert!(error.contains(&path), "{name} bit {bit}: {error}");
            if name.contains("tile") {
                let offset = error.split("at offset ").nth(1).unwrap();
                let offset: usize = offset.split(':').next().unwrap().parse().unwrap();
                assert!(
                    offset <= bit / 8 || name.contains("entries"),
                    "{bit}: {error}"
                );
            }
            assert_eq!(fs::read(place.file(name)).unwrap(), bad, "{name} bit {bit}");
        }
        fs::write(place.file(name), &good).unwrap();
    }
    drop(place.open().unwrap());
}

/// As by a background thread: found in each file, named, and then nothing is signed any more.
#[test]
fn damage_while_running_is_found_by_the_audit_and_stops_the_ledger() {
    let place = Place::with(258);
    witness(&place.open().unwrap(), "w");
    for name in place.names().iter().filter(|name| *name != "lock") {
        let mut ledger = place.open().unwrap();
        let reader = ledger.reader();
        assert_eq!(reader.audit().unwrap(), 258);
        let good = fs::read(place.file(name)).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(place.file(name), &bad).unwrap();
            let error = reader.audit().unwrap_err().to_string();
            let path = place.file(name).display().to_string();
            assert!(error.contains(&path), "{name} {at}: {error}");
        }
        fs::remove_file(place.file(name)).unwrap();
        let is_stale = name.ends_with(".p/1") && !name.contains("tile/1/");
        assert_eq!(reader.audit().is_ok(), is_stale, "{name} missing");
        fs::write(place.file(name), &good).unwrap();
        assert!(reader.audit().is_ok());
        assert!(reader.stopped().is_some(), "{name}");
        let error = ledger.add(&batch(259)).unwrap_err();
        assert!(
            matches!(error, LedgerError::Stopped { .. }),
            "{name}: {error}"
        );
        let note = witnessed_note(&ledger, "x");
        assert!(matches!(
            reader.witnessed(&note),
            Err(LedgerError::Stopped { .. })
        ));
    }
}

#[test]
fn damage_is_found_by_readers_and_before_a_signature() {
    let place = Place::with(3);
    let ledger = place.open().unwrap();
    let name = format!("{BUNDLE}/3");
    let good = fs::read(place.file(&name)).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(place.file(&name), &bad).unwrap();
    let reader = ledger.reader();
    assert!(matches!(
        reader.header(1),
        Err(LedgerError::Damaged { offset: 0, .. })
    ));
    assert!(reader.header(2).is_ok());
    assert!(reader.stopped().is_some());
    drop(ledger);

    for name in [name, "public/tile/0/000.p/3".to_owned()] {
        fs::write(place.file(&format!("{BUNDLE}/3")), &good).unwrap();
        let mut ledger = place.open().unwrap();
        let bytes = fs::read(place.file(&name)).unwrap();
        let mut bad = bytes.clone();
        bad[10] ^= 1;
        fs::write(place.file(&name), &bad).unwrap();
        let files = place.files();
        let added = ledger.add(&batch(4));
        if name.contains("entries") {
            assert!(matches!(added, Err(LedgerError::Damaged { offset: 0, .. })));
            assert_eq!(place.files(), files, "nothing is written");
            let error = ledger.add(&batch(4)).unwrap_err();
            assert!(matches!(error, LedgerError::Stopped { .. }));
        } else {
            // The next tile comes from memory, which was just hashed: the damaged one is of an earlier size.
            assert!(added.is_ok());
            assert!(ledger.reader().audit().is_err());
        }
        drop(ledger);
        fs::write(place.file(&name), &bytes).unwrap();
    }
}

#[test]
fn covered_data_cut_off_at_any_length_is_refused() {
    let place = Place::with(2);
    for name in [
        format!("{BUNDLE}/2"),
        CHECKPOINT.into(),
        "public/tile/0/000.p/2".into(),
    ] {
        let good = fs::read(place.file(&name)).unwrap();
        for length in 0..good.len() {
            fs::write(place.file(&name), &good[..length]).unwrap();
            let before = place.files();
            place.error();
            assert_eq!(place.files(), before, "{name} {length}");
        }
        fs::write(place.file(&name), [&good[..], b"\n"].concat()).unwrap();
        place.error();
        fs::write(place.file(&name), &good).unwrap();
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
    let remove = |name: &str| fs::remove_file(place.file(name)).unwrap();
    check(&|| remove(CHECKPOINT), "missing, but there are entries");
    check(
        &|| remove(&format!("{BUNDLE}/3")),
        "entries/000.p/3 is damaged at offset 0: file is missing",
    );
    let all = || fs::remove_dir_all(place.file("public/tile")).unwrap();
    let before = place.files();
    all();
    assert!(place.error().contains("missing"));
    for dir in ["entries", "0"] {
        fs::create_dir_all(place.file(&format!("public/tile/{dir}/000.p"))).unwrap();
    }
    before
        .iter()
        .for_each(|(name, bytes)| fs::write(place.file(name), bytes).unwrap());
    let old = [("entries", "valuta.entries/v1\n")];
    for (name, bytes) in old {
        fs::write(place.file(name), bytes).unwrap();
        assert!(place.error().contains("older"), "{}", place.error());
        fs::remove_file(place.file(name)).unwrap();
    }
    for other in [("valuta.example/log", 2), ("valuta.example/other", 1)] {
        let other = LogKey::from_seed(other.0, &[other.1; 32]).unwrap();
        let opened = Ledger::open(place.dir.path(), other);
        assert!(matches!(opened, Err(LedgerError::Checkpoint { .. })));
    }
    // An older checkpoint of the same log: what it does not cover was durable, and is signed as before.
    let older = Place::with(1);
    fs::copy(older.file(CHECKPOINT), place.file(CHECKPOINT)).unwrap();
    feed_and_compare(&place, &checkpoints(4), "mended");
}

/// A whole bundle that no crash of ours can have left stays for inspection.
#[test]
fn a_whole_entry_that_does_not_follow_is_refused() {
    let place = Place::with(1);
    let name = |width: u8| place.file(&format!("{BUNDLE}/{width}"));
    let one = fs::read(name(1)).unwrap();
    fs::write(name(2), [&one[..], &one].concat()).unwrap();
    assert!(
        place.error().contains("batch 1 is out of order"),
        "{}",
        place.error()
    );
    let other = Place::new();
    let mut ledger = other.open().unwrap();
    let changed = BatchInput {
        seed: [99; 32],
        ..batch(1)
    };
    ledger.add(&changed).unwrap();
    ledger.add(&batch(2)).unwrap();
    drop(ledger);
    let foreign = fs::read(other.file(&format!("{BUNDLE}/2"))).unwrap();
    let second = fs::read(other.file(&format!("{BUNDLE}/1"))).unwrap().len();
    fs::write(name(2), [&one[..], &foreign[second..]].concat()).unwrap();
    let error = place.error();
    assert!(error.contains("does not name the one before it"), "{error}");
    fs::write(name(2), &foreign).unwrap();
    drop(other);
    assert!(place.error().contains("000.p/2"), "{}", place.error());
}

#[test]
fn a_second_process_is_refused() {
    let place = Place::with(1);
    let first = place.open().unwrap();
    let reader = first.reader();
    assert!(matches!(place.open(), Err(LedgerError::Locked { .. })));
    let note = witnessed_note(&first, "w");
    drop(first);
    assert!(place.open().is_ok(), "a reader holds no lock");
    assert!(reader.header(1).is_ok());
    assert!(matches!(
        reader.witnessed(&note),
        Err(LedgerError::Stopped { .. })
    ));
}

#[test]
fn a_flipped_bit_in_memory_is_not_signed() {
    for size in [1, 2, 3, 7, 255, 256, 257] {
        let place = Place::with(size);
        let hashes = (0..).take_while(|hash| place.open().unwrap().head.frontier.flip_bit(*hash));
        for hash in 0..hashes.count() {
            let mut ledger = place.open().unwrap();
            let good = place.files();
            ledger.head.frontier.flip_bit(hash);
            let error = ledger.add(&batch(size + 1)).unwrap_err();
            let is_named = matches!(error, LedgerError::HashesDisagree { .. });
            assert!(is_named, "{size}, {hash}: {error}");
            assert_eq!(place.files(), good);
            if hash > 4 {
                break;
            }
        }
    }
}

fn cosignature(name: &str, time: u8) -> String {
    let blob = encode(&[[7; 4].as_slice(), &[time; 72]].concat());
    format!("\u{2014} {name} {blob}\n")
}

fn witnessed_note(ledger: &Ledger, name: &str) -> String {
    format!("{}{}", ledger.reader().checkpoint(), cosignature(name, 1))
}

fn witness(ledger: &Ledger, name: &str) {
    ledger
        .reader()
        .witnessed(&witnessed_note(ledger, name))
        .unwrap();
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
    feed_and_compare(&place, &checkpoints(4), "opened anew");
}

#[path = "witnessed_tests.rs"]
mod witnessed;
