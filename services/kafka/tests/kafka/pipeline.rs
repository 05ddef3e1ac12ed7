//! Topics for others: order, resuming by number, repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use valuta_kafka::{
    KafkaConfig, KafkaError, Received, Repeats, Sent, Start, TopicReader, TopicWriter,
    create_topic, partition_of,
};

use crate::support::{SOON, topic};

fn pipeline(partitions: i32) -> KafkaConfig {
    let mut config = topic();
    config.settings.partitions = partitions;
    create_topic(&config).unwrap();
    config
}

fn read(reader: &mut TopicReader, count: usize) -> Vec<Received> {
    let deadline = std::time::Instant::now() + SOON;
    let mut all = Vec::new();
    while all.len() < count && std::time::Instant::now() < deadline {
        all.extend(reader.next(Duration::from_millis(100)).unwrap());
    }
    all
}

fn key(number: u64) -> String {
    format!("BANK{}", number % 5)
}

fn send(writer: &mut TopicWriter, numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    let sent = |number: &u64| {
        let sent = writer.send(*number, key(*number).as_bytes(), &number.to_be_bytes());
        sent.unwrap() == Sent::Now
    };
    numbers.filter(sent).collect()
}

#[test]
fn a_writer_that_starts_again_repeats_nothing_and_leaves_nothing_out() {
    for partitions in [1, 3] {
        let config = pipeline(partitions);
        let mut expected = 1;
        for (to, flushes) in [(1, true), (40, true), (41, false), (500, true), (500, true)] {
            let mut writer = TopicWriter::open(&config, "EUROPE").unwrap();
            assert!(
                writer.resume_after() < expected,
                "{}",
                writer.resume_after()
            );
            let from = writer.resume_after() + 1;
            let sent = send(&mut writer, from..=to);
            assert_eq!(sent, (expected..=to).collect::<Vec<_>>());
            if flushes {
                assert!(writer.flush(SOON).unwrap());
                assert_eq!(writer.confirmed(), to);
            } else {
                // Killed: the next writer finds that the message was sent, or not.
                drop(writer);
                let mut next = TopicWriter::open(&config, "EUROPE").unwrap();
                let from = next.resume_after() + 1;
                send(&mut next, from..=to);
                assert!(next.flush(SOON).unwrap());
            }
            expected = to + 1;
        }
        let mut reader = TopicReader::open(&config, &Start::Beginning).unwrap();
        let all = read(&mut reader, 500);
        let mut numbers: Vec<_> = all.iter().map(|received| received.number).collect();
        for received in &all {
            assert_eq!(received.key, key(received.number).as_bytes());
            assert_eq!(received.payload, received.number.to_be_bytes());
            assert_eq!(received.partition, partition_of(&received.key, partitions));
            assert_eq!(received.scheme, "EUROPE");
        }
        let in_order = |partition| {
            let mut of = all
                .iter()
                .filter(|r| r.partition == partition)
                .map(|r| r.number);
            let mut last = 0;
            of.all(|number| std::mem::replace(&mut last, number) < number)
        };
        assert!((0..partitions).all(in_order));
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
        assert_eq!(TopicReader::lag(&config, reader.positions()).unwrap(), 0);
    }
}

#[test]
fn schemes_share_a_topic() {
    let config = pipeline(1);
    let mut one = TopicWriter::open(&config, "ONE").unwrap();
    send(&mut one, 1..=3);
    assert!(one.flush(SOON).unwrap());
    let mut two = TopicWriter::open(&config, "TWO").unwrap();
    assert_eq!(two.resume_after(), 0);
    send(&mut two, 1..=200);
    assert!(two.flush(SOON).unwrap());
    let mut one = TopicWriter::open(&config, "ONE").unwrap();
    let from = one.resume_after() + 1;
    assert!(
        from <= 3,
        "the last message tells what was confirmed before it"
    );
    assert_eq!(send(&mut one, from..=4), [4]);
    assert!(one.flush(SOON).unwrap());
}

#[test]
fn a_consumer_drops_what_two_writers_repeat() {
    let config = pipeline(1);
    let mut zombie = TopicWriter::open(&config, "EUROPE").unwrap();
    let mut writer = TopicWriter::open(&config, "EUROPE").unwrap();
    send(&mut zombie, 1..=7);
    assert!(zombie.flush(SOON).unwrap());
    send(&mut writer, 1..=5);
    assert!(writer.flush(SOON).unwrap());
    send(&mut zombie, 8..=9);
    assert!(zombie.flush(SOON).unwrap());
    let mut reader = TopicReader::open(&config, &Start::Beginning).unwrap();
    let (mut repeats, mut numbers) = (Repeats::default(), Vec::new());
    for received in read(&mut reader, 9) {
        if !repeats.is_repeat(&received) {
            numbers.push(received.number);
        }
    }
    // A restart keeps both: where it stands, and what it has seen.
    let mut reader = TopicReader::open(&config, &Start::At(reader.positions().clone())).unwrap();
    let mut repeats = Repeats::resume(repeats.numbers().clone());
    for received in read(&mut reader, 5) {
        if !repeats.is_repeat(&received) {
            numbers.push(received.number);
        }
    }
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_reader_begins_where_it_is_told() {
    let config = pipeline(1);
    let mut writer = TopicWriter::open(&config, "EUROPE").unwrap();
    send(&mut writer, 1..=3);
    assert!(writer.flush(SOON).unwrap());
    let mut end = TopicReader::open(&config, &Start::End).unwrap();
    send(&mut writer, 4..=4);
    assert!(writer.flush(SOON).unwrap());
    assert_eq!(read(&mut end, 1)[0].number, 4);
    let at = Start::At(BTreeMap::from([(0, 1)]));
    assert_eq!(
        read(&mut TopicReader::open(&config, &at).unwrap(), 3)[0].number,
        2
    );
    let beyond = Start::At(BTreeMap::from([(0, 5)]));
    assert!(matches!(
        TopicReader::open(&config, &beyond),
        Err(KafkaError::Lost(_))
    ));
}
