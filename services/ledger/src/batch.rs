//! What the pipeline hands over: a settled batch as plain data, and the leaves that commit to it.
//!
//! | list     | domain | a leaf's data                                                          |
//! |----------|--------|------------------------------------------------------------------------|
//! | members  | 1      | commitment to the instruction's bytes; of a trade the SHA-256 of each  |
//! |          |        | side, 64 bytes                                                         |
//! | postings | 2, 4   | the text `<asset> <point> <commitment>`, both in base64; commitment to |
//! |          |        | `<participant> <asset> <amount>`, amount in minor units, decimal       |
//! | balances | 3      | commitment to `<participant> <asset> <amount>`                         |
//!
//! `salt = HMAC-SHA-256(seed, domain byte || index as u64, big endian)`,
//! `commitment = SHA-256(salt || content)`. The point of a posting is `amount * B + blinding * H`
//! (`pedersen`); its blinding is the 64 bytes HMAC-SHA-256(seed, 4 || index || 0), then the same with 1,
//! little endian, modulo the group's order. So the postings can be seen to sum to zero per asset, unseen.

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;

use crate::error::BatchError;
use crate::hash::{Hash, Mac, encode, leaf_hash, prefixed};
use crate::header::{Header, ListRoot};
use crate::pedersen;
use crate::tree::Edge;

/// Longest content of one member, in bytes: what one gRPC message can bring.
pub const CONTENT_BYTES_MAX: usize = 4 << 20;
/// Longest name of a participant or asset, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Leaves that one thread hashes in one go: a power of two, so that they are a subtree.
const CHUNK: usize = 64;
/// A list of fewer is hashed where it is: waking others takes as long.
const PARALLEL_MIN: usize = 4 * CHUNK;

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

impl Posting {
    pub(crate) fn content(&self) -> String {
        format!("{} {} {}", self.participant, self.asset, self.amount)
    }
}

impl Balance {
    pub(crate) fn content(&self) -> String {
        format!("{} {} {}", self.participant, self.asset, self.amount)
    }
}

/// A posting as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedPosting {
    pub(crate) asset: String,
    pub(crate) point: Hash,
    pub(crate) commitment: Hash,
}

impl SealedPosting {
    /// The leaf's data.
    pub(crate) fn text(&self) -> String {
        let (point, commitment) = (encode(&self.point), encode(&self.commitment));
        format!("{} {point} {commitment}", self.asset)
    }

    pub(crate) fn leaf(&self) -> Hash {
        leaf_hash(self.text().as_bytes())
    }
}

/// The lists of a batch, each with salts of its own, and the blindings of its postings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    Members = 1,
    Postings = 2,
    Balances = 3,
    Blindings = 4,
}

/// Makes one list's salts.
pub(crate) struct Salts {
    /// Keyed once: a salt then costs two blocks and not four.
    keyed: Mac,
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
            members: list_root(&self.members, self.member_leaf()),
            postings: list_root(&self.postings, self.posting_leaf()),
            balances: list_root(&self.balances, self.balance_leaf()),
            certificate: self.certificate_hash,
            sequence: self.sequence,
            chain: self.chain,
            previous: [0; 32],
        };
        header.check()?;
        Ok(header)
    }

    pub(crate) fn salts(&self, domain: Domain) -> Salts {
        Salts {
            keyed: Mac::new(&self.seed),
            domain,
        }
    }

    /// Hashes the member at an index.
    pub(crate) fn member_leaf(&self) -> impl Fn(u64, &MemberContent) -> Hash + Sync {
        let salts = self.salts(Domain::Members);
        move |index, content| leaf_hash(&content.commitment(&salts.of(index)))
    }

    fn posting_leaf(&self) -> impl Fn(u64, &Posting) -> Hash + Sync {
        let sealed = self.sealed_posting();
        move |index, posting| sealed(index, posting).leaf()
    }

    /// What others see of the posting at an index.
    pub(crate) fn sealed_posting(&self) -> impl Fn(u64, &Posting) -> SealedPosting + Sync {
        let salts = self.salts(Domain::Postings);
        let blindings = self.salts(Domain::Blindings);
        move |index, posting| {
            let content = posting.content();
            SealedPosting {
                asset: posting.asset.clone(),
                point: pedersen::point(posting.amount, &blindings.blinding(index)),
                commitment: commitment(&salts.of(index), content.as_bytes()),
            }
        }
    }

    pub(crate) fn balance_leaf(&self) -> impl Fn(u64, &Balance) -> Hash + Sync {
        let salts = self.salts(Domain::Balances);
        move |index, balance| {
            let content = balance.content();
            leaf_hash(&commitment(&salts.of(index), content.as_bytes()))
        }
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
            Self::One(bytes) => commitment(salt, bytes),
            Self::Two(first, second) => commitment(salt, &[*first, *second].concat()),
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
        let index = index.to_be_bytes();
        self.keyed.of([&[self.domain as u8], &index, &[]])
    }

    /// The blinding of the posting at `index`.
    pub(crate) fn blinding(&self, index: u64) -> Scalar {
        let index = index.to_be_bytes();
        let half = |half| self.keyed.of([&[self.domain as u8], &index, &[half]]);
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&half(0));
        wide[32..].copy_from_slice(&half(1));
        Scalar::from_bytes_mod_order_wide(&wide)
    }
}

/// Commits to a content under a salt.
pub(crate) fn commitment(salt: &Hash, content: &[u8]) -> Hash {
    prefixed(salt, content)
}

/// The root of a list; several threads hash a long one.
fn list_root<T: Sync>(items: &[T], leaf: impl Fn(u64, &T) -> Hash + Sync) -> ListRoot {
    let chunk = |(at, items): (usize, &[T])| -> Edge {
        let first = (at * CHUNK) as u64;
        let leaves = (first..).zip(items).map(|(index, item)| leaf(index, item));
        leaves.collect()
    };
    let mut edges: Vec<Edge> = if items.len() < PARALLEL_MIN {
        items.chunks(CHUNK).enumerate().map(chunk).collect()
    } else {
        items.par_chunks(CHUNK).enumerate().map(chunk).collect()
    };
    let last = edges.split_off(items.len() / CHUNK);
    let whole: Edge = edges.iter().map(Edge::root).collect();
    let count = items.len() as u64;
    let edge = Edge::concat(count, [whole].into_iter().chain(last));
    ListRoot {
        count,
        root: edge.root(),
    }
}

/// What a list's items give, in order; several threads work on a long one.
pub(crate) fn each<T: Sync, U: Send>(items: &[T], make: impl Fn(u64, &T) -> U + Sync) -> Vec<U> {
    let items = items.par_iter().enumerate().with_min_len(CHUNK);
    items
        .map(|(index, item)| make(index as u64, item))
        .collect()
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
