//! Valuta on Apache Kafka: the replicated journal, and topics for others. The one crate that knows
//! rdkafka.
//!
//! The journal is one topic with one partition. What is in it is decided by the reader's rule alone,
//! which every process applies to the same messages in the same order; nothing that a producer, a
//! broker's idempotence or a consumer group says is needed for it to be right.
//!
//! | module     | what                                                                         |
//! |------------|------------------------------------------------------------------------------|
//! | `client`   | what every librdkafka client shares: log lines, errors, futures              |
//! | `config`   | how to reach the brokers; which settings are ours                            |
//! | `topic`    | creating topics, and the check of all that correctness rests on              |
//! | `message`  | a record as a Kafka message                                                  |
//! | `rule`     | the reader's rule: which messages are records of the journal                 |
//! | `fetch`    | one partition's messages, in order, from an offset                           |
//! | `shared`   | what this process has read and accepted: watermark, recent records, index    |
//! | `log`      | the reading side: one thread that reads, one that checks                     |
//! | `reader`   | followers, in order                                                          |
//! | `lookup`   | random access by sequence                                                    |
//! | `link`     | one message on its way to the broker, and what is known of it                |
//! | `journal`  | the writing side: append, barrier, fence                                     |
//! | `copy`     | a journal to and from elsewhere, record by record                            |
//! | `election` | whose turn it is, of several processes of one role                          |
//! | `pipeline` | topics for others: a writer that resumes by number, a reader                 |
//!
//! Calls block; they belong on threads of their own. No tokio runtime is needed.

mod client;
mod config;
mod copy;
mod election;
mod error;
mod fetch;
mod journal;
mod link;
mod log;
mod lookup;
mod message;
mod pipeline;
mod reader;
mod rule;
mod shared;
mod topic;

pub use config::{KafkaConfig, MESSAGE_BYTES_MAX};
pub use copy::{CopyReader, CopyWriter};
pub use election::{Election, Named};
pub use error::{KafkaError, LeadError};
pub use journal::KafkaJournal;
pub use link::{Delivery, Link, Outgoing};
pub use log::KafkaLog;
pub use message::{Kind, RawRecord};
pub use pipeline::{Received, Repeats, Sent, Start, TopicReader, TopicWriter, partition_of};
pub use rule::{Rule, Skip, Term, Verdict};
pub use topic::{TopicSettings, Wrong, check_topic, create_journal, create_topic, leading_broker};
