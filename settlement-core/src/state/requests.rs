//! Commands that were taken, by caller and request id: a repeat gets its answer, and has no effect.

use crate::command::Caller;
use crate::ids::Sequence;
use crate::instruction::ShortText;
use crate::remembered::{Key, Remembered, Request};
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Encode};

/// All commands that were taken and have not left.
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

    fn before(&self, before: Sequence) -> impl Iterator<Item = (&(Caller, ShortText), &Request)> {
        let taken_before = move |(_, request): &(_, &Request)| request.sequence < before;
        self.requests.iter().filter(taken_before)
    }

    /// What is to be remembered of those taken before an input.
    pub(crate) fn leaving(&self, before: Sequence) -> impl Iterator<Item = Remembered> {
        let leaving = self.before(before);
        leaving.map(|(&(caller, id), &request)| Remembered::Command {
            key: Key::of_request(caller, id),
            request,
        })
    }

    /// They leave.
    pub(crate) fn let_go(&mut self, before: Sequence) {
        let gone: Vec<_> = self.before(before).map(|(&key, _)| key).collect();
        for key in gone {
            self.requests.remove(&key);
        }
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
