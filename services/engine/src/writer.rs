//! The writer's thread: the only one that touches the state.

use crate::appender::{self, Append, Appended};
use crate::clock::{Clock, Jumped, RecordTime};
use crate::handle::{
    Answered, EngineError, Handle, IN_FLIGHT_INSTRUCTIONS_MAX, TokenTable, Watermark,
};
use crate::identities::OldIdentities;
use crate::identities::keeper::{Keeper, Kept, Recalled};
use crate::replay::Replayed;
use crate::snapshot::Place;
use crate::snapshotter::{SnapshotOptions, Snapshotter};
use crate::step::{CommandReply, FreezeReply, Pending, QueryReply, Step, SubmitReply};
use settlement_core::command::{Action, Command};
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::record::{Input, RunResult};
use settlement_core::remembered::Key;
use settlement_core::state::{FrozenView, State};
use settlement_core::view::{Query, SubmitAnswer};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use valuta_journal::Journal;

/// At most one tick a second.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// After a full disk, new work is tried again after this.
const FULL_RETRY_AFTER_MS: u32 = 1_000;

/// What a caller asks for.
pub(crate) enum Request {
    Submit {
        batch: Submissions,
        /// What the caller found in files of old identities.
        recalled: Option<Recalled>,
        reply: SubmitReply,
    },
    Command {
        command: Box<Command>,
        reply: CommandReply,
    },
    Query {
        query: Query,
        reply: QueryReply,
    },
    Freeze {
        reply: FreezeReply,
    },
}

/// All that reaches the writer.
pub(crate) enum Message {
    Request(Request),
    Appended(Appended),
    Ran(Box<RunResult>),
    /// To a replica: there is more to read, or the journal has closed.
    Durable,
    Kept(Kept),
    ShutDown,
}

/// Why the engine's thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// As asked: everything taken was answered.
    ShutDown,
    /// The journal failed; the message says how. Only a restart tells what is durable.
    Journal(String),
    /// A file of old identities cannot be read, so that what comes cannot be told from a repeat. The next
    /// start makes it anew.
    Identities(String),
    /// The clock jumped ahead by so many milliseconds.
    ClockJumped(i64),
}

/// The engine's threads.
pub struct Engine {
    writer: JoinHandle<StopReason>,
    journal: JoinHandle<()>,
}

impl Engine {
    /// Starts the threads over a replayed state. `replayed` is what the replay of `journal` gave. Without
    /// snapshots there are no files of old identities either, and nothing leaves memory.
    ///
    /// # Errors
    /// If the operating system gives no thread, the journal fails while it takes space, or a file of old
    /// identities is missing that the state needs.
    pub fn start(
        mut journal: Box<dyn Journal>,
        mut state: State,
        replayed: Replayed,
        clock: Box<dyn Clock>,
        rehearsal: bool,
        snapshots: Option<SnapshotOptions>,
    ) -> std::io::Result<(Self, Handle)> {
        let (mailbox, messages) = channel();
        let (orders, append_orders) = channel();
        let end = journal.tail();
        let dir = snapshots.as_ref().map(|options| options.dir.clone());
        let old = dir.map(|dir| OldIdentities::open(&dir, &*journal));
        let keeper = keeper(old, &mut state, &mailbox)?;
        let snapshotter =
            snapshots.map(|options| Snapshotter::start(options, replayed.records > 0));
        let space = appender::has_space(&mut *journal).map_err(std::io::Error::other)?;
        let mark = Watermark {
            sequence: replayed.sequence,
            time: replayed.time,
        };
        let (durable, durable_reader) = watch::channel(mark);
        let (sequence, sequence_reader) = watch::channel(mark.sequence);
        let tokens = Arc::new(RwLock::new(Arc::new(token_table(&state))));
        let handle = Handle {
            mailbox: mailbox.clone(),
            permits: Arc::new(Semaphore::new(IN_FLIGHT_INSTRUCTIONS_MAX as usize)),
            tokens: Arc::clone(&tokens),
            durable: durable_reader,
            durable_sequence: sequence_reader,
            lookup: journal.lookup(),
            last_view: Arc::default(),
            old: keeper.as_ref().map(Keeper::published),
            rehearsal,
        };
        let writer = Writer {
            time: RecordTime::start(clock, rehearsal, replayed.time),
            tokens_version: state.tokens_version(),
            state,
            step: Step::start(replayed.sequence, Vec::new()),
            in_flight: None,
            spare: Vec::new(),
            backlog: VecDeque::new(),
            events: Vec::new(),
            space,
            closing: false,
            running: None,
            end: Place {
                cursor: end,
                time: replayed.time,
            },
            snapshotter: snapshotter.transpose()?,
            keeper,
            aged_is_durable: true,
            next_tick: Instant::now() + TICK_EVERY,
            mailbox: mailbox.clone(),
            orders,
            tokens,
            durable,
            sequence,
        };
        let journal = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || appender::run(journal, &append_orders, &mailbox))?;
        let writer = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || writer.run(&messages))?;
        Ok((Self { writer, journal }, handle))
    }

    /// Waits until the engine has stopped, marked its journal and let go of it.
    pub fn join(self) -> StopReason {
        let reason = self
            .writer
            .join()
            .unwrap_or_else(|_| StopReason::Journal("the engine panicked".to_owned()));
        match self.journal.join() {
            Ok(()) => reason,
            Err(_) => StopReason::Journal("the journal's thread panicked".to_owned()),
        }
    }
}

/// With all the files that the state needs.
pub(crate) fn keeper(
    files: Option<OldIdentities>,
    state: &mut State,
    mailbox: &Sender<Message>,
) -> std::io::Result<Option<Keeper>> {
    let Some(files) = files else {
        return match state.left() {
            0 => Ok(None),
            _ => Err(std::io::Error::other("no directory of old identities")),
        };
    };
    if let Some(place) = files.missing(state) {
        let reason = format!("the old identities of period {} are missing", place.period);
        return Err(std::io::Error::other(reason));
    }
    state.files_hold(state.left());
    Keeper::start(files, mailbox.clone()).map(Some)
}

struct Writer {
    state: State,
    time: RecordTime,
    step: Step,
    /// The step at the journal; its payload is there too.
    in_flight: Option<Step>,
    /// A payload buffer to fill again.
    spare: Vec<u8>,
    /// Requests that came when the step was full.
    backlog: VecDeque<Request>,
    events: Vec<Event>,
    space: bool,
    closing: bool,
    /// A cycle's run on a thread of its own.
    running: Option<JoinHandle<()>>,
    /// The durable end.
    end: Place,
    snapshotter: Option<Snapshotter>,
    keeper: Option<Keeper>,
    /// What is to leave was decided by what is durable now.
    aged_is_durable: bool,
    next_tick: Instant,
    tokens_version: u64,
    mailbox: Sender<Message>,
    orders: Sender<Append>,
    tokens: Arc<RwLock<Arc<TokenTable>>>,
    durable: watch::Sender<Watermark>,
    sequence: watch::Sender<u64>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) -> StopReason {
        match self.serve(messages) {
            Ok(()) => {
                if let Some(keeper) = self.keeper.take() {
                    keeper.finish();
                }
                // All that was taken is durable: this is the state at the journal's end.
                if let Some(snapshotter) = self.snapshotter.take() {
                    let end = Some(self.end).filter(|end| end.cursor.sequence > 0);
                    snapshotter.finish(|| self.state.freeze(), end);
                }
                StopReason::ShutDown
            }
            Err(reason) => {
                tracing::error!(?reason, "the engine stops");
                reason
            }
        }
    }

    /// Ends when asked to and everything is answered. On an error nothing more is answered: the
    /// callers' channels close, which they see as `Stopped`.
    fn serve(&mut self, messages: &Receiver<Message>) -> Result<(), StopReason> {
        while !(self.closing && self.in_flight.is_none() && self.step_is_idle()) {
            self.wait(messages)?;
            // While the journal is busy the step fills with all that comes; once it is idle, it gets
            // what there is.
            while self.in_flight.is_some() || self.step.is_empty() {
                let Ok(message) = messages.try_recv() else {
                    break;
                };
                self.take(message)?;
            }
            self.tick_if_due()?;
            self.send_off();
            self.work_off()?;
        }
        Ok(())
    }

    fn step_is_idle(&self) -> bool {
        self.step.is_empty() && self.step.answers.is_empty() && self.backlog.is_empty()
    }

    fn wait(&mut self, messages: &Receiver<Message>) -> Result<(), StopReason> {
        let until_tick = self.next_tick.saturating_duration_since(Instant::now());
        match messages.recv_timeout(until_tick) {
            Ok(message) => self.take(message),
            // The writer holds a sender itself, so the channel cannot be disconnected.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    fn take(&mut self, message: Message) -> Result<(), StopReason> {
        match message {
            Message::Request(request) => {
                self.backlog.push_back(request);
                self.work_off()
            }
            Message::Appended(appended) => {
                self.release(appended)?;
                self.work_off()
            }
            Message::Ran(result) => self.ran(*result),
            Message::Durable => Ok(()),
            Message::Kept(kept) => match &mut self.keeper {
                Some(keeper) => keeper.kept(kept, &mut self.state),
                None => Ok(()),
            },
            Message::ShutDown => {
                self.closing = true;
                Ok(())
            }
        }
    }

    /// Executes what waits, as far as the step has room. Once closing, what comes is not taken.
    fn work_off(&mut self) -> Result<(), StopReason> {
        while !self.step.is_full() {
            let Some(request) = self.backlog.pop_front() else {
                break;
            };
            if self.closing {
                refuse(request, "the engine is shutting down");
                continue;
            }
            self.execute(request)?;
        }
        Ok(())
    }

    fn execute(&mut self, request: Request) -> Result<(), StopReason> {
        match request {
            Request::Query { query, reply } => {
                self.recall(Key::of_query(&query))?;
                let answered = Answered {
                    sequence: Sequence(self.step.next_sequence().0 - 1),
                    time: self.time.now(),
                    view: self.state.query(&query, self.time.now()),
                };
                self.step
                    .answers
                    .push(Pending::Query(reply, Box::new(answered)));
                Ok(())
            }
            Request::Freeze { reply } => {
                let view = Arc::new(self.freeze());
                self.step.answers.push(Pending::Frozen(reply, view));
                Ok(())
            }
            request if !self.space => {
                refuse(request, "the journal's disk is full");
                Ok(())
            }
            Request::Submit {
                batch,
                recalled,
                reply,
            } => {
                let now = self.now()?;
                if let Some(keeper) = &mut self.keeper {
                    keeper.take(recalled, Key::of_batch(&batch), &mut self.state)?;
                }
                let answer = self.submit(&batch, now);
                self.step.answers.push(Pending::Submit(reply, answer));
                Ok(())
            }
            Request::Command { command, reply } => self.command(command, reply),
        }
    }

    /// A file for what is to leave, once that is durable: else a crash could leave a file of what never was.
    fn order_file(&mut self) {
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.aged_is_durable) {
            keeper.order(&mut self.state, self.end.cursor);
        }
    }

    /// Asks the files of old identities for what deciding comes to ask for.
    fn recall(&mut self, keys: impl IntoIterator<Item = Key>) -> Result<(), StopReason> {
        match &mut self.keeper {
            Some(keeper) => keeper.recall(keys.into_iter(), &mut self.state),
            None => Ok(()),
        }
    }

    /// The state with all that this step has taken so far: it may leave once that is durable.
    fn freeze(&mut self) -> FrozenView {
        let started = Instant::now();
        let sequence = Sequence(self.step.next_sequence().0 - 1);
        let view = FrozenView::new(self.state.freeze(), sequence, self.time.now());
        metrics::histogram!("valuta_freeze_seconds").record(started.elapsed());
        view
    }

    fn submit(&mut self, batch: &Submissions, now: Timestamp) -> SubmitAnswer {
        let mut answers = SubmitAnswer::default();
        self.state.warm(batch);
        for item in &batch.items {
            self.events.clear();
            let sequence = self.step.next_sequence();
            let answer =
                self.state
                    .execute_instruction(batch, item, sequence, now, &mut self.events);
            if !answer.repeated {
                let input = Input::Instruction(batch.content_of(item));
                self.step.push(&input, &self.events);
            }
            answers.push(item.index, answer);
        }
        answers
    }

    fn command(&mut self, command: Box<Command>, reply: CommandReply) -> Result<(), StopReason> {
        let now = self.now()?;
        self.recall(Key::of_command(&command))?;
        self.events.clear();
        let sequence = self.step.next_sequence();
        let answer = self
            .state
            .execute_command(&command, sequence, now, &mut self.events);
        let set_time = match command.action {
            Action::SetTime(time) => Some(time),
            _ => None,
        };
        if answer.as_ref().is_ok_and(|answer| !answer.repeated) {
            self.step.push(&Input::Command(command), &self.events);
            if let Some(time) = set_time {
                self.time.set(time);
                self.step.time_set = Some(time);
                self.next_tick = Instant::now();
            }
            self.publish_tokens_with_step();
        }
        self.step.answers.push(Pending::Command(reply, answer));
        self.start_run_if_due();
        Ok(())
    }

    /// Record time is one for a whole step: that of its first input.
    fn now(&mut self) -> Result<Timestamp, StopReason> {
        if self.step.is_empty() {
            self.step.time = self
                .time
                .advance()
                .map_err(|Jumped(jump)| StopReason::ClockJumped(jump))?;
        }
        Ok(self.step.time)
    }

    fn tick_if_due(&mut self) -> Result<(), StopReason> {
        if Instant::now() < self.next_tick || self.step.is_full() {
            return Ok(());
        }
        self.next_tick = Instant::now() + TICK_EVERY;
        if !self.space && self.in_flight.is_none() {
            // If the journal's thread is gone, its failure is in the mailbox.
            let _ = self.orders.send(Append::TryReserve);
        }
        if !self.space || self.closing {
            return Ok(());
        }
        let now = self.now()?;
        let seed = random_seed();
        self.events.clear();
        let sequence = self.step.next_sequence();
        self.state
            .execute_tick(seed, sequence, now, &mut self.events);
        if !self.events.is_empty() {
            self.step.push(&Input::Tick { seed }, &self.events);
        }
        let ages = |event: &Event| matches!(event, Event::IdentitiesAged { .. });
        if self.events.iter().any(ages) {
            (self.step.ages, self.aged_is_durable) = (true, false);
        }
        self.order_file();
        self.start_run_if_due();
        Ok(())
    }

    /// A cycle's run is a pure function of frozen inputs, so it is computed beside the writer.
    fn start_run_if_due(&mut self) {
        if self.running.as_ref().is_some_and(|run| !run.is_finished()) || self.closing {
            return;
        }
        let now = self.time.now();
        if self.state.run_due(now).is_none() {
            return;
        }
        let (frozen, mailbox) = (self.state.freeze(), self.mailbox.clone());
        let run = std::thread::Builder::new()
            .name("run".to_owned())
            .spawn(move || {
                let request = frozen.take_run_request(now);
                drop(frozen);
                let result = request.map(|request| request.run(random_seed()));
                // If the writer is gone, so is the run's purpose.
                if let Some(result) = result {
                    let _ = mailbox.send(Message::Ran(Box::new(result)));
                }
            });
        match run {
            Ok(run) => self.running = Some(run),
            Err(error) => {
                tracing::error!(%error, "no thread for a run; tried again at the next tick")
            }
        }
    }

    fn ran(&mut self, result: RunResult) -> Result<(), StopReason> {
        self.running = None;
        // Asked for again at a tick, once there is space for what it brings.
        if !self.space {
            return Ok(());
        }
        let now = self.now()?;
        self.events.clear();
        let sequence = self.step.next_sequence();
        self.state
            .execute_ran(&result, sequence, now, &mut self.events);
        if !self.events.is_empty() {
            self.step.push(&Input::Ran(Box::new(result)), &self.events);
        }
        self.start_run_if_due();
        Ok(())
    }

    /// Hands the step to the journal if that is idle; a step without inputs only has answers, which
    /// are true once all before it is durable.
    fn send_off(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        if self.step.is_empty() {
            let answers = std::mem::take(&mut self.step.answers);
            self.answer(answers);
            return;
        }
        let spare = std::mem::take(&mut self.spare);
        let next = Step::start(self.step.last_sequence(), spare);
        let mut step = std::mem::replace(&mut self.step, next);
        metrics::histogram!("valuta_step_inputs").record(step.inputs as f64);
        if let Some(snapshotter) = &mut self.snapshotter
            && snapshotter.is_due_after(step.payload.len())
        {
            step.frozen = Some(self.state.freeze());
        }
        // If the journal's thread is gone, its failure is in the mailbox and stops us.
        let _ = self.orders.send(Append::Record {
            first_sequence: step.first_sequence,
            last_sequence: step.last_sequence(),
            time_ms: step.time.0,
            payload: std::mem::take(&mut step.payload),
        });
        self.in_flight = Some(step);
    }

    /// The step in flight is durable: final. It is repaired by replay if we die from here on.
    fn release(&mut self, appended: Appended) -> Result<(), StopReason> {
        let end = appended
            .result
            // May be on disk or not: never tried again, and no answer leaves.
            .map_err(|error| StopReason::Journal(error.to_string()))?;
        self.space = appended.space;
        let (Some(step), Some(cursor)) = (self.in_flight.take_if(|_| end.is_some()), end) else {
            return Ok(());
        };
        self.spare = appended.payload;
        self.spare.clear();
        let mark = Watermark {
            sequence: step.last_sequence(),
            time: step
                .time_set
                .unwrap_or(step.time)
                .max(self.durable.borrow().time),
        };
        self.durable.send_replace(mark);
        self.sequence.send_replace(mark.sequence);
        metrics::gauge!("valuta_durable_sequence").set(mark.sequence as f64);
        self.end = Place {
            cursor,
            time: mark.time,
        };
        if let (Some(snapshotter), Some(state)) = (&mut self.snapshotter, step.frozen) {
            snapshotter.take(state, self.end);
        }
        self.aged_is_durable |= step.ages;
        self.order_file();
        self.answer(step.answers);
        Ok(())
    }

    fn answer(&self, answers: Vec<Pending>) {
        for pending in answers {
            // A caller that has gone away misses its answer, and will ask again.
            match pending {
                Pending::Submit(reply, answer) => drop(reply.send(Ok(answer))),
                Pending::Command(reply, answer) => drop(reply.send(Ok(answer))),
                Pending::Query(reply, answered) => drop(reply.send(*answered)),
                Pending::Frozen(reply, view) => drop(reply.send(view)),
                Pending::Tokens(tokens) => {
                    *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
                }
            }
        }
    }

    fn publish_tokens_with_step(&mut self) {
        if self.state.tokens_version() != self.tokens_version {
            self.tokens_version = self.state.tokens_version();
            let tokens = Arc::new(token_table(&self.state));
            self.step.answers.push(Pending::Tokens(tokens));
        }
    }
}

pub(crate) fn token_table(state: &State) -> TokenTable {
    state
        .tokens()
        .map(|token| (token.hash, token.caller))
        .collect()
}

pub(crate) fn refuse(request: Request, reason: &str) {
    let error = EngineError::Unavailable {
        retry_after_ms: FULL_RETRY_AFTER_MS,
        reason: reason.to_owned(),
    };
    match request {
        Request::Submit { reply, .. } => drop(reply.send(Err(error))),
        Request::Command { reply, .. } => drop(reply.send(Err(error))),
        Request::Query { .. } | Request::Freeze { .. } => {} // its caller sees a closed channel: stopped
    }
}

/// Secrets for salts come from the operating system, and are journaled as an input.
fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives random bytes");
    seed
}
