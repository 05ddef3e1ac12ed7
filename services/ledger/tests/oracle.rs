//! The log as another implementation of its formats sees it: `tlog_tiles`, which the product does not use.
//! It reads our static files and nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use tlog_tiles::{
    Checkpoint, Error, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, record_hash, tree_hash,
};
use valuta_ledger::{Header, Ledger, ListRoot, LogKey};

/// A full tile, and something on the right edge.
const SIZE: u64 = 300;

/// The static files, by C2SP's paths.
struct Files(PathBuf);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // It writes the tiles' height into its paths, as the format's ancestor did.
        let path = |tile: &Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles
            .iter()
            .map(|tile| std::fs::read(path(tile)).unwrap())
            .collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn header(number: u64) -> Header {
    let list = ListRoot {
        count: number,
        root: [number as u8; 32],
    };
    Header {
        scheme: "demo".into(),
        number,
        time_ms: 1_763_640_000_000,
        cycle: None,
        members: list,
        postings: list,
        balances: list,
        certificate: None,
        sequence: number,
        chain: [9; 32],
        previous: [0; 32],
    }
}

#[test]
fn another_implementation_reads_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::from_seed("valuta.example/log", &[1; 32]).unwrap();
    let mut ledger = Ledger::open(dir.path(), key).unwrap();
    let files = Files(dir.path().join("public"));
    let mut roots = Vec::new();
    for number in 1..=SIZE {
        ledger.add_header(header(number)).unwrap();
        let note = std::fs::read_to_string(files.0.join("checkpoint")).unwrap();
        let (body, _) = note.split_once("\n\n").unwrap();
        let checkpoint = Checkpoint::from_bytes(format!("{body}\n").as_bytes()).unwrap();
        assert_eq!(checkpoint.size(), number);
        roots.push(*checkpoint.hash());
        let reader = TileHashReader::new(number, *checkpoint.hash(), &files);
        assert_eq!(tree_hash(number, &reader).unwrap(), *checkpoint.hash());
    }
    let (size, root) = (SIZE, roots[SIZE as usize - 1]);
    let reader = TileHashReader::new(size, root, &files);
    // Its reader has compared every tile on the way with the root.
    let ours = ledger.reader();
    for index in 0..size {
        let text = ours.header(index + 1).unwrap().text();
        let proof = prove_record(size, index, &reader).unwrap();
        let hashes: Vec<[u8; 32]> = proof.iter().map(|hash| hash.0).collect();
        assert_eq!(
            ours.inclusion_proof(index, size).unwrap(),
            hashes,
            "{index}"
        );
        check_record(&proof, size, root, index, record_hash(text.as_bytes())).unwrap();
    }
    for old in 1..size {
        let proof = prove_tree(size, old, &reader).unwrap();
        let hashes: Vec<[u8; 32]> = proof.iter().map(|hash| hash.0).collect();
        assert_eq!(ours.consistency_proof(old, size).unwrap(), hashes, "{old}");
        check_tree(&proof, size, root, old, roots[old as usize - 1]).unwrap();
    }
}
