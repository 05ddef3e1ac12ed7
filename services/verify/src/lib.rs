//! Checks a bank's receipt, and what else the ledger hands out, offline: trusting only the keys of a policy
//! that the reader chose.
//!
//! It shares no code with the ledger that writes, and does no I/O. From the trusted end to the content; the
//! first step that fails is what the error names:
//!
//! | # | step         | proves                                                                  |
//! |---|--------------|-------------------------------------------------------------------------|
//! | 1 | form         | every line is canonical; nothing is left over, missing or twice         |
//! | 2 | signature    | a log of the policy signed the checkpoint                               |
//! | 3 | cosignatures | the policy's quorum of witnesses saw this one history                   |
//! | 4 | log path     | the entry is in the log at that size                                    |
//! | 5 | header       | the batch header is that entry                                          |
//! | 6 | path         | the commitment is in a list of the batch                                |
//! | 7 | content      | salt and content (of a trade, both digests) are what was committed to   |
//!
//! A conservation proof has instead of the last two:
//!
//! | # | step         | proves                                                                  |
//! |---|--------------|-------------------------------------------------------------------------|
//! | 6 | postings     | these are the batch's postings, all of them                             |
//! | 7 | sum          | those of one asset sum to zero                                          |
//!
//! Cost: a signature check for each key of the policy that signed, and two paths.
//!
//! Witnesses and auditors find here what they check a log with: [`open_checkpoint`] and [`Note`],
//! [`is_consistent`], [`Edge`], [`Header`], [`tile_path`], and [`Evidence`] of a fork.

mod account;
mod conservation;
mod consistency;
mod disclosure;
mod error;
mod fork;
mod header;
mod key;
mod member;
mod merkle;
mod note;
mod pedersen;
mod policy;
mod proof;
mod receipt;
mod refusal;
mod step;
mod text;
mod tile;

pub use account::AccountLine;
pub use conservation::Conserved;
pub use consistency::{consistency_path, is_consistent, roots_from_path};
pub use disclosure::Disclosed;
pub use error::{PolicyError, VerifyError};
pub use fork::{Evidence, Fork};
pub use header::{Header, ListRoot};
pub use key::{KeyKind, VerifierKey, cosigned_text, is_key_name};
pub use member::{Member, Side};
pub use merkle::{Edge, Hash, leaf_hash, node_hash, root_from_path, sha256};
pub use note::{
    Checkpoint, Cosignature, Note, Opened, SIGNATURES_MAX, open_checkpoint, signature_line,
};
pub use policy::{GROUPS_MAX, LOGS_MAX, Log, POLICY_BYTES_MAX, Policy, WITNESSES_MAX, Witness};
pub use proof::{Entry, RECEIPT_BYTES_MAX};
pub use receipt::Verified;
pub use refusal::Refusal;
pub use step::{Kind, Step};
pub use tile::{TILE_WIDTH, entries_path, tile_path};

use account::{Balance, Posting};
use conservation::Conservation;
use disclosure::Disclosure;
use proof::{Opening, Proof};
use receipt::Receipt;
use text::Lines;

/// What a proof file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proven {
    /// One instruction settled.
    Receipt(Verified),
    /// One balance after a batch.
    Balance(AccountLine),
    /// One posting of a batch.
    Posting(AccountLine),
    /// The postings of a batch sum to zero.
    Conservation(Conserved),
    /// Chosen members of a batch.
    Disclosure(Disclosed),
}

/// The lines after the opening, not yet believed.
enum Claim {
    Receipt(Receipt),
    Balance(Balance),
    Posting(Posting),
    Conservation(Conservation),
    Disclosure(Disclosure),
}

/// Verifies the text of a receipt file.
///
/// # Errors
/// A sentence that says what does not match; the first in the order of the steps above.
pub fn verify(receipt: impl AsRef<[u8]>, policy: &Policy) -> Result<Verified, VerifyError> {
    match verify_any(receipt, policy)? {
        Proven::Receipt(verified) => Ok(verified),
        other => Err(VerifyError::Kind {
            expected: Kind::Receipt.name(),
            found: other.kind().name(),
        }),
    }
}

/// Verifies the text of a proof file of any kind.
///
/// # Errors
/// As [`verify`].
pub fn verify_any(proof: impl AsRef<[u8]>, policy: &Policy) -> Result<Proven, VerifyError> {
    verify_with(proof, policy, &mut |_| {})
}

/// Verifies the text of a proof file of any kind, and tells each step that holds.
///
/// # Errors
/// As [`verify`]; the steps before the one that fails were told.
pub fn verify_with(
    proof: impl AsRef<[u8]>,
    policy: &Policy,
    step: &mut dyn FnMut(Step),
) -> Result<Proven, VerifyError> {
    let proof = Proof::parse(proof.as_ref())?;
    let mut lines = Lines::new(&proof.extra)?;
    let opening = Opening::parse(&mut lines)?;
    let (kind, claim) = (opening.kind, Claim::parse(opening.kind, &mut lines)?);
    lines.end("`path` and a hash expected, or nothing")?;
    step(Step::Form { kind });
    let entry = proof.check(opening, policy, step)?;
    Ok(match claim {
        Claim::Receipt(claim) => Proven::Receipt(claim.check(entry, step)?),
        Claim::Balance(claim) => Proven::Balance(claim.check(entry, step)?),
        Claim::Posting(claim) => Proven::Posting(claim.check(entry, step)?),
        Claim::Conservation(claim) => Proven::Conservation(claim.check(entry, step)?),
        Claim::Disclosure(claim) => Proven::Disclosure(claim.check(entry, step)?),
    })
}

impl Claim {
    fn parse(kind: Kind, lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        Ok(match kind {
            Kind::Receipt => Self::Receipt(Receipt::parse(lines)?),
            Kind::Balance => Self::Balance(Balance::parse(lines)?),
            Kind::Posting => Self::Posting(Posting::parse(lines)?),
            Kind::Conservation => Self::Conservation(Conservation::parse(lines)?),
            Kind::Disclosure => Self::Disclosure(Disclosure::parse(lines)?),
        })
    }
}

impl Proven {
    /// Which kind of proof it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Receipt(_) => Kind::Receipt,
            Self::Balance(_) => Kind::Balance,
            Self::Posting(_) => Kind::Posting,
            Self::Conservation(_) => Kind::Conservation,
            Self::Disclosure(_) => Kind::Disclosure,
        }
    }
}
