//! What this process has read and accepted: the one place where the rule is applied to the live topic.
//!
//! Two threads come here with messages: the log's, with everything that it reads, and the leader's,
//! with what a delivery report confirmed. Both name the offset, so whoever is second changes nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use valuta_journal::{Chain, Cursor, Leader, Record, RecordHeader, Tail};

use crate::config::KafkaConfig;
use crate::lookup::History;
use crate::message::RawRecord;
use crate::rule::{Rule, Term, Verdict};

/// Payload bytes of recent records that followers share: four of the largest.
const RECENT_BYTES_MAX: usize = 64 << 20;
/// Recent records, however small.
const RECENT_RECORDS_MAX: usize = 16_384;
/// A lookup reads at most so many records, or so many bytes, to find one.
const INDEX_RECORDS: usize = 64;
const INDEX_BYTES: usize = 4 << 20;

/// While the leader's last confirmation is no older, nothing is read: an offset that is not the
/// expected one tells the leader of any foreign message, and else nobody writes.
const REST: Duration = Duration::from_millis(200);

pub(crate) struct Shared {
    pub config: KafkaConfig,
    pub tail: Tail,
    pub leader: watch::Sender<Option<Leader>>,
    /// The index of what is older than this process' start, once someone asked.
    pub history: History,
    state: Mutex<State>,
    moved: Condvar,
    /// For the reading thread alone, while it rests.
    wanted: Condvar,
    closing: AtomicBool,
}

/// A place to start reading from: the rule as it stands before the message at `offset`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub rule: Rule,
    pub offset: u64,
}

pub(crate) struct State {
    pub rule: Rule,
    /// The next message to judge.
    pub next_offset: u64,
    /// After the last record with inputs.
    pub cursor: Cursor,
    /// Newest last, without gaps; ends with the last accepted record.
    recent: VecDeque<Arc<Record>>,
    recent_bytes: usize,
    pub index: Index,
    /// When the leader's last record was confirmed by its report.
    confirmed: Option<Instant>,
    /// How many wait for messages that only reading can bring.
    waiting: usize,
    failure: Option<String>,
}

/// Places in ascending order, close enough to one another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    places: Vec<Place>,
    records_since: usize,
    bytes_since: usize,
}

/// What follows a sequence, as far as this process remembers.
pub(crate) enum After {
    /// The next record.
    Record(Arc<Record>),
    /// Nothing durable.
    Nothing,
    /// Too long ago to be remembered: it is in the topic.
    Forgotten,
}

impl Shared {
    pub fn new(config: KafkaConfig, place: Place, cursor: Cursor) -> Self {
        let mut index = Index::default();
        index.begin(place.clone());
        let (leader, _) = watch::channel(None);
        Self {
            config,
            tail: Tail::new(cursor),
            leader,
            history: History::new(),
            state: Mutex::new(State {
                rule: place.rule,
                next_offset: place.offset,
                cursor,
                recent: VecDeque::new(),
                recent_bytes: 0,
                index,
                confirmed: None,
                waiting: 0,
                failure: None,
            }),
            moved: Condvar::new(),
            wanted: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// The state is changed by whole steps, and none of them panics in between.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a message that was read. `address`: what it says of its sender.
    pub fn offer(&self, offset: u64, raw: Option<&RawRecord<'_>>, address: Option<String>) {
        let mut state = self.state();
        if offset < state.next_offset {
            return; // the leader's own, confirmed before it was read back
        }
        if let Some(raw) = raw {
            let verdict = state.accept(offset, raw, None);
            self.tell(&state, &verdict, offset, raw, address);
        }
        state.next_offset = offset + 1;
        drop(state);
        self.moved.notify_all();
    }

    /// The broker confirmed the leader's record at `offset`. The cursor after it, if the rule accepts
    /// it there; `None`: it is not where it was expected, and only reading on can tell.
    pub fn confirm(&self, offset: u64, raw: &RawRecord<'_>, chain: Chain) -> Option<Cursor> {
        let mut state = self.state();
        if offset == state.next_offset {
            let verdict = state.accept(offset, raw, Some(chain));
            self.tell(&state, &verdict, offset, raw, None);
            state.next_offset = offset + 1;
            state.confirmed = Some(Instant::now());
            self.moved.notify_all();
        }
        // Read back before its report came, or just now: either way the rule has judged it.
        let is_ours = state.cursor.chain == chain && state.cursor.offset == offset + 1;
        is_ours.then_some(state.cursor)
    }

    /// Under the lock, so that watermark and leader never go back.
    fn tell(
        &self,
        state: &State,
        verdict: &Verdict,
        offset: u64,
        raw: &RawRecord<'_>,
        address: Option<String>,
    ) {
        match verdict {
            Verdict::Record(_) => {
                self.tail.publish(state.cursor);
                self.note_leader(state, address);
            }
            Verdict::Epoch(header) => {
                let address = String::from_utf8_lossy(raw.payload).into_owned();
                tracing::info!(epoch = header.epoch, address, "an epoch has started");
                self.set_leader(Some(Leader {
                    epoch: header.epoch,
                    id: header.leader_id,
                    address,
                }));
            }
            Verdict::Skipped(skip) => {
                let (epoch, first) = (raw.header.epoch, raw.header.first_sequence);
                tracing::warn!(offset, epoch, first, ?skip, "skipped a message");
            }
            Verdict::Genesis => {}
        }
    }

    fn set_leader(&self, leader: Option<Leader>) {
        self.leader.send_if_modified(|now| {
            let changes = *now != leader;
            *now = leader;
            changes
        });
    }

    /// Opened after its `EpochStarted`, the leader is known from its next record.
    fn note_leader(&self, state: &State, address: Option<String>) {
        if self.leader.borrow().is_some() {
            return;
        }
        if let (Some(address), Some(Term { epoch, id })) = (address, state.rule.term()) {
            self.set_leader(Some(Leader { epoch, id, address }));
        }
    }

    /// Nothing more is read or written; `reason` says why to all who ask. The first one stays.
    pub fn fail(&self, reason: String) {
        let mut state = self.state();
        if state.failure.is_none() {
            tracing::error!(reason, "the journal has failed");
            state.failure = Some(reason);
        }
        drop(state);
        self.tail.close();
        self.wake();
    }

    fn wake(&self) {
        self.moved.notify_all();
        self.wanted.notify_all();
    }

    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.tail.close();
        self.wake();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Why nothing comes any more, if so.
    pub fn stopped(&self) -> Option<String> {
        if self.is_closing() {
            return Some("this process is stopping".into());
        }
        self.failure()
    }

    /// Waits until the message at `offset` is judged. `Ok(false)`: not within the time.
    pub fn wait_judged(&self, offset: u64, timeout: Duration) -> Result<bool, String> {
        self.state().waiting += 1;
        self.wanted.notify_all();
        let judged = self.wait_until_judged(offset, timeout);
        self.state().waiting -= 1;
        judged
    }

    fn wait_until_judged(&self, offset: u64, timeout: Duration) -> Result<bool, String> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.state();
        while state.next_offset <= offset {
            if let Some(reason) = &state.failure {
                return Err(reason.clone());
            }
            if self.is_closing() {
                return Err("this process is stopping".into());
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            let turn = left.unwrap_or(Duration::from_secs(60));
            let waited = self.moved.wait_timeout(state, turn);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(true)
    }

    /// Whether reading would only bring back what the leader's reports just confirmed.
    pub fn may_rest(&self) -> bool {
        self.state().may_rest() && !self.is_closing()
    }

    /// Keeps the reading thread until there may be something to read. Returns the next offset.
    pub fn rest(&self) -> u64 {
        let mut state = self.state();
        while state.may_rest() && !self.is_closing() {
            let waited = self.wanted.wait_timeout(state, REST);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.next_offset
    }

    pub fn after(&self, sequence: u64) -> After {
        let state = self.state();
        if sequence >= state.cursor.sequence {
            return After::Nothing;
        }
        state
            .containing(sequence + 1)
            .map_or(After::Forgotten, After::Record)
    }
}

impl State {
    fn may_rest(&self) -> bool {
        let fresh = self.confirmed.is_some_and(|at| at.elapsed() < REST);
        fresh && self.waiting == 0 && self.failure.is_none()
    }

    fn accept(&mut self, offset: u64, raw: &RawRecord<'_>, chain: Option<Chain>) -> Verdict {
        let before = Place {
            rule: self.rule.clone(),
            offset,
        };
        let hash =
            || chain.unwrap_or_else(|| valuta_journal::chain_after(&raw.header, raw.payload));
        let verdict = self.rule.accept_hashed(raw, hash);
        if let Verdict::Record(chain_after) = verdict {
            let record = record_at(offset, raw.header, raw.payload, chain_after);
            self.cursor = cursor_after(self.cursor, &record);
            self.index.note(before, raw.payload.len());
            self.remember(record);
        }
        verdict
    }

    fn remember(&mut self, record: Record) {
        self.recent_bytes += record.payload.len();
        self.recent.push_back(Arc::new(record));
        while self.recent_bytes > RECENT_BYTES_MAX || self.recent.len() > RECENT_RECORDS_MAX {
            let oldest = self.recent.pop_front().expect("the newest fits");
            self.recent_bytes -= oldest.payload.len();
        }
    }

    /// The recent record that holds this sequence.
    pub fn containing(&self, sequence: u64) -> Option<Arc<Record>> {
        let at = self
            .recent
            .partition_point(|record| record.header.last_sequence < sequence);
        let found = self
            .recent
            .get(at)
            .filter(|record| record.contains(sequence));
        found.cloned()
    }
}

impl Index {
    pub fn begin(&mut self, place: Place) {
        self.places.push(place);
        (self.records_since, self.bytes_since) = (0, 0);
    }

    /// A record was accepted at this place.
    pub fn note(&mut self, place: Place, bytes: usize) {
        if self.records_since >= INDEX_RECORDS || self.bytes_since >= INDEX_BYTES {
            self.begin(place);
        }
        self.records_since += 1;
        self.bytes_since += bytes;
    }

    /// The sequence before the first place.
    pub fn first_sequence(&self) -> u64 {
        self.places.first().map_or(0, |place| place.rule.sequence())
    }

    /// The last place before the record that holds `sequence` (not 0), and the sequence before the next
    /// place, if there is one; `None`: older than all.
    pub fn around(&self, sequence: u64) -> Option<(&Place, Option<u64>)> {
        let next = self
            .places
            .partition_point(|place| place.rule.sequence() < sequence);
        let place = self.places.get(next.checked_sub(1)?)?;
        let next = self.places.get(next);
        Some((place, next.map(|place| place.rule.sequence())))
    }
}

pub(crate) fn record_at(
    offset: u64,
    header: RecordHeader,
    payload: &[u8],
    chain_after: Chain,
) -> Record {
    Record {
        header,
        payload: payload.to_vec(),
        offset,
        chain_after,
    }
}

/// The cursor after a record with inputs.
pub(crate) fn cursor_after(before: Cursor, record: &Record) -> Cursor {
    Cursor {
        journal: before.journal,
        offset: record.offset + 1,
        sequence: record.header.last_sequence,
        chain: record.chain_after,
    }
}
