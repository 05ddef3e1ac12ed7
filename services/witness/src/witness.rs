//! The witness: which logs it knows, and what it answers them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, StorageBackend};
use tokio::sync::oneshot;
use valuta_keys::StoredKey;
use valuta_verify::{Checkpoint, KeyKind, Note, VerifierKey};

use crate::limit::{Bucket, Rate};
use crate::request::AddCheckpoint;
use crate::store::{Job, Store, decide_size, decide_tree};
use crate::validate::{Finding, Invalid, Validator};

/// Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a witness is made of.
pub struct WitnessConfig {
    /// What it cosigns with: a key of kind [`Witness`](valuta_keys::KeyKind::Witness), of this witness alone,
    /// since a cosignature does not commit to its name.
    pub key: StoredKey,
    /// The logs' verifier keys; several of one origin are one log that rotates its keys.
    pub logs: Vec<String>,
    /// Where the time of a cosignature comes from.
    pub clock: Clock,
    /// For each log; `None` does not limit.
    pub rate: Option<Rate>,
    /// Looks into what a checkpoint covers; `None` checks consistency alone.
    pub validator: Option<Arc<dyn Validator>>,
}

/// Cosigns checkpoints. Its state is durable before it answers.
pub struct Witness {
    key: StoredKey,
    clock: Clock,
    rate: Option<Rate>,
    validator: Option<Arc<dyn Validator>>,
    /// By origin.
    logs: BTreeMap<String, WatchedLog>,
    store: Store,
}

#[derive(Default)]
struct WatchedLog {
    keys: Vec<VerifierKey>,
    bucket: Mutex<Bucket>,
    is_validating: AtomicBool,
}

/// Ends when whoever asked has the answer, or is gone.
struct Validating<'a>(&'a AtomicBool);

impl Drop for Validating<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Why a checkpoint is not cosigned: split by the status of the answer, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 400: not the form, or the old size is larger than the new one.
    #[error("{0}")]
    BadRequest(String),
    /// 404: no log of ours has this origin.
    #[error("no log with this origin is known here")]
    LogUnknown,
    /// 403: no signature by a key of the log, or a bad one.
    #[error("{0}")]
    Forbidden(String),
    /// 429: more than the log's share.
    #[error("too many checkpoints of this log")]
    TooMany,
    /// 409: another size was cosigned last; ask from there.
    #[error("the checkpoint that was cosigned last has {size} entries")]
    Conflict {
        /// Its size.
        size: u64,
    },
    /// 422: the tree, or what it covers, is wrong.
    #[error("{0}")]
    Unprocessable(String),
    /// 503: ask again later.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a witness does not start, or cannot read its state.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A log's key is malformed.
    #[error("the key of log {number} is malformed: {reason}")]
    LogKey {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The state's file.
    #[error("the witness's state: {0}")]
    State(#[from] redb::Error),
}

impl Refused {
    pub(crate) fn stopped() -> Self {
        Self::Unavailable("the witness has stopped: its state could not be written".into())
    }
}

impl Witness {
    /// Opens the state at `path`, or makes it; another process that has it open is an error.
    ///
    /// # Errors
    /// If a key is malformed, or the file cannot be opened.
    pub fn open(path: &Path, config: WitnessConfig) -> Result<Self, WitnessError> {
        Self::start(Database::create(path).map_err(redb::Error::from)?, config)
    }

    /// The same on other storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_backend(
        backend: impl StorageBackend,
        config: WitnessConfig,
    ) -> Result<Self, WitnessError> {
        let database = Database::builder().create_with_backend(backend);
        Self::start(database.map_err(redb::Error::from)?, config)
    }

    fn start(database: Database, config: WitnessConfig) -> Result<Self, WitnessError> {
        let mut logs: BTreeMap<String, WatchedLog> = BTreeMap::new();
        for (number, vkey) in (1..).zip(&config.logs) {
            let key = VerifierKey::parse(vkey, KeyKind::Note);
            let key = key.map_err(|reason| WitnessError::LogKey { number, reason })?;
            let log = logs.entry(key.name().to_owned()).or_default();
            log.keys.push(key);
        }
        let store = Store::start(database, config.key.clone(), config.clock.clone())?;
        Ok(Self {
            key: config.key,
            clock: config.clock,
            rate: config.rate,
            validator: config.validator,
            logs,
            store,
        })
    }

    /// `add-checkpoint`: the cosignature line for the body of a request.
    ///
    /// # Errors
    /// Why it is not cosigned.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<String, Refused> {
        let bad = |reason: &str| Refused::BadRequest(reason.to_owned());
        let request = AddCheckpoint::parse(body).map_err(bad)?;
        let note = Note::parse(request.note).map_err(|error| bad(&error.to_string()))?;
        let log = self.logs.get(&note.checkpoint.origin);
        let log = log.ok_or(Refused::LogUnknown)?;
        let signed = note.signed_by(&log.keys);
        signed.map_err(|error| Refused::Forbidden(error.to_string()))?;
        self.take_token(log)?;
        let finding = self.validate(log, &request, &note.checkpoint).await?;
        let (answer, answered) = oneshot::channel();
        self.store.send(Job {
            old_size: request.old_size,
            proof: request.proof,
            note: request.note.to_owned(),
            checkpoint: note.checkpoint.clone(),
            finding,
            answer,
        })?;
        answered.await.map_err(|_| Refused::stopped())??;
        // It is recorded, and nothing else of this size ever will be.
        Ok(self.key.cosignature_line(note.body, (self.clock)() / 1_000))
    }

    /// The checkpoint of this log that was cosigned last.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn latest(&self, origin: &str) -> Result<Option<Checkpoint>, WitnessError> {
        Ok(self.store.latest(origin)?)
    }

    /// The numbers of the refusals, ascending.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn refusals(&self) -> Result<Vec<u64>, WitnessError> {
        Ok(self.store.refusals()?)
    }

    /// A refusal, as a note that this witness signed: [`valuta_verify::Refusal`] opens it.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn refusal(&self, number: u64) -> Result<Option<String>, WitnessError> {
        Ok(self.store.refusal(number)?)
    }

    fn take_token(&self, log: &WatchedLog) -> Result<(), Refused> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let mut bucket = log.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        match bucket.take(rate, (self.clock)()) {
            true => Ok(()),
            false => Err(Refused::TooMany),
        }
    }

    /// What the validator finds in a checkpoint that would be cosigned otherwise.
    async fn validate(
        &self,
        log: &WatchedLog,
        request: &AddCheckpoint<'_>,
        new: &Checkpoint,
    ) -> Result<Option<Finding>, Refused> {
        let Some(validator) = self.validator.clone() else {
            return Ok(None);
        };
        let old = self.store.latest(&new.origin);
        let old = old.map_err(|error| Refused::Unavailable(error.to_string()))?;
        decide_size(old.as_ref(), request.old_size, new)?;
        let is_next = decide_tree(old.as_ref(), new, &request.proof).is_ok();
        if !is_next || old.as_ref() == Some(new) {
            // The writer says what is wrong with it, or it was validated before.
            return Ok(None);
        }
        if log.is_validating.swap(true, Ordering::AcqRel) {
            let reason = "a checkpoint of this log is being validated";
            return Err(Refused::Unavailable(reason.into()));
        }
        let _validating = Validating(&log.is_validating);
        let new = new.clone();
        let validated = tokio::task::spawn_blocking(move || validator.validate(old.as_ref(), &new));
        match validated.await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(Invalid::Finding(finding))) => Ok(Some(finding)),
            Ok(Err(Invalid::Unavailable(reason))) => Err(Refused::Unavailable(reason)),
            Err(_) => Err(Refused::Unavailable("the validator failed".into())),
        }
    }
}
