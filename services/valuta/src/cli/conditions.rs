//! `approve`, `show-preimage`, `prioritise`: what makes conditions true, and ranks what waits.

use super::payments::{STATUS_COLUMNS, status_cells};
use super::request_id::RequestId;
use super::text::{self, present};
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use valuta_proto::v1;

/// Which instruction: what is left out is looked up under the UETR.
#[derive(Args)]
struct Which {
    /// The instruction's UETR
    uetr: String,
    /// The instructing participant; needed where you are no party, or several share the UETR
    #[arg(long, default_value = "")]
    instructing: String,
    /// payment, cover, return or trade_side, if several share it
    #[arg(long, value_parser = text::parse_kind, default_value = "")]
    kind: i32,
}

/// What `approve` takes.
#[derive(Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `show-preimage` takes.
#[derive(Args)]
pub struct ShowPreimageArgs {
    #[command(flatten)]
    which: Which,
    /// The preimage, hexadecimal
    #[arg(value_name = "HEX")]
    preimage: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `prioritise` takes.
#[derive(Args)]
pub struct PrioritiseArgs {
    /// The instruction's UETR
    uetr: String,
    /// normal, high or urgent
    #[arg(value_parser = text::parse_priority)]
    priority: i32,
    /// payment, cover, return or trade_side
    #[arg(long, value_parser = text::parse_kind, default_value = "payment")]
    kind: i32,
    #[command(flatten)]
    request_id: RequestId,
}

/// An instruction's identity.
struct Identity {
    uetr: String,
    instructing: String,
    kind: i32,
}

impl Which {
    async fn find(self, connection: &Connection) -> Result<Identity, CliError> {
        let Self {
            uetr,
            instructing,
            kind,
        } = self;
        if !instructing.is_empty() && kind != 0 {
            return Ok(Identity {
                uetr,
                instructing,
                kind,
            });
        }
        let request = v1::GetInstructionRequest {
            uetr: uetr.clone(),
            min_sequence: 0,
        };
        let found = connection.payments().get_instruction(request).await?;
        let found = found.into_inner().instructions.into_iter();
        let statuses = found.filter_map(|view| view.status);
        let mut matching = statuses.filter(|status| {
            (instructing.is_empty() || status.instructing == instructing)
                && (kind == 0 || status.kind == kind)
        });
        match (matching.next(), matching.next()) {
            (Some(status), None) => Ok(Identity {
                uetr,
                instructing: status.instructing,
                kind: status.kind,
            }),
            (None, _) => Err(CliError::Refused(format!("no such instruction {uetr}"))),
            (Some(_), Some(_)) => Err(CliError::Refused(format!(
                "several instructions share {uetr}: name --instructing and --kind"
            ))),
        }
    }
}

/// Runs `approve`.
pub async fn approve(
    args: ApproveArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let Identity {
        uetr,
        instructing,
        kind,
    } = args.which.find(connection).await?;
    let mut request = v1::ApproveInstructionRequest {
        uetr,
        instructing,
        kind,
        ..Default::default()
    };
    request.request_id = args.request_id.or_derived(&request);
    let answer = connection.payments().approve_instruction(request).await?;
    show(answer.into_inner().status, format)
}

/// Runs `show-preimage`.
pub async fn show_preimage(
    args: ShowPreimageArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let preimage = text::parse_hex(&args.preimage).map_err(CliError::Usage)?;
    let Identity {
        uetr,
        instructing,
        kind,
    } = args.which.find(connection).await?;
    let mut request = v1::ShowPreimageRequest {
        uetr,
        instructing,
        kind,
        preimage,
        ..Default::default()
    };
    request.request_id = args.request_id.or_derived(&request);
    let answer = connection.payments().show_preimage(request).await?;
    show(answer.into_inner().status, format)
}

/// Runs `prioritise`.
pub async fn prioritise(
    args: PrioritiseArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::SetPriorityRequest {
        uetr: args.uetr,
        kind: args.kind,
        priority: args.priority,
        // It sets a state: going there and back again must work.
        request_id: args.request_id.or_fresh()?,
        created: None,
    };
    let answer = connection.payments().set_priority(request).await?;
    show(answer.into_inner().status, format)
}

fn show(status: Option<v1::InstructionStatus>, format: Format) -> Result<(), CliError> {
    let status = present(status, "status")?;
    let fields = STATUS_COLUMNS.into_iter().zip(status_cells(&status));
    print(format, &[Section::record("instruction", fields.collect())]);
    Ok(())
}

/// What instructions still wait for.
pub fn rows(views: &[v1::InstructionView]) -> Section {
    let row = |view: &v1::InstructionView| {
        let progress = view.conditions.as_ref()?;
        let sent = view.instruction.as_ref()?.conditions.clone();
        let sent = sent.unwrap_or_default();
        let locked = !sent.hash_lock.is_empty();
        let preimage = match (locked, progress.preimage_shown) {
            (false, _) => "",
            (true, false) => "missing",
            (true, true) => "shown",
        };
        let group = match sent.group_members {
            0 => String::new(),
            members => format!("{} of {members}", progress.group_ready),
        };
        Some(vec![
            Cell::Count(view.status.as_ref()?.sequence),
            Cell::Count(progress.approvals_outstanding.into()),
            Cell::text(progress.approved_by.join(" ")),
            Cell::text(progress.approvals_missing.join(" ")),
            Cell::text(preimage),
            Cell::text(text::time(sent.not_before.as_ref())),
            Cell::text(text::time(sent.expires_at.as_ref())),
            Cell::text(group),
        ])
    };
    let columns = [
        "sequence",
        "approvals_outstanding",
        "approved_by",
        "approvals_missing",
        "preimage",
        "not_before",
        "expires_at",
        "group_ready",
    ];
    Section::rows(
        "conditions",
        &columns,
        views.iter().filter_map(row).collect(),
    )
}
