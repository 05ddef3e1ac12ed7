//! `apply` for conditions: what waits for them, groups that form, documents, and units of several parts.

use super::apply::Entrance;
use super::identities::{EntryId, Standing};
use super::pending::{Parts, Terms};
use super::queues::{Place, Rank};
use super::{State, end_of_life};
use crate::event::{Entry, Legs, Order, OrderLeg};
use crate::ids::{Sequence, Timestamp};
use crate::instruction::Priority;
use crate::rejection::Rejection;

impl State {
    /// When an accepted instruction ends, and why; consumes its quote.
    pub(super) fn terms(&mut self, id: EntryId, order: &Order) -> Terms {
        let mut terms = Terms {
            expires_at: end_of_life(order.lane, order.value_date),
            expiry: Rejection::ExpiredInQueue,
            settle_by: None,
            expires: false,
            group: None,
        };
        if let Some((provider, quote_id)) = order.quote {
            self.quotes.consume(provider, quote_id, id);
            self.identities.name(id);
            let quote = self.quotes.get(provider, quote_id).expect("just consumed");
            terms.settle_by = Some(quote.terms.settle_by);
            let after = Timestamp(quote.terms.settle_by.0.saturating_add(1));
            if after < terms.expires_at {
                (terms.expires_at, terms.expiry) = (after, Rejection::QuoteExpired);
            }
        }
        let Some(conditions) = &order.conditions else {
            return terms;
        };
        let group = conditions.group;
        terms.group = group.map(|group| (group, order.lane, order.value_date));
        if let Some(until) = conditions.expires_at {
            terms.expires = true;
            if until < terms.expires_at {
                (terms.expires_at, terms.expiry) = (until, Rejection::ExpiredInQueue);
            }
        }
        terms
    }

    /// A unit's place, taken by the input `by`.
    pub(super) fn place(&self, id: EntryId, priority: Priority, by: Sequence) -> Place {
        let rank = if self.identities.sequence(id) == by {
            Rank::of(id)
        } else {
            Rank::late(self.identities.next(), by)
        };
        (priority, rank, id)
    }

    /// The last of an instruction's own conditions is true.
    pub(super) fn release_conditional(&mut self, released: Sequence, entry: Entry, by: Sequence) {
        let id = self.entry_of(released);
        let unit = self.pending.remove(id);
        self.statistics.waiting -= 1;
        let entrance = Entrance {
            place: self.place(id, unit.priority, by),
            entry,
            lane: unit.lane,
            value_date: unit.value_date,
            terms: unit.terms,
            trade: unit.trade,
        };
        let standing = self.enter(entrance, &unit.legs, &[id]);
        self.identities.set_standing(id, standing);
    }

    /// Units become one, named by the last.
    pub(super) fn form_group(&mut self, units: &[Sequence], entry: Entry, by: Sequence) {
        let parts: Vec<EntryId> = units.iter().map(|&unit| self.entry_of(unit)).collect();
        let id = *parts.last().expect("a group has members");
        let priority = self.lowest_priority(&parts);
        let mut legs: Vec<OrderLeg> = Vec::new();
        let mut ends: Vec<(EntryId, usize)> = Vec::new();
        let mut common: Option<(Terms, crate::instruction::Lane, crate::ids::Date)> = None;
        for &part in &parts {
            let unit = self.pending.remove(part);
            self.groups.forget(unit.terms.group, part);
            legs.extend_from_slice(&unit.legs);
            ends.push((part, legs.len()));
            let terms = common.map_or(unit.terms, |(terms, ..)| terms.join(unit.terms));
            common = Some((terms, unit.lane, unit.value_date));
        }
        self.statistics.waiting -= self.instructions_of(&parts);
        let (terms, lane, value_date) = common.expect("a group has members");
        let entrance = Entrance {
            place: self.place(id, priority, by),
            entry,
            lane,
            value_date,
            terms,
            trade: None,
        };
        self.groups.form(id, &ends);
        let standing = self.enter(entrance, &Legs::new(&legs), &parts);
        for &part in &parts {
            self.identities.set_standing(part, standing);
        }
        if entry == Entry::Settled {
            self.groups.dissolve(id);
        }
    }

    /// A pending unit leaves for good.
    pub(super) fn leave_pending(&mut self, id: EntryId) {
        let unit = self.pending.remove(id);
        self.groups.forget(unit.terms.group, id);
        if unit.trade.is_some() {
            return self.uncount_side(id, &unit.legs, unit.value_date);
        }
        for leg in unit.legs.iter() {
            self.count_paid(leg, unit.value_date, -1);
        }
    }

    /// What a unit is made of.
    #[inline]
    pub(super) fn parts(&self, unit: EntryId) -> Parts {
        let group = self.groups.parts(unit);
        group.map_or(Parts::One([unit]), |parts| Parts::Many(parts.to_vec()))
    }

    /// How many instructions parts are: a matched trade is two.
    #[inline]
    pub(super) fn instructions_of(&self, parts: &[EntryId]) -> u64 {
        let count = |&part: &EntryId| self.identities.instruction_count(part);
        parts.iter().map(count).sum()
    }

    /// A unit has come to its end.
    pub(super) fn end(&mut self, unit: EntryId, standing: Standing) {
        self.member_expiries.remove(unit);
        for part in self.parts(unit).iter() {
            self.identities.set_standing(*part, standing);
        }
        self.groups.dissolve(unit);
    }

    /// Every instruction of some parts.
    fn sides<'a>(&'a self, parts: &'a [EntryId]) -> impl Iterator<Item = EntryId> + 'a {
        let both = |&part: &EntryId| [Some(part), self.identities.partner(part)];
        parts.iter().flat_map(both).flatten()
    }

    pub(super) fn keep_documents(&mut self, parts: &[EntryId]) {
        if self.documents.has_live() {
            let ids: Vec<EntryId> = self.sides(parts).collect();
            ids.into_iter().for_each(|id| self.documents.keep(id));
        }
    }

    pub(super) fn release_documents(&mut self, parts: &[EntryId]) {
        if self.documents.has_live() {
            let ids: Vec<EntryId> = self.sides(parts).collect();
            ids.into_iter().for_each(|id| self.documents.release(id));
        }
    }
}
