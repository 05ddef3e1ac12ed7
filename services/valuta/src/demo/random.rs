//! The demo's randomness: one seed gives one day, on every machine.

/// Splitmix64 (Steele, Lea, Flood 2014): small, and good enough for made-up payments.
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of one seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0. Not quite uniform, which nobody here can see.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// An index of something with `length` items.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// An index other than `but`.
    pub fn index_but(&mut self, length: usize, but: usize) -> usize {
        (but + 1 + self.index(length - 1)) % length
    }

    /// A UUID of version 4.
    pub fn uetr(&mut self) -> u128 {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.index(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use settlement_core::ids::Uetr;

    #[test]
    fn it_is_splitmix64() {
        // The published vector of seed 1234567.
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn uetrs_are_of_version_four() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let uetr = Uetr(random.uetr());
            assert_eq!(Uetr::parse(uetr.to_string().as_bytes()), Some(uetr));
        }
    }
}
