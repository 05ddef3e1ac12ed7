//! Snapshots on disk: what a start loads instead of replaying the journal from its beginning.
//!
//! ```text
//! DIR/snapshot-SEQUENCE     the newest two, by the last sequence that they hold
//! DIR/snapshot.tmp          one in the making
//!
//! file  = "valutasn"  format (u32)  version of the pieces (u32)  piece*
//! piece = length (u32)  CRC-32C (u32)  bytes       the last one is empty; integers are little-endian
//! ```
//!
//! The first piece is the cursor and record time, the rest is the core's. Each checksum goes on from the
//! one before, over length and bytes: so a piece that changed, is missing or moved is seen before it is
//! decoded.
//!
//! | # | step of taking one                | a crash here leaves                                     |
//! |---|-----------------------------------|---------------------------------------------------------|
//! | 1 | is there space to spare?          | nothing changed                                         |
//! | 2 | write the temporary file          | a temporary file, which the next one replaces           |
//! | 3 | sync it                           | the same                                                |
//! | 4 | rename it                         | the old ones and, perhaps, the new one, which is whole  |
//! | 5 | sync the directory                | the old ones and the new one                            |
//! | 6 | remove all but the newest two     | one too many, which the next one removes                |
//!
//! A snapshot is only ever of what is durable in the journal, and is worth nothing without it: one that
//! is not whole, of another version or of another journal is passed over, and costs only time.

use crc32c::crc32c_append;
use settlement_core::ids::Timestamp;
use settlement_core::state::{SNAPSHOT_VERSION, SnapshotError, State};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use valuta_journal::{Cursor, JournalId};

const MAGIC: &[u8; 8] = b"valutasn";
/// Of the file around the pieces.
const FORMAT: u32 = 1;
const KEPT: usize = 2;
const PREFIX: &str = "snapshot-";
const TEMPORARY: &str = "snapshot.tmp";
const HEAD_BYTES: usize = 16;
const CURSOR_BYTES: usize = 72;
/// A snapshot leaves the journal at least this: four of its segments.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// Of what a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub cursor: Cursor,
    /// Record time.
    pub time: Timestamp,
}

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is no snapshot")]
    NotASnapshot,
    #[error("format {format}, version {version}: this program reads {FORMAT}, {SNAPSHOT_VERSION}")]
    Version { format: u32, version: u32 },
    #[error("damaged in the piece at byte {at}")]
    Damaged { at: u64 },
    #[error("bytes follow its end")]
    Trailing,
    #[error("{0}")]
    Content(String),
}

/// The directory of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
}

impl Snapshots {
    /// Those in `dir`, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The files with the last sequence of each, the newest first.
    pub fn newest_first(&self) -> Vec<(u64, PathBuf)> {
        let names = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut found: Vec<(u64, PathBuf)> = names
            .filter_map(|entry| {
                let name = entry.file_name();
                let sequence = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
                Some((sequence, entry.path()))
            })
            .collect();
        found.sort_unstable_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        found
    }

    /// The place that the newest whole snapshot is of: where a start that uses it begins to read.
    pub fn newest_cursor(&self) -> Option<Cursor> {
        let files = self.newest_first();
        let mut opened = files.iter().filter_map(|(_, path)| Opened::open(path).ok());
        opened.next().map(|opened| opened.place.cursor)
    }

    /// Reads all of a file as a start would; answers the last sequence that it holds, or what is wrong.
    ///
    /// # Errors
    /// For people.
    pub fn check(path: &Path) -> Result<u64, String> {
        let opened = Opened::open(path).map_err(|error| error.to_string())?;
        let sequence = opened.place.cursor.sequence;
        opened.load().map_err(|error| error.to_string())?;
        Ok(sequence)
    }

    /// Keeps a state as it was at a durable place. Answers the file's length.
    ///
    /// # Errors
    /// Of the disk; what was there before still is, but for the oldest if step 6 failed.
    pub(crate) fn keep(&self, state: &State, place: &Place) -> io::Result<u64> {
        fs::DirBuilder::new().recursive(true).create(&self.dir)?;
        let last = self.newest_first().into_iter().next();
        let last = last.map_or(Ok(0), |(_, path)| fs::metadata(path).map(|file| file.len()))?;
        check_space(&self.dir, last)?;
        let temporary = self.dir.join(TEMPORARY);
        let name = format!("{PREFIX}{:020}", place.cursor.sequence);
        let written = write(&temporary, state, place).and_then(|bytes| {
            fs::rename(&temporary, self.dir.join(name))?;
            // The rename is durable once the directory is.
            File::open(&self.dir)?.sync_all()?;
            Ok(bytes)
        });
        if written.is_err() {
            // Its space is needed; if this fails too, the next one replaces it.
            let _ = fs::remove_file(&temporary);
        }
        let bytes = written?;
        for (_, old) in self.newest_first().into_iter().skip(KEPT) {
            fs::remove_file(old)?;
        }
        Ok(bytes)
    }

    /// Where they are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether a file of so many bytes leaves what the journal needs.
pub(crate) fn check_space(dir: &Path, expected: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < FREE_BYTES_MIN.saturating_add(expected) {
        let reason = format!("{} MiB are free, the journal needs them", free >> 20);
        return Err(io::Error::new(io::ErrorKind::StorageFull, reason));
    }
    Ok(())
}

fn write(path: &Path, state: &State, place: &Place) -> io::Result<u64> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = PieceWriter {
        file: BufWriter::with_capacity(1 << 20, options.open(path)?),
        crc: 0,
        bytes: HEAD_BYTES as u64,
    };
    let head = head();
    out.crc = crc32c_append(0, &head);
    out.file.write_all(&head)?;
    out.put(&place.to_bytes())?;
    state.write_snapshot(&mut |piece| out.put(piece))?;
    out.put(&[])?;
    out.file.flush()?;
    out.file.get_ref().sync_all()?;
    Ok(out.bytes)
}

fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    head[12..].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    head
}

struct PieceWriter {
    file: BufWriter<File>,
    crc: u32,
    bytes: u64,
}

impl PieceWriter {
    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        let length = length.to_le_bytes();
        self.crc = crc32c_append(crc32c_append(self.crc, &length), piece);
        self.file.write_all(&length)?;
        self.file.write_all(&self.crc.to_le_bytes())?;
        self.file.write_all(piece)?;
        self.bytes += 8 + piece.len() as u64;
        Ok(())
    }
}

/// A file that was opened: what it is of is known, the rest is still to be read.
pub(crate) struct Opened {
    pub place: Place,
    pieces: PieceReader,
}

struct PieceReader {
    file: BufReader<File>,
    crc: u32,
    at: u64,
    length: u64,
}

impl PieceReader {
    fn next(&mut self) -> Result<Vec<u8>, LoadError> {
        let damaged = LoadError::Damaged { at: self.at };
        let Some(left) = self.length.checked_sub(self.at + 8) else {
            return Err(damaged);
        };
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        self.file.read_exact(&mut length)?;
        self.file.read_exact(&mut crc)?;
        let bytes = u64::from(u32::from_le_bytes(length));
        if bytes > left {
            return Err(damaged);
        }
        let mut piece = vec![0; usize::try_from(bytes).expect("a piece is in memory")];
        self.file.read_exact(&mut piece)?;
        self.crc = crc32c_append(crc32c_append(self.crc, &length), &piece);
        if self.crc != u32::from_le_bytes(crc) {
            return Err(damaged);
        }
        self.at += 8 + bytes;
        Ok(piece)
    }
}

impl Opened {
    /// Reads what the file says of itself.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut head = [0; HEAD_BYTES];
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(LoadError::NotASnapshot);
            }
            read => read?,
        }
        check_head(&head)?;
        let mut pieces = PieceReader {
            file,
            crc: crc32c_append(0, &head),
            at: HEAD_BYTES as u64,
            length,
        };
        let place = pieces.next()?;
        let place = place.as_slice().try_into().map(Place::from_bytes);
        let place = place.map_err(|_| LoadError::Content("a cursor of other length".to_owned()))?;
        Ok(Self { place, pieces })
    }

    /// Reads the state.
    pub fn load(mut self) -> Result<State, LoadError> {
        let state = State::read_snapshot(&mut || self.pieces.next());
        let state = state.map_err(|error| match error {
            SnapshotError::Source(error) => error,
            error @ SnapshotError::Malformed { .. } => LoadError::Content(error.to_string()),
        })?;
        if !self.pieces.next()?.is_empty() || self.pieces.at != self.pieces.length {
            return Err(LoadError::Trailing);
        }
        if !state.conserves() {
            return Err(LoadError::Content("its money does not add up".to_owned()));
        }
        Ok(state)
    }
}

fn check_head(found: &[u8; HEAD_BYTES]) -> Result<(), LoadError> {
    let word = |at: usize| {
        let bytes = found[at..at + 4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes"))
    };
    if found[..8] != MAGIC[..] {
        return Err(LoadError::NotASnapshot);
    }
    let (format, version) = (word(8), word(12));
    if (format, version) != (FORMAT, SNAPSHOT_VERSION) {
        return Err(LoadError::Version { format, version });
    }
    Ok(())
}

impl Place {
    fn to_bytes(self) -> [u8; CURSOR_BYTES] {
        let Cursor {
            journal,
            offset,
            sequence,
            chain,
        } = self.cursor;
        let mut bytes = [0; CURSOR_BYTES];
        bytes[..16].copy_from_slice(&journal.0);
        bytes[16..24].copy_from_slice(&offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&sequence.to_le_bytes());
        bytes[32..64].copy_from_slice(&chain);
        bytes[64..].copy_from_slice(&self.time.0.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; CURSOR_BYTES]) -> Self {
        fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            *bytes[at..].first_chunk().expect("within the cursor")
        }
        Self {
            cursor: Cursor {
                journal: JournalId(array(bytes, 0)),
                offset: u64::from_le_bytes(array(bytes, 16)),
                sequence: u64::from_le_bytes(array(bytes, 24)),
                chain: array(bytes, 32),
            },
            time: Timestamp(i64::from_le_bytes(array(bytes, 64))),
        }
    }
}
