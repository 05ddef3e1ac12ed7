//! Where each record starts, by sequence: 16 bytes a record.
//!
//! The writer adds its records as it appends; a segment from before the start is indexed the first
//! time that someone looks into it, by hopping over its headers, outside the lock: a lookup never
//! makes the writer wait for the disk.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Damage, ReadError};
use crate::frame::{self, HEADER_BYTES};
use crate::segment::{PAGE, Segment, SegmentHeader};

/// First sequence and journal offset of one record.
pub(crate) type Entry = (u64, u64);

/// The sparse index of one journal, shared by its writer and its readers.
#[derive(Debug)]
pub(crate) struct RecordIndex {
    dir: PathBuf,
    segments: Mutex<Vec<SegmentEntries>>,
}

#[derive(Debug)]
struct SegmentEntries {
    base: u64,
    base_sequence: u64,
    /// `None` until someone looks into the segment.
    entries: Option<Vec<Entry>>,
}

impl RecordIndex {
    /// An index over these segments, of which only the last one's records are known.
    pub fn new<'a>(
        dir: PathBuf,
        headers: impl Iterator<Item = &'a SegmentHeader>,
        last: Vec<Entry>,
    ) -> Self {
        let mut segments: Vec<_> = headers
            .map(|header| SegmentEntries::new(header, None))
            .collect();
        if let Some(segment) = segments.last_mut() {
            segment.entries = Some(last);
        }
        Self {
            dir,
            segments: Mutex::new(segments),
        }
    }

    /// The writer began this segment.
    pub fn push_segment(&self, header: &SegmentHeader) {
        self.segments()
            .push(SegmentEntries::new(header, Some(Vec::new())));
    }

    /// The writer appended this record to the last segment.
    pub fn push_record(&self, entry: Entry) {
        let mut segments = self.segments();
        let last = segments
            .last_mut()
            .and_then(|segment| segment.entries.as_mut());
        last.expect("the writer's segment is indexed from its start")
            .push(entry);
    }

    /// The base of the segment and the offset of the record that holds `sequence`, which is
    /// durable and not 0.
    pub fn find(&self, sequence: u64) -> Result<(u64, u64), ReadError> {
        let (at, base) = {
            let segments = self.segments();
            // The last segment whose records start at or before it; the first starts at 1.
            let at = segments.partition_point(|segment| segment.base_sequence < sequence) - 1;
            if let Some(offset) = segments[at].offset_of(sequence) {
                return Ok((segments[at].base, offset));
            }
            (at, segments[at].base)
        };
        let loaded = load(&self.dir, base)?;
        let mut segments = self.segments();
        let segment = &mut segments[at];
        segment.entries.get_or_insert(loaded);
        let offset = segment
            .offset_of(sequence)
            .expect("loaded, and its records have no gaps");
        Ok((base, offset))
    }

    /// Segments are only ever pushed, entries only ever added: whole after any panic.
    fn segments(&self) -> MutexGuard<'_, Vec<SegmentEntries>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentEntries {
    fn new(header: &SegmentHeader, entries: Option<Vec<Entry>>) -> Self {
        Self {
            base: header.base,
            base_sequence: header.base_sequence,
            entries,
        }
    }

    fn offset_of(&self, sequence: u64) -> Option<u64> {
        let entries = self.entries.as_ref()?;
        let after = entries.partition_point(|&(first, _)| first <= sequence);
        entries
            .get(after.checked_sub(1)?)
            .map(|&(_, offset)| offset)
    }
}

/// Hops over the record headers of a full segment, which another one follows. The headers are not
/// verified here, but their sequences must follow one another from the one segment header to the
/// next; whoever reads a record verifies it.
fn load(dir: &Path, base: u64) -> Result<Vec<Entry>, ReadError> {
    let segment = Segment::open(dir, base)?;
    let next = Segment::open(dir, segment.header.end())?.header;
    let mut entries = Vec::new();
    let (mut offset, mut sequence) = (base + PAGE, segment.header.base_sequence);
    while offset < next.previous_end {
        let damaged = |reason| segment.damaged(offset, reason);
        let mut header = [0; HEADER_BYTES];
        let read = segment.named.read_at(&mut header, offset - base)?;
        let length = frame::length(&header[..read]).map_err(damaged)?;
        let (first, last) = frame::sequences(&header);
        let expected = sequence + 1;
        let is_range = last >= first || last.checked_add(1) == Some(first);
        if first != expected || !is_range || last > next.base_sequence {
            return Err(damaged(Damage::SequenceGap {
                expected,
                first,
                last,
            })
            .into());
        }
        entries.push((first, offset));
        (offset, sequence) = (offset + length as u64, last);
    }
    if (offset, sequence) != (next.previous_end, next.base_sequence) {
        return Err(segment.damaged(base, Damage::SegmentNotContiguous).into());
    }
    Ok(entries)
}
