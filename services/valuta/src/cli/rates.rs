//! `rates`.

use super::rates_import;
use super::request_id::RequestId;
use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use valuta_proto::v1;

/// What `rates` does.
#[derive(Subcommand)]
pub enum RatesCommand {
    /// Show every source's rates, and the best of each side
    Show {
        /// One pair, such as EUR/USD, crossed if nobody quotes it
        pair: Option<String>,
        /// The best rates that hold for this size, in units of the base
        #[arg(long)]
        size: Option<String>,
    },
    /// Replace each named source's rates from a CSV file with the columns pair,bid,ask,time,source and, if
    /// rates hold up to a size, size_max (operator)
    Set {
        /// The CSV file
        file: PathBuf,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Set what holds for all rates; what is left out no longer holds (operator)
    Rules(RulesArgs),
    /// Send the ECB's reference rates of a day, or of every day (operator); safe to run again
    Import(ImportArgs),
}

/// What `rates rules` takes.
#[derive(Args)]
pub struct RulesArgs {
    /// Older rates are no best rates
    #[arg(long, value_name = "SECONDS")]
    stale_after: Option<u64>,
    /// Refuse a rate farther from the last accepted one: 0.05 is five per cent
    #[arg(long, value_name = "PART")]
    deviation_max: Option<String>,
    /// Whose rates values are taken at, instead of the last request's
    #[arg(long, value_name = "SOURCE")]
    valuation_source: Option<String>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What `rates import` takes.
#[derive(Args)]
pub struct ImportArgs {
    /// The ECB's CSV or ZIP, one day or the history
    pub file: PathBuf,
    /// The day, YYYY-MM-DD; without it the newest in the file
    #[arg(long, value_parser = text::parse_date)]
    pub date: Option<NaiveDate>,
    /// Every day in turn, oldest first
    #[arg(long, conflicts_with_all = ["date", "request_id"])]
    pub all: bool,
    #[command(flatten)]
    pub request_id: RequestId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateRow {
    pair: String,
    bid: String,
    ask: String,
    time: String,
    source: String,
    #[serde(default)]
    size_max: String,
}

/// Runs `rates`.
pub async fn rates(
    command: RatesCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    let mut fx = connection.fx();
    match command {
        RatesCommand::Show { pair, size } => {
            let request = v1::GetRatesRequest {
                min_sequence: 0,
                pair: pair.unwrap_or_default(),
                size: size.unwrap_or_default(),
            };
            let answer = fx.get_rates(request).await?.into_inner();
            print(format, &rate_sections(&answer));
        }
        RatesCommand::Rules(args) => {
            let request = v1::SetRateRulesRequest {
                request_id: args.request_id.or_fresh()?,
                created: None,
                rules: Some(v1::RateRules {
                    stale_after_seconds: args.stale_after.unwrap_or_default(),
                    deviation_max: args.deviation_max.unwrap_or_default(),
                    valuation_source: args.valuation_source.unwrap_or_default(),
                }),
            };
            let sequence = fx.set_rate_rules(request).await?.into_inner().sequence;
            print(format, &[written(sequence)]);
        }
        RatesCommand::Import(args) => rates_import::import(args, connection, format).await?,
        RatesCommand::Set { file, request_id } => {
            let content = std::fs::read(&file).map_err(|error| CliError::file(&file, &error))?;
            let request = v1::SetRatesRequest {
                request_id: request_id.or_fresh()?,
                created: None,
                rates: parse(&content).map_err(|error| named(&file, &error))?,
            };
            let sequence = fx.set_rates(request).await?.into_inner().sequence;
            print(format, &[written(sequence)]);
        }
    }
    Ok(())
}

fn written(sequence: u64) -> Section {
    Section::record("written", vec![("sequence", Cell::Count(sequence))])
}

fn rate_sections(answer: &v1::GetRatesResponse) -> Vec<Section> {
    let rates = answer.rates.iter().map(|rate| {
        vec![
            Cell::text(&rate.pair),
            Cell::amount(&rate.bid),
            Cell::amount(&rate.ask),
            Cell::text(text::time(rate.time.as_ref())),
            Cell::text(&rate.source),
            Cell::amount(&rate.size_max),
            Cell::Flag(rate.is_stale),
        ]
    });
    let columns = [
        "pair", "bid", "ask", "time", "source", "size_max", "is_stale",
    ];
    let best = answer.best.iter().map(|best| {
        let mut row = vec![Cell::text(&best.pair)];
        row.extend(side(best.bid.as_ref()));
        row.extend(side(best.ask.as_ref()));
        row
    });
    let best_columns = [
        "pair",
        "bid",
        "bid_fraction",
        "bid_source",
        "ask",
        "ask_fraction",
        "ask_source",
    ];
    let rules = answer.rules.clone().unwrap_or_default();
    let rules = vec![
        (
            "stale_after_seconds",
            Cell::Count(rules.stale_after_seconds),
        ),
        ("deviation_max", Cell::amount(rules.deviation_max)),
        ("valuation_source", Cell::text(rules.valuation_source)),
    ];
    vec![
        Section::rows("rates", &columns, rates.collect()),
        Section::rows("best", &best_columns, best.collect()),
        Section::record("rules", rules),
    ]
}

/// Rate, fraction and sources; of a cross, with the assets between them: `BANK1 EUR BANK2`.
fn side(best: Option<&v1::BestRate>) -> [Cell; 3] {
    let Some(best) = best else {
        return [Cell::amount(""), Cell::text(""), Cell::text("")];
    };
    let pivots = best.chain.iter().skip(1);
    let mut sources = String::new();
    for (at, (source, pivot)) in best.sources.iter().zip(pivots).enumerate() {
        sources.push_str(source);
        if at + 1 < best.sources.len() {
            sources.push_str(&format!(" {pivot} "));
        }
    }
    [
        Cell::amount(&best.rate),
        Cell::text(format!("{}/{}", best.numerator, best.denominator)),
        Cell::text(sources),
    ]
}

fn named(file: &Path, error: &str) -> CliError {
    CliError::Usage(format!("{}: {error}", file.display()))
}

fn parse(content: &[u8]) -> Result<Vec<v1::Rate>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(content);
    let mut rates = Vec::new();
    for row in reader.deserialize::<RateRow>() {
        let row = row.map_err(|error| error.to_string())?;
        // A header, then one line for each.
        let line = rates.len() + 2;
        let check = |field: &str, text: &str| {
            fx::Rate::parse(text).map_err(|error| format!("line {line}, field {field}: {error}"))
        };
        check("bid", &row.bid)?;
        check("ask", &row.ask)?;
        let time = text::parse_time(&row.time)
            .map_err(|error| format!("line {line}, field time: {error}"))?;
        rates.push(v1::Rate {
            pair: row.pair,
            bid: row.bid,
            ask: row.ask,
            time: Some(time),
            source: row.source,
            size_max: row.size_max,
            is_stale: false,
        });
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rate_file_is_read_strictly() {
        let read = |row: &str| parse(format!("pair,bid,ask,time,source\n{row}\n").as_bytes());
        let rates = read("EUR/USD,1.1711,1.1711,2026-04-10T14:15:00Z,ECB").unwrap();
        assert_eq!((rates.len(), rates[0].bid.as_str()), (1, "1.1711"));
        for (row, part) in [
            (
                "EUR/USD,1.1711,0,2026-04-10T14:15:00Z,ECB",
                "line 2, field ask",
            ),
            ("EUR/USD,x,1,2026-04-10T14:15:00Z,ECB", "line 2, field bid"),
            ("EUR/USD,1,1,today,ECB", "line 2, field time"),
            ("EUR/USD,1,1", "found record with 3 fields"),
        ] {
            let error = read(row).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
