//! Whose turn it is to write.
//!
//! SQLite has one writer at a time, and lets the other poll for its chance, which a busy projector leaves
//! it for some milliseconds only. Here the other sleeps, and is woken when the turn is free: it waits for
//! one transaction.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The turn of one database's writers in this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

/// Tickets, given in the order of asking.
#[derive(Debug, Default)]
struct State {
    next: u64,
    serving: u64,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken(Turn);

impl Turn {
    /// Waits for the turn, in the order of asking.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        while state.serving != ticket {
            let woken = self.0.freed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        Taken(self.clone())
    }

    /// Two numbers: a panic elsewhere cannot have left them half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.state().serving += 1;
        self.0.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn who_asked_first_is_next() {
        let turn = Turn::default();
        let first = turn.take();
        let (sender, receiver) = mpsc::channel();
        let asked = |name: &'static str| {
            let (other, sender) = (turn.clone(), sender.clone());
            let before = turn.state().next;
            let thread = std::thread::spawn(move || {
                let _taken = other.take();
                sender.send(name).unwrap();
            });
            while turn.state().next == before {
                std::thread::yield_now();
            }
            thread
        };
        let threads = ["second", "third"].map(asked);
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
        drop(first);
        assert_eq!(receiver.recv().unwrap(), "second");
        assert_eq!(receiver.recv().unwrap(), "third");
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        drop(turn.take());
    }
}
