//! The state of a journal that another process writes, kept up with it. It answers questions and takes
//! no writes: what a standby keeps warm, and what gateways and treasuries read.
//!
//! | # | phase  | touches                                   |
//! |---|--------|-------------------------------------------|
//! | 1 | woken  | the mailbox: more is durable, or a question |
//! | 2 | read   | the journal, verified by its reader       |
//! | 3 | apply  | memory; `decide` is never called          |
//! | 4 | tell   | who waits for a sequence; callers         |

use crate::handle::{Answered, Handle, IN_FLIGHT_INSTRUCTIONS_MAX, TokenTable, Watermark};
use crate::identities::keeper::Keeper;
use crate::identities::{FileError, OldIdentities};
use crate::replay::{self, Recovered, ReplayError, Replayed};
use crate::snapshot::Place;
use crate::snapshotter::{SnapshotOptions, Snapshotter};
use crate::writer::{Message, Request, StopReason, keeper, refuse, token_table};
use settlement_core::ids::Sequence;
use settlement_core::remembered::Key;
use settlement_core::state::{FrozenView, State};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};
use valuta_journal::{JournalReader, Source, Tail};

/// Why a replica ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// A record cannot be read or is not one of this program's.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The reading side of the journal has ended; it has said why.
    #[error("the journal is closed to readers")]
    JournalClosed,
    /// A file of old identities cannot be read; the next start makes it anew.
    #[error("old identities: {0}")]
    Identities(String),
    /// Our bug.
    #[error("the replica panicked")]
    Panicked,
}

type Outcome = Result<(State, Replayed), ReplicaError>;

/// A thread that follows.
pub struct Replica {
    thread: JoinHandle<Outcome>,
    mailbox: Sender<Message>,
}

impl Replica {
    /// Goes on where a recovery ended. Its handle answers questions at what it has read; writes are
    /// refused. Without snapshots nothing leaves memory, as in [`Engine::start`](crate::Engine::start).
    ///
    /// # Errors
    /// If the operating system gives no thread, or a file of old identities is missing.
    pub fn start(
        source: &dyn Source,
        recovered: Recovered,
        rehearsal: bool,
        snapshots: Option<SnapshotOptions>,
    ) -> std::io::Result<(Self, Handle)> {
        let Recovered {
            mut state,
            replayed,
            reader,
            ..
        } = recovered;
        let (mailbox, messages) = channel();
        let dir = snapshots.as_ref().map(|options| options.dir.clone());
        let old = dir.map(|dir| OldIdentities::open(&dir, source));
        let keeper = keeper(old, &mut state, &mailbox)?;
        let mark = watermark(&replayed);
        let (durable, durable_reader) = watch::channel(mark);
        let (sequence, sequence_reader) = watch::channel(mark.sequence);
        let tokens = Arc::new(RwLock::new(Arc::new(token_table(&state))));
        let handle = Handle {
            mailbox: mailbox.clone(),
            permits: Arc::new(Semaphore::new(IN_FLIGHT_INSTRUCTIONS_MAX as usize)),
            tokens: Arc::clone(&tokens),
            durable: durable_reader,
            durable_sequence: sequence_reader,
            lookup: source.lookup(),
            last_view: Arc::default(),
            old: None,
            rehearsal,
        };
        let snapshotter =
            snapshots.map(|options| Snapshotter::start(options, replayed.records > 0));
        let tail = source.watch();
        let follower = Follower {
            tokens_version: state.tokens_version(),
            state,
            replayed,
            reader,
            woken: wake_on_durable(&tail, mailbox.clone()),
            tail,
            snapshotter: snapshotter.transpose()?,
            keeper,
            tokens,
            durable,
            sequence,
        };
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || follower.run(&messages))?;
        Ok((Self { thread, mailbox }, handle))
    }

    /// Reads what is durable now, ends, and hands the state over: to an engine that is to lead.
    ///
    /// # Errors
    /// See [`ReplicaError`].
    pub fn stop(self) -> Outcome {
        // If the thread has gone, joining it says why.
        let _ = self.mailbox.send(Message::ShutDown);
        self.join()
    }

    /// Waits until it ends by itself: by an error.
    pub fn join(self) -> Outcome {
        drop(self.mailbox);
        self.thread.join().unwrap_or(Err(ReplicaError::Panicked))
    }
}

/// One message however much becomes durable before it is taken.
fn wake_on_durable(tail: &Tail, mailbox: Sender<Message>) -> Arc<AtomicBool> {
    let woken = Arc::new(AtomicBool::new(true));
    let hook = Arc::clone(&woken);
    // Once by hand, for what became durable before the hook was there.
    let _ = mailbox.send(Message::Durable);
    tail.on_durable(move || {
        if !hook.swap(true, Ordering::AcqRel) {
            // A replica that has ended need not be woken.
            let _ = mailbox.send(Message::Durable);
        }
    });
    woken
}

struct Follower {
    state: State,
    replayed: Replayed,
    reader: Box<dyn JournalReader>,
    tail: Tail,
    woken: Arc<AtomicBool>,
    snapshotter: Option<Snapshotter>,
    keeper: Option<Keeper>,
    tokens_version: u64,
    tokens: Arc<RwLock<Arc<TokenTable>>>,
    durable: watch::Sender<Watermark>,
    sequence: watch::Sender<u64>,
}

impl Follower {
    fn run(mut self, messages: &Receiver<Message>) -> Outcome {
        for message in messages {
            match message {
                Message::Request(request) => self.answer(request)?,
                Message::Durable => {
                    // Before reading: what comes from here on wakes again.
                    self.woken.store(false, Ordering::Release);
                    let closed = self.tail.is_closed();
                    self.follow()?;
                    if closed {
                        return Err(ReplicaError::JournalClosed);
                    }
                }
                Message::ShutDown => {
                    self.follow()?;
                    break;
                }
                // A follower writes files itself.
                Message::Kept(_) | Message::Appended(_) | Message::Ran(_) => {}
            }
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.finish();
        }
        if let Some(snapshotter) = self.snapshotter.take() {
            snapshotter.close();
        }
        Ok((self.state, self.replayed))
    }

    fn follow(&mut self) -> Result<(), ReplicaError> {
        while let Some(record) = self.reader.next().map_err(ReplayError::from)? {
            let decoded = replay::decode(&record)?;
            let (keeper, cursor) = (&mut self.keeper, self.reader.cursor());
            // Before what left leaves here: whoever is to lead next must have it.
            let mut on_aged = |state: &mut State, _| match keeper {
                Some(keeper) => keeper.keep(state, &cursor).map_err(unwritten),
                None => Ok(()),
            };
            replay::apply(&mut self.state, &decoded, &mut self.replayed, &mut on_aged)?;
            self.publish();
            self.snapshot_if_due(record.payload.len());
        }
        Ok(())
    }

    fn publish(&mut self) {
        if self.state.tokens_version() != self.tokens_version {
            self.tokens_version = self.state.tokens_version();
            let tokens = Arc::new(token_table(&self.state));
            *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        }
        let mark = watermark(&self.replayed);
        self.durable.send_replace(mark);
        self.sequence.send_replace(mark.sequence);
        metrics::gauge!("valuta_durable_sequence").set(mark.sequence as f64);
    }

    fn snapshot_if_due(&mut self, payload_bytes: usize) {
        let place = Place {
            cursor: self.reader.cursor(),
            time: self.replayed.time,
        };
        if let Some(snapshotter) = &mut self.snapshotter
            && snapshotter.is_due_after(payload_bytes)
        {
            snapshotter.take(self.state.freeze(), place);
        }
    }

    fn answer(&mut self, request: Request) -> Result<(), ReplicaError> {
        let (sequence, time) = (Sequence(self.replayed.sequence), self.replayed.time);
        // A caller that has gone misses its answer.
        match request {
            Request::Query { query, reply } => {
                if let Some(keeper) = &mut self.keeper {
                    let keys = Key::of_query(&query).into_iter();
                    keeper.recall(keys, &mut self.state).map_err(unkept)?;
                }
                let view = self.state.query(&query, time);
                let _ = reply.send(Answered {
                    sequence,
                    time,
                    view,
                });
            }
            Request::Freeze { reply } => {
                let started = Instant::now();
                let view = FrozenView::new(self.state.freeze(), sequence, time);
                metrics::histogram!("valuta_freeze_seconds").record(started.elapsed());
                let _ = reply.send(Arc::new(view));
            }
            request @ (Request::Submit { .. } | Request::Command { .. }) => {
                refuse(request, "this engine does not lead");
            }
        }
        Ok(())
    }
}

fn unwritten(error: FileError) -> ReplayError {
    ReplayError::Identities(error.to_string())
}

fn unkept(reason: StopReason) -> ReplicaError {
    ReplicaError::Identities(match reason {
        StopReason::Identities(error) => error,
        other => format!("{other:?}"),
    })
}

fn watermark(replayed: &Replayed) -> Watermark {
    Watermark {
        sequence: replayed.sequence,
        time: replayed.time,
    }
}
