//! A journal moves between a file and Kafka with its whole history, and goes on there.

use std::path::Path;

use valuta_journal::{FileJournal, FileJournalOptions, FileReader, JournalReader, Record, Source};
use valuta_kafka::{CopyWriter, KafkaConfig, KafkaError};

use crate::support::{SOON, append, drain, journal, lead, open, topic};

fn file(dir: &Path) -> FileJournal {
    FileJournal::create_or_open(dir, FileJournalOptions::default())
        .unwrap()
        .0
}

fn to_kafka(dir: &Path) -> KafkaConfig {
    let config = topic();
    let (mut source, recovery) = FileReader::open_offline(dir, None).unwrap();
    let mut copy = CopyWriter::create(&config, recovery.tail.journal).unwrap();
    while let Some(record) = source.next_any().unwrap() {
        copy.append(&record).unwrap();
    }
    copy.finish().unwrap();
    config
}

fn to_file(config: &KafkaConfig) -> tempfile::TempDir {
    let dir = tempfile::TempDir::new().unwrap();
    let log = open(config);
    log.wait_caught_up(SOON).unwrap();
    let options = FileJournalOptions {
        id: Some(log.id()),
        ..Default::default()
    };
    let (mut copy, _) = FileJournal::create_or_open(dir.path(), options).unwrap();
    let mut source = log.copy().unwrap();
    while let Some(record) = source.next_any().unwrap() {
        copy.append_copied(&record).unwrap();
    }
    dir
}

/// Without what is the medium's own.
fn plain(records: Vec<Record>) -> Vec<Record> {
    records
        .into_iter()
        .map(|record| Record {
            offset: 0,
            ..record
        })
        .collect()
}

#[test]
fn a_journal_moves_to_kafka_and_back_and_on() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut journal = file(dir.path());
    (0..50).for_each(|_| {
        append(&mut journal, 2, 300);
    });
    let cursor = {
        let mut reader = journal.reader(None).unwrap();
        (0..20).for_each(|_| {
            reader.next().unwrap();
        });
        reader.cursor()
    };
    let on_file = plain(drain(&mut *journal.reader(None).unwrap()));
    drop(journal);

    let config = to_kafka(dir.path());
    let log = open(&config);
    log.wait_caught_up(SOON).unwrap();
    assert_eq!(plain(drain(&mut *log.reader(None).unwrap())), on_file);
    let after = plain(drain(&mut *log.reader(Some(cursor)).unwrap()));
    assert_eq!(
        after,
        on_file[20..],
        "a file's cursor finds its place on Kafka"
    );
    for life in 1..=2 {
        let mut writer = lead(&log, life);
        (0..5).for_each(|_| {
            append(&mut writer, 1, 10);
        });
    }
    let on_kafka = plain(drain(&mut *log.reader(None).unwrap()));
    drop(lead(&log, 9));

    let back = to_file(&config);
    let mut journal = file(back.path());
    assert_eq!(plain(drain(&mut *journal.reader(None).unwrap())), on_kafka);
    assert_eq!(
        plain(drain(&mut *journal.reader(None).unwrap()))[..50],
        on_file
    );
    append(&mut journal, 1, 10);
    let once_more = plain(drain(&mut *journal.reader(None).unwrap()));
    drop(journal);

    let config = to_kafka(back.path());
    let log = open(&config);
    log.wait_caught_up(SOON).unwrap();
    assert_eq!(plain(drain(&mut *log.reader(None).unwrap())), once_more);
    append(&mut lead(&log, 3), 1, 10);
}

#[test]
fn an_empty_journal_moves_too_and_nothing_is_written_over() {
    let dir = tempfile::TempDir::new().unwrap();
    let id = file(dir.path()).id();
    let config = to_kafka(dir.path());
    assert_eq!(open(&config).id(), id);
    append(&mut lead(&open(&config), 1), 1, 10);
    let refused = CopyWriter::create(&config, id).err().unwrap();
    assert!(matches!(refused, KafkaError::Refused { .. }), "{refused}");
}

/// Whoever keeps a copy from elsewhere goes on after any record, and its copy is whole.
#[test]
fn a_follower_is_given_started_epochs_too_from_any_place() {
    let config = journal();
    let log = open(&config);
    for life in 1..=3 {
        let mut writer = lead(&log, life);
        (0..3).for_each(|_| {
            append(&mut writer, 2, 10);
        });
    }
    drop(lead(&log, 9));
    log.wait_caught_up(SOON).unwrap();
    let mut copy = log.copy().unwrap();
    let all: Vec<_> = std::iter::from_fn(|| copy.next_any().unwrap()).collect();
    let epochs = all.iter().filter(|record| record.header.starts_epoch());
    assert_eq!((epochs.count(), all.len()), (4, 13));

    let mut reader = log.reader(None).unwrap();
    let mut places = vec![None];
    while reader.next().unwrap().is_some() {
        places.push(Some(reader.cursor()));
    }
    for place in places {
        let mut reader = log.reader(place).unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| reader.next_any().unwrap()).collect();
        let is_before =
            |record: &&Record| place.is_some_and(|place| record.chain_after == place.chain);
        let at = all.iter().position(|record| is_before(&record));
        assert_eq!(rest, all[at.map_or(0, |at| at + 1)..], "{place:?}");
    }
    let next = append(&mut lead(&log, 4), 1, 10);
    let rest: Vec<_> = std::iter::from_fn(|| reader.next_any().unwrap()).collect();
    assert_eq!(rest.len(), 3, "two epochs and the record");
    assert_eq!(rest[2].chain_after, next.chain);
}
