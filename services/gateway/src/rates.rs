//! `FxService`: rates and quotes.

use crate::auth;
use crate::convert;
use crate::errors;
use crate::fields;
use crate::gateway::{Gateway, Write, view};
use crate::paging;
use crate::ports::{Engine, Reads};
use crate::quotes;
use fx::{BestRate, DecimalText};
use rust_decimal::Decimal;
use settlement_core::command::{Action, RateLine, RateRules};
use settlement_core::ids::Bic;
use settlement_core::instruction::ShortText;
use settlement_core::view::{BestRates, Query, QuoteRequestQuestion, RateQuestion};
use tonic::{Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::fx_service_server::FxService;

type Answer<T> = Result<Response<T>, Status>;

/// The list of open quote requests, in page tokens.
const QUOTE_REQUESTS: &str = "quote_requests";
/// Of a rate's source.
const SOURCE_CHARS_MAX: usize = 35;
/// Of a rate's text for people.
const RATE_DIGITS: usize = 12;

#[tonic::async_trait]
impl<E: Engine, R: Reads> FxService for Gateway<E, R> {
    async fn set_rates(
        &self,
        request: Request<v1::SetRatesRequest>,
    ) -> Answer<v1::SetRatesResponse> {
        let (call, request) = self.open(request)?;
        let lines: Result<_, Status> = (0..).zip(&request.rates).map(rate_line).collect();
        let content = v1::SetRatesRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(&request.request_id, request.created, "SetRates", &content);
        let done = self.command(call, write, Action::SetRates(lines?)).await?;
        Ok(Response::new(v1::SetRatesResponse {
            sequence: done.sequence.0,
        }))
    }

    async fn get_rates(
        &self,
        request: Request<v1::GetRatesRequest>,
    ) -> Answer<v1::GetRatesResponse> {
        let (call, request) = self.open(request)?;
        let question = question(&request)?;
        let query = Query::RateBook(question);
        let answered = self.query(call, query, request.min_sequence).await?;
        let sequence = answered.sequence.0;
        let book = view!(answered, RateBook)?;
        Ok(Response::new(v1::GetRatesResponse {
            rates: book.lines.iter().map(rate).collect(),
            sequence,
            best: book.best.iter().map(best_rates).collect(),
            rules: Some(rate_rules(&book.rules)),
        }))
    }

    async fn set_rate_rules(
        &self,
        request: Request<v1::SetRateRulesRequest>,
    ) -> Answer<v1::SetRateRulesResponse> {
        let (call, request) = self.open(request)?;
        let rules = parse_rules(&request)?;
        let content = v1::SetRateRulesRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let (id, created) = (&request.request_id, request.created);
        let write = Write::new(id, created, "SetRateRules", &content);
        let done = self
            .command(call, write, Action::SetRateRules(rules))
            .await?;
        Ok(Response::new(v1::SetRateRulesResponse {
            sequence: done.sequence.0,
        }))
    }

    async fn request_quote(
        &self,
        request: Request<v1::RequestQuoteRequest>,
    ) -> Answer<v1::RequestQuoteResponse> {
        let (call, request) = self.open(request)?;
        let taker = auth::participant(call.caller)?;
        let (scheme, _) = self.scheme(call, 0).await?;
        let asked = Self::quote_request(&scheme, &request)?;
        let query = Query::QuoteRequest(taker, asked.id);
        let content = v1::RequestQuoteRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let (id, created) = (&request.request_id, request.created);
        let write = Write::new(id, created, "RequestQuote", &content);
        let done = self
            .command(call, write, Action::RequestQuote(asked))
            .await?;
        let found = self.query(call, query, done.sequence.0).await?;
        let found = view!(found, QuoteRequest)?
            .ok_or_else(|| errors::internal("a journaled quote request is not found"))?;
        Ok(Response::new(v1::RequestQuoteResponse {
            quote_request: Some(convert::quote_request(*found)),
            sequence: done.sequence.0,
        }))
    }

    async fn get_quote_request(
        &self,
        request: Request<v1::GetQuoteRequestRequest>,
    ) -> Answer<v1::GetQuoteRequestResponse> {
        let (call, request) = self.open(request)?;
        let taker = fields::bic("taker", &request.taker)?;
        let id = fields::short_text("quote_request_id", &request.quote_request_id)?;
        let query = Query::QuoteRequest(taker, id);
        let found = self.query(call, query, request.min_sequence).await?;
        let found = quotes::readable_request(call.caller, view!(found, QuoteRequest)?, id)?;
        Ok(Response::new(v1::GetQuoteRequestResponse {
            quote_request: Some(convert::quote_request(found)),
        }))
    }

    async fn list_quote_requests(
        &self,
        request: Request<v1::ListQuoteRequestsRequest>,
    ) -> Answer<v1::ListQuoteRequestsResponse> {
        let (call, request) = self.open(request)?;
        let size = paging::size(request.page_size)?;
        let query = Query::OpenQuoteRequests(QuoteRequestQuestion {
            provider: auth::reads_for(call.caller)?,
            after: paging::start_at(QUOTE_REQUESTS, &request.page_token, place)?,
            limit: size + 1,
        });
        let found = self.query(call, query, request.min_sequence).await?;
        let mut requests = view!(found, QuoteRequests)?;
        let next_page_token = paging::cut(&mut requests, size, QUOTE_REQUESTS, |last| {
            format!("{}/{}", last.taker, last.request.id)
        });
        let requests = requests.into_iter();
        let requests = requests.map(|found| quotes::offers_for(call.caller, found));
        Ok(Response::new(v1::ListQuoteRequestsResponse {
            quote_requests: requests.map(convert::quote_request).collect(),
            next_page_token,
        }))
    }

    async fn set_quote_limit(
        &self,
        request: Request<v1::SetQuoteLimitRequest>,
    ) -> Answer<v1::SetQuoteLimitResponse> {
        let (call, request) = self.open(request)?;
        let (scheme, _) = self.scheme(call, 0).await?;
        let line = Self::quote_limit(&scheme, &request)?;
        let content = v1::SetQuoteLimitRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let (id, created) = (&request.request_id, request.created);
        let write = Write::new(id, created, "SetQuoteLimit", &content);
        let done = self
            .command(call, write, Action::SetQuoteLimit(line))
            .await?;
        Ok(Response::new(v1::SetQuoteLimitResponse {
            sequence: done.sequence.0,
        }))
    }

    async fn list_quote_limits(
        &self,
        request: Request<v1::ListQuoteLimitsRequest>,
    ) -> Answer<v1::ListQuoteLimitsResponse> {
        let (call, request) = self.open(request)?;
        let query = Query::QuoteLimits(auth::reads_for(call.caller)?);
        let found = self.query(call, query, request.min_sequence).await?;
        let limits = view!(found, QuoteLimits)?;
        Ok(Response::new(v1::ListQuoteLimitsResponse {
            limits: limits.iter().map(convert::quote_limit).collect(),
        }))
    }

    async fn get_rounding_ledger(
        &self,
        request: Request<v1::GetRoundingLedgerRequest>,
    ) -> Answer<v1::GetRoundingLedgerResponse> {
        let (call, request) = self.open(request)?;
        let query = Query::RoundingLedger(quotes::rounding_question(call.caller, &request)?);
        let found = self.query(call, query, request.min_sequence).await?;
        let lines = view!(found, RoundingLedger)?;
        Ok(Response::new(v1::GetRoundingLedgerResponse {
            lines: lines.iter().map(convert::rounding_line).collect(),
        }))
    }

    async fn lock_quote(
        &self,
        request: Request<v1::LockQuoteRequest>,
    ) -> Answer<v1::LockQuoteResponse> {
        let (call, request) = self.open(request)?;
        let provider = auth::participant(call.caller)?;
        let (scheme, _) = self.scheme(call, 0).await?;
        let terms = Self::terms(&scheme, &request)?;
        let quote_id = terms.quote_id;
        let content = v1::LockQuoteRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(&request.request_id, request.created, "LockQuote", &content);
        let done = self.command(call, write, Action::LockQuote(terms)).await?;
        let quote = self
            .query(call, Query::Quote(provider, quote_id), done.sequence.0)
            .await?;
        let quote =
            view!(quote, Quote)?.ok_or_else(|| errors::internal("a locked quote is not found"))?;
        Ok(Response::new(v1::LockQuoteResponse {
            quote: Some(convert::quote(*quote)),
            sequence: done.sequence.0,
        }))
    }

    async fn get_quote(
        &self,
        request: Request<v1::GetQuoteRequest>,
    ) -> Answer<v1::GetQuoteResponse> {
        let (call, request) = self.open(request)?;
        let provider = fields::bic("provider", &request.provider)?;
        let quote_id = fields::short_text("quote_id", &request.quote_id)?;
        let query = Query::Quote(provider, quote_id);
        let quote = view!(self.query(call, query, request.min_sequence).await?, Quote)?;
        let quote = quotes::readable(call.caller, provider, &quote_id, quote)?;
        Ok(Response::new(v1::GetQuoteResponse {
            quote: Some(convert::quote(*quote)),
        }))
    }
}

fn rate_line((at, rate): (usize, &v1::Rate)) -> Result<RateLine, Status> {
    let field = |name: &str| format!("rates[{at}].{name}");
    Ok(RateLine {
        pair: fields::pair(&field("pair"), &rate.pair)?,
        bid: fields::decimal(&field("bid"), &rate.bid)?,
        ask: fields::decimal(&field("ask"), &rate.ask)?,
        time: fields::time(&field("time"), rate.time)?,
        source: fields::text(&field("source"), &rate.source, SOURCE_CHARS_MAX)?,
        size_max: optional_decimal(&field("size_max"), &rate.size_max)?,
    })
}

/// Empty is none.
fn optional_decimal(field: &str, text: &str) -> Result<Option<Decimal>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    fields::decimal(field, text).map(Some)
}

fn question(request: &v1::GetRatesRequest) -> Result<RateQuestion, Status> {
    let pair = match request.pair.as_str() {
        "" => None,
        text => Some(fields::pair("pair", text)?),
    };
    let form = || errors::invalid("size", "decimal text above zero, at most 18 digits");
    let size = match request.size.as_str() {
        "" => None,
        text => Some(DecimalText::parse(text.as_bytes()).map_err(|_| form())?),
    };
    if size.is_some_and(|size| size.negative || size.mantissa == 0) {
        return Err(form());
    }
    Ok(RateQuestion { pair, size })
}

fn parse_rules(request: &v1::SetRateRulesRequest) -> Result<RateRules, Status> {
    let rules = request.rules.as_ref();
    let rules = rules.ok_or_else(|| errors::missing("rules"))?;
    let seconds = i64::try_from(rules.stale_after_seconds).ok();
    let stale_after_ms = seconds
        .and_then(|seconds| seconds.checked_mul(1_000))
        .ok_or_else(|| errors::invalid("rules.stale_after_seconds", "a number of seconds"))?;
    let source = &rules.valuation_source;
    Ok(RateRules {
        stale_after_ms: (stale_after_ms > 0).then_some(stale_after_ms),
        deviation_max: optional_decimal("rules.deviation_max", &rules.deviation_max)?,
        valuation_source: (!source.is_empty()).then(|| source.clone()),
    })
}

fn rate_rules(rules: &RateRules) -> v1::RateRules {
    let stale_after_ms = rules.stale_after_ms.unwrap_or_default();
    let deviation = rules.deviation_max.map(|it| it.to_string());
    v1::RateRules {
        stale_after_seconds: u64::try_from(stale_after_ms / 1_000).unwrap_or_default(),
        deviation_max: deviation.unwrap_or_default(),
        valuation_source: rules.valuation_source.clone().unwrap_or_default(),
    }
}

fn best_rates(best: &BestRates) -> v1::BestRates {
    v1::BestRates {
        pair: best.pair.to_string(),
        bid: best.bid.as_ref().map(best_rate),
        ask: best.ask.as_ref().map(best_rate),
    }
}

fn best_rate(best: &BestRate) -> v1::BestRate {
    v1::BestRate {
        rate: best.rate.to_text(RATE_DIGITS),
        numerator: best.rate.numerator().to_string(),
        denominator: best.rate.denominator().to_string(),
        chain: best.chain.iter().map(ToString::to_string).collect(),
        sources: best.providers.clone(),
    }
}

fn rate((line, is_stale): &(RateLine, bool)) -> v1::Rate {
    v1::Rate {
        size_max: line
            .size_max
            .map(|size| size.to_string())
            .unwrap_or_default(),
        is_stale: *is_stale,
        pair: line.pair.to_string(),
        bid: line.bid.to_string(),
        ask: line.ask.to_string(),
        time: Some(convert::time(line.time)),
        source: line.source.clone(),
    }
}

/// A request's place in the list of open ones: `taker/id`.
fn place(text: &str) -> Option<(Bic, ShortText)> {
    let (taker, id) = text.split_once('/')?;
    Some((
        Bic::parse(taker.as_bytes())?,
        ShortText::parse(id.as_bytes())?,
    ))
}
