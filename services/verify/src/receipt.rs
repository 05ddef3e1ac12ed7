//! The form of a receipt: a C2SP tlog-proof, and the `valuta.receipt/v1` text in its `extra` line.

use crate::RECEIPT_BYTES_MAX;
use crate::error::VerifyError;
use crate::merkle::PATH_HASHES_MAX;
use crate::text;

/// A receipt's parts, of the right form but not yet believed.
pub(crate) struct Receipt<'a> {
    pub(crate) extra: Extra,
    pub(crate) log_index: u64,
    pub(crate) log_path: Vec<[u8; 32]>,
    pub(crate) checkpoint: &'a str,
}

/// The text in the `extra` line.
pub(crate) struct Extra {
    pub(crate) header: String,
    pub(crate) entry: [u8; 32],
    pub(crate) member_index: u64,
    pub(crate) member_count: u64,
    pub(crate) trade: Option<(Side, [u8; 32])>,
    pub(crate) content: Vec<u8>,
    pub(crate) digest: [u8; 32],
    pub(crate) salt: [u8; 32],
    pub(crate) commitment: [u8; 32],
    pub(crate) member_path: Vec<[u8; 32]>,
}

/// A side of a matched trade, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that came first.
    First,
    /// The side that came second.
    Second,
}

impl<'a> Receipt<'a> {
    pub(crate) fn parse(receipt: &'a [u8]) -> Result<Self, VerifyError> {
        let receipt = plain_text(receipt)?;
        let wrong = |line, reason| VerifyError::Line { line, reason };
        let (proof, checkpoint) = receipt
            .split_once("\n\n")
            .ok_or(wrong(1, "no empty line before the checkpoint"))?;
        let mut lines = (1..).zip(proof.split('\n'));
        let (_, format) = lines.next().unwrap_or_default();
        if format != "c2sp.org/tlog-proof@v1" {
            return Err(wrong(1, "`c2sp.org/tlog-proof@v1` expected"));
        }
        let extra = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix("extra "));
        let extra = extra.ok_or(wrong(2, "`extra` expected"))?;
        let extra = text::base64(extra).ok_or(wrong(2, "`extra` is not canonical base64"))?;
        let extra = String::from_utf8(extra).map_err(|_| wrong(2, "`extra` does not hold text"))?;
        let index = lines
            .next()
            .and_then(|(_, line)| text::number(line.strip_prefix("index ")?));
        let log_index = index.ok_or(wrong(3, "`index` and a number expected"))?;
        let mut log_path = Vec::new();
        for (line, hash) in lines {
            let hash = text::hash(hash)
                .ok_or(wrong(line, "hash expected, canonical base64 of 32 bytes"))?;
            if log_path.len() == PATH_HASHES_MAX {
                return Err(wrong(line, "the log path is too long"));
            }
            log_path.push(hash);
        }
        Ok(Self {
            extra: Extra::parse(&extra)?,
            log_index,
            log_path,
            checkpoint,
        })
    }
}

impl Extra {
    fn parse(text: &str) -> Result<Self, VerifyError> {
        let mut lines = Lines::new(text)?;
        lines.exactly("valuta.receipt/v1", "`valuta.receipt/v1` expected")?;
        let header = lines.take("header ", text::base64, "`header` and base64 expected")?;
        let header =
            String::from_utf8(header).map_err(|_| lines.wrong("`header` does not hold text"))?;
        let entry = lines.take("entry ", text::hash, "`entry` and a hash expected")?;
        let (member_index, member_count) =
            lines.take("member ", member, "`member`, index and count expected")?;
        let trade = match lines.peek("side ") {
            false => None,
            true => {
                let side = lines.take("side ", side, "`side first` or `side second` expected")?;
                Some((
                    side,
                    lines.take("other ", text::hash, "`other` and a hash expected")?,
                ))
            }
        };
        Ok(Self {
            header,
            entry,
            member_index,
            member_count,
            trade,
            content: lines.take(
                "content ",
                content,
                "`content` and base64 expected, not empty",
            )?,
            digest: lines.take("digest ", text::hash, "`digest` and a hash expected")?,
            salt: lines.take(
                "salt ",
                text::hash,
                "`salt` and 32 bytes of base64 expected",
            )?,
            commitment: lines.take(
                "commitment ",
                text::hash,
                "`commitment` and a hash expected",
            )?,
            member_path: lines.path()?,
        })
    }
}

/// The lines of `extra`, read one by one.
struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Split<'a, char>>,
    /// One-based number of the line last read.
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Result<Self, VerifyError> {
        let last = text.split('\n').count();
        let ended = text.strip_suffix('\n');
        let ended = ended.ok_or(VerifyError::Extra {
            line: last,
            reason: "no newline at the end",
        })?;
        Ok(Self {
            lines: ended.split('\n').peekable(),
            line: 0,
        })
    }

    fn exactly(&mut self, line: &str, reason: &'static str) -> Result<(), VerifyError> {
        self.take("", |found| (found == line).then_some(()), reason)
    }

    /// The next line's value after `prefix`, parsed.
    fn take<T>(
        &mut self,
        prefix: &str,
        parse: impl Fn(&str) -> Option<T>,
        reason: &'static str,
    ) -> Result<T, VerifyError> {
        self.line += 1;
        let value = self
            .lines
            .next()
            .and_then(|line| parse(line.strip_prefix(prefix)?));
        value.ok_or_else(|| self.wrong(reason))
    }

    fn peek(&mut self, prefix: &str) -> bool {
        self.lines
            .peek()
            .is_some_and(|line| line.starts_with(prefix))
    }

    /// All lines that are left.
    fn path(&mut self) -> Result<Vec<[u8; 32]>, VerifyError> {
        let mut path = Vec::new();
        while self.lines.peek().is_some() {
            path.push(self.take("path ", text::hash, "`path` and a hash expected")?);
            if path.len() > PATH_HASHES_MAX {
                return Err(self.wrong("the member path is too long"));
            }
        }
        Ok(path)
    }

    fn wrong(&self, reason: &'static str) -> VerifyError {
        VerifyError::Extra {
            line: self.line,
            reason,
        }
    }
}

/// UTF-8 without control characters but newline, and not endless.
fn plain_text(bytes: &[u8]) -> Result<&str, VerifyError> {
    if bytes.len() > RECEIPT_BYTES_MAX {
        return Err(VerifyError::TooLong {
            bytes: bytes.len(),
            max: RECEIPT_BYTES_MAX,
        });
    }
    if let Some(at) = bytes
        .iter()
        .position(|byte| byte.is_ascii_control() && *byte != b'\n')
    {
        return Err(VerifyError::NotText { at });
    }
    std::str::from_utf8(bytes).map_err(|error| VerifyError::NotText {
        at: error.valid_up_to(),
    })
}

fn member(text: &str) -> Option<(u64, u64)> {
    let (index, count) = text.split_once(' ')?;
    Some((text::number(index)?, text::number(count)?))
}

fn side(text: &str) -> Option<Side> {
    match text {
        "first" => Some(Side::First),
        "second" => Some(Side::Second),
        _ => None,
    }
}

fn content(text: &str) -> Option<Vec<u8>> {
    text::base64(text).filter(|content| !content.is_empty())
}
