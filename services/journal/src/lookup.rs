//! Random access by sequence.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::RecordLookup;
use crate::error::ReadError;
use crate::frame::{self, PAGE_BYTES};
use crate::index::RecordIndex;
use crate::recent::RecentRecords;
use crate::record::{Cursor, JournalId, Record, chain_after};
use crate::segment::Segment;
use crate::tail::Tail;

/// Segments held open; a desk looks back over the last few.
const SEGMENTS_OPEN_MAX: usize = 8;

/// Finds records of a journal in files by sequence; shared freely between threads.
#[derive(Debug)]
pub struct FileLookup {
    dir: PathBuf,
    index: Arc<RecordIndex>,
    tail: Tail,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    records: RecentRecords,
    /// Newest last.
    segments: VecDeque<Arc<Segment>>,
}

impl FileLookup {
    pub(crate) fn new(dir: &Path, index: Arc<RecordIndex>, tail: Tail) -> Self {
        Self {
            dir: dir.to_path_buf(),
            index,
            tail,
            recent: Mutex::default(),
        }
    }

    fn segment(&self, base: u64) -> Result<Arc<Segment>, ReadError> {
        let held = self
            .recent()
            .segments
            .iter()
            .find(|segment| segment.header.base == base)
            .cloned();
        if let Some(segment) = held {
            return Ok(segment);
        }
        let segment = Arc::new(Segment::open(&self.dir, base)?);
        let mut recent = self.recent();
        recent.segments.push_back(Arc::clone(&segment));
        if recent.segments.len() > SEGMENTS_OPEN_MAX {
            recent.segments.pop_front();
        }
        Ok(segment)
    }

    /// Both hold only whole values: a cache after any panic.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordLookup for FileLookup {
    fn record_containing(&self, sequence: u64) -> Result<Arc<Record>, ReadError> {
        let durable = self.tail.durable();
        if sequence == 0 || sequence > durable.sequence {
            return Err(ReadError::NotDurable {
                sequence,
                durable: durable.sequence,
            });
        }
        if let Some(record) = self.recent().records.find(sequence) {
            return Ok(record);
        }
        let (base, offset) = self.index.find(sequence)?;
        let segment = self.segment(base)?;
        let record = Arc::new(read(&segment, durable.journal, offset)?);
        self.recent().records.keep(Arc::clone(&record));
        Ok(record)
    }

    fn cursor_after(&self, sequence: u64) -> Result<Option<Cursor>, ReadError> {
        let journal = self.tail.durable().journal;
        if sequence == 0 {
            return Ok(Some(Cursor::start(journal)));
        }
        let record = self.record_containing(sequence)?;
        let offset = record.offset + frame::framed_bytes(record.payload.len()) as u64;
        let chain = record.chain_after;
        let ends_there = record.header.last_sequence == sequence;
        Ok(ends_there.then_some(Cursor {
            journal,
            offset,
            sequence,
            chain,
        }))
    }
}

/// Reads and verifies one record; its place in the chain is taken from its header.
fn read(segment: &Segment, id: JournalId, offset: u64) -> Result<Record, ReadError> {
    let damaged = |reason| segment.damaged(offset, reason);
    let at = offset - segment.header.base;
    let mut bytes = vec![0; PAGE_BYTES];
    let read = segment.named.read_at(&mut bytes, at)?;
    let length = frame::length(&bytes[..read]).map_err(damaged)?;
    bytes.resize(length, 0);
    let rest = segment
        .named
        .read_at(&mut bytes[read..], at + read as u64)?;
    bytes.truncate(read + rest);
    let frame = frame::decode(&bytes, id, offset).map_err(damaged)?;
    Ok(Record {
        header: frame.header,
        payload: frame.payload.to_vec(),
        offset,
        chain_after: chain_after(&frame.header, frame.payload),
    })
}
