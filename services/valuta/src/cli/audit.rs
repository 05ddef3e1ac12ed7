//! `audit`: a whole journal decided again, and compared with the log, entry by entry.
//!
//! | # | step | what is found |
//! |---|---|---|
//! | 1 | log | as `log audit` finds it: signed, whole, one history |
//! | 2 | decide | each input of the journal leads to the events that the journal holds, runs included |
//! | 3 | batches | each batch's contents, postings, balances, certificate and roots give the log's entry |

use super::log::{look, read_policy};
use crate::client::{CliError, note};
use crate::log::{Followed, Source};
use crate::output::{Cell, Format, Section, print};
use crate::server::DataDir;
use anyhow::{Context as _, bail};
use clap::Args;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use valuta_engine::Audited;
use valuta_gateway::wire;
use valuta_journal::{Source as _, StoppedJournal};
use valuta_ledger::{BatchInput, Hash, Header, sha256};
use valuta_relay::{BatchSink, Relay, RelayError};

/// How often long work says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What `audit` takes.
#[derive(Args)]
pub struct AuditArgs {
    /// A data directory whose server is stopped, or a copy of one; of a cluster: `journal copy --to-file`
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// Where the log is: http://…, https://…, or a directory
    #[arg(long)]
    log: String,
    /// The policy's file: whose signatures you trust
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Where evidence of a fork is kept
    #[arg(long, value_name = "FILE", default_value = "fork.evidence")]
    evidence: PathBuf,
}

/// Runs `audit`: exit code 0, or 1 with a sentence that says where journal or log is not as it should be.
pub fn audit(args: &AuditArgs, format: Format) -> Result<(), CliError> {
    let policy = read_policy(&args.policy)?;
    let mut entries = Vec::new();
    let source = Source::new(&args.log);
    let mut followed = Followed::default();
    let mut keep = |_, text: &str| {
        entries.push(sha256(text.as_bytes()));
        Ok(())
    };
    let opened = look(&mut followed, &source, &policy, &args.evidence, &mut keep)?;
    let compared = compare(args, entries);
    let (audited, batches) =
        compared.map_err(|error| CliError::Refused(format!("not as it should be: {error:#}")))?;
    let fields = vec![
        ("good", Cell::Flag(true)),
        ("log", Cell::text(&opened.checkpoint.origin)),
        ("sequence", Cell::Count(audited.sequence)),
        ("events", Cell::Count(audited.events)),
        ("cycle runs", Cell::Count(audited.runs)),
        ("batches", Cell::Count(batches)),
        ("in the log", Cell::Count(opened.checkpoint.size)),
    ];
    print(format, &[Section::record("audit", fields)]);
    Ok(())
}

fn compare(args: &AuditArgs, entries: Vec<Hash>) -> anyhow::Result<(Audited, u64)> {
    let data = &args.journal;
    let rehearsal = DataDir::mode(data)?
        .with_context(|| format!("{}: not a data directory", data.display()))?;
    let journal =
        StoppedJournal::open(&data.join("journal")).with_context(|| data.display().to_string())?;
    let decode = |bytes: &[u8], out: &mut _| {
        wire::decode_into(bytes, 0, out).map_err(|error| error.to_string())
    };
    let mut told = Instant::now();
    let progress = |audited: Audited| {
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            note(&format!(
                "decided again up to sequence {}",
                audited.sequence
            ));
        }
    };
    let mut reader = journal.reader(None)?;
    let audited = valuta_engine::audit(&mut *reader, rehearsal, &decode, progress)?;
    let logged = entries.len() as u64;
    let mut batches = 0;
    let sink = Compare {
        entries,
        previous: [0; 32],
        number: 1,
        told,
    };
    let relay = Relay::new(
        journal.reader(None)?,
        journal.lookup(),
        journal.watch(),
        sink,
        None,
    );
    relay.run(&AtomicBool::new(false), |batch| batches = batch)?;
    if logged > batches {
        bail!("the log has {logged} batches, the journal {batches}: what follows never happened");
    }
    Ok((audited, batches))
}

/// Takes each batch that the journal gives, and looks whether the log has the same.
struct Compare {
    /// SHA-256 of each entry of the log.
    entries: Vec<Hash>,
    /// SHA-256 of the header before.
    previous: Hash,
    number: u64,
    told: Instant,
}

impl BatchSink for Compare {
    fn next_number(&self) -> u64 {
        self.number
    }

    fn add(&mut self, batch: &BatchInput) -> Result<(), RelayError> {
        let failed = |reason: String| RelayError::Sink(reason.into());
        let header = batch.commit().map_err(|error| failed(error.to_string()))?;
        let header = Header {
            previous: self.previous,
            ..header
        };
        let at = usize::try_from(batch.number - 1).unwrap_or(usize::MAX);
        self.previous = header.hash();
        match self.entries.get(at) {
            Some(entry) if *entry != self.previous => {
                return Err(failed(format!(
                    "the log's entry of batch {} is another; by the journal it is\n{}",
                    batch.number,
                    header.text().trim_end()
                )));
            }
            // Not anchored yet.
            Some(_) | None => {}
        }
        self.number += 1;
        if self.told.elapsed() > PROGRESS_EVERY {
            self.told = Instant::now();
            note(&format!("compared up to batch {}", batch.number));
        }
        Ok(())
    }
}
