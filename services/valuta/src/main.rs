//! `valuta`: the settlement engine's one binary.
//!
//! | command                     | what it is                                             | module     |
//! |-----------------------------|--------------------------------------------------------|------------|
//! | `up`, `doctor`, `config`    | the server, and what helps to run one                  | [`server`] |
//! | `demo`                      | a day of settlement against a server of its own        | [`demo`]   |
//! | `completions`               | what a shell completes                                 | here       |
//! | everything else             | one call, or one stream, to a server                   | [`cli`]    |
//!
//! Exit codes: 0 done, 1 refused or not verified, 2 usage, 3 unavailable, 4 too early.

mod cli;
mod client;
mod demo;
mod log;
mod output;
mod rate_file;
mod scheme_file;
mod server;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// A cross-border, multi-currency settlement engine.
///
/// Exit codes: 0 done, 1 refused or not verified, 2 usage, 3 unavailable, 4 too early.
#[derive(Parser)]
#[command(name = "valuta", version, max_term_width = 100)]
struct Valuta {
    #[command(flatten)]
    options: client::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole system as one server
    Up(server::UpArgs),
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    Service(Box<server::cluster::Service>),
    /// Cosign other parties' logs, as one of their witnesses
    Witness(server::WitnessArgs),
    /// Check this machine and a data directory
    Doctor(server::DoctorArgs),
    /// The server's configuration
    #[command(subcommand)]
    Config(server::ConfigCommand),
    /// A day of settlement, a power cut included, against a server of its own
    Demo(demo::DemoArgs),
    /// Print what completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Client(Box<cli::Command>),
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // What has said its error ends. To wait for its blocked threads, as a dropped runtime does, would keep
    // from a supervisor that there is something to start again.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    let Valuta { options, command } = Valuta::parse();
    let done = match command {
        Command::Up(args) => return server::up(args).await,
        #[cfg(feature = "cluster")]
        Command::Service(service) => return server::cluster::run(*service).await,
        Command::Witness(args) => return server::witness(args, &options).await,
        Command::Doctor(args) => return server::doctor(args).await,
        Command::Config(command) => return server::config(command),
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => {
            let mut command = Valuta::command();
            clap_complete::generate(shell, &mut command, "valuta", &mut std::io::stdout());
            Ok(())
        }
        Command::Client(command) => cli::run(*command, &options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Valuta::command().debug_assert();
    }
}
