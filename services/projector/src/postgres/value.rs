//! Core types as PostgreSQL has them, in parameters and in rows.
//!
//! | here | there |
//! |---|---|
//! | [`Instant`], milliseconds since 1970 | timestamptz: microseconds since 2000 |
//! | [`Day`], days since 1970 | date: days since 2000 |
//! | [`Id`], 128 bits | uuid |
//! | [`Units`], minor units and decimals | numeric: groups of four decimal digits |

use bytes::{BufMut as _, BytesMut};
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use settlement_core::ids::{Date, Timestamp};

type Failed = Box<dyn std::error::Error + Sync + Send>;

/// 2000-01-01, as days since 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MS: i64 = EPOCH_DAYS as i64 * 86_400_000;
/// A digit of a numeric is one of these.
const NUMERIC_BASE: u128 = 10_000;
/// Decimal digits in it.
const BASE_DIGITS: u32 = 4;
const NEGATIVE: u16 = 0x4000;
/// 127 bits have 39 decimal digits: ten groups before the point and two after it at most.
const DIGITS_MAX: usize = 16;

/// An instant as a timestamptz's bytes. Those that do not fit, which no record has, are its ends.
pub(super) fn instant(time: Timestamp) -> i64 {
    time.0.saturating_sub(EPOCH_MS).saturating_mul(1_000)
}

/// A date as a date's bytes.
pub(super) fn day(date: Date) -> i32 {
    date.0.saturating_sub(EPOCH_DAYS)
}

/// A date in a parameter or a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day(pub Date);

impl<'a> FromSql<'a> for Day {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let days = i32::from_be_bytes(raw.try_into()?);
        Ok(Self(Date(days.saturating_add(EPOCH_DAYS))))
    }

    accepts!(DATE);
}

impl ToSql for Day {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        out.put_i32(day(self.0));
        Ok(IsNull::No)
    }

    accepts!(DATE);
    to_sql_checked!();
}

/// An instant in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant(pub Timestamp);

impl<'a> FromSql<'a> for Instant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp(micros.div_euclid(1_000) + EPOCH_MS)))
    }

    accepts!(TIMESTAMPTZ);
}

impl ToSql for Instant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        out.put_i64(instant(self.0));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// A UETR in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub u128);

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

/// An amount with its asset's decimals: as a numeric 12.34, not 1234.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Units {
    /// Minor units.
    pub minor: i128,
    /// 0 to 8.
    pub decimals: u8,
}

impl Units {
    /// The bytes of a numeric: digit count, weight of the first digit, sign, decimals, digits.
    pub(super) fn put(self, out: &mut BytesMut) {
        let (digits, count, whole) = self.digits();
        let first = digits[..count].iter().position(|digit| *digit != 0);
        let last = digits[..count].iter().rposition(|digit| *digit != 0);
        let (first, used) = match (first, last) {
            (Some(first), Some(last)) => (first, &digits[first..=last]),
            _ => (0, &digits[..0]),
        };
        let short = |value: usize| i16::try_from(value).expect("a few digits");
        let weight = if used.is_empty() {
            0
        } else {
            short(whole) - 1 - short(first)
        };
        out.put_i16(short(used.len()));
        out.put_i16(weight);
        out.put_u16(if self.minor < 0 { NEGATIVE } else { 0 });
        out.put_u16(u16::from(self.decimals));
        used.iter().for_each(|digit| out.put_u16(*digit));
    }

    /// Groups of four digits, how many, and how many of them stand before the point.
    fn digits(self) -> ([u16; DIGITS_MAX], usize, usize) {
        let unit = 10_u128.pow(self.decimals.into());
        let (mut whole, part) = (
            self.minor.unsigned_abs() / unit,
            self.minor.unsigned_abs() % unit,
        );
        let mut digits = [0; DIGITS_MAX];
        let mut before = 0;
        while whole > 0 {
            digits[before] = digit(whole % NUMERIC_BASE);
            whole /= NUMERIC_BASE;
            before += 1;
        }
        digits[..before].reverse();
        let groups = u32::from(self.decimals).div_ceil(BASE_DIGITS);
        // To the left edge of the groups after the point; below 10^8.
        let mut part = part * 10_u128.pow(groups * BASE_DIGITS - u32::from(self.decimals));
        let count = before + groups as usize;
        for at in (before..count).rev() {
            digits[at] = digit(part % NUMERIC_BASE);
            part /= NUMERIC_BASE;
        }
        (digits, count, before)
    }
}

fn digit(value: u128) -> u16 {
    u16::try_from(value).expect("below 10,000")
}

impl ToSql for Units {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        self.put(out);
        Ok(IsNull::No)
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

/// A numeric of a row, until its asset's decimals are known.
#[derive(Clone, Debug)]
pub(super) struct Numeric {
    negative: bool,
    weight: i16,
    digits: Vec<u16>,
}

impl Numeric {
    /// In minor units; `None` if it has more decimals than that, or is too large.
    pub(super) fn minor_units(&self, decimals: u8) -> Option<i128> {
        let mut sum = 0_i128;
        for (digit, at) in self.digits.iter().zip(0_i32..) {
            let group = i32::from(self.weight) - at;
            let power = group * BASE_DIGITS.cast_signed() + i32::from(decimals);
            let digit = i128::from(*digit);
            let scaled = match u32::try_from(power) {
                Ok(power) => digit.checked_mul(10_i128.checked_pow(power)?)?,
                Err(_) => {
                    let below = 10_i128.checked_pow(power.unsigned_abs())?;
                    (digit % below == 0).then_some(digit / below)?
                }
            };
            let signed = if self.negative { -scaled } else { scaled };
            sum = sum.checked_add(signed)?;
        }
        Some(sum)
    }
}

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let mut words = raw
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let mut word = || words.next().ok_or("a numeric of fewer than four words");
        let (count, weight, sign, _) = (word()?, word()?, word()?, word()?);
        if sign & !NEGATIVE != 0 {
            return Err("not a finite number".into());
        }
        let digits: Vec<u16> = words.collect();
        if digits.len() != usize::from(count) {
            return Err("a numeric with other digits than it says".into());
        }
        Ok(Self {
            negative: sign == NEGATIVE,
            weight: weight.cast_signed(),
            digits,
        })
    }

    accepts!(NUMERIC);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bytes(minor: i128, decimals: u8) -> BytesMut {
        let mut out = BytesMut::new();
        Units { minor, decimals }.put(&mut out);
        out
    }

    /// Count, weight, sign, decimals, digits: as `numeric_send` gives them.
    #[test]
    fn amounts_are_numerics() {
        for (minor, decimals, expected) in [
            (0, 2, &[0_u16, 0, 0, 2][..]),
            (1_234, 2, &[2, 0, 0, 2, 12, 3_400]),
            (-1_234, 2, &[2, 0, NEGATIVE, 2, 12, 3_400]),
            (5, 2, &[1, 0xffff, 0, 2, 500]),
            (5, 8, &[1, 0xfffe, 0, 8, 5]),
            (1_0000_0000, 0, &[1, 2, 0, 0, 1]),
            (1_0000_0001, 0, &[3, 2, 0, 0, 1, 0, 1]),
            (100, 2, &[1, 0, 0, 2, 1]),
        ] {
            let found = bytes(minor, decimals);
            let words = found
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            assert_eq!(words.collect::<Vec<_>>(), expected, "{minor} {decimals}");
        }
    }

    #[test]
    fn amounts_come_back() {
        let mut minors = vec![0, i128::MAX, i128::MIN, i128::from(i64::MAX) * 7];
        for power in 0..38 {
            let ten = 10_i128.pow(power);
            minors.extend([ten, -ten, ten - 1, ten + 1, ten / 7]);
        }
        for minor in minors {
            for decimals in 0..=8 {
                let bytes = bytes(minor, decimals);
                let numeric = Numeric::from_sql(&Type::NUMERIC, &bytes).unwrap();
                assert_eq!(numeric.minor_units(decimals), Some(minor), "{decimals}");
            }
        }
        let cent = Numeric::from_sql(&Type::NUMERIC, &bytes(1, 2)).unwrap();
        assert_eq!(cent.minor_units(1), None, "never rounded");
    }

    #[test]
    fn days_and_instants_count_from_2000() {
        assert_eq!(day(Date::parse(b"2000-01-01").unwrap()), 0);
        assert_eq!(day(Date::parse(b"1999-12-31").unwrap()), -1);
        assert_eq!(instant(Timestamp(946_684_800_001)), 1_000);
    }
}
