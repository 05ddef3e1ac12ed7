//! Proofs of the ledger's besides receipts: fetched here, checked by `verify`.

use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print, print_text};
use clap::Args;
use std::path::{Path, PathBuf};
use valuta_proto::v1;

/// Where a proof goes.
#[derive(Args)]
pub struct Out {
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Wait until the batch is anchored
    #[arg(long)]
    wait: bool,
}

/// Where the server's policy goes.
#[derive(Args)]
pub struct PolicyOut {
    /// Write the server's policy to this file: compare its key with one that came another way
    #[arg(long, value_name = "FILE")]
    policy_out: Option<PathBuf>,
}

impl PolicyOut {
    /// Whether it goes anywhere.
    pub fn is_asked(&self) -> bool {
        self.policy_out.is_some()
    }

    /// Writes it.
    pub fn write(&self, policy: &str) -> Result<(), CliError> {
        match &self.policy_out {
            Some(path) => {
                std::fs::write(path, policy).map_err(|error| CliError::file(path, &error))
            }
            None => Ok(()),
        }
    }
}

/// What `balance-proof` takes.
#[derive(Args)]
pub struct BalanceArgs {
    /// The account's asset
    asset: String,
    /// Whose account; your own by default
    #[arg(long, default_value = "")]
    participant: String,
    /// As it was after this batch; by default the newest
    #[arg(long, default_value = "0")]
    batch: u64,
    #[command(flatten)]
    out: Out,
}

/// What `postings` takes.
#[derive(Args)]
pub struct PostingsArgs {
    /// The batch's number
    batch: u64,
    /// Whose; your own by default
    #[arg(long, default_value = "")]
    participant: String,
    /// Write the proofs into this directory, one file an asset
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Wait until the batch is anchored
    #[arg(long)]
    wait: bool,
}

/// What `conservation` takes.
#[derive(Args)]
pub struct ConservationArgs {
    /// The batch's number
    batch: u64,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What `disclose` takes.
#[derive(Args)]
pub struct DiscloseArgs {
    /// The batch's number
    batch: u64,
    /// Which of its instructions
    #[arg(required = true)]
    uetrs: Vec<String>,
    #[command(flatten)]
    out: Out,
}

/// Runs `checkpoint`.
pub async fn checkpoint(
    out: PolicyOut,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetCheckpointRequest {};
    let answer = connection.ledger().get_checkpoint(request).await?;
    let v1::GetCheckpointResponse {
        checkpoint,
        policy,
        witnessed,
    } = answer.into_inner();
    out.write(&policy)?;
    if format == Format::Table {
        print_text(&format!("{checkpoint}\nwitnessed {witnessed}\n"));
        return Ok(());
    }
    let fields = vec![
        ("checkpoint", Cell::text(checkpoint)),
        ("policy", Cell::text(policy)),
        ("witnessed", Cell::Count(witnessed)),
    ];
    print(format, &[Section::record("checkpoint", fields)]);
    Ok(())
}

/// Runs `balance-proof`.
pub async fn balance(
    args: BalanceArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetBalanceProofRequest {
        participant: args.participant,
        asset: args.asset,
        batch: args.batch,
        wait: args.out.wait,
    };
    let answer = connection.ledger().get_balance_proof(request).await?;
    let v1::GetBalanceProofResponse { batch, proof } = answer.into_inner();
    put(args.out.out.as_deref(), batch, &proof, format)
}

/// Runs `postings`.
pub async fn postings(
    args: PostingsArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::ListPostingProofsRequest {
        batch: args.batch,
        participant: args.participant,
        wait: args.wait,
    };
    let answer = connection.ledger().list_posting_proofs(request).await?;
    let proofs = answer.into_inner().proofs;
    std::fs::create_dir_all(&args.out).map_err(|error| CliError::file(&args.out, &error))?;
    let mut rows = Vec::new();
    for (number, proof) in (1..).zip(&proofs) {
        let path = args.out.join(format!("{}-{number}.posting", args.batch));
        std::fs::write(&path, proof).map_err(|error| CliError::file(&path, &error))?;
        rows.push(vec![
            Cell::Count(args.batch),
            Cell::text(path.display().to_string()),
        ]);
    }
    print(
        format,
        &[Section::rows("postings", &["batch", "file"], rows)],
    );
    Ok(())
}

/// Runs `conservation`.
pub async fn conservation(
    args: ConservationArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::GetConservationProofRequest { batch: args.batch };
    let answer = connection.ledger().get_conservation_proof(request).await?;
    let proof = answer.into_inner().proof;
    put(args.out.as_deref(), args.batch, &proof, format)
}

/// Runs `disclose`.
pub async fn disclose(
    args: DiscloseArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let request = v1::DiscloseRequest {
        batch: args.batch,
        uetrs: args.uetrs,
        wait: args.out.wait,
    };
    let answer = connection.ledger().disclose(request).await?;
    let disclosure = answer.into_inner().disclosure;
    put(args.out.out.as_deref(), args.batch, &disclosure, format)
}

fn put(out: Option<&Path>, batch: u64, proof: &str, format: Format) -> Result<(), CliError> {
    let Some(path) = out else {
        print_text(proof);
        return Ok(());
    };
    std::fs::write(path, proof).map_err(|error| CliError::file(path, &error))?;
    let fields = vec![
        ("batch", Cell::Count(batch)),
        ("file", Cell::text(path.display().to_string())),
    ];
    print(format, &[Section::record("proof", fields)]);
    Ok(())
}
