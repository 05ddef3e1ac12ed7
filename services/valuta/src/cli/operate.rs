//! `token`, `time`, `status`: what an operator does besides the scheme.

use super::request_id::RequestId;
use super::{scheme::written, text};
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::Subcommand;
use prost_types::Timestamp;
use valuta_proto::v1;

/// What `token` does.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token; its text is shown once
    Create {
        /// participant, agent, operator or treasury
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
    let fields = vec![
        ("version", Cell::text(status.version)),
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
    ];
    print(format, &[Section::record("status", fields)]);
    Ok(())
}
