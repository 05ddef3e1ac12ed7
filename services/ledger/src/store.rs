//! The files of a ledger, and what a crash at each step leaves behind.
//!
//! | file         | content                                                                     |
//! |--------------|-----------------------------------------------------------------------------|
//! | `entries`    | `valuta.entries/v1\n`, then per entry: length (u32, little endian), CRC32C of|
//! |              | length and bytes (u32, little endian), the header's text                    |
//! | `checkpoint` | the newest signed note; replaced by rename, so always whole                 |
//! | `lock`       | empty; locked while a process has the ledger open                           |
//!
//! A `*.new` file was being written at a crash; nobody has seen it, and the next write replaces it.
//! There is a checkpoint from the first start on, of size 0, so a missing one is never taken for a new log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::LedgerError;

/// Longest entry, in bytes. A header's longest text is below 1,000; more than this is damage.
const ENTRY_BYTES_MAX: usize = 4_096;
/// Length and CRC32C before each entry.
const FRAME_HEAD_BYTES: u64 = 8;
/// Longest entry with its head, in bytes: one write, so a crash leaves no more than this.
pub(crate) const FRAME_BYTES_MAX: u64 = FRAME_HEAD_BYTES + ENTRY_BYTES_MAX as u64;
const MAGIC: &[u8] = b"valuta.entries/v1\n";
/// Where the first entry starts.
pub(crate) const ENTRIES_START: u64 = MAGIC.len() as u64;

/// The append-only file of entries. Reading needs no lock: what is covered by a checkpoint never changes.
pub(crate) struct Entries {
    file: File,
    path: PathBuf,
}

/// One entry as read, and where the next one starts.
pub(crate) struct Frame {
    pub(crate) text: String,
    pub(crate) end: u64,
}

/// All that one process may write.
pub(crate) struct Store {
    dir: PathBuf,
    /// Held, not read: the lock goes with the file.
    _lock: File,
    #[cfg(test)]
    pub(crate) fault: Option<(Step, When)>,
}

/// The durable steps of an addition, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    WriteEntry,
    SyncEntry,
    WriteCheckpoint,
    SyncCheckpoint,
    RenameCheckpoint,
    SyncDirectory,
}

/// On which side of a step a test fails it.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

impl Entries {
    /// Reads the entry that starts at `offset`, wholly checked.
    pub(crate) fn read(&self, offset: u64) -> Result<Frame, LedgerError> {
        let mut head = [0; FRAME_HEAD_BYTES as usize];
        self.read_exact(&mut head, offset, "entry's head is cut off")?;
        let (length, crc) = head.split_at(4);
        let bytes_count = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if bytes_count > ENTRY_BYTES_MAX {
            return Err(self.damaged(offset, "entry's length is over the maximum"));
        }
        let mut bytes = vec![0; bytes_count];
        self.read_exact(&mut bytes, offset + FRAME_HEAD_BYTES, "entry is cut off")?;
        if crc != frame_crc(length, &bytes).to_le_bytes() {
            return Err(self.damaged(offset, "entry's CRC does not match"));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| self.damaged(offset, "entry is not UTF-8"))?;
        Ok(Frame {
            end: offset + FRAME_HEAD_BYTES + bytes_count as u64,
            text,
        })
    }

    /// The file's length in bytes.
    pub(crate) fn length(&self) -> Result<u64, LedgerError> {
        Ok(self
            .file
            .metadata()
            .map_err(LedgerError::io("read", &self.path))?
            .len())
    }

    /// An error that names this file.
    pub(crate) fn damaged(&self, offset: u64, reason: impl Into<String>) -> LedgerError {
        LedgerError::Damaged {
            file: self.path.clone(),
            offset,
            reason: reason.into(),
        }
    }

    fn read_exact(&self, bytes: &mut [u8], offset: u64, cut: &str) -> Result<(), LedgerError> {
        match self.file.read_exact_at(bytes, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(offset, cut))
            }
            Err(error) => Err(LedgerError::io("read", &self.path)(error)),
        }
    }
}

impl Store {
    /// Locks the directory, made if need be, and opens its files, made at the first start.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Entries), LedgerError> {
        fs::create_dir_all(dir).map_err(LedgerError::io("create", dir))?;
        let store = Self {
            dir: dir.to_owned(),
            _lock: lock(&dir.join("lock"))?,
            #[cfg(test)]
            fault: None,
        };
        let path = dir.join("entries");
        if !path.exists() {
            store.create_entries(&path)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let entries = Entries {
            file: file.map_err(LedgerError::io("open", &path))?,
            path,
        };
        let mut magic = [0; MAGIC.len()];
        entries.read_exact(&mut magic, 0, "file is cut off in its first line")?;
        if magic != MAGIC {
            return Err(entries.damaged(0, "first line is not `valuta.entries/v1`"));
        }
        Ok((store, entries))
    }

    /// The stored checkpoint; `None` if there is none yet.
    pub(crate) fn checkpoint(&self) -> Result<Option<String>, LedgerError> {
        let path = self.checkpoint_path();
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LedgerError::io("read", &path)(error)),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(LedgerError::Damaged {
                    file: path,
                    offset: 0,
                    reason: "checkpoint is not UTF-8".to_owned(),
                }),
            },
        }
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// Appends one entry at `offset`, the end of the last one. Durable on return; its end is returned.
    ///
    /// After an error the entry may be on disk or not: the caller stops, and never writes again.
    pub(crate) fn append(
        &self,
        entries: &Entries,
        offset: u64,
        text: &str,
    ) -> Result<u64, LedgerError> {
        let length = u32::try_from(text.len())
            .expect("headers are short")
            .to_le_bytes();
        let crc = frame_crc(&length, text.as_bytes()).to_le_bytes();
        let frame = [&length, &crc, text.as_bytes()].concat();
        // A crash in or after this leaves a torn or whole entry that no checkpoint covers, if anything.
        self.step(Step::WriteEntry, &entries.path, || {
            entries.file.write_all_at(&frame, offset)
        })?;
        // A crash after this leaves a whole entry that no checkpoint covers: the next start signs it, since
        // the same journal offers the same entry again.
        self.step(Step::SyncEntry, &entries.path, || entries.file.sync_data())?;
        Ok(offset + frame.len() as u64)
    }

    /// Cuts off what no checkpoint covers. Durable on return.
    pub(crate) fn truncate(&self, entries: &Entries, length: u64) -> Result<(), LedgerError> {
        let cut = || {
            entries.file.set_len(length)?;
            entries.file.sync_all()
        };
        cut().map_err(LedgerError::io("truncate", &entries.path))
    }

    /// Replaces the checkpoint. Durable on return. Everything that it covers must be durable before.
    pub(crate) fn put_checkpoint(&self, note: &str) -> Result<(), LedgerError> {
        let path = self.checkpoint_path();
        let unfinished = self.dir.join("checkpoint.new");
        // A crash up to the rename leaves the old checkpoint, and this file for nobody.
        let mut file = self.step(Step::WriteCheckpoint, &unfinished, || {
            let mut file = File::create(&unfinished)?;
            file.write_all(note.as_bytes())?;
            Ok(file)
        })?;
        self.step(Step::SyncCheckpoint, &unfinished, || {
            file.flush()?;
            file.sync_all()
        })?;
        // A crash after the rename leaves the old or the new one, either of them whole. No reader has seen
        // the new one, so both are right.
        self.step(Step::RenameCheckpoint, &path, || {
            fs::rename(&unfinished, &path)
        })?;
        // From here on the new one stays, and may be shown.
        self.step(Step::SyncDirectory, &self.dir, || sync_directory(&self.dir))
    }

    /// The first start. A crash in it leaves no `entries`, or one without entries and no checkpoint: the
    /// next start goes on from there.
    fn create_entries(&self, path: &Path) -> Result<(), LedgerError> {
        if self.checkpoint_path().exists() {
            return Err(LedgerError::Damaged {
                file: path.to_owned(),
                offset: 0,
                reason: "file is missing, but there is a checkpoint".to_owned(),
            });
        }
        let unfinished = self.dir.join("entries.new");
        let create = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(MAGIC)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            sync_directory(&self.dir)?;
            sync_directory(self.dir.parent().unwrap_or(Path::new("/")))
        };
        create().map_err(LedgerError::io("create", path))
    }

    /// Runs one durable step; tests fail it on either side.
    fn step<T>(
        &self,
        step: Step,
        file: &Path,
        run: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, LedgerError> {
        let run = || {
            #[cfg(test)]
            self.fail(step, When::Before)?;
            let value = run()?;
            #[cfg(test)]
            self.fail(step, When::After)?;
            Ok(value)
        };
        run().map_err(LedgerError::io(step.action(), file))
    }

    #[cfg(test)]
    fn fail(&self, step: Step, when: When) -> io::Result<()> {
        match self.fault {
            Some(fault) if fault == (step, when) => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }
}

impl Step {
    fn action(self) -> &'static str {
        match self {
            Self::WriteEntry | Self::WriteCheckpoint => "write",
            Self::SyncEntry | Self::SyncCheckpoint | Self::SyncDirectory => "sync",
            Self::RenameCheckpoint => "rename to",
        }
    }
}

/// Two writers would sign two trees of one size, so the second one does not start.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.map_err(LedgerError::io("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LedgerError::Locked {
            file: path.to_owned(),
        }),
        Err(error) => Err(LedgerError::io("lock", path)(error.into())),
    }
}

fn sync_directory(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

/// The length is covered too: a damaged one would have us read another entry.
fn frame_crc(length: &[u8], bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), bytes)
}
