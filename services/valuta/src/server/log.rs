//! The ledger's log in a server: opened with its keys, served as static files, scrubbed.

use super::data::{DataDir, write_durably};
use super::up::wait;
use anyhow::{Context as _, anyhow};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use valuta_journal::JournalId;
use valuta_keys::KeyRing;
use valuta_ledger::{Ledger, LedgerReader, LogKey, static_file};

/// Of a passphrase that nobody chose.
const PASSPHRASE_BYTES: usize = 32;

/// A log's name must be one of its own: the journal's nonce is.
pub(super) fn log_origin(journal: JournalId) -> String {
    let id: String = journal.0[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("valuta.log/{id}")
}

/// Opens the ledger of a data directory; keys and passphrase are made at the first start.
pub(super) fn open_ledger(
    dir: &DataDir,
    journal: JournalId,
    passphrase_file: Option<&std::path::Path>,
) -> anyhow::Result<Ledger> {
    let refused = |error| anyhow!("ledger: {error}");
    Ledger::refuse_older(&dir.ledger()).map_err(refused)?;
    let mut ring = open_keys(dir.root(), passphrase_file)?;
    let plain = dir.ledger_key();
    let key = LogKey::open(&mut ring, &log_origin(journal), &plain, unix_seconds()?)
        .map_err(|error| anyhow!("the ledger's keys: {error}"))?;
    Ledger::open(&dir.ledger(), key).map_err(refused)
}

/// The keys under a data directory, in `keys/`. A passphrase that no file is named for is made, and kept
/// beside them: it should lie elsewhere.
pub(crate) fn open_keys(
    data: &std::path::Path,
    passphrase_file: Option<&std::path::Path>,
) -> anyhow::Result<KeyRing> {
    let own = data.join("keys.passphrase");
    let file = passphrase_file.unwrap_or(&own);
    if passphrase_file.is_none() && !own.exists() {
        let mut bytes = [0; PASSPHRASE_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bytes: {error}"))?;
        let text = format!("{}\n", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        write_durably(&own, &text, 0o600)?;
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the keys' passphrase: {}", file.display()))?;
    KeyRing::open(&data.join("keys"), text.trim_end_matches('\n'))
        .map_err(|error| anyhow!("{error}"))
}

pub(crate) fn unix_seconds() -> anyhow::Result<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(since.context("the clock is before 1970")?.as_secs())
}

/// `GET /log/…`: the log's static files, for anyone. What a file server would do with the directory.
pub(super) fn routes(ledger: LedgerReader) -> Router {
    Router::new()
        .route("/log/{*path}", get(file))
        .with_state(ledger)
}

async fn file(State(ledger): State<LedgerReader>, Path(path): Path<String>) -> Response {
    let Some(file) = static_file(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let at = ledger.public_dir().join(&file.path);
    let read = tokio::task::spawn_blocking(move || std::fs::read(at)).await;
    match read.unwrap_or_else(|error| Err(error.into())) {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, file.content_type),
                (header::CACHE_CONTROL, file.cache_control),
            ];
            (headers, bytes).into_response()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => {
            tracing::error!(path, %error, "a file of the log cannot be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Re-hashes the whole log again and again, at its leisure: `every` is from one's end to the next one's start.
/// Damage stops the ledger: it signs nothing more.
pub(super) fn scrub(ledger: &LedgerReader, every: Duration, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        wait(stop, every);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match ledger.audit() {
            Ok(entries) => tracing::info!(entries, "the log was re-hashed and is whole"),
            Err(error) => {
                tracing::error!(%error, "the log is damaged: nothing more is signed");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use base64::prelude::BASE64_STANDARD;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use valuta_keys::{KeyKind, StoredKey};

    #[test]
    fn a_ledger_of_an_older_form_is_refused_before_its_key_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), true).unwrap();
        fs::write(dir.ledger().join("entries"), "valuta.entries/v1\n").unwrap();
        let key = StoredKey::from_seed(KeyKind::Log, "valuta.example/log", 0, &[1; 32]).unwrap();
        let seed = BASE64_STANDARD.encode([1; 33]);
        let plain = format!("PRIVATE+KEY+{}+{}+{seed}\n", key.name(), key.id());
        fs::write(dir.ledger_key(), &plain).unwrap();
        fs::set_permissions(dir.ledger_key(), fs::Permissions::from_mode(0o600)).unwrap();
        let names = |dir: &std::path::Path| {
            let entries = fs::read_dir(dir).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let there = || (names(root.path()), names(&dir.ledger()));
        let before = there();

        let refused = open_ledger(&dir, JournalId([7; 16]), None).err().unwrap();
        assert!(refused.to_string().contains("older form"), "{refused}");
        assert_eq!(there(), before);
        assert_eq!(fs::read_to_string(dir.ledger_key()).unwrap(), plain);
    }
}
