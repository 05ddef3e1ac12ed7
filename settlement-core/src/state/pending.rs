//! What waits for a condition, which groups form and have formed, and whose document is whose.

use super::identities::EntryId;
use crate::conditions::{Group, Hash, Progress};
use crate::event::Legs;
use crate::ids::{Date, Timestamp};
use crate::instruction::{Digest, Lane, Priority};
use crate::rejection::Rejection;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::view::Waiting;
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;
use std::ops::Range;

/// Instructions of one group agree on lane and value date too: else they could not settle together.
pub(crate) type GroupKey = (Group, Lane, Date);

/// What goes with a unit until it settles.
#[derive(Clone, Copy, Encode, Decode)]
pub(crate) struct Terms {
    /// From here on it is rejected, for this reason.
    #[n(0)]
    pub(crate) expires_at: Timestamp,
    #[n(1)]
    pub(crate) expiry: Rejection,
    /// Of its quotes, the first.
    #[n(2)]
    pub(crate) settle_by: Option<Timestamp>,
    /// Of a net unit: it expires before its value date is over.
    #[n(3)]
    pub(crate) expires: bool,
    #[n(4)]
    pub(crate) group: Option<GroupKey>,
}

impl Terms {
    /// Of units that become one: whichever ends first.
    pub(crate) fn join(self, other: Self) -> Self {
        let first = if other.expires_at < self.expires_at {
            other
        } else {
            self
        };
        let settle_by = [self.settle_by, other.settle_by];
        Self {
            settle_by: settle_by.into_iter().flatten().min(),
            expires: self.expires || other.expires,
            ..first
        }
    }
}

/// A unit that waits for a condition.
#[derive(Clone, Encode, Decode)]
pub(crate) struct PendingUnit {
    #[n(0)]
    pub(crate) legs: Legs,
    #[n(1)]
    pub(crate) priority: Priority,
    #[n(2)]
    pub(crate) lane: Lane,
    #[n(3)]
    pub(crate) value_date: Date,
    /// Of a trade side that is not matched.
    #[n(4)]
    pub(crate) trade: Option<Digest>,
    /// `None`: its own are true, and it waits for its group.
    #[n(5)]
    pub(crate) progress: Option<Progress>,
    #[n(6)]
    pub(crate) terms: Terms,
    #[n(7)]
    pub(crate) held: bool,
}

impl PendingUnit {
    pub(crate) fn waits_for(&self) -> Waiting {
        let own = self.progress.as_ref();
        own.map_or(Waiting::Group, Progress::waits_for)
    }
}

/// All units that wait for a condition.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Pending {
    #[n(0)]
    units: Sorted<EntryId, PendingUnit>,
    #[n(1)]
    expiries: Sorted<(Timestamp, EntryId)>,
    /// Whom a tick should look at. One that is looked at leaves, ready or not: what makes it ready
    /// later looks at it too. So this is no part of the replicated state.
    #[n(2)]
    due: Sorted<(Timestamp, EntryId)>,
}

impl Pending {
    pub(crate) fn insert(&mut self, id: EntryId, unit: PendingUnit) {
        self.expiries.insert((unit.terms.expires_at, id), ());
        if let Some(since) = not_before(&unit) {
            self.due.insert((since, id), ());
        }
        self.units.insert(id, unit);
    }

    pub(crate) fn remove(&mut self, id: EntryId) -> PendingUnit {
        let unit = self.units.remove(&id).expect("a pending unit waits");
        self.expiries.remove(&(unit.terms.expires_at, id));
        if let Some(since) = not_before(&unit) {
            self.due.remove(&(since, id));
        }
        unit
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<&PendingUnit> {
        self.units.get(&id)
    }

    pub(crate) fn progress_mut(&mut self, id: EntryId) -> &mut Progress {
        let unit = self.units.get_mut(&id).expect("a pending unit waits");
        unit.progress.as_mut().expect("decided: its own conditions")
    }

    pub(crate) fn hold(&mut self, id: EntryId, held: bool) {
        self.units.get_mut(&id).expect("a pending unit waits").held = held;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, &PendingUnit)> {
        self.units.iter().map(|(&id, unit)| (id, unit))
    }

    /// The first whose end has come.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<EntryId> {
        let (&(expires_at, id), ()) = self.expiries.first()?;
        (expires_at <= now).then_some(id)
    }

    /// Those whose instant has come, each once.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<EntryId> {
        let mut due = Vec::new();
        while let Some((&(since, id), ())) =
            self.due.first().filter(|((since, _), ())| *since <= now)
        {
            self.due.remove(&(since, id));
            due.push(id);
        }
        due
    }
}

fn not_before(unit: &PendingUnit) -> Option<Timestamp> {
    let progress = unit.progress.as_ref()?;
    progress.conditions().not_before
}

impl Freeze for Pending {
    fn freeze(&mut self) {
        let Self {
            units,
            expiries,
            due,
        } = self;
        units.freeze();
        expiries.freeze();
        due.freeze();
    }
}

/// Groups that form, and those that are one unit until they settle.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Groups {
    /// What waits and names the group: ready or not.
    #[n(0)]
    named: Sorted<GroupKey, BTreeSet<EntryId>>,
    /// In the order in which they became ready.
    #[n(1)]
    ready: Sorted<GroupKey, Vec<EntryId>>,
    /// By the unit's name: its parts, the one that names it last.
    #[n(2)]
    parts: Sorted<EntryId, Vec<EntryId>>,
    #[n(3)]
    unit_of: Sorted<EntryId, Part>,
}

/// A part of a formed group: its unit, and which of that unit's legs are its own.
#[derive(Clone, Copy, Encode, Decode)]
struct Part {
    #[n(0)]
    unit: EntryId,
    #[n(1)]
    first_leg: u32,
    #[n(2)]
    end_leg: u32,
}

impl Groups {
    pub(crate) fn name(&mut self, key: Option<GroupKey>, id: EntryId) {
        if let Some(key) = key {
            match self.named.get_mut(&key) {
                Some(named) => _ = named.insert(id),
                None => _ = self.named.insert(key, BTreeSet::from([id])),
            }
        }
    }

    pub(crate) fn add_ready(&mut self, key: GroupKey, id: EntryId) {
        match self.ready.get_mut(&key) {
            Some(ready) => ready.push(id),
            None => _ = self.ready.insert(key, vec![id]),
        }
    }

    /// One that no longer waits for its group.
    pub(crate) fn forget(&mut self, key: Option<GroupKey>, id: EntryId) {
        let Some(key) = key else { return };
        if let Some(named) = self.named.get_mut(&key) {
            named.remove(&id);
            if named.is_empty() {
                self.named.remove(&key);
            }
        }
        if let Some(ready) = self.ready.get_mut(&key) {
            ready.retain(|&other| other != id);
            if ready.is_empty() {
                self.ready.remove(&key);
            }
        }
    }

    pub(crate) fn ready(&self, key: &GroupKey) -> &[EntryId] {
        self.ready.get(key).map_or(&[], Vec::as_slice)
    }

    /// All that wait and name it.
    pub(crate) fn named(&self, key: &GroupKey) -> Vec<EntryId> {
        let named = self.named.get(key).into_iter().flatten();
        named.copied().collect()
    }

    /// The parts' legs follow each other; each comes with the end of its own.
    pub(crate) fn form(&mut self, unit: EntryId, parts: &[(EntryId, usize)]) {
        let ids = parts.iter().map(|&(part, _)| part);
        self.parts.insert(unit, ids.collect());
        let mut first_leg = 0;
        for &(part, end) in parts {
            let end_leg = u32::try_from(end).expect("a group has few legs");
            let content = Part {
                unit,
                first_leg,
                end_leg,
            };
            self.unit_of.insert(part, content);
            first_leg = end_leg;
        }
    }

    /// The group as a unit is no more.
    pub(crate) fn dissolve(&mut self, unit: EntryId) {
        for part in self.parts.remove(&unit).into_iter().flatten() {
            self.unit_of.remove(&part);
        }
    }

    pub(crate) fn has_formed(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The parts of a formed group; `None` for any other unit.
    pub(crate) fn parts(&self, unit: EntryId) -> Option<&[EntryId]> {
        self.parts.get(&unit).map(Vec::as_slice)
    }

    /// The group's name, of a part.
    pub(crate) fn unit_of(&self, part: EntryId) -> EntryId {
        self.unit_of.get(&part).map_or(part, |found| found.unit)
    }

    /// Which of its unit's legs are a part's own; `None`: it is no part of a group, all are.
    pub(crate) fn legs_of(&self, part: EntryId) -> Option<Range<usize>> {
        let found = self.unit_of.get(&part)?;
        Some(found.first_leg as usize..found.end_leg as usize)
    }

    pub(crate) fn formed(&self) -> impl Iterator<Item = (EntryId, &[EntryId])> {
        self.parts
            .iter()
            .map(|(&unit, parts)| (unit, parts.as_slice()))
    }

    pub(crate) fn forming(&self) -> impl Iterator<Item = (&GroupKey, &[EntryId])> {
        self.ready
            .iter()
            .map(|(key, ready)| (key, ready.as_slice()))
    }
}

impl Freeze for Groups {
    fn freeze(&mut self) {
        let Self {
            named,
            ready,
            parts,
            unit_of,
        } = self;
        named.freeze();
        ready.freeze();
        parts.freeze();
        unit_of.freeze();
    }
}

/// Document hashes that instructions carry.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Documents {
    #[n(0)]
    taken: Sorted<Hash, EntryId>,
    /// Of instructions that have not settled: theirs may become free again.
    #[n(1)]
    live: Sorted<EntryId, Hash>,
}

impl Documents {
    pub(crate) fn is_taken(&self, document: Hash) -> bool {
        self.taken.contains_key(&document)
    }

    pub(crate) fn take(&mut self, document: Hash, id: EntryId) {
        self.taken.insert(document, id);
        self.live.insert(id, document);
    }

    /// Its instruction was rejected or cancelled.
    pub(crate) fn release(&mut self, id: EntryId) {
        if let Some(document) = self.live.remove(&id) {
            self.taken.remove(&document);
        }
    }

    /// Its instruction has settled: nobody else may carry the document any more.
    pub(crate) fn keep(&mut self, id: EntryId) {
        self.live.remove(&id);
    }

    pub(crate) fn has_live(&self) -> bool {
        !self.live.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Hash, EntryId, bool)> {
        let live = |id: &EntryId| self.live.contains_key(id);
        let taken = self.taken.iter();
        taken.map(move |(&document, id)| (document, *id, live(id)))
    }
}

impl Freeze for Documents {
    fn freeze(&mut self) {
        let Self { taken, live } = self;
        taken.freeze();
        live.freeze();
    }
}

/// What a unit is made of: instructions and matched trades, each with a leaf of its own.
pub(crate) enum Parts {
    One([EntryId; 1]),
    Many(Vec<EntryId>),
}

impl std::ops::Deref for Parts {
    type Target = [EntryId];
    fn deref(&self) -> &[EntryId] {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts,
        }
    }
}

/// Members of cycles that expire before their value date is over.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Expiries {
    #[n(0)]
    times: Sorted<EntryId, Timestamp>,
    #[n(1)]
    order: Sorted<(Timestamp, EntryId)>,
}

impl Expiries {
    pub(crate) fn insert(&mut self, id: EntryId, at: Timestamp) {
        self.times.insert(id, at);
        self.order.insert((at, id), ());
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: EntryId) {
        if self.times.is_empty() {
            return;
        }
        if let Some(at) = self.times.remove(&id) {
            self.order.remove(&(at, id));
        }
    }

    /// Those whose time has come, the earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = EntryId> {
        let due = self
            .order
            .iter()
            .take_while(move |((at, _), ())| *at <= now);
        due.map(|(&(_, id), ())| id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, Timestamp)> {
        self.times.iter().map(|(&id, &at)| (id, at))
    }
}

impl Freeze for Expiries {
    fn freeze(&mut self) {
        let Self { times, order } = self;
        times.freeze();
        order.freeze();
    }
}
