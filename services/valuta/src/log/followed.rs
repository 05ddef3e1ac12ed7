//! Following a log from the last checkpoint seen: what an outsider can know without trusting its operator.
//!
//! | # | step | what is found |
//! |---|---|---|
//! | 1 | checkpoint | it is signed; of the size seen last, it has the same root; it did not get shorter |
//! | 2 | witnesses | it is cosigned as the policy asks, within some seconds |
//! | 3 | entries | each is a header; numbers have no gap, each names the one before, one scheme |
//! | 4 | root | over all entries, old and new, it is the checkpoint's: nothing was changed or left out |
//! | 5 | tiles | every hash that the log serves is the one of its entries |
//!
//! Two signed checkpoints that contradict each other are evidence that anyone can check, and are kept.

use super::source::Source;
use super::tree::{Tile, Tree};
use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use valuta_verify::{
    Checkpoint, Evidence, Hash, Header, Note, Opened, Policy, TILE_WIDTH, VerifyError,
    consistency_path, entries_path, leaf_hash, node_hash, open_checkpoint, roots_from_path, sha256,
    tile_path,
};

/// How often a checkpoint is looked at until witnesses have cosigned one.
const LOOKS_MAX: u32 = 20;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What an outsider remembers of a log: all that it read is behind these few hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    tree: Tree,
    /// SHA-256 of the last header's text.
    previous: Hash,
    /// Of the first header; all are of it.
    scheme: Option<String>,
    /// The checkpoint, as it was signed, that the tree was found to have; empty before the first.
    checkpoint: String,
}

/// What a look at a log gave.
pub enum Found {
    /// All as it should be, up to this checkpoint.
    Good(Opened),
    /// The log has signed two histories.
    Fork(Box<Evidence>),
}

impl Followed {
    /// How many entries have been read.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Reads what is new. `entry` is handed each new entry's index and text, and hears of progress so.
    ///
    /// # Errors
    /// What is not as it should be; then nothing is remembered of it.
    pub fn follow(
        &mut self,
        source: &Source,
        policy: &Policy,
        entry: &mut dyn FnMut(u64, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Found> {
        let mut looks = 1;
        let (note, opened) = loop {
            let note = source.checkpoint()?;
            let signed = Note::parse(&note).and_then(|note| note.open(policy));
            let signed = signed.context("the log's checkpoint")?.checkpoint;
            if let Some(evidence) = self.contradiction(&note, &signed, policy)? {
                return Ok(Found::Fork(Box::new(evidence)));
            }
            match open_checkpoint(&note, policy) {
                Ok(opened) => break (note, opened),
                // A new one is cosigned a moment after it was signed.
                Err(VerifyError::QuorumMissing { .. }) if looks < LOOKS_MAX => {
                    looks += 1;
                    std::thread::sleep(LOOK_AGAIN_AFTER);
                }
                // A log that has forked finds no witnesses.
                Err(error) => match self.fork(source, &note, &signed, policy) {
                    Ok(Some(evidence)) => return Ok(Found::Fork(Box::new(evidence))),
                    Ok(None) | Err(_) => return Err(error).context("the log's checkpoint"),
                },
            }
        };
        let new = &opened.checkpoint;
        match self.read(source, new, entry) {
            Ok(next) => {
                *self = Self {
                    checkpoint: note,
                    ..next
                };
                Ok(Found::Good(opened))
            }
            // What is served contradicts itself; if what is signed does too, that is worth more.
            Err(error) => match self.fork(source, &note, new, policy) {
                Ok(Some(evidence)) => Ok(Found::Fork(Box::new(evidence))),
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    /// Reads what is new up to a checkpoint, and compares every hash with it.
    fn read(
        &self,
        source: &Source,
        new: &Checkpoint,
        entry: &mut dyn FnMut(u64, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut next = self.clone();
        let mut full = Vec::new();
        for index in self.tree.size() / TILE_WIDTH..new.size.div_ceil(TILE_WIDTH) {
            next.bundle(source, index, new.size, &mut full, entry)?;
            for tile in full.drain(..) {
                compare(source, &tile)?;
            }
        }
        if next.tree.root() != new.root {
            bail!(
                "the log's entries do not have the root of its checkpoint of size {}",
                new.size
            );
        }
        for tile in next.tree.partial() {
            compare(source, &tile)?;
        }
        Ok(next)
    }

    /// Of two sizes, or of one with two roots, before anything else is read.
    fn contradiction(
        &self,
        note: &str,
        new: &Checkpoint,
        policy: &Policy,
    ) -> anyhow::Result<Option<Evidence>> {
        let size = self.tree.size();
        if self.checkpoint.is_empty() || new.size > size {
            return Ok(None);
        }
        let evidence = Evidence {
            older: self.checkpoint.clone(),
            newer: note.to_owned(),
            path: Vec::new(),
        };
        if evidence.verify(policy).is_ok() {
            return Ok(Some(evidence));
        }
        if new.size < size {
            bail!(
                "the log went back from {size} entries to {}: its checkpoint is an old one",
                new.size
            );
        }
        Ok(None)
    }

    /// Evidence that the newer tree does not begin with the one that was signed before, from its own tiles.
    fn fork(
        &self,
        source: &Source,
        note: &str,
        new: &Checkpoint,
        policy: &Policy,
    ) -> anyhow::Result<Option<Evidence>> {
        let mut failed = None;
        let path = consistency_path(self.tree.size(), new.size, |start, end| {
            let root = subtree(source, start, end, new.size);
            root.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                [0; 32]
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if roots_from_path(self.tree.size(), new.size, &path).is_none() {
            return Ok(None);
        }
        let evidence = Evidence {
            older: self.checkpoint.clone(),
            newer: note.to_owned(),
            path,
        };
        Ok(evidence.verify(policy).is_ok().then_some(evidence))
    }

    fn bundle(
        &mut self,
        source: &Source,
        index: u64,
        size: u64,
        full: &mut Vec<Tile>,
        entry: &mut dyn FnMut(u64, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let first = index * TILE_WIDTH;
        let width = (size - first).min(TILE_WIDTH);
        let path = entries_path(index, width);
        let bytes = source.partial(&path, &entries_path(index, TILE_WIDTH))?;
        let texts = entries(&bytes).ok_or_else(|| anyhow!("{path}: not an entry bundle"))?;
        if (texts.len() as u64) < width {
            bail!("{path}: holds {} entries, not {width}", texts.len());
        }
        let known = self.tree.size() - first;
        let texts = texts.into_iter().take(width as usize);
        for (at, text) in (first..).zip(texts).skip(known as usize) {
            self.header(at, text)
                .with_context(|| format!("{path}: entry {at}"))?;
            entry(at, text)?;
            self.tree.push(leaf_hash(text.as_bytes()), full);
        }
        Ok(())
    }

    fn header(&mut self, index: u64, text: &str) -> anyhow::Result<()> {
        let header = Header::parse(text)?;
        if header.number != index + 1 {
            bail!("it is batch {}: numbers have a gap", header.number);
        }
        if header.previous != self.previous {
            bail!("it does not name the header before it");
        }
        let scheme = self.scheme.get_or_insert_with(|| header.scheme.clone());
        if *scheme != header.scheme {
            bail!("it is of scheme {}, not {scheme}", header.scheme);
        }
        self.previous = sha256(text.as_bytes());
        Ok(())
    }
}

/// The texts of a bundle: a length of two bytes before each.
fn entries(mut bytes: &[u8]) -> Option<Vec<&str>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        texts.push(std::str::from_utf8(text).ok()?);
        bytes = rest;
    }
    Some(texts)
}

fn compare(source: &Source, (level, index, hashes): &Tile) -> anyhow::Result<()> {
    let path = tile_path(*level, *index, hashes.len() as u64);
    let found = source.partial(&path, &tile_path(*level, *index, TILE_WIDTH))?;
    if !found.starts_with(hashes.as_flattened()) {
        bail!("{source}: {path}: not the hashes of the log's entries");
    }
    Ok(())
}

/// The root over leaves `start..end`, from the leaves' tiles of a log of `size` entries.
fn subtree(source: &Source, start: u64, end: u64, size: u64) -> anyhow::Result<Hash> {
    if end - start > TILE_WIDTH {
        let middle = start + (1 << (end - start - 1).ilog2());
        let (left, right) = (
            subtree(source, start, middle, size)?,
            subtree(source, middle, end, size)?,
        );
        return Ok(node_hash(&left, &right));
    }
    let index = start / TILE_WIDTH;
    let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
    let path = tile_path(0, index, width);
    let bytes = source.partial(&path, &tile_path(0, index, TILE_WIDTH))?;
    let hashes = bytes.as_chunks::<32>().0;
    let within = (start % TILE_WIDTH) as usize..(start % TILE_WIDTH + end - start) as usize;
    let hashes = hashes
        .get(within)
        .with_context(|| format!("{source}: {path}: too short"))?;
    let edge: valuta_verify::Edge = hashes.iter().copied().collect();
    Ok(edge.root())
}
