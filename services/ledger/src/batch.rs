//! What the pipeline hands over: a settled batch as plain data, and the leaves that commit to it.
//!
//! | list     | domain | content of a leaf                                                     |
//! |----------|--------|-----------------------------------------------------------------------|
//! | members  | 1      | instruction bytes; of a trade the SHA-256 of each side, 64 bytes      |
//! | postings | 2      | `<participant> <asset> <amount>`, amount in minor units, decimal      |
//! | balances | 3      | the same                                                              |
//!
//! `salt = HMAC-SHA-256(seed, domain byte || index as u64, big endian)`,
//! `commitment = SHA-256(salt || content)`, and the RFC 6962 leaf's data is the commitment.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::error::BatchError;
use crate::hash::{Hash, leaf_hash};
use crate::header::{Header, ListRoot};
use crate::tree::Edge;

/// Longest content of one member, in bytes: what one gRPC message can bring.
pub const CONTENT_BYTES_MAX: usize = 4 << 20;
/// Longest name of a participant or asset, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// One settled batch, as its events say. The same journal gives the same batch, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct BatchInput {
    /// The scheme's name.
    pub scheme: String,
    /// The batch's number in its scheme, without gaps from [`FIRST_BATCH_NUMBER`](crate::FIRST_BATCH_NUMBER).
    pub number: u64,
    /// Record time in unix milliseconds.
    pub time_ms: i64,
    /// `<value date>/<number>`, as `2026-11-20/1`; `None` for a gross batch.
    pub cycle: Option<String>,
    /// The batch's random seed. A secret: who has it can test guesses at every leaf.
    pub seed: [u8; 32],
    /// What settled, in member order.
    pub members: Vec<MemberContent>,
    /// One account's change each; they sum to zero per asset.
    pub postings: Vec<Posting>,
    /// The balances that the batch touched, as they are after it.
    pub balances: Vec<Balance>,
    /// The hash of the run's certificate.
    pub certificate_hash: Option<Hash>,
    /// The journal's sequence at the batch.
    pub sequence: u64,
    /// The journal's chain at the batch.
    pub chain: Hash,
}

/// The content that a member leaf commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberContent {
    /// An instruction's bytes.
    One(Vec<u8>),
    /// A matched trade: SHA-256 of each side's bytes, in sequence order. Each side's receipt shows its own
    /// bytes and only the hash of the other's.
    Two(Hash, Hash),
}

/// One account's change in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Whose account: a BIC, or the settlement agent's identifier for its mirror account.
    pub participant: String,
    /// Currency or token.
    pub asset: String,
    /// In minor units.
    pub amount: i128,
}

/// One account's balance after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Whose account: a BIC, or the settlement agent's identifier for its mirror account.
    pub participant: String,
    /// Currency or token.
    pub asset: String,
    /// In minor units.
    pub amount: i128,
}

/// The lists of a batch, each with salts of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    Members = 1,
    Postings = 2,
    Balances = 3,
}

/// Makes one list's salts.
pub(crate) struct Salts {
    /// Keyed once: a salt then costs two blocks and not four.
    keyed: Hmac<Sha256>,
    domain: Domain,
}

impl BatchInput {
    /// The header, without its link to the previous one: all the hashing that a batch costs.
    ///
    /// # Errors
    /// If a part has not its form, or the postings do not sum to zero.
    pub fn commit(&self) -> Result<Header, BatchError> {
        self.check()?;
        let header = Header {
            scheme: self.scheme.clone(),
            number: self.number,
            time_ms: self.time_ms,
            cycle: self.cycle.clone(),
            members: list_root(self.member_leaves()),
            postings: list_root(self.posting_leaves()),
            balances: list_root(self.balance_leaves()),
            certificate: self.certificate_hash,
            sequence: self.sequence,
            chain: self.chain,
            previous: [0; 32],
        };
        header.check()?;
        Ok(header)
    }

    pub(crate) fn salts(&self, domain: Domain) -> Salts {
        let keyed = Hmac::new_from_slice(&self.seed).expect("HMAC takes keys of any length");
        Salts { keyed, domain }
    }

    /// The leaf hashes of the members, in order.
    pub(crate) fn member_leaves(&self) -> impl Iterator<Item = Hash> {
        let salts = self.salts(Domain::Members);
        (0..)
            .zip(&self.members)
            .map(move |(index, content)| leaf_hash(&content.commitment(&salts.of(index))))
    }

    fn posting_leaves(&self) -> impl Iterator<Item = Hash> {
        let salts = self.salts(Domain::Postings);
        (0..).zip(&self.postings).map(move |(index, posting)| {
            let content = format!(
                "{} {} {}",
                posting.participant, posting.asset, posting.amount
            );
            leaf_hash(&commitment(&salts.of(index), &[content.as_bytes()]))
        })
    }

    fn balance_leaves(&self) -> impl Iterator<Item = Hash> {
        let salts = self.salts(Domain::Balances);
        (0..).zip(&self.balances).map(move |(index, balance)| {
            let content = format!(
                "{} {} {}",
                balance.participant, balance.asset, balance.amount
            );
            leaf_hash(&commitment(&salts.of(index), &[content.as_bytes()]))
        })
    }

    fn check(&self) -> Result<(), BatchError> {
        for (index, content) in (0..).zip(&self.members) {
            content.check(index)?;
        }
        for (index, posting) in (0..).zip(&self.postings) {
            check_names("posting", index, &posting.participant, &posting.asset)?;
        }
        for (index, balance) in (0..).zip(&self.balances) {
            check_names("balance", index, &balance.participant, &balance.asset)?;
        }
        self.check_conservation()
    }

    /// Money is moved, never made: what the core guarantees is checked again before it is signed.
    fn check_conservation(&self) -> Result<(), BatchError> {
        let mut sums: BTreeMap<&str, Option<i128>> = BTreeMap::new();
        for posting in &self.postings {
            let sum = sums.entry(&posting.asset).or_insert(Some(0));
            *sum = sum.and_then(|sum| sum.checked_add(posting.amount));
        }
        match sums.into_iter().find(|(_, sum)| *sum != Some(0)) {
            None => Ok(()),
            Some((asset, sum)) => Err(BatchError::PostingsMustSumToZero {
                asset: asset.to_owned(),
                sum: sum.map_or_else(|| "over 128 bits of".to_owned(), |sum| sum.to_string()),
            }),
        }
    }
}

/// Leaves the seed and the contents out: neither belongs into a log file.
impl std::fmt::Debug for BatchInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchInput")
            .field("scheme", &self.scheme)
            .field("number", &self.number)
            .field("members", &self.members.len())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl MemberContent {
    pub(crate) fn commitment(&self, salt: &Hash) -> Hash {
        match self {
            Self::One(bytes) => commitment(salt, &[bytes]),
            Self::Two(first, second) => commitment(salt, &[first, second]),
        }
    }

    fn check(&self, index: u64) -> Result<(), BatchError> {
        match self {
            Self::One(bytes) if bytes.is_empty() => Err(BatchError::ContentMissing { index }),
            Self::One(bytes) if bytes.len() > CONTENT_BYTES_MAX => {
                Err(BatchError::ContentTooLong {
                    index,
                    bytes: bytes.len(),
                })
            }
            Self::One(_) | Self::Two(..) => Ok(()),
        }
    }
}

impl Salts {
    /// The salt of the leaf at `index`.
    pub(crate) fn of(&self, index: u64) -> Hash {
        let mut mac = self.keyed.clone();
        mac.update(&[self.domain as u8]);
        mac.update(&index.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn commitment(salt: &Hash, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new_with_prefix(salt);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn list_root(leaves: impl Iterator<Item = Hash>) -> ListRoot {
    let edge: Edge = leaves.collect();
    ListRoot {
        count: edge.size(),
        root: edge.root(),
    }
}

/// Names are joined by spaces in a leaf, so they must hold none.
fn check_names(
    list: &'static str,
    index: u64,
    participant: &str,
    asset: &str,
) -> Result<(), BatchError> {
    for (field, name) in [("participant", participant), ("asset", asset)] {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BatchError::NameMalformed { list, index, field });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
