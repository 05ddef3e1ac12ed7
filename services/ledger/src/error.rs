//! What can go wrong, split by who must act.

use std::io;
use std::path::PathBuf;

/// Why the ledger refused or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The feeder: this batch is not well formed; nothing was written.
    #[error("batch {number} is malformed: {source}")]
    Batch {
        /// The batch's number.
        number: u64,
        /// What is wrong with it.
        source: BatchError,
    },
    /// The feeder: go back and offer `expected` first; nothing was written.
    #[error("batch {found} offered, but batch {expected} is next")]
    Gap {
        /// The number that the ledger waits for.
        expected: u64,
        /// The number that was offered.
        found: u64,
    },
    /// The feeder: this ledger is another scheme's; nothing was written.
    #[error("batch of scheme `{found}` offered to the ledger of scheme `{expected}`")]
    SchemeForeign {
        /// The ledger's scheme.
        expected: String,
        /// The batch's scheme.
        found: String,
    },
    /// An alarm: a batch that is already in the log came again with other content. The ledger has stopped.
    #[error("batch {number} is in the log with other content: line `{field}` differs")]
    Conflict {
        /// The batch's number.
        number: u64,
        /// The first header line that differs.
        field: &'static str,
    },
    /// The ledger has stopped after an earlier failure; it must be opened anew.
    #[error("the ledger has stopped: {reason}")]
    Stopped {
        /// The failure that stopped it.
        reason: String,
    },
    /// The caller: no such batch.
    #[error("batch {number} is not in the log; the next one is {next}")]
    BatchUnknown {
        /// The number that was asked for.
        number: u64,
        /// The number of the next batch.
        next: u64,
    },
    /// The caller: a proof was asked for a size or index outside the log.
    #[error("no proof from {from} to {to}: the log has {size} entries")]
    ProofOutOfRange {
        /// Index of the entry, or the old size.
        from: u64,
        /// Size of the tree.
        to: u64,
        /// Size of the log.
        size: u64,
    },
    /// The caller: this content, salt or path does not belong to the batch.
    #[error("member {index} of batch {number} does not lead to the header's members root")]
    MemberForeign {
        /// The batch's number.
        number: u64,
        /// Index of the member.
        index: u64,
    },
    /// The operator: another process has the ledger open.
    #[error("{} is locked: another process has this ledger open", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// The operator: stored data is not what was signed. The ledger does not start, or has stopped.
    #[error("{} is damaged at offset {offset}: {reason}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The operator: a file could not be read or written.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The operator: the stored checkpoint is damaged, or of another key.
    #[error("{}: {source}", file.display())]
    Checkpoint {
        /// The checkpoint file.
        file: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// The caller: the note is no cosigned checkpoint of this log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The caller: this participant, asset, amount, salt or path does not belong to the batch.
    #[error("{list} {index} of batch {number} does not lead to the header's root")]
    LineForeign {
        /// The batch's number.
        number: u64,
        /// `posting` or `balance`.
        list: &'static str,
        /// Index in the list.
        index: u64,
    },
    /// The caller: the sum of blindings is another batch's, or the batch does not conserve the asset.
    #[error("the postings in {asset} of batch {number} do not sum to zero")]
    NotConserved {
        /// The batch's number.
        number: u64,
        /// The asset.
        asset: String,
    },
    /// Us: two computations of one hash disagree, so memory or a disk has failed. The ledger has stopped.
    #[error("{what} hashed twice gives two results; memory or disk has failed")]
    HashesDisagree {
        /// What was hashed.
        what: &'static str,
    },
}

/// Why a batch is malformed, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A field that goes into the header is not of its form.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A member without content.
    #[error("member {index} has no content")]
    ContentMissing {
        /// Index of the member.
        index: u64,
    },
    /// A member's content over [`CONTENT_BYTES_MAX`](crate::CONTENT_BYTES_MAX).
    #[error("member {index} has {bytes} bytes of content, over the maximum")]
    ContentTooLong {
        /// Index of the member.
        index: u64,
        /// Its length.
        bytes: usize,
    },
    /// A participant or asset that is empty, over 64 bytes, or not visible ASCII.
    #[error("{list} {index}: `{field}` must be 1 to 64 visible ASCII characters")]
    NameMalformed {
        /// `posting` or `balance`.
        list: &'static str,
        /// Index in the list.
        index: u64,
        /// `participant` or `asset`.
        field: &'static str,
    },
    /// The postings of an asset create or destroy money.
    #[error("the postings in {asset} sum to {sum} minor units, not to zero")]
    PostingsMustSumToZero {
        /// The asset.
        asset: String,
        /// The sum in minor units; in words where it is beyond 128 bits.
        sum: String,
    },
}

/// Why a text is no batch header, or a field cannot go into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A line is missing, or has another name than the format wants there.
    #[error("header line {line}: `{field}` expected")]
    LineMissing {
        /// One-based line number.
        line: usize,
        /// Name of the line.
        field: &'static str,
    },
    /// A line's value is not of its form.
    #[error("header field `{field}` is malformed")]
    FieldMalformed {
        /// Name of the line.
        field: &'static str,
    },
    /// The text parses, but is not the one canonical text of what it says.
    #[error("header text is not canonical")]
    NotCanonical,
}

/// Why a text is no checkpoint of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is no checkpoint.
    #[error("checkpoint: {reason}")]
    CheckpointMalformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The checkpoint is of another log.
    #[error("the checkpoint's origin is `{found}`, the key's name is `{expected}`")]
    OriginForeign {
        /// The name of our key.
        expected: String,
        /// The origin found.
        found: String,
    },
    /// The checkpoint is not signed by this key.
    #[error("the checkpoint is not signed by the key {vkey}")]
    NotSigned {
        /// Our verifier key.
        vkey: String,
    },
    /// The checkpoint is of a tree that this log never had.
    #[error("the log has not the checkpoint's root at size {size}")]
    TreeForeign {
        /// The checkpoint's size.
        size: u64,
    },
    /// There is no signature but the log's own.
    #[error("the checkpoint has no cosignature")]
    CosignatureMissing,
}

impl LedgerError {
    /// Whether the ledger goes on after this. All that is not plainly the feeder's mistake stops it.
    pub(crate) fn stops(&self) -> bool {
        match self {
            Self::Batch { .. } | Self::Gap { .. } | Self::SchemeForeign { .. } => false,
            Self::BatchUnknown { .. } | Self::ProofOutOfRange { .. } | Self::Note(_) => false,
            Self::MemberForeign { .. } | Self::LineForeign { .. } => false,
            Self::NotConserved { .. } => false,
            Self::Conflict { .. } | Self::Stopped { .. } | Self::Locked { .. } => true,
            Self::Io { .. } | Self::Checkpoint { .. } => true,
            Self::Damaged { .. } | Self::HashesDisagree { .. } => true,
        }
    }

    /// Whether it says that stored data or memory is not what was signed.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::HashesDisagree { .. })
    }

    /// For `map_err`: an I/O error with what was being done.
    pub(crate) fn io(
        action: &'static str,
        file: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            file: file.to_owned(),
            source,
        }
    }
}
