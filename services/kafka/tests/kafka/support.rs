//! What the tests share: topics of their own on the brokers of the stack, a raw producer, a generator.

use std::time::Duration;

use valuta_journal::{Cursor, Journal, JournalReader, Record};
use valuta_kafka::{KafkaConfig, KafkaJournal, KafkaLog, TopicSettings, create_journal};

pub const SOON: Duration = Duration::from_secs(30);

/// The brokers of the stack.
pub fn brokers() -> String {
    std::env::var("VALUTA_TEST_KAFKA")
        .expect("these tests need a Kafka: run scripts/test, or scripts/stack up and source target/stack/env")
}

pub fn settings() -> TopicSettings {
    TopicSettings::on(brokers().split(',').count())
}

/// A topic that no other test has; it is not created.
pub fn topic() -> KafkaConfig {
    let mut name = [0; 6];
    getrandom::fill(&mut name).unwrap();
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut config = KafkaConfig::new(brokers(), format!("test-{name}"));
    config.settings = settings();
    config.check_interval = Duration::from_secs(1);
    config
}

/// A new journal.
pub fn journal() -> KafkaConfig {
    let config = topic();
    create_journal(&config).unwrap();
    config
}

pub fn open(config: &KafkaConfig) -> KafkaLog {
    KafkaLog::open(config, None).unwrap()
}

pub fn lead(log: &KafkaLog, id: u8) -> KafkaJournal {
    log.lead([id; 16], &format!("address-{id}")).unwrap()
}

pub fn payload(first_sequence: u64, bytes: usize) -> Vec<u8> {
    Random(first_sequence).bytes(bytes)
}

/// Appends a record of `count` sequences.
pub fn append(journal: &mut dyn Journal, count: u64, bytes: usize) -> Cursor {
    let first = journal.tail().sequence + 1;
    let content = payload(first, bytes);
    journal
        .append(first, first + count - 1, 1_000 + first as i64, &content)
        .unwrap()
}

/// All that follows.
pub fn drain(reader: &mut dyn JournalReader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
