//! Reading the static files. What is covered by a checkpoint never changes, so reading needs no lock.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::LedgerError;
use crate::hash::{Hash, leaf_hash};
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, TileKind};
use crate::tree::{Edge, consistency_ranges, inclusion_ranges, range_hash};

/// Bytes of a hash in a tile.
const HASH_BYTES: usize = 32;
/// The length before each entry of a bundle.
const LENGTH_BYTES: usize = 2;

/// The directory of static files.
pub(crate) struct Tiles {
    pub(crate) dir: PathBuf,
}

/// One entry as read.
pub(crate) struct Entry {
    /// Where it starts in its file.
    pub(crate) offset: u64,
    pub(crate) text: String,
}

/// A file as read, for naming it in errors.
pub(crate) struct TileFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Its own: of a full tile where a partial one was asked for and has been removed.
    width: u64,
}

impl TileFile {
    pub(crate) fn damaged(&self, offset: u64, reason: impl Into<String>) -> LedgerError {
        damaged(&self.path, offset, reason)
    }

    /// The hashes of a tile of hashes.
    pub(crate) fn hashes(&self) -> Result<Vec<Hash>, LedgerError> {
        let (hashes, rest) = self.bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() as u64 != self.width {
            let reason = format!("tile is not {} hashes long", self.width);
            return Err(self.damaged(self.bytes.len() as u64, reason));
        }
        Ok(hashes.to_vec())
    }

    /// The entries of a bundle.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, LedgerError> {
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let cut = || self.damaged(at as u64, "entry is cut off");
            let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(cut)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let bytes = rest.get(..length).ok_or_else(cut)?;
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| self.damaged(at as u64, "entry is not UTF-8"))?;
            entries.push(Entry {
                offset: at as u64,
                text: text.to_owned(),
            });
            at += LENGTH_BYTES + length;
        }
        if entries.len() as u64 != self.width {
            let reason = format!("bundle has {} entries, not {}", entries.len(), self.width);
            return Err(self.damaged(at as u64, reason));
        }
        Ok(entries)
    }
}

impl Tiles {
    pub(crate) fn path(&self, tile: Tile) -> PathBuf {
        self.dir.join(tile.path())
    }

    /// Reads a tile; the full one where a partial one has been removed since.
    pub(crate) fn read(&self, tile: Tile) -> Result<TileFile, LedgerError> {
        if let Some(file) = self.read_exactly(tile)? {
            return Ok(file);
        }
        let full = self.read_exactly(tile.full())?;
        full.ok_or_else(|| damaged(&self.path(tile), 0, "file is missing"))
    }

    /// The file of this very tile; `None` if there is none.
    pub(crate) fn read_exactly(&self, tile: Tile) -> Result<Option<TileFile>, LedgerError> {
        let path = self.path(tile);
        let width = tile.width;
        Ok(read(&path)?.map(|bytes| TileFile { path, bytes, width }))
    }

    /// The widths of the partial ones of a tile.
    pub(crate) fn partials(&self, tile: Tile) -> Result<Vec<Tile>, LedgerError> {
        let dir = self.dir.join(tile.partials_path());
        let files = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(LedgerError::io("list", &dir))?,
        };
        let names = files.map(|file| file.map(|file| file.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>();
        let names = names.map_err(LedgerError::io("list", &dir))?;
        let widths = names.iter().filter_map(|name| name.to_str()?.parse().ok());
        let tiles = widths.map(|width| Tile { width, ..tile });
        // A name that is not one of ours names no tile.
        Ok(tiles
            .filter(|tile| tile.width > 0 && !tile.is_full())
            .collect())
    }

    /// How many entries the bundles hold, of a log that has at least `covered`.
    pub(crate) fn size_found(&self, covered: u64) -> Result<u64, LedgerError> {
        let mut index = covered / TILE_WIDTH;
        loop {
            let (kind, width) = (TileKind::Entries, TILE_WIDTH);
            let bundle = Tile { kind, index, width };
            if !self.path(bundle).exists() {
                let partials = self.partials(bundle)?;
                let width = partials.iter().map(|tile| tile.width).max().unwrap_or(0);
                return Ok(covered.max(index * TILE_WIDTH + width));
            }
            index += 1;
        }
    }

    /// The entry at `index` of a log of `size`, checked against its leaf hash.
    pub(crate) fn entry(&self, index: u64, size: u64) -> Result<(TileFile, Entry), LedgerError> {
        let (tile_index, at) = (index / TILE_WIDTH, (index % TILE_WIDTH) as usize);
        let bundle = Tile::at(TileKind::Entries, tile_index, size).expect("within the log");
        let file = self.read(bundle)?;
        let mut entries = file.entries()?;
        let entry = entries.swap_remove(at);
        let leaf = self.proofs(size).node(0, index)?;
        if leaf != leaf_hash(entry.text.as_bytes()) {
            return Err(file.damaged(entry.offset, "entry is not the one that was signed"));
        }
        Ok((file, entry))
    }

    /// Reads proofs of a log of `size`.
    pub(crate) fn proofs(&self, size: u64) -> Proofs<'_> {
        Proofs {
            tiles: self,
            size,
            read: BTreeMap::new(),
        }
    }
}

/// Makes one proof, or several: reads each tile once.
pub(crate) struct Proofs<'a> {
    tiles: &'a Tiles,
    size: u64,
    read: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl Proofs<'_> {
    /// The root at `size`, which is not over the log's.
    pub(crate) fn root(&mut self, size: u64) -> Result<Hash, LedgerError> {
        range_hash((0, size), &mut |level, index| self.node(level, index))
    }

    pub(crate) fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let ranges = inclusion_ranges(index, size).filter(|_| size <= self.size);
        self.hashes(ranges, index, size)
    }

    pub(crate) fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        let ranges = consistency_ranges(old, new).filter(|_| new <= self.size);
        self.hashes(ranges, old, new)
    }

    fn hashes(
        &mut self,
        ranges: Option<Vec<(u64, u64)>>,
        from: u64,
        to: u64,
    ) -> Result<Vec<Hash>, LedgerError> {
        let size = self.size;
        let ranges = ranges.ok_or(LedgerError::ProofOutOfRange { from, to, size })?;
        let ranges = ranges.into_iter();
        ranges
            .map(|range| range_hash(range, &mut |level, index| self.node(level, index)))
            .collect()
    }

    /// The root of the leaves `index * 2^level .. (index + 1) * 2^level`: hashed up within one tile.
    pub(crate) fn node(&mut self, level: u32, index: u64) -> Result<Hash, LedgerError> {
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let first = index << height;
        let (tile_index, at) = (first / TILE_WIDTH, (first % TILE_WIDTH) as usize);
        let tile_level = u8::try_from(tile_level).expect("64 levels at most");
        let hashes = self.tile(tile_level, tile_index)?;
        let below = &hashes[at..at + (1 << height)];
        Ok(below.iter().copied().collect::<Edge>().root())
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], LedgerError> {
        if !self.read.contains_key(&(level, index)) {
            let kind = TileKind::Hashes(level);
            let tile = Tile::at(kind, index, self.size).expect("within the log");
            let hashes = self.tiles.read(tile)?.hashes()?;
            self.read.insert((level, index), hashes);
        }
        Ok(&self.read[&(level, index)])
    }
}

/// Appends an entry to a bundle.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("headers are short");
    bundle.extend(length.to_be_bytes());
    bundle.extend(text.as_bytes());
}

pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).map_err(LedgerError::io("read", path)),
    }
}

pub(crate) fn damaged(file: &Path, offset: u64, reason: impl Into<String>) -> LedgerError {
    LedgerError::Damaged {
        file: file.to_owned(),
        offset,
        reason: reason.into(),
    }
}
