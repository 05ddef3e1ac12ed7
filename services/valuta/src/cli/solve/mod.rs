//! `solve`: which instructions of a file settle together, the proof of it, and what would free the rest.
//!
//! | step    | what happens                                                            |
//! |---------|-------------------------------------------------------------------------|
//! | read    | the file becomes a queue file, the first fault in it is told            |
//! | run     | the core's run, with order kept                                         |
//! | bypass  | if asked for: what fits passes the queue, searched within the steps     |
//! | tell    | settled, waiting with reasons, closing balances, certificate            |

mod answer;
mod check;
mod model;
#[cfg(test)]
mod tests;

use super::queue_file::{Fault, Goal, Order, QueueFile, Sources, is_json, read};
use crate::client::CliError;
use crate::output::{Cell, Format, Section, print, print_text};
use crate::rate_file::RateFile;
use answer::{Answer, Telling};
use check::{Verdict, check_result};
use clap::{Args, ValueEnum};
use fx::AssetCode;
use settlement_core::certificate::Optimality;
use settlement_core::run::{Problem, bypass, settle};
use std::io::Read;
use std::path::{Path, PathBuf};

pub use model::problem;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// What `solve` takes.
#[derive(Args)]
pub struct SolveArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Whether instructions may pass those ahead of them; instead of what the file says
    #[arg(long, value_enum)]
    order: Option<OrderArg>,
    /// What most is to be had of with order bypassed; instead of what the file says
    #[arg(long, value_enum)]
    goal: Option<GoalArg>,
    /// Check this result (as `--output json` prints one) against FILE instead of solving it
    #[arg(long, value_name = "RESULT")]
    check: Option<PathBuf>,
    /// The budget of the search with order bypassed, and of the checker that proves it again
    #[arg(long, default_value = "1000000", value_name = "COUNT")]
    steps: u64,
}

/// The file that `solve` and `net` read.
#[derive(Args)]
pub struct InputArgs {
    /// A queue, JSON or CSV; - is standard input
    ///
    /// JSON has everything in it: base, rates, haircuts, order, goal, assets, participants, accounts,
    /// bilateral_caps, queue. CSV has the columns id, debtor, creditor, asset, amount and, if needed,
    /// priority (urgent, high, normal) and group; rows of one id that follow each other are the legs of
    /// one instruction. Columns are separated by ; or tab or comma, as the header has them; where it is
    /// not a comma, amounts may have a decimal comma.
    file: PathBuf,
    /// Accounts beside a queue in CSV: participant, asset, amount, short_limit (empty is 0, none is no limit)
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Rates beside a queue in CSV: the ECB's CSV or ZIP, or JSON {"EUR/USD":"1.1684"}
    #[arg(long, value_name = "FILE")]
    rates: Option<PathBuf>,
    /// The base currency beside a queue in CSV
    #[arg(long, value_name = "CURRENCY")]
    base: Option<AssetCode>,
}

/// Whether an instruction may pass those ahead of it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderArg {
    /// Never
    Kept,
    /// Where more settles then
    Bypassed,
}

/// What most is to be had of with order bypassed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum GoalArg {
    /// Value settled
    Value,
    /// Instructions settled
    Count,
}

/// Runs `solve`. Reads files alone; no server is asked.
///
/// # Errors
/// A file that cannot be used, or a result that is not true.
pub fn solve(args: &SolveArgs, format: Format) -> Result<(), CliError> {
    let (order, goal) = (
        args.order.map(OrderArg::order),
        args.goal.map(GoalArg::goal),
    );
    let file = args.input.read(order, goal)?;
    let problem = problem(&file).map_err(|error| CliError::Usage(error.to_string()))?;
    if let Some(path) = &args.check {
        let result = read_text(path)?;
        let verdict = check_result(&file, &problem, &result, args.steps);
        let verdict =
            verdict.map_err(|reason| CliError::Refused(format!("{}: {reason}", path.display())))?;
        print(format, &[verdict_section(&verdict)]);
        return Ok(());
    }
    let answer = answer(&file, &problem, args.steps);
    match format {
        Format::Json => {
            let line = serde_json::to_string(&answer).expect("an answer is plain data");
            print_text(&format!("{line}\n"));
        }
        Format::Table | Format::Csv => print(format, &sections(&answer)),
    }
    Ok(())
}

/// Solves a file.
fn answer(file: &QueueFile, problem: &Problem, steps_max: u64) -> Answer {
    let kept = settle(problem);
    let (settled, optimal) = match file.order {
        Order::Kept => (kept.settled.clone(), true),
        Order::Bypassed => {
            let found = bypass(problem, &kept.settled, &file.weights(), steps_max);
            (found.settled, found.optimal)
        }
    };
    let telling = Telling {
        file,
        problem,
        kept: &kept,
        settled: &settled,
        optimal,
    };
    telling.tell().expect("what fits was added back")
}

impl InputArgs {
    /// Reads and checks the file, and those beside it; order and goal as they are given, else as it says.
    ///
    /// # Errors
    /// The first fault, with its file.
    pub fn read(&self, order: Option<Order>, goal: Option<Goal>) -> Result<QueueFile, CliError> {
        let queue = read_text(&self.file)?;
        let beside = [
            ("--accounts", self.accounts.is_some()),
            ("--rates", self.rates.is_some()),
            ("--base", self.base.is_some()),
        ];
        if let Some((option, _)) = beside.iter().find(|&&(_, is_given)| is_given)
            && is_json(&queue)
        {
            let reason = format!("{option} goes with a queue in CSV; JSON has it inside");
            return Err(CliError::Usage(reason));
        }
        let accounts = self.accounts.as_deref().map(read_text).transpose()?;
        let sources = Sources {
            queue: &queue,
            accounts: accounts.as_deref(),
            rates: self.rate_book()?,
            base: self.base,
            order,
            goal,
        };
        read(&sources).map_err(|fault| self.named(&fault))
    }

    fn rate_book(&self) -> Result<Option<fx::RateBook>, CliError> {
        let Some(path) = &self.rates else {
            return Ok(None);
        };
        let day = RateFile::read(path)?.rates(None);
        let day = day.map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
        Ok(Some(day.book))
    }

    fn named(&self, fault: &Fault) -> CliError {
        let path = match (&self.accounts, fault.is_in_accounts) {
            (Some(accounts), true) => accounts,
            _ => &self.file,
        };
        CliError::Usage(format!("{}: {fault}", path.display()))
    }
}

impl OrderArg {
    fn order(self) -> Order {
        match self {
            Self::Kept => Order::Kept,
            Self::Bypassed => Order::Bypassed,
        }
    }
}

impl GoalArg {
    fn goal(self) -> Goal {
        match self {
            Self::Value => Goal::Value,
            Self::Count => Goal::Count,
        }
    }
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new(STANDARD_INPUT) {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|content| bytes = content)
    };
    read.map_err(|error| CliError::file(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        CliError::Usage(format!(
            "{}: line {line}: not text in UTF-8",
            path.display()
        ))
    })
}

fn verdict_section(verdict: &Verdict) -> Section {
    let optimal = match verdict.optimality {
        Optimality::NotClaimed => "not claimed",
        Optimality::Reproved | Optimality::NotReproved => "proved again",
    };
    let fields = vec![
        ("holds", Cell::Flag(true)),
        ("removals", Cell::Count(verdict.removals as u64)),
        ("optimal", Cell::text(optimal)),
    ];
    Section::record("check", fields)
}

/// For people: the certificate is for machines, and left out.
fn sections(answer: &Answer) -> Vec<Section> {
    let summary = vec![
        ("order", Cell::text(&answer.order)),
        ("settled", Cell::Count(answer.settled.len() as u64)),
        ("waiting", Cell::Count(answer.waiting.len() as u64)),
        ("optimal", Cell::Flag(answer.optimal)),
    ];
    let settled = answer.settled.iter().map(|id| vec![Cell::text(id)]);
    let waiting = answer.waiting.iter().map(|waiting| {
        let pay_in = waiting.smallest_pay_in.as_ref();
        vec![
            Cell::text(&waiting.id),
            Cell::text(&waiting.test),
            Cell::text(waiting.behind.as_deref().unwrap_or_default()),
            Cell::text(&waiting.participant),
            Cell::text(&waiting.asset),
            Cell::amount(&waiting.missing),
            Cell::amount(pay_in.map_or("", |money| &money.amount)),
        ]
    });
    let closing = answer.closing.iter().map(|money| {
        vec![
            Cell::text(&money.participant),
            Cell::text(&money.asset),
            Cell::amount(&money.amount),
        ]
    });
    let columns = [
        "id",
        "test",
        "behind",
        "participant",
        "asset",
        "missing",
        "smallest_pay_in",
    ];
    vec![
        Section::record("solution", summary),
        Section::rows("settled", &["id"], settled.collect()),
        Section::rows("waiting", &columns, waiting.collect()),
        Section::rows(
            "closing",
            &["participant", "asset", "amount"],
            closing.collect(),
        ),
    ]
}
