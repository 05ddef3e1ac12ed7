//! A part of the state that a frozen view may share with the writer: copied when either writes to it.
//!
//! | state of a part | reading      | writing                              |
//! |-----------------|--------------|--------------------------------------|
//! | own             | in place     | in place                             |
//! | frozen          | one hop more | copied first, or taken back if alone |
//!
//! An `Arc` alone would do the same at the price of an atomic operation for every write: the writer's
//! path has some ten of them per instruction. Here a write to an own part costs one branch, and a part
//! becomes frozen only when a view is taken.

use std::sync::Arc;

/// Makes all parts of a value frozen: from then on a clone of it is cheap, until it is written to.
pub(crate) trait Freeze {
    /// Costs as much as was written since the last time.
    fn freeze(&mut self);
}

/// One part.
#[derive(Clone)]
pub(crate) enum Shared<T> {
    /// Nobody else has it.
    Own(T),
    /// A frozen view may have it.
    Frozen(Arc<T>),
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::Own(T::default())
    }
}

impl<T> Shared<T> {
    #[inline]
    pub(crate) fn get(&self) -> &T {
        match self {
            Self::Own(value) => value,
            Self::Frozen(value) => value,
        }
    }

    /// What is inside, unless somebody else has it too.
    pub(crate) fn into_inner(self) -> Option<T> {
        match self {
            Self::Own(value) => Some(value),
            Self::Frozen(value) => Arc::into_inner(value),
        }
    }
}

impl<T: Clone + Default> Shared<T> {
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        if let Self::Frozen(_) = self {
            self.take_back();
        }
        match self {
            Self::Own(value) => value,
            Self::Frozen(_) => unreachable!("taken back above"),
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Self::Frozen(value) = std::mem::take(self) {
            *self = Self::Own(Arc::unwrap_or_clone(value));
        }
    }

    /// Freezes it, after what is inside.
    pub(crate) fn freeze_after(&mut self, inside: impl FnOnce(&mut T)) {
        if let Self::Own(value) = self {
            inside(value);
            *self = Self::Frozen(Arc::new(std::mem::take(value)));
        }
    }
}

/// What an `Arc` holds, in CBOR.
pub(crate) mod arc {
    use minicbor::{Decode, Decoder, Encode, Encoder};
    use std::sync::Arc;

    pub(crate) fn encode<C, T: Encode<C>, W: minicbor::encode::Write>(
        value: &Arc<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        (**value).encode(e, ctx)
    }

    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Arc<T>, minicbor::decode::Error> {
        T::decode(d, ctx).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_seen_on_one_side_only() {
        let mut live = Shared::Own(vec![1, 2, 3]);
        live.freeze_after(|_| {});
        let mut view = live.clone();
        live.get_mut().push(4);
        assert_eq!((live.get().len(), view.get().len()), (4, 3));
        view.get_mut().clear();
        assert_eq!((live.get().len(), view.get().len()), (4, 0));
    }

    #[test]
    fn what_nobody_shares_any_more_is_taken_back_without_a_copy() {
        let mut live = Shared::Own(vec![1, 2, 3]);
        let before = live.get().as_ptr();
        live.freeze_after(|_| {});
        drop(live.clone());
        assert_eq!(live.get_mut().as_ptr(), before);
    }
}
