//! Whose turn it is, of several processes of one role: the consumer's that has the journal's partition in the
//! group `<topic>-<role>`.
//!
//! A hint, no more: two may think so at once. Of engines the reader's rule lets one write; of followers, two can
//! only repeat what is there. The assignment is sticky, so that one that joins takes nothing from who has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::watch;

use crate::client::{forward_log, not_made};
use crate::config::{Ahead, KafkaConfig};
use crate::error::KafkaError;
use crate::log::POLL;

/// After how much silence the brokers give the partition to another, where they permit it.
const SESSION_MS: u32 = 2_000;
/// How long the group waits at most for a member that went in the midst of being named, and is not yet missed.
const REBALANCE_MS: &str = "10000";
/// Without a word from the group for so long, a candidate joins anew.
const JOINS_AGAIN_AFTER: Duration = Duration::from_secs(15);
/// The least that brokers with default settings permit.
const SESSION_DEFAULT_MS: u32 = 6_000;

/// Whom the group names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Not known: the group has not answered yet, or not for too long.
    Unknown,
    /// This process.
    This,
    /// Another one.
    Other,
}

/// This process as a candidate. Dropping it leaves the group, so that another is chosen at once.
pub struct Election {
    named: watch::Receiver<Named>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Runs on the election's thread.
struct Assigned(watch::Sender<Named>);

impl ClientContext for Assigned {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        forward_log(level, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!(%error, "librdkafka: {reason}");
    }
}

impl ConsumerContext for Assigned {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) if partitions.count() > 0 => {
                // The partition stands for the turn; its messages are the log's to read.
                if let Err(error) = consumer.pause(partitions) {
                    tracing::debug!(%error, "pausing the election's partition");
                }
                self.0.send_replace(Named::This);
            }
            // Nothing more than it has.
            Rebalance::Assign(_) => {
                self.0.send_if_modified(|named| {
                    let unknown = *named == Named::Unknown;
                    if unknown {
                        *named = Named::Other;
                    }
                    unknown
                });
            }
            Rebalance::Revoke(_) | Rebalance::Error(_) => {
                self.0.send_replace(Named::Unknown);
            }
        }
    }
}

impl Election {
    /// Becomes a candidate for a role over the configured topic's journal.
    pub fn join(config: &KafkaConfig, role: &str) -> Result<Self, KafkaError> {
        let group = format!("{}-{role}", config.topic);
        let (sender, named) = watch::channel(Named::Unknown);
        let consumer = candidate(config, &group, SESSION_MS, sender)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (config, stopped) = (config.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("kafka-election".into());
        let started = thread.spawn(move || stand(&config, &group, consumer, &stopped));
        let thread = started
            .map_err(|error| KafkaError::Client(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            named,
            stop,
            thread: Some(thread),
        })
    }

    /// Whose turn it is.
    pub fn named(&self) -> watch::Receiver<Named> {
        self.named.clone()
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It panicked: the brokers notice by its silence.
            let _ = thread.join();
        }
    }
}

fn candidate(
    config: &KafkaConfig,
    group: &str,
    session_ms: u32,
    sender: watch::Sender<Named>,
) -> Result<BaseConsumer<Assigned>, KafkaError> {
    use rdkafka::config::FromClientConfigAndContext;
    let mut settings = config.consumer(group, Ahead::Little)?;
    settings
        .set("auto.offset.reset", "latest")
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_ms.to_string())
        .set("max.poll.interval.ms", REBALANCE_MS)
        .set("heartbeat.interval.ms", (session_ms / 5).to_string());
    let consumer = BaseConsumer::from_config_and_context(&settings, Assigned(sender));
    let consumer = consumer.map_err(not_made)?;
    consumer
        .subscribe(&[&config.topic])
        .map_err(|error| KafkaError::Client(error.to_string()))?;
    Ok(consumer)
}

/// The election's thread: polling is what keeps the candidacy.
fn stand(
    config: &KafkaConfig,
    group: &str,
    mut consumer: BaseConsumer<Assigned>,
    stop: &AtomicBool,
) {
    let (mut session_ms, mut heard) = (SESSION_MS, Instant::now());
    while !stop.load(Ordering::Acquire) {
        let polled = consumer.poll(POLL);
        if *consumer.context().0.borrow() != Named::Unknown {
            heard = Instant::now();
        }
        let error = polled.and_then(Result::err);
        let code = error.as_ref().and_then(ClientError::rdkafka_error_code);
        if let Some(error) = error {
            tracing::debug!(%error, "election");
        }
        if code == Some(RDKafkaErrorCode::InvalidSessionTimeout) && session_ms == SESSION_MS {
            session_ms = SESSION_DEFAULT_MS;
            tracing::warn!(
                "the brokers refuse a session of {SESSION_MS} ms (group.min.session.timeout.ms): taking {session_ms} ms"
            );
        } else if heard.elapsed() < JOINS_AGAIN_AFTER {
            continue;
        }
        heard = Instant::now();
        let sender = consumer.context().0.clone();
        match candidate(config, group, session_ms, sender) {
            Ok(anew) => consumer = anew,
            Err(error) => {
                tracing::warn!(%error, "election");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
    consumer.context().0.send_replace(Named::Unknown);
}
