//! Locked quotes, by provider and the provider's id.

use super::identities::EntryId;
use crate::command::QuoteTerms;
use crate::ids::{Date, ParticipantId, Timestamp};
use crate::instruction::ShortText;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// A quote, with both its amounts in minor units.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Quote {
    #[n(0)]
    pub(crate) terms: QuoteTerms,
    #[n(1)]
    pub(crate) source_amount: i64,
    #[n(2)]
    pub(crate) target_amount: i64,
    #[cbor(n(3), with = "wide_pair")]
    pub(crate) residual: (i128, i128),
    #[n(4)]
    pub(crate) used_by: Option<EntryId>,
}

/// A fraction in CBOR.
mod wide_pair {
    use crate::event::i128Cbor;
    use minicbor::{Decode, Decoder, Encode, Encoder};

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        &(numerator, denominator): &(i128, i128),
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        (i128Cbor(numerator), i128Cbor(denominator)).encode(e, ctx)
    }

    pub(super) fn decode<C>(
        d: &mut Decoder<'_>,
        ctx: &mut C,
    ) -> Result<(i128, i128), minicbor::decode::Error> {
        let (numerator, denominator) = <(i128Cbor, i128Cbor)>::decode(d, ctx)?;
        Ok((numerator.0, denominator.0))
    }
}

/// All quotes.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Quotes {
    #[n(0)]
    quotes: Sorted<(ParticipantId, ShortText), Quote>,
}

impl Quotes {
    pub(crate) fn get(&self, provider: ParticipantId, id: ShortText) -> Option<&Quote> {
        self.quotes.get(&(provider, id))
    }

    pub(crate) fn insert(&mut self, provider: ParticipantId, quote: Quote) {
        self.quotes.insert((provider, quote.terms.quote_id), quote);
    }

    pub(crate) fn consume(&mut self, provider: ParticipantId, id: ShortText, by: EntryId) {
        let quote = self.quotes.get_mut(&(provider, id));
        quote.expect("decided: the quote is there").used_by = Some(by);
    }

    /// Until when the instructions that consumed quotes of a value date are to settle.
    pub(crate) fn settle_by(&self, date: Date) -> BTreeMap<EntryId, Timestamp> {
        let used = self
            .quotes
            .values()
            .filter(|quote| quote.terms.value_date == date);
        used.filter_map(|quote| Some((quote.used_by?, quote.terms.settle_by)))
            .collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ParticipantId, &Quote)> {
        self.quotes.iter().map(|(key, quote)| (key.0, quote))
    }
}

impl Freeze for Quotes {
    fn freeze(&mut self) {
        let Self { quotes } = self;
        quotes.freeze();
    }
}
