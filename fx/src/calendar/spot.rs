//! Spot dates per pair by market rule, and the dates beyond them.
//!
//! Spot is two business days after the trade, one for [`SPOT_NEXT_DAY`]. The day between need only be
//! one of the currencies that are not the dollar (but see [`SPOT_USD_COUNTS`]); spot itself is one of
//! both currencies, and of the dollar for a cross too, since crosses are dealt through it.

use core::fmt;
use core::str::FromStr;

use chrono::NaiveDate;

use super::day::{CalendarError, Calendars, Day};
use super::figures::code;
use crate::asset::AssetCode;
use crate::pair::Pair;

/// Business days from trade to spot, for all pairs but those of [`SPOT_NEXT_DAY`].
pub const SPOT_DAYS: u32 = 2;

/// Pairs, in either order, of which spot is the next business day.
///
/// The lira, the Philippine peso and the rouble do so too, but we have no figures for them.
pub const SPOT_NEXT_DAY: [(AssetCode, AssetCode); 1] = [(USD, code("CAD"))];

/// Currencies against which a dollar holiday between trade and spot does put spot off.
pub const SPOT_USD_COUNTS: [AssetCode; 1] = [code("MXN")];

const USD: AssetCode = code("USD");

/// A date between trade and spot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotStep {
    /// The date.
    pub date: NaiveDate,
    /// The assets that had to be open and are not, and why; if none, the date counts.
    pub closed: Vec<(AssetCode, Day)>,
}

impl SpotStep {
    /// Whether it is one of the business days that are counted.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.closed.is_empty()
    }
}

/// Each date after the trade up to spot, the last one.
///
/// # Errors
/// A currency's figures do not reach a date on the way.
pub fn spot_chain(
    calendars: &Calendars,
    pair: Pair,
    trade_date: NaiveDate,
) -> Result<Vec<SpotStep>, CalendarError> {
    let mut chain = Vec::new();
    let mut date = trade_date;
    for left in (0..spot_days(pair)).rev() {
        let assets = match left {
            0 => vec![pair.base, pair.quote, USD],
            _ => between(pair),
        };
        let joint = calendars.joint(&assets);
        loop {
            date = date.succ_opt().ok_or(CalendarError::NoDate)?;
            let closed = joint.closed(date)?;
            let counts = closed.is_empty();
            chain.push(SpotStep { date, closed });
            if counts {
                break;
            }
        }
    }
    Ok(chain)
}

/// Spot date of a trade.
///
/// # Errors
/// As [`spot_chain`].
pub fn spot_date(
    calendars: &Calendars,
    pair: Pair,
    trade_date: NaiveDate,
) -> Result<NaiveDate, CalendarError> {
    let chain = spot_chain(calendars, pair, trade_date)?;
    Ok(chain.last().expect("spot is after the trade").date)
}

fn spot_days(pair: Pair) -> u32 {
    let next_day = SPOT_NEXT_DAY
        .iter()
        .any(|&(one, other)| pair.is_of(one, other));
    if next_day { 1 } else { SPOT_DAYS }
}

/// The assets of which a day between trade and spot must be a business day.
fn between(pair: Pair) -> Vec<AssetCode> {
    let both = [pair.base, pair.quote];
    let usd_counts = both.iter().any(|asset| SPOT_USD_COUNTS.contains(asset));
    let counts = |asset: &AssetCode| *asset != USD || usd_counts;
    both.into_iter().filter(counts).collect()
}

/// How long after trade or spot a deal settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenor {
    /// `ON`: the next business day after the trade.
    Overnight,
    /// `TN`: the second.
    TomorrowNext,
    /// `SPOT`.
    Spot,
    /// `SN`: the next business day after spot.
    SpotNext,
    /// `1W`: weeks after spot.
    Weeks(u32),
    /// `3M`: months after spot.
    Months(u32),
    /// `1Y`: years after spot.
    Years(u32),
}

/// Longest tenor, in years: dates of any longer one would be beyond all figures.
const TENOR_YEARS_MAX: u32 = 99;

/// What is no tenor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenor is ON, TN, SPOT, SN, or a number of weeks, months or years, as 1W, 3M and 1Y are")]
pub struct TenorError;

impl FromStr for Tenor {
    type Err = TenorError;

    fn from_str(text: &str) -> Result<Self, TenorError> {
        match text {
            "ON" => return Ok(Self::Overnight),
            "TN" => return Ok(Self::TomorrowNext),
            "SPOT" => return Ok(Self::Spot),
            "SN" => return Ok(Self::SpotNext),
            _ => {}
        }
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or(TenorError)?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = number.parse().map_err(|_| TenorError)?;
        match unit {
            _ if !plain || number == 0 || number > TENOR_YEARS_MAX => Err(TenorError),
            "W" => Ok(Self::Weeks(number)),
            "M" => Ok(Self::Months(number)),
            "Y" => Ok(Self::Years(number)),
            _ => Err(TenorError),
        }
    }
}

impl fmt::Display for Tenor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overnight => f.pad("ON"),
            Self::TomorrowNext => f.pad("TN"),
            Self::Spot => f.pad("SPOT"),
            Self::SpotNext => f.pad("SN"),
            Self::Weeks(number) => write!(f, "{number}W"),
            Self::Months(number) => write!(f, "{number}M"),
            Self::Years(number) => write!(f, "{number}Y"),
        }
    }
}

/// The value date of a deal: joint business days of both currencies and the dollar; from spot on
/// modified following, and end of month to end of month.
///
/// # Errors
/// As [`spot_chain`].
pub fn forward_date(
    calendars: &Calendars,
    pair: Pair,
    trade_date: NaiveDate,
    tenor: Tenor,
) -> Result<NaiveDate, CalendarError> {
    let joint = calendars.joint(&[pair.base, pair.quote, USD]);
    let spot = || spot_date(calendars, pair, trade_date);
    match tenor {
        Tenor::Overnight => joint.add_business_days(trade_date, 1),
        Tenor::TomorrowNext => joint.add_business_days(trade_date, 2),
        Tenor::Spot => spot(),
        Tenor::SpotNext => joint.add_business_days(spot()?, 1),
        Tenor::Weeks(number) => joint.add_weeks(spot()?, number),
        Tenor::Months(number) => joint.add_months(spot()?, number),
        Tenor::Years(number) => joint.add_months(spot()?, number * 12),
    }
}
