//! The server's side of the binary: the whole system in one process, or each service alone.
//!
//! | module | room for |
//! |---|---|
//! | `cluster` | each service alone, over Kafka and PostgreSQL |
//! | `config` | file, environment, flags |
//! | `data` | the data directory |
//! | `log` | the ledger's log: its keys, its files over HTTP, its scrub |
//! | `up` | starting the parts in order, and stopping them |
//! | `ports` | the gateway's ports over engine, read model and ledger |
//! | `standing` | how far each process is |
//! | `witnessing` | the witnesses of our log, asked |
//! | `witness` | a witness of others' logs |
//! | `copying` | a validating witness's copy of the journal, kept up from the server |
//! | `validating` | what such a witness knows |
//! | `metrics` | what each metric means |
//! | `doctor` | what is wrong with a machine or a data directory |

#[cfg(feature = "cluster")]
pub mod cluster;
mod config;
mod copying;
mod data;
mod doctor;
mod log;
mod metrics;
mod ports;
mod standing;
mod up;
mod validating;
mod witness;
mod witnessing;

pub use config::UpArgs;
pub(crate) use data::DataDir;
pub use doctor::{DoctorArgs, doctor};
pub(crate) use log::{open_keys, unix_seconds};
pub use standing::name as role_name;
pub use up::up;
pub use witness::{WitnessArgs, witness};

use std::path::{Path, PathBuf};
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

/// What a good file says, by field.
type Said = Vec<(&'static str, String)>;

/// Checks a configuration file, as `up` would read it, or the services of a cluster.
pub fn config(command: ConfigCommand) -> ExitCode {
    let ConfigCommand::Check { file } = command;
    match checked(&file) {
        Ok(said) => {
            println!("{}: good", file.display());
            for (field, value) in said {
                println!("{field:<12}{value}");
            }
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

fn checked(file: &Path) -> Result<Said, config::ConfigErrors> {
    #[cfg(feature = "cluster")]
    if let Some(said) = cluster::check(file)? {
        return Ok(said);
    }
    let args = UpArgs {
        config: Some(file.to_owned()),
        ..UpArgs::default()
    };
    let config = config::Config::load(args)?;
    Ok(vec![
        ("data", config.data.display().to_string()),
        ("listen", config.listen.to_string()),
        ("rehearsal", config.rehearsal.to_string()),
        ("reflection", config.reflection.to_string()),
        ("tls", config.tls.is_some().to_string()),
    ])
}
