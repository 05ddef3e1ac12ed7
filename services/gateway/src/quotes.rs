//! What quotes, requests for them, limits and the rounding ledger look like on the wire, and who reads what.

use crate::auth;
use crate::errors;
use crate::fields;
use crate::gateway::Gateway;
use crate::ports::{Engine, Reads};
use fx::{AssetCode, Rounding};
use settlement_core::command::{Caller, FixedSide, QuoteLimitLine, QuoteRequest, QuoteTerms};
use settlement_core::ids::Bic;
use settlement_core::instruction::ShortText;
use settlement_core::view::{QuoteRequestView, QuoteView, RoundingQuestion, SchemeView};
use tonic::Status;
use valuta_proto::v1;

/// A quote is its provider's and its taker's; to other participants it is not there.
pub(crate) fn readable(
    caller: Caller,
    provider: Bic,
    quote_id: &ShortText,
    quote: Option<Box<QuoteView>>,
) -> Result<Box<QuoteView>, Status> {
    let reader = auth::reads_for(caller)?;
    let unknown = || {
        errors::not_found(
            "quote_id",
            format!("{provider} has no quote {quote_id} for you"),
        )
    };
    quote
        .filter(|quote| reader.is_none_or(|bic| bic == provider || bic == quote.terms.taker))
        .ok_or_else(unknown)
}

/// A request is its taker's and, with their own offers alone, those that it asks.
pub(crate) fn readable_request(
    caller: Caller,
    found: Option<Box<QuoteRequestView>>,
    id: ShortText,
) -> Result<QuoteRequestView, Status> {
    let reader = auth::reads_for(caller)?;
    let found = found.filter(|found| {
        reader.is_none_or(|bic| {
            let asked = &found.request.providers;
            bic == found.taker || asked.is_empty() || asked.contains(&bic)
        })
    });
    let unknown = || {
        let reason = format!("no quote request {id} that you may read");
        errors::not_found("quote_request_id", reason)
    };
    Ok(offers_for(caller, *found.ok_or_else(unknown)?))
}

/// A provider does not see what others offer.
pub(crate) fn offers_for(caller: Caller, mut found: QuoteRequestView) -> QuoteRequestView {
    if let Caller::Participant(bic) = caller
        && bic != found.taker
    {
        found.offers.retain(|offer| offer.provider == bic);
    }
    found
}

pub(crate) fn rounding_question(
    caller: Caller,
    request: &v1::GetRoundingLedgerRequest,
) -> Result<RoundingQuestion, Status> {
    let own = auth::reads_for(caller)?;
    let named = match request.provider.as_str() {
        "" => own,
        text => Some(fields::bic("provider", text)?),
    };
    if own.is_some() && named != own {
        return Err(errors::denied(
            "a participant reads its own rounding ledger",
        ));
    }
    let date = match request.value_date.as_str() {
        "" => None,
        text => Some(fields::date("value_date", text)?),
    };
    Ok(RoundingQuestion {
        provider: named,
        date,
    })
}

/// Empty is none.
fn optional_text(field: &str, text: &str) -> Result<Option<ShortText>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    fields::short_text(field, text).map(Some)
}

/// The two assets, which amount is given, and the decimals of that.
struct Sides {
    source: AssetCode,
    target: AssetCode,
    fixed_side: FixedSide,
    decimals: u8,
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    fn sides(
        scheme: &SchemeView,
        source: &str,
        target: &str,
        fixed_side: i32,
    ) -> Result<Sides, Status> {
        let source = fields::asset("source_asset", source)?;
        let target = fields::asset("target_asset", target)?;
        let (fixed_side, field, fixed) = match v1::FixedSide::try_from(fixed_side) {
            Ok(v1::FixedSide::Source) => (FixedSide::Source, "source_asset", source),
            Ok(v1::FixedSide::Target) => (FixedSide::Target, "target_asset", target),
            Ok(v1::FixedSide::Unspecified) => return Err(errors::missing("fixed_side")),
            Err(_) => return Err(fields::unknown("fixed_side")),
        };
        let decimals = Self::asset(scheme, field, fixed)?.decimals;
        if source == target {
            return Err(errors::invalid("target_asset", "not the source asset"));
        }
        Ok(Sides {
            source,
            target,
            fixed_side,
            decimals,
        })
    }

    pub(crate) fn terms(
        scheme: &SchemeView,
        request: &v1::LockQuoteRequest,
    ) -> Result<QuoteTerms, Status> {
        let (source, target) = (&request.source_asset, &request.target_asset);
        let side = Self::sides(scheme, source, target, request.fixed_side)?;
        Ok(QuoteTerms {
            quote_id: fields::short_text("quote_id", &request.quote_id)?,
            taker: fields::bic("taker", &request.taker)?,
            source_asset: side.source,
            target_asset: side.target,
            fixed_side: side.fixed_side,
            amount: fields::amount("amount", &request.amount, side.decimals)?,
            pair: fields::pair("pair", &request.pair)?,
            rate: fields::decimal("rate", &request.rate)?,
            rounding: rounding(request.rounding)?,
            value_date: fields::date("value_date", &request.value_date)?,
            accept_until: fields::time("accept_until", request.accept_until)?,
            settle_by: fields::time("settle_by", request.settle_by)?,
            quote_request: optional_text("quote_request_id", &request.quote_request_id)?,
        })
    }

    pub(crate) fn quote_request(
        scheme: &SchemeView,
        request: &v1::RequestQuoteRequest,
    ) -> Result<QuoteRequest, Status> {
        let (source, target) = (&request.source_asset, &request.target_asset);
        let side = Self::sides(scheme, source, target, request.fixed_side)?;
        let providers = request.providers.iter().enumerate();
        let providers = providers.map(|(at, bic)| fields::bic(&format!("providers[{at}]"), bic));
        Ok(QuoteRequest {
            id: fields::short_text("quote_request_id", &request.quote_request_id)?,
            source_asset: side.source,
            target_asset: side.target,
            fixed_side: side.fixed_side,
            amount: fields::amount("amount", &request.amount, side.decimals)?,
            value_date: fields::date("value_date", &request.value_date)?,
            offers_until: fields::time("offers_until", request.offers_until)?,
            providers: providers.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn quote_limit(
        scheme: &SchemeView,
        request: &v1::SetQuoteLimitRequest,
    ) -> Result<QuoteLimitLine, Status> {
        let asset = fields::asset("asset", &request.asset)?;
        let decimals = Self::asset(scheme, "asset", asset)?.decimals;
        let amount = match request.amount.as_str() {
            "" => None,
            text => Some(fields::amount_or_zero("amount", text, decimals)?),
        };
        Ok(QuoteLimitLine {
            provider: fields::bic("provider", &request.provider)?,
            asset,
            amount,
        })
    }
}

fn rounding(value: i32) -> Result<Rounding, Status> {
    match v1::Rounding::try_from(value) {
        Ok(v1::Rounding::Unspecified | v1::Rounding::HalfEven) => Ok(Rounding::HalfEven),
        Ok(v1::Rounding::HalfUp) => Ok(Rounding::HalfUp),
        Ok(v1::Rounding::Down) => Ok(Rounding::Down),
        Err(_) => Err(fields::unknown("rounding")),
    }
}
