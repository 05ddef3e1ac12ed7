//! Asset codes: three letters of ISO 4217, or the code of a registered token.

use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use iso_currency::Currency;
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

/// Longest asset code, in bytes; what fits one machine word.
pub const ASSET_CODE_BYTES_MAX: usize = 8;

/// An ISO 4217 code or a registered token's code: 1 to 8 of `[A-Z0-9]`.
///
/// Packed into a `u64`: ASCII, big-endian, padded with zeros on the right, so that the order of the
/// numbers is the order of the texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetCode(u64);

impl AssetCode {
    /// Reads a code; `None` unless it is 1 to 8 bytes of `[A-Z0-9]`.
    #[must_use]
    pub const fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > ASSET_CODE_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; ASSET_CODE_BYTES_MAX];
        let mut index = 0;
        while index < text.len() {
            if !is_code_byte(text[index]) {
                return None;
            }
            bytes[index] = text[index];
            index += 1;
        }
        Some(Self(u64::from_be_bytes(bytes)))
    }

    /// The packed form, for compact storage and fast comparison.
    #[must_use]
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// Back from the packed form; `None` if no code packs to it.
    #[must_use]
    pub const fn from_packed(packed: u64) -> Option<Self> {
        let mut rest = packed;
        while rest != 0 {
            // A zero before the last character is not a code byte either.
            if !is_code_byte((rest >> (u64::BITS - u8::BITS)) as u8) {
                return None;
            }
            rest <<= u8::BITS;
        }
        if packed == 0 {
            None
        } else {
            Some(Self(packed))
        }
    }

    /// The code as text, held inline.
    #[must_use]
    pub fn as_str(&self) -> AssetText {
        let bytes = self.0.to_be_bytes();
        let length = ASSET_CODE_BYTES_MAX - self.0.trailing_zeros() as usize / 8;
        AssetText { bytes, length }
    }
}

const fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

impl fmt::Display for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str())
    }
}

impl fmt::Debug for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str())
    }
}

/// What is not an asset code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an asset code is 1 to 8 of A-Z and 0-9")]
pub struct AssetCodeError;

impl FromStr for AssetCode {
    type Err = AssetCodeError;

    fn from_str(text: &str) -> Result<Self, AssetCodeError> {
        Self::parse(text.as_bytes()).ok_or(AssetCodeError)
    }
}

impl<C> Encode<C> for AssetCode {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.u64(self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AssetCode {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        Self::from_packed(decoder.u64()?)
            .ok_or_else(|| decode::Error::message(AssetCodeError).at(position))
    }
}

/// The text of an [`AssetCode`], without an allocation; derefs to `str`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AssetText {
    bytes: [u8; ASSET_CODE_BYTES_MAX],
    length: usize,
}

impl Deref for AssetText {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).expect("an asset code is ASCII")
    }
}

impl AsRef<str> for AssetText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq<str> for AssetText {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for AssetText {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Display for AssetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for AssetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The number of decimals that ISO 4217 gives a currency.
///
/// `None` for codes that it does not list and for those that have no minor unit (gold `XAU`, the
/// test code `XTS`).
#[must_use]
pub fn iso_minor_units(code: AssetCode) -> Option<u8> {
    let currency = Currency::from_code(&code.as_str())?;
    u8::try_from(currency.exponent()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parses_codes_and_nothing_else() {
        for text in ["A", "9", "EUR", "USDC", "TBILL26", "ABCDEFGH", "12345678"] {
            let code = AssetCode::parse(text.as_bytes()).unwrap();
            assert_eq!(code.as_str(), text);
            assert_eq!(
                format!("{code}|{code:?}|{code:>9}"),
                format!("{text}|{text}|{text:>9}")
            );
            assert_eq!(AssetCode::from_packed(code.packed()), Some(code));
            assert_eq!(text.parse(), Ok(code));
        }
        for text in [
            "",
            "eur",
            "EU R",
            "EUR ",
            "ABCDEFGHI",
            "E-R",
            "EÜR",
            "EUR\0",
            "\0EUR",
            "EU\0R",
        ] {
            assert_eq!(AssetCode::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn packs_big_endian_and_unpacks_only_what_it_packs() {
        let eur = AssetCode::parse(b"EUR").unwrap();
        assert_eq!(eur.packed(), 0x4555_5200_0000_0000);
        let refused = [
            0,
            1,
            0x0045_5552,
            0x4555_0052_0000_0000,
            0x6575_7200_0000_0000,
            u64::MAX,
            0x4555_5200_0000_0001,
        ];
        for packed in refused {
            assert_eq!(AssetCode::from_packed(packed), None, "{packed:#x}");
        }
    }

    #[test]
    fn orders_as_the_texts_do() {
        let mut texts = ["USD", "EUR", "EURX", "A", "ZZZZZZZZ", "0X", "EU"];
        texts.sort_unstable();
        let codes = texts.map(|text| AssetCode::parse(text.as_bytes()).unwrap());
        assert!(codes.is_sorted());
    }

    #[test]
    fn decodes_only_valid_codes() {
        let eur = AssetCode::parse(b"EUR").unwrap();
        let bytes = minicbor::to_vec(eur).unwrap();
        assert_eq!(minicbor::decode::<AssetCode>(&bytes).unwrap(), eur);
        let lower_case = minicbor::to_vec(0x6575_7200_0000_0000_u64).unwrap();
        let error = minicbor::decode::<AssetCode>(&lower_case).unwrap_err();
        assert!(error.to_string().contains("asset code"), "{error}");
    }

    /// ISO 4217 list one, every currency whose minor unit is not 2, and the shape of the rest.
    const MINOR_UNITS: &[(u8, &str)] = &[
        (
            0,
            "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        ),
        (
            2,
            "AED ARS AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MGA",
        ),
        (
            2,
            "MRU MXN MYR NGN NOK NZD PHP PKR PLN RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD ZAR",
        ),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ];

    #[test]
    fn pins_the_minor_unit_table() {
        for (decimals, codes) in MINOR_UNITS {
            for text in codes.split(' ') {
                let code = text.parse().unwrap();
                assert_eq!(iso_minor_units(code), Some(*decimals), "{text}");
            }
        }
        for text in [
            "XAU", "XDR", "XTS", "XXX", "USDC", "EU", "ABC", "DEM", "978",
        ] {
            assert_eq!(iso_minor_units(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn only_the_pinned_currencies_have_other_than_two_decimals() {
        let letters = || b'A'..=b'Z';
        let codes =
            letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
        let mut known = 0;
        for code in codes.filter_map(|text| AssetCode::parse(&text)) {
            let Some(decimals) = iso_minor_units(code) else {
                continue;
            };
            known += 1;
            let text = code.as_str();
            let pinned = MINOR_UNITS.iter().find(|(_, codes)| codes.contains(&*text));
            assert_eq!(
                decimals,
                pinned.map_or(2, |(decimals, _)| *decimals),
                "{code}"
            );
        }
        assert!((160..=185).contains(&known), "{known} currencies");
    }
}
