//! The batch header: the text that is an entry in the log.

use crate::error::VerifyError;
use crate::merkle::Hash;
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

/// The root of one of a batch's lists, and how many leaves it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRoot {
    /// Number of leaves.
    pub count: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// What a batch's entry in the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The scheme's name.
    pub scheme: String,
    /// The batch's number in its scheme.
    pub number: u64,
    /// Record time in unix milliseconds.
    pub time_ms: i64,
    /// `<value date>/<number>` of the cycle; `None` for a gross batch.
    pub cycle: Option<String>,
    /// What settled.
    pub members: ListRoot,
    /// One account's change each.
    pub postings: ListRoot,
    /// The balances that the batch touched, as they are after it.
    pub balances: ListRoot,
    /// The hash of the run's certificate.
    pub certificate: Option<Hash>,
    /// The journal's sequence at the batch.
    pub sequence: u64,
    /// The journal's chain at the batch.
    pub chain: Hash,
    /// SHA-256 of the previous header's text; of the first one zeros.
    pub previous: Hash,
}

impl Header {
    /// Reads an entry of the log. It was signed, so that it is malformed is the log's fault.
    ///
    /// # Errors
    /// The field that is not as the format wants it.
    pub fn parse(header: &str) -> Result<Self, VerifyError> {
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
        ] = values(header)?;
        Ok(Self {
            scheme: field("scheme", printable(scheme))?,
            number: field("batch", text::number(batch))?,
            time_ms: field("time", milliseconds(time))?,
            cycle: field("cycle", optional(cycle, token))?,
            members: field("members", list(members))?,
            postings: field("postings", list(postings))?,
            balances: field("balances", list(balances))?,
            certificate: field("certificate", optional(certificate, text::hash))?,
            sequence: field("sequence", text::number(sequence))?,
            chain: field("chain", text::hash(chain))?,
            previous: field("previous", text::hash(previous))?,
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
    text::token(text).map(str::to_owned)
}

fn milliseconds(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// A name may have spaces: it is the rest of its line.
fn printable(text: &str) -> Option<String> {
    let is_printable = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_printable.then(|| text.to_owned())
}

fn list(text: &str) -> Option<ListRoot> {
    let (count, root) = text.split_once(' ')?;
    Some(ListRoot {
        count: text::number(count)?,
        root: text::hash(root)?,
    })
}
