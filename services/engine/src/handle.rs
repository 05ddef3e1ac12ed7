//! What the rest of the program calls. Cheap to clone; every answer is durable when it comes.

use crate::identities::keeper::{self, Published};
use crate::writer::{Message, Request};
use settlement_core::command::{Caller, Command, Refusal};
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::record::{self, Input};
use settlement_core::remembered::Key;
use settlement_core::state::FrozenView;
use settlement_core::view::{CommandAnswer, Query, SubmitAnswer, View};
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use valuta_journal::{ReadError, RecordLookup};

/// Instructions that may be on their way to an answer at once; more wait outside. It bounds the
/// engine's memory, and is some tens of full steps.
pub(crate) const IN_FLIGHT_INSTRUCTIONS_MAX: u32 = 262_144;

/// A view that nothing newer has replaced is kept for this long for others who ask; it holds on to what
/// was written since.
const VIEW_KEPT: Duration = Duration::from_secs(2);

/// The last view, while it is of use.
pub(crate) type LastView = Arc<Mutex<Option<Arc<FrozenView>>>>;

/// Tokens' SHA-256 and whom each stands for.
pub(crate) type TokenTable = BTreeMap<[u8; 32], Caller>;

/// Split by who must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The caller: try again. Nothing was written.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// When it may have passed.
        retry_after_ms: u32,
        /// For people.
        reason: String,
    },
    /// Us: the engine has stopped. What was not answered may be durable or not: send it again.
    #[error("the engine has stopped")]
    Stopped,
}

/// A query's answer, and how far the journal was durable when it was true.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The durable watermark.
    pub sequence: Sequence,
    /// Record time.
    pub time: Timestamp,
    /// The answer.
    pub view: View,
}

/// An instruction as it was journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// Record time.
    pub time: Timestamp,
}

/// What is durable now, for everyone to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub sequence: u64,
    pub time: Timestamp,
}

/// The way to the engine.
#[derive(Clone)]
pub struct Handle {
    pub(crate) mailbox: Sender<Message>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) tokens: Arc<RwLock<Arc<TokenTable>>>,
    pub(crate) durable: watch::Receiver<Watermark>,
    pub(crate) durable_sequence: watch::Receiver<u64>,
    pub(crate) lookup: Arc<dyn RecordLookup>,
    pub(crate) last_view: LastView,
    /// Files of old identities, if there are some.
    pub(crate) old: Option<Published>,
    pub(crate) rehearsal: bool,
}

impl Handle {
    /// Decides a batch; answers when all of it is durable.
    pub async fn submit(&self, batch: Submissions) -> Result<SubmitAnswer, EngineError> {
        let (weight, request) = self.submission(batch);
        self.ask(weight, request).await?
    }

    /// As [`Self::submit`], in two parts: taken in the order of the calls, answered later.
    pub async fn take_submissions(
        &self,
        batch: Submissions,
    ) -> Result<Ticket<Result<SubmitAnswer, EngineError>>, EngineError> {
        let (weight, request) = self.submission(batch);
        self.order(weight, request).await
    }

    /// What a batch asks of the writer. Files of old identities are asked here, beside it: a look for each
    /// instruction, and a read of a file for what is old.
    fn submission(
        &self,
        batch: Submissions,
    ) -> (
        u32,
        impl FnOnce(oneshot::Sender<Result<SubmitAnswer, EngineError>>) -> Request,
    ) {
        let old = self.old.as_ref();
        let recalled = old.and_then(|old| keeper::ask(old, Key::of_batch(&batch)));
        (weight_of(&batch), move |reply| Request::Submit {
            batch,
            recalled,
            reply,
        })
    }

    /// As [`Self::command`], in two parts.
    pub async fn take_command(
        &self,
        command: Command,
    ) -> Result<Ticket<Result<Result<CommandAnswer, Refusal>, EngineError>>, EngineError> {
        let command = Box::new(command);
        self.order(1, |reply| Request::Command { command, reply })
            .await
    }

    /// Decides any other write; answers when it is durable, or refused without a trace.
    pub async fn command(
        &self,
        command: Command,
    ) -> Result<Result<CommandAnswer, Refusal>, EngineError> {
        let command = Box::new(command);
        self.ask(1, |reply| Request::Command { command, reply })
            .await?
    }

    /// Answers from the live state at the durable watermark, once that is at least `min_sequence`.
    /// Waits without end for a sequence that never comes: the caller has the deadline.
    pub async fn query(
        &self,
        query: Query,
        min_sequence: Sequence,
    ) -> Result<Answered, EngineError> {
        let mut durable = self.durable.clone();
        durable
            .wait_for(|mark| mark.sequence >= min_sequence.0)
            .await
            .map_err(|_| EngineError::Stopped)?;
        self.ask(1, |reply| Request::Query { query, reply }).await
    }

    /// The state as it was at a durable sequence: at least `min_sequence`, and all that was durable when
    /// this was asked. Those who ask at once share one, and what was worked out on it. Costs the engine
    /// well under a millisecond. Waits without end for a sequence that never comes.
    pub async fn frozen(&self, min_sequence: Sequence) -> Result<Arc<FrozenView>, EngineError> {
        let mut durable = self.durable.clone();
        let reached = durable
            .wait_for(|mark| mark.sequence >= min_sequence.0)
            .await
            .map_err(|_| EngineError::Stopped)?
            .sequence;
        let mut last = self.last_view.lock().await;
        if let Some(view) = last.as_ref().filter(|view| view.sequence().0 >= reached) {
            return Ok(Arc::clone(view));
        }
        let view = self.ask(1, |reply| Request::Freeze { reply }).await?;
        let before = last.replace(Arc::clone(&view));
        // Letting go of a view may free much.
        tokio::task::spawn_blocking(move || drop(before));
        tokio::spawn(let_go(Arc::clone(&self.last_view), Arc::clone(&view)));
        Ok(view)
    }

    /// An instruction's bytes from the journal, `None` if this sequence is no durable instruction.
    pub async fn content(&self, sequence: Sequence) -> Result<Option<Content>, EngineError> {
        let lookup = Arc::clone(&self.lookup);
        tokio::task::spawn_blocking(move || read_content(&*lookup, sequence))
            .await
            .map_err(|_| EngineError::Stopped)?
    }

    /// Whom a token stands for, by its SHA-256.
    pub fn caller(&self, token_hash: &[u8; 32]) -> Option<Caller> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token_hash).copied()
    }

    /// The last durable sequence, and its changes. Closed when the engine has stopped.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.durable_sequence.clone()
    }

    /// Record time at the durable watermark.
    pub fn now(&self) -> Timestamp {
        self.durable.borrow().time
    }

    /// Whether time comes only from `SetTime`.
    pub fn rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Takes nothing more, finishes what was taken, answers it, and ends the engine's threads.
    pub fn shut_down(&self) {
        // If the engine is already gone there is nothing to end.
        let _ = self.mailbox.send(Message::ShutDown);
    }

    async fn ask<T>(
        &self,
        weight: u32,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, EngineError> {
        self.order(weight, request).await?.answer().await
    }

    /// Puts a request into the mailbox, once there is room for what it holds.
    async fn order<T>(
        &self,
        weight: u32,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<Ticket<T>, EngineError> {
        let permits = Arc::clone(&self.permits).acquire_many_owned(weight).await;
        let permits = permits.map_err(|_| EngineError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.mailbox
            .send(Message::Request(request(reply)))
            .map_err(|_| EngineError::Stopped)?;
        Ok(Ticket {
            answer,
            _permits: permits,
        })
    }
}

/// A request that the engine has taken. Dropped, it may be executed or not.
pub struct Ticket<T> {
    answer: oneshot::Receiver<T>,
    /// Its room in the mailbox, until it is answered.
    _permits: OwnedSemaphorePermit,
}

impl<T> Ticket<T> {
    /// When it is durable.
    pub async fn answer(self) -> Result<T, EngineError> {
        self.answer.await.map_err(|_| EngineError::Stopped)
    }
}

fn weight_of(batch: &Submissions) -> u32 {
    let items = u32::try_from(batch.items.len()).unwrap_or(u32::MAX);
    items.clamp(1, IN_FLIGHT_INSTRUCTIONS_MAX)
}

/// After a while, unless a newer one has taken its place.
async fn let_go(last: LastView, view: Arc<FrozenView>) {
    tokio::time::sleep(VIEW_KEPT).await;
    let mut last = last.lock().await;
    let kept = last.take_if(|last| Arc::ptr_eq(last, &view));
    tokio::task::spawn_blocking(move || drop((kept, view)));
}

fn read_content(
    lookup: &dyn RecordLookup,
    sequence: Sequence,
) -> Result<Option<Content>, EngineError> {
    let unreadable = |reason: String| {
        tracing::error!(sequence = sequence.0, %reason, "journal not readable");
        EngineError::Unavailable {
            retry_after_ms: 1_000,
            reason: format!("the journal cannot be read at sequence {}", sequence.0),
        }
    };
    let record = match lookup.record_containing(sequence.0) {
        Ok(record) => record,
        Err(ReadError::NotDurable { .. }) => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut entries =
        record::entries(&record.payload).map_err(|error| unreadable(error.to_string()))?;
    let mut at = record.header.first_sequence;
    while let Some(input) = entries
        .next_input()
        .map_err(|error| unreadable(error.to_string()))?
    {
        if at == sequence.0 {
            let Input::Instruction(bytes) = input else {
                return Ok(None);
            };
            return Ok(Some(Content {
                bytes: bytes.to_vec(),
                time: Timestamp(record.header.time_ms),
            }));
        }
        at += 1;
    }
    Err(unreadable("the record ends before it".to_owned()))
}
