//! What can go wrong, split by who must act.

use thiserror::Error;
use valuta_journal::ReadError;

use crate::topic::Wrong;

/// Why something about a topic cannot be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KafkaError {
    /// The operator: remove it from the configuration.
    #[error("the property {name} is set by Valuta and cannot be given")]
    PropertyIsOurs {
        /// librdkafka's name of it.
        name: String,
    },
    /// The operator: librdkafka refuses a property.
    #[error("the Kafka client cannot be made: {0}")]
    Client(String),
    /// The operator or nobody: no answer from the brokers. It may be tried again.
    #[error("the brokers do not answer: {0}")]
    Unavailable(String),
    /// The operator: the brokers refuse.
    #[error("the brokers refuse to {action} {topic}: {reason}")]
    Refused {
        /// What was tried: a verb.
        action: &'static str,
        /// The topic.
        topic: String,
        /// The brokers' answer.
        reason: String,
    },
    /// The operator: create it.
    #[error("there is no topic {topic}")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The operator: create the journal; the topic holds none.
    #[error("the topic {topic} holds no journal")]
    NoJournal {
        /// The topic.
        topic: String,
    },
    /// The operator: the topic's settings do not bear a journal.
    #[error("the topic {topic} cannot be used: {}", sentences(wrong))]
    Settings {
        /// The topic.
        topic: String,
        /// Each setting that is wrong.
        wrong: Vec<Wrong>,
    },
    /// The caller: the cursor to go on from is not a place in this journal.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The process must stop: the topic is no longer what was opened.
    #[error("{0}")]
    Lost(String),
    /// Nobody: not done in time.
    #[error("not done in time: {0}")]
    TimedOut(String),
}

fn sentences(wrong: &[Wrong]) -> String {
    let sentences: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    sentences.join("; ")
}

/// Why leading cannot begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeadError {
    /// Nobody: another candidate came first. Follow it.
    #[error("{leader} has started epoch {epoch} first")]
    Overtaken {
        /// The other's epoch.
        epoch: u64,
        /// The other's address.
        leader: String,
    },
    /// It may be tried again: whether the epoch was started is unknown, and does not matter, since
    /// the next attempt takes a newer one.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}
