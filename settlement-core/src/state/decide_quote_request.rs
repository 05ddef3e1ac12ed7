//! Asking for quotes, the offers that answer, and what providers may reserve.
//!
//! | a quote reserves what its provider pays | from       | until                                        |
//! |-----------------------------------------|------------|----------------------------------------------|
//! | open                                    | its lock   | `accept_until`, or its acceptance            |
//! | accepted                                | acceptance | the instruction settles, is rejected or cancelled |
//!
//! So no event releases anything: what is reserved follows from the record time and from where instructions
//! stand. Offers are ordered best first for the taker; of equals the first that was locked.

use super::State;
use super::decide_command::{invalid, not_found, not_permitted};
use super::decide_quote::check_value_date;
use super::identities::Standing;
use super::quotes::Quote;
use crate::command::{
    Caller, FixedSide, PROVIDERS_MAX, QuoteLimitLine, QuoteRequest, QuoteTerms, Refusal,
};
use crate::event::Event;
use crate::ids::{Bic, ParticipantId, Timestamp};
use crate::instruction::ShortText;
use crate::view::{QuoteLimitView, QuoteRequestQuestion, QuoteRequestView, QuoteState};
use fx::{AssetCode, format_minor_units};
use std::cmp::Reverse;

impl State {
    pub(super) fn decide_quote_request(
        &self,
        caller: Caller,
        request: &QuoteRequest,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Caller::Participant(bic) = caller else {
            return Err(not_permitted("only a participant asks for quotes"));
        };
        let taker = self.active(bic, "caller")?;
        if self.quotes.request(taker, request.id).is_some() {
            return Err(invalid("quote_request", "came before"));
        }
        self.quote_decimals(request.source_asset, "source_asset")?;
        self.quote_decimals(request.target_asset, "target_asset")?;
        if request.source_asset == request.target_asset {
            return Err(invalid("target_asset", "is the source asset"));
        }
        if request.amount <= 0 {
            return Err(invalid("amount", "is not above zero"));
        }
        if !self.has_account(taker, request.source_asset) {
            return Err(not_found("caller", "has no account in the source asset"));
        }
        self.check_open(
            &[request.source_asset, request.target_asset],
            request.value_date,
        )?;
        check_value_date(request.value_date, now)?;
        if request.offers_until <= now {
            return Err(invalid("offers_until", "is not in the future"));
        }
        self.check_providers(&request.providers, bic)?;
        Ok(vec![Event::QuoteRequested {
            taker,
            request: request.clone(),
        }])
    }

    fn check_providers(&self, providers: &[Bic], taker: Bic) -> Result<(), Refusal> {
        if providers.len() > PROVIDERS_MAX {
            return Err(invalid("providers", "are more than 64"));
        }
        for (at, provider) in providers.iter().enumerate() {
            let field = format!("providers[{at}]");
            if self.directory.participant_id(*provider).is_none() {
                return Err(not_found(field, format!("no such participant: {provider}")));
            }
            if *provider == taker {
                return Err(invalid(field, "is the taker itself"));
            }
        }
        Ok(())
    }

    /// Whether a quote answers the request that it names.
    pub(super) fn check_answers(
        &self,
        terms: &QuoteTerms,
        provider: Bic,
        taker: ParticipantId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let field = "quote_request";
        let Some(id) = terms.quote_request else {
            return Ok(());
        };
        let request = self.quotes.request(taker, id);
        let request = request.filter(|request| asks(request, provider));
        let request = request
            .ok_or_else(|| not_found(field, "no such request of the taker to the caller"))?;
        let asked = (
            (request.source_asset, request.target_asset),
            (request.fixed_side, request.amount, request.value_date),
        );
        let offered = (
            (terms.source_asset, terms.target_asset),
            (terms.fixed_side, terms.amount, terms.value_date),
        );
        if asked != offered {
            return Err(invalid(field, "asks for something else"));
        }
        if now >= request.offers_until {
            return Err(Refusal::WrongState(format!(
                "{field}: {id} takes no offer any more"
            )));
        }
        Ok(())
    }

    /// Whether the provider's limit has room for what it would pay.
    pub(super) fn check_quote_limit(
        &self,
        provider: ParticipantId,
        asset: AssetCode,
        amount: i64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(limit) = self.quotes.limit(provider, asset) else {
            return Ok(());
        };
        let reserved = self.reserved(provider, asset, now);
        if reserved + i128::from(amount) <= i128::from(limit) {
            return Ok(());
        }
        let decimals = self.decimals(asset);
        let text = |minor: i128| format_minor_units(minor, decimals);
        Err(Refusal::WrongState(format!(
            "the quote would reserve {} {asset}; {} of the provider's limit of {} are reserved",
            text(amount.into()),
            text(reserved),
            text(limit.into()),
        )))
    }

    /// What a provider's quotes reserve of its account, minor units.
    pub(super) fn reserved(
        &self,
        provider: ParticipantId,
        asset: AssetCode,
        now: Timestamp,
    ) -> i128 {
        let quotes = self.quotes.reserving(provider, asset);
        let quotes = quotes.filter(|quote| self.reserves(quote, now));
        quotes.map(|quote| i128::from(quote.target_amount)).sum()
    }

    fn reserves(&self, quote: &Quote, now: Timestamp) -> bool {
        match quote.used_by {
            None => now < quote.terms.accept_until,
            Some(by) => match self.identities.standing(by) {
                Standing::Queued
                | Standing::Unmatched
                | Standing::Pending
                | Standing::Member(_) => true,
                Standing::Settled(_) | Standing::Rejected(_) | Standing::Cancelled => false,
            },
        }
    }

    /// Before a quote is added, those that will never reserve again are let go: neither time nor a final
    /// status goes back.
    pub(super) fn forget_reservations(
        &mut self,
        provider: ParticipantId,
        asset: AssetCode,
        now: Timestamp,
    ) {
        let over: Vec<ShortText> = self
            .quotes
            .reserving(provider, asset)
            .filter(|quote| !self.reserves(quote, now))
            .map(|quote| quote.terms.quote_id)
            .collect();
        for id in over {
            self.quotes.forget_reservation(provider, asset, id);
        }
    }

    pub(super) fn decide_quote_limit(&self, line: &QuoteLimitLine) -> Result<Vec<Event>, Refusal> {
        let provider = self.directory.participant_id(line.provider);
        let provider = provider.ok_or_else(|| not_found("provider", "no such participant"))?;
        if !self.has_account(provider, line.asset) {
            return Err(not_found("asset", "the provider has no account in it"));
        }
        if line.amount.is_some_and(|amount| amount < 0) {
            return Err(invalid("amount", "is below zero"));
        }
        let changed = self.quotes.limit(provider, line.asset) != line.amount;
        Ok(changed
            .then_some(Event::QuoteLimitSet(*line))
            .into_iter()
            .collect())
    }

    fn decimals(&self, asset: AssetCode) -> u8 {
        let id = self.directory.asset_id(asset);
        self.directory
            .asset(id.expect("decided: the asset is there"))
            .decimals
    }

    pub(super) fn quote_request_view(
        &self,
        taker: Bic,
        id: ShortText,
        now: Timestamp,
    ) -> Option<QuoteRequestView> {
        let taker_id = self.directory.participant_id(taker)?;
        let request = self.quotes.request(taker_id, id)?;
        Some(self.request_view(taker_id, request, now))
    }

    /// Requests that take offers now, by taker and id; with `provider` those that ask it.
    pub(super) fn open_quote_requests(
        &self,
        question: &QuoteRequestQuestion,
        now: Timestamp,
    ) -> Vec<QuoteRequestView> {
        let provider = question.provider;
        let after = question.after.and_then(|(taker, id)| {
            let taker = self.directory.participant_id(taker)?;
            Some((taker, id))
        });
        let requests = self.quotes.requests_after(after);
        let open = requests.filter(|(_, request)| now < request.offers_until);
        let asked = open.filter(|((taker, _), request)| {
            provider.is_none_or(|bic| {
                asks(request, bic) && self.directory.participant(*taker).bic != bic
            })
        });
        asked
            .take(question.limit)
            .map(|((taker, _), request)| self.request_view(*taker, request, now))
            .collect()
    }

    fn request_view(
        &self,
        taker: ParticipantId,
        request: &QuoteRequest,
        now: Timestamp,
    ) -> QuoteRequestView {
        let mut offers: Vec<_> = self.quotes.offers(taker, request.id).collect();
        offers.sort_by_key(|(_, quote)| {
            let is_open = self.quote_state(quote, now) == QuoteState::Locked;
            // The taker pays as little, or gets as much, as it can.
            let price = match request.fixed_side {
                FixedSide::Source => -i128::from(quote.target_amount),
                FixedSide::Target => i128::from(quote.source_amount),
            };
            (Reverse(is_open), price, quote.locked)
        });
        let view = |(provider, quote): (ParticipantId, &Quote)| {
            self.quote_view(self.directory.participant(provider).bic, quote, now)
        };
        QuoteRequestView {
            taker: self.directory.participant(taker).bic,
            request: request.clone(),
            source: self.code_view(request.source_asset),
            target: self.code_view(request.target_asset),
            is_open: now < request.offers_until,
            offers: offers.into_iter().map(view).collect(),
        }
    }

    /// Of one provider, or all, by provider and asset.
    pub(super) fn quote_limit_views(&self, of: Option<Bic>, now: Timestamp) -> Vec<QuoteLimitView> {
        let limits = self.quotes.limits();
        let views = limits.map(|((provider, asset), limit)| QuoteLimitView {
            provider: self.directory.participant(*provider).bic,
            asset: self.code_view(*asset),
            limit: *limit,
            reserved: self.reserved(*provider, *asset, now),
        });
        views
            .filter(|view| of.is_none_or(|bic| view.provider == bic))
            .collect()
    }
}

fn asks(request: &QuoteRequest, provider: Bic) -> bool {
    request.providers.is_empty() || request.providers.contains(&provider)
}
