//! Commands that were taken, by caller and request id: a repeat gets its answer, and has no effect.

use crate::command::Caller;
use crate::ids::{Sequence, Timestamp};
use crate::instruction::{Digest, ShortText};
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Encode};

/// A command that was taken.
#[derive(Clone, Copy, Encode, Decode)]
pub(crate) struct Request {
    #[n(0)]
    pub(crate) digest: Digest,
    #[n(1)]
    pub(crate) sequence: Sequence,
    #[n(2)]
    pub(crate) changes: u32,
    #[n(3)]
    pub(crate) created: Timestamp,
}

/// All commands that were taken.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Requests {
    #[n(0)]
    requests: Sorted<(Caller, ShortText), Request>,
    /// The one whose events are being applied.
    #[cbor(skip)]
    current: Option<(Sequence, (Caller, ShortText))>,
}

impl Requests {
    pub(crate) fn get(&self, caller: Caller, id: ShortText) -> Option<&Request> {
        self.requests.get(&(caller, id))
    }

    pub(crate) fn insert(&mut self, caller: Caller, id: ShortText, request: Request) {
        self.current = Some((request.sequence, (caller, id)));
        self.requests.insert((caller, id), request);
    }

    /// One more event of an input: counts if the input is the current command.
    #[inline]
    pub(crate) fn count_event(&mut self, sequence: Sequence) {
        if let Some((current, key)) = &self.current
            && *current == sequence
            && let Some(request) = self.requests.get_mut(key)
        {
            request.changes += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(Caller, ShortText), &Request)> {
        self.requests.iter()
    }
}

impl Freeze for Requests {
    fn freeze(&mut self) {
        let Self {
            requests,
            current: _,
        } = self;
        requests.freeze();
    }
}
