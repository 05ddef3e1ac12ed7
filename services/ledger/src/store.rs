//! What one process writes, and what a crash at each step leaves behind.
//!
//! | file                 | content                                                              |
//! |----------------------|----------------------------------------------------------------------|
//! | `public/checkpoint`  | the newest signed note, with its cosignatures once there are any     |
//! | `public/tile/…`      | C2SP tlog-tiles: entry bundles, which are the log, and tiles of hashes,|
//! |                      | which follow from them                                               |
//! | `witnessed`          | the newest note with cosignatures, after the line that checks it     |
//! | `lock`               | empty; locked while a process has the ledger open                    |
//!
//! Any file server can serve `public`: nothing else is ever in it. Each file is written beside it as
//! `<what>.new`, synced and renamed, so it is whole or not there; a `.new` was being written at a crash,
//! nobody has seen it, and the next write replaces it. Nothing is changed in place.
//! There is a checkpoint from the first start on, of size 0, so a missing one is never taken for a new log.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::LedgerError;
use crate::hash::{encode, sha256};
use crate::tile::{CHECKPOINT, Tile};
use crate::tiles::{damaged, read};

const WITNESSED: &str = "witnessed";
/// The first line of `witnessed`, before the SHA-256 of the note: nobody's key here checks cosignatures.
const WITNESSED_FORMAT: &str = "valuta.witnessed/v1 ";

/// All that one process may write.
pub(crate) struct Store {
    dir: PathBuf,
    /// Held, not read: the lock goes with the file.
    _lock: File,
    #[cfg(test)]
    pub(crate) fault: Option<Fault>,
}

/// What is being written, in the order of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Bundle,
    Tile,
    Checkpoint,
    Witnessed,
}

/// The durable steps of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Write,
    Sync,
    Rename,
    SyncDirectory,
}

/// On which side of a step a test fails it.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

#[cfg(test)]
pub(crate) type Fault = (Target, Step, When);

impl Store {
    /// Takes the directory, made at the first start.
    pub(crate) fn open(dir: &Path) -> Result<Self, LedgerError> {
        let public = dir.join("public");
        fs::create_dir_all(&public).map_err(LedgerError::io("create", &public))?;
        let lock = lock(&dir.join("lock"))?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        for made in [dir, parent] {
            sync_directory(made).map_err(LedgerError::io("sync", made))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
            #[cfg(test)]
            fault: None,
        })
    }

    /// Where all that is public is.
    pub(crate) fn public(&self) -> PathBuf {
        self.dir.join("public")
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.public().join(CHECKPOINT)
    }

    pub(crate) fn witnessed_path(&self) -> PathBuf {
        self.dir.join(WITNESSED)
    }

    /// The stored checkpoint; `None` if there is none yet.
    pub(crate) fn checkpoint(&self) -> Result<Option<String>, LedgerError> {
        let path = self.checkpoint_path();
        let text = read(&path)?.map(String::from_utf8).transpose();
        text.map_err(|_| damaged(&path, 0, "checkpoint is not UTF-8"))
    }

    /// The newest cosigned note; `None` if there is none yet.
    pub(crate) fn witnessed(&self) -> Result<Option<String>, LedgerError> {
        let path = self.witnessed_path();
        let Some(bytes) = read(&path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).ok();
        let note = text.as_deref().and_then(|text| text.split_once('\n'));
        let note = note.filter(|(line, note)| *line == witnessed_line(note));
        match note {
            Some((_, note)) => Ok(Some(note.to_owned())),
            None => Err(damaged(
                &path,
                0,
                "the note is not the one of the first line",
            )),
        }
    }

    /// Replaces the checkpoint. Durable on return. Everything that it covers must be durable before.
    pub(crate) fn put_checkpoint(&self, note: &str) -> Result<(), LedgerError> {
        // A crash up to the rename leaves the old checkpoint; after it the old or the new one. No reader
        // has seen the new one, so both are right.
        let path = self.checkpoint_path();
        self.put(Target::Checkpoint, [(path, note.as_bytes())])
    }

    /// Replaces the newest cosigned note. Durable on return.
    pub(crate) fn put_witnessed(&self, note: &str) -> Result<(), LedgerError> {
        // A crash leaves the old one: the witnesses are asked again.
        let text = format!("{}\n{note}", witnessed_line(note));
        self.put(
            Target::Witnessed,
            [(self.witnessed_path(), text.as_bytes())],
        )
    }

    /// Writes bundles. Durable on return: a crash leaves the first of them, or all, as entries that no
    /// checkpoint covers. The next start signs them, since the same journal offers the same ones again.
    pub(crate) fn put_bundles(&self, bundles: &[(Tile, Vec<u8>)]) -> Result<(), LedgerError> {
        self.put_tiles(Target::Bundle, bundles)
    }

    /// Writes tiles of hashes. Durable on return; a crash loses nothing that the bundles do not say.
    pub(crate) fn put_hashes(&self, tiles: &[(Tile, Vec<u8>)]) -> Result<(), LedgerError> {
        self.put_tiles(Target::Tile, tiles)
    }

    fn put_tiles(&self, target: Target, tiles: &[(Tile, Vec<u8>)]) -> Result<(), LedgerError> {
        let files = tiles.iter();
        let files = files.map(|(tile, bytes)| (self.public().join(tile.path()), bytes.as_slice()));
        self.put(target, files)
    }

    /// Removes the partial ones of full tiles, which the specification allows. What cannot be removed now
    /// is at the next start.
    pub(crate) fn remove_partials(&self, tiles: &[Tile]) {
        for tile in tiles {
            let dir = self.public().join(tile.partials_path());
            if let Err(error) = fs::remove_dir_all(&dir) {
                tracing::warn!(dir = %dir.display(), %error, "partial tiles stay");
            }
        }
    }

    /// Writes files in order, each whole or not at all, and syncs their directories in the end.
    fn put<'a>(
        &self,
        target: Target,
        files: impl IntoIterator<Item = (PathBuf, &'a [u8])>,
    ) -> Result<(), LedgerError> {
        let unfinished = self.dir.join(target.unfinished());
        let mut changed = BTreeSet::new();
        for (path, bytes) in files {
            let dir = path.parent().expect("below the ledger's directory");
            fs::create_dir_all(dir).map_err(LedgerError::io("create", dir))?;
            let file = self.step(target, Step::Write, &unfinished, || {
                let mut file = File::create(&unfinished)?;
                file.write_all(bytes)?;
                Ok(file)
            })?;
            self.step(target, Step::Sync, &unfinished, || file.sync_all())?;
            self.step(target, Step::Rename, &path, || {
                fs::rename(&unfinished, &path)
            })?;
            // All above too: a crash may have left a directory that nobody synced. A clean one costs nothing.
            let above = dir.ancestors().take_while(|dir| dir.starts_with(&self.dir));
            changed.extend(above.map(Path::to_owned));
        }
        // From here on all of it stays, and may be shown.
        for dir in changed {
            self.step(target, Step::SyncDirectory, &dir, || sync_directory(&dir))?;
        }
        Ok(())
    }

    /// Runs one durable step; tests fail it on either side.
    fn step<T>(
        &self,
        target: Target,
        step: Step,
        file: &Path,
        run: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, LedgerError> {
        #[cfg(not(test))]
        let _ = target;
        let run = || {
            #[cfg(test)]
            self.fail((target, step, When::Before))?;
            let value = run()?;
            #[cfg(test)]
            self.fail((target, step, When::After))?;
            Ok(value)
        };
        run().map_err(LedgerError::io(step.action(), file))
    }

    #[cfg(test)]
    fn fail(&self, here: Fault) -> io::Result<()> {
        match self.fault {
            Some(fault) if fault == here => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }
}

impl Target {
    fn unfinished(self) -> &'static str {
        match self {
            Self::Bundle => "bundle.new",
            Self::Tile => "tile.new",
            Self::Checkpoint => "checkpoint.new",
            Self::Witnessed => "witnessed.new",
        }
    }
}

impl Step {
    fn action(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync | Self::SyncDirectory => "sync",
            Self::Rename => "rename to",
        }
    }
}

fn witnessed_line(note: &str) -> String {
    format!("{WITNESSED_FORMAT}{}", encode(&sha256(note.as_bytes())))
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
