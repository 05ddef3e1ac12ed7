//! Facts for followers: what the journal's events mean for each instruction and batch.
//!
//! A [`Follower`] is fed every event in order and keeps only what still waits: memory is that of live
//! instructions, not of all there ever were. It decides nothing, so it needs no balances or limits.

use crate::conditions::Progress;
use crate::directory::Directory;
use crate::event::{Batch, Entry, Event};
use crate::ids::{BatchNumber, CycleName, Sequence, Timestamp};
use crate::instruction::Priority;
use crate::run::Bitmap;
use crate::view::{Status, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// What is one leaf: one instruction, or the two sides of a trade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unit {
    sequences: [Sequence; 2],
    count: usize,
}

/// A batch's member, in leaf order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchMember {
    /// One instruction or a matched trade.
    Unit(Unit),
    /// A movement, by its command.
    Movement(Sequence),
}

/// What a follower learns from events.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact<'a> {
    /// An instruction's status changed.
    Status {
        /// The instruction.
        sequence: Sequence,
        /// Where it stands now. A queued one is always `Waiting(Liquidity)`: whether it waits behind
        /// another is the live state's to say.
        status: Status,
        /// The other side of its trade.
        matched_with: Option<Sequence>,
    },
    /// An instruction of the gross lane has this place in the queues. It comes with the status of one that
    /// starts to wait there, and when its priority is changed.
    Queued {
        /// The instruction.
        sequence: Sequence,
        /// Its unit's priority.
        priority: Priority,
        /// The input that gives its place among those of one priority.
        rank: Sequence,
        /// What names its unit: a trade's second side, the last of a group, or itself.
        unit: Sequence,
    },
    /// A leaf settled. Those of a group settle together, one after the other.
    UnitSettled {
        /// One instruction, or the two sides of a trade, in sequence order.
        unit: &'a [Sequence],
        /// In this batch, which for the gross lane is still open.
        batch: BatchNumber,
        /// As this leaf, from 0.
        member_index: u32,
    },
    /// A movement settled.
    MovementSettled {
        /// Of its command.
        sequence: Sequence,
        /// In this batch, which is still open.
        batch: BatchNumber,
        /// As this leaf, from 0.
        member_index: u32,
    },
    /// A batch closed.
    BatchClosed {
        /// The batch.
        batch: &'a Batch,
        /// In leaf order.
        members: Vec<BatchMember>,
    },
}

/// Place in a queue: priority, the input that gives it, and the sequence that names the unit.
type Place = (Priority, Sequence, Sequence);

/// A waiting unit, named by its last instruction.
struct Live {
    /// Of a group, all but the last.
    others: Vec<Unit>,
    unit: Unit,
    place: Place,
    wait: Wait,
    held: bool,
}

/// What a unit waits for.
enum Wait {
    Unmatched,
    Conditions(Box<Progress>),
    Group,
    Queue,
    Cycle(CycleName),
}

/// What goes on: parts in the order of their leaves, the one that names it last.
struct Entrance {
    others: Vec<Unit>,
    unit: Unit,
    place: Place,
    wait: Option<Wait>,
}

/// One cycle's unsettled members in queue order.
#[derive(Default)]
struct Members {
    closed: bool,
    queue: BTreeSet<Place>,
}

/// Follows the journal's events in order.
#[derive(Default)]
pub struct Follower {
    directory: Directory,
    /// By the sequence that names the unit.
    live: BTreeMap<Sequence, Live>,
    cycles: BTreeMap<CycleName, Members>,
    gross_members: Vec<BatchMember>,
    gross_number: Option<BatchNumber>,
    /// The last number that a batch took.
    batches: BatchNumber,
}

impl Unit {
    fn one(sequence: Sequence) -> Self {
        Self {
            sequences: [sequence; 2],
            count: 1,
        }
    }

    fn trade(one: Sequence, other: Sequence) -> Self {
        Self {
            sequences: [one.min(other), one.max(other)],
            count: 2,
        }
    }

    /// The instructions, in sequence order.
    pub fn as_slice(&self) -> &[Sequence] {
        &self.sequences[..self.count]
    }

    fn matched_with(&self, sequence: Sequence) -> Option<Sequence> {
        let mut others = self.as_slice().iter().copied();
        others.find(|&other| other != sequence)
    }
}

impl Follower {
    /// At the journal's beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who and what there is, as of the last event.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Takes one event of the input `sequence`; tells what it means.
    /// Panics if events are left out.
    pub fn observe(
        &mut self,
        sequence: Sequence,
        _now: Timestamp,
        event: &Event,
        emit: &mut impl FnMut(Fact<'_>),
    ) {
        match event {
            Event::Accepted { order, entry } => {
                let progress = order.conditions.as_deref().map(Progress::new);
                let conditions = progress.map(|progress| Wait::Conditions(Box::new(progress)));
                let unit = Unit::one(sequence);
                let place = (order.priority, sequence, sequence);
                let wait = wait_of(*entry, conditions);
                self.enter(Entrance::of(unit, place, wait), emit);
            }
            Event::Refused { rejection, .. } => {
                emit_status(Unit::one(sequence), Status::Rejected(*rejection), emit);
            }
            Event::Matched {
                first,
                second,
                entry,
            } => {
                let (one, two) = (self.leave(*first), self.leave(*second));
                let place = (one.place.0.max(two.place.0), sequence, *second);
                let unit = Unit::trade(*first, *second);
                self.enter(Entrance::of(unit, place, wait_of(*entry, None)), emit);
            }
            Event::Approved { sequence, approver } => {
                self.progress(*sequence, emit, |progress| {
                    let named = progress.approver(*approver);
                    progress.approve(named.expect("decided: it is named"));
                });
            }
            Event::PreimageShown { sequence, .. } => {
                self.progress(*sequence, emit, Progress::show_preimage);
            }
            Event::Released {
                sequence: released,
                entry,
            } => {
                let live = self.leave(*released);
                let place = (live.place.0, sequence, *released);
                self.enter(Entrance::of(live.unit, place, wait_of(*entry, None)), emit);
            }
            Event::GroupFormed { units, entry } => {
                let mut parts: Vec<Live> = units.iter().map(|&unit| self.leave(unit)).collect();
                let last = parts.pop().expect("a group has members");
                let priorities = parts.iter().map(|live| live.place.0);
                let priority = priorities.fold(last.place.0, Priority::max);
                let entrance = Entrance {
                    others: parts.into_iter().map(|live| live.unit).collect(),
                    unit: last.unit,
                    place: (priority, sequence, last.place.2),
                    wait: wait_of(*entry, None),
                };
                self.enter(entrance, emit);
            }
            Event::PrioritySet { unit, priority } => {
                let live = self.live.get_mut(unit).expect("it waits");
                live.place.0 = *priority;
                live.emit_place(emit);
            }
            Event::Settled { unit } => {
                let live = self.leave(*unit);
                live.parts().for_each(|part| self.settle_gross(part, emit));
            }
            Event::Rejected {
                sequence,
                rejection,
            } => {
                let live = self.leave(*sequence);
                live.emit(Status::Rejected(*rejection), emit);
            }
            Event::Cancelled { sequence } => {
                let live = self.leave(*sequence);
                live.emit(Status::Cancelled, emit);
            }
            Event::Held { unit, held } => self.hold(*unit, *held, emit),
            Event::Moved { .. } => {
                let (batch, member_index) = self.admit(BatchMember::Movement(sequence));
                emit(Fact::MovementSettled {
                    sequence,
                    batch,
                    member_index,
                });
            }
            Event::CycleOpened { cycle, .. } => {
                self.cycles.insert(*cycle, Members::default());
            }
            Event::CycleClosed { cycle } => self.close_cycle(*cycle, emit),
            Event::CycleRan {
                cycle,
                settled,
                batch,
                ..
            } => self.run(*cycle, settled, batch, emit),
            Event::CycleCompleted { cycle, into } => self.complete(*cycle, *into, emit),
            Event::GrossBatchClosed(batch) => {
                self.gross_number = None;
                let members = std::mem::take(&mut self.gross_members);
                emit(Fact::BatchClosed { batch, members });
            }
            Event::AssetSet(_) | Event::ParticipantSet { .. } | Event::AccountSet(_) => {
                self.directory.apply(event);
            }
            Event::CycleScheduled { .. }
            | Event::CycleRanEmpty { .. }
            | Event::SchemeNamed { .. }
            | Event::LimitSet(_)
            | Event::CutOffsSet(_)
            | Event::ReservationSet(_)
            | Event::RiskSet(_)
            | Event::CycleValued { .. }
            | Event::TokenSet(_)
            | Event::TokenRevoked { .. }
            | Event::TimeSet(_)
            | Event::AssetCutOffSet(_)
            | Event::AssetDaySet(_)
            | Event::RatesSet(_)
            | Event::ProviderRatesSet(_)
            | Event::RateRulesSet(_)
            | Event::QuoteRequested { .. }
            | Event::QuoteLimitSet(_)
            | Event::QuoteLocked { .. }
            | Event::IdentitiesAged { .. }
            | Event::IdentitiesLeft { .. }
            | Event::Requested { .. }
            | Event::Acknowledged { .. } => {}
        }
    }

    fn enter(&mut self, entrance: Entrance, emit: &mut impl FnMut(Fact<'_>)) {
        let Entrance {
            others,
            unit,
            place,
            wait,
        } = entrance;
        let Some(wait) = wait else {
            let parts = others.into_iter().chain([unit]);
            return parts.for_each(|part| self.settle_gross(part, emit));
        };
        if let Wait::Cycle(cycle) = wait {
            let members = self
                .cycles
                .get_mut(&cycle)
                .expect("a member's cycle is open");
            members.queue.insert(place);
        }
        let live = Live {
            others,
            unit,
            place,
            wait,
            held: false,
        };
        live.emit(self.status_of(&live.wait), emit);
        live.emit_place(emit);
        self.live.insert(place.2, live);
    }

    /// Takes a unit out of whatever it waits in.
    fn leave(&mut self, name: Sequence) -> Live {
        let live = self.live.remove(&name).expect("only what waits can leave");
        if let Wait::Cycle(cycle) = live.wait {
            let members = self
                .cycles
                .get_mut(&cycle)
                .expect("a member's cycle is there");
            members.queue.remove(&live.place);
        }
        live
    }

    /// A condition came true: it may wait for another one now.
    fn progress(
        &mut self,
        name: Sequence,
        emit: &mut impl FnMut(Fact<'_>),
        change: impl FnOnce(&mut Progress),
    ) {
        let live = self.live.get_mut(&name).expect("it waits");
        let Wait::Conditions(progress) = &mut live.wait else {
            panic!("decided: it waits for conditions of its own");
        };
        change(progress);
        let status = Status::Waiting(progress.waits_for());
        if !live.held {
            live.emit(status, emit);
        }
    }

    fn admit(&mut self, member: BatchMember) -> (BatchNumber, u32) {
        let index = u32::try_from(self.gross_members.len()).expect("members are numbered with u32");
        self.gross_members.push(member);
        let next = self.batches + 1;
        let number = *self.gross_number.get_or_insert(next);
        self.batches = number;
        (number, index)
    }

    fn settle_gross(&mut self, unit: Unit, emit: &mut impl FnMut(Fact<'_>)) {
        let (batch, member_index) = self.admit(BatchMember::Unit(unit));
        emit_settled(unit, batch, member_index, emit);
    }

    fn hold(&mut self, name: Sequence, held: bool, emit: &mut impl FnMut(Fact<'_>)) {
        let live = self
            .live
            .get_mut(&name)
            .expect("only what waits can be held");
        live.held = held;
        let live = &self.live[&name];
        let status = if held {
            Status::Waiting(Waiting::Held)
        } else {
            self.status_of(&live.wait)
        };
        live.emit(status, emit);
    }

    /// Of a unit that is not held.
    fn status_of(&self, wait: &Wait) -> Status {
        match wait {
            Wait::Unmatched => Status::Waiting(Waiting::Unmatched),
            Wait::Conditions(progress) => Status::Waiting(progress.waits_for()),
            Wait::Group => Status::Waiting(Waiting::Group),
            Wait::Queue => Status::Waiting(Waiting::Liquidity),
            Wait::Cycle(cycle) if self.cycles[cycle].closed => Status::Irrevocable(*cycle),
            Wait::Cycle(cycle) => Status::Member(*cycle),
        }
    }

    fn close_cycle(&mut self, name: CycleName, emit: &mut impl FnMut(Fact<'_>)) {
        let members = self.cycles.get_mut(&name).expect("it was open");
        members.closed = true;
        for (.., unit) in &members.queue {
            let live = &self.live[unit];
            if !live.held {
                live.emit(Status::Irrevocable(name), emit);
            }
        }
    }

    fn run(
        &mut self,
        name: CycleName,
        settled: &[u8],
        batch: &Batch,
        emit: &mut impl FnMut(Fact<'_>),
    ) {
        let members = self.cycles.get_mut(&name).expect("it was closed");
        let waiting: Vec<Place> = members
            .queue
            .iter()
            .copied()
            .filter(|(.., unit)| !self.live[unit].held)
            .collect();
        let count = u32::try_from(waiting.len()).expect("a run's units are numbered with u32");
        let settled = Bitmap::from_bytes(count, settled).expect("one bit per waiting member");
        let mut leaves = Vec::with_capacity(batch.member_count as usize);
        for bit in settled.iter_set() {
            let place = waiting[bit as usize];
            members.queue.remove(&place);
            let live = self.live.remove(&place.2).expect("a member waits");
            for part in live.parts() {
                let index = u32::try_from(leaves.len()).expect("leaves are numbered with u32");
                leaves.push(BatchMember::Unit(part));
                emit_settled(part, batch.number, index, emit);
            }
        }
        self.batches = batch.number;
        emit(Fact::BatchClosed {
            batch,
            members: leaves,
        });
    }

    fn complete(
        &mut self,
        name: CycleName,
        into: Option<CycleName>,
        emit: &mut impl FnMut(Fact<'_>),
    ) {
        let members = self.cycles.remove(&name).expect("it was closed");
        let Some(into) = into else {
            return;
        };
        for place in members.queue {
            let live = self.live.get_mut(&place.2).expect("a member waits");
            live.wait = Wait::Cycle(into);
            if !live.held {
                live.emit(Status::Member(into), emit);
            }
            let next = self.cycles.get_mut(&into).expect("the next cycle is open");
            next.queue.insert(place);
        }
    }
}

impl Entrance {
    fn of(unit: Unit, place: Place, wait: Option<Wait>) -> Self {
        Self {
            others: Vec::new(),
            unit,
            place,
            wait,
        }
    }
}

impl Live {
    /// In the order of leaves.
    fn parts(&self) -> impl Iterator<Item = Unit> {
        self.others.iter().copied().chain([self.unit])
    }

    fn emit(&self, status: Status, emit: &mut impl FnMut(Fact<'_>)) {
        self.parts()
            .for_each(|part| emit_status(part, status, emit));
    }

    /// Tells the place of one that waits in the gross lane's queues.
    fn emit_place(&self, emit: &mut impl FnMut(Fact<'_>)) {
        let Wait::Queue = self.wait else { return };
        let (priority, rank, unit) = self.place;
        for part in self.parts() {
            for &sequence in part.as_slice() {
                emit(Fact::Queued {
                    sequence,
                    priority,
                    rank,
                    unit,
                });
            }
        }
    }
}

/// `None` if it settled at once. `conditions` is what a conditional one waits for.
fn wait_of(entry: Entry, conditions: Option<Wait>) -> Option<Wait> {
    match entry {
        Entry::Settled => None,
        Entry::Member(cycle) => Some(Wait::Cycle(cycle)),
        Entry::Queued => Some(Wait::Queue),
        Entry::Unmatched => Some(Wait::Unmatched),
        Entry::Conditional => Some(conditions.expect("a conditional one has conditions")),
        Entry::Grouped => Some(Wait::Group),
    }
}

fn emit_status(unit: Unit, status: Status, emit: &mut impl FnMut(Fact<'_>)) {
    for &sequence in unit.as_slice() {
        let matched_with = unit.matched_with(sequence);
        emit(Fact::Status {
            sequence,
            status,
            matched_with,
        });
    }
}

fn emit_settled(
    unit: Unit,
    batch: BatchNumber,
    member_index: u32,
    emit: &mut impl FnMut(Fact<'_>),
) {
    emit_status(unit, Status::Settled { batch }, emit);
    emit(Fact::UnitSettled {
        unit: unit.as_slice(),
        batch,
        member_index,
    });
}
