//! `rates import`: the ECB's reference rates of a day, or of every day, to the server.
//!
//! | what                    | is                                                                       |
//! |-------------------------|--------------------------------------------------------------------------|
//! | one day                 | one request: that day's set of the source `ECB` replaces the one before  |
//! | `--all`                 | one request a day, oldest first, so the newest day's set stands at the end |
//! | a currency              | sent if the scheme has it; others are counted                            |
//! | a rate's time           | 16:00 in Frankfurt, when the ECB publishes                               |
//! | a request's id          | from its content: what was sent before changes nothing when sent again; with `--all` from the newest day too |

use super::rates::ImportArgs;
use super::send::progress;
use super::text::present;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use crate::rate_file::{RateFile, euro_pair, named};
use fx::{AssetCode, LocalCutoff, ReferenceDay, ReferenceRates};
use prost_types::Timestamp;
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use valuta_proto::v1;

/// The name that the ECB's rates have as a source.
const SOURCE: &str = "ECB";
/// When the ECB publishes, and where.
const PUBLISHED: (&str, &str) = ("16:00", "Europe/Berlin");

/// What was done.
#[derive(Default)]
struct Done {
    days: u64,
    rates: u64,
    not_in_scheme: BTreeSet<AssetCode>,
    sequence: u64,
}

/// Runs `rates import`.
pub async fn import(
    args: ImportArgs,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let RateFile::Reference(rates) = RateFile::read(&args.file)? else {
        return Err(named(
            &args.file,
            "not a file of the ECB: rates by pair have no day",
        ));
    };
    let days = days(&rates, &args)?;
    let assets = assets(connection).await?;
    let scope = if args.all {
        format!("all-{}", rates.newest().date())
    } else {
        String::new()
    };
    let mut done = Done::default();
    let bar = progress(days.len() as u64);
    for day in days {
        send(day, &scope, &assets, &args, connection, &mut done).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    show(&done, format);
    Ok(())
}

/// Oldest first.
fn days<'a>(
    rates: &'a ReferenceRates,
    args: &ImportArgs,
) -> Result<Vec<ReferenceDay<'a>>, CliError> {
    if args.all {
        return Ok(rates.days().rev().collect());
    }
    let Some(date) = args.date else {
        return Ok(vec![rates.newest()]);
    };
    let day = rates.day(date).map_err(|error| named(&args.file, error))?;
    Ok(vec![day])
}

async fn assets(connection: &Connection) -> Result<BTreeSet<AssetCode>, CliError> {
    let request = v1::GetSchemeRequest { min_sequence: 0 };
    let answer = connection.admin().get_scheme(request).await?.into_inner();
    let scheme = present(answer.scheme, "scheme")?;
    let codes = scheme
        .assets
        .iter()
        .filter_map(|asset| asset.code.parse().ok());
    Ok(codes.collect())
}

async fn send(
    day: ReferenceDay<'_>,
    scope: &str,
    assets: &BTreeSet<AssetCode>,
    args: &ImportArgs,
    connection: &Connection,
    done: &mut Done,
) -> Result<(), CliError> {
    let (known, other): (Vec<_>, Vec<_>) = day.rates().partition(|(code, _)| assets.contains(code));
    done.not_in_scheme
        .extend(other.into_iter().map(|(code, _)| code));
    if known.is_empty() {
        return Ok(());
    }
    let time = published(day)?;
    let rates = known.into_iter().map(|(code, rate)| {
        let rate = Decimal::new(rate.mantissa, rate.scale.into()).to_string();
        v1::Rate {
            pair: euro_pair(code).to_string(),
            bid: rate.clone(),
            ask: rate,
            time: Some(time),
            source: SOURCE.to_owned(),
            ..Default::default()
        }
    });
    let mut request = v1::SetRatesRequest {
        rates: rates.collect(),
        ..Default::default()
    };
    // Within `--all` a day has an id of its own: were it a repeat of one sent alone before, it would not
    // be applied in its turn, and an older day's set would stand at the end.
    scope.clone_into(&mut request.request_id);
    request.request_id = args.request_id.or_derived(&request);
    let count = request.rates.len() as u64;
    let of_day = |error: CliError| error.with_context(&day.date().to_string());
    let answer = connection.fx().set_rates(request).await;
    let answer = answer.map_err(|status| of_day(status.into()))?;
    done.days += 1;
    done.rates += count;
    done.sequence = answer.into_inner().sequence;
    Ok(())
}

fn published(day: ReferenceDay<'_>) -> Result<Timestamp, CliError> {
    let (time, zone) = PUBLISHED;
    let instant = LocalCutoff::parse(time, zone).ok();
    let instant = instant.and_then(|cutoff| cutoff.instant_ms(day.date()));
    let millis =
        instant.ok_or_else(|| CliError::Usage(format!("{} is beyond the calendar", day.date())))?;
    Ok(Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: 0,
    })
}

fn show(done: &Done, format: Format) {
    let codes: Vec<_> = done
        .not_in_scheme
        .iter()
        .map(AssetCode::to_string)
        .collect();
    let fields = vec![
        ("days", Cell::Count(done.days)),
        ("rates", Cell::Count(done.rates)),
        ("sequence", Cell::Count(done.sequence)),
        ("not_in_scheme", Cell::text(codes.join(" "))),
    ];
    print(format, &[Section::record("imported", fields)]);
}
