//! Currency pairs.

use core::fmt;
use core::str::FromStr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use crate::asset::{AssetCode, AssetCodeError};

/// `BASE/QUOTE`: a rate of it says how much of the quote asset 1 unit of the base is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// What is priced.
    pub base: AssetCode,
    /// What it is priced in.
    pub quote: AssetCode,
}

/// Why something is not a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// There is not exactly one `/` between the two codes.
    #[error("a pair is BASE/QUOTE")]
    NotAPair,
    /// One of the codes is malformed.
    #[error(transparent)]
    Asset(#[from] AssetCodeError),
    /// Both sides are the same asset.
    #[error("a pair is of two different assets")]
    SameAsset,
}

impl Pair {
    /// A pair of two different assets.
    ///
    /// # Errors
    /// [`PairError::SameAsset`].
    pub fn new(base: AssetCode, quote: AssetCode) -> Result<Self, PairError> {
        if base == quote {
            return Err(PairError::SameAsset);
        }
        Ok(Self { base, quote })
    }

    /// Reads `BASE/QUOTE`.
    ///
    /// # Errors
    /// In the order of [`PairError`].
    pub fn parse(text: &str) -> Result<Self, PairError> {
        let (base, quote) = text.split_once('/').ok_or(PairError::NotAPair)?;
        Self::new(base.parse()?, quote.parse()?)
    }

    /// `QUOTE/BASE`.
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self {
            base: self.quote,
            quote: self.base,
        }
    }

    /// Whether the pair, in either order, is of these two assets.
    #[must_use]
    pub fn is_of(self, one: AssetCode, other: AssetCode) -> bool {
        let Self { base, quote } = self;
        (base, quote) == (one, other) || (quote, base) == (one, other)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.quote)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        Self::parse(text)
    }
}

/// The stored form: `[base, quote]`.
#[derive(Encode, Decode)]
struct PairFields {
    #[n(0)]
    base: AssetCode,
    #[n(1)]
    quote: AssetCode,
}

impl<C> Encode<C> for Pair {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let Self { base, quote } = *self;
        PairFields { base, quote }.encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for Pair {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        let PairFields { base, quote } = PairFields::decode(decoder, context)?;
        Self::new(base, quote).map_err(|error| decode::Error::message(error).at(position))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parses_and_prints() {
        for text in ["EUR/USD", "USDC/EUR", "A/B"] {
            let pair = Pair::parse(text).unwrap();
            assert_eq!(format!("{pair} {pair:?}"), format!("{text} {text}"));
            assert_eq!(pair.inverse().inverse(), pair);
            assert!(pair.is_of(pair.base, pair.quote) && pair.is_of(pair.quote, pair.base));
            assert!(!pair.is_of(pair.base, pair.base));
            let bytes = minicbor::to_vec(pair).unwrap();
            assert_eq!(minicbor::decode::<Pair>(&bytes).unwrap(), pair);
        }
        for (text, expected) in [
            ("", PairError::NotAPair),
            ("EURUSD", PairError::NotAPair),
            ("EUR/", PairError::Asset(AssetCodeError)),
            ("/USD", PairError::Asset(AssetCodeError)),
            ("eur/USD", PairError::Asset(AssetCodeError)),
            ("EUR/USD/JPY", PairError::Asset(AssetCodeError)),
            ("EUR/EUR", PairError::SameAsset),
        ] {
            assert_eq!(text.parse::<Pair>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn decodes_only_valid_pairs() {
        let eur = AssetCode::parse(b"EUR").unwrap();
        let bytes = minicbor::to_vec(PairFields {
            base: eur,
            quote: eur,
        })
        .unwrap();
        assert!(minicbor::decode::<Pair>(&bytes).is_err());
    }
}
