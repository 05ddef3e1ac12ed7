//! Risk rules on the wire, both ways.

use crate::convert;
use crate::errors::{self, invalid};
use crate::fields::{self, optional};
use fx::{AssetCode, format_minor_units};
use settlement_core::command::Caller;
use settlement_core::risk::{Funding, HAIRCUT_SCALE, Model, RiskLine, SettlementOrder};
use settlement_core::view::{AssetView, SchemeView};
use tonic::Status;
use v1::risk_rule::Rule;
use valuta_proto::v1;

/// Of a haircut.
const HAIRCUT_DECIMALS: u8 = 4;

/// Reads a rule; `decimals` knows the scheme's assets.
pub(crate) fn from_wire(
    path: &str,
    wire: &v1::RiskRule,
    base: AssetCode,
    decimals: impl Fn(AssetCode) -> Result<u8, Status>,
) -> Result<RiskLine, Status> {
    let field = |name: &str| format!("{path}{name}");
    match wire.rule.as_ref() {
        None => Err(errors::missing(&field("rule"))),
        Some(Rule::Model(wire)) => Ok(RiskLine::Model(Model {
            funding: funding(&field("model.funding"), wire.funding)?,
            order: order(&field("model.order"), wire.order)?,
        })),
        Some(Rule::Haircut(wire)) => {
            let name = field("haircut.haircut");
            let parts = fields::amount_or_zero(&name, &wire.haircut, HAIRCUT_DECIMALS)?;
            let haircut = u16::try_from(parts)
                .ok()
                .filter(|part| *part < HAIRCUT_SCALE);
            Ok(RiskLine::Haircut {
                asset: fields::asset(&field("haircut.asset"), &wire.asset)?,
                haircut: haircut.ok_or_else(|| invalid(&name, "a haircut is below 1"))?,
            })
        }
        Some(Rule::ShortLimit(wire)) => {
            let asset = fields::asset(&field("short_limit.asset"), &wire.asset)?;
            let decimals = decimals(asset)?;
            let participant = field("short_limit.participant");
            let amount = field("short_limit.amount");
            Ok(RiskLine::ShortLimit {
                participant: fields::bic(&participant, &wire.participant)?,
                asset,
                amount: optional(&amount, &wire.amount, |field, text| {
                    fields::amount_or_zero(field, text, decimals)
                })?,
            })
        }
        Some(Rule::Tests(wire)) => {
            let decimals = decimals(base)?;
            let limit = field("tests.aggregate_short_limit");
            Ok(RiskLine::Tests {
                participant: fields::bic(&field("tests.participant"), &wire.participant)?,
                aggregate_short: optional(&limit, &wire.aggregate_short_limit, |field, text| {
                    fields::amount_or_zero(field, text, decimals)
                })?,
                account_value: wire.account_value_test,
            })
        }
    }
}

/// An unspecified model is prefunded.
fn funding(field: &str, value: i32) -> Result<Funding, Status> {
    match v1::FundingModel::try_from(value) {
        Ok(v1::FundingModel::Unspecified | v1::FundingModel::Prefunded) => Ok(Funding::Prefunded),
        Ok(v1::FundingModel::Continuous) => Ok(Funding::Continuous),
        Err(_) => Err(fields::unknown(field)),
    }
}

/// An unspecified order is kept.
fn order(field: &str, value: i32) -> Result<SettlementOrder, Status> {
    match v1::SettlementOrder::try_from(value) {
        Ok(v1::SettlementOrder::Unspecified | v1::SettlementOrder::Kept) => {
            Ok(SettlementOrder::Kept)
        }
        Ok(v1::SettlementOrder::BypassedByValue) => Ok(SettlementOrder::BypassedByValue),
        Ok(v1::SettlementOrder::BypassedByCount) => Ok(SettlementOrder::BypassedByCount),
        Err(_) => Err(fields::unknown(field)),
    }
}

/// The rules as a caller may see them: those of a participant are its own, the operator's and
/// treasury's and an auditor's; those of the scheme are everybody's.
pub(crate) fn to_wire(view: &SchemeView, caller: Caller) -> Vec<v1::RiskRule> {
    let sees = |line: &&RiskLine| match (line, caller) {
        (RiskLine::Model(_) | RiskLine::Haircut { .. }, _)
        | (_, Caller::Operator | Caller::Treasury | Caller::Auditor) => true,
        (
            RiskLine::ShortLimit { participant, .. } | RiskLine::Tests { participant, .. },
            Caller::Participant(bic),
        ) => *participant == bic,
        (_, Caller::Agent(_)) => false,
    };
    let seen = view.risk.iter().filter(sees);
    seen.map(|line| line_to_wire(line, view)).collect()
}

fn line_to_wire(line: &RiskLine, view: &SchemeView) -> v1::RiskRule {
    let rule = match *line {
        RiskLine::Model(model) => Rule::Model(v1::SettlementModel {
            funding: match model.funding {
                Funding::Prefunded => v1::FundingModel::Prefunded,
                Funding::Continuous => v1::FundingModel::Continuous,
            } as i32,
            order: match model.order {
                SettlementOrder::Kept => v1::SettlementOrder::Kept,
                SettlementOrder::BypassedByValue => v1::SettlementOrder::BypassedByValue,
                SettlementOrder::BypassedByCount => v1::SettlementOrder::BypassedByCount,
            } as i32,
        }),
        RiskLine::Haircut { asset, haircut } => Rule::Haircut(v1::Haircut {
            asset: asset.to_string(),
            haircut: format_minor_units(haircut.into(), HAIRCUT_DECIMALS),
        }),
        RiskLine::ShortLimit {
            participant,
            asset,
            amount,
        } => Rule::ShortLimit(v1::ShortLimit {
            participant: participant.to_string(),
            asset: asset.to_string(),
            amount: amount_text(amount, Some(asset), view),
        }),
        RiskLine::Tests {
            participant,
            aggregate_short,
            account_value,
        } => Rule::Tests(v1::ParticipantTests {
            participant: participant.to_string(),
            aggregate_short_limit: amount_text(aggregate_short, view.base_asset, view),
            account_value_test: account_value,
        }),
    };
    v1::RiskRule { rule: Some(rule) }
}

fn amount_text(amount: Option<i64>, asset: Option<AssetCode>, view: &SchemeView) -> String {
    let line = view.assets.iter().find(|line| Some(line.code) == asset);
    match (amount, line) {
        (Some(amount), Some(line)) => {
            let asset = AssetView {
                code: line.code,
                decimals: line.decimals,
            };
            convert::amount(amount, asset)
        }
        _ => String::new(),
    }
}
