//! `send`: a file of instructions as a stream of batches, and a file of their answers.
//!
//! Safe to run again at any time: an instruction that came before with the same content gets its current
//! answer and is not paid twice. The result file is replaced only when all answers are there.

use super::instruction_file::{self, Draft, LineError};
use super::text;
use crate::client::{CliError, Connection, note};
use crate::output::{Cell, Format, Section, print};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use tokio_stream::wrappers::ReceiverStream;
use valuta_proto::v1;

/// Instructions in one request of the stream.
pub const BATCH_INSTRUCTIONS: usize = 1_000;
/// Requests made ahead of the stream; the server bounds what is in flight.
const REQUESTS_AHEAD: usize = 4;
/// Of bad lines on stderr; the rest is counted.
const ERRORS_SHOWN_MAX: usize = 20;

const RESULT_COLUMNS: [&str; 13] = [
    "line",
    "uetr",
    "instructing",
    "kind",
    "sequence",
    "status",
    "waiting_reason",
    "code",
    "reason",
    "field",
    "detail",
    "cycle",
    "batch",
];

/// What `send` takes.
#[derive(Args)]
pub struct SendArgs {
    /// CSV with the columns uetr,kind,lane,priority,created,value_date,debtor,creditor,asset,amount,
    /// instruction_id,end_to_end_id,quote,remittance; or JSON lines that mirror the API
    file: PathBuf,
    /// Check the file and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the answers go; FILE.results.csv if left out
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// Checks the file alone.
pub fn dry_run(args: &SendArgs, format: Format) -> Result<(), CliError> {
    let drafts = read(&args.file)?;
    let quotes = drafts.iter().filter(|draft| draft.quote.is_some()).count();
    let fields = vec![
        ("instructions", Cell::Count(drafts.len() as u64)),
        ("under_quotes", Cell::Count(quotes as u64)),
        ("sent", Cell::Count(0)),
    ];
    print(format, &[Section::record("dry_run", fields)]);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Draft>, CliError> {
    let content = std::fs::read(path).map_err(|error| CliError::file(path, &error))?;
    let (drafts, errors) = instruction_file::parse(&content);
    if errors.is_empty() {
        return Ok(drafts);
    }
    for LineError { line, reason } in errors.iter().take(ERRORS_SHOWN_MAX) {
        note(&format!("{}: line {line}: {reason}", path.display()));
    }
    Err(CliError::Refused(format!(
        "{} of {} lines cannot be sent; nothing was (MALFORMED)",
        errors.len(),
        errors.len() + drafts.len()
    )))
}

/// Sends the file; exit code 1 if any instruction was refused.
pub async fn send(
    args: &SendArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut drafts = read(&args.file)?;
    fill_in_quotes(&mut drafts, connection).await?;
    let (lines, instructions): (Vec<u64>, Vec<_>) = drafts
        .into_iter()
        .map(|draft| (draft.line, draft.instruction))
        .unzip();
    let results = args
        .results
        .clone()
        .unwrap_or_else(|| suffixed(&args.file, ".results.csv"));
    let partial = suffixed(&results, ".partial");
    let failed = |error: csv::Error| CliError::Usage(format!("{}: {error}", partial.display()));
    let mut writer = csv::Writer::from_path(&partial).map_err(failed)?;
    writer.write_record(RESULT_COLUMNS).map_err(failed)?;

    let mut tally = Tally::default();
    let bar = progress(instructions.len() as u64);
    let mut at = 0;
    let (sender, receiver) = tokio::sync::mpsc::channel(REQUESTS_AHEAD);
    let batches: Vec<_> = instructions
        .chunks(BATCH_INSTRUCTIONS)
        .map(<[_]>::to_vec)
        .collect();
    tokio::spawn(async move {
        for instructions in batches {
            let request = v1::SubmitInstructionsRequest {
                instructions,
                full_answers: false,
            };
            // The stream's end has its own error.
            if sender.send(request).await.is_err() {
                return;
            }
        }
    });
    let mut payments = connection.unlimited().payments();
    let mut answers = payments
        .stream_instructions(ReceiverStream::new(receiver))
        .await
        .map_err(interrupted)?
        .into_inner();
    while at < instructions.len() {
        let Some(answer) = answers.message().await.map_err(interrupted)? else {
            return Err(CliError::Unavailable(
                "the server ended the stream before all answers: run it again, nothing is paid twice (UNAVAILABLE)"
                    .into(),
            ));
        };
        let sent = &instructions[at..(at + BATCH_INSTRUCTIONS).min(instructions.len())];
        for (line, result) in lines[at..].iter().zip(results_of(sent, &answer)) {
            tally.count(&result);
            let line = line.to_string();
            let row = std::iter::once(line).chain(result.cells());
            writer.write_record(row).map_err(failed)?;
        }
        at += sent.len();
        bar.set_position(at as u64);
    }
    bar.finish_and_clear();
    writer
        .flush()
        .map_err(|error| CliError::file(&partial, &error))?;
    std::fs::rename(&partial, &results).map_err(|error| CliError::file(&results, &error))?;
    print(format, &[tally.section(&results)]);
    tally.verdict(&results)
}

fn interrupted(status: tonic::Status) -> CliError {
    match CliError::from(status) {
        CliError::Unavailable(line) => {
            CliError::Unavailable(format!("{line}; run it again, nothing is paid twice"))
        }
        error => error,
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A bar on a terminal; elsewhere nothing.
pub fn progress(count: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {per_sec} {eta}");
    ProgressBar::new(count).with_style(style.expect("the template is constant"))
}

async fn fill_in_quotes(drafts: &mut [Draft], connection: &Connection) -> Result<(), CliError> {
    let mut fx = connection.fx();
    for draft in drafts {
        let Some((provider, quote_id)) = draft.quote.take() else {
            continue;
        };
        let request = v1::GetQuoteRequest {
            provider,
            quote_id,
            min_sequence: 0,
        };
        let quote = fx.get_quote(request).await?.into_inner().quote;
        let quote = text::present(quote, "quote")?;
        instruction_file::fill_in(&mut draft.instruction, &quote)
            .map_err(|error| CliError::Refused(format!("line {}: {error}", draft.line)))?;
    }
    Ok(())
}

/// One instruction's line in the result file.
struct Outcome {
    identity: [String; 3],
    sequence: u64,
    status: String,
    waiting_reason: String,
    rejection: v1::Rejection,
    cycle: String,
    batch: u64,
}

impl Outcome {
    fn cells(self) -> [String; 12] {
        let count = |count: u64| {
            if count == 0 {
                String::new()
            } else {
                count.to_string()
            }
        };
        let [uetr, instructing, kind] = self.identity;
        let v1::Rejection {
            code,
            reason,
            field,
            detail,
        } = self.rejection;
        [
            uetr,
            instructing,
            kind,
            count(self.sequence),
            self.status,
            self.waiting_reason,
            code,
            reason,
            field,
            detail,
            self.cycle,
            count(self.batch),
        ]
    }
}

/// The answers to one batch, one for each instruction; an index that the answer leaves out has no status.
fn results_of(sent: &[v1::Instruction], answer: &v1::SubmitInstructionsResponse) -> Vec<Outcome> {
    let unanswered = sent.iter().map(|instruction| Outcome {
        identity: [
            instruction.uetr.clone(),
            instruction.instructing.clone(),
            text::kind(instruction.kind),
        ],
        sequence: 0,
        status: String::new(),
        waiting_reason: String::new(),
        rejection: v1::Rejection::default(),
        cycle: String::new(),
        batch: 0,
    });
    let mut results: Vec<_> = unanswered.collect();
    for range in &answer.accepted {
        let first = range.first_index as usize;
        let covered = results.iter_mut().skip(first).take(range.count as usize);
        for (sequence, result) in (range.first_sequence..).zip(covered) {
            result.sequence = sequence;
            result.status = text::status(range.status);
            result.waiting_reason = text::waiting_reason(range.waiting_reason);
        }
    }
    for other in &answer.others {
        let status = other.status.clone().unwrap_or_default();
        if let Some(result) = results.get_mut(other.index as usize) {
            result.sequence = status.sequence;
            result.status = text::status(status.status);
            result.waiting_reason = text::waiting_reason(status.waiting_reason);
            result.rejection = status.rejection.unwrap_or_default();
            result.cycle = status.cycle;
            result.batch = status.batch;
        }
    }
    for error in &answer.errors {
        if let Some(result) = results.get_mut(error.index as usize) {
            result.status = "RJCT".into();
            result.rejection = error.error.clone().unwrap_or_default();
        }
    }
    results
}

/// How many of each answer.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<String, u64>,
    refused: u64,
    unanswered: u64,
}

impl Tally {
    fn count(&mut self, result: &Outcome) {
        let code = if result.rejection.code.is_empty() {
            &result.waiting_reason
        } else {
            &result.rejection.code
        };
        let name = format!("{} {code}", result.status);
        *self.statuses.entry(name.trim().to_owned()).or_default() += 1;
        self.refused += u64::from(result.status == "RJCT");
        self.unanswered += u64::from(result.status.is_empty());
    }

    fn section(&self, results: &Path) -> Section {
        let file = results.display().to_string();
        let rows = self.statuses.iter().map(|(status, count)| {
            vec![Cell::text(status), Cell::Count(*count), Cell::text(&file)]
        });
        Section::rows(
            "answers",
            &["status", "instructions", "results"],
            rows.collect(),
        )
    }

    fn verdict(&self, results: &Path) -> Result<(), CliError> {
        if self.unanswered > 0 {
            return Err(CliError::Unavailable(format!(
                "{} instructions have no answer: run it again, nothing is paid twice",
                self.unanswered
            )));
        }
        if self.refused > 0 {
            let file = results.display();
            return Err(CliError::Refused(format!(
                "{} refused: see {file} (RJCT)",
                self.refused
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_index_gets_its_answer() {
        let sent: Vec<_> = (0..5)
            .map(|at| v1::Instruction {
                uetr: format!("u{at}"),
                ..Default::default()
            })
            .collect();
        let rejection = v1::Rejection {
            code: "AM05".into(),
            ..Default::default()
        };
        let answer = v1::SubmitInstructionsResponse {
            accepted: vec![v1::AcceptedRange {
                first_index: 1,
                count: 2,
                first_sequence: 70,
                status: v1::Status::Acsc.into(),
                waiting_reason: 0,
            }],
            others: vec![v1::IndexedStatus {
                index: 0,
                status: Some(v1::InstructionStatus {
                    sequence: 69,
                    status: v1::Status::Rjct.into(),
                    rejection: Some(rejection.clone()),
                    ..Default::default()
                }),
            }],
            errors: vec![v1::IndexedError {
                index: 3,
                error: Some(rejection),
            }],
        };
        let results = results_of(&sent, &answer);
        let seen: Vec<_> = results
            .iter()
            .map(|r| (r.sequence, r.status.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (69, "RJCT"),
                (70, "ACSC"),
                (71, "ACSC"),
                (0, "RJCT"),
                (0, "")
            ]
        );
        let mut tally = Tally::default();
        results.iter().for_each(|result| tally.count(result));
        assert_eq!((tally.refused, tally.unanswered), (2, 1));
        assert_eq!(tally.statuses["RJCT AM05"], 2);
        assert_eq!(tally.verdict(Path::new("x")).unwrap_err().exit_code(), 3);
    }
}
