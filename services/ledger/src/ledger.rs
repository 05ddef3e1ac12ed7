//! The one writer of a ledger.

use std::path::Path;
use std::sync::Arc;

use crate::batch::BatchInput;
use crate::error::{LedgerError, NoteError};
use crate::frontier::Frontier;
use crate::hash::{leaf_hash, sha256};
use crate::header::{FIRST_BATCH_NUMBER, Header};
use crate::key::LogKey;
use crate::note::{Checkpoint, Cosignatures};
use crate::reader::{Anchor, LedgerReader};
use crate::scan::{Head, check_partials, scan};
use crate::shared::{Shared, View, Witnessed};
use crate::store::Store;
use crate::tile::{TILE_WIDTH, Tile, TileKind};
use crate::tiles::{Tiles, damaged, push_entry};
use crate::tree::Edge;

/// Most entries that one signature adds. A crash leaves no more than these without a checkpoint.
pub const ENTRIES_PER_CHECKPOINT_MAX: usize = 65_536;

/// The ledger of one scheme: the only one that appends and signs.
pub struct Ledger {
    reader: LedgerReader,
    /// What was last signed and stored.
    signed: Checkpoint,
    /// Covered by it.
    head: Head,
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

/// Files to be written.
type Files = Vec<(Tile, Vec<u8>)>;

impl Ledger {
    /// Opens the ledger in `dir`, made at the first start; the log's origin is the key's name.
    ///
    /// Re-hashes all entries and tiles and compares them with the checkpoint. Tiles that are missing are
    /// made again; whole entries that no checkpoint covers are signed; a checkpoint by older keys is signed
    /// by the active ones. Whoever feeds the ledger goes on at [`next_number`](Self::next_number).
    ///
    /// # Errors
    /// If another process has it open, a file cannot be read or written, the checkpoint is of another key,
    /// or stored data is damaged: then file, offset and reason are named and what is there is left.
    pub fn open(dir: &Path, key: LogKey) -> Result<Self, LedgerError> {
        Self::refuse_older(dir)?;
        let store = Store::open(dir)?;
        let tiles = Tiles {
            dir: store.public(),
        };
        let note = match store.checkpoint()? {
            Some(note) => note,
            None => sign_first(&store, &tiles, &key)?,
        };
        let refuse = |source| LedgerError::Checkpoint {
            file: store.checkpoint_path(),
            source,
        };
        let opened = Checkpoint::open(&note, &key).map_err(refuse)?;
        let signed = opened.checkpoint;
        let scanned = scan(&tiles, Head::default(), signed.size, signed.root)?;
        if !scanned.missing.is_empty() {
            tracing::warn!(tiles = scanned.missing.len(), "missing tiles made again");
            store.put_hashes(&scanned.missing)?;
        }
        check_partials(&tiles, &scanned.head.frontier)?;
        let witnessed = open_witnessed(&store, &tiles, &key, &signed)?;
        let cosignatures = cosignatures_of(&signed, witnessed.as_ref());
        if !opened.cosignatures.are_among(&cosignatures) {
            return Err(damaged(
                &store.checkpoint_path(),
                0,
                "a signature is neither the log's nor one of the stored cosignatures",
            ));
        }
        store.remove_partials(&scanned.superseded);
        // Keys were rotated, or a crash came between the cosignatures and their checkpoint: the same tree.
        let checkpoint = signed.sign_with(&key, &cosignatures);
        if checkpoint != note {
            store.put_checkpoint(&checkpoint)?;
        }
        tracing::info!(origin = key.name(), size = signed.size, "ledger open");
        let view = View {
            size: signed.size,
            root: signed.root,
            checkpoint: Arc::from(checkpoint),
            witnessed,
        };
        let mut ledger = Self {
            reader: LedgerReader {
                shared: Arc::new(Shared::new(store, tiles, key, view)),
            },
            signed,
            head: scanned.head,
        };
        ledger.settle_uncovered()?;
        Ok(ledger)
    }

    /// Refuses a ledger of the form before the static files: beginning anew beside it would sign a second tree.
    /// [`open`](Self::open) does so too; a start asks before it takes over the key that lies there.
    ///
    /// # Errors
    /// If there is one in `dir`. It is left as it is.
    pub fn refuse_older(dir: &Path) -> Result<(), LedgerError> {
        let entries = dir.join("entries");
        if entries.exists() {
            let reason =
                "the ledger is of an older form: move it away and feed it again under a new key";
            return Err(damaged(&entries, 0, reason));
        }
        Ok(())
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
    /// anew, which repairs what a crash at the same place would have left. It also stops when a reader or
    /// the audit finds damage.
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
        let mut added = self.add_headers(vec![header])?;
        Ok(added.pop().expect("one answer for each header"))
    }

    /// As [`add_header`](Self::add_header), of several in order, with one signature for at most
    /// [`ENTRIES_PER_CHECKPOINT_MAX`] of them.
    ///
    /// # Errors
    /// See [`add`](Self::add). Where a header is refused, none is added.
    pub fn add_headers(&mut self, headers: Vec<Header>) -> Result<Vec<Added>, LedgerError> {
        self.reader.shared.check_running()?;
        let result = self.try_add(headers);
        if let Err(error) = &result
            && error.stops()
        {
            self.reader.shared.stop(error);
        }
        result
    }

    fn try_add(&mut self, headers: Vec<Header>) -> Result<Vec<Added>, LedgerError> {
        let (mut added, mut new) = (Vec::new(), Vec::<Header>::new());
        let first = self.next_number();
        for header in headers {
            let (number, expected) = (header.number, first + new.len() as u64);
            header.check().map_err(|source| LedgerError::Batch {
                number,
                source: source.into(),
            })?;
            if number < first {
                added.push(Added::AlreadyThere(self.repeat(header)?));
                continue;
            }
            if number != expected {
                return Err(LedgerError::Gap {
                    expected,
                    found: number,
                });
            }
            let scheme = self.head.scheme.as_ref();
            check_scheme(scheme.or(new.first().map(|first| &first.scheme)), &header)?;
            new.push(header);
        }
        for headers in new.chunks(ENTRIES_PER_CHECKPOINT_MAX) {
            added.extend(self.append(headers)?.into_iter().map(Added::New));
        }
        Ok(added)
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

    fn append(&mut self, headers: &[Header]) -> Result<Vec<Anchor>, LedgerError> {
        let shared = Arc::clone(&self.reader.shared);
        let guard = shared.store();
        let store = guard.as_ref().expect("ours until we are dropped");
        let disagree = |what| LedgerError::HashesDisagree { what };
        // A flipped bit would otherwise be signed, and the log would contradict itself for ever.
        let frontier = &self.head.frontier;
        if frontier.size() != self.signed.size || frontier.root() != self.signed.root {
            return Err(disagree("the log's right edge"));
        }
        let (mut previous, mut texts, mut anchors) = (self.head.previous, Vec::new(), Vec::new());
        for header in headers {
            let header = Header {
                previous,
                ..header.clone()
            };
            let text = header.text();
            previous = sha256(text.as_bytes());
            anchors.push((header.number, previous));
            texts.push(text);
        }
        store.put_bundles(&self.bundles(&shared.tiles, &texts)?)?;
        let (edge, hashes) = self.tiles(&texts);
        store.put_hashes(&hashes)?;
        // From what the disk gives back: what is signed is what is there.
        let scanned = scan(&shared.tiles, self.head.clone(), edge.size(), edge.root())?;
        if !scanned.missing.is_empty() || scanned.head.previous != previous {
            return Err(disagree("the new entries"));
        }
        let signed = Checkpoint {
            origin: self.signed.origin.clone(),
            size: edge.size(),
            root: edge.root(),
        };
        // A signature for this size has never left this process before, and after this one none but the
        // same can: the entries are durable, and a start signs what it finds.
        let note: Arc<str> = Arc::from(signed.sign(&shared.key));
        store.put_checkpoint(&note)?;
        shared.show(&signed, note.clone());
        store.remove_partials(&scanned.superseded);
        self.signed = signed;
        self.head = scanned.head;
        let anchor = |(number, header_hash)| Anchor {
            number,
            index: number - FIRST_BATCH_NUMBER,
            header_hash,
            checkpoint: note.clone(),
        };
        Ok(anchors.into_iter().map(anchor).collect())
    }

    /// The bundles that the new entries go into: the last one as it is on disk, checked, and what follows.
    fn bundles(&self, tiles: &Tiles, texts: &[String]) -> Result<Files, LedgerError> {
        let size = self.signed.size;
        let kind = TileKind::Entries;
        let mut bundle = Vec::new();
        if let Some(tile) = Tile::at(kind, size / TILE_WIDTH, size) {
            let file = tiles.read(tile)?;
            let first = tile.index * TILE_WIDTH;
            // A wider one is of a crash before its checkpoint: what is new in it is written again.
            for (index, entry) in (first..size).zip(file.entries()?) {
                let leaf = leaf_hash(entry.text.as_bytes());
                if self.head.frontier.leaf(index) != Some(leaf) {
                    let reason = "entry is not the one that was signed";
                    return Err(file.damaged(entry.offset, reason));
                }
                push_entry(&mut bundle, &entry.text);
            }
        }
        let mut bundles = Vec::new();
        for (size, text) in (size + 1..).zip(texts) {
            push_entry(&mut bundle, text);
            if size.is_multiple_of(TILE_WIDTH) {
                let tile = Tile::at(kind, size / TILE_WIDTH - 1, size).expect("not empty");
                bundles.push((tile, std::mem::take(&mut bundle)));
            }
        }
        let size = size + texts.len() as u64;
        let last = Tile::at(kind, size / TILE_WIDTH, size);
        bundles.extend(last.map(|tile| (tile, bundle)));
        Ok(bundles)
    }

    /// The tiles of hashes that change, and the edge after it.
    fn tiles(&self, texts: &[String]) -> (Frontier, Files) {
        let mut edge = self.head.frontier.clone();
        let mut tiles = Vec::new();
        for text in texts {
            edge.push(leaf_hash(text.as_bytes()), &mut |tile, hashes| {
                tiles.push((tile, hashes.concat()));
            });
        }
        let before: Vec<_> = self.head.frontier.tiles().map(|(tile, _)| tile).collect();
        let right = edge.tiles().filter(|(tile, _)| !before.contains(tile));
        tiles.extend(right.map(|(tile, hashes)| (tile, hashes.concat())));
        (edge, tiles)
    }

    /// Signs whole entries that no checkpoint covers: a crash left them. They are durable, or are made so
    /// now; the journal offers the same ones again, which then are repeats. Written again before they are
    /// signed: after a failed sync the system may hold them in memory only, and take them for clean.
    fn settle_uncovered(&mut self) -> Result<(), LedgerError> {
        let shared = Arc::clone(&self.reader.shared);
        let tiles = &shared.tiles;
        let covered = self.signed.size;
        let found = tiles.size_found(covered)?;
        if found - covered > ENTRIES_PER_CHECKPOINT_MAX as u64 {
            let reason = format!("the checkpoint is an old copy: there are {found} entries");
            return Err(damaged(&tiles.dir.join(crate::tile::CHECKPOINT), 0, reason));
        }
        let (mut head, mut headers) = (self.head.clone(), Vec::new());
        for index in covered / TILE_WIDTH..found.div_ceil(TILE_WIDTH) {
            let bundle = Tile::at(TileKind::Entries, index, found).expect("it was found");
            let file = tiles.read(bundle)?;
            for (index, entry) in (index * TILE_WIDTH..).zip(file.entries()?) {
                if index < covered {
                    continue;
                }
                // What is whole was written by us: anything odd is damage, and stays for inspection.
                head.link(&entry.text)
                    .map_err(|reason| file.damaged(entry.offset, reason))?;
                let leaf = leaf_hash(entry.text.as_bytes());
                head.frontier.push(leaf, &mut |_, _| ());
                headers.push(Header::parse(&entry.text).expect("it was parsed"));
            }
        }
        if !headers.is_empty() {
            tracing::warn!(
                entries = headers.len(),
                "entries without a checkpoint signed"
            );
            self.append(&headers)?;
        }
        Ok(())
    }
}

/// Readers may live on, but nothing is written any more, and another process may take over.
impl Drop for Ledger {
    fn drop(&mut self) {
        *self.reader.shared.store() = None;
    }
}

fn check_scheme(expected: Option<&String>, header: &Header) -> Result<(), LedgerError> {
    match expected {
        Some(expected) if *expected != header.scheme => Err(LedgerError::SchemeForeign {
            expected: expected.clone(),
            found: header.scheme.clone(),
        }),
        _ => Ok(()),
    }
}

/// The first start: a checkpoint of the empty log. Where there are entries, their checkpoint was lost, and
/// to begin again would sign a second tree.
fn sign_first(store: &Store, tiles: &Tiles, key: &LogKey) -> Result<String, LedgerError> {
    if tiles.size_found(0)? > 0 || store.witnessed_path().exists() {
        let reason = "file is missing, but there are entries";
        return Err(damaged(&store.checkpoint_path(), 0, reason));
    }
    let empty = Edge::default();
    let first = Checkpoint {
        origin: key.name().to_owned(),
        size: empty.size(),
        root: empty.root(),
    };
    let note = first.sign(key);
    store.put_checkpoint(&note)?;
    Ok(note)
}

fn open_witnessed(
    store: &Store,
    tiles: &Tiles,
    key: &LogKey,
    signed: &Checkpoint,
) -> Result<Option<Witnessed>, LedgerError> {
    let Some(note) = store.witnessed()? else {
        return Ok(None);
    };
    let refuse = |source| LedgerError::Checkpoint {
        file: store.witnessed_path(),
        source,
    };
    let opened = Checkpoint::open(&note, key).map_err(refuse)?;
    let size = opened.checkpoint.size;
    if size > signed.size || tiles.proofs(signed.size).root(size)? != opened.checkpoint.root {
        return Err(refuse(NoteError::TreeForeign { size }));
    }
    Ok(Some(Witnessed::new(opened, key)))
}

fn cosignatures_of(signed: &Checkpoint, witnessed: Option<&Witnessed>) -> Cosignatures {
    let same = witnessed.filter(|witnessed| witnessed.checkpoint == *signed);
    same.map_or_else(Cosignatures::default, |same| same.cosignatures.clone())
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
