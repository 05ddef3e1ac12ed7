//! Reading a topic for others, from a place that the consumer keeps with what it made of the messages.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::Message;

use super::Label;
use crate::config::{Ahead, KafkaConfig};
use crate::error::KafkaError;
use crate::fetch::{Fetch, Fetched};
use crate::topic::Admin;

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message of each partition.
    Beginning,
    /// With what comes from now on.
    End,
    /// At these offsets, as [`TopicReader::positions`] told them; other partitions from their
    /// beginning.
    At(BTreeMap<i32, u64>),
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: u64,
    /// When it was written, in milliseconds since 1970-01-01 UTC by the writer's clock.
    pub time_ms: Option<i64>,
    /// The scheme that it is about.
    pub scheme: String,
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its content.
    pub payload: Vec<u8>,
}

/// Reads all partitions of a topic, each in its order.
pub struct TopicReader {
    fetch: Fetch,
    positions: BTreeMap<i32, u64>,
}

impl TopicReader {
    /// Begins to read.
    pub fn open(config: &KafkaConfig, start: &Start) -> Result<Self, KafkaError> {
        let admin = Admin::new(config)?;
        let mut positions = BTreeMap::new();
        for partition in 0..admin.partitions()? {
            let kept = match start {
                Start::At(offsets) => offsets.get(&partition).copied(),
                Start::Beginning | Start::End => None,
            };
            let (first, end) = admin.watermarks_from(partition, kept.unwrap_or(0))?;
            let position = match start {
                Start::End => end,
                Start::Beginning | Start::At(_) => kept.unwrap_or(first),
            };
            if !(first..=end).contains(&position) {
                return Err(KafkaError::Lost(format!(
                    "partition {partition} of topic {} has offsets {first} to {end}, not {position}: \
                     it was recreated, or messages were deleted",
                    config.topic
                )));
            }
            positions.insert(partition, position);
        }
        let fetch = Fetch::open_at(config, &positions, Ahead::Much)?;
        Ok(Self { fetch, positions })
    }

    /// The next message of any partition, if one comes within the time. What is not ours is skipped.
    /// While the brokers do not answer there is none.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Received>, KafkaError> {
        let Fetched::Message(message) = self.fetch.next(timeout)? else {
            return Ok(None);
        };
        let (partition, offset) = (message.partition(), Fetch::offset(&message));
        self.positions.insert(partition, offset + 1);
        let Some(label) = Label::of(&message) else {
            tracing::warn!(partition, offset, "a message without scheme and number");
            return Ok(None);
        };
        Ok(Some(Received {
            partition,
            offset,
            time_ms: message.timestamp().to_millis(),
            scheme: label.scheme,
            number: label.number,
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
        }))
    }

    /// The offset of the next message of each partition.
    pub fn positions(&self) -> &BTreeMap<i32, u64> {
        &self.positions
    }

    /// How many messages each partition has beyond the position, by the brokers' word.
    pub fn lag(config: &KafkaConfig, positions: &BTreeMap<i32, u64>) -> Result<u64, KafkaError> {
        let admin = Admin::new(config)?;
        let mut lag = 0;
        for (&partition, &position) in positions {
            lag += admin.watermarks_of(partition)?.1.saturating_sub(position);
        }
        Ok(lag)
    }
}

/// Tells repeats: per partition and scheme, a number not above the last one. Kept with the positions,
/// since a repeat may come after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats(BTreeMap<(i32, String), u64>);

impl Repeats {
    /// Goes on from what [`Self::numbers`] told.
    pub fn resume(numbers: BTreeMap<(i32, String), u64>) -> Self {
        Self(numbers)
    }

    /// The last number of each partition and scheme.
    pub fn numbers(&self) -> &BTreeMap<(i32, String), u64> {
        &self.0
    }

    /// Whether the message was there before; if not, it is remembered.
    pub fn is_repeat(&mut self, received: &Received) -> bool {
        let key = (received.partition, received.scheme.clone());
        let last = self.0.entry(key).or_insert(0);
        let repeats = received.number <= *last;
        *last = (*last).max(received.number);
        repeats
    }
}
