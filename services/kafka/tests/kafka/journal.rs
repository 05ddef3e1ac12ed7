//! Appending, reading in order, cursors, lookup: as every journal does.

use valuta_journal::{
    Cursor, Journal, JournalId, RECORD_BYTES_MAX, ReadError, Record, RecordLookup, Source,
};
use valuta_kafka::{KafkaError, KafkaLog, LeadError, create_journal};

use crate::support::{self, Random, SOON, append, drain, journal, lead, open};

#[test]
fn what_was_appended_is_read_by_every_process_and_after_a_restart() {
    let config = journal();
    let mut all: Vec<Record> = Vec::new();
    let mut random = Random(1);
    for life in 1..=3 {
        let log = open(&config);
        let follower = open(&config);
        let mut journal = lead(&log, life);
        assert_eq!(journal.term().epoch, u64::from(life));
        assert_eq!(drain(&mut *journal.reader(None).unwrap()), all);
        for _ in 0..20 {
            let tail = append(
                &mut journal,
                1 + random.below(4),
                random.below(9_000) as usize,
            );
            assert_eq!((journal.tail(), journal.watch().durable()), (tail, tail));
        }
        all = drain(&mut *journal.reader(None).unwrap());
        assert_eq!(all.len(), 20 * usize::from(life));
        follower.wait_caught_up(SOON).unwrap();
        assert_eq!(follower.watch().durable(), journal.tail());
        assert_eq!(drain(&mut *follower.reader(None).unwrap()), all);
        let leader = follower.leader().borrow().clone().unwrap();
        assert_eq!((leader.id, leader.epoch), ([life; 16], u64::from(life)));
        check_lookup(&all, &*follower.lookup());
    }
    let sequences: Vec<_> = all
        .iter()
        .map(|r| (r.header.first_sequence, r.header.last_sequence))
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0),
        "{sequences:?}"
    );
}

fn check_lookup(all: &[Record], lookup: &dyn RecordLookup) {
    for record in all.iter().rev() {
        let (first, last) = (record.header.first_sequence, record.header.last_sequence);
        for sequence in first..=last {
            assert_eq!(*lookup.record_containing(sequence).unwrap(), *record);
            let cursor = lookup.cursor_after(sequence).unwrap();
            assert_eq!(
                cursor.map(|c| c.chain),
                (sequence == last).then_some(record.chain_after)
            );
        }
    }
    let beyond = all
        .last()
        .map_or(1, |record| record.header.last_sequence + 1);
    for sequence in [0, beyond] {
        let found = lookup.record_containing(sequence);
        assert!(
            matches!(found, Err(ReadError::NotDurable { .. })),
            "{sequence}"
        );
    }
}

#[test]
fn a_process_that_starts_from_a_snapshot_finds_what_is_older() {
    let config = journal();
    let log = open(&config);
    let mut writer = lead(&log, 1);
    (0..200).for_each(|_| {
        append(&mut writer, 2, 10);
    });
    let all = drain(&mut *log.reader(None).unwrap());
    let mut reader = log.reader(None).unwrap();
    (0..100).for_each(|_| assert!(reader.next().unwrap().is_some()));
    let middle = reader.cursor();
    drop(writer);
    let mut writer = lead(&log, 2);
    append(&mut writer, 2, 10);

    let later = KafkaLog::open(&config, Some(middle)).unwrap();
    later.wait_caught_up(SOON).unwrap();
    assert_eq!(later.watch().durable(), log.watch().durable());
    assert_eq!(
        later.leader().borrow().clone(),
        log.leader().borrow().clone()
    );
    let rest = drain(&mut *later.reader(Some(middle)).unwrap());
    assert_eq!((rest.len(), &rest[..100]), (101, &all[100..]));
    check_lookup(&drain(&mut *later.reader(None).unwrap()), &*later.lookup());
    assert_eq!(drain(&mut *later.reader(None).unwrap())[..200], all);
}

#[test]
fn every_cursor_resumes_where_it_stands() {
    let config = journal();
    let log = open(&config);
    for life in 1..=3 {
        let mut writer = lead(&log, life);
        (0..3).for_each(|_| {
            append(&mut writer, 2, 10);
        });
    }
    let mut reader = log.reader(None).unwrap();
    let all = drain(&mut *log.reader(None).unwrap());
    for consumed in 0..=all.len() {
        let mut resumed = log.reader(Some(reader.cursor())).unwrap();
        assert_eq!(resumed.cursor(), reader.cursor());
        assert_eq!(drain(&mut *resumed), all[consumed..], "after {consumed}");
        let opened = KafkaLog::open(&config, Some(reader.cursor())).unwrap();
        opened.wait_caught_up(SOON).unwrap();
        assert_eq!(opened.watch().durable(), log.watch().durable());
        reader.next().unwrap();
    }
}

#[test]
fn a_cursor_that_the_journal_contradicts_is_refused() {
    let config = journal();
    let log = open(&config);
    let mut writer = lead(&log, 1);
    (0..4).for_each(|_| {
        append(&mut writer, 2, 10);
    });
    let mut reader = log.reader(None).unwrap();
    reader.next().unwrap();
    let (good, end) = (reader.cursor(), writer.tail());
    let check = |cursor: Cursor, expected: &str| {
        let error = log.reader(Some(cursor)).err().expect(expected);
        let ReadError::Contradicted { reason, .. } = &error else {
            panic!("{error}")
        };
        assert!(reason.to_string().starts_with(expected), "{reason}");
        let error = KafkaLog::open(&config, Some(cursor)).err().expect(expected);
        assert!(
            matches!(error, KafkaError::Read(ReadError::Contradicted { .. })),
            "{error}"
        );
    };
    check(
        Cursor {
            journal: JournalId([8; 16]),
            ..good
        },
        "it is journal",
    );
    check(Cursor { sequence: 9, ..end }, "the journal ends at offset");
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
            sequence: 3,
            ..good
        },
        "no record follows there",
    );
    // A copy's cursor has another offset, and the same sequence and chain.
    let copied = log
        .reader(Some(Cursor {
            offset: 8 * 4096,
            ..good
        }))
        .unwrap();
    assert_eq!(copied.cursor(), good);
}

#[test]
fn the_largest_record_fits_and_a_larger_one_is_refused() {
    let config = journal();
    let log = open(&config);
    let mut writer = lead(&log, 1);
    assert!(
        writer
            .append(1, 1, 0, &vec![0; RECORD_BYTES_MAX + 1])
            .is_err()
    );
    assert!(writer.append(2, 2, 0, &[]).is_err());
    for bytes in [RECORD_BYTES_MAX, 0, RECORD_BYTES_MAX, 1] {
        append(&mut writer, 1, bytes);
    }
    let follower = open(&config);
    follower.wait_caught_up(SOON).unwrap();
    let all = drain(&mut *follower.reader(None).unwrap());
    assert_eq!(all.len(), 4);
    assert_eq!(all[2].payload, support::payload(3, RECORD_BYTES_MAX));
}

#[test]
fn a_journal_is_created_once() {
    let config = support::topic();
    assert!(matches!(
        KafkaLog::open(&config, None),
        Err(KafkaError::NoTopic { .. })
    ));
    valuta_kafka::create_topic(&config).unwrap();
    assert!(matches!(
        KafkaLog::open(&config, None),
        Err(KafkaError::NoJournal { .. })
    ));
    let id = create_journal(&config).unwrap();
    assert_eq!(create_journal(&config).unwrap(), id);
    assert_eq!(open(&config).id(), id);
    assert_eq!(open(&config).watch().durable(), Cursor::start(id));
}

#[test]
fn a_second_leader_fences_the_first() {
    let config = journal();
    let (one, two) = (open(&config), open(&config));
    let mut first = lead(&one, 1);
    append(&mut first, 1, 10);
    let mut second = lead(&two, 2);
    append(&mut second, 1, 10);
    one.wait_caught_up(SOON).unwrap();
    let refused = first.append(3, 3, 0, &[]).unwrap_err();
    assert!(
        refused.is_fatal() && refused.to_string().contains("address-2"),
        "{refused}"
    );
    append(&mut second, 1, 10);
    assert_eq!(one.leader().borrow().clone().unwrap().address, "address-2");
    // One that has not read of the other's epoch is overtaken, and may try again.
    let stale = one.lead([3; 16], "address-3").unwrap();
    assert_eq!(stale.term().epoch, 3);
    let _: fn(LeadError) -> String = |error| error.to_string();
}
