//! `keys`: what signs the log. A server takes a change up when it next starts.

use crate::client::CliError;
use crate::output::{Cell, Format, Section, causes, print};
use crate::server::{open_keys, unix_seconds};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use valuta_keys::{KeyId, KeyKind, KeyRing, KeyState, StoredKey};

/// What `keys` does.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Every key, with what a policy needs of it
    List(Place),
    /// Make a second key under the log's name: both sign, until the older one is retired
    Rotate(Place),
    /// Let a key sign no more, once everyone's policy has the newer one
    Retire {
        /// The key's id, 8 hex digits
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the keys are.
#[derive(Args)]
pub struct Place {
    /// The data directory
    #[arg(long, env = "VALUTA_DATA")]
    data: PathBuf,
    /// File with the keys' passphrase [default: keys.passphrase in the data directory]
    #[arg(long, env = "VALUTA_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Runs `keys`.
pub fn keys(command: &KeysCommand, format: Format) -> Result<(), CliError> {
    let (KeysCommand::List(place) | KeysCommand::Rotate(place) | KeysCommand::Retire { place, .. }) =
        command;
    let mut ring = open(place)?;
    match command {
        KeysCommand::List(_) => {}
        KeysCommand::Rotate(_) => rotate(&mut ring)?,
        KeysCommand::Retire { id, .. } => {
            let id = parse_id(id)?;
            ring.retire(id)
                .map_err(|error| CliError::Refused(error.to_string()))?;
        }
    }
    print(format, &[section(&ring)]);
    Ok(())
}

fn open(place: &Place) -> Result<KeyRing, CliError> {
    let data = &place.data;
    if !data.join("keys").is_dir() {
        let data = data.display();
        return Err(CliError::Usage(format!(
            "{data}: no server or witness has kept keys here"
        )));
    }
    open_keys(data, place.passphrase_file.as_deref())
        .map_err(|error| CliError::Usage(causes(&error)))
}

fn rotate(ring: &mut KeyRing) -> Result<(), CliError> {
    let newest = ring.active(KeyKind::Log).last();
    let name = newest.map(|key| key.name().to_owned()).ok_or_else(|| {
        CliError::Refused(
            "there is no key of a log yet: its server makes one when it starts".into(),
        )
    })?;
    let now = unix_seconds().map_err(|error| CliError::Usage(causes(&error)))?;
    ring.generate(KeyKind::Log, &name, now)
        .map_err(|error| CliError::Refused(error.to_string()))?;
    Ok(())
}

fn parse_id(text: &str) -> Result<KeyId, CliError> {
    text.parse()
        .map_err(|_| CliError::Usage(format!("{text:?}: a key's id is 8 hex digits")))
}

fn section(ring: &KeyRing) -> Section {
    let rows = ring.list().iter().map(|key: &StoredKey| {
        vec![
            Cell::text(key.id().to_string()),
            Cell::text(match key.kind() {
                KeyKind::Log => "log",
                KeyKind::Witness => "witness",
            }),
            Cell::text(match key.state() {
                KeyState::Active => "active",
                KeyState::Retired => "retired",
            }),
            Cell::Count(key.created()),
            Cell::text(key.vkey()),
        ]
    });
    let columns = ["id", "kind", "state", "created", "vkey"];
    Section::rows("keys", &columns, rows.collect())
}
