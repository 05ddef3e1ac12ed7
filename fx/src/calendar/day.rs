//! Whether a date is a business day of one asset, and why not.

use core::fmt;
use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Weekday};
use minicbor::{Decode, Encode};

use super::figures::CurrencyHolidays;
use super::holidays::{HOLIDAYS_FIRST_YEAR, HOLIDAYS_LAST_YEAR};
use crate::asset::AssetCode;

/// What a date is for an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// Its payments settle.
    Business,
    /// Saturday or Sunday.
    Weekend,
    /// A holiday of the figures, by its name.
    Holiday(&'static str),
    /// A holiday that the scheme added.
    Added,
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Business => "business day",
            Self::Weekend => "weekend",
            Self::Holiday(name) => name,
            Self::Added => "holiday of the scheme",
        })
    }
}

/// What a scheme makes of a date, whatever the figures say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DayChange {
    /// A holiday.
    #[n(1)]
    Holiday,
    /// A business day, even on a weekend.
    #[n(2)]
    Business,
}

/// Why it cannot be said what a date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Before the figures.
    #[error("calendar of {0} begins with {HOLIDAYS_FIRST_YEAR}")]
    BeforeFigures(AssetCode),
    /// After the figures.
    #[error("calendar of {0} ends with {HOLIDAYS_LAST_YEAR}")]
    AfterFigures(AssetCode),
    /// Past the first or last date that there is.
    #[error("there is no such date")]
    NoDate,
}

/// Saturday and Sunday, in every currency.
///
/// ILS too: its payment system opens on Sundays, but nothing that it could settle against does.
#[must_use]
pub fn is_weekend(date: NaiveDate) -> bool {
    matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

/// The calendars of all assets: the figures, with what a scheme changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendars {
    changes: BTreeMap<(AssetCode, NaiveDate), DayChange>,
}

impl Calendars {
    /// The figures as they are.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            changes: BTreeMap::new(),
        }
    }

    /// Changes one date of one asset; the last change holds.
    pub fn set(&mut self, asset: AssetCode, date: NaiveDate, change: DayChange) {
        self.changes.insert((asset, date), change);
    }

    /// What was changed of one date of one asset.
    #[must_use]
    pub fn change(&self, asset: AssetCode, date: NaiveDate) -> Option<DayChange> {
        self.changes.get(&(asset, date)).copied()
    }

    /// What was changed, by asset and date.
    pub fn changes(&self) -> impl Iterator<Item = (AssetCode, NaiveDate, DayChange)> {
        let line = |(&(asset, date), &change)| (asset, date, change);
        self.changes.iter().map(line)
    }

    /// One asset's calendar.
    #[must_use]
    pub fn of(&self, asset: AssetCode) -> Calendar<'_> {
        Calendar {
            asset,
            figures: CurrencyHolidays::of(asset),
            calendars: self,
        }
    }
}

/// One asset's calendar.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    asset: AssetCode,
    figures: Option<&'static CurrencyHolidays>,
    calendars: &'a Calendars,
}

impl Calendar<'_> {
    /// Whose it is.
    #[must_use]
    pub fn asset(&self) -> AssetCode {
        self.asset
    }

    /// What a date is: as the scheme changed it, else by weekend and figures.
    ///
    /// # Errors
    /// The figures of the currency do not reach the date.
    pub fn day(&self, date: NaiveDate) -> Result<Day, CalendarError> {
        match self.calendars.changes.get(&(self.asset, date)) {
            Some(DayChange::Holiday) => return Ok(Day::Added),
            Some(DayChange::Business) => return Ok(Day::Business),
            None => {}
        }
        if self.figures.is_some() && !CurrencyHolidays::covers(date) {
            return Err(if date.year() < HOLIDAYS_FIRST_YEAR {
                CalendarError::BeforeFigures(self.asset)
            } else {
                CalendarError::AfterFigures(self.asset)
            });
        }
        if is_weekend(date) {
            return Ok(Day::Weekend);
        }
        let name = self.figures.and_then(|figures| figures.name_on(date));
        Ok(name.map_or(Day::Business, Day::Holiday))
    }

    /// Whether a date is a business day.
    ///
    /// # Errors
    /// As [`Calendar::day`].
    pub fn is_business_day(&self, date: NaiveDate) -> Result<bool, CalendarError> {
        Ok(self.day(date)? == Day::Business)
    }
}
