//! Appending, reading in order, cursors, lookup, locking.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use valuta_journal::{
    AppendError, Contradiction, Cursor, FileJournal, FileJournalOptions, FileReader, Journal,
    JournalId, JournalReader, OpenError, PAGE_BYTES, RECORD_BYTES_MAX, ReadError, Record,
    RecordHeader, RecordLookup, Source, chain_after, framed_bytes,
};

use crate::support::{
    ID, PAGE, Random, SMALL_SEGMENT_BYTES, append_one, directory, drain, journal_of, open, options,
    payload, read_offline, seeds,
};

/// What was appended, kept naively.
#[derive(Default)]
struct Model(Vec<Record>);

impl Model {
    fn append(&mut self, journal: &mut FileJournal, random: &mut Random) {
        let before = journal.tail();
        let first_sequence = before.sequence + 1;
        let last_sequence = first_sequence + random.below(5);
        let bytes = random.below(3 * PAGE - 200) as usize;
        let payload = payload(first_sequence, bytes);
        let time_ms = random.next() as i64;
        let tail = journal
            .append(first_sequence, last_sequence, time_ms, &payload)
            .unwrap();
        let header = RecordHeader {
            epoch: 3,
            leader_id: [4; 16],
            first_sequence,
            last_sequence,
            chain_before: before.chain,
            time_ms,
        };
        let chain_after = chain_after(&header, &payload);
        let offset = tail.offset - framed_bytes(bytes) as u64;
        let expected = Cursor {
            journal: ID,
            offset: tail.offset,
            sequence: last_sequence,
            chain: chain_after,
        };
        assert_eq!(
            (tail, journal.tail(), journal.watch().durable()),
            (expected, expected, expected)
        );
        self.0.push(Record {
            header,
            payload,
            offset,
            chain_after,
        });
    }

    fn check_lookup(&self, lookup: &dyn RecordLookup) {
        for record in self.0.iter().rev() {
            let RecordHeader {
                first_sequence,
                last_sequence,
                ..
            } = record.header;
            for sequence in first_sequence..=last_sequence {
                assert_eq!(*lookup.record_containing(sequence).unwrap(), *record);
                let cursor = lookup.cursor_after(sequence).unwrap();
                assert_eq!(cursor.is_some(), sequence == last_sequence);
                assert!(cursor.is_none_or(|cursor| cursor.chain == record.chain_after));
            }
        }
    }
}

#[test]
fn what_was_appended_is_read_across_segments_and_restarts() {
    for seed in seeds(20) {
        let (dir, mut random, mut model) = (directory(), Random(seed), Model::default());
        for life in 0..4 {
            let (mut journal, recovery) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
            assert_eq!(recovery.created, life == 0, "seed {seed}");
            assert_eq!(
                (recovery.torn_bytes, recovery.tail),
                (0, journal.tail()),
                "seed {seed}"
            );
            assert_eq!(
                drain(&mut *journal.reader(None).unwrap()).unwrap(),
                model.0,
                "seed {seed}"
            );
            model.check_lookup(&*journal.lookup());
            for _ in 0..random.below(12) {
                model.append(&mut journal, &mut random);
                if random.below(3) == 0 {
                    journal.mark().unwrap();
                }
            }
            assert_eq!(
                drain(&mut *journal.reader(None).unwrap()).unwrap(),
                model.0,
                "seed {seed}"
            );
            model.check_lookup(&*journal.lookup());
            drop(journal);
            assert_eq!(read_offline(dir.path()).unwrap().0, model.0, "seed {seed}");
        }
    }
}

#[test]
fn every_cursor_resumes_where_it_stands() {
    let dir = directory();
    journal_of(dir.path(), &[0, 100, 4000, 9000, 1, 2, 3, 8000], 0);
    let (journal, _) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    let mut reader = journal.reader(None).unwrap();
    let all = drain(&mut *journal.reader(None).unwrap()).unwrap();
    for consumed in 0..=all.len() {
        let mut resumed = journal.reader(Some(reader.cursor())).unwrap();
        assert_eq!(resumed.cursor(), reader.cursor());
        assert_eq!(
            drain(&mut *resumed).unwrap(),
            all[consumed..],
            "after {consumed}"
        );
        reader.next().unwrap();
    }
}

#[test]
fn a_cursor_that_the_journal_contradicts_is_refused() {
    let dir = directory();
    journal_of(dir.path(), &[100, 9000, 100, 100, 100], 0);
    let (journal, _) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    let mut reader = journal.reader(None).unwrap();
    reader.next().unwrap();
    let good = reader.cursor();
    let end = journal.tail();
    let other = JournalId([8; 16]);
    let check = |cursor: Cursor, expected: &str| {
        let error = journal.reader(Some(cursor)).err().expect(expected);
        let ReadError::Contradicted { reason, .. } = &error else {
            panic!("{error}")
        };
        let sentence = reason.to_string();
        assert!(sentence.starts_with(expected), "{sentence}");
        let offline_dir = directory();
        for path in std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            std::fs::copy(&path, offline_dir.path().join(path.file_name().unwrap())).unwrap();
        }
        assert!(matches!(
            FileReader::open_offline(offline_dir.path(), Some(cursor)),
            Err(OpenError::Read(ReadError::Contradicted { .. }))
        ));
    };
    check(
        Cursor {
            journal: other,
            ..good
        },
        "it is journal 0707",
    );
    check(
        Cursor {
            offset: end.offset + PAGE,
            ..end
        },
        "the journal ends at offset",
    );
    check(Cursor { sequence: 6, ..end }, "the journal ends at offset");
    check(
        Cursor {
            sequence: 6,
            ..good
        },
        "the journal ends at offset",
    );
    check(
        Cursor {
            chain: [0; 32],
            ..good
        },
        "the chain there is another",
    );
    check(
        Cursor {
            chain: [0; 32],
            ..end
        },
        "the chain there is another",
    );
    check(
        Cursor {
            chain: [0; 32],
            ..Cursor::start(ID)
        },
        "the chain there is another",
    );
    check(
        Cursor {
            sequence: 2,
            ..good
        },
        "the sequence there is 1",
    );
    check(Cursor { sequence: 4, ..end }, "the sequence there is 5");
    check(
        Cursor {
            offset: good.offset + PAGE,
            ..good
        },
        "no record follows there",
    );
    check(
        Cursor {
            offset: good.offset + 8,
            ..good
        },
        "no record follows there",
    );
    check(
        Cursor {
            offset: 0,
            ..Cursor::start(ID)
        },
        "no record follows there",
    );
}

#[test]
fn an_empty_journal_knows_its_only_cursor() {
    let dir = directory();
    let (journal, recovery) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    assert!(recovery.created);
    assert_eq!(journal.tail(), Cursor::start(ID));
    assert_eq!(
        journal
            .reader(Some(Cursor::start(ID)))
            .unwrap()
            .next()
            .unwrap(),
        None
    );
    let wrong = Cursor {
        chain: [0; 32],
        ..Cursor::start(ID)
    };
    assert!(matches!(
        journal.reader(Some(wrong)),
        Err(ReadError::Contradicted {
            reason: Contradiction::OtherChain,
            ..
        })
    ));
    for sequence in [0, 1] {
        let found = journal.lookup().record_containing(sequence);
        assert!(
            matches!(found, Err(ReadError::NotDurable { durable: 0, .. })),
            "{sequence}"
        );
    }
    assert_eq!(
        journal.lookup().cursor_after(0).unwrap(),
        Some(Cursor::start(ID))
    );
}

#[test]
fn sequences_and_sizes_that_do_not_fit_change_nothing() {
    let dir = directory();
    let (mut journal, _) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    append_one(&mut journal, 10);
    let tail = journal.tail();
    for (first, last) in [(0, 0), (1, 1), (1, 2), (3, 3), (2, 1), (u64::MAX, u64::MAX)] {
        let refused = journal.append(first, last, 0, b"x");
        assert!(
            matches!(
                refused,
                Err(AppendError::SequenceNotNext { expected: 2, .. })
            ),
            "{first} to {last}"
        );
    }
    let bytes_max = journal.record_bytes_max();
    assert_eq!(
        framed_bytes(bytes_max) + PAGE_BYTES,
        SMALL_SEGMENT_BYTES as usize
    );
    let refused = journal.append(2, 2, 0, &vec![0; bytes_max + 1]);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    let refused = journal.reserve(SMALL_SEGMENT_BYTES as usize);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    assert_eq!(journal.tail(), tail);
    append_one(&mut journal, bytes_max);
    append_one(&mut journal, 0);
    drop(journal);
    assert_eq!(read_offline(dir.path()).unwrap().0.len(), 3);
}

#[test]
fn the_largest_record_fits_the_default_segment() {
    let dir = directory();
    let (mut journal, _) =
        FileJournal::create_or_open(dir.path(), FileJournalOptions::default()).unwrap();
    assert_eq!(journal.record_bytes_max(), RECORD_BYTES_MAX);
    let payload = vec![0xa5; RECORD_BYTES_MAX + 1];
    let refused = journal.append(1, 1, 0, &payload);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    journal.append(1, 9, 0, &payload[1..]).unwrap();
    let record = journal.reader(None).unwrap().next().unwrap().unwrap();
    assert!(record.payload == payload[1..]);
    assert!(journal.lookup().record_containing(5).unwrap().payload == payload[1..]);
}

#[test]
fn options_out_of_range_are_refused() {
    for segment_bytes in [0, 4096, 12288, 16385, (1 << 30) + 4096, u64::MAX] {
        let dir = directory();
        assert!(
            matches!(
                open(dir.path(), segment_bytes),
                Err(OpenError::SegmentBytes { .. })
            ),
            "{segment_bytes}"
        );
    }
    let dir = directory();
    drop(open(dir.path(), SMALL_SEGMENT_BYTES).unwrap());
    let other = FileJournalOptions {
        id: Some(JournalId([9; 16])),
        ..options(1 << 16)
    };
    let refused = FileJournal::create_or_open(dir.path(), other);
    assert!(matches!(
        refused,
        Err(OpenError::OtherJournal { found: ID, .. })
    ));
    // Another segment size is taken from the next segment on.
    let (mut journal, _) = open(dir.path(), 1 << 16).unwrap();
    (0..9).for_each(|_| append_one(&mut journal, 15_000));
    drop(journal);
    assert_eq!(read_offline(dir.path()).unwrap().0.len(), 9);
}

#[test]
fn a_second_writer_gets_a_clear_error() {
    let dir = directory();
    let (journal, _) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    let second = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap_err();
    assert!(
        second.to_string().ends_with("is in use by another process"),
        "{second}"
    );
    let offline = FileReader::open_offline(dir.path(), None).unwrap_err();
    assert!(matches!(offline, OpenError::Locked { .. }));
    drop(journal);
    let (offline, _) = FileReader::open_offline(dir.path(), None).unwrap();
    assert!(matches!(
        open(dir.path(), SMALL_SEGMENT_BYTES),
        Err(OpenError::Locked { .. })
    ));
    drop(offline);
    open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
}

#[test]
fn a_copy_without_the_lock_file_reads_and_opens() {
    let dir = directory();
    journal_of(dir.path(), &[10, 9000], 2);
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    assert_eq!(read_offline(dir.path()).unwrap().0.len(), 2);
    assert!(!dir.path().join("lock").exists(), "reading changes nothing");
    assert_eq!(
        open(dir.path(), SMALL_SEGMENT_BYTES)
            .unwrap()
            .0
            .tail()
            .sequence,
        2
    );
}

#[test]
fn there_is_nothing_to_read_where_no_journal_is() {
    let dir = directory();
    for path in [dir.path().to_path_buf(), dir.path().join("missing")] {
        let refused = FileReader::open_offline(&path, None);
        assert!(matches!(refused, Err(OpenError::NoJournal { .. })));
        assert!(!path.join("lock").exists(), "reading leaves nothing behind");
    }
}

#[test]
fn followers_keep_up_with_a_live_writer() {
    const RECORDS: u64 = 400;
    let dir = directory();
    let (mut journal, _) = open(dir.path(), 1 << 16).unwrap();
    let tail = journal.watch();
    let (notified, wakes) = (Arc::new(()), journal.watch());
    let held = Arc::clone(&notified);
    wakes.on_durable(move || drop(Arc::clone(&held)));
    let follow = |mut reader: Box<dyn JournalReader>| {
        let tail = tail.clone();
        thread::spawn(move || {
            while reader.cursor().sequence < RECORDS {
                assert!(tail.wait_past(reader.cursor().sequence, Duration::from_secs(60)));
                let record = reader.next().unwrap().unwrap();
                let sequence = record.header.first_sequence;
                assert!(record.header.last_sequence <= tail.durable().sequence);
                assert_eq!(record.payload, payload(sequence, length(sequence)));
            }
            reader.cursor()
        })
    };
    fn length(sequence: u64) -> usize {
        Random(!sequence).below(20_000) as usize
    }
    let lookup = journal.lookup();
    let looking = thread::spawn({
        let tail = tail.clone();
        move || {
            for sequence in 1..=RECORDS {
                assert!(tail.wait_past(sequence - 1, Duration::from_secs(60)));
                let record = lookup.record_containing(sequence).unwrap();
                assert_eq!(record.header.first_sequence, sequence);
            }
        }
    });
    let mut followers = vec![follow(journal.reader(None).unwrap())];
    for sequence in 1..=RECORDS {
        if sequence % 100 == 50 {
            followers.push(follow(journal.reader(Some(journal.tail())).unwrap()));
        }
        append_one(&mut journal, length(sequence));
    }
    for follower in followers {
        assert_eq!(follower.join().unwrap(), journal.tail());
    }
    looking.join().unwrap();
    drop(journal);
    assert!(tail.is_closed());
    assert!(
        !tail.wait_past(RECORDS, Duration::from_secs(60)),
        "a closed journal keeps nobody"
    );
}

#[test]
fn an_idle_journal_does_not_grow() {
    let dir = directory();
    let (mut journal, _) = open(dir.path(), SMALL_SEGMENT_BYTES).unwrap();
    append_one(&mut journal, 100);
    journal.mark().unwrap();
    let before = crate::support::image(dir.path());
    (0..1000).for_each(|_| journal.mark().unwrap());
    assert!(crate::support::image(dir.path()) == before);
}

#[test]
fn a_copy_keeps_id_chain_and_sequences() {
    let (dir, copy) = (directory(), directory());
    journal_of(dir.path(), &[100, 9000, 5000, 100, 100], 0);
    let (records, recovery) = read_offline(dir.path()).unwrap();
    // Another segment size gives other offsets.
    let (mut journal, _) = open(copy.path(), 1 << 16).unwrap();
    for record in &records {
        let RecordHeader {
            first_sequence,
            last_sequence,
            time_ms,
            ..
        } = record.header;
        journal
            .append(first_sequence, last_sequence, time_ms, &record.payload)
            .unwrap();
    }
    let moved = journal.lookup().cursor_after(4).unwrap().unwrap();
    assert_eq!((moved.chain, moved.sequence), (records[3].chain_after, 4));
    assert_ne!(journal.tail().offset, recovery.tail.offset);
    assert_eq!(journal.tail().chain, recovery.tail.chain);
    assert_eq!(
        drain(&mut *journal.reader(Some(moved)).unwrap())
            .unwrap()
            .len(),
        1
    );
}
