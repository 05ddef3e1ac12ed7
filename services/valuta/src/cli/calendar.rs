//! `calendar`: business days, spot dates with their reasons, holidays and cut-offs; offline.
//!
//! | asked for            | answered                                                                  |
//! |----------------------|---------------------------------------------------------------------------|
//! | a pair, a date       | spot, each day on the way and why it counts or not, tenors, business days |
//! | an asset, a date     | what the day is, each day up to the next business day, business days      |
//! | with `--year`        | the holidays of that year instead                                         |
//! | with `--scheme FILE` | its days are taken in, and its cut-offs shown as instants                 |

use crate::client::CliError;
use crate::output::{Cell, Format, Section, print};
use crate::scheme_file;
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use clap::{ArgGroup, Args, Subcommand};
use fx::calendar::{
    CalendarError, Calendars, CurrencyHolidays, Day, DayChange, HOLIDAYS_FIRST_YEAR,
    HOLIDAYS_LAST_YEAR, HOLIDAYS_SOURCE, JointCalendar, LocalCutoff, Tenor, forward_date,
    spot_chain,
};
use fx::{AssetCode, Pair};
use settlement_core::ids::Date;
use std::path::{Path, PathBuf};
use valuta_proto::v1;

/// Business days that are listed.
const BUSINESS_DAYS_SHOWN: u32 = 10;
/// Tenors that a pair's dates are shown for.
const TENORS: [&str; 9] = ["ON", "TN", "SN", "1W", "2W", "1M", "3M", "6M", "1Y"];

/// What `calendar` does.
#[derive(Subcommand)]
pub enum CalendarCommand {
    /// Spot date and business days of a pair (USD/JPY) or an asset (EUR); offline
    Show(ShowArgs),
}

/// What `calendar show` takes.
#[derive(Args)]
#[command(group = ArgGroup::new("when").required(true).args(["date", "year"]))]
pub struct ShowArgs {
    /// A pair, such as USD/JPY, or an asset, such as EUR
    what: String,
    /// The trade date of a pair, or the day of an asset: YYYY-MM-DD
    #[arg(long, value_parser = parse_date)]
    date: Option<NaiveDate>,
    /// List the holidays of this year
    #[arg(long, value_name = "YYYY")]
    year: Option<i32>,
    /// A scheme's file: its days count, and its cut-offs are shown
    #[arg(long, value_name = "FILE")]
    scheme: Option<PathBuf>,
}

fn parse_date(text: &str) -> Result<NaiveDate, String> {
    let date = Date::parse(text.as_bytes());
    date.map(Date::naive)
        .ok_or_else(|| "a date is YYYY-MM-DD".to_owned())
}

/// A pair, or one asset.
enum Subject {
    Pair(Pair),
    Asset(AssetCode),
}

impl Subject {
    fn parse(text: &str) -> Result<Self, CliError> {
        let found = match Pair::parse(text) {
            Ok(pair) => Some(Self::Pair(pair)),
            Err(_) => AssetCode::parse(text.as_bytes()).map(Self::Asset),
        };
        let form = "is neither a pair, such as USD/JPY, nor an asset, such as EUR";
        found.ok_or_else(|| CliError::Usage(format!("{text} {form}")))
    }

    fn assets(&self) -> Vec<AssetCode> {
        match self {
            Self::Pair(pair) => vec![pair.base, pair.quote],
            Self::Asset(asset) => vec![*asset],
        }
    }
}

/// Runs `calendar`.
pub fn calendar(command: &CalendarCommand, format: Format) -> Result<(), CliError> {
    let CalendarCommand::Show(args) = command;
    print(format, &show(args)?);
    Ok(())
}

fn show(args: &ShowArgs) -> Result<Vec<Section>, CliError> {
    let subject = Subject::parse(&args.what)?;
    let scheme = args.scheme.as_deref().map(read_scheme).transpose()?;
    let calendars = scheme.as_ref().map_or(Ok(Calendars::new()), calendars_of)?;
    if let Some(year) = args.year {
        return Ok(vec![holidays(&subject, &calendars, year)?]);
    }
    let date = args.date.expect("clap asks for a date or a year");
    let beyond = |error: CalendarError| CliError::Usage(error.to_string());
    let (value_date, mut sections) = match subject {
        Subject::Pair(pair) => pair_sections(&calendars, pair, date).map_err(beyond)?,
        Subject::Asset(asset) => asset_sections(&calendars, asset, date).map_err(beyond)?,
    };
    if let Some(scheme) = &scheme {
        sections.push(cut_offs(scheme, &calendars, &subject.assets(), value_date)?);
    }
    sections.push(figures(&subject.assets()));
    Ok(sections)
}

fn pair_sections(
    calendars: &Calendars,
    pair: Pair,
    trade: NaiveDate,
) -> Result<(NaiveDate, Vec<Section>), CalendarError> {
    let chain = spot_chain(calendars, pair, trade)?;
    let spot = chain.last().expect("spot is after the trade").date;
    let head = vec![
        ("pair", Cell::text(pair.to_string())),
        ("trade_date", date_cell(trade)),
        ("spot_date", date_cell(spot)),
        ("weekday", weekday(spot)),
    ];
    let rows = chain
        .iter()
        .map(|step| day_row(step.date, &step.closed))
        .collect();
    let joint = calendars.joint(&[pair.base, pair.quote]);
    let sections = vec![
        Section::record("calendar", head),
        Section::rows("chain", &DAY_COLUMNS, rows),
        tenors(calendars, pair, trade),
        business_days(&joint, trade),
    ];
    Ok((spot, sections))
}

fn asset_sections(
    calendars: &Calendars,
    asset: AssetCode,
    date: NaiveDate,
) -> Result<(NaiveDate, Vec<Section>), CalendarError> {
    let joint = calendars.joint(&[asset]);
    let next = joint.on_or_after(date)?;
    let rows = date.iter_days().take_while(|day| *day <= next);
    let rows = rows.map(|day| Ok(day_row(day, &joint.closed(day)?)));
    let head = vec![
        ("asset", Cell::text(asset.to_string())),
        ("date", date_cell(date)),
        (
            "day",
            Cell::text(calendars.of(asset).day(date)?.to_string()),
        ),
        ("business_day", date_cell(next)),
    ];
    let sections = vec![
        Section::record("calendar", head),
        Section::rows("chain", &DAY_COLUMNS, rows.collect::<Result<_, _>>()?),
        business_days(&joint, date),
    ];
    Ok((next, sections))
}

const DAY_COLUMNS: [&str; 4] = ["date", "weekday", "counts", "reason"];

fn day_row(date: NaiveDate, closed: &[(AssetCode, Day)]) -> Vec<Cell> {
    let reasons: Vec<String> = closed
        .iter()
        .map(|(asset, day)| format!("{asset}: {day}"))
        .collect();
    vec![
        date_cell(date),
        weekday(date),
        Cell::Flag(closed.is_empty()),
        Cell::text(reasons.join(", ")),
    ]
}

/// Tenors that the figures reach; beyond them the reason stands in place of a date.
fn tenors(calendars: &Calendars, pair: Pair, trade: NaiveDate) -> Section {
    let rows = TENORS.iter().map(|text| {
        let tenor: Tenor = text.parse().expect("a tenor of the list");
        let (date, reason) = match forward_date(calendars, pair, trade, tenor) {
            Ok(date) => (date_cell(date), String::new()),
            Err(error) => (Cell::text(""), error.to_string()),
        };
        vec![Cell::text(*text), date, Cell::text(reason)]
    });
    Section::rows("tenors", &["tenor", "date", "reason"], rows.collect())
}

/// The next joint business days, as far as the figures reach.
fn business_days(joint: &JointCalendar<'_>, after: NaiveDate) -> Section {
    let mut date = after;
    let mut rows = Vec::new();
    for _ in 0..BUSINESS_DAYS_SHOWN {
        let Ok(next) = joint.add_business_days(date, 1) else {
            break;
        };
        rows.push(vec![date_cell(next), weekday(next)]);
        date = next;
    }
    Section::rows("business_days", &["date", "weekday"], rows)
}

/// A year's holidays, with those that the scheme adds, without those that it takes away.
fn holidays(subject: &Subject, calendars: &Calendars, year: i32) -> Result<Section, CliError> {
    if !(HOLIDAYS_FIRST_YEAR..=HOLIDAYS_LAST_YEAR).contains(&year) {
        let range = format!("{HOLIDAYS_FIRST_YEAR} to {HOLIDAYS_LAST_YEAR}");
        return Err(CliError::Usage(format!("holidays are known for {range}")));
    }
    let mut rows = Vec::new();
    for asset in subject.assets() {
        let figures = CurrencyHolidays::of(asset);
        let published = figures.into_iter().flat_map(CurrencyHolidays::days);
        let published =
            published.filter(|(day, _)| calendars.change(asset, *day) != Some(DayChange::Business));
        let changes = calendars.changes();
        let added = changes.filter(|(of, _, change)| (*of, *change) == (asset, DayChange::Holiday));
        let added = added.map(|(_, day, _)| (day, "holiday of the scheme"));
        let mut days: Vec<_> = published.chain(added).collect();
        days.retain(|(day, _)| day.year() == year);
        days.sort_unstable_by_key(|(day, _)| *day);
        days.dedup_by_key(|(day, _)| *day);
        rows.extend(days.into_iter().map(|(day, name)| {
            vec![
                Cell::text(asset.to_string()),
                date_cell(day),
                weekday(day),
                Cell::text(name),
            ]
        }));
    }
    let columns = ["asset", "date", "weekday", "holiday"];
    Ok(Section::rows("holidays", &columns, rows))
}

/// Where the figures come from, and how far they reach.
fn figures(assets: &[AssetCode]) -> Section {
    let rows = assets
        .iter()
        .map(|asset| match CurrencyHolidays::of(*asset) {
            Some(figures) => vec![
                Cell::text(asset.to_string()),
                Cell::text(format!("{HOLIDAYS_SOURCE}: {}", figures.source())),
                Cell::text(figures.announced_until().to_string()),
                Cell::text(HOLIDAYS_LAST_YEAR.to_string()),
            ],
            None => vec![
                Cell::text(asset.to_string()),
                Cell::text("none: weekends only"),
                Cell::text(""),
                Cell::text(""),
            ],
        });
    let columns = ["asset", "figures", "announced_until", "last_year"];
    Section::rows("figures", &columns, rows.collect())
}

fn read_scheme(path: &Path) -> Result<v1::Scheme, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, &error))?;
    let scheme = scheme_file::parse(&text);
    scheme.map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

fn asset_code(text: &str) -> Result<AssetCode, CliError> {
    let code = AssetCode::parse(text.as_bytes());
    code.ok_or_else(|| CliError::Usage(format!("{text} is no asset code")))
}

fn calendars_of(scheme: &v1::Scheme) -> Result<Calendars, CliError> {
    let mut calendars = Calendars::new();
    for day in &scheme.days {
        let date = parse_date(&day.date).map_err(CliError::Usage)?;
        let change = match day.kind() {
            v1::DayKind::Business => DayChange::Business,
            v1::DayKind::Holiday | v1::DayKind::Unspecified => DayChange::Holiday,
        };
        calendars.set(asset_code(&day.asset)?, date, change);
    }
    Ok(calendars)
}

/// The scheme's cut-offs on a value date, and those of the assets, as UTC instants.
fn cut_offs(
    scheme: &v1::Scheme,
    calendars: &Calendars,
    assets: &[AssetCode],
    value_date: NaiveDate,
) -> Result<Section, CliError> {
    let mut rows = Vec::new();
    if let Some(all) = &scheme.cut_offs {
        let times = [
            ("close", &all.close),
            ("pay_in", &all.pay_in),
            ("completion", &all.completion),
        ];
        for (purpose, time) in times {
            rows.push(cut_off_row("", purpose, time, &all.zone, value_date)?);
        }
    }
    let is_asked = |line: &&v1::AssetCutOff| {
        let mut named = assets.iter();
        !line.time.is_empty() && named.any(|asset| asset.to_string() == line.asset)
    };
    for line in scheme.asset_cut_offs.iter().filter(is_asked) {
        let calendar = calendars.joint(&[asset_code(&line.asset)?]);
        let day = match line.days_before {
            0 => Ok(value_date),
            days => calendar.subtract_business_days(value_date, days),
        };
        let day = day.map_err(|error| CliError::Usage(error.to_string()))?;
        let purpose = super::text::cut_off_purpose(line.purpose);
        rows.push(cut_off_row(
            &line.asset,
            &purpose,
            &line.time,
            &line.zone,
            day,
        )?);
    }
    let columns = ["asset", "purpose", "date", "local", "zone", "instant"];
    Ok(Section::rows("cut_offs", &columns, rows))
}

fn cut_off_row(
    asset: &str,
    purpose: &str,
    time: &str,
    zone: &str,
    date: NaiveDate,
) -> Result<Vec<Cell>, CliError> {
    let cut_off = LocalCutoff::parse(time, zone);
    let cut_off = cut_off.map_err(|error| CliError::Usage(error.to_string()))?;
    let instant = cut_off
        .instant_ms(date)
        .and_then(DateTime::from_timestamp_millis);
    let instant = instant.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    Ok(vec![
        Cell::text(asset),
        Cell::text(purpose),
        date_cell(date),
        Cell::text(time),
        Cell::text(zone),
        Cell::text(instant.unwrap_or_default()),
    ])
}

fn date_cell(date: NaiveDate) -> Cell {
    Cell::text(date.to_string())
}

fn weekday(date: NaiveDate) -> Cell {
    Cell::text(date.weekday().to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(what: &str, date: &str, scheme: Option<&Path>) -> Result<String, CliError> {
        let args = ShowArgs {
            what: what.to_owned(),
            date: Some(date.parse().unwrap()),
            year: None,
            scheme: scheme.map(Path::to_owned),
        };
        show(&args).map(|sections| format!("{sections:?}"))
    }

    fn cell(text: &str) -> String {
        format!("Text(\"{text}\")")
    }

    #[test]
    fn a_pair_has_its_spot_date_and_reasons() {
        for (what, date, spot, reason) in [
            (
                "USD/JPY",
                "2026-11-20",
                "2026-11-25",
                "JPY: Labor Thanksgiving Day",
            ),
            (
                "EUR/USD",
                "2026-11-24",
                "2026-11-27",
                "USD: Thanksgiving Day",
            ),
            (
                "EUR/GBP",
                "2026-12-23",
                "2026-12-29",
                "EUR: Christmas Day, GBP: Christmas Day, USD: Christmas Day",
            ),
        ] {
            let text = shown(what, date, None).unwrap();
            assert!(text.contains(&cell(spot)), "{what} {date}: {text}");
            assert!(text.contains(&cell(reason)), "{what} {date}: {text}");
        }
    }

    #[test]
    fn what_cannot_be_shown_says_why() {
        for (what, date, expected) in [
            ("usd", "2026-11-20", "usd is neither a pair"),
            ("USD/USD", "2026-11-20", "USD/USD is neither a pair"),
            ("USD/ILS", "2030-12-31", "calendar of ILS ends with 2030"),
            ("EUR", "2019-12-31", "calendar of EUR begins with 2020"),
        ] {
            let error = shown(what, date, None).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_scheme_adds_days_and_cut_offs() {
        let file = std::env::temp_dir().join(format!("valuta-calendar-{}", std::process::id()));
        std::fs::write(&file, scheme_file::SAMPLE).unwrap();
        let text = shown("EUR", "2026-12-24", Some(&file)).unwrap();
        let jpy = shown("JPY", "2026-12-24", Some(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(text.contains(&cell("EUR: holiday of the scheme")), "{text}");
        assert!(text.contains(&cell("2026-12-28")), "{text}");
        // Zurich's noon, and Tokyo's 20:30.
        assert!(text.contains(&cell("2026-12-28T11:00:00Z")), "{text}");
        assert!(jpy.contains(&cell("2026-12-24T11:30:00Z")), "{jpy}");
    }

    #[test]
    fn a_year_lists_holidays() {
        let args = ShowArgs {
            what: "EUR".to_owned(),
            date: None,
            year: Some(2026),
            scheme: None,
        };
        let text = format!("{:?}", show(&args).unwrap());
        assert_eq!(text.matches("2026-").count(), 6, "{text}");
        let args = ShowArgs {
            year: Some(2031),
            ..args
        };
        let error = show(&args).unwrap_err().to_string();
        assert_eq!(error, "holidays are known for 2020 to 2030");
    }
}
