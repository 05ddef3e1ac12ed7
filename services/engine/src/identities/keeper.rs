//! The thread that writes files of old identities: the writer freezes the state and goes on.

use super::{FileError, OldFile, OldIdentities, set_aside};
use crate::writer::{Message, StopReason};
use settlement_core::remembered::{Key, Remembered};
use settlement_core::state::State;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use valuta_journal::Cursor;

/// After a failure, such as a full disk, a file is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(60);

struct Order {
    state: State,
    cursor: Cursor,
    files: Arc<OldIdentities>,
}

/// The files as callers see them.
pub(crate) type Published = Arc<RwLock<Arc<OldIdentities>>>;

/// What files said of a batch, and which.
pub(crate) struct Recalled {
    files: Arc<OldIdentities>,
    found: Vec<Remembered>,
}

/// Asks the files, on the caller's thread; `None`: the writer is to ask itself, and stops if it cannot.
pub(crate) fn ask(published: &Published, keys: impl Iterator<Item = Key>) -> Option<Recalled> {
    let published = published.read().unwrap_or_else(PoisonError::into_inner);
    let files = Arc::clone(&published);
    drop(published);
    let keys: Vec<Key> = keys.collect();
    let found = files.find(&keys).ok()?;
    Some(Recalled { files, found })
}

/// What became of a file.
pub(crate) type Kept = Result<Arc<OldFile>, FileError>;

/// The writer's side.
pub(crate) struct Keeper {
    files: Arc<OldIdentities>,
    published: Published,
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    /// When the next may be ordered; `None`: one is being written.
    next_from: Option<Instant>,
    keys: Vec<Key>,
}

impl Keeper {
    pub fn start(files: OldIdentities, mailbox: Sender<Message>) -> std::io::Result<Self> {
        // One at a time: the writer orders none while one is written.
        let (orders, ordered) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("identities".to_owned())
            .spawn(move || run(&ordered, &mailbox))?;
        let files = Arc::new(files);
        Ok(Self {
            published: Arc::new(RwLock::new(Arc::clone(&files))),
            files,
            orders,
            thread,
            next_from: Some(Instant::now()),
            keys: Vec::new(),
        })
    }

    /// For callers that ask beside the writer.
    pub fn published(&self) -> Published {
        Arc::clone(&self.published)
    }

    /// Hands what the caller found to the state, if it asked the files that there are now.
    pub fn take(
        &mut self,
        recalled: Option<Recalled>,
        keys: impl Iterator<Item = Key>,
        state: &mut State,
    ) -> Result<(), StopReason> {
        match recalled {
            Some(recalled) if Arc::ptr_eq(&recalled.files, &self.files) => {
                state.recall(recalled.found);
                Ok(())
            }
            _ => self.recall(keys, state),
        }
    }

    /// Hands what files say under these keys to the state: what comes next is decided with it.
    pub fn recall(
        &mut self,
        keys: impl Iterator<Item = Key>,
        state: &mut State,
    ) -> Result<(), StopReason> {
        self.keys.clear();
        self.keys.extend(keys);
        let found = self.files.find(&self.keys).map_err(|error| {
            set_aside(&error);
            StopReason::Identities(error.to_string())
        })?;
        state.recall(found);
        Ok(())
    }

    /// Has a file written for what is to leave, if that is not under way. All of the state up to the
    /// cursor is durable, what is to leave with it.
    pub fn order(&mut self, state: &mut State, cursor: Cursor) {
        let due = self.next_from.is_some_and(|from| from <= Instant::now());
        let Some(place) = state.aged().filter(|_| due) else {
            return;
        };
        if self.files.hold(place) {
            // Written before a crash, or by a replay.
            return state.files_hold(place.number);
        }
        let order = Order {
            state: state.freeze(),
            cursor,
            files: Arc::clone(&self.files),
        };
        // If its thread is gone it has panicked: nothing leaves any more, and nothing else ails.
        if self.orders.send(order).is_ok() {
            self.next_from = None;
        }
    }

    /// The same, at once: for who only follows, and must have the file before what left has left here too.
    pub fn keep(&mut self, state: &mut State, cursor: &Cursor) -> Result<(), FileError> {
        if let Some(place) = state.aged().filter(|&place| !self.files.hold(place)) {
            let file = self.files.write(state, cursor)?;
            state.files_hold(place.number);
            self.put(file, state);
            self.files.tidy(state);
        }
        Ok(())
    }

    fn put(&mut self, file: Arc<OldFile>, state: &State) {
        let mut files = OldIdentities::clone(&self.files);
        files.put(file, state);
        self.files = Arc::new(files);
        let mut published = self.published.write();
        let published = published.as_mut().unwrap_or_else(|error| error.get_mut());
        **published = Arc::clone(&self.files);
    }

    /// A file was written, or not.
    pub fn kept(&mut self, kept: Kept, state: &mut State) -> Result<(), StopReason> {
        self.next_from = Some(Instant::now());
        match kept {
            Ok(file) => {
                state.files_hold(file.head.place.number);
                self.put(file, state);
                Ok(())
            }
            Err(error @ FileError::Damaged { .. }) => {
                set_aside(&error);
                Err(StopReason::Identities(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "old identities stay in memory; tried again later");
                metrics::counter!("valuta_identities_failures_total").increment(1);
                self.next_from = Some(Instant::now() + RETRY_AFTER);
                Ok(())
            }
        }
    }

    /// Waits for the file that is being written.
    pub fn finish(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            tracing::error!("the thread of old identities panicked");
        }
    }
}

fn run(orders: &Receiver<Order>, mailbox: &Sender<Message>) {
    for Order {
        state,
        cursor,
        files,
    } in orders
    {
        let started = Instant::now();
        let kept = files.write(&state, &cursor);
        if let Ok(file) = &kept {
            files.tidy(&state);
            let lines = file.lines();
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(file = %file.path().display(), lines, milliseconds, "identities kept");
            metrics::gauge!("valuta_identities_kept").set(file.head.place.number as f64);
        }
        // What it shares with the live state is let go of before that changes.
        drop(state);
        if mailbox.send(Message::Kept(kept)).is_err() {
            return;
        }
    }
}
