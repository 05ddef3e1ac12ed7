//! The mark: how far the journal was acknowledged, kept beside the segments.
//!
//! Each record tells, with `durable_through`, that all before it was acknowledged, but nothing in
//! the segments tells that of the last one. An idle writer says it here, in the file `marks`, which
//! has two 4 KiB slots written in turn. So an idle journal does not grow, segments are only ever
//! appended to, and a mark torn by a power cut leaves the one before.
//!
//! | bytes  | field          |                                |
//! |--------|----------------|--------------------------------|
//! | 0..4   | checksum       | CRC32C of the rest of the page |
//! | 4..8   | magic          | `VMRK`                         |
//! | 8..12  | format version | 1                              |
//! | 12..16 | zero           |                                |
//! | 16..32 | journal id     |                                |
//! | 32..40 | number         | the newer mark has the greater |
//! | 40..48 | offset         | the journal's durable end      |
//! | 48..56 | sequence       | there                          |
//! | 56..88 | chain          | there                          |

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use crate::disk::NamedFile;
use crate::error::{Damage, FileError};
use crate::frame::{PAGE_BYTES, array, u64_at};
use crate::record::{Cursor, JournalId};
use crate::segment::{PAGE, SegmentError, damaged};

const MAGIC: &[u8; 4] = b"VMRK";
const VERSION: u32 = 1;

/// The mark file, opened.
#[derive(Debug)]
pub(crate) struct Marks {
    named: NamedFile,
    number: u64,
    /// The newest mark.
    pub durable: Cursor,
    /// Slots (0 to 1) that were not intact when the file was opened.
    pub slots_damaged: u32,
}

impl Marks {
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("marks")
    }

    /// A new mark file that says that nothing was acknowledged. Durable when it returns.
    pub fn create(dir: &Path, id: JournalId) -> Result<Self, FileError> {
        let mut named = NamedFile::preallocate(&dir.join("marks.tmp"), 2 * PAGE)?;
        let durable = Cursor::start(id);
        for slot in 0..2 {
            named.write_at(&mut [IoSlice::new(&encode(slot, &durable))], slot * PAGE)?;
        }
        named.sync_all()?;
        named.rename(&Self::path(dir))?;
        Ok(Self {
            named,
            number: 1,
            durable,
            slots_damaged: 0,
        })
    }

    /// Opens for `write`, or only to read. `None`: there is no mark file.
    pub fn open(dir: &Path, write: bool) -> Result<Option<Self>, SegmentError> {
        let path = Self::path(dir);
        let opened = if write {
            NamedFile::open_write(&path)
        } else {
            NamedFile::open_read(&path)
        };
        let named = match opened {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut slots = [[0; PAGE_BYTES]; 2];
        for (at, slot) in (0_u64..).zip(&mut slots) {
            named.read_at(slot, at * PAGE)?;
        }
        let marks = slots.each_ref().map(decode);
        let slots_damaged = marks.iter().filter(|mark| mark.is_err()).map(|_| 1).sum();
        let newest = match marks {
            [Ok(a), Ok(b)] => Ok(if a.0 > b.0 { a } else { b }),
            [Ok(mark), _] | [_, Ok(mark)] => Ok(mark),
            [Err(reason), Err(_)] => Err(damaged(&path, 0, reason)),
        };
        let (number, durable) = newest?;
        Ok(Some(Self {
            named,
            number,
            durable,
            slots_damaged,
        }))
    }

    /// Writes the next slot; the caller syncs.
    pub fn write(&mut self, durable: Cursor) -> Result<(), FileError> {
        let number = self.number + 1;
        let page = encode(number, &durable);
        self.named
            .write_at(&mut [IoSlice::new(&page)], (number % 2) * PAGE)?;
        self.number = number;
        self.durable = durable;
        Ok(())
    }

    /// Makes the written mark durable.
    pub fn sync(&self) -> Result<(), FileError> {
        self.named.sync_data()
    }
}

fn encode(number: u64, durable: &Cursor) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    page[4..8].copy_from_slice(MAGIC);
    page[8..12].copy_from_slice(&VERSION.to_le_bytes());
    page[16..32].copy_from_slice(&durable.journal.0);
    page[32..40].copy_from_slice(&number.to_le_bytes());
    page[40..48].copy_from_slice(&durable.offset.to_le_bytes());
    page[48..56].copy_from_slice(&durable.sequence.to_le_bytes());
    page[56..88].copy_from_slice(&durable.chain);
    let checksum = crc32c::crc32c(&page[4..]);
    page[..4].copy_from_slice(&checksum.to_le_bytes());
    page
}

fn decode(page: &[u8; PAGE_BYTES]) -> Result<(u64, Cursor), Damage> {
    let intact = crc32c::crc32c(&page[4..]) == u32::from_le_bytes(array(page, 0));
    if !intact || page[4..8] != *MAGIC {
        return Err(Damage::MarksLost);
    }
    let found = u32::from_le_bytes(array(page, 8));
    if found != VERSION {
        return Err(Damage::Version { found });
    }
    let durable = Cursor {
        journal: JournalId(array(page, 16)),
        offset: u64_at(page, 40),
        sequence: u64_at(page, 48),
        chain: array(page, 56),
    };
    Ok((u64_at(page, 32), durable))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: JournalId = JournalId([1; 16]);

    fn at(sequence: u64) -> Cursor {
        Cursor {
            sequence,
            offset: sequence * PAGE,
            ..Cursor::start(ID)
        }
    }

    fn damage(dir: &Path, slot: u64) {
        let named = NamedFile::open_write(&Marks::path(dir)).unwrap();
        named
            .write_at(&mut [IoSlice::new(b"torn")], slot * PAGE + 40)
            .unwrap();
    }

    #[test]
    fn the_newest_intact_mark_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Marks::open(dir.path(), true).unwrap().is_none());
        let mut marks = Marks::create(dir.path(), ID).unwrap();
        for sequence in 1..=5 {
            marks.write(at(sequence)).unwrap();
            let seen = Marks::open(dir.path(), false).unwrap().unwrap();
            assert_eq!((seen.durable, seen.slots_damaged), (at(sequence), 0));
        }
        damage(dir.path(), marks.number % 2);
        let seen = Marks::open(dir.path(), true).unwrap().unwrap();
        assert_eq!((seen.durable, seen.slots_damaged), (at(4), 1));
        damage(dir.path(), (marks.number + 1) % 2);
        assert!(matches!(
            Marks::open(dir.path(), true),
            Err(SegmentError::Damaged(error)) if error.reason == Damage::MarksLost
        ));
    }
}
