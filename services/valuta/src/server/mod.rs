//! The server's side of the binary: the whole system in one process, or each service alone.
//!
//! | module | room for |
//! |---|---|
//! | `cluster` | each service alone, over Kafka and PostgreSQL |
//! | `config` | file, environment, flags |
//! | `data` | the data directory |
//! | `up` | starting the parts in order, and stopping them |
//! | `ports` | the gateway's ports over engine, read model and ledger |
//! | `doctor` | what is wrong with a machine or a data directory |

#[cfg(feature = "cluster")]
pub mod cluster;
mod config;
mod data;
mod doctor;
mod ports;
mod up;

pub use config::UpArgs;
pub use doctor::{DoctorArgs, doctor};
pub use up::up;

use std::path::PathBuf;
use std::process::ExitCode;

/// What `valuta config` does.
#[derive(clap::Subcommand)]
pub enum ConfigCommand {
    /// Explain every error of a configuration file
    Check {
        /// The TOML file
        file: PathBuf,
    },
}

/// Checks a configuration file, as `up` would read it.
pub fn config(command: ConfigCommand) -> ExitCode {
    let ConfigCommand::Check { file } = command;
    let args = UpArgs {
        config: Some(file.clone()),
        ..UpArgs::default()
    };
    match config::Config::load(args) {
        Ok(config) => {
            println!("{}: good", file.display());
            println!("data        {}", config.data.display());
            println!("listen      {}", config.listen);
            println!("rehearsal   {}", config.rehearsal);
            println!("reflection  {}", config.reflection);
            println!("tls         {}", config.tls.is_some());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}
