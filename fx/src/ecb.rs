//! The euro's reference rates as the ECB publishes them: CSV text, of one day or of the whole history.
//!
//! | file                 | header                | a date        | cells                              |
//! |----------------------|-----------------------|---------------|------------------------------------|
//! | `eurofxref-hist.csv` | `Date,USD,JPY,...,`   | `2026-04-13`  | `1.1684`; `N/A` or empty: no rate  |
//! | `eurofxref.csv`      | `Date, USD, JPY, ...` | `13 April 2026` | the same, after a space          |
//!
//! Days are newest first. A rate is one euro in the currency. Currencies come and go, so a day has rates of
//! some of the columns. What is not so is refused with its line and column: nothing is guessed or skipped.

use core::fmt;

use chrono::NaiveDate;

use crate::amount::DecimalText;
use crate::asset::AssetCode;
use crate::historic::known_minor_units;
use crate::rate::{Rate, RateError};

/// Stands where a day has no rate of a currency.
const NOT_AVAILABLE: &str = "N/A";

/// The name of the first column.
const DATE_COLUMN: &str = "Date";

/// What the rates are of one of.
const EURO: AssetCode = AssetCode::parse(b"EUR").expect("EUR is a code");

/// Reference rates by day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceRates {
    currencies: Vec<AssetCode>,
    /// Newest first; at least one.
    days: Vec<Day>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Day {
    date: NaiveDate,
    /// By currency.
    rates: Vec<Option<DecimalText>>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct EcbError {
    /// From 1.
    pub line: usize,
    /// A currency, `Date`, or the column's number from 1 where it has no name.
    pub column: String,
    /// What is wrong there.
    pub fault: EcbFault,
}

/// What is wrong with a cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EcbFault {
    /// There is no text at all.
    #[error("the file is empty")]
    Empty,
    /// The first column's name is another.
    #[error("the header does not begin with Date")]
    NoDateColumn,
    /// Not a code.
    #[error("{0:?} is not a currency")]
    NotACurrency(String),
    /// A code, but none whose decimals are known.
    #[error("the currency {0} is not known")]
    CurrencyUnknown(AssetCode),
    /// The euro has no rate in itself.
    #[error("the euro has no rate of its own")]
    Euro,
    /// Two columns for one currency.
    #[error("the currency {0} has two columns")]
    CurrencyTwice(AssetCode),
    /// A header and nothing else.
    #[error("there is no day")]
    NoDay,
    /// Neither of the forms of a date.
    #[error("{0:?} is not a date such as 2026-04-13 or 13 April 2026")]
    NotADate(String),
    /// The day came before.
    #[error("{0} comes twice")]
    DateTwice(NaiveDate),
    /// Days are newest first.
    #[error("{date} stands below {above}: days are newest first")]
    Unordered {
        /// This line's.
        date: NaiveDate,
        /// The day before it in the file.
        above: NaiveDate,
    },
    /// A line has another number of cells than the header.
    #[error("the line has {found} cells and the header {expected}")]
    Cells {
        /// How many the line has.
        found: usize,
        /// How many the header has.
        expected: usize,
    },
    /// Not a rate.
    #[error("{text:?}: {error}")]
    Rate {
        /// The cell.
        text: String,
        /// Why not.
        error: RateError,
    },
}

/// Why there are no rates of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRates {
    /// The day.
    pub date: NaiveDate,
    /// The last day before it that has rates, if there is one.
    pub before: Option<NaiveDate>,
}

impl fmt::Display for NoRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are no rates of {}", self.date)?;
        match self.before {
            Some(before) => write!(f, "; the last day before it with rates is {before}"),
            None => write!(f, ", nor of any day before it"),
        }
    }
}

impl core::error::Error for NoRates {}

/// One day's rates.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceDay<'a> {
    currencies: &'a [AssetCode],
    day: &'a Day,
}

impl ReferenceRates {
    /// Reads a file of the ECB.
    ///
    /// # Errors
    /// The first cell that is not as the module says.
    pub fn parse(text: &str) -> Result<Self, EcbError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1..).zip(text.lines());
        let (_, header) = lines
            .next()
            .filter(|(_, header)| !header.trim().is_empty())
            .ok_or_else(|| fault(1, DATE_COLUMN, EcbFault::Empty))?;
        let currencies = currencies(header)?;
        let mut days: Vec<Day> = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            let cells = cells(text, ends_with_comma(header)).collect::<Vec<_>>();
            let day = day(line, &cells, &currencies)?;
            if let Some(above) = days.last().map(|day| day.date) {
                check_order(day.date, above, &days).map_err(|why| fault(line, DATE_COLUMN, why))?;
            }
            days.push(day);
        }
        if days.is_empty() {
            return Err(fault(2, DATE_COLUMN, EcbFault::NoDay));
        }
        Ok(Self { currencies, days })
    }

    /// The newest day.
    #[must_use]
    pub fn newest(&self) -> ReferenceDay<'_> {
        self.view(&self.days[0])
    }

    /// One day.
    ///
    /// # Errors
    /// [`NoRates`] on a day without (a weekend, a holiday), which names the last day before it with rates.
    pub fn day(&self, date: NaiveDate) -> Result<ReferenceDay<'_>, NoRates> {
        let place = self.days.partition_point(|day| day.date > date);
        let found = self.days.get(place);
        match found {
            Some(day) if day.date == date => Ok(self.view(day)),
            before => Err(NoRates {
                date,
                before: before.map(|day| day.date),
            }),
        }
    }

    /// Every day, newest first.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = ReferenceDay<'_>> + ExactSizeIterator {
        self.days.iter().map(|day| self.view(day))
    }

    /// The columns' currencies.
    #[must_use]
    pub fn currencies(&self) -> &[AssetCode] {
        &self.currencies
    }

    fn view<'a>(&'a self, day: &'a Day) -> ReferenceDay<'a> {
        ReferenceDay {
            currencies: &self.currencies,
            day,
        }
    }
}

impl ReferenceDay<'_> {
    /// The day.
    #[must_use]
    pub fn date(&self) -> NaiveDate {
        self.day.date
    }

    /// The day's currencies, and one euro in each as it was published: positive, within the bounds of a
    /// quoted [`Rate`].
    pub fn rates(&self) -> impl Iterator<Item = (AssetCode, DecimalText)> {
        let cells = self.currencies.iter().zip(&self.day.rates);
        cells.filter_map(|(code, rate)| Some((*code, (*rate)?)))
    }

    /// One euro in a currency; `None` if the day has no rate of it.
    #[must_use]
    pub fn rate(&self, currency: AssetCode) -> Option<DecimalText> {
        self.rates()
            .find_map(|(code, rate)| (code == currency).then_some(rate))
    }
}

fn fault(line: usize, column: impl fmt::Display, fault: EcbFault) -> EcbError {
    EcbError {
        line,
        column: column.to_string(),
        fault,
    }
}

/// A line's cells. The ECB ends each line with a comma, behind which there is no column.
fn cells(line: &str, ends_with_comma: bool) -> impl Iterator<Item = &str> {
    let line = line.trim();
    let without = line.strip_suffix(',').filter(|_| ends_with_comma);
    without.unwrap_or(line).split(',').map(str::trim)
}

fn ends_with_comma(header: &str) -> bool {
    header.trim_end().ends_with(',')
}

fn currencies(header: &str) -> Result<Vec<AssetCode>, EcbError> {
    let mut cells = cells(header, ends_with_comma(header));
    if cells.next() != Some(DATE_COLUMN) {
        return Err(fault(1, 1, EcbFault::NoDateColumn));
    }
    let mut currencies = Vec::new();
    for (place, text) in (2..).zip(cells) {
        let code =
            currency(text, &currencies).map_err(|why| fault(1, column_name(place, text), why))?;
        currencies.push(code);
    }
    Ok(currencies)
}

fn column_name(place: usize, text: &str) -> String {
    if text.is_empty() {
        return place.to_string();
    }
    text.to_owned()
}

fn currency(text: &str, before: &[AssetCode]) -> Result<AssetCode, EcbFault> {
    let code = AssetCode::parse(text.as_bytes());
    let code = code.ok_or_else(|| EcbFault::NotACurrency(text.to_owned()))?;
    if known_minor_units(code).is_none() {
        return Err(EcbFault::CurrencyUnknown(code));
    }
    if code == EURO {
        return Err(EcbFault::Euro);
    }
    if before.contains(&code) {
        return Err(EcbFault::CurrencyTwice(code));
    }
    Ok(code)
}

fn day(line: usize, cells: &[&str], currencies: &[AssetCode]) -> Result<Day, EcbError> {
    let (found, expected) = (cells.len(), currencies.len() + 1);
    if found != expected {
        let why = EcbFault::Cells { found, expected };
        return Err(fault(line, found.min(expected) + 1, why));
    }
    let date = date(cells[0])
        .ok_or_else(|| fault(line, DATE_COLUMN, EcbFault::NotADate(cells[0].to_owned())))?;
    let rates = currencies
        .iter()
        .zip(&cells[1..])
        .map(|(code, text)| rate(text).map_err(|why| fault(line, code, why)));
    let rates = rates.collect::<Result<_, _>>()?;
    Ok(Day { date, rates })
}

/// `2026-04-13` or `13 April 2026`.
fn date(text: &str) -> Option<NaiveDate> {
    let iso = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| date.to_string() == text);
    iso.or_else(|| NaiveDate::parse_from_str(text, "%d %B %Y").ok())
}

fn rate(text: &str) -> Result<Option<DecimalText>, EcbFault> {
    if text.is_empty() || text == NOT_AVAILABLE {
        return Ok(None);
    }
    Rate::check_quoted(text)
        .map(Some)
        .map_err(|error| EcbFault::Rate {
            text: text.to_owned(),
            error,
        })
}

fn check_order(date: NaiveDate, above: NaiveDate, before: &[Day]) -> Result<(), EcbFault> {
    if date < above {
        return Ok(());
    }
    if before.iter().any(|day| day.date == date) {
        return Err(EcbFault::DateTwice(date));
    }
    Err(EcbFault::Unordered { date, above })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HISTORY: &str = "Date,USD,JPY,TRL,TRY,\n\
        2005-01-03,1.3507,138.52,N/A,1.8331,\n\
        2004-12-31,1.3621,139.65,1836200,N/A,\n\
        2004-12-30,1.3604,,1835600,N/A,\n";

    fn day_of(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn shown(day: ReferenceDay<'_>) -> String {
        let rates = day
            .rates()
            .map(|(code, rate)| format!("{code} {}e-{}", rate.mantissa, rate.scale));
        rates.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn reads_the_history() {
        let rates = ReferenceRates::parse(HISTORY).unwrap();
        assert_eq!(rates.newest().date(), day_of("2005-01-03"));
        for (date, expected) in [
            ("2005-01-03", "USD 13507e-4, JPY 13852e-2, TRY 18331e-4"),
            ("2004-12-31", "USD 13621e-4, JPY 13965e-2, TRL 1836200e-0"),
            ("2004-12-30", "USD 13604e-4, TRL 1835600e-0"),
        ] {
            assert_eq!(shown(rates.day(day_of(date)).unwrap()), expected, "{date}");
        }
        assert_eq!(rates.days().len(), 3);
        let windows = HISTORY.replace('\n', "\r\n");
        assert_eq!(
            ReferenceRates::parse(&format!("\u{feff}{windows}")),
            Ok(rates)
        );
    }

    #[test]
    fn reads_one_day() {
        let text = "Date, USD, JPY, BGN, \n10 April 2026, 1.1711, 186.33, N/A, \n";
        let rates = ReferenceRates::parse(text).unwrap();
        assert_eq!(rates.newest().date(), day_of("2026-04-10"));
        assert_eq!(shown(rates.newest()), "USD 11711e-4, JPY 18633e-2");
        let dollar = AssetCode::parse(b"USD").unwrap();
        assert_eq!(rates.newest().rate(dollar).unwrap().mantissa, 11_711);
    }

    #[test]
    fn a_day_without_rates_names_the_last_before_it() {
        let rates = ReferenceRates::parse(HISTORY).unwrap();
        for (date, expected) in [
            (
                "2005-01-02",
                "no rates of 2005-01-02; the last day before it with rates is 2004-12-31",
            ),
            (
                "2030-01-01",
                "no rates of 2030-01-01; the last day before it with rates is 2005-01-03",
            ),
            (
                "2004-12-29",
                "no rates of 2004-12-29, nor of any day before it",
            ),
        ] {
            let error = rates.day(day_of(date)).unwrap_err().to_string();
            assert_eq!(error, format!("there are {expected}"));
        }
    }

    fn check(text: &str, expected: &str) {
        let error = ReferenceRates::parse(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text:?}");
    }

    #[test]
    fn says_where_a_file_is_wrong() {
        check("", "line 1, column Date: the file is empty");
        check("\nDate,USD,\n", "line 1, column Date: the file is empty");
        check(
            "Day,USD,\n",
            "line 1, column 1: the header does not begin with Date",
        );
        check("Date,USD,\n", "line 2, column Date: there is no day");
        check(
            "Date,USD,usd,\n",
            "line 1, column usd: \"usd\" is not a currency",
        );
        check(
            "Date,USD,,JPY\n",
            "line 1, column 3: \"\" is not a currency",
        );
        check(
            "Date,USD,ZZZ\n",
            "line 1, column ZZZ: the currency ZZZ is not known",
        );
        check(
            "Date,EUR\n",
            "line 1, column EUR: the euro has no rate of its own",
        );
        check(
            "Date,USD,USD\n",
            "line 1, column USD: the currency USD has two columns",
        );
    }

    #[test]
    fn says_which_line_and_column_is_wrong() {
        let with = |lines: &str| format!("Date,USD,JPY,\n{lines}");
        for (lines, expected) in [
            (
                "2026-04-31,1,1,\n",
                "line 2, column Date: \"2026-04-31\" is not a date such as 2026-04-13 or 13 April 2026",
            ),
            (
                "13/04/2026,1,1,\n",
                "line 2, column Date: \"13/04/2026\" is not a date such as 2026-04-13 or 13 April 2026",
            ),
            (
                "2026-4-13,1,1,\n",
                "line 2, column Date: \"2026-4-13\" is not a date such as 2026-04-13 or 13 April 2026",
            ),
            (
                "2026-04-13,1,1,\n\n2026-04-13,1,1,\n",
                "line 4, column Date: 2026-04-13 comes twice",
            ),
            (
                "2026-04-13,1,1,\n2026-04-10,1,1,\n2026-04-13,1,1,\n",
                "line 4, column Date: 2026-04-13 comes twice",
            ),
            (
                "2026-04-10,1,1,\n2026-04-13,1,1,\n",
                "line 3, column Date: 2026-04-13 stands below 2026-04-10: days are newest first",
            ),
            (
                "2026-04-13,1,0,\n",
                "line 2, column JPY: \"0\": the rate is not above zero",
            ),
            (
                "2026-04-13,-1,1,\n",
                "line 2, column USD: \"-1\": the rate is not above zero",
            ),
            (
                "2026-04-13,1,1e3,\n",
                "line 2, column JPY: \"1e3\": the rate is not a decimal: \
                 not a decimal: byte 1 is not a digit or a point between digits",
            ),
            (
                "2026-04-13,1,n/a,\n",
                "line 2, column JPY: \"n/a\": the rate is not a decimal: \
                 not a decimal: byte 0 is not a digit or a point between digits",
            ),
            (
                "2026-04-13,1,\n",
                "line 2, column 3: the line has 2 cells and the header 3",
            ),
            (
                "2026-04-13,1,1,1,\n",
                "line 2, column 4: the line has 4 cells and the header 3",
            ),
        ] {
            check(&with(lines), expected);
        }
    }
}
