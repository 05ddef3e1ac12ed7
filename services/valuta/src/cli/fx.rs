//! `fx`: conversion and splitting, offline and exact; the rounding ledger.
//!
//! | command   | rounds                                        | answers                               |
//! |-----------|-----------------------------------------------|---------------------------------------|
//! | `convert` | once by a named rule, or as 1103/97 says      | both amounts, the rate, what rounding left |
//! | `split`   | by largest remainder                          | shares that sum to the whole          |
//! | `rounding` | -                                            | what a server's quotes have rounded   |

use super::text;
use crate::client::{CliError, Connection};
use crate::output::{Cell, Format, Section, print, print_text};
use crate::rate_file::{DayRates, EURO, RateFile, euro_pair, named};
use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};
use fx::{
    AmountError, AssetCode, DecimalText, EuroLeg, EuroRate, Fraction, Pair, Price, Rate, Rounding,
    convert_through_euro, format_minor_units, known_minor_units, replaced_by_euro,
};
use serde::Serialize;
use std::path::PathBuf;
use valuta_proto::v1;

/// Of a rate's text for people.
const RATE_DIGITS: usize = 12;

/// What `fx` does.
#[derive(Subcommand)]
pub enum FxCommand {
    /// Convert an amount at a file's rates, and show exactly what rounding left
    Convert(ConvertArgs),
    /// Split an amount by ratios, so that the shares sum to it
    Split(SplitArgs),
    /// What rounding gave providers or took, exactly, over their quotes that settled (asks the server)
    Rounding(RoundingArgs),
}

/// What `fx rounding` takes.
#[derive(Args)]
pub struct RoundingArgs {
    /// One provider's BIC; without it all that you may read
    #[arg(long, default_value = "")]
    provider: String,
    /// One value date, YYYY-MM-DD
    #[arg(long, value_name = "DATE", default_value = "")]
    date: String,
}

/// What `fx convert` takes.
#[derive(Args)]
pub struct ConvertArgs {
    /// In major units, such as 100.00
    #[arg(allow_negative_numbers = true)]
    amount: String,
    /// The currency to convert from
    #[arg(value_parser = currency)]
    from: Currency,
    /// The currency to convert to
    #[arg(value_parser = currency)]
    to: Currency,
    /// The ECB's CSV or ZIP, one day or the history, or JSON: {"EUR/USD":"1.1684"}
    #[arg(long, value_name = "FILE")]
    rates: PathBuf,
    /// The day, YYYY-MM-DD; without it the newest in the file
    #[arg(long, value_parser = text::parse_date)]
    date: Option<NaiveDate>,
    /// How the rate is applied
    #[arg(long, value_enum, default_value = "exact")]
    method: Method,
    /// half-even, half-up or down; without it half-even, and half-up by the regulation, which has no other
    #[arg(long, value_parser = rounding)]
    rounding: Option<Rounding>,
    /// Decimals of the intermediate euro amount, at least 3; for eu-1103-97
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(3..=8))]
    euro_decimals: Option<u8>,
}

/// How a rate is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Method {
    /// At the exact cross, rounded once
    Exact,
    /// By Regulation (EC) 1103/97: through the euro, that amount rounded to three decimals, halves up
    #[value(name = "eu-1103-97")]
    Eu110397,
}

/// What `fx split` takes.
#[derive(Args)]
pub struct SplitArgs {
    /// In major units, such as 100.00
    #[arg(allow_negative_numbers = true)]
    amount: String,
    /// The amount's currency
    #[arg(value_parser = currency)]
    currency: Currency,
    /// Whole or decimal numbers, such as 1,2,3
    #[arg(long, value_delimiter = ',', required = true)]
    ratios: Vec<String>,
}

/// A currency and its decimals.
#[derive(Clone, Copy, Debug)]
struct Currency {
    code: AssetCode,
    decimals: u8,
}

fn currency(text: &str) -> Result<Currency, String> {
    let code: AssetCode = text.parse().map_err(|error| format!("{error}"))?;
    let decimals = known_minor_units(code).ok_or("a currency that is not known")?;
    Ok(Currency { code, decimals })
}

fn rounding(text: &str) -> Result<Rounding, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Runs `fx`.
pub async fn run(
    command: FxCommand,
    connection: &Connection,
    format: Format,
) -> Result<(), CliError> {
    if let Some(done) = run_offline(&command, format) {
        return done;
    }
    let FxCommand::Rounding(args) = command else {
        return Ok(());
    };
    let request = v1::GetRoundingLedgerRequest {
        min_sequence: 0,
        provider: args.provider,
        value_date: args.date,
    };
    let answer = connection.fx().get_rounding_ledger(request).await?;
    let lines = answer.into_inner().lines;
    let columns = [
        "provider",
        "value_date",
        "asset",
        "quotes",
        "gained",
        "gained_fraction",
    ];
    let rows = lines.iter().map(rounding_row).collect();
    print(format, &[Section::rows("rounding", &columns, rows)]);
    Ok(())
}

/// Without a sum that fits, the fraction is the sum of its parts as text.
fn rounding_row(line: &v1::RoundingLine) -> Vec<Cell> {
    let text = |it: &v1::Fraction| format!("{}/{}", it.numerator, it.denominator);
    let parts = || line.parts.iter().map(text).collect::<Vec<_>>().join(" + ");
    vec![
        Cell::text(&line.provider),
        Cell::text(&line.value_date),
        Cell::text(&line.asset),
        Cell::Count(line.quotes),
        Cell::amount(&line.gained_text),
        Cell::text(line.gained.as_ref().map_or_else(parts, text)),
    ]
}

/// Runs what asks no server; `None` if that is not this.
pub fn run_offline(command: &FxCommand, format: Format) -> Option<Result<(), CliError>> {
    match command {
        FxCommand::Convert(args) => Some(convert(args).map(|converted| {
            let section = Section::record("conversion", converted.fields());
            show(format, &converted.answer(), section);
        })),
        FxCommand::Split(args) => Some(split(args).map_err(CliError::Usage).map(|shares| {
            let section = Section::rows("shares", &["ratio", "share"], shares.rows());
            show(format, &shares, section);
        })),
        FxCommand::Rounding(_) => None,
    }
}

/// JSON is one line in the order of the fields: other programs compare it as it is.
fn show(format: Format, answer: &impl Serialize, section: Section) {
    if format == Format::Json {
        let line = serde_json::to_string(answer).expect("texts are JSON");
        print_text(&format!("{line}\n"));
    } else {
        print(format, &[section]);
    }
}

/// Zero is an amount here: nothing converts to nothing.
fn amount(text: &str, currency: Currency) -> Result<i64, String> {
    let refused = |reason: String| format!("AMOUNT {text:?}: {reason}");
    let decimal =
        DecimalText::parse(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
    match decimal.to_minor_units(currency.decimals) {
        Err(AmountError::Zero) => Ok(0),
        Err(AmountError::TooManyDecimals) => Err(refused(format!(
            "{} has {} decimals",
            currency.code, currency.decimals
        ))),
        found => found.map_err(|error| refused(error.to_string())),
    }
}

/// What a conversion gave.
struct Converted {
    source: (i64, Currency),
    target: (i64, Currency),
    rate: Rate,
    residual: Fraction,
    method: Method,
    rounding: Rounding,
    date: Option<NaiveDate>,
    /// The assets that the rate was crossed through.
    chain: Vec<AssetCode>,
    /// The intermediate amount and its decimals.
    euro: Option<(i64, u8)>,
}

#[derive(Serialize)]
struct AmountAnswer {
    amount: String,
    currency: String,
}

/// The fields' order is part of the format.
#[derive(Serialize)]
struct ConvertAnswer {
    source: AmountAnswer,
    rate: String,
    rate_fraction: [String; 2],
    target: AmountAnswer,
    residual: [String; 2],
    method: &'static str,
    rounding: &'static str,
}

fn convert(args: &ConvertArgs) -> Result<Converted, CliError> {
    let source = amount(&args.amount, args.from).map_err(CliError::Usage)?;
    let rounding = effective_rounding(args).map_err(CliError::Usage)?;
    let file = RateFile::read(&args.rates)?;
    let in_file = |reason: String| named(&args.rates, reason);
    let rates = file.rates(args.date).map_err(in_file)?;
    let (rate, chain) = cross(&rates, args).map_err(in_file)?;
    let (euro, target) = match args.method {
        Method::Exact => (None, exactly(source, args, &rate, rounding)),
        Method::Eu110397 => by_regulation(source, args, &rates).map_err(in_file)?,
    };
    let target = target.map_err(CliError::Usage)?;
    let (from, to) = (args.from.decimals, args.to.decimals);
    let residual = fx::residual((source, from), &rate, (target, to));
    Ok(Converted {
        source: (source, args.from),
        target: (target, args.to),
        rate,
        residual: residual.map_err(|error| CliError::Usage(error.to_string()))?,
        method: args.method,
        rounding,
        date: rates.date,
        chain,
        euro,
    })
}

fn effective_rounding(args: &ConvertArgs) -> Result<Rounding, String> {
    match (args.method, args.rounding) {
        (Method::Exact, _) if args.euro_decimals.is_some() => {
            Err("--euro-decimals is for --method eu-1103-97".into())
        }
        (Method::Exact, rounding) => Ok(rounding.unwrap_or_default()),
        (Method::Eu110397, None | Some(Rounding::HalfUp)) => Ok(Rounding::HalfUp),
        (Method::Eu110397, Some(other)) => Err(format!(
            "--rounding {other}: Regulation (EC) 1103/97 rounds halves up"
        )),
    }
}

fn cross(rates: &DayRates, args: &ConvertArgs) -> Result<(Rate, Vec<AssetCode>), String> {
    let pair = Pair {
        base: args.from.code,
        quote: args.to.code,
    };
    let found = rates.book.cross(pair, Price::Mid);
    let cross = found.map_err(|error| match rates.date {
        Some(date) => format!("{error} on {date}"),
        None => error.to_string(),
    })?;
    Ok((cross.rate, cross.chain))
}

fn exactly(
    source: i64,
    args: &ConvertArgs,
    rate: &Rate,
    rounding: Rounding,
) -> Result<i64, String> {
    let (from, to) = (args.from.decimals, args.to.decimals);
    let found = fx::convert(source, from, rate, to, rounding).map_err(|error| error.to_string())?;
    assert!(
        found.verify(source, from, rate, to, rounding),
        "a conversion keeps its residual"
    );
    Ok(found.target)
}

/// The intermediate amount with its decimals, and the target or why there is none.
type ByRegulation = (Option<(i64, u8)>, Result<i64, String>);

fn by_regulation(
    source: i64,
    args: &ConvertArgs,
    rates: &DayRates,
) -> Result<ByRegulation, String> {
    let euro_decimals = args.euro_decimals.unwrap_or(fx::euro::EURO_DECIMALS_MIN);
    let (from, to) = (euro_leg(args.from, rates)?, euro_leg(args.to, rates)?);
    let amount = (source, args.from.decimals);
    Ok(
        match convert_through_euro(amount, from, euro_decimals, to, args.to.decimals) {
            Ok(found) => (
                found.euro.map(|euro| (euro, euro_decimals)),
                Ok(found.target),
            ),
            Err(error) => (None, Err(error.to_string())),
        },
    )
}

/// One euro in a currency, as the file has it: a rate of the euro in another currency is an inverse, which
/// the regulation does not use.
fn euro_leg(currency: Currency, rates: &DayRates) -> Result<EuroLeg, String> {
    let code = currency.code;
    if code == EURO {
        return Ok(EuroLeg::Euro);
    }
    let quote = rates.book.get(euro_pair(code)).ok_or_else(|| {
        format!("there is no EUR/{code}, and Regulation (EC) 1103/97 takes no inverse and no other cross")
    })?;
    let replaced = replaced_by_euro(code);
    // The ECB's rates of a currency before the euro replaced it have the figures that they have.
    let holds = replaced.filter(|it| rates.date.is_none_or(|date| date >= it.from));
    if holds.is_some() {
        EuroRate::parse(&quote.bid().to_string())
            .map_err(|error| format!("EUR/{code}: {error}"))?;
    }
    Ok(EuroLeg::Currency(quote.rate(Price::Mid)))
}

impl Converted {
    fn answer(&self) -> ConvertAnswer {
        let amount = |(minor, currency): (i64, Currency)| AmountAnswer {
            amount: format_minor_units(minor.into(), currency.decimals),
            currency: currency.code.to_string(),
        };
        ConvertAnswer {
            source: amount(self.source),
            rate: self.rate.to_text(RATE_DIGITS),
            rate_fraction: [self.rate.numerator(), self.rate.denominator()]
                .map(|part| part.to_string()),
            target: amount(self.target),
            residual: [self.residual.numerator(), self.residual.denominator()]
                .map(|part| part.to_string()),
            method: self.method_name(),
            rounding: self.rounding.as_str(),
        }
    }

    fn method_name(&self) -> &'static str {
        match self.method {
            Method::Exact => "exact",
            Method::Eu110397 => "eu-1103-97",
        }
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        let answer = self.answer();
        let chain: Vec<String> = self.chain.iter().map(AssetCode::to_string).collect();
        let date = self.date.map(|date| date.to_string());
        let mut fields = vec![
            ("source", Cell::amount(answer.source.amount)),
            ("source_currency", Cell::text(answer.source.currency)),
            ("target", Cell::amount(answer.target.amount)),
            ("target_currency", Cell::text(answer.target.currency)),
            ("rate", Cell::amount(answer.rate)),
            ("rate_fraction", Cell::text(self.rate.to_string())),
            ("through", Cell::text(chain.join(" "))),
            ("residual", Cell::text(self.residual.to_string())),
            ("method", Cell::text(answer.method)),
            ("rounding", Cell::text(answer.rounding)),
            ("date", Cell::text(date.unwrap_or_default())),
        ];
        if let Some((euro, decimals)) = self.euro {
            let euro = format_minor_units(euro.into(), decimals);
            fields.push(("euro_amount", Cell::amount(euro)));
        }
        fields
    }
}

/// The fields' order is part of the format.
#[derive(Serialize)]
struct SplitAnswer {
    amount: String,
    currency: String,
    ratios: Vec<String>,
    shares: Vec<String>,
}

impl SplitAnswer {
    fn rows(&self) -> Vec<Vec<Cell>> {
        let pairs = self.ratios.iter().zip(&self.shares);
        pairs
            .map(|(ratio, share)| vec![Cell::amount(ratio), Cell::amount(share)])
            .collect()
    }
}

fn split(args: &SplitArgs) -> Result<SplitAnswer, String> {
    let total = amount(&args.amount, args.currency)?;
    let shares = fx::split(total, &whole_ratios(&args.ratios)?)
        .map_err(|error| format!("--ratios: {error}"))?;
    let text = |minor: i64| format_minor_units(minor.into(), args.currency.decimals);
    Ok(SplitAnswer {
        amount: text(total),
        currency: args.currency.code.to_string(),
        ratios: args.ratios.clone(),
        shares: shares.into_iter().map(text).collect(),
    })
}

/// Decimal ratios brought to whole numbers in the same proportion.
fn whole_ratios(texts: &[String]) -> Result<Vec<u64>, String> {
    let mut ratios = Vec::new();
    for text in texts {
        let ratio = DecimalText::parse(text.as_bytes());
        let ratio = ratio.map_err(|error| format!("--ratios {text:?}: {error}"))?;
        if ratio.negative {
            return Err(format!("--ratios {text:?}: a ratio is not below zero"));
        }
        ratios.push(ratio);
    }
    let scale = ratios.iter().map(|ratio| ratio.scale).max().unwrap_or(0);
    let whole = ratios.iter().zip(texts).map(|(ratio, text)| {
        let power = 10_u64.checked_pow(u32::from(scale - ratio.scale));
        let scaled = power.and_then(|power| ratio.mantissa.unsigned_abs().checked_mul(power));
        scaled.ok_or_else(|| format!("--ratios {text:?}: too large beside the others"))
    });
    whole.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: FxCommand,
    }

    const HISTORY: &str =
        "Date,USD,JPY,SIT,\n2026-04-13,1.1684,186.75,N/A,\n2005-01-03,1.3507,138.52,239.76,\n";

    /// The JSON that a line of arguments gives, or the error without the file's path.
    fn answer(line: &str, file: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rates");
        std::fs::write(&path, file).unwrap();
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words.insert(0, "fx".into());
        if line.starts_with("convert") {
            words.extend(["--rates".into(), path.display().to_string()]);
        }
        let answered = match Line::try_parse_from(words) {
            Err(error) => Err(CliError::Usage(error.to_string())),
            Ok(Line { command }) => match command {
                FxCommand::Convert(args) => convert(&args)
                    .map(|converted| serde_json::to_string(&converted.answer()).unwrap()),
                FxCommand::Split(args) => split(&args)
                    .map(|shares| serde_json::to_string(&shares).unwrap())
                    .map_err(CliError::Usage),
                FxCommand::Rounding(_) => panic!("not offline"),
            },
        };
        let prefix = format!("{}: ", path.display());
        answered.unwrap_or_else(|error| error.to_string().replace(&prefix, ""))
    }

    fn check(line: &str, expected: &str) {
        let found = answer(line, HISTORY);
        assert!(found.contains(expected), "{line}: {found}");
    }

    #[test]
    fn the_json_is_as_it_is_documented() {
        let expected = r#"{"source":{"amount":"100.00","currency":"USD"},"rate":"159.833960972","rate_fraction":["466875","2921"],"target":{"amount":"15983","currency":"JPY"},"residual":["1157","2921"],"method":"exact","rounding":"half-even"}"#;
        assert_eq!(answer("convert 100.00 USD JPY", HISTORY), expected);
        let json = r#"{"EUR/USD":"1.1684","EUR/JPY":"186.75"}"#;
        assert_eq!(answer("convert 100 USD JPY", json), expected);
    }

    #[test]
    fn converts_by_each_method() {
        check(
            "convert 100.00 DEM FRF --method eu-1103-97",
            r#""target":{"amount":"335.38","currency":"FRF"},"residual":["53673","9779150"],"method":"eu-1103-97","rounding":"half-up"}"#,
        );
        check(
            "convert 100.00 DEM FRF",
            r#""target":{"amount":"335.39","currency":"FRF"}"#,
        );
        check(
            "convert 100.00 DEM FRF --method eu-1103-97 --euro-decimals 6",
            "335.39",
        );
        check(
            "convert 100.00 USD JPY --rounding down",
            r#""amount":"15983""#,
        );
        check("convert 100.00 SIT EUR", r#""rate":"0.00417292605575""#);
        check(
            "convert 100.00 SIT EUR --date 2005-01-03",
            r#""rate":"0.00417083750417""#,
        );
        check(
            "convert 0 USD USD",
            r#""rate":"1","rate_fraction":["1","1"],"target":{"amount":"0.00","currency":"USD"},"residual":["0","1"]"#,
        );
        // 0.000516... euro is 0.001 at three decimals.
        check(
            "convert 1 ITL JPY --method eu-1103-97",
            r#""target":{"amount":"0","currency":"JPY"}"#,
        );
    }

    #[test]
    fn refuses_what_cannot_be_converted() {
        for (line, expected) in [
            (
                "convert 100.001 USD JPY",
                "AMOUNT \"100.001\": USD has 2 decimals",
            ),
            (
                "convert -1 USD JPY",
                "AMOUNT \"-1\": the amount is negative",
            ),
            ("convert 1e3 USD JPY", "AMOUNT \"1e3\": not a decimal"),
            ("convert 1 USD ZZZ", "a currency that is not known"),
            (
                "convert 1 USD TRL",
                "there is no rate of USD/TRL on 2026-04-13",
            ),
            (
                "convert 1 USD JPY --date 2026-04-12",
                "no rates of 2026-04-12; the last day before it with rates is 2005-01-03",
            ),
            (
                "convert 1 USD JPY --date 12.04.2026",
                "a date is YYYY-MM-DD",
            ),
            (
                "convert 1 USD JPY --method eu-1103-97 --rounding down",
                "rounds halves up",
            ),
            (
                "convert 1 USD JPY --euro-decimals 4",
                "is for --method eu-1103-97",
            ),
            (
                "convert 1 USD JPY --method eu-1103-97 --euro-decimals 2",
                "2 is not in 3..=8",
            ),
            ("convert 9999999999999999.99 USD JPY", "more than 18 digits"),
        ] {
            check(line, expected);
        }
        for (file, expected) in [
            (
                r#"{"DEM/EUR":"0.5"}"#,
                "there is no EUR/DEM, and Regulation",
            ),
            (
                r#"{"EUR/DEM":"1.9558"}"#,
                "EUR/DEM: a euro rate has six significant figures",
            ),
        ] {
            let found = answer("convert 1.00 DEM FRF --method eu-1103-97", file);
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn splits_by_ratios() {
        check(
            "split 100.00 USD --ratios 1,2,3",
            r#"{"amount":"100.00","currency":"USD","ratios":["1","2","3"],"shares":["16.67","33.33","50.00"]}"#,
        );
        check(
            "split 100 JPY --ratios 1,1,1",
            r#""shares":["34","33","33"]"#,
        );
        check(
            "split 10.00 EUR --ratios 0.5,1.25,0",
            r#""shares":["2.86","7.14","0.00"]"#,
        );
        check(
            "split 1.00 EUR --ratios 0,0",
            "--ratios: no ratio is above zero",
        );
        check(
            "split 1.00 EUR --ratios 1,x",
            "--ratios \"x\": not a decimal",
        );
        check("split 1.00 EUR --ratios 1,-1", "a ratio is not below zero");
    }
}
