//! The messages of partitions, each in order, from an offset.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context, not_made};
use crate::config::{Ahead, KafkaConfig};
use crate::error::KafkaError;

/// A broker that refuses a connection does so soon.
const REFUSAL_WITHIN: Duration = Duration::from_secs(2);

/// Reads on by itself, ahead of who asks, over every change of the partition's leader.
pub(crate) struct Fetch {
    consumer: BaseConsumer<Context>,
    topic: String,
}

/// What there was within the time.
pub(crate) enum Fetched<'a> {
    Message(BorrowedMessage<'a>),
    Nothing,
}

impl Fetch {
    /// One partition from this offset on, which it must have, or end at.
    pub fn open(
        config: &KafkaConfig,
        partition: i32,
        offset: u64,
        ahead: Ahead,
    ) -> Result<Self, KafkaError> {
        Self::open_at(config, &BTreeMap::from([(partition, offset)]), ahead)
    }

    /// Several partitions.
    pub fn open_at(
        config: &KafkaConfig,
        positions: &BTreeMap<i32, u64>,
        ahead: Ahead,
    ) -> Result<Self, KafkaError> {
        use rdkafka::config::FromClientConfigAndContext;
        let settings = config.consumer(&format!("{}-reader", config.topic), ahead)?;
        let consumer = BaseConsumer::from_config_and_context(&settings, Context::default());
        let fetch = Self {
            consumer: consumer.map_err(not_made)?,
            topic: config.topic.clone(),
        };
        fetch.assign(positions)?;
        Ok(fetch)
    }

    /// Goes on from another offset of the first partition; what was read ahead is dropped.
    pub fn restart(&self, offset: u64) -> Result<(), KafkaError> {
        // librdkafka 2.12 stops a partition twice, and aborts the process, if one that was assigned in
        // place of itself is taken away at once.
        self.rest()?;
        self.assign(&BTreeMap::from([(0, offset)]))
    }

    /// Reads nothing until it is started again.
    pub fn rest(&self) -> Result<(), KafkaError> {
        self.assign(&BTreeMap::new())
    }

    fn assign(&self, positions: &BTreeMap<i32, u64>) -> Result<(), KafkaError> {
        let failed = |error: ClientError| KafkaError::Client(error.to_string());
        let mut places = TopicPartitionList::new();
        for (&partition, &offset) in positions {
            let offset = Offset::Offset(client::signed(offset));
            places
                .add_partition_offset(&self.topic, partition, offset)
                .map_err(failed)?;
        }
        self.consumer.assign(&places).map_err(failed)
    }

    /// The next message, if there is one within the time. A broker that does not answer is
    /// nothing; [`KafkaError::Lost`] says that the partition does not have the offset.
    pub fn next(&self, timeout: Duration) -> Result<Fetched<'_>, KafkaError> {
        match self.consumer.poll(timeout) {
            None | Some(Err(ClientError::PartitionEOF(_))) => Ok(Fetched::Nothing),
            Some(Ok(message)) => Ok(Fetched::Message(message)),
            Some(Err(error)) if is_lost(&error) => Err(KafkaError::Lost(error.to_string())),
            Some(Err(error)) => {
                tracing::debug!(%error, topic = self.topic, "reading");
                Ok(Fetched::Nothing)
            }
        }
    }

    pub fn offset(message: &BorrowedMessage<'_>) -> u64 {
        client::offset(message.offset())
    }
}

/// Why the brokers refuse connections, if they do: a certificate, a password. Of an admin client nobody
/// hears it; of a consumer, who polls it.
pub(crate) fn refusal(config: &KafkaConfig) -> Option<String> {
    let fetch = Fetch::open(config, 0, 0, Ahead::Little).ok()?;
    let until = Instant::now() + REFUSAL_WITHIN;
    while Instant::now() < until {
        // What comes is of no interest: only that the client was asked.
        let _ = fetch.next(REFUSAL_WITHIN / 20);
        let refused = fetch.consumer.context().refused();
        if refused.is_some() {
            return refused;
        }
    }
    None
}

fn is_lost(error: &ClientError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    match error {
        ClientError::MessageConsumption(code) => {
            matches!(code, AutoOffsetReset | OffsetOutOfRange)
        }
        ClientError::MessageConsumptionFatal(_) => true,
        _ => false,
    }
}
