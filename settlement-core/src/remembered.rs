//! What is remembered of instructions and commands that have left the engine's tables: fixed-width lines
//! for the files of old identities, so that a repeat still gets its answer and has no effect.
//!
//! ```text
//! line (72 bytes) = key (16)  sender (8)  kind (1)  outcome (1)  detail (14)
//!                   digest (16)  sequence (8)  matched with (8)           integers are little-endian
//!
//! kind    1 to 4: an instruction's; 5: a command
//! key     an instruction's UETR; the first 16 bytes of the SHA-256 of a command's caller and request id
//! outcome 0 settled (detail: batch), 1 rejected (detail: the rejection in CBOR), 2 cancelled;
//!         of a command 0 (detail: changes)
//! ```
//!
//! Lines are sorted as bytes: so all of one UETR lie together.

use crate::command::{Action, Caller, Command};
use crate::ids::{Bic, Sequence, Uetr};
use crate::instruction::{Digest, Identity, Kind, ShortText, Submission, Submissions};
use crate::rejection::Rejection;
use crate::view::{InstructionAnswer, Query, Status};
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

/// Of a line.
pub const LINE_BYTES: usize = 72;
/// Of the key that a line begins with.
pub const KEY_BYTES: usize = 16;

const COMMAND_KIND: u8 = 5;
const DETAIL: std::ops::Range<usize> = 26..40;

/// What lines are looked up by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// Of all instructions under a UETR.
    pub fn of_uetr(uetr: Uetr) -> Self {
        Self(uetr.0.to_be_bytes())
    }

    /// Of a command.
    pub fn of_request(caller: Caller, id: ShortText) -> Self {
        let mut bytes = Vec::with_capacity(64);
        minicbor::encode((caller, id), &mut bytes).expect("a Vec takes every byte");
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        Self(*hash.first_chunk().expect("16 of 32 bytes"))
    }

    /// Of all that deciding a batch may ask for, by item.
    pub fn of_batch(batch: &Submissions) -> impl Iterator<Item = Self> {
        let uetrs = batch.items.iter().map(|item| item.identity.uetr);
        uetrs.map(Self::of_uetr)
    }

    /// Of all that deciding a command may ask for.
    pub fn of_command(command: &Command) -> impl Iterator<Item = Self> {
        let uetr = match &command.action {
            Action::Cancel { uetr, .. } | Action::SetPriority { uetr, .. } => Some(*uetr),
            Action::Approve(identity) | Action::ShowPreimage { identity, .. } => {
                Some(identity.uetr)
            }
            _ => None,
        };
        let request = Self::of_request(command.caller, command.request_id);
        [request].into_iter().chain(uetr.map(Self::of_uetr))
    }

    /// Of all that answering a question may ask for.
    pub fn of_query(query: &Query) -> Option<Self> {
        match query {
            Query::Instructions(uetr) => Some(Self::of_uetr(*uetr)),
            _ => None,
        }
    }
}

/// How an instruction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Final {
    /// In the batch of this number.
    Settled(u32),
    /// Refused, on entry or later.
    Rejected(Rejection),
    /// By its sender.
    Cancelled,
}

/// A command that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct Request {
    #[n(0)]
    pub digest: Digest,
    /// Of the input.
    #[n(1)]
    pub sequence: Sequence,
    /// Events beside the request itself.
    #[n(2)]
    pub changes: u32,
}

/// One instruction or command that has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Remembered {
    Instruction {
        identity: Identity,
        digest: Digest,
        sequence: Sequence,
        outcome: Final,
        matched_with: Option<Sequence>,
    },
    /// By [`Key::of_request`].
    Command { key: Key, request: Request },
}

impl Remembered {
    /// What it is looked up by.
    pub fn key(&self) -> Key {
        match self {
            Self::Instruction { identity, .. } => Key::of_uetr(identity.uetr),
            Self::Command { key, .. } => *key,
        }
    }

    /// Its input.
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Instruction { sequence, .. } => *sequence,
            Self::Command { request, .. } => request.sequence,
        }
    }

    /// An instruction's answer, now and for ever.
    pub(crate) fn answer(&self, repeated: bool) -> Option<InstructionAnswer> {
        let &Self::Instruction {
            identity,
            sequence,
            outcome,
            matched_with,
            ..
        } = self
        else {
            return None;
        };
        Some(InstructionAnswer {
            identity,
            sequence,
            status: outcome.status(),
            matched_with,
            repeated,
        })
    }

    /// The answer to an instruction of its identity: `None` if that has other content.
    pub(crate) fn answer_to(&self, item: &Submission) -> Option<InstructionAnswer> {
        match self {
            Self::Instruction { digest, .. } if *digest == item.digest => self.answer(true),
            _ => None,
        }
    }

    /// Its line.
    pub fn to_line(&self) -> [u8; LINE_BYTES] {
        let mut line = [0; LINE_BYTES];
        line[..16].copy_from_slice(&self.key().0);
        line[56..64].copy_from_slice(&self.sequence().0.to_le_bytes());
        let digest = match self {
            Self::Instruction {
                identity,
                digest,
                outcome,
                matched_with,
                ..
            } => {
                line[16..24].copy_from_slice(&identity.instructing.packed().to_le_bytes());
                line[24] = identity.kind as u8 + 1;
                line[25] = outcome.write(&mut line[DETAIL]);
                let other = matched_with.map_or(0, |other| other.0);
                line[64..72].copy_from_slice(&other.to_le_bytes());
                digest
            }
            Self::Command { request, .. } => {
                line[24] = COMMAND_KIND;
                line[26..30].copy_from_slice(&request.changes.to_le_bytes());
                &request.digest
            }
        };
        line[40..56].copy_from_slice(&digest.0);
        line
    }

    /// What a line says; `None` if it is none.
    pub fn from_line(line: &[u8; LINE_BYTES]) -> Option<Self> {
        fn array<const N: usize>(line: &[u8; LINE_BYTES], at: usize) -> [u8; N] {
            *line[at..].first_chunk().expect("within the line")
        }
        let word = |at| u64::from_le_bytes(array(line, at));
        let (key, digest) = (Key(array(line, 0)), Digest(array(line, 40)));
        let sequence = Sequence(word(56));
        if line[24] == COMMAND_KIND {
            let changes = u32::from_le_bytes(array(line, 26));
            let request = Request {
                digest,
                sequence,
                changes,
            };
            return Some(Self::Command { key, request });
        }
        let kinds = [Kind::Payment, Kind::Cover, Kind::Return, Kind::TradeSide];
        let kind = kinds.into_iter().find(|&kind| kind as u8 + 1 == line[24]);
        Some(Self::Instruction {
            identity: Identity {
                uetr: Uetr(u128::from_be_bytes(key.0)),
                instructing: Bic::from_packed(word(16)),
                kind: kind?,
            },
            digest,
            sequence,
            outcome: Final::read(line[25], &line[DETAIL])?,
            matched_with: Some(Sequence(word(64))).filter(|other| other.0 > 0),
        })
    }
}

impl Final {
    /// The status that it is.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Settled(batch) => Status::Settled {
                batch: u64::from(batch),
            },
            Self::Rejected(rejection) => Status::Rejected(rejection),
            Self::Cancelled => Status::Cancelled,
        }
    }

    /// Answers its number.
    fn write(self, mut detail: &mut [u8]) -> u8 {
        match self {
            Self::Settled(batch) => {
                detail[..4].copy_from_slice(&batch.to_le_bytes());
                0
            }
            Self::Rejected(rejection) => {
                // Three small numbers within arrays at most: see the test.
                minicbor::encode(rejection, &mut detail).expect("fits 14 bytes");
                1
            }
            Self::Cancelled => 2,
        }
    }

    fn read(number: u8, detail: &[u8]) -> Option<Self> {
        match number {
            0 => {
                let batch = *detail.first_chunk().expect("14 bytes");
                Some(Self::Settled(u32::from_le_bytes(batch)))
            }
            1 => minicbor::decode(detail).ok().map(Self::Rejected),
            2 => Some(Self::Cancelled),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::{Fault, Field, Malformed};

    fn check(remembered: Remembered) {
        let line = remembered.to_line();
        assert_eq!(Remembered::from_line(&line), Some(remembered));
        assert_eq!(line[..KEY_BYTES], remembered.key().0);
    }

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let longest = Malformed {
            field: Field::GroupMembers,
            leg: u8::MAX,
            fault: Fault::NotAllowed,
        };
        let outcomes = [
            Final::Settled(0),
            Final::Settled(u32::MAX),
            Final::Rejected(Rejection::Malformed(longest)),
            Final::Rejected(Rejection::AssetUnknown { leg: u8::MAX }),
            Final::Rejected(Rejection::QuoteExpired),
            Final::Cancelled,
        ];
        let kinds = [Kind::Payment, Kind::Cover, Kind::Return, Kind::TradeSide];
        for (outcome, kind) in outcomes.into_iter().flat_map(|o| kinds.map(|k| (o, k))) {
            for matched_with in [None, Some(Sequence(u64::MAX))] {
                check(Remembered::Instruction {
                    identity: Identity {
                        uetr: Uetr(u128::MAX - 1),
                        instructing: Bic::parse(b"ZZZZZZZZZZZ").unwrap(),
                        kind,
                    },
                    digest: Digest([0xfe; 16]),
                    sequence: Sequence(1 << 50),
                    outcome,
                    matched_with,
                });
            }
        }
        let id = ShortText::parse(b"R1").unwrap();
        check(Remembered::Command {
            key: Key::of_request(Caller::Operator, id),
            request: Request {
                digest: Digest([1; 16]),
                sequence: Sequence(7),
                changes: 12,
            },
        });
        assert_eq!(Remembered::from_line(&[0; LINE_BYTES]), None);
    }

    #[test]
    fn callers_do_not_share_request_ids() {
        let id = ShortText::parse(b"R1").unwrap();
        let bic = Bic::parse(b"AAAAUS33").unwrap();
        let callers = [
            Caller::Operator,
            Caller::Treasury,
            Caller::Auditor,
            Caller::Agent(bic),
            Caller::Participant(bic),
        ];
        let keys: std::collections::BTreeSet<Key> = callers
            .iter()
            .map(|&caller| Key::of_request(caller, id))
            .collect();
        assert_eq!(keys.len(), callers.len());
    }
}
