//! How to reach the brokers, and which of librdkafka's settings are ours.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use valuta_journal::RECORD_BYTES_MAX;

use crate::error::KafkaError;
use crate::topic::TopicSettings;

/// The most bytes of one message: the largest record and its envelope.
pub const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + (1 << 20);

/// How long a call to the brokers may take; a paused broker is given up after it.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(6);

/// What every client of ours has.
const COMMON: [(&str, &str); 7] = [
    ("client.id", "valuta"),
    ("socket.timeout.ms", "6000"),
    ("socket.connection.setup.timeout.ms", "3000"),
    ("socket.nagle.disable", "true"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "500"),
];

/// One message in flight, its order and its place in the log kept over every retry.
const PRODUCER: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("max.in.flight.requests.per.connection", "1"),
    ("linger.ms", "0"),
    ("request.timeout.ms", "5000"),
    ("compression.codec", "lz4"),
];

/// No position but the one asked for, and every message: the reader's rule decides, not the broker.
const CONSUMER: [(&str, &str); 9] = [
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_uncommitted"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "500"),
    ("fetch.error.backoff.ms", "100"),
    ("allow.auto.create.topics", "false"),
];

/// Set from fields, or another name for one of ours.
const OTHERS: [&str; 20] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.protocol",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "message.max.bytes",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "receive.message.max.bytes",
    "request.required.acks",
    "max.in.flight",
    "queue.buffering.max.ms",
    "compression.type",
    "transactional.id",
    "enable.gapless.guarantee",
];

/// What a consumer fetches at a time, and ahead, if it is to be little.
const LITTLE_BYTES: usize = 256 << 10;

/// How much a consumer reads ahead of who asks it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ahead {
    /// For who wants a message or a few: else each question moves tens of megabytes.
    Little,
    /// For who reads on.
    Much,
}

/// How to reach a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port,...`: some of the brokers, from which the others are learnt.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Passed on to librdkafka as they are: TLS, SASL. A setting that this crate makes itself may
    /// not be among them.
    pub properties: BTreeMap<String, String>,
    /// What the topic must be like; checked when it is opened and again while it is used.
    pub settings: TopicSettings,
    /// How long one message may stay without an answer, before it is given up and the barrier runs.
    pub message_timeout: Duration,
    /// How often the topic and its settings are checked again.
    pub check_interval: Duration,
}

impl KafkaConfig {
    /// A topic on these brokers, without TLS, on three of them, with the default times (10 s and
    /// 5 s).
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            properties: BTreeMap::new(),
            settings: TopicSettings::default(),
            message_timeout: Duration::from_secs(10),
            check_interval: Duration::from_secs(5),
        }
    }

    /// The same brokers, another topic.
    pub fn with_topic(&self, topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            ..self.clone()
        }
    }

    /// Whether librdkafka takes the properties, and none of them is ours. Connects to nobody.
    ///
    /// # Errors
    /// What is wrong with one that is.
    pub fn check_properties(&self) -> Result<(), KafkaError> {
        let client = self.common()?.create_native_config();
        client.map(drop).map_err(crate::client::not_made)
    }

    fn common(&self) -> Result<ClientConfig, KafkaError> {
        if let Some(clash) = self.properties.keys().find(|name| is_ours(name)) {
            return Err(KafkaError::PropertyIsOurs {
                name: clash.clone(),
            });
        }
        let mut client = ClientConfig::new();
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client.set("bootstrap.servers", &self.brokers);
        set_all(&mut client, &COMMON);
        Ok(client)
    }

    pub(crate) fn producer(&self) -> Result<ClientConfig, KafkaError> {
        let mut client = self.common()?;
        set_all(&mut client, &PRODUCER);
        let timeout_ms = self.message_timeout.as_millis().to_string();
        client.set("message.timeout.ms", timeout_ms);
        client.set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
        Ok(client)
    }

    /// As [`Self::producer`], with much in flight: a message waits for the brokers for as long as it
    /// takes, and none is ever left out between two others.
    pub(crate) fn pipeline_producer(&self) -> Result<ClientConfig, KafkaError> {
        let mut client = self.producer()?;
        client.set("message.timeout.ms", "0");
        client.set("enable.gapless.guarantee", "true");
        client.set("linger.ms", "5");
        Ok(client)
    }

    /// `group`: only the election's is known to the brokers; librdkafka wants one always.
    pub(crate) fn consumer(&self, group: &str, ahead: Ahead) -> Result<ClientConfig, KafkaError> {
        let mut client = self.common()?;
        set_all(&mut client, &CONSUMER);
        // A larger message comes whole all the same.
        let (fetch_bytes, queued_kbytes) = match ahead {
            Ahead::Little => (LITTLE_BYTES, LITTLE_BYTES >> 10),
            Ahead::Much => (MESSAGE_BYTES_MAX, 64 << 10),
        };
        client.set("fetch.message.max.bytes", fetch_bytes.to_string());
        client.set("fetch.max.bytes", (2 * MESSAGE_BYTES_MAX).to_string());
        client.set(
            "receive.message.max.bytes",
            (3 * MESSAGE_BYTES_MAX).to_string(),
        );
        client.set("queued.max.messages.kbytes", queued_kbytes.to_string());
        client.set("group.id", group);
        Ok(client)
    }

    pub(crate) fn admin(&self) -> Result<ClientConfig, KafkaError> {
        self.common()
    }
}

fn set_all(client: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        client.set(*name, *value);
    }
}

fn is_ours(name: &str) -> bool {
    let fixed = COMMON.iter().chain(&PRODUCER).chain(&CONSUMER);
    fixed.map(|(ours, _)| *ours).any(|ours| ours == name)
        || OTHERS.contains(&name)
        || name == "queued.max.messages.kbytes"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expected: &str) {
        let mut config = KafkaConfig::new("127.0.0.1:1", "t");
        config.properties.insert(name.into(), value.into());
        let made = [
            config.producer(),
            config.consumer("g", Ahead::Much),
            config.admin(),
        ];
        for made in made {
            let said = match made {
                Ok(client) => client.get(name).unwrap_or("dropped").to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(expected), "{name}: {said}");
        }
    }

    #[test]
    fn what_is_ours_cannot_be_set_and_the_rest_passes_through() {
        check("security.protocol", "ssl", "ssl");
        check("sasl.username", "bank", "bank");
        check("ssl.ca.location", "/etc/ca.pem", "/etc/ca.pem");
        for ours in [
            "acks",
            "request.required.acks",
            "enable.idempotence",
            "isolation.level",
            "auto.offset.reset",
            "max.in.flight",
            "bootstrap.servers",
            "transactional.id",
            "enable.gapless.guarantee",
        ] {
            check(ours, "1", &format!("the property {ours} is set by Valuta"));
        }
    }
}
