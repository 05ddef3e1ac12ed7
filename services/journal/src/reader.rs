//! Reading in order: big chunks, everything verified, never beyond the durable watermark.

use std::path::{Path, PathBuf};

use crate::JournalReader;
use crate::disk::Lock;
use crate::error::{Contradiction, Damage, OpenError, ReadError};
use crate::frame::{self, HEADER_BYTES};
use crate::record::{Cursor, Record};
use crate::recover::{self, Recovery, Stopped, follow};
use crate::segment::{self, PAGE, Segment};
use crate::tail::Tail;

/// What one read asks of the disk: large enough for its full rate, small enough for the cache.
const CHUNK_BYTES: usize = 1 << 20;

/// A follower of a journal in files: hands out verified records in order.
#[derive(Debug)]
pub struct FileReader {
    dir: PathBuf,
    tail: Tail,
    segment: Segment,
    /// Where the segment's records end, once a later segment says so.
    segment_end: Option<u64>,
    /// After the last consumed record, with inputs or without.
    position: Cursor,
    /// After the last consumed record with inputs.
    cursor: Cursor,
    /// The end of a stopped journal, with what is behind its last inputs.
    stopped_at: Option<Cursor>,
    window: Window,
    /// Keeps writers out while a stopped journal is read.
    _lock: Option<Lock>,
}

/// Bytes of the segment read ahead: `bytes[start..end]`, the first at journal offset `offset`.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl FileReader {
    /// Follows a journal that this process writes, from after `from`, or from the start. A cursor
    /// that the journal contradicts (another journal, chain or sequence, beyond the end) is
    /// [`ReadError::Contradicted`]: the follower must stop and be rebuilt.
    pub fn open(dir: &Path, from: Option<Cursor>, tail: Tail) -> Result<Self, ReadError> {
        Self::open_at(dir, from, tail, None, None)
    }

    /// Reads a journal that no process has open, up to its last valid record, and changes nothing.
    /// The lock keeps writers out while the reader lives.
    pub fn open_offline(dir: &Path, from: Option<Cursor>) -> Result<(Self, Recovery), OpenError> {
        let Stopped { lock, recovery, .. } = recover::open_stopped(dir)?;
        let tail = Tail::new(recovery.tail);
        tail.close();
        let stopped_at = Some(recovery.end);
        let reader = Self::open_at(dir, from, tail, stopped_at, lock)?;
        Ok((reader, recovery))
    }

    pub(crate) fn open_at(
        dir: &Path,
        from: Option<Cursor>,
        tail: Tail,
        stopped_at: Option<Cursor>,
        lock: Option<Lock>,
    ) -> Result<Self, ReadError> {
        let durable = tail.durable();
        let cursor = from.unwrap_or_else(|| Cursor::start(durable.journal));
        check_within(&cursor, &durable)?;
        // A cursor stands at the end of a record, so its segment starts before it.
        let base = segment::list(dir)?
            .into_iter()
            .rev()
            .find(|&base| base < cursor.offset);
        let segment = Segment::open(dir, base.unwrap_or(0))?;
        let mut reader = Self {
            dir: dir.to_path_buf(),
            tail,
            segment,
            segment_end: None,
            position: cursor,
            cursor,
            stopped_at,
            window: Window::default(),
            _lock: lock,
        };
        reader.check_cursor(&durable)?;
        Ok(reader)
    }

    /// The record after the cursor must continue it.
    fn check_cursor(&mut self, durable: &Cursor) -> Result<(), ReadError> {
        let cursor = self.cursor;
        if cursor == Cursor::start(cursor.journal) || cursor == *durable {
            return Ok(());
        }
        if cursor.offset == durable.offset {
            return Err(contradicted(&cursor, difference(&cursor, durable)));
        }
        let (header, offset) = match self.peek(durable) {
            Ok((frame, offset)) => (frame.header, offset),
            Err(ReadError::Damaged(error)) => {
                return Err(contradicted(&cursor, Contradiction::NoRecord(error.reason)));
            }
            Err(error) => return Err(error),
        };
        if offset != cursor.offset && self.segment.header.cursor().offset != cursor.offset {
            return Err(contradicted(
                &cursor,
                Contradiction::NoRecord(Damage::RecordMagic),
            ));
        }
        let sequence = header.first_sequence.wrapping_sub(1);
        let before = Cursor {
            sequence,
            chain: header.chain_before,
            ..cursor
        };
        if before != cursor {
            return Err(contradicted(&cursor, difference(&cursor, &before)));
        }
        Ok(())
    }

    /// The verified frame after the position, which is before `durable`, and its offset.
    fn peek(&mut self, durable: &Cursor) -> Result<(frame::Frame<'_>, u64), ReadError> {
        while self.is_past_segment(durable)? {
            self.segment = Segment::open(&self.dir, self.segment.header.end())?;
            self.segment_end = None;
            self.window = Window {
                bytes: std::mem::take(&mut self.window.bytes),
                start: 0,
                end: 0,
            };
        }
        let header = &self.segment.header;
        let offset = self.position.offset.max(header.base + PAGE);
        let limit = self.segment_end.unwrap_or(durable.offset);
        let length = {
            let bytes = self
                .window
                .fill(&self.segment, offset, HEADER_BYTES, limit)?;
            frame::length(bytes).map_err(|reason| self.segment.damaged(offset, reason))?
        };
        let bytes = self.window.fill(&self.segment, offset, length, limit)?;
        let frame = frame::decode(bytes, self.position.journal, offset)
            .map_err(|reason| self.segment.damaged(offset, reason))?;
        Ok((frame, offset))
    }

    /// Whether the record after the position is in a later segment.
    fn is_past_segment(&mut self, durable: &Cursor) -> Result<bool, ReadError> {
        let header = self.segment.header;
        if durable.offset <= header.end() {
            return Ok(false);
        }
        if self.segment_end.is_none() {
            let next = Segment::open(&self.dir, header.end())?;
            self.segment_end = Some(next.header.previous_end);
        }
        Ok(self
            .segment_end
            .is_some_and(|end| end <= self.position.offset))
    }
}

impl JournalReader for FileReader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            match self.next_any()? {
                Some(record) if record.header.starts_epoch() => {}
                found => return Ok(found),
            }
        }
    }

    /// Of a stopped journal all of them.
    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        let end = self.stopped_at.unwrap_or_else(|| self.tail.durable());
        if self.position.offset >= end.offset {
            return Ok(None);
        }
        let position = self.position;
        let (frame, offset) = self.peek(&end)?;
        let followed = follow(&position, &frame, offset);
        let record = |chain_after| Record {
            header: frame.header,
            payload: frame.payload.to_vec(),
            offset,
            chain_after,
        };
        let (next, record) = match followed {
            Ok(next) => (next, record(next.chain)),
            Err(reason) => return Err(self.segment.damaged(offset, reason).into()),
        };
        self.window
            .consume(usize::try_from(next.offset - offset).expect("a frame's length"));
        self.position = next;
        if !record.header.starts_epoch() {
            self.cursor = next;
        }
        Ok(Some(record))
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Window {
    /// The bytes from `offset`, where the window starts, at least `least` of them; reads ahead, but
    /// not beyond `limit`.
    fn fill(
        &mut self,
        segment: &Segment,
        offset: u64,
        least: usize,
        limit: u64,
    ) -> Result<&[u8], ReadError> {
        if self.end - self.start < least {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let left = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
            let target = left.min(least.max(CHUNK_BYTES));
            if self.bytes.len() < target {
                self.bytes.resize(target, 0);
            }
            if target > self.end {
                let at = offset + self.end as u64 - segment.header.base;
                self.end += segment
                    .named
                    .read_at(&mut self.bytes[self.end..target], at)?;
            }
        }
        if self.end - self.start < least {
            return Err(segment.damaged(offset, Damage::RecordCutShort).into());
        }
        Ok(&self.bytes[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }
}

/// The cursor is of this journal and not beyond its end.
pub(crate) fn check_within(cursor: &Cursor, durable: &Cursor) -> Result<(), ReadError> {
    if cursor.journal != durable.journal {
        let (expected, found) = (cursor.journal, durable.journal);
        return Err(contradicted(
            cursor,
            Contradiction::OtherJournal { expected, found },
        ));
    }
    if cursor.offset > durable.offset || cursor.sequence > durable.sequence {
        let Cursor {
            offset, sequence, ..
        } = *durable;
        return Err(contradicted(
            cursor,
            Contradiction::BeyondEnd { offset, sequence },
        ));
    }
    Ok(())
}

/// How a cursor differs from the journal's own at the same offset.
pub(crate) fn difference(cursor: &Cursor, found: &Cursor) -> Contradiction {
    if cursor.sequence != found.sequence {
        return Contradiction::OtherSequence {
            found: found.sequence,
        };
    }
    Contradiction::OtherChain
}

pub(crate) fn contradicted(cursor: &Cursor, reason: Contradiction) -> ReadError {
    ReadError::Contradicted {
        offset: cursor.offset,
        sequence: cursor.sequence,
        reason,
    }
}
