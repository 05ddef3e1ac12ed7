//! The few file system calls that durability rests on, each with the file's name in its error.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::error::{FileError, OpenError};

/// A file and its name.
#[derive(Debug)]
pub(crate) struct NamedFile {
    pub file: File,
    pub path: PathBuf,
}

impl NamedFile {
    pub fn open_read(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::at("open", path))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
        })
    }

    pub fn open_write(path: &Path) -> Result<Self, FileError> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let file = opened.map_err(FileError::at("open", path))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
        })
    }

    /// A new file that takes `bytes` of disk from the start, all zero. Not yet durable.
    pub fn preallocate(path: &Path, bytes: u64) -> Result<Self, FileError> {
        let mut options = OpenOptions::new();
        let created = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        let file = created.map_err(FileError::at("create", path))?;
        let allocated = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&file, bytes),
            other => other.map_err(io::Error::from),
        };
        allocated.map_err(FileError::at("preallocate", path))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
        })
    }

    pub fn bytes(&self) -> Result<u64, FileError> {
        Ok(self
            .file
            .metadata()
            .map_err(FileError::at("inspect", &self.path))?
            .len())
    }

    /// One positioned write of all slices; goes on after a short one.
    pub fn write_at(&self, slices: &mut [IoSlice<'_>], mut at: u64) -> Result<(), FileError> {
        let mut left: &mut [IoSlice<'_>] = slices;
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match rustix::io::pwritev(&self.file, left, at) {
                Ok(0) => return Err(self.failed("write", io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    at += written as u64;
                    IoSlice::advance_slices(&mut left, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(self.failed("write", errno.into())),
            }
        }
        Ok(())
    }

    /// Reads up to `buffer.len()` bytes; fewer only at the file's end.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<usize, FileError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
        Ok(filled)
    }

    /// Content durable. An error is final: the kernel may have dropped the pages, so a second call
    /// that succeeds would prove nothing.
    pub fn sync_data(&self) -> Result<(), FileError> {
        self.file
            .sync_data()
            .map_err(FileError::at("sync", &self.path))
    }

    /// Content, length and allocation durable.
    pub fn sync_all(&self) -> Result<(), FileError> {
        self.file
            .sync_all()
            .map_err(FileError::at("sync", &self.path))
    }

    /// Durably takes the place of `to`: rename, then sync of the directory. The content must be
    /// durable before.
    pub fn rename(&mut self, to: &Path) -> Result<(), FileError> {
        fs::rename(&self.path, to).map_err(FileError::at("rename", &self.path))?;
        // A crash here leaves either name; start-up takes both.
        self.path = to.to_path_buf();
        sync_directory(to.parent().unwrap_or(Path::new(".")))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> FileError {
        FileError {
            action,
            file: self.path.clone(),
            source,
        }
    }
}

/// For file systems without `fallocate`.
fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let turn = usize::try_from(bytes - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..turn], at)?;
        at += turn as u64;
    }
    Ok(())
}

/// Entries of the directory durable.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), FileError> {
    let opened = File::open(dir).map_err(FileError::at("open", dir))?;
    opened.sync_all().map_err(FileError::at("sync", dir))
}

/// Creates the directory and those above it, durably, if they are not there.
pub(crate) fn create_directory(dir: &Path) -> Result<(), FileError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::at("create", dir)(error))
        }
        _ => sync_directory(parent),
    }
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The journal's exclusive lock, held while this lives; the kernel frees it when the process ends in
/// any way.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock for a writer, or says that it is taken.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        let opened = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        Self::exclusive(dir, opened.map_err(FileError::at("open", &path))?)
    }

    /// Takes the lock of a stopped journal to read it. `None`: there is no lock file, as in a copy
    /// or on a read-only medium, so no writer has it.
    pub fn take_existing(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join("lock");
        match File::open(&path) {
            Ok(file) => Self::exclusive(dir, file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("open", &path)(error).into()),
        }
    }

    fn exclusive(dir: &Path, file: File) -> Result<Self, OpenError> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                dir: dir.to_path_buf(),
            }),
            Err(TryLockError::Error(error)) => {
                Err(FileError::at("lock", &dir.join("lock"))(error).into())
            }
        }
    }
}

impl Drop for Lock {
    /// Closing alone would not do: a child that is between fork and exec has the file open, too.
    fn drop(&mut self) {
        let _ = self.0.unlock(); // closing frees it a little later
    }
}
