//! A few of something that one caller uses at a time: the readers' connections.

use std::sync::{Condvar, Mutex, PoisonError};

/// Hands each out to one caller at a time; a caller waits while all are out.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    returned: Condvar,
}

/// Gives it back when the caller is done, also if it panics.
struct Taken<'a, T> {
    pool: &'a Pool<T>,
    item: Option<T>,
}

impl<T> Pool<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self {
            idle: Mutex::new(items),
            returned: Condvar::new(),
        }
    }

    /// Calls `using` with one that nobody else has.
    pub(crate) fn with<R>(&self, using: impl FnOnce(&mut T) -> R) -> R {
        let mut taken = self.take();
        using(taken.item.as_mut().expect("taken until dropped"))
    }

    fn take(&self) -> Taken<'_, T> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let item = loop {
            if let Some(item) = idle.pop() {
                break Some(item);
            }
            let woken = self.returned.wait(idle);
            idle = woken.unwrap_or_else(PoisonError::into_inner);
        };
        Taken { pool: self, item }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let idle = self.pool.idle.lock();
        let mut idle = idle.unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.item.take());
        self.pool.returned.notify_one();
    }
}
