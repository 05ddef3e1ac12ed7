//! Stores and readers that fail as told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use valuta_journal::{Cursor, JournalReader, ReadError, Record};
use valuta_projector::{Rows, Store, StoreError};

/// A store that dies in the midst of its n-th write or commit, before or after it is done.
pub struct Dying<S> {
    pub store: S,
    pub calls_left: u32,
    pub after: bool,
}

impl<S: Store> Dying<S> {
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let dies = self.calls_left == 0;
        self.calls_left = self.calls_left.saturating_sub(1);
        let dead = || StoreError::Database {
            file: "killed".to_owned(),
            source: "killed".into(),
        };
        if dies && !self.after {
            return Err(dead());
        }
        let done = call(&mut self.store)?;
        if dies { Err(dead()) } else { Ok(done) }
    }
}

impl<S: Store> Store for Dying<S> {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor()
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.call(|store| store.write(rows))
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        self.call(|store| store.commit(cursor))
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        self.store.reset()
    }
}

/// A reader of a journal that is written while it is read: now and then nothing more is there yet.
pub struct Paused {
    pub reader: Box<dyn JournalReader>,
    /// So many records come at once.
    pub records_at_once: u32,
    pub read: u32,
    /// So many calls are answered, before the next one does as it is told to.
    pub calls_left: u32,
    pub then: Then,
}

/// What the last call does.
pub enum Then {
    /// Answers, and the projector is told to stop.
    Stop(Arc<AtomicBool>),
    Fail,
}

impl JournalReader for Paused {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.calls_left == 0 {
            match &self.then {
                Then::Stop(stop) => stop.store(true, Ordering::Relaxed),
                Then::Fail => {
                    let reason = "killed".to_owned();
                    return Err(ReadError::Lost { reason });
                }
            }
        }
        self.calls_left = self.calls_left.saturating_sub(1);
        if self.read == self.records_at_once {
            self.read = 0;
            return Ok(None);
        }
        self.read += 1;
        self.reader.next()
    }

    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        self.next()
    }

    fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }
}
