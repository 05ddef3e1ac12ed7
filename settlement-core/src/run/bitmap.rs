//! A fixed number of bits, packed: which of a run's units settle.

use thiserror::Error;

const WORD_BITS: u32 = u64::BITS;

/// One bit per unit, numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    bit_count: u32,
    /// Bit `i` is bit `i % 64` of word `i / 64`; the bits past the last are 0.
    words: Vec<u64>,
}

/// Why bytes are not a bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BitmapError {
    /// The byte count is not the one that so many bits take.
    #[error("bitmap of {bit_count} bits takes {expected} bytes, got {actual}")]
    LengthWrong {
        /// How many bits were asked for.
        bit_count: u32,
        /// Bytes that they take.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A bit past the last one is set, so the bytes are not canonical.
    #[error("bitmap of {bit_count} bits has a bit set past its end")]
    PaddingMustBeZero {
        /// How many bits were asked for.
        bit_count: u32,
    },
}

impl Bitmap {
    /// All bits clear.
    pub fn none(bit_count: u32) -> Self {
        Self {
            bit_count,
            words: vec![0; bit_count.div_ceil(WORD_BITS) as usize],
        }
    }

    /// All bits set.
    pub fn all(bit_count: u32) -> Self {
        let mut words = vec![u64::MAX; bit_count.div_ceil(WORD_BITS) as usize];
        let used_bits = bit_count % WORD_BITS;
        if used_bits != 0
            && let Some(last) = words.last_mut()
        {
            *last = (1 << used_bits) - 1;
        }
        Self { bit_count, words }
    }

    /// How many bits there are, set or not.
    pub fn bit_count(&self) -> u32 {
        self.bit_count
    }

    /// How many bits are set.
    pub fn set_count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether bit `index` is set. Panics past the end.
    pub fn get(&self, index: u32) -> bool {
        assert!(index < self.bit_count, "bit {index} of {}", self.bit_count);
        self.words[(index / WORD_BITS) as usize] >> (index % WORD_BITS) & 1 == 1
    }

    /// Sets bit `index`. Panics past the end.
    pub fn set(&mut self, index: u32) {
        assert!(index < self.bit_count, "bit {index} of {}", self.bit_count);
        self.words[(index / WORD_BITS) as usize] |= 1 << (index % WORD_BITS);
    }

    /// Clears bit `index` and says whether it was set. Panics past the end.
    pub fn take(&mut self, index: u32) -> bool {
        assert!(index < self.bit_count, "bit {index} of {}", self.bit_count);
        let (word, bit) = (
            &mut self.words[(index / WORD_BITS) as usize],
            1 << (index % WORD_BITS),
        );
        let was_set = *word & bit != 0;
        *word &= !bit;
        was_set
    }

    /// The set bits, ascending.
    pub fn iter_set(&self) -> impl Iterator<Item = u32> {
        let base = (0..self.bit_count).step_by(WORD_BITS as usize);
        self.words
            .iter()
            .zip(base)
            .flat_map(|(&word, base)| ones(word).map(move |bit| base + bit))
    }

    /// The canonical bytes: bit `i` is bit `i % 8` (least significant first) of byte `i / 8`; unused
    /// bits of the last byte are 0.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        bytes.truncate(byte_count(self.bit_count));
        bytes
    }

    /// Reads what [`Bitmap::to_bytes`] wrote; refuses any other length, and bits past the end.
    pub fn from_bytes(bit_count: u32, bytes: &[u8]) -> Result<Self, BitmapError> {
        let expected = byte_count(bit_count);
        if bytes.len() != expected {
            return Err(BitmapError::LengthWrong {
                bit_count,
                expected,
                actual: bytes.len(),
            });
        }
        let padded = |chunk: &[u8]| {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        let words: Vec<u64> = bytes.chunks(size_of::<u64>()).map(padded).collect();
        let used_bits = bit_count % WORD_BITS;
        if used_bits != 0 && words.last().is_some_and(|last| last >> used_bits != 0) {
            return Err(BitmapError::PaddingMustBeZero { bit_count });
        }
        Ok(Self { bit_count, words })
    }
}

fn byte_count(bit_count: u32) -> usize {
    bit_count.div_ceil(u8::BITS) as usize
}

fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keeps_exactly_the_bits_that_were_set() {
        for bit_count in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
            assert_eq!(Bitmap::none(bit_count).set_count(), 0);
            assert_eq!(Bitmap::all(bit_count).set_count(), bit_count);
            let mut bitmap = Bitmap::all(bit_count);
            for index in (0..bit_count).filter(|index| index % 3 != 0) {
                assert!(bitmap.take(index));
                assert!(!bitmap.take(index));
            }
            let thirds: Vec<u32> = (0..bit_count).filter(|index| index % 3 == 0).collect();
            assert_eq!(bitmap.iter_set().collect::<Vec<_>>(), thirds);
            let mut again = Bitmap::none(bit_count);
            thirds.iter().for_each(|&index| again.set(index));
            assert_eq!(again, bitmap);
            assert!((0..bit_count).all(|index| bitmap.get(index) == (index % 3 == 0)));
            assert_eq!(
                Bitmap::from_bytes(bit_count, &bitmap.to_bytes()),
                Ok(bitmap)
            );
        }
    }

    #[test]
    fn bytes_are_canonical() {
        let mut bitmap = Bitmap::none(10);
        bitmap.set(0);
        bitmap.set(9);
        assert_eq!(bitmap.to_bytes(), [0b0000_0001, 0b0000_0010]);
        let past_end = Bitmap::from_bytes(10, &[0, 0b0000_0100]);
        assert_eq!(
            past_end,
            Err(BitmapError::PaddingMustBeZero { bit_count: 10 })
        );
        for bytes in [&[0][..], &[0, 0, 0]] {
            let error = Bitmap::from_bytes(10, bytes).unwrap_err();
            let expected = BitmapError::LengthWrong {
                bit_count: 10,
                expected: 2,
                actual: bytes.len(),
            };
            assert_eq!(error, expected);
        }
    }

    #[test]
    #[should_panic(expected = "bit 10 of 10")]
    fn past_the_end_is_a_bug() {
        Bitmap::all(10).get(10);
    }
}
