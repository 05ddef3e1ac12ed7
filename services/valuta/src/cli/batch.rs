//! `batch` and `receipt`: what settled together, and the proof of it.

use super::proofs::PolicyOut;
use super::text::{self, present};
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print, print_text};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use valuta_proto::v1;

/// What `batch` does.
#[derive(Subcommand)]
pub enum BatchCommand {
    /// Batches, newest first
    List {
        /// Only those of this cycle
        #[arg(long, default_value = "")]
        cycle: String,
        /// How many; 0 for all
        #[arg(long, default_value = "100")]
        limit: u32,
    },
    /// One batch, with its postings and its entry in the log
    Show {
        /// The batch's number
        batch: u64,
        /// Wait until it is anchored
        #[arg(long)]
        wait: bool,
    },
}

/// What `receipt` takes.
#[derive(Args)]
pub struct ReceiptArgs {
    /// The instruction's UETR
    uetr: String,
    /// The instructing participant, if several instructions share the UETR
    #[arg(long, default_value = "")]
    instructing: String,
    /// payment, cover, return or trade_side, if several share it
    #[arg(long, value_parser = text::parse_kind, default_value = "")]
    kind: i32,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Wait until it is anchored
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    policy: PolicyOut,
}

const BATCH_COLUMNS: [&str; 9] = [
    "batch",
    "cycle",
    "time",
    "members",
    "sequence",
    "anchored",
    "log_index",
    "order",
    "optimal",
];

fn batch_cells(batch: &v1::Batch) -> Vec<Cell> {
    let log_index = if batch.anchored {
        Cell::Count(batch.log_index)
    } else {
        Cell::text("")
    };
    vec![
        Cell::Count(batch.number),
        Cell::text(&batch.cycle),
        Cell::text(text::time(batch.time.as_ref())),
        Cell::Count(batch.members),
        Cell::Count(batch.sequence),
        Cell::Flag(batch.anchored),
        log_index,
        Cell::text(text::batch_order(batch.order)),
        Cell::Flag(batch.optimal),
    ]
}

/// Runs `batch`.
pub async fn batch(
    command: BatchCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    match command {
        BatchCommand::List { cycle, limit } => list(cycle, limit, connection, format).await,
        BatchCommand::Show { batch, wait } => {
            let request = v1::GetBatchRequest { batch, wait };
            let answer = connection
                .settlement()
                .get_batch(request)
                .await?
                .into_inner();
            show(&present(answer.batch, "batch")?, format);
            Ok(())
        }
    }
}

async fn list(
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
    let mut request = v1::ListBatchesRequest {
        cycle,
        ..Default::default()
    };
    let mut settlement = connection.settlement();
    let mut rows = Vec::new();
    loop {
        let page = settlement.list_batches(request.clone()).await?.into_inner();
        rows.extend(page.batches.iter().map(batch_cells));
        if page.next_page_token.is_empty() || rows.len() >= wanted {
            break;
        }
        request.page_token = page.next_page_token;
    }
    rows.truncate(wanted);
    print(format, &[Section::rows("batches", &BATCH_COLUMNS, rows)]);
    Ok(())
}

fn show(batch: &v1::Batch, format: Format) {
    let mut fields: Vec<_> = BATCH_COLUMNS.into_iter().zip(batch_cells(batch)).collect();
    if format == Format::Json {
        fields.push(("header", Cell::text(&batch.header)));
    }
    let postings = batch.postings.iter().map(|posting| {
        vec![
            Cell::text(&posting.participant),
            Cell::text(&posting.asset),
            Cell::amount(&posting.amount),
        ]
    });
    let columns = ["participant", "asset", "amount"];
    let sections = [
        Section::record("batch", fields),
        Section::rows("postings", &columns, postings.collect()),
    ];
    print(format, &sections);
    if format == Format::Table && batch.anchored {
        print_text(&format!("\nlog entry\n{}\n", batch.header.trim_end()));
    }
}

/// Runs `receipt`.
pub async fn receipt(
    args: ReceiptArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetReceiptRequest {
        uetr: args.uetr,
        instructing: args.instructing,
        kind: args.kind,
        wait: args.wait,
    };
    let mut ledger = connection.ledger();
    let answer = ledger.get_receipt(request).await?.into_inner();
    if args.policy.is_asked() {
        let checkpoint = ledger.get_checkpoint(v1::GetCheckpointRequest {}).await?;
        args.policy.write(&checkpoint.into_inner().policy)?;
    }
    let Some(path) = &args.out else {
        print_text(&answer.receipt);
        return Ok(());
    };
    std::fs::write(path, &answer.receipt).map_err(|error| CliError::file(path, &error))?;
    let fields = vec![
        ("uetr", Cell::text(answer.uetr)),
        ("batch", Cell::Count(answer.batch)),
        ("file", Cell::text(path.display().to_string())),
    ];
    print(format, &[Section::record("receipt", fields)]);
    Ok(())
}
