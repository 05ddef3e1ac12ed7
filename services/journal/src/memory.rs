//! A journal in memory that fails as told: the double for tests of everything above the journal.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{AppendError, Damage, FileError, ReadError};
use crate::frame::framed_bytes;
use crate::reader::{check_within, contradicted, difference};
use crate::record::{Cursor, JournalId, RECORD_BYTES_MAX, Record, RecordHeader, chain_after};
use crate::tail::Tail;
use crate::{Contradiction, Journal, JournalReader, RecordLookup, Source};

/// Which call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// The reservation finds the disk full: nothing changes, the journal stays usable.
    Reserve,
    /// The append's write fails.
    Write,
    /// The append's sync fails.
    Sync,
    /// The mark's sync fails.
    Mark,
}

/// One failure to come, at one call; crossed with whether the record survives the crash that
/// follows, since after a failed write or sync both happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The call that fails.
    pub at: FaultPoint,
    /// How many calls of that kind succeed before.
    pub after: u64,
    /// Whether the record of the failed append is in the journal when it is opened anew.
    pub persisted: bool,
}

/// A [`Journal`] in memory. Its content outlives it, as a disk's would: [`MemoryJournal::crash`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: Arc<Disk>,
    tail: Cursor,
    watch: Tail,
    faults: Vec<Fault>,
    calls: [u64; 4],
    poisoned: bool,
}

#[derive(Debug)]
struct Disk {
    id: JournalId,
    records: Mutex<VecDeque<Arc<Record>>>,
}

impl MemoryJournal {
    /// An empty journal without faults.
    pub fn new(id: JournalId) -> Self {
        Self::with_faults(id, Vec::new())
    }

    /// An empty journal that will fail so.
    pub fn with_faults(id: JournalId, faults: Vec<Fault>) -> Self {
        Self::on(
            Arc::new(Disk {
                id,
                records: Mutex::default(),
            }),
            faults,
        )
    }

    fn on(disk: Arc<Disk>, faults: Vec<Fault>) -> Self {
        let tail = disk.tail();
        Self {
            disk,
            tail,
            watch: Tail::new(tail),
            faults,
            calls: [0; 4],
            poisoned: false,
        }
    }

    /// The process dies here; what a new one finds on the disk.
    pub fn crash(self) -> Self {
        self.crash_with_faults(Vec::new())
    }

    /// As [`Self::crash`], with faults for the new process.
    pub fn crash_with_faults(self, faults: Vec<Fault>) -> Self {
        Self::on(Arc::clone(&self.disk), faults)
    }

    /// Adds a fault; its `after` counts from the journal's opening.
    pub fn fail(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Counts the call and says which fault, if any, it meets.
    fn fault(&mut self, at: FaultPoint) -> Option<Fault> {
        let calls = &mut self.calls[at as usize];
        let call = std::mem::replace(calls, *calls + 1);
        self.faults
            .iter()
            .find(|fault| fault.at == at && fault.after == call)
            .copied()
    }

    fn poison(&mut self, error: AppendError) -> AppendError {
        self.poisoned = true;
        self.watch.close();
        error
    }

    fn check(&self) -> Result<(), AppendError> {
        if self.poisoned {
            Err(AppendError::Poisoned)
        } else {
            Ok(())
        }
    }

    /// The record that comes next.
    fn record(
        &self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Record {
        let chain_before = self.tail.chain;
        let (epoch, leader_id) = (0, [0; 16]);
        let header = RecordHeader {
            epoch,
            leader_id,
            first_sequence,
            last_sequence,
            chain_before,
            time_ms,
        };
        let chain_after = chain_after(&header, payload);
        Record {
            header,
            payload: payload.to_vec(),
            offset: self.tail.offset,
            chain_after,
        }
    }
}

impl Source for MemoryJournal {
    fn id(&self) -> JournalId {
        self.disk.id
    }

    fn watch(&self) -> Tail {
        self.watch.clone()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        let durable = self.tail;
        let cursor = from.unwrap_or_else(|| Cursor::start(self.disk.id));
        check_within(&cursor, &durable)?;
        let (disk, tail) = (Arc::clone(&self.disk), self.watch());
        let next = disk.position_after(&cursor)?;
        Ok(Box::new(MemoryReader {
            disk,
            tail,
            cursor,
            next,
        }))
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        Arc::new(MemoryLookup {
            disk: Arc::clone(&self.disk),
            tail: self.watch(),
        })
    }
}

impl Journal for MemoryJournal {
    fn tail(&self) -> Cursor {
        self.tail
    }

    fn reserve(&mut self, _bytes: usize) -> Result<(), AppendError> {
        self.check()?;
        match self.fault(FaultPoint::Reserve) {
            Some(_) => Err(AppendError::Full(failure(
                "preallocate",
                io::ErrorKind::StorageFull,
            ))),
            None => Ok(()),
        }
    }

    fn append(
        &mut self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Result<Cursor, AppendError> {
        self.check()?;
        let expected = self.tail.sequence + 1;
        if first_sequence != expected || last_sequence < first_sequence {
            let (first, last) = (first_sequence, last_sequence);
            return Err(AppendError::SequenceNotNext {
                expected,
                first,
                last,
            });
        }
        if payload.len() > RECORD_BYTES_MAX {
            let (bytes, bytes_max) = (payload.len(), RECORD_BYTES_MAX);
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let record = Arc::new(self.record(first_sequence, last_sequence, time_ms, payload));
        let failing = self
            .fault(FaultPoint::Write)
            .or_else(|| self.fault(FaultPoint::Sync));
        if failing.is_none_or(|fault| fault.persisted) {
            self.disk.records().push_back(Arc::clone(&record));
        }
        match failing {
            Some(Fault {
                at: FaultPoint::Write,
                ..
            }) => Err(self.poison(AppendError::Write(failure("write", io::ErrorKind::Other)))),
            Some(_) => Err(self.poison(AppendError::Sync(failure("sync", io::ErrorKind::Other)))),
            None => {
                self.tail = cursor_after(self.disk.id, &record);
                self.watch.publish(self.tail);
                Ok(self.tail)
            }
        }
    }

    fn mark(&mut self) -> Result<(), AppendError> {
        self.check()?;
        match self.fault(FaultPoint::Mark) {
            Some(_) => Err(self.poison(AppendError::Sync(failure("sync", io::ErrorKind::Other)))),
            None => Ok(()),
        }
    }
}

impl Drop for MemoryJournal {
    fn drop(&mut self) {
        self.watch.close();
    }
}

impl Disk {
    fn records(&self) -> MutexGuard<'_, VecDeque<Arc<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> Cursor {
        let records = self.records();
        let last = records.back().map(|record| cursor_after(self.id, record));
        last.unwrap_or_else(|| Cursor::start(self.id))
    }

    /// How many records a cursor has consumed.
    fn position_after(&self, cursor: &Cursor) -> Result<usize, ReadError> {
        let records = self.records();
        let position = records.partition_point(|record| record.offset < cursor.offset);
        let found = match position.checked_sub(1) {
            Some(last) => cursor_after(self.id, &records[last]),
            None => Cursor::start(self.id),
        };
        if found.offset != cursor.offset {
            let reason = Contradiction::NoRecord(Damage::RecordMagic);
            return Err(contradicted(cursor, reason));
        }
        if found != *cursor {
            return Err(contradicted(cursor, difference(cursor, &found)));
        }
        Ok(position)
    }

    fn containing(&self, sequence: u64) -> Option<Arc<Record>> {
        let records = self.records();
        let at = records.partition_point(|record| record.header.last_sequence < sequence);
        records
            .get(at)
            .filter(|record| record.contains(sequence))
            .cloned()
    }
}

/// A follower of a [`MemoryJournal`].
#[derive(Debug)]
pub struct MemoryReader {
    disk: Arc<Disk>,
    tail: Tail,
    cursor: Cursor,
    next: usize,
}

impl JournalReader for MemoryReader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.cursor.offset >= self.tail.durable().offset {
            return Ok(None);
        }
        let record = self.disk.records().get(self.next).cloned();
        if let Some(record) = &record {
            self.cursor = cursor_after(self.disk.id, record);
            self.next += 1;
        }
        Ok(record.map(Arc::unwrap_or_clone))
    }

    /// It has none without inputs.
    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        self.next()
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}

/// Random access to a [`MemoryJournal`].
#[derive(Debug)]
pub struct MemoryLookup {
    disk: Arc<Disk>,
    tail: Tail,
}

impl RecordLookup for MemoryLookup {
    fn record_containing(&self, sequence: u64) -> Result<Arc<Record>, ReadError> {
        let durable = self.tail.durable().sequence;
        let found = if sequence > durable {
            None
        } else {
            self.disk.containing(sequence)
        };
        found.ok_or(ReadError::NotDurable { sequence, durable })
    }

    fn cursor_after(&self, sequence: u64) -> Result<Option<Cursor>, ReadError> {
        if sequence == 0 {
            return Ok(Some(Cursor::start(self.disk.id)));
        }
        let cursor = cursor_after(self.disk.id, &*self.record_containing(sequence)?);
        Ok((cursor.sequence == sequence).then_some(cursor))
    }
}

fn cursor_after(journal: JournalId, record: &Record) -> Cursor {
    Cursor {
        journal,
        offset: record.offset + framed_bytes(record.payload.len()) as u64,
        sequence: record.header.last_sequence,
        chain: record.chain_after,
    }
}

fn failure(action: &'static str, kind: io::ErrorKind) -> FileError {
    FileError {
        action,
        file: PathBuf::from("memory"),
        source: kind.into(),
    }
}
