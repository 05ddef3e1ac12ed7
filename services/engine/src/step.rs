//! One record in the making, with the answers that wait for it.

use crate::handle::{Answered, EngineError, TokenTable};
use settlement_core::command::Refusal;
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::record::{self, Input};
use settlement_core::state::{FrozenView, State};
use settlement_core::view::{CommandAnswer, SubmitAnswer};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A step takes no further request once its payload has this many bytes, so that appending it stays
/// short: some 5 ms of disk.
pub(crate) const STEP_BYTES_SOFT_MAX: usize = 2 << 20;

pub(crate) type SubmitReply = oneshot::Sender<Result<SubmitAnswer, EngineError>>;
pub(crate) type CommandReply = oneshot::Sender<Result<Result<CommandAnswer, Refusal>, EngineError>>;
pub(crate) type QueryReply = oneshot::Sender<Answered>;
pub(crate) type FreezeReply = oneshot::Sender<Arc<FrozenView>>;

/// An answer that may leave once the step is durable. A caller that has gone is not an error.
pub(crate) enum Pending {
    Submit(SubmitReply, SubmitAnswer),
    Command(CommandReply, Result<CommandAnswer, Refusal>),
    /// With the sequence and the time that the view is of.
    Query(QueryReply, Box<Answered>),
    /// The state as it was then.
    Frozen(FreezeReply, Arc<FrozenView>),
    /// Tokens as they are after this step.
    Tokens(Arc<TokenTable>),
}

/// One step.
#[derive(Default)]
pub(crate) struct Step {
    pub first_sequence: u64,
    pub inputs: u64,
    pub time: Timestamp,
    /// Record time changes with it (`SetTime`): nothing more may join.
    pub time_set: Option<Timestamp>,
    pub payload: Vec<u8>,
    pub answers: Vec<Pending>,
    /// It decided what is to leave for the files of old identities.
    pub ages: bool,
    /// The state after it, if a snapshot is to be taken of it.
    pub frozen: Option<State>,
}

impl Step {
    /// A step that starts after `durable_or_taken`, the last sequence given out.
    pub fn start(last_sequence: u64, payload: Vec<u8>) -> Self {
        Self {
            first_sequence: last_sequence + 1,
            payload,
            ..Self::default()
        }
    }

    /// The number that the next input gets.
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.first_sequence + self.inputs)
    }

    pub fn last_sequence(&self) -> u64 {
        self.first_sequence + self.inputs - 1
    }

    pub fn is_empty(&self) -> bool {
        self.inputs == 0
    }

    /// Takes one input with its events into the record.
    pub fn push(&mut self, input: &Input<'_>, events: &[Event]) {
        record::push(&mut self.payload, input, events);
        self.inputs += 1;
    }

    pub fn is_full(&self) -> bool {
        self.time_set.is_some() || self.payload.len() >= STEP_BYTES_SOFT_MAX
    }
}
