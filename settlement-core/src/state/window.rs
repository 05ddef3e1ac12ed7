//! A list whose beginning is let go, but for what is kept of it: by number, growing at the end.
//!
//! | part  | numbers                                    | what                          |
//! |-------|--------------------------------------------|-------------------------------|
//! | kept  | below `first`, those that were to be kept  | an ordered map                |
//! | list  | from `first` on                            | chunks, shared as they are    |
//!
//! Memory is given back by whole nodes of the chunks: some values before `first` may still lie there, and
//! nobody sees them.

use crate::chunks::Chunks;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Values by number.
#[derive(Clone)]
pub(crate) struct Window<T, const LEAF: usize = 256> {
    chunks: Chunks<T, LEAF>,
    /// The number of the first value in the chunks.
    dropped: u32,
    first: u32,
    kept: Sorted<u32, T>,
}

impl<T, const LEAF: usize> Default for Window<T, LEAF> {
    fn default() -> Self {
        Self {
            chunks: Chunks::default(),
            dropped: 0,
            first: 0,
            kept: Sorted::default(),
        }
    }
}

impl<T, const LEAF: usize> Window<T, LEAF> {
    /// The next value's number.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.dropped + u32::try_from(self.chunks.len()).expect("numbered as u32")
    }

    /// All from here on are there.
    #[inline]
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        if number < self.first {
            return self.kept.get(&number);
        }
        self.chunks.get((number - self.dropped) as usize)
    }

    /// Of what is there: panics if it is not.
    #[inline]
    pub(crate) fn at(&self, number: u32) -> &T {
        self.get(number).expect("a number that is there")
    }

    /// What is kept, by number.
    pub(crate) fn kept(&self) -> &Sorted<u32, T> {
        &self.kept
    }

    /// The numbers of all that is there, in order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        let kept = self.kept.iter().map(|(&number, _)| number);
        kept.chain(self.first..self.len())
    }
}

impl<T: Clone, const LEAF: usize> Window<T, LEAF> {
    /// An empty one whose first value gets this number.
    pub(crate) fn starting_at(first: u32) -> Self {
        Self {
            dropped: first,
            first,
            ..Self::default()
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        self.chunks.push(value);
    }

    /// Of what is there: panics if it is not.
    #[inline]
    pub(crate) fn at_mut(&mut self, number: u32) -> &mut T {
        if number < self.first {
            let kept = self.kept.get_mut(&number);
            return kept.expect("a number that is there");
        }
        &mut self.chunks[(number - self.dropped) as usize]
    }

    /// Puts back what was kept before this window starts.
    pub(crate) fn put_back(&mut self, number: u32, value: T) {
        debug_assert!(number < self.first, "the window starts after it");
        self.kept.insert(number, value);
    }

    /// Lets go of all below `first`, but for those that `stays` names.
    pub(crate) fn advance(&mut self, first: u32, stays: impl Fn(u32) -> bool) {
        let first = first.clamp(self.first, self.len());
        let gone = self.kept.iter().map(|(&number, _)| number);
        let gone: Vec<u32> = gone.filter(|&number| !stays(number)).collect();
        for number in gone {
            self.kept.remove(&number);
        }
        for number in (self.first..first).filter(|&number| stays(number)) {
            let value = self.chunks[(number - self.dropped) as usize].clone();
            self.kept.insert(number, value);
        }
        self.first = first;
        let dropped = self.chunks.drop_front((first - self.dropped) as usize);
        self.dropped += u32::try_from(dropped).expect("below first");
    }
}

impl<T: Clone, const LEAF: usize> Freeze for Window<T, LEAF> {
    fn freeze(&mut self) {
        let Self {
            chunks,
            dropped: _,
            first: _,
            kept,
        } = self;
        chunks.freeze();
        kept.freeze();
    }
}

impl<C, T: Clone + Encode<C>, const LEAF: usize> Encode<C> for Window<T, LEAF> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(3)?.u32(self.first)?;
        self.kept.encode(e, ctx)?;
        e.array(u64::from(self.len() - self.first))?;
        (self.first..self.len()).try_for_each(|number| self.at(number).encode(e, ctx))
    }
}

impl<'b, C, T: Clone + Decode<'b, C>, const LEAF: usize> Decode<'b, C> for Window<T, LEAF> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(3) {
            return Err(minicbor::decode::Error::message("a window has three parts"));
        }
        let mut window = Self::starting_at(d.u32()?);
        window.kept = Sorted::decode(d, ctx)?;
        for value in d.array_iter_with(ctx)? {
            window.push(value?);
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;
    use std::collections::BTreeMap;

    /// Random growth, writes and leaving, against a plain map; views stay as they were.
    #[test]
    fn holds_what_has_not_left_and_what_is_kept() {
        for seed in 0..30_u64 {
            let (mut window, mut plain) = (Window::<u64, 2>::default(), BTreeMap::new());
            let mut views = Vec::new();
            for step in 0..3_000_u64 {
                let random = mix(seed << 32 | step);
                let number = (random >> 20) as u32 % (window.len() + 1);
                match random % 128 {
                    0 => {
                        let keep = |number: u32| mix(u64::from(number) ^ seed).is_multiple_of(7);
                        window.advance(number, keep);
                        let first = window.first();
                        plain.retain(|&held, _| held >= first || keep(held));
                    }
                    1 => {
                        window.freeze();
                        views.push((window.clone(), plain.clone()));
                    }
                    2..64 => {
                        plain.insert(window.len(), step);
                        window.push(step);
                    }
                    _ if plain.contains_key(&number) => {
                        *window.at_mut(number) = step;
                        plain.insert(number, step);
                    }
                    _ => assert_eq!(window.get(number), None),
                }
            }
            views.push((window, plain));
            for (window, plain) in &views {
                let held = window.numbers().map(|number| (number, *window.at(number)));
                assert!(held.eq(plain.iter().map(|(&at, &value)| (at, value))));
                // What lies there unseen is less than a node.
                let seen = (window.len() - window.first()) as usize;
                assert!(window.chunks.len() - seen < 2 * 64, "seed {seed}");
                let bytes = minicbor::to_vec(window).unwrap();
                let again: Window<u64, 2> = minicbor::decode(&bytes).unwrap();
                assert!(again.numbers().eq(window.numbers()));
                assert_eq!(again.len(), window.len());
            }
        }
    }
}
