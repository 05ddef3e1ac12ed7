//! When snapshots are taken, and the thread that writes them: the writer freezes and goes on.

use crate::snapshot::{Place, Snapshots};
use settlement_core::state::State;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// After one that failed, the next is taken after this part of what is between two.
const RETRY_PART: u64 = 16;

/// Where snapshots are kept, and how often one is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Their directory.
    pub dir: PathBuf,
    /// After so many payload bytes of the journal; and at an orderly end.
    pub every_bytes: u64,
}

struct Order {
    state: State,
    place: Place,
}

/// The writer's side.
pub(crate) struct Snapshotter {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    progress: Arc<Progress>,
    every_bytes: u64,
    /// Payload bytes since the last one that was taken, or tried.
    since_bytes: u64,
    /// Something was appended since the last one that was taken.
    changed: bool,
}

#[derive(Default)]
struct Progress {
    busy: AtomicBool,
    failed: AtomicBool,
}

impl Snapshotter {
    /// `replayed_bytes`: whether anything was replayed after the last snapshot.
    pub fn start(options: SnapshotOptions, changed: bool) -> std::io::Result<Self> {
        // One waits at most: the writer asks only while none is written.
        let (orders, ordered) = sync_channel(1);
        let progress = Arc::new(Progress::default());
        let (snapshots, writing) = (Snapshots::new(options.dir), Arc::clone(&progress));
        let thread = std::thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || run(&snapshots, &ordered, &writing))?;
        Ok(Self {
            orders,
            thread,
            progress,
            every_bytes: options.every_bytes,
            since_bytes: 0,
            changed,
        })
    }

    /// Counts one record; true: the state after it is to be taken.
    pub fn is_due_after(&mut self, payload_bytes: usize) -> bool {
        self.changed = true;
        self.since_bytes += payload_bytes as u64;
        if self.progress.failed.swap(false, Ordering::AcqRel) {
            self.since_bytes = self.every_bytes - self.every_bytes / RETRY_PART;
        }
        let due = self.since_bytes >= self.every_bytes;
        due && !self.progress.busy.load(Ordering::Acquire)
    }

    /// Has a state written that is durable.
    pub fn take(&mut self, state: State, place: Place) {
        (self.since_bytes, self.changed) = (0, false);
        self.progress.busy.store(true, Ordering::Release);
        // If its thread is gone it has panicked: there are no more snapshots, and nothing else ails.
        let _ = self.orders.send(Order { state, place });
    }

    /// At an orderly end: takes the last one, if anything came since, and waits for it.
    pub fn finish(mut self, state: impl FnOnce() -> State, place: Option<Place>) {
        if let Some(place) = place.filter(|_| self.changed) {
            self.take(state(), place);
        }
        self.close();
    }

    /// Takes no more, and waits for the one that is being written.
    pub fn close(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            tracing::error!("the snapshots' thread panicked");
        }
    }
}

fn run(snapshots: &Snapshots, orders: &Receiver<Order>, progress: &Progress) {
    for Order { state, place } in orders {
        let (started, sequence) = (Instant::now(), place.cursor.sequence);
        match snapshots.keep(&state, &place) {
            Ok(bytes) => {
                let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(sequence, bytes, milliseconds, "snapshot taken");
                metrics::gauge!("valuta_snapshot_sequence").set(sequence as f64);
            }
            Err(error) => {
                tracing::warn!(sequence, %error, "no snapshot; it is tried again later");
                metrics::counter!("valuta_snapshot_failures_total").increment(1);
                progress.failed.store(true, Ordering::Release);
            }
        }
        drop(state);
        progress.busy.store(false, Ordering::Release);
    }
}
