//! Collects the cosignatures of a policy's witnesses, each asked by a thread of its own.
//!
//! All are asked for the same checkpoint, a round: the newest one when the round before it had its quorum, or
//! when every witness was tried. So the checkpoints that come in between are skipped, and slow witnesses still
//! meet on one. What comes late is added, until a newer checkpoint is witnessed.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use valuta_verify::{Hash, Note, Policy, VerifyError};

use crate::client::{AskError, WitnessClient};

/// Rounds without a quorum that late cosignatures may still complete.
const ROUNDS_MAX: usize = 8;
/// How often a witness may name another size in a row.
const CONFLICTS_MAX: usize = 3;

/// The log whose checkpoints are to be witnessed.
pub trait Log: Send + Sync + 'static {
    /// The newest signed checkpoint; quick. It may hold cosignatures: those witnesses are not asked again.
    fn checkpoint(&self) -> Arc<str>;

    /// The consistency proof between two sizes; `None` if there is none.
    fn consistency(&self, old_size: u64, new_size: u64) -> Option<Vec<Hash>>;

    /// Takes a checkpoint with the quorum's cosignatures. The sizes never go down; the same checkpoint comes
    /// again with more of them.
    ///
    /// # Errors
    /// If it could not be kept: it will come again.
    fn witnessed(&self, note: &str) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// How patient a collector is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For one request.
    pub request_timeout: Duration,
    /// Between looks for a new checkpoint, if nobody calls [`Collector::wake`].
    pub poll: Duration,
    /// After the first failure of a witness; it doubles with each one in a row.
    pub backoff_min: Duration,
    /// At most.
    pub backoff_max: Duration,
}

/// Where a witness stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its name in the policy.
    pub witness: String,
    /// The size of the newest checkpoint that it cosigned for us.
    pub cosigned_size: Option<u64>,
    /// Why it did not cosign when it was asked last.
    pub error: Option<String>,
}

/// The threads that ask. Dropping it ends them after the requests under way, without waiting.
pub struct Collector {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    log: Arc<dyn Log>,
    policy: Policy,
    pace: Pace,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while a note is handed over, so that the newest is the last.
    handing_over: Mutex<()>,
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    rounds: VecDeque<Round>,
    opened: u64,
    /// By thread.
    progress: Vec<Progress>,
}

#[derive(Clone)]
struct Round {
    number: u64,
    note: Arc<str>,
    size: u64,
    /// Who cosigned, with those that the log had already.
    cosigned_by: Vec<String>,
    /// Lines that were collected, and how many of them were handed over.
    lines: Vec<String>,
    handed_over: usize,
    /// Witnesses, by thread, that were asked at least once.
    tried: Vec<bool>,
}

impl Collector {
    /// Starts a thread for each witness of the policy that has a URL.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(log: Arc<dyn Log>, policy: Policy, pace: Pace) -> std::io::Result<Self> {
        let clients = policy.witnesses().iter();
        let clients = clients.filter_map(|w| WitnessClient::new(w, pace.request_timeout));
        let clients: Vec<_> = clients.collect();
        let progress = |client: &WitnessClient| Progress {
            witness: client.name().to_owned(),
            ..Progress::default()
        };
        let state = State {
            progress: clients.iter().map(progress).collect(),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            log,
            policy,
            pace,
            state: Mutex::new(state),
            changed: Condvar::new(),
            handing_over: Mutex::new(()),
        });
        let mut collector = Self {
            shared: shared.clone(),
            threads: Vec::new(),
        };
        for (index, client) in clients.into_iter().enumerate() {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("witness-{index}"));
            let thread = thread.spawn(move || shared.run(index, &client))?;
            collector.threads.push(thread);
        }
        Ok(collector)
    }

    /// Says that there is a new checkpoint.
    pub fn wake(&self) {
        // Who looked for a checkpoint just before this one waits by now.
        drop(self.shared.state());
        self.shared.changed.notify_all();
    }

    /// Where each witness stands that is asked.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.shared.state().progress.clone()
    }

    /// Ends the threads, and waits for the requests under way: at most as long as one may take.
    pub fn stop(mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that asked a witness had panicked");
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    /// One witness's thread.
    fn run(&self, index: usize, client: &WitnessClient) {
        let (mut size, mut failures) = (0, 0_u32);
        while let Some(round) = self.next_round(index) {
            let asked = self.ask(client, &mut size, &round);
            match &asked {
                Ok(_) => failures = 0,
                Err(error) => {
                    let (witness, size) = (client.name(), round.size);
                    tracing::warn!(witness, size, error, "a witness did not cosign");
                    failures = failures.saturating_add(1);
                }
            }
            self.record(index, client, round.number, asked);
            self.hand_over();
            if failures > 0 && !self.pause(failures) {
                return;
            }
        }
    }

    /// The round that this witness has not cosigned yet; waits for it. `None` at the end.
    fn next_round(&self, index: usize) -> Option<Round> {
        let mut state = self.state();
        loop {
            if state.is_stopped {
                return None;
            }
            self.open_round(&mut state);
            let name = &state.progress[index].witness;
            let open = state.rounds.back();
            let is_asked = open.is_some_and(|round| !round.has_cosigned(name));
            if is_asked {
                return open.cloned();
            }
            let waited = self.changed.wait_timeout(state, self.pace.poll);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            // What the log could not keep comes again.
            self.hand_over();
            state = self.state();
        }
    }

    /// Opens a round for the newest checkpoint, once the last round is done with.
    fn open_round(&self, state: &mut State) {
        let is_done = |round: &Round| {
            round.is_witnessed(&self.policy) || round.tried.iter().all(|tried| *tried)
        };
        if !state.rounds.back().is_none_or(is_done) {
            return;
        }
        let note = self.log.checkpoint();
        if state.rounds.back().is_some_and(|round| round.note == note) {
            return;
        }
        let opened = match Note::parse(&note).and_then(|opened| opened.open(&self.policy)) {
            Ok(opened) => opened,
            Err(error) => {
                let error: VerifyError = error;
                tracing::error!(%error, "no witness is asked: the policy does not fit the log");
                return;
            }
        };
        state.opened += 1;
        state.rounds.push_back(Round {
            number: state.opened,
            note,
            size: opened.checkpoint.size,
            cosigned_by: opened
                .cosigned_by
                .into_iter()
                .map(|by| by.witness)
                .collect(),
            lines: Vec::new(),
            handed_over: 0,
            tried: vec![false; state.progress.len()],
        });
        if state.rounds.len() > ROUNDS_MAX {
            state.rounds.pop_front();
        }
        self.changed.notify_all();
    }

    /// Asks from the size that the witness had last, or says that it has.
    fn ask(
        &self,
        client: &WitnessClient,
        size: &mut u64,
        round: &Round,
    ) -> Result<Vec<String>, String> {
        // Unknown again if this fails: the next time it is asked for.
        let mut old_size = std::mem::take(size);
        for _ in 0..CONFLICTS_MAX {
            let proof = match old_size {
                0 => Some(Vec::new()),
                old if old == round.size => Some(Vec::new()),
                old => self.log.consistency(old, round.size),
            };
            let proof = proof.ok_or("the log has no consistency proof for it")?;
            match client.ask(old_size, &proof, &round.note) {
                Ok(lines) => {
                    *size = round.size;
                    return Ok(lines);
                }
                Err(AskError::Conflict { size }) if size > round.size => {
                    return Err(format!(
                        "it has seen a checkpoint of {size} entries; this one has {}",
                        round.size
                    ));
                }
                Err(AskError::Conflict { size }) => old_size = size,
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("it names another size each time".to_owned())
    }

    fn record(
        &self,
        index: usize,
        client: &WitnessClient,
        number: u64,
        asked: Result<Vec<String>, String>,
    ) {
        let mut state = self.state();
        let State {
            rounds, progress, ..
        } = &mut *state;
        let progress = &mut progress[index];
        // The round may be over: a newer checkpoint was witnessed.
        let mut round = rounds.iter_mut().find(|round| round.number == number);
        if let Some(round) = &mut round {
            round.tried[index] = true;
        }
        match asked {
            Ok(lines) => {
                progress.error = None;
                if let Some(round) = round {
                    progress.cosigned_size = Some(round.size);
                    round.cosigned_by.push(client.name().to_owned());
                    round.lines.extend(lines);
                }
            }
            Err(error) => progress.error = Some(error),
        }
        self.changed.notify_all();
    }

    /// Hands the newest round over that has a quorum, and something new with it.
    fn hand_over(&self) {
        let _last = self
            .handing_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_new = |round: &&Round| {
            round.lines.len() > round.handed_over && round.is_witnessed(&self.policy)
        };
        let Some(round) = self.state().rounds.iter().rev().find(is_new).cloned() else {
            return;
        };
        if let Err(error) = self
            .log
            .witnessed(&format!("{}{}", round.note, round.lines.concat()))
        {
            tracing::error!(%error, size = round.size, "a witnessed checkpoint could not be kept");
            return;
        }
        let mut state = self.state();
        state.rounds.retain(|other| other.number >= round.number);
        let mut rounds = state.rounds.iter_mut();
        if let Some(same) = rounds.find(|other| other.number == round.number) {
            same.handed_over = round.lines.len();
        }
    }

    /// Waits before a witness that failed is asked again; `false` at the end.
    fn pause(&self, failures: u32) -> bool {
        let factor = 2_u32.saturating_pow(failures - 1);
        let pause = self.pace.backoff_min.saturating_mul(factor);
        let pause = pause.min(self.pace.backoff_max);
        let goes_on = |state: &mut State| !state.is_stopped;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), pause, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_stopped
    }

    fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    fn is_witnessed(&self, policy: &Policy) -> bool {
        policy.is_quorum(self.cosigned_by.iter().map(String::as_str))
    }

    fn has_cosigned(&self, witness: &str) -> bool {
        self.cosigned_by.iter().any(|by| by == witness)
    }
}
