//! Locked quotes, by provider and the provider's id; what takers asked for; what providers may reserve.

use super::identities::EntryId;
use crate::command::{QuoteRequest, QuoteTerms};
use crate::ids::{Date, ParticipantId, Sequence, Timestamp};
use crate::instruction::ShortText;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use fx::AssetCode;
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
    /// The input that locked it: earlier offers come first among equals.
    #[n(4)]
    pub(crate) locked: Sequence,
    #[n(5)]
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

/// A provider's quote's name, or a taker's request's.
type Name = (ParticipantId, ShortText);

/// All quotes.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Quotes {
    #[n(0)]
    quotes: Sorted<Name, Quote>,
    #[n(1)]
    requests: Sorted<Name, QuoteRequest>,
    /// The quotes that answer a request.
    #[n(2)]
    offers: Sorted<Name, Vec<Name>>,
    #[n(3)]
    limits: Sorted<(ParticipantId, AssetCode), i64>,
    /// Quotes that reserve, or did when it was last looked: see [`super::State::reserved`].
    #[n(4)]
    reserving: Sorted<(ParticipantId, AssetCode, ShortText)>,
}

impl Quotes {
    pub(crate) fn get(&self, provider: ParticipantId, id: ShortText) -> Option<&Quote> {
        self.quotes.get(&(provider, id))
    }

    pub(crate) fn insert(&mut self, provider: ParticipantId, taker: ParticipantId, quote: Quote) {
        let (id, asset) = (quote.terms.quote_id, quote.terms.target_asset);
        if let Some(request) = quote.terms.quote_request {
            let (key, name) = ((taker, request), (provider, id));
            match self.offers.get_mut(&key) {
                Some(offers) => offers.push(name),
                None => _ = self.offers.insert(key, vec![name]),
            }
        }
        self.reserving.insert((provider, asset, id), ());
        self.quotes.insert((provider, id), quote);
    }

    pub(crate) fn consume(&mut self, provider: ParticipantId, id: ShortText, by: EntryId) {
        let quote = self.quotes.get_mut(&(provider, id));
        quote.expect("decided: the quote is there").used_by = Some(by);
    }

    pub(crate) fn request(&self, taker: ParticipantId, id: ShortText) -> Option<&QuoteRequest> {
        self.requests.get(&(taker, id))
    }

    pub(crate) fn take_request(&mut self, taker: ParticipantId, request: QuoteRequest) {
        self.requests.insert((taker, request.id), request);
    }

    /// In the order of takers and ids.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&Name, &QuoteRequest)> {
        self.requests.iter()
    }

    /// Those that come after a name.
    pub(crate) fn requests_after(
        &self,
        after: Option<Name>,
    ) -> impl Iterator<Item = (&Name, &QuoteRequest)> {
        let is_past = move |name: &Name| after.is_some_and(|after| *name <= after);
        self.requests.iter_from(is_past)
    }

    /// The answers to a request, in the order of locking.
    pub(crate) fn offers(
        &self,
        taker: ParticipantId,
        id: ShortText,
    ) -> impl Iterator<Item = (ParticipantId, &Quote)> {
        let names = self.offers.get(&(taker, id)).into_iter().flatten();
        names.filter_map(|name| Some((name.0, self.quotes.get(name)?)))
    }

    pub(crate) fn limit(&self, provider: ParticipantId, asset: AssetCode) -> Option<i64> {
        self.limits.get(&(provider, asset)).copied()
    }

    pub(crate) fn limits(&self) -> impl Iterator<Item = (&(ParticipantId, AssetCode), &i64)> {
        self.limits.iter()
    }

    pub(crate) fn set_limit(
        &mut self,
        provider: ParticipantId,
        asset: AssetCode,
        amount: Option<i64>,
    ) {
        match amount {
            Some(amount) => self.limits.insert((provider, asset), amount),
            None => self.limits.remove(&(provider, asset)),
        };
    }

    /// Quotes of a provider, paying in an asset, that may reserve.
    pub(crate) fn reserving(
        &self,
        provider: ParticipantId,
        asset: AssetCode,
    ) -> impl Iterator<Item = &Quote> {
        let from = self
            .reserving
            .iter_from(move |&(held, code, _)| (held, code) < (provider, asset));
        let of = from.take_while(move |((held, code, _), ())| (*held, *code) == (provider, asset));
        of.filter_map(move |((_, _, id), ())| self.quotes.get(&(provider, *id)))
    }

    /// A quote that will never reserve again is not looked at again.
    pub(crate) fn forget_reservation(
        &mut self,
        provider: ParticipantId,
        asset: AssetCode,
        id: ShortText,
    ) {
        self.reserving.remove(&(provider, asset, id));
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
        let Self {
            quotes,
            requests,
            offers,
            limits,
            reserving,
        } = self;
        quotes.freeze();
        requests.freeze();
        offers.freeze();
        limits.freeze();
        reserving.freeze();
    }
}
