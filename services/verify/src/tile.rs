//! C2SP tlog-tiles: where a log keeps which hashes and entries.

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// The path of a tile: hashes of `level` (0: leaves), `width` of them (1 to 256) from `index` times 256.
#[must_use]
pub fn tile_path(level: u8, index: u64, width: u64) -> String {
    format!("tile/{level}/{}", path_of(index, width))
}

/// The path of an entry bundle: `width` entries (1 to 256) from `index` times 256.
#[must_use]
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", path_of(index, width))
}

/// Groups of three digits, all but the last with an `x`; a partial tile says its width.
fn path_of(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    if width != TILE_WIDTH {
        path = format!("{path}.p/{width}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |level, index, width, path| assert_eq!(tile_path(level, index, width), path);
        check(0, 0, 256, "tile/0/000");
        check(0, 999, 256, "tile/0/999");
        check(1, 1_000, 256, "tile/1/x001/000");
        check(0, 1_234_067, 256, "tile/0/x001/x234/067");
        check(5, 273, 112, "tile/5/273.p/112");
        assert_eq!(entries_path(1_234_067, 8), "tile/entries/x001/x234/067.p/8");
    }
}
