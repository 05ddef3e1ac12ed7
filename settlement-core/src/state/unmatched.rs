//! Trade sides that wait for the other side.

use super::identities::EntryId;
use super::pending::Terms;
use crate::event::Legs;
use crate::ids::Date;
use crate::instruction::{Digest, Lane, Priority};
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Encode};

/// A side that waits.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Side {
    #[n(0)]
    pub(crate) trade: Digest,
    #[n(1)]
    pub(crate) legs: Legs,
    #[n(2)]
    pub(crate) priority: Priority,
    #[n(3)]
    pub(crate) lane: Lane,
    #[n(4)]
    pub(crate) value_date: Date,
    #[n(5)]
    pub(crate) terms: Terms,
    #[n(6)]
    pub(crate) held: bool,
}

/// All sides that wait.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Unmatched {
    #[n(0)]
    sides: Sorted<EntryId, Side>,
    /// By trade, the earliest first. Equal sides of one bank queue up.
    #[n(1)]
    waiting: Sorted<[u8; 16], Vec<EntryId>>,
}

impl Unmatched {
    pub(crate) fn insert(&mut self, id: EntryId, side: Side) {
        match self.waiting.get_mut(&side.trade.0) {
            Some(waiting) => waiting.push(id),
            None => {
                self.waiting.insert(side.trade.0, vec![id]);
            }
        }
        self.sides.insert(id, side);
    }

    pub(crate) fn remove(&mut self, id: EntryId) -> Side {
        let side = self.sides.remove(&id).expect("an unmatched side waits");
        let trade = side.trade.0;
        if let Some(waiting) = self.waiting.get_mut(&trade) {
            waiting.retain(|&other| other != id);
            if waiting.is_empty() {
                self.waiting.remove(&trade);
            }
        }
        side
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<&Side> {
        self.sides.get(&id)
    }

    pub(crate) fn hold(&mut self, id: EntryId, held: bool) {
        self.sides
            .get_mut(&id)
            .expect("an unmatched side waits")
            .held = held;
    }

    /// The sides of a trade, the earliest first.
    pub(crate) fn of(&self, trade: Digest) -> &[EntryId] {
        self.waiting.get(&trade.0).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, &Side)> {
        self.sides.iter().map(|(&id, side)| (id, side))
    }
}

impl Freeze for Unmatched {
    fn freeze(&mut self) {
        let Self { sides, waiting } = self;
        sides.freeze();
        waiting.freeze();
    }
}
