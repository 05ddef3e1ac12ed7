//! The batch header: the text that is an entry in the log.

use crate::error::VerifyError;
use crate::text;

/// First line: the format and its version.
const FORMAT: &str = "valuta.batch/v1";
/// The lines after the first, in order.
const FIELDS: [&str; 11] = [
    "scheme",
    "batch",
    "time",
    "cycle",
    "members",
    "postings",
    "balances",
    "certificate",
    "sequence",
    "chain",
    "previous",
];

/// What a receipt's reader wants of a header.
pub(crate) struct Header {
    pub(crate) scheme: String,
    pub(crate) batch: u64,
    pub(crate) time_ms: i64,
    pub(crate) cycle: Option<String>,
    pub(crate) member_count: u64,
    pub(crate) members_root: [u8; 32],
    pub(crate) certificate: Option<[u8; 32]>,
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; 32],
}

impl Header {
    /// Reads an entry that is in the log; so a malformed one is the log's fault.
    pub(crate) fn parse(header: &str) -> Result<Self, VerifyError> {
        let values = values(header)?;
        let [
            scheme,
            batch,
            time,
            cycle,
            members,
            postings,
            balances,
            certificate,
            sequence,
            chain,
            previous,
        ] = values;
        let (member_count, members_root) = field("members", list(members))?;
        field("postings", list(postings))?;
        field("balances", list(balances))?;
        field("previous", text::hash(previous))?;
        Ok(Self {
            scheme: field("scheme", printable(scheme))?,
            batch: field("batch", text::number(batch))?,
            time_ms: field(
                "time",
                time.parse().ok().filter(|ms: &i64| ms.to_string() == time),
            )?,
            cycle: field("cycle", optional(cycle, token))?,
            member_count,
            members_root,
            certificate: field("certificate", optional(certificate, text::hash))?,
            sequence: field("sequence", text::number(sequence))?,
            chain: field("chain", text::hash(chain))?,
        })
    }
}

fn values(header: &str) -> Result<[&str; FIELDS.len()], VerifyError> {
    let malformed = |field| VerifyError::HeaderMalformed { field };
    let mut lines = header.split('\n');
    if lines.next() != Some(FORMAT) {
        return Err(malformed(FORMAT));
    }
    let mut values = [""; FIELDS.len()];
    for (value, field) in values.iter_mut().zip(FIELDS) {
        let line = lines
            .next()
            .and_then(|line| line.strip_prefix(field)?.strip_prefix(' '));
        *value = line.ok_or(malformed(field))?;
    }
    if lines.next() == Some("") && lines.next().is_none() {
        return Ok(values);
    }
    Err(malformed("end of header"))
}

fn field<T>(field: &'static str, value: Option<T>) -> Result<T, VerifyError> {
    value.ok_or(VerifyError::HeaderMalformed { field })
}

/// `-` for nothing.
fn optional<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" {
        Some(None)
    } else {
        parse(text).map(Some)
    }
}

fn token(text: &str) -> Option<String> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| text.to_owned())
}

/// A name may have spaces: it is the rest of its line.
fn printable(text: &str) -> Option<String> {
    let is_printable = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_printable.then(|| text.to_owned())
}

fn list(text: &str) -> Option<(u64, [u8; 32])> {
    let (count, root) = text.split_once(' ')?;
    Some((text::number(count)?, text::hash(root)?))
}
