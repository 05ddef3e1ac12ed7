//! What a validating witness knows of a log: the journal that it is made of, decided again.
//!
//! | # | phase | touches | finds |
//! |---|---|---|---|
//! | 1 | read | the copy of the journal, from its first record on | damage: the witness ends |
//! | 2 | audit | the core's state, in memory | an event or a run that the inputs do not give |
//! | 3 | batches | members' contents, by lookup | postings that do not sum to zero |
//! | 4 | header | memory | |
//! | 5 | root | 32 bytes a batch | |
//!
//! A checkpoint is right if its root is the one of 5 for its size. After a finding no larger size is right; nor
//! after a server has denied what it gave before, which is a finding too.
//! What is published says where something is wrong, never what: contents and seeds are the scheme's secret.
//! The full story is in the witness's own log.

use super::log::log_origin;
use anyhow::anyhow;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use valuta_engine::{AuditError, Auditor};
use valuta_gateway::wire;
use valuta_journal::{JournalId, JournalReader, Record, RecordLookup, Tail};
use valuta_ledger::{BatchInput, Header};
use valuta_relay::Batches;
use valuta_verify::{Checkpoint, Edge, Hash, leaf_hash, sha256};
use valuta_witness::{Finding, Invalid, Validator};

/// A batch is in the journal before it is in the log: a witness that keeps up has it after a moment. Less than
/// a log waits for an answer.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);
/// The newest headers are kept as evidence, of some 600 bytes each.
const HEADERS_MAX: usize = 4_096;

/// Compares checkpoints of the journal's log with what the journal gives. Of other logs it says nothing.
pub(super) struct JournalValidator {
    origin: String,
    known: Arc<Known>,
    followed_within: Duration,
}

/// Feeds it.
pub(super) struct JournalFollower {
    auditor: Auditor,
    batches: Batches,
    edge: Edge,
    previous: Hash,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    given: Mutex<Given>,
    grown: Condvar,
}

/// What the journal gives so far.
struct Given {
    /// By size, from the empty log's on.
    roots: Vec<Hash>,
    /// Of the newest entries.
    headers: VecDeque<String>,
    /// The server has denied the journal that it gave: true of what comes after it.
    denied: Option<Finding>,
    ended: Option<Ended>,
}

enum Ended {
    /// The journal is wrong from here on.
    Wrong(Finding),
    Unreadable(String),
}

/// Why a record is not followed.
enum Fault {
    Wrong(Finding),
    Unreadable(anyhow::Error),
}

/// Both ends, of a journal that is not yet read.
pub(super) fn validating(
    journal: JournalId,
    lookup: Arc<dyn RecordLookup>,
    rehearsal: bool,
) -> (JournalValidator, JournalFollower) {
    let known = Arc::new(Known::default());
    let validator = JournalValidator {
        origin: log_origin(journal),
        known: Arc::clone(&known),
        followed_within: FOLLOWED_WITHIN,
    };
    let follower = JournalFollower {
        auditor: Auditor::new(rehearsal),
        batches: Batches::new(lookup),
        edge: Edge::default(),
        previous: [0; 32],
        known,
    };
    (validator, follower)
}

impl JournalValidator {
    /// The log that it validates.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The server has another history now than the journal up to here, which it gave. Said before the journal is
    /// closed: what was given is still read to its end.
    pub fn denied(&self, sequence: u64, chain: &Hash) {
        let what = "the server denies the journal that it gave up to";
        self.known.given().denied = Some(finding(what, sequence, "", chain));
    }
}

impl Validator for JournalValidator {
    fn validate(&self, _: Option<&Checkpoint>, new: &Checkpoint) -> Result<(), Invalid> {
        if new.origin != self.origin {
            return Ok(());
        }
        let size = usize::try_from(new.size).unwrap_or(usize::MAX);
        let given = self.known.wait_for(size, self.followed_within);
        match (given.roots.get(size), &given.ended) {
            (Some(root), _) if *root == new.root => Ok(()),
            (Some(root), _) => Err(Invalid::Finding(given.another_root(size, root))),
            (None, Some(Ended::Wrong(finding))) => Err(Invalid::Finding(finding.clone())),
            (None, Some(Ended::Unreadable(reason))) => Err(Invalid::Unavailable(reason.clone())),
            (None, None) => Err(Invalid::Unavailable(format!(
                "the journal was followed up to batch {}",
                given.size()
            ))),
        }
    }
}

impl JournalFollower {
    /// Follows until a finding, or the journal's end, if it has one.
    ///
    /// # Errors
    /// If the journal cannot be read, or is of another program.
    pub fn run(mut self, mut reader: Box<dyn JournalReader>, tail: &Tail) -> anyhow::Result<()> {
        match self.follow(&mut *reader, tail) {
            Ok(()) => {
                self.known.close();
                Ok(())
            }
            Err(Fault::Wrong(finding)) => {
                self.known.end(Ended::Wrong(finding));
                Ok(())
            }
            Err(Fault::Unreadable(error)) => {
                self.known.end(Ended::Unreadable(format!("{error:#}")));
                Err(error)
            }
        }
    }

    fn follow(&mut self, reader: &mut dyn JournalReader, tail: &Tail) -> Result<(), Fault> {
        loop {
            let Some(record) = reader.next().map_err(unreadable)? else {
                let after = reader.cursor().sequence;
                if !tail.wait_past(after, Duration::MAX) {
                    return Ok(());
                }
                continue;
            };
            self.record(&record)?;
        }
    }

    fn record(&mut self, record: &Record) -> Result<(), Fault> {
        let decode = |bytes: &[u8], out: &mut _| {
            wire::decode_into(bytes, 0, out).map_err(|error| error.to_string())
        };
        // Before anything is made of it: what follows trusts the journal's events.
        let audited = self.auditor.record(record, &decode);
        audited.map_err(|error| wrong_record(error, record))?;
        for batch in self.batches.record(record).map_err(unreadable)? {
            self.batch(&batch)?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &BatchInput) -> Result<(), Fault> {
        let wrong = |reason: String| Fault::Wrong(wrong_at(batch.sequence, &reason, &batch.chain));
        let header = batch
            .commit()
            .map_err(|error| wrong(format!("batch {}: {error}", batch.number)))?;
        let expected = self.edge.size() + 1;
        if header.number != expected {
            let number = header.number;
            return Err(wrong(format!("batch {number} closed, and not {expected}")));
        }
        let text = Header {
            previous: self.previous,
            ..header
        }
        .text();
        self.previous = sha256(text.as_bytes());
        self.edge.push(leaf_hash(text.as_bytes()));
        self.known.grow(self.edge.root(), text);
        Ok(())
    }
}

impl Known {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, root: Hash, header: String) {
        let mut given = self.given();
        given.roots.push(root);
        if given.headers.len() == HEADERS_MAX {
            given.headers.pop_front();
        }
        given.headers.push_back(header);
        self.grown.notify_all();
    }

    fn end(&self, ended: Ended) {
        self.given().ended = Some(ended);
        self.grown.notify_all();
    }

    /// The journal has ended: if it was denied, no larger size is right.
    fn close(&self) {
        let denied = self.given().denied.take();
        if let Some(finding) = denied {
            self.end(Ended::Wrong(finding));
        }
    }

    /// Until the root of this size is known, or never will be, or the time is over.
    fn wait_for(&self, size: usize, within: Duration) -> MutexGuard<'_, Given> {
        let is_open = |given: &mut Given| given.roots.len() <= size && given.ended.is_none();
        let waited = self.grown.wait_timeout_while(self.given(), within, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Default for Given {
    fn default() -> Self {
        Self {
            roots: vec![Edge::default().root()],
            headers: VecDeque::new(),
            denied: None,
            ended: None,
        }
    }
}

impl Given {
    fn size(&self) -> usize {
        self.roots.len() - 1
    }

    fn another_root(&self, size: usize, root: &Hash) -> Finding {
        let root = BASE64_STANDARD.encode(root);
        let first = self.size() - self.headers.len();
        let header = size.checked_sub(first + 1);
        let header = header.and_then(|at| self.headers.get(at));
        let mut reason = format!("by the journal the root of the log of {size} entries is {root}");
        if header.is_some() {
            reason += ", and its last entry is the evidence";
        }
        Finding {
            reason,
            evidence: header.cloned(),
        }
    }
}

fn unreadable(error: impl Into<anyhow::Error>) -> Fault {
    Fault::Unreadable(error.into())
}

fn wrong_record(error: AuditError, record: &Record) -> Fault {
    let Some((sequence, what)) = error.finding() else {
        return unreadable(error);
    };
    tracing::error!(%error, "the journal is wrong");
    Fault::Wrong(wrong_at(sequence, &what, &record.chain_after))
}

fn wrong_at(sequence: u64, what: &str, chain: &Hash) -> Finding {
    finding("the journal is wrong at", sequence, what, chain)
}

/// The evidence tells anyone who has the journal which record is meant.
fn finding(which: &str, sequence: u64, what: &str, chain: &Hash) -> Finding {
    let colon = if what.is_empty() { "" } else { ": " };
    Finding {
        reason: format!("{which} sequence {sequence}{colon}{what}; the evidence names the record"),
        evidence: Some(format!(
            "sequence {sequence}\nchain {}\n",
            BASE64_STANDARD.encode(chain)
        )),
    }
}

/// Starts the follower on a thread of its own; completes with the reason when it cannot go on.
pub(super) fn start(
    follower: JournalFollower,
    reader: Box<dyn JournalReader>,
    tail: Tail,
) -> anyhow::Result<impl Future<Output = anyhow::Error> + Send> {
    let (ended, ending) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("validate".to_owned())
        .spawn(move || {
            // Nobody listens any more once the witness stops.
            let _ = ended.send(follower.run(reader, &tail));
        })?;
    Ok(async move {
        match ending.await {
            // After a finding, and after what was denied, the witness goes on, to say so.
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(error)) => error.context("validating"),
            Err(_) => anyhow!("validating: panicked"),
        }
    })
}

#[cfg(test)]
#[path = "validating/tests.rs"]
mod tests;
