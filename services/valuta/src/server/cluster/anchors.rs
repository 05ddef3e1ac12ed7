//! Anchors of a ledger's log onto their topic, by the one of its processes whose turn it is. Whoever publishes, every
//! one of them compares its own log with what is published.

use super::node::Turn;
use super::topics::{Outgoing, STOP_SEEN_WITHIN, from_newest, newest};
use anyhow::Context;
use prost::Message as _;
use settlement_core::ids::BatchNumber;
use std::sync::atomic::{AtomicBool, Ordering};
use valuta_kafka::{KafkaConfig, Named};
use valuta_ledger::{FIRST_BATCH_NUMBER, LedgerError, LedgerReader};
use valuta_proto::v1;
use valuta_relay::topics::ANCHORS;

/// Puts anchors onto their topic.
pub struct Publisher {
    topic: KafkaConfig,
    ledger: LedgerReader,
    turn: Turn,
    state: Publishing,
}

enum Publishing {
    /// Another one does.
    StandingBy,
    /// The newest that was published, of a tree that this log has not come to.
    Behind(String),
    /// From this batch on.
    From(BatchNumber, Box<Outgoing>),
}

impl Publisher {
    pub fn new(topic: KafkaConfig, ledger: LedgerReader, turn: Turn) -> Self {
        Self {
            topic,
            ledger,
            turn,
            state: Publishing::StandingBy,
        }
    }

    /// Refuses to keep a log beside the one that was published: under other keys, or of other batches.
    pub fn checked(self) -> anyhow::Result<Self> {
        if let Some(note) = self.newest()? {
            is_ours(&self.ledger, &note)?;
        }
        self.turn.set(false);
        Ok(self)
    }

    /// The newest checkpoint on the topic.
    fn newest(&self) -> anyhow::Result<Option<String>> {
        newest(&self.topic)?
            .map(|payload| checkpoint(&payload))
            .transpose()
    }

    /// Publishes what the log has beyond the topic, if it is this process's turn.
    pub fn step(&mut self, scheme: &str, named: Named) -> anyhow::Result<()> {
        let works = !matches!(self.state, Publishing::StandingBy);
        match named {
            Named::This if !works => {
                self.turn.set(true);
                self.state = match self.newest()? {
                    Some(note) => Publishing::Behind(note),
                    None => self.begin(scheme)?,
                };
            }
            Named::Other if works => {
                tracing::warn!("another one works");
                self.turn.set(false);
                self.state = Publishing::StandingBy;
            }
            // One that nobody names, since the brokers do not say, goes on.
            Named::This | Named::Other | Named::Unknown => {}
        }
        if let Publishing::Behind(note) = &self.state
            && is_ours(&self.ledger, note)?
        {
            self.state = self.begin(scheme)?;
        }
        let Publishing::From(next, outgoing) = &mut self.state else {
            return Ok(());
        };
        let end = self.ledger.next_number();
        if *next < end {
            for number in *next..end {
                publish(&self.ledger, number, outgoing)?;
            }
            outgoing.flush()?;
            *next = end;
        }
        Ok(())
    }

    fn begin(&self, scheme: &str) -> anyhow::Result<Publishing> {
        let outgoing = Outgoing::open(&self.topic, scheme)?;
        let next = outgoing.held() + FIRST_BATCH_NUMBER;
        Ok(Publishing::From(next, Box::new(outgoing)))
    }
}

/// Compares the log with all that is published from now on, and with the newest of before. One that the log has not
/// come to gives way to the next.
pub fn compare(
    topic: &KafkaConfig,
    ledger: &LedgerReader,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let (mut reader, _) = from_newest(topic)?;
    let mut ahead = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(received) = reader.next(STOP_SEEN_WITHIN)? {
            ahead = Some(checkpoint(&received.payload)?);
        }
        if let Some(note) = &ahead
            && is_ours(ledger, note)?
        {
            ahead = None;
        }
    }
    Ok(())
}

fn checkpoint(anchor: &[u8]) -> anyhow::Result<String> {
    let anchor = v1::SettlementAnchor::decode(anchor);
    let anchor = anchor.with_context(|| format!("a message of {ANCHORS}"))?;
    Ok(anchor.checkpoint)
}

fn is_ours(ledger: &LedgerReader, note: &str) -> anyhow::Result<bool> {
    match ledger.has_had(note) {
        Err(LedgerError::Note(error)) => Err(error).context(format!(
            "{ANCHORS} is of another log than this ledger's: take keys/, their passphrase and, if it is left, \
             ledger/ from where that one was kept"
        )),
        had => Ok(had?),
    }
}

fn publish(
    ledger: &LedgerReader,
    number: BatchNumber,
    outgoing: &mut Outgoing,
) -> anyhow::Result<()> {
    let (header, anchor) = (ledger.header(number)?, ledger.anchor(number)?);
    let message = v1::SettlementAnchor {
        scheme: header.scheme.clone(),
        batch: number,
        log_index: anchor.index,
        header: header.text(),
        checkpoint: anchor.checkpoint.to_string(),
    };
    outgoing.send(number, header.scheme.as_bytes(), &message.encode_to_vec())
}
