//! Locked quotes, by provider and the provider's id.

use super::identities::EntryId;
use crate::command::QuoteTerms;
use crate::ids::{Date, ParticipantId, Timestamp};
use crate::instruction::ShortText;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use std::collections::BTreeMap;

/// A quote, with both its amounts in minor units.
#[derive(Clone)]
pub(crate) struct Quote {
    pub(crate) terms: QuoteTerms,
    pub(crate) source_amount: i64,
    pub(crate) target_amount: i64,
    pub(crate) residual: (i128, i128),
    pub(crate) used_by: Option<EntryId>,
}

/// All quotes.
#[derive(Clone, Default)]
pub(crate) struct Quotes {
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
