//! `solve --check`: whether an answer is true of a file.
//!
//! | what                        | how                                                             |
//! |-----------------------------|-----------------------------------------------------------------|
//! | what settles in order       | its trace, replayed by the core's checker                       |
//! | what settles out of order   | tested from scratch; that nothing is better, searched again     |
//! | reasons, pay-ins, balances  | told again from the checked trace, and compared                 |

use super::answer::{Answer, Proof, Removed, Telling, hex, whole_keys};
use crate::cli::queue_file::{Order, QueueFile};
use serde_json::Value;
use settlement_core::certificate::{BypassClaim, Certificate, Optimality, check, check_bypassed};
use settlement_core::run::{Bitmap, Cause, Outcome, Problem, Removal};
use std::collections::{BTreeMap, BTreeSet};

/// What a check found true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Removals that were replayed.
    pub removals: usize,
    /// What is known of the claim that nothing is better.
    pub optimality: Optimality,
}

/// Checks a result's text against a file.
///
/// # Errors
/// What is wrong with it.
pub fn check_result(
    file: &QueueFile,
    problem: &Problem,
    result: &str,
    steps_max: u64,
) -> Result<Verdict, String> {
    let answer: Answer =
        serde_json::from_str(result).map_err(|error| format!("not a result: {error}"))?;
    let certificate = Names::of(file, problem).certificate(&answer.certificate)?;
    let kept = kept(problem, &certificate);
    let (settled, optimality) = match file.order {
        Order::Kept => {
            check(problem, &certificate, &kept).map_err(|error| error.to_string())?;
            (kept.clone(), Optimality::Reproved)
        }
        Order::Bypassed => {
            let settled = changed(file, &kept, &answer.certificate)?;
            let claim = BypassClaim {
                kept: &kept,
                settled: &settled,
                weights: &file.weights(),
                is_optimal: answer.optimal,
            };
            let found = check_bypassed(problem, &certificate, &claim, steps_max);
            (settled.clone(), found.map_err(|error| error.to_string())?)
        }
    };
    let removals = certificate.removals.len();
    let kept = Outcome {
        closing: Vec::new(),
        removals: certificate.removals,
        settled: kept,
    };
    let telling = Telling {
        file,
        problem,
        kept: &kept,
        settled: &settled,
        optimal: answer.optimal || file.order == Order::Kept,
    };
    let expected = telling
        .tell()
        .map_err(|id| format!("{id} fits as well, but waits"))?;
    same(&expected, &answer)?;
    match optimality {
        Optimality::NotReproved => Err(format!(
            "that nothing is better was not proved again within {steps_max} steps; all else holds"
        )),
        optimality => Ok(Verdict {
            removals,
            optimality,
        }),
    }
}

fn kept(problem: &Problem, certificate: &Certificate) -> Bitmap {
    let mut kept = Bitmap::all(problem.unit_count());
    for removal in &certificate.removals {
        kept.take(removal.unit);
    }
    kept
}

/// What settles after bypass, whole units only.
fn changed(file: &QueueFile, kept: &Bitmap, proof: &Proof) -> Result<Bitmap, String> {
    let units: BTreeMap<&str, u32> = file
        .instructions
        .iter()
        .map(|instruction| (instruction.id.as_str(), instruction.unit))
        .collect();
    let mut settled = kept.clone();
    for (name, ids, is_in) in [
        ("added", &proof.added, true),
        ("dropped", &proof.dropped, false),
    ] {
        for id in ids.iter().flatten() {
            let unit = units.get(id.as_str());
            let unit = *unit.ok_or_else(|| format!("certificate.{name}: {id} is unknown"))?;
            if is_in {
                settled.set(unit);
            } else {
                settled.take(unit);
            }
        }
    }
    Ok(settled)
}

/// The first difference between two answers.
fn same(expected: &Answer, actual: &Answer) -> Result<(), String> {
    let value = |answer| serde_json::to_value(answer).expect("an answer is plain data");
    match difference("", &value(expected), &value(actual)) {
        None => Ok(()),
        Some(difference) => Err(difference),
    }
}

fn difference(path: &str, expected: &Value, actual: &Value) -> Option<String> {
    match (expected, actual) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().find_map(|(key, value)| {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                difference(&path, value, &other[key])
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| difference(&format!("{path}[{at}]"), one, other))
        }
        _ if expected == actual => None,
        _ => Some(format!("{path} must be {expected}, not {actual}")),
    }
}

/// The names that a trace uses.
struct Names<'a> {
    file: &'a QueueFile,
    problem: &'a Problem,
    /// Keys that are whole participants.
    wholes: BTreeSet<u32>,
    accounts: BTreeMap<(String, String), u32>,
    /// By the first id.
    units: BTreeMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    fn of(file: &'a QueueFile, problem: &'a Problem) -> Self {
        let first = |(unit, places): (u32, &Vec<u32>)| {
            (file.instructions[places[0] as usize].id.as_str(), unit)
        };
        Self {
            file,
            problem,
            wholes: whole_keys(problem),
            accounts: file.account_named(),
            units: (0..).zip(&file.units).map(first).collect(),
        }
    }

    fn certificate(&self, proof: &Proof) -> Result<Certificate, String> {
        let input_hash = self.problem.hash();
        if proof.input_hash != hex(&input_hash) {
            return Err("certificate.input_hash is not that of the file".to_owned());
        }
        let named = |(at, removed): (usize, &Removed)| {
            let removal = self.removal(removed);
            removal.map_err(|reason| format!("certificate.trace[{at}]: {reason}"))
        };
        let removals = proof.trace.iter().enumerate().map(named);
        Ok(Certificate {
            input_hash,
            removals: removals.collect::<Result<_, _>>()?,
        })
    }

    fn removal(&self, removed: &Removed) -> Result<Removal, String> {
        let key = self.key(removed)?;
        let cause = match &removed.behind {
            None => Cause::Test { key },
            Some(ids) => Cause::Order {
                key,
                behind: self.unit(ids)?,
            },
        };
        Ok(Removal {
            unit: self.unit(&removed.unit)?,
            step: removed.step,
            cause,
        })
    }

    fn unit(&self, ids: &[String]) -> Result<u32, String> {
        let first = ids.first().map_or("", String::as_str);
        let unit = *self
            .units
            .get(first)
            .ok_or_else(|| format!("no unit {ids:?}"))?;
        let places = self.file.units[unit as usize].iter();
        let own = places.map(|&place| &self.file.instructions[place as usize].id);
        if own.eq(ids) {
            Ok(unit)
        } else {
            Err(format!("no unit {ids:?}"))
        }
    }

    fn key(&self, removed: &Removed) -> Result<u32, String> {
        let unknown = || format!("no queue of {}", removed.participant);
        let account = match &removed.asset {
            Some(asset) => {
                let names = (removed.participant.clone(), asset.clone());
                self.accounts.get(&names).copied()
            }
            None => {
                let mut own = self.accounts.iter();
                let own = own.find(|((participant, _), _)| *participant == removed.participant);
                own.map(|(_, &account)| account)
            }
        };
        let account = account.ok_or_else(unknown)?;
        let key = self.problem.key(account);
        let is_whole = removed.asset.is_none();
        if is_whole == self.wholes.contains(&key) {
            Ok(key)
        } else {
            Err(unknown())
        }
    }
}
