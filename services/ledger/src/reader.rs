//! What any thread may ask while the ledger's own thread adds batches.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::{LedgerError, NoteError};
use crate::hash::Hash;
use crate::header::{FIRST_BATCH_NUMBER, Header};
use crate::note::{Checkpoint, Opened};
use crate::scan::{Head, check_partials, scan};
use crate::shared::{Shared, Witnessed};
use crate::tiles::damaged;

/// A batch's place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The batch's number.
    pub number: u64,
    /// Zero-based index of its header in the log.
    pub index: u64,
    /// SHA-256 of its header's text.
    pub header_hash: Hash,
    /// A signed checkpoint that covers it.
    pub checkpoint: Arc<str>,
}

/// A view of the ledger, cheap to clone and to share between threads. It shows only what is durable.
#[derive(Clone)]
pub struct LedgerReader {
    pub(crate) shared: Arc<Shared>,
}

impl LedgerReader {
    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<str> {
        self.shared.view().checkpoint.clone()
    }

    /// The policy that trusts this log's signature alone: [`LogKey::policy`](crate::LogKey::policy).
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.shared.policy
    }

    /// How many entries the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.view().size
    }

    /// How many entries the newest checkpoint with cosignatures covers; 0 before the first one.
    #[must_use]
    pub fn witnessed_size(&self) -> u64 {
        let view = self.shared.view();
        let witnessed = view.witnessed.as_ref();
        witnessed.map_or(0, |witnessed| witnessed.checkpoint.size)
    }

    /// The newest checkpoint with cosignatures.
    #[must_use]
    pub fn witnessed_checkpoint(&self) -> Option<Arc<str>> {
        let view = self.shared.view();
        view.witnessed
            .as_ref()
            .map(|witnessed| witnessed.note.clone())
    }

    /// Why nothing is signed any more; `None` while all is well.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.shared.stopped.get().map(String::as_str)
    }

    /// The directory of static files (C2SP tlog-tiles), which any file server may serve.
    #[must_use]
    pub fn public_dir(&self) -> &Path {
        &self.shared.tiles.dir
    }

    /// The number of the batch that the ledger waits for.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        FIRST_BATCH_NUMBER + self.size()
    }

    /// The header of a batch.
    ///
    /// # Errors
    /// If there is no such batch, or its entry cannot be read as it was signed.
    pub fn header(&self, number: u64) -> Result<Header, LedgerError> {
        let index = self.index_of(number)?;
        self.shared.noting(self.read_header(index, self.size()))
    }

    /// The headers with numbers in `numbers`, in order, as far as there are any; at most `count_max`.
    ///
    /// # Errors
    /// If an entry cannot be read as it was signed.
    pub fn headers(
        &self,
        numbers: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<Header>, LedgerError> {
        let first = numbers.start.max(FIRST_BATCH_NUMBER);
        let end = numbers.end.min(self.next_number());
        (first..end)
            .take(count_max)
            .map(|number| self.header(number))
            .collect()
    }

    /// Where a batch is in the log, with the newest checkpoint.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn anchor(&self, number: u64) -> Result<Anchor, LedgerError> {
        let header = self.header(number)?;
        Ok(Anchor {
            number,
            index: number - FIRST_BATCH_NUMBER,
            header_hash: header.hash(),
            checkpoint: self.checkpoint(),
        })
    }

    /// The path from the entry at `index` to the root at `size`, the leaf's sibling first.
    ///
    /// # Errors
    /// Unless `index < size`, and the log has had that size.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.shared.tiles.proofs(self.size()).inclusion(index, size)
    }

    /// The proof that the log at size `old` is a prefix of the log at size `new`.
    ///
    /// # Errors
    /// Unless `old <= new`, and the log has had both sizes.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        self.shared.tiles.proofs(self.size()).consistency(old, new)
    }

    /// Whether a checkpoint that was signed elsewhere, with this log's keys, is of a tree that this log has had;
    /// `false`: it has not that many entries yet.
    ///
    /// # Errors
    /// If it is not signed by this log, or is of another tree: whoever signed it has kept another log.
    pub fn has_had(&self, note: &str) -> Result<bool, LedgerError> {
        let (theirs, ours) = (Checkpoint::open(note, &self.shared.key)?, self.size());
        let size = theirs.checkpoint.size;
        if size > ours {
            return Ok(false);
        }
        if self.shared.tiles.proofs(ours).root(size)? != theirs.checkpoint.root {
            return Err(NoteError::TreeForeign { size }.into());
        }
        Ok(true)
    }

    /// Takes a checkpoint of this log with cosignatures. Durable on return, shown as the newest one if it is,
    /// and what receipts are made against if they can be. An older one than is known changes nothing.
    ///
    /// Whether the cosignatures are good is for the caller to have checked: the ledger knows no witness.
    ///
    /// # Errors
    /// If it is not signed by the log, is of a tree that the log never had, or has no cosignature; or the
    /// ledger is closed or has stopped, or a file cannot be written.
    pub fn witnessed(&self, note: &str) -> Result<(), LedgerError> {
        self.shared.check_running()?;
        let guard = self.shared.store();
        let closed = || LedgerError::Stopped {
            reason: "it is closed".to_owned(),
        };
        let store = guard.as_ref().ok_or_else(closed)?;
        let opened = Checkpoint::open(note, &self.shared.key)?;
        let size = opened.checkpoint.size;
        if opened.cosignatures.is_empty() {
            return Err(NoteError::CosignatureMissing.into());
        }
        let view = self.shared.view().clone();
        let root = || self.shared.tiles.proofs(view.size).root(size);
        if size > view.size || self.shared.noting(root())? != opened.checkpoint.root {
            return Err(NoteError::TreeForeign { size }.into());
        }
        let opened = match view.witnessed {
            Some(known) if known.checkpoint.size > size => return Ok(()),
            Some(known) if known.checkpoint.size == size => Opened {
                cosignatures: opened.cosignatures.with_older(&known.cosignatures),
                ..opened
            },
            _ => opened,
        };
        let witnessed = Witnessed::new(opened, &self.shared.key);
        store.put_witnessed(&witnessed.note)?;
        let is_newest = size == view.size;
        if is_newest {
            store.put_checkpoint(&witnessed.note)?;
        }
        let mut view = self.shared.view_mut();
        if is_newest {
            view.checkpoint = witnessed.note.clone();
        }
        view.witnessed = Some(witnessed);
        Ok(())
    }

    /// Re-hashes every entry and every tile from disk and compares them with what is shown: for a background
    /// thread, at its leisure. Takes no lock but to look at the two notes. Returns how many entries were checked.
    ///
    /// # Errors
    /// The first damage found; the ledger then signs nothing more.
    pub fn audit(&self) -> Result<u64, LedgerError> {
        self.shared.noting(self.try_audit())
    }

    fn try_audit(&self) -> Result<u64, LedgerError> {
        let (size, root) = {
            let view = self.shared.view();
            (view.size, view.root)
        };
        let tiles = &self.shared.tiles;
        let scanned = scan(tiles, Head::default(), size, root)?;
        if let Some((tile, _)) = scanned.missing.first() {
            return Err(damaged(&tiles.path(*tile), 0, "file is missing"));
        }
        check_partials(tiles, &scanned.head.frontier)?;
        self.audit_notes()?;
        Ok(size)
    }

    fn audit_notes(&self) -> Result<(), LedgerError> {
        let guard = self.shared.store();
        let Some(store) = guard.as_ref() else {
            return Ok(());
        };
        let view = self.shared.view().clone();
        if store.checkpoint()?.as_deref() != Some(&*view.checkpoint) {
            let reason = "not the newest checkpoint";
            return Err(damaged(&store.checkpoint_path(), 0, reason));
        }
        let body = |note: &str| note.split_once("\n\n").map(|(body, _)| body.to_owned());
        let stored = store.witnessed()?.and_then(|note| body(&note));
        if stored != view.witnessed.and_then(|witnessed| body(&witnessed.note)) {
            let reason = "not the newest note with cosignatures";
            return Err(damaged(&store.witnessed_path(), 0, reason));
        }
        Ok(())
    }

    pub(crate) fn read_header(&self, index: u64, size: u64) -> Result<Header, LedgerError> {
        let (file, entry) = self.shared.tiles.entry(index, size)?;
        let header = Header::parse(&entry.text);
        header.map_err(|error| file.damaged(entry.offset, error.to_string()))
    }

    pub(crate) fn index_of(&self, number: u64) -> Result<u64, LedgerError> {
        let next = self.next_number();
        if (FIRST_BATCH_NUMBER..next).contains(&number) {
            return Ok(number - FIRST_BATCH_NUMBER);
        }
        Err(LedgerError::BatchUnknown { number, next })
    }
}
