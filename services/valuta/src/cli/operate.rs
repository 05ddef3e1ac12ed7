//! `token`, `time`, `status`: what an operator does besides the scheme.

use super::request_id::RequestId;
use super::{scheme::written, text};
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print, print_text};
use crate::server::role_name as name;
use clap::Subcommand;
use prost_types::Timestamp;
use valuta_proto::v1;

/// What `token` does.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token; its text is shown once
    Create {
        /// participant, agent, operator, treasury or auditor
        #[arg(value_parser = text::parse_role)]
        role: i32,
        /// Names the token, for revocation
        label: String,
        /// Of a participant or agent
        #[arg(long, default_value = "")]
        bic: String,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Revoke a token
    Revoke {
        /// The token's name
        label: String,
        #[command(flatten)]
        request_id: RequestId,
    },
}

/// What `time` does.
#[derive(Subcommand)]
pub enum TimeCommand {
    /// Set a rehearsal's record time, which never goes back
    Set {
        /// RFC 3339, such as 2026-04-13T10:00:00Z
        #[arg(value_parser = text::time_argument)]
        time: Timestamp,
        #[command(flatten)]
        request_id: RequestId,
    },
}

/// Runs `token`.
pub async fn token(
    command: TokenCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut admin = connection.admin();
    match command {
        TokenCommand::Create {
            role,
            label,
            bic,
            request_id,
        } => {
            let request = v1::CreateTokenRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                role,
                bic,
                label: label.clone(),
            };
            let answer = admin.create_token(request).await?.into_inner();
            let fields = vec![
                ("label", Cell::text(label)),
                ("token", Cell::text(answer.token)),
                ("sequence", Cell::Count(answer.sequence)),
            ];
            print(format, &[Section::record("token", fields)]);
            Ok(())
        }
        TokenCommand::Revoke { label, request_id } => {
            let request = v1::RevokeTokenRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                label,
            };
            written(admin.revoke_token(request).await?.into_inner(), format)
        }
    }
}

/// Runs `time`.
pub async fn time(
    command: TimeCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let TimeCommand::Set { time, request_id } = command;
    let request = v1::SetTimeRequest {
        time: Some(time),
        request_id: request_id.or_fresh()?,
    };
    written(
        connection.admin().set_time(request).await?.into_inner(),
        format,
    )
}

/// Runs `status`.
pub async fn status(connection: &Connection, format: Format) -> Result<(), CliError> {
    let status = connection
        .admin()
        .get_status(v1::GetStatusRequest {})
        .await?
        .into_inner();
    let processes = Section::rows("processes", &PROCESS_COLUMNS, rows(&status.processes));
    let record = Section::record("status", fields(status));
    match format {
        // One object, as before there were others.
        Format::Json => {
            let mut document = record.json();
            document["processes"] = processes.json();
            print_text(&format!("{document:#}\n"));
        }
        Format::Table | Format::Csv => print(format, &[record, processes]),
    }
    Ok(())
}

fn fields(status: v1::GetStatusResponse) -> Vec<(&'static str, Cell)> {
    let role = name(status.role()).to_owned();
    let leader = status.leader.unwrap_or_default();
    let known = !leader.process.is_empty();
    vec![
        ("version", Cell::text(status.version)),
        ("role", Cell::text(role)),
        ("journal", Cell::text(status.journal)),
        ("leader", Cell::text(leader.process)),
        ("leader_address", Cell::text(leader.address)),
        ("epoch", count(known.then_some(leader.epoch))),
        ("scheme", Cell::text(status.scheme)),
        ("rehearsal", Cell::Flag(status.rehearsal)),
        ("time", Cell::text(text::time(status.time.as_ref()))),
        ("sequence", Cell::Count(status.sequence)),
        (
            "read_model_sequence",
            Cell::Count(status.read_model_sequence),
        ),
        ("batches", Cell::Count(status.batches)),
        ("anchored_batch", Cell::Count(status.anchored_batch)),
        ("instructions", Cell::Count(status.instructions)),
        ("settled", Cell::Count(status.settled)),
        ("rejected", Cell::Count(status.rejected)),
        ("waiting", Cell::Count(status.waiting)),
    ]
}

const PROCESS_COLUMNS: [&str; 10] = [
    "role",
    "address",
    "sequence",
    "behind",
    "batch",
    "batches_behind",
    "behind_seconds",
    "unheard_seconds",
    "state",
    "process",
];

fn rows(processes: &[v1::ProcessStatus]) -> Vec<Vec<Cell>> {
    let row = |status: &v1::ProcessStatus| {
        vec![
            Cell::text(name(status.role())),
            Cell::text(&status.address),
            count(status.sequence),
            count(status.behind),
            count(status.batch),
            count(status.batches_behind),
            Cell::amount(seconds(status.behind_ms)),
            Cell::amount(seconds(status.unheard_ms)),
            Cell::text(match (status.silent, status.standing_by) {
                (true, _) => "silent",
                (false, true) => "standing by",
                (false, false) => "good",
            }),
            Cell::text(&status.process),
        ]
    };
    processes.iter().map(row).collect()
}

/// What is not known is empty.
fn count(count: Option<u64>) -> Cell {
    count.map_or_else(|| Cell::text(""), Cell::Count)
}

/// With three decimals.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
