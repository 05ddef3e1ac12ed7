//! Appends to the journal, beside the same client producing the same bytes raw: idempotent, `acks=all`, one in
//! flight. They take turns, so that both meet the same machine.

use crate::percentiles;
use std::time::{Duration, Instant};
use valuta_journal::{Journal as _, JournalId, RecordHeader};
use valuta_kafka::{
    Delivery, KafkaConfig, KafkaLog, Kind, Link, Outgoing, RawRecord, create_journal,
};
use valuta_tests::cluster::Stack;

/// Payload bytes, and records of one turn.
const SIZES: [(usize, u64); 4] = [(200, 1_000), (20_000, 500), (500_000, 150), (4_000_000, 25)];
const TURNS: usize = 4;
/// What an instruction takes in the journal, and how much of it no other one has.
const INSTRUCTION_BYTES: usize = 196;
const OWN_BYTES: usize = 88;

/// Milliseconds of each, and how long all took.
#[derive(Default)]
struct Measured {
    each: Vec<f64>,
    all: Duration,
}

impl Measured {
    fn time(
        &mut self,
        mut call: impl FnMut() -> anyhow::Result<()>,
        calls: u64,
    ) -> anyhow::Result<()> {
        let all = Instant::now();
        for _ in 0..calls {
            let one = Instant::now();
            call()?;
            self.each.push(one.elapsed().as_secs_f64() * 1e3);
        }
        self.all += all.elapsed();
        Ok(())
    }

    fn mb_per_second(&self, bytes: usize) -> f64 {
        (bytes * self.each.len()) as f64 / self.all.as_secs_f64() / 1e6
    }
}

/// Prints a row for each size.
pub fn measure(stack: &Stack, name: &str, scale: u64) -> anyhow::Result<()> {
    println!("== journal on three brokers (limit: the same client producing raw, one in flight)");
    println!(
        "{:>9} {:>8} {:>8} {:>6}   {:>15} {:>15} {:>11}",
        "bytes", "MB/s", "raw", "ratio", "p50/p99 ms", "raw", "p50/p99"
    );
    let mut config = KafkaConfig::new(&stack.brokers, format!("{name}-measured-journal"));
    create_journal(&config)?;
    let log = KafkaLog::open(&config, None)?;
    let mut journal = log.lead([1; 16], "here")?;
    config.topic = format!("{name}-measured-raw");
    create_journal(&config)?;
    let raw_log = KafkaLog::open(&config, None)?;
    let mut link = raw_log.link()?;
    drop(raw_log);
    for (bytes, records) in SIZES {
        let payload = payload(bytes);
        let (mut ours, mut raw) = (Measured::default(), Measured::default());
        let mut append = || {
            let next = journal.tail().sequence + 1;
            journal.append(next, next, 0, &payload)?;
            anyhow::Ok(())
        };
        let mut produce = || produce(&mut *link, &payload);
        // Connections, buffers.
        Measured::default().time(&mut append, 20)?;
        Measured::default().time(&mut produce, 20)?;
        for _ in 0..TURNS {
            raw.time(&mut produce, (records / scale).max(10))?;
            ours.time(&mut append, (records / scale).max(10))?;
        }
        row(bytes, ours, raw);
    }
    Ok(())
}

/// As instructions are: of [`INSTRUCTION_BYTES`] each [`OWN_BYTES`] are its own, as good as random, so that the
/// journal's messages are compressed as much as in life.
fn payload(bytes: usize) -> Vec<u8> {
    let mut random = 1u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.to_be_bytes()[0]
    };
    let byte = |at| {
        if at % INSTRUCTION_BYTES < OWN_BYTES {
            next()
        } else {
            7
        }
    };
    (0..bytes).map(byte).collect()
}

/// One message, as the journal's client sends it.
pub fn produce(link: &mut dyn Link, payload: &[u8]) -> anyhow::Result<()> {
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
        payload,
    };
    let sent = link.deliver(&Outgoing {
        raw: &raw,
        address: "",
    });
    anyhow::ensure!(matches!(sent, Delivery::At(_)), "{sent:?}");
    Ok(())
}

fn row(bytes: usize, mut ours: Measured, mut raw: Measured) {
    let (rate, limit) = (ours.mb_per_second(bytes), raw.mb_per_second(bytes));
    let ((p50, p99), (raw50, raw99)) = (percentiles(&mut ours.each), percentiles(&mut raw.each));
    println!(
        "{bytes:>9} {rate:>8.1} {limit:>8.1} {:>4.0} %   {:>15} {:>15} {:>11}",
        100.0 * rate / limit,
        format!("{p50:.2} {p99:.2}"),
        format!("{raw50:.2} {raw99:.2}"),
        format!(
            "{:+.0} % {:+.0} %",
            100.0 * (p50 / raw50 - 1.0),
            100.0 * (p99 / raw99 - 1.0)
        ),
    );
}
