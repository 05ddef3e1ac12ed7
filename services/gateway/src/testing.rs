//! What several test modules share: names, random numbers, and doubles of the two ports.

#![allow(clippy::unwrap_used)]

use crate::ports::{
    Answered, BatchFilter, BatchRow, ChangeRow, CheckpointRow, Content, Engine, EngineError,
    FollowError, InstructionRow, Journal, JournalFeed, JournalPlace, JournalRecord, ListFilter,
    ProofOf, ReadError, Reads, ReceiptRow, ReceivedRow, Standing,
};
use fx::AssetCode;
use settlement_core::command::{Caller, Command, Position, Refusal};
use settlement_core::ids::{BatchNumber, Bic, Sequence, Timestamp};
use settlement_core::instruction::{Identity, Submissions};
use settlement_core::rejection::Rejection;
use settlement_core::state::{FrozenView, State};
use settlement_core::view::{
    AssetView, CommandAnswer, InstructionAnswer, Query, SchemeView, Status, SubmitAnswer, View,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) const BANK_A: &str = "AAAAUS33";
pub(crate) const BANK_B: &str = "BBBBDEFF";

pub(crate) fn bic(text: &str) -> Bic {
    Bic::parse(text.as_bytes()).unwrap()
}

pub(crate) fn asset(code: &str, decimals: u8) -> AssetView {
    AssetView {
        code: AssetCode::parse(code.as_bytes()).unwrap(),
        decimals,
    }
}

pub(crate) const fn empty_scheme() -> SchemeView {
    SchemeView {
        name: None,
        base_asset: None,
        rehearsal: true,
        assets: Vec::new(),
        participants: Vec::new(),
        accounts: Vec::new(),
        limits: Vec::new(),
        risk: Vec::new(),
        cut_offs: None,
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        tokens: Vec::new(),
    }
}

/// SplitMix64: small, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0, below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// How many seeds a loop tries: 50 times as many with `VALUTA_LONG=1`.
pub(crate) fn seeds(usual: u64) -> u64 {
    match std::env::var_os("VALUTA_LONG") {
        Some(_) => usual * 50,
        None => usual,
    }
}

/// An engine that settles every well-formed instruction at once and takes every command, and a read
/// model that is as far as it is told to be.
#[derive(Clone)]
pub(crate) struct Double(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    durable: watch::Sender<u64>,
    projected: watch::Sender<u64>,
    anchored: watch::Sender<u64>,
    /// Submissions answered so far wait until this reaches their number.
    released: watch::Sender<u64>,
    /// Proofs wait while this is true.
    proofs_held: watch::Sender<bool>,
    journal: DoubleJournal,
}

#[derive(Default)]
struct Inner {
    tokens: BTreeMap<[u8; 32], Caller>,
    answers: Vec<(InstructionAnswer, Vec<u8>)>,
    digests: BTreeMap<Identity, (settlement_core::instruction::Digest, usize)>,
    commands: Vec<Command>,
    refusal: Option<Refusal>,
    repeats: bool,
    error: Option<EngineError>,
    views: Vec<View>,
    submissions: u64,
    changes: Vec<ChangeRow>,
    received: Vec<ReceivedRow>,
    /// The newest batch that the read model has.
    listed: BatchNumber,
}

impl Default for Double {
    fn default() -> Self {
        Self(Arc::new(Shared {
            inner: Mutex::default(),
            durable: watch::Sender::new(0),
            projected: watch::Sender::new(0),
            anchored: watch::Sender::new(0),
            released: watch::Sender::new(u64::MAX),
            proofs_held: watch::Sender::new(false),
            journal: DoubleJournal::default(),
        }))
    }
}

impl Double {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap()
    }

    pub(crate) fn with_token(self, text: &str, caller: Caller) -> Self {
        self.inner()
            .tokens
            .insert(crate::auth::token_hash(text), caller);
        self
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.inner().tokens.remove(&crate::auth::token_hash(token));
    }

    pub(crate) fn journaled(&self) -> &DoubleJournal {
        &self.0.journal
    }

    /// Every following command is refused so.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.inner().refusal = refusal;
    }

    /// Every following command is taken for a repeat.
    pub(crate) fn repeat(&self, repeats: bool) {
        self.inner().repeats = repeats;
    }

    /// Every following call fails so.
    pub(crate) fn fail(&self, error: Option<EngineError>) {
        self.inner().error = error;
    }

    /// The answer to the following queries that this view can answer.
    pub(crate) fn show(&self, view: View) {
        let mut inner = self.inner();
        inner
            .views
            .retain(|known| std::mem::discriminant(known) != std::mem::discriminant(&view));
        inner.views.push(view);
    }

    pub(crate) fn last_command(&self) -> Command {
        self.inner().commands.last().unwrap().clone()
    }

    pub(crate) fn submissions(&self) -> u64 {
        self.inner().submissions
    }

    /// Submissions up to this number are answered, later ones wait.
    pub(crate) fn release(&self, submissions: u64) {
        self.0.released.send_replace(submissions);
    }

    /// Proofs wait, or those that wait are made.
    pub(crate) fn hold_proofs(&self, held: bool) {
        self.0.proofs_held.send_replace(held);
    }

    /// How many proofs wait.
    pub(crate) fn proofs_held(&self) -> usize {
        self.0.proofs_held.receiver_count()
    }

    pub(crate) fn project(
        &self,
        sequence: u64,
        changes: Vec<ChangeRow>,
        received: Vec<ReceivedRow>,
    ) {
        let mut inner = self.inner();
        inner.changes.extend(changes);
        inner.received.extend(received);
        drop(inner);
        self.0.projected.send_replace(sequence);
    }

    /// The read model has the batches up to this one.
    pub(crate) fn list_batches_to(&self, batch: BatchNumber) {
        self.inner().listed = batch;
        self.0.projected.send_modify(|sequence| *sequence += 1);
    }

    /// How many wait for the read model.
    pub(crate) fn awaiting_projection(&self) -> usize {
        self.0.projected.receiver_count()
    }

    pub(crate) fn awaiting_anchor(&self) -> usize {
        self.0.anchored.receiver_count()
    }

    pub(crate) fn make_durable(&self, sequence: u64) {
        self.0.durable.send_replace(sequence);
    }

    pub(crate) fn anchor(&self, batch: u64) {
        self.0.anchored.send_replace(batch);
    }

    fn decide(&self, batch: &Submissions) -> SubmitAnswer {
        let mut inner = self.inner();
        let mut answer = SubmitAnswer::default();
        for item in &batch.items {
            let known = inner.digests.get(&item.identity).copied();
            let decided = match known {
                Some((digest, at)) if digest == item.digest => InstructionAnswer {
                    repeated: true,
                    ..inner.answers[at].0
                },
                _ => {
                    let status = match (known, &item.body) {
                        (Some(_), _) => Status::Rejected(Rejection::DuplicateWithOtherContent),
                        (None, Err(malformed)) => {
                            Status::Rejected(Rejection::Malformed(*malformed))
                        }
                        (None, Ok(_)) => Status::Settled { batch: 1 },
                    };
                    let at = inner.answers.len();
                    let fresh = InstructionAnswer {
                        identity: item.identity,
                        sequence: Sequence(at as u64 + 1),
                        status,
                        matched_with: None,
                        repeated: false,
                    };
                    inner
                        .digests
                        .entry(item.identity)
                        .or_insert((item.digest, at));
                    inner.answers.push((fresh, batch.content_of(item).to_vec()));
                    fresh
                }
            };
            answer.push(item.index, decided);
        }
        self.0.durable.send_replace(inner.answers.len() as u64);
        answer
    }
}

impl Engine for Double {
    async fn submit(&self, batch: Submissions) -> Result<SubmitAnswer, EngineError> {
        let number = {
            let mut inner = self.inner();
            if let Some(error) = inner.error.clone() {
                return Err(error);
            }
            inner.submissions += 1;
            inner.submissions
        };
        let answer = self.decide(&batch);
        let mut released = self.0.released.subscribe();
        let _ = released.wait_for(|at| *at >= number).await;
        Ok(answer)
    }

    async fn command(
        &self,
        command: Command,
    ) -> Result<Result<CommandAnswer, Refusal>, EngineError> {
        let mut inner = self.inner();
        if let Some(error) = inner.error.clone() {
            return Err(error);
        }
        if let Some(refusal) = inner.refusal.clone() {
            return Ok(Err(refusal));
        }
        inner.commands.push(command);
        let sequence = Sequence(*self.0.durable.borrow());
        Ok(Ok(CommandAnswer {
            sequence,
            changes: 1,
            repeated: inner.repeats,
        }))
    }

    async fn query(&self, query: Query, min_sequence: Sequence) -> Result<Answered, EngineError> {
        let mut durable = self.0.durable.subscribe();
        let _ = durable.wait_for(|at| *at >= min_sequence.0).await;
        let inner = self.inner();
        if let Some(error) = inner.error.clone() {
            return Err(error);
        }
        let view = match query {
            Query::Instructions(uetr) => {
                let answers = inner.answers.iter().map(|(answer, _)| *answer);
                View::Instructions(
                    answers
                        .filter(|answer| answer.identity.uetr == uetr)
                        .collect(),
                )
            }
            other => {
                let answers = |view: &&View| answers_query(view, &other);
                inner
                    .views
                    .iter()
                    .find(answers)
                    .unwrap_or_else(|| panic!("no view for {other:?}"))
                    .clone()
            }
        };
        Ok(Answered {
            sequence: Sequence(*self.0.durable.borrow()),
            time: self.now(),
            view,
        })
    }

    async fn content(&self, sequence: Sequence) -> Result<Option<Content>, EngineError> {
        let inner = self.inner();
        let at = sequence.0 as usize - 1;
        Ok(inner.answers.get(at).map(|(_, bytes)| Content {
            bytes: bytes.clone(),
            time: Timestamp(1_000),
        }))
    }

    async fn frozen(&self, _: Sequence) -> Result<Arc<FrozenView>, EngineError> {
        let state = State::new(true);
        Ok(Arc::new(FrozenView::new(state, Sequence(0), self.now())))
    }

    fn caller(&self, token_hash: &[u8; 32]) -> Option<Caller> {
        self.inner().tokens.get(token_hash).copied()
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.0.durable.subscribe()
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_795_190_400_000)
    }

    fn rehearsal(&self) -> bool {
        true
    }
}

fn answers_query(view: &View, query: &Query) -> bool {
    matches!(
        (view, query),
        (View::Positions(_), Query::Positions(_))
            | (View::Cycle(_), Query::Cycle(..))
            | (View::Cycles(_), Query::Cycles)
            | (View::Quote(_), Query::Quote(..))
            | (View::RateBook(_), Query::RateBook(_))
            | (View::QuoteRequest(_), Query::QuoteRequest(..))
            | (View::QuoteRequests(_), Query::OpenQuoteRequests(_))
            | (View::QuoteLimits(_), Query::QuoteLimits(_))
            | (View::RoundingLedger(_), Query::RoundingLedger(_))
            | (View::Scheme(_), Query::Scheme)
            | (View::ControlTotals(_), Query::ControlTotals)
            | (View::Statistics(_), Query::Statistics)
            | (View::Acknowledged(_), Query::Acknowledged(_))
    )
}

impl Reads for Double {
    fn projected(&self) -> watch::Receiver<u64> {
        self.0.projected.subscribe()
    }

    fn standing(&self) -> Standing {
        Standing {
            journal: "0f".repeat(16),
            ..Standing::default()
        }
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.0.journal.clone())
    }

    fn anchored(&self) -> watch::Receiver<u64> {
        self.0.anchored.subscribe()
    }

    async fn list(&self, filter: ListFilter) -> Result<Vec<InstructionRow>, ReadError> {
        let inner = self.inner();
        let before = filter.before.map_or(u64::MAX, |before| before.0);
        let rows = inner
            .answers
            .iter()
            .rev()
            .filter(|(answer, _)| answer.sequence.0 < before);
        let rows = rows
            .take(filter.limit)
            .map(|(answer, content)| InstructionRow {
                answer: *answer,
                content: content.clone(),
                received: Timestamp(1_000),
            });
        Ok(rows.collect())
    }

    async fn changes(
        &self,
        _: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ChangeRow>, ReadError> {
        let inner = self.inner();
        let later = inner.changes.iter().filter(|row| row.position > after);
        Ok(later.take(limit).copied().collect())
    }

    async fn received(
        &self,
        _: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ReceivedRow>, ReadError> {
        let inner = self.inner();
        let later = inner.received.iter().filter(|row| row.position > after);
        Ok(later.take(limit).cloned().collect())
    }

    async fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, ReadError> {
        let listed = self.inner().listed;
        Ok((number <= listed).then(|| batch_row(number)))
    }

    async fn batches(&self, filter: BatchFilter) -> Result<Vec<BatchRow>, ReadError> {
        let end = self.inner().listed + 1;
        let end = filter.before.map_or(end, |before| before.min(end));
        Ok((1..end).rev().take(filter.limit).map(batch_row).collect())
    }

    async fn checkpoint(&self) -> Result<Option<CheckpointRow>, ReadError> {
        Ok(None)
    }

    async fn receipt(&self, instruction: Sequence) -> Result<Option<ReceiptRow>, ReadError> {
        let inner = self.inner();
        let (answer, _) = inner.answers[instruction.0 as usize - 1];
        let anchored = *self.0.anchored.borrow() >= 1 && inner.listed >= 1;
        Ok(anchored.then(|| ReceiptRow {
            sequence: instruction,
            uetr: answer.identity.uetr,
            batch: 1,
            text: format!("receipt {}", instruction.0),
        }))
    }

    async fn proofs(&self, _: BatchNumber, what: ProofOf) -> Result<Vec<String>, ReadError> {
        let mut held = self.0.proofs_held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        Ok(vec![format!("{what:?}")])
    }

    async fn changed_by(
        &self,
        _: Bic,
        _: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, ReadError> {
        let listed = self.inner().listed;
        Ok(Some(until.min(listed)).filter(|&batch| batch > 0))
    }

    async fn receipts(
        &self,
        _: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<ReceiptRow>, ReadError> {
        let inner = self.inner();
        let count = match batch <= inner.listed {
            true => inner.answers.len() as u64,
            false => 0,
        };
        let later = (after.0 + 1..=count)
            .take(limit)
            .map(|sequence| ReceiptRow {
                sequence: Sequence(sequence),
                uetr: settlement_core::ids::Uetr(0),
                batch,
                text: String::new(),
            });
        Ok(later.collect())
    }
}

fn batch_row(number: BatchNumber) -> BatchRow {
    BatchRow {
        number,
        cycle: None,
        time: Timestamp(1_000),
        members: 1,
        sequence: Sequence(number),
        certificate_hash: None,
        order: None,
        postings: Vec::new(),
        anchor: None,
    }
}

/// A journal of one input a record, whose chain after the n-th record is n, 32 times.
#[derive(Clone, Default)]
pub(crate) struct DoubleJournal(Arc<JournalShared>);

#[derive(Default)]
struct JournalShared {
    records: Mutex<Vec<Vec<u8>>>,
    grown: Condvar,
    followers: AtomicUsize,
    read: AtomicUsize,
}

struct DoubleFeed {
    journal: DoubleJournal,
    next: usize,
}

impl DoubleJournal {
    pub(crate) fn append(&self, payload: Vec<u8>) {
        self.0.records.lock().unwrap().push(payload);
        self.0.grown.notify_all();
    }

    /// How many follow it.
    pub(crate) fn followers(&self) -> usize {
        self.0.followers.load(Ordering::SeqCst)
    }

    /// How many records they have read.
    pub(crate) fn read(&self) -> usize {
        self.0.read.load(Ordering::SeqCst)
    }
}

impl Journal for DoubleJournal {
    fn id(&self) -> [u8; 16] {
        [15; 16]
    }

    fn follow(&self, after: JournalPlace) -> Result<Box<dyn JournalFeed>, FollowError> {
        let (sequence, held) = (after.sequence.0, self.0.records.lock().unwrap().len());
        if sequence > held as u64 {
            return Err(FollowError::Behind(format!("it ends with {held}")));
        }
        if after
            .chain
            .is_some_and(|chain| chain != [sequence as u8; 32])
        {
            return Err(FollowError::OtherHistory("its chain is another".to_owned()));
        }
        self.0.followers.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(DoubleFeed {
            journal: self.clone(),
            next: sequence as usize,
        }))
    }
}

impl JournalFeed for DoubleFeed {
    fn next(&mut self, patience: Duration) -> Result<Option<JournalRecord>, FollowError> {
        let shared = &self.journal.0;
        let records = shared.records.lock().unwrap();
        let nothing = |records: &mut Vec<Vec<u8>>| records.len() <= self.next;
        let waited = shared.grown.wait_timeout_while(records, patience, nothing);
        let (records, _) = waited.unwrap();
        let Some(payload) = records.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        shared.read.fetch_add(1, Ordering::SeqCst);
        Ok(Some(JournalRecord {
            header: vec![self.next as u8; 80],
            payload: payload.clone(),
        }))
    }
}

impl Drop for DoubleFeed {
    fn drop(&mut self) {
        self.journal.0.followers.fetch_sub(1, Ordering::SeqCst);
    }
}
