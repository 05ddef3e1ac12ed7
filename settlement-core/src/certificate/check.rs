//! The checker: replays a trace and believes nothing. Kept short and apart from the run's own code,
//! so that a mistake in one is not a mistake in both.

use std::collections::BTreeSet;

use thiserror::Error;

use super::Certificate;
use crate::run::{Bitmap, Cause, Problem, Removal};

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
    /// A test starts the next step, whatever follows from it is of the same.
    #[error("removal {entry} is numbered as step {actual}, not {expected}")]
    StepMisnumbered {
        /// The removal.
        entry: usize,
        /// The step that it is part of.
        expected: u32,
        /// The step that it claims.
        actual: u32,
    },
    /// The key named is not the first failing one when the step starts.
    #[error("removal {entry} tests key {key}, but the first failing key is {first:?}")]
    NotFirstFailing {
        /// The removal.
        entry: usize,
        /// The key named.
        key: u32,
        /// The key that fails first, if any fails.
        first: Option<u32>,
    },
    /// The unit is not the last present member of the key named.
    #[error("removal {entry} takes unit {unit}, but the last member of key {key} is {last:?}")]
    NotLastMember {
        /// The removal.
        entry: usize,
        /// The unit removed.
        unit: u32,
        /// The key named.
        key: u32,
        /// The key's last present member, if it has one.
        last: Option<u32>,
    },
    /// The unit named as ahead was not removed in this step, does not debit the key, or is not ahead.
    #[error("removal {entry}: unit {unit} is not forced out behind unit {behind} on key {key}")]
    NotBehind {
        /// The removal.
        entry: usize,
        /// The unit removed.
        unit: u32,
        /// The key named.
        key: u32,
        /// The unit named as ahead.
        behind: u32,
    },
    /// A unit behind a removed one was not removed, or not in its place.
    #[error("unit {unit} stands behind removed unit {ahead} on key {key} and was not removed next")]
    LeftBehind {
        /// The unit that should have gone.
        unit: u32,
        /// The key in whose queue both are.
        key: u32,
        /// The removed unit.
        ahead: u32,
    },
    /// The trace ends while a test still fails.
    #[error("key {key} still fails when the trace ends")]
    StillFails {
        /// The first failing key.
        key: u32,
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
    let mut replay = Replay::start(problem, &certificate.removals);
    for entry in 0..certificate.removals.len() {
        replay.removal(entry)?;
    }
    replay.end(settled)
}

struct Replay<'a> {
    problem: &'a Problem,
    trace: &'a [Removal],
    /// Units still in the set.
    present: Vec<bool>,
    /// Per key: its members in queue order; those at the end that are no longer present are dropped
    /// when the end is looked at.
    members: Vec<Vec<u32>>,
    /// Per key: the index of the first leg that debits it, which orders the tests.
    first_debits: Vec<Option<usize>>,
    /// Per key: its balance if the present units settle, minor units.
    balances: Vec<i128>,
    /// Per key: whether it fails and has a member.
    fails: Vec<bool>,
    /// The keys that do, by first debit.
    failing: BTreeSet<(usize, u32)>,
    /// Everyone behind the removed units up to this place of the trace is removed.
    cursor: Cursor,
}

/// A removed unit and one of its legs.
#[derive(Default)]
struct Cursor {
    entry: usize,
    leg: usize,
}

impl<'a> Replay<'a> {
    fn start(problem: &'a Problem, trace: &'a [Removal]) -> Self {
        let key_count = problem.account_count() as usize;
        let mut replay = Self {
            problem,
            trace,
            present: vec![true; problem.unit_count() as usize],
            members: vec![Vec::new(); key_count],
            first_debits: vec![None; key_count],
            balances: problem.balances().iter().copied().map(i128::from).collect(),
            fails: vec![false; key_count],
            failing: BTreeSet::new(),
            cursor: Cursor::default(),
        };
        let mut index = 0;
        for (unit, legs) in problem.units() {
            for leg in legs {
                let key = leg.debtor as usize;
                replay.balances[key] -= i128::from(leg.amount);
                replay.balances[leg.creditor as usize] += i128::from(leg.amount);
                replay.first_debits[key].get_or_insert(index);
                replay.members[key].push(unit);
                index += 1;
            }
        }
        (0..problem.account_count()).for_each(|key| replay.test(key));
        replay
    }

    fn removal(&mut self, entry: usize) -> Result<(), CertificateError> {
        let Removal { unit, step, cause } = self.trace[entry];
        let key = match cause {
            Cause::Test { key } => self.test_removal(entry, key)?,
            Cause::Order { key, behind } => self.order_removal(entry, key, behind)?,
        };
        let last = self.last(key);
        if last != Some(unit) {
            return Err(CertificateError::NotLastMember {
                entry,
                unit,
                key,
                last,
            });
        }
        let expected = self.step_of(entry);
        if step != expected {
            return Err(CertificateError::StepMisnumbered {
                entry,
                expected,
                actual: step,
            });
        }
        self.take_out(unit);
        Ok(())
    }

    fn step_of(&self, entry: usize) -> u32 {
        let previous = entry
            .checked_sub(1)
            .map(|previous| self.trace[previous].step);
        match (self.trace[entry].cause, previous) {
            (_, None) => 0,
            (Cause::Test { .. }, Some(step)) => step + 1,
            (Cause::Order { .. }, Some(step)) => step,
        }
    }

    /// A step starts when the one before is complete, with the first failing key.
    fn test_removal(&mut self, entry: usize, key: u32) -> Result<u32, CertificateError> {
        self.advance(entry, None)?;
        let first = self.failing.first().map(|&(_, key)| key);
        if first == Some(key) {
            Ok(key)
        } else {
            Err(CertificateError::NotFirstFailing { entry, key, first })
        }
    }

    /// The unit ahead was removed in this step and debits the key, and its turn has come.
    fn order_removal(
        &mut self,
        entry: usize,
        key: u32,
        behind: u32,
    ) -> Result<u32, CertificateError> {
        let unit = self.trace[entry].unit;
        if self.advance(entry, Some((behind, key)))? && unit > behind {
            Ok(key)
        } else {
            Err(CertificateError::NotBehind {
                entry,
                unit,
                key,
                behind,
            })
        }
    }

    /// Moves the cursor up to the removed unit and key of `target`, or to the end of the trace before
    /// `entry`; whatever it passes must have nobody left behind. Says whether it found the target.
    fn advance(
        &mut self,
        entry: usize,
        target: Option<(u32, u32)>,
    ) -> Result<bool, CertificateError> {
        while self.cursor.entry < entry {
            let ahead = self.trace[self.cursor.entry].unit;
            let Some(leg) = self.problem.unit(ahead).get(self.cursor.leg) else {
                self.cursor = Cursor {
                    entry: self.cursor.entry + 1,
                    leg: 0,
                };
                continue;
            };
            let key = leg.debtor;
            if target == Some((ahead, key)) {
                return Ok(true);
            }
            if let Some(unit) = self.last(key).filter(|&unit| unit > ahead) {
                return Err(CertificateError::LeftBehind { unit, key, ahead });
            }
            self.cursor.leg += 1;
        }
        Ok(false)
    }

    /// The key's last present member.
    fn last(&mut self, key: u32) -> Option<u32> {
        let members = &mut self.members[key as usize];
        while members
            .last()
            .is_some_and(|&unit| !self.present[unit as usize])
        {
            members.pop();
        }
        members.last().copied()
    }

    fn take_out(&mut self, unit: u32) {
        self.present[unit as usize] = false;
        for leg in self.problem.unit(unit) {
            self.balances[leg.debtor as usize] += i128::from(leg.amount);
            self.balances[leg.creditor as usize] -= i128::from(leg.amount);
            self.test(leg.debtor);
            self.test(leg.creditor);
        }
    }

    fn test(&mut self, key: u32) {
        let Some(first_debit) = self.first_debits[key as usize] else {
            return;
        };
        let short = self.balances[key as usize] < i128::from(self.problem.floors()[key as usize]);
        let fails = short && self.last(key).is_some();
        // The tree is asked only when something changes.
        if fails != self.fails[key as usize] {
            self.fails[key as usize] = fails;
            if fails {
                self.failing.insert((first_debit, key));
            } else {
                self.failing.remove(&(first_debit, key));
            }
        }
    }

    /// No test fails, nobody stands behind a removed unit, and the bitmap says what is left.
    fn end(&mut self, settled: &Bitmap) -> Result<(), CertificateError> {
        self.advance(self.trace.len(), None)?;
        if let Some(&(_, key)) = self.failing.first() {
            return Err(CertificateError::StillFails { key });
        }
        let differs = |&unit: &u32| self.present[unit as usize] != settled.get(unit);
        match (0..self.problem.unit_count()).find(differs) {
            Some(unit) => Err(CertificateError::SettledDiffers { unit }),
            None => Ok(()),
        }
    }
}
