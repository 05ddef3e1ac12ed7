//! Changes of instructions, told to each participant that is party to one.
//!
//! It is a store of the projector's, that keeps nothing but what the next message needs: whose each live
//! instruction is. Messages are numbered from the journal's beginning, so each has its number for good, and
//! after a start what the topic holds already is not sent again.

use super::wire_time;
use prost::Message as _;
use settlement_core::ids::{Bic, ParticipantId, Sequence};
use settlement_core::instruction::Identity;
use settlement_core::view::{InstructionAnswer, Status};
use std::collections::BTreeMap;
use valuta_journal::Cursor;
use valuta_projector::{ChangeAdded, DirectoryChange, Rows, Store, StoreError};
use valuta_proto::v1;

/// One message.
#[derive(Clone, PartialEq, Debug)]
pub struct StatusMessage {
    /// The participant: the message's key.
    pub participant: Bic,
    /// From 1, without gaps.
    pub number: u64,
    /// [`v1::InstructionStatusChanged`].
    pub payload: Vec<u8>,
}

/// Where messages go.
pub trait StatusTopic: Send {
    /// All messages up to this number are in the topic.
    fn held(&self) -> u64;

    /// Sends one, unless the topic holds it.
    fn send(&mut self, message: StatusMessage) -> Result<(), StoreError>;

    /// Waits until all that was sent is durable.
    fn flush(&mut self) -> Result<(), StoreError>;
}

/// The wire's form of an answer, and a change's resume token: the gateway's, so that watch and topic agree.
#[derive(Clone, Copy)]
pub struct WireForm {
    /// An answer.
    pub status: fn(&InstructionAnswer) -> v1::InstructionStatus,
    /// The token of a change's position.
    pub resume_token: fn(settlement_core::command::Position) -> String,
}

struct Live {
    identity: Identity,
    parties: Vec<ParticipantId>,
}

/// Turns rows into messages.
pub struct StatusStore<T> {
    topic: T,
    form: WireForm,
    scheme: String,
    participants: BTreeMap<ParticipantId, Bic>,
    live: BTreeMap<Sequence, Live>,
    /// Messages so far.
    count: u64,
}

impl<T: StatusTopic> StatusStore<T> {
    /// For one scheme.
    pub fn new(topic: T, form: WireForm, scheme: String) -> Self {
        Self {
            topic,
            form,
            scheme,
            participants: BTreeMap::new(),
            live: BTreeMap::new(),
            count: 0,
        }
    }

    fn learn(&mut self, rows: &Rows) {
        for change in &rows.directory {
            if let DirectoryChange::Participant { id, bic, .. } = change {
                self.participants.insert(*id, *bic);
            }
        }
        for added in &rows.instructions {
            let live = Live {
                identity: added.identity,
                parties: Vec::new(),
            };
            self.live.insert(added.sequence, live);
        }
        for party in &rows.parties {
            if let Some(live) = self.live.get_mut(&party.instruction) {
                live.parties.push(party.participant);
            }
        }
    }

    fn tell(&mut self, change: &ChangeAdded) -> Result<(), StoreError> {
        let Some(live) = self.live.get(&change.instruction) else {
            return Ok(());
        };
        let answer = InstructionAnswer {
            identity: live.identity,
            sequence: change.instruction,
            status: change.status,
            matched_with: change.matched_with,
            repeated: false,
        };
        for party in &live.parties {
            let Some(&bic) = self.participants.get(party) else {
                continue;
            };
            self.count += 1;
            if self.count <= self.topic.held() {
                continue;
            }
            let message = v1::InstructionStatusChanged {
                scheme: self.scheme.clone(),
                participant: bic.to_string(),
                status: Some((self.form.status)(&answer)),
                time: Some(wire_time(change.time)),
                resume_token: (self.form.resume_token)(change.position),
            };
            self.topic.send(StatusMessage {
                participant: bic,
                number: self.count,
                payload: message.encode_to_vec(),
            })?;
        }
        if is_last(change.status) {
            self.live.remove(&change.instruction);
        }
        Ok(())
    }
}

/// Nothing comes after it.
fn is_last(status: Status) -> bool {
    match status {
        Status::Settled { .. } | Status::Rejected(_) | Status::Cancelled => true,
        Status::Member(_) | Status::Waiting(_) | Status::Irrevocable(_) => false,
    }
}

impl<T: StatusTopic> Store for StatusStore<T> {
    /// None: the topic itself says what it holds.
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        Ok(None)
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.learn(rows);
        rows.changes.iter().try_for_each(|change| self.tell(change))
    }

    fn commit(&mut self, _: &Cursor) -> Result<(), StoreError> {
        self.topic.flush()
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        self.participants.clear();
        self.live.clear();
        self.count = 0;
        Ok(())
    }
}
