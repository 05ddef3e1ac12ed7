//! `deposit`, `withdraw`, `pay-in`, `pay-out`, `transfer`.

use super::request_id::RequestId;
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use valuta_proto::v1::{self, MovementKind};

/// A movement of an account.
#[derive(Args)]
pub struct MovementArgs {
    /// The account's participant
    participant: String,
    /// The account's asset
    asset: String,
    /// In major units, such as 1000.00
    amount: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// A movement of an account's fund in one cycle.
#[derive(Args)]
pub struct CycleMovementArgs {
    /// Value date and number, such as 2026-11-20/1
    cycle: String,
    #[command(flatten)]
    movement: MovementArgs,
}

/// Runs `deposit`.
pub async fn deposit(
    args: MovementArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    record(
        MovementKind::Deposit,
        args,
        String::new(),
        connection,
        format,
    )
    .await
}

/// Runs `withdraw`.
pub async fn withdraw(
    args: MovementArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    record(
        MovementKind::Withdrawal,
        args,
        String::new(),
        connection,
        format,
    )
    .await
}

/// Runs `pay-in`.
pub async fn pay_in(
    args: CycleMovementArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    record(
        MovementKind::PayIn,
        args.movement,
        args.cycle,
        connection,
        format,
    )
    .await
}

/// Runs `pay-out`.
pub async fn pay_out(
    args: CycleMovementArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    record(
        MovementKind::PayOut,
        args.movement,
        args.cycle,
        connection,
        format,
    )
    .await
}

/// Runs `transfer`.
pub async fn transfer(
    args: CycleMovementArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    record(
        MovementKind::Transfer,
        args.movement,
        args.cycle,
        connection,
        format,
    )
    .await
}

async fn record(
    kind: MovementKind,
    args: MovementArgs,
    cycle: String,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut request = v1::RecordMovementRequest {
        kind: kind.into(),
        participant: args.participant,
        asset: args.asset,
        amount: args.amount,
        cycle,
        ..Default::default()
    };
    request.request_id = args.request_id.or_derived(&request);
    let request_id = request.request_id.clone();
    let answer = connection
        .settlement()
        .record_movement(request)
        .await?
        .into_inner();
    if let Some(rejection) = answer.rejection {
        return Err(refused(&rejection));
    }
    let fields = vec![
        ("sequence", Cell::Count(answer.sequence)),
        ("status", Cell::text(text::status(answer.status))),
        ("request_id", Cell::text(request_id)),
    ];
    print(format, &[Section::record("movement", fields)]);
    Ok(())
}

/// A business refusal as the one line that a person reads.
pub fn refused(rejection: &v1::Rejection) -> CliError {
    let words = if rejection.detail.is_empty() {
        &rejection.reason
    } else {
        &rejection.detail
    };
    let field = match rejection.field.as_str() {
        "" => String::new(),
        field => format!(", field {field}"),
    };
    CliError::Refused(format!(
        "{words} ({} {}{field})",
        rejection.code, rejection.reason
    ))
}
