//! The commands that talk to a server: one call each, or one stream.
//!
//! | file                | commands                                                              |
//! |---------------------|-----------------------------------------------------------------------|
//! | `scheme`            | `scheme`, `participants`, `accounts`, `limits`, `suspend`, `reinstate` |
//! | `send`              | `send`, with `instruction_file` and `instruction_json` for its input  |
//! | `payments`          | `get`, `list`, `cancel`                                               |
//! | `conditions`        | `approve`, `show-preimage`, `prioritise`                              |
//! | `watch`             | `watch`, `receive`                                                    |
//! | `positions`         | `positions`, `totals`                                                 |
//! | `treasury`          | `explain`, `waiting`, `what-if`, `funding`                            |
//! | `cycle`             | `cycle`                                                               |
//! | `movements`         | `deposit`, `withdraw`, `pay-in`, `pay-out`, `transfer`                |
//! | `batch`             | `batch`, `receipt`                                                    |
//! | `proofs`            | `checkpoint`, `balance-proof`, `postings`, `conservation`, `disclose` |
//! | `verify`            | `verify`, offline                                                     |
//! | `log`, `audit`      | `log`, `audit`: a log, and a journal, checked by an outsider          |
//! | `keys`              | `keys`: of a data directory                                           |
//! | `calendar`          | `calendar`, offline                                                   |
//! | `rates`             | `rates`; with `rates_import` for the ECB's files                      |
//! | `quotes`            | `quote`                                                               |
//! | `fx`                | `fx`: `convert` and `split` offline, `rounding`                       |
//! | `solve`, `net`      | `solve`, `net`, offline, from a `queue_file`                          |
//! | `operate`           | `token`, `time`, `status`                                             |

mod audit;
mod batch;
mod calendar;
mod conditions;
mod cycle;
mod fx;
mod instruction_file;
mod instruction_json;
mod keys;
mod log;
mod movements;
mod net;
mod operate;
pub mod payments;
mod positions;
mod proofs;
mod queue_file;
mod quotes;
mod rates;
mod rates_import;
pub mod request_id;
mod risk;
mod scheme;
mod send;
mod solve;
pub mod text;
mod treasury;
mod verify;
mod watch;

pub use cycle::percent;
pub use watch::acknowledge;

use crate::client::{CliError, Connection, Options};
use clap::Subcommand;

/// What talks to a server.
#[derive(Subcommand)]
pub enum Command {
    /// Print a sample scheme, apply one, or show the server's
    #[command(subcommand)]
    Scheme(scheme::SchemeCommand),
    /// Send the instructions of a file; safe to run again
    Send(send::SendArgs),
    /// Every instruction under a UETR that you are party to
    Get(payments::GetArgs),
    /// Instructions, newest first
    List(payments::ListArgs),
    /// Cancel an instruction that is not irrevocable
    Cancel(payments::CancelArgs),
    /// Approve an instruction that names you as approver
    Approve(conditions::ApproveArgs),
    /// Show the preimage of an instruction's hash lock
    ShowPreimage(conditions::ShowPreimageArgs),
    /// Rank a queued instruction of yours anew
    Prioritise(conditions::PrioritiseArgs),
    /// Print status changes as they come
    Watch(watch::WatchArgs),
    /// Print settled instructions that credit you, as they come
    Receive(watch::ReceiveArgs),
    /// Positions of one bank, or of all
    Positions(positions::PositionsArgs),
    /// Why an instruction waits, what is missing, and the smallest pay-in that frees it
    Explain(treasury::ExplainArgs),
    /// Everything that waits for a run, explained, in queue order
    Waiting(treasury::WaitingArgs),
    /// What would settle if; changes nothing (treasury, auditor and operator)
    WhatIf(treasury::WhatIfArgs),
    /// What accounts need on each of the next value dates
    Funding(treasury::FundingArgs),
    /// Per currency: in - out = closing = the settlement agent's mirror account
    Totals,
    /// The steps of a settlement cycle; each may be run again
    #[command(subcommand)]
    Cycle(cycle::CycleCommand),
    /// Confirm a deposit (settlement agent)
    Deposit(movements::MovementArgs),
    /// Confirm a withdrawal (settlement agent)
    Withdraw(movements::MovementArgs),
    /// Confirm a pay-in to a cycle (settlement agent)
    PayIn(movements::CycleMovementArgs),
    /// Confirm a pay-out from a cycle (settlement agent)
    PayOut(movements::CycleMovementArgs),
    /// Move from your own account to your own cycle fund
    Transfer(movements::CycleMovementArgs),
    /// Suspend a participant (operator)
    Suspend(scheme::SuspendArgs),
    /// Let a suspended participant take part again (operator)
    Reinstate(scheme::SuspendArgs),
    /// Batches: what settled together
    #[command(subcommand)]
    Batch(batch::BatchCommand),
    /// Fetch the receipt of a settled instruction
    Receipt(batch::ReceiptArgs),
    /// Verify a receipt, or another proof of the ledger's, offline, trusting only the keys of a policy
    Verify(verify::VerifyArgs),
    /// The newest signed tree head, and how far the witnesses have seen it
    Checkpoint(proofs::PolicyOut),
    /// Fetch the proof of an account's balance after a batch
    BalanceProof(proofs::BalanceArgs),
    /// Fetch what opens your postings of a batch
    Postings(proofs::PostingsArgs),
    /// Fetch the proof that a batch's postings sum to zero in every asset, without showing one
    Conservation(proofs::ConservationArgs),
    /// Fetch one file that shows chosen instructions of a batch to an auditor, and nothing of the others
    Disclose(proofs::DiscloseArgs),
    /// Follow the ledger's log as an outsider who trusts nobody
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Decide a whole journal again, and compare every batch with the log; offline
    Audit(audit::AuditArgs),
    /// The keys that sign the log: listed, made, retired
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Business days, spot dates and cut-offs, offline
    #[command(subcommand)]
    Calendar(calendar::CalendarCommand),
    /// Rates of all sources, the best of them, and what holds for all
    #[command(subcommand)]
    Rates(rates::RatesCommand),
    /// Quotes: asked for, offered, locked; providers' limits
    #[command(subcommand)]
    Quote(quotes::QuoteCommand),
    /// Convert and split amounts, exactly and offline; what rounding gave
    #[command(subcommand)]
    Fx(fx::FxCommand),
    /// What a file's instructions settle together, the proof, and what would free the rest; offline
    Solve(solve::SolveArgs),
    /// What a file's instructions net to: bilateral, multilateral, pay-ins and pay-outs; offline
    Net(net::NetArgs),
    /// The scheme's participants
    Participants,
    /// The scheme's accounts, or the state of one
    Accounts(scheme::AccountsArgs),
    /// Limits of accounts
    #[command(subcommand)]
    Limits(scheme::LimitsCommand),
    /// Tokens of callers (operator)
    #[command(subcommand)]
    Token(operate::TokenCommand),
    /// Record time, of a rehearsal (operator)
    #[command(subcommand)]
    Time(operate::TimeCommand),
    /// What the server is, and how far it has come
    Status,
}

/// Runs one command.
///
/// # Errors
/// Each kind is one exit code: see [`CliError`].
pub async fn run(command: Command, options: &Options) -> Result<(), CliError> {
    let format = options.output;
    // These need no server.
    let command = match command {
        Command::Scheme(scheme::SchemeCommand::Sample) => {
            crate::output::print_text(crate::scheme_file::SAMPLE);
            return Ok(());
        }
        Command::Verify(args) => return verify::verify(&args, format),
        Command::Log(command) => return log::log(&command, format),
        Command::Audit(args) => return audit::audit(&args, format),
        Command::Keys(command) => return keys::keys(&command, format),
        Command::Calendar(command) => return calendar::calendar(&command, format),
        Command::Fx(command) => match fx::run_offline(&command, format) {
            Some(done) => return done,
            None => Command::Fx(command),
        },
        Command::Solve(args) => return solve::solve(&args, format),
        Command::Net(args) => return net::net(&args, format),
        Command::Send(args) if args.dry_run => return send::dry_run(&args, format),
        command => command,
    };
    let connection = Connection::open(options).await?;
    match command {
        Command::Scheme(command) => scheme::scheme(command, &connection, format).await,
        Command::Send(args) => send::send(&args, &connection, format).await,
        Command::Get(args) => payments::get(args, &connection, format).await,
        Command::List(args) => payments::list(args, &connection, format).await,
        Command::Cancel(args) => payments::cancel(args, &connection, format).await,
        Command::Approve(args) => conditions::approve(args, &connection, format).await,
        Command::ShowPreimage(args) => conditions::show_preimage(args, &connection, format).await,
        Command::Prioritise(args) => conditions::prioritise(args, &connection, format).await,
        Command::Watch(args) => watch::watch(args, &connection, format).await,
        Command::Receive(args) => watch::receive(args, &connection, format).await,
        Command::Positions(args) => positions::positions(args, &connection, format).await,
        Command::Explain(args) => treasury::explain(args, &connection, format).await,
        Command::Waiting(args) => treasury::waiting(args, &connection, format).await,
        Command::WhatIf(args) => treasury::what_if(args, &connection, format).await,
        Command::Funding(args) => treasury::funding(args, &connection, format).await,
        Command::Totals => positions::totals(&connection, format).await,
        Command::Cycle(command) => cycle::cycle(command, &connection, format).await,
        Command::Deposit(args) => movements::deposit(args, &connection, format).await,
        Command::Withdraw(args) => movements::withdraw(args, &connection, format).await,
        Command::PayIn(args) => movements::pay_in(args, &connection, format).await,
        Command::PayOut(args) => movements::pay_out(args, &connection, format).await,
        Command::Transfer(args) => movements::transfer(args, &connection, format).await,
        Command::Suspend(args) => scheme::suspend(args, &connection, format).await,
        Command::Reinstate(args) => scheme::reinstate(args, &connection, format).await,
        Command::Batch(command) => batch::batch(command, &connection, format).await,
        Command::Receipt(args) => batch::receipt(args, &connection, format).await,
        Command::Checkpoint(out) => proofs::checkpoint(out, &connection, format).await,
        Command::BalanceProof(args) => proofs::balance(args, &connection, format).await,
        Command::Postings(args) => proofs::postings(args, &connection, format).await,
        Command::Conservation(args) => proofs::conservation(args, &connection, format).await,
        Command::Disclose(args) => proofs::disclose(args, &connection, format).await,
        Command::Verify(args) => verify::verify(&args, format),
        Command::Log(command) => log::log(&command, format),
        Command::Audit(args) => audit::audit(&args, format),
        Command::Keys(command) => keys::keys(&command, format),
        Command::Calendar(command) => calendar::calendar(&command, format),
        Command::Rates(command) => rates::rates(command, &connection, format).await,
        Command::Quote(command) => quotes::quote(command, &connection, format).await,
        Command::Fx(command) => fx::run(command, &connection, format).await,
        Command::Solve(args) => solve::solve(&args, format),
        Command::Net(args) => net::net(&args, format),
        Command::Participants => scheme::participants(&connection, format).await,
        Command::Accounts(args) => scheme::accounts(args, &connection, format).await,
        Command::Limits(command) => scheme::limits(command, &connection, format).await,
        Command::Token(command) => operate::token(command, &connection, format).await,
        Command::Time(command) => operate::time(command, &connection, format).await,
        Command::Status => operate::status(&connection, format).await,
    }
}
