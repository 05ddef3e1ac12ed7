//! RFC 6962 section 2.1 hashes, and the one base64 of all our texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// SHA-256 of the bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The hash of a leaf: `SHA-256(0x00 || data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    prefixed(&[0x00], data)
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    State::INITIAL.finish::<2>([&[0x01], left, right])
}

/// `SHA-256(prefix || data)`. A prefix is shorter than a block.
pub(crate) fn prefixed(prefix: &[u8], data: &[u8]) -> Hash {
    // Of an instruction: copied, since that costs less than to begin three times.
    const BLOCKS: usize = 8;
    let padded = prefix.len() + data.len() + PADDING_BYTES;
    if padded <= BLOCK_BYTES {
        return State::INITIAL.finish::<1>([prefix, data, &[]]);
    }
    if padded <= BLOCKS * BLOCK_BYTES {
        return State::INITIAL.finish::<BLOCKS>([prefix, data, &[]]);
    }
    let (head, rest) = data.split_at(BLOCK_BYTES - prefix.len());
    let mut block = [0; BLOCK_BYTES];
    block[..prefix.len()].copy_from_slice(prefix);
    block[prefix.len()..].copy_from_slice(head);
    let (blocks, rest) = rest.as_chunks();
    let state = State::INITIAL.update(&[block]).update(blocks);
    state.finish::<2>([rest, &[], &[]])
}

/// A byte, and the length.
const PADDING_BYTES: usize = 9;
const BLOCK_BYTES: usize = 64;

/// SHA-256 between two blocks. Trees are made of messages of one or two, for which the buffer of a hasher
/// costs as much as the hash.
#[derive(Clone, Copy)]
struct State {
    words: [u32; 8],
    bytes: usize,
}

impl State {
    /// FIPS 180-4 section 5.3.3.
    const INITIAL: Self = Self {
        words: [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ],
        bytes: 0,
    };

    fn update(mut self, blocks: &[[u8; BLOCK_BYTES]]) -> Self {
        compress256(&mut self.words, blocks);
        self.bytes += blocks.len() * BLOCK_BYTES;
        self
    }

    /// The hash with these last parts, padded (section 5.1.1); with the padding they are `BLOCKS` at most.
    /// Inlined, the lengths of a node's or a salt's parts are constants: that is worth a few percent of a batch.
    #[inline(always)]
    fn finish<const BLOCKS: usize>(self, parts: [&[u8]; 3]) -> Hash {
        let mut blocks = [[0; BLOCK_BYTES]; BLOCKS];
        let padded = blocks.as_flattened_mut();
        let mut at = 0;
        for part in parts {
            padded[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        padded[at] = 0x80;
        let bits = (self.bytes + at) as u64 * 8;
        let end = (at + PADDING_BYTES).next_multiple_of(BLOCK_BYTES);
        padded[end - 8..end].copy_from_slice(&bits.to_be_bytes());
        let state = self.update(&blocks[..end / BLOCK_BYTES]);
        let mut hash = [0; 32];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(state.words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }
}

/// HMAC-SHA-256 (FIPS 198-1) of short messages under one key, whose blocks are hashed once.
#[derive(Clone)]
pub(crate) struct Mac {
    inner: State,
    outer: State,
}

impl Mac {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK_BYTES];
            block
                .iter_mut()
                .zip(key)
                .for_each(|(byte, key)| *byte ^= key);
            State::INITIAL.update(&[block])
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    /// Of a message of three parts, 55 bytes at most.
    pub(crate) fn of(&self, parts: [&[u8]; 3]) -> Hash {
        let inner = self.inner.finish::<1>(parts);
        self.outer.finish::<1>([&inner, &[], &[]])
    }
}

/// Standard base64 with padding (RFC 4648 section 4).
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes canonical base64: right padding, no stray bits. `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Decodes the base64 of exactly 32 bytes.
pub(crate) fn decode_hash(text: &str) -> Option<Hash> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hmac::{Hmac, KeyInit as _, Mac as _};

    use super::*;

    /// Around every border of a block, against the hasher.
    #[test]
    fn hashes_are_those_of_the_library() {
        let data: Vec<u8> = (0..1_200).map(|at| (at * 7 % 251) as u8).collect();
        for length in 0..=data.len() {
            let data = &data[..length];
            for prefix in [&[0x00][..], &[5; 32], &[6; 63]] {
                let whole = [prefix, data].concat();
                assert_eq!(prefixed(prefix, data), sha256(&whole), "{length}");
            }
            if length < 56 {
                let mut mac = Hmac::<Sha256>::new_from_slice(&[9; 32]).unwrap();
                mac.update(data);
                let found = Mac::new(&[9; 32]).of([data, &[], &[]]);
                assert_eq!(found[..], mac.finalize().into_bytes()[..], "{length}");
            }
        }
        let whole = [&[0x01][..], &[2; 32], &[3; 32]].concat();
        assert_eq!(node_hash(&[2; 32], &[3; 32]), sha256(&whole));
    }
}
