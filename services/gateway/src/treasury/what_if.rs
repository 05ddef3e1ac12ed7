//! Supposed changes from the wire: names are looked up, amounts become minor units.

use crate::errors::{self, invalid, missing};
use crate::fields;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::instruction::Priority;
use settlement_core::state::{Change, RunScope, WhatIfError};
use settlement_core::view::{AssetView, SchemeView};
use tonic::Status;
use valuta_proto::v1;
use valuta_proto::v1::change::Change as Wire;

/// The gross lane, or the cycle that is named.
pub(super) fn scope(cycle: &str) -> Result<RunScope, Status> {
    if cycle.is_empty() {
        return Ok(RunScope::Gross);
    }
    fields::cycle("cycle", cycle).map(RunScope::Cycle)
}

pub(super) fn no_cycle() -> Status {
    errors::not_found("cycle", "there is no such cycle")
}

pub(super) fn refused(error: &WhatIfError) -> Status {
    invalid(
        &format!("changes[{}].{}", error.index, error.field),
        &error.reason,
    )
}

/// The changes, in order; the first that cannot be read is named.
pub(super) fn changes(scheme: &SchemeView, wire: &[v1::Change]) -> Result<Vec<Change>, Status> {
    let numbered = wire.iter().enumerate();
    numbered
        .map(|(index, change)| {
            let path = format!("changes[{index}]");
            let change = change.change.as_ref().ok_or_else(|| missing(&path))?;
            Reader { scheme, path }.change(change)
        })
        .collect()
}

struct Reader<'a> {
    scheme: &'a SchemeView,
    path: String,
}

impl Reader<'_> {
    fn change(&self, wire: &Wire) -> Result<Change, Status> {
        Ok(match wire {
            Wire::PayIn(line) => {
                let asset = self.asset("pay_in.asset", &line.asset)?;
                let field = self.field("pay_in.amount");
                Change::PayIn {
                    participant: self.bic("pay_in.participant", &line.participant)?,
                    asset: asset.code,
                    amount: fields::amount(&field, &line.amount, asset.decimals)?,
                }
            }
            Wire::Add(instruction) => self.add(instruction)?,
            &Wire::Cancel(instruction) => Change::Cancel {
                instruction: Sequence(instruction),
            },
            Wire::Reprioritise(line) => Change::Reprioritise {
                instruction: Sequence(line.instruction),
                priority: self.priority("reprioritise.priority", line.priority)?,
            },
            Wire::ShortLimit(line) => {
                let asset = self.asset("short_limit.asset", &line.asset)?;
                Change::ShortLimit {
                    participant: self.bic("short_limit.participant", &line.participant)?,
                    asset: asset.code,
                    amount: self.limit("short_limit.amount", &line.amount, asset)?,
                }
            }
            Wire::AggregateShortLimit(line) => {
                let base = self.base()?;
                let field = "aggregate_short_limit.participant";
                Change::AggregateShortLimit {
                    participant: self.bic(field, &line.participant)?,
                    amount: self.limit("aggregate_short_limit.amount", &line.amount, base)?,
                }
            }
            Wire::BilateralCap(line) => {
                let asset = self.asset("bilateral_cap.asset", &line.asset)?;
                let counterparty = "bilateral_cap.counterparty";
                Change::BilateralCap {
                    participant: self.bic("bilateral_cap.participant", &line.participant)?,
                    counterparty: self.bic(counterparty, &line.counterparty)?,
                    asset: asset.code,
                    amount: self.limit("bilateral_cap.amount", &line.amount, asset)?,
                }
            }
            Wire::Suspend(participant) => Change::Suspend {
                participant: self.bic("suspend", participant)?,
            },
        })
    }

    fn add(&self, instruction: &v1::Instruction) -> Result<Change, Status> {
        let leg = |(at, leg): (usize, &v1::Leg)| {
            let of = |name: &str| format!("add.legs[{at}].{name}");
            let asset = self.asset(&of("asset"), &leg.asset)?;
            let amount = self.field(&of("amount"));
            Ok((
                self.bic(&of("debtor"), &leg.debtor)?,
                self.bic(&of("creditor"), &leg.creditor)?,
                asset.code,
                fields::amount(&amount, &leg.amount, asset.decimals)?,
            ))
        };
        let legs = instruction.legs.iter().enumerate().map(leg);
        Ok(Change::Add {
            priority: self.priority("add.priority", instruction.priority)?,
            legs: legs.collect::<Result<_, Status>>()?,
        })
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    fn bic(&self, name: &str, text: &str) -> Result<Bic, Status> {
        fields::bic(&self.field(name), text)
    }

    fn asset(&self, name: &str, text: &str) -> Result<AssetView, Status> {
        let field = self.field(name);
        let code = fields::asset(&field, text)?;
        let line = self.scheme.assets.iter().find(|line| line.code == code);
        line.map(|line| AssetView {
            code,
            decimals: line.decimals,
        })
        .ok_or_else(|| errors::not_found(&field, format!("the scheme has no asset {code}")))
    }

    fn base(&self) -> Result<AssetView, Status> {
        let code = self.scheme.base_asset;
        let line = self
            .scheme
            .assets
            .iter()
            .find(|line| Some(line.code) == code);
        let view = line.map(|line| AssetView {
            code: line.code,
            decimals: line.decimals,
        });
        view.ok_or_else(|| errors::not_found(&self.path, "there is no scheme yet"))
    }

    fn limit(&self, name: &str, text: &str, asset: AssetView) -> Result<Option<i64>, Status> {
        let field = self.field(name);
        fields::optional(&field, text, |field, text| {
            fields::amount_or_zero(field, text, asset.decimals)
        })
    }

    fn priority(&self, name: &str, value: i32) -> Result<Priority, Status> {
        let priority = v1::Priority::try_from(value).ok();
        match priority.ok_or_else(|| fields::unknown(&self.field(name)))? {
            v1::Priority::Unspecified | v1::Priority::Normal => Ok(Priority::Normal),
            v1::Priority::High => Ok(Priority::High),
            v1::Priority::Urgent => Ok(Priority::Urgent),
        }
    }
}
