//! The files of old identities: what the state remembers of instructions and commands of other days, so
//! that its memory is bounded by a few days and a filter.
//!
//! ```text
//! DIR/identities-PERIOD     one for each 128 days, sorted; replaced as a whole when a day is added
//! DIR/identities.tmp        one in the making
//! ```
//!
//! | module   | room for                                                |
//! |----------|---------------------------------------------------------|
//! | `file`   | one file: its form, how it is written, how it is asked  |
//! | `filter` | what is certainly not in a file                         |
//! | `keeper` | the thread that writes them, beside the writer          |
//!
//! A batch is looked up by its caller, beside the writer, which does it again only if a file was added
//! since; all else the writer looks up itself.
//!
//! Everything in them comes from the journal. A file that is missing, damaged or of another history is
//! made anew by a replay: so a snapshot whose files are not all there is passed over. While the engine
//! runs, a file that cannot be read stops it: what cannot be looked up must not be paid.

mod file;
mod filter;
pub(crate) mod keeper;

pub use file::{FileError, OldFile};
use file::{Line, path_of, paths_in};
use settlement_core::remembered::{Key, Remembered};
use settlement_core::state::{Place, State};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use valuta_journal::{Cursor, JournalId, Source};

/// The files of one directory that are whole. Cheap to clone.
#[derive(Clone)]
pub struct OldIdentities {
    dir: PathBuf,
    files: Vec<Arc<OldFile>>,
}

impl OldIdentities {
    /// Those in `dir` that are of this journal's history; the log says why another is not used.
    pub fn open(dir: &Path, journal: &dyn Source) -> Self {
        let mut files = Vec::new();
        for (_, path) in paths_in(dir) {
            match usable(&path, journal) {
                Ok(file) => files.push(Arc::new(file)),
                Err(reason) => {
                    let file = path.display();
                    tracing::warn!(%file, reason, "a file of old identities is not used");
                }
            }
        }
        Self {
            dir: dir.to_path_buf(),
            files,
        }
    }

    /// What is remembered under these keys.
    ///
    /// # Errors
    /// A file cannot be read, or is damaged: then nothing is known of them.
    pub fn find(&self, keys: &[Key]) -> Result<Vec<Remembered>, FileError> {
        let mut found = Vec::new();
        if self.files.is_empty() {
            return Ok(found);
        }
        let hashes: Vec<u64> = keys.iter().map(|&key| filter::hash_of(key)).collect();
        for file in &self.files {
            for at in file.likely(&hashes) {
                file.find(keys[at], &mut found)?;
            }
        }
        Ok(found)
    }

    fn file(&self, period: i32) -> Option<&Arc<OldFile>> {
        let mut files = self.files.iter();
        files.find(|file| file.head.place.period == period)
    }

    /// Whether all that left, or is to leave, up to a place is in its file.
    pub(crate) fn hold(&self, place: Place) -> bool {
        let file = self.file(place.period);
        file.is_some_and(|file| file.head.place.number >= place.number)
    }

    /// The first file that a state needs, and that is not there as it should be.
    pub(crate) fn missing(&self, state: &State) -> Option<Place> {
        state.files().find(|&place| !self.hold(place))
    }

    /// The file that holds what is to leave, with all that its period held before. `cursor` is a durable
    /// place of the journal after that was decided.
    ///
    /// # Errors
    /// Of the disk; and if the file before is damaged.
    pub fn write(&self, state: &State, cursor: &Cursor) -> Result<Arc<OldFile>, FileError> {
        let place = state
            .aged()
            .expect("asked only while something is to leave");
        let lines: Vec<Line> = state.aged_lines().map(|left| left.to_line()).collect();
        let before = self.file(place.period).map(Arc::as_ref);
        let io = |error| FileError::Io {
            path: self.dir.clone(),
            error,
        };
        fs::create_dir_all(&self.dir).map_err(io)?;
        let expected = before.map_or(0, OldFile::lines) + lines.len() as u64;
        crate::snapshot::check_space(&self.dir, expected * file::LINE_BYTES_ON_DISK).map_err(io)?;
        let written = OldFile::write(&self.dir, place, cursor, before, lines)?;
        Ok(Arc::new(written))
    }

    /// Takes a file in, for the one before; lets go of those that the state does not need.
    pub fn put(&mut self, file: Arc<OldFile>, state: &State) {
        let period = file.head.place.period;
        let needed = |file: &Arc<OldFile>| is_needed(state, file.head.place.period);
        self.files
            .retain(|held| held.head.place.period != period && needed(held));
        self.files.push(file);
    }

    /// Removes the files that a durable state does not need, such as those after the retention.
    pub(crate) fn tidy(&self, state: &State) {
        let paths = paths_in(&self.dir).into_iter();
        for (_, path) in paths.filter(|&(period, _)| !is_needed(state, period)) {
            // One that stays costs space; the next time removes it.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "not removed");
            }
        }
    }

    /// Files in a directory, each with how many lines it holds, or what is wrong with it; all of it read.
    pub fn check(dir: &Path) -> Vec<(PathBuf, Result<u64, String>)> {
        let check = |(period, path): (i32, PathBuf)| {
            let opened = OldFile::open(&path);
            let checked = opened.and_then(|file| file.check().map(|()| file.lines()));
            (
                path_of(dir, period),
                checked.map_err(|error| error.to_string()),
            )
        };
        paths_in(dir).into_iter().map(check).collect()
    }
}

fn is_needed(state: &State, period: i32) -> bool {
    let mut places = state.files().chain(state.aged());
    places.any(|place| place.period == period)
}

/// A file that is whole and of this journal's history, or why it is not used.
fn usable(path: &Path, journal: &dyn Source) -> Result<OldFile, String> {
    let file = OldFile::open(path).map_err(|error| error.to_string())?;
    check_history(&file, journal.id(), journal)?;
    Ok(file)
}

fn check_history(file: &OldFile, id: JournalId, journal: &dyn Source) -> Result<(), String> {
    let head = &file.head;
    if head.journal != id {
        return Err(format!("it is of journal {}", head.journal));
    }
    let here = journal.lookup().cursor_after(head.sequence);
    let here = here.map_err(|error| error.to_string())?;
    if here.is_none_or(|here| here.chain != head.chain) {
        return Err(format!("the journal is another at {}", head.sequence));
    }
    Ok(())
}

/// A file that cannot be read is set aside, so that the next start makes it anew.
pub(crate) fn set_aside(error: &FileError) {
    let (FileError::Io { path, .. } | FileError::Damaged { path, .. }) = error;
    let mut aside = path.clone().into_os_string();
    aside.push(".damaged");
    if let Err(error) = fs::rename(path, aside) {
        tracing::error!(file = %path.display(), %error, "not set aside");
    }
}
