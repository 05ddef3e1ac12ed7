//! Each service alone, over Kafka and PostgreSQL. Any number of each may run: of the engines one leads, of the
//! relays and the projectors one works, of the ledgers one publishes, and the others stand by.
//!
//! | module | room for |
//! |---|---|
//! | `config` | what a service is told |
//! | `node` | what every service has: log, metrics, journal, state, an end |
//! | `engine` | standing by, taking over, leading |
//! | `gateway` | banks' edge, and the treasury's |
//! | `projector` | journal and anchors -> PostgreSQL |
//! | `relay` | journal -> topics |
//! | `ledger` | batches -> log; receipts for gateways |
//! | `anchors` | log -> their topic |
//! | `ledger_client` | a gateway's way to it |
//! | `journal` | checking and copying a journal by hand |
//! | `topics` | creating, checking and reading topics |

mod anchors;
mod config;
mod engine;
mod gateway;
mod journal;
mod ledger;
mod ledger_client;
mod node;
mod projector;
mod relay;
mod topics;

pub(crate) use config::{KafkaFile, LinkFile, PostgresFile, ServiceArgs, check};
pub(crate) use ledger_client::LedgerClient;

use crate::output::causes;
use crate::server::config::ConfigErrors;
use crate::server::up::start_log;
use config::ServiceConfig;
use std::process::ExitCode;

/// What runs alone.
#[derive(clap::Subcommand)]
pub enum Service {
    /// Decide and settle: lead, or stand by to lead
    Engine(ServiceArgs),
    /// Serve banks, agents, operators and treasuries over gRPC
    Gateway(ServiceArgs),
    /// Keep the read model in PostgreSQL up
    Projector(ServiceArgs),
    /// Publish settled batches and instructions' statuses
    Relay(ServiceArgs),
    /// Keep the log of batches that banks verify
    Ledger(ServiceArgs),
    /// Answer treasuries: a gateway that takes no writes
    Treasury(ServiceArgs),
    /// Kafka's topics: create, check, read
    #[command(subcommand)]
    Topics(topics::TopicsCommand),
    /// The journal: check it, copy it between a file and Kafka
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// The read model in PostgreSQL
    #[command(subcommand)]
    ReadModel(projector::ReadModelCommand),
}

/// Runs until a signal ends it, or a fault: then it stops rather than lie.
pub async fn run(service: Service) -> ExitCode {
    let args = match &service {
        Service::Engine(args)
        | Service::Gateway(args)
        | Service::Projector(args)
        | Service::Relay(args)
        | Service::Ledger(args)
        | Service::Treasury(args) => args.clone(),
        Service::Topics(command) => by_hand(command.args()),
        Service::Journal(command) => by_hand(command.args()),
        Service::ReadModel(command) => by_hand(command.args()),
    };
    let config = match ServiceConfig::load(args) {
        Ok(config) => config,
        Err(ConfigErrors(errors)) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    start_log(&config.common);
    let ended = match service {
        Service::Engine(_) => engine::engine(config).await,
        Service::Gateway(_) => gateway::gateway(config, true).await,
        Service::Treasury(_) => gateway::gateway(config, false).await,
        Service::Projector(_) => projector::projector(config).await,
        Service::Relay(_) => relay::relay(config).await,
        Service::Ledger(_) => ledger::ledger(config).await,
        Service::Topics(command) => topics::topics(command, config).await,
        Service::Journal(command) => journal::journal(command, config).await,
        Service::ReadModel(command) => projector::read_model(command, config).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// What is done by hand keeps no data of its own.
fn by_hand(args: &ServiceArgs) -> ServiceArgs {
    let mut args = args.clone();
    args.up.data.get_or_insert_with(|| ".".into());
    args
}
