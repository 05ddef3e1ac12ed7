//! Locking a quote: its terms, its parties, and both its amounts.

use super::State;
use super::decide_command::{invalid, not_found, not_permitted};
use crate::command::{Caller, FixedSide, QuoteTerms, Refusal};
use crate::event::{Event, i128Cbor};
use crate::ids::{Bic, Date, ParticipantId, Timestamp};
use fx::{AssetCode, Conversion, Rate, convert};

/// Both amounts of a quote in minor units, and what rounding the computed one left.
struct Amounts {
    source: i64,
    target: i64,
    conversion: Conversion,
}

impl State {
    pub(super) fn decide_quote(
        &self,
        caller: Caller,
        terms: &QuoteTerms,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Caller::Participant(bic) = caller else {
            return Err(not_permitted("only a participant locks quotes"));
        };
        let provider = self.active(bic, "caller")?;
        if self.quotes.get(provider, terms.quote_id).is_some() {
            return Err(invalid("quote_id", "came before"));
        }
        let taker = self.active(terms.taker, "taker")?;
        if taker == provider {
            return Err(invalid("taker", "is the provider itself"));
        }
        let amounts = self.quote_amounts(terms)?;
        self.check_quote_accounts(terms, provider, taker)?;
        self.check_open(&[terms.source_asset, terms.target_asset], terms.value_date)?;
        check_quote_times(terms, now)?;
        self.check_answers(terms, bic, taker, now)?;
        self.check_quote_limit(provider, terms.target_asset, amounts.target, now)?;
        Ok(vec![Event::QuoteLocked {
            provider,
            terms: terms.clone(),
            source_amount: amounts.source,
            target_amount: amounts.target,
            residual_numerator: i128Cbor(amounts.conversion.residual_numerator),
            residual_denominator: i128Cbor(amounts.conversion.residual_denominator),
        }])
    }

    pub(super) fn active(&self, bic: Bic, field: &str) -> Result<ParticipantId, Refusal> {
        let found = self.directory.participant_id(bic);
        let found = found.ok_or_else(|| not_found(field, format!("no such participant: {bic}")))?;
        if self.directory.is_suspended(found) {
            return Err(Refusal::WrongState(format!("{field}: {bic} is suspended")));
        }
        Ok(found)
    }

    pub(super) fn quote_decimals(&self, code: AssetCode, field: &str) -> Result<u8, Refusal> {
        let asset = self.directory.asset_id(code);
        let asset = asset.ok_or_else(|| not_found(field, format!("no such asset: {code}")))?;
        let line = self.directory.asset(asset);
        if !line.enabled {
            return Err(invalid(field, format!("{code} is not enabled")));
        }
        Ok(line.decimals)
    }

    fn quote_amounts(&self, terms: &QuoteTerms) -> Result<Amounts, Refusal> {
        let (source, target) = (terms.source_asset, terms.target_asset);
        let source_decimals = self.quote_decimals(source, "source_asset")?;
        let target_decimals = self.quote_decimals(target, "target_asset")?;
        if source == target {
            return Err(invalid("target_asset", "is the source asset"));
        }
        if !terms.pair.is_of(source, target) {
            return Err(invalid("pair", "is not of the two assets"));
        }
        let quoted =
            Rate::from_decimal(terms.rate).map_err(|error| invalid("rate", error.to_string()))?;
        let forward = if terms.pair.base == source {
            quoted
        } else {
            quoted.inverse()
        };
        let (from, rate, to) = match terms.fixed_side {
            FixedSide::Source => (source_decimals, forward, target_decimals),
            FixedSide::Target => (target_decimals, forward.inverse(), source_decimals),
        };
        if terms.amount <= 0 {
            return Err(invalid("amount", "is not above zero"));
        }
        let conversion = convert(terms.amount, from, &rate, to, terms.rounding)
            .map_err(|error| invalid("amount", error.to_string()))?;
        if conversion.target == 0 {
            return Err(invalid("amount", "the other side's amount would be zero"));
        }
        // Shares no rounding code with what computed it.
        assert!(
            conversion.verify(terms.amount, from, &rate, to, terms.rounding),
            "a conversion keeps its residual"
        );
        let (source, target) = match terms.fixed_side {
            FixedSide::Source => (terms.amount, conversion.target),
            FixedSide::Target => (conversion.target, terms.amount),
        };
        Ok(Amounts {
            source,
            target,
            conversion,
        })
    }

    pub(super) fn has_account(&self, participant: ParticipantId, code: AssetCode) -> bool {
        let asset = self.directory.asset_id(code);
        asset.is_some_and(|asset| self.directory.account_id(participant, asset).is_some())
    }

    fn check_quote_accounts(
        &self,
        terms: &QuoteTerms,
        provider: ParticipantId,
        taker: ParticipantId,
    ) -> Result<(), Refusal> {
        if !self.has_account(taker, terms.source_asset) {
            return Err(not_found("taker", "has no account in the source asset"));
        }
        for asset in [terms.source_asset, terms.target_asset] {
            if !self.has_account(provider, asset) {
                return Err(not_found("caller", format!("has no account in {asset}")));
            }
        }
        Ok(())
    }
}

pub(super) fn check_value_date(date: Date, now: Timestamp) -> Result<(), Refusal> {
    if date < now.date() {
        return Err(invalid("value_date", "is in the past"));
    }
    Ok(())
}

fn check_quote_times(terms: &QuoteTerms, now: Timestamp) -> Result<(), Refusal> {
    check_value_date(terms.value_date, now)?;
    if terms.accept_until <= now {
        return Err(invalid("accept_until", "is not in the future"));
    }
    if terms.settle_by < terms.accept_until {
        return Err(invalid("settle_by", "is before accept_until"));
    }
    Ok(())
}
