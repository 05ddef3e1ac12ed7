//! Opening: what is there, whether it is whole, and the repair of a torn tail.
//!
//! | # | step                                            | a crash here leaves                     |
//! |---|-------------------------------------------------|-----------------------------------------|
//! | 1 | lock; remove temporary files                    | nothing changed                         |
//! | 2 | verify marks, headers, order of segments        | nothing changed                         |
//! | 3 | scan the last segment, compare with the mark    | nothing changed                         |
//! | 4 | copy its valid part to a new file, sync, rename | the old file or the new, same records   |
//! | 5 | mark the end                                    | the mark before, which is lower         |
//!
//! Step 4 is done at every start, for two reasons. Pages that a failed sync left only in memory
//! would read as valid and yet be gone after a power cut; and bytes of a torn record that stayed
//! beyond the end could later be taken for part of another.
//!
//! **Torn or damaged.** One write is in flight, so only the last record may be unacknowledged. The
//! first invalid record is torn if nothing says that it was acknowledged: no valid record on any
//! later page of the segment, no later segment, and no mark beyond it. Else it is damage, and
//! opening refuses. Earlier segments are acknowledged as a whole; readers verify them as they read.

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use crate::disk::{self, Lock, NamedFile};
use crate::error::{Damage, OpenError};
use crate::file::FileJournalOptions;
use crate::frame::{self, PAGE_BYTES, framed_bytes};
use crate::index::RecordIndex;
use crate::mark::Marks;
use crate::record::{Cursor, JournalId, RecordHeader, chain_after};
use crate::segment::{self, Segment, SegmentError, SegmentHeader, damaged};

/// The preallocated file that becomes the next segment.
pub(crate) const SPARE: &str = "spare.tmp";
const REPAIR: &str = "repair.tmp";
const TEMPORARY: [&str; 3] = [SPARE, REPAIR, "marks.tmp"];

/// What opening found and repaired.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Whether the journal is new.
    pub created: bool,
    /// After the last record with inputs.
    pub tail: Cursor,
    /// After the last record, with inputs or without. Not a cursor to keep.
    pub end: Cursor,
    /// Segment files.
    pub segments: usize,
    /// Valid records in the last segment.
    pub records_last_segment: usize,
    /// The last segment's file.
    pub file: PathBuf,
    /// The byte in `file` where the valid part ends.
    pub valid_bytes: u64,
    /// Bytes of an unacknowledged, torn record that were cut off; 0 is a clean end.
    pub torn_bytes: u64,
    /// Mark slots that were not intact (a mark torn by a power cut): 0 or 1.
    pub mark_slots_damaged: u32,
}

/// Everything that a writer goes on from.
pub(crate) struct Opened {
    pub lock: Lock,
    pub marks: Marks,
    /// All segments; the last one is open for writing.
    pub segments: Vec<Segment>,
    pub scan: Scan,
    pub recovery: Recovery,
}

/// The valid part of the last segment.
#[derive(Debug)]
pub(crate) struct Scan {
    /// After the last record.
    pub end: Cursor,
    /// What the last records say, from the segments before if need be.
    pub last: Last,
    /// Where the next record goes, in the file.
    pub position: u64,
    /// First sequence and offset of each record.
    pub records: Vec<(u64, u64)>,
    pub torn_bytes: u64,
    bytes: Vec<u8>,
}

/// What is known of the last records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    /// After the last record with inputs.
    pub tail: Option<Cursor>,
    /// Epoch and leader of the last record.
    pub term: Option<(u64, [u8; 16])>,
}

impl Last {
    /// A record was met; the cursor after it.
    fn note(&mut self, header: &RecordHeader, after: Cursor) {
        self.term = Some((header.epoch, header.leader_id));
        if !header.starts_epoch() {
            self.tail = Some(after);
        }
    }

    /// What this one does not know, an earlier one may.
    fn or(self, earlier: Self) -> Self {
        Self {
            tail: self.tail.or(earlier.tail),
            term: self.term.or(earlier.term),
        }
    }
}

/// Opens for writing; creates the journal if the directory has none.
pub(crate) fn open(dir: &Path, options: &FileJournalOptions) -> Result<Opened, OpenError> {
    disk::create_directory(dir)?;
    let lock = Lock::take(dir)?;
    TEMPORARY
        .iter()
        .try_for_each(|name| disk::remove(&dir.join(name)))?;
    let created = segment::list(dir)?.is_empty();
    if created {
        create(dir, options)?;
    }
    let (mut segments, mut marks, scan) = inspect(dir, true)?;
    check_id(options.id, marks.durable.journal)?;
    let recovery = recovery(&segments, &marks, &scan, created);
    let last = segments.last_mut().expect("inspect found a segment");
    last.named = copy_valid_part(dir, last, &scan)?;
    if marks.durable != scan.end || marks.slots_damaged > 0 {
        marks.write(scan.end)?;
        marks.sync()?;
    }
    Ok(Opened {
        lock,
        marks,
        segments,
        scan,
        recovery,
    })
}

/// A journal that is only looked at.
pub(crate) struct Stopped {
    pub lock: Option<Lock>,
    pub recovery: Recovery,
    pub index: RecordIndex,
}

/// Opens a stopped journal to read; changes nothing. The lock keeps writers out meanwhile.
pub(crate) fn open_stopped(dir: &Path) -> Result<Stopped, OpenError> {
    if !dir.is_dir() || segment::list(dir)?.is_empty() && !Marks::path(dir).exists() {
        return Err(OpenError::NoJournal {
            dir: dir.to_path_buf(),
        });
    }
    let lock = Lock::take_existing(dir)?;
    let (segments, marks, scan) = inspect(dir, false)?;
    let recovery = recovery(&segments, &marks, &scan, false);
    let headers = segments.iter().map(|segment| &segment.header);
    Ok(Stopped {
        index: RecordIndex::new(dir.to_path_buf(), headers, scan.records),
        recovery,
        lock,
    })
}

fn recovery(segments: &[Segment], marks: &Marks, scan: &Scan, created: bool) -> Recovery {
    Recovery {
        created,
        tail: scan.tail(),
        end: scan.end,
        segments: segments.len(),
        records_last_segment: scan.records.len(),
        file: segments
            .last()
            .map(|last| last.named.path.clone())
            .unwrap_or_default(),
        valid_bytes: scan.position,
        torn_bytes: scan.torn_bytes,
        mark_slots_damaged: marks.slots_damaged,
    }
}

/// The mark file comes first: once it exists with an acknowledged record, a missing first segment
/// is damage. Killed in between, the next start goes on with the same id.
fn create(dir: &Path, options: &FileJournalOptions) -> Result<(), OpenError> {
    let marks = match Marks::open(dir, true)? {
        Some(marks) => marks,
        None => {
            let drawn = options.id.map_or_else(JournalId::random, Ok);
            let id = drawn.map_err(crate::error::FileError::at("draw an id for", dir))?;
            Marks::create(dir, id)?
        }
    };
    let id = marks.durable.journal;
    let first = segment::path(dir, 0);
    if marks.durable != Cursor::start(id) {
        return Err(damaged(&first, 0, Damage::SegmentMissing).into());
    }
    let mut named = NamedFile::preallocate(&dir.join(SPARE), options.segment_bytes)?;
    let header = SegmentHeader::first(id, options.segment_bytes);
    named.write_at(&mut [IoSlice::new(&header.encode())], 0)?;
    named.sync_all()?;
    Ok(named.rename(&first)?)
}

fn check_id(expected: Option<JournalId>, found: JournalId) -> Result<(), OpenError> {
    match expected {
        Some(expected) if expected != found => Err(OpenError::OtherJournal { expected, found }),
        _ => Ok(()),
    }
}

/// Steps 2 and 3: verifies, changes nothing.
fn inspect(dir: &Path, write: bool) -> Result<(Vec<Segment>, Marks, Scan), OpenError> {
    let marks_path = Marks::path(dir);
    let Some(marks) = Marks::open(dir, write)? else {
        return Err(damaged(&marks_path, 0, Damage::MarksLost).into());
    };
    let segments = segment::open_all(dir)?;
    let Some(last) = segments.last() else {
        return Err(damaged(&segment::path(dir, 0), 0, Damage::SegmentMissing).into());
    };
    if marks.durable.journal != last.header.id {
        let reason = Damage::OtherJournal {
            found: marks.durable.journal,
        };
        return Err(damaged(&marks_path, 0, reason).into());
    }
    let mut scan = scan(last, &marks.durable, &marks_path)?;
    for pair in segments.windows(2).rev() {
        if scan.last.tail.is_some() {
            break;
        }
        // The segment was just begun, or holds nothing but started epochs.
        let end = pair[1].header.previous_end;
        scan.last = scan.last.or(last_of(&pair[0], end)?);
    }
    Ok((segments, marks, scan))
}

/// Walks the records of a full segment, whose end the next one's header tells.
fn last_of(segment: &Segment, end: u64) -> Result<Last, SegmentError> {
    let length = usize::try_from(end - segment.header.base).expect("bounded by SEGMENT_BYTES_MAX");
    let mut bytes = vec![0; length];
    segment.named.read_at(&mut bytes, 0)?;
    let (mut cursor, mut position, mut last) =
        (segment.header.cursor(), PAGE_BYTES, Last::default());
    while position < length {
        let offset = segment.header.base + position as u64;
        let frame = frame::decode(&bytes[position..], cursor.journal, offset);
        let frame = frame.map_err(|reason| segment.damaged(offset, reason))?;
        cursor = follow(&cursor, &frame, offset).map_err(|r| segment.damaged(offset, r))?;
        last.note(&frame.header, cursor);
        position += framed_bytes(frame.payload.len());
    }
    Ok(last)
}

impl Scan {
    /// After the last record with inputs.
    pub fn tail(&self) -> Cursor {
        let start = Cursor::start(self.end.journal);
        self.last.tail.unwrap_or(start)
    }
}

/// Walks the last segment's records up to the first invalid one and judges that one.
fn scan(segment: &Segment, mark: &Cursor, marks_path: &Path) -> Result<Scan, SegmentError> {
    let length = usize::try_from(segment.header.length).expect("bounded by SEGMENT_BYTES_MAX");
    // A file cut short reads as zeros to its full length: what is lost is judged like any other.
    let mut bytes = vec![0; length];
    segment.named.read_at(&mut bytes, 0)?;
    let contradiction = || {
        damaged(
            marks_path,
            0,
            Damage::MarkContradicts {
                offset: mark.offset,
            },
        )
    };

    let mut cursor = segment.header.cursor();
    let mut position = PAGE_BYTES;
    let mut records = Vec::new();
    let mut last = Last::default();
    let mut mark_met = mark.offset < cursor.offset;
    let stopped = loop {
        if cursor.offset == mark.offset {
            mark_met = true;
            if cursor != *mark {
                return Err(contradiction().into());
            }
        }
        if position >= length {
            break Damage::RecordMissing;
        }
        let offset = segment.header.base + position as u64;
        let frame = match frame::decode(&bytes[position..], cursor.journal, offset) {
            Ok(frame) => frame,
            Err(reason) => break reason,
        };
        let next = follow(&cursor, &frame, offset).map_err(|r| segment.damaged(offset, r))?;
        records.push((frame.header.first_sequence, offset));
        last.note(&frame.header, next);
        cursor = next;
        position += framed_bytes(frame.payload.len());
    };
    if mark.offset > cursor.offset || is_acknowledged_later(&bytes, position, segment) {
        return Err(damaged(&segment.named.path, position as u64, stopped).into());
    }
    if !mark_met {
        return Err(contradiction().into());
    }
    let rest = &bytes[position..];
    let torn_bytes = rest
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last as u64 + 1);
    Ok(Scan {
        end: cursor,
        last,
        position: position as u64,
        records,
        torn_bytes,
        bytes,
    })
}

/// The cursor after a verified frame at `offset`, if it continues `cursor`.
pub(crate) fn follow(
    cursor: &Cursor,
    frame: &frame::Frame<'_>,
    offset: u64,
) -> Result<Cursor, Damage> {
    let header = &frame.header;
    let (expected, first, last) = (
        cursor.sequence + 1,
        header.first_sequence,
        header.last_sequence,
    );
    if first != expected || last < first && !header.starts_epoch() {
        return Err(Damage::SequenceGap {
            expected,
            first,
            last,
        });
    }
    if header.chain_before != cursor.chain {
        return Err(Damage::ChainBroken);
    }
    Ok(Cursor {
        journal: cursor.journal,
        offset: offset + framed_bytes(frame.payload.len()) as u64,
        sequence: last,
        chain: chain_after(header, frame.payload),
    })
}

/// Whether a valid record on a page after `position` says that all up to beyond it was acknowledged.
fn is_acknowledged_later(bytes: &[u8], position: usize, segment: &Segment) -> bool {
    let SegmentHeader { id, base, .. } = segment.header;
    (position + PAGE_BYTES..bytes.len())
        .step_by(PAGE_BYTES)
        .any(|at| {
            let frame = frame::decode(&bytes[at..], id, base + at as u64);
            frame.is_ok_and(|frame| frame.durable_through > base + position as u64)
        })
}

/// Step 4. The new file is zero beyond the valid part and has the full length.
fn copy_valid_part(dir: &Path, segment: &Segment, scan: &Scan) -> Result<NamedFile, OpenError> {
    let mut named = NamedFile::preallocate(&dir.join(REPAIR), segment.header.length)?;
    let valid = usize::try_from(scan.position).expect("within the segment, which is in memory");
    named.write_at(&mut [IoSlice::new(&scan.bytes[..valid])], 0)?;
    named.sync_all()?;
    named.rename(&segment.named.path)?;
    Ok(named)
}
