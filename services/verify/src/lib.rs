//! Checks a bank's receipt offline, trusting only the keys of a policy that the bank chose.
//!
//! It shares no code with the ledger that writes receipts, and does no I/O. From the trusted end to the
//! content; the first step that fails is what the error names:
//!
//! | # | step         | proves                                                                  |
//! |---|--------------|-------------------------------------------------------------------------|
//! | 1 | form         | every line is canonical; nothing is left over, missing or twice         |
//! | 2 | signature    | a log of the policy signed the checkpoint                               |
//! | 3 | log path     | the entry is in the log at that size                                    |
//! | 4 | header       | the batch header is that entry                                          |
//! | 5 | member path  | the commitment is one of the batch's members                            |
//! | 6 | salt         | salt and digest (of a trade, both) are what was committed to            |
//! | 7 | content      | the content has that digest                                             |
//!
//! Cost: one signature check and two paths.

mod error;
mod header;
mod merkle;
mod note;
mod policy;
mod receipt;
mod text;

pub use error::{PolicyError, VerifyError};
pub use policy::{LOGS_MAX, POLICY_BYTES_MAX, Policy};
pub use receipt::Side;

use header::Header;
use receipt::{Extra, Receipt};

/// Longest receipt that is looked at, in bytes: above what the longest instruction needs.
pub const RECEIPT_BYTES_MAX: usize = 16 << 20;

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log that signed: its origin, which the policy names.
    pub origin: String,
    /// The log's size at the checkpoint.
    pub tree_size: u64,
    /// Zero-based index of the batch in the log.
    pub log_index: u64,
    /// The scheme's name.
    pub scheme: String,
    /// The batch's number in the scheme.
    pub batch: u64,
    /// `<value date>/<number>`; `None` for a gross batch.
    pub cycle: Option<String>,
    /// When the batch settled: record time in unix milliseconds.
    pub time_ms: i64,
    /// Zero-based index of the member in the batch.
    pub member_index: u64,
    /// How many members the batch has.
    pub member_count: u64,
    /// The instruction's bytes, as they were journaled.
    pub content: Vec<u8>,
    /// For a matched trade: which side the content is, and the SHA-256 of the other one.
    pub trade: Option<(Side, [u8; 32])>,
    /// The hash of the run's certificate.
    pub certificate: Option<[u8; 32]>,
    /// The journal's sequence at the batch.
    pub sequence: u64,
    /// The journal's chain at the batch.
    pub chain: [u8; 32],
    /// The batch header's text: the log entry.
    pub header: String,
}

/// Verifies the text of a receipt file.
///
/// # Errors
/// A sentence that says what does not match; the first in the order of the steps above.
pub fn verify(receipt: impl AsRef<[u8]>, policy: &Policy) -> Result<Verified, VerifyError> {
    let Receipt {
        extra,
        log_index,
        log_path,
        checkpoint,
    } = Receipt::parse(receipt.as_ref())?;
    let checkpoint = note::open(checkpoint, policy)?;
    if log_index >= checkpoint.size {
        return Err(VerifyError::IndexBeyondLog {
            index: log_index,
            size: checkpoint.size,
        });
    }
    let root = merkle::root(extra.entry, log_index, checkpoint.size, &log_path);
    if root != Some(checkpoint.root) {
        return Err(VerifyError::LogPath);
    }
    if merkle::leaf(extra.header.as_bytes()) != extra.entry {
        return Err(VerifyError::Header);
    }
    let header = Header::parse(&extra.header)?;
    check_member(&extra, &header)?;
    Ok(Verified {
        origin: checkpoint.origin,
        tree_size: checkpoint.size,
        log_index,
        scheme: header.scheme,
        batch: header.batch,
        cycle: header.cycle,
        time_ms: header.time_ms,
        member_index: extra.member_index,
        member_count: extra.member_count,
        content: extra.content,
        trade: extra.trade,
        certificate: header.certificate,
        sequence: header.sequence,
        chain: header.chain,
        header: extra.header,
    })
}

fn check_member(extra: &Extra, header: &Header) -> Result<(), VerifyError> {
    if extra.member_count != header.member_count {
        return Err(VerifyError::MemberCount {
            found: extra.member_count,
            header: header.member_count,
        });
    }
    let leaf = merkle::leaf(&extra.commitment);
    let root = merkle::root(
        leaf,
        extra.member_index,
        extra.member_count,
        &extra.member_path,
    );
    if root != Some(header.members_root) {
        return Err(VerifyError::MemberPath);
    }
    let has_digest = merkle::sha256(&[&extra.content]) == extra.digest;
    let committed = match &extra.trade {
        // Without a trade the content itself is committed to, so only the digest tells it from the salt.
        None if !has_digest => return Err(VerifyError::Content),
        None => merkle::sha256(&[&extra.salt, &extra.content]),
        Some((Side::First, other)) => merkle::sha256(&[&extra.salt, &extra.digest, other]),
        Some((Side::Second, other)) => merkle::sha256(&[&extra.salt, other, &extra.digest]),
    };
    if committed != extra.commitment {
        return Err(VerifyError::Salt);
    }
    if !has_digest {
        return Err(VerifyError::Content);
    }
    Ok(())
}
