//! How far each process is: what `valuta status` and the metrics of every process tell.
//!
//! | who | knows by |
//! |---|---|
//! | a process | what it asks its own followers of the journal |
//! | the one that leads | reports, one a second from each process over the link; it compares them with the watermark |
//! | every other | the answer to its report |
//!
//! `valuta up` is the one that leads, with followers of its own and nobody who reports. Nothing is decided
//! by any of this.

mod marks;
#[cfg(feature = "cluster")]
mod reports;
mod tell;

#[cfg(feature = "cluster")]
pub use reports::Progress;
pub use tell::name;

use marks::Marks;
use settlement_core::ids::Sequence;
use settlement_core::view::{Query, View};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use valuta_engine::Handle;
use valuta_gateway::ports::Standing;
use valuta_journal::{JournalId, Leader, Tail};
use valuta_proto::v1::{LeaderStatus, ProcessRole, ProcessStatus};

/// Between two looks of the leader at its watermark.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Several reports have failed to come.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// It was stopped, and is not coming back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Asks how far something is. Called from any thread; must not wait.
type Ask = Box<dyn Fn() -> u64 + Send + Sync>;

/// Something that follows the journal in this process.
pub struct Follower {
    role: ProcessRole,
    sequence: Option<Ask>,
    batch: Option<Ask>,
    /// Without it, it always works.
    works: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Follower {
    /// Of which nothing is known yet.
    pub fn new(role: ProcessRole) -> Self {
        Self {
            role,
            sequence: None,
            batch: None,
            works: None,
        }
    }

    /// It reads the journal, and is at this sequence.
    #[must_use]
    pub fn at(mut self, sequence: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.sequence = Some(Box::new(sequence));
        self
    }

    /// It works when it is told, and stands by for another of its role at other times.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn in_turn(mut self, works: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.works = Some(Box::new(works));
        self
    }

    fn status(&self) -> ProcessStatus {
        let works = self.works.as_ref().is_none_or(|ask| ask());
        let ask = |ask: &Option<Ask>| ask.as_ref().filter(|_| works).map(|ask| ask());
        ProcessStatus {
            role: self.role.into(),
            sequence: ask(&self.sequence),
            batch: ask(&self.batch),
            standing_by: !works || self.role == ProcessRole::Standby,
            ..ProcessStatus::default()
        }
    }

    /// It is done with this batch.
    #[must_use]
    pub fn done(mut self, batch: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.batch = Some(Box::new(batch));
        self
    }
}

/// What this process knows. Cheap to clone.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    /// Drawn at the start.
    process: [u8; 16],
    address: OnceLock<String>,
    tail: Tail,
    leader: watch::Receiver<Option<Leader>>,
    followers: Vec<Follower>,
    known: Mutex<Known>,
}

struct Known {
    role: ProcessRole,
    sequences: Marks,
    batches: Marks,
    time_ms: i64,
    /// Others, by process and role.
    others: BTreeMap<(String, i32), Heard>,
    told: tell::Told,
}

struct Heard {
    status: ProcessStatus,
    /// When it was last heard of.
    at: Instant,
}

impl Board {
    /// Of a process that follows the journal of `tail`; `process` is drawn at its start.
    pub fn new(
        role: ProcessRole,
        process: [u8; 16],
        tail: Tail,
        leader: watch::Receiver<Option<Leader>>,
        followers: Vec<Follower>,
    ) -> Self {
        Self(Arc::new(Inner {
            process,
            address: OnceLock::new(),
            tail,
            leader,
            followers,
            known: Mutex::new(Known {
                role,
                sequences: Marks::default(),
                batches: Marks::default(),
                time_ms: 0,
                others: BTreeMap::new(),
                told: tell::Told::default(),
            }),
        }))
    }

    /// Where this process serves, once it does.
    pub fn serves_at(&self, address: impl ToString) {
        // It serves at one address only.
        let _ = self.0.address.set(address.to_string());
    }

    /// Draws what tells this start of a process from all others.
    pub fn draw() -> anyhow::Result<[u8; 16]> {
        let mut process = [0; 16];
        getrandom::fill(&mut process)
            .map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        Ok(process)
    }

    /// Who leads, as the journal says. A file does not say where.
    pub fn leader(&self) -> Option<Leader> {
        let mut leader = self.0.leader.borrow().clone()?;
        if leader.address.is_empty() {
            leader.address = self.0.address.get().cloned().unwrap_or_default();
        }
        Some(leader)
    }

    /// Plain data, whole after each step.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far the journal is. The leader also knows what is in it.
    pub fn look(&self, batches: Option<u64>, time_ms: Option<i64>) {
        let now = Instant::now();
        let mut known = self.known();
        known.sequences.note(self.0.tail.durable().sequence, now);
        if let Some(batches) = batches {
            known.batches.note(batches, now);
        }
        if let Some(time_ms) = time_ms {
            known.time_ms = time_ms;
        }
    }

    fn own_of(&self, known: &Known, now: Instant) -> Vec<ProcessStatus> {
        let leads = matches!(known.role, ProcessRole::Leader | ProcessRole::Embedded);
        let itself = leads.then(|| {
            let at = self.0.tail.durable().sequence;
            Follower::new(known.role).at(move || at)
        });
        // A standby's state goes over to the engine when it leads.
        let followers = self.0.followers.iter();
        let followers =
            followers.filter(|follower| follower.role != ProcessRole::Standby || !leads);
        let all = itself.iter().chain(followers);
        all.map(|follower| {
            let mut status = ProcessStatus {
                process: hex(&self.0.process),
                address: self.0.address.get().cloned().unwrap_or_default(),
                ..follower.status()
            };
            known.compare(&mut status, now);
            status
        })
        .collect()
    }

    /// Own ones first, then others.
    fn all(&self, known: &mut Known, now: Instant) -> Vec<ProcessStatus> {
        let mut all = self.own_of(known, now);
        known.forget(now);
        all.extend(known.others.values().map(|heard| {
            let unheard = now.saturating_duration_since(heard.at);
            ProcessStatus {
                unheard_ms: ms(unheard),
                silent: unheard > SILENT_AFTER,
                ..heard.status.clone()
            }
        }));
        all
    }

    /// For an answer.
    pub fn standing(&self) -> Standing {
        let mut known = self.known();
        Standing {
            role: known.role,
            journal: self.journal().to_string(),
            leader: self.leader().map(|leader| LeaderStatus {
                epoch: leader.epoch,
                process: hex(&leader.id),
                address: leader.address,
            }),
            processes: self.all(&mut known, Instant::now()),
        }
    }

    fn journal(&self) -> JournalId {
        self.0.tail.durable().journal
    }

    /// Sets the metrics.
    pub fn tell(&self) {
        let now = Instant::now();
        let mut known = self.known();
        let own = self.own_of(&known, now);
        let leader = self.leader();
        let figures = tell::Figures {
            role: known.role,
            leader: leader.as_ref(),
            sequence: known.sequences.newest(),
            time_ms: known.time_ms,
            batches: known.batches.newest(),
            own: &own,
        };
        known.told.tell(&figures);
    }
}

/// Keeps up the board of a process that leads, until its engine stops.
pub async fn follow_engine(board: Board, engine: Handle) {
    while let Ok(answered) = engine.query(Query::Statistics, Sequence(0)).await {
        let View::Statistics(counts) = answered.view else {
            return;
        };
        board.look(Some(counts.batches), Some(answered.time.0));
        board.tell();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Known {
    fn compare(&self, status: &mut ProcessStatus, now: Instant) {
        let lag =
            |marks: &Marks, at: u64| (marks.newest().saturating_sub(at), marks.waiting(at, now));
        let sequence = status.sequence.map(|at| lag(&self.sequences, at));
        let batch = status.batch.map(|at| lag(&self.batches, at));
        status.behind = sequence.map(|(behind, _)| behind);
        status.batches_behind = batch.map(|(behind, _)| behind);
        let waiting = sequence.iter().chain(&batch).map(|(_, waiting)| *waiting);
        status.behind_ms = ms(waiting.max().unwrap_or_default());
    }

    /// Those that are long gone, and those whose place another start of them has taken.
    fn forget(&mut self, now: Instant) {
        let silent = |heard: &Heard| now.saturating_duration_since(heard.at) > SILENT_AFTER;
        let fresh: Vec<String> = self
            .others
            .values()
            .filter(|heard| !silent(heard))
            .map(|heard| heard.status.address.clone())
            .collect();
        self.others.retain(|_, heard| {
            let gone = now.saturating_duration_since(heard.at) > FORGOTTEN_AFTER;
            !gone && (!silent(heard) || !fresh.contains(&heard.status.address))
        });
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[cfg(feature = "cluster")]
mod tests;
