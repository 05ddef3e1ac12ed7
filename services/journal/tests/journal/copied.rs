//! Records that come from elsewhere, as they stand there: with epochs, and records without inputs.

use valuta_journal::{
    AppendError, Cursor, FileJournal, FileJournalOptions, FileReader, Journal, JournalReader,
    Record, RecordHeader, Source, chain_after,
};

use crate::support::{
    ID, Random, SMALL_SEGMENT_BYTES, append_one, directory, drain, payload, seeds,
};

/// A history with epochs, as a replicated journal has it.
fn history(random: &mut Random) -> Vec<Record> {
    let mut records = Vec::new();
    let (mut sequence, mut chain, mut epoch) = (0, ID.genesis(), 3);
    for _ in 0..1 + random.below(12) {
        let starts = random.below(3) == 0;
        epoch += u64::from(starts);
        let count = if starts { 0 } else { 1 + random.below(3) };
        let bytes = if starts {
            9
        } else {
            random.below(9_000) as usize
        };
        let header = RecordHeader {
            epoch,
            leader_id: [epoch as u8; 16],
            first_sequence: sequence + 1,
            last_sequence: sequence + count,
            chain_before: chain,
            time_ms: 5,
        };
        let payload = payload(sequence + epoch, bytes);
        (sequence, chain) = (header.last_sequence, chain_after(&header, &payload));
        records.push(Record {
            header,
            payload,
            offset: 0,
            chain_after: chain,
        });
    }
    records
}

fn open(dir: &std::path::Path) -> FileJournal {
    let options = FileJournalOptions {
        segment_bytes: SMALL_SEGMENT_BYTES,
        id: Some(ID),
        ..Default::default()
    };
    FileJournal::create_or_open(dir, options).unwrap().0
}

fn all_offline(dir: &std::path::Path) -> Vec<Record> {
    let (mut reader, _) = FileReader::open_offline(dir, None).unwrap();
    std::iter::from_fn(|| reader.next_any().unwrap())
        .map(|record| Record {
            offset: 0,
            ..record
        })
        .collect()
}

#[test]
fn a_copy_is_the_same_and_goes_on_in_the_last_epoch() {
    for seed in seeds(60) {
        let (dir, mut random) = (directory(), Random(seed));
        let records = history(&mut random);
        let with_inputs: Vec<_> = records
            .iter()
            .filter(|r| !r.header.starts_epoch())
            .cloned()
            .collect();
        let last = with_inputs.last().map_or((0, ID.genesis()), |r| {
            (r.header.last_sequence, r.chain_after)
        });
        for record in &records {
            // Closed and opened between any two records, and on any segment's border.
            let mut journal = open(dir.path());
            journal.append_copied(record).unwrap();
            if random.below(3) == 0 {
                journal.mark().unwrap();
            }
        }
        assert_eq!(all_offline(dir.path()), records, "seed {seed}");
        let mut journal = open(dir.path());
        let tail: Cursor = journal.tail();
        assert_eq!((tail.sequence, tail.chain), last, "seed {seed}");
        assert_eq!(journal.watch().durable(), tail);
        let mut reader = journal.reader(None).unwrap();
        let mut cursors = vec![reader.cursor()];
        for expected in &with_inputs {
            let found = reader.next().unwrap().unwrap();
            assert_eq!(Record { offset: 0, ..found }, *expected, "seed {seed}");
            cursors.push(reader.cursor());
            for sequence in expected.header.first_sequence..=expected.header.last_sequence {
                let found = journal.lookup().record_containing(sequence).unwrap();
                assert_eq!(found.chain_after, expected.chain_after, "seed {seed}");
            }
        }
        assert!(reader.next().unwrap().is_none());
        for (consumed, cursor) in cursors.into_iter().enumerate() {
            let rest = drain(&mut *journal.reader(Some(cursor)).unwrap()).unwrap();
            assert_eq!(rest.len(), with_inputs.len() - consumed, "seed {seed}");
        }
        append_one(&mut journal, 10);
        let next = drain(&mut *journal.reader(Some(tail)).unwrap())
            .unwrap()
            .remove(0);
        let end = records.last().unwrap();
        assert_eq!(
            (next.header.epoch, next.header.chain_before),
            (end.header.epoch, end.chain_after),
            "seed {seed}"
        );
    }
}

#[test]
fn a_record_of_another_history_is_refused() {
    let dir = directory();
    let mut journal = open(dir.path());
    append_one(&mut journal, 10);
    let good = drain(&mut *journal.reader(None).unwrap())
        .unwrap()
        .remove(0);
    let next = RecordHeader {
        first_sequence: 2,
        last_sequence: 2,
        chain_before: good.chain_after,
        ..good.header
    };
    for header in [
        good.header,
        RecordHeader {
            chain_before: [0; 32],
            ..next
        },
        RecordHeader {
            last_sequence: 1,
            chain_before: [0; 32],
            ..next
        },
        RecordHeader {
            first_sequence: 3,
            last_sequence: 3,
            ..next
        },
        RecordHeader {
            first_sequence: 3,
            last_sequence: 2,
            ..next
        },
    ] {
        let refused = journal
            .append_copied(&Record {
                header,
                ..good.clone()
            })
            .unwrap_err();
        assert!(!refused.is_fatal(), "{refused}");
        assert!(matches!(
            refused,
            AppendError::ChainNotNext { .. } | AppendError::SequenceNotNext { .. }
        ));
    }
    journal
        .append_copied(&Record {
            header: next,
            ..good
        })
        .unwrap();
    assert_eq!(journal.tail().sequence, 2);
}
