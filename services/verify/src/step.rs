//! What each step of a verification proves, for whoever wants to see it.

use std::fmt;

use crate::note::Cosignature;

/// What a proof file proves: the first line of its `extra` text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One instruction settled.
    Receipt,
    /// One balance after a batch.
    Balance,
    /// One posting of a batch.
    Posting,
    /// The postings of a batch sum to zero per asset, without showing one.
    Conservation,
    /// Chosen members of a batch.
    Disclosure,
}

/// A step that holds, in the order in which they are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Every line is canonical; nothing is left over, missing or twice.
    Form {
        /// What it says to be.
        kind: Kind,
    },
    /// A log of the policy signed the checkpoint.
    Signature {
        /// The log.
        origin: String,
        /// Its size.
        size: u64,
        /// The keys of the policy that signed.
        keys: Vec<String>,
    },
    /// The policy's quorum of witnesses saw this history and no other.
    Cosignatures {
        /// The quorum's name; `none` asks for no witness.
        quorum: String,
        /// Who cosigned, and when.
        cosigned_by: Vec<Cosignature>,
    },
    /// The entry is in the log at that size.
    LogPath {
        /// Its index.
        index: u64,
        /// The log's size.
        size: u64,
    },
    /// The batch header is that entry.
    Header {
        /// The scheme's name.
        scheme: String,
        /// The batch's number.
        batch: u64,
    },
    /// A leaf is in a list of the batch.
    Path {
        /// `members`, `postings` or `balances`.
        list: &'static str,
        /// Its index.
        index: u64,
        /// How many the list has.
        count: u64,
    },
    /// The leaf committed to this content.
    Content {
        /// `members`, `postings` or `balances`.
        list: &'static str,
        /// The leaf's index.
        index: u64,
    },
    /// These are all postings of the batch.
    Postings {
        /// How many.
        count: u64,
    },
    /// The postings of an asset sum to zero.
    Sum {
        /// The asset.
        asset: String,
    },
}

const KINDS: [(Kind, &str, &str); 5] = [
    (Kind::Receipt, "valuta.receipt/v1", "receipt"),
    (Kind::Balance, "valuta.balance/v1", "balance proof"),
    (Kind::Posting, "valuta.posting/v1", "posting proof"),
    (
        Kind::Conservation,
        "valuta.conservation/v1",
        "conservation proof",
    ),
    (Kind::Disclosure, "valuta.disclosure/v1", "disclosure"),
];

impl Kind {
    pub(crate) fn parse(format: &str) -> Option<Self> {
        let found = KINDS.into_iter().find(|(_, known, _)| *known == format);
        found.map(|(kind, ..)| kind)
    }

    /// As a noun.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = KINDS.into_iter().find(|(kind, ..)| *kind == self);
        found.map_or("proof", |(.., name)| name)
    }
}

impl Step {
    /// The step's name, for a column.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Form { .. } => "form",
            Self::Signature { .. } => "signature",
            Self::Cosignatures { .. } => "cosignatures",
            Self::LogPath { .. } => "log path",
            Self::Header { .. } => "header",
            Self::Path { .. } => "path",
            Self::Content { .. } => "content",
            Self::Postings { .. } => "postings",
            Self::Sum { .. } => "sum",
        }
    }
}

/// What was proved, as a sentence without its full stop.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { kind } => write!(f, "it is a well-formed {}", kind.name()),
            Self::Signature { origin, size, keys } => {
                write!(f, "{origin} signed its checkpoint of {size} entries")?;
                match keys.len() {
                    0 | 1 => Ok(()),
                    count => write!(f, ", with {count} keys"),
                }
            }
            Self::Cosignatures {
                quorum,
                cosigned_by,
            } => {
                write!(f, "the quorum `{quorum}` is there")?;
                let mut separator = ':';
                for by in cosigned_by {
                    write!(f, "{separator} {} cosigned at {}", by.witness, by.time_s)?;
                    separator = ',';
                }
                Ok(())
            }
            Self::LogPath { index, size } => {
                write!(f, "the entry is number {index} of the log's {size}")
            }
            Self::Header { scheme, batch } => {
                write!(f, "the entry is the header of batch {batch} of {scheme}")
            }
            Self::Path { list, index, count } => {
                write!(
                    f,
                    "the commitment is number {index} of the batch's {count} {list}"
                )
            }
            Self::Content { list, index } => {
                write!(
                    f,
                    "the content is what number {index} of the {list} committed to"
                )
            }
            Self::Postings { count } => write!(f, "these are the batch's {count} postings"),
            Self::Sum { asset } => write!(f, "the postings of {asset} sum to zero"),
        }
    }
}
