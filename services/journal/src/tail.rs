//! The durable watermark, as followers see it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::record::Cursor;

type Hook = Arc<dyn Fn() + Send + Sync>;

/// A cheap handle to a journal's durable watermark: everything up to it is safe to show. The writer
/// moves it after each durable append; it never waits for a follower.
#[derive(Clone)]
pub struct Tail(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    moved: Condvar,
    hooks: RwLock<Vec<Hook>>,
}

#[derive(Clone, Copy)]
struct State {
    durable: Cursor,
    closed: bool,
}

impl Tail {
    /// A watermark that stands at `durable`: for the writer of a medium.
    pub fn new(durable: Cursor) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                durable,
                closed: false,
            }),
            moved: Condvar::new(),
            hooks: RwLock::new(Vec::new()),
        }))
    }

    /// The end of what is durable.
    pub fn durable(&self) -> Cursor {
        self.state().durable
    }

    /// Whether the writer is gone or has failed: the watermark will never move again.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until something past `sequence` is durable. `false`: the time is over, or the journal
    /// is closed ([`Self::is_closed`] tells which), and nothing past it is durable.
    pub fn wait_past(&self, sequence: u64, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.state();
        while state.durable.sequence <= sequence && !state.closed {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            // A deadline beyond the clock's range waits in turns of an hour.
            let turn = left.unwrap_or(Duration::from_secs(3600));
            let waited = self.0.moved.wait_timeout(state, turn);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.durable.sequence > sequence
    }

    /// Calls `hook` after each durable append, and once when the journal closes, on the writer's
    /// thread: it must only wake others (`tokio::sync::Notify`, `watch::Sender`), never block.
    /// A hook stays for the journal's life: register one per follower, not one per request.
    pub fn on_durable(&self, hook: impl Fn() + Send + Sync + 'static) {
        let mut hooks = self.0.hooks.write().unwrap_or_else(PoisonError::into_inner);
        hooks.push(Arc::new(hook));
    }

    /// Moves the watermark, for the writer of a medium: everything up to `durable` is durable.
    pub fn publish(&self, durable: Cursor) {
        self.state().durable = durable;
        self.wake();
    }

    /// Says that the watermark will never move again, for the writer of a medium. Idempotent.
    pub fn close(&self) {
        let was_closed = std::mem::replace(&mut self.state().closed, true);
        if !was_closed {
            self.wake();
        }
    }

    fn wake(&self) {
        self.0.moved.notify_all();
        let hooks = self.0.hooks.read().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().for_each(|hook| hook());
    }

    /// The state is plain data, so a panic elsewhere cannot have left it half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { durable, closed } = *self.state();
        f.debug_struct("Tail")
            .field("durable", &durable)
            .field("closed", &closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::JournalId;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn at(sequence: u64) -> Cursor {
        Cursor {
            sequence,
            ..Cursor::start(JournalId([1; 16]))
        }
    }

    #[test]
    fn waits_wake_on_publish_and_on_close() {
        let tail = Tail::new(at(0));
        assert!(!tail.wait_past(0, Duration::ZERO));
        let waiter = tail.clone();
        let thread = std::thread::spawn(move || waiter.wait_past(4, Duration::MAX));
        (1..=5).for_each(|sequence| tail.publish(at(sequence)));
        assert!(thread.join().unwrap());
        let waiter = tail.clone();
        let thread = std::thread::spawn(move || waiter.wait_past(5, Duration::MAX));
        tail.close();
        assert!(!thread.join().unwrap());
        assert!(tail.is_closed() && tail.wait_past(4, Duration::ZERO));
    }

    #[test]
    fn hooks_see_the_new_watermark() {
        let tail = Tail::new(at(0));
        let seen = Arc::new(AtomicU64::new(0));
        let (inner, sink) = (tail.clone(), Arc::clone(&seen));
        tail.on_durable(move || {
            sink.fetch_add(inner.durable().sequence, Ordering::Relaxed);
        });
        [1, 10, 100]
            .into_iter()
            .for_each(|sequence| tail.publish(at(sequence)));
        assert_eq!(seen.load(Ordering::Relaxed), 111);
        tail.close();
        tail.close();
        assert_eq!(seen.load(Ordering::Relaxed), 211, "closing wakes once");
    }
}
