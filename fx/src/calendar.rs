//! Business days per asset, joint business days, spot and forward dates, and cut-offs as local times.
//!
//! | module       | noun                                    | what it knows                                     |
//! |--------------|-----------------------------------------|---------------------------------------------------|
//! | `holidays`   | figures of 19 currencies, written by `scripts/holidays` | days, with names; first and last year |
//! | `figures`    | [`CurrencyHolidays`]                    | one currency's figures, and how to look them up   |
//! | `day`        | [`Calendars`], [`Calendar`], [`Day`]    | weekend, figures, and what a scheme changes       |
//! | `joint`      | [`JointCalendar`], [`Convention`]       | days on which several assets are open             |
//! | `spot`       | [`spot_chain`], [`Tenor`]               | spot per pair by market rule, and dates beyond it |
//! | `cutoff`     | [`LocalCutoff`]                         | a local time of a named zone as a UTC instant     |
//!
//! A date that the figures do not reach is an error and never a business day. An asset without figures
//! (a token, or a currency that is not among the nineteen) has weekends only, and what a scheme adds.

mod cutoff;
mod day;
mod figures;
mod holidays;
mod joint;
mod spot;
#[cfg(test)]
mod tests;

pub use cutoff::{CutoffError, LocalCutoff, ZONE_DATA_VERSION};
pub use day::{Calendar, CalendarError, Calendars, Day, DayChange, is_weekend};
pub use figures::{CurrencyHolidays, currencies};
pub use holidays::{HOLIDAYS_FIRST_YEAR, HOLIDAYS_LAST_YEAR, HOLIDAYS_SOURCE};
pub use joint::{Convention, JointCalendar};
pub use spot::{
    SPOT_DAYS, SPOT_NEXT_DAY, SPOT_USD_COUNTS, SpotStep, Tenor, TenorError, forward_date,
    spot_chain, spot_date,
};
