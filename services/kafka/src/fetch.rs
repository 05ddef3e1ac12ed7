//! One partition's messages, in order, from an offset.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context, not_made};
use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// Reads on by itself, ahead of who asks, over every change of the partition's leader.
pub(crate) struct Fetch {
    consumer: BaseConsumer<Context>,
    topic: String,
    partition: i32,
}

/// What there was within the time.
pub(crate) enum Fetched<'a> {
    Message(BorrowedMessage<'a>),
    Nothing,
}

impl Fetch {
    /// From this offset on, which the partition must have, or end at.
    pub fn open(config: &KafkaConfig, partition: i32, offset: u64) -> Result<Self, KafkaError> {
        use rdkafka::config::FromClientConfigAndContext;
        let settings = config.consumer(&format!("{}-reader", config.topic))?;
        let consumer = BaseConsumer::from_config_and_context(&settings, Context);
        let fetch = Self {
            consumer: consumer.map_err(not_made)?,
            topic: config.topic.clone(),
            partition,
        };
        fetch.restart(offset)?;
        Ok(fetch)
    }

    /// Goes on from another offset; what was read ahead is dropped.
    pub fn restart(&self, offset: u64) -> Result<(), KafkaError> {
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(client::signed(offset));
        place
            .add_partition_offset(&self.topic, self.partition, offset)
            .and_then(|()| self.consumer.assign(&place))
            .map_err(|error| KafkaError::Client(error.to_string()))
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
