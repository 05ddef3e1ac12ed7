//! The writer of a journal in files.
//!
//! | # | phase of an append | touches                                                       |
//! |---|--------------------|---------------------------------------------------------------|
//! | 1 | check              | memory; a refusal leaves everything as it was                 |
//! | 2 | roll, if full      | the spare's header, sync, rename, directory sync              |
//! | 3 | write              | one `pwritev` of whole pages, the chain hashed meanwhile      |
//! | 4 | sync               | one `fdatasync`                                               |
//! | 5 | publish            | memory: index, watermark, hooks                               |
//!
//! A failure from phase 2 on poisons the journal: what is on disk is unknown until it is opened
//! anew, and nothing of the record was shown to anyone.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::disk::{self, Lock, NamedFile};
use crate::error::{AppendError, OpenError, ReadError};
use crate::frame::{self, PAGE_BYTES, Place, framed_bytes};
use crate::index::RecordIndex;
use crate::lookup::FileLookup;
use crate::mark::Marks;
use crate::reader::FileReader;
use crate::record::{
    Chain, Cursor, JournalId, RECORD_BYTES_MAX, Record, RecordHeader, chain_after,
};
use crate::recover::{self, Recovery, SPARE};
use crate::segment::{self, PAGE, Segment, SegmentHeader};
use crate::tail::Tail;
use crate::{Journal, JournalReader, RecordLookup, Source};

/// The default size of a segment: 64 MiB, four of the largest records.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The smallest segment: its header and three pages.
pub const SEGMENT_BYTES_MIN: u64 = 4 * PAGE;
/// The largest segment (1 GiB): start-up holds one in memory.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// From this many payload bytes on, the chain is hashed on a second thread while the disk works;
/// below, starting the thread costs more than the hash.
const HASH_ASIDE_BYTES_MIN: usize = 48 << 10;

/// How a journal in files is opened.
#[derive(Clone, Debug)]
pub struct FileJournalOptions {
    /// The length of new segments in bytes, multiple of 4096. It bounds a record: header page and
    /// record fit into one segment. Segments that exist keep theirs.
    pub segment_bytes: u64,
    /// The id of a new journal, drawn at random if `None`. An existing one must have it.
    pub id: Option<JournalId>,
    /// The epoch in each record's header; a file has one leader, so one epoch does. A journal that has
    /// records goes on in the epoch and under the leader of the last one.
    pub epoch: u64,
    /// The leader in each record's header.
    pub leader_id: [u8; 16],
}

impl Default for FileJournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            id: None,
            epoch: 0,
            leader_id: [0; 16],
        }
    }
}

/// The one writer of a journal in files. Holds the directory's lock while it lives.
#[derive(Debug)]
pub struct FileJournal {
    dir: PathBuf,
    options: FileJournalOptions,
    segment: Segment,
    /// Where the next record goes, in the segment's file.
    position: u64,
    /// After the last record.
    end: Cursor,
    /// After the last record with inputs.
    tail: Cursor,
    /// Epoch and leader of the next record.
    term: (u64, [u8; 16]),
    spare: Option<NamedFile>,
    marks: Marks,
    watch: Tail,
    index: Arc<RecordIndex>,
    poisoned: bool,
    _lock: Lock,
}

impl FileJournal {
    /// The epoch that this journal's next record is of: a copied one goes on in that of its last leader.
    pub fn epoch(&self) -> u64 {
        self.term.0
    }

    /// After the last record, with inputs or without: what the next one must continue.
    pub fn end(&self) -> Cursor {
        self.end
    }

    /// Opens the journal in `dir`, or creates one there; repairs a torn tail and says what it did.
    pub fn create_or_open(
        dir: &Path,
        options: FileJournalOptions,
    ) -> Result<(Self, Recovery), OpenError> {
        let (min, max, found) = (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX, options.segment_bytes);
        if !(min..=max).contains(&found) || !found.is_multiple_of(PAGE) {
            return Err(OpenError::SegmentBytes { found, min, max });
        }
        let mut opened = recover::open(dir, &options)?;
        let headers = opened.segments.iter().map(|segment| &segment.header);
        let index = RecordIndex::new(dir.to_path_buf(), headers, opened.scan.records);
        let own = (options.epoch, options.leader_id);
        let journal = Self {
            dir: dir.to_path_buf(),
            options,
            segment: opened
                .segments
                .pop()
                .expect("an opened journal has a segment"),
            position: opened.scan.position,
            end: opened.scan.end,
            tail: opened.recovery.tail,
            term: opened.scan.last.term.unwrap_or(own),
            spare: None,
            marks: opened.marks,
            watch: Tail::new(opened.recovery.tail),
            index: Arc::new(index),
            poisoned: false,
            _lock: opened.lock,
        };
        Ok((journal, opened.recovery))
    }

    /// The most payload bytes of one record here.
    pub fn record_bytes_max(&self) -> usize {
        let pages = self.options.segment_bytes - PAGE;
        let room = usize::try_from(pages).unwrap_or(usize::MAX) - frame::HEADER_BYTES;
        RECORD_BYTES_MAX.min(room)
    }

    /// Runs one step; an error that is fatal closes the journal for good.
    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let result = step(self);
        if result.as_ref().is_err_and(AppendError::is_fatal) {
            self.poisoned = true;
            self.watch.close();
        }
        result
    }

    fn room(&self) -> u64 {
        self.segment.header.length - self.position
    }

    fn check(&self, first: u64, last: u64, bytes: usize) -> Result<(), AppendError> {
        let expected = self.tail.sequence + 1;
        if first != expected || last < first {
            return Err(AppendError::SequenceNotNext {
                expected,
                first,
                last,
            });
        }
        let bytes_max = self.record_bytes_max();
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    /// Appends a record of another journal's copy as it stands there, with inputs or without; durable
    /// when it returns. It must follow the last one, so that id, chain and sequences stay the same.
    pub fn append_copied(&mut self, record: &Record) -> Result<(), AppendError> {
        self.guarded(|journal| {
            let header = &record.header;
            if !header.starts_epoch() {
                let (first, last) = (header.first_sequence, header.last_sequence);
                journal.check(first, last, record.payload.len())?;
            }
            let (sequence, chain) = (journal.end.sequence, journal.end.chain);
            if header.first_sequence != sequence + 1 || header.chain_before != chain {
                return Err(AppendError::ChainNotNext { sequence });
            }
            journal.append_record(header, &record.payload)?;
            Ok(())
        })
    }

    /// Phases 2 to 5.
    fn append_record(
        &mut self,
        header: &RecordHeader,
        payload: &[u8],
    ) -> Result<Cursor, AppendError> {
        let framed = framed_bytes(payload.len()) as u64;
        if framed > self.room() {
            self.roll()?;
        }
        let offset = self.segment.header.base + self.position;
        let place = Place {
            id: self.end.journal,
            offset,
            durable_through: self.end.offset,
        };
        let (chain, written) = hash_while(header, payload, || {
            self.write_durably(&place, header, payload)
        });
        written?;
        self.position += framed;
        self.end = Cursor {
            journal: place.id,
            offset: offset + framed,
            sequence: header.last_sequence,
            chain,
        };
        self.term = (header.epoch, header.leader_id);
        self.index.push_record((header.first_sequence, offset));
        if !header.starts_epoch() {
            self.tail = self.end;
            self.watch.publish(self.tail);
        }
        Ok(self.tail)
    }

    /// The spare is durable in length and allocation before anything counts on it.
    fn make_spare(&mut self) -> Result<(), AppendError> {
        let path = self.dir.join(SPARE);
        match NamedFile::preallocate(&path, self.options.segment_bytes) {
            Ok(spare) => {
                spare.sync_all().map_err(AppendError::Sync)?;
                self.spare = Some(spare);
                Ok(())
            }
            Err(error) if error.is_full() => {
                // Give back what was allocated in part; nothing refers to it.
                disk::remove(&path).map_err(AppendError::Write)?;
                Err(AppendError::Full(error))
            }
            Err(error) => Err(AppendError::Write(error)),
        }
    }

    /// Goes on in the spare.
    fn roll(&mut self) -> Result<(), AppendError> {
        if self.spare.is_none() {
            self.make_spare()?;
        }
        let mut named = self.spare.take().expect("made above");
        let base = self.segment.header.end();
        let header = SegmentHeader::after(&self.end, base, self.options.segment_bytes);
        named
            .write_at(&mut [IoSlice::new(&header.encode())], 0)
            .map_err(AppendError::Write)?;
        named.sync_data().map_err(AppendError::Sync)?;
        // A crash here leaves a spare, which start-up removes.
        named
            .rename(&segment::path(&self.dir, base))
            .map_err(AppendError::Sync)?;
        // A crash here leaves an empty segment: the journal ends where the one before ended.
        self.segment = Segment { named, header };
        self.position = PAGE;
        self.index.push_segment(&header);
        Ok(())
    }

    /// One write, one sync; nothing else is in flight.
    fn write_durably(&self, place: &Place, header: &RecordHeader, payload: &[u8]) -> WriteResult {
        const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        let head = frame::encode_header(place, header, payload);
        let padding = framed_bytes(payload.len()) - head.len() - payload.len();
        let mut slices = [
            IoSlice::new(&head),
            IoSlice::new(payload),
            IoSlice::new(&ZEROS[..padding]),
        ];
        let named = &self.segment.named;
        named
            .write_at(&mut slices, self.position)
            .map_err(AppendError::Write)?;
        // A crash here leaves the record whole, in part or not at all; nobody was told of it.
        named.sync_data().map_err(AppendError::Sync)
    }
}

type WriteResult = Result<(), AppendError>;

impl Source for FileJournal {
    fn id(&self) -> JournalId {
        self.tail.journal
    }

    fn watch(&self) -> Tail {
        self.watch.clone()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        Ok(Box::new(FileReader::open(&self.dir, from, self.watch())?))
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        Arc::new(FileLookup::new(
            &self.dir,
            Arc::clone(&self.index),
            self.watch(),
        ))
    }
}

impl Journal for FileJournal {
    fn tail(&self) -> Cursor {
        self.tail
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError> {
        self.guarded(|journal| {
            let capacity = journal.options.segment_bytes - PAGE;
            if bytes as u64 > capacity {
                let bytes_max = usize::try_from(capacity).unwrap_or(usize::MAX);
                return Err(AppendError::TooLarge { bytes, bytes_max });
            }
            if bytes as u64 <= journal.room() || journal.spare.is_some() {
                return Ok(());
            }
            journal.make_spare()
        })
    }

    fn append(
        &mut self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Result<Cursor, AppendError> {
        self.guarded(|journal| {
            journal.check(first_sequence, last_sequence, payload.len())?;
            let (epoch, leader_id) = journal.term;
            let header = RecordHeader {
                epoch,
                leader_id,
                first_sequence,
                last_sequence,
                chain_before: journal.end.chain,
                time_ms,
            };
            journal.append_record(&header, payload)
        })
    }

    fn mark(&mut self) -> Result<(), AppendError> {
        self.guarded(|journal| {
            if journal.marks.durable == journal.end {
                return Ok(());
            }
            journal
                .marks
                .write(journal.end)
                .map_err(AppendError::Write)?;
            journal.marks.sync().map_err(AppendError::Sync)
        })
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.watch.close();
    }
}

/// The chain after the record, hashed beside `write` if that is worth a thread.
fn hash_while(
    header: &RecordHeader,
    payload: &[u8],
    write: impl FnOnce() -> WriteResult,
) -> (Chain, WriteResult) {
    if payload.len() < HASH_ASIDE_BYTES_MIN {
        return (chain_after(header, payload), write());
    }
    thread::scope(|scope| {
        let hash = thread::Builder::new().spawn_scoped(scope, || chain_after(header, payload));
        let written = write();
        let chain = match hash {
            Ok(thread) => thread.join().expect("hashing does not panic"),
            Err(_) => chain_after(header, payload), // no thread to be had: later, but the same
        };
        (chain, written)
    })
}
