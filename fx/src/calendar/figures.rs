//! One currency's holiday figures.

use chrono::{Datelike, NaiveDate};

use super::holidays::{HOLIDAYS, HOLIDAYS_FIRST_YEAR, HOLIDAYS_LAST_YEAR};
use crate::asset::AssetCode;

/// The days on which a currency's payment system is closed, beside weekends.
#[derive(Debug)]
pub struct CurrencyHolidays {
    pub(super) code: AssetCode,
    pub(super) source: &'static str,
    pub(super) announced_until: i32,
    pub(super) names: &'static [&'static str],
    /// `YYYYMMDD` and the place of its name, ascending.
    pub(super) days: &'static [(u32, u8)],
}

/// All currencies with figures, by code.
pub fn currencies() -> impl Iterator<Item = &'static CurrencyHolidays> {
    HOLIDAYS.iter()
}

/// For the table: a code that is known to be one.
pub(super) const fn code(text: &str) -> AssetCode {
    AssetCode::parse(text.as_bytes()).expect("the table has currency codes")
}

impl CurrencyHolidays {
    /// A currency's figures; `None` for any other asset.
    #[must_use]
    pub fn of(code: AssetCode) -> Option<&'static Self> {
        let found = HOLIDAYS.binary_search_by_key(&code, |currency| currency.code);
        found.ok().map(|at| &HOLIDAYS[at])
    }

    /// The currency.
    #[must_use]
    pub fn code(&self) -> AssetCode {
        self.code
    }

    /// What was taken from the source, and why.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// The last year with all that a government announces year by year; after it come days by rule or
    /// estimate, and days announced since then are missing: a scheme adds them.
    #[must_use]
    pub fn announced_until(&self) -> i32 {
        self.announced_until
    }

    /// Whether the figures reach a date.
    #[must_use]
    pub fn covers(date: NaiveDate) -> bool {
        (HOLIDAYS_FIRST_YEAR..=HOLIDAYS_LAST_YEAR).contains(&date.year())
    }

    /// The holiday's name; `None` if it is no holiday, or the figures do not reach the date.
    #[must_use]
    pub fn name_on(&self, date: NaiveDate) -> Option<&'static str> {
        let year = u32::try_from(date.year()).ok()?;
        let number = year.checked_mul(10_000)? + date.month() * 100 + date.day();
        let found = self.days.binary_search_by_key(&number, |(day, _)| *day);
        found
            .ok()
            .map(|at| self.names[usize::from(self.days[at].1)])
    }

    /// All holidays with their names, ascending; those on weekends too.
    pub fn days(&self) -> impl Iterator<Item = (NaiveDate, &'static str)> + use<> {
        let names = self.names;
        self.days.iter().map(move |&(number, name)| {
            let year = i32::try_from(number / 10_000).expect("a year of four digits");
            let date = NaiveDate::from_ymd_opt(year, number / 100 % 100, number % 100);
            (date.expect("the table has dates"), names[usize::from(name)])
        })
    }
}
