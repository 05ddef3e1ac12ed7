//! `scheme`, `participants`, `accounts`, `limits`, `suspend`, `reinstate`: who takes part, and how far.

use super::request_id::RequestId;
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print, print_text};
use crate::scheme_file;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use valuta_proto::v1;

/// What `scheme` does.
#[derive(Subcommand)]
pub enum SchemeCommand {
    /// Print a sample file
    Sample,
    /// Make the scheme as the file describes it; what already holds is no change (operator)
    Apply {
        /// The TOML file
        file: PathBuf,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Show the server's scheme
    Show,
}

/// What `suspend` and `reinstate` take.
#[derive(Args)]
pub struct SuspendArgs {
    /// The participant's BIC
    bic: String,
    /// Why; a new pay-in schedule carries it
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `accounts` takes.
#[derive(Args)]
pub struct AccountsArgs {
    /// Only this participant's
    #[arg(long, value_name = "BIC")]
    participant: Option<String>,
    /// Set the state of the account in this asset: with --participant and --state (operator)
    #[arg(long, requires_all = ["participant", "state"])]
    asset: Option<String>,
    /// open, blocked or closed
    #[arg(long, value_parser = text::parse_account_state, requires = "asset")]
    state: Option<i32>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `limits` does.
#[derive(Subcommand)]
pub enum LimitsCommand {
    /// Show all limits
    Show,
    /// Set one limit (operator)
    Set {
        /// Whose account
        participant: String,
        /// The account's asset
        asset: String,
        /// In major units; leave it out to lift the limit
        amount: Option<String>,
        /// A cap towards this participant instead of a maximum per instruction
        #[arg(long, value_name = "BIC")]
        counterparty: Option<String>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// How cycles that open from now on are funded, and whether order may be bypassed (operator)
    Model(super::risk::ModelArgs),
    /// What an asset counts less for (operator)
    Haircut(super::risk::HaircutArgs),
    /// By how much an account's fund may be short in a continuous cycle (operator)
    Short(super::risk::ShortArgs),
    /// Tests that span a participant's accounts in a continuous cycle (operator)
    Tests(super::risk::TestsArgs),
    /// Keep an amount of an account for a priority and above (its participant, or the operator)
    Reserve(super::risk::ReserveArgs),
}

async fn current(connection: &Connection) -> Result<(v1::Scheme, v1::SchemeResponse), CliError> {
    let request = v1::GetSchemeRequest { min_sequence: 0 };
    let mut answer = connection.admin().get_scheme(request).await?.into_inner();
    Ok((answer.scheme.take().unwrap_or_default(), answer))
}

/// Runs `scheme`.
pub async fn scheme(
    command: SchemeCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    match command {
        SchemeCommand::Sample => print_text(scheme_file::SAMPLE),
        SchemeCommand::Apply { file, request_id } => {
            let content =
                std::fs::read_to_string(&file).map_err(|error| CliError::file(&file, &error))?;
            let scheme = scheme_file::parse(&content)
                .map_err(|error| CliError::Usage(format!("{}: {error}", file.display())))?;
            let request = v1::ApplySchemeRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                scheme: Some(scheme),
            };
            let answer = connection.admin().apply_scheme(request).await?.into_inner();
            let fields = vec![
                ("sequence", Cell::Count(answer.sequence)),
                ("changes", Cell::Count(answer.changes.into())),
            ];
            print(format, &[Section::record("applied", fields)]);
        }
        SchemeCommand::Show => show(connection, format).await?,
    }
    Ok(())
}

async fn show(connection: &Connection, format: Format) -> Result<(), CliError> {
    let (scheme, answer) = current(connection).await?;
    let cut_offs = scheme.cut_offs.clone().unwrap_or_default();
    let head = vec![
        ("scheme", Cell::text(&scheme.name)),
        ("base_asset", Cell::text(&scheme.base_asset)),
        ("rehearsal", Cell::Flag(answer.rehearsal)),
        ("zone", Cell::text(cut_offs.zone)),
        ("close", Cell::text(cut_offs.close)),
        ("pay_in", Cell::text(cut_offs.pay_in)),
        ("completion", Cell::text(cut_offs.completion)),
        ("accounts", Cell::Count(scheme.accounts.len() as u64)),
        ("limits", Cell::Count(scheme.limits.len() as u64)),
        ("sequence", Cell::Count(answer.sequence)),
    ];
    let assets = scheme.assets.iter().map(|asset| {
        vec![
            Cell::text(&asset.code),
            Cell::Count(asset.decimals.into()),
            Cell::text(&asset.agent),
            Cell::Flag(asset.enabled),
        ]
    });
    let columns = ["asset", "decimals", "agent", "enabled"];
    let sections = [
        Section::record("scheme", head),
        Section::rows("assets", &columns, assets.collect()),
        participant_rows(&scheme),
        cut_off_rows(&scheme),
        day_rows(&scheme),
    ];
    print(format, &sections);
    Ok(())
}

fn cut_off_rows(scheme: &v1::Scheme) -> Section {
    let rows = scheme.asset_cut_offs.iter().map(|line| {
        vec![
            Cell::text(&line.asset),
            Cell::text(text::cut_off_purpose(line.purpose)),
            Cell::text(&line.time),
            Cell::text(&line.zone),
            Cell::Count(line.days_before.into()),
        ]
    });
    let columns = ["asset", "purpose", "time", "zone", "days_before"];
    Section::rows("asset_cut_offs", &columns, rows.collect())
}

fn day_rows(scheme: &v1::Scheme) -> Section {
    let rows = scheme.days.iter().map(|day| {
        vec![
            Cell::text(&day.asset),
            Cell::text(&day.date),
            Cell::text(text::day_kind(day.kind)),
        ]
    });
    Section::rows("days", &["asset", "date", "kind"], rows.collect())
}

fn participant_rows(scheme: &v1::Scheme) -> Section {
    let rows = scheme.participants.iter().map(|participant| {
        let accounts = scheme.accounts.iter();
        let accounts = accounts.filter(|account| account.participant == participant.bic);
        vec![
            Cell::text(&participant.bic),
            Cell::text(&participant.name),
            Cell::text(text::participant_state(participant.state)),
            Cell::Count(accounts.count() as u64),
        ]
    });
    Section::rows(
        "participants",
        &["bic", "name", "state", "accounts"],
        rows.collect(),
    )
}

/// Runs `participants`.
pub async fn participants(connection: &Connection, format: Format) -> Result<(), CliError> {
    let (scheme, _) = current(connection).await?;
    print(format, &[participant_rows(&scheme)]);
    Ok(())
}

/// Runs `accounts`.
pub async fn accounts(
    args: AccountsArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    if let (Some(participant), Some(asset), Some(state)) =
        (&args.participant, &args.asset, args.state)
    {
        let request = v1::SetAccountStateRequest {
            request_id: args.request_id.or_fresh()?,
            created: None,
            participant: participant.clone(),
            asset: asset.clone(),
            state,
        };
        return written(
            connection
                .admin()
                .set_account_state(request)
                .await?
                .into_inner(),
            format,
        );
    }
    let (scheme, _) = current(connection).await?;
    let wanted = |account: &&v1::Account| {
        args.participant
            .as_ref()
            .is_none_or(|bic| *bic == account.participant)
    };
    let rows = scheme.accounts.iter().filter(wanted).map(|account| {
        vec![
            Cell::text(&account.participant),
            Cell::text(&account.asset),
            Cell::text(text::account_state(account.state)),
        ]
    });
    let columns = ["participant", "asset", "state"];
    print(
        format,
        &[Section::rows("accounts", &columns, rows.collect())],
    );
    Ok(())
}

/// Runs `limits`.
pub async fn limits(
    command: LimitsCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    match command {
        LimitsCommand::Show => {
            let (scheme, _) = current(connection).await?;
            let rows = scheme.limits.iter().map(|limit| {
                vec![
                    Cell::text(&limit.participant),
                    Cell::text(&limit.asset),
                    Cell::text(&limit.counterparty),
                    Cell::amount(&limit.amount),
                ]
            });
            let columns = ["participant", "asset", "counterparty", "amount"];
            let limits = Section::rows("limits", &columns, rows.collect());
            print(format, &[limits, super::risk::rows(&scheme.risk)]);
            Ok(())
        }
        LimitsCommand::Model(args) => super::risk::model(args, connection, format).await,
        LimitsCommand::Haircut(args) => super::risk::haircut(args, connection, format).await,
        LimitsCommand::Short(args) => super::risk::short(args, connection, format).await,
        LimitsCommand::Tests(args) => super::risk::tests(args, connection, format).await,
        LimitsCommand::Reserve(args) => super::risk::reserve(args, connection, format).await,
        LimitsCommand::Set {
            participant,
            asset,
            amount,
            counterparty,
            request_id,
        } => {
            let limit = v1::Limit {
                participant,
                asset,
                counterparty: counterparty.unwrap_or_default(),
                amount: amount.unwrap_or_default(),
            };
            let request = v1::SetLimitRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                limit: Some(limit),
            };
            written(
                connection.admin().set_limit(request).await?.into_inner(),
                format,
            )
        }
    }
}

/// Runs `suspend`.
pub async fn suspend(
    args: SuspendArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    set_state(args, v1::ParticipantState::Suspended, connection, format).await
}

/// Runs `reinstate`.
pub async fn reinstate(
    args: SuspendArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    set_state(args, v1::ParticipantState::Active, connection, format).await
}

async fn set_state(
    args: SuspendArgs,
    state: v1::ParticipantState,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::SetParticipantStateRequest {
        request_id: args.request_id.or_fresh()?,
        created: None,
        bic: args.bic,
        state: state.into(),
        reason: args.reason,
    };
    written(
        connection
            .admin()
            .set_participant_state(request)
            .await?
            .into_inner(),
        format,
    )
}

/// Prints the sequence of a write.
pub fn written(answer: v1::WriteResponse, format: Format) -> Result<(), CliError> {
    let fields = vec![("sequence", Cell::Count(answer.sequence))];
    print(format, &[Section::record("written", fields)]);
    Ok(())
}
