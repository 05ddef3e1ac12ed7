//! Segments: preallocated files that together are the journal's address space.
//!
//! The file `00000000000067108864.segment` holds the journal's bytes from that offset on. Its first
//! page is the header:
//!
//! | bytes     | field           |                                                           |
//! |-----------|-----------------|-----------------------------------------------------------|
//! | 0..4      | checksum        | CRC32C of the rest of the page                            |
//! | 4..8      | magic           | `VSEG`                                                    |
//! | 8..12     | format version  | 1                                                         |
//! | 12..16    | zero            |                                                           |
//! | 16..32    | journal id      |                                                           |
//! | 32..40    | base            | journal offset of this page                               |
//! | 40..48    | length          | bytes of the file, multiple of 4096                       |
//! | 48..56    | previous end    | where the records of the segment before end; 0 in the first |
//! | 56..64    | base sequence   | the last sequence before this segment                     |
//! | 64..96    | base chain      | the chain before this segment                             |
//!
//! A segment gets its name only when its header is durable, and its first record is written only
//! after that and after every record of the segment before was acknowledged. So a named segment
//! always has an intact header, and all before it is acknowledged data.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::NamedFile;
use crate::error::{Damage, Damaged, FileError};
use crate::frame::{PAGE_BYTES, array, u64_at};
use crate::record::{Chain, Cursor, JournalId};

const MAGIC: &[u8; 4] = b"VSEG";
const VERSION: u32 = 1;

/// The page as a journal offset.
pub(crate) const PAGE: u64 = PAGE_BYTES as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub id: JournalId,
    pub base: u64,
    pub length: u64,
    pub previous_end: u64,
    pub base_sequence: u64,
    pub base_chain: Chain,
}

impl SegmentHeader {
    /// The header of the first segment.
    pub fn first(id: JournalId, length: u64) -> Self {
        Self {
            base: 0,
            previous_end: 0,
            ..Self::after(&Cursor::start(id), 0, length)
        }
    }

    /// The header of a segment at `base`, after the records that end at `tail`.
    pub fn after(tail: &Cursor, base: u64, length: u64) -> Self {
        Self {
            id: tail.journal,
            base,
            length,
            previous_end: tail.offset,
            base_sequence: tail.sequence,
            base_chain: tail.chain,
        }
    }

    /// Where the segment after this one starts.
    pub fn end(&self) -> u64 {
        self.base + self.length
    }

    /// The cursor before this segment's first record.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            journal: self.id,
            offset: if self.base == 0 {
                PAGE
            } else {
                self.previous_end
            },
            sequence: self.base_sequence,
            chain: self.base_chain,
        }
    }

    pub fn encode(&self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        page[4..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        page[16..32].copy_from_slice(&self.id.0);
        page[32..40].copy_from_slice(&self.base.to_le_bytes());
        page[40..48].copy_from_slice(&self.length.to_le_bytes());
        page[48..56].copy_from_slice(&self.previous_end.to_le_bytes());
        page[56..64].copy_from_slice(&self.base_sequence.to_le_bytes());
        page[64..96].copy_from_slice(&self.base_chain);
        let checksum = crc32c::crc32c(&page[4..]);
        page[..4].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    pub fn decode(page: &[u8; PAGE_BYTES]) -> Result<Self, Damage> {
        let intact = crc32c::crc32c(&page[4..]) == u32::from_le_bytes(array(page, 0));
        if !intact || page[4..8] != *MAGIC {
            return Err(Damage::SegmentHeader);
        }
        let found = u32::from_le_bytes(array(page, 8));
        if found != VERSION {
            return Err(Damage::Version { found });
        }
        Ok(Self {
            id: JournalId(array(page, 16)),
            base: u64_at(page, 32),
            length: u64_at(page, 40),
            previous_end: u64_at(page, 48),
            base_sequence: u64_at(page, 56),
            base_chain: array(page, 64),
        })
    }
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub named: NamedFile,
    pub header: SegmentHeader,
}

impl Segment {
    /// Opens for reading the segment that starts at `base` and verifies its header.
    pub fn open(dir: &Path, base: u64) -> Result<Self, SegmentError> {
        let named = match NamedFile::open_read(&path(dir, base)) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&error.file, 0, Damage::SegmentMissing).into());
            }
            other => other?,
        };
        let mut page = [0; PAGE_BYTES];
        named.read_at(&mut page, 0)?;
        let header =
            SegmentHeader::decode(&page).map_err(|reason| damaged(&named.path, 0, reason))?;
        if header.base != base {
            let reason = Damage::SegmentMisplaced {
                found: header.base,
                expected: base,
            };
            return Err(damaged(&named.path, 0, reason).into());
        }
        Ok(Self { named, header })
    }

    /// Damage at a journal offset within this segment.
    pub fn damaged(&self, offset: u64, reason: Damage) -> Damaged {
        damaged(&self.named.path, offset - self.header.base, reason)
    }
}

/// Names `file`, the byte in it, and the reason.
pub(crate) fn damaged(file: &Path, offset: u64, reason: Damage) -> Damaged {
    Damaged {
        file: file.to_path_buf(),
        offset,
        reason,
    }
}

/// What both opening and reading can meet in a segment.
#[derive(Debug)]
pub(crate) enum SegmentError {
    Damaged(Damaged),
    File(FileError),
}

impl From<Damaged> for SegmentError {
    fn from(error: Damaged) -> Self {
        Self::Damaged(error)
    }
}

impl From<FileError> for SegmentError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Turns into whichever public error the caller has.
macro_rules! from_segment_error {
    ($($error:ty),*) => {$(
        impl From<SegmentError> for $error {
            fn from(error: SegmentError) -> Self {
                match error {
                    SegmentError::Damaged(error) => Self::Damaged(error),
                    SegmentError::File(error) => Self::File(error),
                }
            }
        }
    )*};
}
from_segment_error!(crate::error::OpenError, crate::error::ReadError);

/// The file of the segment that starts at `base`.
pub(crate) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.segment"))
}

/// The bases of the segments in a directory, ascending, from file names alone.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, FileError> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(FileError::at("list", dir))? {
        let name = entry.map_err(FileError::at("list", dir))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".segment"));
        bases.extend(
            digits
                .filter(|digits| digits.len() == 20)
                .and_then(|d| d.parse::<u64>().ok()),
        );
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Opens every segment, verifies that they follow one another from offset 0, and returns them.
/// All but the last must have their full length; a shorter last one is for recovery to judge.
pub(crate) fn open_all(dir: &Path) -> Result<Vec<Segment>, SegmentError> {
    let mut segments: Vec<Segment> = Vec::new();
    let bases = list(dir)?;
    for (at, &base) in bases.iter().enumerate() {
        let expected = segments.last().map_or(0, |last| last.header.end());
        if base != expected {
            return Err(damaged(&path(dir, expected), 0, Damage::SegmentMissing).into());
        }
        let segment = Segment::open(dir, base)?;
        if let Some(last) = segments.last() {
            check_follows(last, &segment)?;
        }
        check_length(&segment, at + 1 == bases.len())?;
        segments.push(segment);
    }
    Ok(segments)
}

fn check_follows(last: &Segment, next: &Segment) -> Result<(), Damaged> {
    if next.header.id != last.header.id {
        let reason = Damage::OtherJournal {
            found: next.header.id,
        };
        return Err(damaged(&next.named.path, 0, reason));
    }
    let ends_inside =
        (last.header.base + PAGE..=last.header.end()).contains(&next.header.previous_end);
    if !ends_inside || next.header.base_sequence < last.header.base_sequence {
        return Err(damaged(&next.named.path, 0, Damage::SegmentNotContiguous));
    }
    Ok(())
}

fn check_length(segment: &Segment, is_last: bool) -> Result<(), SegmentError> {
    let (found, expected) = (segment.named.bytes()?, segment.header.length);
    if found > expected || (found < expected && !is_last) {
        let reason = Damage::SegmentLength { found, expected };
        return Err(damaged(&segment.named.path, found.min(expected), reason).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_seen() {
        let tail = Cursor {
            offset: 8192,
            sequence: 9,
            chain: [3; 32],
            ..Cursor::start(JournalId([1; 16]))
        };
        let header = SegmentHeader::after(&tail, 65536, 131_072);
        let page = header.encode();
        assert_eq!(SegmentHeader::decode(&page), Ok(header));
        assert_eq!((header.end(), header.cursor()), (196_608, tail));
        for bit in 0..PAGE_BYTES * 8 {
            let mut bad = page;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut page = SegmentHeader::first(JournalId([1; 16]), 65536).encode();
        page[8] = 2;
        let checksum = crc32c::crc32c(&page[4..]);
        page[..4].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            SegmentHeader::decode(&page),
            Err(Damage::Version { found: 2 })
        );
    }
}
