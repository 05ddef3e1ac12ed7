//! Conditions that hold an instruction until they are true: data, not code.
//!
//! | condition | true when | until then |
//! |---|---|---|
//! | approvals | k of the n named participants have approved | PDNG, approval |
//! | hash lock | somebody has shown the SHA-256 preimage | PDNG, preimage |
//! | not before | a tick has come at or after the instant | PDNG, not before |
//! | group | as many instructions that name the group are ready as it has members | PDNG, group |
//! | expires at | not a hold but an end: unsettled (net: revocable) at the instant, it is rejected | |
//! | document | checked once, on entry: no living or settled instruction carries the same hash | |
//!
//! The first three are the instruction's own; they come before a trade's match, and the group comes
//! last. An instruction takes its place in the queues by the input that made its last one true.

use crate::ids::{Bic, Timestamp};
use crate::instruction::ShortText;
use crate::view::Waiting;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Of participants that may approve one instruction: each has a bit.
pub const APPROVERS_MAX: usize = 32;
/// A group has at least two members, and at most this many: it settles in one step of the writer.
pub const GROUP_MEMBERS_MAX: u16 = 32;
/// Of a preimage, in bytes. It is journaled as shown.
pub const PREIMAGE_BYTES_MAX: usize = 256;

/// A SHA-256 hash that a bank sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Hash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl Hash {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// k of n participants.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Approvals {
    /// From 1 to as many as are named.
    #[n(0)]
    pub needed: u8,
    /// 1 to [`APPROVERS_MAX`] participants, each once.
    #[n(1)]
    pub of: Vec<Bic>,
}

/// The group that an instruction belongs to: all that name it settle together or not at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct Group {
    /// Chosen by its members, and known to no one else: who knows it can join.
    #[n(0)]
    pub id: ShortText,
    /// Instructions, 2 to [`GROUP_MEMBERS_MAX`]; a trade's two sides count as two.
    #[n(1)]
    pub members: u16,
}

/// What must be true before an instruction takes its place, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Conditions {
    /// It takes its place at the first tick from then on.
    #[n(0)]
    pub not_before: Option<Timestamp>,
    /// From then on it is rejected, unless it is irrevocable.
    #[n(1)]
    pub expires_at: Option<Timestamp>,
    /// Who must approve it.
    #[n(2)]
    pub approvals: Option<Approvals>,
    /// Of the preimage that must be shown.
    #[n(3)]
    pub hash_lock: Option<Hash>,
    /// Of a document that no other instruction may carry.
    #[n(4)]
    pub document: Option<Hash>,
    /// With which others it settles.
    #[n(5)]
    pub group: Option<Group>,
}

/// How far an instruction's own conditions have come.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct Progress {
    #[n(0)]
    conditions: Box<Conditions>,
    /// One bit per named approver.
    #[n(1)]
    approved: u32,
    #[n(2)]
    preimage_shown: bool,
}

impl Progress {
    pub(crate) fn new(conditions: &Conditions) -> Self {
        Self {
            conditions: Box::new(conditions.clone()),
            approved: 0,
            preimage_shown: false,
        }
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Its place among those named; `None` if the bank is none of them.
    pub(crate) fn approver(&self, bic: Bic) -> Option<usize> {
        let approvals = self.conditions.approvals.as_ref()?;
        approvals.of.iter().position(|&named| named == bic)
    }

    pub(crate) fn has_approved(&self, approver: usize) -> bool {
        self.approved & 1 << approver != 0
    }

    pub(crate) fn approve(&mut self, approver: usize) {
        self.approved |= 1 << approver;
    }

    pub(crate) fn is_preimage_shown(&self) -> bool {
        self.preimage_shown
    }

    pub(crate) fn show_preimage(&mut self) {
        self.preimage_shown = true;
    }

    pub(crate) fn approved(&self) -> u32 {
        self.approved
    }

    /// The first that only a bank can make true.
    fn waits_for_a_bank(&self) -> Option<Waiting> {
        let needed = self.conditions.approvals.as_ref();
        let needed = needed.map_or(0, |approvals| u32::from(approvals.needed));
        if self.approved.count_ones() < needed {
            return Some(Waiting::Approval);
        }
        let locked = self.conditions.hash_lock.is_some() && !self.preimage_shown;
        locked.then_some(Waiting::Preimage)
    }

    /// The first of its own that is not true, of an instruction that still waits for one.
    pub(crate) fn waits_for(&self) -> Waiting {
        self.waits_for_a_bank().unwrap_or(Waiting::NotBefore)
    }

    /// Whether all of its own are true.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        let due = self.conditions.not_before.is_none_or(|since| now >= since);
        due && self.waits_for_a_bank().is_none()
    }
}
