//! `cycle`: its steps and its state. Each step may be run again, and killed half-way and run again: it ends in
//! the same state.

use super::request_id::RequestId;
use super::text::{self, present};
use super::treasury::explanations;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::{Args, Subcommand};
use prost_types::Timestamp;
use valuta_proto::v1;

/// What `cycle` does.
#[derive(Subcommand)]
pub enum CycleCommand {
    /// All cycles
    List,
    /// Open a cycle (operator)
    Open(OpenArgs),
    /// One cycle: its pay-in schedule, totals and bilateral nets
    Show {
        /// Value date and number, such as 2026-11-20/1
        cycle: String,
    },
    /// Fix the members; exit code 4 before the cut-off (operator)
    Close(StepArgs),
    /// Compute the nets and issue the pay-in schedule (operator)
    Net(StepArgs),
    /// Run the cycle; exit code 4 before the pay-in deadline unless all is funded (operator)
    Settle(StepArgs),
    /// What the last run left behind, and why
    Unsettled {
        /// Value date and number
        cycle: String,
        /// How many; 0 for all
        #[arg(long, default_value = "100")]
        limit: u32,
    },
}

/// What `cycle open` takes.
#[derive(Args)]
pub struct OpenArgs {
    /// Value date and number, such as 2026-11-20/1
    cycle: String,
    /// RFC 3339; by default from the scheme's cut-offs, as the other two
    #[arg(long, value_parser = text::time_argument)]
    cut_off: Option<Timestamp>,
    /// From here on it runs with what is paid in
    #[arg(long, value_parser = text::time_argument)]
    pay_in_deadline: Option<Timestamp>,
    /// From here on it completes with members left behind
    #[arg(long, value_parser = text::time_argument)]
    completion_deadline: Option<Timestamp>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What a step takes.
#[derive(Args)]
pub struct StepArgs {
    /// Value date and number, such as 2026-11-20/1
    cycle: String,
    #[command(flatten)]
    request_id: RequestId,
}

impl StepArgs {
    fn request(self) -> Result<v1::CycleRequest, CliError> {
        Ok(v1::CycleRequest {
            request_id: self.request_id.or_fresh()?,
            cycle: self.cycle,
            created: None,
        })
    }
}

/// Runs `cycle`.
pub async fn cycle(
    command: CycleCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut settlement = connection.settlement();
    let answer = match command {
        CycleCommand::List => {
            let request = v1::ListCyclesRequest { min_sequence: 0 };
            let cycles = settlement.list_cycles(request).await?.into_inner().cycles;
            list(&cycles, format);
            return Ok(());
        }
        CycleCommand::Unsettled { cycle, limit } => {
            return unsettled(cycle, limit, connection, format).await;
        }
        CycleCommand::Open(args) => {
            let request = v1::OpenCycleRequest {
                request_id: args.request_id.or_fresh()?,
                cycle: args.cycle,
                cut_off: args.cut_off,
                pay_in_deadline: args.pay_in_deadline,
                completion_deadline: args.completion_deadline,
                created: None,
            };
            settlement.open_cycle(request).await?
        }
        CycleCommand::Show { cycle } => {
            settlement
                .get_cycle(v1::GetCycleRequest {
                    cycle,
                    min_sequence: 0,
                })
                .await?
        }
        CycleCommand::Close(args) => settlement.close_cycle(args.request()?).await?,
        CycleCommand::Net(args) => settlement.net_cycle(args.request()?).await?,
        CycleCommand::Settle(args) => settlement.settle_cycle(args.request()?).await?,
    };
    show(&present(answer.into_inner().cycle, "cycle")?, format);
    Ok(())
}

/// `9/26` as `34.6 %`; empty where there is no value to divide by.
pub fn percent(numerator: &str, denominator: &str) -> String {
    let (Ok(numerator), Ok(denominator)) = (numerator.parse::<i128>(), denominator.parse::<i128>())
    else {
        return String::new();
    };
    let tenths = numerator
        .checked_mul(1_000)
        .and_then(|product| product.checked_add(denominator / 2))
        .and_then(|sum| sum.checked_div(denominator));
    // Beyond 128 bits a display loses nothing by dropping low bits of both.
    let (high, high_denominator) = (numerator >> 32, denominator >> 32);
    let tenths = tenths.unwrap_or_else(|| {
        (high * 1_000 + high_denominator / 2)
            .checked_div(high_denominator)
            .unwrap_or_default()
    });
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn list(cycles: &[v1::Cycle], format: Format) {
    let rows = cycles.iter().map(|cycle| {
        vec![
            Cell::text(&cycle.name),
            Cell::text(text::cycle_state(cycle.state)),
            Cell::text(text::time(cycle.cut_off.as_ref())),
            Cell::text(text::time(cycle.pay_in_deadline.as_ref())),
            Cell::text(text::time(cycle.completion_deadline.as_ref())),
            Cell::Count(cycle.members),
            Cell::Count(cycle.settled),
            Cell::Count(cycle.left_behind),
            Cell::Count(cycle.held),
        ]
    });
    let columns = [
        "cycle",
        "state",
        "cut_off",
        "pay_in_deadline",
        "completion_deadline",
        "members",
        "settled",
        "left_behind",
        "held",
    ];
    print(format, &[Section::rows("cycles", &columns, rows.collect())]);
}

fn show(cycle: &v1::Cycle, format: Format) {
    let (numerator, denominator) = (&cycle.efficiency_numerator, &cycle.efficiency_denominator);
    let batches: Vec<String> = cycle.batches.iter().map(u64::to_string).collect();
    let fields = vec![
        ("cycle", Cell::text(&cycle.name)),
        ("state", Cell::text(text::cycle_state(cycle.state))),
        ("cut_off", Cell::text(text::time(cycle.cut_off.as_ref()))),
        (
            "pay_in_deadline",
            Cell::text(text::time(cycle.pay_in_deadline.as_ref())),
        ),
        (
            "completion_deadline",
            Cell::text(text::time(cycle.completion_deadline.as_ref())),
        ),
        ("members", Cell::Count(cycle.members)),
        ("settled", Cell::Count(cycle.settled)),
        ("left_behind", Cell::Count(cycle.left_behind)),
        ("held", Cell::Count(cycle.held)),
        (
            "schedule_version",
            Cell::Count(cycle.schedule_version.into()),
        ),
        ("schedule_reason", Cell::text(&cycle.schedule_reason)),
        ("base_asset", Cell::text(&cycle.base_asset)),
        ("gross_value", Cell::amount(&cycle.gross_value)),
        ("net_funding", Cell::amount(&cycle.net_funding)),
        ("efficiency", Cell::text(fraction(numerator, denominator))),
        (
            "efficiency_percent",
            Cell::text(percent(numerator, denominator)),
        ),
        ("batches", Cell::text(batches.join(" "))),
        ("calendar_version", Cell::text(&cycle.calendar_version)),
    ];
    print(
        format,
        &[
            Section::record("cycle", fields),
            cut_offs(cycle),
            positions(cycle),
            totals(cycle),
            bilateral(cycle),
        ],
    );
}

fn fraction(numerator: &str, denominator: &str) -> String {
    if denominator.is_empty() {
        String::new()
    } else {
        format!("{numerator}/{denominator}")
    }
}

/// Of assets with cut-offs of their own, fixed when the cycle opened.
fn cut_offs(cycle: &v1::Cycle) -> Section {
    let rows = cycle.cut_offs.iter().map(|line| {
        vec![
            Cell::text(&line.asset),
            Cell::text(text::cut_off_purpose(line.purpose)),
            Cell::text(text::time(line.time.as_ref())),
        ]
    });
    Section::rows("cut_offs", &["asset", "purpose", "time"], rows.collect())
}

fn positions(cycle: &v1::Cycle) -> Section {
    let rows = cycle.positions.iter().map(|position| {
        vec![
            Cell::text(&position.participant),
            Cell::text(&position.asset),
            Cell::amount(&position.net),
            Cell::amount(&position.opening_fund),
            Cell::amount(&position.fund),
            Cell::amount(&position.pay_in_due),
            Cell::amount(&position.pay_in_paid),
            Cell::text(text::time(position.pay_in_deadline.as_ref())),
            Cell::amount(&position.pay_out_due),
            Cell::amount(&position.pay_out_paid),
        ]
    });
    let columns = [
        "participant",
        "asset",
        "net",
        "opening_fund",
        "fund",
        "pay_in_due",
        "pay_in_paid",
        "pay_in_deadline",
        "pay_out_due",
        "pay_out_paid",
    ];
    Section::rows("schedule", &columns, rows.collect())
}

fn totals(cycle: &v1::Cycle) -> Section {
    let rows = cycle.totals.iter().map(|total| {
        let (numerator, denominator) = (&total.efficiency_numerator, &total.efficiency_denominator);
        vec![
            Cell::text(&total.asset),
            Cell::amount(&total.gross),
            Cell::amount(&total.net),
            Cell::text(fraction(numerator, denominator)),
            Cell::text(percent(numerator, denominator)),
        ]
    });
    let columns = ["asset", "gross", "net", "efficiency", "efficiency_percent"];
    Section::rows("totals", &columns, rows.collect())
}

fn bilateral(cycle: &v1::Cycle) -> Section {
    let rows = cycle.bilateral.iter().map(|net| {
        vec![
            Cell::text(&net.participant),
            Cell::text(&net.counterparty),
            Cell::text(&net.asset),
            Cell::amount(&net.net),
        ]
    });
    Section::rows(
        "bilateral",
        &["participant", "counterparty", "asset", "net"],
        rows.collect(),
    )
}

async fn unsettled(
    cycle: String,
    limit: u32,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let wanted = if limit == 0 {
        usize::MAX
    } else {
        limit as usize
    };
    let mut request = v1::ListUnsettledRequest {
        cycle,
        ..Default::default()
    };
    let mut settlement = connection.settlement();
    let mut rows = Vec::new();
    loop {
        let page = settlement
            .list_unsettled(request.clone())
            .await?
            .into_inner();
        rows.extend(page.unsettled);
        if page.next_page_token.is_empty() || rows.len() >= wanted {
            break;
        }
        request.page_token = page.next_page_token;
    }
    rows.truncate(wanted);
    print(format, &[explanations("unsettled", rows)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efficiency_is_shown_without_floats() {
        for (numerator, denominator, shown) in [
            ("17", "26", "65.4 %"),
            ("0", "1", "0.0 %"),
            ("1", "1", "100.0 %"),
            ("", "", ""),
            ("1", "0", "0.0 %"),
        ] {
            assert_eq!(
                percent(numerator, denominator),
                shown,
                "{numerator}/{denominator}"
            );
        }
        let large = (i128::MAX / 4, i128::MAX / 2);
        assert_eq!(
            percent(&large.0.to_string(), &large.1.to_string()),
            "50.0 %"
        );
    }
}
