//! What does not match, in sentences for whoever holds the receipt.

/// Why a receipt is refused: where it fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than [`RECEIPT_BYTES_MAX`](crate::RECEIPT_BYTES_MAX).
    #[error("the receipt is too long: {bytes} bytes, at most {max} are looked at")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is looked at.
        max: usize,
    },
    /// Not UTF-8, or with control characters.
    #[error("the receipt is malformed at byte {at}: not plain text")]
    NotText {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// A line of the receipt file is not what the format wants there.
    #[error("the receipt is malformed in line {line}: {reason}")]
    Line {
        /// One-based line number in the file.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A line of the receipt's `extra` text is not what the format wants there.
    #[error("the receipt's extra data is malformed in its line {line}: {reason}")]
    Extra {
        /// One-based line number in the decoded text.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The checkpoint is no signed note of a tree head.
    #[error("the checkpoint is malformed in its line {line}: {reason}")]
    Checkpoint {
        /// One-based line number in the checkpoint.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No signature is by a key of the policy.
    #[error(
        "unknown log: no signature on the checkpoint of `{origin}` is by a key that the policy has for it"
    )]
    LogUnknown {
        /// The checkpoint's first line; not authenticated.
        origin: String,
    },
    /// A signature that claims a key of the policy is not by it.
    #[error(
        "the checkpoint signature by `{name}` does not verify: the checkpoint was changed or forged"
    )]
    CheckpointSignature {
        /// Name of the key in the policy.
        name: String,
    },
    /// The index is not in the signed tree.
    #[error("the log path starts at index {index}, but the checkpoint covers only {size} entries")]
    IndexBeyondLog {
        /// The receipt's index.
        index: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// Entry, index or path was changed.
    #[error("the log path does not lead from the entry to the checkpoint's root")]
    LogPath,
    /// The header was changed.
    #[error("the batch header is not the entry that is in the log")]
    Header,
    /// The log signed an entry that is no batch header.
    #[error("the batch header is in the log, but its field `{field}` is malformed")]
    HeaderMalformed {
        /// The field.
        field: &'static str,
    },
    /// The member count was changed.
    #[error("the receipt says that the batch has {found} members, its header says {header}")]
    MemberCount {
        /// What the receipt says.
        found: u64,
        /// What the header says.
        header: u64,
    },
    /// Commitment, member index or path was changed.
    #[error("the member path does not lead from the commitment to the batch's members root")]
    MemberPath,
    /// The salt, or of a trade the side or a digest, was changed.
    #[error("the salt does not open the commitment: salt, side or a digest was changed")]
    Salt,
    /// The content was changed.
    #[error(
        "the content is not what was settled: it does not have the digest that was committed to"
    )]
    Content,
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`POLICY_BYTES_MAX`](crate::POLICY_BYTES_MAX).
    #[error("the policy is too long: {bytes} bytes, at most {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// A line is wrong.
    #[error("policy line {line}: {reason}")]
    Line {
        /// One-based line number.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A part of the format that does not exist here yet; to ignore it would trust more than was asked.
    #[error(
        "policy line {line}: `{what}` is not supported yet; only `log` lines and `quorum none` are"
    )]
    NotSupportedYet {
        /// One-based line number.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// No `quorum` line.
    #[error(
        "the policy has no `quorum` line; write `quorum none` to trust the log's signature alone"
    )]
    QuorumMissing,
    /// No `log` line.
    #[error("the policy has no `log` line, so it trusts no log")]
    LogMissing,
}
