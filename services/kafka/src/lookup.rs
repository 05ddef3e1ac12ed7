//! Random access by sequence.
//!
//! What this process read is indexed, every few records, with the rule as it stood there; a lookup
//! reads on from the place before. What is older than a snapshot that this process started from is
//! indexed once, by reading it, when someone first asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use valuta_journal::{Cursor, ReadError, Record, RecordLookup};

use crate::reader::Behind;
use crate::shared::{Index, Place, Shared, cursor_after};

/// Payload bytes that the last records may hold in memory: two of the largest.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// Finds records by sequence; shared freely between threads.
pub(crate) struct KafkaLookup {
    shared: Arc<Shared>,
    /// Newest last.
    cache: Mutex<VecDeque<Arc<Record>>>,
}

impl KafkaLookup {
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            cache: Mutex::default(),
        }
    }

    /// It only ever holds whole records: a cache after any panic.
    fn cache(&self) -> MutexGuard<'_, VecDeque<Arc<Record>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, record: &Arc<Record>) {
        let mut cache = self.cache();
        cache.push_back(Arc::clone(record));
        let bytes = |cache: &VecDeque<Arc<Record>>| -> usize {
            cache.iter().map(|record| record.payload.len()).sum()
        };
        while bytes(&cache) > CACHE_BYTES_MAX && cache.len() > 1 {
            cache.pop_front();
        }
    }
}

impl RecordLookup for KafkaLookup {
    fn record_containing(&self, sequence: u64) -> Result<Arc<Record>, ReadError> {
        let kept = self.cache().iter().find(|r| r.contains(sequence)).cloned();
        if let Some(record) = kept {
            return Ok(record);
        }
        let record = containing(&self.shared, sequence)?;
        self.keep(&record);
        Ok(record)
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

/// The record that holds `sequence`, remembered or read.
pub(crate) fn containing(shared: &Arc<Shared>, sequence: u64) -> Result<Arc<Record>, ReadError> {
    let durable = shared.tail.durable().sequence;
    if sequence == 0 || sequence > durable {
        return Err(ReadError::NotDurable { sequence, durable });
    }
    if let Some(record) = shared.state().containing(sequence) {
        return Ok(record);
    }
    let mut behind = Behind::open(shared, place_before(shared, sequence)?)?;
    loop {
        let record = behind.next(shared)?;
        if record.contains(sequence) {
            return Ok(Arc::new(record));
        }
    }
}

/// A place to read on from to the record that holds `sequence`, which is durable and not 0.
pub(crate) fn place_before(shared: &Shared, sequence: u64) -> Result<Place, ReadError> {
    if let Some(place) = shared.state().index.before(sequence) {
        return Ok(place.clone());
    }
    let history = history(shared)?;
    let place = history.before(sequence).cloned();
    Ok(place.unwrap_or_default())
}

/// The index of what is older than this process' start, made by reading it once.
fn history(shared: &Shared) -> Result<&Index, ReadError> {
    if let Some(history) = shared.history.get() {
        return Ok(history);
    }
    let until = shared.state().index.first_sequence();
    let mut index = Index::default();
    index.begin(Place::default());
    let mut behind = Behind::open(shared, Place::default())?;
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
