//! A record as a Kafka message.
//!
//! The value is the payload as the writer gave it; everything else is in one message header,
//! `valuta-record`:
//!
//! | bytes   | field           |                                                             |
//! |---------|-----------------|-------------------------------------------------------------|
//! | 0..4    | magic           | `VKR1`                                                      |
//! | 4       | kind            | 0 genesis, 1 `EpochStarted`, 2 record                       |
//! | 5..8    | zero            |                                                             |
//! | 8..24   | journal id      |                                                             |
//! | 24..104 | record header   | as it is hashed: chain before, epoch, leader, sequences, time |
//!
//! Integers are little-endian. Of an `EpochStarted` only epoch, leader and time count: a candidate
//! cannot know at which sequence and chain its message will land, so readers fill them in. The first
//! genesis of a topic names its journal; its header may name a term ([`Kind::Genesis`], `time` not zero).

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use valuta_journal::{CANONICAL_BYTES, JournalId, RecordHeader};

use crate::rule::Term;

/// The name of the message header.
pub(crate) const HEADER: &str = "valuta-record";

/// The name of the message header with the sender's address: where to find the leader without
/// reading back to its `EpochStarted`. No part of the record.
pub(crate) const ADDRESS: &str = "valuta-address";

const MAGIC: &[u8; 4] = b"VKR1";
const HEADER_BYTES: usize = 24 + CANONICAL_BYTES;

/// What a message of the journal's topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Names the journal, once. A copy of a journal from elsewhere names the term of its first
    /// records too; a new journal has no leader until one starts an epoch.
    Genesis {
        /// The term under which the records before the first `EpochStarted` are accepted.
        term: Option<Term>,
    },
    /// A leader takes over; the value is its address.
    EpochStarted,
    /// One engine step.
    Record,
}

/// A message of the journal's topic, read but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// What it is.
    pub kind: Kind,
    /// Which journal's.
    pub journal: JournalId,
    /// The record's header.
    pub header: RecordHeader,
    /// The message's value.
    pub payload: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// The first message of a journal.
    pub fn genesis(journal: JournalId, term: Option<Term>) -> Self {
        let Term { epoch, id } = term.unwrap_or_default();
        let header = RecordHeader {
            epoch,
            leader_id: id,
            first_sequence: 1,
            last_sequence: 0,
            chain_before: journal.genesis(),
            time_ms: i64::from(term.is_some()),
        };
        Self {
            kind: Kind::Genesis { term },
            journal,
            header,
            payload: &[],
        }
    }

    /// A leader takes over.
    pub fn epoch_started(journal: JournalId, term: Term, time_ms: i64, address: &'a str) -> Self {
        let header = RecordHeader {
            epoch: term.epoch,
            leader_id: term.id,
            first_sequence: 0,
            last_sequence: 0,
            chain_before: [0; 32],
            time_ms,
        };
        Self {
            kind: Kind::EpochStarted,
            journal,
            header,
            payload: address.as_bytes(),
        }
    }

    /// The message header's value.
    pub(crate) fn envelope(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = match self.kind {
            Kind::Genesis { .. } => 0,
            Kind::EpochStarted => 1,
            Kind::Record => 2,
        };
        bytes[8..24].copy_from_slice(&self.journal.0);
        bytes[24..].copy_from_slice(&self.header.canonical());
        bytes
    }

    pub(crate) fn headers(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(1).insert(Header {
            key: HEADER,
            value: Some(&self.envelope()[..]),
        })
    }

    /// `None`: not a message of this crate.
    pub(crate) fn decode(envelope: &[u8], payload: &'a [u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = envelope.try_into().ok()?;
        if bytes[..4] != *MAGIC || bytes[5..8] != [0; 3] {
            return None;
        }
        let header = RecordHeader::from_canonical(bytes[24..].try_into().expect("80 bytes"));
        let term = || Term {
            epoch: header.epoch,
            id: header.leader_id,
        };
        let kind = match bytes[4] {
            0 => Kind::Genesis {
                term: (header.time_ms != 0).then(term),
            },
            1 => Kind::EpochStarted,
            2 => Kind::Record,
            _ => return None,
        };
        Some(Self {
            kind,
            journal: JournalId(bytes[8..24].try_into().expect("16 bytes")),
            header,
            payload,
        })
    }

    /// The sender's address, as the message has it.
    pub(crate) fn address_of<M: Message>(message: &M) -> Option<String> {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == ADDRESS)?;
        Some(String::from_utf8_lossy(found.value?).into_owned())
    }

    /// As [`Self::decode`], from a message as it was fetched.
    pub(crate) fn of<M: Message>(message: &'a M) -> Option<Self> {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == HEADER)?;
        Self::decode(found.value?, message.payload().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> RawRecord<'static> {
        RawRecord {
            kind: Kind::Record,
            journal: JournalId([7; 16]),
            header: RecordHeader {
                epoch: 1,
                leader_id: [2; 16],
                first_sequence: 3,
                last_sequence: 4,
                chain_before: [5; 32],
                time_ms: -6,
            },
            payload: b"payload",
        }
    }

    #[test]
    fn every_kind_reads_back() {
        let id = JournalId([7; 16]);
        let term = Term {
            epoch: 3,
            id: [9; 16],
        };
        for raw in [
            record(),
            RawRecord::genesis(id, None),
            RawRecord::genesis(id, Some(Term::default())),
            RawRecord::genesis(id, Some(term)),
            RawRecord::epoch_started(id, term, 1_000, "10.0.0.1:7000"),
        ] {
            let envelope = raw.envelope();
            assert_eq!(RawRecord::decode(&envelope, raw.payload).unwrap(), raw);
        }
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let good = record().envelope();
        let check = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(RawRecord::decode(&bytes, &[]), None, "byte {at}");
        };
        (0..4).for_each(|at| check(at, 0));
        check(4, 3);
        (5..8).for_each(|at| check(at, 1));
        assert_eq!(RawRecord::decode(&good[..103], &[]), None);
        assert_eq!(RawRecord::decode(&[], &[]), None);
    }
}
