//! Strict reading: one text for one value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Decimal digits without sign, space or leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// Canonical standard base64: with its padding, without stray bits.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    (STANDARD.encode(&bytes) == text).then_some(bytes)
}

/// Canonical base64 of 32 bytes.
pub(crate) fn hash(text: &str) -> Option<[u8; 32]> {
    base64(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_text() {
        let check = |text: &str, value: Option<u64>| assert_eq!(number(text), value, "{text:?}");
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "18446744073709551616",
            "\u{661}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn base64_has_one_text() {
        let check = |text: &str, value: Option<&[u8]>| {
            assert_eq!(base64(text).as_deref(), value, "{text:?}")
        };
        check("", Some(b""));
        check("AQ==", Some(&[1]));
        check("+/8=", Some(&[0xfb, 0xff]));
        for text in [
            "AQ", "AQ=", "AR==", "AQ===", "AQ==\n", " AQ==", "-_8=", "A", "AQ==AQ==",
        ] {
            check(text, None);
        }
    }
}
