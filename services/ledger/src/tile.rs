//! Names of the static files: C2SP tlog-tiles.

use std::path::PathBuf;

/// Hashes of a full tile, and entries of a full bundle.
pub(crate) const TILE_WIDTH: u64 = 256;
/// Levels of the tree that one level of tiles spans.
pub(crate) const TILE_HEIGHT: u32 = 8;
/// Highest level of tiles that a path may name.
const LEVEL_MAX: u8 = 63;
/// The newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TileKind {
    /// Entries, each with its length.
    Entries,
    /// Hashes: of leaves at level 0, of full tiles of the level below above it.
    Hashes(u8),
}

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) kind: TileKind,
    pub(crate) index: u64,
    /// 1 to [`TILE_WIDTH`]; below it the tile is partial.
    pub(crate) width: u64,
}

impl Tile {
    /// The tile at `index` as a log of `size` entries has it; `None` if it would be empty.
    pub(crate) fn at(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let level = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes(level) => u32::from(level),
        };
        let nodes = size.checked_shr(TILE_HEIGHT * level).unwrap_or(0);
        let width = nodes.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    pub(crate) fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    pub(crate) fn full(self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..self
        }
    }

    /// The path below the log's prefix.
    pub(crate) fn path(self) -> String {
        let full = self.full_path();
        match self.width {
            TILE_WIDTH => full,
            width => format!("{full}.p/{width}"),
        }
    }

    /// Where the partial ones of this tile are.
    pub(crate) fn partials_path(self) -> String {
        format!("{}.p", self.full_path())
    }

    fn full_path(self) -> String {
        let mut index = format!("{:03}", self.index % 1_000);
        let mut rest = self.index / 1_000;
        while rest > 0 {
            index = format!("x{:03}/{index}", rest % 1_000);
            rest /= 1_000;
        }
        match self.kind {
            TileKind::Entries => format!("tile/entries/{index}"),
            TileKind::Hashes(level) => format!("tile/{level}/{index}"),
        }
    }

    /// The inverse of `path`; `None` for every other text.
    fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?),
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, width.parse().ok().filter(|w| *w < TILE_WIDTH)?),
            None => (rest, TILE_WIDTH),
        };
        let mut index = 0_u64;
        for group in groups.split('/') {
            let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
            index = index.checked_mul(1_000)?.checked_add(group)?;
        }
        let tile = Self { kind, index, width };
        // There is one path for each tile: what is left out above (signs, zeros, a missing `x`) shows here.
        (width > 0 && tile.path() == path).then_some(tile)
    }
}

/// A file that answers a request for a part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticFile {
    /// Below the ledger's [`public_dir`](crate::LedgerReader::public_dir). It need not be there yet.
    pub path: PathBuf,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

/// The file for a request's path below the log's prefix, without a slash in front: `checkpoint` or a
/// tile. `None` for anything else: no other file can be reached.
#[must_use]
pub fn static_file(path: &str) -> Option<StaticFile> {
    if path == CHECKPOINT {
        return Some(StaticFile {
            path: path.into(),
            content_type: "text/plain; charset=utf-8",
            cache_control: "no-cache",
        });
    }
    Tile::parse(path).map(|tile| StaticFile {
        path: tile.path().into(),
        content_type: "application/octet-stream",
        cache_control: "max-age=31536000, immutable",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tile(kind: TileKind, index: u64, width: u64) -> Tile {
        Tile { kind, index, width }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let check = |tile: Tile, path: &str| {
            assert_eq!(tile.path(), path);
            assert_eq!(Tile::parse(path), Some(tile));
            assert_eq!(static_file(path).unwrap().path, PathBuf::from(path));
        };
        use TileKind::{Entries, Hashes};
        check(tile(Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        check(tile(Hashes(0), 0, 256), "tile/0/000");
        check(tile(Hashes(2), 0, 1), "tile/2/000.p/1");
        check(tile(Hashes(63), 999, 255), "tile/63/999.p/255");
        check(tile(Entries, 1_000, 256), "tile/entries/x001/000");
        check(tile(Entries, 273, 112), "tile/entries/273.p/112");
        check(
            tile(Entries, u64::MAX, 7),
            "tile/entries/x018/x446/x744/x073/x709/x551/615.p/7",
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for path in [
            "",
            "/checkpoint",
            "checkpoint/",
            "Checkpoint",
            "witnessed",
            "lock",
            "../lock",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/..",
            "tile/0/../../lock",
            "tile/0/000/../001",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/x001/x000",
            "tile/0/001/000",
            "tile/0/x01/000",
            "tile/0/+01",
            "tile/0/-01",
            "tile/00/000",
            "tile/+0/000",
            "tile/64/000",
            "tile/256/000",
            "tile/entry/000",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/0//000",
            "tile//000",
            "tile/0/000\0",
            "tile/0/000?a",
            "tile/0/%2e%2e",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(static_file(path), None, "{path}");
        }
    }

    #[test]
    fn widths_follow_the_size() {
        let widths = |kind, size| {
            let tiles = (0..300).map_while(|index| Tile::at(kind, index, size));
            tiles.map(|tile| tile.width).collect::<Vec<_>>()
        };
        // The example of the specification.
        let leaves = widths(TileKind::Hashes(0), 70_000);
        assert_eq!((leaves.len(), leaves[272], leaves[273]), (274, 256, 112));
        assert_eq!(widths(TileKind::Hashes(1), 70_000), [256, 17]);
        assert_eq!(widths(TileKind::Hashes(2), 70_000), [1]);
        assert_eq!(widths(TileKind::Hashes(1), 256), [1]);
        assert_eq!(widths(TileKind::Entries, 256), [256]);
        assert_eq!(widths(TileKind::Hashes(1), 255), [0_u64; 0]);
        assert_eq!(widths(TileKind::Hashes(63), u64::MAX), [0_u64; 0]);
    }
}
