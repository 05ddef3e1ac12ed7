//! `positions` and `totals`: what every account holds, and that the sums hold.

use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use valuta_proto::v1;

const POSITION_COLUMNS: [&str; 11] = [
    "participant",
    "asset",
    "balance",
    "available",
    "reserved",
    "queued_out",
    "queued_in",
    "projected",
    "instruction_limit",
    "kept_urgent",
    "kept_high",
];
const FUNDING_COLUMNS: [&str; 11] = [
    "cycle",
    "participant",
    "asset",
    "fund",
    "net",
    "pay_in_due",
    "pay_in_paid",
    "pay_out_due",
    "pay_out_paid",
    "projected_close",
    "pay_in_deadline",
];

/// What `positions` takes.
#[derive(Args)]
pub struct PositionsArgs {
    /// A participant's BIC; all, if left out (treasury, auditor and operator)
    participant: Option<String>,
    /// Print them again whenever they change
    #[arg(long)]
    watch: bool,
}

/// Runs `positions`.
pub async fn positions(
    args: PositionsArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetPositionsRequest {
        participant: args.participant.unwrap_or_default(),
        min_sequence: 0,
    };
    if !args.watch {
        let answer = connection
            .treasury()
            .get_positions(request)
            .await?
            .into_inner();
        show(&answer, format);
        return Ok(());
    }
    let mut treasury = connection.unlimited().treasury();
    let mut answers = treasury.watch_positions(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        show(&answer, format);
    }
    Err(CliError::Unavailable(
        "the server ended the watch: run it again (UNAVAILABLE)".into(),
    ))
}

fn show(answer: &v1::GetPositionsResponse, format: Format) {
    let as_of = vec![
        ("sequence", Cell::Count(answer.sequence)),
        ("time", Cell::text(text::time(answer.time.as_ref()))),
    ];
    let mut sections = vec![
        Section::record("as_of", as_of),
        Section::rows(
            "positions",
            &POSITION_COLUMNS,
            answer.positions.iter().map(position_row).collect(),
        ),
    ];
    let funding: Vec<_> = answer.positions.iter().flat_map(funding_rows).collect();
    if !funding.is_empty() || format == Format::Json {
        sections.push(Section::rows("cycles", &FUNDING_COLUMNS, funding));
    }
    print(format, &sections);
}

fn position_row(position: &v1::Position) -> Vec<Cell> {
    vec![
        Cell::text(&position.participant),
        Cell::text(&position.asset),
        Cell::amount(&position.balance),
        Cell::amount(&position.available),
        Cell::amount(&position.reserved),
        Cell::amount(&position.queued_out),
        Cell::amount(&position.queued_in),
        Cell::amount(&position.projected),
        Cell::amount(&position.instruction_limit),
        Cell::amount(&position.kept_urgent),
        Cell::amount(&position.kept_high),
    ]
}

fn funding_rows(position: &v1::Position) -> Vec<Vec<Cell>> {
    let row = |cycle: &v1::CycleFunding| {
        vec![
            Cell::text(&cycle.cycle),
            Cell::text(&position.participant),
            Cell::text(&position.asset),
            Cell::amount(&cycle.fund),
            Cell::amount(&cycle.net),
            Cell::amount(&cycle.pay_in_due),
            Cell::amount(&cycle.pay_in_paid),
            Cell::amount(&cycle.pay_out_due),
            Cell::amount(&cycle.pay_out_paid),
            Cell::amount(&cycle.projected_close),
            Cell::text(text::time(cycle.pay_in_deadline.as_ref())),
        ]
    };
    position.cycles.iter().map(row).collect()
}

/// Runs `totals`; what does not balance is exit code 1.
pub async fn totals(connection: &Connection, format: Format) -> Result<(), CliError> {
    let request = v1::GetControlTotalsRequest { min_sequence: 0 };
    let answer = connection
        .treasury()
        .get_control_totals(request)
        .await?
        .into_inner();
    let rows = answer.totals.iter().map(|total| {
        vec![
            Cell::text(&total.asset),
            Cell::text(&total.agent),
            Cell::amount(&total.r#in),
            Cell::amount(&total.out),
            Cell::amount(&total.closing),
            Cell::amount(&total.mirror),
            Cell::Flag(total.balanced),
        ]
    });
    let columns = [
        "asset", "agent", "in", "out", "closing", "mirror", "balanced",
    ];
    print(format, &[Section::rows("totals", &columns, rows.collect())]);
    match answer.totals.iter().find(|total| !total.balanced) {
        None => Ok(()),
        Some(total) => Err(CliError::Refused(format!(
            "{} does not balance",
            total.asset
        ))),
    }
}
