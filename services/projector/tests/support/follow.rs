//! Runs the projector over what a journal holds, to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use valuta_journal::{Cursor, Journal, JournalReader, ReadError, Record};
use valuta_projector::{ProjectError, Store};

/// Sets a flag where the journal ends, or after some records.
pub struct Stopping {
    pub reader: Box<dyn JournalReader>,
    pub stop: Arc<AtomicBool>,
    pub records_max: usize,
}

impl JournalReader for Stopping {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let next = self.reader.next()?;
        self.records_max = self.records_max.saturating_sub(1);
        let end = next.is_none() || self.records_max == 0;
        self.stop.store(end, Ordering::Relaxed);
        Ok(next)
    }

    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        self.next()
    }

    fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }
}

/// Projects all that is durable.
pub fn project(journal: &dyn Journal, store: impl Store) -> Result<(), ProjectError> {
    project_some(journal, store, usize::MAX)
}

/// Projects so many records, counted from the journal's beginning, and commits.
pub fn project_some(
    journal: &dyn Journal,
    store: impl Store,
    records_max: usize,
) -> Result<(), ProjectError> {
    let stop = Arc::new(AtomicBool::new(false));
    let reader = Box::new(Stopping {
        reader: journal.reader(None)?,
        stop: Arc::clone(&stop),
        records_max,
    });
    valuta_projector::run(reader, &journal.watch(), store, &stop, |_| {})
}
