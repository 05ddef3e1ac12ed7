//! Names of things: what the outside calls them, and the dense numbers that the core uses inside.

use minicbor::{Decode, Encode};
use std::fmt;

/// Milliseconds since 1970-01-01 UTC, as the journal's record time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] pub i64);

/// A calendar date as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Date(#[n(0)] pub i32);

/// An input's number in the journal: from 1, without gaps. An instruction's number for good.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Sequence(#[n(0)] pub u64);

/// A participant, densely from 0 in the order of registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct ParticipantId(#[n(0)] pub u16);

/// An asset, densely from 0 in the order of registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct AssetId(#[n(0)] pub u16);

/// An account, densely from 0 in the order of opening.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct AccountId(#[n(0)] pub u32);

/// A cycle of the scheme: its value date and its number on that date, from 1. Text: `2026-11-20/1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct CycleName {
    /// The date that its members settle on.
    #[n(0)]
    pub value_date: Date,
    /// From 1 on each value date.
    #[n(1)]
    pub number: u16,
}

/// A batch's number in the scheme, from 1, without gaps.
pub type BatchNumber = u64;

/// A participant's BIC (ISO 9362): 8 or 11 characters `[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?`,
/// packed to base 37.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Bic(#[n(0)] u64);

const BIC_SHORT: usize = 8;
const BIC_LONG: usize = 11;
const BIC_BASE: u64 = 37;

impl Bic {
    /// Parses exactly 8 or 11 upper-case characters; `None` if the text is not a BIC.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != BIC_SHORT && text.len() != BIC_LONG {
            return None;
        }
        let mut packed = 0;
        for (at, &byte) in text.iter().enumerate() {
            let country = at == 4 || at == 5;
            packed = packed * BIC_BASE
                + match byte {
                    b'0'..=b'9' if !country => u64::from(byte - b'0') + 1,
                    b'A'..=b'Z' => u64::from(byte - b'A') + 11,
                    _ => return None,
                };
        }
        for _ in text.len()..BIC_LONG {
            packed *= BIC_BASE;
        }
        Some(Self(packed))
    }

    /// The packed form; unique, and ordered as the text is.
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// Of what [`Bic::packed`] gave.
    pub(crate) const fn from_packed(packed: u64) -> Self {
        Self(packed)
    }
}

impl fmt::Display for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; BIC_LONG];
        let mut rest = self.0;
        for byte in text.iter_mut().rev() {
            let digit = u8::try_from(rest % BIC_BASE).expect("a digit is below 37");
            rest /= BIC_BASE;
            *byte = match digit {
                0 => 0,
                1..=10 => b'0' + digit - 1,
                _ => b'A' + digit - 11,
            };
        }
        let length = text.iter().position(|&byte| byte == 0).unwrap_or(BIC_LONG);
        f.write_str(std::str::from_utf8(&text[..length]).expect("packed from ASCII"))
    }
}

impl fmt::Debug for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A unique end-to-end transaction reference: UUID version 4, lower case on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uetr(pub u128);

const UETR_LENGTH: usize = 36;

impl Uetr {
    /// Parses `xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx`, lower case only; `None` otherwise.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; UETR_LENGTH] = text.try_into().ok()?;
        let mut value = 0u128;
        for (at, &byte) in text.iter().enumerate() {
            let nibble = match byte {
                b'-' if matches!(at, 8 | 13 | 18 | 23) => continue,
                b'0'..=b'9' if !matches!(at, 8 | 13 | 18 | 23) => byte - b'0',
                b'a'..=b'f' if !matches!(at, 8 | 13 | 18 | 23) => byte - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | u128::from(nibble);
        }
        let version_four = (value >> 76) & 0xf == 4;
        let variant_rfc = (value >> 62) & 0b11 == 0b10;
        (version_four && variant_rfc).then_some(Self(value))
    }
}

impl fmt::Display for Uetr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            value >> 96,
            (value >> 80) & 0xffff,
            (value >> 64) & 0xffff,
            (value >> 48) & 0xffff,
            value & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Uetr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<C> Encode<C> for Uetr {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0.to_be_bytes())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Uetr {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        let bytes: [u8; 16] = bytes
            .try_into()
            .map_err(|_| minicbor::decode::Error::message("a UETR has 16 bytes"))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl Date {
    /// Parses `YYYY-MM-DD`, years 1970 to 9999; `None` if it is no date of the calendar.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; 10] = text.try_into().ok()?;
        if text[4] != b'-' || text[7] != b'-' {
            return None;
        }
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0u32, |sum, &byte| {
                byte.is_ascii_digit()
                    .then(|| sum * 10 + u32::from(byte - b'0'))
            })
        };
        let (year, month, day) = (
            number(&text[..4])?,
            number(&text[5..7])?,
            number(&text[8..])?,
        );
        let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let days = date.to_epoch_days();
        (days >= 0).then_some(Self(days))
    }

    /// The same date for calendar arithmetic.
    pub fn naive(self) -> chrono::NaiveDate {
        chrono::NaiveDate::from_epoch_days(self.0).expect("within chrono's range")
    }
}

impl Timestamp {
    /// The UTC date that this instant falls on.
    pub fn date(self) -> Date {
        Date(i32::try_from(self.0.div_euclid(86_400_000)).expect("within i32 days"))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.naive())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl CycleName {
    /// Parses `2026-11-20/1`; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, number) = text.split_once('/')?;
        let canonical = !number.starts_with(['0', '+']);
        Some(Self {
            value_date: Date::parse(date.as_bytes())?,
            number: number.parse().ok().filter(|_| canonical)?,
        })
    }
}

impl fmt::Display for CycleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.value_date, self.number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bics_round_trip_and_keep_their_order() {
        for text in [
            "AAAAUS33",
            "AAAAUS33XXX",
            "0000AA00",
            "ZZZZZZZZZZZ",
            "DEUTDEFF500",
        ] {
            assert_eq!(Bic::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        assert!(Bic::parse(b"AAAAUS33") < Bic::parse(b"AAAAUS33XXX"));
        for text in [
            "",
            "AAAAUS3",
            "AAAAUS33X",
            "aaaaUS33",
            "AAAA1S33",
            "AAAAUS3\u{e9}",
            "AAAAUS33XXXX",
        ] {
            assert_eq!(Bic::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn uetrs_are_lower_case_version_four() {
        let text = "eb6305c9-1f7f-49de-aed0-16487c27b42d";
        assert_eq!(Uetr::parse(text.as_bytes()).unwrap().to_string(), text);
        for text in [
            "",
            "EB6305C9-1f7f-49de-aed0-16487c27b42d",
            "eb6305c9-1f7f-39de-aed0-16487c27b42d",
            "eb6305c9-1f7f-49de-7ed0-16487c27b42d",
            "eb6305c91f7f-49de-aed0-16487c27b42d-",
            "eb6305c9-1f7f-49de-aed0-16487c27b42",
        ] {
            assert_eq!(Uetr::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn dates_and_cycles_parse_strictly() {
        assert_eq!(Date::parse(b"1970-01-02"), Some(Date(1)));
        assert_eq!(
            Date::parse(b"2024-02-29").unwrap().to_string(),
            "2024-02-29"
        );
        for text in [
            "2023-02-29",
            "2023-2-28",
            "1969-12-31",
            "+023-01-01",
            "2023/01/01",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            CycleName::parse("2026-11-20/12").unwrap().to_string(),
            "2026-11-20/12"
        );
        for text in [
            "2026-11-20",
            "2026-11-20/",
            "2026-11-20/01",
            "2026-11-20/+1",
            "2026-11-20/0",
            "x/1",
        ] {
            assert_eq!(CycleName::parse(text), None, "{text}");
        }
    }
}
