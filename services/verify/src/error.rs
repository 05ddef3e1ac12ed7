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
    /// A cosignature that claims a witness of the policy is not by it.
    #[error("the cosignature by the witness `{name}` does not verify: it was changed or forged")]
    Cosignature {
        /// Name of the witness in the policy.
        name: String,
    },
    /// Too few witnesses cosigned.
    #[error(
        "the checkpoint is not witnessed: the policy's quorum `{quorum}` is not there, only [{cosigned_by}] cosigned"
    )]
    QuorumMissing {
        /// Name of the quorum in the policy.
        quorum: String,
        /// Names of the witnesses in the policy that cosigned.
        cosigned_by: String,
    },
    /// A note that is no checkpoint is not by the one who should have signed it.
    #[error("the note is not signed by `{name}`")]
    NoteSignature {
        /// Name of the key.
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
    /// The proof is of another kind than was asked for.
    #[error("this is a {found}, not a {expected}")]
    Kind {
        /// What was asked for.
        expected: &'static str,
        /// What the first line of the extra data says.
        found: &'static str,
    },
    /// The count of a list was changed.
    #[error("the proof says that the batch has {found} {list}, its header says {header}")]
    Count {
        /// `postings` or `balances`.
        list: &'static str,
        /// What the proof says.
        found: u64,
        /// What the header says.
        header: u64,
    },
    /// Commitment, index or path was changed.
    #[error("the path does not lead from the commitment to the batch's balances root")]
    BalancePath,
    /// Something of an opened posting was changed; a posting's leaf tells no more.
    #[error(
        "the path does not lead from the opened posting to the batch's postings root: its content, salt, blinding or path was changed"
    )]
    PostingPath,
    /// A posting of a conservation proof was changed.
    #[error("the postings are not those of the batch: they do not have its postings root")]
    PostingsRoot,
    /// The postings of an asset do not sum to zero.
    #[error("the postings of {asset} do not sum to zero with this blinding")]
    Conservation {
        /// The asset.
        asset: String,
    },
    /// A member of a disclosure is refused.
    #[error("member {index}: {reason}")]
    Member {
        /// Its index in the batch.
        index: u64,
        /// Why.
        reason: Box<VerifyError>,
    },
    /// Two checkpoints that can both be true.
    #[error("no fork: the two checkpoints do not contradict each other")]
    NoFork,
    /// The path of a fork's evidence proves nothing.
    #[error("no fork is proved: the path does not lead to the newer checkpoint's root")]
    ForkPath,
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
    /// No `quorum` line.
    #[error(
        "the policy has no `quorum` line; write `quorum none` to trust the log's signature alone"
    )]
    QuorumMissing,
    /// No `log` line.
    #[error("the policy has no `log` line, so it trusts no log")]
    LogMissing,
}
