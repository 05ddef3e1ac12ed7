//! The batch header: a text that commits to everything in a batch, and is its entry in the log.
//!
//! One line each, in this order, each ended by a newline; numbers in decimal without leading zeros,
//! hashes in base64; there is exactly one text for one header:
//!
//! ```text
//! valuta.batch/v1
//! scheme <name, 1 to 64 printable ASCII characters>
//! batch <number, from 1>
//! time <unix milliseconds>
//! cycle <value date>/<number>, or - for a gross batch
//! members <count> <root>
//! postings <count> <root>
//! balances <count> <root>
//! certificate <hash>, or -
//! sequence <journal sequence>
//! chain <journal chain>
//! previous <SHA-256 of the previous header's text; of the first one 32 zero bytes>
//! ```

use crate::error::HeaderError;
use crate::hash::{Hash, decode_hash, encode, sha256};

/// The number of a scheme's first batch.
pub const FIRST_BATCH_NUMBER: u64 = 1;
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
/// Longest name of a scheme, in bytes.
const SCHEME_BYTES_MAX: usize = 64;

/// The root of one of a batch's lists, and how many leaves it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRoot {
    /// Number of leaves.
    pub count: u64,
    /// RFC 6962 root over `leaf_hash(SHA-256(salt || content))`.
    pub root: Hash,
}

/// What a batch's entry in the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The scheme's name.
    pub scheme: String,
    /// The batch's number in its scheme, without gaps from [`FIRST_BATCH_NUMBER`].
    pub number: u64,
    /// Record time in unix milliseconds.
    pub time_ms: i64,
    /// `<value date>/<number>` of the cycle; `None` for a gross batch.
    pub cycle: Option<String>,
    /// What settled, in member order.
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
    /// SHA-256 of the previous header's text.
    pub previous: Hash,
}

impl Header {
    /// The canonical text, which is the entry in the log.
    #[must_use]
    pub fn text(&self) -> String {
        let values = [
            self.scheme.clone(),
            self.number.to_string(),
            self.time_ms.to_string(),
            self.cycle.clone().unwrap_or_else(|| "-".to_owned()),
            self.members.text(),
            self.postings.text(),
            self.balances.text(),
            self.certificate
                .map_or_else(|| "-".to_owned(), |hash| encode(&hash)),
            self.sequence.to_string(),
            encode(&self.chain),
            encode(&self.previous),
        ];
        let lines = FIELDS
            .iter()
            .zip(values)
            .map(|(field, value)| format!("{field} {value}\n"));
        format!("{FORMAT}\n{}", lines.collect::<String>())
    }

    /// Reads a canonical text.
    ///
    /// # Errors
    /// If it is not exactly what [`text`](Self::text) gives for some header.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let mut lines = text.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(HeaderError::LineMissing {
                line: 1,
                field: FORMAT,
            });
        }
        let mut values = [""; FIELDS.len()];
        for (index, (value, field)) in values.iter_mut().zip(FIELDS).enumerate() {
            let line = lines
                .next()
                .and_then(|line| line.strip_prefix(field)?.strip_prefix(' '));
            *value = line.ok_or(HeaderError::LineMissing {
                line: index + 2,
                field,
            })?;
        }
        let header = Self::from_values(values)?;
        header.check()?;
        if header.text() != text {
            return Err(HeaderError::NotCanonical);
        }
        Ok(header)
    }

    /// SHA-256 of the text: the next header's `previous`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(self.text().as_bytes())
    }

    /// Checks the fields whose type allows more than the format does.
    pub(crate) fn check(&self) -> Result<(), HeaderError> {
        let malformed = |field| Err(HeaderError::FieldMalformed { field });
        if !is_scheme(&self.scheme) {
            return malformed("scheme");
        }
        if self.number < FIRST_BATCH_NUMBER {
            return malformed("batch");
        }
        if self.cycle.as_ref().is_some_and(|cycle| !is_cycle(cycle)) {
            return malformed("cycle");
        }
        Ok(())
    }

    /// The name of the first line in which two headers differ.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let (left, right) = (self.text(), other.text());
        let lines = left.lines().zip(right.lines()).skip(1).zip(FIELDS);
        lines
            .into_iter()
            .find_map(|((left, right), field)| (left != right).then_some(field))
    }

    fn from_values(values: [&str; FIELDS.len()]) -> Result<Self, HeaderError> {
        let [
            scheme,
            number,
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
        Ok(Self {
            scheme: scheme.to_owned(),
            number: field("batch", number.parse().ok())?,
            time_ms: field("time", time.parse().ok())?,
            cycle: (cycle != "-").then(|| cycle.to_owned()),
            members: field("members", ListRoot::parse(members))?,
            postings: field("postings", ListRoot::parse(postings))?,
            balances: field("balances", ListRoot::parse(balances))?,
            certificate: match certificate {
                "-" => None,
                hash => Some(field("certificate", decode_hash(hash))?),
            },
            sequence: field("sequence", sequence.parse().ok())?,
            chain: field("chain", decode_hash(chain))?,
            previous: field("previous", decode_hash(previous))?,
        })
    }
}

impl ListRoot {
    fn text(&self) -> String {
        format!("{} {}", self.count, encode(&self.root))
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, root) = text.split_once(' ')?;
        Some(Self {
            count: count.parse().ok()?,
            root: decode_hash(root)?,
        })
    }
}

fn field<T>(field: &'static str, value: Option<T>) -> Result<T, HeaderError> {
    value.ok_or(HeaderError::FieldMalformed { field })
}

fn is_scheme(text: &str) -> bool {
    (1..=SCHEME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// `YYYY-MM-DD/<number from 1>`; whether the day exists is the core's business.
fn is_cycle(text: &str) -> bool {
    let Some((date, number)) = text.split_once('/') else {
        return false;
    };
    let date = date.as_bytes();
    let is_date = date.len() == 10
        && date.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date
        && number
            .parse::<u32>()
            .is_ok_and(|parsed| parsed > 0 && parsed.to_string() == number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header() -> Header {
        Header {
            scheme: "demo".into(),
            number: 7,
            time_ms: 1_763_640_000_000,
            cycle: Some("2026-11-20/1".into()),
            members: ListRoot {
                count: 3,
                root: [1; 32],
            },
            postings: ListRoot {
                count: 4,
                root: [2; 32],
            },
            balances: ListRoot {
                count: 0,
                root: sha256(b""),
            },
            certificate: Some([4; 32]),
            sequence: 99,
            chain: [5; 32],
            previous: [6; 32],
        }
    }

    #[test]
    fn the_text_is_fixed() {
        let text = "valuta.batch/v1\n\
            scheme demo\n\
            batch 7\n\
            time 1763640000000\n\
            cycle 2026-11-20/1\n\
            members 3 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\
            postings 4 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\
            balances 0 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\
            certificate BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n\
            sequence 99\n\
            chain BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n\
            previous BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=\n";
        assert_eq!(header().text(), text);
        assert_eq!(Header::parse(text), Ok(header()));
        let gross = Header {
            cycle: None,
            certificate: None,
            ..header()
        };
        assert_eq!(Header::parse(&gross.text()), Ok(gross));
        let spaced = Header {
            scheme: " a - b ".into(),
            ..header()
        };
        assert_eq!(Header::parse(&spaced.text()), Ok(spaced));
    }

    #[test]
    fn other_texts_are_refused() {
        let check = |from: &str, to: &str, error: &str| {
            let text = header().text();
            assert!(text.contains(from), "{from}");
            let found = Header::parse(&text.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(found.contains(error), "{from} -> {to}: {found}");
        };
        check("batch/v1", "batch/v2", "line 1");
        check("scheme demo\n", "", "line 2: `scheme`");
        check("scheme demo", "scheme d\u{e9}mo", "`scheme`");
        check("scheme demo", "scheme\tdemo", "line 2: `scheme`");
        check("scheme demo", "scheme ", "`scheme`");
        check("batch 7", "batch 07", "canonical");
        check("batch 7", "batch +7", "canonical");
        check("batch 7", "batch 0", "`batch`");
        check("batch 7", "batch 18446744073709551616", "`batch`");
        check("time 1763640000000", "time 1763640000000.0", "`time`");
        check("2026-11-20/1", "2026-11-20/0", "`cycle`");
        check("2026-11-20/1", "2026-11-20/01", "`cycle`");
        check("2026-11-20/1", "2026-11-2/1", "`cycle`");
        check("2026-11-20/1", "2026-11-20", "`cycle`");
        check("members 3 ", "members 3", "`members`");
        check("AQE=", "AQF=", "`members`");
        check("AQE=", "AQE", "`members`");
        check(
            "sequence 99\n",
            "sequence 99\nsequence 99\n",
            "line 11: `chain`",
        );
        check("sequence 99\n", "sequence 99\r\n", "`sequence`");
        check("BgYGBgY=\n", "BgYGBgY=", "canonical");
        check("BgYGBgY=\n", "BgYGBgY=\n\n", "canonical");
        check("BgYGBgY=\n", "BgYGBgY=\nnote x\n", "canonical");
    }

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(header().first_difference(&header()), None);
        let other = Header {
            sequence: 98,
            chain: [0; 32],
            ..header()
        };
        assert_eq!(header().first_difference(&other), Some("sequence"));
    }
}
