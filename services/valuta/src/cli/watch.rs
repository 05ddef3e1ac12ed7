//! `watch` and `receive`: streams that resume where they were left.

use super::payments::{CONTENT_COLUMNS, STATUS_COLUMNS, status_cells, view_cells};
use super::request_id::derived;
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print_next};
use clap::Args;
use valuta_proto::v1;

/// What `watch` takes.
#[derive(Args)]
pub struct WatchArgs {
    /// Of the last change seen; "0" from the beginning, from now on if left out
    #[arg(long, value_name = "TOKEN", default_value = "")]
    resume: String,
    /// End after so many changes; 0 never ends
    #[arg(long, default_value = "0")]
    limit: u64,
}

/// What `receive` takes.
#[derive(Args)]
pub struct ReceiveArgs {
    /// Start after this position instead of after the last acknowledged one
    #[arg(long, value_name = "POSITION", default_value = "")]
    after: String,
    /// Acknowledge what has been printed, every 1,000 and at the end
    #[arg(long)]
    acknowledge: bool,
    /// End after so many instructions; 0 never ends
    #[arg(long, default_value = "0")]
    limit: u64,
}

/// How many are printed between two acknowledgements.
const ACKNOWLEDGE_EVERY: u64 = 1_000;

/// Runs `watch`.
pub async fn watch(
    args: WatchArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let columns = [&["resume_token", "time"], &STATUS_COLUMNS[..]].concat();
    let mut seen = args.resume.clone();
    let mut payments = connection.unlimited().payments();
    let request = v1::WatchInstructionsRequest {
        resume_token: args.resume,
    };
    let mut changes = payments.watch_instructions(request).await?.into_inner();
    let mut count = 0;
    loop {
        let change = match changes.message().await {
            Ok(Some(change)) => change,
            Ok(None) => return Err(ended("--resume", &seen, None)),
            Err(status) => return Err(ended("--resume", &seen, Some(status))),
        };
        let mut row = vec![
            Cell::text(&change.resume_token),
            Cell::text(text::time(change.time.as_ref())),
        ];
        row.extend(status_cells(&change.status.unwrap_or_default()));
        print_next(
            format,
            &compact(format, Section::rows("changes", &columns, vec![row])),
            count == 0,
        );
        seen = change.resume_token;
        count += 1;
        if count == args.limit {
            return Ok(());
        }
    }
}

/// What people look at in a table; JSON and CSV have every column.
const TABLE_COLUMNS: [&str; 13] = [
    "resume_token",
    "position",
    "time",
    "uetr",
    "kind",
    "status",
    "waiting_reason",
    "code",
    "cycle",
    "debtor",
    "creditor",
    "asset",
    "amount",
];

fn compact(format: Format, section: Section) -> Section {
    match format {
        Format::Table => section.only(&TABLE_COLUMNS),
        Format::Json | Format::Csv => section,
    }
}

/// A watch has no end of its own, so an end is an interruption that says where to go on.
fn ended(option: &str, seen: &str, status: Option<tonic::Status>) -> CliError {
    let go_on = match seen {
        "" => String::new(),
        seen => format!("; go on with {option} {seen}"),
    };
    match status.map(CliError::from) {
        None => CliError::Unavailable(format!("the server ended the stream{go_on} (UNAVAILABLE)")),
        Some(CliError::Unavailable(line)) => CliError::Unavailable(format!("{line}{go_on}")),
        Some(error) => error,
    }
}

/// Runs `receive`.
pub async fn receive(
    args: ReceiveArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let columns = [&["position"], &STATUS_COLUMNS[..], &CONTENT_COLUMNS[..]].concat();
    let mut seen = args.after.clone();
    let mut payments = connection.unlimited().payments();
    let request = v1::ReceiveRequest {
        after_position: args.after,
    };
    let mut received = payments.receive(request).await?.into_inner();
    let mut count = 0;
    loop {
        let next = match received.message().await {
            Ok(Some(next)) => next,
            Ok(None) => return Err(ended("--after", &seen, None)),
            Err(status) => return Err(ended("--after", &seen, Some(status))),
        };
        let mut row = vec![Cell::text(&next.position)];
        row.extend(view_cells(&next.instruction.unwrap_or_default()));
        print_next(
            format,
            &compact(format, Section::rows("received", &columns, vec![row])),
            count == 0,
        );
        seen = next.position;
        count += 1;
        let is_last = count == args.limit;
        if args.acknowledge && (is_last || count % ACKNOWLEDGE_EVERY == 0) {
            acknowledge(connection, &seen).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Acknowledges everything up to and including `position`. Sent again it is the same request.
pub async fn acknowledge(connection: &Connection, position: &str) -> Result<(), CliError> {
    let mut request = v1::AcknowledgeReceivedRequest {
        position: position.to_owned(),
        ..Default::default()
    };
    request.request_id = derived(&request);
    connection.payments().acknowledge_received(request).await?;
    Ok(())
}
