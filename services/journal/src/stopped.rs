//! A journal in files that no process has open, for whoever looks into it: an auditor, a copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Lock;
use crate::error::{OpenError, ReadError};
use crate::index::RecordIndex;
use crate::lookup::FileLookup;
use crate::reader::FileReader;
use crate::record::{Cursor, JournalId};
use crate::recover::{self, Stopped};
use crate::tail::Tail;
use crate::{JournalReader, RecordLookup, Source};

/// Reads up to the last valid record, and changes nothing. The lock keeps writers out while it lives.
pub struct StoppedJournal {
    dir: PathBuf,
    index: Arc<RecordIndex>,
    tail: Tail,
    end: Cursor,
    _lock: Option<Lock>,
}

impl StoppedJournal {
    /// Opens the journal in `dir`.
    ///
    /// # Errors
    /// There is none, a process has it open, or it is damaged.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let Stopped {
            lock,
            recovery,
            index,
        } = recover::open_stopped(dir)?;
        let tail = Tail::new(recovery.tail);
        tail.close();
        Ok(Self {
            dir: dir.to_path_buf(),
            index: Arc::new(index),
            tail,
            end: recovery.end,
            _lock: lock,
        })
    }
}

impl Source for StoppedJournal {
    fn id(&self) -> JournalId {
        self.end.journal
    }

    fn watch(&self) -> Tail {
        self.tail.clone()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        let (tail, end) = (self.tail.clone(), Some(self.end));
        let reader = FileReader::open_at(&self.dir, from, tail, end, None)?;
        Ok(Box::new(reader))
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        let (index, tail) = (Arc::clone(&self.index), self.tail.clone());
        Arc::new(FileLookup::new(&self.dir, index, tail))
    }
}
