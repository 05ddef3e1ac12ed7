//! The certificate of a run: shows that each unit left behind had to be, so nothing more could have
//! settled in order.
//!
//! It holds the hash of the run's input and the canonical trace of removals. Whoever has the input
//! checks it with [`check`], whatever the tests, in time linear in the legs (and the logarithm of the
//! keys), without trusting [`crate::run::settle`], with which it shares no code. The argument, for any
//! feasible, order-keeping set S, is that S never loses a unit:
//!
//! - *test*: a test of the key fails with every unit still present, and the removed one is the key's last
//!   member. If S held it, S would hold all the key's present members, so debit as much and be credited
//!   no more; no test gets harder as money comes in, so the key would fail in S.
//! - *order*: a unit ahead of it in one of its queues is not in S, so neither is it.
//!
//! What is left at the end passes all tests and keeps order, so it is the largest S, and the only one.
//!
//! Bytes of a certificate, all integers little-endian, nothing after the last entry:
//!
//! | bytes   | content                                                                |
//! |---------|------------------------------------------------------------------------|
//! | 16      | `valuta-run-tr-v1`                                                     |
//! | 32      | input hash ([`Problem::hash`])                                         |
//! | 4       | number of removals                                                     |
//! | 9 or 13 | each: tag 0 (test), unit, key; or tag 1 (order), unit, key, unit ahead |
//!
//! Steps are not written: an entry of tag 0 starts one.

mod bypassed;
mod check;

pub use bypassed::{BypassClaim, BypassedError, Optimality, check_bypassed};
pub use check::{CertificateError, check};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::run::{Cause, Outcome, Problem, Removal, settle};

/// Names the layout and its version.
const MAGIC: &[u8; 16] = b"valuta-run-tr-v1";
const TAG_TEST: u8 = 0;
const TAG_ORDER: u8 = 1;
/// Magic, input hash, number of removals.
const HEADER_BYTES: usize = 52;
const REMOVAL_BYTES_MAX: usize = 13;
/// How many removals are laid out at a time before they are hashed.
const HASH_CHUNK_REMOVALS: usize = 4_096;

/// The proof that a run's outcome is the largest that keeps order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// [`Problem::hash`] of the run's input.
    pub input_hash: [u8; 32],
    /// The canonical trace, [`crate::run::Outcome::removals`].
    pub removals: Vec<Removal>,
}

/// Why bytes are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("certificate ends inside the {field} at byte {offset}")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
    },
    /// Not a certificate, or one of another version.
    #[error("certificate does not start with the name of its layout")]
    MagicWrong,
    /// The tag of a removal is neither test nor order.
    #[error("removal at byte {offset} has the unknown tag {tag}")]
    TagUnknown {
        /// Where the removal starts.
        offset: usize,
        /// The tag found.
        tag: u8,
    },
    /// Something follows the last removal.
    #[error("certificate goes on after its last removal, from byte {offset}")]
    TrailingBytes {
        /// Where it should have ended.
        offset: usize,
    },
    /// A trace starts with a failed test.
    #[error("the first removal, at byte {offset}, must be that of a failed test")]
    FirstMustBeTest {
        /// Where the removal starts.
        offset: usize,
    },
}

impl Certificate {
    /// The certificate of a run over `problem` with that trace.
    pub fn new(problem: &Problem, removals: Vec<Removal>) -> Self {
        Self {
            input_hash: problem.hash(),
            removals,
        }
    }

    /// The certificate of a run and the run's outcome, whose trace the certificate has; the input is
    /// hashed while the run goes on.
    pub fn of_run(problem: &Problem) -> (Self, Outcome) {
        let (mut outcome, input_hash) = rayon::join(|| settle(problem), || problem.hash());
        let removals = std::mem::take(&mut outcome.removals);
        let certificate = Self {
            input_hash,
            removals,
        };
        (certificate, outcome)
    }

    /// The bytes of the layout in this module's header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.removals.len() * REMOVAL_BYTES_MAX);
        self.encode_header(&mut bytes);
        self.removals
            .iter()
            .for_each(|removal| encode_removal(removal, &mut bytes));
        bytes
    }

    /// SHA-256 of [`Certificate::encode`], without holding the bytes.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut bytes = Vec::with_capacity(HASH_CHUNK_REMOVALS * REMOVAL_BYTES_MAX);
        self.encode_header(&mut bytes);
        hasher.update(&bytes);
        for chunk in self.removals.chunks(HASH_CHUNK_REMOVALS) {
            bytes.clear();
            chunk
                .iter()
                .for_each(|removal| encode_removal(removal, &mut bytes));
            hasher.update(&bytes);
        }
        hasher.finalize().into()
    }

    /// Reads what [`Certificate::encode`] wrote, and nothing else; says nothing yet of its truth.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.take("magic")? != *MAGIC {
            return Err(DecodeError::MagicWrong);
        }
        let input_hash = reader.take("input hash")?;
        let count = reader.take_u32("number of removals")?;
        // No capacity from an unchecked count: a short text must not claim much memory.
        let mut removals: Vec<Removal> = Vec::new();
        for _ in 0..count {
            let removal = reader.take_removal(removals.last())?;
            removals.push(removal);
        }
        if reader.offset < bytes.len() {
            return Err(DecodeError::TrailingBytes {
                offset: reader.offset,
            });
        }
        Ok(Self {
            input_hash,
            removals,
        })
    }

    fn encode_header(&self, bytes: &mut Vec<u8>) {
        let count = u32::try_from(self.removals.len()).expect("at most one removal a unit");
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.input_hash);
        bytes.extend_from_slice(&count.to_le_bytes());
    }
}

fn encode_removal(removal: &Removal, bytes: &mut Vec<u8>) {
    let (tag, key, behind) = match removal.cause {
        Cause::Test { key } => (TAG_TEST, key, None),
        Cause::Order { key, behind } => (TAG_ORDER, key, Some(behind)),
    };
    let mut entry = [tag; REMOVAL_BYTES_MAX];
    entry[1..5].copy_from_slice(&removal.unit.to_le_bytes());
    entry[5..9].copy_from_slice(&key.to_le_bytes());
    entry[9..].copy_from_slice(&behind.unwrap_or_default().to_le_bytes());
    // A copy of constant length, cut afterwards, is several times faster than one of either length.
    bytes.extend_from_slice(&entry);
    if behind.is_none() {
        bytes.truncate(bytes.len() - size_of::<u32>());
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let chunk = self.bytes[self.offset..].first_chunk();
        let chunk = *chunk.ok_or(DecodeError::Truncated {
            field,
            offset: self.offset,
        })?;
        self.offset += N;
        Ok(chunk)
    }

    fn take_u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.take(field).map(u32::from_le_bytes)
    }

    fn take_removal(&mut self, previous: Option<&Removal>) -> Result<Removal, DecodeError> {
        let offset = self.offset;
        let [tag] = self.take("removal's tag")?;
        let unit = self.take_u32("removal's unit")?;
        let key = self.take_u32("removal's key")?;
        let (step, cause) = match (tag, previous) {
            (TAG_TEST, None) => (0, Cause::Test { key }),
            (TAG_TEST, Some(previous)) => (previous.step + 1, Cause::Test { key }),
            (TAG_ORDER, None) => return Err(DecodeError::FirstMustBeTest { offset }),
            (TAG_ORDER, Some(previous)) => {
                let behind = self.take_u32("removal's unit ahead")?;
                (previous.step, Cause::Order { key, behind })
            }
            (tag, _) => return Err(DecodeError::TagUnknown { offset, tag }),
        };
        Ok(Removal { unit, step, cause })
    }
}
