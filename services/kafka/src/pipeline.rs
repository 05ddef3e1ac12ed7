//! Topics for others: batches, anchors, statuses.
//!
//! A message is told apart by (scheme, number), which it carries in its headers as text, so that Kafka's
//! own tools show them. Numbers rise within a partition, and everything that they stand for comes from
//! the journal, so a writer that starts again, or two at once, can only repeat what is there.
//!
//! | header      | what                                                                             |
//! |-------------|----------------------------------------------------------------------------------|
//! | `scheme`    | the scheme's name                                                                |
//! | `number`    | rises with each message of the scheme in the partition                           |
//! | `confirmed` | all messages of the scheme up to this number were in the topic, in any partition |
//!
//! The key chooses the partition as Kafka's Java clients do (murmur2), so others find it.

mod partition;
mod reader;
mod writer;

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

pub use partition::partition_of;
pub use reader::{Received, Repeats, Start, TopicReader};
pub use writer::{Sent, TopicWriter};

const SCHEME: &str = "scheme";
const NUMBER: &str = "number";
const CONFIRMED: &str = "confirmed";

/// What a message's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    scheme: String,
    number: u64,
    confirmed: u64,
}

impl Label {
    fn headers(&self) -> OwnedHeaders {
        let (number, confirmed) = (self.number.to_string(), self.confirmed.to_string());
        let fields = [
            (SCHEME, self.scheme.as_str()),
            (NUMBER, &number),
            (CONFIRMED, &confirmed),
        ];
        let empty = OwnedHeaders::new_with_capacity(fields.len());
        fields.into_iter().fold(empty, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        })
    }

    /// `None`: not a message of ours.
    fn of<M: Message>(message: &M) -> Option<Self> {
        let headers = message.headers()?;
        let text = |key: &str| {
            let found = headers.iter().find(|header| header.key == key)?;
            std::str::from_utf8(found.value?).ok()
        };
        Some(Self {
            scheme: text(SCHEME)?.to_string(),
            number: text(NUMBER)?.parse().ok()?,
            confirmed: text(CONFIRMED)?.parse().ok()?,
        })
    }
}
