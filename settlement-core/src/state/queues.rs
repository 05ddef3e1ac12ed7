//! The gross lane's queues: one per account, of the units that debit it, by priority and place. They lie
//! one after the other in one ordered set; each account's head is kept beside it.
//!
//! New liquidity makes the heads of the accounts that it reaches candidates for release. A unit that
//! could not settle when it was last tried, and whose accounts nothing reached since, still cannot: so
//! trying only candidates, the first in order first, finds what trying all heads would.

use super::identities::EntryId;
use crate::chunks::Chunks;
use crate::event::{Legs, OrderLeg};
use crate::ids::{AccountId, Date, Sequence, Timestamp};
use crate::instruction::Priority;
use crate::rejection::Rejection;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;

/// A unit's place in time: of the input that made its last condition true.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub(crate) struct Rank {
    /// The first instruction that came after that input, or was that input.
    #[n(0)]
    before: EntryId,
    /// That input; one that was an instruction comes after all that came before it.
    #[n(1)]
    by: Sequence,
}

impl Rank {
    /// Of an instruction that took its place as it came.
    pub(crate) const fn of(id: EntryId) -> Self {
        let by = Sequence(u64::MAX);
        Self { before: id, by }
    }

    /// Of one that took its place by a later input, when `next` was the next instruction's number.
    pub(crate) const fn late(next: EntryId, by: Sequence) -> Self {
        Self { before: next, by }
    }

    /// For digests.
    pub(crate) const fn parts(self) -> (u32, Sequence) {
        (self.before.0, self.by)
    }
}

/// Place in the queues; its last part names the unit.
pub(crate) type Place = (Priority, Rank, EntryId);

/// A waiting unit.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Queued {
    #[n(0)]
    pub(crate) legs: Legs,
    #[n(1)]
    pub(crate) value_date: Date,
    #[n(2)]
    pub(crate) held: bool,
    /// From here on it is rejected, for this reason.
    #[n(3)]
    pub(crate) expires_at: Timestamp,
    #[n(4)]
    pub(crate) expiry: Rejection,
}

/// All waiting units.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Queues {
    #[n(0)]
    units: Sorted<Place, Queued>,
    #[n(1)]
    places: Sorted<EntryId, Place>,
    #[n(2)]
    expiries: Sorted<(Timestamp, EntryId)>,
    /// Units that are not held, under each account that they debit.
    #[n(3)]
    queues: Sorted<(AccountId, Place)>,
    /// The first of each account's queue.
    #[n(4)]
    heads: Chunks<Option<Place>, 128>,
    /// Empty between inputs.
    #[cbor(skip)]
    candidates: BTreeSet<Place>,
    /// Something changed since the last gridlock run. Says only that a run may find something: a
    /// run that finds nothing leaves no trace, so this is no part of the replicated state.
    #[n(5)]
    changed: bool,
}

/// The accounts that legs debit, each once, in order of first debit.
pub(crate) fn debited(legs: &[OrderLeg]) -> impl Iterator<Item = AccountId> {
    let first = |at: usize| legs[..at].iter().all(|leg| leg.debtor != legs[at].debtor);
    (0..legs.len())
        .filter(move |&at| first(at))
        .map(|at| legs[at].debtor)
}

/// What legs add to an account, net.
pub(crate) fn net_of(legs: &[OrderLeg], account: AccountId) -> i128 {
    let change = |leg: &OrderLeg| {
        let amount = i128::from(leg.amount);
        i128::from(leg.creditor == account) * amount - i128::from(leg.debtor == account) * amount
    };
    legs.iter().map(change).sum()
}

impl Queues {
    #[inline]
    fn head(&self, account: AccountId) -> Option<Place> {
        self.heads.get(account.0 as usize).copied().flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Whether an earlier unit of equal or higher priority waits in an account that the legs debit.
    /// `place` may itself be in the queues, or be to come.
    #[inline]
    pub(crate) fn is_behind(&self, place: Place, legs: &[OrderLeg]) -> bool {
        !self.units.is_empty()
            && debited(legs).any(|account| self.head(account).is_some_and(|head| head < place))
    }

    pub(crate) fn insert(&mut self, place: Place, unit: Queued) {
        self.places.insert(place.2, place);
        self.expiries.insert((unit.expires_at, place.2), ());
        if !unit.held {
            self.enqueue(place, &unit.legs);
        }
        self.units.insert(place, unit);
        self.changed = true;
    }

    fn enqueue(&mut self, place: Place, legs: &[OrderLeg]) {
        for account in debited(legs) {
            let index = account.0 as usize;
            self.heads.grow(index + 1, None);
            self.queues.insert((account, place), ());
            if self.heads[index].is_none_or(|head| place < head) {
                self.heads[index] = Some(place);
            }
        }
    }

    /// Takes a unit out; those behind it become candidates.
    pub(crate) fn remove(&mut self, id: EntryId) -> Queued {
        let place = self.places.remove(&id).expect("a queued unit has a place");
        let unit = self.units.remove(&place).expect("a queued unit is held");
        self.expiries.remove(&(unit.expires_at, id));
        self.dequeue(place, &unit.legs);
        unit
    }

    fn dequeue(&mut self, place: Place, legs: &[OrderLeg]) {
        self.candidates.remove(&place);
        for account in debited(legs) {
            self.queues.remove(&(account, place));
            if self.head(account) == Some(place) {
                let next = self.queues.seek(|(of, _)| *of < account);
                let next = next.filter(|((of, _), ())| *of == account);
                self.heads[account.0 as usize] = next.map(|((_, place), ())| *place);
            }
            self.touch(account);
        }
    }

    /// A unit leaves its queues but stays, or comes back into its place.
    pub(crate) fn hold(&mut self, id: EntryId, held: bool) {
        let place = *self.places.get(&id).expect("a queued unit has a place");
        let unit = self.units.get_mut(&place).expect("a queued unit is held");
        if unit.held == held {
            return;
        }
        unit.held = held;
        let legs = unit.legs.clone();
        if held {
            self.dequeue(place, &legs);
        } else {
            self.enqueue(place, &legs);
            debited(&legs).for_each(|account| self.touch(account));
        }
    }

    /// A unit keeps its place in time, among those of another priority.
    pub(crate) fn set_priority(&mut self, id: EntryId, priority: Priority) {
        let place = self.places.get(&id);
        let (_, rank, _) = *place.expect("a queued unit has a place");
        let unit = self.remove(id);
        let legs = unit.legs.clone();
        self.insert((priority, rank, id), unit);
        debited(&legs).for_each(|account| self.touch(account));
    }

    /// Something that an account's head may have waited for happened.
    #[inline]
    pub(crate) fn touch(&mut self, account: AccountId) {
        if self.units.is_empty() {
            return;
        }
        if let Some(head) = self.head(account) {
            self.candidates.insert(head);
        }
        self.changed = true;
    }

    /// Something that any head may have waited for happened.
    pub(crate) fn touch_all(&mut self) {
        if !self.units.is_empty() {
            self.candidates.extend(self.heads.iter().flatten());
        }
        self.changed = true;
    }

    /// The next candidate, which is tried once.
    pub(crate) fn pop_candidate(&mut self) -> Option<Place> {
        self.candidates.pop_first()
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Queued> {
        self.units.get(&place)
    }

    pub(crate) fn by_id(&self, id: EntryId) -> Option<(Place, &Queued)> {
        let place = *self.places.get(&id)?;
        Some((place, self.units.get(&place)?))
    }

    /// All waiting units in queue order, held ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Queued)> {
        self.units.iter().map(|(&place, unit)| (place, unit))
    }

    /// The unit that is to be rejected next at that time, if one is.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<(EntryId, Rejection)> {
        let (&(expires_at, id), ()) = self.expiries.first()?;
        let (_, unit) = self.by_id(id)?;
        (expires_at <= now).then_some((id, unit.expiry))
    }

    /// Whether a gridlock run may find something; asks once for each change.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl Freeze for Queues {
    fn freeze(&mut self) {
        let Self {
            units,
            places,
            expiries,
            queues,
            heads,
            candidates: _,
            changed: _,
        } = self;
        units.freeze();
        places.freeze();
        expiries.freeze();
        queues.freeze();
        heads.freeze();
    }
}
