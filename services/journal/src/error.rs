//! What can go wrong, split by who must act.
//!
//! [`AppendError`] and [`OpenError`] are the writer's, [`ReadError`] a follower's. Damage always
//! names the file, the byte in that file and the reason.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::record::JournalId;

/// Bytes on disk that are not what an acknowledged write left there.
#[derive(Debug, Error)]
#[error("{}, offset {offset}: {reason}", file.display())]
pub struct Damaged {
    /// The damaged file.
    pub file: PathBuf,
    /// The byte in that file where the damaged record, header or mark starts.
    pub offset: u64,
    /// What does not hold there.
    pub reason: Damage,
}

/// What does not hold at a damaged place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Damage {
    /// A segment file of the sequence of segments is not there.
    #[error("the segment is missing")]
    SegmentMissing,
    /// A segment's header is not one of this format, or its checksum does not match.
    #[error("the segment header is not intact")]
    SegmentHeader,
    /// A segment's header names another place than the file's name.
    #[error("the segment header says that it starts at {found}, the file name says {expected}")]
    SegmentMisplaced {
        /// The offset in the header.
        found: u64,
        /// The offset in the file's name.
        expected: u64,
    },
    /// A segment does not go on where the one before ends.
    #[error("the segment does not continue the one before")]
    SegmentNotContiguous,
    /// A segment file has other than its preallocated length.
    #[error("the file has {found} bytes, its header says {expected}")]
    SegmentLength {
        /// The file's length in bytes.
        found: u64,
        /// The length in the header, in bytes.
        expected: u64,
    },
    /// A format that this version does not know.
    #[error("format version {found} is not known")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// It belongs to another journal.
    #[error("it belongs to journal {found}")]
    OtherJournal {
        /// The id found.
        found: JournalId,
    },
    /// Zeros where an acknowledged record must be.
    #[error("an acknowledged record is missing")]
    RecordMissing,
    /// Something else than a record where one must be.
    #[error("no record starts here")]
    RecordMagic,
    /// A length that no record has.
    #[error("the record says that it has {payload_bytes} payload bytes")]
    RecordLength {
        /// The length found.
        payload_bytes: u32,
    },
    /// The file or the durable part ends inside the record.
    #[error("the record is cut short")]
    RecordCutShort,
    /// The record's CRC32C does not match.
    #[error("the record's checksum does not match")]
    RecordChecksum,
    /// An intact record of another place.
    #[error("the record says that it starts at journal offset {found}")]
    RecordMisplaced {
        /// The journal offset in the record.
        found: u64,
    },
    /// The padding after a record is not zero.
    #[error("the padding after the record is not zero")]
    RecordPadding,
    /// `chain_before` is not the chain over the records before.
    #[error("the record does not continue the chain")]
    ChainBroken,
    /// The sequences have a gap or go back.
    #[error("the record holds sequences {first} to {last}, expected from {expected}")]
    SequenceGap {
        /// The next sequence.
        expected: u64,
        /// The record's first sequence.
        first: u64,
        /// The record's last sequence.
        last: u64,
    },
    /// The mark file is not there or neither slot is intact.
    #[error("the mark file has no intact mark")]
    MarksLost,
    /// The mark and the segments tell of different histories.
    #[error("the mark at journal offset {offset} contradicts the records")]
    MarkContradicts {
        /// The journal offset that the mark says is durable.
        offset: u64,
    },
}

/// A failed call to the file system.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}", file.display())]
pub struct FileError {
    /// What was tried: a verb, as in "cannot *sync* ...".
    pub action: &'static str,
    /// The file or directory.
    pub file: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: names the action and the file.
    pub(crate) fn at(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            file: file.to_path_buf(),
            source,
        }
    }

    /// Whether the disk or the quota is full.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded)
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operator: another process has it.
    #[error("the journal in {} is in use by another process", dir.display())]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// The operator: restore the acknowledged data from a copy. Nothing was changed.
    #[error("acknowledged data is damaged: {0}")]
    Damaged(#[from] Damaged),
    /// The operator: there is no journal here.
    #[error("there is no journal in {}", dir.display())]
    NoJournal {
        /// The directory.
        dir: PathBuf,
    },
    /// The operator: the directory holds another journal than the one asked for.
    #[error("the directory holds journal {found}, not {expected}")]
    OtherJournal {
        /// The id asked for.
        expected: JournalId,
        /// The id found.
        found: JournalId,
    },
    /// The caller: an option is out of its range.
    #[error("segment_bytes must be a multiple of 4096 from {min} to {max}, not {found}")]
    SegmentBytes {
        /// The value given.
        found: u64,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// The operator: the file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The caller: the cursor to read from does not fit.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why an append, a reservation or a mark failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The caller's bug; nothing was written.
    #[error("sequences {first} to {last} do not continue at {expected}")]
    SequenceNotNext {
        /// The next sequence.
        expected: u64,
        /// The first sequence given.
        first: u64,
        /// The last sequence given.
        last: u64,
    },
    /// The caller's bug; nothing was written.
    #[error("{bytes} bytes are more than the {bytes_max} that fit")]
    TooLarge {
        /// The bytes asked for.
        bytes: usize,
        /// The most that fit.
        bytes_max: usize,
    },
    /// The operator: make room. Nothing was written, and the journal stays usable.
    #[error("the disk is full: {0}")]
    Full(FileError),
    /// The process must stop: the record may be on disk in part.
    #[error("the journal has failed and the process must stop: {0}")]
    Write(FileError),
    /// The process must stop: whether the record is durable is unknown, and asking again would lie.
    #[error("the journal has failed and the process must stop: {0}")]
    Sync(FileError),
    /// The process must stop: another leader has taken over a replicated journal, and nothing of
    /// this one will ever be accepted again.
    #[error(
        "another leader ({leader}) has taken over the journal with epoch {epoch}: the process must stop"
    )]
    Fenced {
        /// The newer epoch.
        epoch: u64,
        /// What the other leader says its address is.
        leader: String,
    },
    /// The process must stop: the medium is no longer what the journal was opened on, or cannot be
    /// read any more.
    #[error("the journal has failed and the process must stop: {reason}")]
    Lost {
        /// What is wrong with it.
        reason: String,
    },
    /// The process should have stopped: an earlier call failed for ever.
    #[error("the journal has failed before and takes nothing more")]
    Poisoned,
}

impl AppendError {
    /// Whether the journal takes nothing more and the process must stop.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Write(_)
            | Self::Sync(_)
            | Self::Fenced { .. }
            | Self::Lost { .. }
            | Self::Poisoned => true,
            Self::SequenceNotNext { .. } | Self::TooLarge { .. } | Self::Full(_) => false,
        }
    }
}

/// Why reading failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operator: acknowledged data is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The follower must stop: its cursor is not a place in this journal.
    #[error("the cursor (offset {offset}, sequence {sequence}) contradicts the journal: {reason}")]
    Contradicted {
        /// The cursor's offset.
        offset: u64,
        /// The cursor's sequence.
        sequence: u64,
        /// Why.
        reason: Contradiction,
    },
    /// The caller: no durable record holds this sequence (yet).
    #[error("sequence {sequence} is not in the journal, which holds 1 to {durable}")]
    NotDurable {
        /// The sequence asked for.
        sequence: u64,
        /// The last durable one.
        durable: u64,
    },
    /// The operator: the file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operator: the medium is no longer what the journal was opened on, or this process is
    /// stopping.
    #[error("the journal cannot be read any more: {reason}")]
    Lost {
        /// What is wrong with it.
        reason: String,
    },
}

/// How a cursor contradicts a journal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// Another journal's cursor.
    #[error("it is journal {found}, the cursor is of {expected}")]
    OtherJournal {
        /// The cursor's journal.
        expected: JournalId,
        /// This journal.
        found: JournalId,
    },
    /// Beyond what the journal holds.
    #[error("the journal ends at offset {offset}, sequence {sequence}")]
    BeyondEnd {
        /// The journal's end.
        offset: u64,
        /// The journal's last sequence.
        sequence: u64,
    },
    /// No record follows at that offset.
    #[error("no record follows there ({0})")]
    NoRecord(Damage),
    /// The chain at that offset is another.
    #[error("the chain there is another")]
    OtherChain,
    /// The sequence at that offset is another.
    #[error("the sequence there is {found}")]
    OtherSequence {
        /// The sequence before the record at the cursor's offset.
        found: u64,
    },
}
