//! Locked quotes, by provider and the provider's id; what takers asked for; what providers may reserve.

use super::identities::EntryId;
use crate::command::{QuoteRequest, QuoteTerms};
use crate::ids::{Date, ParticipantId, Sequence, Timestamp};
use crate::instruction::ShortText;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use fx::AssetCode;
use std::collections::BTreeMap;

/// A quote, with both its amounts in minor units.
#[derive(Clone)]
pub(crate) struct Quote {
    pub(crate) terms: QuoteTerms,
    pub(crate) source_amount: i64,
    pub(crate) target_amount: i64,
    pub(crate) residual: (i128, i128),
    /// The input that locked it: earlier offers come first among equals.
    pub(crate) locked: Sequence,
    pub(crate) used_by: Option<EntryId>,
}

/// A provider's quote's name, or a taker's request's.
type Name = (ParticipantId, ShortText);

/// All quotes.
#[derive(Clone, Default)]
pub(crate) struct Quotes {
    quotes: Sorted<Name, Quote>,
    requests: Sorted<Name, QuoteRequest>,
    /// The quotes that answer a request.
    offers: Sorted<Name, Vec<Name>>,
    limits: Sorted<(ParticipantId, AssetCode), i64>,
    /// Quotes that reserve, or did when it was last looked: see [`super::State::reserved`].
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
