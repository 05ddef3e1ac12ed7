//! What is certainly not in a file: a blocked Bloom filter, one cache line and no branch a question.
//!
//! A block is 512 bits, a key sets six of one block. At 16 bits a key some 0.1% of the keys that are not
//! there are looked for in vain.

use settlement_core::remembered::Key;

/// Of one block.
pub(super) const BLOCK_BYTES: usize = 64;
const BITS_PER_KEY: u64 = 16;
const KEY_BITS: u32 = 6;
/// Of a bit's place in a block.
const PLACE_BITS: u32 = 9;

/// A key's hash, the same on every machine (the finalizer of splitmix64, over both halves).
#[inline]
pub(super) fn hash_of(key: Key) -> u64 {
    let mix = |word: u64| {
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let wide = u128::from_be_bytes(key.0);
    mix((wide >> 64) as u64 ^ mix(wide as u64))
}

pub(super) struct Filter {
    blocks: Vec<[u64; 8]>,
}

/// The places of a key's bits, as (word, shift).
#[inline]
fn places(hash: u64) -> impl Iterator<Item = (usize, u32)> {
    // The block was chosen by the hash's upper bits: these depend on all of it.
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1..=KEY_BITS).map(move |bit| {
        let place = spread >> (64 - PLACE_BITS * bit);
        (place as usize >> 6 & 7, place as u32 & 63)
    })
}

impl Filter {
    /// For so many keys.
    pub fn new(keys: u64) -> Self {
        let blocks = (keys * BITS_PER_KEY)
            .div_ceil(8 * BLOCK_BYTES as u64)
            .max(1);
        let blocks = usize::try_from(blocks).expect("as many as lines in memory");
        Self {
            blocks: vec![[0; 8]; blocks],
        }
    }

    #[inline]
    fn block_of(&self, hash: u64) -> usize {
        let place = u128::from(hash) * self.blocks.len() as u128;
        (place >> 64) as usize
    }

    pub fn insert(&mut self, hash: u64) {
        let block = self.block_of(hash);
        let block = &mut self.blocks[block];
        places(hash).for_each(|(word, shift)| block[word] |= 1 << shift);
    }

    /// False: the key was not inserted.
    #[inline]
    pub fn may_hold(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        places(hash).fold(1, |held, (word, shift)| held & block[word] >> shift) & 1 == 1
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.blocks.iter().flatten();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Of whole blocks, at least one.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let word = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().expect("eight bytes");
            u64::from_le_bytes(*bytes)
        };
        let block = |bytes: &[u8]| std::array::from_fn(|at| word(&bytes[at * 8..]));
        Self {
            blocks: bytes.chunks_exact(BLOCK_BYTES).map(block).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_held_and_little_else() {
        let key = |number: u64| Key((u128::from(number) << 70).to_be_bytes());
        let mut filter = Filter::new(50_000);
        (0..50_000).for_each(|number| filter.insert(hash_of(key(number))));
        let filter = Filter::from_bytes(&filter.to_bytes());
        assert!((0..50_000).all(|number| filter.may_hold(hash_of(key(number)))));
        let others = 50_000..1_050_000;
        let wrong = others.filter(|&number| filter.may_hold(hash_of(key(number))));
        assert!(wrong.count() < 2_000, "under 0.2%");
        assert!(!Filter::new(0).may_hold(7));
    }
}
