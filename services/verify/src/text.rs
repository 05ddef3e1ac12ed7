//! Strict reading: one text for one value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::VerifyError;
use crate::merkle::{Hash, PATH_HASHES_MAX};

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

/// Canonical standard base64 of the bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// UTF-8 without control characters but newline, and not endless.
pub(crate) fn plain(bytes: &[u8], bytes_max: usize) -> Result<&str, VerifyError> {
    if bytes.len() > bytes_max {
        return Err(VerifyError::TooLong {
            bytes: bytes.len(),
            max: bytes_max,
        });
    }
    let is_bad = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
    if let Some(at) = bytes.iter().position(is_bad) {
        return Err(VerifyError::NotText { at });
    }
    std::str::from_utf8(bytes).map_err(|error| VerifyError::NotText {
        at: error.valid_up_to(),
    })
}

/// The lines of a text, read one by one; each must be what is asked for.
pub(crate) struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Split<'a, char>>,
    /// One-based number of the line last read.
    line: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, VerifyError> {
        let ended = text.strip_suffix('\n').ok_or(VerifyError::Extra {
            line: text.split('\n').count(),
            reason: "no newline at the end",
        })?;
        Ok(Self {
            lines: ended.split('\n').peekable(),
            line: 0,
        })
    }

    /// The next line's value after `prefix`, parsed.
    pub(crate) fn take<T>(
        &mut self,
        prefix: &str,
        parse: impl Fn(&'a str) -> Option<T>,
        reason: &'static str,
    ) -> Result<T, VerifyError> {
        self.line += 1;
        let value = self
            .lines
            .next()
            .and_then(|line| parse(line.strip_prefix(prefix)?));
        value.ok_or_else(|| self.wrong(reason))
    }

    /// Whether the next line starts like that.
    pub(crate) fn peek(&mut self, prefix: &str) -> bool {
        self.lines
            .peek()
            .is_some_and(|line| line.starts_with(prefix))
    }

    /// All `path` lines that follow.
    pub(crate) fn path(&mut self) -> Result<Vec<Hash>, VerifyError> {
        let mut path = Vec::new();
        while self.peek("path ") {
            path.push(self.take("path ", hash, "`path` and a hash expected")?);
            if path.len() > PATH_HASHES_MAX {
                return Err(self.wrong("the path is too long"));
            }
        }
        Ok(path)
    }

    /// Nothing may be left over; if something is, `reason` says what was expected instead.
    pub(crate) fn end(mut self, reason: &'static str) -> Result<(), VerifyError> {
        self.line += 1;
        match self.lines.next() {
            None => Ok(()),
            Some(_) => Err(self.wrong(reason)),
        }
    }

    pub(crate) fn wrong(&self, reason: &'static str) -> VerifyError {
        VerifyError::Extra {
            line: self.line,
            reason,
        }
    }
}

/// `<index> <count>`
pub(crate) fn index_of_count(text: &str) -> Option<(u64, u64)> {
    let (index, count) = text.split_once(' ')?;
    Some((number(index)?, number(count)?))
}

/// Base64 of at least one byte.
pub(crate) fn content(text: &str) -> Option<Vec<u8>> {
    base64(text).filter(|content| !content.is_empty())
}

/// A name in a line of names: printable ASCII without spaces.
pub(crate) fn token(text: &str) -> Option<&str> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then_some(text)
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
