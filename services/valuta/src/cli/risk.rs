//! `limits model`, `haircut`, `short`, `tests`, `reserve`: how far shorts may go, and what is kept.

use super::request_id::RequestId;
use super::scheme::written;
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section};
use clap::Args;
use valuta_proto::v1;
use valuta_proto::v1::risk_rule::Rule;

/// What `limits model` takes.
#[derive(Args)]
pub struct ModelArgs {
    /// prefunded or continuous
    #[arg(value_parser = text::parse_funding)]
    funding: i32,
    /// kept, bypassed_by_value or bypassed_by_count
    #[arg(long, value_parser = text::parse_order, default_value = "kept")]
    order: i32,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `limits haircut` takes.
#[derive(Args)]
pub struct HaircutArgs {
    /// Not the base asset
    asset: String,
    /// Below 1, such as 0.05
    haircut: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `limits short` takes.
#[derive(Args)]
pub struct ShortArgs {
    /// Whose account
    participant: String,
    /// The account's asset
    asset: String,
    /// In major units; leave it out for no limit
    #[arg(default_value = "")]
    amount: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `limits tests` takes.
#[derive(Args)]
pub struct TestsArgs {
    /// Whose accounts
    participant: String,
    /// What all shorts may be worth, in the base asset; leave it out for no test
    #[arg(long, default_value = "")]
    aggregate_short: String,
    /// Whether the accounts must be worth something after haircuts
    #[arg(long)]
    account_value: bool,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `limits reserve` takes.
#[derive(Args)]
pub struct ReserveArgs {
    /// Whose account
    participant: String,
    /// The account's asset
    asset: String,
    /// In major units; 0 lifts it
    amount: String,
    /// high or urgent
    #[arg(long, value_parser = text::parse_priority, default_value = "urgent")]
    priority: i32,
    #[command(flatten)]
    request_id: RequestId,
}

async fn set(
    rule: Rule,
    request_id: &RequestId,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::SetRiskRequest {
        request_id: request_id.or_fresh()?,
        created: None,
        rule: Some(v1::RiskRule { rule: Some(rule) }),
    };
    written(
        connection.admin().set_risk(request).await?.into_inner(),
        format,
    )
}

/// Runs `limits model`.
pub async fn model(
    args: ModelArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let rule = Rule::Model(v1::SettlementModel {
        funding: args.funding,
        order: args.order,
    });
    set(rule, &args.request_id, connection, format).await
}

/// Runs `limits haircut`.
pub async fn haircut(
    args: HaircutArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let rule = Rule::Haircut(v1::Haircut {
        asset: args.asset,
        haircut: args.haircut,
    });
    set(rule, &args.request_id, connection, format).await
}

/// Runs `limits short`.
pub async fn short(
    args: ShortArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let rule = Rule::ShortLimit(v1::ShortLimit {
        participant: args.participant,
        asset: args.asset,
        amount: args.amount,
    });
    set(rule, &args.request_id, connection, format).await
}

/// Runs `limits tests`.
pub async fn tests(
    args: TestsArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let rule = Rule::Tests(v1::ParticipantTests {
        participant: args.participant,
        aggregate_short_limit: args.aggregate_short,
        account_value_test: args.account_value,
    });
    set(rule, &args.request_id, connection, format).await
}

/// Runs `limits reserve`.
pub async fn reserve(
    args: ReserveArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::SetReservationRequest {
        request_id: args.request_id.or_fresh()?,
        created: None,
        participant: args.participant,
        asset: args.asset,
        priority: args.priority,
        amount: args.amount,
    };
    let answer = connection.admin().set_reservation(request).await?;
    written(answer.into_inner(), format)
}

/// The rules that are not the default.
pub fn rows(rules: &[v1::RiskRule]) -> Section {
    let row = |rule: &v1::RiskRule| {
        let (name, participant, asset, value) = match rule.rule.as_ref()? {
            Rule::Model(model) => {
                let (funding, order) = (text::funding(model.funding), text::order(model.order));
                (
                    "model",
                    String::new(),
                    String::new(),
                    format!("{funding}, order {order}"),
                )
            }
            Rule::Haircut(line) => (
                "haircut",
                String::new(),
                line.asset.clone(),
                line.haircut.clone(),
            ),
            Rule::ShortLimit(line) => (
                "short_limit",
                line.participant.clone(),
                line.asset.clone(),
                none_if_empty(&line.amount),
            ),
            Rule::Tests(line) => {
                let aggregate = none_if_empty(&line.aggregate_short_limit);
                let value = if line.account_value_test { "on" } else { "off" };
                let tests = format!("aggregate short {aggregate}, account value {value}");
                ("tests", line.participant.clone(), String::new(), tests)
            }
        };
        Some(vec![
            Cell::text(name),
            Cell::text(participant),
            Cell::text(asset),
            Cell::text(value),
        ])
    };
    let columns = ["rule", "participant", "asset", "value"];
    Section::rows("risk", &columns, rules.iter().filter_map(row).collect())
}

fn none_if_empty(amount: &str) -> String {
    if amount.is_empty() {
        "without limit".to_owned()
    } else {
        amount.to_owned()
    }
}
