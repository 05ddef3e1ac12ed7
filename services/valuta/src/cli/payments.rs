//! `get`, `list`, `cancel`: instructions and their answers.

use super::request_id::RequestId;
use super::text::{self, present};
use crate::client::{CliError, Connection, note};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use valuta_proto::v1;

/// Most that one call answers.
const PAGE_SIZE_MAX: u32 = 1_000;

/// Of an instruction's answer; JSON keys and CSV header.
pub const STATUS_COLUMNS: [&str; 12] = [
    "uetr",
    "instructing",
    "kind",
    "sequence",
    "status",
    "waiting_reason",
    "code",
    "reason",
    "field",
    "cycle",
    "batch",
    "matched_with",
];

/// Of its content; an instruction of more legs shows its first.
pub const CONTENT_COLUMNS: [&str; 10] = [
    "lane",
    "priority",
    "value_date",
    "legs",
    "debtor",
    "creditor",
    "asset",
    "amount",
    "end_to_end_id",
    "received",
];

/// What `get` takes.
#[derive(Args)]
pub struct GetArgs {
    /// The instruction's UETR
    uetr: String,
    /// Wait until the server has this sequence
    #[arg(long, default_value = "0")]
    min_sequence: u64,
}

/// What `list` takes.
#[derive(Args)]
pub struct ListArgs {
    /// ACTC, PDNG, ACSP, ACSC, RJCT or CANC
    #[arg(long, value_parser = text::parse_status, default_value = "")]
    status: i32,
    /// gross or net
    #[arg(long, value_parser = text::parse_lane, default_value = "")]
    lane: i32,
    /// payment, cover, return or trade_side
    #[arg(long, value_parser = text::parse_kind, default_value = "")]
    kind: i32,
    /// YYYY-MM-DD
    #[arg(long, default_value = "")]
    value_date: String,
    /// An asset's code
    #[arg(long, default_value = "")]
    asset: String,
    /// The other party's BIC
    #[arg(long, default_value = "")]
    counterparty: String,
    /// Value date and number
    #[arg(long, default_value = "")]
    cycle: String,
    /// Only those that wait for an approval which the participant has not given yet
    #[arg(long)]
    awaiting_my_approval: bool,
    /// Whose instructions (operator and treasury)
    #[arg(long, default_value = "")]
    participant: String,
    /// Wait until the read model has this sequence
    #[arg(long, default_value = "0")]
    min_sequence: u64,
    /// How many; 0 for all
    #[arg(long, default_value = "100")]
    limit: u32,
}

/// What `cancel` takes.
#[derive(Args)]
pub struct CancelArgs {
    /// The instruction's UETR
    uetr: String,
    /// payment, cover, return or trade_side
    #[arg(long, value_parser = text::parse_kind, default_value = "payment")]
    kind: i32,
    #[command(flatten)]
    request_id: RequestId,
}

/// An answer's cells, in the order of [`STATUS_COLUMNS`].
pub fn status_cells(status: &v1::InstructionStatus) -> Vec<Cell> {
    let rejection = status.rejection.clone().unwrap_or_default();
    vec![
        Cell::text(&status.uetr),
        Cell::text(&status.instructing),
        Cell::text(text::kind(status.kind)),
        Cell::Count(status.sequence),
        Cell::text(text::status(status.status)),
        Cell::text(text::waiting_reason(status.waiting_reason)),
        Cell::text(rejection.code),
        Cell::text(rejection.reason),
        Cell::text(rejection.field),
        Cell::text(&status.cycle),
        nonzero(status.batch),
        nonzero(status.matched_with),
    ]
}

/// An answer as JSON, as commands print it.
#[cfg(feature = "cluster")]
pub fn status_json(status: &v1::InstructionStatus) -> serde_json::Value {
    let fields = STATUS_COLUMNS.iter().copied().zip(status_cells(status));
    Section::record("status", fields.collect()).json()
}

fn nonzero(count: u64) -> Cell {
    if count == 0 {
        Cell::text("")
    } else {
        Cell::Count(count)
    }
}

/// An instruction's cells: its answer's, then its content's.
pub fn view_cells(view: &v1::InstructionView) -> Vec<Cell> {
    let instruction = view.instruction.clone().unwrap_or_default();
    let leg = instruction.legs.first().cloned().unwrap_or_default();
    let mut cells = status_cells(&view.status.clone().unwrap_or_default());
    cells.extend([
        Cell::text(text::lane(instruction.lane)),
        Cell::text(text::priority(instruction.priority)),
        Cell::text(instruction.value_date),
        Cell::Count(instruction.legs.len() as u64),
        Cell::text(leg.debtor),
        Cell::text(leg.creditor),
        Cell::text(leg.asset),
        Cell::amount(leg.amount),
        Cell::text(instruction.end_to_end_id),
        Cell::text(text::time(view.received.as_ref())),
    ]);
    cells
}

/// What people look at in a table; JSON and CSV have every column.
const TABLE_COLUMNS: [&str; 11] = [
    "uetr",
    "kind",
    "status",
    "waiting_reason",
    "code",
    "cycle",
    "batch",
    "debtor",
    "creditor",
    "asset",
    "amount",
];

/// Instructions as rows.
pub fn view_rows(views: &[v1::InstructionView], format: Format) -> Section {
    let columns = [&STATUS_COLUMNS[..], &CONTENT_COLUMNS[..]].concat();
    let rows = views.iter().map(view_cells).collect();
    let section = Section::rows("instructions", &columns, rows);
    match format {
        Format::Table => section.only(&TABLE_COLUMNS),
        Format::Json | Format::Csv => section,
    }
}

/// Runs `get`; an unknown UETR is exit code 1.
pub async fn get(args: GetArgs, connection: &Connection, format: Format) -> Result<(), CliError> {
    let request = v1::GetInstructionRequest {
        uetr: args.uetr.clone(),
        min_sequence: args.min_sequence,
    };
    let views = connection
        .payments()
        .get_instruction(request)
        .await?
        .into_inner()
        .instructions;
    if views.is_empty() {
        return Err(CliError::Refused(format!(
            "no instruction {} of yours (NOT_FOUND)",
            args.uetr
        )));
    }
    let columns = [&STATUS_COLUMNS[..], &CONTENT_COLUMNS[..]].concat();
    let mut sections = Vec::new();
    if let ([view], Format::Table) = (&views[..], format) {
        let fields = columns.into_iter().zip(view_cells(view)).collect();
        sections.push(Section::record("instruction", fields));
    } else {
        sections.push(Section::rows(
            "instructions",
            &columns,
            views.iter().map(view_cells).collect(),
        ));
    }
    let has_more_legs = views.iter().any(|view| {
        view.instruction
            .as_ref()
            .is_some_and(|instruction| instruction.legs.len() > 1)
    });
    if has_more_legs || format == Format::Json {
        sections.push(leg_rows(&views));
    }
    let waits = views.iter().any(|view| view.conditions.is_some());
    if waits || format == Format::Json {
        sections.push(super::conditions::rows(&views));
    }
    print(format, &sections);
    Ok(())
}

fn leg_rows(views: &[v1::InstructionView]) -> Section {
    let legs = views.iter().flat_map(|view| {
        let sequence = view.status.as_ref().map_or(0, |status| status.sequence);
        let legs = view
            .instruction
            .iter()
            .flat_map(|instruction| &instruction.legs);
        legs.map(move |leg| {
            vec![
                Cell::Count(sequence),
                Cell::text(text::leg_kind(leg.kind)),
                Cell::text(&leg.debtor),
                Cell::text(&leg.creditor),
                Cell::text(&leg.asset),
                Cell::amount(&leg.amount),
            ]
        })
    });
    let columns = ["sequence", "kind", "debtor", "creditor", "asset", "amount"];
    Section::rows("legs", &columns, legs.collect())
}

/// Runs `list`.
pub async fn list(args: ListArgs, connection: &Connection, format: Format) -> Result<(), CliError> {
    let wanted = if args.limit == 0 {
        u32::MAX
    } else {
        args.limit
    };
    let page_size = i32::try_from(wanted.min(PAGE_SIZE_MAX)).expect("at most 1,000");
    let mut request = v1::ListInstructionsRequest {
        page_size,
        page_token: String::new(),
        status: args.status,
        lane: args.lane,
        kind: args.kind,
        value_date: args.value_date,
        asset: args.asset,
        counterparty: args.counterparty,
        cycle: args.cycle,
        min_sequence: args.min_sequence,
        participant: args.participant,
        awaiting_my_approval: args.awaiting_my_approval,
    };
    let mut payments = connection.payments();
    let mut views = Vec::new();
    let read_model = loop {
        let page = payments
            .list_instructions(request.clone())
            .await?
            .into_inner();
        views.extend(page.instructions);
        if page.next_page_token.is_empty() || views.len() >= wanted as usize {
            break page.read_model;
        }
        request.page_token = page.next_page_token;
    };
    views.truncate(wanted as usize);
    print(format, &[view_rows(&views, format)]);
    // Not part of the rows, and only news where it matters.
    if let Some(state) = read_model.filter(|state| state.behind > 0) {
        let behind = state.behind;
        note(&format!(
            "note: the read model is {behind} sequences behind"
        ));
    }
    Ok(())
}

/// Runs `cancel`.
pub async fn cancel(
    args: CancelArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut request = v1::CancelInstructionRequest {
        uetr: args.uetr,
        kind: args.kind,
        ..Default::default()
    };
    request.request_id = args.request_id.or_derived(&request);
    let answer = connection
        .payments()
        .cancel_instruction(request)
        .await?
        .into_inner();
    let status = present(answer.status, "status")?;
    let fields = STATUS_COLUMNS
        .into_iter()
        .zip(status_cells(&status))
        .collect();
    print(format, &[Section::record("instruction", fields)]);
    Ok(())
}
