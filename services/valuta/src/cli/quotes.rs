//! `quote`: requests for quotes, offers, locked quotes, and providers' limits.

use super::request_id::RequestId;
use super::text::{self, present};
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use clap::{Args, Subcommand};
use prost_types::Timestamp;
use valuta_proto::v1;

/// What `quote` does.
#[derive(Subcommand)]
pub enum QuoteCommand {
    /// Lock a rate for one taker, once, until a time (provider)
    Lock(Box<LockArgs>),
    /// Show a quote, for its provider and taker
    Show {
        /// The provider's BIC and its quote's id, as PROVIDER/ID
        #[arg(value_parser = text::parse_quote)]
        quote: (String, String),
    },
    /// Ask providers for a quote; they answer with `quote lock --quote-request` (taker)
    Request(Box<RequestArgs>),
    /// Show a request and its offers, the best first
    Offers {
        /// The taker's BIC and its request's id, as TAKER/ID
        #[arg(value_parser = text::parse_quote)]
        request: (String, String),
    },
    /// The requests that take offers now, and ask you
    Requests,
    /// Set what a provider's quotes may reserve of its account, or lift that with `none` (operator)
    Limit {
        /// The provider's BIC
        provider: String,
        /// The asset that the provider pays
        asset: String,
        /// In major units, or none
        amount: String,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Providers' limits, and what is reserved of them
    Limits,
}

/// What `quote request` takes.
#[derive(Args)]
pub struct RequestArgs {
    /// Unique per taker
    quote_request_id: String,
    /// What the taker sells
    #[arg(long)]
    source_asset: String,
    /// What the taker buys
    #[arg(long)]
    target_asset: String,
    /// Which amount is given: source or target
    #[arg(long, value_parser = text::parse_fixed_side, default_value = "source")]
    fixed_side: i32,
    /// Of the fixed side, in major units
    #[arg(long)]
    amount: String,
    /// YYYY-MM-DD
    #[arg(long)]
    value_date: String,
    /// RFC 3339; offers are taken before it
    #[arg(long, value_parser = text::time_argument)]
    offers_until: Timestamp,
    /// BICs of who is asked; without it every participant
    #[arg(long, value_delimiter = ',')]
    providers: Vec<String>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `quote lock` takes.
#[derive(Args)]
pub struct LockArgs {
    /// Unique per provider
    quote_id: String,
    /// The taker's BIC
    #[arg(long)]
    taker: String,
    /// What the taker sells
    #[arg(long)]
    source_asset: String,
    /// What the taker buys
    #[arg(long)]
    target_asset: String,
    /// Which amount is given: source or target
    #[arg(long, value_parser = text::parse_fixed_side, default_value = "source")]
    fixed_side: i32,
    /// Of the fixed side, in major units
    #[arg(long)]
    amount: String,
    /// Such as EUR/USD, in either order of the two assets
    #[arg(long)]
    pair: String,
    /// Decimal text
    #[arg(long)]
    rate: String,
    /// half_even, half_up or down
    #[arg(long, value_parser = text::parse_rounding, default_value = "half_even")]
    rounding: i32,
    /// YYYY-MM-DD
    #[arg(long)]
    value_date: String,
    /// RFC 3339; the quote may be used before it
    #[arg(long, value_parser = text::time_argument)]
    accept_until: Timestamp,
    /// RFC 3339
    #[arg(long, value_parser = text::time_argument)]
    settle_by: Timestamp,
    /// The id of the taker's request that this answers
    #[arg(long, default_value = "")]
    quote_request: String,
    #[command(flatten)]
    request_id: RequestId,
}

/// Runs `quote`.
pub async fn quote(
    command: QuoteCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut fx = connection.fx();
    match command {
        QuoteCommand::Show {
            quote: (provider, quote_id),
        } => {
            let request = v1::GetQuoteRequest {
                provider,
                quote_id,
                min_sequence: 0,
            };
            let quote = fx.get_quote(request).await?.into_inner().quote;
            show(&present(quote, "quote")?, format);
        }
        QuoteCommand::Lock(args) => {
            let answer = fx.lock_quote(lock_request(*args)).await?.into_inner();
            show(&present(answer.quote, "quote")?, format);
        }
        QuoteCommand::Request(args) => {
            let answer = fx.request_quote(ask_request(*args)).await?.into_inner();
            show_request(&present(answer.quote_request, "quote request")?, format);
        }
        QuoteCommand::Offers {
            request: (taker, quote_request_id),
        } => {
            let request = v1::GetQuoteRequestRequest {
                taker,
                quote_request_id,
                min_sequence: 0,
            };
            let answer = fx.get_quote_request(request).await?.into_inner();
            show_request(&present(answer.quote_request, "quote request")?, format);
        }
        QuoteCommand::Requests => {
            let mut request = v1::ListQuoteRequestsRequest {
                page_size: PAGE_SIZE_MAX,
                ..Default::default()
            };
            let mut rows = Vec::new();
            loop {
                let page = fx.list_quote_requests(request.clone()).await?.into_inner();
                rows.extend(page.quote_requests.iter().map(request_row));
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            let rows = Section::rows("quote_requests", &REQUEST_COLUMNS, rows);
            print(format, &[rows]);
        }
        QuoteCommand::Limit {
            provider,
            asset,
            amount,
            request_id,
        } => {
            let request = v1::SetQuoteLimitRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                provider,
                asset,
                amount: if amount == "none" {
                    String::new()
                } else {
                    amount
                },
            };
            let sequence = fx.set_quote_limit(request).await?.into_inner().sequence;
            let fields = vec![("sequence", Cell::Count(sequence))];
            print(format, &[Section::record("written", fields)]);
        }
        QuoteCommand::Limits => {
            let request = v1::ListQuoteLimitsRequest { min_sequence: 0 };
            let answer = fx.list_quote_limits(request).await?.into_inner();
            print(format, &[limits(&answer.limits)]);
        }
    }
    Ok(())
}

/// Of one call for a list.
const PAGE_SIZE_MAX: i32 = 1_000;
const REQUEST_COLUMNS: [&str; 9] = [
    "quote_request",
    "source_asset",
    "target_asset",
    "fixed_side",
    "amount",
    "value_date",
    "offers_until",
    "is_open",
    "offers",
];

fn request_row(request: &v1::QuoteRequest) -> Vec<Cell> {
    let name = format!("{}/{}", request.taker, request.quote_request_id);
    vec![
        Cell::text(name),
        Cell::text(&request.source_asset),
        Cell::text(&request.target_asset),
        Cell::text(text::fixed_side(request.fixed_side)),
        Cell::amount(&request.amount),
        Cell::text(&request.value_date),
        Cell::text(text::time(request.offers_until.as_ref())),
        Cell::Flag(request.is_open),
        Cell::Count(request.offers.len() as u64),
    ]
}

fn show_request(request: &v1::QuoteRequest, format: Format) {
    let fields = REQUEST_COLUMNS.into_iter().zip(request_row(request));
    let offers = request.offers.iter().map(|offer| {
        vec![
            Cell::text(format!("{}/{}", offer.provider, offer.quote_id)),
            Cell::text(text::quote_state(offer.state)),
            Cell::amount(&offer.rate),
            Cell::amount(&offer.source_amount),
            Cell::amount(&offer.target_amount),
            Cell::text(text::time(offer.accept_until.as_ref())),
        ]
    });
    let columns = [
        "quote",
        "state",
        "rate",
        "source_amount",
        "target_amount",
        "accept_until",
    ];
    let sections = [
        Section::record("quote_request", fields.collect()),
        Section::rows("offers", &columns, offers.collect()),
    ];
    print(format, &sections);
}

fn limits(limits: &[v1::QuoteLimit]) -> Section {
    let rows = limits.iter().map(|limit| {
        vec![
            Cell::text(&limit.provider),
            Cell::text(&limit.asset),
            Cell::amount(&limit.amount),
            Cell::amount(&limit.reserved),
        ]
    });
    let columns = ["provider", "asset", "amount", "reserved"];
    Section::rows("limits", &columns, rows.collect())
}

fn ask_request(args: RequestArgs) -> v1::RequestQuoteRequest {
    let mut request = v1::RequestQuoteRequest {
        request_id: String::new(),
        created: None,
        quote_request_id: args.quote_request_id,
        source_asset: args.source_asset,
        target_asset: args.target_asset,
        fixed_side: args.fixed_side,
        amount: args.amount,
        value_date: args.value_date,
        offers_until: Some(args.offers_until),
        providers: args.providers,
    };
    request.request_id = args.request_id.or_derived(&request);
    request
}

fn lock_request(args: LockArgs) -> v1::LockQuoteRequest {
    let mut request = v1::LockQuoteRequest {
        request_id: String::new(),
        created: None,
        quote_id: args.quote_id,
        taker: args.taker,
        source_asset: args.source_asset,
        target_asset: args.target_asset,
        fixed_side: args.fixed_side,
        amount: args.amount,
        pair: args.pair,
        rate: args.rate,
        rounding: args.rounding,
        value_date: args.value_date,
        accept_until: Some(args.accept_until),
        settle_by: Some(args.settle_by),
        quote_request_id: args.quote_request,
    };
    request.request_id = args.request_id.or_derived(&request);
    request
}

fn show(quote: &v1::Quote, format: Format) {
    let residual = match quote.residual_denominator.as_str() {
        "" => String::new(),
        denominator => format!("{}/{denominator}", quote.residual_numerator),
    };
    let instruction = quote.instruction.clone().unwrap_or_default();
    let fields = vec![
        (
            "quote",
            Cell::text(format!("{}/{}", quote.provider, quote.quote_id)),
        ),
        ("state", Cell::text(text::quote_state(quote.state))),
        ("taker", Cell::text(&quote.taker)),
        ("source_asset", Cell::text(&quote.source_asset)),
        ("source_amount", Cell::amount(&quote.source_amount)),
        ("target_asset", Cell::text(&quote.target_asset)),
        ("target_amount", Cell::amount(&quote.target_amount)),
        ("pair", Cell::text(&quote.pair)),
        ("rate", Cell::amount(&quote.rate)),
        ("fixed_side", Cell::text(text::fixed_side(quote.fixed_side))),
        ("rounding", Cell::text(text::rounding(quote.rounding))),
        ("residual", Cell::text(residual)),
        ("value_date", Cell::text(&quote.value_date)),
        (
            "accept_until",
            Cell::text(text::time(quote.accept_until.as_ref())),
        ),
        (
            "settle_by",
            Cell::text(text::time(quote.settle_by.as_ref())),
        ),
        ("quote_request", Cell::text(&quote.quote_request_id)),
        ("uetr", Cell::text(&instruction.uetr)),
        ("status", Cell::text(text::status(instruction.status))),
        (
            "waiting_reason",
            Cell::text(text::waiting_reason(instruction.waiting_reason)),
        ),
    ];
    print(format, &[Section::record("quote", fields)]);
}
