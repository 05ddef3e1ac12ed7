//! The checker: replays a trace and believes nothing. Kept short and apart from the run's own code,
//! so that a mistake in one is not a mistake in both.
//!
//! | # | phase | cost                        | what must hold                                            |
//! |---|-------|-----------------------------|-----------------------------------------------------------|
//! | 1 | hash  | O(legs)                     | the certificate is that of this input                     |
//! | 2 | start | O(legs)                     | all units settle; what fails then                         |
//! | 3 | entry | O(legs) in all, and log keys a change of a test | it is what is forced next             |
//! | 4 | end   | O(units)                    | nothing fails any more; the bitmap says what is left      |

mod holdings;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use fx::I256;
use thiserror::Error;

use self::holdings::{Holdings, Integer, fits_i128};
use super::Certificate;
use crate::run::{Bitmap, Cause, Leg, Problem, Removal};

/// A key that no unit debits.
const RANK_NONE: u32 = u32::MAX;
/// How many entries' legs are fetched at a time.
const FETCHED_ENTRIES: usize = 32;

/// What is wrong with a certificate or with the outcome that it comes with. `entry` counts the trace's
/// removals from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It is the certificate of another problem.
    #[error("input hash is not that of the problem")]
    InputDiffers,
    /// The bitmap is not one of this problem's units.
    #[error("bitmap has {actual} bits for {expected} units")]
    UnitCountDiffers {
        /// Units of the problem.
        expected: u32,
        /// Bits of the bitmap.
        actual: u32,
    },
    /// The trace does not hold what is forced after the removals before it.
    #[error("removal {entry} must be {forced:?}, but is {actual:?}")]
    RemovalDiffers {
        /// The removal.
        entry: usize,
        /// What is forced in its place: the last member of the first failing key or, while somebody
        /// stands behind one that this step removed, the next of those.
        forced: Removal,
        /// What the trace says, if it goes on.
        actual: Option<Removal>,
    },
    /// The trace goes on although no test fails any more.
    #[error("removal {entry} is not forced: no test fails")]
    RemovalNotForced {
        /// The removal.
        entry: usize,
    },
    /// The bitmap does not say what the trace leaves.
    #[error("bitmap and trace differ on unit {unit}")]
    SettledDiffers {
        /// The first unit on which they differ.
        unit: u32,
    },
}

/// Checks that `settled` is the largest feasible, order-keeping set of `problem`, that each removal of
/// the certificate was forced when it was made, and that the trace is the canonical one.
pub fn check(
    problem: &Problem,
    certificate: &Certificate,
    settled: &Bitmap,
) -> Result<(), CertificateError> {
    if certificate.input_hash != problem.hash() {
        return Err(CertificateError::InputDiffers);
    }
    let (expected, actual) = (problem.unit_count(), settled.bit_count());
    if expected != actual {
        return Err(CertificateError::UnitCountDiffers { expected, actual });
    }
    if fits_i128(problem) {
        Replay::<i128>::start(problem, &certificate.removals).check(settled)
    } else {
        Replay::<I256>::start(problem, &certificate.removals).check(settled)
    }
}

struct Replay<'a, N> {
    problem: &'a Problem,
    trace: &'a [Removal],
    /// How many entries of the trace were found to be forced.
    entry: usize,
    holdings: Holdings<'a, N>,
    /// One bit per unit that is still in the set.
    present: Vec<u64>,
    queues: Vec<Queue>,
    /// Units, key after key.
    members: Vec<u32>,
    /// Keys in order of first debit, which orders the tests.
    ranked: Vec<u32>,
    /// Ranks of all keys that fail, and of some that no longer do.
    failing: BinaryHeap<Reverse<u32>>,
}

/// `members[start..end]` are the key's, in queue order; those at the end that are no longer present are
/// dropped when the end is looked at.
#[derive(Clone, Copy)]
struct Queue {
    start: u32,
    end: u32,
    rank: u32,
    is_in_heap: bool,
}

impl<'a, N: Integer> Replay<'a, N> {
    fn start(problem: &'a Problem, trace: &'a [Removal]) -> Self {
        let queue = Queue {
            start: 0,
            end: 0,
            rank: RANK_NONE,
            is_in_heap: false,
        };
        let mut replay = Self {
            problem,
            trace,
            entry: 0,
            holdings: Holdings::new(problem),
            present: vec![u64::MAX; problem.unit_count().div_ceil(u64::BITS) as usize],
            queues: vec![queue; problem.account_count() as usize],
            members: Vec::new(),
            ranked: Vec::new(),
            failing: BinaryHeap::new(),
        };
        replay.rank();
        (0..problem.account_count()).for_each(|key| replay.look_at(key));
        if !replay.failing.is_empty() {
            replay.line_up();
        }
        replay
    }

    /// Counts each key's debits, and numbers the keys by the first.
    fn rank(&mut self) {
        for leg in self.problem.legs() {
            let key = self.holdings.key(leg.debtor);
            let queue = &mut self.queues[key as usize];
            queue.end += 1;
            if queue.rank == RANK_NONE {
                queue.rank = u32::try_from(self.ranked.len()).expect("at most one a key");
                self.ranked.push(key);
            }
        }
    }

    /// Lays the queues out. A unit is there once for each of its debits.
    fn line_up(&mut self) {
        let mut start = 0;
        for queue in &mut self.queues {
            let debits = std::mem::replace(&mut queue.end, start);
            queue.start = start;
            start += debits;
        }
        self.members = vec![0; start as usize];
        for (unit, legs) in self.problem.units() {
            for leg in legs {
                let queue = &mut self.queues[self.holdings.key(leg.debtor) as usize];
                self.members[queue.end as usize] = unit;
                queue.end += 1;
            }
        }
    }

    /// Step by step, what is forced is what the trace says.
    fn check(&mut self, settled: &Bitmap) -> Result<(), CertificateError> {
        let mut step = 0;
        while let Some((key, unit)) = self.first_failing() {
            let cause = Cause::Test { key };
            self.expect(Removal { unit, step, cause })?;
            self.follow(step)?;
            step += 1;
        }
        if self.entry < self.trace.len() {
            let entry = self.entry;
            return Err(CertificateError::RemovalNotForced { entry });
        }
        let differs = |&unit: &u32| self.is_present(unit) != settled.get(unit);
        match (0..self.problem.unit_count()).find(differs) {
            Some(unit) => Err(CertificateError::SettledDiffers { unit }),
            None => Ok(()),
        }
    }

    /// The first key, by rank, that fails and has a member, and its last.
    fn first_failing(&mut self) -> Option<(u32, u32)> {
        while let Some(&Reverse(rank)) = self.failing.peek() {
            let key = self.ranked[rank as usize];
            let last = self.last(key).filter(|_| self.holdings.fails(key));
            if let Some(unit) = last {
                return Some((key, unit));
            }
            self.queues[key as usize].is_in_heap = false;
            self.failing.pop();
        }
        None
    }

    /// The key's last present member.
    fn last(&mut self, key: u32) -> Option<u32> {
        let queue = &mut self.queues[key as usize];
        while queue.start < queue.end {
            let unit = self.members[queue.end as usize - 1];
            if self.present[word(unit)] & bit(unit) != 0 {
                return Some(unit);
            }
            queue.end -= 1;
        }
        None
    }

    /// What is forced comes next in the trace; its unit leaves the set.
    fn expect(&mut self, forced: Removal) -> Result<(), CertificateError> {
        let (entry, actual) = (self.entry, self.trace.get(self.entry).copied());
        if actual != Some(forced) {
            return Err(CertificateError::RemovalDiffers {
                entry,
                forced,
                actual,
            });
        }
        self.present[word(forced.unit)] &= !bit(forced.unit);
        self.entry += 1;
        Ok(())
    }

    /// From the entry that started the step on: each unit's legs are undone, and all behind it go.
    fn follow(&mut self, step: u32) -> Result<(), CertificateError> {
        let mut cursor = self.entry - 1;
        while cursor < self.entry {
            if cursor.is_multiple_of(FETCHED_ENTRIES) {
                self.fetch(cursor);
            }
            let behind = self.trace[cursor].unit;
            for leg in self.problem.unit(behind) {
                self.holdings.undo(leg);
                let key = self.holdings.key(leg.debtor);
                while let Some(unit) = self.last(key).filter(|&unit| unit > behind) {
                    let cause = Cause::Order { key, behind };
                    self.expect(Removal { unit, step, cause })?;
                }
                self.look_at(key);
                self.look_at(self.holdings.key(leg.creditor));
            }
            cursor += 1;
        }
        Ok(())
    }

    /// Reads what the entries from `cursor` on will need, only so that it is in the cache: it lies
    /// anywhere in memory, and loads that do not wait for each other overlap. Much of a check's time.
    fn fetch(&self, cursor: usize) {
        let legs = self.legs(cursor);
        black_box(legs.fold(0, |seen, legs| {
            seen ^ legs[0].amount ^ legs[legs.len() - 1].amount
        }));
        let legs = self.legs(cursor).flatten();
        black_box(legs.fold(0, |seen, leg| seen ^ self.touch(leg)));
    }

    /// Of the next entries from `cursor` on, as far as their units are known.
    fn legs(&self, cursor: usize) -> impl Iterator<Item = &'a [Leg]> {
        let end = self.trace.len().min(cursor + FETCHED_ENTRIES);
        let entries = self.trace[cursor..end].iter();
        let known = entries.filter(|removal| removal.unit < self.problem.unit_count());
        known.map(|removal| self.problem.unit(removal.unit))
    }

    fn touch(&self, leg: &Leg) -> u32 {
        let (debtor, creditor) = (
            self.holdings.key(leg.debtor),
            self.holdings.key(leg.creditor),
        );
        let end = self.queues[debtor as usize].end as usize;
        self.members[end.saturating_sub(1)] ^ self.queues[creditor as usize].end
    }

    fn is_present(&self, unit: u32) -> bool {
        self.present[word(unit)] & bit(unit) != 0
    }

    /// A key that fails is in the heap.
    #[inline]
    fn look_at(&mut self, key: u32) {
        let queue = &mut self.queues[key as usize];
        if self.holdings.fails(key) && !queue.is_in_heap && queue.rank != RANK_NONE {
            queue.is_in_heap = true;
            self.failing.push(Reverse(queue.rank));
        }
    }
}

fn word(unit: u32) -> usize {
    (unit / u64::BITS) as usize
}

fn bit(unit: u32) -> u64 {
    1 << (unit % u64::BITS)
}
