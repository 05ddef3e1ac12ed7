//! Torn tails are cut, damage of acknowledged data is refused and named.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use valuta_journal::{
    Damage, Damaged, Journal, OpenError, ReadError, Record, Source, framed_bytes,
};

use crate::support::{
    Image, PAGE, Random, append_one, directory, image, journal_of, open, open_and_replay,
    read_offline, restore, seeds, segments,
};

/// How the tail of a record is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    FileCutShort,
    Zeros,
    Garbage,
}

/// Everything of `file` from `from` on.
fn lose(file: &Path, from: u64, record_end: u64, loss: Loss) {
    let opened = OpenOptions::new().write(true).open(file).unwrap();
    let bytes = (record_end - from) as usize;
    match loss {
        Loss::FileCutShort => opened.set_len(from).unwrap(),
        Loss::Zeros => opened.write_all_at(&vec![0; bytes], from).unwrap(),
        Loss::Garbage => opened
            .write_all_at(&Random(from).bytes(bytes), from)
            .unwrap(),
    }
}

/// The damage that opening or replaying reports.
fn damage(error: OpenError) -> Damaged {
    match error {
        OpenError::Damaged(damaged) | OpenError::Read(ReadError::Damaged(damaged)) => damaged,
        other => panic!("{other}"),
    }
}

/// Three records in the only segment, the last of 300 bytes, torn at every byte.
#[test]
fn a_torn_tail_of_every_length_is_cut() {
    const LAST: usize = 300;
    let dir = directory();
    for marked in [0, 2, 3] {
        let fresh = directory();
        journal_of(fresh.path(), &[10, 20, LAST], marked);
        let file = segments(fresh.path()).pop().unwrap();
        let bytes = fs::read(&file).unwrap();
        let start = 3 * PAGE;
        let payload_end = start + 128 + LAST as u64;
        for loss in [Loss::FileCutShort, Loss::Zeros, Loss::Garbage] {
            // Every byte that says something, a sample of the padding.
            let froms = (start..start + PAGE).filter(|at| *at < payload_end + 8 || at % 97 == 0);
            for from in froms {
                // Beyond the payload only padding is lost: zeros in any case, but for garbage.
                let whole = from >= payload_end && loss != Loss::Garbage;
                copy(fresh.path(), dir.path());
                let file = dir.path().join(file.file_name().unwrap());
                lose(&file, from, start + PAGE, loss);
                let case = format!("{loss:?} from {from}, {marked} marked");
                match open_and_replay(dir.path()) {
                    Ok((records, recovery)) => {
                        assert!(whole || marked < 3, "{case}");
                        assert_eq!(records.len(), if whole { 3 } else { 2 }, "{case}");
                        let torn = fs::read(&file).unwrap()[recovery.valid_bytes as usize..]
                            .iter()
                            .any(|&byte| byte != 0);
                        assert!(!torn, "{case}: the new file is clean beyond its end");
                        assert!(!whole || recovery.torn_bytes == 0, "{case}");
                        assert!(loss == Loss::Garbage || recovery.torn_bytes <= from - start);
                        assert_eq!(fs::read(&file).unwrap().len(), bytes.len(), "{case}");
                    }
                    Err(error) => {
                        assert!(!whole && marked == 3, "{case}: {error}");
                        let damaged = damage(error);
                        assert_eq!((damaged.file, damaged.offset), (file, start), "{case}");
                    }
                }
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for path in fs::read_dir(to).unwrap().map(|entry| entry.unwrap().path()) {
        fs::remove_file(path).unwrap();
    }
    for path in fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A power cut keeps any subset of the pages of the write in flight, in any order.
#[test]
fn any_subset_of_the_last_records_pages_is_all_or_nothing() {
    const PAGES: u64 = 3;
    for subset in 0..1_u64 << PAGES {
        let dir = directory();
        let (mut journal, _) = open(dir.path(), 1 << 16).unwrap();
        append_one(&mut journal, 100);
        let before = image(dir.path());
        append_one(&mut journal, (PAGES * PAGE) as usize - 128);
        let end = journal.tail();
        drop(journal);
        let file = segments(dir.path()).pop().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let (_, old) = before.iter().find(|(path, _)| *path == file).unwrap();
        for page in (0..PAGES).filter(|page| subset & (1 << page) == 0) {
            let at = (2 * PAGE + page * PAGE) as usize;
            bytes[at..at + PAGE as usize].copy_from_slice(&old[at..at + PAGE as usize]);
        }
        fs::write(&file, bytes).unwrap();
        let (mut journal, recovery) = open(dir.path(), 1 << 16).unwrap();
        let whole = subset == (1 << PAGES) - 1;
        assert_eq!(recovery.tail == end, whole, "pages {subset:03b}");
        assert_eq!(
            recovery.torn_bytes > 0,
            !whole && subset != 0,
            "pages {subset:03b}"
        );
        // The sequence of a cut record is free again, and nothing of it comes back.
        append_one(&mut journal, 7);
        drop(journal);
        let (records, recovery) = read_offline(dir.path()).unwrap();
        assert_eq!(
            (records.len(), recovery.torn_bytes),
            (if whole { 3 } else { 2 }, 0)
        );
    }
}

/// One bit of one byte: in every byte that says something, and in a sample of the padding.
fn flips(bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let page = PAGE as usize;
    (0..bytes)
        .filter(move |at| at % page < 430 || at % 251 == 0)
        .map(|at| (at, 1 << (at % 8)))
}

/// Five segments, the last with two records and a free page; what each flip must give.
#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless() {
    let dir = directory();
    let lengths = [300; 14];
    for marked in [14, 13] {
        restore(dir.path(), &Image::new());
        journal_of(dir.path(), &lengths, marked);
        let whole = image(dir.path());
        let files = segments(dir.path());
        assert_eq!(files.len(), 5);
        for (number, file) in files.iter().enumerate() {
            let bytes = fs::read(file).unwrap();
            for (at, bit) in flips(bytes.len()) {
                let mut bad = bytes.clone();
                bad[at] ^= bit;
                fs::write(file, bad).unwrap();
                let (is_last, page) = (number == 4, at as u64 / PAGE);
                let case = format!("{}, byte {at}, {marked} marked", file.display());
                let offline = read_offline(dir.path());
                let opened = open_and_replay(dir.path());
                let repaired = opened.is_ok();
                assert_eq!(offline.is_ok(), opened.is_ok(), "{case}");
                match opened {
                    Ok((records, recovery)) => {
                        // The free page, or the last record while nothing says that it was acknowledged.
                        let unmarked = marked < 14 && page == 2;
                        assert!(is_last && (page > 2 || unmarked), "{case}");
                        assert_eq!(records.len(), if unmarked { 13 } else { 14 }, "{case}");
                        assert!(recovery.torn_bytes > 0, "{case}");
                        assert_eq!(offline.unwrap().0, records, "{case}");
                    }
                    Err(error) => {
                        let damaged = damage(error);
                        assert_eq!(
                            (&damaged.file, damaged.offset / PAGE),
                            (file, page),
                            "{case}"
                        );
                        assert_eq!(damaged.offset % PAGE, 0, "{case}");
                    }
                }
                if repaired {
                    restore(dir.path(), &whole);
                } else {
                    fs::write(file, &bytes).unwrap();
                }
            }
        }
    }
}

/// A flip in the middle of a record of several pages names the record's start.
#[test]
fn damage_names_the_start_of_its_record() {
    for seed in seeds(300) {
        let dir = directory();
        journal_of(dir.path(), &[300, 9000, 11_000, 20, 7000], 5);
        let starts = [
            (0, PAGE, 300),
            (1, PAGE, 9000),
            (2, PAGE, 11_000),
            (3, PAGE, 20),
            (3, 2 * PAGE, 7000),
        ];
        let mut random = Random(seed);
        let (number, start, bytes) = starts[random.below(5) as usize];
        let file = &segments(dir.path())[number];
        let mut content = fs::read(file).unwrap();
        let at = start + random.below(framed_bytes(bytes) as u64);
        content[at as usize] ^= 1 << random.below(8);
        fs::write(file, content).unwrap();
        let damaged = damage(open_and_replay(dir.path()).unwrap_err());
        assert_eq!(
            (&damaged.file, damaged.offset),
            (file, start),
            "seed {seed}, byte {at}"
        );
        let text = damaged.to_string();
        assert!(
            text.starts_with(&format!("{}, offset {start}: ", file.display())),
            "{text}"
        );
    }
}

#[test]
fn a_later_record_shows_that_an_earlier_one_was_acknowledged() {
    // Nothing is marked: only the record on the third page tells of the one on the second.
    let dir = directory();
    journal_of(dir.path(), &[10, 20, 30], 0);
    let file = segments(dir.path()).pop().unwrap();
    lose(&file, 2 * PAGE, 3 * PAGE, Loss::Zeros);
    let damaged = damage(open_and_replay(dir.path()).unwrap_err());
    assert_eq!(
        (damaged.offset, damaged.reason),
        (2 * PAGE, Damage::RecordMissing)
    );
}

#[test]
fn files_that_are_missing_or_not_their_own_are_named() {
    let check = |spoil: &dyn Fn(&Path), file: &str, expected: Damage| {
        let dir = directory();
        journal_of(dir.path(), &[300; 10], 10);
        spoil(dir.path());
        for error in [
            read_offline(dir.path()).map(|_| ()).unwrap_err(),
            open_and_replay(dir.path()).map(|_| ()).unwrap_err(),
        ] {
            let damaged = damage(error);
            assert_eq!(
                (&damaged.file, damaged.reason),
                (&dir.path().join(file), expected.clone())
            );
        }
    };
    const FIRST: &str = "00000000000000000000.segment";
    const SECOND: &str = "00000000000000016384.segment";
    const LAST: &str = "00000000000000049152.segment";
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    let cut = |name: &'static str| {
        move |dir: &Path| {
            OpenOptions::new()
                .write(true)
                .open(dir.join(name))
                .unwrap()
                .set_len(9000)
                .unwrap();
        }
    };
    check(&remove(FIRST), FIRST, Damage::SegmentMissing);
    check(&remove(SECOND), SECOND, Damage::SegmentMissing);
    check(&remove("marks"), "marks", Damage::MarksLost);
    // The mark remembers the lost last segment.
    check(
        &remove(LAST),
        "00000000000000032768.segment",
        Damage::RecordMissing,
    );
    check(
        &|dir| {
            segments(dir)
                .iter()
                .for_each(|file| fs::remove_file(file).unwrap())
        },
        FIRST,
        Damage::SegmentMissing,
    );
    check(
        &cut(FIRST),
        FIRST,
        Damage::SegmentLength {
            found: 9000,
            expected: 16_384,
        },
    );
    check(
        &|dir| fs::write(dir.join("marks"), b"").unwrap(),
        "marks",
        Damage::MarksLost,
    );
    check(
        &|dir| assert!(fs::copy(dir.join(FIRST), dir.join(SECOND)).is_ok()),
        SECOND,
        Damage::SegmentMisplaced {
            found: 0,
            expected: 16_384,
        },
    );
    check(
        &|dir| {
            OpenOptions::new()
                .append(true)
                .open(dir.join(LAST))
                .unwrap()
                .set_len(20_480)
                .unwrap()
        },
        LAST,
        Damage::SegmentLength {
            found: 20_480,
            expected: 16_384,
        },
    );
}

#[test]
fn files_of_another_journal_do_not_pass() {
    let (dir, other) = (directory(), directory());
    journal_of(dir.path(), &[300; 8], 8);
    let id = valuta_journal::JournalId([9; 16]);
    let theirs = valuta_journal::FileJournalOptions {
        id: Some(id),
        ..crate::support::options(16 << 10)
    };
    let (mut journal, _) =
        valuta_journal::FileJournal::create_or_open(other.path(), theirs).unwrap();
    (0..8).for_each(|_| append_one(&mut journal, 300));
    drop(journal);
    for name in [
        "marks",
        "00000000000000000000.segment",
        "00000000000000016384.segment",
        "00000000000000032768.segment",
    ] {
        let whole = image(dir.path());
        fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
        // Opening sees it at once, not only a replay.
        let damaged = damage(open(dir.path(), 16 << 10).map(|_| ()).unwrap_err());
        assert_eq!(damaged.offset, 0);
        assert!(
            matches!(damaged.reason, Damage::OtherJournal { .. }),
            "{name}: {damaged}"
        );
        restore(dir.path(), &whole);
    }
}

#[test]
fn one_torn_mark_is_harmless() {
    for slot in [0, PAGE] {
        let dir = directory();
        journal_of(dir.path(), &[10, 20], 1);
        let marks = dir.path().join("marks");
        OpenOptions::new()
            .write(true)
            .open(marks)
            .unwrap()
            .write_all_at(b"torn", slot)
            .unwrap();
        let (records, recovery) = open_and_replay(dir.path()).unwrap();
        assert_eq!((records.len(), recovery.mark_slots_damaged), (2, 1));
        let (_, recovery) = open_and_replay(dir.path()).unwrap();
        assert_eq!(recovery.mark_slots_damaged, 0, "start-up wrote it anew");
    }
}

/// An intact mark that tells of another end is not explained away.
#[test]
fn a_mark_of_another_history_is_refused() {
    let (dir, other) = (directory(), directory());
    journal_of(dir.path(), &[10, 20], 2);
    // The same journal id and lengths, other content: other chains.
    let (mut journal, _) = open(other.path(), 16 << 10).unwrap();
    for sequence in 1..=2 {
        journal_append(&mut journal, sequence);
    }
    drop(journal);
    drop(open(other.path(), 16 << 10).unwrap());
    fs::copy(other.path().join("marks"), dir.path().join("marks")).unwrap();
    let damaged = damage(open_and_replay(dir.path()).map(|_| ()).unwrap_err());
    assert!(
        matches!(damaged.reason, Damage::MarkContradicts { .. }),
        "{damaged}"
    );
    assert_eq!(damaged.file, dir.path().join("marks"));
}

fn journal_append(journal: &mut dyn Journal, sequence: u64) {
    journal.append(sequence, sequence, 0, b"other").unwrap();
}

/// An intact record of the same journal id, place and sequence, but of another history.
#[test]
fn a_record_of_another_history_breaks_the_chain() {
    for (number, page) in [(0, 2), (0, 3), (1, 2)] {
        let (dir, other) = (directory(), directory());
        journal_of(dir.path(), &[300; 5], 5);
        let (mut journal, _) = open(other.path(), 16 << 10).unwrap();
        (1..=5).for_each(|sequence| journal_append(&mut journal, sequence));
        drop(journal);
        let (file, theirs) = (
            &segments(dir.path())[number],
            &segments(other.path())[number],
        );
        let mut record = [0; PAGE as usize];
        File::open(theirs)
            .unwrap()
            .read_exact_at(&mut record, page * PAGE)
            .unwrap();
        let ours = OpenOptions::new().write(true).open(file).unwrap();
        ours.write_all_at(&record, page * PAGE).unwrap();
        for error in [
            read_offline(dir.path()).map(|_| ()).unwrap_err(),
            open_and_replay(dir.path()).map(|_| ()).unwrap_err(),
        ] {
            let damaged = damage(error);
            assert_eq!(
                (&damaged.file, damaged.offset),
                (file, page * PAGE),
                "{damaged}"
            );
            assert_eq!(damaged.reason, Damage::ChainBroken);
        }
    }
}

/// Damage that appears while a follower reads, not only at start.
#[test]
fn a_follower_meets_damage_too() {
    let dir = directory();
    let (mut journal, _) = open(dir.path(), 16 << 10).unwrap();
    (0..5).for_each(|_| append_one(&mut journal, 300));
    let file = &segments(dir.path())[0];
    lose(file, 2 * PAGE + 200, 2 * PAGE + 201, Loss::Garbage);
    let mut reader = journal.reader(None).unwrap();
    assert!(reader.next().unwrap().is_some());
    for _ in 0..2 {
        let Err(ReadError::Damaged(damaged)) = reader.next() else {
            panic!("not seen")
        };
        assert_eq!((&damaged.file, damaged.offset), (file, 2 * PAGE));
        assert_eq!(damaged.reason, Damage::RecordChecksum);
    }
    let lookup = journal.lookup();
    assert!(lookup.record_containing(1).is_ok() && lookup.record_containing(3).is_ok());
    assert!(matches!(
        lookup.record_containing(2),
        Err(ReadError::Damaged(_))
    ));
}

/// A lookup in an older segment hops over headers before it verifies: none may lead it astray.
#[test]
fn a_lookup_gives_the_right_record_or_names_damage() {
    let dir = directory();
    journal_of(dir.path(), &[10, 3000, 20, 9000, 30], 5);
    let files = segments(dir.path());
    let whole = fs::read(&files[0]).unwrap();
    let records = read_offline(dir.path()).unwrap().0;
    let (mut right, mut named) = (0, 0);
    for at in (PAGE as usize..whole.len()).filter(|at| at % (PAGE as usize) < 140) {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&files[0], bad).unwrap();
        let (journal, _) = open(dir.path(), 16 << 10).unwrap();
        let lookup = journal.lookup();
        for record in &records {
            match lookup.record_containing(record.header.first_sequence) {
                Ok(found) => right += u32::from(assert_same(&found, record)),
                Err(ReadError::Damaged(damaged)) if damaged.file == files[0] => named += 1,
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
    }
    assert!(right > 0 && named > 0, "{right} right, {named} named");
}

fn assert_same(found: &Record, expected: &Record) -> bool {
    assert_eq!(found, expected);
    true
}
