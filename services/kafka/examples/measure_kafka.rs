//! What an append costs on Kafka, beside the same producer without a journal around it.
//!
//! `cargo run --example measure_kafka -- HOST:PORT,...`

#![allow(clippy::float_arithmetic)]

use std::time::{Duration, Instant};

use valuta_journal::{Journal, JournalId, RecordHeader};
use valuta_kafka::{
    Delivery, KafkaConfig, KafkaLog, Kind, Outgoing, RawRecord, TopicSettings, create_journal,
};

/// Payload bytes and how many records of them.
const SIZES: [(usize, usize); 4] = [
    (200, 2_000),
    (20_000, 1_000),
    (500_000, 400),
    (4_000_000, 60),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let brokers = arguments.next().ok_or("name the brokers: host:port,...")?;
    let name = format!("measure-{}", JournalId::random()?);
    let mut config = KafkaConfig::new(&brokers, name);
    config.settings = TopicSettings::on(brokers.split(',').count());
    timed("create", || create_journal(&config))?;
    let log = timed("open", || KafkaLog::open(&config, None))?;
    let follower = timed("open again", || KafkaLog::open(&config, None))?;
    let mut journal = timed("lead", || log.lead([1; 16], "here"))?;
    println!(
        "{:>9} {:>22} {:>22} {:>9}",
        "bytes", "raw p50/p99 ms, MB/s", "journal", "lag ms"
    );
    for (bytes, records) in SIZES {
        let payload = vec![7; bytes];
        let header = RecordHeader {
            epoch: 0,
            leader_id: [0; 16],
            first_sequence: 0,
            last_sequence: 0,
            chain_before: [0; 32],
            time_ms: 0,
        };
        let raw = RawRecord {
            kind: Kind::Record,
            journal: JournalId([0; 16]),
            header,
            payload: &payload,
        };
        let other = config.with_topic(format!("{}-raw", config.topic));
        create_journal(&other)?;
        let mut raw_link = KafkaLog::open(&other, None)?.link()?;
        let bare = measure(records, || {
            let sent = raw_link.deliver(&Outgoing {
                raw: &raw,
                address: "",
            });
            assert!(matches!(sent, Delivery::At(_)), "{sent:?}");
        });
        drop(raw_link);
        let ours = measure(records, || {
            let next = journal.tail().sequence + 1;
            journal
                .append(next, next, 0, &payload)
                .expect("the brokers are there");
        });
        let begun = Instant::now();
        follower.wait_caught_up(Duration::from_secs(60))?;
        let lag = begun.elapsed().as_secs_f64() * 1e3;
        println!(
            "{bytes:>9} {} {} {lag:>9.1}",
            line(&bare, bytes),
            line(&ours, bytes)
        );
    }
    drop(follower);
    Ok(())
}

fn timed<T, E>(what: &str, run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let begun = Instant::now();
    let done = run();
    println!("{what}: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    done
}

/// Milliseconds of each call, ascending, and of all.
fn measure(calls: usize, mut call: impl FnMut()) -> (Vec<f64>, f64) {
    (0..20.min(calls)).for_each(|_| call());
    let begun = Instant::now();
    let mut each: Vec<f64> = (0..calls)
        .map(|_| {
            let begun = Instant::now();
            call();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let all = begun.elapsed().as_secs_f64() * 1e3;
    each.sort_by(f64::total_cmp);
    (each, all)
}

fn line((each, all): &(Vec<f64>, f64), bytes: usize) -> String {
    let at = |part: usize| each[(each.len() * part / 100).min(each.len() - 1)];
    let rate = (bytes * each.len()) as f64 / all / 1e3;
    format!("{:>7.2} {:>7.2} {rate:>6.1}", at(50), at(99))
}
