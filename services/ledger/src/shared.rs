//! What the ledger's thread and its readers have in common.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use crate::error::LedgerError;
use crate::hash::Hash;
use crate::key::LogKey;
use crate::note::{Checkpoint, Cosignatures, Opened};
use crate::receipt::LogProof;
use crate::store::Store;
use crate::tiles::Tiles;

pub(crate) struct Shared {
    pub(crate) tiles: Tiles,
    pub(crate) key: LogKey,
    pub(crate) policy: String,
    view: RwLock<View>,
    /// Taken before the view's lock. `None` when the ledger is closed.
    store: Mutex<Option<Store>>,
    /// Why nothing is signed any more.
    pub(crate) stopped: OnceLock<String>,
    /// The newest log proof made: the receipts of one batch have it in common.
    pub(crate) proof: Mutex<Option<Arc<LogProof>>>,
}

/// Changed as a whole.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) checkpoint: Arc<str>,
    /// The newest one with cosignatures, of this size or an earlier one.
    pub(crate) witnessed: Option<Witnessed>,
}

#[derive(Clone)]
pub(crate) struct Witnessed {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) cosignatures: Cosignatures,
    pub(crate) note: Arc<str>,
}

impl Witnessed {
    /// The note has the signatures of the log's active keys, whichever signed it first.
    pub(crate) fn new(opened: Opened, key: &LogKey) -> Self {
        let Opened {
            checkpoint,
            cosignatures,
        } = opened;
        Self {
            note: Arc::from(checkpoint.sign_with(key, &cosignatures)),
            checkpoint,
            cosignatures,
        }
    }
}

impl Shared {
    pub(crate) fn new(store: Store, tiles: Tiles, key: LogKey, view: View) -> Self {
        Self {
            tiles,
            policy: key.policy(),
            key,
            view: RwLock::new(view),
            store: Mutex::new(Some(store)),
            stopped: OnceLock::new(),
            proof: Mutex::default(),
        }
    }

    /// A view is whole even after a panic elsewhere: it is changed by assignments only.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a new checkpoint; it and all that it covers are durable.
    pub(crate) fn show(&self, signed: &Checkpoint, note: Arc<str>) {
        let mut view = self.view_mut();
        (view.size, view.root) = (signed.size, signed.root);
        view.checkpoint = note;
    }

    pub(crate) fn check_running(&self) -> Result<(), LedgerError> {
        match self.stopped.get() {
            None => Ok(()),
            Some(reason) => Err(LedgerError::Stopped {
                reason: reason.clone(),
            }),
        }
    }

    /// Lets nothing be signed any more.
    pub(crate) fn stop(&self, error: &LedgerError) {
        if self.stopped.set(error.to_string()).is_ok() {
            tracing::error!(%error, "ledger stopped");
        }
    }

    /// Damage that anyone finds stops the ledger.
    pub(crate) fn noting<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(error) = &result
            && error.is_damage()
        {
            self.stop(error);
        }
        result
    }
}
