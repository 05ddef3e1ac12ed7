//! Entries leave at the front, but for those that are still needed.
//!
//! | stays because                          | until                       |
//! |----------------------------------------|-----------------------------|
//! | it waits, or is a member that waits    | a later day leaves          |
//! | its trade's other side is younger      | that side's day leaves      |
//! | a quote names it                       | for ever, as the quote does |

use super::{
    EntryId, Identities, MATCHED, NAMED, NUMBERS, STATE_MASK, STATE_SHIFT, Standing, WAITING,
};
use crate::ids::{Sequence, Uetr};
use crate::instruction::Identity;
use crate::remembered::{Final, Remembered};
use crate::shared::Freeze as _;

impl Identities {
    /// Another table names it by its number: it does not leave.
    pub(crate) fn name(&mut self, id: EntryId) {
        self.fields.at_mut(id.0).packed |= NAMED;
    }

    /// The number of the first entry that is neither gone nor kept.
    pub(crate) fn first(&self) -> EntryId {
        EntryId(self.entries.first())
    }

    /// How many are in memory.
    pub(crate) fn held(&self) -> u64 {
        let listed = u64::from(self.entries.len() - self.entries.first());
        listed + self.entries.kept().iter().count() as u64
    }

    /// The number that the next trade gets.
    pub(crate) fn next_trade(&self) -> u32 {
        self.trades.len()
    }

    /// Those in memory before an entry.
    fn before(&self, cut: EntryId) -> impl Iterator<Item = EntryId> {
        self.ids().take_while(move |&id| id < cut)
    }

    fn is_needed(&self, id: EntryId) -> bool {
        self.own_fields(id).packed & NAMED != 0 || waits(self.fields(id).packed)
    }

    /// Those before `cut` that may not leave now, ascending. A few nanoseconds each: the writer waits.
    pub(crate) fn staying(&self, cut: EntryId) -> Vec<EntryId> {
        let stays = |&id: &EntryId| {
            let packed = self.own_fields(id).packed;
            if packed & (MATCHED | NAMED) == 0 {
                return waits(packed);
            }
            let other = self.partner(id);
            self.is_needed(id) || other.is_some_and(|other| other >= cut || self.is_needed(other))
        };
        self.before(cut).filter(stays).collect()
    }

    /// What is to be remembered of those before `cut` that leave.
    pub(crate) fn leaving(
        &self,
        cut: EntryId,
        staying: &[EntryId],
    ) -> impl Iterator<Item = Remembered> {
        let leaves = |id: &EntryId| staying.binary_search(id).is_err();
        let leaving = self.before(cut).filter(leaves);
        leaving.map(|id| {
            let outcome = self.standing(id).outcome();
            Remembered::Instruction {
                identity: self.identity(id),
                digest: self.digest(id),
                sequence: self.sequence(id),
                outcome: outcome.expect("what waits stays"),
                matched_with: self.partner(id).map(|other| self.sequence(other)),
            }
        })
    }

    /// They leave, and so do the trades before `trades` whose sides are gone.
    pub(crate) fn let_go(&mut self, cut: EntryId, staying: &[EntryId], trades: u32) {
        let stays = |number: u32| staying.binary_search(&EntryId(number)).is_ok();
        self.entries.advance(cut.0, stays);
        self.fields.advance(cut.0, stays);
        let sides = self.trades.numbers().take_while(|&trade| trade < trades);
        let kept: Vec<u32> = sides
            .filter(|&trade| self.entries.get(self.trades.at(trade).second.0).is_some())
            .collect();
        self.trades
            .advance(trades, |trade| kept.binary_search(&trade).is_ok());
        self.find_far();
    }

    /// Kept entries that slots may not stand for much longer: as many more entries may come before this is
    /// asked again.
    pub(super) fn find_far(&mut self) {
        let far_below = self.entries.len().saturating_sub(NUMBERS / 2);
        let kept = self.entries.kept().iter();
        let far = kept.take_while(|&(&number, _)| number < far_below);
        self.far = far
            .map(|(&number, entry)| ((entry.uetr(), EntryId(number)), ()))
            .collect();
        self.far.freeze();
    }

    pub(super) fn far_of(&self, uetr: Uetr) -> impl Iterator<Item = EntryId> {
        let from = self.far.iter_from(move |&(far, _)| far < uetr);
        let of = from.take_while(move |&(&(far, _), ())| far == uetr);
        of.map(|(&(_, id), ())| id)
    }

    pub(super) fn kept_by_sequence(&self, sequence: Sequence) -> Option<EntryId> {
        let kept = self.entries.kept();
        let before = |number: &u32| {
            let entry = kept.get(number);
            entry.expect("a key of the map").sequence < sequence.0
        };
        let (&number, entry) = kept.seek(before)?;
        (entry.sequence == sequence.0).then_some(EntryId(number))
    }
}

/// Whether the standing in an entry's fields is one that may still change.
fn waits(packed: u32) -> bool {
    WAITING >> ((packed & STATE_MASK) >> STATE_SHIFT) & 1 == 1
}

impl Standing {
    /// How it ended; `None` while it waits.
    pub(crate) fn outcome(self) -> Option<Final> {
        match self {
            Self::Settled(batch) => Some(Final::Settled(batch)),
            Self::Rejected(rejection) => Some(Final::Rejected(rejection)),
            Self::Cancelled => Some(Final::Cancelled),
            Self::Queued | Self::Unmatched | Self::Pending | Self::Member(_) => None,
        }
    }
}

/// Of an identity that has left, as files remember it.
pub(crate) fn is_of(remembered: &Remembered, wanted: &Identity) -> bool {
    matches!(remembered, Remembered::Instruction { identity, .. } if identity == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Bic;
    use crate::instruction::{Digest, Kind};
    use crate::table::mix;
    use std::collections::BTreeMap;

    fn identity(number: u64) -> Identity {
        Identity {
            uetr: Uetr(u128::from(mix(number)) << 64 | u128::from(number % 5)),
            instructing: Bic::parse(b"AAAAUS33").unwrap(),
            kind: Kind::Payment,
        }
    }

    #[test]
    fn waits_for_what_has_no_outcome() {
        let standings = [
            Standing::Settled(3),
            Standing::Queued,
            Standing::Unmatched,
            Standing::Pending,
            Standing::Member(1),
            Standing::Rejected(crate::rejection::Rejection::QuoteExpired),
            Standing::Cancelled,
        ];
        let mut identities = Identities::new();
        for (number, standing) in (0..).zip(standings) {
            let sequence = Sequence(number + 1);
            let id = identities.insert(sequence, &identity(number), Digest([0; 16]), standing);
            assert_eq!(identities.is_needed(id), standing.outcome().is_none());
        }
    }

    /// Numbers come around thrice, some entries stay all the time: what is found is what is there.
    #[test]
    fn finds_what_is_there_however_many_have_left() {
        let (mut identities, mut plain) = (Identities::new(), BTreeMap::new());
        let mut views = Vec::new();
        for number in 0..3 * u64::from(NUMBERS) {
            let standing = if mix(number) % 1_000 < 3 {
                Standing::Queued
            } else {
                Standing::Cancelled
            };
            let sequence = Sequence(2 * number + 1);
            let id = identities.insert(sequence, &identity(number), Digest([0; 16]), standing);
            plain.insert(number, id);
            if mix(number).is_multiple_of(3_000) {
                let cut = EntryId(identities.next().0.saturating_sub(2_000));
                let staying = identities.staying(cut);
                identities.let_go(cut, &staying, 0);
                plain.retain(|_, id| *id >= cut || staying.contains(id));
                assert_eq!(identities.held(), plain.len() as u64);
                identities.freeze();
                views.push((identities.clone(), plain.clone()));
            }
        }
        assert!(identities.far.iter().count() > 20, "some are kept for long");
        views.drain(..views.len() - 3);
        views.push((identities, plain));
        for (identities, plain) in &views {
            for number in 0..3 * u64::from(NUMBERS) {
                let (id, sequence) = (plain.get(&number), Sequence(2 * number + 1));
                assert_eq!(identities.find(&identity(number)).as_ref(), id);
                assert_eq!(identities.by_sequence(sequence).as_ref(), id);
                assert_eq!(identities.by_sequence(Sequence(2 * number)), None);
            }
        }
    }

    /// Slots of what has left are used again: the index does not grow with all that ever was.
    #[test]
    fn the_index_does_not_grow_with_what_has_left() {
        let mut identities = Identities::new();
        for number in 0..20 * 10_000 {
            let id = identity(number);
            identities.insert(
                Sequence(number + 1),
                &id,
                Digest([0; 16]),
                Standing::Cancelled,
            );
            if number % 10_000 == 0 {
                identities.let_go(identities.next(), &[], 0);
            }
        }
        let slots: usize = identities
            .shards
            .iter()
            .map(|shard| shard.slots.len())
            .sum();
        assert!(slots < 60_000, "{slots} slots for 10,000 entries");
    }
}
