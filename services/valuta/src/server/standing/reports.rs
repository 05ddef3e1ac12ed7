//! What goes over the link: reports to the leader, and what it answers.

use super::{Board, Follower, Heard, Known, hex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use valuta_proto::v1::{ProcessRole, ProcessStatus};

/// A number that one thread raises and others read. Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    pub fn set(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }

    /// For a [`Follower`].
    pub fn read(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let Self(at) = self.clone();
        move || at.load(Ordering::Relaxed)
    }
}

impl Follower {
    /// What it does.
    pub fn role(&self) -> ProcessRole {
        self.role
    }
}

impl Board {
    /// What this start of the process is told by.
    pub fn process(&self) -> [u8; 16] {
        self.0.process
    }

    /// Whether this process takes writes.
    pub fn is_leading(&self) -> bool {
        self.known().role == ProcessRole::Leader
    }

    /// From now on this engine leads.
    pub fn leads(&self) {
        self.known().role = ProcessRole::Leader;
    }

    /// This process's own, compared with the newest that it knows of.
    pub fn own(&self) -> Vec<ProcessStatus> {
        self.own_of(&self.known(), Instant::now())
    }

    /// A leader's: what processes tell of themselves. All that it knows is the answer.
    pub fn take(&self, processes: Vec<ProcessStatus>) -> Vec<ProcessStatus> {
        let now = Instant::now();
        let mut known = self.known();
        known.sequences.note(self.0.tail.durable().sequence, now);
        for mut status in processes {
            known.compare(&mut status, now);
            known.hear(status, now);
        }
        self.all(&mut known, now)
    }

    /// Watermark, its record time in milliseconds, and closed batches.
    pub fn marks(&self) -> (u64, i64, u64) {
        let known = self.known();
        (
            known.sequences.newest(),
            known.time_ms,
            known.batches.newest(),
        )
    }

    /// What the leader knows, told to another.
    pub fn hear(
        &self,
        processes: Vec<ProcessStatus>,
        (sequence, time_ms, batches): (u64, i64, u64),
    ) {
        let now = Instant::now();
        let own = hex(&self.0.process);
        let mut known = self.known();
        known.sequences.note(sequence, now);
        known.batches.note(batches, now);
        known.time_ms = time_ms;
        for status in processes.into_iter().filter(|status| status.process != own) {
            let at = now.checked_sub(Duration::from_millis(status.unheard_ms));
            known.hear(status, at.unwrap_or(now));
        }
    }
}

impl Known {
    pub(super) fn hear(&mut self, status: ProcessStatus, at: Instant) {
        let role = match status.role() {
            // One process: it has stood by before it led.
            ProcessRole::Standby => ProcessRole::Leader,
            role => role,
        };
        let key = (status.process.clone(), role.into());
        match self.others.get(&key) {
            Some(heard) if heard.at > at => {}
            _ => drop(self.others.insert(key, Heard { status, at })),
        }
    }
}
