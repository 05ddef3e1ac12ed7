//! Brokers that are killed, paused and restarted under load. A binary of its own, so that no other test
//! runs meanwhile; each test waits for the one before.
#![allow(clippy::unwrap_used)]

#[path = "kafka/support.rs"]
#[allow(dead_code)]
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use valuta_journal::{Cursor, Journal, Source};
use valuta_kafka::{KafkaConfig, KafkaJournal, TopicWriter, create_journal, create_topic};

use support::{SOON, append, brokers, drain, lead, open};

/// How long writes may pause when a broker dies: Kafka's own seconds, and some for a slow machine.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One at a time, with every broker up.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for broker in all() {
        assert!(stack("start", &broker));
    }
    guard
}

fn all() -> Vec<String> {
    (1..=brokers().split(',').count())
        .map(|n| format!("broker-{n}"))
        .collect()
}

/// `scripts/stack kill|stop|start|pause|resume SERVER`; whether it did so.
fn stack(command: &str, server: &str) -> bool {
    let dir =
        std::env::var("VALUTA_TEST_STACK").expect("these tests need scripts/stack: source its env");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/stack");
    let output = Command::new(script)
        .args([command, server, "--dir", &dir])
        .output()
        .unwrap();
    if !output.status.success() {
        println!(
            "{command} {server}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    output.status.success()
}

fn journal() -> KafkaConfig {
    let mut config = support::topic();
    config.message_timeout = Duration::from_secs(4);
    config.check_interval = Duration::from_secs(5);
    create_journal(&config).unwrap();
    config
}

/// What a writer got confirmed, and its longest pause.
struct Written {
    journal: KafkaJournal,
    confirmed: Vec<Cursor>,
    pause: Duration,
}

/// Appends until told to stop.
fn write(mut journal: KafkaJournal, stop: &AtomicBool) -> Written {
    let (mut confirmed, mut pause) = (Vec::new(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        confirmed.push(append(&mut journal, 1, 2_000));
        pause = pause.max(begun.elapsed());
    }
    Written {
        journal,
        confirmed,
        pause,
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `fault` while a writer appends; what was confirmed is in the journal once, and nothing else.
fn under_load(fault: impl FnOnce(&KafkaConfig)) -> Written {
    let config = journal();
    let log = open(&config);
    let journal = lead(&log, 1);
    let stop = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| write(journal, &stop));
        // However the fault ends, the writer stops.
        let stopping = Stop(&stop);
        thread::sleep(Duration::from_millis(500));
        fault(&config);
        thread::sleep(Duration::from_millis(500));
        drop(stopping);
        writer.join().unwrap()
    });
    let fresh = open(&config);
    fresh.wait_caught_up(SOON).unwrap();
    assert_eq!(log.failure(), None);
    assert_eq!(fresh.watch().durable(), written.journal.tail());
    let mut reader = fresh.reader(None).unwrap();
    for confirmed in &written.confirmed {
        reader.next().unwrap().unwrap();
        assert_eq!(reader.cursor(), *confirmed);
    }
    assert!(drain(&mut *reader).is_empty());
    assert_eq!(*written.journal.health().borrow(), None);
    let (records, epoch) = (written.confirmed.len(), written.journal.term().epoch);
    println!(
        "{records} records, longest pause {:?}, epoch {epoch}",
        written.pause
    );
    written
}

#[test]
fn each_broker_is_killed_in_turn() {
    let _alone = alone();
    // One of them leads the partition.
    let written = under_load(|_| {
        for broker in all() {
            assert!(stack("kill", &broker));
            thread::sleep(Duration::from_secs(6));
            assert!(stack("start", &broker));
            thread::sleep(Duration::from_secs(3));
        }
    });
    assert!(written.pause < PAUSE_MAX, "{:?}", written.pause);
    assert!(written.confirmed.len() > 100);
}

#[test]
fn each_broker_is_paused_in_turn() {
    let _alone = alone();
    let written = under_load(|config| {
        // Many that ask all the time: a broker that goes on may answer as if it still led.
        let often = KafkaConfig {
            check_interval: Duration::from_millis(10),
            ..config.clone()
        };
        let others: Vec<_> = (0..8).map(|_| open(&often)).collect();
        for broker in all() {
            assert!(stack("pause", &broker));
            thread::sleep(Duration::from_secs(12));
            assert!(stack("resume", &broker));
            thread::sleep(Duration::from_secs(5));
        }
        for other in others {
            assert_eq!(other.failure(), None);
        }
    });
    assert!(written.pause < PAUSE_MAX, "{:?}", written.pause);
}

#[test]
fn all_brokers_are_killed_and_come_back() {
    let _alone = alone();
    under_load(|_| {
        all()
            .iter()
            .for_each(|broker| assert!(stack("kill", broker)));
        thread::sleep(Duration::from_secs(8));
        thread::scope(|scope| {
            for broker in all() {
                scope.spawn(move || assert!(stack("start", &broker)));
            }
        });
        thread::sleep(Duration::from_secs(8));
    });
}

#[test]
fn with_a_minority_writes_wait_and_say_so_while_reads_go_on() {
    let _alone = alone();
    let config = journal();
    let log = open(&config);
    let mut journal = lead(&log, 1);
    (0..50).for_each(|_| {
        append(&mut journal, 1, 100);
    });
    let before = drain(&mut *log.reader(None).unwrap());
    let health = journal.health();
    let stopped: Vec<_> = all().into_iter().skip(1).collect();
    let stopped = if stopped.is_empty() { all() } else { stopped };
    stopped
        .iter()
        .for_each(|broker| assert!(stack("kill", broker)));
    thread::scope(|scope| {
        let writer = scope.spawn(|| append(&mut journal, 1, 100));
        let deadline = Instant::now() + SOON;
        while health.borrow().is_none() {
            assert!(Instant::now() < deadline, "it does not say that it waits");
            thread::sleep(Duration::from_millis(50));
        }
        // What this process has read stays readable.
        assert_eq!(drain(&mut *log.reader(None).unwrap()), before);
        assert!(!writer.is_finished());
        stopped
            .iter()
            .for_each(|broker| assert!(stack("start", broker)));
        assert_eq!(writer.join().unwrap().sequence, 51);
    });
    assert_eq!(*health.borrow(), None);
    assert_eq!(log.failure(), None);
    append(&mut journal, 1, 100);
    let fresh = open(&config);
    fresh.wait_caught_up(SOON).unwrap();
    assert_eq!(drain(&mut *fresh.reader(None).unwrap()).len(), 52);
}

/// A writer with much on its way waits for its brokers, but says so when they stay away.
#[test]
fn a_full_writer_of_a_topic_does_not_wait_for_ever() {
    let _alone = alone();
    let mut config = support::topic();
    config.message_timeout = Duration::from_secs(1);
    create_topic(&config).unwrap();
    let mut writer = TopicWriter::open(&config, "scheme").unwrap();
    let paused: Vec<_> = all().iter().map(|broker| stack("pause", broker)).collect();
    let sent =
        (1..=20_000).try_for_each(|number| writer.send(number, b"key", b"message").map(drop));
    let resumed: Vec<_> = all().iter().map(|broker| stack("resume", broker)).collect();
    assert!(!paused.contains(&false) && !resumed.contains(&false));
    let said = sent.unwrap_err().to_string();
    assert!(said.contains("did not take messages"), "{said}");
}
