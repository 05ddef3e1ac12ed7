//! The reading side: one thread reads the partition under the rule and moves the watermark; one checks,
//! now and then, that the topic is still the one that was opened and still has the settings.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use valuta_journal::{
    Chain, Contradiction, Cursor, JournalId, JournalReader, Leader, ReadError, RecordLookup,
    Source, Tail,
};

use crate::config::{Ahead, CALL_TIMEOUT, KafkaConfig};
use crate::copy::CopyReader;
use crate::error::{KafkaError, LeadError};
use crate::fetch::{Fetch, Fetched};
use crate::journal::KafkaJournal;
use crate::link::{Link, ProducerLink};
use crate::lookup::KafkaLookup;
use crate::message::RawRecord;
use crate::reader::{self, KafkaReader};
use crate::rule::Rule;
use crate::shared::{Place, Shared};
use crate::topic::{Admin, Genesis, find_genesis};

/// How often a thread looks whether it should stop.
pub(crate) const POLL: Duration = Duration::from_millis(100);
/// How often in a row a check must find the topic gone: brokers that start know less for a moment.
const GONE_CHECKS: u32 = 3;

/// What this process reads of a journal. Dropping it stops its threads and closes the watermark.
pub struct KafkaLog {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl KafkaLog {
    /// Checks the topic and begins to read it: from its start, or from after `from`, a snapshot's
    /// cursor, which the journal must hold.
    pub fn open(config: &KafkaConfig, from: Option<Cursor>) -> Result<Self, KafkaError> {
        let (admin, first) = (
            Admin::new(config)?,
            Fetch::open(config, 0, 0, Ahead::Little)?,
        );
        admin.check()?;
        let Some(opened) = find_genesis(&admin, &first)? else {
            return Err(KafkaError::NoJournal {
                topic: config.topic.clone(),
            });
        };
        first.rest()?;
        let journal = opened.0;
        let start = Cursor::start(journal);
        let from = from.filter(|cursor| cursor.sequence > 0 || cursor.journal != journal);
        let (place, cursor) = match from {
            None => (Place::default(), start),
            Some(cursor) => (place_after(config, journal, &cursor)?, cursor),
        };
        let fetch = Fetch::open(config, 0, place.offset, Ahead::Much)?;
        let shared = Arc::new(Shared::new(config.clone(), place, cursor));
        let mut log = Self {
            shared,
            threads: Vec::new(),
        };
        log.spawn("kafka-read", move |shared| read(shared, &fetch))?;
        let check = Check {
            opened,
            admin,
            fetch: first,
        };
        log.spawn("kafka-check", move |shared| watch_over(shared, &check))?;
        Ok(log)
    }

    fn spawn(
        &mut self,
        name: &str,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), KafkaError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.into());
        let started = thread.spawn(move || run(&shared));
        self.threads.push(
            started
                .map_err(|error| KafkaError::Client(format!("cannot start a thread: {error}")))?,
        );
        Ok(())
    }

    /// Who leads, as far as this process has read.
    pub fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.shared.leader.subscribe()
    }

    /// Why the journal can no longer be used: the topic is gone, another, or changed. `None`: it can.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Every accepted record so far, with inputs or without, for a copy.
    pub fn copy(&self) -> Result<CopyReader, ReadError> {
        CopyReader::open(&self.shared)
    }

    /// The last accepted sequence, and the chain over everything accepted, started epochs too.
    pub(crate) fn end(&self) -> (u64, Chain) {
        let state = self.shared.state();
        (state.rule.sequence(), state.rule.chain())
    }

    /// Waits until everything is read that was in the topic when this was called.
    pub fn wait_caught_up(&self, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        let admin = Admin::new(&self.shared.config)?;
        let (_, end) = admin.watermarks()?;
        let Some(last) = end.checked_sub(1) else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match self.shared.wait_judged(last, left) {
            Ok(true) => Ok(()),
            Ok(false) => Err(KafkaError::TimedOut(format!("reading up to offset {last}"))),
            Err(reason) => Err(KafkaError::Lost(reason)),
        }
    }

    /// Takes over: starts a new epoch, reads up to it, and may write from there on. `id` is drawn anew
    /// by each process that leads.
    pub fn lead(&self, id: [u8; 16], address: &str) -> Result<KafkaJournal, LeadError> {
        self.lead_over(id, address, self.link()?)
    }

    /// As [`Self::lead`], over a link of the caller's: tests lose reports with it.
    pub fn lead_over(
        &self,
        id: [u8; 16],
        address: &str,
        link: Box<dyn Link>,
    ) -> Result<KafkaJournal, LeadError> {
        self.wait_caught_up(2 * CALL_TIMEOUT)?;
        KafkaJournal::lead(Arc::clone(&self.shared), id, address, link)
    }

    /// A link to the topic.
    pub fn link(&self) -> Result<Box<dyn Link>, KafkaError> {
        Ok(Box::new(ProducerLink::new(&self.shared.config)?))
    }
}

impl Source for KafkaLog {
    fn id(&self) -> JournalId {
        self.shared.tail.durable().journal
    }

    fn watch(&self) -> Tail {
        self.shared.tail.clone()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        Ok(Box::new(KafkaReader::open(&self.shared, from)?))
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        Arc::new(KafkaLookup::new(&self.shared))
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            // It panicked: said so already, and there is nothing to clean up.
            let _ = thread.join();
        }
    }
}

/// The place after a snapshot's cursor: the record before it tells epoch and leader.
fn place_after(
    config: &KafkaConfig,
    journal: JournalId,
    cursor: &Cursor,
) -> Result<Place, KafkaError> {
    let contradicted = |reason| reader::contradicted(cursor, reason).into();
    if cursor.journal != journal {
        let (expected, found) = (cursor.journal, journal);
        return Err(contradicted(Contradiction::OtherJournal {
            expected,
            found,
        }));
    }
    match reader::record_before(config, cursor)? {
        Some(header) => Ok(Place {
            rule: Rule::after(journal, &header, cursor.chain),
            offset: cursor.offset,
        }),
        None => Err(contradicted(Contradiction::OtherChain)),
    }
}

/// The reading thread.
fn read(shared: &Shared, fetch: &Fetch) {
    while shared.stopped().is_none() {
        if shared.may_rest()
            && let Err(error) = rest(shared, fetch)
        {
            shared.fail(error.to_string());
        }
        match fetch.next(POLL) {
            Ok(Fetched::Nothing) => {}
            Ok(Fetched::Message(message)) => {
                let raw = RawRecord::of(&message);
                let address = RawRecord::address_of(&message);
                shared.offer(Fetch::offset(&message), raw.as_ref(), address);
            }
            Err(error) => judge_loss(shared, fetch, &error.to_string()),
        }
    }
}

fn rest(shared: &Shared, fetch: &Fetch) -> Result<(), KafkaError> {
    fetch.rest()?;
    fetch.restart(shared.rest())
}

/// The broker says that the offset is gone: true if the topic was recreated or cut, not if a broker
/// that starts or was cut off did not know better.
fn judge_loss(shared: &Shared, fetch: &Fetch, reason: &str) {
    let next = shared.state().next_offset;
    let watermarks = Admin::new(&shared.config).and_then(|admin| admin.watermarks_from(0, next));
    match watermarks {
        Ok((first, end)) if first > 0 || end < next => shared.fail(format!(
            "offset {next} of topic {} is gone, which has {first} to {end}: it was recreated, or \
             records of it were deleted ({reason})",
            shared.config.topic
        )),
        Ok(_) | Err(_) => {
            thread::sleep(POLL);
            if let Err(error) = fetch.restart(next) {
                shared.fail(error.to_string());
            }
        }
    }
}

/// What the topic was when it was opened, and the clients that ask for it again.
struct Check {
    opened: Genesis,
    admin: Admin,
    fetch: Fetch,
}

/// The checking thread.
fn watch_over(shared: &Shared, check: &Check) {
    let mut gone = 0;
    loop {
        let until = Instant::now() + shared.config.check_interval;
        while Instant::now() < until {
            if shared.stopped().is_some() {
                return;
            }
            thread::sleep(POLL.min(shared.config.check_interval));
        }
        match check.again(shared) {
            Ok(()) => gone = 0,
            Err(KafkaError::NoTopic { .. }) if gone + 1 < GONE_CHECKS => gone += 1,
            Err(KafkaError::Unavailable(reason) | KafkaError::TimedOut(reason)) => {
                tracing::debug!(reason, "the topic could not be checked");
            }
            Err(error) => shared.fail(error.to_string()),
        }
    }
}

impl Check {
    fn again(&self, shared: &Shared) -> Result<(), KafkaError> {
        let topic = &shared.config.topic;
        let read = shared.state().next_offset;
        self.admin.check()?;
        let (_, end) = self.admin.watermarks_from(0, read)?;
        let found = find_genesis(&self.admin, &self.fetch)?;
        self.fetch.rest()?;
        if found != Some(self.opened) {
            let was = self.opened.0;
            return Err(KafkaError::Lost(format!(
                "topic {topic} was recreated: it held journal {was}, which is gone"
            )));
        }
        if end < read {
            return Err(KafkaError::Lost(format!(
                "topic {topic} ends at offset {end}, this process has read up to {read}"
            )));
        }
        Ok(())
    }
}
