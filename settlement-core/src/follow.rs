//! Facts for followers: what the journal's events mean for each instruction and batch.
//!
//! A [`Follower`] is fed every event in order and keeps only what still waits: memory is that of live
//! instructions, not of all there ever were. It decides nothing, so it needs no balances or limits.

use crate::directory::Directory;
use crate::event::{Batch, Entry, Event};
use crate::ids::{BatchNumber, CycleName, Sequence, Timestamp};
use crate::instruction::Priority;
use crate::run::Bitmap;
use crate::view::{Status, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// The instructions that settle together: one, or the two sides of a trade.
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
    /// A unit settled.
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

/// Place in a queue: priority, then the sequence that gives it.
type Place = (Priority, Sequence);

/// A waiting unit; its place's sequence is its last one.
#[derive(Clone, Copy)]
struct Live {
    unit: Unit,
    priority: Priority,
    wait: Wait,
    held: bool,
}

/// What a unit waits in.
#[derive(Clone, Copy)]
enum Wait {
    Unmatched,
    Queue,
    Cycle(CycleName),
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
    /// By the sequence that gives the place.
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

    fn trade(first: Sequence, second: Sequence) -> Self {
        Self {
            sequences: [first, second],
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
                self.enter(Unit::one(sequence), order.priority, *entry, emit);
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
                let priority = one.priority.max(two.priority);
                self.enter(Unit::trade(*first, *second), priority, *entry, emit);
            }
            Event::Settled { unit } => {
                let live = self.leave(*unit);
                self.settle_gross(live.unit, emit);
            }
            Event::Rejected {
                sequence,
                rejection,
            } => {
                let live = self.leave(*sequence);
                emit_status(live.unit, Status::Rejected(*rejection), emit);
            }
            Event::Cancelled { sequence } => {
                let live = self.leave(*sequence);
                emit_status(live.unit, Status::Cancelled, emit);
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
            | Event::TokenSet(_)
            | Event::TokenRevoked { .. }
            | Event::TimeSet(_)
            | Event::RatesSet(_)
            | Event::ProviderRatesSet(_)
            | Event::RateRulesSet(_)
            | Event::QuoteRequested { .. }
            | Event::QuoteLimitSet(_)
            | Event::QuoteLocked { .. }
            | Event::Requested { .. }
            | Event::Acknowledged { .. } => {}
        }
    }

    fn enter(
        &mut self,
        unit: Unit,
        priority: Priority,
        entry: Entry,
        emit: &mut impl FnMut(Fact<'_>),
    ) {
        let wait = match entry {
            Entry::Settled => return self.settle_gross(unit, emit),
            Entry::Member(cycle) => Wait::Cycle(cycle),
            Entry::Queued => Wait::Queue,
            Entry::Unmatched => Wait::Unmatched,
        };
        let place = place_of(unit);
        if let Wait::Cycle(cycle) = wait {
            let members = self
                .cycles
                .get_mut(&cycle)
                .expect("a member's cycle is open");
            members.queue.insert((priority, place));
        }
        self.live.insert(
            place,
            Live {
                unit,
                priority,
                wait,
                held: false,
            },
        );
        emit_status(unit, self.status_of(wait), emit);
    }

    /// Takes a unit out of whatever it waits in.
    fn leave(&mut self, place: Sequence) -> Live {
        let live = self.live.remove(&place).expect("only what waits can leave");
        if let Wait::Cycle(cycle) = live.wait {
            let members = self
                .cycles
                .get_mut(&cycle)
                .expect("a member's cycle is there");
            members.queue.remove(&(live.priority, place));
        }
        live
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

    fn hold(&mut self, place: Sequence, held: bool, emit: &mut impl FnMut(Fact<'_>)) {
        let live = self
            .live
            .get_mut(&place)
            .expect("only what waits can be held");
        live.held = held;
        let (unit, wait) = (live.unit, live.wait);
        let status = if held {
            Status::Waiting(Waiting::Held)
        } else {
            self.status_of(wait)
        };
        emit_status(unit, status, emit);
    }

    /// Of a unit that is not held.
    fn status_of(&self, wait: Wait) -> Status {
        match wait {
            Wait::Unmatched => Status::Waiting(Waiting::Unmatched),
            Wait::Queue => Status::Waiting(Waiting::Liquidity),
            Wait::Cycle(cycle) if self.cycles[&cycle].closed => Status::Irrevocable(cycle),
            Wait::Cycle(cycle) => Status::Member(cycle),
        }
    }

    fn close_cycle(&mut self, name: CycleName, emit: &mut impl FnMut(Fact<'_>)) {
        let members = self.cycles.get_mut(&name).expect("it was open");
        members.closed = true;
        for (_, place) in &members.queue {
            let live = self.live[place];
            if !live.held {
                emit_status(live.unit, Status::Irrevocable(name), emit);
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
            .filter(|(_, place)| !self.live[place].held)
            .collect();
        let count = u32::try_from(waiting.len()).expect("a run's units are numbered with u32");
        let settled = Bitmap::from_bytes(count, settled).expect("one bit per waiting member");
        let mut leaves = Vec::with_capacity(batch.member_count as usize);
        for (index, bit) in (0..).zip(settled.iter_set()) {
            let place = waiting[bit as usize];
            members.queue.remove(&place);
            let live = self.live.remove(&place.1).expect("a member waits");
            leaves.push(BatchMember::Unit(live.unit));
            emit_settled(live.unit, batch.number, index, emit);
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
            let live = self.live.get_mut(&place.1).expect("a member waits");
            live.wait = Wait::Cycle(into);
            if !live.held {
                emit_status(live.unit, Status::Member(into), emit);
            }
            let next = self.cycles.get_mut(&into).expect("the next cycle is open");
            next.queue.insert(place);
        }
    }
}

fn place_of(unit: Unit) -> Sequence {
    unit.sequences[1]
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
