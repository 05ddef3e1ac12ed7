//! Kafka's topics: how ours are written and read, and what is done to them by hand.

use super::config::{Kafka, ServiceArgs, ServiceConfig};
use anyhow::{anyhow, bail};
use prost::Message as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use valuta_journal::JournalReader;
use valuta_journal::Source as _;
use valuta_kafka::{
    KafkaConfig, KafkaLog, Received, Repeats, Start, TopicReader, TopicWriter, check_topic,
    create_journal, create_topic,
};
use valuta_proto::v1;
use valuta_relay::topics::{ANCHORS, BATCHES, STATUSES};

/// Banks' systems share the work of one topic by their BICs.
pub const STATUS_PARTITIONS: i32 = 8;
/// A thread that waits for a message sees within this that it shall stop.
pub const STOP_SEEN_WITHIN: Duration = Duration::from_millis(100);
/// How long brokers may take to make messages durable before the writer is opened anew.
const DURABLE_WITHIN: Duration = Duration::from_secs(60);
/// What `tail` waits for the next message, unless it follows.
const TAIL_QUIET: Duration = Duration::from_secs(2);

/// What is done by hand.
#[derive(clap::Subcommand, Clone)]
pub enum TopicsCommand {
    /// Create the journal's topic and the pipeline's, where they are not there; check their settings
    Create(ServiceArgs),
    /// Check every setting that correctness rests on
    Check(ServiceArgs),
    /// Print a topic's messages as JSON, one a line
    Tail {
        /// journal, settlement-batches, settlement-anchors or instruction-statuses
        topic: String,
        /// Only what comes from now on, and on until interrupted
        #[arg(long)]
        follow: bool,
        /// At most so many
        #[arg(long)]
        limit: Option<u64>,
        #[command(flatten)]
        args: ServiceArgs,
    },
}

impl TopicsCommand {
    /// What they are told.
    pub fn args(&self) -> &ServiceArgs {
        match self {
            Self::Create(args) | Self::Check(args) | Self::Tail { args, .. } => args,
        }
    }
}

/// A topic's writer.
pub struct Outgoing(TopicWriter);

impl Outgoing {
    pub fn open(topic: &KafkaConfig, scheme: &str) -> anyhow::Result<Self> {
        Ok(Self(TopicWriter::open(topic, scheme)?))
    }

    /// All up to this number is in the topic.
    pub fn held(&self) -> u64 {
        self.0.resume_after()
    }

    /// Sends one, unless the topic holds it.
    pub fn send(&mut self, number: u64, key: &[u8], payload: &[u8]) -> anyhow::Result<()> {
        self.0.send(number, key, payload)?;
        Ok(())
    }

    /// Waits until all is durable.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if self.0.flush(DURABLE_WITHIN)? {
            return Ok(());
        }
        bail!("the brokers did not take it within {DURABLE_WITHIN:?}")
    }
}

/// A topic from its beginning, without repeats.
pub struct Incoming {
    reader: TopicReader,
    repeats: Repeats,
}

impl Incoming {
    pub fn open(topic: &KafkaConfig) -> anyhow::Result<Self> {
        check_topic(topic)?;
        Ok(Self {
            reader: TopicReader::open(topic, &Start::Beginning)?,
            repeats: Repeats::default(),
        })
    }

    /// The next message's content, if one comes soon.
    pub fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let received = self.reader.next(STOP_SEEN_WITHIN)?;
        let new = received.filter(|received| !self.repeats.is_repeat(received));
        Ok(new.map(|received| received.payload))
    }
}

/// Reads on from a topic's newest message, which is there if it says so; of a topic with a single partition.
pub fn from_newest(topic: &KafkaConfig) -> anyhow::Result<(TopicReader, bool)> {
    let reader = TopicReader::open(topic, &Start::End)?;
    let Some((&partition, &end @ 1..)) = reader.positions().first_key_value() else {
        return Ok((reader, false));
    };
    let newest = Start::At([(partition, end - 1)].into());
    Ok((TopicReader::open(topic, &newest)?, true))
}

/// Its content.
pub fn newest(topic: &KafkaConfig) -> anyhow::Result<Option<Vec<u8>>> {
    let (mut reader, is_there) = from_newest(topic)?;
    let until = Instant::now() + DURABLE_WITHIN;
    while is_there && Instant::now() < until {
        if let Some(received) = reader.next(STOP_SEEN_WITHIN)? {
            return Ok(Some(received.payload));
        }
    }
    if is_there {
        bail!("the newest message of {} cannot be read", topic.topic);
    }
    Ok(None)
}

/// Does what is asked.
pub async fn topics(command: TopicsCommand, config: ServiceConfig) -> anyhow::Result<()> {
    let kafka = config.kafka;
    tokio::task::spawn_blocking(move || match command {
        TopicsCommand::Create(_) => create(&kafka),
        TopicsCommand::Check(_) => check(&kafka),
        TopicsCommand::Tail {
            topic,
            follow,
            limit,
            ..
        } => tail(&kafka, &topic, follow, limit.unwrap_or(u64::MAX)),
    })
    .await?
}

fn pipeline(kafka: &Kafka) -> [KafkaConfig; 3] {
    [
        kafka.topic(BATCHES, 1),
        kafka.topic(ANCHORS, 1),
        kafka.topic(STATUSES, STATUS_PARTITIONS),
    ]
}

fn create(kafka: &Kafka) -> anyhow::Result<()> {
    let journal = kafka.journal();
    let id = create_journal(&journal)?;
    println!("{}: journal {id}", journal.topic);
    for topic in pipeline(kafka) {
        create_topic(&topic)?;
        println!("{}: good", topic.topic);
    }
    Ok(())
}

fn check(kafka: &Kafka) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for topic in std::iter::once(kafka.journal()).chain(pipeline(kafka)) {
        match check_topic(&topic) {
            Ok(()) => println!("{}: good", topic.topic),
            Err(error) => wrong.push(format!("{}: {error}", topic.topic)),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

fn tail(kafka: &Kafka, name: &str, follow: bool, limit: u64) -> anyhow::Result<()> {
    if name == "journal" {
        return tail_journal(kafka, follow, limit);
    }
    let print: fn(&[u8]) -> anyhow::Result<Value> = match name {
        BATCHES => |bytes| Ok(batch_json(&v1::SettlementBatch::decode(bytes)?)),
        ANCHORS => |bytes| Ok(anchor_json(&v1::SettlementAnchor::decode(bytes)?)),
        STATUSES => |bytes| Ok(status_json(&v1::InstructionStatusChanged::decode(bytes)?)),
        _ => bail!("{name:?} is none of journal, {BATCHES}, {ANCHORS}, {STATUSES}"),
    };
    let topic = kafka.topic(name, 1);
    let start = if follow { Start::End } else { Start::Beginning };
    let mut reader = TopicReader::open(&topic, &start)?;
    let mut printed = 0;
    while printed < limit {
        match reader.next(TAIL_QUIET)? {
            Some(received) => {
                println!("{}", line(&received, print(&received.payload)?));
                printed += 1;
            }
            None if follow => {}
            None => break,
        }
    }
    Ok(())
}

fn line(received: &Received, message: Value) -> Value {
    json!({
        "partition": received.partition,
        "offset": received.offset,
        "key": String::from_utf8_lossy(&received.key),
        "number": received.number,
        "message": message,
    })
}

fn tail_journal(kafka: &Kafka, follow: bool, limit: u64) -> anyhow::Result<()> {
    let log = KafkaLog::open(&kafka.journal(), None)?;
    log.wait_caught_up(DURABLE_WITHIN)?;
    let tail = log.watch();
    let from = follow.then(|| tail.durable());
    let mut reader: Box<dyn JournalReader> = log.reader(from)?;
    let mut printed = 0;
    while printed < limit {
        let Some(record) = reader.next()? else {
            if !follow {
                break;
            }
            tail.wait_past(reader.cursor().sequence, TAIL_QUIET);
            if tail.is_closed() {
                let reason = log.failure();
                return Err(anyhow!("{}", reason.as_deref().unwrap_or("closed")));
            }
            continue;
        };
        let header = &record.header;
        println!(
            "{}",
            json!({
                "offset": record.offset,
                "epoch": header.epoch,
                "first_sequence": header.first_sequence,
                "last_sequence": header.last_sequence,
                "time_ms": header.time_ms,
                "bytes": record.payload.len(),
                "chain": hex(&record.chain_after),
            })
        );
        printed += 1;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time_json(time: Option<&prost_types::Timestamp>) -> Value {
    let ms = time.map(|time| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000));
    let time = ms.and_then(chrono::DateTime::from_timestamp_millis);
    json!(time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)))
}

fn batch_json(batch: &v1::SettlementBatch) -> Value {
    let list = |list: Option<&v1::SettlementList>| {
        list.map(|list| json!({"count": list.count, "root": hex(&list.root)}))
    };
    json!({
        "scheme": batch.scheme,
        "number": batch.number,
        "time": time_json(batch.time.as_ref()),
        "cycle": batch.cycle,
        "members": list(batch.members.as_ref()),
        "postings": list(batch.postings.as_ref()),
        "balances": list(batch.balances.as_ref()),
        "certificate_hash": hex(&batch.certificate_hash),
        "sequence": batch.sequence,
        "chain": hex(&batch.chain),
    })
}

fn anchor_json(anchor: &v1::SettlementAnchor) -> Value {
    json!({
        "scheme": anchor.scheme,
        "batch": anchor.batch,
        "log_index": anchor.log_index,
        "header": anchor.header,
        "checkpoint": anchor.checkpoint,
    })
}

fn status_json(changed: &v1::InstructionStatusChanged) -> Value {
    json!({
        "scheme": changed.scheme,
        "participant": changed.participant,
        "status": changed.status.as_ref().map(crate::cli::payments::status_json),
        "time": time_json(changed.time.as_ref()),
        "resume_token": changed.resume_token,
    })
}
