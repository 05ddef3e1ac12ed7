//! Creating topics, and the check of every setting that correctness rests on.
//!
//! | setting                          | journal       | what another value would do                      |
//! |----------------------------------|---------------|--------------------------------------------------|
//! | partitions                       | 1             | no total order                                   |
//! | replication, `min.insync.replicas` | as configured, a majority | acknowledged records lost with a broker |
//! | `unclean.leader.election.enable` | false         | acknowledged records lost with a broker          |
//! | `cleanup.policy`                 | delete        | compaction removes records                       |
//! | `retention.ms`, `retention.bytes` | -1           | the oldest records are removed                   |
//! | `max.message.bytes`              | a record fits | the engine stops at a large step                 |
//! | first offset                     | 0             | records were deleted                             |

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use valuta_journal::JournalId;

use crate::client::{self, Context, block_on, not_made, unavailable};
use crate::config::{Ahead, CALL_TIMEOUT, KafkaConfig, MESSAGE_BYTES_MAX};
use crate::error::KafkaError;
use crate::fetch::{Fetch, Fetched, refusal};
use crate::link::{Delivery, Link, Outgoing, ProducerLink};
use crate::message::{Kind, RawRecord};
use crate::rule::Term;

/// What a topic must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Partitions; the journal has one.
    pub partitions: i32,
    /// On how many brokers each message is.
    pub replication: i32,
    /// How many of them have it before it is acknowledged; more than half.
    pub min_insync: i32,
}

impl Default for TopicSettings {
    /// Three brokers, of which any one may be lost.
    fn default() -> Self {
        Self {
            partitions: 1,
            replication: 3,
            min_insync: 2,
        }
    }
}

impl TopicSettings {
    /// As safe as this many brokers allow: the default, but on one broker nothing is replicated.
    pub fn on(brokers: usize) -> Self {
        if brokers >= 3 {
            return Self::default();
        }
        Self {
            replication: 1,
            min_insync: 1,
            ..Self::default()
        }
    }
}

/// One setting of a topic that does not bear what rests on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its name, as Kafka's tools have it.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub needed: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            found,
            needed,
        } = self;
        write!(f, "{setting} is {found}, must be {needed}")
    }
}

/// Creates the topic with the settings that it needs ([`KafkaConfig::settings`]), if it is not there,
/// and checks them. Idempotent.
pub fn create_topic(config: &KafkaConfig) -> Result<(), KafkaError> {
    let admin = Admin::new(config)?;
    admin.create()?;
    admin.check()
}

/// Checks every setting of the topic; [`KafkaError::Settings`] names each that is wrong.
pub fn check_topic(config: &KafkaConfig) -> Result<(), KafkaError> {
    Admin::new(config)?.check()
}

/// The broker that leads the topic's first partition now.
pub fn leading_broker(config: &KafkaConfig) -> Result<i32, KafkaError> {
    Admin::new(config)?.leading_broker()
}

/// Creates the topic of a journal and the journal in it, unless they are there; its id.
pub fn create_journal(config: &KafkaConfig) -> Result<JournalId, KafkaError> {
    create_topic(config)?;
    if let Some((found, _)) = read_genesis(config)? {
        return Ok(found);
    }
    let drawn = JournalId::random();
    let id = drawn.map_err(|error| KafkaError::Client(format!("cannot draw an id: {error}")))?;
    write_genesis(config, id, None)
}

/// Appends a genesis. Of two written at once, readers take the first: its id is returned.
pub(crate) fn write_genesis(
    config: &KafkaConfig,
    id: JournalId,
    term: Option<Term>,
) -> Result<JournalId, KafkaError> {
    let raw = RawRecord::genesis(id, term);
    let sent = ProducerLink::new(config)?.deliver(&Outgoing {
        raw: &raw,
        address: "",
    });
    if let Delivery::Unknown(reason) = sent {
        return Err(KafkaError::Unavailable(reason));
    }
    match read_genesis(config)? {
        Some((found, _)) => Ok(found),
        None => Err(KafkaError::NoJournal {
            topic: config.topic.clone(),
        }),
    }
}

/// What the first genesis of a topic names.
pub(crate) type Genesis = (JournalId, Option<Term>);

/// `None`: there is no genesis yet.
pub(crate) fn read_genesis(config: &KafkaConfig) -> Result<Option<Genesis>, KafkaError> {
    find_genesis(
        &Admin::new(config)?,
        &Fetch::open(config, 0, 0, Ahead::Little)?,
    )
}

/// As [`read_genesis`], for who asks again and again.
pub(crate) fn find_genesis(admin: &Admin, fetch: &Fetch) -> Result<Option<Genesis>, KafkaError> {
    let (_, end) = admin.watermarks()?;
    if end == 0 {
        return Ok(None);
    }
    fetch.restart(0)?;
    let deadline = Instant::now() + 2 * CALL_TIMEOUT;
    loop {
        match fetch.next(Duration::from_millis(100))? {
            Fetched::Message(message) => {
                let offset = Fetch::offset(&message);
                if let Some(raw) = RawRecord::of(&message)
                    && let Kind::Genesis { term } = raw.kind
                {
                    return Ok(Some((raw.journal, term)));
                }
                if offset + 1 >= end {
                    return Ok(None);
                }
            }
            Fetched::Nothing if Instant::now() < deadline => {}
            Fetched::Nothing => {
                return Err(KafkaError::TimedOut("reading the first record".into()));
            }
        }
    }
}

/// Questions to the brokers about one topic.
pub(crate) struct Admin {
    client: AdminClient<Context>,
    config: KafkaConfig,
}

impl Admin {
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        use rdkafka::config::FromClientConfigAndContext;
        let client = AdminClient::from_config_and_context(&config.admin()?, Context::default());
        Ok(Self {
            client: client.map_err(not_made)?,
            config: config.clone(),
        })
    }

    fn create(&self) -> Result<(), KafkaError> {
        let TopicSettings {
            partitions,
            replication,
            min_insync,
        } = self.config.settings;
        let (min_insync, bytes) = (min_insync.to_string(), MESSAGE_BYTES_MAX.to_string());
        let replication = TopicReplication::Fixed(replication);
        let mut topic = NewTopic::new(&self.config.topic, partitions, replication);
        let fixed = FIXED.iter().map(|(name, needed)| (*name, *needed));
        let ours = [
            ("min.insync.replicas", min_insync.as_str()),
            ("max.message.bytes", bytes.as_str()),
        ];
        for (name, value) in fixed.chain(ours) {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new()
            .request_timeout(Some(2 * CALL_TIMEOUT))
            .operation_timeout(Some(CALL_TIMEOUT));
        let answers = block_on(self.client.create_topics([&topic], &options));
        match answers
            .map_err(|error| self.unavailable(&error))?
            .into_iter()
            .next()
        {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(KafkaError::Refused {
                    action: "create",
                    topic: self.config.topic.clone(),
                    reason: code.to_string(),
                })
            }
            _ => self.await_leaders(),
        }
    }

    /// A new topic is known to all brokers a moment later.
    fn await_leaders(&self) -> Result<(), KafkaError> {
        patiently(2 * CALL_TIMEOUT, || match self.replicas()?.leaderless {
            0 => Ok(()),
            _ => Err(self.no_topic()),
        })?;
        let settled = patiently(2 * CALL_TIMEOUT, || self.check_now());
        match settled {
            Err(KafkaError::Settings { .. }) => Ok(()), // the caller's check says so
            settled => settled,
        }
    }

    /// Everything that correctness rests on.
    pub fn check(&self) -> Result<(), KafkaError> {
        patiently(PATIENCE, || self.check_now())
    }

    fn check_now(&self) -> Result<(), KafkaError> {
        let replicas = self.replicas()?;
        let mut wrong = Vec::new();
        self.config.settings.check(&replicas, &mut wrong);
        self.check_configs(&mut wrong)?;
        let (first, _) = self.watermarks()?;
        need(&mut wrong, "first offset", first, "0", first == 0);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(KafkaError::Settings {
            topic: self.config.topic.clone(),
            wrong,
        })
    }

    /// The brokers do not answer, and why they refuse to, if they do.
    fn unavailable(&self, error: &ClientError) -> KafkaError {
        KafkaError::Unavailable(match refusal(&self.config) {
            Some(reason) => format!("{error}: {reason}"),
            None => error.to_string(),
        })
    }

    fn check_configs(&self, wrong: &mut Vec<Wrong>) -> Result<(), KafkaError> {
        let topic = ResourceSpecifier::Topic(&self.config.topic);
        let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
        let answers = block_on(self.client.describe_configs([&topic], &options));
        let answer = answers
            .map_err(|error| self.unavailable(&error))?
            .into_iter()
            .next();
        let found = match answer {
            // A broker that has not heard of the topic yet describes nothing.
            Some(Ok(found)) if found.entries.is_empty() => return Err(self.no_topic()),
            Some(Ok(found)) => found,
            Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => return Err(self.no_topic()),
            Some(Err(code)) => return Err(KafkaError::Unavailable(code.to_string())),
            None => return Err(KafkaError::Unavailable("an empty answer".into())),
        };
        let value = |name: &str| {
            let value = found.get(name).and_then(|entry| entry.value.as_deref());
            value.unwrap_or("not known to this broker")
        };
        for &(name, needed) in &FIXED {
            need(wrong, name, value(name), needed, value(name) == needed);
        }
        let min_insync = self.config.settings.min_insync;
        let at_least = |name: &str, least: i64| value(name).parse().is_ok_and(|n: i64| n >= least);
        let (name, needed) = ("min.insync.replicas", format!("at least {min_insync}"));
        need(
            wrong,
            name,
            value(name),
            &needed,
            at_least(name, min_insync.into()),
        );
        let (name, least) = ("max.message.bytes", MESSAGE_BYTES_MAX as i64);
        let needed = format!("at least {least}");
        need(wrong, name, value(name), &needed, at_least(name, least));
        Ok(())
    }

    fn leading_broker(&self) -> Result<i32, KafkaError> {
        let topic = Some(self.config.topic.as_str());
        let metadata = self.client.inner().fetch_metadata(topic, CALL_TIMEOUT);
        let metadata = metadata.map_err(|error| self.unavailable(&error))?;
        let partitions = metadata.topics().first().map(|topic| topic.partitions());
        let leader = partitions.and_then(|partitions| Some(partitions.first()?.leader()));
        leader
            .filter(|&broker| broker >= 0)
            .ok_or_else(|| KafkaError::Unavailable("the partition has no leader".into()))
    }

    fn replicas(&self) -> Result<Replicas, KafkaError> {
        let topic = Some(self.config.topic.as_str());
        let metadata = self.client.inner().fetch_metadata(topic, CALL_TIMEOUT);
        let metadata = metadata.map_err(|error| self.unavailable(&error))?;
        let Some(found) = metadata.topics().first() else {
            return Err(self.no_topic());
        };
        match found.error() {
            None => {}
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {
                return Err(self.no_topic());
            }
            Some(error) => {
                let code = RDKafkaErrorCode::from(error);
                return Err(KafkaError::Unavailable(code.to_string()));
            }
        }
        let partitions = found.partitions();
        if partitions.is_empty() {
            return Err(self.no_topic());
        }
        let fewest = partitions.iter().map(|p| p.replicas().len()).min();
        Ok(Replicas {
            partitions: partitions.len(),
            fewest: fewest.unwrap_or(0),
            leaderless: partitions.iter().filter(|p| p.leader() < 0).count(),
        })
    }

    /// First and next offset of the first partition.
    pub fn watermarks(&self) -> Result<(u64, u64), KafkaError> {
        self.watermarks_of(0)
    }

    /// Of a partition; waits a little while it is between two leaders.
    pub fn watermarks_of(&self, partition: i32) -> Result<(u64, u64), KafkaError> {
        patiently(PATIENCE, || self.watermarks_now(partition))
    }

    /// Of a partition that was seen to have all messages before `seen`: an end before that is believed
    /// only if the brokers keep to it. One that was cut off and does not know yet that it leads no more
    /// tells an end of the past, and so does a new leader until the others have told it theirs.
    pub fn watermarks_from(&self, partition: i32, seen: u64) -> Result<(u64, u64), KafkaError> {
        let mut found = self.watermarks_of(partition)?;
        for _ in 0..SHORT_ANSWERS {
            if found.1 >= seen {
                break;
            }
            std::thread::sleep(SHORT_PAUSE);
            // Only so that the client hears who leads now.
            let _ = self.replicas();
            found = self.watermarks_of(partition)?;
        }
        Ok(found)
    }

    fn watermarks_now(&self, partition: i32) -> Result<(u64, u64), KafkaError> {
        let client = self.client.inner();
        let deadline = Instant::now() + 2 * CALL_TIMEOUT;
        loop {
            match client.fetch_watermarks(&self.config.topic, partition, CALL_TIMEOUT) {
                Ok((first, end)) => return Ok((client::offset(first), client::offset(end))),
                Err(error) if is_between_leaders(&error) && Instant::now() < deadline => {}
                Err(error) if is_unknown(&error) => return Err(self.no_topic()),
                Err(error) => return Err(unavailable(&error)),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn partitions(&self) -> Result<i32, KafkaError> {
        let partitions = patiently(PATIENCE, || self.replicas())?.partitions;
        Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    fn no_topic(&self) -> KafkaError {
        KafkaError::NoTopic {
            topic: self.config.topic.clone(),
        }
    }
}

/// A new topic is known to one broker sooner than to another, and a broker that starts knows none.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often in a row the brokers must tell the same loss: for ten seconds.
const SHORT_ANSWERS: u32 = 40;
const SHORT_PAUSE: Duration = Duration::from_millis(250);

/// Asks again while the answer is that there is no topic.
fn patiently<T>(
    within: Duration,
    ask: impl Fn() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + within;
    loop {
        match ask() {
            Err(KafkaError::NoTopic { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            answer => return answer,
        }
    }
}

fn is_unknown(error: &ClientError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
}

fn is_between_leaders(error: &ClientError) -> bool {
    use RDKafkaErrorCode::{
        LeaderNotAvailable, NotLeaderForPartition, OffsetNotAvailable, UnknownPartition,
    };
    matches!(
        error.rdkafka_error_code(),
        // A broker that has not heard of a new topic's partitions yet, in the client's own words.
        Some(UnknownPartition | LeaderNotAvailable | NotLeaderForPartition | OffsetNotAvailable)
    )
}

/// Nothing is ever removed, and a broker that does not have everything never leads.
const FIXED: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("unclean.leader.election.enable", "false"),
];

struct Replicas {
    partitions: usize,
    fewest: usize,
    leaderless: usize,
}

impl TopicSettings {
    fn check(&self, found: &Replicas, wrong: &mut Vec<Wrong>) {
        let partitions = self.partitions.to_string();
        let as_many = found.partitions.to_string() == partitions;
        need(wrong, "partitions", found.partitions, &partitions, as_many);
        let replication = usize::try_from(self.replication).unwrap_or(usize::MAX);
        let (needed, enough) = (
            format!("at least {replication}"),
            found.fewest >= replication,
        );
        need(wrong, "replication.factor", found.fewest, &needed, enough);
        let needed = format!("more than half of {replication}");
        let majority =
            2 * self.min_insync > self.replication && self.min_insync <= self.replication;
        let name = "min.insync.replicas (configured)";
        need(wrong, name, self.min_insync, &needed, majority);
    }
}

fn need(
    wrong: &mut Vec<Wrong>,
    setting: &'static str,
    found: impl ToString,
    needed: &str,
    holds: bool,
) {
    if !holds {
        wrong.push(Wrong {
            setting,
            found: found.to_string(),
            needed: needed.to_string(),
        });
    }
}
