//! What `solve` answers: the document, and how it is told from a run.
//!
//! A group is one unit of the run but answers for each of its instructions. A unit is named in the
//! certificate by all of them, as one that others stand behind by its last that debits the key.

use crate::cli::queue_file::{Order, QueueFile};
use serde::{Deserialize, Serialize};
use settlement_core::run::{
    Bitmap, Cause, Explainer, LeftOut, Outcome, Problem, Reason, Test, left_out, smallest_pay_ins,
};
use std::collections::{BTreeMap, BTreeSet};

/// The answer, fields in the order of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// `kept` or `bypassed`.
    pub order: String,
    /// Ids in queue order.
    pub settled: Vec<String>,
    /// In queue order.
    pub waiting: Vec<Waiting>,
    /// By account, in the order of the file; zeros are left out.
    pub closing: Vec<Money>,
    /// Whether nothing better is possible, and that is proven.
    pub optimal: bool,
    /// What a checker needs.
    pub certificate: Proof,
}

/// Why an instruction waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The instruction.
    pub id: String,
    /// The first test that failed, or `order` or `group`.
    pub test: String,
    /// Whom it stands behind, where it failed no test itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub behind: Option<String>,
    /// Whose account binds.
    pub participant: String,
    /// In what.
    pub asset: String,
    /// What the test lacked.
    pub missing: String,
    /// To the binding account.
    pub smallest_pay_in: Option<Money>,
}

/// An amount of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Whose.
    pub participant: String,
    /// In what.
    pub asset: String,
    /// With the asset's decimals.
    pub amount: String,
}

/// The certificate: the canonical trace of the run with order kept, and what bypass changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// SHA-256 of the run's input, in hexadecimal.
    pub input_hash: String,
    /// Removals in their order.
    pub trace: Vec<Removed>,
    /// Ids that settle only because order is bypassed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub added: Option<Vec<String>>,
    /// Ids that would settle with order kept, and do not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dropped: Option<Vec<String>>,
}

/// One removal of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Ids of the unit.
    pub unit: Vec<String>,
    /// From 0.
    pub step: u32,
    /// Whose queue.
    pub participant: String,
    /// In what; none where the queue is the whole participant's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asset: Option<String>,
    /// The test that started the step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test: Option<String>,
    /// Ids of the unit that it stands behind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub behind: Option<Vec<String>>,
}

/// What is to be told.
pub struct Telling<'a> {
    /// The file.
    pub file: &'a QueueFile,
    /// Its problem.
    pub problem: &'a Problem,
    /// The run with order kept.
    pub kept: &'a Outcome,
    /// What settles in the end.
    pub settled: &'a Bitmap,
    /// Whether that is proven the best.
    pub optimal: bool,
}

impl Telling<'_> {
    /// Tells it. Needs a true trace, and a set beside which no other unit fits.
    ///
    /// # Errors
    /// The id of an instruction that does fit.
    pub fn tell(&self) -> Result<Answer, String> {
        let order = match self.file.order {
            Order::Kept => "kept",
            Order::Bypassed => "bypassed",
        };
        Ok(Answer {
            order: order.to_owned(),
            settled: self.ids(|unit| self.settled.get(unit)),
            waiting: self.waiting()?,
            closing: self.closing(),
            optimal: self.optimal,
            certificate: self.proof(),
        })
    }

    /// Instructions by their units, in queue order.
    fn ids(&self, is_in: impl Fn(u32) -> bool) -> Vec<String> {
        let chosen = self.file.instructions.iter().filter(|i| is_in(i.unit));
        chosen.map(|instruction| instruction.id.clone()).collect()
    }

    fn waiting(&self) -> Result<Vec<Waiting>, String> {
        let explainer = Explainer::new(self.problem, self.kept);
        let mut pay_ins = BTreeMap::new();
        let mut waiting = Vec::new();
        for (place, instruction) in (0..).zip(&self.file.instructions) {
            let unit = instruction.unit;
            if self.settled.get(unit) {
                continue;
            }
            let (reason, pay_in) = match explainer.reason(unit) {
                Some(reason) => {
                    let all = pay_ins
                        .entry(reason.account)
                        .or_insert_with(|| smallest_pay_ins(self.problem, reason.account));
                    (reason, all[unit as usize])
                }
                // It would settle with order kept: bypass dropped it.
                None => {
                    let dropped = left_out(self.problem, self.settled, unit);
                    let LeftOut {
                        reason,
                        smallest_pay_in,
                    } = dropped.ok_or_else(|| instruction.id.clone())?;
                    (reason, smallest_pay_in)
                }
            };
            waiting.push(self.reason(place, &reason, pay_in));
        }
        Ok(waiting)
    }

    fn reason(&self, place: u32, reason: &Reason, pay_in: Option<i64>) -> Waiting {
        let (participant, asset) = self.file.names(reason.account);
        let (test, behind) = self.cause(place, reason);
        let smallest_pay_in = pay_in.map(|minor| self.money(reason.account, minor.into()));
        Waiting {
            id: self.id(place),
            test: test.to_owned(),
            behind,
            participant,
            asset,
            missing: self.missing(reason),
            smallest_pay_in,
        }
    }

    /// The test that an instruction failed itself, or whom it stands behind.
    fn cause(&self, place: u32, reason: &Reason) -> (&'static str, Option<String>) {
        let key = match reason.cause {
            Cause::Test { key } | Cause::Order { key, .. } => key,
        };
        if !self.debits(place, key) {
            let unit = self.file.instructions[place as usize].unit;
            return ("group", Some(self.last_that_debits(unit, key)));
        }
        match reason.cause {
            Cause::Test { .. } => (self.test(reason.test), None),
            Cause::Order { behind, .. } => ("order", Some(self.last_that_debits(behind, key))),
        }
    }

    fn debits(&self, place: u32, key: u32) -> bool {
        let mut legs = self.file.instructions[place as usize].legs.iter();
        legs.any(|leg| self.problem.key(leg.debtor) == key)
    }

    fn last_that_debits(&self, unit: u32, key: u32) -> String {
        let mut places = self.file.units[unit as usize].iter();
        let last = places.rfind(|&&place| self.debits(place, key));
        self.id(*last.expect("a unit in a key's queue debits it"))
    }

    fn id(&self, place: u32) -> String {
        self.file.instructions[place as usize].id.clone()
    }

    fn test(&self, test: Test) -> &'static str {
        match test {
            Test::Floor { account } if self.problem.floors()[account as usize] == 0 => "floor",
            Test::Floor { .. } => "short_limit",
            Test::AggregateShort => "aggregate_short",
            Test::AccountValue => "account_value",
            Test::BilateralCap { .. } => "bilateral_cap",
        }
    }

    fn missing(&self, reason: &Reason) -> String {
        match reason.test {
            Test::Floor { .. } | Test::BilateralCap { .. } => {
                self.file.amount(reason.account, reason.missing)
            }
            Test::AggregateShort | Test::AccountValue => {
                fx::format_minor_units(reason.missing, self.problem.base_decimals())
            }
        }
    }

    fn money(&self, account: u32, minor: i128) -> Money {
        let (participant, asset) = self.file.names(account);
        Money {
            participant,
            asset,
            amount: self.file.amount(account, minor),
        }
    }

    fn closing(&self) -> Vec<Money> {
        let mut closing: Vec<i128> = self.problem.balances().iter().map(|&b| b.into()).collect();
        for leg in self
            .settled
            .iter_set()
            .flat_map(|unit| self.problem.unit(unit))
        {
            closing[leg.debtor as usize] -= i128::from(leg.amount);
            closing[leg.creditor as usize] += i128::from(leg.amount);
        }
        let held = (0..).zip(closing).filter(|&(_, minor)| minor != 0);
        held.map(|(account, minor)| self.money(account, minor))
            .collect()
    }

    fn proof(&self) -> Proof {
        let explainer = Explainer::new(self.problem, self.kept);
        let wholes = whole_keys(self.problem);
        let trace = self.kept.removals.iter().map(|removal| {
            let reason = explainer.reason(removal.unit);
            let test = self.test(reason.expect("a removed unit has a reason").test);
            let (key, test, behind) = match removal.cause {
                Cause::Test { key } => (key, Some(test.to_owned()), None),
                Cause::Order { key, behind } => (key, None, Some(self.unit(behind))),
            };
            let (participant, asset) = self.file.names(key);
            Removed {
                unit: self.unit(removal.unit),
                step: removal.step,
                participant,
                asset: Some(asset).filter(|_| !wholes.contains(&key)),
                test,
                behind,
            }
        });
        let kept = &self.kept.settled;
        let changed = |is_in: &dyn Fn(u32) -> bool| {
            (self.file.order == Order::Bypassed).then(|| self.ids(is_in))
        };
        Proof {
            input_hash: hex(&self.problem.hash()),
            trace: trace.collect(),
            added: changed(&|unit| self.settled.get(unit) && !kept.get(unit)),
            dropped: changed(&|unit| !self.settled.get(unit) && kept.get(unit)),
        }
    }

    fn unit(&self, unit: u32) -> Vec<String> {
        let places = self.file.units[unit as usize].iter();
        places.map(|&place| self.id(place)).collect()
    }
}

/// Keys that are whole participants.
pub fn whole_keys(problem: &Problem) -> BTreeSet<u32> {
    let spans = problem.spans().iter();
    spans.map(|span| span.accounts[0].0).collect()
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
