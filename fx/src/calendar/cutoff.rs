//! Cut-offs: local times in named zones, and the UTC instants that they are on a date.

use core::fmt;

use chrono::{DateTime, LocalResult, NaiveDate, NaiveTime, TimeZone, Timelike};
use chrono_tz::{GapInfo, Tz};
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

/// Version of the IANA zone data that cut-offs are computed with.
pub const ZONE_DATA_VERSION: &str = chrono_tz::IANA_TZDB_VERSION;

/// A cut-off as people agree on it: a local time in a named zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalCutoff {
    /// Local time of day.
    pub time: NaiveTime,
    /// IANA zone.
    pub zone: Tz,
}

/// Why something is not a cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutoffError {
    /// The time is not `HH:MM` or `HH:MM:SS`.
    #[error("a cut-off time is HH:MM or HH:MM:SS")]
    Time,
    /// The zone is not in the IANA data.
    #[error("the zone is not a name of the IANA time zone database, as Europe/Berlin is")]
    Zone,
}

impl LocalCutoff {
    /// Reads a time (`16:00`, `23:59:59`) and an IANA zone name (`Europe/Berlin`).
    ///
    /// # Errors
    /// In the order of [`CutoffError`].
    pub fn parse(time: &str, zone: &str) -> Result<Self, CutoffError> {
        let time = parse_time(time).ok_or(CutoffError::Time)?;
        let zone = zone.parse().map_err(|_| CutoffError::Zone)?;
        Ok(Self { time, zone })
    }

    /// The cut-off of a date as a UTC instant, in Unix milliseconds.
    ///
    /// It is the first instant at which the zone's clock shows that time or a later one: where the
    /// clock is put back the first of the two, where it is put forward over that time the moment
    /// when it is. `None` only where the zone data end.
    #[must_use]
    pub fn instant_ms(&self, date: NaiveDate) -> Option<i64> {
        let local = date.and_time(self.time);
        let instant: DateTime<Tz> = match self.zone.from_local_datetime(&local) {
            LocalResult::Single(instant) => instant,
            LocalResult::Ambiguous(first, second) => first.min(second),
            LocalResult::None => GapInfo::new(&local, &self.zone)?.end?,
        };
        Some(instant.timestamp_millis())
    }
}

/// `HH:MM` or `HH:MM:SS`, with two digits each; chrono's own parser also takes `9:5` and leap seconds.
fn parse_time(text: &str) -> Option<NaiveTime> {
    let mut parts = [0; 3];
    let mut count = 0;
    for part in text.split(':') {
        let [tens @ b'0'..=b'9', units @ b'0'..=b'9'] = *part.as_bytes() else {
            return None;
        };
        *parts.get_mut(count)? = u32::from(tens - b'0') * 10 + u32::from(units - b'0');
        count += 1;
    }
    if count < 2 {
        return None;
    }
    NaiveTime::from_hms_opt(parts[0], parts[1], parts[2])
}

impl fmt::Display for LocalCutoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.time.format("%H:%M:%S"), self.zone.name())
    }
}

/// The stored form: `[second of the day, zone name]`.
#[derive(Encode, Decode)]
struct CutoffFields<'a> {
    #[n(0)]
    second: u32,
    #[b(1)]
    zone: &'a str,
}

impl<C> Encode<C> for LocalCutoff {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let second = self.time.num_seconds_from_midnight();
        CutoffFields {
            second,
            zone: self.zone.name(),
        }
        .encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for LocalCutoff {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        let refuse = |error: CutoffError| decode::Error::message(error).at(position);
        let fields = CutoffFields::decode(decoder, context)?;
        let time = NaiveTime::from_num_seconds_from_midnight_opt(fields.second, 0);
        Ok(Self {
            time: time.ok_or_else(|| refuse(CutoffError::Time))?,
            zone: fields.zone.parse().map_err(|_| refuse(CutoffError::Zone))?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn check_cutoff(time: &str, zone: &str, on: &str, expected: &str) {
        let instant = LocalCutoff::parse(time, zone)
            .unwrap()
            .instant_ms(date(on))
            .unwrap();
        let found = DateTime::from_timestamp_millis(instant).unwrap();
        assert_eq!(
            found.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            expected,
            "{time} {zone} {on}"
        );
    }

    #[test]
    fn a_cutoff_is_an_instant() {
        check_cutoff(
            "16:00",
            "Europe/Berlin",
            "2026-07-01",
            "2026-07-01T14:00:00Z",
        );
        check_cutoff(
            "16:00",
            "Europe/Berlin",
            "2026-12-01",
            "2026-12-01T15:00:00Z",
        );
        check_cutoff(
            "08:30:15",
            "Asia/Tokyo",
            "2026-07-01",
            "2026-06-30T23:30:15Z",
        );
        check_cutoff(
            "17:00",
            "Asia/Kolkata",
            "2026-07-01",
            "2026-07-01T11:30:00Z",
        );
        check_cutoff("00:00", "UTC", "2026-07-01", "2026-07-01T00:00:00Z");
    }

    /// Berlin 2026: forward on 29 March at 02:00 CET, back on 25 October at 03:00 CEST.
    #[test]
    fn where_clocks_change_it_is_the_first_instant_that_shows_the_time_or_later() {
        check_cutoff(
            "01:59:59",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-29T00:59:59Z",
        );
        check_cutoff(
            "02:00",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-29T01:00:00Z",
        );
        check_cutoff(
            "02:30",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-29T01:00:00Z",
        );
        check_cutoff(
            "03:00",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-29T01:00:00Z",
        );
        check_cutoff(
            "03:30",
            "Europe/Berlin",
            "2026-03-29",
            "2026-03-29T01:30:00Z",
        );
        check_cutoff(
            "01:59:59",
            "Europe/Berlin",
            "2026-10-25",
            "2026-10-24T23:59:59Z",
        );
        check_cutoff(
            "02:00",
            "Europe/Berlin",
            "2026-10-25",
            "2026-10-25T00:00:00Z",
        );
        check_cutoff(
            "02:30",
            "Europe/Berlin",
            "2026-10-25",
            "2026-10-25T00:30:00Z",
        );
        check_cutoff(
            "03:00",
            "Europe/Berlin",
            "2026-10-25",
            "2026-10-25T02:00:00Z",
        );
        check_cutoff(
            "02:30",
            "America/New_York",
            "2026-03-08",
            "2026-03-08T07:00:00Z",
        );
        check_cutoff(
            "01:30",
            "America/New_York",
            "2026-11-01",
            "2026-11-01T05:30:00Z",
        );
        // Samoa had no 30 December 2011 at all.
        check_cutoff(
            "12:00",
            "Pacific/Apia",
            "2011-12-30",
            "2011-12-30T10:00:00Z",
        );
    }

    #[test]
    fn later_times_of_a_day_are_never_earlier_instants() {
        for day in ["2026-03-29", "2026-10-25", "2026-06-15"] {
            let instants: Vec<_> = (0..24 * 60)
                .map(|minute| {
                    let time = NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
                    LocalCutoff {
                        time,
                        zone: Tz::Europe__Berlin,
                    }
                    .instant_ms(date(day))
                    .unwrap()
                })
                .collect();
            assert!(instants.is_sorted(), "{day}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_cutoff() {
        for time in [
            "",
            "16",
            "16:0",
            "9:30",
            "24:00",
            "16:60",
            "16:00:60",
            "16:00:00:00",
            "16:00Z",
            "16.00",
            " 16:00",
            "-1:00",
        ] {
            assert_eq!(
                LocalCutoff::parse(time, "UTC"),
                Err(CutoffError::Time),
                "{time:?}"
            );
        }
        for zone in [
            "",
            "Berlin",
            "CEST",
            "Europe/Nowhere",
            "europe/berlin",
            "+01:00",
        ] {
            assert_eq!(
                LocalCutoff::parse("16:00", zone),
                Err(CutoffError::Zone),
                "{zone:?}"
            );
        }
    }

    #[test]
    fn stores_and_loads_cutoffs() {
        let cutoff = LocalCutoff::parse("16:00:30", "Europe/Berlin").unwrap();
        assert_eq!(cutoff.to_string(), "16:00:30 Europe/Berlin");
        let bytes = minicbor::to_vec(cutoff).unwrap();
        assert_eq!(minicbor::decode::<LocalCutoff>(&bytes).unwrap(), cutoff);
        for fields in [(86_400, "UTC"), (0, "Nowhere")] {
            let bytes = minicbor::to_vec(fields).unwrap();
            assert!(
                minicbor::decode::<LocalCutoff>(&bytes).is_err(),
                "{fields:?}"
            );
        }
    }
}
