//! The one writer of a ledger.

use std::path::Path;
use std::sync::Arc;

use crate::batch::BatchInput;
use crate::error::{LedgerError, NoteError};
use crate::hash::{Hash, leaf_hash, sha256};
use crate::header::{FIRST_BATCH_NUMBER, Header};
use crate::key::LogKey;
use crate::note::Checkpoint;
use crate::reader::{Anchor, LedgerReader, Shared, View, check_link};
use crate::store::{ENTRIES_START, Entries, FRAME_BYTES_MAX, Store};
use crate::tree::{Edge, Tree};

/// The ledger of one scheme: the only one that appends and signs.
pub struct Ledger {
    store: Store,
    key: LogKey,
    reader: LedgerReader,
    /// What was last signed and stored.
    signed: Checkpoint,
    /// Scheme of the first batch; all others must be of it.
    scheme: Option<String>,
    /// SHA-256 of the last header's text.
    previous: Hash,
    /// Where the next entry goes.
    end: u64,
    /// Why nothing is written any more.
    stopped: Option<String>,
}

/// What became of an offered batch. Either way it is in the log, durable and covered by the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It was the next one and has been added.
    New(Anchor),
    /// It was in the log before, with this very content.
    AlreadyThere(Anchor),
}

impl Added {
    /// The batch's place in the log.
    #[must_use]
    pub fn anchor(&self) -> &Anchor {
        match self {
            Self::New(anchor) | Self::AlreadyThere(anchor) => anchor,
        }
    }
}

/// What re-hashing the entries file gave.
struct Scan {
    tree: Tree,
    offsets: Vec<u64>,
    end: u64,
    scheme: Option<String>,
    previous: Hash,
}

impl Ledger {
    /// Opens the ledger in `dir`, made at the first start; the log's origin is the key's name.
    ///
    /// Re-hashes all entries and compares them with the checkpoint. A torn last entry that no checkpoint
    /// covers is dropped; a whole one is signed. Whoever feeds the ledger goes on at
    /// [`next_number`](Self::next_number).
    ///
    /// # Errors
    /// If another process has it open, a file cannot be read or written, the checkpoint is of another key,
    /// or stored data is damaged: then file, offset and reason are named and nothing is changed.
    pub fn open(dir: &Path, key: LogKey) -> Result<Self, LedgerError> {
        let (store, entries) = Store::open(dir)?;
        let signed = match store.checkpoint()? {
            Some(note) => open_checkpoint(&store, &note, &key)?,
            None => sign_first(&store, &entries, &key)?,
        };
        let mut scan = Scan::covered(&entries, signed.size)?;
        if scan.tree.edge().root() != signed.root {
            return Err(entries.damaged(ENTRIES_START, "the entries' root is not the checkpoint's"));
        }
        let signed = settle_uncovered(&store, &entries, &key, &mut scan, signed)?;
        let (checkpoint, policy) = (Arc::from(signed.sign(&key)), key.policy());
        let view = View {
            tree: scan.tree,
            offsets: scan.offsets,
            checkpoint,
        };
        tracing::info!(origin = key.name(), size = signed.size, "ledger open");
        Ok(Self {
            store,
            key,
            reader: LedgerReader {
                shared: Arc::new(Shared::new(entries, policy, view)),
            },
            signed,
            scheme: scan.scheme,
            previous: scan.previous,
            end: scan.end,
            stopped: None,
        })
    }

    /// A view for other threads.
    #[must_use]
    pub fn reader(&self) -> LedgerReader {
        self.reader.clone()
    }

    /// The number of the batch that the ledger waits for.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        FIRST_BATCH_NUMBER + self.signed.size
    }

    /// Adds the next batch; durable, signed and shown to readers on return. A batch that is already there
    /// with the same content is answered with its anchor and changes nothing.
    ///
    /// # Errors
    /// [`Gap`](LedgerError::Gap), [`SchemeForeign`](LedgerError::SchemeForeign) and
    /// [`Batch`](LedgerError::Batch) refuse this batch only. All others stop the ledger: it must be opened
    /// anew, which repairs what a crash at the same place would have left.
    pub fn add(&mut self, batch: &BatchInput) -> Result<Added, LedgerError> {
        let header = batch.commit().map_err(|source| LedgerError::Batch {
            number: batch.number,
            source,
        })?;
        self.add_header(header)
    }

    /// As [`add`](Self::add), of a batch that another process has committed to. The ledger links it to the
    /// one before: what `previous` says is not looked at.
    ///
    /// # Errors
    /// See [`add`](Self::add).
    pub fn add_header(&mut self, header: Header) -> Result<Added, LedgerError> {
        if let Some(reason) = &self.stopped {
            return Err(LedgerError::Stopped {
                reason: reason.clone(),
            });
        }
        let number = header.number;
        let result = self.try_add(header);
        if let Err(error) = &result
            && error.stops()
        {
            tracing::error!(batch = number, %error, "ledger stopped");
            self.stopped = Some(error.to_string());
        }
        result
    }

    fn try_add(&mut self, header: Header) -> Result<Added, LedgerError> {
        let expected = self.next_number();
        if header.number > expected {
            return Err(LedgerError::Gap {
                expected,
                found: header.number,
            });
        }
        header.check().map_err(|source| LedgerError::Batch {
            number: header.number,
            source: source.into(),
        })?;
        if header.number < expected {
            return self.repeat(header).map(Added::AlreadyThere);
        }
        self.check_scheme(&header.scheme)?;
        let previous = self.previous;
        self.append(Header { previous, ..header }).map(Added::New)
    }

    fn repeat(&self, header: Header) -> Result<Anchor, LedgerError> {
        let number = header.number;
        let stored = self.reader.header(number)?;
        let previous = stored.previous;
        let offered = Header { previous, ..header };
        match stored.first_difference(&offered) {
            Some(field) => Err(LedgerError::Conflict { number, field }),
            None => self.reader.anchor(number),
        }
    }

    fn check_scheme(&self, found: &str) -> Result<(), LedgerError> {
        match &self.scheme {
            Some(expected) if expected != found => Err(LedgerError::SchemeForeign {
                expected: expected.clone(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn append(&mut self, header: Header) -> Result<Anchor, LedgerError> {
        let text = header.text();
        let (index, offset) = (self.signed.size, self.end);
        let end = self
            .store
            .append(&self.reader.shared.entries, offset, &text)?;
        let edge = self.rehash(offset, &text)?;
        let signed = Checkpoint {
            origin: self.signed.origin.clone(),
            size: edge.size(),
            root: edge.root(),
        };
        // A signature for this size has never left this process before, and after this one none but the
        // same can: the entry is durable, and a start signs what it finds.
        let note: Arc<str> = Arc::from(signed.sign(&self.key));
        self.store.put_checkpoint(&note)?;
        self.reader
            .shared
            .show(leaf_hash(text.as_bytes()), offset, note.clone());
        self.signed = signed;
        self.end = end;
        self.scheme = Some(header.scheme);
        self.previous = sha256(text.as_bytes());
        Ok(Anchor {
            number: header.number,
            index,
            header_hash: self.previous,
            checkpoint: note,
        })
    }

    /// The right edge with the entry at `offset`, from what the disk gives back. The edge in memory must
    /// still have the root that was signed last: a flipped bit would otherwise be signed, and the log would
    /// contradict itself for ever.
    fn rehash(&self, offset: u64, text: &str) -> Result<Edge, LedgerError> {
        let mut edge = self.reader.shared.view().tree.edge();
        if edge.size() != self.signed.size || edge.root() != self.signed.root {
            return Err(LedgerError::HashesDisagree {
                what: "the log's right edge",
            });
        }
        let stored = self.reader.shared.entries.read(offset)?;
        if stored.text != text {
            return Err(LedgerError::HashesDisagree {
                what: "the new entry",
            });
        }
        edge.push(leaf_hash(stored.text.as_bytes()));
        Ok(edge)
    }
}

impl Scan {
    /// Re-hashes the `count` entries that the checkpoint covers: each must be whole and name the one before.
    fn covered(entries: &Entries, count: u64) -> Result<Self, LedgerError> {
        let mut scan = Self {
            tree: Tree::default(),
            offsets: Vec::new(),
            end: ENTRIES_START,
            scheme: None,
            previous: [0; 32],
        };
        for _ in 0..count {
            scan.step(entries)?;
        }
        Ok(scan)
    }

    fn step(&mut self, entries: &Entries) -> Result<(), LedgerError> {
        let frame = entries.read(self.end)?;
        let header = check_link(
            entries,
            self.end,
            self.tree.size(),
            &frame.text,
            self.previous,
        )?;
        if self
            .scheme
            .as_ref()
            .is_some_and(|scheme| *scheme != header.scheme)
        {
            return Err(entries.damaged(self.end, "entry is of another scheme"));
        }
        self.tree.push(leaf_hash(frame.text.as_bytes()));
        self.offsets.push(self.end);
        self.previous = sha256(frame.text.as_bytes());
        self.scheme = Some(header.scheme);
        self.end = frame.end;
        Ok(())
    }
}

fn open_checkpoint(store: &Store, note: &str, key: &LogKey) -> Result<Checkpoint, LedgerError> {
    let refuse = |source: NoteError| LedgerError::Checkpoint {
        file: store.checkpoint_path(),
        source,
    };
    Checkpoint::open(note, key).map_err(refuse)
}

/// The first start: a checkpoint of the empty log. Where there are entries, their checkpoint was lost, and
/// to begin again would sign a second tree.
fn sign_first(store: &Store, entries: &Entries, key: &LogKey) -> Result<Checkpoint, LedgerError> {
    if entries.length()? > ENTRIES_START {
        return Err(LedgerError::Damaged {
            file: store.checkpoint_path(),
            offset: 0,
            reason: "file is missing, but there are entries".to_owned(),
        });
    }
    let empty = Edge::default();
    let first = Checkpoint {
        origin: key.name().to_owned(),
        size: empty.size(),
        root: empty.root(),
    };
    store.put_checkpoint(&first.sign(key))?;
    Ok(first)
}

/// Deals with what a crash left after the covered entries. One whole entry was durable, or is made so now,
/// and is signed: the journal offers the same one again, which then is a repeat. A torn one is dropped.
/// More than one entry cannot come from a crash: then the checkpoint is an old copy.
fn settle_uncovered(
    store: &Store,
    entries: &Entries,
    key: &LogKey,
    scan: &mut Scan,
    signed: Checkpoint,
) -> Result<Checkpoint, LedgerError> {
    let length = entries.length()?;
    if scan.end == length {
        return Ok(signed);
    }
    let offset = scan.end;
    if length - offset <= FRAME_BYTES_MAX
        && let Err(LedgerError::Damaged { reason, .. }) = entries.read(offset)
    {
        tracing::warn!(
            offset,
            bytes = length - offset,
            reason,
            "torn last entry dropped"
        );
        store.truncate(entries, offset)?;
        return Ok(signed);
    }
    // What is not torn was written by us: from here on anything odd is damage, and stays for inspection.
    scan.step(entries)?;
    if scan.end != length {
        return Err(entries.damaged(
            scan.end,
            "more than one entry after the checkpoint: it is an old copy",
        ));
    }
    // Written again before it is synced: after a failed sync the system may hold it in memory only, and
    // take it for clean.
    let text = entries.read(offset)?.text;
    store.append(entries, offset, &text)?;
    let edge = scan.tree.edge();
    let signed = Checkpoint {
        size: edge.size(),
        root: edge.root(),
        ..signed
    };
    store.put_checkpoint(&signed.sign(key))?;
    Ok(signed)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
