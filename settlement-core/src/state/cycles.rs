//! Cycles as the state holds them: members in queue order, funds, schedule.
//!
//! Members lie in three lists, one per priority, each in order of place: together they are the queue.
//! A list is a struct of arrays, about 25 bytes for a one-leg unit, and is never re-ordered but when
//! members rolled over from another cycle, and then once, at the close. Frozen views share all of it;
//! what changes after a member joined, its flags, lies apart from its legs, so that a run copies little.

use super::identities::EntryId;
use super::queues::{Place, Rank};
use crate::chunks::Chunks;
use crate::command::CutOffPurpose;
use crate::event::{CycleCalendar, ScheduleLine};
use crate::ids::{AccountId, AssetId, BatchNumber, CycleName, Timestamp};
use crate::instruction::Priority;
use crate::netting::BilateralNet;
use crate::risk::{FrozenValue, Model};
use crate::run::{Bitmap, Cap, Leg, Problem};
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::view::CycleState;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// Neither an account's debits or credits in a cycle, nor an asset's total, may exceed this many minor
/// units: funds, nets, and their sum then fit an `i64`.
pub(crate) const ACCOUNT_SUM_MAX: i64 = 4_000_000_000_000_000_000;

const HELD: u8 = 1;
const SETTLED: u8 = 2;
const GONE: u8 = 4;

const PRIORITIES: [Priority; 3] = [Priority::Urgent, Priority::High, Priority::Normal];

/// Minor units by account, grown as needed.
pub(crate) type Amounts = Chunks<i64, 128>;

/// Units whose legs lie together.
const PAGE_UNITS: usize = 128;

/// The legs of up to [`PAGE_UNITS`] units.
#[derive(Clone, Default)]
struct LegPage {
    ends: Vec<u32>,
    legs: Vec<Leg>,
}

/// Units of one priority.
#[derive(Clone, Default)]
struct Units {
    places: Chunks<EntryId>,
    flags: Chunks<u8, 1024>,
    /// Full ones, which never change.
    pages: Chunks<Arc<LegPage>, 64>,
    /// The one that fills.
    page: LegPage,
    /// Places in time of those that took theirs later than they came.
    late: Sorted<EntryId, Rank>,
    /// A unit that rolled over came after one with a later place.
    disordered: bool,
}

impl LegPage {
    fn legs(&self, at: usize) -> &[Leg] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.legs[start as usize..self.ends[at] as usize]
    }
}

/// A member, as its cycle sees it.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) place: EntryId,
    pub(crate) rank: Rank,
    pub(crate) priority: Priority,
    pub(crate) held: bool,
    pub(crate) settled: bool,
    pub(crate) legs: &'a [Leg],
}

impl Units {
    fn legs(&self, at: usize) -> &[Leg] {
        let page = self.pages.get(at / PAGE_UNITS);
        page.map_or(&self.page, |page| &**page)
            .legs(at % PAGE_UNITS)
    }

    #[inline]
    fn rank(&self, place: EntryId) -> Rank {
        if self.late.is_empty() {
            return Rank::of(place);
        }
        self.late.get(&place).copied().unwrap_or(Rank::of(place))
    }

    fn push(&mut self, place: EntryId, rank: Rank, flags: u8, legs: impl Iterator<Item = Leg>) {
        if self.page.ends.len() == PAGE_UNITS {
            self.pages.push(Arc::new(std::mem::take(&mut self.page)));
        }
        let last = self.places.last();
        self.disordered |= last.is_some_and(|&last| (self.rank(last), last) > (rank, place));
        if rank != Rank::of(place) {
            self.late.insert(place, rank);
        }
        self.places.push(place);
        self.flags.push(flags);
        self.page.legs.extend(legs);
        let end = u32::try_from(self.page.legs.len()).expect("a page has few legs");
        self.page.ends.push(end);
    }

    /// Drops what is gone, and puts what rolled over into its place.
    fn tidy(&mut self) {
        if !self.disordered && self.flags.iter().all(|flags| flags & GONE == 0) {
            return;
        }
        let mut order: Vec<usize> = (0..self.places.len())
            .filter(|&at| self.flags[at] & GONE == 0)
            .collect();
        order.sort_by_key(|&at| (self.rank(self.places[at]), self.places[at]));
        let mut tidy = Self::default();
        for at in order {
            tidy.push(
                self.places[at],
                self.rank(self.places[at]),
                self.flags[at],
                self.legs(at).iter().copied(),
            );
        }
        *self = tidy;
    }

    /// Where a unit is; after a roll-over the list is not in order until it is tidied.
    fn find(&self, place: EntryId) -> Option<usize> {
        let live = |at: &usize| self.places[*at] == place && self.flags[*at] & GONE == 0;
        if self.disordered {
            return (0..self.places.len()).find(live);
        }
        let wanted = (self.rank(place), place);
        let found = self
            .places
            .binary_search_by_key(&wanted, |&place| (self.rank(place), place));
        found.ok().filter(live)
    }
}

impl Freeze for Units {
    fn freeze(&mut self) {
        let Self {
            places,
            flags,
            pages,
            page: _,
            late,
            disordered: _,
        } = self;
        places.freeze();
        flags.freeze();
        pages.freeze();
        late.freeze();
    }
}

/// Sums of legs by account, grown as needed.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Sums {
    #[n(0)]
    debits: Amounts,
    #[n(1)]
    credits: Amounts,
}

impl Freeze for Sums {
    fn freeze(&mut self) {
        let Self { debits, credits } = self;
        debits.freeze();
        credits.freeze();
    }
}

impl Sums {
    /// Whether legs, added to these sums together, keep every account's within [`ACCOUNT_SUM_MAX`].
    #[inline]
    pub(crate) fn fit(sums: &[&Self], legs: impl Iterator<Item = Leg> + Clone) -> bool {
        legs.clone().all(|leg| {
            let (debtor, creditor) = (AccountId(leg.debtor), AccountId(leg.creditor));
            let (mut debits, mut credits) = (0_i128, 0_i128);
            for sums in sums {
                debits += i128::from(at(&sums.debits, debtor));
                credits += i128::from(at(&sums.credits, creditor));
            }
            for other in legs.clone() {
                debits += i128::from(other.debtor == leg.debtor) * i128::from(other.amount);
                credits += i128::from(other.creditor == leg.creditor) * i128::from(other.amount);
            }
            debits.max(credits) <= i128::from(ACCOUNT_SUM_MAX)
        })
    }

    pub(crate) fn add(&mut self, legs: &[Leg], sign: i64) {
        for leg in legs {
            *at_mut(&mut self.debits, AccountId(leg.debtor)) += sign * leg.amount;
            *at_mut(&mut self.credits, AccountId(leg.creditor)) += sign * leg.amount;
        }
    }
}

/// One cycle.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Cycle {
    #[n(0)]
    pub(crate) name: CycleName,
    #[n(1)]
    pub(crate) state: CycleState,
    #[n(2)]
    pub(crate) cut_off: Timestamp,
    #[n(3)]
    pub(crate) pay_in_deadline: Timestamp,
    #[n(4)]
    pub(crate) completion_deadline: Timestamp,
    #[n(5)]
    pub(crate) calendar: CycleCalendar,
    #[cbor(n(26), default)]
    pub(crate) model: Model,
    /// What assets count for, frozen at the close, by asset.
    #[cbor(n(27), default)]
    pub(crate) values: Vec<FrozenValue>,
    #[n(6)]
    units: [Units; 3],
    /// Of members that are not held, settled ones included.
    #[n(7)]
    sums: Sums,
    #[n(8)]
    held_sums: Sums,
    #[n(9)]
    pub(crate) funds: Amounts,
    #[n(10)]
    pub(crate) opening_funds: Amounts,
    /// Since the close.
    #[n(11)]
    pub(crate) paid_in: Amounts,
    #[n(12)]
    pub(crate) paid_out: Amounts,
    #[n(13)]
    pub(crate) schedule_version: u32,
    #[n(14)]
    pub(crate) schedule_reason: String,
    #[cbor(n(15), with = "crate::shared::arc")]
    pub(crate) lines: Arc<Vec<ScheduleLine>>,
    #[cbor(n(16), with = "crate::record::wide")]
    pub(crate) gross_value: i128,
    #[cbor(n(17), with = "crate::record::wide")]
    pub(crate) net_value: i128,
    /// Raised by every change of what a run reads.
    #[n(18)]
    pub(crate) version: u64,
    /// The version of which a run's outcome is known.
    #[n(19)]
    pub(crate) ran: Option<u64>,
    /// Of the caps that the last run read: what it left of their room. More calls for another run.
    #[cbor(n(28), default)]
    pub(crate) rooms: Vec<Cap>,
    #[n(20)]
    pub(crate) batches: Vec<BatchNumber>,
    /// As they were at completion.
    #[cbor(n(21), with = "crate::shared::arc")]
    pub(crate) bilateral: Arc<Vec<BilateralNet>>,
    /// Instructions.
    #[n(22)]
    pub(crate) members: u64,
    #[n(23)]
    pub(crate) settled: u64,
    /// Units.
    #[n(24)]
    unsettled_units: u64,
    #[n(25)]
    held_units: u64,
}

/// The value at an account, 0 where none was set.
pub(crate) fn at(values: &Amounts, account: AccountId) -> i64 {
    values.get(account.0 as usize).copied().unwrap_or(0)
}

/// The value at an account, to be changed.
pub(crate) fn at_mut(values: &mut Amounts, account: AccountId) -> &mut i64 {
    let index = account.0 as usize;
    values.grow(index + 1, 0);
    &mut values[index]
}

fn list_of(priority: Priority) -> usize {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
    }
}

impl Cycle {
    pub(crate) fn new(
        name: CycleName,
        cut_off: Timestamp,
        pay_in_deadline: Timestamp,
        completion_deadline: Timestamp,
    ) -> Self {
        Self {
            name,
            state: CycleState::Open,
            cut_off,
            pay_in_deadline,
            completion_deadline,
            calendar: CycleCalendar::default(),
            model: Model::default(),
            values: Vec::new(),
            units: Default::default(),
            sums: Sums::default(),
            held_sums: Sums::default(),
            funds: Amounts::default(),
            opening_funds: Amounts::default(),
            paid_in: Amounts::default(),
            paid_out: Amounts::default(),
            schedule_version: 0,
            schedule_reason: String::new(),
            lines: Arc::default(),
            gross_value: 0,
            net_value: 0,
            version: 0,
            ran: None,
            rooms: Vec::new(),
            batches: Vec::new(),
            bilateral: Arc::default(),
            members: 0,
            settled: 0,
            unsettled_units: 0,
            held_units: 0,
        }
    }

    /// Whether it takes instructions at that time.
    pub(crate) fn takes(&self, now: Timestamp) -> bool {
        self.state == CycleState::Open && now < self.cut_off
    }

    /// An asset's own cut-off, as it was when the cycle opened.
    pub(crate) fn cut_off_of(&self, asset: AssetId, purpose: CutOffPurpose) -> Option<Timestamp> {
        let cut_offs = &self.calendar.cut_offs;
        let found = cut_offs.binary_search_by_key(&(asset, purpose), |at| (at.asset, at.purpose));
        found.ok().map(|at| cut_offs[at].instant)
    }

    /// Until when an asset is to be paid in: its own deadline, but never later than the cycle's.
    pub(crate) fn pay_in_deadline_of(&self, asset: AssetId) -> Timestamp {
        let own = self.cut_off_of(asset, CutOffPurpose::PayIn);
        own.map_or(self.pay_in_deadline, |own| own.min(self.pay_in_deadline))
    }

    /// Whether these legs keep every account's sums within [`ACCOUNT_SUM_MAX`].
    #[inline]
    pub(crate) fn has_room_for(&self, legs: impl Iterator<Item = Leg> + Clone) -> bool {
        Sums::fit(&[&self.sums, &self.held_sums], legs)
    }

    /// Sums of all members, held ones included.
    pub(crate) fn all_sums(&self) -> Sums {
        let mut sums = self.sums.clone();
        let held = &self.held_sums;
        for (all, held) in [
            (&mut sums.debits, &held.debits),
            (&mut sums.credits, &held.credits),
        ] {
            for (account, amount) in (0..).zip(held.iter()) {
                *at_mut(all, AccountId(account)) += amount;
            }
        }
        sums
    }

    /// Takes a unit in at the end of its priority's list.
    pub(crate) fn push(
        &mut self,
        (priority, rank, place): Place,
        held: bool,
        instructions: u64,
        legs: impl Iterator<Item = Leg>,
    ) {
        let units = &mut self.units[list_of(priority)];
        units.push(place, rank, if held { HELD } else { 0 }, legs);
        let sums = if held {
            &mut self.held_sums
        } else {
            &mut self.sums
        };
        sums.add(units.legs(units.places.len() - 1), 1);
        self.members += instructions;
        self.unsettled_units += 1;
        self.held_units += u64::from(held);
        self.version += 1;
    }

    fn locate(&self, place: EntryId) -> (usize, usize) {
        let found = (0..3).find_map(|list| Some((list, self.units[list].find(place)?)));
        found.expect("a member's standing names its cycle")
    }

    /// The legs of a member.
    pub(crate) fn legs(&self, place: EntryId) -> &[Leg] {
        let (list, at) = self.locate(place);
        self.units[list].legs(at)
    }

    /// An unsettled member leaves.
    pub(crate) fn remove(&mut self, place: EntryId, instructions: u64) {
        let (list, unit) = self.locate(place);
        let held = self.units[list].flags[unit] & HELD != 0;
        let sums = if held {
            &mut self.held_sums
        } else {
            &mut self.sums
        };
        sums.add(self.units[list].legs(unit), -1);
        self.units[list].flags[unit] |= GONE;
        if self.state == CycleState::Open {
            self.members -= instructions;
        }
        self.unsettled_units -= 1;
        self.held_units -= u64::from(held);
        self.version += 1;
    }

    /// An unsettled member is held, or is no longer.
    pub(crate) fn hold(&mut self, place: EntryId, held: bool) {
        let (list, unit) = self.locate(place);
        let flags = &mut self.units[list].flags[unit];
        if (*flags & HELD != 0) == held {
            return;
        }
        *flags ^= HELD;
        if held {
            self.held_units += 1;
        } else {
            self.held_units -= 1;
        }
        let (from, into) = if held {
            (&mut self.sums, &mut self.held_sums)
        } else {
            (&mut self.held_sums, &mut self.sums)
        };
        let legs = self.units[list].legs(unit);
        from.add(legs, -1);
        into.add(legs, 1);
        self.version += 1;
    }

    /// Fixes the members and the opening funds.
    pub(crate) fn close(&mut self) {
        self.units.iter_mut().for_each(Units::tidy);
        self.state = CycleState::Closed;
        self.opening_funds = self.funds.clone();
        self.version += 1;
    }

    /// All members, in queue order once closed.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.units
            .iter()
            .zip(PRIORITIES)
            .flat_map(|(units, priority)| {
                let live = (0..units.places.len()).filter(|&at| units.flags[at] & GONE == 0);
                live.map(move |at| Member {
                    place: units.places[at],
                    rank: units.rank(units.places[at]),
                    priority,
                    held: units.flags[at] & HELD != 0,
                    settled: units.flags[at] & SETTLED != 0,
                    legs: units.legs(at),
                })
            })
    }

    /// Members that a run may settle, in queue order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Member<'_>> {
        self.members()
            .filter(|member| !member.held && !member.settled)
    }

    /// How many a run may settle.
    pub(crate) fn waiting_count(&self) -> u64 {
        self.unsettled_units - self.held_units
    }

    /// Units that are not settled, held ones included.
    pub(crate) fn unsettled_count(&self) -> u64 {
        self.unsettled_units
    }

    /// Marks as settled those of [`Cycle::waiting`] whose bit is set, and answers their places.
    pub(crate) fn settle(&mut self, settled: &Bitmap) -> Vec<EntryId> {
        let mut bit = 0;
        let mut places = Vec::with_capacity(settled.set_count() as usize);
        for units in &mut self.units {
            for at in 0..units.places.len() {
                if units.flags[at] != 0 {
                    continue;
                }
                if settled.get(bit) {
                    units.flags[at] |= SETTLED;
                    places.push(units.places[at]);
                }
                bit += 1;
            }
        }
        self.unsettled_units -= places.len() as u64;
        places
    }

    /// What a run would read, given its accounts and tests.
    pub(crate) fn problem(&self, empty: Problem) -> Problem {
        let mut problem = empty;
        let units = usize::try_from(self.waiting_count()).expect("units are in memory");
        // Most have one leg.
        problem.reserve(units, units);
        for member in self.waiting() {
            let pushed = problem.push_unit(member.legs);
            pushed.expect("members were checked when they were accepted");
        }
        problem
    }

    /// Multilateral net of the members that are not held.
    pub(crate) fn net(&self, account: AccountId) -> i64 {
        at(&self.sums.credits, account) - at(&self.sums.debits, account)
    }

    /// What the account receives from members that are not held, before netting.
    pub(crate) fn credit(&self, account: AccountId) -> i64 {
        at(&self.sums.credits, account)
    }

    /// Its line of the current schedule.
    pub(crate) fn line(&self, account: AccountId) -> Option<&ScheduleLine> {
        let found = self
            .lines
            .binary_search_by_key(&account, |line| line.account);
        found.ok().map(|at| &self.lines[at])
    }

    /// Whether all that the current schedule calls for is paid in.
    pub(crate) fn is_funded(&self) -> bool {
        let paid = |line: &ScheduleLine| at(&self.paid_in, line.account) >= line.pay_in_due;
        self.lines.iter().all(paid)
    }

    /// Whether a run's outcome is known for the inputs as they are.
    pub(crate) fn has_run(&self) -> bool {
        self.ran == Some(self.version)
    }

    /// Lets go of the members; sums and schedule stay.
    pub(crate) fn drop_members(&mut self) {
        self.units = Default::default();
        self.unsettled_units = 0;
        self.held_units = 0;
    }
}

impl Freeze for Cycle {
    fn freeze(&mut self) {
        let Self {
            name: _,
            state: _,
            cut_off: _,
            pay_in_deadline: _,
            completion_deadline: _,
            calendar: _,
            model: _,
            values: _,
            units,
            sums,
            held_sums,
            funds,
            opening_funds,
            paid_in,
            paid_out,
            schedule_version: _,
            schedule_reason: _,
            lines: _,
            gross_value: _,
            net_value: _,
            version: _,
            ran: _,
            rooms: _,
            batches: _,
            bilateral: _,
            members: _,
            settled: _,
            unsettled_units: _,
            held_units: _,
        } = self;
        units.iter_mut().for_each(Freeze::freeze);
        sums.freeze();
        held_sums.freeze();
        for amounts in [funds, opening_funds, paid_in, paid_out] {
            amounts.freeze();
        }
    }
}

/// All cycles, in the order of opening. Completed ones hardly change, and share one allocation each
/// with every view.
#[derive(Clone, Default)]
pub(crate) struct Cycles {
    live: Vec<(usize, Cycle)>,
    /// By index; `None` while live.
    completed: Chunks<Option<Arc<Cycle>>, 64>,
}

impl Cycles {
    pub(crate) fn len(&self) -> usize {
        self.completed.len()
    }

    pub(crate) fn push(&mut self, cycle: Cycle) {
        self.live.push((self.len(), cycle));
        self.completed.push(None);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cycle> {
        (0..self.len()).map(|index| &self[index])
    }

    /// A live cycle is completed.
    pub(crate) fn complete(&mut self, index: usize) {
        let at = self.live.iter().position(|(live, _)| *live == index);
        let (_, mut cycle) = self.live.remove(at.expect("a live cycle completes"));
        cycle.freeze();
        self.completed[index] = Some(Arc::new(cycle));
    }
}

impl Index<usize> for Cycles {
    type Output = Cycle;

    #[inline]
    fn index(&self, index: usize) -> &Cycle {
        let live = self.live.iter().find(|(live, _)| *live == index);
        match live {
            Some((_, cycle)) => cycle,
            None => self.completed[index].as_ref().expect("live or completed"),
        }
    }
}

impl IndexMut<usize> for Cycles {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut Cycle {
        let live = self.live.iter().position(|(live, _)| *live == index);
        match live {
            Some(at) => &mut self.live[at].1,
            None => {
                let completed = self.completed[index].as_mut();
                Arc::make_mut(completed.expect("live or completed"))
            }
        }
    }
}

impl Freeze for Cycles {
    fn freeze(&mut self) {
        let Self { live, completed } = self;
        live.iter_mut().for_each(|(_, cycle)| cycle.freeze());
        completed.freeze();
    }
}

/// Units one by one: how they lie in chunks is of no interest to who reads them.
impl<C> Encode<C> for Units {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.places.len() as u64)?;
        for at in 0..self.places.len() {
            let place = self.places[at];
            e.array(4)?.encode_with(place, ctx)?;
            e.encode_with(self.rank(place), ctx)?.u8(self.flags[at])?;
            self.legs(at).encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Units {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let mut units = Self::default();
        for unit in d.array_iter_with(ctx)? {
            let (place, rank, flags, legs): (EntryId, Rank, u8, Vec<Leg>) = unit?;
            units.push(place, rank, flags, legs.into_iter());
        }
        Ok(units)
    }
}

impl<C> Encode<C> for Cycles {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.len() as u64)?;
        self.iter().try_for_each(|cycle| cycle.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Cycles {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let mut cycles = Self::default();
        for cycle in d.array_iter_with(ctx)? {
            let cycle: Cycle = cycle?;
            let completed = cycle.state == CycleState::Completed;
            cycles.push(cycle);
            if completed {
                cycles.complete(cycles.len() - 1);
            }
        }
        Ok(cycles)
    }
}
