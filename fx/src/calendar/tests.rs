//! Known days, spot dates of real cases, and every search against one that steps through a plain set.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chrono::{Datelike, Months, NaiveDate, Weekday};

use super::*;
use crate::asset::AssetCode;
use crate::pair::Pair;

fn code(text: &str) -> AssetCode {
    AssetCode::parse(text.as_bytes()).unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn pair(text: &str) -> Pair {
    Pair::parse(text).unwrap()
}

#[test]
fn the_figures_are_sorted_named_and_whole() {
    let codes: Vec<_> = currencies().map(CurrencyHolidays::code).collect();
    assert!(codes.is_sorted_by(|one, other| one < other));
    let expected = "AUD CAD CHF CNY DKK EUR GBP HKD HUF ILS JPY KRW MXN NOK NZD SEK SGD USD ZAR";
    let found: Vec<_> = codes.iter().map(ToString::to_string).collect();
    assert_eq!(found.join(" "), expected);
    for currency in currencies() {
        let name = currency.code();
        let days: Vec<_> = currency.days().collect();
        assert!(days.is_sorted_by(|one, other| one.0 < other.0), "{name}");
        for (day, text) in days {
            assert!(text.is_ascii() && !text.is_empty(), "{name} {day}");
            assert!(CurrencyHolidays::covers(day), "{name} {day}");
            assert_eq!(currency.name_on(day), Some(text), "{name} {day}");
        }
        for year in HOLIDAYS_FIRST_YEAR..=HOLIDAYS_LAST_YEAR {
            let closed = currency.days().filter(|(day, _)| day.year() == year);
            // TARGET has six a year, China with its substitutes up to 28.
            assert!((6..=28).contains(&closed.count()), "{name} {year}");
        }
    }
}

fn check_day(asset: &str, on: &str, expected: &str) {
    let calendars = Calendars::new();
    let day = calendars.of(code(asset)).day(date(on));
    let found = day.map_or_else(|error| error.to_string(), |day| day.to_string());
    assert_eq!(found, expected, "{asset} {on}");
}

/// Known from central banks' own calendars, not from the package.
#[test]
fn knows_real_days() {
    for (asset, on, expected) in [
        // Easter 2026: Good Friday 3 April, Monday 6 April.
        ("EUR", "2026-04-03", "Good Friday"),
        ("EUR", "2026-04-06", "Easter Monday"),
        ("USD", "2026-04-03", "business day"),
        ("USD", "2026-04-06", "business day"),
        ("NOK", "2026-04-02", "Maundy Thursday"),
        ("MXN", "2026-04-02", "Maundy Thursday"),
        ("SEK", "2026-04-02", "business day"),
        // TARGET keeps 1 May, and no national day.
        ("EUR", "2026-05-01", "Labour Day"),
        ("EUR", "2026-05-14", "business day"),
        ("CHF", "2026-05-14", "Ascension Day"),
        ("DKK", "2026-05-15", "Day after Ascension Day"),
        ("DKK", "2026-05-01", "business day"),
        ("CHF", "2026-01-02", "Saint Berchtold's Day"),
        // Fedwire: the fourth of July 2026 is a Saturday, and the Friday before it a business day; a
        // Sunday's holiday is kept on Monday.
        ("USD", "2026-07-03", "business day"),
        ("USD", "2021-07-05", "Independence Day (observed)"),
        ("USD", "2026-11-26", "Thanksgiving Day"),
        ("USD", "2026-11-27", "business day"),
        ("USD", "2026-12-25", "Christmas Day"),
        // Golden Week 2026.
        ("JPY", "2026-04-29", "Showa Day"),
        ("JPY", "2026-04-30", "business day"),
        ("JPY", "2026-05-04", "Greenery Day"),
        ("JPY", "2026-05-05", "Children's Day"),
        ("JPY", "2026-05-06", "Substitute Holiday"),
        ("JPY", "2026-11-23", "Labor Thanksgiving Day"),
        ("JPY", "2026-12-31", "Bank Holiday"),
        ("JPY", "2027-01-01", "Bank Holiday; New Year's Day"),
        ("GBP", "2026-12-28", "Boxing Day (observed)"),
        ("GBP", "2026-08-31", "Late Summer Bank Holiday"),
        ("GBP", "2022-09-19", "State Funeral of Queen Elizabeth II"),
        ("CAD", "2026-10-12", "Thanksgiving Day"),
        ("NZD", "2026-07-10", "Matariki"),
        ("SEK", "2026-06-19", "Midsummer Eve"),
        ("SEK", "2026-12-24", "Christmas Eve"),
        ("CNY", "2026-02-17", "Chinese New Year (Spring Festival)"),
        // Working weekends stay weekends: Saturday 14 February 2026 makes up for Friday 20.
        ("CNY", "2026-02-14", "weekend"),
        ("ILS", "2026-09-21", "Yom Kippur"),
        ("ILS", "2026-11-22", "weekend"),
        ("ILS", "2026-11-20", "business day"),
        ("ILS", "2031-01-02", "calendar of ILS ends with 2030"),
        ("ILS", "2019-12-31", "calendar of ILS begins with 2020"),
        ("ILS", "2031-01-04", "calendar of ILS ends with 2030"),
        // No figures: weekends only.
        ("KWD", "2026-12-25", "business day"),
        ("TBILL26", "2026-12-25", "business day"),
        ("TBILL26", "2050-01-01", "weekend"),
    ] {
        check_day(asset, on, expected);
    }
}

#[test]
fn target_rests_on_six_days() {
    let euro = CurrencyHolidays::of(code("EUR")).unwrap();
    let days: Vec<_> = euro.days().filter(|(day, _)| day.year() == 2026).collect();
    let found: Vec<_> = days.iter().map(|(day, _)| day.to_string()).collect();
    assert_eq!(
        found.join(" "),
        "2026-01-01 2026-04-03 2026-04-06 2026-05-01 2026-12-25 2026-12-26"
    );
}

#[test]
fn a_scheme_changes_days_of_one_asset() {
    let mut calendars = Calendars::new();
    let (eve, saturday) = (date("2026-12-24"), date("2026-02-14"));
    calendars.set(code("EUR"), eve, DayChange::Holiday);
    calendars.set(code("CNY"), saturday, DayChange::Business);
    calendars.set(code("EUR"), date("2031-01-02"), DayChange::Business);
    assert_eq!(calendars.of(code("EUR")).day(eve), Ok(Day::Added));
    assert_eq!(calendars.of(code("USD")).day(eve), Ok(Day::Business));
    assert_eq!(calendars.of(code("CNY")).day(saturday), Ok(Day::Business));
    let beyond = calendars.of(code("EUR")).day(date("2031-01-02"));
    assert_eq!(beyond, Ok(Day::Business));
    assert_eq!(calendars.changes().count(), 3);
    calendars.set(code("EUR"), eve, DayChange::Business);
    assert_eq!(calendars.of(code("EUR")).day(eve), Ok(Day::Business));
    assert_eq!(calendars.changes().count(), 3);
}

#[test]
fn spot_is_per_pair() {
    for (pair_text, trade, expected) in [
        ("EUR/USD", "2026-11-18", "2026-11-20"),
        ("EUR/USD", "2026-11-20", "2026-11-24"),
        ("EUR/USD", "2026-11-21", "2026-11-24"),
        // One day for the Canadian dollar against the dollar, two against others.
        ("USD/CAD", "2026-11-19", "2026-11-20"),
        ("CAD/USD", "2026-11-20", "2026-11-23"),
        ("EUR/CAD", "2026-11-19", "2026-11-23"),
        // Thanksgiving on T+1 does not count; on T+2 it does.
        ("EUR/USD", "2026-11-25", "2026-11-27"),
        ("EUR/USD", "2026-11-24", "2026-11-27"),
        ("USD/CAD", "2026-11-25", "2026-11-27"),
        // A cross may have the dollar's holiday on T+1, and may not settle on it.
        ("EUR/GBP", "2026-11-25", "2026-11-27"),
        ("EUR/GBP", "2026-11-24", "2026-11-27"),
        // Against the Mexican peso the dollar's holiday on T+1 counts.
        ("USD/MXN", "2026-11-25", "2026-11-30"),
        // Labor Thanksgiving Day in Japan on T+1.
        ("USD/JPY", "2026-11-20", "2026-11-25"),
        ("EUR/USD", "2026-11-20", "2026-11-24"),
        // Golden Week: 4, 5 and 6 May.
        ("USD/JPY", "2026-04-30", "2026-05-07"),
        ("USD/JPY", "2026-05-01", "2026-05-08"),
        // Easter: Friday and Monday closed in Europe; Monday open in New York.
        ("EUR/USD", "2026-04-01", "2026-04-07"),
        ("EUR/USD", "2026-04-02", "2026-04-08"),
        ("USD/CHF", "2026-12-23", "2026-12-28"),
        ("GBP/USD", "2026-12-23", "2026-12-29"),
    ] {
        let found = spot_date(&Calendars::new(), pair(pair_text), date(trade));
        assert_eq!(found, Ok(date(expected)), "{pair_text} {trade}");
    }
}

#[test]
fn the_chain_says_why_a_day_does_not_count() {
    let chain = spot_chain(&Calendars::new(), pair("USD/JPY"), date("2026-11-20")).unwrap();
    let said: Vec<String> = chain
        .iter()
        .map(|step| {
            let closed = step
                .closed
                .iter()
                .map(|(asset, day)| format!(" {asset} {day}"));
            format!("{}{}", step.date, closed.collect::<String>())
        })
        .collect();
    assert_eq!(
        said,
        [
            "2026-11-21 JPY weekend",
            "2026-11-22 JPY weekend",
            "2026-11-23 JPY Labor Thanksgiving Day",
            "2026-11-24",
            "2026-11-25",
        ]
    );
}

#[test]
fn beyond_the_figures_is_an_error() {
    let calendars = Calendars::new();
    let error = |asset: &str| Err(CalendarError::AfterFigures(code(asset)));
    assert_eq!(
        spot_date(&calendars, pair("EUR/USD"), date("2030-12-30")),
        error("EUR")
    );
    let joint = calendars.joint(&[code("TBILL26"), code("JPY")]);
    assert_eq!(
        joint.add_business_days(date("2030-12-27"), 1),
        Ok(date("2030-12-30"))
    );
    assert_eq!(joint.add_business_days(date("2030-12-30"), 1), error("JPY"));
    let token = calendars.joint(&[code("TBILL26")]);
    assert_eq!(
        token.add_business_days(NaiveDate::MAX, 1),
        Err(CalendarError::NoDate)
    );
    assert_eq!(
        token.add_months(NaiveDate::MAX, 1),
        Err(CalendarError::NoDate)
    );
}

#[test]
fn adjusts_by_convention() {
    let calendars = Calendars::new();
    let joint = calendars.joint(&[code("EUR"), code("USD")]);
    for (convention, on, expected) in [
        (Convention::Following, "2026-01-31", "2026-02-02"),
        (Convention::ModifiedFollowing, "2026-01-31", "2026-01-30"),
        (Convention::Preceding, "2026-02-01", "2026-01-30"),
        (Convention::ModifiedFollowing, "2026-04-04", "2026-04-07"),
        (Convention::ModifiedFollowing, "2026-05-30", "2026-05-29"),
        (Convention::Preceding, "2026-04-06", "2026-04-02"),
        (Convention::Following, "2026-11-26", "2026-11-27"),
        (Convention::ModifiedFollowing, "2026-11-20", "2026-11-20"),
    ] {
        let found = joint.adjust(date(on), convention);
        assert_eq!(found, Ok(date(expected)), "{convention:?} {on}");
    }
}

#[test]
fn tenors_run_from_trade_or_spot() {
    for (tenor, trade, expected) in [
        ("ON", "2026-11-18", "2026-11-19"),
        ("TN", "2026-11-18", "2026-11-20"),
        ("SPOT", "2026-11-18", "2026-11-20"),
        ("SN", "2026-11-18", "2026-11-23"),
        ("1W", "2026-11-18", "2026-11-27"),
        ("2W", "2026-11-18", "2026-12-04"),
        ("1M", "2026-11-18", "2026-12-21"),
        ("3M", "2026-11-18", "2027-02-22"),
        ("1Y", "2026-11-18", "2027-11-22"),
        // Spot 30 January 2026 is the last business day of its month: end of month to end of month.
        ("1M", "2026-01-28", "2026-02-27"),
        ("2M", "2026-01-28", "2026-03-31"),
        ("3M", "2026-01-28", "2026-04-30"),
        // Spot 31 July; end of October is a Saturday.
        ("3M", "2026-07-29", "2026-10-30"),
    ] {
        let read: Tenor = tenor.parse().unwrap();
        assert_eq!(read.to_string(), tenor);
        let found = forward_date(&Calendars::new(), pair("EUR/USD"), date(trade), read);
        assert_eq!(found, Ok(date(expected)), "{tenor} {trade}");
    }
    for text in [
        "",
        "W",
        "0W",
        "1",
        "1D",
        "on",
        "+1W",
        "1w",
        "100Y",
        "1é",
        "99999999999M",
    ] {
        assert_eq!(text.parse::<Tenor>(), Err(TenorError), "{text:?}");
    }
}

/// A plain set of the joint closed days, to step through.
struct Naive(BTreeSet<NaiveDate>);

impl Naive {
    fn of(assets: &[&str]) -> Self {
        let mut closed = BTreeSet::new();
        for asset in assets {
            let figures = CurrencyHolidays::of(code(asset)).unwrap();
            closed.extend(figures.days().map(|(day, _)| day));
        }
        Self(closed)
    }

    fn open(&self, day: NaiveDate) -> bool {
        !self.0.contains(&day) && !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
    }

    fn add(&self, from: NaiveDate, days: usize) -> NaiveDate {
        from.iter_days()
            .skip(1)
            .filter(|&day| self.open(day))
            .nth(days - 1)
            .unwrap()
    }
}

const PAIRS: [(&str, &str); 7] = [
    ("EUR", "USD"),
    ("USD", "JPY"),
    ("USD", "CAD"),
    ("GBP", "JPY"),
    ("USD", "MXN"),
    ("ILS", "HKD"),
    ("CNY", "KRW"),
];

#[test]
fn searches_are_steps_through_a_plain_set() {
    let calendars = Calendars::new();
    for (base, quote) in PAIRS {
        let (naive, joint) = (
            Naive::of(&[base, quote]),
            calendars.joint(&[code(base), code(quote), code(base)]),
        );
        for start in date("2026-01-01").iter_days().take(730) {
            let at = format!("{base}/{quote} {start}");
            assert_eq!(joint.is_business_day(start), Ok(naive.open(start)), "{at}");
            assert_eq!(joint.closed(start).unwrap().is_empty(), naive.open(start));
            for days in [1, 2, 5, 23] {
                let added = joint.add_business_days(start, days).unwrap();
                assert_eq!(added, naive.add(start, days as usize), "{at}+{days}");
                if naive.open(start) {
                    assert_eq!(joint.subtract_business_days(added, days), Ok(start), "{at}");
                }
            }
            let month = start.checked_add_months(Months::new(1)).unwrap();
            let ends = month.with_day(1).unwrap().iter_days().take(31);
            let last = ends
                .filter(|day| day.month() == month.month())
                .max()
                .unwrap();
            let last = last.iter_days().rev().find(|&day| naive.open(day)).unwrap();
            assert_eq!(joint.month_end(month), Ok(last), "{at}");
        }
    }
}

#[test]
fn spot_is_counted_naively_too() {
    let calendars = Calendars::new();
    for (base, quote) in PAIRS {
        let spot_days = if quote == "CAD" { 1 } else { 2 };
        let others: Vec<&str> = [base, quote]
            .into_iter()
            .filter(|&one| one != "USD")
            .collect();
        let between = Naive::of(if quote == "MXN" {
            &["USD", "MXN"]
        } else {
            &others
        });
        let all = Naive::of(&[base, quote, "USD"]);
        for trade in date("2026-01-01").iter_days().take(730) {
            let from = match spot_days {
                1 => trade,
                _ => between.add(trade, 1),
            };
            let pair = pair(&format!("{base}/{quote}"));
            let found = spot_date(&calendars, pair, trade).unwrap();
            assert_eq!(found, all.add(from, 1), "{pair} {trade}");
        }
    }
}
