//! What is certainly not in a file: a split-block Bloom filter, one cache line a question.
//!
//! As Apache Parquet's: a block is eight words of 32 bits, a key sets one bit in each. At 16 bits a key
//! some 0.05% of the keys that are not there are looked for in vain.

use settlement_core::remembered::Key;

/// Of one block.
pub(super) const BLOCK_BYTES: usize = 32;
const BITS_PER_KEY: u64 = 16;
/// Parquet's odd multipliers: each picks a bit of its own.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

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
    blocks: Vec<[u32; 8]>,
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

    #[inline]
    fn mask_of(hash: u64) -> [u32; 8] {
        SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
    }

    pub fn insert(&mut self, hash: u64) {
        let block = self.block_of(hash);
        let mask = Self::mask_of(hash);
        for (word, bit) in self.blocks[block].iter_mut().zip(mask) {
            *word |= bit;
        }
    }

    /// False: the key was not inserted.
    #[inline]
    pub fn may_hold(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        let mask = Self::mask_of(hash);
        let missing = block
            .iter()
            .zip(mask)
            .fold(0, |sum, (word, bit)| sum | bit & !word);
        missing == 0
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.blocks.iter().flatten();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Of whole blocks, at least one.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let word = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().expect("four bytes");
            u32::from_le_bytes(*bytes)
        };
        let block = |bytes: &[u8]| std::array::from_fn(|at| word(&bytes[at * 4..]));
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
