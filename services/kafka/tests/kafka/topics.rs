//! Settings that do not bear a journal are refused by name; a topic that changes stops everything.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use valuta_journal::{AppendError, Journal, ReadError, Source};
use valuta_kafka::{KafkaConfig, KafkaError, KafkaLog, check_topic, create_journal, create_topic};

use crate::support::{SOON, append, brokers, journal, lead, open, settings, topic};

const GOOD: [(&str, &str); 5] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("unclean.leader.election.enable", "false"),
    ("max.message.bytes", "18000000"),
];

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// The topic with these settings in place of the good ones.
fn create_with(config: &KafkaConfig, partitions: i32, changed: &[(&str, &str)]) {
    let replication = TopicReplication::Fixed(settings().replication);
    let min_insync = settings().min_insync.to_string();
    let mut new = NewTopic::new(&config.topic, partitions, replication)
        .set("min.insync.replicas", &min_insync);
    let kept = GOOD
        .iter()
        .filter(|(name, _)| changed.iter().all(|(other, _)| name != other));
    for (name, value) in kept.chain(changed) {
        new = new.set(name, value);
    }
    run(admin().create_topics([&new], &AdminOptions::new()))
        .unwrap()
        .remove(0)
        .unwrap();
}

fn alter(config: &KafkaConfig, changed: &[(&str, &str)]) {
    let min_insync = settings().min_insync.to_string();
    let mut all = AlterConfig::new(ResourceSpecifier::Topic(&config.topic))
        .set("min.insync.replicas", &min_insync);
    let kept = GOOD
        .iter()
        .filter(|(name, _)| changed.iter().all(|(other, _)| name != other));
    for (name, value) in kept.chain(changed) {
        all = all.set(name, value);
    }
    run(admin().alter_configs([&all], &AdminOptions::new()))
        .unwrap()
        .remove(0)
        .unwrap();
}

fn delete(config: &KafkaConfig) {
    run(admin().delete_topics(&[&config.topic], &AdminOptions::new()))
        .unwrap()
        .remove(0)
        .unwrap();
}

/// What the check says of it, once the brokers all know.
fn verdict(config: &KafkaConfig) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        match check_topic(config) {
            Ok(()) => return "ok".into(),
            Err(KafkaError::Settings { wrong, .. }) => {
                let sentences: Vec<_> = wrong.iter().map(ToString::to_string).collect();
                return sentences.join("; ");
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn every_wrong_setting_is_named_with_what_is_needed() {
    let check = |partitions: i32, changed: &[(&str, &str)], expected: &str| {
        let config = topic();
        create_with(&config, partitions, changed);
        assert_eq!(verdict(&config), expected, "{changed:?}");
        if expected != "ok" {
            assert!(KafkaLog::open(&config, None).is_err());
            assert!(create_journal(&config).is_err());
        }
    };
    check(1, &[], "ok");
    check(2, &[], "partitions is 2, must be 1");
    check(
        1,
        &[("cleanup.policy", "compact")],
        "cleanup.policy is compact, must be delete",
    );
    check(
        1,
        &[("cleanup.policy", "compact,delete")],
        "cleanup.policy is compact,delete, must be delete",
    );
    check(
        1,
        &[("retention.ms", "60000")],
        "retention.ms is 60000, must be -1",
    );
    check(
        1,
        &[("retention.bytes", "1000")],
        "retention.bytes is 1000, must be -1",
    );
    check(
        1,
        &[("unclean.leader.election.enable", "true")],
        "unclean.leader.election.enable is true, must be false",
    );
    check(
        1,
        &[("max.message.bytes", "1048588")],
        "max.message.bytes is 1048588, must be at least 17825792",
    );
    check(
        1,
        &[("retention.ms", "1"), ("cleanup.policy", "compact")],
        "cleanup.policy is compact, must be delete; retention.ms is 1, must be -1",
    );
}

#[test]
fn too_few_copies_are_named() {
    let mut config = topic();
    create_topic(&config).unwrap();
    let good = config.settings;
    config.settings.replication = good.replication + 1;
    let found = good.replication;
    assert!(verdict(&config).contains(&format!(
        "replication.factor is {found}, must be at least {}",
        found + 1
    )));
    config.settings = good;
    config.settings.min_insync = 0;
    assert!(
        verdict(&config).contains("min.insync.replicas (configured) is 0, must be more than half")
    );
    config.settings.min_insync = good.min_insync + 1;
    let needed = format!(
        "min.insync.replicas is {}, must be at least {}",
        good.min_insync,
        good.min_insync + 1
    );
    assert!(verdict(&config).contains(&needed), "{}", verdict(&config));
    config.settings = good;
    assert_eq!(verdict(&config), "ok");
}

/// Waits until the log says why it stopped; everything that is asked of it says so too.
fn stops(log: &KafkaLog, writer: &mut dyn Journal) -> String {
    let deadline = Instant::now() + SOON;
    let reason = loop {
        if let Some(reason) = log.failure() {
            break reason;
        }
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(log.watch().is_closed());
    let next = writer.tail().sequence + 1;
    let refused = writer.append(next, next, 0, &[]).unwrap_err();
    assert!(matches!(refused, AppendError::Lost { .. }), "{refused}");
    let mut reader = log.reader(None).unwrap();
    while let Ok(Some(_)) = reader.next() {}
    assert!(matches!(reader.next(), Err(ReadError::Lost { .. })));
    reason
}

#[test]
fn settings_that_change_while_it_runs_stop_everything() {
    for (name, value) in [("retention.ms", "60000"), ("cleanup.policy", "compact")] {
        let config = journal();
        let log = open(&config);
        let mut writer = lead(&log, 1);
        append(&mut writer, 1, 10);
        alter(&config, &[(name, value)]);
        let reason = stops(&log, &mut writer);
        assert!(reason.contains(&format!("{name} is {value}")), "{reason}");
    }
}

#[test]
fn a_topic_that_is_deleted_stops_everything() {
    let config = journal();
    let log = open(&config);
    let mut writer = lead(&log, 1);
    append(&mut writer, 1, 10);
    delete(&config);
    let reason = stops(&log, &mut writer);
    assert!(reason.contains(&config.topic), "{reason}");
}

#[test]
fn a_topic_that_is_recreated_stops_everything() {
    for records in [1, 50] {
        let config = journal();
        let log = open(&config);
        let mut writer = lead(&log, 1);
        append(&mut writer, 1, 10);
        delete(&config);
        let deadline = Instant::now() + SOON;
        while let Err(error) = create_journal(&config) {
            assert!(Instant::now() < deadline, "{error}");
        }
        // The other journal may be longer than what this process has read of its own.
        let other = open(&config);
        let mut usurper = lead(&other, 2);
        (0..records).for_each(|_| {
            append(&mut usurper, 1, 10);
        });
        let reason = stops(&log, &mut writer);
        assert!(reason.contains(&config.topic), "{reason}");
        assert_ne!(other.id(), log.id());
        append(&mut usurper, 1, 10);
    }
}
