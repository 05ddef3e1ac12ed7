//! `log`: the ledger's log as an outsider follows it, offline from its operator's word.

use crate::client::{CliError, note};
use crate::log::{Followed, Found, Source};
use crate::output::{Cell, Format, Section, print};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use valuta_verify::{Evidence, Opened, Policy};

/// How often long work says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What `log` does.
#[derive(Subcommand)]
pub enum LogCommand {
    /// Read all that is new in a log and check it: signatures, every entry, every tile, one history
    Audit(AuditArgs),
    /// Check evidence that a log has signed two histories
    CheckFork {
        /// The evidence, as `log audit` kept it
        evidence: PathBuf,
        /// The policy's file: whose signatures you trust
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
}

/// What `log audit` takes.
#[derive(Args)]
pub struct AuditArgs {
    /// Where the log is: http://…, https://…, or a directory
    log: String,
    /// The policy's file: whose signatures you trust
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Remembers in this file what was seen, and goes on from there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where evidence of a fork is kept
    #[arg(long, value_name = "FILE", default_value = "fork.evidence")]
    evidence: PathBuf,
    /// Look again after so many seconds, until something is wrong
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    every: Option<u32>,
}

/// Runs `log`: exit code 0, or 1 with a sentence that says what is wrong.
pub fn log(command: &LogCommand, format: Format) -> Result<(), CliError> {
    match command {
        LogCommand::Audit(args) => audit(args, format),
        LogCommand::CheckFork { evidence, policy } => check_fork(evidence, policy, format),
    }
}

/// Reads a policy's file.
pub fn read_policy(file: &Path) -> Result<Policy, CliError> {
    let text = std::fs::read_to_string(file).map_err(|error| CliError::file(file, &error))?;
    Policy::parse(&text).map_err(|error| CliError::Usage(format!("{}: {error}", file.display())))
}

fn audit(args: &AuditArgs, format: Format) -> Result<(), CliError> {
    let policy = read_policy(&args.policy)?;
    let source = Source::new(&args.log);
    let mut followed = match &args.state {
        Some(file) => remembered(file)?,
        None => Followed::default(),
    };
    loop {
        let before = followed.size();
        let opened = look(
            &mut followed,
            &source,
            &policy,
            &args.evidence,
            &mut |_, _| Ok(()),
        )?;
        if let Some(file) = &args.state {
            remember(file, &followed)?;
        }
        print(format, &[section(&opened, before)]);
        let Some(seconds) = args.every else {
            return Ok(());
        };
        std::thread::sleep(Duration::from_secs(seconds.into()));
    }
}

/// Follows a log once, saying how far it is. Evidence of a fork is kept, and is an error.
pub fn look(
    followed: &mut Followed,
    source: &Source,
    policy: &Policy,
    evidence_file: &Path,
    entry: &mut dyn FnMut(u64, &str) -> anyhow::Result<()>,
) -> Result<Opened, CliError> {
    let mut told = Instant::now();
    let found = followed.follow(source, policy, &mut |index, text| {
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            note(&format!("{} entries read", index + 1));
        }
        entry(index, text)
    });
    match found {
        Ok(Found::Good(opened)) => Ok(opened),
        Ok(Found::Fork(evidence)) => {
            let text = evidence.to_string();
            std::fs::write(evidence_file, text)
                .map_err(|error| CliError::file(evidence_file, &error))?;
            Err(CliError::Refused(format!(
                "the log has signed two histories: the evidence is in {}, and anyone can check it",
                evidence_file.display()
            )))
        }
        Err(error) => Err(CliError::Refused(format!("not as it should be: {error:#}"))),
    }
}

fn section(opened: &Opened, before: u64) -> Section {
    let checkpoint = &opened.checkpoint;
    let witnesses: Vec<_> = opened.cosigned_by.iter().map(|by| &*by.witness).collect();
    let fields = vec![
        ("good", Cell::Flag(true)),
        ("log", Cell::text(&checkpoint.origin)),
        ("entries", Cell::Count(checkpoint.size)),
        ("new", Cell::Count(checkpoint.size - before)),
        ("root", Cell::text(hex(&checkpoint.root))),
        ("cosigned by", Cell::text(witnesses.join(", "))),
    ];
    Section::record("log", fields)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_fork(file: &Path, policy: &Path, format: Format) -> Result<(), CliError> {
    let policy = read_policy(policy)?;
    let text = std::fs::read(file).map_err(|error| CliError::file(file, &error))?;
    let fork = Evidence::parse(&text).and_then(|evidence| evidence.verify(&policy));
    let fork = fork.map_err(|error| CliError::Refused(format!("no evidence: {error}")))?;
    let rows = [&fork.older, &fork.newer].map(|opened| {
        vec![
            Cell::text(&opened.checkpoint.origin),
            Cell::Count(opened.checkpoint.size),
            Cell::text(hex(&opened.checkpoint.root)),
        ]
    });
    let columns = ["log", "entries", "root"];
    print(format, &[Section::rows("fork", &columns, rows.to_vec())]);
    Ok(())
}

/// Nothing, before the first look.
fn remembered(file: &Path) -> Result<Followed, CliError> {
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            let file = file.display();
            CliError::Usage(format!("{file}: not what `log audit` remembers: {error}"))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Followed::default()),
        Err(error) => Err(CliError::file(file, &error)),
    }
}

/// Whole or as before.
fn remember(file: &Path, followed: &Followed) -> Result<(), CliError> {
    let text = serde_json::to_vec(followed).map_err(|error| CliError::Usage(error.to_string()))?;
    let partial = file.with_extension("tmp");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, file))
        .map_err(|error| CliError::file(file, &error))
}
