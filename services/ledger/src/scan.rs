//! Re-hashing: the entries as they are on disk, and the tiles that must follow from them.
//!
//! The same walk runs over everything at the start and in the background, and before each signature over
//! what is new. Entries lead: a root that comes out right says that they are, and that a tile that differs
//! is the damaged one; otherwise the entry is named whose hash its tile does not have.

use crate::error::LedgerError;
use crate::frontier::Frontier;
use crate::hash::{Hash, leaf_hash, sha256};
use crate::header::{FIRST_BATCH_NUMBER, Header};
use crate::tile::{TILE_WIDTH, Tile, TileKind};
use crate::tiles::{Entry, TileFile, Tiles, damaged};

/// How far a log has been hashed: what the next entry must follow.
#[derive(Clone, Default)]
pub(crate) struct Head {
    pub(crate) frontier: Frontier,
    /// Scheme of the first batch; all others must be of it.
    pub(crate) scheme: Option<String>,
    /// SHA-256 of the last header's text.
    pub(crate) previous: Hash,
}

/// What a walk leaves to do.
pub(crate) struct Scanned {
    pub(crate) head: Head,
    /// Tiles that are not there, and their bytes. Entries are never missing: that is damage.
    pub(crate) missing: Vec<(Tile, Vec<u8>)>,
    /// Full tiles whose partial ones are still there.
    pub(crate) superseded: Vec<Tile>,
}

/// The first difference between an entry and its tile: one of the two is damaged.
struct Suspect {
    entry: LedgerError,
    tile: LedgerError,
}

struct Scan<'a> {
    tiles: &'a Tiles,
    scanned: Scanned,
    suspect: Option<Suspect>,
}

/// Walks from `head` to `size`, where the root must be `root`.
pub(crate) fn scan(
    tiles: &Tiles,
    head: Head,
    size: u64,
    root: Hash,
) -> Result<Scanned, LedgerError> {
    let first = head.frontier.size() / TILE_WIDTH;
    let scanned = Scanned {
        head,
        missing: Vec::new(),
        superseded: Vec::new(),
    };
    let mut scan = Scan {
        tiles,
        scanned,
        suspect: None,
    };
    for index in first..size.div_ceil(TILE_WIDTH) {
        if let Err(error) = scan.bundle(index, size) {
            // An entry may break the chain because the one before it is damaged: its tile tells.
            return Err(scan.suspect.map_or(error, |suspect| suspect.entry));
        }
    }
    scan.right_edge()?;
    let is_root = scan.scanned.head.frontier.root() == root;
    match scan.suspect {
        None if is_root => Ok(scan.scanned),
        None => Err(damaged(
            &tiles.dir,
            0,
            "the entries' root is not the checkpoint's",
        )),
        Some(suspect) if is_root => Err(suspect.tile),
        Some(suspect) => Err(suspect.entry),
    }
}

impl Scan<'_> {
    /// Hashes the entries of one bundle, and compares the tiles that they fill.
    fn bundle(&mut self, index: u64, size: u64) -> Result<(), LedgerError> {
        let tile = |kind| Tile::at(kind, index, size).expect("within the log");
        let bundle = tile(TileKind::Entries);
        let file = self.tiles.read(bundle)?;
        let leaves = match self.tiles.read(tile(TileKind::Hashes(0))) {
            Ok(file) => Some((file.hashes()?, file)),
            Err(LedgerError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let count = usize::try_from(bundle.width).expect("256 at most");
        let entries = file.entries()?;
        for (at, entry) in entries.iter().take(count).enumerate() {
            let leaf = leaf_hash(entry.text.as_bytes());
            if let Some((hashes, leaves)) = &leaves
                && hashes[at] != leaf
            {
                self.suspect.get_or_insert_with(|| Suspect {
                    entry: file.damaged(entry.offset, "entry is not the one that was signed"),
                    tile: leaves.damaged(at as u64 * 32, "hash is not its entry's"),
                });
            }
            let index = index * TILE_WIDTH + at as u64;
            if index < self.scanned.head.frontier.size() {
                if self.scanned.head.frontier.leaf(index) != Some(leaf) {
                    let reason = "entry is not the one that was signed";
                    return Err(file.damaged(entry.offset, reason));
                }
            } else {
                self.entry(&file, entry, leaf)?;
            }
        }
        if bundle.is_full() && !self.tiles.partials(bundle)?.is_empty() {
            self.scanned.superseded.push(bundle);
        }
        Ok(())
    }

    fn entry(&mut self, file: &TileFile, entry: &Entry, leaf: Hash) -> Result<(), LedgerError> {
        let head = &mut self.scanned.head;
        head.link(&entry.text)
            .map_err(|reason| file.damaged(entry.offset, reason))?;
        let mut full = Vec::new();
        head.frontier
            .push(leaf, &mut |tile, hashes| full.push((tile, hashes.concat())));
        for (tile, bytes) in full {
            self.compare(tile, bytes)?;
            if !self.tiles.partials(tile)?.is_empty() {
                self.scanned.superseded.push(tile);
            }
        }
        Ok(())
    }

    fn right_edge(&mut self) -> Result<(), LedgerError> {
        let right = self.scanned.head.frontier.tiles();
        let right: Vec<_> = right
            .map(|(tile, hashes)| (tile, hashes.concat()))
            .collect();
        right
            .into_iter()
            .try_for_each(|(tile, bytes)| self.compare(tile, bytes))
    }

    /// Compares a tile with what it must be.
    fn compare(&mut self, tile: Tile, bytes: Vec<u8>) -> Result<(), LedgerError> {
        let file = match self.tiles.read_exactly(tile)? {
            Some(file) => Some(file),
            None => self.tiles.read_exactly(tile.full())?,
        };
        let Some(file) = file else {
            self.scanned.missing.push((tile, bytes));
            return Ok(());
        };
        file.hashes()?;
        if let Some(offset) = first_difference(&file.bytes, &bytes) {
            let differs = || file.damaged(offset / 32 * 32, "hash is not of what is below it");
            self.suspect.get_or_insert_with(|| Suspect {
                entry: differs(),
                tile: differs(),
            });
        }
        Ok(())
    }
}

impl Head {
    /// Takes the next entry's text, which must be the header that belongs there.
    pub(crate) fn link(&mut self, text: &str) -> Result<(), String> {
        let header = Header::parse(text).map_err(|error| error.to_string())?;
        if header.number != FIRST_BATCH_NUMBER + self.frontier.size() {
            return Err(format!("batch {} is out of order", header.number));
        }
        if header.previous != self.previous {
            return Err("entry does not name the one before it".to_owned());
        }
        if self
            .scheme
            .as_ref()
            .is_some_and(|scheme| *scheme != header.scheme)
        {
            return Err("entry is of another scheme".to_owned());
        }
        self.scheme = Some(header.scheme);
        self.previous = sha256(text.as_bytes());
        Ok(())
    }
}

/// The partial tiles and bundles of earlier sizes, which stay until the full one is there: each must be the
/// beginning of the newest.
pub(crate) fn check_partials(tiles: &Tiles, frontier: &Frontier) -> Result<(), LedgerError> {
    let bundle = Tile::at(
        TileKind::Entries,
        frontier.size() / TILE_WIDTH,
        frontier.size(),
    );
    let right = frontier.tiles().map(|(tile, _)| tile);
    for tile in bundle.into_iter().chain(right) {
        let newest = tiles.read(tile)?;
        for partial in tiles.partials(tile)? {
            // A wider one is of a size that is not signed yet; one that is gone now has a full one.
            if partial.width >= tile.width {
                continue;
            }
            let Some(file) = tiles.read_exactly(partial)? else {
                continue;
            };
            if let Some(offset) = first_difference(&newest.bytes, &file.bytes) {
                return Err(file.damaged(offset, "not the beginning of the fuller one"));
            }
        }
    }
    Ok(())
}

/// Where `bytes` is not the beginning of `whole`.
fn first_difference(whole: &[u8], bytes: &[u8]) -> Option<u64> {
    let same = whole.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    (same < bytes.len()).then_some(same as u64)
}
