//! Random access by sequence.
//!
//! What this process read is indexed, every few records, with the rule as it stood there; a lookup
//! reads the stretch up to the next place, and keeps it: whoever asks for one record often asks for the
//! next. What is older than a snapshot that this process started from is
//! indexed once, by reading it, when someone first asks.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use valuta_journal::{Cursor, ReadError, RecentRecords, Record, RecordLookup};

use crate::config::Ahead;
use crate::reader::Behind;
use crate::shared::{Index, Place, Shared, cursor_after};

/// Finds records by sequence; shared freely between threads.
pub(crate) struct KafkaLookup {
    shared: Arc<Shared>,
    recent: Mutex<RecentRecords>,
}

impl KafkaLookup {
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            recent: Mutex::default(),
        }
    }

    /// It only ever holds whole records: a cache after any panic.
    fn recent(&self) -> MutexGuard<'_, RecentRecords> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordLookup for KafkaLookup {
    fn record_containing(&self, sequence: u64) -> Result<Arc<Record>, ReadError> {
        if let Some(record) = self.recent().find(sequence) {
            return Ok(record);
        }
        containing(&self.shared, sequence, |record| self.recent().keep(record))
    }

    fn cursor_after(&self, sequence: u64) -> Result<Option<Cursor>, ReadError> {
        let durable = self.shared.tail.durable();
        if sequence == 0 {
            return Ok(Some(Cursor::start(durable.journal)));
        }
        let cursor = cursor_after(durable, &*self.record_containing(sequence)?);
        Ok((cursor.sequence == sequence).then_some(cursor))
    }
}

/// The record that holds `sequence`, remembered or read; `keep` gets each that was read.
pub(crate) fn containing(
    shared: &Arc<Shared>,
    sequence: u64,
    mut keep: impl FnMut(Arc<Record>),
) -> Result<Arc<Record>, ReadError> {
    let durable = shared.tail.durable().sequence;
    if sequence == 0 || sequence > durable {
        return Err(ReadError::NotDurable { sequence, durable });
    }
    if let Some(record) = shared.state().containing(sequence) {
        return Ok(record);
    }
    let (place, next) = stretch(shared, sequence)?;
    let mut behind = Behind::open(shared, place, Ahead::Little)?;
    let mut found = None;
    loop {
        let record = Arc::new(behind.next(shared)?);
        if record.contains(sequence) {
            found = Some(Arc::clone(&record));
        }
        let last = record.header.last_sequence;
        keep(record);
        if last >= next.min(durable) {
            // Records follow one another without gaps, and the sequence is in between.
            return Ok(found.expect("a stretch has all its sequences"));
        }
    }
}

/// A place to read on from to the record that holds `sequence`, which is durable and not 0.
pub(crate) fn place_before(shared: &Shared, sequence: u64) -> Result<Place, ReadError> {
    Ok(stretch(shared, sequence)?.0)
}

/// The same, and the last sequence before the next place.
fn stretch(shared: &Shared, sequence: u64) -> Result<(Place, u64), ReadError> {
    let started = {
        let state = shared.state();
        if let Some((place, next)) = state.index.around(sequence) {
            return Ok((place.clone(), next.unwrap_or(u64::MAX)));
        }
        state.index.first_sequence()
    };
    let found = history(shared)?.around(sequence);
    let (place, next) = found.expect("the first place is before everything");
    Ok((place.clone(), next.unwrap_or(started)))
}

/// The index of what is older than this process' start, made by reading it once.
fn history(shared: &Shared) -> Result<&Index, ReadError> {
    if let Some(history) = shared.history.get() {
        return Ok(history);
    }
    let until = shared.state().index.first_sequence();
    let mut index = Index::default();
    index.begin(Place::default());
    let mut behind = Behind::open(shared, Place::default(), Ahead::Much)?;
    loop {
        let (place, record) = behind.next_placed(shared)?;
        index.note(place, record.payload.len());
        if record.header.last_sequence >= until {
            break;
        }
    }
    // Two at once read it twice; the first to finish is kept.
    Ok(shared.history.get_or_init(|| index))
}

/// Where the index of what is older is kept.
pub(crate) type History = OnceLock<Index>;
