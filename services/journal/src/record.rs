//! What a record is, on any medium: its header, its chain, and the cursor after it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::frame::PAGE_BYTES;

/// A SHA-256 digest that covers every record up to one point of a journal.
pub type Chain = [u8; 32];

/// The most payload bytes of one record (16 MiB): one engine step.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// A journal's nonce, drawn once when the journal is created: 16 random bytes. It is part of every
/// record's checksum and of the first record's chain, so no record passes for another journal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalId(pub [u8; 16]);

impl JournalId {
    /// Draws a new id from the operating system's random source.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// The chain before the first record: `SHA-256("valuta journal v1" || id)`.
    pub fn genesis(&self) -> Chain {
        let mut hash = Sha256::new();
        hash.update(b"valuta journal v1");
        hash.update(self.0);
        hash.finalize().into()
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who may append, as a replicated journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its term; each newer leader's is larger.
    pub epoch: u64,
    /// Drawn at the leader's start.
    pub id: [u8; 16],
    /// Where it takes requests: `http://host:port`, or `https://`.
    pub address: String,
}

/// What a record says about itself, apart from its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The leader's term. A file has one leader, the holder of its lock: there it is that of the
    /// record before.
    pub epoch: u64,
    /// Who wrote the record.
    pub leader_id: [u8; 16],
    /// The sequence of the first input in the payload; one more than the last of the record before.
    pub first_sequence: u64,
    /// The sequence of the last input in the payload. In a record without inputs, `EpochStarted`,
    /// one less than `first_sequence`; else not below it.
    pub last_sequence: u64,
    /// The chain over all earlier records.
    pub chain_before: Chain,
    /// The record time in milliseconds since 1970-01-01 UTC, as the writer gave it.
    pub time_ms: i64,
}

/// One durable journal entry, as a reader hands it out: verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's header.
    pub header: RecordHeader,
    /// What the writer appended, opaque here.
    pub payload: Vec<u8>,
    /// Where the record starts in the journal: in bytes, or the message's number.
    pub offset: u64,
    /// The chain over this record and all before it.
    pub chain_after: Chain,
}

impl Record {
    /// Whether the record holds the input with this sequence.
    pub fn contains(&self, sequence: u64) -> bool {
        (self.header.first_sequence..=self.header.last_sequence).contains(&sequence)
    }
}

/// A place in a journal: the start, or just after a record with inputs. Records without any are
/// folded into the chain on the way to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The journal that the place is in.
    pub journal: JournalId,
    /// Where the last consumed record ends: in bytes, a multiple of 4 KiB, or one more than the
    /// message's number. The medium's own, while the rest is the same on every copy.
    pub offset: u64,
    /// The last consumed sequence; 0 before the first record.
    pub sequence: u64,
    /// The chain over everything consumed.
    pub chain: Chain,
}

impl Cursor {
    /// The place before the first record.
    pub fn start(journal: JournalId) -> Self {
        Self {
            journal,
            offset: PAGE_BYTES as u64,
            sequence: 0,
            chain: journal.genesis(),
        }
    }
}

/// `SHA-256(chain_before || epoch || leader_id || first_sequence || last_sequence || time_ms ||
/// payload)`, integers as eight little-endian bytes. The same on every medium: offsets and
/// checksums belong to the medium and are not part of it.
pub fn chain_after(header: &RecordHeader, payload: &[u8]) -> Chain {
    let mut hash = Sha256::new();
    hash.update(header.canonical());
    hash.update(payload);
    hash.finalize().into()
}

/// Bytes of a header's canonical form ([`RecordHeader::canonical`]).
pub const CANONICAL_BYTES: usize = 80;

impl RecordHeader {
    /// Whether the record holds no inputs: it starts an epoch, its payload is the leader's address.
    pub fn starts_epoch(&self) -> bool {
        self.last_sequence.checked_add(1) == Some(self.first_sequence)
    }

    /// The header as it is hashed and as it is stored.
    pub fn canonical(&self) -> [u8; CANONICAL_BYTES] {
        let mut bytes = [0; CANONICAL_BYTES];
        bytes[..32].copy_from_slice(&self.chain_before);
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.leader_id);
        bytes[56..64].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.last_sequence.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes
    }

    /// The inverse of [`Self::canonical`].
    pub fn from_canonical(bytes: &[u8; CANONICAL_BYTES]) -> Self {
        use crate::frame::{array, u64_at};
        Self {
            chain_before: array(bytes, 0),
            epoch: u64_at(bytes, 32),
            leader_id: array(bytes, 40),
            first_sequence: u64_at(bytes, 56),
            last_sequence: u64_at(bytes, 64),
            time_ms: i64::from_le_bytes(array(bytes, 72)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            epoch: 1,
            leader_id: [2; 16],
            first_sequence: 3,
            last_sequence: 4,
            chain_before: [5; 32],
            time_ms: -6,
        }
    }

    #[test]
    fn the_canonical_form_reads_back() {
        assert_eq!(
            RecordHeader::from_canonical(&header().canonical()),
            header()
        );
    }

    #[test]
    fn the_chain_covers_every_field() {
        let base = chain_after(&header(), b"payload");
        let changed = [
            RecordHeader {
                epoch: 9,
                ..header()
            },
            RecordHeader {
                leader_id: [9; 16],
                ..header()
            },
            RecordHeader {
                first_sequence: 9,
                ..header()
            },
            RecordHeader {
                last_sequence: 9,
                ..header()
            },
            RecordHeader {
                chain_before: [9; 32],
                ..header()
            },
            RecordHeader {
                time_ms: 9,
                ..header()
            },
        ];
        for other in changed {
            assert_ne!(chain_after(&other, b"payload"), base, "{other:?}");
        }
        assert_ne!(chain_after(&header(), b"payloae"), base);
    }

    /// Computed with Python's hashlib from the documented form; stored data outlives the code.
    #[test]
    fn the_chain_has_a_known_answer() {
        let hex: String = chain_after(&header(), b"payload")
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "bed37adc464075383969fe3de6408e4caa4dc3127b85eec4ffa7d9aba4a7dd7c"
        );
        let genesis: String = JournalId([7; 16])
            .genesis()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            genesis,
            "69bf6c51c7ea44d7e5f4fb36aba70c5ba26aa8778f67169197c9f01f05cac1c6"
        );
    }
}
