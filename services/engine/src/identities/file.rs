//! One file of old identities: sorted lines, never changed, found by key.
//!
//! ```text
//! file   = head  block*  filter  index
//! head   = "valutaid"  format (u32)  CRC-32C of the rest of the head (u32)  journal (16)  chain (32)
//!          sequence (u64)  period (i64)  number (u64)  lines (u64)  filter blocks (u64)
//!          CRC-32C of filter and index (u32)  0 (u32)                  integers are little-endian
//! block  = up to 64 lines of the core's, sorted in the file's whole
//! index  = (key of the first line (16)  CRC-32C of the block (u32)) of each block
//! ```
//!
//! Sequence and chain are the journal's at a place after what left last: a file of another history is not
//! used. Filter and index are held in memory, 2.3 bytes a line; a line costs one read of a block.
//!
//! | # | step of writing one           | a crash here leaves                                     |
//! |---|-------------------------------|---------------------------------------------------------|
//! | 1 | write the temporary file      | a temporary file, which the next one replaces           |
//! | 2 | sync it                       | the same                                                |
//! | 3 | rename it                     | the old one or the new one, each whole; both will do    |
//! | 4 | sync the directory            | the new one                                             |

use super::filter::{BLOCK_BYTES as FILTER_BLOCK_BYTES, Filter, hash_of};
use crc32c::{crc32c, crc32c_append};
use settlement_core::remembered::{KEY_BYTES, Key, LINE_BYTES, Remembered};
use settlement_core::state::Place;
use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use valuta_journal::{Cursor, JournalId};

const MAGIC: &[u8; 8] = b"valutaid";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 112;
const BLOCK_LINES: usize = 64;
const INDEX_BYTES: usize = KEY_BYTES + 4;
const PREFIX: &str = "identities-";
const TEMPORARY: &str = "identities.tmp";

/// Of one line: what a file needs at most, its filter and index included.
pub(super) const LINE_BYTES_ON_DISK: u64 = LINE_BYTES as u64 + 3;

pub(super) type Line = [u8; LINE_BYTES];

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Of the disk.
    #[error("{}: {error}", path.display())]
    #[allow(missing_docs)]
    Io { path: PathBuf, error: io::Error },
    /// It is not what was written.
    #[error("{}: {reason}", path.display())]
    #[allow(missing_docs)]
    Damaged { path: PathBuf, reason: String },
}

/// Of what a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub journal: JournalId,
    pub chain: [u8; 32],
    pub sequence: u64,
    pub place: Place,
    lines: u64,
    filter_blocks: u64,
    trailer_crc: u32,
}

/// One file, open.
pub struct OldFile {
    pub(crate) head: Head,
    path: PathBuf,
    file: File,
    filter: Filter,
    /// Of each block: its first line's key.
    firsts: Vec<Key>,
    crcs: Vec<u32>,
}

/// The path of a period's file.
pub(super) fn path_of(dir: &Path, period: i32) -> PathBuf {
    dir.join(format!("{PREFIX}{period}"))
}

/// All files in a directory, by period.
pub(super) fn paths_in(dir: &Path) -> Vec<(i32, PathBuf)> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<(i32, PathBuf)> = names
        .filter_map(|entry| {
            let name = entry.file_name();
            let period = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
            Some((period, entry.path()))
        })
        .collect();
    found.sort_unstable();
    found
}

impl OldFile {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let io = |error| FileError::Io {
            path: path.to_path_buf(),
            error,
        };
        let damaged = |reason: &str| FileError::Damaged {
            path: path.to_path_buf(),
            reason: reason.to_owned(),
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut bytes = [0; HEAD_BYTES];
        if length < HEAD_BYTES as u64 {
            return Err(damaged("too short"));
        }
        file.read_exact(&mut bytes).map_err(io)?;
        let head = Head::from_bytes(&bytes).map_err(|reason| damaged(&reason))?;
        if head.length() != Some(length) {
            return Err(damaged("its length is not what its head says"));
        }
        let mut trailer = vec![0; head.trailer_bytes()];
        file.seek(SeekFrom::Start(head.trailer_at())).map_err(io)?;
        file.read_exact(&mut trailer).map_err(io)?;
        if crc32c(&trailer) != head.trailer_crc {
            return Err(damaged("its index is damaged"));
        }
        let (filter, index) = trailer.split_at(head.filter_bytes());
        let entries = index.chunks_exact(INDEX_BYTES);
        let (firsts, crcs) = entries.map(index_entry).unzip();
        Ok(Self {
            head,
            path: path.to_path_buf(),
            file,
            filter: Filter::from_bytes(filter),
            firsts,
            crcs,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many instructions and commands it holds.
    pub fn lines(&self) -> u64 {
        self.head.lines
    }

    /// Which of these keys, by their hashes, it may hold.
    pub(super) fn likely(&self, hashes: &[u64]) -> Vec<usize> {
        // Each question is a wait for memory, and does not depend on the others: they overlap.
        let asked = hashes.iter().enumerate();
        let likely = asked.filter(|&(_, &hash)| self.filter.may_hold(hash));
        likely.map(|(at, _)| at).collect()
    }

    /// Appends what is remembered under a key.
    pub(super) fn find(&self, key: Key, found: &mut Vec<Remembered>) -> Result<(), FileError> {
        // The lines of one key may begin in the block before the first that begins with it.
        let first = self.firsts.partition_point(|&held| held < key);
        for block in first.saturating_sub(1)..self.firsts.len() {
            if self.firsts[block] > key {
                break;
            }
            for line in self.block(block)? {
                if line[..KEY_BYTES] == key.0 {
                    let remembered = Remembered::from_line(&line);
                    found.push(remembered.ok_or_else(|| self.damaged("a line is none"))?);
                }
            }
        }
        Ok(())
    }

    /// Reads all of it.
    pub(super) fn check(&self) -> Result<(), FileError> {
        let mut last = None;
        for line in self.all() {
            let line = line?;
            if last.is_some_and(|last| last >= line) || Remembered::from_line(&line).is_none() {
                return Err(self.damaged("its lines are not in order"));
            }
            last = Some(line);
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = Result<Line, FileError>> {
        (0..self.firsts.len()).flat_map(|block| {
            let (lines, error) = match self.block(block) {
                Ok(lines) => (lines, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            lines.into_iter().map(Ok).chain(error.map(Err))
        })
    }

    fn block(&self, block: usize) -> Result<Vec<Line>, FileError> {
        let left = self.head.lines - (block * BLOCK_LINES) as u64;
        let lines = usize::try_from(left).map_or(BLOCK_LINES, |left| left.min(BLOCK_LINES));
        let mut bytes = vec![0; lines * LINE_BYTES];
        let at = HEAD_BYTES + block * BLOCK_LINES * LINE_BYTES;
        let read = self.file.read_exact_at(&mut bytes, at as u64);
        read.map_err(|error| FileError::Io {
            path: self.path.clone(),
            error,
        })?;
        if crc32c(&bytes) != self.crcs[block] {
            return Err(self.damaged(&format!("damaged in the block at byte {at}")));
        }
        let lines = bytes.chunks_exact(LINE_BYTES);
        Ok(lines
            .map(|line| *line.first_chunk().expect("a line"))
            .collect())
    }

    fn damaged(&self, reason: &str) -> FileError {
        FileError::Damaged {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Writes the file of a period anew: what the one before held, and more lines. `cursor` is a durable
    /// place of the journal from which on they have left.
    pub(super) fn write(
        dir: &Path,
        place: Place,
        cursor: &Cursor,
        before: Option<&Self>,
        mut lines: Vec<Line>,
    ) -> Result<Self, FileError> {
        lines.sort_unstable();
        let temporary = dir.join(TEMPORARY);
        let most = lines.len() as u64 + before.map_or(0, Self::lines);
        let io = |error| FileError::Io {
            path: temporary.clone(),
            error,
        };
        let mut writer = LineWriter::create(&temporary, most).map_err(io)?;
        let before = before.into_iter().flat_map(Self::all);
        for line in merged(before, lines) {
            writer.put(&line?).map_err(io)?;
        }
        writer.finish(place, cursor).map_err(io)?;
        let path = path_of(dir, place.period);
        fs::rename(&temporary, &path).map_err(io)?;
        // The rename is durable once the directory is.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        Self::open(&path)
    }
}

/// Two sorted lists as one; what is in both comes once.
fn merged(
    before: impl Iterator<Item = Result<Line, FileError>>,
    more: Vec<Line>,
) -> impl Iterator<Item = Result<Line, FileError>> {
    let mut before = before.peekable();
    let mut more = more.into_iter().peekable();
    std::iter::from_fn(move || {
        let order = match (before.peek(), more.peek()) {
            (Some(Ok(one)), Some(other)) => one.cmp(other),
            (Some(_), _) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => before.next(),
            Ordering::Greater => more.next().map(Ok),
            Ordering::Equal => {
                more.next();
                before.next()
            }
        }
    })
}

struct LineWriter {
    file: BufWriter<File>,
    filter: Filter,
    index: Vec<u8>,
    /// Lines of the block in the making.
    block: Vec<u8>,
    lines: u64,
}

impl LineWriter {
    fn create(path: &Path, lines_max: u64) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = BufWriter::with_capacity(1 << 20, options.open(path)?);
        file.write_all(&[0; HEAD_BYTES])?;
        Ok(Self {
            file,
            filter: Filter::new(lines_max),
            index: Vec::new(),
            block: Vec::with_capacity(BLOCK_LINES * LINE_BYTES),
            lines: 0,
        })
    }

    fn put(&mut self, line: &Line) -> io::Result<()> {
        if self.block.is_empty() {
            self.index.extend(&line[..KEY_BYTES]);
        }
        self.block.extend(line);
        let key = Key(*line.first_chunk().expect("it begins with its key"));
        self.filter.insert(hash_of(key));
        self.lines += 1;
        if self.block.len() == BLOCK_LINES * LINE_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.file.write_all(&self.block)?;
        self.index.extend(crc32c(&self.block).to_le_bytes());
        self.block.clear();
        Ok(())
    }

    fn finish(mut self, place: Place, cursor: &Cursor) -> io::Result<()> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let filter = self.filter.to_bytes();
        let head = Head {
            journal: cursor.journal,
            chain: cursor.chain,
            sequence: cursor.sequence,
            place,
            lines: self.lines,
            filter_blocks: (filter.len() / FILTER_BLOCK_BYTES) as u64,
            trailer_crc: crc32c_append(crc32c(&filter), &self.index),
        };
        self.file.write_all(&filter)?;
        self.file.write_all(&self.index)?;
        self.file.flush()?;
        let file = self.file.get_ref();
        file.write_all_at(&head.to_bytes(), 0)?;
        file.sync_all()
    }
}

fn index_entry(bytes: &[u8]) -> (Key, u32) {
    let (key, crc) = bytes.split_at(KEY_BYTES);
    let crc = crc.first_chunk().expect("four bytes");
    let key = key.first_chunk().expect("sixteen bytes");
    (Key(*key), u32::from_le_bytes(*crc))
}

impl Head {
    fn filter_bytes(&self) -> usize {
        usize::try_from(self.filter_blocks).map_or(usize::MAX, |blocks| blocks * FILTER_BLOCK_BYTES)
    }

    fn trailer_bytes(&self) -> usize {
        let blocks = self.lines.div_ceil(BLOCK_LINES as u64);
        let blocks = usize::try_from(blocks).expect("its length was checked");
        self.filter_bytes() + blocks * INDEX_BYTES
    }

    fn trailer_at(&self) -> u64 {
        HEAD_BYTES as u64 + self.lines * LINE_BYTES as u64
    }

    /// `None`: larger than any file.
    fn length(&self) -> Option<u64> {
        let lines = self.lines.checked_mul(LINE_BYTES as u64)?;
        let index = self.lines.div_ceil(BLOCK_LINES as u64) * INDEX_BYTES as u64;
        let filter = self.filter_blocks.checked_mul(FILTER_BLOCK_BYTES as u64)?;
        let trailer = filter.checked_add(index).filter(|_| filter > 0)?;
        lines.checked_add(trailer)?.checked_add(HEAD_BYTES as u64)
    }

    fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.journal.0);
        bytes.extend(self.chain);
        let numbers = [
            self.sequence,
            i64::from(self.place.period).cast_unsigned(),
            self.place.number,
            self.lines,
            self.filter_blocks,
        ];
        numbers
            .iter()
            .for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(self.trailer_crc.to_le_bytes());
        bytes.extend([0; 4]);
        let crc = crc32c(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes.try_into().expect("as many as a head has")
    }

    fn from_bytes(bytes: &[u8; HEAD_BYTES]) -> Result<Self, String> {
        fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            *bytes[at..].first_chunk().expect("within the head")
        }
        let short = |at| u32::from_le_bytes(array(bytes, at));
        let word = |at| u64::from_le_bytes(array(bytes, at));
        if bytes[..8] != MAGIC[..] {
            return Err("it is no file of old identities".to_owned());
        }
        if short(8) != FORMAT {
            return Err(format!("format {}: this program reads {FORMAT}", short(8)));
        }
        if crc32c(&bytes[16..]) != short(12) {
            return Err("its head is damaged".to_owned());
        }
        let period = i32::try_from(word(72).cast_signed());
        Ok(Self {
            journal: JournalId(array(bytes, 16)),
            chain: array(bytes, 32),
            sequence: word(64),
            place: Place {
                period: period.map_err(|_| "its period is none".to_owned())?,
                number: word(80),
            },
            lines: word(88),
            filter_blocks: word(96),
            trailer_crc: short(104),
        })
    }
}
