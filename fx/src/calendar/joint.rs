//! Days on which several assets are open, and how dates are moved to one.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::day::{Calendar, CalendarError, Calendars, Day};
use crate::asset::AssetCode;

/// How a date that is no business day is moved to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// To the next.
    Following,
    /// To the next, but to the one before if that would be in another month.
    ModifiedFollowing,
    /// To the one before.
    Preceding,
}

/// The calendars of several assets together: open where all are.
#[derive(Clone, Debug)]
pub struct JointCalendar<'a>(Vec<Calendar<'a>>);

impl Calendars {
    /// The joint calendar of assets; one that is named twice counts once.
    #[must_use]
    pub fn joint(&self, assets: &[AssetCode]) -> JointCalendar<'_> {
        let mut assets = assets.to_vec();
        assets.sort_unstable();
        assets.dedup();
        JointCalendar(assets.into_iter().map(|asset| self.of(asset)).collect())
    }
}

impl JointCalendar<'_> {
    /// The assets that are closed on a date, and why; none on a joint business day.
    ///
    /// # Errors
    /// An asset's figures do not reach the date.
    pub fn closed(&self, date: NaiveDate) -> Result<Vec<(AssetCode, Day)>, CalendarError> {
        let mut closed = Vec::new();
        for calendar in &self.0 {
            match calendar.day(date)? {
                Day::Business => {}
                day => closed.push((calendar.asset(), day)),
            }
        }
        Ok(closed)
    }

    /// Whether all assets are open.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`].
    pub fn is_business_day(&self, date: NaiveDate) -> Result<bool, CalendarError> {
        for calendar in &self.0 {
            if !calendar.is_business_day(date)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The date itself if it is a joint business day, else the next.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn on_or_after(&self, date: NaiveDate) -> Result<NaiveDate, CalendarError> {
        self.search(date, NaiveDate::succ_opt)
    }

    /// The date itself if it is a joint business day, else the one before.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn on_or_before(&self, date: NaiveDate) -> Result<NaiveDate, CalendarError> {
        self.search(date, NaiveDate::pred_opt)
    }

    fn search(
        &self,
        mut date: NaiveDate,
        step: fn(&NaiveDate) -> Option<NaiveDate>,
    ) -> Result<NaiveDate, CalendarError> {
        while !self.is_business_day(date)? {
            date = step(&date).ok_or(CalendarError::NoDate)?;
        }
        Ok(date)
    }

    /// The `days`-th joint business day after a date, which need not be one itself; with 0 the date
    /// itself, or the next.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn add_business_days(
        &self,
        date: NaiveDate,
        days: u32,
    ) -> Result<NaiveDate, CalendarError> {
        if days == 0 {
            return self.on_or_after(date);
        }
        (0..days).try_fold(date, |date, _| {
            self.on_or_after(date.succ_opt().ok_or(CalendarError::NoDate)?)
        })
    }

    /// The `days`-th joint business day before a date; with 0 the date itself, or the one before.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn subtract_business_days(
        &self,
        date: NaiveDate,
        days: u32,
    ) -> Result<NaiveDate, CalendarError> {
        if days == 0 {
            return self.on_or_before(date);
        }
        (0..days).try_fold(date, |date, _| {
            self.on_or_before(date.pred_opt().ok_or(CalendarError::NoDate)?)
        })
    }

    /// The date moved to a joint business day.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn adjust(
        &self,
        date: NaiveDate,
        convention: Convention,
    ) -> Result<NaiveDate, CalendarError> {
        match convention {
            Convention::Following => self.on_or_after(date),
            Convention::Preceding => self.on_or_before(date),
            Convention::ModifiedFollowing => {
                let next = self.on_or_after(date)?;
                if (next.year(), next.month()) == (date.year(), date.month()) {
                    Ok(next)
                } else {
                    self.on_or_before(date)
                }
            }
        }
    }

    /// The last joint business day of a date's month.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn month_end(&self, date: NaiveDate) -> Result<NaiveDate, CalendarError> {
        let first = date.with_day(1).expect("every month has a first day");
        let next = first.checked_add_months(Months::new(1));
        let last = next.and_then(|next| next.pred_opt());
        self.on_or_before(last.ok_or(CalendarError::NoDate)?)
    }

    /// Weeks after a date, modified following.
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn add_weeks(&self, date: NaiveDate, weeks: u32) -> Result<NaiveDate, CalendarError> {
        let moved = date.checked_add_days(Days::new(u64::from(weeks) * 7));
        self.adjust(
            moved.ok_or(CalendarError::NoDate)?,
            Convention::ModifiedFollowing,
        )
    }

    /// Months after a date, modified following; from the last business day of a month to the last one
    /// of the other (end of month to end of month).
    ///
    /// # Errors
    /// As [`JointCalendar::closed`], of any date on the way.
    pub fn add_months(&self, date: NaiveDate, months: u32) -> Result<NaiveDate, CalendarError> {
        let moved = date.checked_add_months(Months::new(months));
        let moved = moved.ok_or(CalendarError::NoDate)?;
        if self.month_end(date)? == date {
            return self.month_end(moved);
        }
        self.adjust(moved, Convention::ModifiedFollowing)
    }
}
