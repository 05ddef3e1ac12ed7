//! The checker: replays a trace and believes nothing. Kept short and apart from the run's own code,
//! so that a mistake in one is not a mistake in both.
//!
//! | # | phase | cost                        | what must hold                                            |
//! |---|-------|-----------------------------|-----------------------------------------------------------|
//! | 1 | hash  | O(legs)                     | the certificate is that of this input                     |
//! | 2 | start | O(legs)                     | all units settle; what fails then                         |
//! | 3 | entry | O(legs) in all, and log keys a change of a test | it is what is forced next             |
//! | 4 | end   | O(units)                    | nothing fails any more; the bitmap says what is left      |
//!
//! Of a long trace the two halves are replayed side by side, and beside the hash: what is forced next
//! depends on nothing but which units are gone, and those before the second half are known from the
//! trace, which the first half's replay proves. A fault in the first half goes before one in the second,
//! so the verdict is that of one replay.

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
/// From so many entries on a trace is halved: below, starting twice costs more than it saves.
const HALVED_ENTRIES_MIN: usize = 100_000;
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
    let (expected, actual) = (problem.unit_count(), settled.bit_count());
    let replayed = || {
        if expected != actual {
            return Err(CertificateError::UnitCountDiffers { expected, actual });
        }
        replay(problem, &certificate.removals, settled)
    };
    let (hash, verdict) = if certificate.removals.len() < HALVED_ENTRIES_MIN {
        (problem.hash(), replayed())
    } else {
        rayon::join(|| problem.hash(), replayed)
    };
    if certificate.input_hash != hash {
        return Err(CertificateError::InputDiffers);
    }
    verdict
}

fn replay(problem: &Problem, trace: &[Removal], settled: &Bitmap) -> Result<(), CertificateError> {
    let is_halved = trace.len() >= HALVED_ENTRIES_MIN;
    let second = if is_halved { second_half(trace) } else { 0 };
    if fits_i128(problem) {
        replay_halves::<i128>(problem, trace, second, settled)
    } else {
        replay_halves::<I256>(problem, trace, second, settled)
    }
}

/// The second half starts a step; if it is all of the trace, there is no first.
fn replay_halves<N: Integer>(
    problem: &Problem,
    trace: &[Removal],
    second: usize,
    settled: &Bitmap,
) -> Result<(), CertificateError> {
    let last = || Replay::<N>::start(problem, trace, second).check(settled);
    if second == 0 {
        return last();
    }
    let first = || Replay::<N>::start(problem, trace, 0).check_up_to(second);
    let (first, last) = rayon::join(first, last);
    first.and(last)
}

/// The start of the step nearest to the middle.
fn second_half(trace: &[Removal]) -> usize {
    let middle = trace.len() / 2;
    let starts = |entry: &Removal| matches!(entry.cause, Cause::Test { .. });
    let before = trace[..middle].iter().rposition(starts).unwrap_or(0);
    let after = trace[middle..].iter().position(starts);
    match after {
        Some(after) if after < middle - before => middle + after,
        _ => before,
    }
}

struct Replay<'a, N> {
    problem: &'a Problem,
    trace: &'a [Removal],
    /// Up to here the trace's entries are forced; of the second half, if those of the first are.
    entry: usize,
    step: u32,
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
    /// Before that entry, as if all entries before it were forced.
    fn start(problem: &'a Problem, trace: &'a [Removal], entry: usize) -> Self {
        let queue = Queue {
            start: 0,
            end: 0,
            rank: RANK_NONE,
            is_in_heap: false,
        };
        let mut present = vec![u64::MAX; problem.unit_count().div_ceil(u64::BITS) as usize];
        let known = trace[..entry].iter().map(|removal| removal.unit);
        for unit in known.filter(|&unit| unit < problem.unit_count()) {
            present[word(unit)] &= !bit(unit);
        }
        let is_present = |unit| present[word(unit)] & bit(unit) != 0;
        let mut replay = Self {
            problem,
            trace,
            entry,
            step: if entry == 0 { 0 } else { trace[entry].step },
            holdings: Holdings::new(problem, is_present),
            present,
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

    /// Step by step, what is forced is what the trace says, to its end.
    fn check(&mut self, settled: &Bitmap) -> Result<(), CertificateError> {
        while self.start_step()? {
            self.end_step()?;
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

    /// The same up to an entry, which must then start a step.
    fn check_up_to(&mut self, end: usize) -> Result<(), CertificateError> {
        while self.start_step()? {
            if self.entry > end {
                return Ok(());
            }
            self.end_step()?;
        }
        let entry = self.entry;
        Err(CertificateError::RemovalNotForced { entry })
    }

    /// Whether a test fails: then its key's last member goes.
    fn start_step(&mut self) -> Result<bool, CertificateError> {
        let Some((key, unit)) = self.first_failing() else {
            return Ok(false);
        };
        let (step, cause) = (self.step, Cause::Test { key });
        self.expect(Removal { unit, step, cause })?;
        Ok(true)
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
    fn end_step(&mut self) -> Result<(), CertificateError> {
        let (mut cursor, step) = (self.entry - 1, self.step);
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
        // The second half of a wrong trace may start with any number.
        self.step = step.wrapping_add(1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::settle;
    use crate::table::mix;

    fn random_problem(seed: u64) -> Problem {
        let random = |at: u64, below: u64| mix(mix(seed) ^ at) % below;
        let amount = |at, below| i64::try_from(random(at, below)).unwrap();
        let balances = (0..6).map(|at| amount(at, 12)).collect();
        let mut problem = Problem::new(balances, vec![0; 6]).unwrap();
        for unit in 1..=20_u64 {
            let leg = |at: u64| {
                let debtor = random(at, 6) as u32;
                Leg {
                    debtor,
                    creditor: (debtor + 1 + random(at + 1, 5) as u32) % 6,
                    amount: 1 + amount(at + 2, 9),
                }
            };
            problem
                .push_unit(&[leg(unit << 8), leg(unit << 16)])
                .unwrap();
        }
        problem
    }

    /// One entry is another's, is missing, or has another number.
    fn change(trace: &mut Vec<Removal>, random: u64) {
        let (at, other) = (
            random as usize % trace.len(),
            (random >> 16) as usize % trace.len(),
        );
        match random >> 60 {
            0..4 => trace.swap(at, other),
            4..8 => trace[at] = trace[other],
            8..12 => trace[at].step = [0, trace[at].step + 1, u32::MAX][other % 3],
            _ => drop(trace.remove(at)),
        }
    }

    /// Cut at any step, a trace is found as true, and as wrong at the same entry, as in one piece.
    #[test]
    fn two_halves_are_as_one() {
        let (mut cuts, mut true_ones) = (0, 0);
        for seed in 0..4_000 {
            let problem = random_problem(seed);
            let outcome = settle(&problem);
            let mut trace = outcome.removals;
            if seed % 4 > 0 && !trace.is_empty() {
                change(&mut trace, mix(seed));
            }
            let whole = replay_halves::<i128>(&problem, &trace, 0, &outcome.settled);
            for (at, entry) in trace.iter().enumerate() {
                if matches!(entry.cause, Cause::Test { .. }) {
                    let halves = replay_halves::<i128>(&problem, &trace, at, &outcome.settled);
                    assert_eq!(halves, whole, "seed {seed} cut at {at}");
                    cuts += 1;
                    true_ones += u32::from(whole.is_ok());
                }
            }
        }
        assert!(cuts > 5_000 && true_ones > 1_000, "{cuts} {true_ones}");
    }
}
